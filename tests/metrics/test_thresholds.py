"""Thresholds: as good as any scan can find, decided as searched, and never tuned on what they are measured on."""

from __future__ import annotations

import itertools
import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from clustered import Clustered, make_clustered
from mekiki.metrics.classification import Scored, compare, measure
from mekiki.metrics.folds import deal_folds
from mekiki.metrics.intervals import Resampling
from mekiki.metrics.thresholds import Tuned, TuneOptions, cross_fit, tune

EACH = TuneOptions(min_positives=1, min_atoms=1, n_resamples=2)
"""Every class has a threshold of its own, however rare it is."""

WORLDS = st.builds(lambda seed, n_digits: (seed, n_digits), st.integers(0, 10_000), st.sampled_from([1, 2, 7]))


def make_world(seed: int, n_digits: int, n_atoms: int = 8) -> Clustered:
    """A small world with few known cells, and ties if digits are few; each class has a present picture."""
    world = make_clustered(n_atoms, seed, shares=(0.5, 0.3)).mask(0.2, seed)
    truth = world.truth.copy()
    truth[0] = 1
    return Clustered(world.scores.round(n_digits), truth, world.atoms)


def fit(world: Clustered, options: TuneOptions) -> Tuned:
    return tune(world.scores, world.truth, world.atoms, options)


def f1_of(world: Clustered, decisions: NDArray[np.bool_], average: str) -> float:
    """Written anew, so that the two can disagree."""
    known, present = world.truth >= 0, world.truth == 1
    axis = None if average == "micro" else 0
    hits = (decisions & present).sum(axis=axis)
    below = (decisions & known).sum(axis=axis) + present.sum(axis=axis)
    return float(np.mean(2 * hits / np.maximum(below, 1)))


def all_limits(world: Clustered) -> list[list[float]]:
    """Every score of each class, and one that decides nothing."""
    return [[*np.unique(world.scores[:, column]).tolist(), 2.0] for column in range(world.truth.shape[1])]


class TestExactSearch:
    @settings(max_examples=40, deadline=None)
    @given(WORLDS)
    def test_no_scan_finds_a_better_macro_f1(self, drawn: tuple[int, int]) -> None:
        world = make_world(*drawn)

        found = f1_of(world, world.scores >= fit(world, EACH).thresholds, "macro")

        best = [
            max(
                f1_of(Clustered(world.scores[:, [c]], world.truth[:, [c]], world.atoms), scores >= t, "macro")
                for t in ts
            )
            for c, ts in enumerate(all_limits(world))
            for scores in [world.scores[:, [c]]]
        ]
        assert found == pytest.approx(np.mean(best), abs=1e-12)

    @settings(max_examples=25, deadline=None)
    @given(WORLDS)
    def test_no_pair_of_thresholds_has_a_better_micro_f1(self, drawn: tuple[int, int]) -> None:
        world = make_world(*drawn, n_atoms=5)

        found = f1_of(world, world.scores >= fit(world, replace(EACH, objective="micro-f1")).thresholds, "micro")

        pairs = itertools.product(*all_limits(world))
        best = max(f1_of(world, world.scores >= np.array(pair, np.float32), "micro") for pair in pairs)
        assert found == pytest.approx(best, abs=1e-12)

    @settings(max_examples=25, deadline=None)
    @given(WORLDS, st.sampled_from(["micro", "macro"]))
    def test_no_single_threshold_is_better_than_the_joint_one(self, drawn: tuple[int, int], average: str) -> None:
        world = make_world(*drawn)

        tuned = fit(world, replace(EACH, objective=f"{average}-f1", per_class=False))  # type: ignore[arg-type]

        assert (tuned.thresholds == np.float32(tuned.joint)).all()
        found = f1_of(world, world.scores >= tuned.thresholds, average)
        limits = np.unique(world.scores)
        assert found == pytest.approx(max(f1_of(world, world.scores >= t, average) for t in limits), abs=1e-12)

    @settings(max_examples=25, deadline=None)
    @given(WORLDS, st.floats(0.1, 10), st.floats(0.1, 10))
    def test_no_scan_finds_a_lower_cost(self, drawn: tuple[int, int], alarm: float, miss: float) -> None:
        world = make_world(*drawn)
        known, present = world.truth >= 0, world.truth == 1

        def cost(decisions: NDArray[np.bool_], column: int) -> float:
            alarms, misses = decisions & known[:, column] & ~present[:, column], ~decisions & present[:, column]
            return float(alarm * alarms.sum() + miss * misses.sum())

        tuned = fit(world, replace(EACH, objective="cost", costs=(alarm, miss)))

        for column, limits in enumerate(all_limits(world)):
            scores = world.scores[:, column]
            found = cost(scores >= tuned.thresholds[column], column)
            assert found == pytest.approx(min(cost(scores >= np.float32(t), column) for t in limits))
            assert tuned.facts[column]["value"] == pytest.approx(found / known[:, column].sum())

    def test_misses_that_cost_more_lower_the_thresholds(self) -> None:
        world = make_clustered(200, 0)

        careful, plain = (fit(world, TuneOptions("cost", costs=(1, c), n_resamples=2)) for c in (10, 1))

        assert (careful.thresholds < plain.thresholds).all()


class TestWhereAThresholdStands:
    def test_it_is_midway_between_the_scores_that_it_divides(self) -> None:
        scores = np.array([[0.1], [0.3], [0.6], [0.9]], np.float32)

        tuned = tune(scores, np.array([[0], [0], [1], [1]], np.int8), np.arange(4), EACH)

        assert tuned.thresholds[0] == pytest.approx(0.45)

    def test_neighbours_in_float32_are_still_divided(self) -> None:
        upper = np.float32(0.7)
        scores = np.array([[np.nextafter(upper, np.float32(0))], [upper]], np.float32)

        tuned = tune(scores, np.array([[0], [1]], np.int8), np.arange(2), EACH)

        assert (scores >= tuned.thresholds).ravel().tolist() == [False, True]

    def test_it_survives_a_trip_through_json(self) -> None:
        world = make_clustered(60, 0)
        tuned = fit(world, EACH)

        back = np.array(json.loads(json.dumps([float(one) for one in tuned.thresholds])), np.float32)

        assert (back == tuned.thresholds).all()

    @pytest.mark.parametrize("highest", [0.8, 1.0])
    def test_where_every_alarm_is_too_dear_nothing_is_decided(self, highest: float) -> None:
        scores = np.array([[highest], [highest], [0.2]], np.float32)
        truth = np.array([[0], [1], [0]], np.int8)

        tuned = tune(scores, truth, np.arange(3), replace(EACH, objective="cost", costs=(5, 1)))

        assert not (scores >= tuned.thresholds).any()

    def test_of_equally_good_ones_it_is_the_nearest_to_one_half(self) -> None:
        scores = np.array([[0.2], [0.4], [0.9]], np.float32)

        tuned = tune(scores, np.array([[0], [1], [1]], np.int8), np.arange(3), replace(EACH, objective="cost"))
        alike = tune(scores, np.array([[1], [0], [1]], np.int8), np.arange(3), replace(EACH, objective="cost"))

        assert tuned.thresholds[0] == np.float32(0.3)
        assert alike.thresholds[0] == np.float32(0.65)

    @settings(max_examples=20, deadline=None)
    @given(WORLDS)
    def test_neither_the_order_of_rows_nor_masked_cells_change_it(self, drawn: tuple[int, int]) -> None:
        world = make_world(*drawn)
        rng = np.random.default_rng(drawn[0])
        order = rng.permutation(len(world.atoms))
        noisy = np.where(world.truth < 0, rng.random(world.scores.shape), world.scores).astype(np.float32)
        other = Clustered(noisy, world.truth, world.atoms).take(order)

        assert fit(world, EACH).facts == fit(other, EACH).facts


class TestRareClasses:
    def test_a_class_with_few_pictures_or_atoms_uses_the_joint_threshold(self) -> None:
        world = make_clustered(100, 0, shares=(0.5, 0.06))

        tuned = fit(world, TuneOptions(n_resamples=2))

        assert [one["used_joint"] for one in tuned.facts] == [False, True]
        assert tuned.thresholds[1] == np.float32(tuned.joint) != tuned.thresholds[0]

    @pytest.mark.parametrize(("n_pictures", "n_atoms"), [(19, 12), (40, 9)])
    def test_both_rules_count(self, n_pictures: int, n_atoms: int) -> None:
        truth = np.zeros((200, 1), np.int8)
        truth[:n_pictures] = 1
        atoms = np.arange(200)
        atoms[:n_pictures] %= n_atoms
        scores = np.random.default_rng(0).random((200, 1)).astype(np.float32)

        facts = tune(scores, truth, atoms, TuneOptions(n_resamples=2)).facts[0]

        assert facts["used_joint"]
        assert (facts["n_positives"], facts["n_atoms"], facts["n_known"]) == (n_pictures, n_atoms, 200)

    def test_micro_f1_is_the_best_that_the_fixed_class_leaves(self) -> None:
        world = make_clustered(60, 3, shares=(0.5, 0.08))
        tuned = fit(world, TuneOptions("micro-f1", n_resamples=2))

        found = f1_of(world, world.scores >= tuned.thresholds, "micro")

        others = [np.array([t, tuned.joint], np.float32) for t in np.unique(world.scores[:, 0])]
        assert found == pytest.approx(max(f1_of(world, world.scores >= pair, "micro") for pair in others))


class TestPrevalence:
    def test_it_is_as_if_the_pictures_were_there_more_often(self) -> None:
        world = make_clustered(80, 0, shares=(0.5,))
        absent = np.flatnonzero(world.truth[:, 0] == 0)
        often = world.take(np.concatenate([np.arange(len(world.atoms)), absent, absent]))
        share = float((often.truth == 1).mean())

        stated = fit(world, replace(EACH, prevalence={0: share}))

        assert stated.thresholds == fit(often, EACH).thresholds
        assert stated.facts[0]["f1"] == pytest.approx(fit(often, EACH).facts[0]["f1"])

    def test_a_class_that_will_be_rarer_gets_a_higher_threshold(self) -> None:
        world = make_clustered(200, 0)

        tuned = fit(world, replace(EACH, prevalence={0: 0.02}))

        assert tuned.thresholds[0] > fit(world, EACH).thresholds[0]
        assert (tuned.thresholds[1:] == fit(world, EACH).thresholds[1:]).all()

    def test_a_promise_of_recall_finds_as_much_of_a_rare_class_whatever_its_prevalence(self) -> None:
        rng = np.random.default_rng(0)
        is_cat = np.arange(600) < 12
        is_dog = (np.arange(600) % 2 == 0) & ~is_cat
        truth = np.stack([is_cat, is_dog], axis=1).astype(np.int8)
        # Cats score lower than dogs, and any precision falls as more is decided.
        centres = np.where(truth == 1, (0.45, 0.8), 0.25)
        scores = np.clip(rng.normal(centres, 0.08), 0, 1).astype(np.float32)
        for per_class in (True, False):
            options = TuneOptions("precision-at-recall", at_least=0.97, per_class=per_class, n_resamples=5)

            plain, stated = (
                tune(scores, truth, np.arange(600), replace(options, prevalence=prevalence))
                for prevalence in (None, {0: 0.0001})
            )

            assert plain.facts[0]["used_joint"]
            assert stated.facts[0]["threshold"] == plain.facts[0]["threshold"]
            assert stated.facts[0]["recall"] == pytest.approx(plain.facts[0]["recall"])
            for fact in ("recall", "bound", "is_met"):
                assert stated.joint_facts[fact] == pytest.approx(plain.joint_facts[fact])
            assert stated.joint_facts["precision"] != plain.joint_facts["precision"]

    def test_recall_of_all_classes_counts_each_present_cell_once(self) -> None:
        world = make_clustered(80, 0)

        tuned = fit(world, replace(EACH, prevalence={0: 0.01, 2: 0.7}))

        decided = world.scores >= np.float32(tuned.joint)
        assert tuned.joint_facts["recall"] == pytest.approx((decided & (world.truth == 1)).sum() / world.truth.sum())


class TestHowSureItIs:
    def test_the_interval_is_around_the_threshold_and_narrows_with_more_atoms(self) -> None:
        widths = []
        for n_atoms in (60, 1500):
            facts = fit(make_clustered(n_atoms, 0), TuneOptions()).facts[0]
            assert facts["threshold_low"] <= facts["threshold"] <= facts["threshold_high"]
            widths.append(facts["threshold_high"] - facts["threshold_low"])

        assert widths[1] < widths[0] / 1.5

    def test_facts_are_plain_json(self) -> None:
        options = TuneOptions("precision-at-recall", at_least=0.9, n_resamples=5)
        tuned = fit(make_clustered(40, 0, shares=(0.5, 0.0)), options)

        assert json.dumps([*tuned.facts, tuned.joint_facts], allow_nan=False)


class TestCrossFitting:
    def test_what_is_true_of_a_fold_does_not_decide_it(self) -> None:
        world = make_clustered(60, 0)
        folds = deal_folds(world.truth, world.atoms, 5)
        decisions = cross_fit(world.scores, world.truth, world.atoms, EACH)

        for fold in range(5):
            others = world.take(folds != fold)
            thresholds = fit(others, EACH).thresholds
            assert (decisions[folds == fold] == (world.scores[folds == fold] >= thresholds)).all()

    def test_the_seed_decides_the_folds(self) -> None:
        world = make_clustered(40, 0)

        one, same, other = (cross_fit(world.scores, world.truth, world.atoms, EACH, seed=s) for s in (1, 1, 2))

        assert (one == same).all()
        assert (one != other).any()

    def test_fewer_atoms_than_folds_are_refused(self) -> None:
        world = make_clustered(4, 0)

        with pytest.raises(ValueError, match="n_folds must be at most the number of atoms, 4, got 5"):
            cross_fit(world.scores, world.truth, world.atoms, EACH)

    def test_it_is_not_as_good_as_what_was_tuned_on_itself(self) -> None:
        in_sample, crossed = [], []
        for seed in range(10):
            world = make_clustered(25, seed)
            in_sample.append(f1_of(world, world.scores >= fit(world, EACH).thresholds, "macro"))
            crossed.append(f1_of(world, cross_fit(world.scores, world.truth, world.atoms, EACH), "macro"))

        assert np.mean(crossed) < np.mean(in_sample)


class TestWhatTuningIsWorth:
    """On pictures that were not tuned on."""

    def gain(self, shifts: tuple[float, ...], metric: str = "macro_f1") -> tuple[float, float]:
        val, test = (make_clustered(400, seed, shares=(0.4, 0.3, 0.2), shifts=shifts) for seed in (1, 2))
        thresholds = fit(val, TuneOptions(n_resamples=2)).thresholds
        half, tuned = (
            Scored(test.scores, test.truth, test.scores >= limits, test.atoms)
            for limits in (np.float32(0.5), thresholds)
        )
        gained = compare(half, tuned, metric, Resampling(500))
        assert gained.is_reliable
        return gained.low, gained.high

    def test_where_the_best_thresholds_differ_by_class_it_gains(self) -> None:
        low, _ = self.gain((2.5, 0.0, -2.5))

        assert low > 0.02

    def test_where_one_half_is_best_the_interval_says_that_nothing_is_gained(self) -> None:
        # At these shares of classes that overlap, F1 is best a little above one half: so shift that away.
        val = make_clustered(3000, 7, shares=(0.4, 0.3, 0.2))
        best = fit(val, TuneOptions(n_resamples=2)).thresholds.astype(np.float64)
        shifts = tuple((-np.log(best / (1 - best))).tolist())

        low, high = self.gain(shifts)

        assert low <= 0 <= high
        assert high - low < 0.05

    def test_cross_fitting_sees_the_gain_without_a_test_part(self) -> None:
        world = make_clustered(300, 1, shares=(0.4, 0.3, 0.2), shifts=(2.5, 0.0, -2.5))
        crossed = cross_fit(world.scores, world.truth, world.atoms, TuneOptions())
        half = Scored(world.scores, world.truth, world.scores >= 0.5, world.atoms)

        gained = compare(half, Scored(world.scores, world.truth, crossed, world.atoms), "macro_f1", Resampling(300))

        assert gained.low > 0
        assert measure(half, tuple("abc"), Resampling(20)).value("macro_f1").value < 0.9


class TestRefusals:
    @pytest.mark.parametrize(
        ("values", "message"),
        [
            pytest.param({"objective": "f1"}, "objective must be one of macro-f1, .* got 'f1'", id="objective"),
            pytest.param({"objective": "precision-at-recall"}, "at_least must be between 0 and 1 .*None", id="missing"),
            pytest.param({"objective": "recall-at-precision", "at_least": 1.0}, "at_least .* got 1.0", id="certain"),
            pytest.param({"at_least": 0.9}, "at_least must be None for macro-f1", id="useless"),
            pytest.param({"costs": (-1, 1)}, r"costs must be 0 or more .* \(-1, 1\)", id="cost"),
            pytest.param({"costs": (0, 0)}, "costs", id="no cost"),
            pytest.param(
                {"prevalence": {0: 1.0}}, "prevalence must be between 0 and 1, got 1.0 for column 0", id="all"
            ),
            pytest.param({"level": 0.0}, "level must be between 0 and 1, got 0.0", id="level"),
        ],
    )
    def test_options_that_make_no_sense(self, values: dict[str, object], message: str) -> None:
        with pytest.raises(ValueError, match=message):
            TuneOptions(**values)  # type: ignore[arg-type]

    def test_nothing_present_is_nothing_to_tune_on(self) -> None:
        with pytest.raises(ValueError, match=r"truth of \(0, 2\) has no present cell"):
            tune(np.zeros((0, 2), np.float32), np.zeros((0, 2), np.int8), np.zeros(0, np.int64), EACH)

    @pytest.mark.parametrize(("column", "message"), [(3, "columns 0 to 2, got 3"), (1, "column 1 needs present and")])
    def test_a_prevalence_that_weights_cannot_reach(self, column: int, message: str) -> None:
        world = make_clustered(20, 0, shares=(0.5, 0.0, 0.5))

        with pytest.raises(ValueError, match=message):
            fit(world, replace(EACH, prevalence={column: 0.1}))

    def test_scores_that_would_be_compared_in_another_type(self) -> None:
        world = make_clustered(20, 0)

        with pytest.raises(ValueError, match="scores must be float32"):
            tune(world.scores.astype(np.float64), world.truth, world.atoms, EACH)  # type: ignore[arg-type]
