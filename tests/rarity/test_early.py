"""The early filter: by keywords, with some of the rest where these are few."""

from __future__ import annotations

import numpy as np
import pytest

from mekiki.rarity.early import SEED2_KEYWORDS, early_filter


def test_nothing_gives_nothing() -> None:
    keep, tally = early_filter([], ["truck"], [])

    assert (keep.shape, keep.dtype) == ((0,), np.bool_)
    assert (tally.n_in, tally.n_kept, tally.n_dropped) == (0, 0, 0)


def test_without_keywords_it_is_off() -> None:
    keep, tally = early_filter(["car"] * 5, [], range(5))

    assert keep.all()
    assert (tally.n_kept, tally.why) == (5, "")


@pytest.mark.parametrize(
    ("n_rare", "n_all", "n_added"),
    [
        pytest.param(30, 100, 0, id="three tenths are enough"),
        pytest.param(29, 100, 10, id="less than three tenths"),
        pytest.param(0, 100, 10, id="none at all"),
        pytest.param(0, 9, 0, id="a tenth of few is nobody"),
        pytest.param(2, 19, 1, id="a tenth is cut to a whole number"),
        pytest.param(46, 231, 23, id="as in the seed's log"),
    ],
)
def test_others_are_added_where_few_have_a_keyword(n_rare: int, n_all: int, n_added: int) -> None:
    names = ["truck"] * n_rare + ["car"] * (n_all - n_rare)

    keep, tally = early_filter(names, ["truck"], range(n_all))

    assert keep[:n_rare].all()
    assert int(keep[n_rare:].sum()) == n_added
    assert (tally.n_in, tally.n_kept) == (n_all, n_rare + n_added)


def test_no_more_are_added_than_there_are() -> None:
    keep, _ = early_filter(["truck"] * 2 + ["car"] * 8, ["truck"], range(10), top_up_below=1.0, top_up_share=1.0)

    assert keep.all()


def test_those_with_the_smallest_lots_are_added_wherever_they_stand() -> None:
    names = ["car"] * 15 + ["truck"] + ["car"] * 14
    lots = list(range(30, 0, -1))

    keep, _ = early_filter(names, ["truck"], lots)

    assert np.flatnonzero(keep).tolist() == [15, 27, 28, 29]
    backwards, _ = early_filter(names[::-1], ["truck"], lots[::-1])
    assert (backwards[::-1] == keep).all()


@pytest.mark.parametrize("name", ["Construction Vehicle", "construction_vehicle", "construction-vehicle"])
def test_spelling_does_not_matter(name: str) -> None:
    for keyword in ("construction vehicle", "Construction_Vehicle", " construction-vehicle ", "uction_veh"):
        assert early_filter([name, "car", "car"], [keyword], range(3))[0].tolist() == [True, False, False]


def test_a_word_stands_for_the_ten_of_seed_2() -> None:
    names = [f"a {word} thing" for word in SEED2_KEYWORDS] + ["car", "person"]

    keep, _ = early_filter(names, ["seed2"], range(12))

    assert keep.tolist() == [True] * 10 + [False] * 2
    assert early_filter(names, ["seed2", "car"], range(12))[0].tolist() == [True] * 11 + [False]


@pytest.mark.parametrize("options", [{"top_up_below": 1.1}, {"top_up_share": -0.1}])
def test_shares_lie_between_0_and_1(options: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=r"must lie in \[0, 1\]"):
        early_filter(["car"], ["truck"], [1], **options)


def test_an_empty_keyword_is_refused() -> None:
    with pytest.raises(ValueError, match="a keyword is empty"):
        early_filter(["car"], ["truck", " "], [1])
