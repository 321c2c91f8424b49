"""Rows that hold the same numbers, found once, in an order that depends on the numbers and not on where they stand.

Whatever is computed on distinct rows in this order and then handed back to all gives equal rows equal results, and the
same results whatever the order of the rows: rounding included.

N is the number of rows, U of distinct ones, D of dimensions.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mekiki.neighbours.tables import BLOCK_ROWS, RowNumbers, Vectors


@dataclass(frozen=True, slots=True)
class Distinct:
    """Which rows are equal.

    Attributes:
        rows: ``(N,)`` int64 all rows, equal ones together and in the order of their numbers.
        starts: ``(U,)`` int64 where each distinct one's rows begin in ``rows``.
        counts: ``(U,)`` int64 how many rows each has.
        number: ``(N,)`` int64 which distinct one each row is.
    """

    rows: RowNumbers
    starts: RowNumbers
    counts: RowNumbers
    number: RowNumbers

    @property
    def first(self) -> RowNumbers:
        """``(U,)`` the first row of each."""
        return self.rows[self.starts]


def find_distinct(vectors: Vectors, groups: RowNumbers | None = None) -> Distinct:
    """Return which rows are equal, sorted by group and then by their bytes; 0.0 and -0.0 are equal.

    Args:
        vectors: ``(N, D)`` float32. N may be 0.
        groups: ``(N,)`` int64; rows of two groups are never equal. None: all are of one.

    Example:
        >>> found = find_distinct(np.array([[1.0], [2.0], [1.0]], np.float32))
        >>> found.first.tolist(), found.counts.tolist(), found.number.tolist()
        ([1, 0], [1, 2], [1, 0, 1])
    """
    n, n_dims = vectors.shape
    groups = np.zeros(n, np.int64) if groups is None else groups
    if not n or not n_dims:
        order = np.argsort(groups, kind="stable")
        is_new = np.diff(groups[order], prepend=groups[order[:1]] - 1) != 0
    else:
        plain = np.ascontiguousarray(vectors, np.float32) + np.float32(0)  # -0.0 becomes 0.0
        contents = plain.view(np.dtype((np.void, 4 * n_dims))).ravel()
        order = np.argsort(contents, kind="stable")
        order = order[np.argsort(groups[order], kind="stable")]
        is_new = np.diff(groups[order], prepend=groups[order[:1]] - 1) != 0
        for first in range(1, n, BLOCK_ROWS):
            some = slice(first, first + BLOCK_ROWS)
            is_new[some] |= contents[order[some]] != contents[order[:-1][first - 1 : first - 1 + BLOCK_ROWS]]
    starts = np.flatnonzero(is_new)
    number = np.empty(n, np.int64)
    number[order] = np.cumsum(is_new) - 1
    return Distinct(order, starts, np.diff(starts, append=n), number)


def spread(
    found: Distinct, nearest: RowNumbers, distances: NDArray[np.float32], k: int
) -> tuple[RowNumbers, NDArray[np.float32]]:
    """Return every row's k nearest rows from the nearest distinct ones of the distinct ones.

    A row's copies come first, at distance 0, then all rows of its nearest distinct neighbour, and so on; rows that are
    equal stand in their order.

    Args:
        found: What is distinct.
        nearest: ``(U, m)`` distinct neighbours, nearest first; -1 where there are fewer.
        distances: ``(U, m)``, infinite where there is none.
        k: How many rows are wanted; m must be k, or all that there are.

    Returns:
        ``(N, k)`` int64 rows and float32 distances; -1 and infinity where there are fewer.
    """
    n_distinct, width = nearest.shape
    if n_distinct == len(found.rows):  # no copies: rows are only called otherwise
        places = nearest[found.number, :k]
        return np.where(places < 0, -1, found.first[places]), distances[found.number, :k]
    ones = np.arange(n_distinct)
    lists = np.column_stack([ones, nearest])
    away = np.column_stack([np.zeros(n_distinct, np.float32), distances])
    counts = np.where(lists < 0, 0, found.counts[lists])
    ends = np.cumsum(counts, axis=1)
    table = np.full((n_distinct, k + 1), -1, np.int64)
    table_away = np.full((n_distinct, k + 1), np.inf, np.float32)
    for slot in range(k + 1):  # the slot-th nearest row of a distinct one, itself included
        place = (ends <= slot).sum(axis=1)
        inside = np.flatnonzero(place <= width)
        place = place[inside]
        copy = slot - (ends[inside, place] - counts[inside, place])
        table[inside, slot] = found.rows[found.starts[lists[inside, place]] + copy]
        table_away[inside, slot] = away[inside, place]
    own = np.empty(len(found.rows), np.int64)
    own[found.rows] = np.arange(len(found.rows)) - np.repeat(found.starts, found.counts)
    slots = np.arange(k) + (np.arange(k) >= own[:, None])  # all but the row itself
    rows = found.number[:, None]
    return table[rows, slots], table_away[rows, slots]
