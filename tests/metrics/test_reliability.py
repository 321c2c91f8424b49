"""Calibration with intervals: the error that was planted, none where there is none, and bins that can be added up."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from mekiki.metrics.calibration import calibration_error
from mekiki.metrics.intervals import Resampling, number_atoms
from mekiki.metrics.reliability import N_BARS, N_BINS, bin_scores, calibration_errors, count_scores, reliability
from mekiki.records import Estimate

FEW = Resampling(n_resamples=200)

World = tuple[NDArray[np.float32], NDArray[np.int8], NDArray[np.int64]]


def world(n: int, excess: float, seed: int = 0, n_classes: int = 1) -> World:
    """Return scores that are too low by ``excess``, in atoms of about two pictures."""
    rng = np.random.default_rng(seed)
    scores = rng.beta(1, 2, (n, n_classes))
    truth = rng.random(scores.shape) < np.clip(scores + excess, 0, 1)
    return scores.astype(np.float32), truth.astype(np.int8), rng.integers(0, n // 2, n)


def errors(made: World, resampling: Resampling = FEW) -> list[Estimate]:
    return calibration_errors(made[0], made[1], *number_atoms(made[2]), resampling)


def test_the_error_of_all_cells_is_that_of_the_plain_function() -> None:
    scores, truth, atoms = world(500, 0.1, n_classes=3)
    truth[::7] = -1

    *by_class, together = errors((scores, truth, atoms))

    assert together.value == pytest.approx(calibration_error(scores, truth, N_BINS))
    for column, one in enumerate(by_class):
        expected = calibration_error(scores[:, column : column + 1], truth[:, column : column + 1], N_BINS)
        assert one.value == pytest.approx(expected)
        assert one.low <= one.value <= one.high


@pytest.mark.parametrize("excess", [0.0, 0.15])
def test_intervals_hold_the_planted_error(excess: float) -> None:
    true = errors(world(200_000, excess, 99), Resampling(1))[0].value

    held = 0
    for seed in range(30):
        one = errors(world(300, excess, seed), Resampling(100, seed))[0]
        held += one.low <= true <= one.high

    assert held >= 27
    assert (true < 0.01) == (excess == 0)


def test_perfect_sure_scores_have_no_error_and_wrong_ones_all() -> None:
    truth = np.array([[1], [0]] * 30, np.int8)
    atoms = np.arange(60)

    right, wrong = (errors((np.abs(flip - truth).astype(np.float32), truth, atoms))[0] for flip in (0, 1))

    assert (right.value, right.low) == (0, 0)
    assert (wrong.value, wrong.high) == (1, 1)


def test_nothing_known_is_nothing_measured() -> None:
    masked = errors((np.full((5, 1), 0.5, np.float32), np.full((5, 1), -1, np.int8), np.arange(5)))
    empty = errors((np.empty((0, 1), np.float32), np.empty((0, 1), np.int8), np.empty(0, np.int64)))

    assert all(math.isnan(one.value) and not one.is_reliable for one in (*masked, *empty))
    assert len(masked) == len(empty) == 2


def test_few_atoms_are_not_reliable() -> None:
    scores, truth, _ = world(200, 0.1)

    assert not errors((scores, truth, np.arange(200) % 19))[0].is_reliable
    assert errors((scores, truth, np.arange(200) % 20))[0].is_reliable


def test_bins_hold_every_known_picture_once() -> None:
    scores, truth, _ = world(400, 0.2)
    truth[:50] = -1

    bins = reliability(scores[:, 0], truth[:, 0])

    assert sum(bins.n) == 350
    known = [(n, share) for n, share in zip(bins.n, bins.present_share, strict=True) if n]
    assert sum(n * (share or 0) for n, share in known) == pytest.approx((truth == 1).sum(), abs=1e-3)
    assert all((share is None) == (n == 0) for n, share in zip(bins.n, bins.mean_score, strict=True))


def test_a_score_of_one_is_in_the_last_bin_and_one_on_a_border_in_the_upper() -> None:
    assert bin_scores(np.array([0, 0.25, 0.5, 1], np.float32), 4).tolist() == [0, 1, 2, 3]


def test_a_histogram_counts_each_side() -> None:
    counts = count_scores(np.array([0.0, 0.51, 0.52, 1.0, 0.3], np.float32), np.array([0, 1, 1, 1, -1], np.int8))

    assert len(counts.present) == len(counts.absent) == N_BARS
    assert (counts.absent[0], sum(counts.absent)) == (1, 1)
    assert (counts.present[10], counts.present[-1], sum(counts.present)) == (2, 1, 3)
