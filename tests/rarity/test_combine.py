"""Rules and combinations: what is kept, in which order, whatever the order of the rows, and what is said of it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mekiki.errors import UsageError
from mekiki.rarity.base import rank_scale
from mekiki.rarity.combine import HOWS, Rule, combine, select

TENTH = Rule(share=0.1)


def ranks(n: int, seed: int, n_values: int = 10_000) -> np.ndarray:
    return rank_scale(np.random.default_rng(seed).integers(n_values, size=n).astype(float))


@pytest.mark.parametrize(
    ("text", "n", "kept"),
    [
        pytest.param("share:0.1", 0, 0, id="nothing"),
        pytest.param("share:0.1", 200, 20, id="share"),
        pytest.param("share:0.29", 100, 29, id="share that floats cannot hold"),
        pytest.param("share:0.1", 5, 1, id="share of few: at least one"),
        pytest.param("share:1", 7, 7, id="all"),
        pytest.param("share:0.3,at-least:50", 231, 69, id="seed 2, many"),
        pytest.param("share:0.3, at-least:50", 100, 50, id="seed 2, some"),
        pytest.param("share:0.3,at-least:50", 46, 46, id="seed 2, few: all of them"),
        pytest.param("count:50", 231, 50, id="count"),
        pytest.param("count:50", 20, 20, id="count of fewer"),
        pytest.param("score:0.95", 101, 6, id="score"),
        pytest.param("score:1", 101, 1, id="highest score"),
    ],
)
def test_a_rule_keeps_as_many_as_it_says(text: str, n: int, kept: int) -> None:
    scores = rank_scale(np.arange(n, dtype=float))

    assert Rule.parse(text).n_of(scores) == len(select(scores, Rule.parse(text), np.arange(n))) == kept
    assert Rule.parse(str(Rule.parse(text))) == Rule.parse(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("", "'' is no rule", id="empty"),
        pytest.param("0.1", "write share:0.1", id="bare number"),
        pytest.param("share:0", "above 0 and at most 1", id="no share"),
        pytest.param("share:1.1", "above 0 and at most 1", id="more than all"),
        pytest.param("count:2.5", "a whole number from 1 on", id="half a thing"),
        pytest.param("count:0", "a whole number from 1 on", id="no count"),
        pytest.param("score:2", "from 0 to 1", id="score above 1"),
        pytest.param("count:5,at-least:9", "goes with a share only", id="count at least"),
        pytest.param("share:-0.1", "is no rule", id="negative"),
    ],
)
def test_a_wrong_rule_says_what_would_be_right(text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Rule.parse(text)


@given(st.integers(0, 40), st.integers(0, 1000), st.sampled_from(HOWS), st.sampled_from(["share:0.2", "score:0.8"]))
@settings(max_examples=60, deadline=None)
def test_the_order_of_rows_and_scorers_never_matters(n: int, seed: int, how, rule: str) -> None:
    scores = {name: ranks(n, seed + place, n_values=6) for place, name in enumerate("abc")}
    ids = np.array([f"{number:03}" for number in np.random.default_rng(seed).permutation(n)], dtype=np.str_)
    order = np.random.default_rng(seed + 9).permutation(n)

    one = combine(scores, {}, how, ids, Rule.parse(rule))
    other = combine({name: scores[name][order] for name in "cab"}, {}, how, ids[order], Rule.parse(rule))

    assert ids[one.rows].tolist() == ids[order][other.rows].tolist()
    np.testing.assert_array_equal(one.combined[order], other.combined)
    assert one.kept_by == other.kept_by


def test_a_union_has_what_any_keeps_and_an_intersection_what_all_keep() -> None:
    scores = {"a": ranks(100, 0), "b": ranks(100, 1)}
    rules = {"a": Rule(count=30), "b": Rule(score=0.6)}
    ids = np.arange(100)
    each = [set(select(scores[name], rules[name], ids).tolist()) for name in "ab"]

    union = combine(scores, rules, "union", ids, TENTH)
    both = combine(scores, rules, "intersection", ids, TENTH)

    assert set(union.rows.tolist()) == each[0] | each[1]
    assert set(both.rows.tolist()) == each[0] & each[1]
    assert union.kept_by == both.kept_by == {"a": 30, "b": len(each[1])}


@pytest.mark.parametrize("how", HOWS)
def test_what_is_chosen_stands_in_the_order_of_the_combined_score(how) -> None:
    scores = {"a": ranks(300, 0), "b": ranks(300, 1)}

    found = combine(scores, {}, how, np.arange(300), TENTH)

    assert (np.diff(found.combined[found.rows]) <= 0).all()
    assert found.combined.mean() == pytest.approx(0.5)


def test_a_union_by_one_share_is_the_beginning_of_its_ranking() -> None:
    scores = {"a": ranks(300, 0, 10**9), "b": ranks(300, 1, 10**9)}

    found = combine(scores, {}, "union", np.arange(300), TENTH)

    assert set(found.rows.tolist()) == set(np.argsort(-found.combined, kind="stable")[: len(found.rows)].tolist())


def test_one_scorer_alone_keeps_its_ranking() -> None:
    scores = ranks(50, 0)

    for how in HOWS:
        np.testing.assert_array_equal(combine({"a": scores}, {}, how, np.arange(50), TENTH).combined, scores)


def test_a_tie_at_the_border_is_decided_by_the_other_scorers_and_then_by_the_id() -> None:
    a = rank_scale(np.array([1.0, 1.0, 1.0, 0.0]))
    b = rank_scale(np.array([0.0, 0.0, 1.0, 2.0]))
    ids = np.array(["z", "y", "x", "w"])

    found = combine({"a": a, "b": b}, {"b": Rule(count=1)}, "union", ids, Rule(count=2))

    assert ids[found.rows].tolist() == ["w", "x", "y"]  # x by what b says, y before z by its id


def test_a_rule_that_keeps_everything_is_named() -> None:
    scores = {"a": ranks(46, 0), "b": ranks(46, 1)}

    found = combine(scores, {"a": Rule.parse("share:0.3,at-least:50")}, "union", np.arange(46), TENTH)

    assert found.kept_all == ("a",)
    assert combine({"a": ranks(0, 0)}, {}, "union", np.arange(0), TENTH).kept_all == ()


@pytest.mark.parametrize(
    ("how", "rules", "message"),
    [
        pytest.param("onion", {}, "Did you mean 'union'", id="way"),
        pytest.param("union", {"knnn": TENTH}, "no scorer of this run is called 'knnn'", id="scorer"),
        pytest.param("mean-rank", {"knn": TENTH}, "a rule for knn cannot apply", id="rule without a meaning"),
    ],
)
def test_a_wrong_combination_is_refused(how, rules, message) -> None:
    with pytest.raises(UsageError, match=message):
        combine({"knn": ranks(5, 0)}, rules, how, np.arange(5), TENTH)


def test_broken_calls_are_refused() -> None:
    with pytest.raises(ValueError, match="at least one scorer"):
        combine({}, {}, "union", np.arange(5), TENTH)
    with pytest.raises(ValueError, match="tie_breaker"):
        select(ranks(5, 0), TENTH, np.arange(4))
