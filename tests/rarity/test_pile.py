"""Laws of all scorers: ranks in [0, 1], order of rows, copies, planted outliers, small and flat piles."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from mekiki.errors import UsageError
from mekiki.rarity.base import SCORERS as REGISTRY
from mekiki.rarity.pile import Pile, score_all
from rarity_piles import SCORERS, VECTOR_SCORERS, common_pile, pile_of, taken


def test_every_registered_scorer_is_under_these_laws() -> None:
    assert sorted(SCORERS) == REGISTRY.names()
    assert all(REGISTRY.create(name).name == name for name in SCORERS)


@pytest.mark.parametrize("n", [0, 1, 2, 3, 12, 200])
def test_scores_are_ranks_of_everything(n: int) -> None:
    found = score_all(common_pile(n), SCORERS)

    for scores in found.values():
        assert scores.shape == (n,)
        assert scores.dtype == np.float32
        assert ((scores >= 0) & (scores <= 1)).all()
        if n:
            assert scores.mean() == pytest.approx(0.5, abs=1e-5)


def test_the_order_of_rows_never_matters() -> None:
    pile = common_pile(300)
    order = np.random.default_rng(5).permutation(300)

    one, other = score_all(pile, SCORERS), score_all(taken(pile, order), SCORERS)

    for name in SCORERS:
        np.testing.assert_array_equal(one[name][order], other[name], err_msg=name)


def test_copies_share_a_score() -> None:
    pile = common_pile(300)

    found = score_all(pile, SCORERS)

    for name, scores in found.items():
        np.testing.assert_array_equal(scores[9::10], scores[8::10], err_msg=name)


@pytest.mark.parametrize("name", VECTOR_SCORERS)
def test_a_planted_outlier_is_the_rarest(name: str) -> None:
    pile = common_pile(300)
    assert pile.vectors is not None
    assert pile.common is not None
    away = -3 * pile.common.mean(axis=0) / np.linalg.norm(pile.common.mean(axis=0))
    planted = pile_of(np.vstack([pile.vectors, away[None]]), (*pile.class_names, "class 1"), pile.common)

    scores = score_all(planted, [name])[name]

    assert scores[-1] == 1 > np.sort(scores)[-2]


def test_a_thing_of_a_lone_class_is_the_rarest_by_frequency() -> None:
    pile = Pile(class_names=("car",) * 100 + ("unicorn",))

    assert score_all(pile, ["frequency"])["frequency"][-1] == 1


@pytest.mark.parametrize("name", SCORERS)
def test_things_that_are_all_equal_are_equally_rare(name: str) -> None:
    pile = pile_of(np.ones((50, 8), np.float32), ("car",) * 50, np.eye(8, dtype=np.float32)[:2])

    np.testing.assert_array_equal(score_all(pile, [name])[name], 0.5)


def test_scores_together_are_those_of_each_alone() -> None:
    pile = common_pile(150)

    together = score_all(pile, SCORERS)

    for name in SCORERS:
        alone = score_all(replace(pile), [name])[name]
        np.testing.assert_array_equal(together[name], alone, err_msg=name)


def test_neighbours_are_searched_once_for_all_scorers() -> None:
    pile = common_pile(100)

    score_all(pile, ["knn", "lof", "class-lof"])

    assert len(pile._graphs) == 1
    assert pile.graph(5) is pile.graph(20)


@pytest.mark.parametrize(
    ("name", "pile", "message"),
    [
        pytest.param("knn", Pile(class_names=("car",)), "knn needs vectors", id="vectors"),
        pytest.param("frequency", Pile(np.eye(2, dtype=np.float32)), "frequency needs class names", id="names"),
        pytest.param("unlike-common", Pile(np.eye(2, dtype=np.float32)), "needs vectors of common words", id="words"),
    ],
)
def test_what_a_scorer_lacks_is_named(name: str, pile: Pile, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        score_all(pile, [name])


def test_an_unknown_scorer_is_refused_with_the_nearest() -> None:
    with pytest.raises(UsageError, match=r"no scorer is called 'isolatoin'\. Did you mean 'isolation'"):
        score_all(Pile(), ["isolatoin"])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        pytest.param({"class_names": ("a",)}, r"of one length, got \[1, 2\]", id="names"),
        pytest.param({"vectors": np.full((2, 2), np.nan, np.float32)}, "finite", id="not a number"),
        pytest.param({"n_neighbours": 0}, "at least 1", id="no neighbour"),
    ],
)
def test_a_pile_that_does_not_fit_is_refused(change, message) -> None:
    with pytest.raises(ValueError, match=message):
        replace(Pile(np.eye(2, dtype=np.float32)), **change)
