"""Exact neighbours among vectors: against a full sort, across blocks, out of files, and on wrong calls."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mekiki.neighbours.exact import nearest_rows


@given(st.integers(0, 12), st.integers(0, 40), st.integers(1, 50), st.integers(0, 10_000))
@settings(max_examples=40, deadline=None)
def test_nearest_rows_are_those_of_a_full_sort_with_ties_in_row_order(n_queries, n_vectors, k, seed) -> None:
    rng = np.random.default_rng(seed)
    queries = rng.integers(-2, 3, (n_queries, 3)).astype(np.float32)  # whole numbers: products tie, and are exact
    vectors = rng.integers(-2, 3, (n_vectors, 3)).astype(np.float32)

    found = nearest_rows(queries, vectors, k)

    products = queries @ vectors.T
    order = np.argsort(-products, axis=1, kind="stable")[:, :k]
    np.testing.assert_array_equal(found.rows, order)
    np.testing.assert_array_equal(found.scores, np.take_along_axis(products, order, axis=1))


def test_blocks_of_vectors_change_nothing() -> None:
    rng = np.random.default_rng(0)
    queries = rng.integers(-3, 4, (300, 2)).astype(np.float32)
    vectors = rng.integers(-3, 4, (40_000, 2)).astype(np.float32)

    found = nearest_rows(queries, vectors, 5)

    some = [0, 255, 256, 299]
    np.testing.assert_array_equal(found.rows[some], np.argsort(-(queries[some] @ vectors.T), kind="stable")[:, :5])


def test_a_vector_is_its_own_nearest_neighbour() -> None:
    vectors = np.random.default_rng(1).normal(size=(500, 16)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)

    found = nearest_rows(vectors, vectors, 1)

    np.testing.assert_array_equal(found.rows[:, 0], np.arange(500))
    np.testing.assert_allclose(found.scores[:, 0], 1, atol=1e-5)


@pytest.mark.parametrize(
    ("queries", "vectors", "k", "message"),
    [
        pytest.param(np.zeros((2, 3)), np.zeros((2, 4)), 1, r"got \(2, 3\) and \(2, 4\)", id="other dimensions"),
        pytest.param(np.zeros(3), np.zeros((2, 3)), 1, "must be", id="one axis"),
        pytest.param(np.zeros((2, 3)), np.zeros((2, 3)), 0, "k must be at least 1, got 0", id="no neighbour wanted"),
    ],
)
def test_a_wrong_search_says_which_rule_it_breaks(queries, vectors, k, message) -> None:
    with pytest.raises(ValueError, match=message):
        nearest_rows(queries.astype(np.float32), vectors.astype(np.float32), k)
