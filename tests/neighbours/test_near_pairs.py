"""Pairs of near vectors: those of brute force among few, planted ones among many, and never a false one."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clouds import clusters, directions, in_files, turned, with_pairs
from mekiki.dataset.duplicates import group_pairs
from mekiki.neighbours.near_pairs import NearPairs, find_near_pairs


def cosines_of(vectors, pairs):
    wide = vectors.astype(np.float64)
    wide /= np.maximum(np.linalg.norm(wide, axis=1, keepdims=True), 1e-300)
    return (wide[pairs[:, 0]] * wide[pairs[:, 1]]).sum(axis=1)


def brute_groups(vectors, min_cosine):
    """Connected components of all pairs, by rows that are not zeros."""
    wide = vectors.astype(np.float64)
    wide /= np.maximum(np.linalg.norm(wide, axis=1, keepdims=True), 1e-300)
    return group_pairs(len(vectors), np.argwhere(np.triu(wide @ wide.T >= min_cosine, 1)))


def check(found: NearPairs, vectors, min_cosine) -> None:
    """What holds of every answer."""
    assert (found.pairs[:, 0] < found.pairs[:, 1]).all()
    assert found.pairs.tolist() == sorted(found.pairs.tolist())
    assert len(found.pairs) == len(vectors) - len(np.unique(group_pairs(len(vectors), found.pairs)))  # a forest
    true = cosines_of(vectors, found.pairs)
    assert (true >= min_cosine - 2e-6).all()
    np.testing.assert_allclose(found.cosines, true, atol=2e-6)


@pytest.mark.parametrize("n", [0, 1])
def test_nothing_and_one_have_no_pair(n) -> None:
    found = find_near_pairs(directions(0, n, 8), 0.5)

    assert found.pairs.shape == (0, 2)
    assert found.is_zero.tolist() == [False] * n


@given(st.integers(0, 60), st.integers(1, 6), st.sampled_from([0.31, 0.79, 0.97, 1.0]), st.integers(0, 10_000))
@settings(max_examples=60, deadline=None)
def test_groups_of_few_vectors_are_those_of_brute_force(n, n_dims, min_cosine, seed) -> None:
    rng = np.random.default_rng(seed)
    vectors = rng.integers(-2, 3, (n, n_dims)).astype(np.float32)  # many are equal, opposite, or zeros

    found = find_near_pairs(vectors, min_cosine)

    check(found, vectors, min_cosine)
    np.testing.assert_array_equal(group_pairs(n, found.pairs), brute_groups(vectors, min_cosine - 1e-6))
    np.testing.assert_array_equal(found.is_zero, ~vectors.any(axis=1))


def test_cells_find_the_planted_pairs_and_make_none_up() -> None:
    vectors, planted = with_pairs(6000, 400, 0.9705)

    found = find_near_pairs(vectors, 0.97, exact_rows=500)

    check(found, vectors, 0.97)
    assert found.n_cells > 100
    assert found.expected_share >= 0.999
    groups = group_pairs(len(vectors), found.pairs)
    assert (groups[planted[:, 0]] == groups[planted[:, 1]]).mean() >= 0.99
    assert len(found.pairs) <= len(planted)


def test_vectors_without_clusters_are_dealt_to_more_cells_and_found_too() -> None:
    vectors = directions(3, 4000, 32)
    vectors[2000:] = turned(vectors[:2000], 0.96)

    found = find_near_pairs(vectors, 0.95, exact_rows=500)

    check(found, vectors, 0.95)
    assert found.n_cells_each > 2
    groups = group_pairs(4000, found.pairs)
    assert (groups[:2000] == groups[2000:]).mean() >= 0.98


def test_the_same_seed_gives_the_same_pairs_from_files_and_from_memory(tmp_path) -> None:
    vectors, _ = with_pairs(3000, 100, 0.98)

    ones = find_near_pairs(vectors, 0.97, exact_rows=500, seed=3)
    others = find_near_pairs(in_files(tmp_path, vectors, 3), 0.97, exact_rows=500, seed=3)

    np.testing.assert_array_equal(ones.pairs, others.pairs)
    np.testing.assert_array_equal(ones.cosines, others.cosines)


@pytest.mark.parametrize("noise", [pytest.param(0.0, id="equal"), pytest.param(0.004, id="nearly equal")])
@pytest.mark.parametrize("exact_rows", [10**6, 100])
def test_a_clump_costs_a_tree_and_not_all_its_pairs(exact_rows, noise) -> None:
    vectors = clusters(7000, 50)
    clump = np.random.default_rng(0).permutation(7000)[:5500]  # black frames, 15 million pairs
    vectors[clump] = vectors[0] + np.float32(noise) * directions(8, 5500) * 8

    found = find_near_pairs(vectors, 0.97, exact_rows=exact_rows)

    check(found, vectors, 0.97)
    assert len(found.pairs) == len(set(clump.tolist()) | {0}) - 1
    assert len(np.unique(group_pairs(len(vectors), found.pairs)[clump])) == 1


def test_zeros_are_in_no_pair_among_many_too() -> None:
    vectors = clusters(2000, 20)
    vectors[:900] = 0

    found = find_near_pairs(vectors, 0.97, exact_rows=100)

    assert found.is_zero.sum() == 900
    assert not (found.pairs < 900).any()


def test_lengths_do_not_matter() -> None:
    vectors, _ = with_pairs(800, 50, 0.98)
    lengths = np.random.default_rng(0).uniform(0.01, 100, (800, 1)).astype(np.float32)

    np.testing.assert_array_equal(find_near_pairs(vectors, 0.97).pairs, find_near_pairs(vectors * lengths, 0.97).pairs)


@pytest.mark.parametrize(
    ("shape", "min_cosine", "message"),
    [
        pytest.param((3,), 0.9, r"must be \(N, D\), got \(3,\)", id="one axis"),
        pytest.param((3, 2), 0.0, "above 0 and at most 1, got 0.0", id="everything"),
        pytest.param((3, 2), 1.5, "got 1.5", id="no cosine"),
        pytest.param((3, 2), float("nan"), "got nan", id="no number"),
    ],
)
def test_a_wrong_call_says_which_rule_it_breaks(shape, min_cosine, message) -> None:
    with pytest.raises(ValueError, match=message):
        find_near_pairs(np.zeros(shape, np.float32), min_cosine)
