"""Unlike what is common: a thing is as rare as its picture is far from the words for all common classes.

Zero-shot: pictures and words must be of one space, such as CLIP's.
"""

from __future__ import annotations

import numpy as np

from mekiki.neighbours.tables import to_unit_length
from mekiki.rarity.base import Raw, Scorer
from mekiki.rarity.pile import Pile


class UnlikeCommon(Scorer):
    """One minus the largest cosine to any of `Pile.common`."""

    name = "unlike-common"
    needs_words = True

    def raw(self, pile: Pile) -> Raw:
        """Return ``(N,)`` numbers in [0, 2]; a vector of zeros has 1."""
        vectors, common = pile.known_vectors, pile.common
        if common is None or common.ndim != 2 or not len(common) or common.shape[1] != vectors.shape[1]:
            shape = None if common is None else common.shape
            raise ValueError(f"common must be (C, {vectors.shape[1]}) with C at least 1, got {shape}")
        of_distinct = to_unit_length(vectors[pile.distinct.first]) @ to_unit_length(common).T
        # a product's last digit depends on its place in the matrix, so equal vectors must be multiplied once
        raw: Raw = 1 - of_distinct.max(axis=1, initial=-1)[pile.distinct.number].astype(np.float64)
        return raw
