"""Scores that mean probabilities: temperature or isotonic calibration per class, and how far scores are from it.

N pictures, C classes. Scores are ``(N, C)`` in [0, 1]; truth is ``(N, C)`` int8, where -1 is masked and never counts.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import minimize_scalar
from scipy.special import expit, logit

from mekiki.metrics.arrays import check_scores

CLIP = 1e-7
"""Scores nearer than this to 0 or 1 are taken for this near: the logit of 0 and of 1 is infinite."""

SCORE_MARGIN = 1e-6
"""Scores nearer than this to 0 or 1 are taken for this near in log loss: a sure mistake would cost infinitely much."""

TEMPERATURES = (0.05, 20.0)
"""Range of a temperature. Where a class's scores separate it perfectly, log loss has no minimum above 0."""

Knots = tuple[tuple[float, ...], tuple[float, ...]]
"""Raw scores, rising, and the probability at each."""


def fit_temperatures(scores: NDArray[np.float32], truth: NDArray[np.int8]) -> NDArray[np.float64]:
    """Return the temperature per class with the lowest log loss of ``sigmoid(logit(score) / temperature)``.

    Above 1 the scores were too sure, below 1 not sure enough. The order of scores within a class stays as it is. Log
    loss is convex in ``1 / temperature``, so that the minimum over `TEMPERATURES` is found.

    Args:
        scores: ``(N, C)``.
        truth: ``(N, C)``.

    Returns:
        ``(C,)`` float64; 1 for a class without a present or without an absent cell, of which nothing can be learned.

    Raises:
        ValueError: If the shapes differ, or scores are outside [0, 1].

    Reference:
        Guo et al., 2017, https://arxiv.org/abs/1706.04599, section 4.2, applied to each class alone.
    """
    check_scores(scores, truth)
    fitted = np.ones(truth.shape[1])
    for column in range(truth.shape[1]):
        is_known = truth[:, column] >= 0
        signs = np.where(truth[is_known, column] == 1, 1.0, -1.0)
        if len(np.unique(signs)) < 2:
            continue
        margins = signs * logit(_clipped(scores[is_known, column]))

        def loss(log_temperature: float, margins: NDArray[np.float64] = margins) -> float:
            return float(np.logaddexp(0, -margins / np.exp(log_temperature)).mean())

        low, high = np.log(TEMPERATURES)
        fitted[column] = np.exp(minimize_scalar(loss, bounds=(low, high), method="bounded", options={"xatol": 1e-6}).x)
    return fitted


def apply_temperatures(scores: NDArray[np.float32], temperatures: ArrayLike) -> NDArray[np.float32]:
    """Return ``sigmoid(logit(score) / temperature)``; equal scores stay equal and none overtakes another.

    Args:
        scores: ``(N, C)``; N may be 0. Not changed.
        temperatures: ``(C,)``, above 0.

    Raises:
        ValueError: If the shapes do not belong together, or a temperature is not above 0.

    Example:
        >>> apply_temperatures(np.array([[0.5, 0.9]], np.float32), [2.0, 2.0])
        array([[0.5 , 0.75]], dtype=float32)
    """
    wanted = np.asarray(temperatures, np.float64)
    if scores.ndim != 2 or wanted.shape != scores.shape[1:]:
        raise ValueError(f"temperatures must have shape {scores.shape[1:]}, got {wanted.shape}")
    if not (np.isfinite(wanted) & (wanted > 0)).all():
        raise ValueError(f"temperatures must be above 0, got {wanted.tolist()}")
    return np.asarray(expit(logit(_clipped(scores)) / wanted), np.float32)


def fit_isotonic(scores: NDArray[np.float32], truth: NDArray[np.int8]) -> tuple[Knots, ...]:
    """Return, per class, the rising function of the score that is nearest to the truth in squares.

    It needs more pictures than a temperature (a thousand is not many), and makes unlike scores equal: AP and ROC-AUC
    may change.

    Args:
        scores: ``(N, C)``.
        truth: ``(N, C)``.

    Returns:
        C pairs of equally long tuples: scores, rising, and probabilities. The line from (0, 0) to (1, 1) for a class
        without a present or without an absent cell.

    Raises:
        ValueError: If the shapes differ, or scores are outside [0, 1].

    Reference:
        Zadrozny and Elkan, 2002, https://doi.org/10.1145/775047.775151, section 3.
    """
    from sklearn.isotonic import IsotonicRegression

    check_scores(scores, truth)
    fitted: list[Knots] = []
    for column in range(truth.shape[1]):
        is_known = truth[:, column] >= 0
        is_present = truth[is_known, column] == 1
        if not is_present.any() or is_present.all():
            fitted.append(((0.0, 1.0), (0.0, 1.0)))
            continue
        curve = IsotonicRegression(y_min=0.0, y_max=1.0).fit(
            scores[is_known, column].astype(np.float64), is_present.astype(np.float64)
        )
        fitted.append((tuple(curve.X_thresholds_.tolist()), tuple(curve.y_thresholds_.tolist())))
    return tuple(fitted)


def apply_isotonic(scores: NDArray[np.float32], knots: Sequence[Knots]) -> NDArray[np.float32]:
    """Return scores mapped class by class: linear between knots, flat outside them.

    Args:
        scores: ``(N, C)``; N may be 0. Not changed.
        knots: C pairs, as `fit_isotonic` gives them.

    Raises:
        ValueError: If there is not one pair per class, or a pair is no rising function.
    """
    if scores.ndim != 2 or len(knots) != scores.shape[1]:
        raise ValueError(f"knots must be one pair per column of scores {scores.shape}, got {len(knots)}")
    mapped = np.empty(scores.shape, np.float32)
    for column, (x, y) in enumerate(knots):
        if not x or len(x) != len(y) or (np.diff(x) <= 0).any() or (np.diff(y) < 0).any():
            raise ValueError(f"knots of column {column} must be two equally long rising tuples, got {x}, {y}")
        mapped[:, column] = np.interp(scores[:, column].astype(np.float64), x, y)
    return mapped


def calibration_error(scores: NDArray[np.float32], truth: NDArray[np.int8], n_bins: int = 15) -> float:
    """Return the expected calibration error over all known cells: how far scores are from shares, on average.

    Cells are put into bins of equal width by score; a bin's error is the distance of its mean score from its share of
    present cells, and bins count by their cells. A score on the border of two bins belongs to the upper one.

    Args:
        scores: ``(N, C)``.
        truth: ``(N, C)``.
        n_bins: At least 1.

    Returns:
        From 0 to 1; NaN where no cell is known.

    Raises:
        ValueError: If the shapes differ, scores are outside [0, 1], or ``n_bins`` is below 1.

    Reference:
        Guo et al., 2017, https://arxiv.org/abs/1706.04599, equation 3, with the score of "present" as the confidence.
    """
    check_scores(scores, truth)
    if n_bins < 1:
        raise ValueError(f"n_bins must be 1 or more, got {n_bins}")
    known, is_present = _known_cells(scores, truth)
    if not len(known):
        return float("nan")
    bins = np.minimum((known * n_bins).astype(np.int64), n_bins - 1)
    gaps = np.bincount(bins, known - is_present, minlength=n_bins)
    return float(np.abs(gaps).sum() / len(known))


def brier(scores: NDArray[np.float32], truth: NDArray[np.int8]) -> float:
    """Return the mean squared distance of score from truth over all known cells; NaN where none is known.

    Raises:
        ValueError: If the shapes differ, or scores are outside [0, 1].
    """
    check_scores(scores, truth)
    known, is_present = _known_cells(scores, truth)
    return float(np.square(known - is_present).mean()) if len(known) else float("nan")


def log_loss(scores: NDArray[np.float32], truth: NDArray[np.int8]) -> float | None:
    """Return the mean binary cross-entropy in nats over known cells, unweighted; None where none is known."""
    is_known = truth >= 0
    if not is_known.any():
        return None
    likelihood = np.where(truth == 1, scores, 1 - scores)[is_known].astype(np.float64)
    return float(-np.log(np.clip(likelihood, SCORE_MARGIN, 1)).mean())


def _known_cells(
    scores: NDArray[np.float32], truth: NDArray[np.int8]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    is_known = truth >= 0
    return scores[is_known].astype(np.float64), (truth[is_known] == 1).astype(np.float64)


def _clipped(scores: NDArray[np.float32]) -> NDArray[np.float64]:
    return np.clip(scores.astype(np.float64), CLIP, 1 - CLIP)
