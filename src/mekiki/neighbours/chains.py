"""Chains of near vectors are cut into groups around a centre: every member is near the one vector it is grouped with.

Pairs connect A with B and B with C, though A and C may differ; a slow drift can connect half a data set so. Here a
group is a *centre* and what is near to it, so that no two of a group are further apart than twice the angle of a pair,
however many there are. The price: where a chain is cut, pairs that are near lie in two groups, and leak from a part of
a split into another. So this is for telling that a group is a chain, and for those who would rather have it cut.

Centres are found by the leader algorithm: vectors are taken in the order of their closeness to the mean of all that is
connected, and each goes to the nearest centre so far or becomes one. A clump that fits around its middle stays whole.

N is the number of vectors, D of dimensions.

Reference: Hartigan, 1975, Clustering Algorithms, chapter 3 (leader algorithm).
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from mekiki.neighbours.tables import ROUNDING, RowNumbers, UnitVectors, Vectors, VectorTable, to_unit_length

_BLOCK_ROWS = 4096


def cut_chains(vectors: VectorTable, groups: RowNumbers, min_cosine: float) -> RowNumbers:
    """Return groups in which every member is within an angle of its group's centre.

    Args:
        vectors: ``(N, D)`` float32 of any lengths.
        groups: ``(N,)`` int64 number of what each is connected with.
        min_cosine: Least cosine between a member and its centre, as of the pairs that connected them.

    Returns:
        ``(N,)`` int64: the smallest row among those in the same group. No group has members of two given ones; groups
        of one or two stay as they are.

    Raises:
        ValueError: If ``groups`` is not of the length of ``vectors``.

    Example:
        >>> angles = np.radians([0, 10, 20, 30])
        >>> vectors = np.column_stack([np.cos(angles), np.sin(angles)]).astype(np.float32)
        >>> cut_chains(vectors, np.zeros(4, np.int64), np.cos(np.radians(11))).tolist()
        [0, 0, 0, 3]
    """
    if groups.shape != vectors.shape[:1]:
        raise ValueError(f"groups must have shape {vectors.shape[:1]}, got {groups.shape}")
    unit = UnitVectors(vectors)
    cut = np.arange(len(groups))
    for rows in _members(groups):
        if len(rows) == 2:
            cut[rows] = rows[0]
            continue
        leaders = _lead(unit, rows, min(min_cosine, 1 - ROUNDING))
        _, first, number = np.unique(leaders, return_index=True, return_inverse=True)
        cut[rows] = rows[first][number]
    return cut


def _members(groups: RowNumbers) -> Iterator[RowNumbers]:
    """Yield the rows of each group of two or more, in order."""
    order = np.argsort(groups, kind="stable")
    ends = np.flatnonzero(np.diff(groups[order])) + 1
    for start, end in itertools.pairwise([0, *ends.tolist(), len(order)]):
        if end - start > 1:
            yield order[start:end]


def _lead(unit: UnitVectors, rows: RowNumbers, min_cosine: float) -> RowNumbers:
    """Return ``(len(rows),)`` the row of each row's centre."""
    blocks = [slice(first, first + _BLOCK_ROWS) for first in range(0, len(rows), _BLOCK_ROWS)]
    mean = to_unit_length(sum(unit[rows[block]].sum(axis=0, keepdims=True) for block in blocks))
    closeness = np.concatenate([unit[rows[block]] @ mean[0] for block in blocks])
    order = np.argsort(-closeness, kind="stable")
    leaders = np.empty(len(rows), np.int64)
    centre_rows: list[int] = []
    centres: list[Vectors] = []
    for block in blocks:
        places = order[block]
        vectors = unit[rows[places]]
        best, cosine = _nearest(vectors, centres)
        new_rows, new_centres = _lead_block(vectors, rows[places], cosine < min_cosine, min_cosine)
        among_new = vectors @ new_centres.T
        if len(new_rows):
            best_new, cosine_new = among_new.argmax(axis=1), among_new.max(axis=1)
            is_nearer = cosine_new > cosine
            best = np.where(is_nearer, best_new + len(centre_rows), best)
        centre_rows += new_rows
        centres += [new_centres] * bool(len(new_rows))
        leaders[places] = np.array(centre_rows)[best]
    return leaders


def _nearest(vectors: Vectors, centres: list[Vectors]) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Return the number and the cosine of each vector's nearest centre; -1 and -2 where there is none yet."""
    best, cosine = np.full(len(vectors), -1), np.full(len(vectors), -2, np.float32)
    n_before = 0
    for some in centres:
        products = vectors @ some.T
        nearest = products.argmax(axis=1)
        highest = products[np.arange(len(vectors)), nearest]
        is_nearer = highest > cosine
        best[is_nearer], cosine[is_nearer] = nearest[is_nearer] + n_before, highest[is_nearer]
        n_before += len(some)
    return best, cosine


def _lead_block(
    vectors: Vectors, rows: RowNumbers, is_open: NDArray[np.bool_], min_cosine: float
) -> tuple[list[int], Vectors]:
    """Return the rows and vectors of the centres that those without one make among themselves, one after the other."""
    chosen: list[int] = []
    waiting = np.flatnonzero(is_open)
    while len(waiting):
        centre = waiting[0]
        chosen.append(int(centre))
        is_far = vectors[waiting] @ vectors[centre] < min_cosine
        is_far[0] = False
        waiting = waiting[is_far]
    return rows[chosen].tolist(), vectors[chosen]
