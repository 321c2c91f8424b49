"""Which concepts a described thing fits, and whether it is rare after all.

Letters: N things, C concepts, D dimensions. A concept's score is a weighted mean of two cosines: of the concept's words
with those of the description, and of the concept's words with the picture. The weight is fixed, or follows how well
description and picture agree. Cosines are in [-1, 1].

Departures from the system that this is taken from: names are compared in their plain form, so that ``traffic light``
and ``traffic_light`` are one, and a thing that fits no concept at all is judged by the name of its class.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mekiki.neighbours.tables import to_unit_length
from mekiki.rarity.class_names import holds_phrase, plain_name, plain_names

Cosines = NDArray[np.float64]

ABOUT_EQUAL = 0.05
"""Two best concepts nearer than this are both named."""

LEAST_TEXT, MOST_TEXT = 0.1, 0.8
"""Between these an adaptive weight of the text stays."""


def cosines(rows: NDArray[np.floating[Any]], columns: NDArray[np.floating[Any]]) -> Cosines:
    """Return the cosine of every row with every column's vector; 0 where one of the two is all zeros.

    Args:
        rows: ``(N, D)``, of any length.
        columns: ``(C, D)``.

    Returns:
        ``(N, C)``.

    Raises:
        ValueError: If they differ in D.

    Example:
        >>> cosines(np.array([[3.0, 4.0], [0.0, 0.0]]), np.array([[2.0, 0.0]])).tolist()
        [[0.6], [0.0]]
    """
    if rows.ndim != 2 or columns.ndim != 2 or rows.shape[1] != columns.shape[1]:
        raise ValueError(f"vectors must be (N, D) and (C, D), got {rows.shape} and {columns.shape}")
    left, right = (to_unit_length(one.astype(np.float64)) for one in (rows, columns))
    return np.clip(left @ right.T, -1.0, 1.0)


def adaptive_weights(agreement: Cosines) -> Cosines:
    """Return how much the text counts, ``clip(0.2 + 0.6 q, 0.1, 0.8)`` with ``q = clip((a + 0.2) / 0.7, 0, 1)``.

    Args:
        agreement: ``(N,)`` cosine ``a`` of each picture with its own description.

    Returns:
        ``(N,)`` in [0.2, 0.8].

    Example:
        >>> adaptive_weights(np.array([-1.0, 0.15, 0.5])).round(6).tolist()
        [0.2, 0.5, 0.8]
    """
    quality = np.clip((agreement + 0.2) / 0.7, 0.0, 1.0)
    return np.clip(0.2 + 0.6 * quality, LEAST_TEXT, MOST_TEXT)


def concept_scores(text_text: Cosines, image_text: Cosines, weight_text: Cosines) -> Cosines:
    """Return ``w * text_text + (1 - w) * image_text``.

    Args:
        text_text: ``(N, C)`` cosines of descriptions with concepts.
        image_text: ``(N, C)`` cosines of pictures with concepts; what a row without a picture holds does not matter.
        weight_text: ``(N,)`` in [0, 1]; 1 for those without a picture.

    Raises:
        ValueError: If shapes differ, or a weight lies outside.
    """
    if text_text.shape != image_text.shape or weight_text.shape != text_text.shape[:1]:
        raise ValueError(f"shapes differ: {text_text.shape}, {image_text.shape}, {weight_text.shape}")
    if len(weight_text) and not (weight_text.min() >= 0 and weight_text.max() <= 1):
        raise ValueError(f"weights must lie in [0, 1], got {weight_text.min()} to {weight_text.max()}")
    weight = weight_text[:, None]
    return weight * text_text + (1 - weight) * image_text


def rank_concepts(names: Sequence[str], scores: Cosines) -> dict[str, float]:
    """Return the concepts with a score of 0 or more, best first; equal ones stay in the order of the list.

    Args:
        names: C different ones.
        scores: ``(C,)``.

    Example:
        >>> rank_concepts(["car", "bus", "cow"], np.array([0.2, -0.1, 0.4]))
        {'cow': 0.4, 'car': 0.2}
    """
    order = np.argsort(-scores, kind="stable")
    return {names[place]: float(scores[place]) for place in order.tolist() if scores[place] >= 0}


def name_top(ranked: Mapping[str, float]) -> str:
    """Return the best concept, or the two best joined by `` or `` where less than 0.05 lies between them.

    None gives an empty text.

    Example:
        >>> name_top({"cow": 0.40, "horse": 0.37, "car": 0.36}), name_top({"cow": 0.4, "car": 0.3}), name_top({})
        ('cow or horse', 'cow', '')
    """
    best = list(ranked.items())[:2]
    is_close = len(best) == 2 and best[0][1] - best[1][1] < ABOUT_EQUAL
    return " or ".join(name for name, _ in best[: 2 if is_close else 1])


def is_uncommon(name: str, common: Sequence[str]) -> bool:
    """Return whether a name is none of the common ones, however they are written.

    An empty name, of a thing of which nothing is known, is none of them.

    Example:
        >>> is_uncommon("Traffic Light", ["traffic_light"]), is_uncommon("cow", ["car"])
        (False, True)
    """
    return plain_name(name) not in plain_names(common)


def has_keyword(name: str, keywords: Sequence[str]) -> bool:
    """Return whether a class name holds one of some words, as a whole word.

    Example:
        >>> has_keyword("construction_vehicle", ["truck", "construction"]), has_keyword("carpet", ["car"])
        (True, False)
    """
    return any(holds_phrase(name, word) for word in keywords)
