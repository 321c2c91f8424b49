"""Vectors of items: float32 rows in segment files, and which item's is where. Only ``embed`` writes them.

N is the number of vectors, D of dimensions. A segment is ``vectors/<run_id>/00000.npy``: ``(65536, D)``, made at its
full size under another name, then renamed, so that nobody sees a torn one; rows that nothing points to mean nothing.
Rows are on the disk before the transaction that says whose they are, so a killed run leaves such rows at most.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mekiki.catalog.db import PAGE_ROWS, Catalog, Transaction
from mekiki.catalog.runs import Run, runs_of
from mekiki.dataset.formats.npy import open_vector_file
from mekiki.errors import DataError, UnreadableError, unknown_name
from mekiki.neighbours.tables import check_finite
from mekiki.training.embedder_names import lasting_name
from mekiki.training.vector_space import VectorSpace

SEGMENT_ROWS = 65_536
FOLDER = "vectors"
INDEX_PATTERN = "index-*.faiss"
"""Names of the files beside a run's segments that searching makes; they hold copies of the vectors."""

Vectors = NDArray[np.float32]
"""``(N, D)``."""

Segment = np.memmap[Any, np.dtype[np.float32]]
"""``(65536, D)``."""


@dataclass(frozen=True, slots=True)
class VectorRun:
    """What one ``embed`` made.

    Attributes:
        run_id: The run.
        space: What its vectors are.
        precision: In which they were computed.
        is_finished: Whether every item has been tried.
    """

    run_id: str
    space: VectorSpace
    precision: str
    is_finished: bool


def vectors_identity(space: VectorSpace, precision: str, graph_id: str = "") -> str:
    """Return the identity of an ``embed`` run, from which `vector_runs` knows what its vectors are.

    Args:
        space: What they are.
        precision: Of the arithmetic.
        graph_id: Stands for the 8-bit graph that computes them; empty without one.
    """
    known = {"space": space.model_dump(mode="json"), "precision": precision}
    return json.dumps(known | ({"graph": graph_id} if graph_id else {}), sort_keys=True)


def vector_runs(catalog: Catalog) -> list[VectorRun]:
    """Return every ``embed`` run, the one whose command was given last first, unfinished ones at the end."""
    ordered = sorted(runs_of(catalog, "embed"), key=lambda run: run.finished_at or "", reverse=True)
    return [as_vector_run(run) for run in ordered]


def require_vectors(catalog: Catalog, wanted: str | None = None) -> VectorRun:
    """Return the finished run whose vectors are meant.

    Args:
        catalog: Where from.
        wanted: An embedder's name, or the beginning of a run's id; None for the latest.

    Raises:
        DataError: If there are no vectors at all.
        UsageError: If there are none of that name, with the nearest.
    """
    runs = [run for run in vector_runs(catalog) if run.is_finished]
    if not runs:
        raise DataError(f"there are no vectors in {catalog.workspace}: mekiki embed -w {catalog.workspace}")
    if wanted is None:
        return runs[0]
    for run in runs:
        if run.space.embedder in (wanted, lasting_name(wanted)) or (len(wanted) >= 4 and run.run_id.startswith(wanted)):
            return run
    raise unknown_name("embedder with vectors", wanted, {run.space.embedder for run in runs})


def write_vectors(
    transaction: Transaction, item_ids: Sequence[str], vectors: Vectors, segment_rows: int = SEGMENT_ROWS
) -> int:
    """Add the vectors of items to the run's last segment, or to a new one, and return how many.

    Args:
        transaction: Of ``embed``; the rows of the table follow in it.
        item_ids: N different ones. An item that has a vector of this run gets another row; its old one is left until
            `mekiki.catalog.vector_wiping.wipe_unused`, since the transaction may fail.
        vectors: ``(N, D)``, finite.
        segment_rows: Rows of a segment; the same for all of a run.

    Raises:
        ValueError: If the two differ in length or a vector is not finite.
        DataError: If the segment that is to be filled is not there or not what was written.
    """
    if len(item_ids) != len(vectors) or not np.isfinite(vectors).all():
        raise ValueError(f"vectors must be finite and {len(item_ids)}, got {vectors.shape}")
    segment, row = _next_place(transaction, segment_rows)
    rows: list[tuple[str, str, str, int]] = []
    done = 0
    while done < len(item_ids):
        n_now = min(segment_rows - row, len(item_ids) - done)
        name = _segment_name(transaction.run_id, segment)
        path = transaction.catalog.locate(name)
        if row == 0:  # nothing points into it; what a killed run has left is replaced
            _make_segment(path, (segment_rows, vectors.shape[1]))
        rows_there = open_segment(transaction.catalog, transaction.run_id, name, vectors.shape[1])
        if len(rows_there) != segment_rows:
            raise DataError(f"{path} holds {len(rows_there)} rows, not {segment_rows}: {_cure(transaction.run_id)}")
        _put(path, rows_there.offset + row * rows_there.strides[0], vectors[done : done + n_now])
        places = zip(item_ids[done : done + n_now], range(row, row + n_now), strict=True)
        rows += [(transaction.run_id, item_id, name, place) for item_id, place in places]
        done, segment, row = done + n_now, segment + 1, 0
    return transaction.upsert("vectors", ("run_id", "item_id", "segment", "row"), rows)


class StoredVectors:
    """The vectors of one run, read as they are needed; nothing but ids is kept in memory.

    Args:
        catalog: Where from.
        run: Which.
    """

    def __init__(self, catalog: Catalog, run: VectorRun) -> None:
        self._catalog = catalog
        self.run = run
        self._segments: dict[str, Segment] = {}

    def __len__(self) -> int:
        return int(self._catalog.value("SELECT count(*) FROM vectors WHERE run_id = ?", (self.run.run_id,)))

    @property
    def n_dims(self) -> int:
        """D."""
        return self.run.space.n_dims

    def item_ids(self) -> list[str]:
        """Return whose there are, in the order of ids."""
        sql = "SELECT item_id FROM vectors WHERE run_id = ? ORDER BY item_id"
        return [row[0] for row in self._catalog.rows(sql, (self.run.run_id,))]

    def read(self, item_ids: Sequence[str]) -> Vectors:
        """Return ``(N, D)``, a copy, one row per id in the order given.

        Raises:
            KeyError: If one has no vector of this run; `having` says which have.
            DataError: If a segment's file is not there or not what was written.
        """
        numbers: dict[str, int] = {}
        files, rows = np.empty(len(item_ids), np.int32), np.empty(len(item_ids), np.int32)
        for start in range(0, len(item_ids), PAGE_ROWS):
            page = item_ids[start : start + PAGE_ROWS]
            found = {row[0]: row[1:] for row in self._rows(page, "item_id, segment, row")}
            places = [found[item_id] for item_id in page]
            for name in {name for name, _ in places}:
                self._segment(name)  # refuses rows that it has not
            files[start : start + len(page)] = [numbers.setdefault(name, len(numbers)) for name, _ in places]
            rows[start : start + len(page)] = [row for _, row in places]
        vectors = np.empty((len(item_ids), self.n_dims), np.float32)
        for name, number in numbers.items():
            wanted = np.flatnonzero(files == number)
            wanted = wanted[np.argsort(rows[wanted])]  # a file is read from its beginning to its end
            found_there = self._segment(name)[rows[wanted]]
            check_finite(found_there, self._catalog.locate(name))
            vectors[wanted] = found_there
        return vectors

    def having(self, item_ids: Sequence[str]) -> set[str]:
        """Return which of these items have a vector of this run."""
        pages = (item_ids[start : start + PAGE_ROWS] for start in range(0, len(item_ids), PAGE_ROWS))
        return {row[0] for page in pages for row in self._rows(page, "item_id")}

    def _rows(self, page: Sequence[str], columns: str) -> Iterable[tuple[Any, ...]]:
        """Return what is known of the vectors of at most `PAGE_ROWS` items, in any order."""
        marks = ", ".join("?" * len(page))
        sql = f"SELECT {columns} FROM vectors WHERE run_id = ? AND item_id IN ({marks})"
        return self._catalog.rows(sql, (self.run.run_id, *page))

    def _segment(self, name: str) -> Segment:
        if name not in self._segments:
            self._segments[name] = open_segment(self._catalog, self.run.run_id, name, self.n_dims)
        return self._segments[name]


def segments_of(catalog: Catalog, run_id: str) -> list[Path]:
    """Return every file below the vectors' folder of a run."""
    folder = catalog.workspace / FOLDER / run_id
    return sorted(path for path in folder.rglob("*") if path.is_file()) if folder.is_dir() else []


def as_vector_run(run: Run) -> VectorRun:
    """Return what a run of ``embed`` has made."""
    known = json.loads(run.identity)
    space = VectorSpace.model_validate(known["space"])
    return VectorRun(run.run_id, space, known["precision"], run.status == "finished")


def _next_place(transaction: Transaction, segment_rows: int) -> tuple[int, int]:
    sql = "SELECT segment, row FROM vectors WHERE run_id = ? ORDER BY segment DESC, row DESC LIMIT 1"
    last = next(transaction.catalog.rows(sql, (transaction.run_id,)), None)
    if last is None:
        return 0, 0
    name, row = last
    segment = int(Path(name).stem) if re.fullmatch(r"\d{5,9}", Path(name).stem) else -1
    if name != _segment_name(transaction.run_id, segment) or row not in range(segment_rows):
        raise DataError(f"row {row} of {name} was written by no embed: {_cure(transaction.run_id)}")
    return (segment + 1, 0) if row + 1 == segment_rows else (segment, row + 1)


def _segment_name(run_id: str, number: int) -> str:
    return f"{FOLDER}/{run_id}/{number:05d}.npy"


def _put(path: Path, start: int, vectors: Vectors) -> None:
    """Write rows from a byte on and have them on the disk when this returns."""
    try:
        with path.open("r+b") as file:
            file.seek(start)
            file.write(np.ascontiguousarray(vectors, np.float32).tobytes())
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        error.filename = error.filename or str(path)  # a full disk does not say whose
        raise


def _make_segment(path: Path, shape: tuple[int, int]) -> None:
    """Make a segment of zeros, which take no place on most disks until they are written."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.part")
    np.lib.format.open_memmap(part, mode="w+", dtype=np.float32, shape=shape).flush()
    part.replace(path)


def open_segment(catalog: Catalog, run_id: str, name: str, n_dims: int) -> Segment:
    """Return a segment's ``(65536, D)`` rows, mapped and not read.

    Args:
        catalog: Where it is.
        run_id: Of the run whose it is.
        name: As the table has it.
        n_dims: D.

    Raises:
        DataError: If the file is not there or not what was written, or lacks a row that the table points to.
    """
    path = catalog.locate(name)
    try:
        file = open_vector_file(path)
    except UnreadableError as error:
        raise DataError(f"the vectors in {path} cannot be read ({error.reason}): {_cure(run_id)}") from error
    shape = (file.n_rows, file.n_dims)
    if file.dtype != np.dtype("<f4") or file.is_fortran or file.n_dims != n_dims:
        raise DataError(f"{path} holds {shape} {file.dtype}, not float32 with {n_dims} columns: {_cure(run_id)}")
    one = "FROM vectors WHERE run_id = ? AND segment = ?"
    ends = f"SELECT (SELECT min(row) {one}), (SELECT max(row) {one})"
    for row in next(iter(catalog.rows(ends, (run_id, name) * 2))):
        if row is not None and row not in range(file.n_rows):
            raise DataError(f"{path} holds {file.n_rows} rows, and not the row {row} of a vector: {_cure(run_id)}")
    try:
        return np.memmap(path, np.float32, "r", file.offset, shape)
    except (OSError, ValueError) as error:
        raise DataError(f"the vectors in {path} cannot be read ({error}): {_cure(run_id)}") from error


def _cure(run_id: str) -> str:
    return f"delete their run with mekiki forget {run_id}, and embed again"
