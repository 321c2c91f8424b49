"""Nearest stored vectors: by comparing with all, or, where there are many, through an index kept beside them."""

from __future__ import annotations

import hashlib
import shutil
from bisect import bisect_left
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mekiki.catalog.db import PAGE_ROWS, Catalog
from mekiki.catalog.near_vectors import read_vector_table
from mekiki.catalog.vectors import FOLDER, INDEX_PATTERN, VectorRun
from mekiki.errors import DataError, MissingExtraError, UnreadableError
from mekiki.neighbours.exact import nearest_rows, row_products
from mekiki.neighbours.tables import UnitVectors
from mekiki.neighbours.vector_index import VectorIndex, build_index, import_faiss, load_index

INDEX_FROM = 200_000
"""Vectors from which on an index is used; comparing with fewer takes a fraction of a second."""

SLACK = 16
"""Neighbours looked at beyond those wanted, so that rounding does not decide between equal ones."""


class VectorSearch:
    """The vectors of one run, to be searched.

    Args:
        catalog: Where from.
        run: Which.
        index_from: Vectors from which on an index is used.

    Attributes:
        item_ids: Whose vectors they are, in the order of ids.
        table: The vectors.

    Raises:
        DataError: If the run has no vectors, or a file of them is not what was written.
    """

    def __init__(self, catalog: Catalog, run: VectorRun, index_from: int = INDEX_FROM) -> None:
        self._catalog, self._run, self._index_from = catalog, run, index_from
        self.item_ids, self.table = read_vector_table(catalog, run)
        if not self.item_ids:
            raise DataError(f"run {run.run_id} has no vectors: mekiki embed -w {catalog.workspace}")
        self._unit = UnitVectors(self.table)

    def vector_of(self, item_id: str) -> NDArray[np.float32] | None:
        """Return an item's vector ``(D,)`` of unit length, or None if it has none."""
        row = bisect_left(self.item_ids, item_id)
        if row == len(self.item_ids) or self.item_ids[row] != item_id:
            return None
        return np.asarray(self._unit[np.array([row])][0])

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
        path = self._catalog.workspace / FOLDER / self._run.run_id / INDEX_PATTERN.replace("*", self._fingerprint())
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
            for old in path.parent.glob(INDEX_PATTERN + "*"):
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


def names_of_items(catalog: Catalog, item_ids: Sequence[str]) -> dict[str, str]:
    """Return item id to what a user knows it by: its file, its clip's with ``#t=SECONDS``, or a row of a matrix.

    Of several files with the same bytes, the first by name.
    """
    names: dict[str, str] = {}
    ids = list(dict.fromkeys(item_ids))
    for start in range(0, len(ids), PAGE_ROWS):
        page = ids[start : start + PAGE_ROWS]
        sql = (
            "SELECT i.item_id, i.time_s, i.path, (SELECT min(path) FROM sources WHERE item_id = i.item_id), "
            "(SELECT min(path) FROM sources WHERE item_id = i.parent_id), "
            "(SELECT min(path) FROM vector_rows WHERE item_id = i.item_id) "
            f"FROM items i WHERE i.item_id IN ({', '.join('?' * len(page))})"
        )
        for item_id, time_s, own, source, of_parent, row in catalog.rows(sql, page):
            stored = source or of_parent or own or row
            name = str(catalog.locate(stored)) if stored else item_id
            is_frame = source is None and of_parent is not None and time_s is not None
            names[item_id] = f"{name}#t={time_s:.3f}" if is_frame else name
    return names
