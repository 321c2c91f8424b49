"""Stage ``ingest`` on files that cannot be read: a row each, tried again, healed; never a crash, never silence."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from mekiki.api.workspace import failures, status
from mekiki.cli.main import main
from mekiki.errors import DataError
from pictures import bomb_jpeg, bomb_png, jpeg, text, truncated_jpeg
from videos import RECIPES, make_sound_only, make_video
from workspaces import counts, dump, ingest, query, reasons, run, write_photo, write_text


def write_broken(folder: Path) -> dict[str, str]:
    """Write a file for each way of being broken; return name to what its reason must say."""
    folder.mkdir(parents=True, exist_ok=True)
    contents = {
        "empty.jpg": (b"", "empty file (0 bytes)"),
        "text.jpg": (text(), "wrongly named: its content is no known format"),
        "truncated.jpg": (truncated_jpeg(), "truncated"),
        "bomb.png": (bomb_png(), "pixels"),
        "bomb.jpg": (bomb_jpeg(), "pixels"),
        "half a clip.mp4": (b"\0\0\0\x20ftypisom" + bytes(500), ""),
    }
    for name, (content, _) in contents.items():
        (folder / name).write_bytes(content)
    make_sound_only(folder / "sound.mp4")
    return {name: reason for name, (_, reason) in contents.items()} | {"sound.mp4": "no pictures"}


def test_each_broken_file_is_a_row_with_its_reason_and_the_others_are_read(workspace: Path, tmp_path: Path) -> None:
    wanted = write_broken(tmp_path / "in")
    write_photo(tmp_path / "in/good.jpg", 1)

    summary = ingest(workspace, tmp_path / "in")

    assert counts(summary) == (len(wanted) + 1, 1, 0, len(wanted))
    found = reasons(summary)
    assert found.keys() == wanted.keys()
    for name, reason in wanted.items():
        assert reason in found[name], f"{name}: {found[name]}"
        assert found[name]
        assert "\n" not in found[name]
    assert {one.path for one in failures(workspace)} == {str(tmp_path / "in" / name) for name in wanted}


def test_the_command_line_lists_them_and_exits_with_three(
    workspace: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_photo(tmp_path / "in/good.jpg", 1)
    write_text(tmp_path / "in/bad.jpg", "no picture")

    code = main(["ingest", str(tmp_path / "in"), "-w", str(workspace), "--json"])

    said = json.loads(capsys.readouterr().out)
    assert code == 3
    assert (said["n_selected"], said["n_written"], said["n_skipped"], said["n_failed"]) == (2, 1, 0, 1)
    assert said["failures"] == [
        {
            "path": str(tmp_path / "in/bad.jpg"),
            "reason": "wrongly named: its content is no known format of photo or video",
        }
    ]


def test_they_are_tried_again_each_time_and_no_row_changes(workspace: Path, tmp_path: Path) -> None:
    write_broken(tmp_path / "in")
    write_photo(tmp_path / "in/good.jpg", 1)
    first = ingest(workspace, tmp_path / "in")
    before = dump(workspace)

    second = ingest(workspace, tmp_path / "in")

    assert second.n_failed == first.n_failed
    assert dump(workspace) == before


def test_a_mended_file_loses_its_failure(workspace: Path, tmp_path: Path) -> None:
    path = write_text(tmp_path / "in/a.jpg", "no picture")
    ingest(workspace, tmp_path / "in")
    write_photo(path, 1)

    assert main(["ingest", str(tmp_path / "in"), "-w", str(workspace), "-q"]) == 0
    assert failures(workspace) == []


def test_a_removed_file_loses_its_failure(workspace: Path, tmp_path: Path) -> None:
    path = write_text(tmp_path / "in/a.jpg", "no picture")
    write_photo(tmp_path / "in/b.jpg", 1)
    ingest(workspace, tmp_path / "in")
    path.unlink()

    assert main(["ingest", str(tmp_path / "in"), "-w", str(workspace), "-q"]) == 0
    assert failures(workspace) == []


def test_a_file_that_broke_after_it_was_read_is_a_failure_until_it_is_as_it_was(
    workspace: Path, tmp_path: Path
) -> None:
    path = write_photo(tmp_path / "in/a.jpg", 1)
    ingest(workspace, tmp_path / "in")
    content, times = path.read_bytes(), path.stat()
    path.write_text("a virus was here")
    broken = [ingest(workspace, tmp_path / "in").n_failed for _ in range(2)]
    path.write_bytes(content)
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))

    healed = ingest(workspace, tmp_path / "in")

    assert broken == [1, 1]
    assert (healed.n_failed, failures(workspace)) == (0, [])


def test_a_listed_file_that_is_missing_is_a_row_until_it_comes(workspace: Path, tmp_path: Path) -> None:
    write_photo(tmp_path / "a.jpg", 1)
    listed = write_text(tmp_path / "files.txt", "a.jpg\nlater.jpg\n")
    first = ingest(workspace, listed)
    write_photo(tmp_path / "later.jpg", 2)

    second = ingest(workspace, listed)

    assert reasons(first) == {"later.jpg": "no such file"}
    assert (second.n_written, second.n_failed, failures(workspace)) == (1, 0, [])


def test_a_truncated_jpeg_is_taken_when_a_setting_says_so(workspace: Path, tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(truncated_jpeg())

    assert ingest(workspace, tmp_path / "a.jpg").n_failed == 1
    assert counts(ingest(workspace, tmp_path / "a.jpg", allow_truncated=True)) == (1, 1, 0, 0)


def test_a_clip_without_its_tail_is_readable(workspace: Path, tmp_path: Path) -> None:
    clip = make_video(tmp_path / "a.ts", RECIPES["h264-ts"])
    clip.write_bytes(clip.read_bytes()[: clip.stat().st_size * 2 // 3])

    assert counts(ingest(workspace, clip)) == (1, 1, 0, 0)


def test_more_than_half_broken_stops_the_stage(
    workspace: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in range(30):
        write_text(tmp_path / f"in/{number:02d}.jpg", "no picture")
        write_photo(tmp_path / f"in/{number:02d}.png", number) if number % 3 == 0 else None

    code = main(["ingest", str(tmp_path / "in"), "-w", str(workspace), "-q"])

    error = capsys.readouterr().err
    assert code == 4
    assert "items failed, the first is" in error
    assert "--max-failed-share" in error
    assert error.count("\n") == 1


def test_a_higher_share_goes_on_where_it_stopped(workspace: Path, tmp_path: Path) -> None:
    for number in range(30):
        write_text(tmp_path / f"in/{number:02d}.jpg", "no picture")
    write_photo(tmp_path / "in/good.jpg", 1)
    with pytest.raises(DataError):
        ingest(workspace, tmp_path / "in")

    summary = ingest(workspace, tmp_path / "in", max_failed_share=1.0)

    assert (summary.n_selected, summary.n_failed) == (31, 30)
    assert [run["status"] for run in status(workspace)["runs"]] == ["finished"]


def test_the_same_broken_bytes_under_two_names_are_two_rows(workspace: Path, tmp_path: Path) -> None:
    for name in ("a.jpg", "b.jpg"):
        write_text(tmp_path / name, "no picture")

    ingest(workspace, tmp_path)

    assert query(workspace, "SELECT count(*) FROM failures") == [(2,)]


def test_a_folder_of_another_calls_failures_is_left_alone(workspace: Path, tmp_path: Path) -> None:
    write_text(tmp_path / "one/a.jpg", "no picture")
    (tmp_path / "two").mkdir()
    (tmp_path / "two/b.jpg").write_bytes(jpeg())
    ingest(workspace, tmp_path / "one")

    summary = ingest(workspace, tmp_path / "two")

    assert summary.n_failed == 0
    assert [Path(one.path).name for one in failures(workspace)] == ["a.jpg"]


def test_a_file_without_permission_is_a_row(workspace: Path, tmp_path: Path) -> None:
    if os.geteuid() == 0:
        pytest.skip("root may read everything")
    path = write_photo(tmp_path / "a.jpg", 1)
    path.chmod(0)

    assert "denied" in reasons(ingest(workspace, path))["a.jpg"].lower()


def test_later_stages_say_that_nothing_could_be_read_and_not_that_nothing_was_ingested(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    ingest(tmp_path / "ws", tmp_path / "in", max_failed_share=1.0)

    with pytest.raises(DataError, match="nothing that was ingested can be read as a photo or video"):
        run("frames", tmp_path / "ws")
