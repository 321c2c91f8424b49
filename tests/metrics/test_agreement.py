"""Agreement of two annotators: Cohen's kappa where both spoke."""

from __future__ import annotations

import json

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.metrics import cohen_kappa_score

from clustered import make_clustered
from mekiki.metrics.agreement import cohen_kappa
from mekiki.metrics.intervals import Resampling

FEW = Resampling(n_resamples=200)


def flip(states: NDArray[np.int8], share: float, seed: int = 0) -> NDArray[np.int8]:
    is_flipped = np.random.default_rng(seed).random(states.shape) < share
    return np.where(is_flipped, 1 - states, states).astype(np.int8)


def test_it_is_what_scikit_learn_says() -> None:
    world = make_clustered(60, 0)
    other = flip(world.truth, 0.2)

    found = cohen_kappa(world.truth, other, world.atoms, FEW)

    for column, one in enumerate(found):
        assert one.kappa.value == pytest.approx(cohen_kappa_score(world.truth[:, column], other[:, column]))
        assert one.observed == pytest.approx((world.truth[:, column] == other[:, column]).mean())
        assert one.kappa.low < one.kappa.value < one.kappa.high


def test_the_order_of_annotators_changes_nothing() -> None:
    world = make_clustered(40, 0)
    other = flip(world.truth, 0.1)

    assert cohen_kappa(world.truth, other, world.atoms, FEW) == cohen_kappa(other, world.truth, world.atoms, FEW)


def test_what_either_did_not_say_does_not_count() -> None:
    first = np.array([[1], [0], [1], [-1], [0], [-1]], np.int8)
    second = np.array([[1], [0], [0], [1], [-1], [-1]], np.int8)

    one = cohen_kappa(first, second, np.arange(6), FEW)[0]

    assert one.n_both == 3
    assert one.observed == pytest.approx(2 / 3)
    assert one.kappa.value == pytest.approx(cohen_kappa_score([1, 0, 1], [1, 0, 0]))


def test_guesses_agree_no_more_than_chance() -> None:
    rng = np.random.default_rng(0)
    first, second = (rng.integers(0, 2, (4000, 1)).astype(np.int8) for _ in range(2))

    kappa = cohen_kappa(first, second, np.arange(4000), FEW)[0].kappa

    assert kappa.low < 0 < kappa.high
    assert kappa.is_reliable


def test_who_always_say_the_same_leave_nothing_to_measure() -> None:
    absent = np.zeros((30, 1), np.int8)

    one = cohen_kappa(absent, absent, np.arange(30), FEW)[0]

    assert np.isnan([one.kappa.value, one.kappa.low, one.kappa.high]).all()
    assert one.observed == 1
    assert json.loads(json.dumps(one.to_json(), allow_nan=False))["kappa"]["value"] is None


def test_full_agreement_on_few_atoms_is_not_certain() -> None:
    world = make_clustered(25, 0, shares=(0.5,))

    kappa = cohen_kappa(world.truth, world.truth, world.atoms, FEW)[0].kappa

    assert kappa.value == kappa.high == 1
    assert kappa.low < 0.9


def test_nobody_asked_is_no_error() -> None:
    nothing = np.zeros((0, 2), np.int8)

    found = cohen_kappa(nothing, nothing, np.zeros(0, np.int64), FEW)

    assert [one.n_both for one in found] == [0, 0]
    assert np.isnan([one.observed for one in found]).all()


@pytest.mark.parametrize(
    ("second", "message"),
    [
        pytest.param(np.zeros((2, 2), np.int8), r"the shape of first, \(3, 2\), got \(2, 2\)", id="shape"),
        pytest.param(np.full((3, 2), 7, np.int8), "second must be 1 .* got 7", id="state"),
        pytest.param(np.zeros(3, np.int8), r"second must have shape \(N, C\), got \(3,\)", id="flat"),
    ],
)
def test_arrays_that_do_not_belong_together(second: NDArray[np.int8], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        cohen_kappa(np.zeros((3, 2), np.int8), second, np.arange(3), FEW)


def test_kappa_below_zero_has_an_interval_below_zero() -> None:
    first = np.random.default_rng(0).integers(0, 2, (40, 1)).astype(np.int8)
    second = 1 - first
    second[:2] = first[:2]

    kappa = cohen_kappa(first, second.astype(np.int8), np.arange(40), FEW)[0].kappa

    assert kappa.value < -0.8
    assert kappa.high < -0.5


@pytest.mark.parametrize("sign", [1, -1])
def test_full_agreement_and_its_opposite_are_not_certain(sign: int) -> None:
    first = np.random.default_rng(0).integers(0, 2, (40, 1)).astype(np.int8)
    second = first if sign == 1 else (1 - first).astype(np.int8)

    kappa = cohen_kappa(first, second, np.arange(40), FEW)[0].kappa

    assert kappa.value == pytest.approx(sign, abs=0.05)
    assert 0.02 < kappa.high - kappa.low < 0.5
