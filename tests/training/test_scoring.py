"""Measures to steer by: as scikit-learn counts them, over known cells."""

from __future__ import annotations

import math

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, f1_score

from mekiki.training.scoring import f1_scores, macro_average_precision


@pytest.mark.parametrize("seed", range(5))
def test_without_masks_they_are_scikit_learns(seed: int) -> None:
    generator = np.random.default_rng(seed)
    truth = generator.integers(0, 2, (40, 4)).astype(np.int8)
    scores = generator.random((40, 4)).astype(np.float32)
    decided = scores >= 0.5

    micro, macro = f1_scores(decided, truth)

    assert micro == pytest.approx(f1_score(truth, decided, average="micro", zero_division=0))
    assert macro == pytest.approx(f1_score(truth, decided, average="macro", zero_division=0))
    assert macro_average_precision(scores, truth) == pytest.approx(average_precision_score(truth, scores))


def test_masked_cells_do_not_count() -> None:
    truth = np.array([[1, 0], [0, 1], [-1, -1], [1, -1]], np.int8)
    scores = np.array([[0.9, 0.1], [0.2, 0.8], [0.9, 0.9], [0.7, 0.9]], np.float32)

    assert f1_scores(scores >= 0.5, truth) == (1.0, 1.0)
    assert macro_average_precision(scores, truth) == 1.0


def test_nothing_to_measure() -> None:
    assert f1_scores(np.zeros((0, 3), bool), np.zeros((0, 3), np.int8)) == (0.0, 0.0)
    assert f1_scores(np.zeros((2, 2), bool), np.zeros((2, 2), np.int8)) == (0.0, 0.0)
    assert math.isnan(macro_average_precision(np.zeros((2, 2), np.float32), np.zeros((2, 2), np.int8)))
