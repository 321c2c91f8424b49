"""The worst mistakes, gates and log loss of planted decisions."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from mekiki.errors import UsageError
from mekiki.media.preprocessing import Preprocessing
from mekiki.metrics.calibration import log_loss
from mekiki.metrics.classification import Scored, measure
from mekiki.metrics.intervals import Resampling
from mekiki.training.card import Calibration, Decisions, ModelCard
from mekiki.training.deciding import decided, untuned
from mekiki.training.judging import (
    MAX_MISTAKES,
    Candidate,
    Question,
    check_metric,
    judge,
    refuse_gates,
    worst_mistakes,
)

NAMES = ("fox", "hare")
FAST = Resampling(100)


def card(**fields: Any) -> ModelCard:
    return ModelCard(**{"name": "a", "class_names": NAMES, "preprocessing": Preprocessing(), **fields})


def candidate(scores: NDArray[np.floating], truth: NDArray[np.int8], name: str = "a", **fields: Any) -> Candidate:
    made = card(**fields)
    scored = decided(made, scores.astype(np.float32), truth, np.arange(len(truth)))
    before = untuned(made, scored.scores, scored.truth, scored.atoms)
    return Candidate(name, f"id of {name}", made, {"test": scored, "val": scored}, {"test": before, "val": before})


def some(n: int = 60) -> tuple[NDArray[np.float64], NDArray[np.int8]]:
    truth = (np.random.default_rng(0).random((n, 2)) < 0.5).astype(np.int8)
    return np.where(truth == 1, 0.8, 0.2), truth


def test_no_mistakes_without_pictures() -> None:
    assert worst_mistakes(candidate(np.empty((0, 2)), np.empty((0, 2), np.int8)), "test") == []


def test_mistakes_are_ordered_by_how_far_on_the_wrong_side_they_are_of_each_threshold() -> None:
    truth = np.array([[1, 0], [1, 0], [1, 0], [-1, 1]], np.int8)
    scores = np.array([[0.1, 0.95], [0.19, 0.2], [0.9, 0.85], [0.0, 0.9]])

    found = worst_mistakes(candidate(scores, truth, thresholds=(0.2, 0.8)), "test")

    assert [(one.row, NAMES[one.column], one.kind) for one in found] == [
        (0, "hare", "false alarm"),  # 0.15 of the 0.2 that there are above its threshold
        (0, "fox", "missed"),  # 0.1 of the 0.2 below it
        (2, "hare", "false alarm"),
        (1, "fox", "missed"),
    ]
    assert [one.severity for one in found] == pytest.approx([0.75, 0.5, 0.25, 0.05], abs=1e-5)


def test_of_equal_mistakes_the_first_come_first_and_there_is_an_end_to_them() -> None:
    truth = np.ones((100, 2), np.int8)

    found = worst_mistakes(candidate(np.full((100, 2), 0.3), truth), "test")

    assert len(found) == MAX_MISTAKES
    assert [(one.row, one.column) for one in found[:4]] == [(0, 0), (0, 1), (1, 0), (1, 1)]


def test_log_loss_is_that_of_known_cells_and_never_infinite() -> None:
    truth = np.array([[1, -1], [0, 1]], np.int8)

    assert log_loss(np.array([[0.5, 0.0], [0.5, 0.25]], np.float32), truth) == pytest.approx(
        (2 * math.log(2) + math.log(4)) / 3
    )
    assert log_loss(np.array([[0.0, 0.0], [1.0, 0.0]], np.float32), truth) == pytest.approx(-math.log(1e-6))
    assert log_loss(np.zeros((1, 2), np.float32), np.full((1, 2), -1, np.int8)) is None


def test_a_gate_on_what_cannot_be_measured_does_not_pass() -> None:
    truth = np.zeros((60, 2), np.int8)
    one = candidate(np.full((60, 2), 0.1), truth)

    reasons = refuse_gates({"macro_ap": 0.1}, measure(one.parts["test"], NAMES, FAST))

    assert reasons == ["macro_ap could not be measured"]


def test_every_gate_must_pass_and_its_reason_is_told() -> None:
    one = candidate(*some())
    metrics = measure(one.parts["test"], NAMES, FAST)

    assert refuse_gates({"micro_f1": 0.5, "exact_match": 0.5}, metrics) == []
    assert len(refuse_gates({"micro_f1": 1.0, "exact_match": 1.0}, metrics)) == 2


def tuned_on(*parts: str, split: str = "split0", **facts: Any) -> Decisions:
    return Decisions(objective="macro-f1", is_joint=False, facts={"split": split, "parts": parts, **facts})


def choice_of(**fields: Any) -> dict[str, Any]:
    """Return by what figure a model is chosen on val."""
    scores, truth = some()
    verdict = judge(
        [candidate(scores, truth, **fields)], Question("split0", "test", "val", "micro_f1", None, FAST)
    ).content
    choice: dict[str, Any] = verdict["models"][0]["choice"]
    assert verdict["models"][0]["parts"]["val"]["micro_f1"]["value"] == 1
    return choice


HONEST = {"cross_fitted": {"micro_f1": {"value": 0.25}}}
SEARCHED = {"searched_on": [{"split": "split0", "part": "val"}]}


def ensemble_of(*members: ModelCard, **fields: Any) -> dict[str, Any]:
    shares = (1 / len(members),) * len(members)
    return {"kind": "ensemble", "preprocessing": None, "members": members, "weights": shares, **fields}


@pytest.mark.parametrize(
    ("fields", "choice"),
    [
        pytest.param({}, (1.0, False, []), id="plain"),
        pytest.param({"decisions": tuned_on("val", **HONEST)}, (0.25, True, []), id="tuned there"),
        pytest.param({"decisions": tuned_on("val", "dev", **HONEST)}, (0.25, True, []), id="tuned there and elsewhere"),
        pytest.param({"decisions": tuned_on("dev", **HONEST)}, (1.0, False, []), id="tuned elsewhere"),
        pytest.param({"decisions": tuned_on("val", split="other", **HONEST)}, (1.0, False, []), id="another split"),
        pytest.param({"decisions": tuned_on("val")}, (1.0, False, ["thresholds"]), id="nothing cross-fitted"),
        pytest.param(ensemble_of(card(), settings=SEARCHED, metrics=HONEST), (0.25, True, []), id="searched there"),
        pytest.param(ensemble_of(card(), settings=SEARCHED), (1.0, False, ["weights"]), id="search not cross-fitted"),
        pytest.param(
            ensemble_of(
                card(), settings=SEARCHED, metrics=HONEST, decisions=tuned_on("val", **HONEST), thresholds=(0.5, 0.5)
            ),
            (0.25, True, ["weights"]),
            id="searched and tuned there",
        ),
        pytest.param(
            ensemble_of(
                card(decisions=tuned_on("val"), calibration=Calibration(method="temperature", temperatures=(1.0, 1.0)))
            ),
            (1.0, False, ["members' calibration"]),
            id="a calibrated member",
        ),
        pytest.param(ensemble_of(card(decisions=tuned_on("val"))), (1.0, False, []), id="a tuned member"),
    ],
)
def test_a_model_is_chosen_by_a_figure_that_does_not_flatter_it_or_that_says_so(
    fields: dict[str, Any], choice: tuple[float, bool, list[str]]
) -> None:
    found = choice_of(**fields)

    assert (found["value"], found["is_cross_fitted"], found["flattered_by"]) == choice


def test_metric_names_are_checked() -> None:
    assert check_metric("macro_ap") == "macro_ap"
    with pytest.raises(UsageError, match=r"no metric is called 'macroap'\. Did you mean 'macro_ap'"):
        check_metric("macroap")


def test_of_equally_good_models_the_first_is_the_best() -> None:
    scores, truth = some()
    three = [candidate(scores, truth, name) for name in ("b", "a", "c")]

    verdict = judge(three, Question("split0", "test", "val", "micro_f1", None, FAST))

    assert (verdict.best_overall, verdict.content["best_single"]) == ("b", "b")
    assert [(one["first"], one["second"]) for one in verdict.content["comparisons"]] == [("b", "a"), ("b", "c")]
    assert all(one["difference"]["value"] == 0 for one in verdict.content["comparisons"])


def test_the_order_of_rows_changes_no_figure() -> None:
    scores, truth = some()
    scores[:20] = 1 - scores[:20]
    one = candidate(scores, truth)
    turned = replace(one, parts={part: _turned(scored) for part, scored in one.parts.items()})
    question = Question("split0", "test", "val", "micro_f1", None, FAST)

    assert (
        judge([turned], question).content["models"][0]["parts"] == judge([one], question).content["models"][0]["parts"]
    )


def _turned(scored: Scored) -> Scored:
    return Scored(scored.scores[::-1], scored.truth[::-1], scored.decisions[::-1], scored.atoms[::-1])
