"""Stage ``ingest``: which files become items, what is read again, and what paths and times say."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from mekiki.api.verbs import run_stage
from mekiki.dataset.ids import content_id, hash_file
from mekiki.demo.world import World, read_truth
from mekiki.engine.local import LocalEngine
from mekiki.errors import UsageError
from pictures import heic, jpeg, png, tiff
from videos import RECIPES, make_video
from workspaces import (
    attributes,
    counts,
    dump,
    groups,
    ingest,
    labels,
    query,
    run,
    scene,
    write_photo,
    write_text,
)


def sources(workspace: Path) -> dict[str, str]:
    return dict(query(workspace, "SELECT path, item_id FROM sources"))


def replace_content(path: Path, content: bytes) -> None:
    """Write other bytes of the same length and give the file its old time back."""
    status = path.stat()
    assert len(content) == status.st_size
    path.write_bytes(content)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def same_length_pair() -> tuple[bytes, bytes]:
    """Return two different pictures whose files have the same length."""
    first, second = jpeg(scene(1)), jpeg(scene(2))
    length = max(len(first), len(second))
    return first.ljust(length, b"\0"), second.ljust(length, b"\0")


def test_a_picture_and_a_clip_become_items_with_their_facts(workspace: Path, tmp_path: Path) -> None:
    photo = write_photo(tmp_path / "in/a.jpg", 1, "2024:05:01 06:07:08")
    clip = make_video(tmp_path / "in/b.mp4", RECIPES["h264-mp4"])

    summary = ingest(workspace, tmp_path / "in")

    assert counts(summary) == (2, 2, 0, 0)
    columns = "kind, width_px, height_px, captured_at, n_frames, round(duration_s, 1)"
    rows = {row[0]: row[1:] for row in query(workspace, f"SELECT item_id, {columns} FROM items")}
    assert rows == {
        hash_file(photo): ("image", 96, 64, "2024-05-01 06:07:08", None, None),
        hash_file(clip): ("video", 160, 96, None, 60, 2.4),
    }
    assert query(workspace, "SELECT item_id FROM hashes") == [(hash_file(photo),)]


def test_the_same_bytes_under_two_names_are_one_item_with_two_sources(workspace: Path, tmp_path: Path) -> None:
    first = write_photo(tmp_path / "in/a.jpg", 1)
    second = write_photo(tmp_path / "in/copies/b.jpg", 1)

    summary = ingest(workspace, tmp_path / "in")

    assert counts(summary) == (2, 2, 0, 0)
    assert sources(workspace) == dict.fromkeys((str(first), str(second)), hash_file(first))
    assert query(workspace, "SELECT count(*) FROM items") == [(1,)]


@pytest.mark.parametrize("has_labels", [False, True])
@pytest.mark.parametrize("has_pattern", [False, True])
def test_running_it_again_writes_nothing(has_labels: bool, has_pattern: bool, workspace: Path, world: World) -> None:
    settings: dict[str, object] = {"labels": [world.truth_path]} if has_labels else {}
    settings |= {"path_pattern": "{site}/{camera}/*"} if has_pattern else {}
    first = ingest(workspace, world.folder, **settings)
    before = dump(workspace)

    second = ingest(workspace, world.folder, **settings)

    assert first.n_written == len(world.files) - 1
    assert counts(second) == (len(world.files), 0, len(world.files) - 1, 1)
    assert dump(workspace) == before


def test_a_file_of_known_size_and_time_is_not_read_again(workspace: Path, tmp_path: Path) -> None:
    first, second = same_length_pair()
    path = tmp_path / "a.jpg"
    path.write_bytes(first)
    ingest(workspace, path)
    replace_content(path, second)

    again = ingest(workspace, path)
    in_another_run = ingest(workspace, path, part="train")

    assert counts(again) == (1, 0, 1, 0)
    assert counts(in_another_run) == (1, 1, 0, 0)
    assert sources(workspace) == {str(path): content_id(first)}


def test_rehash_reads_known_files_again(workspace: Path, tmp_path: Path) -> None:
    first, second = same_length_pair()
    path = tmp_path / "a.jpg"
    path.write_bytes(first)
    ingest(workspace, path)
    replace_content(path, second)

    summary = ingest(workspace, path, rehash=True)

    assert counts(summary) == (1, 1, 0, 0)
    assert sources(workspace) == {str(path): content_id(second)}


def test_a_changed_file_is_another_item_and_the_old_one_is_no_longer_selected(workspace: Path, tmp_path: Path) -> None:
    path = write_photo(tmp_path / "a.jpg", 1)
    ingest(workspace, path)
    write_photo(path, 2)

    summary = ingest(workspace, path)

    assert counts(summary) == (1, 1, 0, 0)
    assert sources(workspace) == {str(path): hash_file(path)}
    assert run("dedupe", workspace).n_selected == 1


def test_a_file_that_was_only_touched_stays_the_same_item(workspace: Path, tmp_path: Path) -> None:
    path = write_photo(tmp_path / "a.jpg", 1)
    ingest(workspace, path)
    os.utime(path, ns=(1, 1))

    summary = ingest(workspace, path)

    assert counts(summary) == (1, 1, 0, 0)
    assert query(workspace, "SELECT item_id, mtime_ns FROM sources") == [(hash_file(path), 1)]
    assert query(workspace, "SELECT count(*) FROM items") == [(1,)]


def test_files_inside_the_workspace_are_stored_relative_and_others_absolute(workspace: Path, tmp_path: Path) -> None:
    write_photo(workspace / "photos/a.jpg", 1)
    write_photo(tmp_path / "b.jpg", 2)

    ingest(workspace, workspace / "photos", tmp_path / "b.jpg")

    assert sorted(sources(workspace)) == [str(tmp_path / "b.jpg"), "photos/a.jpg"]


@pytest.mark.parametrize("spelled", ["ws", "elsewhere/../ws", "./ws"])
def test_a_workspace_can_be_moved_with_the_files_in_it(spelled: str, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    workspace = tmp_path / spelled
    (tmp_path / "ws/clips").mkdir(parents=True)
    make_video(tmp_path / "ws/clips/a.mp4", RECIPES["h264-mp4"])
    ingest(workspace, workspace / "clips")
    moved = tmp_path / "moved"
    (tmp_path / "ws").rename(moved)

    summary = run("frames", moved)
    again = ingest(moved, moved / "clips")

    assert counts(summary) == (1, 1, 0, 0)
    assert sources(moved) == {"clips/a.mp4": hash_file(moved / "clips/a.mp4")}
    assert again.n_failed == 0


@pytest.mark.parametrize("spelled", ["ws", "in/../ws"])
def test_our_own_files_are_not_taken_for_the_users(spelled: str, tmp_path: Path) -> None:
    workspace = tmp_path / spelled
    (tmp_path / "in").mkdir()
    make_video(tmp_path / "in/a.mp4", RECIPES["h264-mp4"])
    ingest(workspace, tmp_path)
    run("frames", workspace)

    summary = ingest(workspace, tmp_path)

    assert counts(summary) == (1, 0, 1, 0)


def test_list_files_globs_folders_and_single_files_can_be_mixed(workspace: Path, tmp_path: Path) -> None:
    for number, name in enumerate(["folder/a.jpg", "folder/deep/b.jpg", "list/c.jpg", "glob/d1.jpg", "e.jpg"]):
        write_photo(tmp_path / name, number)
    write_text(tmp_path / "folder/notes.md", "ignored")
    listed = write_text(tmp_path / "list/files.txt", "# one\n\nc.jpg\n")

    summary = ingest(workspace, tmp_path / "folder", listed, tmp_path / "glob/*.jpg", tmp_path / "e.jpg")

    assert {Path(path).name for path in sources(workspace)} == {"a.jpg", "b.jpg", "c.jpg", "d1.jpg", "e.jpg"}
    assert "files of unknown type ignored: 1" in summary.notes


def test_without_recursion_only_the_folder_itself_counts(workspace: Path, tmp_path: Path) -> None:
    write_photo(tmp_path / "in/a.jpg", 1)
    write_photo(tmp_path / "in/deep/b.jpg", 2)

    assert ingest(workspace, tmp_path / "in", recursive=False).n_selected == 1


@pytest.mark.parametrize("content", [png, tiff], ids=["png", "tiff"])
def test_the_content_decides_what_a_file_is_and_not_its_name(workspace: Path, tmp_path: Path, content: object) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(content())  # type: ignore[operator]

    assert counts(ingest(workspace, path)) == (1, 1, 0, 0)


def test_heic_is_read_where_the_decoder_is_installed(workspace: Path, tmp_path: Path) -> None:
    pytest.importorskip("pillow_heif")
    (tmp_path / "a.heic").write_bytes(heic())

    assert counts(ingest(workspace, tmp_path / "a.heic")) == (1, 1, 0, 0)


@pytest.mark.parametrize(
    "pattern",
    [
        pytest.param("{site}/{camera}/{visit}_*.jpg", id="template"),
        pytest.param(r"(?P<site>[^/]+)/(?P<camera>[^/]+)/(?P<visit>[^/_]+)_[^/]*$", id="regular expression"),
    ],
)
def test_a_path_pattern_makes_groups_and_attributes(pattern: str, workspace: Path, tmp_path: Path) -> None:
    write_photo(tmp_path / "in/north/cam1/v1_a.jpg", 1)
    write_photo(tmp_path / "in/north/cam2/v1_b.jpg", 2)
    write_photo(tmp_path / "in/south/cam1/v2_c.jpg", 3)
    write_photo(tmp_path / "in/south/cam1/d.jpg", 4)

    ingest(workspace, tmp_path / "in", path_pattern=pattern)

    assert groups(workspace, "site") == {"north": {"v1_a.jpg", "v1_b.jpg"}, "south": {"v2_c.jpg"}}
    assert set(groups(workspace, "camera")) == {"north/cam1", "north/cam2", "south/cam1"}
    assert attributes(workspace, "visit") == {"v1_a.jpg": "v1", "v1_b.jpg": "v1", "v2_c.jpg": "v2"}
    assert attributes(workspace, "site")["v1_a.jpg"] == "north"


def test_what_the_paths_of_one_item_say_does_not_depend_on_which_is_read_first(tmp_path: Path) -> None:
    names = [f"{site}/{number}.jpg" for number in range(12) for site in ("north", "south")]
    for name in names:
        write_photo(tmp_path / "in" / name, int(Path(name).stem))
    said = []
    for order in (names, names[::-1]):
        workspace = tmp_path / f"ws{len(said)}"
        ingest(workspace, *(tmp_path / "in" / name for name in order), path_pattern="{site}/*", batch_size=5, workers=3)
        said.append(query(workspace, "SELECT item_id, name, value FROM attributes ORDER BY 1, 2"))

    assert said[0] == said[1]
    assert len(said[0]) == 12


def test_a_broken_path_pattern_is_refused_before_anything_is_read(workspace: Path, tmp_path: Path) -> None:
    write_photo(tmp_path / "a.jpg", 1)

    with pytest.raises(UsageError, match="names nothing"):
        ingest(workspace, tmp_path / "a.jpg", path_pattern="*.jpg")


def test_stills_of_one_camera_in_quick_succession_are_a_burst(workspace: Path, tmp_path: Path) -> None:
    camera = {"make": "TRAILCO", "model": "T1", "serial": "7"}
    for second, name in ((0, "a"), (30, "b"), (59, "c")):
        write_photo(tmp_path / f"in/{name}.jpg", second, f"2024:05:01 06:07:{second:02d}", **camera)
    write_photo(tmp_path / "in/later.jpg", 90, "2024:05:01 07:00:00", **camera)
    write_photo(tmp_path / "in/other camera.jpg", 91, "2024:05:01 06:07:10", **{**camera, "serial": "8"})
    write_photo(tmp_path / "in/no time.jpg", 92, **camera)

    ingest(workspace, tmp_path / "in", burst_s=30)

    assert list(groups(workspace, "burst").values()) == [{"a.jpg", "b.jpg", "c.jpg"}]


def test_no_gap_finds_no_bursts(workspace: Path, tmp_path: Path) -> None:
    for number in range(2):
        write_photo(tmp_path / f"in/{number}.jpg", number, "2024:05:01 06:07:08", model="T1")

    ingest(workspace, tmp_path / "in", burst_s=0)

    assert groups(workspace, "burst") == {}


def test_the_bursts_of_the_demo_world_are_found(workspace: Path, world: World) -> None:
    ingest(workspace, world.folder, path_pattern="{site}/{camera}/*")
    truth = read_truth(world.folder)
    stills = [one for one in truth.files if one.filepath.endswith("JPG") and not one.transformation]
    events = {one.event_id for one in stills}
    bursts = [{one.filepath for one in stills if one.event_id == event} for event in events]
    wanted = sorted(sorted(burst) for burst in bursts if len(burst) > 1)

    sql = "SELECT g.key, s.path FROM groups g JOIN sources s ON s.item_id = g.item_id WHERE g.kind = 'burst'"
    found: dict[str, list[str]] = {}
    for key, path in query(workspace, sql):
        found.setdefault(key, []).append(Path(path).relative_to(world.folder).as_posix())

    assert wanted
    assert sorted(sorted(paths) for paths in found.values()) == wanted


def test_a_constant_label_holds_for_every_file_of_the_call(workspace: Path, tmp_path: Path) -> None:
    write_photo(tmp_path / "foxes/a.jpg", 1)
    write_photo(tmp_path / "badgers/b.jpg", 2)
    classes = ["badger", "fox"]

    ingest(workspace, tmp_path / "foxes", label="fox", classes=classes, part="train")
    ingest(workspace, tmp_path / "badgers", label="badger", classes=classes, part="val")

    assert labels(workspace) == {
        "a.jpg": {"badger": "absent", "fox": "present"},
        "b.jpg": {"badger": "present", "fox": "absent"},
    }
    assert attributes(workspace, "part") == {"a.jpg": "train", "b.jpg": "val"}
    assert query(workspace, "SELECT name FROM classes ORDER BY position") == [("badger",), ("fox",)]


def test_a_constant_label_alone_says_nothing_of_other_classes(workspace: Path, tmp_path: Path) -> None:
    ingest(workspace, write_photo(tmp_path / "a.jpg", 1), label=["fox", "night"])

    assert labels(workspace) == {"a.jpg": {"fox": "present", "night": "present"}}


def test_the_constant_label_unknown_means_that_every_class_is_absent(workspace: Path, tmp_path: Path) -> None:
    ingest(workspace, write_photo(tmp_path / "a.jpg", 1), label="unknown", classes=["badger", "fox"])

    assert labels(workspace) == {"a.jpg": {"badger": "absent", "fox": "absent"}}
    assert query(workspace, "SELECT name FROM classes ORDER BY position") == [("badger",), ("fox",)]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        pytest.param({"label": ["fxo"], "classes": ["badger", "fox"]}, r"class.*'fxo'.*'fox'", id="misspelt"),
        pytest.param({"label": ["unknown"]}, r"unknown.*--classes", id="unknown without classes"),
        pytest.param({"label": ["unknown", "fox"], "classes": ["fox"]}, r"unknown", id="unknown and a class"),
    ],
)
def test_a_constant_label_that_means_nothing_is_refused(
    settings: dict[str, list[str]], message: str, workspace: Path, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match=message):
        ingest(workspace, write_photo(tmp_path / "a.jpg", 1), **settings)


def test_nothing_to_ingest_says_what_to_give(workspace: Path) -> None:
    with pytest.raises(UsageError, match=r"nothing to ingest: give folders or files, or --labels FILE"):
        ingest(workspace)


@pytest.mark.parametrize(
    ("path", "message"),
    [
        pytest.param("nothing.jpg", "there is no file or folder 'nothing.jpg'", id="missing"),
        pytest.param("*.jpg", "no file matches", id="glob without a match"),
    ],
)
def test_a_path_that_means_nothing_is_refused(path: str, message: str, workspace: Path) -> None:
    with pytest.raises(UsageError, match=message):
        ingest(workspace, path)


def test_a_table_among_the_paths_is_refused_with_the_flag_for_it(workspace: Path, tmp_path: Path) -> None:
    table = write_text(tmp_path / "labels.csv", "filepath,label\n")

    with pytest.raises(UsageError, match="give it with --labels"):
        ingest(workspace, table)


def test_a_dry_run_counts_what_is_left_and_writes_no_rows(workspace: Path, tmp_path: Path) -> None:
    write_photo(tmp_path / "in/a.jpg", 1)
    ingest(workspace, tmp_path / "in")
    write_photo(tmp_path / "in/b.jpg", 2)
    before = dump(workspace)

    summary = run_stage("ingest", workspace, {"paths": [str(tmp_path / "in")]}, engine=LocalEngine(dry_run=True))

    assert summary.extra["n_todo"] == 1
    assert dump(workspace) == before


def test_limit_takes_so_many_new_files_at_a_time(workspace: Path, tmp_path: Path) -> None:
    for number in range(5):
        write_photo(tmp_path / f"in/{number}.jpg", number)

    taken = [ingest(workspace, tmp_path / "in", limit=2).n_written for _ in range(4)]

    assert taken == [2, 2, 1, 0]


def test_files_that_come_later_continue_the_run(workspace: Path, tmp_path: Path) -> None:
    write_photo(tmp_path / "in/a.jpg", 1)
    first = ingest(workspace, tmp_path / "in")
    write_photo(tmp_path / "in/b.jpg", 2)

    second = ingest(workspace, tmp_path / "in", batch_size=1, workers=1)

    assert second.run_id == first.run_id
    assert counts(second) == (2, 1, 1, 0)


def test_a_copy_stands_in_for_a_file_that_is_gone(workspace: Path, tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
    clip = make_video(tmp_path / "a/clip.mp4", RECIPES["h264-mp4"])
    shutil.copy(clip, tmp_path / "b/clip.mp4")
    ingest(workspace, tmp_path / "a", tmp_path / "b")
    clip.unlink()

    assert counts(run("frames", workspace)) == (1, 1, 0, 0)


def test_moved_files_are_found_again_after_their_new_place_is_ingested(workspace: Path, tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    make_video(tmp_path / "a/clip.mp4", RECIPES["h264-mp4"])
    ingest(workspace, tmp_path / "a")
    (tmp_path / "a").rename(tmp_path / "b")
    assert run("frames", workspace).n_failed == 1

    ingest(workspace, tmp_path / "b")

    assert counts(run("frames", workspace)) == (1, 1, 0, 0)


@pytest.mark.parametrize("setting", ["label", "classes"])
def test_a_class_without_a_name_is_refused(setting: str, workspace: Path, tmp_path: Path) -> None:
    write_photo(tmp_path / "a.jpg", 1)

    with pytest.raises(UsageError, match="a class needs a name"):
        ingest(workspace, tmp_path / "a.jpg", **{setting: [" "]})
