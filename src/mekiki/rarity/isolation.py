"""Isolation forest: a thing is as rare as few random cuts part it from a random sample.

Reference: Liu, Ting and Zhou, 2008, https://doi.org/10.1109/ICDM.2008.17, equation 2; scikit-learn's implementation.
"""

from __future__ import annotations

import numpy as np
from sklearn.ensemble import IsolationForest

from mekiki.rarity.base import Raw, Scorer
from mekiki.rarity.pile import Pile


class Isolation(Scorer):
    """`Pile.n_trees` trees on samples of 256 things; the same seed and pile give the same trees, in whatever order."""

    name = "isolation"

    def raw(self, pile: Pile) -> Raw:
        """Return ``(N,)`` anomaly scores in (0, 1]."""
        vectors = pile.known_vectors
        if not vectors.size:
            return np.zeros(len(vectors))
        order = pile.distinct.rows  # samples are drawn by place, so places must not depend on the rows' order
        ordered = vectors[order]
        forest = IsolationForest(n_estimators=pile.n_trees, max_samples="auto", random_state=pile.seed, n_jobs=-1)
        raw = np.empty(len(vectors))
        raw[order] = -forest.fit(ordered).score_samples(ordered)
        return raw
