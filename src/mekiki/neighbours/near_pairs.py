"""Pairs of vectors within an angle: exactly among thousands, in cells among millions; no pair is ever a false one.

Many vectors are dealt to *cells*: k-means centres are found on a sample, and every vector goes into the m cells whose
centres are nearest. Two vectors that share a cell are compared exactly, so a pair can be missed but never made up. How
many cells a vector needs is measured: stored vectors are turned by the widest angle that still counts, towards other
stored ones, and m grows until nearly all of them share a cell with what they were.

What is returned is a spanning forest: pairs that connect all that the pairs connect. Vectors that are connected already
are not compared again, so that 100,000 black frames cost some 100,000 pairs and not 5,000 million.

N is the number of vectors, D of dimensions, P of pairs.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.cluster import MiniBatchKMeans

from mekiki.neighbours.tables import (
    BLOCK_ROWS,
    ROUNDING,
    RowNumbers,
    UnitVectors,
    Vectors,
    VectorTable,
    to_unit_length,
)

EXACT_ROWS = 20_000
"""Up to so many vectors all are compared with all."""

MAX_CELLS_EACH = 8
WANTED_SHARE = 0.999
_SAMPLE_PER_CELL = 10
_N_TURNED = 2048
_TILE_ROWS, _STRIP_ROWS = 4096, 128


@dataclass(frozen=True, slots=True)
class NearPairs:
    """Pairs of vectors that connect everything that is near.

    Attributes:
        pairs: ``(P, 2)`` int64 rows, the smaller first, sorted; a spanning forest, so P is below N.
        cosines: ``(P,)`` float32.
        is_zero: ``(N,)`` vectors of zeros, which have no direction and are in no pair.
        n_cells: Cells that the vectors were dealt to; 1 where all were compared with all.
        n_cells_each: Cells that each vector went into.
        expected_share: Measured share of the widest pairs that share a cell; 1.0 where all were compared with all.
    """

    pairs: RowNumbers
    cosines: NDArray[np.float32]
    is_zero: NDArray[np.bool_]
    n_cells: int = 1
    n_cells_each: int = 1
    expected_share: float = 1.0


def find_near_pairs(
    vectors: VectorTable, min_cosine: float, *, seed: int = 0, exact_rows: int = EXACT_ROWS
) -> NearPairs:
    """Find which vectors are within an angle of each other.

    Cosines are float32 products of vectors scaled to unit length, right to about 1e-6. Memory beside the table is some
    60 bytes a vector, 300 a pair returned, a sample for the cells (41 MB for a million vectors of 512) and 200 MB for
    what is in work. The same seed gives the same pairs.

    Args:
        vectors: ``(N, D)`` float32 of any lengths. N may be 0.
        min_cosine: Least cosine of a pair, above 0 and up to 1; at 1, `ROUNDING` is allowed for.
        seed: Of the sample, the centres and the measurement; without meaning where all are compared with all.
        exact_rows: Up to so many vectors all are compared with all.

    Raises:
        ValueError: If the table is not two-dimensional, or ``min_cosine`` is out of range.

    Example:
        >>> vectors = np.array([[1, 0], [0, 1], [2, 0.1], [0, 0]], dtype=np.float32)
        >>> found = find_near_pairs(vectors, 0.97)
        >>> found.pairs.tolist(), found.is_zero.tolist()
        ([[0, 2]], [False, False, False, True])
    """
    if len(vectors.shape) != 2:
        raise ValueError(f"vectors must be (N, D), got {vectors.shape}")
    if not 0 < min_cosine <= 1:
        raise ValueError(f"min_cosine must be above 0 and at most 1, got {min_cosine}")
    is_zero = _zero_rows(vectors)
    rows = np.flatnonzero(~is_zero)
    forest = _Forest(UnitVectors(vectors), min_cosine)
    if len(rows) <= exact_rows:
        forest.join_cell(rows)
        return forest.found(is_zero)
    rng = np.random.default_rng(seed)
    cells = _Cells(forest.vectors, rows, _draw_sample(forest, rows, rng), rng)
    n_each, share = cells.measure(min_cosine)
    for members in cells.members(n_each):
        forest.join_cell(members)
    return forest.found(is_zero, len(cells.centres), n_each, share)


class _Cells:
    """Centres among the vectors of some rows."""

    def __init__(self, vectors: UnitVectors, rows: RowNumbers, sample: Vectors, rng: np.random.Generator) -> None:
        self._vectors, self._rows = vectors, rows
        n_cells = min(max(2, round(2 * math.sqrt(len(rows)))), len(sample))
        means = MiniBatchKMeans(
            n_cells,
            init="random",
            n_init=1,
            batch_size=4096,
            max_iter=10,
            compute_labels=False,
            reassignment_ratio=0.0,
            random_state=int(rng.integers(2**31)),
        )
        self.centres = to_unit_length(means.fit(sample).cluster_centers_.astype(np.float32))
        self._trial = sample[rng.choice(len(sample), (2, _N_TURNED))]

    def measure(self, min_cosine: float) -> tuple[int, float]:
        """Return how many cells each vector must go into, and the share of trial pairs that then share one."""
        one, towards = self._trial
        sideways = towards - (towards * one).sum(axis=1, keepdims=True) * one
        other = to_unit_length(min_cosine * one + math.sqrt(1 - min_cosine**2) * to_unit_length(sideways))
        limit = min(MAX_CELLS_EACH, len(self.centres))
        left, right = self._nearest(one, limit), self._nearest(other, limit)
        for n_each in range(2 if limit > 1 else 1, limit + 1):
            is_shared = (left[:, :n_each, None] == right[:, None, :n_each]).any(axis=(1, 2))
            share = float(is_shared.mean())
            if share >= WANTED_SHARE:
                break
        return n_each, share

    def members(self, n_each: int) -> Iterator[RowNumbers]:
        """Yield the rows of each cell with two or more, in order."""
        nearest = [
            self._nearest(self._vectors[self._rows[first : first + BLOCK_ROWS]], n_each)
            for first in range(0, len(self._rows), BLOCK_ROWS)
        ]
        cells = np.concatenate(nearest).ravel()
        order = np.argsort(cells, kind="stable")
        ends = np.cumsum(np.bincount(cells, minlength=len(self.centres)))
        for start, end in itertools.pairwise([0, *ends.tolist()]):
            if end - start > 1:
                yield self._rows[order[start:end] // n_each]

    def _nearest(self, vectors: Vectors, n_each: int) -> NDArray[np.int32]:
        """Return ``(n, n_each)`` cells, nearest first."""
        found = np.empty((len(vectors), n_each), np.int32)
        for first in range(0, len(vectors), 1024):
            products = vectors[first : first + 1024] @ self.centres.T
            best = np.argpartition(products, products.shape[1] - n_each, axis=1)[:, -n_each:]
            order = np.argsort(-np.take_along_axis(products, best, axis=1), axis=1, kind="stable")
            found[first : first + 1024] = np.take_along_axis(best, order, axis=1)
        return found


class _Forest:
    """The pairs that connected two groups so far, and the group of every row."""

    def __init__(self, vectors: UnitVectors, min_cosine: float) -> None:
        self.vectors = vectors
        self._min_cosine = min(min_cosine, 1 - ROUNDING)
        self._groups = np.arange(vectors.shape[0])
        self._members: dict[int, list[int]] = {}
        self._edges: list[tuple[int, int, float]] = []

    def join_cell(self, rows: RowNumbers) -> None:
        """Compare all these rows with each other, a tile at a time, but for tiles that are connected by then."""
        while len(rows) > 1:
            rows = rows[np.argsort(self._groups[rows], kind="stable")]  # so that what is connected fills whole tiles
            left = rows[:_TILE_ROWS]
            queries: Vectors | None = None
            for first in range(0, len(rows), _TILE_ROWS):
                right = rows[first : first + _TILE_ROWS]
                if not self._is_one_group(left, right):
                    queries = self.vectors[left] if queries is None else queries
                    self._join_tile(left, right, queries @ (self.vectors[right] if first else queries).T)
            rows = rows[_TILE_ROWS:]

    def _join_tile(self, left: RowNumbers, right: RowNumbers, cosines: NDArray[np.float32]) -> None:
        for first in range(0, len(left), _STRIP_ROWS):
            strip = cosines[first : first + _STRIP_ROWS]
            lines, columns = np.divmod(np.flatnonzero(strip >= self._min_cosine), len(right))
            ones, others = left[first + lines], right[columns]
            is_open = self._groups[ones] != self._groups[others]
            found = zip(ones[is_open], others[is_open], strip[lines[is_open], columns[is_open]], strict=True)
            for one, other, cosine in found:
                self._connect(int(one), int(other), float(cosine))

    def _connect(self, one: int, other: int, cosine: float) -> None:
        kept, gone = int(self._groups[one]), int(self._groups[other])
        if kept == gone:
            return
        if len(self._members.get(kept, ())) < len(self._members.get(gone, ())):
            kept, gone = gone, kept
        moved = self._members.pop(gone, [gone])
        self._groups[moved] = kept
        self._members.setdefault(kept, [kept]).extend(moved)
        self._edges.append((min(one, other), max(one, other), cosine))

    def one_of_each(self, rows: RowNumbers) -> RowNumbers:
        """Return the first of these rows of each group, in order."""
        _, first = np.unique(self._groups[rows], return_index=True)
        return rows[np.sort(first)]

    def _is_one_group(self, left: RowNumbers, right: RowNumbers) -> bool:
        group = self._groups[left[0]]
        return bool((self._groups[left] == group).all() and (self._groups[right] == group).all())

    def found(
        self, is_zero: NDArray[np.bool_], n_cells: int = 1, n_cells_each: int = 1, share: float = 1.0
    ) -> NearPairs:
        """Return the connecting pairs, sorted by their rows."""
        edges = sorted(self._edges)
        pairs = np.array([edge[:2] for edge in edges], np.int64).reshape(-1, 2)
        cosines = np.array([edge[2] for edge in edges], np.float32)
        return NearPairs(pairs, cosines, is_zero, n_cells, n_cells_each, share)


def _draw_sample(forest: _Forest, rows: RowNumbers, rng: np.random.Generator) -> Vectors:
    """Return vectors for the centres, one of each group, so that 100,000 black frames get one centre and not half."""
    drawn = np.sort(rng.choice(rows, min(len(rows), round(_SAMPLE_PER_CELL * 2 * math.sqrt(len(rows)))), replace=False))
    forest.join_cell(drawn)
    return forest.vectors[forest.one_of_each(drawn)]


def _zero_rows(vectors: VectorTable) -> NDArray[np.bool_]:
    is_zero = np.ones(vectors.shape[0], np.bool_)
    for first in range(0, len(is_zero), BLOCK_ROWS):
        is_zero[first : first + BLOCK_ROWS] = ~vectors[first : first + BLOCK_ROWS].any(axis=1)
    return is_zero
