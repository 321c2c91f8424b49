"""The early filter: which crops are worth a closer look, by the names that a detector gave them.

Crops whose class has a keyword in its name and, where these are few, some of the others, as in
https://github.com/mm1129/concept_based_rare_detector_2025 (``detect_outliers_single_folder.py``).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mekiki.records import Tally

SEED2 = "seed2"
SEED2_KEYWORDS = (
    *("construction", "bicycle", "motorcycle", "trailer", "truck"),
    *("bulldozer", "excavator", "forklift", "cement", "roller"),
)
"""What the word ``seed2`` stands for among keywords."""


def early_filter(
    class_names: Sequence[str],
    keywords: Sequence[str],
    lots: Sequence[Any],
    top_up_below: float = 0.3,
    top_up_share: float = 0.1,
) -> tuple[NDArray[np.bool_], Tally]:
    """Return which of N crops go on, and the counts.

    Those whose class has a keyword in its name. If these are less than ``top_up_below`` of all, also
    ``min(n_others, int(top_up_share * N))`` of the others, those with the smallest lots.

    Args:
        class_names: N names, as the detector spells them. Upper and lower case are one, and so are blank, ``-``, ``_``.
        keywords: Parts of names; ``seed2`` stands for `SEED2_KEYWORDS`. None at all turns the filter off.
        lots: N values that can be compared, what each crop has drawn; of equal ones the first is smaller.
        top_up_below: Share in [0, 1] of all below which others are added; 0 adds none.
        top_up_share: Of all, in [0, 1]: how many are added.

    Returns:
        ``(N,)``, True where a crop goes on, and what came in and was kept.

    Raises:
        ValueError: If a share is outside [0, 1], or a keyword is empty.

    Example:
        >>> keep, tally = early_filter(["car", "truck", "car"], ["truck"], lots=[2, 3, 1])
        >>> keep.tolist(), tally.n_dropped
        ([False, True, False], 2)
    """
    if not (0 <= top_up_below <= 1 and 0 <= top_up_share <= 1):
        raise ValueError(f"top_up_below and top_up_share must lie in [0, 1], got {top_up_below} and {top_up_share}")
    n = len(class_names)
    words = _spelled_out(keywords)
    if not words:
        return np.ones(n, np.bool_), Tally("early filter", "crops", n, n)
    names = {name: _plain(name) for name in set(class_names)}
    has_word = {name for name, plain in names.items() if any(word in plain for word in words)}
    keep = np.array([name in has_word for name in class_names], np.bool_)
    n_with_word = int(keep.sum())
    others = np.flatnonzero(~keep)
    n_added = min(len(others), int(top_up_share * n)) if n_with_word < top_up_below * n else 0
    keep[sorted(others.tolist(), key=lambda row: lots[row])[:n_added]] = True
    n_kept = n_with_word + n_added
    added = f", and {n_added:,} others by chance" if n_added else ""
    return keep, Tally("early filter", "crops", n, n_kept, n - n_kept, why=f"{n_with_word:,} have a keyword{added}")


def _spelled_out(keywords: Sequence[str]) -> list[str]:
    """Return keywords as they are compared, each once."""
    listed = [word for given in keywords for word in (SEED2_KEYWORDS if given == SEED2 else (given,))]
    plain = [_plain(word) for word in listed]
    if "" in plain:
        raise ValueError("a keyword is empty, and would be part of every name")
    return list(dict.fromkeys(plain))


def _plain(name: str) -> str:
    return name.strip().casefold().replace(" ", "_").replace("-", "_")
