"""Promised recall and precision: kept on new pictures, or not promised."""

from __future__ import annotations

import numpy as np
import pytest

from clustered import Clustered, make_clustered
from mekiki.metrics.bounds import Moments, design_effect, holds, lower_bound
from mekiki.metrics.fitting import ThresholdFit
from mekiki.metrics.intervals import number_atoms
from mekiki.metrics.search import Cells, Ranking
from mekiki.metrics.thresholds import TuneOptions, tune

RECALL = TuneOptions("precision-at-recall", at_least=0.9, n_resamples=2)
PRECISION = TuneOptions("recall-at-precision", at_least=0.8, n_resamples=2)


def moments_of(hits: list[float], cells: list[float]) -> Moments:
    x, n = np.array(hits, float), np.array(cells, float)
    sums = (x.sum(), n.sum(), (x * x).sum(), (x * n).sum(), (n * n).sum(), float((n > 0).sum()))
    return Moments(*(np.array([one]) for one in sums))


class TestBounds:
    def test_the_bound_lies_below_the_share_and_rises_with_the_number_of_atoms(self) -> None:
        bounds = []
        for n_atoms in (10, 40, 160, 640):
            moments = moments_of([9, 8, 10, 9] * (n_atoms // 2), [10] * 2 * n_atoms)
            bounds.append(lower_bound(moments, design_effect(moments, 0, 0.05), 0.05)[0])

        assert bounds == sorted(bounds)
        assert 0.85 < bounds[-1] < 0.9

    def test_atoms_that_are_all_or_nothing_count_as_one_cell_each(self) -> None:
        together = moments_of([10] * 90 + [0] * 10, [10] * 100)
        apart = moments_of([9] * 100, [10] * 100)

        assert design_effect(together, 0, 0.05) == pytest.approx(10, rel=0.1)
        assert design_effect(apart, 0, 0.05) < 3

    @pytest.mark.parametrize("at_least", [0.5, 0.8, 0.9])
    def test_the_fast_test_says_what_the_bound_says(self, at_least: float) -> None:
        world = make_clustered(150, 0, shares=(0.5,))
        cells = Cells(world.scores[:, 0], world.truth[:, 0] == 1, world.atoms, np.ones(len(world.atoms)))
        moments = Ranking(cells, 150).present_share()

        bounds = lower_bound(moments, 2.0, 0.05)

        is_clear = np.abs(bounds - at_least) > 1e-4
        assert ((bounds >= at_least) == holds(moments, 2.0, at_least, 0.05))[is_clear].all()

    def test_sums_by_threshold_are_those_of_a_plain_count(self) -> None:
        world = make_clustered(12, 1, shares=(0.5,))
        scores, is_present = world.scores[:, 0].round(1), world.truth[:, 0] == 1
        ranking = Ranking(Cells(scores, is_present, world.atoms, np.ones(len(scores))), 12)
        precision, (recall, steps) = ranking.present_share(), ranking.decided_share(True)

        for number, threshold in enumerate(ranking.thresholds):
            decided = scores >= threshold
            x = np.bincount(world.atoms[decided & is_present], minlength=12).astype(float)
            n, m = (np.bincount(world.atoms[which], minlength=12).astype(float) for which in (decided, is_present))
            for found, cells, at in ((precision, n, number), (recall, m, steps[number])):
                wanted = moments_of(list(x), list(cells))
                for name in ("hits", "cells", "hits_squared", "hits_cells", "cells_squared", "n_atoms"):
                    assert getattr(found, name)[at] == pytest.approx(getattr(wanted, name)[0])


class TestPromises:
    def test_recall_is_bought_with_precision(self) -> None:
        world = make_clustered(500, 0, shares=(0.5,))

        low, high = (
            tune(world.scores, world.truth, world.atoms, TuneOptions("precision-at-recall", at_least=r, n_resamples=2))
            for r in (0.7, 0.95)
        )

        assert low.thresholds[0] > high.thresholds[0]
        for tuned in (low, high):
            facts = tuned.facts[0]
            assert facts["is_met"]
            assert facts["recall"] > facts["bound"] >= facts["at_least"]
            assert facts["value"] == facts["precision"]

    def test_few_atoms_promise_nothing_and_say_so(self) -> None:
        world = make_clustered(30, 0, shares=(0.6,))

        for options in (RECALL, PRECISION):
            facts = tune(world.scores, world.truth, world.atoms, options).facts[0]
            assert facts["is_met"] is False
            assert facts["bound"] < facts["at_least"]

    def test_where_recall_cannot_be_promised_it_is_what_was_wanted_on_these_pictures(self) -> None:
        world = make_clustered(30, 0, shares=(0.6,))

        facts = tune(world.scores, world.truth, world.atoms, RECALL).facts[0]

        assert facts["is_met"] is False
        assert facts["at_least"] <= facts["recall"] < 1

    def test_a_precision_that_scores_cannot_give_is_not_promised(self) -> None:
        world = make_clustered(300, 0, shares=(0.3,), separation=0.0)

        facts = tune(world.scores, world.truth, world.atoms, PRECISION).facts[0]

        assert facts["is_met"] is False

    def test_more_pictures_of_the_same_atoms_are_not_more_evidence(self) -> None:
        world = make_clustered(40, 0, shares=(0.6,), alike=1.0)
        many = world.take(np.repeat(np.arange(len(world.atoms)), 50))

        facts = tune(many.scores, many.truth, many.atoms, RECALL).facts[0]

        assert facts["is_met"] is False

    def test_a_rare_class_gets_the_joint_threshold_and_only_its_own_promise(self) -> None:
        world = make_clustered(400, 0, shares=(0.5, 0.008))

        tuned = tune(world.scores, world.truth, world.atoms, RECALL)

        assert tuned.joint_facts["is_met"]
        assert tuned.facts[1]["used_joint"]
        assert tuned.facts[1]["is_met"] is False

    def test_nothing_is_promised_for_f1(self) -> None:
        world = make_clustered(40, 0)

        facts = tune(world.scores, world.truth, world.atoms, TuneOptions(n_resamples=2)).facts[0]

        assert [facts[name] for name in ("promised", "at_least", "bound", "is_met")] == [None] * 4


def share_of(world: Clustered, threshold: float, options: TuneOptions) -> float:
    """Return what was promised, as it is in a world."""
    decided, is_present = world.scores[:, 0] >= np.float32(threshold), world.truth[:, 0] == 1
    recall = float((decided & is_present).sum() / is_present.sum())
    if options.objective == "precision-at-recall":
        return recall
    alarm_rate = float((decided & ~is_present).sum() / (~is_present).sum())
    prevalence = (options.prevalence or {}).get(0, float(is_present.mean()))
    return prevalence * recall / max(prevalence * recall + (1 - prevalence) * alarm_rate, 1e-9)


@pytest.mark.slow
@pytest.mark.parametrize("alike", [0.1, 0.5, 0.95])
@pytest.mark.parametrize(
    "options",
    [
        pytest.param(RECALL, id="recall"),
        pytest.param(PRECISION, id="precision"),
        pytest.param(TuneOptions("recall-at-precision", at_least=0.5, prevalence={0: 0.2}), id="prevalence"),
    ],
)
def test_over_many_sets_to_tune_on_a_promise_is_broken_in_at_most_five_percent(
    options: TuneOptions, alike: float
) -> None:
    n_sets = 300
    everything = make_clustered(30_000, 999, shares=(0.5,), alike=alike)

    n_promised = n_broken = n_naive = 0
    for seed in range(n_sets):
        world = make_clustered(200, seed, shares=(0.5,), alike=alike)
        fit = ThresholdFit(world.scores, world.truth, number_atoms(world.atoms), options)
        threshold = fit.thresholds(*fit.choose())[0]
        if fit.describe(0, threshold, [0, 0])["is_met"]:
            n_promised += 1
            n_broken += share_of(everything, threshold, options) < (options.at_least or 0)
        if options.objective == "precision-at-recall":
            found = np.sort(world.scores[world.truth == 1])[int(0.1 * (world.truth == 1).sum())]
            n_naive += share_of(everything, float(found), options) < (options.at_least or 0)

    # Three standard errors of 300 sets are 3.8 %.
    assert n_broken / n_sets <= 0.05 + 0.038
    assert n_promised / n_sets > 0.2, "a promise that is never made is never broken"
    if options.objective == "precision-at-recall":
        assert n_naive / n_sets > 0.3, "recall in the data alone would be broken every other time"
