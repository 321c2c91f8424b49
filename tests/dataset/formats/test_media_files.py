"""How pictures get into an export, and under which names."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from format_items import make_item
from mekiki.dataset.formats.base import WriteOptions
from mekiki.dataset.formats.media_files import place_media
from mekiki.errors import UnreadableError, UsageError


def options(media: str) -> WriteOptions:
    return WriteOptions((), media=media)


@pytest.mark.parametrize("media", ["reference", "copy", "link"])
def test_nothing_gives_nothing(tmp_path: Path, media: str) -> None:
    assert place_media([], tmp_path / "out", options(media)) == {}
    assert not (tmp_path / "out").exists()


def test_a_reference_leaves_the_file_where_it_is(tmp_path: Path) -> None:
    item = make_item(tmp_path / "in/a.jpg")

    assert place_media([item], tmp_path / "out", options("reference")) == {item.item_id: "../in/a.jpg"}
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(("media", "is_same_file"), [("copy", False), ("link", True)])
def test_files_are_copied_or_linked(tmp_path: Path, media: str, is_same_file: bool) -> None:
    item = make_item(tmp_path / "in/写真 1.jpg")

    written = place_media([item], tmp_path / "out", options(media))

    placed = tmp_path / "out" / written[item.item_id]
    assert placed == tmp_path / "out/images/写真 1.jpg"
    assert placed.read_bytes() == item.path.read_bytes()
    assert placed.samefile(item.path) is is_same_file
    assert [path.name for path in placed.parent.iterdir()] == ["写真 1.jpg"]


def test_a_format_of_pictures_places_them_whatever_was_asked(tmp_path: Path) -> None:
    item = make_item(tmp_path / "in/a.jpg")

    place_media([item], tmp_path / "out", options("reference"), subfolder=lambda one: "", must_place=True)

    assert (tmp_path / "out/a.jpg").samefile(item.path)


def test_the_target_of_a_symbolic_link_is_placed(tmp_path: Path) -> None:
    item = make_item(tmp_path / "in/a.jpg")
    (tmp_path / "in/link.jpg").symlink_to(item.path)

    written = place_media([replace(item, path=tmp_path / "in/link.jpg")], tmp_path / "out", options("link"))

    placed = tmp_path / "out" / written[item.item_id]
    assert not placed.is_symlink()
    assert placed.read_bytes() == item.path.read_bytes()


def test_equal_names_stay_apart_whatever_the_order_or_case(tmp_path: Path) -> None:
    items = [make_item(tmp_path / path) for path in ("a/IMG_1.JPG", "b/img_1.jpg", "c/IMG_2.JPG")]

    forwards = place_media(items, tmp_path / "one", options("copy"))
    backwards = place_media(items[::-1], tmp_path / "two", options("copy"))

    assert forwards == backwards
    assert forwards[items[0].item_id] == f"images/IMG_1_{items[0].item_id[:8]}.JPG"
    assert forwards[items[2].item_id] == "images/IMG_2.JPG"
    assert len({path.casefold() for path in forwards.values()}) == 3


def test_equal_names_in_different_folders_stay_as_they_are(tmp_path: Path) -> None:
    items = [make_item(tmp_path / path) for path in ("a/1.jpg", "b/1.jpg")]

    written = place_media(items, tmp_path / "out", options("copy"), subfolder=lambda one: one.path.parent.name)

    assert sorted(written.values()) == ["a/1.jpg", "b/1.jpg"]


def test_a_name_that_systems_refuse_is_changed(tmp_path: Path) -> None:
    item = make_item(tmp_path / "in/a:b|c.jpg")

    written = place_media([item], tmp_path / "out", options("copy"))[item.item_id]

    assert written.startswith("images/a_b_c~")
    assert written.endswith(".jpg")


def test_what_an_interrupted_export_left_is_overwritten(tmp_path: Path) -> None:
    item = make_item(tmp_path / "in/a.jpg")
    make_item(tmp_path / "out/images/a.jpg.part", "half")
    make_item(tmp_path / "out/images/a.jpg", "old")

    place_media([item], tmp_path / "out", options("link"))

    assert [path.name for path in (tmp_path / "out/images").iterdir()] == ["a.jpg"]
    assert (tmp_path / "out/images/a.jpg").read_bytes() == item.path.read_bytes()


def test_placing_a_second_time_changes_nothing(tmp_path: Path) -> None:
    item = make_item(tmp_path / "in/a.jpg")

    first = place_media([item], tmp_path / "out", options("link"))
    second = place_media([item], tmp_path / "out", options("link"))

    assert first == second
    assert [path.name for path in (tmp_path / "out/images").iterdir()] == ["a.jpg"]


@pytest.mark.parametrize("media", ["copy", "link"])
def test_a_file_that_is_gone_is_named(tmp_path: Path, media: str) -> None:
    item = make_item(tmp_path / "in/a.jpg")
    item.path.unlink()

    with pytest.raises(UnreadableError, match=r"in/a\.jpg: cannot be copied to .*out/images/a\.jpg: No such file"):
        place_media([item], tmp_path / "out", options(media))

    assert list((tmp_path / "out/images").iterdir()) == []


def test_a_misspelt_way_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"media cannot be 'move'\. Known: reference, copy, link"):
        place_media([], tmp_path, options("move"))
