"""Concept scores, worked by hand: fixed and adaptive weights, the order of concepts, and what is common."""

from __future__ import annotations

import numpy as np
import pytest

from mekiki.rarity.concepts import (
    adaptive_weights,
    concept_scores,
    cosines,
    has_keyword,
    is_uncommon,
    name_top,
    rank_concepts,
)


def test_nothing_scores_nothing() -> None:
    assert cosines(np.zeros((0, 3)), np.ones((2, 3))).shape == (0, 2)
    assert adaptive_weights(np.zeros(0)).shape == (0,)
    assert concept_scores(np.zeros((0, 2)), np.zeros((0, 2)), np.zeros(0)).shape == (0, 2)
    assert rank_concepts([], np.zeros(0)) == {}
    assert name_top({}) == ""


def test_cosines_do_not_know_lengths() -> None:
    rows, columns = np.array([[3.0, 4.0], [0.0, 0.0]]), np.array([[10.0, 0.0], [0.0, 0.5], [-1.0, 0.0]])

    assert cosines(rows, columns) == pytest.approx(np.array([[0.6, 0.8, -0.6], [0.0, 0.0, 0.0]]))


def test_vectors_of_two_spaces_are_refused() -> None:
    with pytest.raises(ValueError, match=r"\(1, 2\) and \(1, 3\)"):
        cosines(np.ones((1, 2)), np.ones((1, 3)))


@pytest.mark.parametrize(
    ("agreement", "weight"),
    [
        pytest.param(-1.0, 0.2, id="far below"),
        pytest.param(-0.2, 0.2, id="q = 0"),
        pytest.param(0.15, 0.5, id="q = 0.35 / 0.7"),
        pytest.param(0.22, 0.56, id="q = 0.6"),
        pytest.param(0.5, 0.8, id="q = 1"),
        pytest.param(1.0, 0.8, id="far above"),
    ],
)
def test_the_better_a_description_fits_its_picture_the_more_it_counts(agreement: float, weight: float) -> None:
    assert adaptive_weights(np.array([agreement]))[0] == pytest.approx(weight)


def test_a_score_is_the_weighted_mean_of_words_and_picture() -> None:
    text = np.array([[0.9, 0.1], [0.9, 0.1], [0.9, 0.1]])
    image = np.array([[0.2, 0.6], [0.2, 0.6], [0.2, 0.6]])

    scores = concept_scores(text, image, np.array([0.5, 0.2, 1.0]))

    assert scores == pytest.approx(np.array([[0.55, 0.35], [0.34, 0.50], [0.9, 0.1]]))


@pytest.mark.parametrize(
    ("text", "image", "weight"),
    [
        pytest.param((2, 3), (2, 4), 0.5, id="concepts"),
        pytest.param((2, 3), (3, 3), 0.5, id="things"),
        pytest.param((2, 3), (2, 3), 1.5, id="weight"),
    ],
)
def test_what_does_not_belong_together_is_refused(text: tuple[int, int], image: tuple[int, int], weight: float) -> None:
    with pytest.raises(ValueError, match=r"shapes differ|weights must lie"):
        concept_scores(np.zeros(text), np.zeros(image), np.full(2, weight))


def test_concepts_below_zero_are_left_out_and_ties_keep_the_lists_order() -> None:
    names = ["car", "bus", "cow", "tram", "ship"]

    assert list(rank_concepts(names, np.array([0.1, 0.3, -0.01, 0.3, 0.0]))) == ["bus", "tram", "car", "ship"]


@pytest.mark.parametrize(
    ("ranked", "name"),
    [
        ({"cow": 0.4}, "cow"),
        ({"cow": 0.4, "horse": 0.34}, "cow"),
        ({"cow": 0.4, "horse": 0.36, "car": 0.355}, "cow or horse"),
    ],
)
def test_two_concepts_that_are_about_equal_are_both_named(ranked: dict[str, float], name: str) -> None:
    assert name_top(ranked) == name


def test_names_are_compared_however_they_are_written() -> None:
    common = ("car", "traffic_light")

    assert not is_uncommon("Traffic-Light", common)
    assert is_uncommon("traffic lights here", common)
    assert is_uncommon("", common), "nothing says that it is common"


def test_a_keyword_is_a_whole_word() -> None:
    assert has_keyword("construction vehicle", ["construction"])
    assert not has_keyword("carpet", ["car"])
    assert not has_keyword("truck", [])
