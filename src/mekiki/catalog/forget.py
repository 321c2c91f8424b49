"""Deleting what a run made, or everything about an item."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from mekiki.catalog.answers import forget_answers
from mekiki.catalog.db import ONE_OF, Catalog, Transaction
from mekiki.catalog.describing import DESCRIPTIONS_NAME, without_described
from mekiki.catalog.embedded_crops import CROPS_NAME, without_taken
from mekiki.catalog.mining import MINING_NAME, without_mined
from mekiki.catalog.runs import Run, count_done, mark_stale
from mekiki.catalog.vector_wiping import files_of_embedder, wipe_unused, wipe_vectors
from mekiki.catalog.vectors import segments_of
from mekiki.wholefiles import write_whole

RUN_TABLES = (
    "groups",
    "attributes",
    "boxes",
    "masks",
    "vectors",
    "labels",
    "splits",
    "models",
    "predictions",
    "heatmaps",
    "rarity",
    "captions",
    "done",
    "failures",
    "made",
    "runs",
)
ITEM_TABLES = (
    "groups",
    "hashes",
    "attributes",
    "boxes",
    "masks",
    "vectors",
    "labels",
    "splits",
    "predictions",
    "heatmaps",
    "rarity",
    "captions",
    "done",
    "failures",
    "made",
    "sources",
    "vector_rows",
)
WHOLE_SET_TABLES = ("groups", "attributes", "boxes", "labels", "splits", "captions", "rarity")
"""Tables with rows of items that runs over a whole set write too."""

EDITED_FILES: Mapping[str, Callable[[Mapping[str, Any], Collection[str]], dict[str, Any]]] = {
    MINING_NAME: without_mined,
    DESCRIPTIONS_NAME: without_described,
    CROPS_NAME: without_taken,
}
"""Files in the folders of runs that say something of items, and how it is taken out."""

FILES_OF_ITEMS = ("masks", "heatmaps")
"""Tables that name files of ours, of items; those of runs stand in ``models`` too."""


def forget_run(catalog: Catalog, run: Run) -> tuple[int, list[Path]]:
    """Delete a run's rows, and the derived items that no other run asked for.

    Returns:
        How many rows were deleted, and the files of ours that are no longer named and that the caller deletes.
    """
    only = "SELECT item_id FROM made WHERE run_id = ? AND item_id NOT IN (SELECT item_id FROM made WHERE run_id <> ?)"
    orphans = [row[0] for row in catalog.rows(only, (run.run_id, run.run_id))]
    paths = [*_files(catalog, (*FILES_OF_ITEMS, "models"), "run_id = ?", run.run_id), *segments_of(catalog, run.run_id)]
    paths += files_of_embedder(catalog, run.run_id)
    n_rows = 0
    if orphans:
        n_rows, more = _forget_items(catalog, orphans)
        paths += more
    with catalog.transaction("forget") as transaction:
        for table in RUN_TABLES:
            n_rows += transaction.delete(table, "run_id = ?", (run.run_id,))
    return n_rows, paths


def forget_item(catalog: Catalog, item_id: str) -> tuple[int, list[Path]]:
    """Delete everything about an item and all that was derived from it; what its answers have cost still counts.

    Runs over a whole set that had found something of it are no longer what they were: should it come back, they are
    computed again.

    Returns:
        How many rows were deleted, and the files of ours to delete. The user's own files are never among them.
    """
    return _forget_items(catalog, [item_id])


def match_item(catalog: Catalog, prefix: str) -> list[str]:
    """Return the ids of items that begin with a prefix, at most two."""
    sql = "SELECT item_id FROM items WHERE item_id >= ? AND item_id < ? LIMIT 2"
    return [row[0] for row in catalog.rows(sql, (prefix, prefix + "g"))]


def _forget_items(catalog: Catalog, item_ids: Sequence[str]) -> tuple[int, list[Path]]:
    """Forget items and what was derived from them, all at once: most tables are searched whole for their rows."""
    gone = _with_derived(catalog, item_ids)
    listed, these = json.dumps(gone), f"item_id IN {ONE_OF}"
    paths = _files(catalog, FILES_OF_ITEMS, these, listed)
    paths += _files(catalog, ("items",), f"path IS NOT NULL AND {these}", listed)
    sources = [str(path) for path in _files(catalog, ("sources",), these, listed)]
    wipe_vectors(catalog, gone)
    _edit_files(catalog, frozenset(gone))
    n_rows = 0
    with catalog.transaction("forget") as transaction:
        _mark_runs(catalog, transaction, listed)
        for table in (*ITEM_TABLES, "items"):
            n_rows += transaction.delete(table, these, (listed,))
        n_rows += transaction.delete("boxes", f"crop_id IN {ONE_OF}", (listed,))
        n_rows += forget_answers(transaction, gone)
        n_rows += transaction.delete("failures", f"path IN {ONE_OF}", (json.dumps(sources),))
    wipe_unused(catalog)
    return n_rows, paths


def _with_derived(catalog: Catalog, item_ids: Sequence[str]) -> list[str]:
    sql = (
        "WITH RECURSIVE gone (item_id) AS (SELECT value FROM json_each(?) "
        "UNION SELECT i.item_id FROM items i JOIN gone g ON i.parent_id = g.item_id) SELECT item_id FROM gone"
    )
    return [row[0] for row in catalog.rows(sql, (json.dumps(item_ids),))]


def _edit_files(catalog: Catalog, gone: Collection[str]) -> None:
    """Take items out of the files of runs; those over a whole set are stale then. Counts stay what they were."""
    for name, without in EDITED_FILES.items():
        for path in sorted((catalog.workspace / "runs").glob(f"*/{name}")):
            content = json.loads(path.read_text(encoding="utf-8"))
            left = without(content, gone)
            if left != content:
                if not count_done(catalog, path.parent.name):
                    with catalog.transaction("forget") as transaction:
                        mark_stale(catalog, transaction, path.parent.name)
                write_whole(path, json.dumps(left, ensure_ascii=False, indent=1, allow_nan=False).encode())


def _mark_runs(catalog: Catalog, transaction: Transaction, listed: str) -> None:
    """Mark the runs over a whole set that lose a row; those over items, which have ``done`` rows, lose that one too."""
    told = " UNION ".join(f"SELECT run_id FROM {table} WHERE item_id IN {ONE_OF}" for table in WHOLE_SET_TABLES)
    sql = f"SELECT run_id FROM ({told}) t WHERE NOT EXISTS (SELECT 1 FROM done d WHERE d.run_id = t.run_id)"
    for (run_id,) in list(catalog.rows(sql, (listed,) * len(WHOLE_SET_TABLES))):
        mark_stale(catalog, transaction, run_id)


def _files(catalog: Catalog, tables: Sequence[str], where: str, value: str) -> list[Path]:
    found = [row for table in tables for row in catalog.rows(f"SELECT path FROM {table} WHERE {where}", (value,))]
    return [catalog.locate(path) for (path,) in found]
