"""Metrics: what scikit-learn says where nothing is masked, and what it cannot say where something is."""

from __future__ import annotations

import json
import math
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.metrics import accuracy_score, auc, average_precision_score, precision_recall_fscore_support, roc_auc_score

from clustered import Clustered, make_clustered
from mekiki.errors import UsageError
from mekiki.metrics.classification import TOTALS, Metrics, Scored, compare, measure
from mekiki.metrics.intervals import Resampling
from mekiki.records import Estimate

FEW = Resampling(n_resamples=40)
NAMES = ("badger", "civet", "tanuki")


def scored(world: Clustered, threshold: float = 0.5) -> Scored:
    return Scored(world.scores, world.truth, world.scores >= np.float32(threshold), world.atoms)


def table(truth: list[list[int]], decisions: list[list[int]]) -> Scored:
    """One picture per atom, whose scores are its decisions."""
    states = np.array(truth, np.int8)
    decided = np.array(decisions, bool)
    return Scored(decided.astype(np.float32), states, decided, np.arange(len(states)))


def values(metrics: Metrics) -> dict[str, float]:
    found = {name: one.value for name, one in metrics.totals.items()}
    for class_name, one in metrics.per_class.items():
        found.update({f"{class_name} {kind}": figure.value for kind, figure in one.figures.items()})
    return {**found, **{f"unknown {kind}": one.value for kind, one in metrics.unknown.items()}}


class TestAgainstScikitLearn:
    @pytest.mark.parametrize("seed", range(3))
    @pytest.mark.parametrize("n_digits", [1, 7], ids=["many ties", "few ties"])
    def test_all_figures_are_the_same(self, seed: int, n_digits: int) -> None:
        world = make_clustered(40, seed)
        world = Clustered(world.scores.round(n_digits), world.truth, world.atoms)

        metrics = measure(scored(world), NAMES, FEW)

        decided = world.scores >= 0.5
        for average in ("micro", "macro"):
            theirs = precision_recall_fscore_support(world.truth, decided, average=average, zero_division=0)[:3]
            ours = [metrics.value(f"{average}_{kind}").value for kind in ("precision", "recall", "f1")]
            assert ours == pytest.approx(theirs, abs=1e-12)
        for column, name in enumerate(NAMES):
            truth, scores = world.truth[:, column], world.scores[:, column]
            assert metrics.value("ap", name).value == pytest.approx(average_precision_score(truth, scores), abs=1e-12)
            assert metrics.value("roc_auc", name).value == pytest.approx(roc_auc_score(truth, scores), abs=1e-12)
        assert metrics.value("macro_ap").value == pytest.approx(average_precision_score(world.truth, world.scores))
        assert metrics.value("macro_roc_auc").value == pytest.approx(roc_auc_score(world.truth, world.scores))
        assert metrics.value("exact_match").value == pytest.approx(accuracy_score(world.truth, decided))

    def test_a_class_without_pictures_counts_in_macro_f1_and_not_in_macro_ap(self) -> None:
        truth = np.array([[1, 0], [0, 0], [1, 0], [0, 0]], np.int8)
        scores = np.array([[0.9, 0.1], [0.2, 0.7], [0.6, 0.2], [0.7, 0.1]], np.float32)

        metrics = measure(Scored(scores, truth, scores >= 0.5, np.arange(4)), ("a", "b"), FEW)

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            theirs = precision_recall_fscore_support(truth, scores >= 0.5, average="macro", zero_division=0)[2]
        assert metrics.value("macro_f1").value == pytest.approx(theirs)
        assert math.isnan(metrics.value("ap", "b").value)
        assert math.isnan(metrics.value("roc_auc", "b").value)
        assert metrics.value("macro_ap").value == pytest.approx(average_precision_score(truth[:, 0], scores[:, 0]))

    def test_accuracy_is_of_the_highest_score(self) -> None:
        scores = np.array([[0.9, 0.8], [0.1, 0.3], [0.4, 0.2]], np.float32)
        truth = np.array([[1, 0], [0, 1], [0, 1]], np.int8)

        metrics = measure(Scored(scores, truth, scores >= 0.5, np.arange(3)), ("a", "b"), FEW)

        assert metrics.value("accuracy").value == pytest.approx(2 / 3)


class TestByHand:
    def test_nothing_found_is_zero_and_not_an_error(self) -> None:
        metrics = measure(table([[1, 0], [0, 1]], [[0, 0], [0, 0]]), ("a", "b"), FEW)

        assert [metrics.value(f"micro_{kind}").value for kind in ("precision", "recall", "f1")] == [0, 0, 0]

    def test_masked_cells_are_no_errors_and_no_hits(self) -> None:
        metrics = measure(table([[1, -1], [0, -1], [1, 0]], [[1, 1], [0, 1], [1, 0]]), ("a", "b"), FEW)

        assert metrics.value("micro_f1").value == 1
        assert metrics.per_class["b"].n_known == 1
        assert metrics.value("exact_match").value == 1

    def test_a_class_that_nobody_was_asked_about_has_no_figures(self) -> None:
        metrics = measure(table([[1, -1], [0, -1]], [[1, 1], [1, 0]]), ("a", "b"), FEW)

        assert math.isnan(metrics.value("f1", "b").value)
        assert metrics.value("macro_f1").value == pytest.approx(2 / 3)
        assert math.isnan(metrics.value("exact_match").value)

    def test_unknown_is_a_picture_without_any_class(self) -> None:
        truth = [[0, 0], [0, 0], [1, 0], [0, 1], [0, -1]]

        metrics = measure(table(truth, [[0, 0], [1, 0], [0, 0], [0, 1], [0, 0]]), ("a", "b"), FEW)

        assert metrics.unknown_support == 2
        assert [metrics.value(kind, "unknown").value for kind in ("precision", "recall", "f1")] == [0.5, 0.5, 0.5]

    def test_confusion_pairs_what_was_missed_with_what_was_said_instead(self) -> None:
        truth = [[1, 0, 0], [1, 0, 0], [1, 0, 0], [0, 0, 0], [0, 0, 0], [1, 1, 0], [1, -1, 0]]
        said = [[1, 0, 0], [0, 1, 0], [0, 0, 0], [0, 0, 1], [0, 0, 0], [1, 0, 1], [0, 1, 0]]

        metrics = measure(table(truth, said), NAMES, FEW)

        assert metrics.confusion.tolist() == [[2, 1, 0, 2], [0, 0, 1, 0], [0, 0, 0, 0], [0, 0, 1, 1]]

    def test_a_curve_has_a_point_where_more_is_found_and_where_precision_has_fallen_before_it(self) -> None:
        scores = np.array([[0.9], [0.8], [0.7], [0.7], [0.1]], np.float32)
        truth = np.array([[1], [0], [1], [0], [0]], np.int8)

        curve = measure(Scored(scores, truth, scores >= 0.5, np.arange(5)), ("a",), FEW).curves["a"]

        assert curve.recall == (0.5, 0.5, 1.0, 1.0)
        assert curve.precision == (1.0, 0.5, 0.5, 0.4)
        assert curve.threshold == pytest.approx((0.9, 0.8, 0.7, 0.1))

    @pytest.mark.parametrize("n_atoms", [4, 30], ids=["short", "long"])
    @pytest.mark.parametrize("n_digits", [1, 7], ids=["many ties", "few ties"])
    def test_the_area_under_the_drawn_line_is_pr_auc(self, n_digits: int, n_atoms: int) -> None:
        world = make_clustered(n_atoms, 1, shares=(0.6,), separation=0.5)
        world = Clustered(world.scores.round(n_digits), world.truth, world.atoms)

        metrics = measure(scored(world), ("a",), FEW)

        curve = metrics.curves["a"]
        area = auc([0.0, *curve.recall], [1.0, *curve.precision])
        assert area == pytest.approx(metrics.value("pr_auc", "a").value, abs=1e-5)

    def test_where_thresholds_decide_lies_on_the_line(self) -> None:
        world = make_clustered(12, 0, shares=(0.6,), separation=0.5)
        curve = measure(scored(world), ("a",), FEW).curves["a"]

        for threshold in np.linspace(0.02, 0.98, 40):
            metrics = measure(scored(world, threshold), ("a",), FEW)
            recall, precision = (metrics.value(kind, "a").value for kind in ("recall", "precision"))
            beside = [one for at, one in zip(curve.recall, curve.precision, strict=True) if abs(at - recall) < 2e-6]
            if recall > 0:
                assert min(beside) - 2e-6 <= precision <= max(beside) + 2e-6

    def test_a_long_curve_is_thinned_and_keeps_its_ends(self) -> None:
        world = make_clustered(400, 0)

        curve = measure(scored(world), NAMES, FEW).curves["badger"]

        assert len(curve.recall) == len(curve.precision) == len(curve.threshold) == 200
        assert curve.recall[-1] == 1
        assert list(curve.recall) == sorted(curve.recall)


class TestLaws:
    @settings(max_examples=25, deadline=None)
    @given(seed=st.integers(0, 10_000), share=st.sampled_from([0.1, 0.5, 1.0]))
    def test_what_stands_in_masked_cells_changes_nothing(self, seed: int, share: float) -> None:
        world = make_clustered(8, seed).mask(share, seed)
        is_masked = world.truth < 0
        noise = np.random.default_rng(seed).random(world.scores.shape).astype(np.float32)
        other = Clustered(np.where(is_masked, noise, world.scores), world.truth, world.atoms)
        resampling = Resampling(n_resamples=5)

        here, there = (measure(scored(one), NAMES, resampling).to_json() for one in (world, other))

        assert json.dumps(here) == json.dumps(there)

    @settings(max_examples=25, deadline=None)
    @given(seed=st.integers(0, 10_000))
    def test_the_order_of_rows_changes_nothing(self, seed: int) -> None:
        world = make_clustered(10, seed).mask(0.2, seed)
        order = np.random.default_rng(seed).permutation(len(world.atoms))
        resampling = Resampling(n_resamples=20)

        here, there = (measure(scored(one), NAMES, resampling).to_json() for one in (world, world.take(order)))

        assert json.dumps(here) == json.dumps(there)

    def test_without_rows_nothing_is_measured(self) -> None:
        metrics = measure(scored(make_clustered(5, 0).take(np.empty(0, np.int64))), NAMES)

        assert metrics.n_items == metrics.n_atoms == metrics.n_positives == 0
        assert all(math.isnan(value) for value in values(metrics).values())
        assert not metrics.value("micro_f1").is_reliable
        assert metrics.confusion.sum() == 0

    def test_json_is_plain_and_complete(self) -> None:
        content = json.loads(json.dumps(measure(scored(make_clustered(30, 0)), NAMES, FEW).to_json(), allow_nan=False))

        assert content["accuracy"] is None
        assert set(content) >= {
            *TOTALS,
            "n_items",
            "n_atoms",
            "n_positives",
            "unknown",
            "confusion",
            "curves",
            "roc_curves",
            "histograms",
            "calibration",
        }
        assert set(content["per_class"]["badger"]) == {
            *("precision", "recall", "f1", "ap", "pr_auc", "roc_auc", "calibration_error"),
            *("precision_at_recall_50", "precision_at_recall_90", "precision_at_recall_95"),
            *("support_pos", "n_atoms_pos", "n_known"),
        }
        assert set(content["micro_f1"]) == {"value", "low", "high", "reliable"}


class TestCompare:
    def test_a_model_equals_itself(self) -> None:
        one = scored(make_clustered(60, 0))

        assert compare(one, one, "micro_f1", FEW) == Estimate(0, 0, 0, True)

    @pytest.mark.parametrize("metric", ["micro_f1", "macro_f1", "macro_ap", "exact_match", "f1[1]", "unknown_f1"])
    def test_the_difference_is_that_of_the_figures(self, metric: str) -> None:
        world = make_clustered(40, 0)
        other = Scored(world.scores**2, world.truth, world.scores >= 0.7, world.atoms)

        forth, back = compare(scored(world), other, metric, FEW), compare(other, scored(world), metric, FEW)

        assert forth.value == pytest.approx(-back.value)
        assert forth.low <= forth.value <= forth.high

    def test_it_is_paired_so_that_a_small_gain_on_every_atom_shows(self) -> None:
        world = make_clustered(100, 1)
        better = world.scores.copy()
        better[(world.truth == 1) & (np.random.default_rng(0).random(world.truth.shape) < 0.4)] = 1
        other = Scored(better, world.truth, better >= 0.5, world.atoms)

        gain = compare(scored(world), other, "micro_f1")

        alone = [measure(one, NAMES, FEW).value("micro_f1") for one in (scored(world), other)]
        assert gain.low > 0
        assert alone[0].high > alone[1].low

    def test_other_rows_are_refused(self) -> None:
        with pytest.raises(ValueError, match="same truth and atoms"):
            compare(scored(make_clustered(30, 0)), scored(make_clustered(30, 1)), "micro_f1")

    def test_an_unknown_metric_is_refused_by_name(self) -> None:
        one = scored(make_clustered(30, 0))

        with pytest.raises(UsageError, match=r"no metric is called 'mikro_f1'\. Did you mean 'micro_f1'"):
            compare(one, one, "mikro_f1")


class TestRefusals:
    @pytest.mark.parametrize(
        ("scores", "truth", "decisions", "atoms", "message"),
        [
            pytest.param(
                np.zeros((2, 3)), np.zeros((2, 2)), None, None, r"scores.*\(2, 2\), got \(2, 3\)", id="scores"
            ),
            pytest.param(np.full((2, 2), 1.5), np.zeros((2, 2)), None, None, "0 to 1, got 1.5", id="range"),
            pytest.param(np.full((2, 2), np.nan), np.zeros((2, 2)), None, None, "0 to 1, got nan", id="nan"),
            pytest.param(np.zeros((2, 2)), np.full((2, 2), 3), None, None, "truth.*got 3", id="state"),
            pytest.param(np.zeros(2), np.zeros(2), None, None, r"truth.*\(N, C\), got \(2,\)", id="flat"),
            pytest.param(np.zeros((2, 2)), np.zeros((2, 2)), np.zeros((1, 2), bool), None, "decisions", id="decisions"),
            pytest.param(np.zeros((2, 2)), np.zeros((2, 2)), np.zeros((2, 2), int), None, "bool", id="no bool"),
            pytest.param(np.zeros((2, 2)), np.zeros((2, 2)), None, np.zeros(3, int), r"atoms.*\(2,\)", id="atoms"),
            pytest.param(np.zeros((2, 2)), np.zeros((2, 2)), None, np.zeros(2), "atoms.*float64", id="atom type"),
        ],
    )
    def test_arrays_that_do_not_belong_together(
        self,
        scores: NDArray[np.float64],
        truth: NDArray[np.float64],
        decisions: NDArray[np.bool_] | None,
        atoms: NDArray[np.int64] | None,
        message: str,
    ) -> None:
        decided = np.zeros(truth.shape, bool) if decisions is None else decisions
        groups = np.arange(len(truth)) if atoms is None else atoms

        with pytest.raises(ValueError, match=message):
            Scored(scores.astype(np.float32), truth.astype(np.int8), decided, groups)

    def test_names_that_are_not_one_per_class(self) -> None:
        with pytest.raises(ValueError, match="3 different names, got"):
            measure(scored(make_clustered(5, 0)), ("a", "a", "b"))

    def test_a_figure_or_class_that_does_not_exist(self) -> None:
        metrics = measure(scored(make_clustered(5, 0)), NAMES, FEW)

        with pytest.raises(UsageError, match="no metric is called 'f1'"):
            metrics.value("f1")
        with pytest.raises(UsageError, match="Did you mean 'tanuki'"):
            metrics.value("f1", "tanuky")
