"""The files that items came from: which are known, unchanged, or gone."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from mekiki.catalog.db import Catalog, Transaction
from mekiki.catalog.runs import CHUNK
from mekiki.dataset.formats.npy import split_row
from mekiki.errors import shown_path

LABEL_LINE = re.compile(r":\d+$")
"""What stands behind a label file's path in failures of its entries."""


class KnownFile(NamedTuple):
    """The item that a file is, as far as an import needs it."""

    item_id: str
    kind: str
    width_px: int
    height_px: int


def known_sources(catalog: Catalog, stored: Sequence[str]) -> dict[str, tuple[str, int, int]]:
    """Return stored path to ``(item_id, size_bytes, mtime_ns)`` for those of these paths that were ingested."""
    found: dict[str, tuple[str, int, int]] = {}
    for start in range(0, len(stored), CHUNK):
        chunk = [path for path in stored[start : start + CHUNK] if shown_path(path) == path]
        marks = ", ".join("?" * len(chunk))
        sql = f"SELECT path, item_id, size_bytes, mtime_ns FROM sources WHERE path IN ({marks})"
        found.update((row[0], (row[1], row[2], row[3])) for row in catalog.rows(sql, chunk))
    return found


def find_known(catalog: Catalog, stored: Sequence[str]) -> dict[str, KnownFile]:
    """Return stored path to item, for those of these paths that were ingested, that mekiki made, or that an index has.

    Args:
        catalog: Where from.
        stored: Few enough for one statement.
    """
    marks = ", ".join("?" * len(stored))
    columns = "i.item_id, i.kind, i.width_px, i.height_px"
    own = f"SELECT i.path, {columns} FROM items i WHERE i.path IN ({marks})"
    given = f"SELECT s.path, {columns} FROM sources s JOIN items i ON i.item_id = s.item_id WHERE s.path IN ({marks})"
    rows = (
        f"SELECT r.path, {columns} FROM vector_rows r JOIN items i ON i.item_id = r.item_id WHERE r.path IN ({marks})"
    )
    return {row[0]: KnownFile(*row[1:]) for sql in (own, rows, given) for row in catalog.rows(sql, stored)}


def write_sources(transaction: Transaction, rows: Iterable[tuple[str, str, int, int]]) -> int:
    """Record ``(path, item_id, size_bytes, mtime_ns)``; a path that holds something else now belongs to that."""
    return transaction.upsert("sources", ("path", "item_id", "size_bytes", "mtime_ns"), rows)


def standing_source(catalog: Catalog, item_id: str) -> tuple[str, int, int]:
    """Return ``(path, size_bytes, mtime_ns)`` of the file to read for an item that came from several.

    The first in order of path that is as it was ingested; without one, the first that still has its size, else the
    first of all.
    """
    sql = "SELECT path, size_bytes, mtime_ns FROM sources WHERE item_id = ? ORDER BY path"
    rows = [(row[0], row[1], row[2]) for row in catalog.rows(sql, (item_id,))]
    return min(rows, key=lambda row: _n_differences(catalog.locate(row[0]), row[1:]))


def _n_differences(path: Path, size_and_time: tuple[int, int]) -> int:
    """Return 0 for a file that has this size and time, 1 if only the time is another, 2 otherwise."""
    try:
        status = split_row(path)[0].stat()
    except OSError:
        return 2
    if status.st_size != size_and_time[0]:
        return 2
    return int(status.st_mtime_ns != size_and_time[1])


def drop_healed_failures(
    catalog: Catalog, transaction: Transaction, still_asked: Collection[str], label_files: Collection[str]
) -> int:
    """Delete ingest's failures that no longer hold, and return how many.

    Those are of files that are gone and not asked for any more, of files that another run has read since, and of
    entries of label files that are gone or about to be imported again.

    Args:
        catalog: Where from.
        transaction: An open one.
        still_asked: Paths that the present call names.
        label_files: Label files that the present call imports.
    """
    rows = list(catalog.rows("SELECT run_id, item_id, path FROM failures WHERE stage = 'ingest'"))
    known = known_sources(catalog, [catalog.relative(Path(path)) for _, _, path in rows])
    n_dropped = 0
    for run_id, item_id, place in rows:
        label_file = LABEL_LINE.sub("", place)
        source = known.get(catalog.relative(Path(place)))
        if label_file != place and not Path(place).exists():
            is_healed = label_file in label_files or not Path(label_file).exists()
        elif split_row(place)[0].exists():
            is_healed = source is not None and _n_differences(Path(place), source[1:]) == 0
        else:
            is_healed = str(split_row(place)[0]) not in still_asked
        if is_healed:
            n_dropped += transaction.delete("failures", "run_id = ? AND item_id = ?", (run_id, item_id))
    return n_dropped


def items_without_file(catalog: Catalog) -> list[str]:
    """Return the ids of photos, videos and vectors whose file was changed or replaced by another, in order."""
    sql = (
        "SELECT item_id FROM items i WHERE kind IN ('image', 'video', 'vector') "
        "AND NOT EXISTS (SELECT 1 FROM sources s WHERE s.item_id = i.item_id) ORDER BY item_id"
    )
    return [row[0] for row in catalog.rows(sql)]


def repeated_files(catalog: Catalog) -> list[tuple[str, list[Path]]]:
    """Return items that came from several files with the same bytes, with all those files."""
    sql = (
        "SELECT item_id, path FROM sources WHERE item_id IN "
        "(SELECT item_id FROM sources GROUP BY item_id HAVING count(*) > 1) ORDER BY item_id, path"
    )
    found: dict[str, list[Path]] = {}
    for item_id, path in catalog.rows(sql):
        found.setdefault(item_id, []).append(catalog.locate(path))
    return list(found.items())
