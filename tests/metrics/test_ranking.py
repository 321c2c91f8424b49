"""Areas and precision at a recall: scikit-learn's values, what must hold for any scores, and weights as repetitions."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.metrics import auc, average_precision_score, precision_recall_curve, roc_auc_score

from clustered import make_clustered
from mekiki.metrics.classification import Scored, measure
from mekiki.metrics.curves import MAX_POINTS, trace_roc
from mekiki.metrics.intervals import Resampling
from mekiki.metrics.ranking import RANK_KINDS, RECALLS, RankFigures

FEW = Resampling(n_resamples=60)


def figures(scores: list[float] | NDArray[np.float32], truth: list[int] | NDArray[np.int8]) -> dict[str, float]:
    """Return the figures of one class, one picture per atom."""
    column = np.asarray(truth, np.int8)[:, None]
    statistic = RankFigures(np.asarray(scores, np.float32)[:, None], column, np.arange(len(column)), len(column))
    values = statistic(np.ones((len(column), 1)))[:, 0].tolist()
    return {name.removesuffix("[0]"): value for name, value in zip(statistic.names, values, strict=True)}


def random_class(seed: int, n_digits: int, n: int = 90) -> tuple[NDArray[np.float32], NDArray[np.int8]]:
    rng = np.random.default_rng(seed)
    truth = (rng.random(n) < 0.3).astype(np.int8)
    truth[:2] = (0, 1)
    return np.clip(rng.normal(0.4 + 0.2 * truth, 0.2), 0, 1).round(n_digits).astype(np.float32), truth


@pytest.mark.parametrize("n_digits", [0, 1, 7], ids=["two scores", "many ties", "no ties"])
@pytest.mark.parametrize("seed", range(5))
def test_areas_are_those_of_scikit_learn(seed: int, n_digits: int) -> None:
    scores, truth = random_class(seed, n_digits)

    found = figures(scores, truth)

    precision, recall, _ = precision_recall_curve(truth, scores)
    assert found["pr_auc"] == pytest.approx(auc(recall, precision), abs=1e-12)
    assert found["ap"] == pytest.approx(average_precision_score(truth, scores), abs=1e-12)
    assert found["roc_auc"] == pytest.approx(roc_auc_score(truth, scores), abs=1e-12)
    for name, wanted in RECALLS.items():
        assert found[name] == pytest.approx(precision[recall >= wanted - 1e-9].max(), abs=1e-12)


def test_perfect_scores_give_one() -> None:
    found = figures([0.9, 0.8, 0.3, 0.1], [1, 1, 0, 0])

    assert {name: found[name] for name in RANK_KINDS} == dict.fromkeys(RANK_KINDS, 1.0)


def test_equal_scores_give_what_guessing_gives() -> None:
    found = figures([0.5] * 10, [1, 1] + [0] * 8)

    assert found["ap"] == pytest.approx(0.2)
    assert found["roc_auc"] == pytest.approx(0.5)
    assert found["pr_auc"] == pytest.approx((1 + 0.2) / 2)  # the line from precision 1 at recall 0
    assert [found[name] for name in RECALLS] == pytest.approx([0.2] * 3)


@pytest.mark.parametrize("place", [1, 2, 5])
def test_one_positive_is_found_where_it_stands(place: int) -> None:
    truth = [int(number == place) for number in range(1, 7)]

    found = figures([1 - number / 10 for number in range(6)], truth)

    assert found["ap"] == pytest.approx(1 / place)
    assert [found[name] for name in RECALLS] == pytest.approx([1 / place] * 3)


@pytest.mark.parametrize("truth", [[1, 1, 1], [0, 0, 0], [-1, -1, -1], [1, -1, 1]], ids=str)
def test_a_class_of_one_kind_has_no_figures(truth: list[int]) -> None:
    assert all(math.isnan(value) for value in figures([0.1, 0.2, 0.3], truth).values())


def test_precision_at_recall_takes_a_threshold_that_finds_enough_and_not_the_nearest() -> None:
    # Recall 0.5 at precision 1, recall 1 at precision 0.5: nearest to 0.6 would be the first.
    scores, truth = [0.9, 0.8, 0.7, 0.6], [1, 0, 0, 1]

    found = figures(scores, truth)

    assert found["precision_at_recall_50"] == 1
    assert found["precision_at_recall_90"] == found["precision_at_recall_95"] == 0.5


def test_a_later_threshold_with_more_recall_may_have_more_precision() -> None:
    found = figures([0.9, 0.8, 0.7, 0.6, 0.5], [0, 1, 1, 1, 0])

    assert found["precision_at_recall_50"] == pytest.approx(3 / 4)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10_000), n_digits=st.sampled_from([1, 2, 6]))
def test_precision_falls_as_recall_is_asked_for_and_all_lie_between_0_and_1(seed: int, n_digits: int) -> None:
    found = figures(*random_class(seed, n_digits, 40))

    at = [found[name] for name in RECALLS]
    assert at == sorted(at, reverse=True)
    assert all(0 <= value <= 1 for value in found.values())


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), n_digits=st.sampled_from([1, 6]))
def test_an_atom_drawn_twice_counts_as_if_its_pictures_were_there_twice(seed: int, n_digits: int) -> None:
    scores, truth = random_class(seed, n_digits, 40)
    atoms = np.arange(40) // 2
    weights = np.random.default_rng(seed).integers(0, 3, 20)
    rows = np.repeat(np.arange(40), weights[atoms])
    statistic = RankFigures(scores[:, None], truth[:, None], atoms, 20)

    weighted = statistic(weights[:, None].astype(np.float64))[:, 0]

    repeated = list(figures(scores[rows], truth[rows]).values()) if len(rows) else [math.nan] * len(weighted)
    assert weighted == pytest.approx(repeated, abs=1e-12, nan_ok=True)


def test_intervals_hold_what_was_measured_and_means_are_of_classes_that_have_both() -> None:
    world = make_clustered(60, 0)
    truth = world.truth.copy()
    truth[:, 2] = 0

    found = measure(Scored(world.scores, truth, world.scores >= 0.5, world.atoms), ("a", "b", "c"), FEW)

    for name in ("a", "b"):
        for kind in RANK_KINDS:
            one = found.value(kind, name)
            assert 0 <= one.low <= one.value <= one.high <= 1
            assert one.low < one.high
    assert math.isnan(found.value("pr_auc", "c").value)
    mean = (found.value("pr_auc", "a").value + found.value("pr_auc", "b").value) / 2
    assert found.value("macro_pr_auc").value == pytest.approx(mean)


@pytest.mark.parametrize("n_digits", [1, 7])
def test_the_area_under_the_roc_curve_is_roc_auc(n_digits: int) -> None:
    scores, truth = random_class(3, n_digits)

    curve = trace_roc(scores, truth)

    assert (curve.false_alarm_rate[0], curve.recall[0], curve.threshold[0]) == (0, 0, None)
    assert (curve.false_alarm_rate[-1], curve.recall[-1]) == (1, 1)
    assert auc(curve.false_alarm_rate, curve.recall) == pytest.approx(roc_auc_score(truth, scores), abs=1e-5)


def test_a_long_roc_curve_is_thinned_and_one_without_positives_is_empty() -> None:
    scores, truth = random_class(0, 7, 5000)

    assert len(trace_roc(scores, truth).recall) == MAX_POINTS
    assert trace_roc(scores, np.zeros_like(truth)).recall == ()
    assert trace_roc(scores[:0], truth[:0]).to_json() == {"false_alarm_rate": [], "recall": [], "threshold": []}
