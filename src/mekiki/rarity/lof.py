"""Local outlier factor: a thing is as rare as it lies more thinly than its neighbours do.

Breunig et al., 2000, https://doi.org/10.1145/342009.335388, definitions 3 to 7, from exactly k neighbours, and equal to
scikit-learn's to rounding. Where more than k things are copies of each other, their reachability is 0 and their density
infinite: as in scikit-learn it is 1e10 instead, so copies among themselves have the factor 1, and what lies just beside
such a clump has a huge one.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mekiki.neighbours.tables import RowNumbers
from mekiki.rarity.base import Raw, Scorer
from mekiki.rarity.pile import Pile

N_NEIGHBOURS = 20
MIN_CLASS = 10
"""A class of fewer things is too small to have thin and dense places of its own."""

_LEAST_REACH = 1e-10


def local_outlier_factors(rows: RowNumbers, distances: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return ``(N,)`` factors: about 1 where a thing lies as densely as its neighbours, more where it is lonelier.

    Args:
        rows: ``(N, k)`` the nearest of each thing, itself left out.
        distances: ``(N, k)`` ascending. k may be 0: then every factor is 1.

    Example:
        >>> rows, distances = np.array([[1], [0], [1]]), np.array([[1.0], [1.0], [3.0]], np.float32)
        >>> local_outlier_factors(rows, distances).round(6).tolist()
        [1.0, 1.0, 3.0]
    """
    if not rows.size:
        return np.ones(len(rows))
    n, k = rows.shape
    reach_of = distances[:, -1]
    sums = np.zeros(n)
    for place in range(k):  # column by column: no (N, k) copies
        sums += np.maximum(distances[:, place], reach_of[rows[:, place]])
    density = 1 / (sums / k + _LEAST_REACH)
    factors = np.zeros(n)
    for place in range(k):
        factors += density[rows[:, place]]
    mean: NDArray[np.float64] = factors / k / density
    return mean


class LocalOutlierFactor(Scorer):
    """Factors among all things, from 20 neighbours."""

    name = "lof"

    def n_neighbours(self, pile: Pile) -> int:
        """Return 20."""
        return N_NEIGHBOURS

    def raw(self, pile: Pile) -> Raw:
        """Return ``(N,)`` factors."""
        graph = pile.graph(N_NEIGHBOURS)
        return local_outlier_factors(graph.rows[:, :N_NEIGHBOURS], graph.distances[:, :N_NEIGHBOURS])


def class_neighbours(n: int) -> int:
    """Return how many neighbours are looked at in a class of n things: a tenth, from 5 to 50.

    Example:
        >>> [class_neighbours(n) for n in (10, 99, 100, 9000)]
        [5, 9, 10, 50]
    """
    return min(50, max(5, n // 10))


class ClassLocalOutlierFactor(Scorer):
    """Factors among the things of the same class; in a class of fewer than 10, those among all things."""

    name = "class-lof"
    needs_classes = True

    def n_neighbours(self, pile: Pile) -> int:
        """Return 20, for the small classes; 0 where there are none."""
        sizes = np.bincount(pile.classes)
        return N_NEIGHBOURS if (sizes[sizes > 0] < MIN_CLASS).any() else 0

    def n_class_neighbours(self, pile: Pile) -> int:
        """Return what the largest class needs; 0 where all are small."""
        largest = int(np.bincount(pile.classes, minlength=1).max())
        return class_neighbours(largest) if largest >= MIN_CLASS else 0

    def raw(self, pile: Pile) -> Raw:
        """Return ``(N,)`` factors."""
        graph = pile.graph(self.n_neighbours(pile), self.n_class_neighbours(pile))
        sizes = np.bincount(pile.classes)
        factors = np.ones(len(pile))
        if (sizes[pile.classes] < MIN_CLASS).any():
            of_all = local_outlier_factors(graph.rows[:, :N_NEIGHBOURS], graph.distances[:, :N_NEIGHBOURS])
            is_small = sizes[pile.classes] < MIN_CLASS
            factors[is_small] = of_all[is_small]
        own_number = np.empty(len(pile), np.int64)
        for number in np.flatnonzero(sizes >= MIN_CLASS).tolist():
            members = np.flatnonzero(pile.classes == number)
            own_number[members] = np.arange(len(members))
            k = class_neighbours(len(members))
            rows, distances = graph.group_rows[members, :k], graph.group_distances[members, :k]
            factors[members] = local_outlier_factors(own_number[rows], distances)
        return factors
