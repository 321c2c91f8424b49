"""Rankings of rare things: against scikit-learn, against all orders of what is tied, and against chance."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score

from mekiki.metrics.beside_chance import Figure, Row, draw_orders
from mekiki.metrics.intervals import Resampling
from mekiki.metrics.rare_ranking import (
    Cutoff,
    RareFigures,
    average_precision,
    chance_average_precision,
    measure_ranking,
    precision_at,
    recall_at,
)
from mekiki.records import Estimate

FEW = Resampling(300, 0)
NO_ATOMS = np.zeros(0, np.int64)


def draw(n: int, share: float, seed: int, n_levels: int | None = None) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    rng = np.random.default_rng(seed)
    is_rare = rng.random(n) < share
    is_rare[:2] = (True, False)
    scores = rng.random(n) if n_levels is None else rng.integers(n_levels, size=n).astype(np.float64)
    return scores, is_rare


def over_orders(scores: NDArray[np.float64], is_rare: NDArray[np.bool_], k: int) -> tuple[float, float, float]:
    """Return mean average precision, precision and recall at k over all orders in which no score rises."""
    figures = []
    for order in permutations(range(len(scores))):
        ranked = scores[list(order)]
        if (np.diff(ranked) <= 0).all():
            rare = is_rare[list(order)]
            precisions = np.cumsum(rare) / np.arange(1, len(rare) + 1)
            figures.append((precisions[rare].mean(), rare[:k].mean(), rare[:k].sum() / rare.sum()))
    first, second, third = np.mean(figures, axis=0)
    return float(first), float(second), float(third)


@pytest.mark.parametrize("seed", range(10))
def test_without_ties_average_precision_is_scikit_learns(seed: int) -> None:
    scores, is_rare = draw(200, 0.1, seed)

    assert average_precision(scores, is_rare) == pytest.approx(average_precision_score(is_rare, scores), abs=1e-12)


@pytest.mark.parametrize("seed", range(8))
def test_ties_count_as_the_mean_over_all_orders_of_the_tied(seed: int) -> None:
    scores, is_rare = draw(7, 0.4, seed, n_levels=3)

    for k in (1, 3, 7):
        wanted = over_orders(scores, is_rare, k)
        found = (average_precision(scores, is_rare), precision_at(scores, is_rare, k), recall_at(scores, is_rare, k))
        assert found == pytest.approx(wanted, abs=1e-12)


@pytest.mark.parametrize(("n", "n_rare"), [(1, 1), (5, 1), (6, 3), (7, 2), (4, 4)])
def test_chance_is_the_mean_over_all_orders(n: int, n_rare: int) -> None:
    wanted, _, _ = over_orders(np.zeros(n), np.arange(n) < n_rare, 1)

    assert chance_average_precision(n, n_rare) == pytest.approx(wanted, abs=1e-12)


def test_chance_lies_above_the_share_of_rare_things_and_nears_it() -> None:
    small, large = chance_average_precision(120, 29), chance_average_precision(100_000, 24_166)

    assert 29 / 120 < small < 29 / 120 + 0.03
    assert large == pytest.approx(0.24166, abs=2e-4)


def test_the_order_of_rows_never_matters() -> None:
    scores, is_rare = draw(60, 0.3, 1, n_levels=9)
    atoms = np.arange(60) // 2
    turned = np.random.default_rng(2).permutation(60)

    first = measure_ranking(scores, is_rare, atoms, resampling=FEW)
    second = measure_ranking(scores[turned], is_rare[turned], atoms[turned], resampling=FEW)

    for name, figure in first.items():
        assert second[name].found.value == pytest.approx(figure.found.value, abs=1e-12)
        assert second[name].gain.low == pytest.approx(figure.gain.low, abs=1e-12)


def test_missed_things_lower_recall_average_precision_and_chance() -> None:
    scores, is_rare = np.arange(10.0), np.arange(10) >= 8  # both rare things come first

    assert average_precision(scores, is_rare, n_missed=2) == pytest.approx(0.5)
    assert recall_at(scores, is_rare, 10, n_missed=2) == pytest.approx(0.5)
    assert chance_average_precision(10, 2, 2) == pytest.approx(chance_average_precision(10, 2) / 2)


def test_weights_count_things_as_often_as_they_say() -> None:
    scores, is_rare = draw(8, 0.4, 3, n_levels=4)
    times = np.array([2, 1, 0, 3, 1, 1, 2, 0])
    cutoffs = (Cutoff("n", per_rare=1.0), Cutoff("3", count=3))
    one = RareFigures(scores, is_rare, np.arange(8), NO_ATOMS, 8, cutoffs)
    repeated, rare = np.repeat(scores, times), np.repeat(is_rare, times)
    n_rare = int(rare.sum())

    figures = one(times[:, None].astype(np.float64))[:, 0]

    assert figures == pytest.approx(
        [
            average_precision(repeated, rare),
            *(precision_at(repeated, rare, n_rare), recall_at(repeated, rare, n_rare)),
            *(precision_at(repeated, rare, 3), recall_at(repeated, rare, 3)),
        ],
        abs=1e-12,
    )


def test_a_perfect_ranking_is_above_chance_and_a_turned_one_below() -> None:
    is_rare = np.arange(300) < 40
    atoms = np.arange(300)

    best = measure_ranking(-np.arange(300.0), is_rare, atoms, resampling=FEW)
    worst = measure_ranking(np.arange(300.0), is_rare, atoms, resampling=FEW)

    assert {one.found.value for one in best.values()} == {0.5, 1.0}  # precision at 2n is one half at best
    assert best["average_precision"].found.low < 1  # 40 right ones do not show that all are
    assert {best[name].verdict for name in ("average_precision", "recall_at_n")} == {"above chance"}
    assert worst["average_precision"].verdict == "below chance"


def test_one_score_for_all_is_exactly_chance_and_never_above_it() -> None:
    is_rare = np.arange(100) < 30

    figures = measure_ranking(np.zeros(100), is_rare, np.arange(100), resampling=FEW)

    for figure in figures.values():
        assert figure.found.value == pytest.approx(figure.chance, abs=1e-12)
        assert figure.verdict == "not above chance"


def test_few_atoms_with_rare_things_make_no_reliable_interval() -> None:
    scores, is_rare = np.arange(400.0), np.arange(400) >= 380  # 20 rare things

    many = measure_ranking(scores, is_rare, np.arange(400), resampling=FEW)
    few = measure_ranking(scores, is_rare, np.arange(400) // 2, resampling=FEW)

    assert many["average_precision"].found.is_reliable
    assert not few["average_precision"].found.is_reliable


def test_more_than_there_are_is_all_there_is() -> None:
    assert precision_at(np.arange(4.0), np.arange(4) == 0, 100) == 0.25
    assert recall_at(np.arange(4.0), np.arange(4) == 0, 100) == 1.0


def test_nothing_rare_has_no_figures() -> None:
    assert np.isnan(average_precision(np.zeros(3), np.zeros(3, np.bool_)))
    assert np.isnan(average_precision(np.zeros(0), np.zeros(0, np.bool_)))
    figures = measure_ranking(np.zeros(3), np.zeros(3, np.bool_), np.arange(3), resampling=FEW)
    assert {one.verdict for one in figures.values()} == {"not measured"}
    assert figures["average_precision"].to_json()["chance"] is None


def null_world(is_clumped: bool, seed: int) -> tuple[Row, NDArray[np.bool_], NDArray[np.int64]]:
    """Draw scores and rarity that know nothing of each other; in clumps both are those of the atom, mostly."""
    rng = np.random.default_rng((seed, 7))
    sizes = np.exp(rng.normal(0.7, 0.9, 80)).round().clip(1).astype(np.int64) if is_clumped else np.ones(150, np.int64)
    atoms = np.repeat(np.arange(len(sizes)), sizes)
    follows = is_clumped & (rng.random(len(atoms)) < 0.9)
    is_rare = np.where(follows, rng.random(len(sizes))[atoms], rng.random(len(atoms))) < 0.3
    scores = np.where(follows, rng.random(len(sizes))[atoms] + 0.1 * rng.random(len(atoms)), rng.random(len(atoms)))
    return scores, is_rare, atoms


@pytest.mark.slow
@pytest.mark.parametrize("is_clumped", [False, True])
def test_what_ranks_at_chance_is_seldom_told_from_it_also_where_atoms_rank_together(is_clumped: bool) -> None:
    told: dict[str, list[str]] = {"average_precision": [], "recall_at_n": [], "recall_at_2n": []}
    for seed in range(1000, 1100):
        figures = measure_ranking(*null_world(is_clumped, seed), resampling=Resampling(100, seed))
        for name, verdicts in told.items():
            verdicts.append(figures[name].verdict)

    for verdicts in told.values():
        assert verdicts.count("above chance") <= 6
        assert verdicts.count("below chance") <= 6
        assert verdicts.count("not above chance") >= 80


def test_an_interval_that_is_not_reliable_tells_nothing() -> None:
    first = np.arange(60) < 4

    figures = measure_ranking(-np.arange(60.0), first, np.arange(60), resampling=FEW)

    assert figures["average_precision"].gain.low > 0
    assert {one.verdict for one in figures.values()} == {"too little to tell"}
    assert figures["average_precision"].to_json()["verdict"] == "too little to tell"


@pytest.mark.parametrize("size", [1, 4])
def test_random_orders_lie_where_they_are_said_to_lie(size: int) -> None:
    n, n_rare, n_missed = 80, 12, 3
    atoms, is_rare = np.arange(n) // size, np.arange(n) < n_rare
    missed, cutoffs = np.arange(n_missed) + n, (Cutoff("20", count=20),)
    figures = measure_ranking(np.arange(n, 0, -1.0), is_rare, atoms, missed, cutoffs, FEW)
    rng = np.random.default_rng(5)
    drawn = []
    for _ in range(1000):
        order = (rng.permutation(n // size)[atoms] + 0.5 * rng.random(n)).astype(np.float64)
        drawn.append((average_precision(order, is_rare, n_missed), recall_at(order, is_rare, 20, n_missed)))

    for name, found in zip(("average_precision", "recall_at_20"), np.array(drawn).T, strict=True):
        low, high = figures[name].orders
        assert np.mean((found >= low - 1e-9) & (found <= high + 1e-9)) >= 0.93
        assert np.mean((found > low + 1e-9) & (found < high - 1e-9)) <= 0.965


def test_in_random_orders_what_is_in_an_atom_stays_together_whatever_the_sizes() -> None:
    sizes = np.array([1, 1, 2, 3, 5, 8])
    atoms = np.repeat(np.arange(6), sizes)

    for rare, counts in draw_orders(np.arange(6.0)[atoms], atoms == 4, atoms):  # all of an atom have the same score
        assert (np.sort(rare, axis=1) == [0, 0, 0, 0, 0, 5]).all()
        assert (np.sort(counts, axis=1) == sizes).all()
        assert len(np.unique(np.argmax(rare, axis=1))) == 6


def test_an_interval_of_the_gain_that_touches_0_is_not_above_chance() -> None:
    one = Estimate(0.3, 0.2, 0.4)

    assert Figure(one, 0.2, Estimate(0.1, 0.0, 0.2)).verdict == "not above chance"
    assert Figure(one, 0.2, Estimate(0.1, 1e-6, 0.2)).verdict == "above chance"
    assert Figure(one, 0.2, Estimate(0.1, 1e-6, 0.2), (0.1, 0.3)).verdict == "not above chance"
    assert Figure.from_json(Figure(one, 0.2, one, (0.1, 0.3)).to_json()) == Figure(one, 0.2, one, (0.1, 0.3))


@pytest.mark.parametrize(
    ("scores", "is_rare"),
    [
        pytest.param(np.zeros(3), np.zeros(2, np.bool_), id="of different length"),
        pytest.param(np.array([0.1, np.nan]), np.array([True, False]), id="no number"),
        pytest.param(np.zeros((2, 2)), np.zeros((2, 2), np.bool_), id="two dimensions"),
    ],
)
def test_what_does_not_belong_together_is_refused(scores: NDArray[np.float64], is_rare: NDArray[np.bool_]) -> None:
    with pytest.raises(ValueError, match="score"):
        average_precision(scores, is_rare)


def test_k_is_at_least_1() -> None:
    with pytest.raises(ValueError, match="k must be 1 or more, got 0"):
        recall_at(np.zeros(2), np.array([True, False]), 0)
