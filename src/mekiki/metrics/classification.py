"""Metrics of multi-label decisions, each with its interval over atoms; masked cells never count.

N pictures, C classes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mekiki.errors import unknown_name
from mekiki.metrics.arrays import check_atoms, check_scores
from mekiki.metrics.counting import KINDS, CountFigures
from mekiki.metrics.curves import Curve, RocCurve, count_confusions, trace_curve, trace_roc
from mekiki.metrics.intervals import DEFAULT_RESAMPLING, Resampling, Statistic, Weights, estimate, number_atoms
from mekiki.metrics.ranking import MEANS, RANK_KINDS, RankFigures
from mekiki.metrics.reliability import Histogram, Reliability, calibration_errors, count_scores, reliability
from mekiki.records import UNKNOWN, Estimate

CLASS_KINDS = (*KINDS, *RANK_KINDS, "calibration_error")
TOTALS = (
    *(f"micro_{kind}" for kind in KINDS),
    *(f"macro_{kind}" for kind in KINDS),
    *(f"macro_{kind}" for kind in MEANS),
    *("exact_match", "accuracy", "calibration_error"),
)
"""Metrics of all classes together."""


@dataclass(frozen=True, slots=True)
class Scored:
    """What a model said of pictures and what is true; rows belong together.

    Raises:
        ValueError: If shapes do not belong together, scores are outside [0, 1], truth is none of 1, 0 and -1, or
            decisions are not bool.
    """

    scores: NDArray[np.float32]  # (N, C) in [0, 1]
    truth: NDArray[np.int8]  # (N, C) 1 present, 0 absent, -1 masked
    decisions: NDArray[np.bool_]  # (N, C)
    atoms: NDArray[np.int64]  # (N,) rows with the same number belong together

    def __post_init__(self) -> None:
        check_scores(self.scores, self.truth)
        check_atoms(self.atoms, len(self.truth))
        if self.decisions.shape != self.truth.shape or self.decisions.dtype != bool:
            raise ValueError(
                f"decisions must be bool of shape {self.truth.shape}, "
                f"got {self.decisions.dtype} of {self.decisions.shape}"
            )


@dataclass(frozen=True, slots=True)
class ClassMetrics:
    """One class: its figures, and how many pictures and atoms they rest on."""

    figures: Mapping[str, Estimate]  # `CLASS_KINDS`
    support_pos: int  # pictures with the class
    n_atoms_pos: int  # atoms with such a picture
    n_known: int  # pictures of which the class is known

    def to_json(self) -> dict[str, Any]:
        """Return it as files have it."""
        counts = {"support_pos": self.support_pos, "n_atoms_pos": self.n_atoms_pos, "n_known": self.n_known}
        return {**{name: one.to_json() for name, one in self.figures.items()}, **counts}


@dataclass(frozen=True, slots=True)
class Metrics:
    """What was measured of one model on one part.

    Attributes:
        n_items, n_atoms, n_positives: Pictures, atoms, present cells.
        totals: `TOTALS`; ``accuracy`` is missing unless each picture has exactly one present class and no masked one.
        per_class: In the order of the classes.
        unknown: ``precision``, ``recall``, ``f1`` of saying that no class is present, on pictures without masked cells.
        unknown_support: Pictures without masked cells of which all classes are absent.
        confusion: ``(C + 1, C + 1)``, see `mekiki.metrics.curves.count_confusions`.
        curves: Class to its precision over recall.
        roc_curves: Class to its recall over the false alarm rate.
        histograms: Class to its scores in pictures with and without it.
        calibration: Class to its scores against shares of present pictures, bin by bin.
    """

    n_items: int
    n_atoms: int
    n_positives: int
    totals: Mapping[str, Estimate]
    per_class: Mapping[str, ClassMetrics]
    unknown: Mapping[str, Estimate]
    unknown_support: int
    confusion: NDArray[np.int64]
    curves: Mapping[str, Curve]
    roc_curves: Mapping[str, RocCurve]
    histograms: Mapping[str, Histogram]
    calibration: Mapping[str, Reliability]

    def value(self, name: str, class_name: str | None = None) -> Estimate:
        """Return one figure: of all classes (``micro_f1``), of a class, or of the ``unknown`` row (``f1``).

        Raises:
            UsageError: If there is no such figure or class, with the nearest that there is.
        """
        if class_name is None:
            figures = self.totals
        elif class_name in self.per_class:
            figures = self.per_class[class_name].figures
        elif class_name == UNKNOWN:
            figures = self.unknown
        else:
            raise unknown_name("class", class_name, (*self.per_class, UNKNOWN))
        if name not in figures:
            raise unknown_name("metric", name, figures)
        return figures[name]

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values; the keys are stable, ``accuracy`` is None where it has no meaning."""
        return {
            "n_items": self.n_items,
            "n_atoms": self.n_atoms,
            "n_positives": self.n_positives,
            **{name: self.totals[name].to_json() if name in self.totals else None for name in TOTALS},
            "per_class": {name: one.to_json() for name, one in self.per_class.items()},
            "unknown": {
                **{name: one.to_json() for name, one in self.unknown.items()},
                "support_pos": self.unknown_support,
            },
            "confusion": self.confusion.tolist(),
            **{
                name: {class_name: one.to_json() for class_name, one in getattr(self, name).items()}
                for name in ("curves", "roc_curves", "histograms", "calibration")
            },
        }


def measure(scored: Scored, class_names: Sequence[str], resampling: Resampling = DEFAULT_RESAMPLING) -> Metrics:
    """Return all metrics of a model on one part.

    Precision, recall and F1 are 0 where they have no denominator; macro figures are means over all classes of which a
    cell is known, those without a present picture included (seed 1's rule, scikit-learn's ``zero_division=0``). AP,
    PR-AUC, ROC-AUC and precision at a recall (`mekiki.metrics.ranking`) are NaN for a class without a present or
    without an absent picture, which their means leave out. The order of rows changes nothing; without rows all figures
    are NaN.

    50,000 pictures with 7 classes and 2,000 draws take five seconds on an idle core, and 150 MB.

    Raises:
        ValueError: If there is not one name per class, or a name occurs twice.
    """
    n_classes = scored.truth.shape[1]
    if len(class_names) != n_classes or len(set(class_names)) != n_classes:
        raise ValueError(f"class_names must be {n_classes} different names, got {list(class_names)}")
    atoms, n_atoms = number_atoms(scored.atoms)
    found: dict[str, Estimate] = {}
    for figures in (_count(scored, atoms, n_atoms), _rank(scored, atoms, n_atoms)):
        found.update(zip(figures.names, estimate(figures, resampling), strict=True))
    *of_class, found["calibration_error"] = calibration_errors(scored.scores, scored.truth, atoms, n_atoms, resampling)
    found.update({f"calibration_error[{column}]": one for column, one in enumerate(of_class)})
    columns = dict(zip(class_names, zip(scored.scores.T, scored.truth.T, strict=True), strict=True))
    is_present, is_known = scored.truth == 1, scored.truth >= 0
    full = is_known.all(axis=1)
    is_single = bool(len(scored.truth)) and bool((full & (is_present.sum(axis=1) == 1)).all())
    return Metrics(
        n_items=len(scored.truth),
        n_atoms=n_atoms,
        n_positives=int(is_present.sum()),
        totals={name: found[name] for name in TOTALS if name != "accuracy" or is_single},
        per_class={
            name: ClassMetrics(
                {kind: found[f"{kind}[{column}]"] for kind in CLASS_KINDS},
                support_pos=int(is_present[:, column].sum()),
                n_atoms_pos=len(np.unique(atoms[is_present[:, column]])),
                n_known=int(is_known[:, column].sum()),
            )
            for column, name in enumerate(class_names)
        },
        unknown={kind: found[f"unknown_{kind}"] for kind in KINDS},
        unknown_support=int((full & ~is_present.any(axis=1)).sum()),
        confusion=count_confusions(scored.truth, scored.decisions),
        curves={name: trace_curve(*column) for name, column in columns.items()},
        roc_curves={name: trace_roc(*column) for name, column in columns.items()},
        histograms={name: count_scores(*column) for name, column in columns.items()},
        calibration={name: reliability(*column) for name, column in columns.items()},
    )


def compare(first: Scored, second: Scored, metric: str, resampling: Resampling = DEFAULT_RESAMPLING) -> Estimate:
    """Return how much higher a metric is for the second than for the first, on the same pictures.

    Both are measured on the same draws of atoms, so that what is hard for both does not widen the interval.

    Args:
        first: One model, or one way to decide.
        second: The other, with the same truth and atoms in the same order.
        metric: One of `TOTALS`, ``unknown_f1``, or of a class by its column: ``f1[0]``.
        resampling: Draws and level.

    Raises:
        ValueError: If the two do not speak of the same rows.
        UsageError: If there is no such metric.
    """
    if not np.array_equal(first.truth, second.truth) or not np.array_equal(first.atoms, second.atoms):
        raise ValueError(
            f"first and second must have the same truth and atoms, got {len(first.truth)} and {len(second.truth)} rows"
        )
    atoms, n_atoms = number_atoms(first.atoms)
    names: list[str] = []
    for build in (_count, _rank):
        sides = build(first, atoms, n_atoms), build(second, atoms, n_atoms)
        if metric in sides[0].names:
            return estimate(_Difference(*sides, sides[0].names.index(metric)), resampling, is_share=False)[0]
        names += sides[0].names
    raise unknown_name("metric", metric, names)


def _count(scored: Scored, atoms: NDArray[np.int64], n_atoms: int) -> CountFigures:
    return CountFigures(scored.scores, scored.truth, scored.decisions, atoms, n_atoms)


def _rank(scored: Scored, atoms: NDArray[np.int64], n_atoms: int) -> RankFigures:
    return RankFigures(scored.scores, scored.truth, atoms, n_atoms)


class _Difference:
    """One figure of two models, second minus first."""

    def __init__(self, first: Statistic, second: Statistic, figure: int) -> None:
        self._sides, self._figure = (first, second), figure
        self.n_atoms = first.n_atoms
        self.rests_on = np.minimum(first.rests_on, second.rests_on)[[figure]]
        self.n_chances = np.minimum(first.n_chances, second.n_chances)[[figure]]

    def __call__(self, weights: Weights) -> NDArray[np.float64]:
        before, after = (side(weights)[[self._figure]] for side in self._sides)
        return after - before
