"""Models measured side by side: figures with intervals, what tuning gained, the best ones, the worst mistakes.

N is the number of pictures of a part, C of classes.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

from mekiki.errors import unknown_name
from mekiki.metrics.calibration import log_loss
from mekiki.metrics.classification import Metrics, Scored, compare, measure
from mekiki.metrics.intervals import Resampling
from mekiki.training.card import DEFAULT_THRESHOLD, ModelCard
from mekiki.training.deciding import GAINS, takes_highest, told_per_million
from mekiki.training.judging_heads import Head, compare_projections, describe_vectors
from mekiki.training.origins import Source, calibrated_on, searched_on, tuned_on
from mekiki.training.telling import describe, missed_gate

MAX_MISTAKES = 60

MetricName = Literal[
    "micro_f1",
    "macro_f1",
    "macro_ap",
    "macro_pr_auc",
    "macro_roc_auc",
    "micro_precision",
    "micro_recall",
    "macro_precision",
    "macro_recall",
    "exact_match",
    "accuracy",
]


@dataclass(frozen=True, slots=True)
class Candidate:
    """A model with what it says of the pictures of each part, and what it said before it was tuned."""

    name: str
    model_id: str
    card: ModelCard
    parts: Mapping[str, Scored]
    untuned: Mapping[str, Scored]

    def tuned_on(self, split_run_id: str) -> tuple[str, ...]:
        """Return the parts of a split that its thresholds were tuned on, in their order."""
        return tuple(part for run_id, part in tuned_on(self.card) if run_id == split_run_id)

    def flattered_by(self, split_run_id: str, part: str) -> list[str]:
        """Return what of it was found on a part of a split, where its figures flatter it therefore."""
        found = {"thresholds": tuned_on, "members' calibration": calibrated_on, "weights": searched_on}
        return [what for what, sources in found.items() if Source(split_run_id, part) in sources(self.card)]


@dataclass(frozen=True, slots=True)
class Question:
    """What is to be found out.

    Attributes:
        split_run_id: The split that the parts belong to.
        part: Where models are measured.
        choose_on: Where the best are chosen; None where there is nothing to choose.
        metric: By which they are chosen and compared.
        against: Name of the model that all are compared with; None takes the best single one.
        resampling: Of intervals.
    """

    split_run_id: str
    part: str
    choose_on: str | None
    metric: MetricName
    against: str | None
    resampling: Resampling


class Choice(NamedTuple):
    """The figure by which a model is chosen; None where there is nothing to choose, or nothing was measured.

    Attributes:
        value: The figure.
        is_cross_fitted: Whether it is of decisions that are not of their own pictures' making.
        flattered_by: What was found on the part where it is chosen, and is still in the figure.
    """

    value: float | None
    is_cross_fitted: bool = False
    flattered_by: tuple[str, ...] = ()


class Verdict(NamedTuple):
    """What came out: the content of ``metrics.json``, the measured figures, and the model one would use."""

    content: dict[str, Any]
    measured: Mapping[str, Mapping[str, Metrics]]
    best_overall: str


class Mistake(NamedTuple):
    """One wrong decision; ``severity`` in (0, 1] is how far on the wrong side the score is, as a share of that side."""

    row: int
    column: int
    kind: Literal["missed", "false alarm"]
    score: float
    threshold: float
    severity: float


def judge(candidates: Sequence[Candidate], question: Question) -> Verdict:
    """Measure models on all their parts, choose the best and compare them.

    Args:
        candidates: One or more, of the same classes, with the same parts.
        question: What is to be found out.
    """
    names = candidates[0].card.class_names
    measured = {
        one.name: {part: measure(scored, names, question.resampling) for part, scored in one.parts.items()}
        for one in candidates
    }
    choices = {one.name: _choice(one, measured[one.name], question) for one in candidates}
    singles = [one.name for one in candidates if one.card.kind == "network"]
    best_single = _best(singles, choices) if singles else None
    best_overall = _best([one.name for one in candidates], choices)
    base = question.against or best_single or best_overall
    by_name = {one.name: one for one in candidates}
    others = [name for name in by_name if name != base]
    content = {
        "split": question.split_run_id,
        "class_names": list(names),
        "parts": {part: len(scored.truth) for part, scored in candidates[0].parts.items()},
        "models": [_entry(one, measured[one.name], choices[one.name], question) for one in candidates],
        "best_single": best_single,
        "best_overall": best_overall,
        "chosen_on": {"part": question.choose_on, "metric": question.metric},
        "comparisons": [_comparison(by_name[base], by_name[name], question) for name in others],
        "projections": compare_projections(
            [Head(one.name, one.card, one.parts[question.part]) for one in candidates],
            question.part,
            question.resampling,
        ),
    }
    return Verdict(content, measured, best_overall)


def worst_mistakes(candidate: Candidate, part: str) -> list[Mistake]:
    """Return the wrong decisions on known cells that are furthest from right, at most `MAX_MISTAKES`.

    How far is the way from the threshold to the score, as a share of the way to the end of the scale, so that the two
    kinds compare; of equal ones the first picture's come first. Without thresholds, a softmax network's decision turns
    at the highest score of the other classes.
    """
    scored = candidate.parts[part]
    limits = _limits(candidate.card, scored.scores)
    is_missed, is_false_alarm = (scored.truth == 1) & ~scored.decisions, (scored.truth == 0) & scored.decisions
    gaps = np.abs(scored.scores - limits)
    reach = np.where(is_missed, limits, 1 - limits)
    severity = np.divide(gaps, reach, out=np.zeros_like(gaps), where=reach > 0)
    rows, columns = np.nonzero(is_missed | is_false_alarm)
    order = np.argsort(-severity[rows, columns], kind="stable")[:MAX_MISTAKES]
    return [
        Mistake(
            row,
            column,
            "missed" if is_missed[row, column] else "false alarm",
            float(scored.scores[row, column]),
            float(limits[row, column]),
            float(severity[row, column]),
        )
        for row, column in zip(rows[order].tolist(), columns[order].tolist(), strict=True)
    ]


def refuse_gates(gates: Mapping[str, float], metrics: Metrics) -> list[str]:
    """Return why figures do not pass gates; empty if they pass all.

    A gate passes if the lower end of the figure's interval lies above its value and is reliable. Whether figures of a
    model can pass at all is decided by `mekiki.catalog.exposure.refuse_gating`.
    """
    found = {name: metrics.value(name) for name in gates}
    return [reason for name, one in found.items() for reason in missed_gate(name, one, describe(one), gates[name])]


def check_metric(name: str) -> str:
    """Return a metric's name as it is.

    Raises:
        UsageError: If there is no such metric, with the nearest.
    """
    if name not in get_args(MetricName):
        raise unknown_name("metric", name, get_args(MetricName))
    return name


def _entry(one: Candidate, measured: Mapping[str, Metrics], choice: Choice, question: Question) -> dict[str, Any]:
    thresholds = one.card.thresholds or (DEFAULT_THRESHOLD,) * len(one.card.class_names)
    half, prevalence = None, {} if one.card.decisions is None else one.card.decisions.facts.get("prevalence", {})
    if one.card.thresholds is not None:
        half = {part: _half(one, part, question.resampling) for part in one.parts}
    return {
        "model_id": one.model_id,
        "name": one.name,
        "kind": one.card.kind,
        "arch": one.card.arch,
        "vectors": describe_vectors(one.card),
        "decides_by": "highest score" if one.card.thresholds is None and takes_highest(one.card) else "thresholds",
        "untuned": "the highest score" if takes_highest(one.card) else "0.5",
        "thresholds": dict(zip(one.card.class_names, thresholds, strict=True)),
        "objective": None if one.card.decisions is None else one.card.decisions.objective,
        "tuned_on": list(one.tuned_on(question.split_run_id)),
        "searched_on": [part for run_id, part in searched_on(one.card) if run_id == question.split_run_id],
        "flattered_by": one.flattered_by(question.split_run_id, question.part),
        "choice": {**choice._asdict(), "flattered_by": list(choice.flattered_by)},
        "parts": {part: metrics.to_json() for part, metrics in measured.items()},
        "loss": {part: log_loss(scored.scores, scored.truth) for part, scored in one.parts.items()},
        "half": half,
        "per_million": {
            part: told_per_million(scored, one.card.class_names, prevalence, question.resampling)
            for part, scored in one.parts.items()
        },
    }


def _half(one: Candidate, part: str, resampling: Resampling) -> dict[str, Any]:
    """Return the metrics of a model before it was tuned, and what its calibration and thresholds gain over that."""
    half = one.untuned[part]
    gain = {name: compare(half, one.parts[part], name, resampling).to_json() for name in GAINS}
    return {"metrics": measure(half, one.card.class_names, resampling).to_json(), "gain": gain}


def _choice(one: Candidate, measured: Mapping[str, Metrics], question: Question) -> Choice:
    """Return the figure by which a model is chosen.

    Thresholds flatter a model on a part that they were tuned on, and so do weights of an ensemble where they were
    searched. There its cross-fitted figure counts, which for thresholds is that of all parts they were tuned on
    together. Where none is known, or it leaves something in that was found there, the figure says so.
    """
    if question.choose_on is None:
        return Choice(None)
    flattered_by = one.flattered_by(question.split_run_id, question.choose_on)
    honest = None
    if "thresholds" in flattered_by and one.card.decisions is not None:
        cured, honest = "thresholds", one.card.decisions.facts.get("cross_fitted", {}).get(question.metric)
    elif "weights" in flattered_by and one.card.thresholds is None:
        cured, honest = "weights", (one.card.metrics.get("cross_fitted") or {}).get(question.metric)
    if honest is None:
        value = measured[question.choose_on].value(question.metric).to_json()["value"]
        return Choice(value, flattered_by=tuple(flattered_by))
    return Choice(honest["value"], True, tuple(one for one in flattered_by if one != cured))


def _best(names: Sequence[str], choices: Mapping[str, Choice]) -> str:
    """Return the name with the highest figure, of equal ones the first; there is one name or more."""
    values = {name: -math.inf if choices[name].value is None else float(choices[name].value or 0.0) for name in names}
    return max(names, key=lambda name: values[name])


def _comparison(first: Candidate, second: Candidate, question: Question) -> dict[str, Any]:
    part = question.part
    difference = compare(first.parts[part], second.parts[part], question.metric, question.resampling)
    return {
        "first": first.name,
        "second": second.name,
        "part": part,
        "metric": question.metric,
        "difference": difference.to_json(),
    }


def _limits(card: ModelCard, scores: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return ``(N, C)``: the score at which each decision turns."""
    if card.thresholds is None and takes_highest(card) and scores.shape[1] > 1:
        ordered = np.sort(scores.astype(np.float64), axis=1)
        is_top = np.arange(scores.shape[1]) == scores.argmax(axis=1)[:, None]
        return np.where(is_top, ordered[:, -2:-1], ordered[:, -1:])
    limits = card.thresholds or (DEFAULT_THRESHOLD,) * len(card.class_names)
    return np.broadcast_to(np.asarray(limits, np.float64), scores.shape)
