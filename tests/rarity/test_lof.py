"""Local outlier factors: scikit-learn's, from neighbours that are shared, and the small classes' way out."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from sklearn.neighbors import LocalOutlierFactor as Reference

from clouds import clusters, directions
from mekiki.neighbours.shared_knn import knn_graph
from mekiki.rarity.lof import ClassLocalOutlierFactor, LocalOutlierFactor, class_neighbours, local_outlier_factors
from mekiki.rarity.pile import Pile
from rarity_piles import common_pile, pile_of


def reference(vectors: np.ndarray, k: int) -> np.ndarray:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it warns of copies
        return -Reference(n_neighbors=k, algorithm="kd_tree").fit(vectors.astype(np.float64)).negative_outlier_factor_


@pytest.mark.parametrize("k", [1, 5, 20])
@pytest.mark.parametrize("n_dims", [2, 64])
def test_factors_are_those_of_scikit_learn(k: int, n_dims: int) -> None:
    vectors = clusters(700, 7, n_dims=n_dims)
    graph = knn_graph(vectors, k)

    np.testing.assert_allclose(local_outlier_factors(graph.rows, graph.distances), reference(vectors, k), rtol=1e-4)


def test_with_copies_they_still_are() -> None:
    vectors = clusters(300, 3)
    vectors[:40] = vectors[0]  # a clump of more copies than neighbours: density 1e10
    vectors[100:150] = vectors[200:250]
    graph = knn_graph(vectors, 20)

    factors = local_outlier_factors(graph.rows, graph.distances)

    np.testing.assert_allclose(factors, reference(vectors, 20), rtol=1e-3)
    np.testing.assert_allclose(factors[:40], 1, rtol=1e-6)


def test_what_lies_beside_a_clump_of_copies_is_far_out_and_finite() -> None:
    vectors = np.vstack([np.zeros((30, 2)), [[1, 0]]]).astype(np.float32)

    factors = LocalOutlierFactor().raw(Pile(vectors))

    assert np.isfinite(factors).all()
    assert factors[-1] == pytest.approx(1e10, rel=1e-3)


def test_in_two_things_none_is_lonelier() -> None:
    np.testing.assert_allclose(LocalOutlierFactor().raw(Pile(np.eye(2, dtype=np.float32))), 1)


def test_within_a_class_factors_are_those_of_that_class_alone() -> None:
    pile = common_pile(400)
    assert pile.vectors is not None

    factors = ClassLocalOutlierFactor().raw(pile)

    for name in set(pile.class_names):
        members = np.flatnonzero(np.array(pile.class_names) == name)
        k = class_neighbours(len(members))
        np.testing.assert_allclose(factors[members], reference(pile.vectors[members], k), rtol=1e-3)


def test_a_thing_that_is_odd_for_its_class_is_found_where_it_is_common_among_all() -> None:
    vectors = np.vstack([directions(0, 1) + 0.1 * directions(1, 100), directions(2, 1) + 0.1 * directions(3, 101)])
    pile = pile_of(vectors.astype(np.float32), ("car",) * 100 + ("bus",) * 100 + ("car",), directions(4, 2))

    assert ClassLocalOutlierFactor().raw(pile).argmax() == 200
    assert LocalOutlierFactor().raw(pile).argmax() != 200


def test_a_class_of_fewer_than_ten_is_compared_with_all() -> None:
    pile = common_pile(200)
    names = ("few",) * 9 + pile.class_names[9:]
    assert pile.vectors is not None
    mixed = pile_of(pile.vectors, names, directions(0, 2, 16))

    factors = ClassLocalOutlierFactor().raw(mixed)

    np.testing.assert_array_equal(factors[:9], LocalOutlierFactor().raw(mixed)[:9])
    assert not np.allclose(factors[9:], LocalOutlierFactor().raw(mixed)[9:])
