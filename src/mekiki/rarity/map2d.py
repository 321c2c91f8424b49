"""Thin places on a map: a thing is as rare as its 20 nearest on a two-dimensional map are far.

Seed 2's measure, except that a thing is not its own neighbour. What a map shows as thin depends on the method as much
as on the things: t-SNE evens out densities on purpose.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from mekiki.rarity.base import Raw, Scorer
from mekiki.rarity.maps import make_map
from mekiki.rarity.pile import Pile

N_NEIGHBOURS = 20


def map_distances(coordinates: NDArray[np.float32], k: int = N_NEIGHBOURS) -> NDArray[np.float64]:
    """Return ``(N,)`` mean distance to the k nearest others, fewer where there are fewer; 0 for one thing alone.

    Args:
        coordinates: ``(N, 2)`` float32, finite.
        k: At least 1.

    Example:
        >>> map_distances(np.array([[0, 0], [3, 4], [3, 4]], np.float32), k=2).tolist()
        [5.0, 2.5, 2.5]
    """
    k = min(k, len(coordinates) - 1)
    if k < 1:
        return np.zeros(len(coordinates))
    distances, _ = cKDTree(coordinates).query(coordinates, k + 1, workers=-1)
    # the first is the thing itself or a copy of it, both at 0; summed in float64 and in order, so that ties stay ties
    means: NDArray[np.float64] = distances[:, 1:].mean(axis=1)
    return means


class MapDensity(Scorer):
    """Mean distance to the 20 nearest on `Pile.coordinates`, or else on a map of the vectors."""

    name = "map"

    def raw(self, pile: Pile) -> Raw:
        """Return ``(N,)`` mean distances; equal vectors share the mean of theirs, wherever the map has put them."""
        vectors, found = pile.known_vectors, pile.distinct
        if len(vectors) < 2:
            return np.zeros(len(vectors))
        if pile.coordinates is None:
            coordinates = np.empty((len(vectors), 2), np.float32)
            coordinates[found.rows], _ = make_map(vectors[found.rows], pile.map_method, pile.seed)
        else:
            coordinates = pile.coordinates
        away = map_distances(coordinates)
        # added up in an order of values, so that the rows' order does not show in the last digit
        order = np.lexsort((away, found.number))
        sums = np.add.reduceat(away[order], found.starts)
        return (sums / found.counts)[found.number]
