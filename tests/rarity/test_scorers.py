"""What is particular to single scorers: their raw values against plain formulas, and seed 2's examples."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.ensemble import IsolationForest

from clouds import clusters, directions
from mekiki.rarity.frequency import ClassFrequency, frequency_points
from mekiki.rarity.isolation import Isolation
from mekiki.rarity.knn import KnnDistance
from mekiki.rarity.map2d import MapDensity, map_distances
from mekiki.rarity.pile import Pile, score_all
from mekiki.rarity.unlike import UnlikeCommon
from rarity_piles import common_pile, pile_of


def test_knn_is_the_distance_to_the_last_of_k() -> None:
    vectors = clusters(80, 4)
    distances = np.linalg.norm(vectors[:, None].astype(float) - vectors[None], axis=2)

    raw = KnnDistance().raw(Pile(vectors, n_neighbours=7))

    np.testing.assert_allclose(raw, np.sort(distances, axis=1)[:, 7], rtol=1e-5)


def test_a_small_rare_kind_is_rarer_than_all_that_is_common() -> None:
    common, rare = directions(0, 1) + 0.5 * directions(1, 300), directions(2, 1) + 0.1 * directions(3, 8)
    pile = Pile(np.vstack([common, rare]).astype(np.float32))  # eight of a kind, closer together than what is common

    scores = score_all(pile, ["knn"])["knn"]

    assert scores[300:].min() > scores[:300].max()


def test_isolation_is_scikit_learns_forest_on_the_same_order() -> None:
    pile = common_pile(400)
    assert pile.vectors is not None
    ordered = pile.vectors[pile.distinct.rows]

    raw = Isolation().raw(pile)

    reference = IsolationForest(n_estimators=30, random_state=42).fit(ordered)
    np.testing.assert_allclose(raw[pile.distinct.rows], -reference.score_samples(ordered))


def test_points_follow_the_counts_that_were_observed() -> None:
    names = ["car"] * 100 + ["person"] * 60 + ["truck"] * 30 + ["bicycle"] * 3

    assert frequency_points(names) == {"car": 0, "person": 0, "truck": 5, "bicycle": 15}


@pytest.mark.parametrize(
    ("name", "count", "points"),
    [
        pytest.param("kite", 4, 10, id="very few"),
        pytest.param("kite", 5, 5, id="few"),
        pytest.param("kite", 19, 5, id="still few"),
        pytest.param("kite", 20, 0, id="enough"),
        pytest.param("strange truck", 20, 5, id="two keywords raise once"),
        pytest.param("Construction Vehicle", 20, 5, id="blanks and capitals do not count"),
    ],
)
def test_points_of_a_class(name: str, count: int, points: int) -> None:
    assert frequency_points([name] * count) == {name: points}


def test_spellings_of_a_class_are_counted_together() -> None:
    names = ["traffic light"] * 15 + ["traffic_light"] * 15

    assert set(frequency_points(names).values()) == {0}


def test_keywords_can_be_chosen() -> None:
    pile = Pile(class_names=("kite",) * 30 + ("truck",) * 30, keywords=("kite",))

    assert ClassFrequency().raw(pile).tolist() == [5] * 30 + [0] * 30


def test_a_thing_is_no_neighbour_of_itself_on_the_map() -> None:
    plane = np.random.default_rng(0).normal(size=(60, 2)).astype(np.float32)
    distances = np.sort(np.linalg.norm(plane[:, None].astype(float) - plane[None], axis=2), axis=1)

    np.testing.assert_allclose(map_distances(plane), distances[:, 1:21].mean(axis=1), rtol=1e-6)


def test_a_map_that_was_handed_in_is_used() -> None:
    vectors = directions(0, 40)
    plane = np.random.default_rng(1).normal(size=(40, 2)).astype(np.float32)

    np.testing.assert_allclose(MapDensity().raw(Pile(vectors, coordinates=plane)), map_distances(plane))


@pytest.mark.slow
def test_copies_share_on_a_map_that_moves_them_apart() -> None:
    pytest.importorskip("openTSNE", reason="openTSNE is not installed")
    pile = common_pile(80)
    pile.map_method = "tsne"

    raw = MapDensity().raw(pile)

    np.testing.assert_array_equal(raw[9::10], raw[8::10])


def test_unlike_is_one_minus_the_nearest_words_cosine() -> None:
    vectors, words = directions(0, 30) * np.linspace(1, 9, 30, dtype=np.float32)[:, None], directions(1, 5)

    raw = UnlikeCommon().raw(Pile(vectors, common=words))

    cosines = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)) @ words.T
    np.testing.assert_allclose(raw, 1 - cosines.max(axis=1), atol=1e-6)


@pytest.mark.parametrize("common", [np.zeros((0, 16), np.float32), np.zeros((2, 3), np.float32)])
def test_words_of_another_space_are_refused(common) -> None:
    pile = common_pile(5)
    assert pile.vectors is not None

    with pytest.raises(ValueError, match=r"common must be \(C, 16\)"):
        UnlikeCommon().raw(pile_of(pile.vectors, pile.class_names, common))
