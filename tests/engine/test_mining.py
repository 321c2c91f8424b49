"""What is put in front of the scorers: items in their order, names that meet, words only where one asks for them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from detections import cloud_with_strangers, mined_street, street
from mekiki.catalog.db import Catalog
from mekiki.engine.choosing import choose, ordinal
from mekiki.engine.mine_settings import MineSettings
from mekiki.engine.mining import build_pile, gather_mined
from mekiki.errors import DataError
from mekiki.models.embed import EmbedderOpening
from mekiki.rarity.pile import Pile, score_all
from mekiki.settings import parse_settings
from mekiki.training.vector_space import VectorSpace
from vectors import space_of, store_vectors


class Words:
    """A text side in which every sentence has the direction of the first dimension."""

    def __init__(self, space: VectorSpace) -> None:
        self.space = space
        self.heard: list[str] = []

    def embed_texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        self.heard += texts
        return np.eye(len(texts), self.space.n_dims, dtype=np.float32) * 0 + np.eye(
            1, self.space.n_dims, dtype=np.float32
        )


def refuse(_opening: EmbedderOpening) -> Words:
    raise AssertionError("no scorer asks for words")


def test_rows_are_items_in_the_order_of_ids_with_their_own_class(workspace: Path) -> None:
    names = ["car", "person", "truck", "bus", "car"]
    crops = mined_street(workspace, names, strangers=[2])

    with Catalog(workspace) as catalog:
        item_ids, found, pile = build_pile(catalog, MineSettings(), open_words=refuse)

    assert list(item_ids) == sorted(crops)
    mapped = dict(zip(crops, ["car", "pedestrian", "truck", "bus", "car"], strict=True))
    assert pile.class_names == tuple(mapped[item_id] for item_id in item_ids)
    assert {item_id: crop.class_name for item_id, crop in found.items()} == dict(zip(crops, names, strict=True))
    assert pile.vectors is not None
    np.testing.assert_allclose(np.linalg.norm(pile.vectors, axis=1), 1, atol=1e-6)
    assert pile.vectors[item_ids.index(crops[2])].tolist() == [0, 1, *[0] * 14]


def test_vectors_stay_as_they_are_where_nobody_wants_them_scaled(workspace: Path) -> None:
    crops = street(workspace, ["car"] * 3)
    vectors = cloud_with_strangers(3, []) * 7
    store_vectors(workspace, dict(zip(crops, vectors, strict=True)))

    with Catalog(workspace) as catalog:
        item_ids, _, pile = build_pile(catalog, MineSettings(preset="seed2"))

    assert pile.vectors is not None
    for item_id, vector in zip(item_ids, pile.vectors, strict=True):
        np.testing.assert_array_equal(vector, vectors[crops.index(item_id)])


def test_words_are_said_of_every_common_class_and_what_is_unlike_them_is_rare(workspace: Path) -> None:
    crops = mined_street(workspace, ["car"] * 10, strangers=[4])
    words = Words(space_of(16))
    settings = MineSettings(scorers=("unlike-common",), common_classes=("car", "Traffic light"))

    with Catalog(workspace) as catalog:
        item_ids, _, pile = build_pile(catalog, settings, open_words=lambda _opening: words)

    assert words.heard == ["a photo of a car", "a photo of a traffic light"]
    scores = score_all(pile, settings.scorers)["unlike-common"]
    assert item_ids[int(scores.argmax())] == crops[4]


def test_words_of_another_space_are_refused(workspace: Path) -> None:
    mined_street(workspace, ["car"] * 3)
    words = Words(space_of(16, embedder_id="ff" * 8))

    with Catalog(workspace) as catalog, pytest.raises(DataError, match="scorer unlike-common"):
        build_pile(catalog, MineSettings(scorers=("unlike-common",)), open_words=lambda _opening: words)


def test_what_a_result_depends_on_is_read_and_what_it_does_not_is_not(workspace: Path) -> None:
    crops = mined_street(workspace, ["car"] * 3)
    with Catalog(workspace) as catalog:
        first = gather_mined(catalog, MineSettings()).reads
        assert gather_mined(catalog, MineSettings(keep="count:1")).reads == first
        assert gather_mined(catalog, MineSettings(class_map="none")).reads != first
        assert gather_mined(catalog, MineSettings(concepts="driving-long")).reads != first
    store_vectors(workspace, {crops[0]: np.full(16, 0.5, np.float32)})
    with Catalog(workspace) as catalog:
        assert gather_mined(catalog, MineSettings()).reads != first


def test_the_order_of_rows_changes_no_choice_and_equal_ones_share_their_place() -> None:
    vectors = cloud_with_strangers(30, [3, 7])
    vectors[11] = vectors[3]
    ids = [f"{row:02d}" for row in range(30)]
    settings = parse_settings(MineSettings, {"keep": "count:4", "n_neighbours": 2}, "mine")
    order = np.random.default_rng(1).permutation(30)

    plain = choose(Pile(vectors, n_neighbours=2), ids, settings)
    mixed = choose(Pile(vectors[order], n_neighbours=2), [ids[row] for row in order], settings)

    assert plain.chosen == mixed.chosen
    told = {one.item_id: one.why for one in plain.chosen}
    assert told["07"] == ("knn: 1st, with 2 others, of 30",) or told["07"] == ("knn: 1st of 30",)
    assert told["03"] == told["11"]


def test_places_are_written_as_people_say_them() -> None:
    assert [ordinal(number) for number in (1, 2, 3, 4, 11, 12, 13, 21, 111, 122)] == [
        *("1st", "2nd", "3rd", "4th", "11th", "12th", "13th", "21st", "111th", "122nd")
    ]
