"""Class frequency: a thing is as rare as its class is, among the things that were observed.

Seed 2's score: 10 for a class of fewer than 5 things, 5 for one of fewer than 20, and 5 more, once, for a class whose
name contains a keyword. A few values for the whole pile, so most things share theirs.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from mekiki.rarity.base import Raw, Scorer
from mekiki.rarity.class_names import plain_name
from mekiki.rarity.pile import KEYWORDS, Pile

VERY_FEW, FEW = 5, 20
"""Classes of fewer things than these count as rare."""


def frequency_points(class_names: Sequence[str], keywords: Sequence[str] = KEYWORDS) -> dict[str, int]:
    """Return class to points: 0, 5, 10 or 15.

    Args:
        class_names: Of every thing; spaces, hyphens and case do not count.
        keywords: What a name must contain to be raised, as part of a word too: ``truck`` raises ``firetruck``.

    Example:
        >>> names = ["car"] * 100 + ["person"] * 60 + ["truck"] * 30 + ["bicycle"] * 3
        >>> frequency_points(names)
        {'car': 0, 'person': 0, 'truck': 5, 'bicycle': 15}
    """
    folded = [plain_name(keyword) for keyword in keywords]
    counts = Counter(plain_name(name) for name in class_names)
    return {name: _points(plain_name(name), counts[plain_name(name)], folded) for name in dict.fromkeys(class_names)}


def _points(name: str, count: int, keywords: Sequence[str]) -> int:
    by_count = 10 if count < VERY_FEW else 5 if count < FEW else 0
    return by_count + 5 * any(keyword in name for keyword in keywords)


class ClassFrequency(Scorer):
    """Points of each thing's class; see `frequency_points`."""

    name = "frequency"
    needs_vectors = False
    needs_classes = True

    def raw(self, pile: Pile) -> Raw:
        """Return ``(N,)`` points from 0 to 15."""
        points = frequency_points(pile.known_names, pile.keywords)
        return np.array([points[name] for name in pile.known_names], np.float64)
