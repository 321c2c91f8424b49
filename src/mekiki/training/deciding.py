"""How a model comes to decide: calibration and thresholds from scores, and how well they do on scores not seen.

N is the number of pictures, C of classes. Raw scores are ``(N, C)`` float32 in [0, 1] as a network gives them; truth
is ``(N, C)`` int8: 1 present, 0 absent, -1 masked; atoms ``(N,)`` int64.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from mekiki.errors import DataError
from mekiki.metrics.calibration import brier, calibration_error, fit_isotonic, fit_temperatures
from mekiki.metrics.classification import Metrics, Scored, compare, measure
from mekiki.metrics.folds import deal_folds
from mekiki.metrics.intervals import Resampling
from mekiki.metrics.per_million import per_million
from mekiki.metrics.thresholds import Tuned, TuneOptions, tune
from mekiki.training.card import Calibration, Decisions, ModelCard

CalibrationMethod = Literal["none", "temperature", "isotonic"]


GAINS = ("micro_f1", "macro_f1")
"""Metrics whose change by tuning is told."""


@dataclass(frozen=True, slots=True)
class DecisionPlan:
    """How to find a model's decisions.

    Attributes:
        options: What thresholds are to reach.
        calibrate: How scores become probabilities before thresholds are sought.
        n_folds: Of the cross-fitting.
        seed: Of the folds.
        source: Where the pictures come from: ``split`` (run id) and ``parts``; stands in the card.
    """

    options: TuneOptions
    calibrate: CalibrationMethod = "none"
    n_folds: int = 5
    seed: int = 0
    source: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Learned:
    """What was learned from some pictures' scores: the card with its calibration and thresholds, and how they came."""

    card: ModelCard
    tuned: Tuned


def learn(
    card: ModelCard,
    raw: NDArray[np.float32],
    truth: NDArray[np.int8],
    atoms: NDArray[np.int64],
    plan: DecisionPlan,
) -> Learned:
    """Calibrate raw scores, then search thresholds on what comes out.

    Args:
        card: Whose scores these are; a calibration and thresholds of its own are replaced.
        raw: ``(N, C)``.
        truth: ``(N, C)``.
        atoms: ``(N,)``.
        plan: What to reach and how.

    Raises:
        DataError: If no cell is present, or a class whose prevalence is given has no present or no absent cell.
    """
    _check_learnable(card.class_names, truth, plan.options)
    calibrated = card.model_copy(update={"calibration": fit_calibration(plan.calibrate, raw, truth)})
    tuned = tune(calibrated.finish(raw), truth, atoms, plan.options)
    thresholds = tuple(float(one) for one in tuned.thresholds)
    return Learned(calibrated.model_copy(update={"thresholds": thresholds}), tuned)


def _check_learnable(class_names: Sequence[str], truth: NDArray[np.int8], options: TuneOptions) -> None:
    if not (truth == 1).any():
        raise DataError(
            f"no class is present in any of {len(truth)} pictures to tune on, so no threshold follows: label more, or "
            "tune on another part with --part"
        )
    for column in options.prevalence or {}:
        for state, word in ((1, "present"), (0, "absent")):
            if not (truth[:, column] == state).any():
                raise DataError(
                    f"class {class_names[column]!r} is {word} in none of {len(truth)} pictures to tune on, so they "
                    "cannot be weighted to its prevalence: leave out its --prevalence, or label more"
                )


def fit_calibration(method: CalibrationMethod, raw: NDArray[np.float32], truth: NDArray[np.int8]) -> Calibration | None:
    """Return the calibration that fits raw scores to the truth; None for ``none``."""
    if method == "none":
        return None
    if method == "temperature":
        return Calibration(method=method, temperatures=tuple(fit_temperatures(raw, truth).tolist()))
    return Calibration(method=method, knots=fit_isotonic(raw, truth))


def cross_learn(
    card: ModelCard,
    raw: NDArray[np.float32],
    truth: NDArray[np.int8],
    atoms: NDArray[np.int64],
    plan: DecisionPlan,
) -> Scored:
    """Return what decisions learned in this way do on pictures that they were not learned from.

    Each fold of atoms is calibrated and decided by what `learn` finds in all the others, so that nothing of a picture,
    nor of what belongs to it, decides on itself.

    Raises:
        ValueError: If there are fewer atoms than folds.
        DataError: As `learn`, for the pictures of all folds but one.
    """
    scores, decisions = np.empty_like(raw), np.empty(raw.shape, np.bool_)
    folds = deal_folds(truth, atoms, plan.n_folds, plan.seed)
    quick = replace(plan, options=replace(plan.options, n_resamples=1))  # how sure a fold's thresholds are, nobody asks
    for fold in range(plan.n_folds):
        inside = folds == fold
        other = learn(card, raw[~inside], truth[~inside], atoms[~inside], quick).card
        scores[inside] = other.finish(raw[inside])
        decisions[inside] = other.decide(scores[inside])
    return Scored(scores, truth, decisions, atoms)


def untuned(card: ModelCard, raw: NDArray[np.float32], truth: NDArray[np.int8], atoms: NDArray[np.int64]) -> Scored:
    """Return what a model said before it was tuned: raw scores, decided at 0.5 or for the highest."""
    plain = card.model_copy(update={"thresholds": None, "calibration": None})
    return decided(plain, raw, truth, atoms)


def takes_highest(card: ModelCard) -> bool:
    """Return whether a model without thresholds says the class of the highest score, and not all from 0.5 up."""
    return card.activation == "softmax" and card.kind == "network"


def decided(card: ModelCard, raw: NDArray[np.float32], truth: NDArray[np.int8], atoms: NDArray[np.int64]) -> Scored:
    """Return what a model says of pictures: its scores finished, with its own decisions."""
    scores = card.finish(raw)
    return Scored(scores, truth, card.decide(scores), atoms)


def told_per_million(
    scored: Scored, class_names: Sequence[str], prevalence: Mapping[str, float], resampling: Resampling
) -> dict[str, Any]:
    """Return, by class, what decisions mean per million pictures where it has this prevalence, as plain JSON."""
    return {
        name: per_million(scored, class_names.index(name), share, resampling).to_json()
        for name, share in prevalence.items()
    }


def sum_up(metrics: Metrics) -> dict[str, Any]:
    """Return the figures of all classes together, without those of single classes, as plain JSON."""
    return {name: one.to_json() for name, one in metrics.totals.items()}


def _calibration_of(scores: NDArray[np.float32], truth: NDArray[np.int8]) -> dict[str, float]:
    return {"expected_error": round(calibration_error(scores, truth), 6), "brier": round(brier(scores, truth), 6)}


def tune_card(
    card: ModelCard,
    raw: NDArray[np.float32],
    truth: NDArray[np.int8],
    atoms: NDArray[np.int64],
    plan: DecisionPlan,
    resampling: Resampling,
) -> tuple[ModelCard, dict[str, Any]]:
    """Return a card with thresholds learned from all these pictures, and what is to be said of them.

    Returns:
        The card, and as plain JSON: ``thresholds`` and ``classes`` (facts) by class, ``joint``, metrics of its
        raw scores without thresholds (``half``, see `untuned`; ``untuned`` says how it decided), ``cross_fitted`` and
        ``in_sample``, ``calibration`` (expected calibration error and Brier score ``before``, and cross-fitted
        ``after``; None without), ``per_million`` (class whose prevalence is given to what cross-fitted decisions mean
        there, see `mekiki.metrics.per_million`), and ``gain_cross_fitted``, the paired change from the first to the
        second.

    Raises:
        ValueError: If there are fewer atoms than folds.
        DataError: As `learn`.
    """
    learned = learn(card, raw, truth, atoms, plan)
    half = untuned(card, raw, truth, atoms)
    honest = cross_learn(card, raw, truth, atoms, plan)
    names = card.class_names
    cross_fitted = measure(honest, names, resampling)
    classes = {name: dict(facts) for name, facts in zip(names, learned.tuned.facts, strict=True)}
    joint = float(learned.tuned.joint)
    prevalence = {names[column]: share for column, share in (plan.options.prevalence or {}).items()}
    facts = {
        **plan.source,
        "joint": joint,
        **({"prevalence": prevalence} if prevalence else {}),
        "classes": classes,
        "cross_fitted": sum_up(cross_fitted),
    }
    decisions = Decisions(objective=plan.options.objective, is_joint=not plan.options.per_class, facts=facts)
    content = {
        "objective": plan.options.objective,
        "is_joint": not plan.options.per_class,
        "calibrate": plan.calibrate,
        "calibration": None
        if plan.calibrate == "none"
        else {"before": _calibration_of(raw, truth), "after": _calibration_of(honest.scores, truth)},
        "thresholds": dict(zip(names, learned.card.thresholds or (), strict=True)),
        "classes": classes,
        "joint": joint,
        "untuned": "the highest score" if takes_highest(card) else "0.5",
        "half": measure(half, names, resampling).to_json(),
        "cross_fitted": cross_fitted.to_json(),
        "in_sample": measure(decided(learned.card, raw, truth, atoms), names, resampling).to_json(),
        "per_million": told_per_million(honest, names, prevalence, resampling),
        "gain_cross_fitted": {name: compare(half, honest, name, resampling).to_json() for name in GAINS},
    }
    return learned.card.model_copy(update={"decisions": decisions}), content
