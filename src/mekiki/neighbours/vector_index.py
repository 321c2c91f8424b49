"""An index for many vectors: faiss finds candidates among 8-bit copies, exact products put them in order.

The vectors are dealt to cells around k-means centres (an inverted file); a query looks into the few cells whose centres
are nearest. How many, is measured when the index is built: for some stored vectors the true neighbours are found by
brute force, and cells are added until nearly all of those are seen. A score is always the float32 product with the
stored vector, so the index can miss a neighbour but never gives a wrong cosine.

The recall holds for queries that are like the stored vectors. A sentence's vector lies far from all pictures' vectors,
so sentences are better compared with all.

Letters: N vectors, Q queries, D dimensions, k neighbours.

Reference: Sivic and Zisserman, 2003 (inverted files); Douze et al., 2024, https://arxiv.org/abs/2401.08281 (faiss).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from mekiki.errors import MissingExtraError, UnreadableError
from mekiki.neighbours.exact import Neighbours, best_columns, nearest_rows, row_products
from mekiki.neighbours.tables import BLOCK_ROWS, UnitVectors, VectorTable

RECALL_AT = 10
WANTED_RECALL = 0.98
"""A little above what is promised (0.95), since it is measured on `_N_TRIALS` queries."""

_N_TRIALS = 256
_TRAINED_ON_PER_CELL = 64
_MIN_CANDIDATES, _CANDIDATES_PER_NEIGHBOUR = 64, 4


def import_faiss() -> Any:
    """Return faiss.

    Raises:
        MissingExtraError: If it is not installed.
    """
    try:
        import faiss
    except ImportError as error:
        raise MissingExtraError("faiss-cpu", "search") from error
    return faiss


class _Facts(BaseModel):
    """What ``PATH.json`` says of an index."""

    model_config = ConfigDict(strict=True, extra="forbid")

    n_cells_seen: int = Field(ge=1)
    recall: float = Field(ge=0, le=1)
    n_bytes: int


@dataclass(frozen=True, slots=True)
class VectorIndex:
    """Cells of 8-bit copies of some vectors; made by `build_index`.

    Attributes:
        cells: faiss's own index.
        n_cells_seen: Cells that a query looks into.
        recall: Measured share of the ten true neighbours that it finds, over stored vectors.
    """

    cells: Any
    n_cells_seen: int
    recall: float

    def nearest(self, queries: NDArray[np.float32], vectors: VectorTable, k: int) -> Neighbours:
        """Return, for every query, k vectors with nearly the largest cosine; see `nearest_rows` for the exact ones.

        Args:
            queries: ``(Q, D)`` float32 of unit length. Q may be 0.
            vectors: ``(N, D)``, those that the index was built from, in the same order.
            k: Neighbours wanted, at least 1; fewer come back where fewer vectors were looked at by some query.

        Returns:
            Rows and exact cosines, best first; equal ones in the order of their rows.

        Raises:
            ValueError: If D, N or k does not fit.
        """
        if vectors.shape != (self.cells.ntotal, self.cells.d) or queries.shape[1:] != (self.cells.d,):
            raise ValueError(
                f"the index is of {(self.cells.ntotal, self.cells.d)}, got {vectors.shape} and queries {queries.shape}"
            )
        if k < 1:
            raise ValueError(f"k must be at least 1, got {k}")
        n_candidates = min(max(_MIN_CANDIDATES, _CANDIDATES_PER_NEIGHBOUR * k), self.cells.ntotal)
        if not len(queries) or not n_candidates:
            return Neighbours(np.zeros((len(queries), 0), np.int64), np.zeros((len(queries), 0), np.float32))
        self.cells.nprobe = self.n_cells_seen
        _, candidates = self.cells.search(np.ascontiguousarray(queries), n_candidates)
        unit = UnitVectors(vectors)
        ranked = [_rank(query, candidates[line], unit, k) for line, query in enumerate(queries)]
        width = min(rows.shape[1] for rows, _ in ranked)
        return Neighbours(
            np.concatenate([rows[:, :width] for rows, _ in ranked]),
            np.concatenate([scores[:, :width] for _, scores in ranked]),
        )

    def save(self, path: Path) -> None:
        """Write ``PATH`` and, last, ``PATH.json``; each appears when it is complete."""
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(f"{path.name}.part")
        import_faiss().write_index(self.cells, str(part))
        facts = _Facts(n_cells_seen=self.n_cells_seen, recall=self.recall, n_bytes=part.stat().st_size)
        part.replace(path)
        part = _facts_path(path).with_suffix(".part")
        part.write_text(facts.model_dump_json(), encoding="utf-8")
        part.replace(_facts_path(path))


def load_index(path: Path, shape: tuple[int, ...]) -> VectorIndex | None:
    """Return the index that `VectorIndex.save` wrote; None if it is not there. Its codes are read as they are needed.

    Args:
        path: Where.
        shape: ``(N, D)`` of the vectors that it is of.

    Raises:
        MissingExtraError: If faiss is not installed.
        UnreadableError: If it is not what was written, or of other vectors: build it again.
    """
    facts_path = _facts_path(path)
    if not path.exists() or not facts_path.exists():
        return None
    faiss = import_faiss()
    try:
        if not path.is_file() or not facts_path.is_file():
            raise UnreadableError(path, "no file")
        facts = _Facts.model_validate_json(facts_path.read_bytes())
        if path.stat().st_size != facts.n_bytes:
            raise UnreadableError(path, f"{path.stat().st_size} bytes, and {facts.n_bytes} were written")
        cells = faiss.read_index(str(path), faiss.IO_FLAG_MMAP)
    except (ValidationError, OSError, RuntimeError, MemoryError) as error:
        raise UnreadableError(path, f"not what was written ({type(error).__name__})") from error
    if not isinstance(cells, faiss.IndexIVFScalarQuantizer) or (cells.ntotal, cells.d) != shape:
        raise UnreadableError(path, f"an index of something else than {shape} vectors")
    if facts.n_cells_seen > cells.nlist:
        raise UnreadableError(path, f"{facts.n_cells_seen} of its {cells.nlist} cells are to be seen")
    return VectorIndex(cells, facts.n_cells_seen, facts.recall)


def build_index(vectors: VectorTable, *, seed: int = 0, wanted_recall: float = WANTED_RECALL) -> VectorIndex:
    """Build an index in one pass over the vectors, and measure how many cells a query must look into.

    Memory: D bytes a vector for the codes, a sample of 64 vectors a cell for the centres, and one block of vectors. The
    number of cells is about the square root of N.

    Args:
        vectors: ``(N, D)`` float32 of any lengths, N at least 1; products are of their directions.
        seed: Of the samples and the centres.
        wanted_recall: Share of the ten nearest that a query like a stored vector should find.

    Raises:
        MissingExtraError: If faiss is not installed.
        ValueError: If there are no vectors.
    """
    n_vectors, n_dims = vectors.shape
    if not n_vectors:
        raise ValueError("an index needs a vector")
    faiss = import_faiss()
    rng = np.random.default_rng(seed)
    unit = UnitVectors(vectors)
    n_cells = 2 ** max(0, round(np.log2(np.sqrt(n_vectors))))
    centres = faiss.IndexFlatIP(n_dims)
    cells = faiss.IndexIVFScalarQuantizer(
        centres, n_dims, n_cells, faiss.ScalarQuantizer.QT_8bit, faiss.METRIC_INNER_PRODUCT
    )
    cells.cp.seed, cells.cp.spherical, cells.cp.niter = seed + 1, True, 10
    cells.cp.min_points_per_centroid, cells.cp.max_points_per_centroid = 1, _TRAINED_ON_PER_CELL
    drawn = rng.choice(n_vectors, min(n_vectors, _TRAINED_ON_PER_CELL * n_cells), replace=False)
    cells.train(unit[np.sort(drawn)])
    for first in range(0, n_vectors, BLOCK_ROWS):
        cells.add(unit[first : first + BLOCK_ROWS])
    return _measured(cells, vectors, np.sort(rng.choice(n_vectors, min(n_vectors, _N_TRIALS), False)), wanted_recall)


def _measured(cells: Any, vectors: VectorTable, trials: NDArray[np.int64], wanted: float) -> VectorIndex:
    """Return the index with the fewest cells, doubled from one, that find the true neighbours of stored vectors."""
    unit = UnitVectors(vectors)
    queries = unit[trials]
    true_rows = nearest_rows(queries, unit, RECALL_AT + 1).rows
    n_seen = 1
    while True:
        index = VectorIndex(cells, n_seen, 0.0)
        found = index.nearest(queries, vectors, RECALL_AT + 1).rows
        recall = _recall(found, true_rows, trials)
        if recall >= wanted or n_seen >= cells.nlist:
            return VectorIndex(cells, n_seen, recall)
        n_seen *= 2


def _recall(found: NDArray[np.int64], true_rows: NDArray[np.int64], own: NDArray[np.int64]) -> float:
    """Return the share of the true neighbours that were found; a vector is no neighbour of itself."""
    is_other = true_rows != own[:, None]
    is_found = (true_rows[:, :, None] == found[:, None, :]).any(axis=2)
    return float(is_found[is_other].mean()) if is_other.any() else 1.0


def _rank(
    query: NDArray[np.float32], candidates: NDArray[np.int64], unit: UnitVectors, k: int
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    rows = np.sort(candidates[(candidates >= 0) & (candidates < unit.shape[0])])
    products = row_products(unit[rows], query)[None]
    return best_columns(rows[None], products, k) if len(rows) else (rows[None], products)


def _facts_path(path: Path) -> Path:
    return path.with_name(f"{path.name}.json")
