"""The finished world on disk. A small one is made once for the whole file."""

from __future__ import annotations

import hashlib
import json
from collections import Counter, defaultdict
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from mekiki.demo.clips import read_clip
from mekiki.demo.truth import FileTruth, Truth
from mekiki.demo.world import CLAIM_NAME, MARKER_NAME, World, WorldSettings, make_world, read_truth
from mekiki.errors import UsageError

SMALL = WorldSettings(n_clips=12, n_stills=12, n_planted=1, width_px=128)
TINY = WorldSettings(n_clips=2, n_stills=3, n_planted=0, n_sites=1, width_px=64)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return make_world(tmp_path_factory.mktemp("world"), SMALL)


@pytest.fixture(scope="module")
def truth(world: World) -> Truth:
    return read_truth(world.folder)


def content_of(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def copy_made_by(truth: Truth, medium: str, transformation: str) -> FileTruth:
    return next(one for one in truth.files if one.transformation == transformation and one.filepath.endswith(medium))


def test_a_world_counts_what_it_holds(world: World, truth: Truth) -> None:
    assert (world.n_clips, world.n_stills, world.n_unreadable) == (12, 12, 1)
    assert all(path.is_file() for path in world.files)
    assert world.n_frames == sum(len(read_clip(path)) for path in world.files if path.suffix == ".MP4")
    assert world.n_events == len({one.event_id for one in truth.files})
    assert {path.name for path in world.folder.glob("*.*")} == {
        "truth.csv",
        "truth_frames.csv",
        "truth_captions.csv",
        MARKER_NAME,
    }


def test_one_seed_makes_the_same_bytes(world: World, tmp_path: Path) -> None:
    make_world(tmp_path, SMALL)

    assert content_of(tmp_path) == content_of(world.folder)


@pytest.mark.slow
def test_the_number_of_workers_changes_nothing(tmp_path: Path) -> None:
    make_world(tmp_path / "alone", SMALL)

    make_world(tmp_path / "together", SMALL, n_workers=2)

    assert content_of(tmp_path / "alone") == content_of(tmp_path / "together")


def test_making_it_again_touches_nothing(world: World) -> None:
    before = {path: path.stat().st_mtime_ns for path in world.folder.rglob("*")}

    again = make_world(world.folder, SMALL)

    assert again == world
    assert {path: path.stat().st_mtime_ns for path in world.folder.rglob("*")} == before


def test_other_settings_replace_a_world_and_leave_strangers_alone(tmp_path: Path) -> None:
    make_world(tmp_path / "a", TINY)
    (tmp_path / "a" / "notes.txt").write_text("mine")

    make_world(tmp_path / "a", replace(TINY, seed=5))
    make_world(tmp_path / "b", replace(TINY, seed=5))

    assert (tmp_path / "a" / "notes.txt").read_text() == "mine"
    (tmp_path / "a" / "notes.txt").unlink()
    assert content_of(tmp_path / "a") == content_of(tmp_path / "b")


def test_a_world_that_was_interrupted_is_made_anew(tmp_path: Path) -> None:
    make_world(tmp_path / "whole", TINY)
    world = make_world(tmp_path / "half", TINY)
    (world.folder / MARKER_NAME).rename(world.folder / CLAIM_NAME)
    world.files[0].unlink()
    world.files[1].write_bytes(b"half a file")
    world.truth_path.unlink()

    make_world(tmp_path / "half", TINY)

    assert content_of(tmp_path / "half") == content_of(tmp_path / "whole")


def test_a_world_with_a_missing_file_is_made_anew(tmp_path: Path) -> None:
    world = make_world(tmp_path, TINY)
    world.files[0].unlink()

    make_world(tmp_path, TINY)

    assert world.files[0].is_file()


def test_a_folder_of_somebody_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "holiday.jpg").write_bytes(b"")

    with pytest.raises(UsageError, match=r"holds something that is no demo world\. Choose a new or an empty folder"):
        make_world(tmp_path, TINY)

    assert [path.name for path in tmp_path.iterdir()] == ["holiday.jpg"]


def test_a_file_that_is_only_named_like_the_marker_is_somebody_else_s(tmp_path: Path) -> None:
    (tmp_path / MARKER_NAME).write_text('{"countries": 195}')

    with pytest.raises(UsageError, match="no demo world"):
        make_world(tmp_path, TINY)

    assert (tmp_path / MARKER_NAME).read_text() == '{"countries": 195}'


def test_a_kill_while_the_folder_was_claimed_is_survived(tmp_path: Path) -> None:
    (tmp_path / CLAIM_NAME).write_text('{"drawing_ver')

    world = make_world(tmp_path, TINY)

    assert world.n_clips == 2
    assert not (tmp_path / CLAIM_NAME).exists()


def test_a_smaller_world_leaves_no_empty_folder_behind(tmp_path: Path) -> None:
    make_world(tmp_path, replace(TINY, n_sites=3))

    make_world(tmp_path, TINY)

    assert [path.name for path in tmp_path.iterdir() if path.is_dir()] == ["cedar"]


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "world").write_text("")

    with pytest.raises(UsageError, match=r"is a file\. Choose a new or an empty folder"):
        make_world(tmp_path / "world", TINY)


def test_a_marker_cannot_make_it_delete_what_lies_outside(tmp_path: Path) -> None:
    precious = tmp_path / "precious.txt"
    precious.write_text("mine")
    (tmp_path / "world").mkdir()
    (tmp_path / "world" / MARKER_NAME).write_text(json.dumps({"drawing_version": 0, "files": ["../precious.txt"]}))

    make_world(tmp_path / "world", TINY)

    assert precious.read_text() == "mine"


def test_exactly_the_planted_file_cannot_be_read(world: World, truth: Truth) -> None:
    for one in truth.files:
        if not one.filepath.endswith(".JPG"):
            continue
        with PIL.Image.open(world.folder / one.filepath) as picture:
            if one.is_readable:
                picture.load()
            else:
                with pytest.raises(OSError, match="truncated"):
                    picture.load()
    assert [one.transformation for one in truth.files if not one.is_readable] == ["truncated"]


def test_more_damage_is_there_when_asked_for(tmp_path: Path) -> None:
    world = make_world(tmp_path, replace(SMALL, width_px=64, has_extra_damage=True))

    truth = read_truth(tmp_path)
    unreadable = sorted(one.transformation for one in truth.files if not one.is_readable)
    cut = copy_made_by(truth, "MP4", "cut")
    told = [frame for frame in truth.frames if frame.filepath == cut.filepath]
    assert unreadable == ["text", "truncated"]
    assert cut.is_readable
    assert 0 < len(told) == len(read_clip(tmp_path / cut.filepath)) < 16
    assert world.n_unreadable == 2


def test_photos_know_when_and_with_what_they_were_taken(world: World, truth: Truth) -> None:
    for one in truth.files:
        if not one.filepath.endswith(".JPG") or one.duplicate_of:
            continue
        with PIL.Image.open(world.folder / one.filepath) as picture:
            exif = picture.getexif()
            taken = datetime.strptime(exif.get_ifd(0x8769)[0x9003], "%Y:%m:%d %H:%M:%S")
        assert taken == one.captured_at
        assert (exif[0x010F], exif[0x0110]) == ("Torii", {"cam1": "TC-1", "cam2": "TC-2"}[one.camera])


def test_a_burst_is_three_stills_within_two_seconds(truth: Truth) -> None:
    bursts = defaultdict(list)
    for one in truth.files:
        if one.filepath.endswith(".JPG") and not one.duplicate_of:
            bursts[one.event_id].append(one.captured_at)

    assert sorted({len(times) for times in bursts.values()}) == [1, 3]
    assert all((max(times) - min(times)).total_seconds() <= 2 for times in bursts.values())


def test_a_copied_clip_has_the_same_bytes_under_another_name(world: World, truth: Truth) -> None:
    copy = copy_made_by(truth, "MP4", "copied")

    assert copy.filepath != copy.duplicate_of
    assert (world.folder / copy.filepath).read_bytes() == (world.folder / copy.duplicate_of).read_bytes()


def test_a_reencoded_clip_shows_the_same_with_other_bytes(world: World, truth: Truth) -> None:
    copy = copy_made_by(truth, "MP4", "reencoded")

    shown, given = (np.stack(read_clip(world.folder / name)).astype(int) for name in (copy.filepath, copy.duplicate_of))

    assert (world.folder / copy.filepath).read_bytes() != (world.folder / copy.duplicate_of).read_bytes()
    assert np.abs(shown - given).mean() < 8


def test_a_mirrored_clip_shows_the_same_from_the_other_side(world: World, truth: Truth) -> None:
    copy = copy_made_by(truth, "MP4", "mirrored")

    shown, given = (np.stack(read_clip(world.folder / name)).astype(int) for name in (copy.filepath, copy.duplicate_of))

    assert np.abs(shown[:, :, ::-1] - given).mean() < 8
    boxes = {
        name: [frame.sightings for frame in truth.frames if frame.filepath == name]
        for name in (copy.filepath, copy.duplicate_of)
    }
    for there, here in zip(boxes[copy.duplicate_of], boxes[copy.filepath], strict=True):
        assert [(128 - one.box[2], 128 - one.box[0]) for one in there] == [(one.box[0], one.box[2]) for one in here]


def test_a_resized_still_is_smaller_and_has_lost_its_exif(world: World, truth: Truth) -> None:
    copy = copy_made_by(truth, "JPG", "resized")

    with PIL.Image.open(world.folder / copy.filepath) as picture:
        assert picture.size == (115, 86)
        assert not dict(picture.getexif())


def test_the_labels_of_a_file_are_those_of_its_pictures(truth: Truth) -> None:
    seen = defaultdict(set)
    for frame in truth.frames:
        seen[frame.filepath].update(frame.labels)
        shares = {one.label: one.visible_share for one in frame.sightings}
        assert all(shares[label] >= 0.2495 for label in frame.labels)
        assert all(shares[label] < 0.2505 for label in frame.unsure_labels)

    assert {one.filepath: set(one.labels) for one in truth.files if one.is_readable} == {
        one.filepath: seen[one.filepath] for one in truth.files if one.is_readable
    }
    assert 0 < sum(not one.labels for one in truth.files) < 8


def test_sentences_cover_every_clip_without_gaps(world: World, truth: Truth) -> None:
    n_frames = Counter(frame.filepath for frame in truth.frames)
    by_file = defaultdict(list)
    for one in truth.captions:
        by_file[one.filepath].append(one)

    for name, captions in by_file.items():
        if name.endswith(".MP4"):
            assert [one.start_s for one in captions] == [0.0, *(one.end_s for one in captions[:-1])]
            assert captions[-1].end_s == n_frames[name] / SMALL.fps
    assert set(by_file) == {one.filepath for one in truth.files if one.is_readable}
