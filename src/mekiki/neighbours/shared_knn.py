"""One exact search for the nearest neighbours of all vectors, for everything that is built on neighbours.

Neighbours among all and neighbours within groups come out of the same products (`mekiki.neighbours.tiles`). Those use
float32 and vectors moved to their mean, so that large common parts do not drown differences; a few more neighbours than
asked for are kept, and the distances of those are computed again from the vectors themselves. So equal vectors are at
exactly 0, a distance is right to 1e-6 of itself, and a neighbour can be missed only in favour of one whose squared
distance is larger by less than 1e-6 of the squared distance from the mean.

Vectors are searched once per distinct content and in an order of contents, so a pile of copies costs nothing, and the
order of the rows changes nothing but the numbers of the rows.

N is the number of vectors, D of dimensions, k of neighbours.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mekiki.neighbours.distinct import Distinct, find_distinct, spread
from mekiki.neighbours.tables import BLOCK_ROWS, RowNumbers, Vectors
from mekiki.neighbours.tiles import TILE_ROWS, Best, TileSearch, n_cores

Distances = NDArray[np.float32]
"""``(N, k)``, Euclidean."""

_SPARE = 8
"""Neighbours that are kept beyond k, since float32 products may swap what is nearly equally far."""

_LARGEST = np.finfo(np.float32).max

_CHUNK_FLOATS = 1 << 19
"""What is in work while distances are computed: 2 MiB, which stays in a processor's cache."""


@dataclass(frozen=True, slots=True)
class KnnGraph:
    """The nearest neighbours of every vector, nearest first, itself left out.

    Attributes:
        rows: ``(N, k)`` int64 row numbers; of N vectors at most N - 1 columns.
        distances: ``(N, k)`` float32 Euclidean, ascending.
        group_rows: ``(N, k_group)`` int64, those of the same group; -1 where the group has fewer.
        group_distances: ``(N, k_group)`` float32, infinite where the group has fewer.
    """

    rows: RowNumbers
    distances: Distances
    group_rows: RowNumbers
    group_distances: Distances


def knn_graph(vectors: Vectors, k: int, groups: RowNumbers | None = None, k_group: int = 0) -> KnnGraph:
    """Return the k nearest of every vector, and the ``k_group`` nearest of its own group.

    Equal distances: copies of a vector stand in the order of their rows, different vectors in the order of their bytes.
    Memory beside the result: one copy of the vectors, 20 bytes a neighbour, and 35 MiB for each core, of at most 16; a
    thread that meets hundreds of near neighbours in one tile takes some 100 MiB for a moment.

    Args:
        vectors: ``(N, D)`` float32, finite, of any lengths; for cosines give unit vectors, whose squared distance is
            twice one minus the cosine. N may be 0 or 1.
        k: Neighbours among all, 0 or more.
        groups: ``(N,)`` int64 the group of each; below 0: in none. None: no groups, and ``k_group`` must be 0.
        k_group: Neighbours within the group, 0 or more.

    Raises:
        ValueError: If the shapes do not fit, a number is not finite, or a count is below 0.

    Example:
        >>> graph = knn_graph(np.array([[0.0], [1.0], [3.0], [3.0]], np.float32), k=2)
        >>> graph.rows.tolist(), graph.distances.tolist()
        ([[1, 2], [0, 2], [3, 1], [2, 1]], [[1.0, 3.0], [1.0, 2.0], [0.0, 2.0], [0.0, 2.0]])
    """
    _check(vectors, k, groups, k_group)
    n = len(vectors)
    k, k_group = min(k, max(n - 1, 0)), min(k_group, max(n - 1, 0))
    found = find_distinct(vectors, groups)
    scale = _power_of_two(vectors)
    points = _points(vectors, found, scale)
    n_distinct = len(points)
    best = Best(n_distinct, min(k + _SPARE, n_distinct)) if k else None
    best_inside = Best(n_distinct, min(k_group + _SPARE, n_distinct)) if k_group else None
    starts = _group_starts(groups, found)
    TileSearch(points, starts, best, best_inside, max(TILE_ROWS, 2 * (max(k, k_group) + _SPARE))).run()
    del points
    rows, distances = _finish(vectors, found, best, k, scale)
    group_rows, group_distances = _finish(vectors, found, best_inside, k_group, scale)
    if groups is not None:
        group_rows[groups < 0], group_distances[groups < 0] = -1, np.inf
    return KnnGraph(rows, distances, group_rows, group_distances)


def _check(vectors: Vectors, k: int, groups: RowNumbers | None, k_group: int) -> None:
    if vectors.ndim != 2:
        raise ValueError(f"vectors must be (N, D), got {vectors.shape}")
    if not np.isfinite(vectors).all():
        raise ValueError("vectors must be finite")
    if min(k, k_group) < 0:
        raise ValueError(f"k and k_group must be 0 or more, got {k} and {k_group}")
    if groups is None and k_group:
        raise ValueError(f"k_group is {k_group}, but no groups were given")
    if groups is not None and groups.shape != vectors.shape[:1]:
        raise ValueError(f"groups must be {vectors.shape[:1]}, got {groups.shape}")


def _power_of_two(vectors: Vectors) -> np.float32:
    """Return what brings the largest number near 1 without rounding, so that squares neither overflow nor vanish."""
    largest = max(float(vectors.max(initial=0.0)), -float(vectors.min(initial=0.0)))
    if not largest or 2.0**-20 < largest < 2.0**20:
        return np.float32(1)
    return np.float32(2.0 ** np.clip(-np.frexp(largest)[1], -126, 126))


def _points(vectors: Vectors, found: Distinct, scale: np.float32) -> Vectors:
    """Return distinct vectors around their mean, with the two columns that make products distances."""
    first = found.first
    points = np.empty((len(first), vectors.shape[1] + 2), np.float32)
    blocks = [slice(start, start + BLOCK_ROWS) for start in range(0, len(first), BLOCK_ROWS)]
    for block in blocks:
        points[block, :-2] = vectors[first[block]] * scale
    mean = points[:, :-2].mean(axis=0, dtype=np.float64).astype(np.float32) if len(first) else np.float32(0)
    for block in blocks:
        inside = points[block, :-2]
        inside -= mean
        points[block, -2] = -np.einsum("nd,nd->n", inside, inside) / 2
    points[:, -1] = 1
    return points


def _group_starts(groups: RowNumbers | None, found: Distinct) -> list[int]:
    if groups is None or not len(groups):
        return [0, len(found.starts)]
    of_distinct = groups[found.first]
    return [*np.flatnonzero(np.diff(of_distinct, prepend=of_distinct[0] - 1)).tolist(), len(of_distinct)]


def _finish(
    vectors: Vectors, found: Distinct, best: Best | None, k: int, scale: np.float32
) -> tuple[RowNumbers, Distances]:
    """Return the k nearest rows of every row, in the order of distances computed from the vectors."""
    if best is None:
        return np.zeros((len(vectors), 0), np.int64), np.zeros((len(vectors), 0), np.float32)
    nearest = best.columns()
    distances = _distances(vectors, found.first, nearest, scale)
    order = np.lexsort((nearest, distances), axis=1)[:, :k]
    nearest, distances = np.take_along_axis(nearest, order, axis=1), np.take_along_axis(distances, order, axis=1)
    return spread(found, nearest, distances, k)


def _distances(vectors: Vectors, first: RowNumbers, nearest: RowNumbers, scale: np.float32) -> Distances:
    """Return ``(U, k)`` float32 distances of distinct vectors to their neighbours; infinite where there is none."""
    distances = np.empty(nearest.shape, np.float32)
    work = np.float32 if scale == 1 else np.float64  # squares of what is near the ends of float32 are beyond them
    step = max(1, _CHUNK_FLOATS // max(1, nearest.shape[1] * vectors.shape[1]))

    def fill(start: int, end: int) -> None:
        for begin in range(start, end, step):
            part = slice(begin, min(begin + step, end))
            others: NDArray[Any] = vectors[first[nearest[part]]].astype(work, copy=False)
            others -= vectors[first[part], None]
            distances[part] = np.sqrt(np.einsum("nkd,nkd->nk", others, others)).clip(max=_LARGEST)

    n_threads = n_cores()
    edges = np.linspace(0, len(first), n_threads + 1).astype(int).tolist()
    with ThreadPoolExecutor(n_threads) as pool:
        list(pool.map(fill, edges[:-1], edges[1:]))
    distances[nearest < 0] = np.inf
    return distances
