"""The nearest of all to all, from products of square tiles that serve their rows and their columns alike.

A tile of similarities is one float32 matrix product; that of rows I and columns J is also that of rows J and columns
I, so only half of all products are made. What is worth keeping of a tile is found by comparing it with the worst
neighbour that each row has so far, which costs a few hundredths of the product; only what passes is sorted in. The
first tile of every row, the one on the diagonal, has no such threshold: there the k-th best of the maxima of some 4 k
stretches of columns is one, since k columns are at least as good.

Threads take whole tiles, and the matrix product inside stays on its thread, so that comparing runs beside multiplying.

U is the number of rows, D of dimensions, k of neighbours kept.
"""

from __future__ import annotations

import itertools
import os
from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from mekiki.neighbours.tables import RowNumbers, Vectors

TILE_ROWS = 2048
_STRIP_ROWS = 128
_MAX_THREADS = 16
_LOWEST = np.finfo(np.float32).min
"""Below every similarity but that of a row to itself, which is minus infinity."""

_LOW_BITS = np.uint64(0xFFFFFFFF)
_SIGN = np.uint32(0x80000000)
_ALL_BITS = np.uint32(0xFFFFFFFF)

Found = tuple[RowNumbers, RowNumbers, NDArray[np.float32]]
"""Lines and places of a tile, and the similarities there."""


def n_cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class Best:
    """The k nearest columns of each of U rows so far.

    A similarity and its column are kept as one 64-bit number, so that sorting numbers sorts neighbours: larger is
    nearer, of equal ones the smaller column, and 0 is none.
    """

    def __init__(self, n: int, k: int) -> None:
        self.k = k
        self.worst: NDArray[np.float32] = np.full(n, _LOWEST, np.float32)
        """``(U,)`` what a column must reach to be one of them."""
        self._keys = np.zeros((n, k), np.uint64)

    def add(self, rows: RowNumbers, columns: RowNumbers, similarities: NDArray[np.float32]) -> None:
        """Sort in what a tile found; ``rows`` must be in order."""
        if not len(rows):
            return
        is_first = np.diff(rows, prepend=-1) != 0
        starts, line = np.flatnonzero(is_first), np.cumsum(is_first) - 1
        place = np.arange(len(rows)) - starts[line]
        touched = rows[starts]
        pool = np.zeros((len(touched), self.k + int(place.max()) + 1), np.uint64)
        pool[:, : self.k] = self._keys[touched]
        pool[line, self.k + place] = _to_keys(similarities, columns)
        pool.partition(pool.shape[1] - self.k, axis=1)
        self._keys[touched] = pool[:, -self.k :]
        worst = pool[:, -self.k]
        self.worst[touched] = np.where(worst > 0, _to_similarities(worst), _LOWEST)

    def columns(self) -> RowNumbers:
        """Return ``(U, k)`` columns, nearest first; -1 where there are fewer."""
        keys = np.sort(self._keys, axis=1)[:, ::-1]
        return np.where(keys > 0, (~keys & _LOW_BITS).astype(np.int64), -1)


class TileSearch:
    """Finds the nearest columns of each row, among all and within its group.

    Memory: what is given, and for each thread one tile of 16 MiB and what passes of it, which is little as a rule.

    Args:
        points: ``(U, D + 2)`` float32: the coordinates, minus half of their squared length, and 1. The inner product of
            one with another whose last two are swapped is minus half the squared distance.
        group_starts: Where groups begin, and U: the rows of one stand together.
        best: Filled with the nearest of all rows; None if nobody asks.
        best_inside: Filled with the nearest of the rows of the same group; None if nobody asks.
        tile_rows: Rows of a tile; more than any k.
    """

    def __init__(
        self,
        points: Vectors,
        group_starts: Sequence[int],
        best: Best | None,
        best_inside: Best | None,
        tile_rows: int = TILE_ROWS,
    ) -> None:
        self._points, self._group_starts = points, group_starts
        self._best, self._best_inside = best, best_inside
        n_blocks = max(1, -(-len(points) // tile_rows))
        self._edges: list[int] = np.linspace(0, len(points), n_blocks + 1).astype(int).tolist()
        self._locks = [Lock() for _ in range(n_blocks)]

    def run(self) -> None:
        """Visit all tiles."""
        n_threads = min(n_cores(), _MAX_THREADS, len(self._locks))
        if n_threads == 1:
            self._visit_all(map)
            return
        with threadpool_limits(1, user_api="blas"), ThreadPoolExecutor(n_threads) as pool:
            self._visit_all(pool.map)

    def _visit_all(self, each: Callable[..., Iterable[Any]]) -> None:
        """Visit the tiles on the diagonal first, for the thresholds, then those ever further from it."""
        blocks = [slice(*ends) for ends in itertools.pairwise(self._edges)]
        n = len(blocks)
        list(each(self._visit, blocks, blocks))
        above = [(row, row + off) for off in range(1, n) for row in range(n - off)]
        list(each(self._visit, [blocks[row] for row, _ in above], [blocks[column] for _, column in above]))

    def _visit(self, rows: slice, columns: slice) -> None:
        right = self._points[columns].copy()
        right[:, [-2, -1]] = right[:, [-1, -2]]
        tile = self._points[rows] @ right.T
        if rows == columns:
            np.fill_diagonal(tile, -np.inf)
        if self._best is not None:
            self._keep(self._best, tile, rows.start, columns.start)
        if self._best_inside is not None:
            self._keep_inside(self._best_inside, tile, rows, columns)

    def _keep_inside(self, best: Best, tile: Vectors, rows: slice, columns: slice) -> None:
        """Keep what is of one group: rectangles of the tile, since the rows of a group stand together."""
        number = bisect_right(self._group_starts, columns.start) - 1
        while number < len(self._group_starts) - 1 and self._group_starts[number] < rows.stop:
            start, end = self._group_starts[number], self._group_starts[number + 1]
            top, left = max(start, rows.start), max(start, columns.start)
            part = tile[top - rows.start : end - rows.start, left - columns.start : end - columns.start]
            if left < columns.stop and part.size:
                self._keep(best, part, top, left)
            number += 1

    def _keep(self, best: Best, tile: Vectors, top: int, left: int) -> None:
        """Sort what is near enough into the neighbours of the rows, and off the diagonal into those of the columns."""
        of_rows, of_columns = [], []
        is_diagonal = top == left
        worst_of_columns = best.worst[left : left + tile.shape[1]].copy()
        for first in range(0, len(tile), _STRIP_ROWS):
            strip = tile[first : first + _STRIP_ROWS]
            worst = best.worst[top + first : top + first + len(strip)]
            if is_diagonal:
                worst = np.maximum(worst, _lower_bounds(strip, best.k))
            else:
                of_columns.append(_passing(strip, worst_of_columns, first))
            of_rows.append(_passing(strip, worst[:, None], first))
        lines, places, similarities = _joined(of_rows)
        with self._lock_of(top):
            best.add(top + lines, left + places, similarities)
        if of_columns:
            lines, places, similarities = _joined(of_columns)
            order = np.argsort(places, kind="stable")
            with self._lock_of(left):
                best.add(left + places[order], top + lines[order], similarities[order])

    def _lock_of(self, row: int) -> Lock:
        return self._locks[bisect_right(self._edges, row) - 1]


def _passing(strip: Vectors, worst: NDArray[np.float32], first: int) -> Found:
    """Return what reaches ``worst``; lines are counted from ``first``."""
    flat = np.flatnonzero(strip >= worst)
    lines, places = np.divmod(flat, strip.shape[1])
    return first + lines, places, strip[lines, places]


def _joined(parts: list[Found]) -> Found:
    lines, places, similarities = zip(*parts, strict=True)
    return np.concatenate(lines), np.concatenate(places), np.concatenate(similarities)


def _lower_bounds(strip: Vectors, k: int) -> NDArray[np.float32]:
    """Return ``(lines,)`` what at least k columns reach; the lowest number where there are not so many."""
    width = strip.shape[1]
    step = max(1, width // (4 * k))
    highest = np.maximum.reduceat(strip, np.arange(0, width, step), axis=1) if step > 1 else strip.copy()
    if highest.shape[1] < k:
        return np.full(len(strip), _LOWEST, np.float32)
    highest.partition(highest.shape[1] - k, axis=1)
    return np.maximum(highest[:, -k], _LOWEST)


def _to_keys(similarities: NDArray[np.float32], columns: RowNumbers) -> NDArray[np.uint64]:
    """Return numbers in the order of the similarities, and against that of the columns where those are equal."""
    bits = similarities.view(np.uint32)
    ordered = bits ^ np.where(bits & _SIGN, _ALL_BITS, _SIGN)
    return (ordered.astype(np.uint64) << np.uint64(32)) | (~columns.astype(np.uint64) & _LOW_BITS)


def _to_similarities(keys: NDArray[np.uint64]) -> NDArray[np.float32]:
    """Return what `_to_keys` was given, but for a key of 0."""
    ordered = (keys >> np.uint64(32)).astype(np.uint32)
    return (ordered ^ np.where(ordered & _SIGN, _SIGN, _ALL_BITS)).view(np.float32)
