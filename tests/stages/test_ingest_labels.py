"""Stage ``ingest`` on label files: every format through the real stage, contradictions, problems, frames."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mekiki.api.workspace import failures, status
from mekiki.cli.main import main
from mekiki.dataset.formats.registry import READERS
from mekiki.demo.world import World, read_truth
from mekiki.errors import UsageError
from videos import RECIPES, make_video
from workspaces import (
    attributes,
    counts,
    dump,
    groups,
    ingest,
    labels,
    query,
    reasons,
    run,
    write_json,
    write_photo,
    write_text,
)

FOX, CAR, NOTHING = (
    {"fox": "present", "car": "absent"},
    {"fox": "absent", "car": "present"},
    {"fox": "absent", "car": "absent"},
)
CATEGORIES = [{"id": 1, "name": "fox"}, {"id": 2, "name": "car"}]
SEED_HEADER = (
    "video_path,video_id,frame_index,timestamp_sec,frame_source_path,assigned_labels_json,confidence,reason,model,"
    "response_id,response_text,copied_paths_json"
)


def write_photos(folder: Path, *names: str) -> None:
    for seed, name in enumerate(names, start=1):
        write_photo(folder / name, seed)


def seed_row(name: str, answer: str, **cells: object) -> str:
    """Return a row of seed 1's annotations about a still, or about a frame if an index is given."""
    known = {"video": name, "id": "", "index": -1, "time": -1.0, "confidence": 0.9} | cells
    quoted = '"' + answer.replace('"', '""') + '"'
    start = f"{known['video']},{known['id']},{known['index']},{known['time']:.3f},{name},{quoted}"
    return f"{start},{known['confidence']:.4f},seen,gpt,r1,{{}},[]"


def write_csv(folder: Path) -> Path:
    write_photos(folder, "a.jpg", "b.jpg", "c.jpg")
    return write_text(folder / "labels.csv", "filepath,label\na.jpg,fox\nb.jpg,car\nc.jpg,unknown\n")


def write_imagefolder(folder: Path) -> Path:
    write_photos(folder, "set/fox/a.jpg", "set/car/b.jpg", "set/unknown/c.jpg")
    return folder / "set"


def write_hf(folder: Path) -> Path:
    write_photos(folder, "set/a.jpg", "set/b.jpg", "set/c.jpg")
    write_text(folder / "set/metadata.csv", "file_name,label\na.jpg,fox\nb.jpg,car\nc.jpg,unknown\n")
    return folder / "set"


def write_coco(folder: Path) -> Path:
    write_photos(folder, "a.jpg", "b.jpg", "c.jpg")
    images = [
        {"id": n, "file_name": name, "width": 96, "height": 64} for n, name in enumerate(("a.jpg", "b.jpg", "c.jpg"))
    ]
    boxes = [{"id": n, "image_id": n, "category_id": n + 1, "bbox": [8, 16, 32, 16], "iscrowd": 0} for n in (0, 1)]
    return write_json(folder / "coco.json", {"images": images, "annotations": boxes, "categories": CATEGORIES})


def write_camera_traps(folder: Path) -> Path:
    write_photos(folder, "a.jpg", "b.jpg", "c.jpg")
    names = ("a.jpg", "b.jpg", "c.jpg")
    images = [
        {"id": name, "file_name": name, "location": "north", "seq_id": "s1", "seq_num_frames": 3, "frame_num": n}
        for n, name in enumerate(names)
    ]
    found = zip(names, (1, 2, 0), strict=True)
    annotations = [{"id": name, "image_id": name, "category_id": category} for name, category in found]
    categories = [{"id": 0, "name": "empty"}, *CATEGORIES]
    return write_json(folder / "traps.json", {"images": images, "annotations": annotations, "categories": categories})


def write_yolo(folder: Path) -> Path:
    write_photos(folder, "images/train/a.jpg", "images/train/b.jpg", "images/train/c.jpg")
    for name, line in (("a", "0 0.25 0.375 0.3333333 0.25\n"), ("b", "1 0.5 0.5 0.5 0.5\n"), ("c", "")):
        write_text(folder / f"labels/train/{name}.txt", line)
    return write_text(folder / "data.yaml", "train: images/train\nnames: [fox, car]\n")


def write_seed1(folder: Path) -> Path:
    write_photos(folder, "a.jpg", "b.jpg", "c.jpg")
    rows = [seed_row("a.jpg", '["fox"]'), seed_row("b.jpg", '["car"]'), seed_row("c.jpg", '["unknown"]')]
    return write_text(folder / "openai_image_annotations.csv", "\n".join([SEED_HEADER, *rows]) + "\n")


LABELLED: dict[str, Callable[[Path], Path]] = {
    "csv": write_csv,
    "imagefolder": write_imagefolder,
    "hf": write_hf,
    "coco": write_coco,
    "coco-camera-traps": write_camera_traps,
    "yolo": write_yolo,
    "seed1-annotations": write_seed1,
}
"""Formats that can say: a fox on a.jpg, a car on b.jpg, neither on c.jpg."""


@pytest.mark.parametrize("format_name", LABELLED)
def test_the_labels_of_a_format_arrive_with_its_files(format_name: str, workspace: Path, tmp_path: Path) -> None:
    path = LABELLED[format_name](tmp_path / "in")

    summary = ingest(workspace, labels=[path])

    assert counts(summary) == (3, 3, 0, 0)
    assert labels(workspace) == {"a.jpg": FOX, "b.jpg": CAR, "c.jpg": NOTHING}
    assert {name for (name,) in query(workspace, "SELECT name FROM classes")} == {"fox", "car"}
    assert {who for (who,) in query(workspace, "SELECT DISTINCT annotator FROM labels")} == {"import"}


@pytest.mark.parametrize("format_name", LABELLED)
def test_a_format_can_be_named_and_importing_twice_writes_nothing(
    format_name: str, workspace: Path, tmp_path: Path
) -> None:
    path = LABELLED[format_name](tmp_path / "in")
    ingest(workspace, labels=[path], labels_format=format_name)
    before = dump(workspace)

    summary = ingest(workspace, labels=[path], labels_format=format_name)

    assert counts(summary) == (3, 0, 3, 0)
    assert dump(workspace) == before


def write_megadetector(folder: Path) -> Path:
    write_photos(folder, "a.jpg", "b.jpg")
    entries = [
        {"file": "a.jpg", "detections": [{"category": "1", "conf": 0.75, "bbox": [0.25, 0.5, 0.5, 0.25]}]},
        {"file": "b.jpg", "detections": []},
    ]
    content = {"info": {"format_version": "1.4"}, "detection_categories": {"1": "animal"}, "images": entries}
    return write_json(folder / "md.json", content)


def test_boxes_arrive_in_pixels(workspace: Path, tmp_path: Path) -> None:
    ingest(workspace, labels=[write_megadetector(tmp_path / "md")])
    ingest(workspace, labels=[write_coco(tmp_path / "coco")])
    ingest(workspace, labels=[write_yolo(tmp_path / "yolo")])

    sql = "SELECT class_name, score, x_min, y_min, x_max, y_max FROM boxes"
    found = {(name, round(score, 2), *(round(x) for x in xyxy)) for name, score, *xyxy in query(workspace, sql)}

    assert found == {
        ("animal", 0.75, 24, 32, 72, 48),
        ("fox", 1.0, 8, 16, 40, 32),
        ("car", 1.0, 8, 16, 40, 32),
        ("car", 1.0, 24, 16, 72, 48),
    }


def write_flickr30k(folder: Path) -> Path:
    write_photos(folder, "a.jpg", "b.jpg")
    rows = "a.jpg| 0| Two men talk .\na.jpg| 1| A talk .\nb.jpg| 0| A dog .\n"
    return write_text(folder / "results.csv", f"image_name| comment_number| comment\n{rows}")


def write_flickr8k(folder: Path) -> Path:
    write_photos(folder, "a.jpg", "b.jpg")
    return write_text(folder / "Flickr8k.token.txt", "a.jpg#0\tTwo men talk .\na.jpg#1\tA talk .\nb.jpg#0\tA dog .\n")


def write_coco_captions(folder: Path) -> Path:
    write_photos(folder, "a.jpg", "b.jpg")
    images = [{"id": n, "file_name": name} for n, name in enumerate(("a.jpg", "b.jpg"))]
    said = [(0, "Two men talk ."), (0, "A talk ."), (1, "A dog .")]
    annotations = [{"id": n, "image_id": image, "caption": text} for n, (image, text) in enumerate(said)]
    return write_json(folder / "captions.json", {"images": images, "annotations": annotations})


@pytest.mark.parametrize("write", [write_flickr30k, write_flickr8k, write_coco_captions])
def test_captions_arrive_in_their_order(write: Callable[[Path], Path], workspace: Path, tmp_path: Path) -> None:
    ingest(workspace, labels=[write(tmp_path / "in")])

    sql = "SELECT s.path, position, text FROM captions c JOIN sources s ON s.item_id = c.item_id ORDER BY 1, 2"
    assert [(Path(path).name, position, text) for path, position, text in query(workspace, sql)] == [
        ("a.jpg", 0, "Two men talk ."),
        ("a.jpg", 1, "A talk ."),
        ("b.jpg", 0, "A dog ."),
    ]


def test_a_fairface_table_gives_attributes_and_any_column_as_label(workspace: Path, tmp_path: Path) -> None:
    write_photos(tmp_path, "a.jpg", "b.jpg")
    rows = "a.jpg,3-9,Male,White,True\nb.jpg,20-29,Female,White,False\n"
    table = write_text(tmp_path / "faces.csv", f"file,age,gender,race,service_test\n{rows}")

    ingest(workspace, labels=[table], labels_format="fairface", label_column="gender")

    assert labels(workspace)["a.jpg"] == {"Female": "absent", "Male": "present"}
    assert attributes(workspace, "age") == {"a.jpg": "3-9", "b.jpg": "20-29"}


def test_a_seed_1_data_set_arrives_with_its_parts(workspace: Path, tmp_path: Path) -> None:
    write_photos(tmp_path / "in", "a.jpg", "b.jpg", "c.jpg")
    ingest(tmp_path / "first", labels=[write_csv(tmp_path / "in")], classes=["fox", "car"])
    write_text(tmp_path / "parts.csv", f"filepath,part\n{tmp_path}/in/a.jpg,train\n{tmp_path}/in/b.jpg,val\n")
    ingest(tmp_path / "first", labels=[tmp_path / "parts.csv"])
    folder = tmp_path / "first" / run("export", tmp_path / "first", format="seed1").outputs["folder"]

    summary = ingest(workspace, labels=[folder], allow_outside=True)

    assert summary.n_failed == 0
    assert labels(workspace) == {"a.jpg": FOX, "b.jpg": CAR, "c.jpg": NOTHING}
    assert attributes(workspace, "part") == {"a.jpg": "train", "b.jpg": "val"}


def test_every_format_that_can_be_read_is_tried_here() -> None:
    elsewhere = {"megadetector", "flickr30k", "flickr8k", "coco-captions", "fairface", "seed1", "npy", "npy-folders"}

    assert set(READERS.names()) == LABELLED.keys() | elsewhere


def test_both_kinds_of_seed_1_arrive_alone_or_together(tmp_path: Path) -> None:
    stills = write_seed1(tmp_path / "in")
    frames = [
        seed_row("f/45.jpg", '["fox"]', video="clip.mp4", id="0123456789", index=45, time=1.5),
        seed_row("f/90.jpg", '["unknown"]', video="clip.mp4", id="0123456789", index=90, time=3.0),
    ]
    write_photo(tmp_path / "in/f/45.jpg", 45)
    write_photo(tmp_path / "in/f/90.jpg", 90)
    clips = write_text(tmp_path / "in/openai_video_annotations.csv", "\n".join([SEED_HEADER, *frames]) + "\n")

    for number, chosen in enumerate(([stills], [clips], [stills, clips])):
        ingest(tmp_path / f"ws{number}", labels=chosen)

    assert labels(tmp_path / "ws0").keys() == {"a.jpg", "b.jpg", "c.jpg"}
    assert labels(tmp_path / "ws1").keys() == {"45.jpg", "90.jpg"}
    assert labels(tmp_path / "ws2").keys() == {"a.jpg", "b.jpg", "c.jpg", "45.jpg", "90.jpg"}
    assert groups(tmp_path / "ws2", "source") == {"0123456789": {"45.jpg", "90.jpg"}}


@pytest.mark.parametrize("dedupe_key", ["frame_source_path", "video_path_frame_index"])
def test_of_rows_for_one_frame_the_one_with_the_highest_confidence_stays(
    dedupe_key: str, workspace: Path, tmp_path: Path
) -> None:
    write_photos(tmp_path, "f/45.jpg", "g/45.jpg")
    same = {"video": "clip.mp4", "index": 45, "time": 1.5}
    other = "f/45.jpg" if dedupe_key == "frame_source_path" else "g/45.jpg"
    rows = [
        seed_row("f/45.jpg", '["car"]', **same, confidence=0.4),
        seed_row(other, '["fox"]', **same, confidence=0.8),
        seed_row("f/45.jpg", '["unknown"]', **same, confidence=0.6),
    ]
    table = write_text(tmp_path / "openai_video_annotations.csv", "\n".join([SEED_HEADER, *rows]) + "\n")

    summary = ingest(workspace, labels=[table], dedupe_key=dedupe_key)

    assert query(workspace, "SELECT class_name, confidence FROM labels WHERE state = 'present'") == [("fox", 0.8)]
    assert any("2 rows repeat a frame" in note for note in summary.notes)


def test_the_truth_of_the_demo_world_arrives_whole(workspace: Path, world: World) -> None:
    summary = ingest(workspace, world.folder, labels=[world.truth_path])

    sql = "SELECT s.path, class_name FROM labels l JOIN sources s ON s.item_id = l.item_id WHERE state = 'present'"
    found: dict[str, set[str]] = {}
    for path, name in query(workspace, sql):
        found.setdefault(Path(path).relative_to(world.folder).as_posix(), set()).add(name)
    truth = {one.filepath: set(one.labels) for one in read_truth(world.folder).files if one.is_readable}
    assert found == {path: names for path, names in truth.items() if names}
    assert summary.extra["n_conflicts"] == 0
    assert summary.extra["n_labelled"] == len({one for (one,) in query(workspace, "SELECT item_id FROM sources")})


def test_unknown_is_never_a_class(workspace: Path, tmp_path: Path) -> None:
    write_photos(tmp_path, "a.jpg", "b.jpg")
    table = write_text(tmp_path / "labels.csv", "filepath,label\na.jpg,Unknown\nb.jpg,fox\n")

    ingest(workspace, labels=[table], classes=["fox"])

    assert labels(workspace) == {"a.jpg": {"fox": "absent"}, "b.jpg": {"fox": "present"}}
    assert status(workspace)["labels"] == {"fox": 1, "unknown": 1}


def test_the_same_bytes_under_two_single_labels_are_unsure_in_both_and_reported(
    workspace: Path, tmp_path: Path
) -> None:
    for name in ("fox/a.jpg", "car/b.jpg"):
        write_photo(tmp_path / "in" / name, 1)
    write_photo(tmp_path / "in/cat/c.jpg", 2)

    summary = ingest(workspace, labels=[tmp_path / "in"])

    assert labels(workspace)["a.jpg"] == {"car": "unsure", "fox": "unsure", "cat": "absent"}
    assert summary.extra["n_conflicts"] == 1
    assert any("are now unsure, in 1 items (the same bytes under two names" in note for note in summary.notes)


def test_the_same_bytes_in_two_label_files_agree_or_are_unsure(workspace: Path, tmp_path: Path) -> None:
    write_photos(tmp_path, "a.jpg", "b.jpg")
    first = write_text(tmp_path / "first.csv", "filepath,label\na.jpg,fox\nb.jpg,fox\n")
    second = write_text(tmp_path / "second.csv", "filepath,label\na.jpg,fox\nb.jpg,car\n")

    ingest(workspace, labels=[first, second])

    assert labels(workspace) == {"a.jpg": FOX, "b.jpg": {"fox": "unsure", "car": "unsure"}}


def test_an_entry_whose_file_is_missing_is_a_failure(workspace: Path, tmp_path: Path) -> None:
    write_photos(tmp_path, "a.jpg")
    table = write_text(tmp_path / "labels.csv", "filepath,label\na.jpg,fox\ngone.jpg,car\n")

    summary = ingest(workspace, labels=[table])

    assert reasons(summary) == {
        "gone.jpg": "no such file; if the paths in the label file start elsewhere: --root FOLDER"
    }
    assert labels(workspace) == {"a.jpg": FOX}


@pytest.mark.parametrize("spelled", ["../outside.jpg", "{outside}"], ids=["relative", "absolute"])
def test_a_path_outside_the_root_is_refused_unless_it_is_meant(spelled: str, workspace: Path, tmp_path: Path) -> None:
    outside = write_photo(tmp_path / "outside.jpg", 1)
    table = tmp_path / "in/labels.csv"
    write_text(table, f"filepath,label\n{spelled.format(outside=outside)},fox\n")

    refused = ingest(workspace, labels=[table])
    meant = ingest(workspace, labels=[table], allow_outside=True)
    rooted = ingest(tmp_path / "ws2", labels=[table], root=tmp_path, path_column="filepath")

    assert [one.path for one in refused.failures] == [f"{table}:2"]
    assert "points outside" in refused.failures[0].reason
    assert "--allow-outside" in refused.failures[0].reason
    assert counts(meant) == (1, 1, 0, 0)
    assert labels(workspace) == {"outside.jpg": {"fox": "present"}}
    assert rooted.n_failed == (1 if spelled.startswith("..") else 0)


def test_one_file_has_one_path_however_label_files_spell_it(workspace: Path, tmp_path: Path) -> None:
    photo = write_photo(tmp_path / "photos/a.jpg", 1)
    table = write_text(tmp_path / "tables/labels.csv", "filepath,label\n../photos/./a.jpg,fox\n")

    summary = ingest(workspace, tmp_path / "photos", labels=[table], allow_outside=True)

    assert counts(summary) == (1, 1, 0, 0)
    assert query(workspace, "SELECT path FROM sources") == [(str(photo),)]


def test_the_root_is_where_paths_start(workspace: Path, tmp_path: Path) -> None:
    write_photo(tmp_path / "photos/a.jpg", 1)
    table = write_text(tmp_path / "tables/labels.csv", "filepath,label\na.jpg,fox\n")

    ingest(workspace, labels=[table], root=tmp_path / "photos")

    assert labels(workspace) == {"a.jpg": {"fox": "present"}}


def test_problems_in_a_label_file_are_failures_with_file_and_line(
    workspace: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_photos(tmp_path, "a.jpg", "b.jpg", "c.jpg")
    table = write_text(tmp_path / "labels.csv", "filepath,label\na.jpg,fox\nb.jpg,fxo\n,fox\nc.jpg,car\n")

    code = main(["ingest", "--labels", str(table), "--classes", "fox", "--classes", "car", "-w", str(workspace), "-q"])

    out = capsys.readouterr().out
    assert code == 3
    assert f"failed: {table}:3: no class is called 'fxo'. Did you mean 'fox'?" in out
    assert f"failed: {table}:4: it names no file" in out
    assert labels(workspace) == {"a.jpg": FOX, "c.jpg": CAR}


def test_the_failures_of_a_label_file_stay_until_it_is_mended_or_gone(workspace: Path, tmp_path: Path) -> None:
    write_photos(tmp_path, "a.jpg", "other/b.jpg")
    table = write_text(tmp_path / "labels.csv", "filepath,label\na.jpg,fox\n,fox\n")
    ingest(workspace, labels=[table])

    ingest(workspace, tmp_path / "other")
    after_another_call = [one.path for one in failures(workspace)]
    write_text(table, "filepath,label\na.jpg,fox\n")
    ingest(workspace, labels=[table])

    assert after_another_call == [f"{table}:3"]
    assert failures(workspace) == []


def test_a_changed_label_file_is_imported_again_and_its_word_counts(workspace: Path, tmp_path: Path) -> None:
    write_photos(tmp_path, "a.jpg")
    table = write_text(tmp_path / "labels.csv", "filepath,label,note\na.jpg,fox,x\n")
    first = ingest(workspace, labels=[table], classes=["fox", "car"])
    write_text(table, "filepath,label,note\na.jpg,car,y\n")

    second = ingest(workspace, labels=[table], classes=["fox", "car"])

    assert first.extra["labels_run_id"] != second.extra["labels_run_id"]
    assert counts(second) == (1, 0, 1, 0)
    assert labels(workspace) == {"a.jpg": CAR}


def test_a_label_file_that_moves_says_the_same(workspace: Path, tmp_path: Path) -> None:
    write_photos(tmp_path / "one", "a.jpg")
    write_text(tmp_path / "one/labels.csv", "filepath,label\na.jpg,fox\n")
    first = ingest(workspace, labels=[tmp_path / "one/labels.csv"])
    (tmp_path / "one").rename(tmp_path / "two")

    second = ingest(workspace, labels=[tmp_path / "two/labels.csv"])

    assert first.extra["labels_run_id"] == second.extra["labels_run_id"]


def test_columns_give_groups_parts_times_and_attributes(workspace: Path, tmp_path: Path) -> None:
    write_photos(tmp_path, "a.jpg", "b.jpg")
    header = "filepath,label,part,site,camera,burst,individual,captured_at,note"
    rows = "a.jpg,fox,train,north,c1,s1,Ann,2024-05-01 06:07:08,x\nb.jpg,car,validation,south,c1,s1,,,\n"

    ingest(workspace, labels=[write_text(tmp_path / "labels.csv", f"{header}\n{rows}")])

    assert attributes(workspace, "part") == {"a.jpg": "train", "b.jpg": "val"}
    assert attributes(workspace, "captured_at") == {"a.jpg": "2024-05-01 06:07:08"}
    assert attributes(workspace, "note") == {"a.jpg": "x"}
    assert groups(workspace, "site") == {"north": {"a.jpg"}, "south": {"b.jpg"}}
    assert groups(workspace, "camera") == {"north/c1": {"a.jpg"}, "south/c1": {"b.jpg"}}
    assert groups(workspace, "burst") == {"s1": {"a.jpg", "b.jpg"}}
    assert groups(workspace, "identity") == {"Ann": {"a.jpg"}}


def test_times_from_a_table_make_bursts_too(workspace: Path, tmp_path: Path) -> None:
    write_photos(tmp_path, "a.jpg", "b.jpg", "c.jpg")
    rows = [f"{name}.jpg,north,2024-05-01 06:07:{second:02d}" for name, second in (("a", 1), ("b", 3), ("c", 50))]
    table = write_text(tmp_path / "labels.csv", "\n".join(["filepath,site,captured_at", *rows]))

    ingest(workspace, labels=[table], burst_s=5)

    assert list(groups(workspace, "burst").values()) == [{"a.jpg", "b.jpg"}]


def test_the_annotator_is_who_the_user_says(workspace: Path, tmp_path: Path) -> None:
    ingest(workspace, labels=[write_csv(tmp_path / "in")], annotator="human:ALICE")

    assert query(workspace, "SELECT DISTINCT annotator FROM labels") == [("human:ALICE",)]


@pytest.mark.parametrize("by", ["frame_index", "time_s"])
def test_labels_of_frames_are_applied_when_ingest_runs_again_after_frames(
    by: str, workspace: Path, tmp_path: Path
) -> None:
    make_video(tmp_path / "clip.mp4", RECIPES["h264-mp4"])
    cells = {"frame_index": (0, 30, 31), "time_s": (0.0, 1.2, 1.24)}[by]
    rows = zip(cells, ("fox", "car", "fox"), strict=True)
    table = tmp_path / "labels.csv"
    write_text(table, "\n".join([f"filepath,{by},label", *(f"clip.mp4,{cell},{label}" for cell, label in rows)]))

    first = ingest(workspace, labels=[table])
    run("frames", workspace, every_n_frames=30)
    second = ingest(workspace, labels=[table])
    before = dump(workspace)
    third = ingest(workspace, labels=[table])

    sql = (
        "SELECT i.kind, i.frame_index, l.class_name FROM labels l JOIN items i ON i.item_id = l.item_id "
        "WHERE l.state = 'present' ORDER BY 2"
    )
    assert first.extra["n_labelled"] == 0
    assert any("3 entries are about frames that have not been taken out" in note for note in first.notes)
    assert query(workspace, sql) == [("frame", 0, "fox"), ("frame", 30, "car")]
    assert second.extra["n_labelled"] == 2
    assert third.n_written == 0
    assert dump(workspace) == before


def test_the_frame_truth_of_the_demo_world_arrives_on_the_frames(workspace: Path, world: World) -> None:
    ingest(workspace, world.folder, labels=[world.truth_path])
    run("frames", workspace, every_n_frames=4)

    ingest(workspace, labels=[world.frames_path])

    sql = (
        "SELECT s.path, f.frame_index, l.class_name FROM labels l JOIN items f ON f.item_id = l.item_id "
        "JOIN sources s ON s.item_id = f.parent_id WHERE f.kind = 'frame' AND l.state = 'present'"
    )
    found: dict[tuple[str, int], set[str]] = {}
    for path, index, name in query(workspace, sql):
        found.setdefault((Path(path).relative_to(world.folder).as_posix(), index), set()).add(name)
    truth = {(one.filepath, one.frame_index): set(one.labels) for one in read_truth(world.folder).frames}
    clips = {one.filepath for one in read_truth(world.folder).files if one.filepath.endswith("MP4")}
    assert found == {key: names for key, names in truth.items() if key[0] in clips and key[1] % 4 == 0 and names}


def test_a_table_about_our_own_frame_files_labels_the_frames(workspace: Path, tmp_path: Path) -> None:
    make_video(tmp_path / "clip.mp4", RECIPES["h264-mp4"])
    ingest(workspace, tmp_path / "clip.mp4")
    run("frames", workspace, every_n_frames=30)
    table = workspace / run("export", workspace, skeleton=True).outputs["labels.csv"]
    with table.open(newline="", encoding="utf-8-sig") as file:
        rows: list[dict[str, Any]] = list(csv.DictReader(file))
    filled = "\n".join(["filepath,labels", *(f"{row['filepath']},fox" for row in rows)])
    write_text(table, filled)

    summary = ingest(workspace, labels=[table], allow_outside=True)

    assert summary.n_failed == 0
    assert summary.extra["n_labelled"] == 2
    assert status(workspace)["items"] == {"frame": 2, "video": 1}
    assert query(workspace, "SELECT count(*) FROM labels WHERE class_name = 'fox'") == [(2,)]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        pytest.param({"labels": ["nothing.csv"]}, "there is no label file 'nothing.csv'", id="missing"),
        pytest.param(
            {"labels_format": "cococo"}, "no label format is called 'cococo'. Did you mean 'coco'", id="format"
        ),
        pytest.param({"label_column": "lable"}, "Did you mean 'label'", id="column"),
        pytest.param({"dedupe_key": "path"}, "dedupe_key: input should be 'frame_source_path'", id="dedupe key"),
    ],
)
def test_a_wrong_word_about_label_files_is_refused(
    settings: dict[str, Any], message: str, workspace: Path, tmp_path: Path
) -> None:
    table = write_csv(tmp_path / "in")

    with pytest.raises(UsageError, match=message):
        ingest(workspace, **{"labels": [table], **settings})
