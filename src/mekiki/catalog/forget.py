"""Deleting what a run made, or everything about an item."""

from __future__ import annotations

from pathlib import Path

from mekiki.catalog.answers import forget_answers
from mekiki.catalog.db import Catalog, Transaction
from mekiki.catalog.runs import Run, mark_stale
from mekiki.catalog.vector_wiping import files_of_embedder, wipe_unused, wipe_vectors
from mekiki.catalog.vectors import segments_of

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

FILE_COLUMNS = (("masks", "path"), ("heatmaps", "path"), ("models", "path"))


def forget_run(catalog: Catalog, run: Run) -> tuple[int, list[Path]]:
    """Delete a run's rows, and the derived items that no other run asked for.

    Returns:
        How many rows were deleted, and the files of ours that are no longer named and that the caller deletes.
    """
    only = "SELECT item_id FROM made WHERE run_id = ? AND item_id NOT IN (SELECT item_id FROM made WHERE run_id <> ?)"
    orphans = [row[0] for row in catalog.rows(only, (run.run_id, run.run_id))]
    paths = [*_files(catalog, "run_id", run.run_id), *segments_of(catalog, run.run_id)]
    paths += files_of_embedder(catalog, run.run_id)
    n_rows = 0
    for item_id in orphans:
        n_deleted, more = _forget_item(catalog, item_id)
        n_rows += n_deleted
        paths += more
    if orphans:
        wipe_unused(catalog)
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
    n_rows, paths = _forget_item(catalog, item_id)
    wipe_unused(catalog)
    return n_rows, paths


def match_item(catalog: Catalog, prefix: str) -> list[str]:
    """Return the ids of items that begin with a prefix, at most two."""
    sql = "SELECT item_id FROM items WHERE item_id >= ? AND item_id < ? LIMIT 2"
    return [row[0] for row in catalog.rows(sql, (prefix, prefix + "g"))]


def _forget_item(catalog: Catalog, item_id: str) -> tuple[int, list[Path]]:
    n_rows = 0
    paths: list[Path] = []
    for child in [row[0] for row in catalog.rows("SELECT item_id FROM items WHERE parent_id = ?", (item_id,))]:
        n_deleted, more = _forget_item(catalog, child)
        n_rows += n_deleted
        paths += more
    paths += _files(catalog, "item_id", item_id)
    own = catalog.value("SELECT path FROM items WHERE item_id = ?", (item_id,))
    if own:
        paths.append(catalog.locate(own))
    wipe_vectors(catalog, item_id)
    sources = [row[0] for row in catalog.rows("SELECT path FROM sources WHERE item_id = ?", (item_id,))]
    with catalog.transaction("forget") as transaction:
        _mark_runs(catalog, transaction, item_id)
        for table in (*ITEM_TABLES, "items"):
            n_rows += transaction.delete(table, "item_id = ?", (item_id,))
        n_rows += forget_answers(transaction, item_id)
        for path in sources:
            n_rows += transaction.delete("failures", "path = ?", (str(catalog.locate(path)),))
    return n_rows, paths


def _mark_runs(catalog: Catalog, transaction: Transaction, item_id: str) -> None:
    """Mark the runs over a whole set that lose a row; those over items, which have ``done`` rows, lose that one too."""
    told = " UNION ".join(f"SELECT run_id FROM {table} WHERE item_id = ?" for table in WHOLE_SET_TABLES)
    sql = f"SELECT run_id FROM ({told}) t WHERE NOT EXISTS (SELECT 1 FROM done d WHERE d.run_id = t.run_id)"
    for (run_id,) in list(catalog.rows(sql, (item_id,) * len(WHOLE_SET_TABLES))):
        mark_stale(catalog, transaction, run_id)


def _files(catalog: Catalog, column: str, value: str) -> list[Path]:
    found = []
    for table, path_column in FILE_COLUMNS:
        if column == "item_id" and table == "models":
            continue
        found += [row[0] for row in catalog.rows(f"SELECT {path_column} FROM {table} WHERE {column} = ?", (value,))]
    return [catalog.locate(path) for path in found]
