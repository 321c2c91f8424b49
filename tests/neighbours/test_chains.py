"""Chains: every member is near its centre, clumps stay whole, and nothing that was apart comes together."""

from __future__ import annotations

import numpy as np
import pytest

from clouds import clusters, directions, turned
from mekiki.dataset.duplicates import group_pairs
from mekiki.neighbours.chains import cut_chains
from mekiki.neighbours.near_pairs import find_near_pairs
from mekiki.neighbours.tables import to_unit_length


def on_a_circle(degrees) -> np.ndarray:
    angles = np.radians(np.asarray(degrees, float))
    return np.column_stack([np.cos(angles), np.sin(angles)]).astype(np.float32)


def connected(vectors, min_cosine):
    return group_pairs(len(vectors), find_near_pairs(vectors, min_cosine).pairs)


@pytest.mark.parametrize("n", [0, 1, 2])
def test_none_one_and_two_stay_as_they_are(n) -> None:
    assert cut_chains(directions(0, n, 4), np.zeros(n, np.int64), 0.99).tolist() == [0] * n


def test_a_chain_around_the_circle_becomes_groups_no_wider_than_two_pairs() -> None:
    vectors = on_a_circle(range(0, 300, 2))
    groups = connected(vectors, np.cos(np.radians(5)))
    assert len(np.unique(groups)) == 1

    cut = cut_chains(vectors, groups, np.cos(np.radians(5)))

    assert len(np.unique(cut)) >= 30
    for number in np.unique(cut):
        members = vectors[cut == number]
        products = members @ members.T
        assert products.min() >= np.cos(np.radians(10)) - 1e-6
        assert products.min(axis=1).max() >= np.cos(np.radians(5)) - 1e-6  # one of them is a centre


@pytest.mark.parametrize("n_dims", [4, 64])
def test_every_member_is_near_one_centre_of_its_group(n_dims) -> None:
    vectors = to_unit_length(clusters(3000, 4, n_dims=n_dims))
    groups = connected(vectors, 0.75)

    cut = cut_chains(vectors, groups, 0.75)

    assert (groups[cut] == groups).all()  # nothing that was apart came together
    for number in np.unique(cut):
        rows = np.flatnonzero(cut == number)
        assert rows[0] == number
        assert (vectors[rows] @ vectors[rows].T).min(axis=1).max() >= 0.75 - 1e-5


def test_a_clump_that_fits_around_its_middle_stays_whole_whatever_comes_first() -> None:
    middle = directions(1, 1, 32)
    around = turned(np.repeat(middle, 5000, axis=0), 0.975)  # two of them are at about 0.95
    vectors = np.concatenate([around, middle])

    cut = cut_chains(vectors, connected(vectors, 0.97), 0.97)

    assert np.unique(cut).tolist() == [0]


def test_groups_and_vectors_of_different_lengths_are_refused() -> None:
    with pytest.raises(ValueError, match=r"groups must have shape \(3,\), got \(2,\)"):
        cut_chains(np.ones((3, 2), np.float32), np.zeros(2, np.int64), 0.9)
