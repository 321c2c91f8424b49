"""Calibration: scores come to mean probabilities, and keep their order."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.isotonic import IsotonicRegression
from sklearn.metrics import brier_score_loss

from mekiki.metrics.calibration import (
    TEMPERATURES,
    apply_isotonic,
    apply_temperatures,
    brier,
    calibration_error,
    fit_isotonic,
    fit_temperatures,
)


def make_scores(temperatures: list[float], n: int = 4000) -> tuple[NDArray[np.float32], NDArray[np.int8]]:
    """Truth drawn from probabilities, and scores that are too sure of them by given temperatures."""
    rng = np.random.default_rng(0)
    logits = rng.normal(-1, 2, (n, len(temperatures)))
    truth = (rng.random(logits.shape) < 1 / (1 + np.exp(-logits))).astype(np.int8)
    return (1 / (1 + np.exp(-logits * np.array(temperatures)))).astype(np.float32), truth


class TestTemperatures:
    def test_what_was_planted_is_found(self) -> None:
        scores, truth = make_scores([3.0, 1.0, 0.5])

        assert fit_temperatures(scores, truth) == pytest.approx([3.0, 1.0, 0.5], rel=0.1)

    def test_scores_come_to_mean_probabilities(self) -> None:
        scores, truth = make_scores([3.0])

        after = apply_temperatures(scores, fit_temperatures(scores, truth))

        assert calibration_error(after, truth) < 0.02 < calibration_error(scores, truth)
        assert brier(after, truth) < brier(scores, truth)

    @settings(max_examples=30, deadline=None)
    @given(st.lists(st.floats(0, 1, width=32), min_size=1, max_size=20), st.floats(0.05, 20))
    def test_no_score_overtakes_another(self, column: list[float], temperature: float) -> None:
        scores = np.sort(np.array(column, np.float32))[:, None]

        mapped = apply_temperatures(scores, [temperature])

        assert (np.diff(mapped[:, 0]) >= 0).all()
        assert ((mapped >= 0) & (mapped <= 1)).all()

    def test_one_changes_nothing(self) -> None:
        scores, _ = make_scores([1.0])

        assert apply_temperatures(scores, [1.0]) == pytest.approx(scores, abs=1e-6)

    def test_a_class_of_which_nothing_can_be_learned_keeps_its_scores(self) -> None:
        scores, truth = make_scores([2.0, 2.0, 2.0])
        truth[:, 0], truth[:, 1], truth[:, 2] = 0, 1, -1

        assert fit_temperatures(scores, truth).tolist() == [1, 1, 1]

    def test_scores_that_separate_perfectly_have_a_bounded_temperature(self) -> None:
        scores = np.array([[0.4], [0.45], [0.55], [0.6]], np.float32)

        found = fit_temperatures(scores, np.array([[0], [0], [1], [1]], np.int8))

        assert found == pytest.approx([TEMPERATURES[0]], rel=1e-3)

    def test_no_rows_give_no_rows(self) -> None:
        assert apply_temperatures(np.zeros((0, 2), np.float32), [1.0, 2.0]).shape == (0, 2)

    @pytest.mark.parametrize("wrong", [[1.0], [0.0, 1.0], [np.nan, 1.0], [-1.0, 1.0]])
    def test_temperatures_that_cannot_be(self, wrong: list[float]) -> None:
        with pytest.raises(ValueError, match="temperatures must"):
            apply_temperatures(np.zeros((3, 2), np.float32), wrong)


class TestIsotonic:
    def test_it_is_what_scikit_learn_fits(self) -> None:
        scores, truth = make_scores([3.0], 500)
        theirs = IsotonicRegression(out_of_bounds="clip").fit(scores[:, 0].astype(float), truth[:, 0])

        ours = apply_isotonic(scores, fit_isotonic(scores, truth))

        assert ours[:, 0] == pytest.approx(theirs.predict(scores[:, 0].astype(float)), abs=1e-6)

    def test_knots_survive_a_trip_through_json(self) -> None:
        scores, truth = make_scores([3.0, 1.0], 500)
        knots = fit_isotonic(scores, truth)

        back = json.loads(json.dumps(knots))

        assert (apply_isotonic(scores, back) == apply_isotonic(scores, knots)).all()

    def test_outside_the_knots_it_is_flat(self) -> None:
        mapped = apply_isotonic(np.array([[0.0], [0.3], [1.0]], np.float32), [((0.2, 0.4), (0.1, 0.5))])

        assert mapped[:, 0] == pytest.approx([0.1, 0.3, 0.5])

    def test_a_class_of_which_nothing_can_be_learned_keeps_its_scores(self) -> None:
        scores, truth = make_scores([1.0], 50)

        assert (apply_isotonic(scores, fit_isotonic(scores, np.full_like(truth, -1))) == scores).all()

    @pytest.mark.parametrize(
        "knots",
        [
            pytest.param([], id="none"),
            pytest.param([((), ())], id="empty"),
            pytest.param([((0.0, 1.0), (0.0,))], id="unlike"),
            pytest.param([((1.0, 0.0), (0.0, 1.0))], id="falling scores"),
            pytest.param([((0.0, 1.0), (1.0, 0.0))], id="falling"),
        ],
    )
    def test_knots_that_cannot_be(self, knots: list[tuple[tuple[float, ...], tuple[float, ...]]]) -> None:
        with pytest.raises(ValueError, match="knots"):
            apply_isotonic(np.zeros((3, 1), np.float32), knots)


class TestErrors:
    def test_by_hand(self) -> None:
        scores = np.array([[0.1], [0.15], [0.9], [0.95], [0.5]], np.float32)
        truth = np.array([[0], [1], [1], [1], [-1]], np.int8)

        # Two bins: |0.25 - 1| and |1.85 - 2|, over four cells.
        assert calibration_error(scores, truth, n_bins=2) == pytest.approx((0.75 + 0.15) / 4)
        assert brier(scores, truth) == pytest.approx(brier_score_loss(truth[:4, 0], scores[:4, 0]))

    def test_scores_of_one_are_in_the_last_bin(self) -> None:
        assert calibration_error(np.ones((3, 1), np.float32), np.ones((3, 1), np.int8), n_bins=10) == 0

    def test_nothing_known_is_nothing_measured(self) -> None:
        scores, truth = np.zeros((2, 1), np.float32), np.full((2, 1), -1, np.int8)

        assert np.isnan([calibration_error(scores, truth), brier(scores, truth)]).all()

    def test_bins_that_cannot_be(self) -> None:
        with pytest.raises(ValueError, match="n_bins must be 1 or more, got 0"):
            calibration_error(np.zeros((2, 1), np.float32), np.zeros((2, 1), np.int8), n_bins=0)
