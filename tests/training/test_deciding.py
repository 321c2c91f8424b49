"""Calibration and thresholds that are learned: what is not used changes nothing, no fold decides on itself."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import numpy as np
import pytest
from numpy.typing import NDArray

from mekiki.errors import DataError
from mekiki.media.preprocessing import Preprocessing
from mekiki.metrics.folds import deal_folds
from mekiki.metrics.thresholds import TuneOptions, cross_fit
from mekiki.training.card import ModelCard
from mekiki.training.deciding import DecisionPlan, cross_learn, learn, untuned

CARD = ModelCard(name="a", class_names=("fox", "hare"), preprocessing=Preprocessing())
PLAN = DecisionPlan(TuneOptions(n_resamples=1))
Scores, Truth, Atoms = NDArray[np.float32], NDArray[np.int8], NDArray[np.int64]


@pytest.fixture
def planted() -> tuple[Scores, Truth, Atoms]:
    rng = np.random.default_rng(0)
    truth = np.repeat(rng.random((100, 2)) < 0.4, 2, axis=0).astype(np.int8)
    raw = np.clip(np.where(truth == 1, 0.6, 0.4) + rng.normal(0, 0.15, truth.shape), 0, 1)
    return raw.astype(np.float32), truth, np.arange(200) // 2


def test_without_calibration_it_is_plain_cross_fitting(planted: tuple[Scores, Truth, Atoms]) -> None:
    raw, truth, atoms = planted

    found = cross_learn(CARD, raw, truth, atoms, PLAN)

    np.testing.assert_array_equal(found.scores, raw)
    np.testing.assert_array_equal(found.decisions, cross_fit(raw, truth, atoms, PLAN.options, PLAN.n_folds, PLAN.seed))


@pytest.mark.parametrize("method", ["temperature", "isotonic"])
def test_the_calibration_of_a_fold_knows_nothing_of_its_truth(
    method: Literal["temperature", "isotonic"], planted: tuple[Scores, Truth, Atoms]
) -> None:
    raw, truth, atoms = planted
    plan = replace(PLAN, calibrate=method)
    inside = deal_folds(truth, atoms, plan.n_folds, plan.seed) == 0

    found = cross_learn(CARD, raw, truth, atoms, plan)

    other = learn(CARD, raw[~inside], truth[~inside], atoms[~inside], plan).card
    np.testing.assert_array_equal(found.scores[inside], other.finish(raw[inside]))
    np.testing.assert_array_equal(found.decisions[inside], other.decide(other.finish(raw[inside])))
    everything = learn(CARD, raw, truth, atoms, plan).card
    assert not np.array_equal(found.scores, everything.finish(raw))


def test_what_the_card_decided_before_does_not_matter(planted: tuple[Scores, Truth, Atoms]) -> None:
    raw, truth, atoms = planted
    before = learn(CARD, raw, truth, atoms, replace(PLAN, calibrate="temperature")).card

    assert learn(before, raw, truth, atoms, PLAN).card == learn(CARD, raw, truth, atoms, PLAN).card


def test_untuned_decisions_are_those_at_half_or_of_the_highest_score() -> None:
    raw = np.array([[0.45, 0.3], [0.6, 0.7]], np.float32)
    truth, atoms = np.zeros((2, 2), np.int8), np.arange(2)
    tuned = CARD.model_copy(update={"thresholds": (0.1, 0.1)})

    plain = untuned(tuned, raw, truth, atoms)
    softmax = tuned.model_copy(update={"activation": "softmax"})

    assert plain.decisions.tolist() == [[False, False], [True, True]]
    assert untuned(softmax, raw, truth, atoms).decisions.tolist() == [[True, False], [False, True]]


def test_a_fold_without_anything_to_learn_from_is_refused() -> None:
    truth = np.zeros((20, 2), np.int8)
    truth[0, 0] = 1  # in one group only: without its fold nothing is present

    with pytest.raises(DataError, match="no class is present in any of 16 pictures"):
        cross_learn(CARD, np.full((20, 2), 0.5, np.float32), truth, np.arange(20), PLAN)
