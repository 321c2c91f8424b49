"""Names and planted copies."""

from __future__ import annotations

import re
from collections import Counter

import pytest

from mekiki.demo.layout import PlannedFile, plan_files
from mekiki.demo.settings import WorldSettings


@pytest.fixture(scope="module")
def planned() -> list[PlannedFile]:
    return plan_files(WorldSettings())


def test_there_are_as_many_files_as_asked_for(planned: list[PlannedFile]) -> None:
    counts = Counter(one.event.medium for one in planned)

    assert counts == {"clip": 360, "still": 120}


def test_names_are_those_of_a_camera_and_come_once(planned: list[PlannedFile]) -> None:
    names = [one.filepath for one in planned]

    assert len(set(names)) == len(names)
    assert all(re.fullmatch(r"[a-z]+/cam[12]/(IMG_\d{4}\.JPG|VID_\d{4}\.MP4)", name) for name in names)


def test_each_sort_of_copy_is_planted_as_often_as_asked_for(planned: list[PlannedFile]) -> None:
    counts = Counter((one.event.medium, one.transformation) for one in planned if one.transformation)

    assert counts == {
        ("clip", "copied"): 4,
        ("clip", "reencoded"): 4,
        ("clip", "mirrored"): 4,
        ("still", "resized"): 4,
        ("still", "mirrored"): 4,
        ("still", "truncated"): 1,
    }


def test_a_copy_lies_in_another_folder_of_its_original_s_site(planned: list[PlannedFile]) -> None:
    by_name = {one.filepath: one for one in planned}
    copies = [one for one in planned if one.duplicate_of]

    for copy in copies:
        original = by_name[copy.duplicate_of]
        assert not original.transformation
        assert (copy.site, copy.event.event_id) == (original.site, original.event.event_id)
        assert copy.camera != original.camera
    assert len({copy.duplicate_of for copy in copies}) == len(copies) == 20


def test_a_camera_numbers_its_own_files_in_order_of_time(planned: list[PlannedFile]) -> None:
    own = [one for one in planned if one.filepath.startswith("cedar/cam1/") and not one.duplicate_of]

    in_time = sorted(own, key=lambda one: one.captured_at)

    assert in_time == sorted(own, key=lambda one: one.filepath.split("_")[1])


def test_more_damage_comes_only_when_asked_for() -> None:
    settings = WorldSettings(n_clips=12, n_stills=12, n_planted=1, has_extra_damage=True)

    counts = Counter(one.transformation for one in plan_files(settings))

    assert (counts["cut"], counts["text"], counts["truncated"]) == (1, 1, 1)
