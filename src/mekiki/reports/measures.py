"""Estimates out of the JSON files of runs, and the sentences that say what a difference shows."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from mekiki.records import Estimate
from mekiki.reports.values import format_difference

MEASURES: Mapping[str, str] = {
    "micro_f1": "micro F1",
    "macro_f1": "macro F1",
    "macro_ap": "macro AP",
    "macro_pr_auc": "macro PR-AUC",
    "exact_match": "exact match",
    "accuracy": "accuracy",
}
"""What a model is compared by: its name in metrics files, and on a page."""


def estimate_of(content: Any, *path: str) -> Estimate | None:
    """Return the estimate that lies under these keys of a metrics file; None where there is none.

    Example:
        >>> estimate_of({"micro_f1": {"value": 0.9, "low": 0.8, "high": 1.0, "reliable": True}}, "micro_f1")
        Estimate(value=0.9, low=0.8, high=1.0, is_reliable=True)
        >>> estimate_of({"accuracy": None}, "accuracy") is None
        True
    """
    for key in path:
        content = content.get(key) if isinstance(content, Mapping) else None
    if not isinstance(content, Mapping) or not {"value", "low", "high", "reliable"} <= content.keys():
        return None
    return Estimate.from_json(content)


def name_of_measure(name: str) -> str:
    """Return how a page calls a measure: ``macro-f1`` and ``macro_f1`` are both macro F1."""
    plain = name.replace("-", "_")
    return MEASURES.get(plain, plain.replace("_", " "))


def what_is_shown(difference: Estimate | None, better: str, worse: str) -> str:
    """Return what a paired difference shows, as honestly as a sentence can: gain, loss, or nothing.

    Args:
        difference: With its interval; None where it was not measured.
        better: What is so if it lies above 0, such as "tuning gains".
        worse: What is so if it lies below 0.

    Example:
        >>> what_is_shown(Estimate(0.01, -0.02, 0.04), "tuning gains", "tuning loses")
        'no difference is shown: +0.010 (−0.020 to +0.040) contains 0'
        >>> what_is_shown(Estimate(0.03, 0.01, 0.05), "tuning gains", "tuning loses")
        'tuning gains: +0.030 (+0.010 to +0.050)'
    """
    if difference is None or not all(map(math.isfinite, (difference.value, difference.low, difference.high))):
        return "nothing could be measured"
    plain = Estimate(difference.value, difference.low, difference.high)
    if difference.low <= 0 <= difference.high:
        said = f"no difference is shown: {format_difference(plain)} contains 0"
    else:
        said = f"{better if difference.low > 0 else worse}: {format_difference(plain)}"
    return said if difference.is_reliable else f"{said}; it rests on too few independent groups to be believed"
