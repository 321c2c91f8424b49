"""False alarms per million pictures: planted rates are found, and intervals count atoms."""

from __future__ import annotations

import math

import numpy as np
import pytest

from mekiki.metrics.classification import Scored
from mekiki.metrics.intervals import Resampling
from mekiki.metrics.per_million import MILLION, per_million

FEW = Resampling(n_resamples=200)


def decided(truth: list[int], decisions: list[int], atoms: list[int] | None = None) -> Scored:
    said = np.array(decisions, bool)[:, None]
    numbers = np.arange(len(truth)) if atoms is None else np.array(atoms)
    return Scored(said.astype(np.float32), np.array(truth, np.int8)[:, None], said, numbers)


def world(false_alarm_rate: float, recall: float, n_atoms: int, seed: int) -> Scored:
    """Return decisions in atoms of one to three pictures, half of which go with their atom."""
    rng = np.random.default_rng(seed)
    atoms = np.repeat(np.arange(n_atoms), rng.integers(1, 4, n_atoms))
    truth = rng.random(len(atoms)) < 0.3
    luck = np.where(rng.random(len(atoms)) < 0.5, rng.random(n_atoms)[atoms], rng.random(len(atoms)))
    said = luck < np.where(truth, recall, false_alarm_rate)
    return Scored(said.astype(np.float32)[:, None], truth.astype(np.int8)[:, None], said[:, None], atoms)


def test_rates_carry_over_to_another_prevalence() -> None:
    scored = decided([1] * 10 + [0] * 40, [1] * 8 + [0] * 2 + [1] * 4 + [0] * 36)

    found = per_million(scored, 0, 0.001, FEW)

    assert found.n_present == 1000
    assert found.false_alarm_rate.value == pytest.approx(0.1)
    assert found.false_alarms.value == pytest.approx(0.1 * (MILLION - 1000))
    assert (found.found.value, found.missed.value) == pytest.approx((800, 200))
    assert (found.missed.low, found.missed.high) == pytest.approx((1000 - found.found.high, 1000 - found.found.low))


@pytest.mark.parametrize(("rate", "recall", "n_atoms"), [(0.005, 0.95, 300), (0.1, 0.6, 100)])
def test_intervals_hold_the_planted_rates(rate: float, recall: float, n_atoms: int) -> None:
    held = np.zeros(2)
    for seed in range(60):
        found = per_million(world(rate, recall, n_atoms, seed), 0, 0.01, Resampling(150, seed))
        held += (
            found.false_alarms.low <= rate * 990_000 <= found.false_alarms.high,
            found.found.low <= recall * 10_000 <= found.found.high,
        )

    assert (held >= 53).all(), held


def test_no_false_alarm_yet_is_not_none_ever() -> None:
    found = per_million(decided([0] * 100 + [1] * 5, [0] * 100 + [1] * 5), 0, 0.01, FEW)

    assert found.false_alarms.value == found.false_alarms.low == 0
    assert found.false_alarms.high == pytest.approx((1 - 0.025 ** (1 / 100)) * 990_000)
    assert found.false_alarms.is_reliable
    assert not found.found.is_reliable


def test_pictures_of_one_atom_count_once_for_the_interval() -> None:
    truth, said = [0] * 200, [1, 0, 0, 0] * 50
    alone = per_million(decided(truth, said), 0, 0.01, FEW).false_alarms
    together = per_million(decided(truth, sorted(said), [row // 10 for row in range(200)]), 0, 0.01, FEW).false_alarms

    assert together.value == alone.value
    assert together.high - together.low > 1.5 * (alone.high - alone.low)


def test_masked_cells_do_not_count_and_what_is_missing_is_not_measured() -> None:
    found = per_million(decided([0, 0, -1, -1], [1, 0, 1, 1]), 0, 0.5, FEW)

    assert found.false_alarms.value == pytest.approx(250_000)
    assert math.isnan(found.found.value)
    assert found.to_json()["missed"]["value"] is None


@pytest.mark.parametrize(
    ("column", "prevalence", "message"),
    [(0, 0.0, "prevalence must be between 0 and 1, got 0"), (1, 0.5, "column must be 0 to 0, got 1")],
)
def test_what_makes_no_sense_is_refused(column: int, prevalence: float, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        per_million(decided([0, 1], [0, 1]), column, prevalence)
