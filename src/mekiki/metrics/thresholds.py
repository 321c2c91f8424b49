"""Thresholds that are honest: searched over all distinct scores, promised at a bound, cross-fitted over atoms.

N pictures, C classes. Scores are ``(N, C)`` float32 in [0, 1], truth is ``(N, C)`` int8 where -1 is masked and never
counts, atoms are ``(N,)``. A class is decided where ``score >= threshold``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mekiki.metrics.arrays import check_atoms, check_scores
from mekiki.metrics.fitting import ThresholdFit
from mekiki.metrics.folds import deal_folds
from mekiki.metrics.intervals import Resampling, draw_atoms, number_atoms
from mekiki.metrics.objectives import Objective, TuneOptions

__all__ = ["Objective", "TuneOptions", "Tuned", "cross_fit", "tune"]


@dataclass(frozen=True, slots=True)
class Tuned:
    """Thresholds and how sure each is.

    Attributes:
        thresholds: ``(C,)`` float32, midway between the two scores that it divides; compare in float32, and write all
            digits.
        joint: The one threshold that is best for all cells together (micro-optimal), which rare classes use. With
            ``macro-f1`` and ``per_class=False`` the one that is best for the mean of F1 over classes.
        joint_facts: As ``facts``, of all cells together.
        facts: Per class:
            ``n_known``, ``n_positives``, ``n_atoms``: known cells, present cells, atoms with one;
            ``used_joint``: whether it was too rare for a threshold of its own (or none was asked for);
            ``threshold``, ``threshold_low``, ``threshold_high``: with its percentile interval over draws of atoms,
            stretched to hold it;
            ``value``: F1, precision, recall or mean cost per picture, on the data that was tuned on, so too good;
            ``precision``, ``recall``, ``f1``: likewise;
            ``promised``, ``at_least``, ``bound``, ``is_met``: what is promised (``recall``, ``precision``), how much of
            it, its one-sided lower bound, and whether the promise is made. All None where nothing is promised. Where
            ``is_met`` is False no promise is made: the threshold is the one that comes nearest. A bound above
            ``at_least`` does not suffice for ``is_met``, since it does not count the search.
    """

    thresholds: NDArray[np.float32]
    joint: float
    joint_facts: Mapping[str, Any]
    facts: tuple[Mapping[str, Any], ...]


def tune(scores: NDArray[np.float32], truth: NDArray[np.int8], atoms: NDArray[np.int64], options: TuneOptions) -> Tuned:
    """Return the thresholds that are best for an objective, over all that decide differently.

    A promise holds for each class that makes it: over many sets of atoms to tune on, recall (precision) on new pictures
    is below ``at_least`` in at most ``1 - level`` of them; `mekiki.metrics.promises` pays for the search, and
    `mekiki.metrics.bounds` for atoms. The order of rows changes nothing. Of thresholds that are equally good, the one
    nearest to 0.5 is taken.

    Raises:
        ValueError: If shapes do not belong together, a column of ``prevalence`` does not exist or has no present or no
            absent cell, or no cell at all is present.
    """
    numbers, n_atoms = _checked(scores, truth, atoms)
    fit = ThresholdFit(scores, truth, (numbers, n_atoms), options)
    joint, numbers_per_class = fit.choose()
    resampling = Resampling(options.n_resamples, options.seed, options.level)
    draws = []
    for weights in draw_atoms(n_atoms, resampling):
        for column in weights.T:
            drawn_joint, drawn = fit.choose(np.ascontiguousarray(column))
            draws.append([fit.joint_threshold(drawn_joint), *fit.thresholds(drawn_joint, drawn)])
    tail = (1 - options.level) / 2
    thresholds = np.array(fit.thresholds(joint, numbers_per_class), np.float32)
    ends = np.quantile(np.asarray(draws, np.float64), [tail, 1 - tail], axis=0, method="nearest").T.tolist()
    return Tuned(
        thresholds,
        fit.joint_threshold(joint),
        fit.describe(None, fit.joint_threshold(joint), ends[0]),
        tuple(fit.describe(column, float(one), ends[1 + column]) for column, one in enumerate(thresholds)),
    )


def cross_fit(
    scores: NDArray[np.float32],
    truth: NDArray[np.int8],
    atoms: NDArray[np.int64],
    options: TuneOptions,
    n_folds: int = 5,
    seed: int = 0,
) -> NDArray[np.bool_]:
    """Return ``(N, C)`` decisions, each row by thresholds that were tuned without its atom's fold.

    So the same pictures can tune and tell, without bias, what tuning is worth. Folds are those of
    `mekiki.metrics.folds.deal_folds`.

    Raises:
        ValueError: As `tune`, for the pictures of all folds but one; or if there are fewer atoms than folds.
    """
    _checked(scores, truth, atoms)
    folds = deal_folds(truth, atoms, n_folds, seed)
    decisions = np.zeros(truth.shape, bool)
    for fold in range(n_folds):
        others = folds != fold
        fit = ThresholdFit(scores[others], truth[others], number_atoms(atoms[others]), options)
        thresholds = np.array(fit.thresholds(*fit.choose()), np.float32)
        decisions[~others] = scores[~others] >= thresholds
    return decisions


def _checked(
    scores: NDArray[np.float32], truth: NDArray[np.int8], atoms: NDArray[np.int64]
) -> tuple[NDArray[np.int64], int]:
    check_scores(scores, truth)
    check_atoms(atoms, len(truth))
    if scores.dtype != np.float32:
        raise ValueError(f"scores must be float32, as thresholds are compared in it, got {scores.dtype}")
    return number_atoms(atoms)
