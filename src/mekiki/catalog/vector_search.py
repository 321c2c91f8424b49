"""Nearest stored vectors: by comparing with all, or, where there are many, through an index kept beside them."""

from __future__ import annotations

import hashlib
import json
import shutil
from bisect import bisect_left
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mekiki.catalog.db import PAGE_ROWS, Catalog
from mekiki.catalog.near_vectors import read_vector_table
from mekiki.catalog.vectors import FOLDER, INDEX_PATTERN, StoredVectors, VectorRun
from mekiki.errors import DataError, MissingExtraError, UnreadableError
from mekiki.media.cropping import fragment_of
from mekiki.neighbours.exact import nearest_rows, row_products
from mekiki.neighbours.tables import UnitVectors, to_unit_length
from mekiki.neighbours.vector_index import VectorIndex, build_index, import_faiss, load_index
from mekiki.records import LABELLED_KINDS, ItemKind

INDEX_FROM = 200_000
"""Vectors from which on an index is used; comparing with fewer takes a fraction of a second."""

ANY_FINGERPRINT = "[0-9a-f]" * 16
"""Of an index among names of files; those of other kinds of items have the kinds before it."""

SLACK = 16
"""Neighbours looked at beyond those wanted, so that rounding does not decide between equal ones."""


class VectorSearch:
    """The vectors of one run, to be searched.

    Args:
        catalog: Where from.
        run: Which.
        index_from: Vectors from which on an index is used.
        kinds: Of items that may be found; whole pictures and vectors without one, if nothing is said.

    Attributes:
        item_ids: Whose vectors they are, in the order of ids.
        table: The vectors.

    Raises:
        DataError: If the run has no vectors of such items, or a file of them is not what was written.
    """

    def __init__(
        self,
        catalog: Catalog,
        run: VectorRun,
        index_from: int = INDEX_FROM,
        kinds: Sequence[ItemKind] = LABELLED_KINDS,
    ) -> None:
        self._catalog, self._run, self._index_from = catalog, run, index_from
        self._mark = "" if set(kinds) == set(LABELLED_KINDS) else "-".join([*sorted(set(kinds)), ""])
        self.item_ids, self.table = read_vector_table(catalog, run, kinds=kinds)
        if not self.item_ids:
            raise DataError(_nothing_there(catalog, run, kinds if self._mark else ()))
        self._unit = UnitVectors(self.table)

    def vector_of(self, item_id: str) -> NDArray[np.float32] | None:
        """Return an item's vector ``(D,)`` of unit length, of whatever kind it is, or None if it has none."""
        row = bisect_left(self.item_ids, item_id)
        if row < len(self.item_ids) and self.item_ids[row] == item_id:
            return np.asarray(self._unit[np.array([row])][0])
        stored = StoredVectors(self._catalog, self._run)
        return np.asarray(to_unit_length(stored.read([item_id]))[0]) if stored.having([item_id]) else None

    def nearest(
        self, queries: NDArray[np.float32], k: int, index: VectorIndex | None = None
    ) -> list[list[tuple[str, float]]]:
        """Return item ids and cosines, best first; zeros are left out.

        Equal cosines stand in the order of ids. Of more than `SLACK` items with the last cosine, any may be left out.

        Args:
            queries: ``(Q, D)`` of unit length.
            k: Neighbours wanted of each.
            index: What to look through; None compares with all vectors, and so does finding too few.
        """
        wanted = k + SLACK
        while True:
            answers = [
                self._ranked(query, rows)[:k]
                for query, rows in zip(queries, self._nearest_rows(queries, wanted, index), strict=True)
            ]
            if wanted >= len(self.item_ids) or all(len(one) == k for one in answers):
                return answers
            index, wanted = None, 4 * wanted  # zeros were among them, or the index looked at too few

    def open_index(self, say: Callable[[str], None], *, is_wanted: bool = True) -> tuple[VectorIndex | None, str]:
        """Return the index of these vectors and a note; None, and why, where comparing with all is what there is.

        The first search after vectors have come builds it, in ``vectors/<run_id>/``, and removes those before.

        Args:
            say: Told before something that takes minutes.
            is_wanted: Otherwise there is none.
        """
        n_vectors = len(self.item_ids)
        exactly = f"compared with all {n_vectors:,} vectors"
        if n_vectors < self._index_from or not is_wanted:
            return None, exactly
        try:
            import_faiss()
        except MissingExtraError as error:
            return None, f"{exactly}; an index would be faster, but {error}"
        name = INDEX_PATTERN.replace("*", self._mark + self._fingerprint())
        path = self._catalog.workspace / FOLDER / self._run.run_id / name
        index = self._load(path, say)
        if index is None and self._catalog.is_read_only:
            return None, f"{exactly}; an index would be faster, but {self._catalog.workspace} may only be read"
        if index is None:
            with self._catalog.writing("search"):
                index = self._build(path, say)
        return index, f"through an index of {n_vectors:,} vectors, which finds {index.recall:.1%} of the ten nearest"

    def _load(self, path: Path, say: Callable[[str], None]) -> VectorIndex | None:
        """Return the index in a file; None if there is none that can be used: it is made again from the vectors."""
        try:
            return load_index(path, self.table.shape)
        except UnreadableError as error:
            say(f"the index is left unused, since {error}")
            return None

    def _build(self, path: Path, say: Callable[[str], None]) -> VectorIndex:
        index = self._load(path, lambda _line: None)  # another search may have built it while this one waited
        if index is None:
            say(f"building an index of {len(self.item_ids):,} vectors, once")
            index = build_index(self.table)
            for old in path.parent.glob(INDEX_PATTERN.replace("*", f"{self._mark}{ANY_FINGERPRINT}") + "*"):
                shutil.rmtree(old) if old.is_dir() and not old.is_symlink() else old.unlink()
            index.save(path)
        return index

    def _nearest_rows(self, queries: NDArray[np.float32], k: int, index: VectorIndex | None) -> NDArray[np.int64]:
        if index is None:
            return nearest_rows(queries, self._unit, k).rows
        return index.nearest(queries, self.table, k).rows

    def _ranked(self, query: NDArray[np.float32], rows: NDArray[np.int64]) -> list[tuple[str, float]]:
        rows = np.sort(rows)
        vectors = self._unit[rows]
        cosines = np.where(vectors.any(axis=1), row_products(vectors, query), -np.inf)
        order = np.argsort(-cosines, kind="stable")
        return [(self.item_ids[rows[place]], float(cosines[place])) for place in order if cosines[place] > -np.inf]

    def _fingerprint(self) -> str:
        hasher = hashlib.sha256("\n".join(self.item_ids).encode())
        hasher.update(self.table.places())
        return hasher.hexdigest()[:16]


def _nothing_there(catalog: Catalog, run: VectorRun, kinds: Sequence[ItemKind]) -> str:
    """Return what to say where a run has no vector of items of these kinds, or of whole pictures if none is named."""
    sql = "SELECT DISTINCT kind FROM items i JOIN vectors v ON v.item_id = i.item_id WHERE v.run_id = ? ORDER BY kind"
    others = [row[0] for row in catalog.rows(sql, (run.run_id,))]
    what = f"vectors of kind {', '.join(kinds)}" if kinds else "vectors of whole pictures" if others else "vectors"
    flags = "".join(f" --kind {kind}" for kind in kinds)
    there = f"; to look among what it has, add{''.join(f' --kind {kind}' for kind in others)}" if others else ""
    return f"run {run.run_id} has no {what}: mekiki embed{flags} -w {catalog.workspace}{there}"


def names_of_items(catalog: Catalog, item_ids: Sequence[str]) -> dict[str, str]:
    """Return item id to what a user knows it by: its file, its clip's with ``#t=SECONDS``, or a row of a matrix.

    A crop is called by the name of its picture and ``#xywh=X,Y,WIDTH,HEIGHT`` in pixels, of a frame ``&xywh=`` (W3C
    Media Fragments). Of several files with the same bytes, the first by name.
    """
    names: dict[str, str] = {}
    places: dict[str, tuple[str, str]] = {}
    ids = list(dict.fromkeys(item_ids))
    for start in range(0, len(ids), PAGE_ROWS):
        page = ids[start : start + PAGE_ROWS]
        sql = (
            "SELECT i.item_id, i.time_s, i.path, (SELECT min(path) FROM sources WHERE item_id = i.item_id), "
            "(SELECT min(path) FROM sources WHERE item_id = i.parent_id), "
            "(SELECT min(path) FROM vector_rows WHERE item_id = i.item_id), "
            "i.kind, i.parent_id, i.parameters, i.width_px, i.height_px "
            f"FROM items i WHERE i.item_id IN ({', '.join('?' * len(page))})"
        )
        for item_id, time_s, own, source, of_parent, row, *crop in catalog.rows(sql, page):
            if crop[0] == "crop":
                places[item_id] = crop[1], fragment_of(json.loads(crop[2])["xyxy"], *crop[3:])
                continue
            stored = source or of_parent or own or row
            name = str(catalog.locate(stored)) if stored else item_id
            is_frame = source is None and of_parent is not None and time_s is not None
            names[item_id] = f"{name}#t={time_s:.3f}" if is_frame else name
    if places:
        parents = names_of_items(catalog, [parent_id for parent_id, _ in places.values()])
        for item_id, (parent_id, fragment) in places.items():
            name = parents.get(parent_id, parent_id)
            names[item_id] = f"{name}{'&' if '#t=' in name else '#'}{fragment}"
    return names
