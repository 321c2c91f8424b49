"""Intervals: they hold the true value as often as they say, because they draw atoms."""

from __future__ import annotations

import time

import numpy as np
import pytest

from clustered import Clustered, make_clustered
from mekiki.metrics.classification import Scored, compare, measure
from mekiki.metrics.intervals import Resampling, draw_atoms, number_atoms
from mekiki.records import Estimate

NAMES = ("badger", "civet", "tanuki")
FEW = Resampling(n_resamples=300)


def micro_f1(world: Clustered, resampling: Resampling = FEW) -> Estimate:
    return measure(scored(world), NAMES[: world.truth.shape[1]], resampling).value("micro_f1")


def scored(world: Clustered) -> Scored:
    return Scored(world.scores, world.truth, world.scores >= 0.5, world.atoms)


def test_each_draw_has_as_many_atoms_as_there_are() -> None:
    weights = np.concatenate(list(draw_atoms(7, Resampling(n_resamples=150))), axis=1)

    assert weights.shape == (7, 150)
    assert (weights.sum(axis=0) == 7).all()
    assert weights.mean(axis=1) == pytest.approx(1, abs=0.3)


def test_atoms_are_numbered_by_name() -> None:
    numbers, n_atoms = number_atoms(np.array([70, -3, 70, 12]))

    assert numbers.tolist() == [2, 0, 2, 1]
    assert n_atoms == 3


def test_the_same_seed_gives_the_same_interval_and_another_gives_another() -> None:
    world = make_clustered(40, 0)

    first, again, other = (micro_f1(world, Resampling(100, seed)) for seed in (1, 1, 2))

    assert first == again
    assert first != other


def test_a_higher_level_gives_a_wider_interval() -> None:
    world = make_clustered(40, 0)

    narrow, wide = (micro_f1(world, Resampling(500, level=level)) for level in (0.8, 0.99))

    assert wide.low < narrow.low < narrow.value < narrow.high < wide.high


def test_copies_of_pictures_within_their_atoms_do_not_narrow_the_interval() -> None:
    world = make_clustered(40, 0)
    twice = world.take(np.repeat(np.arange(len(world.atoms)), 4))

    assert micro_f1(twice) == micro_f1(world)


def test_rows_as_their_own_atoms_would_be_too_sure() -> None:
    world = make_clustered(60, 0, alike=0.9)
    torn = Clustered(world.scores, world.truth, np.arange(len(world.atoms)))

    honest, naive = micro_f1(world), micro_f1(torn)

    assert honest.high - honest.low > 1.3 * (naive.high - naive.low)


@pytest.mark.parametrize(("n_atoms", "is_reliable"), [(19, False), (20, True)])
def test_under_twenty_atoms_an_interval_is_not_reliable(n_atoms: int, is_reliable: bool) -> None:
    world = make_clustered(n_atoms, 0, shares=(1.0, 1.0, 1.0))

    assert micro_f1(world).is_reliable is is_reliable


def test_a_class_in_few_atoms_is_not_reliable_however_many_atoms_there_are() -> None:
    metrics = measure(scored(make_clustered(120, 0, shares=(0.5, 0.08))), NAMES[:2], FEW)

    assert metrics.value("recall", "badger").is_reliable
    assert not metrics.value("recall", "civet").is_reliable
    assert not metrics.value("ap", "civet").is_reliable


def few_in_many(n_atoms: int, n_with: int) -> Scored:
    """One class in a few of many atoms, one picture each, all decided rightly."""
    truth = (np.arange(n_atoms) < n_with).astype(np.int8)[:, None]
    return Scored(np.where(truth == 1, 0.9, 0.1).astype(np.float32), truth, truth == 1, np.arange(n_atoms))


@pytest.mark.parametrize("kind", ["precision", "recall", "f1", "ap", "pr_auc", "roc_auc", "calibration_error"])
@pytest.mark.parametrize(
    "one", [few_in_many(64, 14), scored(make_clustered(64, 5, shares=(0.2,)))], ids=["sure", "not"]
)
def test_of_one_class_a_figure_of_all_classes_is_the_figure_of_the_class(one: Scored, kind: str) -> None:
    metrics = measure(one, ("a",), FEW)

    own = metrics.value(kind, "a")
    for name in (f"micro_{kind}", f"macro_{kind}", kind):
        if name in metrics.totals:
            assert metrics.value(name) == own


@pytest.mark.parametrize("kind", ["precision", "recall", "f1"])
def test_micro_figures_rest_on_atoms_in_which_something_was_there_or_decided(kind: str) -> None:
    few = measure(few_in_many(400, 14), ("a",), FEW).value(f"micro_{kind}")

    assert few.low == pytest.approx(0.025 ** (1 / 14))
    assert not few.is_reliable
    assert measure(few_in_many(400, 20), ("a",), FEW).value(f"micro_{kind}").is_reliable


@pytest.mark.parametrize("kind", ["precision", "recall", "f1", "ap", "pr_auc", "roc_auc"])
def test_a_mean_over_classes_is_as_sure_as_its_rarest_class_lets_it_be(kind: str) -> None:
    one, other = few_in_many(400, 14), few_in_many(400, 200)
    both = Scored(
        *(
            np.concatenate([getattr(x, name) for x in (one, other)], axis=1)
            for name in ("scores", "truth", "decisions")
        ),
        one.atoms,
    )

    found = measure(both, ("rare", "common"), FEW)

    mean = found.value(f"macro_{kind}")
    rare, common = (found.value(kind, name) for name in ("rare", "common"))
    assert not mean.is_reliable
    # Both are flawless. Both at their own ends at once would be far less likely than either; the rare one alone is not.
    assert (rare.low + common.low) / 2 < mean.low <= (rare.low + 1) / 2 + 1e-6


def test_perfect_decisions_on_few_atoms_are_not_certain() -> None:
    truth = np.ones((30, 1), np.int8)
    estimate = measure(Scored(np.ones((30, 1), np.float32), truth, truth == 1, np.arange(30)), ("a",), FEW)

    found = estimate.value("recall", "a")

    assert found.value == 1
    assert found.low == pytest.approx(0.025 ** (1 / 30))
    assert found.high == 1


def test_a_single_atom_has_an_interval_of_no_use_and_no_error() -> None:
    found = micro_f1(make_clustered(1, 0, shares=(1.0,)))

    assert 0 <= found.low <= found.value <= found.high <= 1
    assert not found.is_reliable


@pytest.mark.parametrize(
    ("values", "message"),
    [({"n_resamples": 0}, "n_resamples must be 1 or more, got 0"), ({"level": 1.0}, "level must be between 0 and 1")],
)
def test_settings_that_make_no_sense_are_refused(values: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Resampling(**values)


@pytest.mark.slow
def test_intervals_hold_the_true_value_as_often_as_they_say() -> None:
    n_sets = 250
    true = measure(scored(make_clustered(20_000, 12345)), NAMES, Resampling(1))
    questions = (("micro_f1", None), ("f1", "badger"), ("recall", "badger"), ("precision", "badger"), ("ap", "badger"))
    held = dict.fromkeys(questions, 0)

    for seed in range(n_sets):
        metrics = measure(scored(make_clustered(80, seed)), NAMES, Resampling(400, seed))
        for question in questions:
            one = metrics.value(*question)
            held[question] += one.low <= true.value(*question).value <= one.high

    # 95 % less three standard errors, and less what 32 atoms with a class are too few for.
    assert all(0.88 <= number / n_sets <= 0.995 for number in held.values()), held


@pytest.mark.slow
def test_differences_hold_the_true_one_as_often_as_they_say() -> None:
    def both(world: Clustered) -> tuple[Scored, Scored]:
        return scored(world), Scored(world.scores, world.truth, world.scores >= 0.7, world.atoms)

    n_sets = 250
    true = compare(*both(make_clustered(20_000, 12345)), "macro_f1", Resampling(1)).value

    held = 0
    for seed in range(n_sets):
        one = compare(*both(make_clustered(80, seed)), "macro_f1", Resampling(400, seed))
        held += one.low <= true <= one.high

    assert 0.88 <= held / n_sets <= 0.995


@pytest.mark.slow
def test_fifty_thousand_pictures_take_seconds() -> None:
    world = make_clustered(7_500, 0, shares=(0.3, 0.2, 0.1, 0.1, 0.05, 0.05, 0.02))
    start = time.perf_counter()

    measure(scored(world), tuple("abcdefg"))

    assert len(world.atoms) > 45_000
    assert time.perf_counter() - start < 60
