"""Pictures of decisions that need no interval: precision over recall, ROC, and which class is taken for which."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

MAX_POINTS = 200


@dataclass(frozen=True, slots=True)
class Curve:
    """Precision over recall, from the highest threshold to the lowest; all empty where no picture has the class.

    Lines between its points, the first of which comes from recall 0 and precision 1, have the area ``pr_auc``.
    """

    recall: tuple[float, ...]
    precision: tuple[float, ...]
    threshold: tuple[float, ...]

    def to_json(self) -> dict[str, list[float]]:
        """Return it as files have it."""
        return {"recall": list(self.recall), "precision": list(self.precision), "threshold": list(self.threshold)}


@dataclass(frozen=True, slots=True)
class RocCurve:
    """Recall over the share of absent pictures that are decided, from (0, 0) to (1, 1); empty where it has no meaning.

    ``threshold`` is the score from which on that much is decided; at the first point, where nothing is, it is None.
    """

    false_alarm_rate: tuple[float, ...]
    recall: tuple[float, ...]
    threshold: tuple[float | None, ...]

    def to_json(self) -> dict[str, list[Any]]:
        """Return it as files have it."""
        return {
            "false_alarm_rate": list(self.false_alarm_rate),
            "recall": list(self.recall),
            "threshold": list(self.threshold),
        }


def trace_curve(scores: NDArray[np.float32], truth: NDArray[np.int8]) -> Curve:
    """Return precision and recall of one class at its thresholds.

    Points are scores that a present picture has, and those just above them, where precision has fallen as far as it
    does while recall stands still; the last is the lowest score of all. If there are more than `MAX_POINTS`, as many
    are kept, evenly by rank, the first and the last among them; the area is then near ``pr_auc``.

    Args:
        scores: ``(N,)``.
        truth: ``(N,)``, where -1 is masked.
    """
    limits, hits, alarms = _count_down(scores, truth)
    decided = hits + alarms
    gains = np.flatnonzero(np.diff(hits, prepend=0) > 0)
    if not len(gains):
        return Curve((), (), ())
    points = np.unique(np.concatenate([gains, gains[gains > 0] - 1, [len(hits) - 1]]))
    points = points[np.unique(np.linspace(0, len(points) - 1, min(len(points), MAX_POINTS)).round().astype(int))]
    return Curve(
        _rounded(hits[points] / hits[-1]),
        _rounded(hits[points] / decided[points]),
        _rounded(limits[points]),
    )


def trace_roc(scores: NDArray[np.float32], truth: NDArray[np.int8]) -> RocCurve:
    """Return recall and false alarm rate of one class at its thresholds; arguments as `trace_curve`.

    Where several thresholds lie on a straight line, only its ends are points. If there are still more than
    `MAX_POINTS`, as many are kept, evenly by rank. Empty for a class without present or without absent pictures.
    """
    limits, hits, alarms = _count_down(scores, truth)
    if not len(hits) or not hits[-1] or not alarms[-1]:
        return RocCurve((), (), ())
    steps = np.stack([np.diff(hits, prepend=0), np.diff(alarms, prepend=0)])
    turns = steps[0, :-1] * steps[1, 1:] != steps[1, :-1] * steps[0, 1:]
    points = np.flatnonzero(np.append(turns, True))
    points = points[np.unique(np.linspace(0, len(points) - 1, min(len(points), MAX_POINTS - 1)).round().astype(int))]
    return RocCurve(
        (0.0, *_rounded(alarms[points] / alarms[-1])),
        (0.0, *_rounded(hits[points] / hits[-1])),
        (None, *_rounded(limits[points])),
    )


def _count_down(
    scores: NDArray[np.float32], truth: NDArray[np.int8]
) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.int64]]:
    """Return the distinct scores, falling, and how many present and how many absent pictures have one as high."""
    is_known = truth >= 0
    order = np.argsort(-scores[is_known], kind="stable")
    ordered, is_present = scores[is_known][order], truth[is_known][order] == 1
    last = np.flatnonzero(np.append(np.diff(ordered) != 0, True)) if len(ordered) else order
    hits = np.cumsum(is_present)[last]
    return ordered[last].astype(np.float64), hits, last + 1 - hits


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
