"""Words become vectors, vectors become scores, scores become labels."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from mekiki.models.vocabulary import plain_vocabulary
from mekiki.models.zero_shot import (
    NEUTRAL,
    Wording,
    class_vectors,
    wording_of,
    zero_shot_labels,
    zero_shot_scores,
)

AXES = {"cat": 0, "dog": 1}


def embed_words(texts: Sequence[str]) -> NDArray[np.float32]:
    """Return a vector along the axis of the class that a text names, of a length that must not matter."""
    found = np.zeros((len(texts), 4), np.float32)
    for row, text in enumerate(texts):
        axis = next((axis for name, axis in AXES.items() if name in text), 3)
        found[row, axis] = len(text)
    return found


WORDS = class_vectors(wording_of(plain_vocabulary(("cat", "dog")), ("a {}.", "the {}")), embed_words)


def test_a_class_is_the_mean_of_all_that_is_said_of_it() -> None:
    wording = Wording(("cat",), (("cat", "tom"),), ("a {}", "{}!"))

    assert wording.sentences(0) == ["a cat", "cat!", "a tom", "tom!"]
    assert np.allclose(WORDS, np.eye(4, dtype=np.float32)[[0, 1, 3]])
    assert len(embed_words(NEUTRAL)) == len(NEUTRAL)


def test_lengths_of_vectors_do_not_matter() -> None:
    vectors = np.abs(np.random.default_rng(0).normal(size=(9, 4))).astype(np.float32)

    for decide in ("best", "each"):
        scores = zero_shot_scores(vectors, WORDS, decide)
        for length in (7, 1e-30, 1e30):  # squares of the last two are nothing, or too much, in float32
            longer = (vectors * np.float32(length)).astype(np.float32)
            assert np.allclose(scores, zero_shot_scores(longer, WORDS, decide), atol=1e-5)
        assert scores.shape == (9, 2)
        assert ((scores >= 0) & (scores <= 1)).all()


def test_best_shares_one_out_and_each_does_not() -> None:
    both = np.array([[1, 1, 0, 0], [0, 0, 0, 1]], np.float32)

    best = zero_shot_scores(both, WORDS, "best")
    each = zero_shot_scores(both, WORDS, "each")

    assert np.allclose(best, 0.5)
    assert (each[0] > 0.99).all()
    assert (each[1] < 0.01).all()


def test_labels_are_what_is_sure_enough() -> None:
    scores = np.array([[0.6, 0.4], [0.5, 0.5], [0.45, 0.4], [0.9, 0.9]], np.float32)

    best = zero_shot_labels(scores, "best", 0.5)
    each = zero_shot_labels(scores, "each", 0.5)

    assert best.tolist() == [[True, False], [True, False], [False, False], [True, False]]
    assert each.tolist() == [[True, False], [True, True], [False, False], [True, True]]


def test_nothing_gives_nothing() -> None:
    assert zero_shot_scores(np.zeros((0, 4), np.float32), WORDS, "best").shape == (0, 2)
    assert zero_shot_labels(np.zeros((0, 2), np.float32), "best", 0.5).shape == (0, 2)
    assert np.isfinite(zero_shot_scores(np.zeros((2, 4), np.float32), WORDS, "best")).all()
