"""Stage ``frames``: which pictures are taken, what their files are called, what is kept when runs are forgotten."""

from __future__ import annotations

import json
import os
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mekiki.api.workspace import forget, status
from mekiki.catalog.db import Catalog
from mekiki.catalog.items import read_hashes, select_items
from mekiki.dataset.hashes import hash_picture
from mekiki.dataset.ids import frame_id, hash_file
from mekiki.demo.world import World, read_truth
from mekiki.errors import UsageError
from mekiki.media.images import read_image
from videos import RECIPES, Recipe, make_video, read_number, uneven_stamps
from workspaces import counts, dump, file_hashes, ingest, query, reasons, run, tables, write_photo

LONG = Recipe(n_frames=200, gop=50)


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    """Two and a half seconds, 60 frames."""
    return make_video(tmp_path / "clip.mp4", RECIPES["h264-mp4"])


def frame_numbers(workspace: Path) -> list[int]:
    return [index for (index,) in query(workspace, "SELECT frame_index FROM items WHERE kind = 'frame' ORDER BY pts")]


def frame_paths(workspace: Path) -> list[Path]:
    return [
        workspace / path for (path,) in query(workspace, "SELECT path FROM items WHERE kind = 'frame' ORDER BY pts")
    ]


def test_the_defaults_are_those_of_seed_1(workspace: Path, tmp_path: Path) -> None:
    ingest(workspace, make_video(tmp_path / "a.mp4", LONG))

    summary = run("frames", workspace)

    assert frame_numbers(workspace) == [0, 45, 90, 135, 180]
    settings = json.loads((workspace / "runs" / summary.run_id / "run.json").read_text())["settings"]
    assert (settings["sampling"], settings["every_n_frames"], settings["max_frames"]) == ("every-n-frames", 45, 180)


@pytest.mark.parametrize(
    ("settings", "wanted"),
    [
        pytest.param({"every_n_frames": 25}, [0, 25, 50], id="every n frames"),
        pytest.param({"every_n_frames": 10, "max_frames": 2}, [0, 10], id="at most so many"),
        pytest.param({"sampling": "fps", "fps": 1.0}, [0, 25, 50], id="frames a second"),
        pytest.param({"sampling": "keyframes"}, [0, 12, 24, 36, 48], id="keyframes"),
    ],
)
def test_the_settings_decide_which_frames_are_taken(
    settings: dict[str, Any], wanted: list[int], workspace: Path, clip: Path
) -> None:
    ingest(workspace, clip)

    summary = run("frames", workspace, **settings)

    assert counts(summary) == (1, 1, 0, 0)
    assert summary.n_rows == len(wanted)
    assert [read_number(read_image(path)) for path in frame_paths(workspace)] == wanted


def test_evenly_spaced_frames_and_scenes_come_out_too(workspace: Path, clip: Path) -> None:
    ingest(workspace, clip)

    assert run("frames", workspace, sampling="n-frames", n_frames=4).n_rows == 4
    assert counts(run("frames", workspace, sampling="scene")) == (1, 1, 0, 0)


def test_the_file_of_a_frame_is_named_so_that_a_person_knows_video_and_time(workspace: Path, clip: Path) -> None:
    ingest(workspace, clip)

    run("frames", workspace, every_n_frames=30)

    folder = f"media/frames/clip-{hash_file(clip)[:10]}"
    assert [path.relative_to(workspace).as_posix() for path in frame_paths(workspace)] == [
        f"{folder}/clip_00h00m00.000s_f000000.jpg",
        f"{folder}/clip_00h00m01.200s_f000030.jpg",
    ]


def test_videos_of_one_name_keep_their_frames_apart(workspace: Path, tmp_path: Path) -> None:
    for folder, n_frames in (("a", 50), ("b", 60)):
        (tmp_path / folder).mkdir()
        make_video(tmp_path / folder / "タヌキ 1.mp4", Recipe(n_frames=n_frames))
    ingest(workspace, tmp_path / "a", tmp_path / "b")

    run("frames", workspace, every_n_frames=30)

    paths = frame_paths(workspace)
    assert len(set(paths)) == 4
    assert len({path.parent for path in paths}) == 2
    assert all(path.is_file() and path.name.startswith("タヌキ 1_") for path in paths)


def test_a_frame_knows_its_video_its_time_and_its_stamp(workspace: Path, tmp_path: Path) -> None:
    stamps = uneven_stamps(60)
    clip = make_video(tmp_path / "uneven.mkv", RECIPES["h264-mkv-uneven"])
    ingest(workspace, clip)

    run("frames", workspace, every_n_frames=20)

    columns = "item_id, parent_id, pts, time_base, time_s, frame_index, width_px, height_px"
    rows = query(workspace, f"SELECT {columns} FROM items WHERE kind = 'frame' ORDER BY pts")
    assert [row[5] for row in rows] == [0, 20, 40]
    for item_id, parent_id, pts, time_base, time_s, index, *size in rows:
        assert item_id == frame_id(parent_id, pts, Fraction(time_base))
        assert parent_id == hash_file(clip)
        assert time_s == pytest.approx(stamps[index] / 1000, abs=0.0015)
        assert size == [160, 96]


def test_a_frame_has_the_hash_of_what_was_decoded(workspace: Path, clip: Path) -> None:
    ingest(workspace, clip)
    run("frames", workspace, every_n_frames=30)

    with Catalog(workspace) as catalog:
        frames = list(select_items(catalog, ["frame"]))
        hashes = read_hashes(catalog, [frame.item_id for frame in frames])

    assert hashes["is_known"].all()
    for frame, bits in zip(frames, hashes["phash"].tolist(), strict=True):
        assert frame.path is not None
        assert np.bitwise_count(np.uint64(bits ^ hash_picture(read_image(frame.path)).bits)) <= 4


def test_running_it_again_writes_nothing(workspace: Path, world: World) -> None:
    ingest(workspace, world.folder)
    run("frames", workspace, every_n_frames=4)
    rows, files = dump(workspace), file_hashes(workspace)

    summary = run("frames", workspace, every_n_frames=4)

    assert (summary.n_written, summary.n_rows, summary.n_failed) == (0, 0, 0)
    assert dump(workspace) == rows
    assert file_hashes(workspace) == files


def test_the_frames_of_the_demo_world_are_those_of_its_truth(workspace: Path, world: World) -> None:
    ingest(workspace, world.folder)

    run("frames", workspace, every_n_frames=4)

    sql = (
        "SELECT s.path, f.frame_index, round(f.time_s, 3) FROM items f JOIN sources s ON s.item_id = f.parent_id "
        "WHERE f.kind = 'frame'"
    )
    found = {
        (Path(path).relative_to(world.folder).as_posix(), index, time) for path, index, time in query(workspace, sql)
    }
    clips = {one.filepath for one in read_truth(world.folder).files if one.filepath.endswith("MP4")}
    frames = [one for one in read_truth(world.folder).frames if one.filepath in clips]
    assert found == {(one.filepath, one.frame_index, one.time_s) for one in frames if one.frame_index % 4 == 0}


def test_batches_and_threads_do_not_change_rows_or_files(world: World, tmp_path: Path) -> None:
    found = []
    for number, speed in enumerate(({"batch_size": 1, "workers": 1}, {"batch_size": 7, "workers": 3}, {})):
        workspace = tmp_path / f"ws{number}"
        ingest(workspace, world.folder)
        run("frames", workspace, every_n_frames=4, **speed)
        rows = {name: rows for name, rows in tables(workspace).items() if name != "runs"}
        files = {name: one for name, one in file_hashes(workspace).items() if not name.startswith("runs/")}
        found.append((rows, files))

    assert found[0] == found[1] == found[2]


def test_another_sampling_adds_only_the_frames_that_are_new(workspace: Path, clip: Path) -> None:
    ingest(workspace, clip)
    first = run("frames", workspace, every_n_frames=30)
    times = {path: path.stat().st_mtime_ns for path in frame_paths(workspace)}

    second = run("frames", workspace, every_n_frames=15)

    assert (first.n_rows, second.n_rows) == (2, 2)
    assert frame_numbers(workspace) == [0, 15, 30, 45]
    assert {path: path.stat().st_mtime_ns for path in times} == times


def test_forgetting_a_sampling_keeps_the_frames_that_another_asked_for(workspace: Path, clip: Path) -> None:
    ingest(workspace, clip)
    first = run("frames", workspace, every_n_frames=30)
    second = run("frames", workspace, every_n_frames=20)
    assert frame_numbers(workspace) == [0, 20, 30, 40]

    forget(workspace, first.run_id)
    after_first = frame_numbers(workspace), {path.name[-11:-4] for path in workspace.rglob("*.jpg")}
    forget(workspace, second.run_id)

    assert after_first == ([0, 20, 40], {"f000000", "f000020", "f000040"})
    assert frame_numbers(workspace) == []
    assert list(workspace.rglob("*.jpg")) == []
    assert query(workspace, "SELECT count(*) FROM hashes") == [(0,)]


def test_a_forgotten_sampling_can_be_made_again(workspace: Path, clip: Path) -> None:
    ingest(workspace, clip)
    first = run("frames", workspace, every_n_frames=30)
    rows, files = tables(workspace), file_hashes(workspace)
    forget(workspace, first.run_id)

    run("frames", workspace, every_n_frames=30)

    assert tables(workspace) == rows
    assert file_hashes(workspace) == files


def test_a_clip_with_a_cut_tail_gives_what_it_still_holds(workspace: Path, tmp_path: Path) -> None:
    clip = make_video(tmp_path / "a.ts", RECIPES["h264-ts"])
    clip.write_bytes(clip.read_bytes()[: clip.stat().st_size // 2])
    ingest(workspace, clip)

    summary = run("frames", workspace, every_n_frames=5)

    assert summary.n_rows >= 3
    numbers = [read_number(read_image(path)) for path in frame_paths(workspace)]
    assert numbers == sorted(set(numbers) - {None})


def test_a_clip_that_is_gone_or_changed_is_a_failure_and_the_others_are_done(workspace: Path, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for name, n_frames in (("gone", 40), ("changed", 50), ("touched", 55), ("good", 60)):
        make_video(tmp_path / f"in/{name}.mp4", Recipe(n_frames=n_frames))
    ingest(workspace, tmp_path / "in")
    (tmp_path / "in/gone.mp4").unlink()
    (tmp_path / "in/changed.mp4").write_bytes((tmp_path / "in/good.mp4").read_bytes())
    os.utime(tmp_path / "in/touched.mp4", ns=(1, 1))

    summary = run("frames", workspace)

    assert counts(summary) == (4, 2, 0, 2)
    assert reasons(summary) == {
        "gone.mp4": "gone since ingest: bring it back, or ingest its new place",
        "changed.mp4": "changed since ingest: mekiki ingest it again",
    }


def test_a_clip_that_comes_back_is_done_by_the_same_command(workspace: Path, clip: Path) -> None:
    ingest(workspace, clip)
    away = clip.rename(clip.with_name("away.mp4"))
    first = run("frames", workspace)
    away.rename(clip)

    second = run("frames", workspace)

    assert (first.n_failed, counts(second)) == (1, (1, 1, 0, 0))
    assert status(workspace)["failures"] == 0


def test_without_clips_there_is_nothing_to_do(workspace: Path, tmp_path: Path) -> None:
    ingest(workspace, write_photo(tmp_path / "a.jpg", 1))

    summary = run("frames", workspace)

    assert counts(summary) == (0, 0, 0, 0)
    assert summary.notes == ["there are no videos in the workspace"]


def test_clips_that_come_later_continue_the_run(workspace: Path, tmp_path: Path, clip: Path) -> None:
    ingest(workspace, clip)
    first = run("frames", workspace)
    ingest(workspace, make_video(tmp_path / "b.mp4", Recipe(n_frames=50)))

    second = run("frames", workspace)

    assert second.run_id == first.run_id
    assert counts(second) == (2, 1, 1, 0)


def test_a_deleted_frame_file_is_said_to_be_gone_and_forgetting_the_run_brings_it_back(
    workspace: Path, clip: Path
) -> None:
    ingest(workspace, clip)
    frames = run("frames", workspace, every_n_frames=30)
    frame_paths(workspace)[0].unlink()

    exported = run("export", workspace)
    forget(workspace, frames.run_id)
    run("frames", workspace, every_n_frames=30)

    assert [one.reason.partition(":")[0] for one in exported.failures] == ["gone since ingest"]
    assert all(path.is_file() for path in frame_paths(workspace))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        pytest.param({"sampling": "keyframe"}, r"sampling: input should be .*'keyframes'", id="sampling"),
        pytest.param(
            {"every_n_frames": 0}, "every_n_frames: input should be greater than or equal to 1, got 0", id="n"
        ),
        pytest.param({"evry_n_frames": 9}, "Did you mean 'every_n_frames'", id="misspelt"),
    ],
)
def test_a_wrong_setting_is_refused(settings: dict[str, Any], message: str, workspace: Path, clip: Path) -> None:
    ingest(workspace, clip)

    with pytest.raises(UsageError, match=message):
        run("frames", workspace, **settings)
