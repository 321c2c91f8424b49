"""The one exact search: against brute force, over tiles, groups, copies, scales, and the order of rows."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.neighbors import NearestNeighbors

from clouds import clusters
from mekiki.neighbours.shared_knn import knn_graph
from mekiki.neighbours.tiles import Best, TileSearch


def all_distances(vectors: NDArray[np.float32], groups: NDArray[np.int64] | None = None) -> NDArray[np.float64]:
    """Brute force, infinite to itself and to other groups."""
    wide = vectors.astype(np.float64)
    distances = np.sqrt(((wide[:, None] - wide[None]) ** 2).sum(axis=2))
    np.fill_diagonal(distances, np.inf)
    if groups is not None:
        distances[(groups[:, None] != groups[None]) | (groups < 0)[:, None]] = np.inf
    return distances


@given(
    st.integers(0, 60), st.integers(1, 4), st.integers(0, 70), st.integers(0, 70), st.integers(0, 10_000), st.booleans()
)
@settings(max_examples=60, deadline=None)
def test_neighbours_are_those_of_brute_force(n, n_dims, k, k_group, seed, has_copies) -> None:
    rng = np.random.default_rng(seed)
    vectors = (rng.integers(-2, 3, (n, n_dims)) if has_copies else rng.normal(size=(n, n_dims))).astype(np.float32)
    groups = rng.integers(-1, 3, n)

    graph = knn_graph(vectors, k, groups, k_group)

    rows = np.arange(n)[:, None]
    for found, away, within, wanted in (
        (graph.rows, graph.distances, None, k),
        (graph.group_rows, graph.group_distances, groups, k_group),
    ):
        true = all_distances(vectors, within)
        width = min(wanted, max(n - 1, 0))
        assert found.shape == away.shape == (n, width)
        np.testing.assert_allclose(away, np.sort(true, axis=1)[:, :width], rtol=1e-5)
        np.testing.assert_allclose(away, np.where(found < 0, np.inf, true[rows, found]), rtol=1e-5)
        assert all(len(set(line[line >= 0])) == (line >= 0).sum() for line in found)


@pytest.mark.parametrize("n", [127, 128, 1000])
def test_tiles_of_any_size_give_the_same(n: int) -> None:
    points = np.zeros((n, 18), np.float32)
    points[:, :16] = clusters(n, 5, n_dims=16)
    points[:, 16], points[:, 17] = -np.einsum("nd,nd->n", points[:, :16], points[:, :16]) / 2, 1
    starts = [0, n // 7, n // 2, n]
    groups = np.repeat(np.arange(3), np.diff(starts))

    found = []
    for tile_rows in (64, 100, n):
        best, inside = Best(n, 9), Best(n, 12)
        TileSearch(points, starts, best, inside, tile_rows).run()
        found.append((best.columns(), inside.columns()))

    for of_all, of_group in found[:-1]:
        assert (of_all == found[-1][0]).mean() > 0.999  # the last digit of a product depends on the tile
        assert (of_group == found[-1][1]).mean() > 0.999
    np.testing.assert_array_equal(
        np.sort(found[-1][0]), np.sort(np.argsort(all_distances(points[:, :16]), kind="stable")[:, :9])
    )
    np.testing.assert_array_equal(
        np.sort(found[-1][1]), np.sort(np.argsort(all_distances(points[:, :16], groups), kind="stable")[:, :12])
    )


@pytest.mark.slow
def test_many_vectors_have_the_neighbours_that_scikit_learn_finds() -> None:
    vectors = clusters(9000, 90)
    groups = np.random.default_rng(0).integers(3, size=9000)

    graph = knn_graph(vectors, 10, groups, 30)

    true, rows = NearestNeighbors(n_neighbors=11, algorithm="brute").fit(vectors).kneighbors(vectors)
    np.testing.assert_allclose(graph.distances, true[:, 1:], rtol=1e-4)
    assert (graph.rows == rows[:, 1:]).mean() > 0.999
    for group in range(3):
        members = vectors[groups == group]
        true, _ = NearestNeighbors(n_neighbors=31, algorithm="brute").fit(members).kneighbors(members)
        np.testing.assert_allclose(graph.group_distances[groups == group], true[:, 1:], rtol=1e-4)


def test_the_order_of_rows_changes_no_distance() -> None:
    vectors = clusters(3000, 30)
    vectors[:500] = vectors[500:1000]
    groups = np.random.default_rng(1).integers(4, size=3000)
    order = np.random.default_rng(2).permutation(3000)

    one, other = knn_graph(vectors, 12, groups, 6), knn_graph(vectors[order], 12, groups[order], 6)

    np.testing.assert_array_equal(one.distances[order], other.distances)
    np.testing.assert_array_equal(one.group_distances[order], other.group_distances)


def test_copies_are_at_exactly_nothing_wherever_they_lie() -> None:
    vectors = np.random.default_rng(0).normal(3000, 1, (200, 64)).astype(np.float32)
    vectors[::2] = vectors[1::2]

    graph = knn_graph(vectors, 3)

    np.testing.assert_array_equal(graph.rows[:, 0], np.arange(200) ^ 1)
    np.testing.assert_array_equal(graph.distances[:, 0], 0)
    np.testing.assert_allclose(graph.distances, np.sort(all_distances(vectors), axis=1)[:, :3], rtol=1e-5)


def test_a_pile_of_copies_is_no_work_and_has_itself_as_neighbours() -> None:
    graph = knn_graph(np.zeros((50_000, 4), np.float32), 3)

    assert graph.rows[[0, 1, 3, 49_999]].tolist() == [[1, 2, 3], [0, 2, 3], [0, 1, 2], [0, 1, 2]]
    assert not graph.distances.any()


@pytest.mark.parametrize("scale", [1e-30, 1e-12, 1e12, 1e30])
def test_lengths_near_the_ends_of_float32_are_no_trouble(scale: float) -> None:
    vectors = np.random.default_rng(0).normal(size=(40, 5))

    graph = knn_graph((vectors * scale).astype(np.float32), 4)

    true = knn_graph(vectors.astype(np.float32), 4)
    np.testing.assert_array_equal(graph.rows, true.rows)
    np.testing.assert_allclose(graph.distances, true.distances * scale, rtol=1e-5)


def test_small_differences_beside_a_giant_are_still_differences() -> None:
    vectors = np.array([[0, 0], [0, 1], [1e30, 0], [0, 3]], np.float32)

    np.testing.assert_allclose(knn_graph(vectors, 3).distances[1], [1, 2, 1e30], rtol=1e-6)


def test_minus_zero_is_zero() -> None:
    assert knn_graph(np.array([[0.0], [-0.0]], np.float32), 1).distances.tolist() == [[0.0], [0.0]]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        pytest.param((np.zeros(3), 1), "vectors must be", id="one axis"),
        pytest.param((np.full((2, 2), np.inf), 1), "finite", id="infinite"),
        pytest.param((np.zeros((2, 2)), -1), "0 or more, got -1", id="count"),
        pytest.param((np.zeros((2, 2)), 1, None, 1), "no groups", id="no groups"),
        pytest.param((np.zeros((2, 2)), 1, np.zeros(3, np.int64), 1), r"groups must be \(2,\)", id="other length"),
    ],
)
def test_a_wrong_search_says_which_rule_it_breaks(arguments, message) -> None:
    with pytest.raises(ValueError, match=message):
        knn_graph(arguments[0].astype(np.float32), *arguments[1:])
