"""Judging by concepts, with words whose vectors are planted, so that every score can be worked out by hand."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from mekiki.api.verbs import run_stage
from mekiki.catalog.db import Catalog
from mekiki.catalog.describing import Described, find_descriptions
from mekiki.catalog.mining import Mining, require_mining
from mekiki.catalog.vectors import require_vectors
from mekiki.engine.concept_fitting import Fit, Words
from mekiki.engine.final_judging import Judge, _by_concept, judge
from mekiki.engine.local import LocalEngine
from mekiki.models.caption_settings import CaptionSettings
from mekiki.training.vector_space import VectorSpace
from mined import make_crops, make_mining
from vectors import space_of

D = 16
NAMES = ("bus", "construction vehicle", "car", "pedestrian", "traffic light", "traffic sign", "bicycle")
"""Concepts, common classes and targets, each an axis of its own."""


class PlantedWords:
    """Words on axes: a text is the sum of the axes of the names in it, times its weight; else an axis of its own."""

    space: VectorSpace = space_of(D)

    def __init__(self, planted: Mapping[str, NDArray[np.float32]] | None = None) -> None:
        self._planted = dict(planted or {})

    def embed_texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        return np.stack([self._planted.get(text, axis_of(text)) for text in texts])


def axis_of(text: str) -> NDArray[np.float32]:
    place = NAMES.index(text) if text in NAMES else 8 + hashlib.sha256(text.encode()).digest()[0] % 8
    return np.eye(D, dtype=np.float32)[place]


def mix(**shares: float) -> NDArray[np.float32]:
    """Return a unit vector with these cosines to concepts (``_`` for a blank), the rest on an axis of nobody's."""
    vector = np.zeros(D, np.float32)
    for name, share in shares.items():
        vector[NAMES.index(name.replace("_", " "))] = share
    vector[7] = np.sqrt(max(0.0, 1 - float(vector @ vector)))
    return vector


class Case:
    """Crops with planted vectors, of which all are chosen and only have the name of their class."""

    def __init__(self, workspace: Path, images: Sequence[NDArray[np.float32]]) -> None:
        self.workspace = workspace
        ids = make_crops(workspace, n_photos=2)
        vectors = dict(zip(ids, images, strict=False))
        make_mining(workspace, ids, len(ids), vectors=vectors)
        self.run_id = run_stage("caption", workspace, {"captioner": "class-name", "final_rule": "names"}).run_id

    def judged(self, words: PlantedWords, **settings: Any) -> dict[str, Described]:
        with Catalog(self.workspace) as catalog:
            mining = require_mining(catalog)
            rules = CaptionSettings(captioner="class-name", final_rule="concepts", **settings)
            how = Judge(mining, "class-name", rules, Words(require_vectors(catalog), words))
            judge(catalog, LocalEngine(), how, self.run_id)
            found = find_descriptions(catalog, mining)
        assert found is not None
        return dict(found.described)

    def mining(self) -> Mining:
        with Catalog(self.workspace) as catalog:
            return require_mining(catalog)

    def of_class(self, name: str) -> str:
        return next(item_id for item_id, one in self.mining().class_of.items() if one == name)


@pytest.fixture
def bus_like(workspace: Path) -> Case:
    """Six crops, one of each class of the fixture, whose pictures all are 0.6 bus and 0.3 car."""
    return Case(workspace, [mix(bus=0.6, car=0.3)] * 6)


def test_words_and_picture_count_half_each(bus_like: Case) -> None:
    one = bus_like.judged(PlantedWords())[bus_like.of_class("car")]

    assert one.concepts["car"] == pytest.approx(0.5 * 1 + 0.5 * 0.3, abs=1e-5)
    assert one.concepts["bus"] == pytest.approx(0.5 * 0 + 0.5 * 0.6, abs=1e-5)
    assert (one.top_concept, one.is_final_outlier) == ("car", False)
    assert (one.weight_text, one.used_image, one.decided_by) == (0.5, True, "concepts")


def test_the_picture_can_outvote_the_detector(bus_like: Case) -> None:
    one = bus_like.judged(PlantedWords(), weight_text=0.1)[bus_like.of_class("car")]

    assert one.concepts["bus"] == pytest.approx(0.9 * 0.6, abs=1e-5)
    assert one.concepts["car"] == pytest.approx(0.1 + 0.9 * 0.3, abs=1e-5)
    assert (one.top_concept, one.is_final_outlier) == ("bus", True)


def test_without_the_picture_only_words_count(bus_like: Case) -> None:
    one = bus_like.judged(PlantedWords(), use_image=False)[bus_like.of_class("pedestrian")]

    assert one.concepts == {name: (1.0 if name == "pedestrian" else 0.0) for name in one.concepts}
    assert next(iter(one.concepts)) == "pedestrian"
    assert (one.weight_text, one.used_image) == (None, False)


def test_an_adaptive_weight_follows_how_well_words_and_picture_agree(bus_like: Case) -> None:
    judged = bus_like.judged(PlantedWords(), weight_text="adaptive")

    car, person = judged[bus_like.of_class("car")], judged[bus_like.of_class("pedestrian")]
    assert car.weight_text == pytest.approx(0.2 + 0.6 * (0.3 + 0.2) / 0.7, abs=1e-5), "cos(picture, 'car') is 0.3"
    assert person.weight_text == pytest.approx(0.2 + 0.6 * 0.2 / 0.7, abs=1e-5), "cos(picture, 'pedestrian') is 0"


def test_every_name_is_a_concept_once_however_it_is_written(bus_like: Case) -> None:
    one = bus_like.judged(PlantedWords())[bus_like.of_class("car")]

    assert sorted(one.concepts) == sorted(
        ["bus", "construction vehicle", "car", "pedestrian", "traffic_light", "traffic_sign", "bicycle"]
    )


def test_a_thing_that_fits_no_concept_is_judged_by_its_class(workspace: Path) -> None:
    case = Case(workspace, [-sum((axis_of(name) for name in NAMES), np.zeros(D, np.float32))] * 6)

    judged = case.judged(PlantedWords(), weight_text=0.0)

    assert all(one.concepts == {} and one.decided_by == "names" for one in judged.values())
    assert not judged[case.of_class("car")].is_final_outlier
    assert judged[case.of_class("cow")].is_final_outlier


def test_targets_are_told_by_class_and_by_concept_and_never_by_a_part_of_a_name(workspace: Path) -> None:
    case = Case(workspace, [mix(construction_vehicle=0.9)] * 6)

    judged = case.judged(PlantedWords(), weight_text=0.1)

    assert judged[case.of_class("bicycle")].targets == ("bicycle", "construction_vehicle")
    assert judged[case.of_class("truck")].targets == ("construction_vehicle",), "by its picture, not by being a truck"


def test_a_picture_without_a_vector_is_judged_by_words_alone(workspace: Path) -> None:
    case = Case(workspace, [mix(bus=0.9)] * 3)

    judged = case.judged(PlantedWords())

    with_picture = [one for one in judged.values() if one.used_image]
    assert len(with_picture) == 3
    assert all(one.weight_text is None for one in judged.values() if not one.used_image)
    assert len(judged) == 6


def test_what_a_model_calls_none_of_the_names_is_an_outlier_whatever_its_words_are_like(bus_like: Case) -> None:
    told = Described("a", "others", "vlm:m", class_name="car")
    with Catalog(bus_like.workspace) as catalog:
        rules = CaptionSettings(captioner="vlm", prompt="name", final_rule="concepts")
        how = Judge(require_mining(catalog), "vlm:m", rules, None)

    judged = _by_concept(how, told, Fit({"car": 0.9}, 0.5))

    assert (judged.is_final_outlier, judged.decided_by, judged.judged_on) == (True, "names", "text")
