"""What can be named elsewhere, and the recipes that can be copied to be changed."""

from __future__ import annotations

from pathlib import Path

import pytest

from mekiki.api.listing import copy_recipes, known_names
from mekiki.api.recipes import read_recipe, shipped_recipes
from mekiki.api.verbs import STAGES
from mekiki.dataset.formats.registry import READERS, WRITERS
from mekiki.errors import UsageError
from mekiki.models.annotators import ANNOTATORS
from mekiki.models.captioners import CAPTIONERS
from mekiki.models.classify import CLASSIFIERS
from mekiki.models.detect import DETECTORS
from mekiki.models.embed import AUTO, EMBEDDERS
from mekiki.rarity.base import SCORERS
from mekiki.stages.export import MODEL_FORMATS
from mekiki.training.pretrained import TORCHVISION


def test_all_topics_are_listed() -> None:
    names = known_names()

    assert list(names) == [
        *("recipes", "formats", "stages", "annotators", "detectors", "embedders", "scorers", "captioners"),
        *("backbones", "runtimes"),
    ]
    assert sorted(names["recipes"]) == shipped_recipes()
    assert set(names["formats"]) == {*READERS.names(), *WRITERS.names(), *MODEL_FORMATS, "rare-objects"}
    assert sorted(names["stages"]) == STAGES.names()
    assert {name.partition(":")[0] for name in names["annotators"]} == set(ANNOTATORS.names())
    assert {name.partition(":")[0] for name in names["embedders"]} == {AUTO, *EMBEDDERS.names()}
    assert sorted(names["scorers"]) == SCORERS.names()
    assert {name.partition(":")[0] for name in names["detectors"]} == {"auto", *DETECTORS.names()}
    assert {name.partition(":")[0] for name in names["captioners"]} == {"auto", *CAPTIONERS.names()}
    assert sorted(names["runtimes"]) == CLASSIFIERS.names()
    assert set(TORCHVISION) < set(names["backbones"])


def test_one_topic_can_be_asked_for() -> None:
    assert list(known_names("formats")) == ["formats"]


def test_a_format_says_whether_it_is_read_or_written() -> None:
    formats = known_names("formats")["formats"]

    assert formats["csv"] == "read and written"
    assert {formats[name] for name in set(READERS.names()) - set(WRITERS.names())} <= {"read"}


def test_everything_listed_says_what_it_is() -> None:
    for rows in known_names().values():
        assert all(about for about in rows.values()), rows


def test_an_unknown_topic_is_refused_with_the_nearest() -> None:
    with pytest.raises(UsageError, match=r"no topic is called 'recipe'. Did you mean 'recipes'\?"):
        known_names("recipe")


def test_recipes_are_copied_with_their_lists_and_can_be_run_from_there(tmp_path: Path) -> None:
    written = copy_recipes(tmp_path / "mine")

    assert {path.name for path in written} >= {"wildlife.yaml", "video_list.txt"}
    assert read_recipe(tmp_path / "mine" / "wildlife.yaml") == read_recipe("wildlife")


def test_a_file_that_is_there_already_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "wildlife.yaml").write_text("mine")

    written = copy_recipes(tmp_path)

    assert tmp_path / "wildlife.yaml" not in written
    assert (tmp_path / "wildlife.yaml").read_text() == "mine"
    assert copy_recipes(tmp_path) == []


def test_recipes_cannot_be_copied_into_a_file(tmp_path: Path) -> None:
    path = tmp_path / "notes"
    path.write_text("")

    with pytest.raises(UsageError, match=r"cannot write recipes to .*notes.*: give a folder"):
        copy_recipes(path)
