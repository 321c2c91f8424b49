"""Items, the files they came from, and what is known of them: hashes, attributes, groups, classes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from operator import attrgetter
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from mekiki.catalog.db import PAGE_ROWS, Catalog, Transaction
from mekiki.catalog.item_rows import HAS_FILE, ITEM_ROWS, as_item
from mekiki.errors import DataError
from mekiki.records import PICTURE_KINDS, Item, ItemKind


@dataclass(frozen=True, slots=True)
class NewItem:
    """A row of ``items``; the columns are explained in ``schema.sql``."""

    item_id: str
    kind: ItemKind
    width_px: int
    height_px: int
    parent_id: str | None = None
    path: str | None = None
    format: str | None = None
    captured_at: str | None = None
    pts: int | None = None
    time_base: str | None = None
    time_s: float | None = None
    frame_index: int | None = None
    duration_s: float | None = None
    fps: float | None = None
    n_frames: int | None = None
    operation: str | None = None
    parameters: str | None = None


@dataclass(frozen=True, slots=True)
class HashRow:
    """A row of ``hashes``. The two hashes are unsigned 64-bit; the thumbnail is raw ``uint8``."""

    item_id: str
    phash: int
    mirrored: int
    is_flat: bool
    thumbnail: bytes


@dataclass(frozen=True, slots=True)
class GroupRow:
    """A row of ``groups``: an item belongs to the group ``(kind, key)``."""

    kind: str
    key: str
    item_id: str


ITEM_COLUMNS = tuple(field.name for field in fields(NewItem))
_values_of = attrgetter(*ITEM_COLUMNS)


class ItemSelection:
    """Items of some kinds, in the order of their ids, read from the catalog a page at a time.

    Pictures, videos and vectors none of whose files is known any more are left out, and crops of such pictures. Of
    several files with the same bytes, one that is still there is taken. Crops have the file of their parent. Iterating
    twice gives the same.
    """

    def __init__(self, catalog: Catalog, kinds: Sequence[ItemKind]) -> None:
        self._catalog = catalog
        marks = ", ".join(f"'{kind}'" for kind in kinds)
        kind = (
            "i.kind" if len(kinds) == 1 else "+i.kind"
        )  # of several, the index would sort all that is left for each page
        self._where = f"{kind} IN ({marks}) AND {HAS_FILE}"

    def __len__(self) -> int:
        return int(self._catalog.value(f"SELECT count(*) FROM items i WHERE {self._where}"))

    def __iter__(self) -> Iterator[Item]:
        after = ""
        while True:
            sql = f"{ITEM_ROWS} WHERE {self._where} AND i.item_id > ? ORDER BY i.item_id LIMIT ?"
            page = list(self._catalog.rows(sql, (after, PAGE_ROWS)))
            yield from (as_item(self._catalog, row) for row in page)
            if len(page) < PAGE_ROWS:
                return
            after = page[-1][0]


def select_items(catalog: Catalog, kinds: Sequence[ItemKind]) -> ItemSelection:
    """Return items of these kinds.

    Raises:
        DataError: If nothing at all has been ingested.
    """
    require_items(catalog)
    return ItemSelection(catalog, kinds)


def select_pictures(catalog: Catalog, cure: str) -> ItemSelection:
    """Return what has pixels, for those who look at them.

    Args:
        catalog: Where from.
        cure: What to type where there are only vectors.

    Raises:
        DataError: If nothing at all has been ingested, or vectors and no picture.
    """
    pictures = select_items(catalog, PICTURE_KINDS)
    kinds = count_kinds(catalog)
    if "vector" in kinds and not len(pictures):
        raise DataError(f"{catalog.workspace} holds {kinds['vector']} vectors and no picture to look at: {cure}")
    return pictures


def require_items(catalog: Catalog) -> None:
    """Raise `DataError` if the catalog has no items."""
    if catalog.value("SELECT 1 FROM items LIMIT 1") is None:
        if catalog.value("SELECT 1 FROM runs WHERE stage = 'ingest' LIMIT 1") is not None:
            raise DataError(
                f"{catalog.workspace} holds nothing: nothing that was ingested can be read as a photo or video, or all "
                f"of it was forgotten. Check PATH: mekiki ingest PATH -w {catalog.workspace}"
            )
        raise DataError(f"the catalog in {catalog.workspace} is empty: mekiki ingest PATH -w {catalog.workspace}")


def count_kinds(catalog: Catalog) -> dict[str, int]:
    """Return kind to number of items."""
    return dict(catalog.rows("SELECT kind, count(*) FROM items GROUP BY kind ORDER BY kind"))


def item_facts(catalog: Catalog, kinds: Sequence[ItemKind]) -> list[NewItem]:
    """Return every column of the items of these kinds that have a file, in the order of their ids."""
    selection = ItemSelection(catalog, kinds)
    columns = ", ".join(ITEM_COLUMNS)
    sql = f"SELECT {columns} FROM items i WHERE {selection._where} ORDER BY item_id"
    return [NewItem(*row) for row in catalog.rows(sql)]


def write_items(transaction: Transaction, items: Iterable[NewItem]) -> int:
    """Add items that are not there yet and return how many."""
    return transaction.insert_new("items", ITEM_COLUMNS, map(_values_of, items))


def write_made(transaction: Transaction, item_ids: Iterable[str]) -> None:
    """Record which derived items the run asked for."""
    transaction.insert_new("made", ("run_id", "item_id"), ((transaction.run_id, item_id) for item_id in item_ids))


def write_hashes(transaction: Transaction, hashes: Iterable[HashRow]) -> None:
    """Add perceptual hashes; those of an item never change."""
    rows = ((one.item_id, _signed(one.phash), _signed(one.mirrored), int(one.is_flat), one.thumbnail) for one in hashes)
    transaction.insert_new("hashes", ("item_id", "phash", "mirrored", "is_flat", "thumbnail"), rows)


def write_groups(transaction: Transaction, groups: Iterable[GroupRow]) -> int:
    """Add group memberships and return how many were new."""
    rows = ((one.kind, one.key, one.item_id, transaction.run_id) for one in groups)
    return transaction.insert_new("groups", ("kind", "key", "item_id", "run_id"), rows)


def write_classes(transaction: Transaction, names: Iterable[str]) -> None:
    """Add classes that are new, after those that are there, in the order given."""
    known = set(class_names(transaction.catalog))
    fresh = [name for name in dict.fromkeys(names) if name not in known]
    rows = ((name, len(known) + offset) for offset, name in enumerate(fresh))
    transaction.insert_new("classes", ("name", "position"), rows)


def class_names(catalog: Catalog) -> list[str]:
    """Return all classes in their order."""
    return [row[0] for row in catalog.rows("SELECT name FROM classes ORDER BY position")]


def read_hashes(catalog: Catalog, item_ids: Sequence[str]) -> dict[str, NDArray[Any]]:
    """Return the hashes of items, row i for ``item_ids[i]``.

    Returns:
        ``phash`` and ``mirrored`` (N,) uint64, ``is_flat`` (N,) bool, ``thumbnail`` (N, bytes) uint8, and
        ``is_known`` (N,) bool: False where an item has no hash, and its other entries are zero.
    """
    order = {item_id: row for row, item_id in enumerate(item_ids)}
    n_items = len(item_ids)
    n_bytes = catalog.value("SELECT length(thumbnail) FROM hashes LIMIT 1") or 0
    phash, mirrored = np.zeros(n_items, np.int64), np.zeros(n_items, np.int64)
    is_flat, is_known = np.zeros(n_items, np.bool_), np.zeros(n_items, np.bool_)
    thumbnails = np.zeros((n_items, n_bytes), np.uint8)
    for item_id, one, other, flat, thumbnail in catalog.rows(
        "SELECT item_id, phash, mirrored, is_flat, thumbnail FROM hashes"
    ):
        row = order.get(item_id)
        if row is None:
            continue
        phash[row], mirrored[row], is_flat[row], is_known[row] = one, other, bool(flat), True
        thumbnails[row] = np.frombuffer(thumbnail, np.uint8)
    return {
        "phash": phash.view(np.uint64),
        "mirrored": mirrored.view(np.uint64),
        "is_flat": is_flat,
        "is_known": is_known,
        "thumbnail": thumbnails,
    }


def read_groups(catalog: Catalog, run_of: Mapping[str, str]) -> list[GroupRow]:
    """Return all memberships, in a fixed order.

    Args:
        catalog: Where from.
        run_of: Kind to the only run whose memberships of that kind count; other kinds are read from all runs.
    """
    sql = "SELECT DISTINCT kind, key, item_id, run_id FROM groups ORDER BY kind, key, item_id"
    return [
        GroupRow(kind, key, item_id)
        for kind, key, item_id, run_id in catalog.rows(sql)
        if run_of.get(kind, run_id) == run_id
    ]


def parents(catalog: Catalog) -> dict[str, str]:
    """Return the id of every derived item to that of what it was made from, in the order of ids."""
    sql = "SELECT item_id, parent_id FROM items WHERE parent_id IS NOT NULL ORDER BY item_id"
    return dict(catalog.rows(sql))


def inherited_groups(catalog: Catalog, groups: Sequence[GroupRow]) -> list[GroupRow]:
    """Return the memberships that derived items have from what they were made from, or that from.

    Near-duplicates are not inherited: a frame looks like itself and not like its video.
    """
    own: dict[str, list[GroupRow]] = {}
    for one in groups:
        if one.kind != "near-duplicate":
            own.setdefault(one.item_id, []).append(one)
    parent_of = parents(catalog)
    found = []
    for item_id, parent_id in parent_of.items():
        ancestor: str | None = parent_id
        while ancestor is not None:
            found += [GroupRow(one.kind, one.key, item_id) for one in own.get(ancestor, ())]
            ancestor = parent_of.get(ancestor)
    return found


def source_paths(catalog: Catalog) -> dict[str, list[Path]]:
    """Return item id to all its files, sorted."""
    found: dict[str, list[Path]] = {}
    for item_id, path in catalog.rows("SELECT item_id, path FROM sources ORDER BY item_id, path"):
        found.setdefault(item_id, []).append(catalog.locate(path))
    return found


def find_item_by_path(catalog: Catalog, path: Path) -> str | None:
    """Return the item that a file was when it was ingested, or None."""
    stored = catalog.relative(path)
    found = catalog.value("SELECT item_id FROM sources WHERE path = ?", (stored,))
    if found is None:
        found = catalog.value("SELECT item_id FROM items WHERE path = ?", (stored,))
    return cast("str | None", found)


def is_own_file(catalog: Catalog, path: Path | str) -> bool:
    """Return whether mekiki made this file, as it makes those of frames."""
    return catalog.value("SELECT 1 FROM items WHERE path = ?", (catalog.relative(path),)) is not None


def own_paths(catalog: Catalog, item_ids: Sequence[str]) -> dict[str, str]:
    """Return item id to the stored path of the file that mekiki made for it, for those of these that have one."""
    marks = ", ".join("?" * len(item_ids))
    sql = f"SELECT item_id, path FROM items WHERE path IS NOT NULL AND item_id IN ({marks})"
    return dict(catalog.rows(sql, item_ids))


def _signed(value: int) -> int:
    return value - (1 << 64) if value >= 1 << 63 else value
