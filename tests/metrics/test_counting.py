"""How many atoms a mean over classes rests on."""

from __future__ import annotations

import numpy as np
import pytest

from mekiki.metrics.counting import atoms_of_mean

TAIL = 0.025


def test_one_class_is_itself() -> None:
    assert atoms_of_mean(np.array([10.0])) == (10, 10)
    assert atoms_of_mean(np.zeros(2)) == (0, 0)


def test_many_classes_of_equal_size_allow_little_together() -> None:
    assert atoms_of_mean(np.full(7, 10.0)) == pytest.approx((10, 70))


def test_a_rare_class_is_not_hidden_by_common_ones() -> None:
    _, n_chances = atoms_of_mean(np.array([3.0, *[100.0] * 6]))

    assert TAIL ** (1 / n_chances) == pytest.approx(1 - (1 - TAIL ** (1 / 3)) / 7, abs=0.001)
    assert n_chances < 40


def test_no_shares_that_are_as_likely_have_a_lower_mean() -> None:
    rng = np.random.default_rng(0)
    for counts in ([16.0, 31, 38, 51], [7.0, 7, 36, 59], [5.0, 50, 50, 50]):
        _, n_chances = atoms_of_mean(np.array(counts))
        shares = np.exp(rng.dirichlet(np.ones(4), 200_000) * np.log(TAIL) / np.array(counts))

        assert TAIL ** (1 / n_chances) <= shares.mean(axis=1).min() + 1e-9
        assert TAIL ** (1 / n_chances) == pytest.approx(shares.mean(axis=1).min(), abs=0.002)
