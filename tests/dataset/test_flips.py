"""Near-duplicates are found in any flip, and nothing else is."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from mekiki.dataset.duplicates import find_near_duplicates, group_pairs
from mekiki.dataset.flips import find_flipped_duplicates
from mekiki.dataset.hashes import Thumbs, hash_thumbs


def scenes(n: int, seed: int = 0) -> Thumbs:
    """Return thumbnails of smooth random scenes, none like another."""
    coarse = np.random.default_rng(seed).integers(20, 235, (n, 8, 8)).astype(np.float64)
    return np.kron(coarse, np.ones((4, 4))).astype(np.uint8)


def flat(n: int) -> NDArray[np.bool_]:
    return np.zeros(n, np.bool_)


def test_no_pictures_have_no_pairs() -> None:
    assert find_flipped_duplicates(scenes(0), flat(0)).pairs.shape == (0, 2)


def test_different_pictures_are_in_no_pair() -> None:
    assert len(find_flipped_duplicates(scenes(300), flat(300)).pairs) == 0


@pytest.mark.parametrize(
    ("flip", "is_flipped"),
    [
        pytest.param(lambda one: one, False, id="copy"),
        pytest.param(lambda one: one[:, ::-1], True, id="left to right"),
        pytest.param(lambda one: one[::-1], True, id="top to bottom"),
        pytest.param(lambda one: one[::-1, ::-1], True, id="turned by half"),
    ],
)
def test_a_copy_is_found_whichever_way_it_stands(flip: Callable[[Thumbs], Thumbs], is_flipped: bool) -> None:
    pictures = np.concatenate([scenes(40), flip(scenes(40)[7])[None]])

    found = find_flipped_duplicates(pictures, flat(41))

    assert found.pairs.tolist() == [[7, 40]]
    assert found.is_mirrored.tolist() == [is_flipped]


def test_a_picture_that_is_its_own_flip_is_no_pair_with_itself() -> None:
    half = scenes(1)[0][:16]
    symmetric = np.concatenate([half, half[::-1]])[None]

    assert len(find_flipped_duplicates(np.concatenate([symmetric, scenes(5, 1)]), flat(6)).pairs) == 0


def test_flat_pictures_are_in_no_pair() -> None:
    pictures = np.concatenate([scenes(1), scenes(1)])

    assert len(find_flipped_duplicates(pictures, np.array([True, False])).pairs) == 0


def test_what_is_found_upright_is_found_here_too() -> None:
    noise = np.random.default_rng(1).integers(-6, 7, (60, 32, 32))
    pictures = np.clip(np.repeat(scenes(30), 2, axis=0) + noise, 0, 255).astype(np.uint8)
    hashes, mirrored = hash_thumbs(pictures)
    upright = find_near_duplicates(hashes, mirrored, pictures, flat(60))

    groups = group_pairs(60, find_flipped_duplicates(pictures, flat(60)).pairs)

    assert len(upright.pairs) >= 25
    assert groups[upright.pairs[:, 0]].tolist() == groups[upright.pairs[:, 1]].tolist()


def test_the_order_of_pictures_does_not_change_what_belongs_together() -> None:
    pictures = np.concatenate([scenes(20), scenes(20)[:, ::-1], scenes(20)[:, :, ::-1]])
    order = np.random.default_rng(2).permutation(60)

    groups = group_pairs(60, find_flipped_duplicates(pictures, flat(60)).pairs)
    shuffled = group_pairs(60, find_flipped_duplicates(pictures[order], flat(60)).pairs)

    assert {frozenset(np.flatnonzero(groups == one).tolist()) for one in groups} == {
        frozenset(order[np.flatnonzero(shuffled == one)].tolist()) for one in shuffled
    }
