"""Rows of matrices of vectors that an index names: whose vectors they are, and what lies where."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from mekiki.catalog.db import PAGE_ROWS, Catalog, Transaction
from mekiki.catalog.runs import CHUNK
from mekiki.dataset.formats.npy import split_row
from mekiki.errors import shown_path


class VectorRow(NamedTuple):
    """A row of ``vector_rows``; the columns are explained in ``schema.sql``."""

    path: str
    item_id: str
    name: str
    vector_id: str
    n_dims: int
    size_bytes: int
    mtime_ns: int


@dataclass(frozen=True, slots=True)
class VectorPlace:
    """Where an item's vector is.

    Attributes:
        item_id: A vector's, or that of the picture whose it is.
        path: ``one.npy`` or ``matrix.npy#12``.
        vector_id: What it was when it was ingested.
        n_dims: Its length.
        size_bytes, mtime_ns: Of the file, then.
        others: Places of other vectors of the same item, which contradict this one.
        is_replaced: Another one is stored of the item, which was here before.
    """

    item_id: str
    path: Path
    vector_id: str
    n_dims: int
    size_bytes: int
    mtime_ns: int
    others: tuple[str, ...] = field(default=())
    is_replaced: bool = False


def format_of(n_dims: int) -> str:
    """Return the ``format`` of an item of kind vector, which tells its length.

    Example:
        >>> format_of(512)
        'npy:512'
    """
    return f"npy:{n_dims}"


def write_vector_rows(transaction: Transaction, rows: Iterable[VectorRow]) -> int:
    """Record rows, in place of what stood at the same path, and return how many."""
    return transaction.upsert("vector_rows", VectorRow._fields, rows)


def known_rows(catalog: Catalog, stored: Sequence[str]) -> dict[str, VectorRow]:
    """Return stored path to row, for those of these paths that are there."""
    found: dict[str, VectorRow] = {}
    for start in range(0, len(stored), CHUNK):
        chunk = stored[start : start + CHUNK]
        marks = ", ".join("?" * len(chunk))
        sql = f"SELECT {', '.join(VectorRow._fields)} FROM vector_rows WHERE path IN ({marks})"
        found.update((row[0], VectorRow(*row)) for row in catalog.rows(sql, chunk))
    return found


def spellings(written: str) -> list[str]:
    """Return what an index may call a picture that a label file writes so: the same, or its file name alone.

    Example:
        >>> spellings("./train/a.jpg")
        ['./train/a.jpg', 'train/a.jpg', 'a.jpg']
    """
    plain = written.replace("\\", "/").removeprefix("./")
    return list(dict.fromkeys((written, plain, plain.rpartition("/")[2])))


def rows_called(catalog: Catalog, written: str) -> list[str]:
    """Return the stored paths of the rows that a label file's path means by their names in an index, in order."""
    for name in spellings(written):
        sql = "SELECT path FROM vector_rows WHERE name = ? ORDER BY path"
        found = [row[0] for row in catalog.rows(sql, (name,))] if shown_path(name) == name else []
        if found:
            return found
    return []


def has_rows(catalog: Catalog) -> bool:
    """Return whether any index has been read."""
    return catalog.value("SELECT 1 FROM vector_rows LIMIT 1") is not None


def owners_of(catalog: Catalog, names: Collection[str]) -> dict[str, str]:
    """Return name in an index to the photo of the workspace whose vector the row is.

    It is the photo whose path ends in the name, or else the one with the same file name, if no other row's file is
    called so. Names that fit several different photos are left out.

    Args:
        catalog: Where the photos are.
        names: All of one index.
    """
    by_file: dict[str, set[str]] = {}
    for name in names:
        by_file.setdefault(PurePosixPath(_plain(name)).name, set()).add(name)
    photos: dict[str, dict[str, str]] = {}
    sql = "SELECT s.path, s.item_id FROM sources s JOIN items i ON i.item_id = s.item_id WHERE i.kind = 'image'"
    for path, item_id in catalog.rows(sql) if by_file else ():
        if (file_name := PurePosixPath(path).name) in by_file:
            photos.setdefault(file_name, {})[path] = item_id
    found = {}
    for file_name, candidates in photos.items():
        for name in by_file[file_name]:
            fitting = {item_id for path, item_id in candidates.items() if f"/{path}".endswith(f"/{_plain(name)}")}
            if not fitting and len(by_file[file_name]) == 1:
                fitting = set(candidates.values())
            if len(fitting) == 1:
                found[name] = fitting.pop()
    return found


def vector_places(catalog: Catalog) -> Iterator[VectorPlace]:
    """Yield the vector of every item of kind vector, then that of every photo that an index names, by their paths.

    So vectors that lie side by side come one soon after another. Of several files with the same vector, the first that
    is as it was ingested is taken.
    """
    for table, sql in (("sources", _OWN), ("vector_rows", _GIVEN)):
        after, first = "", f"x.path = (SELECT min(path) FROM {table} WHERE item_id = x.item_id)"
        page = f"{sql} AND x.path > ? AND {first} ORDER BY x.path LIMIT ?"
        while rows := list(catalog.rows(page, (after, PAGE_ROWS))):
            ids = [row[0] for row in rows]
            places: dict[str, list[VectorPlace]] = {item_id: [] for item_id in ids}
            marks = ", ".join("?" * len(ids))
            for item_id, path, *rest in catalog.rows(f"{sql} AND x.item_id IN ({marks}) ORDER BY x.path", ids):
                places[item_id].append(VectorPlace(item_id, catalog.locate(path), *rest))
            yield from map(_chosen, places.values())
            after = rows[-1][1]


_OWN = (
    "SELECT x.item_id, x.path, x.item_id, CAST(substr(i.format, 5) AS INTEGER), x.size_bytes, x.mtime_ns "
    "FROM sources x CROSS JOIN items i ON i.item_id = x.item_id WHERE i.kind = 'vector'"
)
_GIVEN = (
    "SELECT x.item_id, x.path, x.vector_id, x.n_dims, x.size_bytes, x.mtime_ns "
    "FROM vector_rows x CROSS JOIN items i ON i.item_id = x.item_id WHERE i.kind <> 'vector'"
)
_PLACED = (
    "SELECT item_id FROM items i WHERE kind = 'vector' AND item_id > ? "
    "AND EXISTS (SELECT 1 FROM sources s WHERE s.item_id = i.item_id) "
    "UNION SELECT r.item_id FROM vector_rows r JOIN items i ON i.item_id = r.item_id WHERE i.kind <> 'vector' "
    "AND r.item_id > ?"
)


def count_places(catalog: Catalog) -> int:
    """Return how many items have a vector in a file."""
    return int(catalog.value(f"SELECT count(*) FROM ({_PLACED})", ("", "")))


def count_lengths(catalog: Catalog) -> dict[int, int]:
    """Return length to how many vectors of items have it."""
    sql = (
        "SELECT n_dims, count(*) FROM (SELECT CAST(substr(format, 5) AS INTEGER) AS n_dims FROM items i "
        "WHERE kind = 'vector' AND EXISTS (SELECT 1 FROM sources s WHERE s.item_id = i.item_id) UNION ALL "
        "SELECT r.n_dims FROM vector_rows r JOIN items i ON i.item_id = r.item_id WHERE i.kind <> 'vector') "
        "GROUP BY n_dims ORDER BY n_dims"
    )
    return dict(catalog.rows(sql))


def drop_gone_rows(transaction: Transaction, n_rows_of: Mapping[str, int]) -> int:
    """Delete what is known of rows that files no longer have, and return how many.

    Args:
        transaction: Of stage ``ingest``.
        n_rows_of: Absolute path of each file to its number of rows; 0 for a file with one vector.
    """
    n_dropped = 0
    for path, n_rows in n_rows_of.items():
        stored = transaction.catalog.relative(path)
        number = f"CAST(substr(path, {len(stored) + 2}) AS INTEGER)"
        for table in ("sources", "vector_rows"):
            where = f"path > ? AND path < ? AND {number} >= ?"  # '$' is the character behind '#'
            n_dropped += transaction.delete(table, where, (f"{stored}#", f"{stored}$", n_rows))
        if n_rows:
            n_dropped += transaction.delete("sources", "path = ?", (stored,))
    return n_dropped


def drop_stale_failures(transaction: Transaction, files: Collection[str], failing: Collection[str]) -> int:
    """Delete ingest's failures of these files of vectors but for those that hold now, and return how many.

    Args:
        transaction: Of stage ``ingest``.
        files: Files all of whose vectors have just been read.
        failing: What failed then: files, or rows of them.
    """
    rows = list(transaction.catalog.rows("SELECT run_id, item_id, path FROM failures WHERE stage = 'ingest'"))
    shown = {shown_path(path) for path in files}
    n_dropped = 0
    for run_id, item_id, place in rows:
        if str(split_row(place)[0]) in shown and place not in failing:
            n_dropped += transaction.delete("failures", "run_id = ? AND item_id = ?", (run_id, item_id))
    return n_dropped


def _chosen(places: Sequence[VectorPlace]) -> VectorPlace:
    """Return the place to read, with the others named that hold another vector."""
    best = places[0] if len(places) == 1 else min(places, key=_n_differences)
    others = tuple(str(one.path) for one in places if one.vector_id != best.vector_id)
    return VectorPlace(best.item_id, best.path, best.vector_id, best.n_dims, best.size_bytes, best.mtime_ns, others)


def _n_differences(place: VectorPlace) -> int:
    try:
        status = split_row(place.path)[0].stat()
    except OSError:
        return 2
    if status.st_size != place.size_bytes:
        return 2
    return int(status.st_mtime_ns != place.mtime_ns)


def _plain(name: str) -> str:
    """Return a name with slashes and without what says 'here'."""
    return name.replace("\\", "/").removeprefix("./").lstrip("/")
