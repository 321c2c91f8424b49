"""Ensembles: means of scores, and weights that are never worse than what one would try by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score, f1_score

from clustered import make_clustered
from mekiki.metrics.ensembles import Objective, combine, cross_combine, search_weights, select_greedily

OBJECTIVES: tuple[Objective, ...] = ("micro-f1", "macro-f1", "macro-ap")


def make_members(
    seed: int, noises: tuple[float, ...] = (0.5, 1.0, 3.0)
) -> tuple[NDArray[np.float32], NDArray[np.int8]]:
    """Models that see the same truth through noise of their own."""
    world = make_clustered(40, seed, alike=0.2)
    rng = np.random.default_rng(seed)
    logits = [3 * (world.truth - 0.5) + noise * rng.normal(0, 1, world.truth.shape) for noise in noises]
    return (1 / (1 + np.exp(-np.stack(logits)))).astype(np.float32), world.truth


def value(scores: NDArray[np.float32], truth: NDArray[np.int8], weights: NDArray[np.float64], objective: str) -> float:
    combined = combine(scores, weights)
    if objective == "macro-ap":
        return float(average_precision_score(truth, combined, average="macro"))
    return float(f1_score(truth, combined >= 0.5, average=objective.split("-")[0], zero_division=0))


class TestCombining:
    def test_one_member_is_itself(self) -> None:
        scores, _ = make_members(0, (1.0,))

        assert (combine(scores, [1.0]) == scores[0]).all()

    def test_no_rows_give_no_rows(self) -> None:
        combined = combine(np.zeros((2, 0, 3), np.float32), [0.5, 0.5])

        assert combined.shape == (0, 3)
        assert combined.dtype == np.float32

    @settings(max_examples=30, deadline=None)
    @given(st.lists(st.floats(0.01, 1), min_size=1, max_size=5))
    def test_scores_stay_between_those_of_the_members(self, parts: list[float]) -> None:
        weights = np.array(parts) / sum(parts)
        scores = np.random.default_rng(len(parts)).random((len(parts), 6, 2)).astype(np.float32)

        combined = combine(scores, weights)

        assert (combined >= scores.min(axis=0) - 1e-6).all()
        assert (combined <= scores.max(axis=0) + 1e-6).all()

    @pytest.mark.parametrize(
        ("shape", "weights", "message"),
        [
            pytest.param((2, 3), [1.0], r"\(M, N, C\) with M at least 1, got \(2, 3\)", id="flat"),
            pytest.param((0, 3, 2), [], "M at least 1", id="nobody"),
            pytest.param((2, 3, 2), [1.0], r"shape \(2,\), got \(1,\)", id="too few"),
            pytest.param((2, 3, 2), [1.5, -0.5], r"0 or more and add up to 1, got \[1.5, -0.5\]", id="negative"),
            pytest.param((2, 3, 2), [0.5, 0.4], "add up to 1", id="too little"),
        ],
    )
    def test_weights_that_do_not_fit(self, shape: tuple[int, ...], weights: list[float], message: str) -> None:
        with pytest.raises(ValueError, match=message):
            combine(np.zeros(shape, np.float32), weights)


@pytest.mark.parametrize("objective", OBJECTIVES)
class TestSearching:
    @pytest.mark.parametrize("seed", range(3))
    def test_it_is_never_worse_than_any_member_or_the_plain_mean(self, objective: Objective, seed: int) -> None:
        scores, truth = make_members(seed)

        weights = search_weights(scores, truth, objective)

        reached = value(scores, truth, weights, objective)
        others = [*np.eye(3), np.full(3, 1 / 3)]
        assert weights.sum() == pytest.approx(1)
        assert (weights >= 0).all()
        assert reached >= max(value(scores, truth, one, objective) for one in others) - 1e-12

    def test_the_same_seed_gives_the_same_weights(self, objective: Objective) -> None:
        scores, truth = make_members(5)

        assert (search_weights(scores, truth, objective, 1) == search_weights(scores, truth, objective, 1)).all()

    def test_greedy_selection_is_never_worse_than_a_member(self, objective: Objective) -> None:
        scores, truth = make_members(1)

        weights = select_greedily(scores, truth, objective, n_steps=15)

        assert weights.sum() == pytest.approx(1)
        reached = value(scores, truth, weights, objective)
        assert reached >= max(value(scores, truth, one, objective) for one in np.eye(3)) - 1e-12

    @pytest.mark.parametrize("search", [search_weights, select_greedily])
    def test_a_member_that_only_guesses_gets_next_to_nothing(self, objective: Objective, search: object) -> None:
        scores, truth = make_members(2, (0.8, 0.8, 30.0))

        weights = search(scores, truth, objective)  # type: ignore[operator]

        assert weights[2] < 0.15
        assert weights[:2].sum() > 0.85


def test_masked_cells_do_not_count() -> None:
    scores, truth = make_members(0)
    masked = truth.copy()
    masked[:50] = -1
    other = scores.copy()
    other[:, :50] = 0.7

    assert (search_weights(scores, masked, "micro-f1") == search_weights(other, masked, "micro-f1")).all()


def test_equal_members_are_weighted_alike() -> None:
    scores, truth = make_members(0, (1.0,))

    assert search_weights(np.concatenate([scores, scores]), truth, "macro-ap").tolist() == [0.5, 0.5]


def test_one_step_takes_the_best_member() -> None:
    scores, truth = make_members(0, (3.0, 0.5, 2.0))

    assert select_greedily(scores, truth, "macro-ap", n_steps=1).tolist() == [0, 1, 0]


@pytest.mark.parametrize("search", [search_weights, select_greedily])
def test_calls_that_make_no_sense_are_refused(search: object) -> None:
    scores, truth = make_members(0)

    with pytest.raises(ValueError, match="objective must be one of micro-f1, macro-f1, macro-ap, got 'f1'"):
        search(scores, truth, "f1")  # type: ignore[operator]
    with pytest.raises(ValueError, match="no present cell"):
        search(scores, np.zeros_like(truth), "micro-f1")  # type: ignore[operator]
    with pytest.raises(ValueError, match="shape of truth"):
        search(scores[:, :5], truth, "micro-f1")  # type: ignore[operator]
    with pytest.raises(ValueError, match="n_steps must be 1 or more, got 0"):
        select_greedily(scores, truth, "micro-f1", n_steps=0)


class TestCrossCombining:
    def test_no_row_is_weighted_by_what_its_own_atom_says(self) -> None:
        """Members are wrong everywhere but in one atom each: weights found on that atom would be seen in it."""
        world = make_clustered(30, 0)
        scores, truth = make_members(0)[0][:, : len(world.truth)], world.truth
        seen: list[NDArray[np.int8]] = []

        def find(some: NDArray[np.float32], known: NDArray[np.int8]) -> NDArray[np.float64]:
            assert some.shape == (3, *known.shape)
            seen.append(known)
            return np.eye(3)[len(seen) % 3]

        combined = cross_combine(scores[:, : len(truth)], truth, world.atoms, find, 5)

        assert sum(len(truth) - len(known) for known in seen) == len(truth)
        chosen = [(combined == member).all(axis=1) for member in scores]
        for atom in np.unique(world.atoms):
            assert any(one[world.atoms == atom].all() for one in chosen)

    def test_searching_among_guesses_is_worth_nothing(self) -> None:
        rng = np.random.default_rng(0)
        truth = rng.integers(0, 2, (80, 2)).astype(np.int8)
        scores = rng.random((6, 80, 2)).astype(np.float32)

        def find(some: NDArray[np.float32], known: NDArray[np.int8]) -> NDArray[np.float64]:
            return search_weights(some, known, "macro-ap")

        honest = cross_combine(scores, truth, np.arange(80), find)

        flattered = value(scores, truth, find(scores, truth), "macro-ap")
        assert float(average_precision_score(truth, honest, average="macro")) < flattered - 0.05
