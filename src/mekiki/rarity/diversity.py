"""Not the same thing over and over: at most a few of each clump of near-copies, the rarest first."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from mekiki.neighbours.chains import cut_chains
from mekiki.neighbours.near_pairs import find_near_pairs
from mekiki.neighbours.tables import RowNumbers, Vectors

ALIKE = 0.95
"""Cosine from which on two things count as alike, as in seed 2."""


@dataclass(frozen=True, slots=True)
class Diverse:
    """What is left.

    Attributes:
        rows: Those that are kept, in the order in which they came.
        n_clusters: Clumps among all that came, lone things included.
        n_dropped: How many were too many of their clump.
    """

    rows: RowNumbers
    n_clusters: int
    n_dropped: int


def diversify(
    vectors: Vectors, rows_best_first: RowNumbers, at_most: int | None, cosine: float = ALIKE, seed: int = 0
) -> Diverse:
    """Keep at most some of each clump of things that are alike, the first of them.

    A clump is what lies within the angle of one centre, as `mekiki.neighbours.chains` cuts it: a long drift of
    pictures, each like the next, is several clumps and not one. Vectors of zeros, which have no direction, are one.

    Args:
        vectors: ``(N, D)`` float32 of the whole pile, of any lengths.
        rows_best_first: ``(n,)`` int64 rows of the pile, the ones to keep rather first.
        at_most: How many of a clump; None or 0 keeps all and looks at nothing.
        cosine: Above 0, up to 1.
        seed: For more than 20,000 rows, which are searched in cells; see `find_near_pairs`.

    Raises:
        ValueError: If ``at_most`` is below 0 or ``cosine`` is out of range.

    Example:
        >>> vectors = np.array([[1, 0], [1, 0.01], [0, 1], [1, 0.02]], np.float32)
        >>> diversify(vectors, np.array([3, 1, 2, 0]), at_most=1).rows.tolist()
        [3, 2]
    """
    if at_most is not None and at_most < 0:
        raise ValueError(f"at_most must be 0 or more, got {at_most}")
    if not at_most:
        return Diverse(rows_best_first, len(rows_best_first), 0)
    chosen = vectors[rows_best_first]
    near = find_near_pairs(chosen, cosine, seed=seed)
    groups = cut_chains(chosen, _connected(near.pairs, len(chosen)), cosine)
    groups[near.is_zero] = len(groups)
    order = np.argsort(groups, kind="stable")
    is_first = np.diff(groups[order], prepend=-1) != 0
    place = np.arange(len(order)) - np.flatnonzero(is_first)[np.cumsum(is_first) - 1]
    kept = np.sort(order[place < at_most])
    return Diverse(rows_best_first[kept], int(is_first.sum()), len(chosen) - len(kept))


def _connected(pairs: RowNumbers, n: int) -> RowNumbers:
    """Return ``(n,)`` the group of each row; pairs are of one group."""
    links = coo_array((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), shape=(n, n))
    groups: RowNumbers = connected_components(links, directed=False)[1].astype(np.int64)
    return groups
