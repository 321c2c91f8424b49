"""Vectors of items: float32 rows in segment files, and which item's is where. Only ``embed`` writes them.

N is the number of vectors, D of dimensions. A segment is ``vectors/<run_id>/00000.npy``: ``(65536, D)``, made at its
full size under another name, then renamed, so that nobody sees a torn one; rows that nothing points to mean nothing.
Rows are on the disk before the transaction that says whose they are, so a killed run leaves such rows at most.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mekiki.catalog.db import PAGE_ROWS, Catalog, Transaction
from mekiki.catalog.runs import Run, runs_of
from mekiki.errors import DataError, unknown_name
from mekiki.training.vector_space import VectorSpace

SEGMENT_ROWS = 65_536
FOLDER = "vectors"
INDEX_PATTERN = "index-*.faiss"
"""Names of the files beside a run's segments that searching makes; they hold copies of the vectors."""

Vectors = NDArray[np.float32]
"""``(N, D)``."""


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
    return [_as_vector_run(run) for run in ordered]


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
        if wanted == run.space.embedder or (len(wanted) >= 4 and run.run_id.startswith(wanted)):
            return run
    raise unknown_name("embedder with vectors", wanted, {run.space.embedder for run in runs})


def write_vectors(
    transaction: Transaction, item_ids: Sequence[str], vectors: Vectors, segment_rows: int = SEGMENT_ROWS
) -> int:
    """Add the vectors of items to the run's last segment, or to a new one, and return how many.

    Args:
        transaction: Of ``embed``; the rows of the table follow in it.
        item_ids: N different ones. An item that has a vector of this run gets another row; its old one is left.
        vectors: ``(N, D)``, finite.
        segment_rows: Rows of a segment; the same for all of a run.

    Raises:
        ValueError: If the two differ in length or a vector is not finite.
    """
    if len(item_ids) != len(vectors) or not np.isfinite(vectors).all():
        raise ValueError(f"vectors must be finite and {len(item_ids)}, got {vectors.shape}")
    segment, row = _next_place(transaction, segment_rows)
    rows: list[tuple[str, str, str, int]] = []
    done = 0
    while done < len(item_ids):
        n_now = min(segment_rows - row, len(item_ids) - done)
        path = transaction.catalog.workspace / FOLDER / transaction.run_id / f"{segment:05d}.npy"
        if not path.exists():
            _make_segment(path, (segment_rows, vectors.shape[1]))
        _put(path, row, vectors[done : done + n_now])
        name = transaction.catalog.relative(path)
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
        self._segments: dict[str, Vectors] = {}

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
        places = self._places(item_ids)
        vectors = np.empty((len(item_ids), self.n_dims), np.float32)
        for number, item_id in enumerate(item_ids):
            segment, row = places[item_id]
            vectors[number] = self._segment(segment)[row]
        return vectors

    def having(self, item_ids: Sequence[str]) -> set[str]:
        """Return which of these items have a vector of this run."""
        return set(self._places(item_ids))

    def blocks(self, size: int = 8192) -> Iterator[tuple[list[str], Vectors]]:
        """Yield ids and their ``(n, D)`` vectors, at most ``size`` at a time, in the order of ids."""
        ids = self.item_ids()
        for start in range(0, len(ids), size):
            block = ids[start : start + size]
            yield block, self.read(block)

    def _places(self, item_ids: Sequence[str]) -> dict[str, tuple[str, int]]:
        found: dict[str, tuple[str, int]] = {}
        for start in range(0, len(item_ids), PAGE_ROWS):
            page = item_ids[start : start + PAGE_ROWS]
            marks = ", ".join("?" * len(page))
            sql = f"SELECT item_id, segment, row FROM vectors WHERE run_id = ? AND item_id IN ({marks})"
            found |= {row[0]: (row[1], row[2]) for row in self._catalog.rows(sql, (self.run.run_id, *page))}
        return found

    def _segment(self, name: str) -> Vectors:
        if name not in self._segments:
            self._segments[name] = open_segment(self._catalog.locate(name), self.n_dims)
        return self._segments[name]


def wipe_vectors(catalog: Catalog, item_id: str) -> None:
    """Overwrite an item's vectors with zeros in their files, of all runs; the rows of the table are the caller's.

    Indexes that were made of them go too; the next search makes them anew.
    """
    for segment, row in list(catalog.rows("SELECT segment, row FROM vectors WHERE item_id = ?", (item_id,))):
        path = catalog.locate(segment)
        if path.exists():
            _put(path, row, np.zeros((1, np.load(path, mmap_mode="r").shape[1]), np.float32))
        for index in path.parent.glob(f"{INDEX_PATTERN}*"):
            index.unlink()


def segments_of(catalog: Catalog, run_id: str) -> list[Path]:
    """Return every file below the vectors' folder of a run."""
    folder = catalog.workspace / FOLDER / run_id
    return sorted(path for path in folder.rglob("*") if path.is_file()) if folder.is_dir() else []


def _as_vector_run(run: Run) -> VectorRun:
    known = json.loads(run.identity)
    space = VectorSpace.model_validate(known["space"])
    return VectorRun(run.run_id, space, known["precision"], run.status == "finished")


def _next_place(transaction: Transaction, segment_rows: int) -> tuple[int, int]:
    sql = "SELECT segment, row FROM vectors WHERE run_id = ? ORDER BY segment DESC, row DESC LIMIT 1"
    last = next(transaction.catalog.rows(sql, (transaction.run_id,)), None)
    if last is None:
        return 0, 0
    segment, row = int(Path(last[0]).stem), last[1] + 1
    return (segment + 1, 0) if row == segment_rows else (segment, row)


def _put(path: Path, row: int, vectors: Vectors) -> None:
    """Write rows and have them on the disk when this returns."""
    rows = np.load(path, mmap_mode="r+")
    start = rows.offset + row * rows.strides[0]
    del rows
    with path.open("r+b") as file:
        file.seek(start)
        file.write(np.ascontiguousarray(vectors, np.float32).tobytes())
        file.flush()
        os.fsync(file.fileno())


def _make_segment(path: Path, shape: tuple[int, int]) -> None:
    """Make a segment of zeros, which take no place on most disks until they are written."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.part")
    np.lib.format.open_memmap(part, mode="w+", dtype=np.float32, shape=shape).flush()
    part.replace(path)


def open_segment(path: Path, n_dims: int) -> Vectors:
    """Return a segment's ``(65536, D)`` rows, mapped and not read.

    Raises:
        DataError: If the file is not there or not what was written.
    """
    try:
        rows: Vectors = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError) as error:
        raise DataError(
            f"the vectors in {path} cannot be read ({error}): delete their run with mekiki forget"
        ) from error
    if rows.dtype != np.float32 or rows.ndim != 2 or rows.shape[1] != n_dims:
        raise DataError(f"{path} holds {rows.shape} {rows.dtype}, not float32 with {n_dims} columns: forget its run")
    return rows
