"""Neighbours among hashes, exactly and in blocks: memory does not grow with the square.

Letters: Q queries, T targets. Hashes are ``uint64`` whose 64 bits are compared one by one (Hamming distance, 0 to 64).

Why no index: a radius of 10 of 64 bits is too wide for multi-index hashing. Four bands of 16 bits need 137 probes each;
for 100,000 random hashes that took as long as XOR and count, which pass over a thousand million pairs per second and
core, need no memory and do not care how crowded the hashes are.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Hashes = NDArray[np.uint64]
"""``(N,)`` 64-bit hashes."""

Rows = NDArray[np.int64]
"""``(N,)`` row numbers."""

_TILE_QUERIES, _TILE_TARGETS = 32, 4096  # one tile of XOR results is 1 MiB and stays in the processor's cache
_MAX_YIELD = 1 << 18


@dataclass(frozen=True, slots=True)
class HammingPairs:
    """Pairs of hashes within a radius. Rows of the three arrays belong together."""

    query_rows: Rows
    target_rows: Rows
    distances: NDArray[np.uint8]


def iter_hamming_pairs(
    queries: Hashes,
    targets: Hashes,
    max_distance: int,
    starts: Rows | None = None,
    stops: Rows | None = None,
) -> Iterator[HammingPairs]:
    """Yield every pair of a query and a target that differ in at most ``max_distance`` bits.

    Every pair comes exactly once. Memory is bounded by the yield, about 400,000 pairs or 7 MB at most, so a caller who
    keeps none of them can go through any number. For the pairs within one set, give the set twice and
    ``starts = np.arange(1, N + 1)``.

    Args:
        queries: ``(Q,)``. Q may be 0.
        targets: ``(T,)``. T may be 0.
        max_distance: Largest Hamming distance that counts, 0 to 64.
        starts: ``(Q,)`` first target row that each query is compared with; None means 0.
        stops: ``(Q,)`` the row after the last; None means T. Neighbouring queries should have similar ranges, or time
            is lost.

    Yields:
        Pairs in no order that a caller may rely on; never an empty lot.

    Raises:
        ValueError: If an array is not one-dimensional ``uint64``, ``max_distance`` is not in 0 to 64, or a range lacks
            a query or leaves the targets.

    Example:
        >>> hashes = np.array([0b0000, 0b0011, 0b1111], dtype=np.uint64)
        >>> found = next(iter_hamming_pairs(hashes, hashes, 2, starts=np.arange(1, 4)))
        >>> found.query_rows.tolist(), found.target_rows.tolist(), found.distances.tolist()
        ([0, 1], [1, 2], [2, 2])
    """
    _check_hashes("queries", queries)
    _check_hashes("targets", targets)
    if not 0 <= max_distance <= 64:
        raise ValueError(f"max_distance must be in 0 to 64, got {max_distance}")
    starts = np.zeros(len(queries), np.int64) if starts is None else starts
    stops = np.full(len(queries), len(targets), np.int64) if stops is None else stops
    if starts.shape != queries.shape or stops.shape != queries.shape:
        raise ValueError(f"starts and stops must have shape {queries.shape}, got {starts.shape} and {stops.shape}")
    if len(queries) and (starts.min() < 0 or stops.max() > len(targets)):
        raise ValueError(f"starts and stops must stay in 0 to {len(targets)}")
    return _iter_pairs(queries, targets, max_distance, starts, stops)


def _iter_pairs(
    queries: Hashes, targets: Hashes, max_distance: int, starts: Rows, stops: Rows
) -> Iterator[HammingPairs]:
    kept: list[HammingPairs] = []
    n_kept = 0
    for tile_queries, tile_targets, counts in _iter_tiles(queries, targets, starts, stops):
        if counts.min() > max_distance:
            continue
        near_queries, near_targets = np.nonzero(counts <= max_distance)
        query_rows, target_rows = near_queries + tile_queries, near_targets + tile_targets
        inside = (target_rows >= starts[query_rows]) & (target_rows < stops[query_rows])
        if inside.any():
            distances = counts[near_queries, near_targets][inside]
            kept.append(HammingPairs(query_rows[inside], target_rows[inside], distances))
            n_kept += len(distances)
        if n_kept >= _MAX_YIELD:
            yield _joined(kept)
            kept, n_kept = [], 0
    if kept:
        yield _joined(kept)


def nearest_hamming(queries: Hashes, targets: Hashes) -> tuple[int, int, int] | None:
    """Return the smallest distance between a query and a target, and the rows of such a pair.

    Args:
        queries: ``(Q,)``.
        targets: ``(T,)``.

    Returns:
        Distance in bits, query row, target row. Of several pairs at that distance, the first in an unspecified but
        fixed order. None if Q or T is 0.

    Raises:
        ValueError: If an array is not one-dimensional ``uint64``.

    Example:
        >>> nearest_hamming(np.array([7, 1], dtype=np.uint64), np.array([24, 3], dtype=np.uint64))
        (1, 0, 1)
    """
    _check_hashes("queries", queries)
    _check_hashes("targets", targets)
    best: tuple[int, int, int] | None = None
    starts, stops = np.zeros(len(queries), np.int64), np.full(len(queries), len(targets), np.int64)
    for first_query, first_target, counts in _iter_tiles(queries, targets, starts, stops):
        distance = int(counts.min())
        if best is None or distance < best[0]:
            query, target = np.unravel_index(int(counts.argmin()), counts.shape)
            best = distance, first_query + int(query), first_target + int(target)
        if distance == 0:
            break
    return best


def _iter_tiles(
    queries: Hashes, targets: Hashes, starts: Rows, stops: Rows
) -> Iterator[tuple[int, int, NDArray[np.uint8]]]:
    """Yield first query row, first target row and Hamming distances of every tile that the ranges touch.

    The distances are overwritten by the next tile.
    """
    mixed = np.empty(_TILE_QUERIES * _TILE_TARGETS, np.uint64)
    counts = np.empty(_TILE_QUERIES * _TILE_TARGETS, np.uint8)
    for query in range(0, len(queries), _TILE_QUERIES):
        lines = slice(query, query + _TILE_QUERIES)
        left = queries[lines, None]
        stop = int(stops[lines].max())
        for target in range(int(starts[lines].min()), stop, _TILE_TARGETS):
            right = targets[None, target : min(target + _TILE_TARGETS, stop)]
            shape = len(left), right.shape[1]
            tile_mixed = mixed[: shape[0] * shape[1]].reshape(shape)
            tile_counts = counts[: shape[0] * shape[1]].reshape(shape)
            np.bitwise_xor(left, right, out=tile_mixed)
            np.bitwise_count(tile_mixed, out=tile_counts)
            yield query, target, tile_counts


def _joined(lots: list[HammingPairs]) -> HammingPairs:
    return HammingPairs(
        np.concatenate([lot.query_rows for lot in lots]),
        np.concatenate([lot.target_rows for lot in lots]),
        np.concatenate([lot.distances for lot in lots]),
    )


def _check_hashes(name: str, hashes: Hashes) -> None:
    if hashes.ndim != 1 or hashes.dtype != np.uint64:
        raise ValueError(f"{name} must be (N,) uint64, got {hashes.shape} {hashes.dtype}")
