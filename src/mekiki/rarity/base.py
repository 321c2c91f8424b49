"""What scorers of rarity look at, what they give, and how they are compared.

Letters: N things, D dimensions, C common classes, k neighbours. Every score is float32 in [0, 1] where 1 is the rarest
of the pile, and equal things share a score, so that the order of rows never matters.
"""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from mekiki.records import Scores
from mekiki.registry import Registry

Raw = NDArray[np.float64]
"""``(N,)``, larger is rarer; what a scorer computes before it is ranked."""


class Scorer(Protocol):
    """One idea of what is rare. Unless it says otherwise it looks at vectors alone, and at no neighbour."""

    name: str

    needs_vectors: bool = True
    needs_classes: bool = False
    needs_words: bool = False

    def n_neighbours(self, pile: Any) -> int:
        """Return how many nearest of all it wants to know of each thing, from the search that all share; 0: none."""
        return 0

    def n_class_neighbours(self, pile: Any) -> int:
        """Return how many nearest of the same class it wants to know of each thing, from that search; 0: none."""
        return 0

    def raw(self, pile: Any) -> Raw:
        """Return ``(N,)`` finite numbers, larger where something is rarer; see `mekiki.rarity.pile.Pile`."""
        ...


def rank_scale(raw: NDArray[np.floating[Any]]) -> Scores:
    """Map raw values to their rank in [0, 1], so that scorers can be compared.

    Equal values share their mean rank, so the order of rows never matters. One value alone is 0.5, no value gives none.

    Raises:
        ValueError: If ``raw`` is not ``(N,)`` or holds a NaN.

    Example:
        >>> rank_scale(np.array([5.0, 100.0, 7.0]))
        array([0. , 1. , 0.5], dtype=float32)
    """
    if raw.ndim != 1 or np.isnan(raw).any():
        raise ValueError(f"raw must be (N,) without NaN, got shape {raw.shape}")
    if len(raw) < 2:
        return np.full(len(raw), 0.5, np.float32)
    ranks: NDArray[np.float64] = rankdata(raw, method="average")
    return ((ranks - 1) / (len(raw) - 1)).astype(np.float32)


SCORERS: Registry[Scorer] = Registry(
    "scorer",
    {
        "knn": "mekiki.rarity.knn:KnnDistance",
        "isolation": "mekiki.rarity.isolation:Isolation",
        "lof": "mekiki.rarity.lof:LocalOutlierFactor",
        "class-lof": "mekiki.rarity.lof:ClassLocalOutlierFactor",
        "frequency": "mekiki.rarity.frequency:ClassFrequency",
        "map": "mekiki.rarity.map2d:MapDensity",
        "unlike-common": "mekiki.rarity.unlike:UnlikeCommon",
    },
)
"""Scorers by name."""
