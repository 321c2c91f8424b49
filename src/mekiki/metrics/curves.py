"""Pictures of decisions that need no interval: precision over recall, and which class is taken for which."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

MAX_POINTS = 200


@dataclass(frozen=True, slots=True)
class Curve:
    """Precision over recall, from the highest threshold to the lowest; all empty where no picture has the class."""

    recall: tuple[float, ...]
    precision: tuple[float, ...]
    threshold: tuple[float, ...]

    def to_json(self) -> dict[str, list[float]]:
        """Return it as files have it."""
        return {"recall": list(self.recall), "precision": list(self.precision), "threshold": list(self.threshold)}


def trace_curve(scores: NDArray[np.float32], truth: NDArray[np.int8]) -> Curve:
    """Return precision and recall of one class at its thresholds.

    Only scores that a present picture has are points: between two of them recall stands still. If there are more than
    `MAX_POINTS`, as many are kept, evenly by rank, the first and the last among them.

    Args:
        scores: ``(N,)``.
        truth: ``(N,)``, where -1 is masked.
    """
    is_known = truth >= 0
    order = np.argsort(-scores[is_known], kind="stable")
    ordered, is_present = scores[is_known][order], truth[is_known][order] == 1
    last = np.flatnonzero(np.append(np.diff(ordered) != 0, True)) if len(ordered) else order
    hits, decided = np.cumsum(is_present)[last], last + 1
    points = np.flatnonzero(np.diff(hits, prepend=0) > 0)
    if not len(points):
        return Curve((), (), ())
    points = points[np.unique(np.linspace(0, len(points) - 1, min(len(points), MAX_POINTS)).round().astype(int))]
    return Curve(
        _rounded(hits[points] / hits[-1]),
        _rounded(hits[points] / decided[points]),
        _rounded(ordered[last[points]].astype(np.float64)),
    )


def count_confusions(truth: NDArray[np.int8], decisions: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return how often which class was taken for which: row what is true, column what was said, "nothing" last.

    A class that is present and found counts on the diagonal. In a picture with missed classes and false alarms, each
    pair of them counts once. A missed class without a false alarm beside it stands in the last column, a false alarm
    without a missed class in the last row, and a picture that is known to have no class, and was said to have none, in
    the corner. Masked cells do not count.

    Args:
        truth: ``(N, C)``.
        decisions: ``(N, C)``.

    Returns:
        ``(C + 1, C + 1)``.
    """
    is_present, is_absent = truth == 1, truth == 0
    missed, alarms = is_present & ~decisions, is_absent & decisions
    n_classes = truth.shape[1]
    table = np.zeros((n_classes + 1, n_classes + 1), np.int64)
    table[:-1, :-1] = missed.T.astype(np.int64) @ alarms.astype(np.int64)
    table[np.arange(n_classes), np.arange(n_classes)] = (is_present & decisions).sum(axis=0)
    table[:-1, -1] = missed[~alarms.any(axis=1)].sum(axis=0)
    table[-1, :-1] = alarms[~missed.any(axis=1)].sum(axis=0)
    table[-1, -1] = (is_absent & ~decisions).all(axis=1).sum()
    return table


def _rounded(numbers: NDArray[np.float64]) -> tuple[float, ...]:
    return tuple(np.round(numbers, 6).tolist())
