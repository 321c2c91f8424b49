"""Which items in the catalog must not be torn apart, and what is known of their labels."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mekiki.catalog.db import Catalog
from mekiki.catalog.items import class_names, inherited_groups, parents, read_groups, read_hashes, select_items
from mekiki.catalog.results import hash_rows, iter_labels
from mekiki.catalog.runs import runs_of
from mekiki.dataset.hashes import HASH_NAME, THUMB_SIDE_PX
from mekiki.errors import DataError
from mekiki.records import LABELLED_KINDS, STATE_CODES

ALWAYS_JOINED = ("source", "derived", "near-duplicate", "burst", "identity")
"""Kinds of group that no split may tear apart."""


@dataclass(frozen=True, slots=True)
class HashedPictures:
    """All that is labelled, with the hashes of pictures; rows belong together. See `mekiki.catalog.items.read_hashes`.

    Vectors have no hash: they count as flat, so that nothing takes them for each other.
    """

    item_ids: tuple[str, ...]
    hashes: dict[str, NDArray[Any]]

    def fingerprint(self) -> str:
        """Return what stands for these pictures in a run's fingerprint."""
        return hash_rows([(HASH_NAME,), *zip(self.item_ids, self.hashes["phash"].tolist(), strict=True)])


def hashed_pictures(catalog: Catalog) -> HashedPictures:
    """Return all pictures with their hashes, and the vectors among them without, in the order of their ids."""
    item_ids = tuple(item.item_id for item in select_items(catalog, LABELLED_KINDS))
    hashes = read_hashes(catalog, item_ids)
    if not hashes["is_known"].any():
        hashes["thumbnail"] = np.zeros((len(item_ids), THUMB_SIDE_PX**2), np.uint8)
    hashes["is_flat"] = hashes["is_flat"] | ~hashes["is_known"]
    return HashedPictures(item_ids, hashes)


def require_compared(catalog: Catalog, pictures: HashedPictures) -> str:
    """Return the latest run that compared exactly these pictures for near-duplicates.

    Where there are vectors and no pictures, only a run that compared the vectors counts.

    Raises:
        DataError: If there is none, pictures have come or gone since, or it compared vectors and not all have one.
    """
    compared = [run for run in runs_of(catalog, "dedupe") if run.finished_at]
    way = ""
    if pictures.item_ids and not pictures.hashes["is_known"].any():
        compared = [run for run in compared if run.settings.get("by") == "vectors"]
        way = " --by vectors"
    wanted = pictures.fingerprint()
    # Pictures that came may have gone again: then an older run is the one that compared these.
    fitting = [run for run in compared if run.status == "finished" and run.reads.get("pictures") == wanted]
    if not fitting:
        since = "pictures have come or gone since the last time" if compared else "no pictures have been compared yet"
        raise DataError(
            f"near-duplicates must be known before a split, and {since}: mekiki dedupe{way} -w {catalog.workspace}"
        )
    latest = max(fitting, key=lambda run: run.finished_at or "")
    if n_without := latest.summary.get("n_without_vectors", 0):
        cure = "forget them, then mekiki dedupe --by vectors" if way else "dedupe by hashes: mekiki dedupe --by hashes"
        raise DataError(
            f"near-duplicates must be known before a split, and {n_without} of {len(pictures.item_ids)} have no vector "
            f"and were not compared: embed the rest, or {cure} -w {catalog.workspace}"
        )
    return latest.run_id


def memberships(catalog: Catalog, rows: dict[str, int], dedupe_run_id: str) -> list[tuple[str, str, int]]:
    """Return kind, key and row of every group membership of these items, in a fixed order.

    What was made from an item is in its group ``derived``, and in all groups that the item itself is in: a frame is at
    its video's site. Of near-duplicates only those of one run count.

    Args:
        catalog: Where from.
        rows: Item id to row.
        dedupe_run_id: The run whose near-duplicates count.
    """
    own = read_groups(catalog, {"near-duplicate": dedupe_run_id})
    inherited = inherited_groups(catalog, own)
    found = [(one.kind, one.key, rows[one.item_id]) for one in (*own, *inherited) if one.item_id in rows]
    for item_id, parent_id in parents(catalog).items():
        if item_id in rows:
            found.append(("derived", parent_id, rows[item_id]))
            if parent_id in rows:
                found.append(("derived", parent_id, rows[parent_id]))
    return found


def all_item_ids(catalog: Catalog, first: Sequence[str]) -> list[str]:
    """Return these ids, then those of all other items."""
    known = set(first)
    others = (row[0] for row in catalog.rows("SELECT item_id FROM items ORDER BY item_id"))
    return [*first, *(item_id for item_id in others if item_id not in known)]


def label_states(catalog: Catalog, item_ids: Sequence[str]) -> tuple[tuple[str, ...], NDArray[np.int8]]:
    """Return class names and ``(N, C)`` int8: 1 present, 0 absent, -1 unsure or not asked."""
    names = tuple(class_names(catalog))
    columns = {name: column for column, name in enumerate(names)}
    states = np.full((len(item_ids), len(names)), -1, np.int8)
    rows = {item_id: row for row, item_id in enumerate(item_ids)}
    for item_id, labels in iter_labels(catalog):
        if item_id in rows:
            for name, (state, _) in labels.items():
                states[rows[item_id], columns[name]] = STATE_CODES[state]
    return names, states


def check_group_by(catalog: Catalog, group_by: Collection[str]) -> None:
    """Raise `DataError` if no item has a group of a kind that the user wants to keep together."""
    known = {row[0] for row in catalog.rows("SELECT DISTINCT kind FROM groups")}
    for kind in group_by:
        if kind not in known:
            raise DataError(
                f"no item has a {kind}, so they cannot be kept together: give a column {kind!r} with --labels, or "
                f"--path-pattern '{{{kind}}}/*' to mekiki ingest"
            )
