"""One model out of several: combining scores, and the weights that suit a validation part.

M models, N pictures, C classes. Scores of the members are ``(M, N, C)`` in [0, 1]; truth is ``(N, C)`` int8, where -1
is masked and never counts.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mekiki.metrics.arrays import check_scores
from mekiki.metrics.counting import CountFigures
from mekiki.metrics.folds import deal_folds
from mekiki.metrics.ranking import RankFigures

SUM_TOLERANCE = 1e-6

STEPS = (0.5, 0.25, 0.1, 0.05, 0.02, 0.01)
"""How much weight the search moves from one member to another, from coarse to fine."""

N_RANDOM_STARTS = 4
"""Random weights from which the search starts, beside the plain mean and each member alone."""

DECIDED_AT = np.float32(0.5)

Objective = Literal["micro-f1", "macro-f1", "macro-ap"]


def combine(scores: ArrayLike, weights: ArrayLike) -> NDArray[np.float32]:
    """Return the weighted mean of the members' scores.

    Args:
        scores: ``(M, N, C)``, M at least 1; N may be 0.
        weights: ``(M,)``, from 0 up, adding up to 1.

    Returns:
        ``(N, C)`` float32; the sum is taken in float64.

    Raises:
        ValueError: If the shapes do not belong together, a weight is negative, or they do not add up to 1.

    Example:
        >>> combine(np.array([[[0.2, 1.0]], [[0.6, 0.0]]], np.float32), [0.75, 0.25])
        array([[0.3 , 0.75]], dtype=float32)
    """
    members, shares = np.asarray(scores), np.asarray(weights, np.float64)
    if members.ndim != 3 or not len(members):
        raise ValueError(f"scores must have shape (M, N, C) with M at least 1, got {members.shape}")
    if shares.shape != (len(members),):
        raise ValueError(f"weights must have shape ({len(members)},), got {shares.shape}")
    if not (shares >= 0).all() or abs(shares.sum() - 1) > SUM_TOLERANCE:
        raise ValueError(f"weights must be 0 or more and add up to 1, got {shares.tolist()}")
    total = np.zeros(members.shape[1:])
    for member, share in zip(members, shares, strict=True):
        total += share * member
    return np.clip(total, 0, 1).astype(np.float32)


def search_weights(
    scores: NDArray[np.float32], truth: NDArray[np.int8], objective: Objective, seed: int = 0
) -> NDArray[np.float64]:
    """Return member weights with a high objective, never lower than that of the plain mean or of any member alone.

    A climb from the plain mean, from each member alone and from a few random weights: weight is moved from one member
    to another as long as that helps, in ever smaller steps. The objective is measured on the same pictures, so it comes
    out too good; give it a validation part, and report another.

    Args:
        scores: ``(M, N, C)``.
        truth: ``(N, C)``.
        objective: ``micro-f1`` or ``macro-f1`` of decisions at 0.5, or ``macro-ap``, which needs no threshold and suits
            an ensemble that will be tuned.
        seed: Of the random starts.

    Returns:
        ``(M,)`` float64 adding up to 1. Of equally good weights those that were found first: the plain mean before
        others.

    Raises:
        ValueError: If shapes do not belong together, the objective does not exist, or nothing is present.
    """
    value = _valuation(scores, truth, objective)
    n = len(scores)
    rng = np.random.default_rng(seed)
    starts = [np.full(n, 1 / n), *np.eye(n), *rng.dirichlet(np.ones(n), N_RANDOM_STARTS)]
    best: NDArray[np.float64] = starts[0]
    highest = -np.inf
    for start in starts:
        weights, reached = _climb(start, value)
        if reached > highest:
            best, highest = weights, reached
    return best


def select_greedily(
    scores: NDArray[np.float32], truth: NDArray[np.int8], objective: Objective, n_steps: int = 50
) -> NDArray[np.float64]:
    """Return member weights by greedy selection with replacement: how often each was chosen.

    Begins with the best member; each step adds the member with which the mean is best. Kept is the shortest selection
    with the highest objective, so that no member alone is better.

    Args:
        scores: ``(M, N, C)``.
        truth: ``(N, C)``.
        objective: See `search_weights`.
        n_steps: Members to add, at least 1. A weight is a multiple of one over the number of those kept.

    Returns:
        ``(M,)`` float64 adding up to 1. Of equally good members the first is taken.

    Raises:
        ValueError: As `search_weights`, or if ``n_steps`` is below 1.

    Reference:
        Caruana et al., 2004, https://doi.org/10.1145/1015330.1015432, sections 2 and 2.1.
    """
    value = _valuation(scores, truth, objective)
    if n_steps < 1:
        raise ValueError(f"n_steps must be 1 or more, got {n_steps}")
    counts = np.zeros(len(scores))
    best: NDArray[np.float64] = counts
    highest = -np.inf
    for step in range(1, n_steps + 1):
        candidates = [(counts + one) / step for one in np.eye(len(scores))]
        values = [value(candidate) for candidate in candidates]
        chosen = int(np.argmax(values))
        counts[chosen] += 1
        if values[chosen] > highest:
            best, highest = candidates[chosen], values[chosen]
    return best


def cross_combine(
    scores: NDArray[np.float32],
    truth: NDArray[np.int8],
    atoms: NDArray[np.int64],
    find: Callable[[NDArray[np.float32], NDArray[np.int8]], NDArray[np.float64]],
    n_folds: int = 5,
) -> NDArray[np.float32]:
    """Return ``(N, C)`` scores, each row combined by weights that were found without its atom's fold.

    So the same pictures can find weights and tell, without bias, what finding them so is worth.

    Args:
        scores: ``(M, N, C)``.
        truth: ``(N, C)``.
        atoms: ``(N,)``.
        find: Scores and truth of some rows to weights ``(M,)``, such as `search_weights`.
        n_folds: Of `mekiki.metrics.folds.deal_folds`.

    Raises:
        ValueError: As ``find``, for the rows of all folds but one; or if there are fewer atoms than folds.
    """
    combined = np.empty(truth.shape, np.float32)
    folds = deal_folds(truth, atoms, n_folds)
    for fold in range(n_folds):
        inside = folds == fold
        combined[inside] = combine(scores[:, inside], find(scores[:, ~inside], truth[~inside]))
    return combined


Valuation = Callable[[NDArray[np.float64]], float]


def _valuation(scores: NDArray[np.float32], truth: NDArray[np.int8], objective: Objective) -> Valuation:
    """Return the function from weights to the objective."""
    if scores.ndim != 3 or not len(scores):
        raise ValueError(f"scores must have shape (M, N, C) with M at least 1, got {scores.shape}")
    for member in scores:
        check_scores(member, truth)
    if objective not in get_args(Objective):
        raise ValueError(f"objective must be one of {', '.join(get_args(Objective))}, got {objective!r}")
    if not (truth == 1).any():
        raise ValueError(f"truth of {truth.shape} has no present cell, so that there is nothing to search on")
    together, one = np.zeros(len(truth), np.int64), np.ones((1, 1))

    def value(weights: NDArray[np.float64]) -> float:
        combined = combine(scores, weights)
        figures: CountFigures | RankFigures
        if objective == "macro-ap":
            figures = RankFigures(combined, truth, together, 1)
        else:
            figures = CountFigures(combined, truth, combined >= DECIDED_AT, together, 1)
        return float(figures(one)[figures.names.index(objective.replace("-", "_")), 0])

    return value


def _climb(weights: NDArray[np.float64], value: Valuation) -> tuple[NDArray[np.float64], float]:
    """Return weights from which no single move of weight helps, and their value."""
    reached = value(weights)
    for step in STEPS:
        improved = True
        while improved:
            improved = False
            for giver in range(len(weights)):
                for taker in range(len(weights)):
                    moved = min(step, weights[giver])
                    if giver == taker or moved <= 0:
                        continue
                    candidate = weights.copy()
                    candidate[[giver, taker]] += [-moved, moved]
                    if (gained := value(candidate)) > reached:
                        weights, reached, improved = candidate, gained, True
    return weights, reached
