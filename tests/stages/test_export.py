"""Stage ``export``: every format from a real workspace, round trips, and folders that are nobody else's."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from mekiki.cli.main import main
from mekiki.dataset.formats.registry import WRITERS
from mekiki.dataset.ids import hash_file
from mekiki.demo.world import World
from mekiki.errors import DataError, UsageError
from videos import RECIPES, make_video
from workspaces import attributes, counts, dump, ingest, query, reasons, run, write_photo, write_text

MAIN_FILES = {
    "coco": "annotations.json",
    "coco-camera-traps": "annotations.json",
    "coco-captions": "captions.json",
    "csv": "labels.csv",
    "fairface": "labels.csv",
    "hf": "metadata.csv",
    "megadetector": "detections.json",
    "seed1": "final_multilabel_dataset.csv",
    "seed1-annotations": "openai_video_annotations.csv",
    "yolo": "data.yaml",
}
NO_VECTORS = "there are no vectors"
REFUSES = {"imagefolder": "several classes", "flickr30k": "has a caption", "npy": NO_VECTORS, "npy-folders": NO_VECTORS}
"""What the demo world cannot be written as, with the reason; tests/stages/test_export_vectors.py writes vectors."""


@pytest.fixture(scope="module")
def labelled(world: World, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace with the demo world, its frames and all its labels; not to be changed but for exports."""
    workspace = tmp_path_factory.mktemp("labelled") / "ws"
    ingest(workspace, world.folder, labels=[world.truth_path])
    run("frames", workspace, every_n_frames=4)
    ingest(workspace, labels=[world.frames_path])
    return workspace


@pytest.fixture
def three(workspace: Path, tmp_path: Path) -> Path:
    """A workspace with three photos of one class each, or none, in two parts."""
    rows = "a.jpg,fox,train\nb.jpg,タヌキ,val\nc.jpg,unknown,val\n"
    for seed, name in enumerate(("a.jpg", "b.jpg", "c.jpg")):
        write_photo(tmp_path / "in" / name, seed)
    ingest(workspace, labels=[write_text(tmp_path / "in/labels.csv", f"filepath,label,part\n{rows}")])
    return workspace


def labels_of_pictures(workspace: Path) -> dict[str, dict[str, str]]:
    """Return content id of each picture's file to class to state; those without labels too."""
    sql = (
        "SELECT i.item_id, i.path, l.class_name, l.state FROM items i LEFT JOIN labels l ON l.item_id = i.item_id "
        "WHERE i.kind IN ('image', 'frame')"
    )
    found: dict[str, dict[str, str]] = {}
    for item_id, path, name, state in query(workspace, sql):
        states = found.setdefault(hash_file(workspace / path) if path else item_id, {})
        if name is not None:
            states[name] = state
    return found


def test_every_format_is_tried_here() -> None:
    assert set(WRITERS.names()) == MAIN_FILES.keys() | REFUSES.keys()


@pytest.mark.parametrize("format_name", MAIN_FILES)
def test_the_demo_world_can_be_written(format_name: str, labelled: Path) -> None:
    n_pictures = query(labelled, "SELECT count(*) FROM items WHERE kind IN ('image', 'frame')")[0][0]

    summary = run("export", labelled, format=format_name)

    folder = labelled / "exports" / format_name
    assert (summary.n_selected, summary.n_failed) == (n_pictures, 0)
    assert summary.outputs["folder"] == f"exports/{format_name}"
    assert (folder / MAIN_FILES[format_name]).is_file()
    assert (labelled / list(summary.outputs.values())[1]).is_file()
    assert not list(folder.parent.glob(".*")), "no half-written folder stays"


@pytest.mark.parametrize("format_name", REFUSES)
def test_what_a_format_cannot_say_is_refused_and_nothing_is_left_half_written(format_name: str, labelled: Path) -> None:
    with pytest.raises(DataError, match=REFUSES[format_name]):
        run("export", labelled, format=format_name)

    assert not (labelled / "exports" / format_name).exists()
    assert not list((labelled / "exports").glob(".*"))


@pytest.mark.parametrize("media", ["reference", "copy", "link"])
@pytest.mark.parametrize("format_name", ["csv", "coco", "yolo", "hf", "seed1", "coco-camera-traps"])
def test_a_round_trip_keeps_pictures_and_labels(format_name: str, media: str, labelled: Path, tmp_path: Path) -> None:
    run("export", labelled, format=format_name, media=media, output=tmp_path / "out")

    summary = ingest(tmp_path / "ws", labels=[_main_file(tmp_path / "out", format_name)], allow_outside=True)

    assert summary.n_failed == 0
    assert labels_of_pictures(tmp_path / "ws") == labels_of_pictures(labelled)
    assert _classes(tmp_path / "ws") == _classes(labelled)


def _classes(workspace: Path) -> list[str]:
    return [name for (name,) in query(workspace, "SELECT name FROM classes ORDER BY position")]


@pytest.mark.parametrize("format_name", ["imagefolder", "csv", "hf", "yolo", "fairface", "coco"])
def test_a_round_trip_keeps_single_labels_and_parts(format_name: str, three: Path, tmp_path: Path) -> None:
    run("export", three, format=format_name, output=tmp_path / "out", media="copy")
    table = {"csv": "labels.csv", "fairface": "labels.csv", "coco": "annotations.json"}.get(format_name, ".")

    ingest(tmp_path / "ws2", labels=[tmp_path / "out" / table], labels_format=format_name)

    assert labels_of_pictures(tmp_path / "ws2") == labels_of_pictures(three)
    if format_name != "coco":
        assert attributes(tmp_path / "ws2", "part") == {"a.jpg": "train", "b.jpg": "val", "c.jpg": "val"}


def test_boxes_and_captions_make_the_round_trip(workspace: Path, tmp_path: Path) -> None:
    write_photo(tmp_path / "in/a.jpg", 1)
    image = {"id": 1, "file_name": "a.jpg", "width": 96, "height": 64}
    fox = {"id": 1, "name": "fox"}
    box = {"id": 1, "image_id": 1, "category_id": 1, "bbox": [8, 16, 32, 16], "iscrowd": 0}
    said = [{"id": n, "image_id": 1, "caption": text} for n, text in enumerate(("A fox .", "It sleeps ."))]
    write_text(tmp_path / "in/boxes.json", json.dumps({"images": [image], "annotations": [box], "categories": [fox]}))
    write_text(tmp_path / "in/captions.json", json.dumps({"images": [image], "annotations": said}))
    ingest(workspace, labels=[tmp_path / "in/boxes.json", tmp_path / "in/captions.json"])

    for number, format_name in enumerate(("coco", "yolo", "megadetector", "coco-captions", "flickr30k")):
        folder = tmp_path / f"out{number}"
        run("export", workspace, format=format_name, output=folder, media="copy")
        ingest(tmp_path / f"ws{number}", labels=[_main_file(folder, format_name)], labels_format=format_name)

    wanted_boxes = query(workspace, "SELECT class_name, x_min, y_min, x_max, y_max FROM boxes")
    wanted_captions = query(workspace, "SELECT position, text FROM captions ORDER BY 1")
    for number in (0, 1, 2):
        found = query(tmp_path / f"ws{number}", "SELECT class_name, x_min, y_min, x_max, y_max FROM boxes")
        assert [(name, *(round(x, 2) for x in xyxy)) for name, *xyxy in found] == wanted_boxes
    for number in (3, 4):
        assert query(tmp_path / f"ws{number}", "SELECT position, text FROM captions ORDER BY 1") == wanted_captions


def _main_file(folder: Path, format_name: str) -> Path:
    return folder / {"flickr30k": "results.csv", **MAIN_FILES}[format_name]


def test_writing_it_again_writes_nothing(three: Path) -> None:
    first = run("export", three)
    table = three / first.outputs["labels.csv"]
    before, written_at = dump(three), table.stat().st_mtime_ns

    second = run("export", three)

    assert counts(first) == (3, 3, 0, 0)
    assert counts(second) == (3, 0, 3, 0)
    assert (dump(three), table.stat().st_mtime_ns) == (before, written_at)


def test_a_deleted_export_is_written_again(three: Path) -> None:
    table = three / run("export", three).outputs["labels.csv"]
    table.unlink()

    run("export", three)

    assert table.is_file()


def test_new_labels_are_a_new_export(three: Path, tmp_path: Path) -> None:
    first = run("export", three)
    table = write_text(tmp_path / "in/more.csv", "filepath,label\nc.jpg,fox\n")
    ingest(three, labels=[table], annotator="human:ALICE")

    second = run("export", three)

    assert second.run_id != first.run_id
    assert "c.jpg,fox" in (three / second.outputs["labels.csv"]).read_text()


def test_an_export_that_another_replaced_is_written_again(three: Path) -> None:
    everything = run("export", three)
    table = three / everything.outputs["labels.csv"]
    whole = table.read_text()
    run("export", three, skeleton=True)
    skeleton = table.read_text()

    again = run("export", three)

    assert skeleton != whole
    assert again.run_id == everything.run_id
    assert table.read_text() == whole


def test_a_folder_of_the_users_is_refused_unless_asked(
    three: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mine = write_text(tmp_path / "out/mine.txt", "mine")
    words = ["export", "-w", str(three), "--output", str(tmp_path / "out"), "-q"]

    refused = main(words)
    error = capsys.readouterr().err
    overwritten = main([*words, "--overwrite"])

    assert (refused, overwritten) == (2, 0)
    assert f"{tmp_path / 'out'} is not empty" in error
    assert "--overwrite" in error
    assert not mine.exists()
    assert (tmp_path / "out/labels.csv").is_file()


def test_an_empty_folder_and_one_of_ours_are_taken_without_asking(three: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    run("export", three, output=tmp_path / "out", media="copy")
    assert len(list((tmp_path / "out/images").iterdir())) == 3

    run("export", three, output=tmp_path / "out")

    assert not (tmp_path / "out/images").exists()
    assert (tmp_path / "out/labels.csv").is_file()


def test_neighbours_of_the_folder_are_left_alone(three: Path, tmp_path: Path) -> None:
    for name in ("out.part", "out.old"):
        write_text(tmp_path / name / "mine.txt", "mine")
    for media in ("reference", "copy"):
        run("export", three, output=tmp_path / "out", media=media)

    assert (tmp_path / "out.part/mine.txt").is_file()
    assert (tmp_path / "out.old/mine.txt").is_file()


@pytest.mark.parametrize("spelled", ["ws", "in", ".", "in/../in"])
def test_a_folder_that_holds_what_is_exported_is_never_replaced(spelled: str, three: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="would be replaced"):
        run("export", three, output=tmp_path / spelled, overwrite=True)

    assert (tmp_path / "in/a.jpg").is_file()
    assert (three / "mekiki.db").is_file()


def test_a_file_in_the_place_of_the_folder_is_refused(three: Path, tmp_path: Path) -> None:
    write_text(tmp_path / "out", "mine")

    for inside in ("out/x", "out/x/y"):
        with pytest.raises(UsageError, match="out is a file: give a folder"):
            run("export", three, output=tmp_path / inside)
    with pytest.raises(UsageError, match="is a file: give a folder"):
        run("export", three, output=tmp_path / "out")


def test_pictures_that_are_gone_or_changed_are_failures_and_the_others_go_out(three: Path, tmp_path: Path) -> None:
    (tmp_path / "in/a.jpg").unlink()
    write_photo(tmp_path / "in/b.jpg", 99)
    os.utime(tmp_path / "in/c.jpg", ns=(1, 1))

    summary = run("export", three)

    assert counts(summary) == (3, 1, 0, 2)
    assert {name: reason.partition(":")[0] for name, reason in reasons(summary).items()} == {
        "a.jpg": "gone since ingest",
        "b.jpg": "changed since ingest",
    }
    text = (three / summary.outputs["labels.csv"]).read_text()
    assert ("a.jpg" in text, "b.jpg" in text, "c.jpg" in text) == (False, False, True)


def test_a_picture_that_comes_back_goes_out_with_the_same_command(three: Path, tmp_path: Path) -> None:
    away = (tmp_path / "in/a.jpg").rename(tmp_path / "away.jpg")
    first = run("export", three)
    away.rename(tmp_path / "in/a.jpg")

    second = run("export", three)

    assert (first.n_failed, second.n_failed) == (1, 0)
    assert "a.jpg" in (three / second.outputs["labels.csv"]).read_text()


def test_only_the_kinds_that_are_asked_for_go_out(labelled: Path, tmp_path: Path) -> None:
    def exported(*kinds: str) -> int:
        return run("export", labelled, kind=list(kinds), output=tmp_path / "_".join(kinds)).n_selected

    sizes = dict(query(labelled, "SELECT kind, count(*) FROM items GROUP BY kind"))
    assert {kind: exported(kind) for kind in ("image", "frame", "video")} == sizes
    assert exported("image", "video") == sizes["image"] + sizes["video"]


def test_no_items_of_a_kind_say_so(three: Path) -> None:
    with pytest.raises(DataError, match="nothing to export: the workspace has no items of kind frame, video"):
        run("export", three, kind=["frame", "video"])


def test_one_annotators_labels_go_out_alone(three: Path, tmp_path: Path) -> None:
    table = write_text(tmp_path / "in/more.csv", "filepath,label\na.jpg,タヌキ\n")
    ingest(three, labels=[table], annotator="human:ALICE")

    both = run("export", three, output=tmp_path / "both")
    hers = run("export", three, output=tmp_path / "hers", annotator="human:ALICE")
    imported = run("export", three, output=tmp_path / "imported", annotator="import")

    def label_of_a(folder: str) -> str:
        lines = (tmp_path / folder / "labels.csv").read_text(encoding="utf-8-sig").splitlines()
        return next(line for line in lines if "a.jpg" in line).split(",")[1]

    assert (label_of_a("both"), label_of_a("hers"), label_of_a("imported")) == ("fox;タヌキ", "タヌキ", "fox")
    assert len({both.run_id, hers.run_id, imported.run_id}) == 3


def test_a_skeleton_has_no_labels_to_be_copied_from(three: Path) -> None:
    summary = run("export", three, skeleton=True)

    text = (three / summary.outputs["labels.csv"]).read_text(encoding="utf-8")
    assert "fox" not in text
    assert "a.jpg" in text


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        pytest.param({"format": "coc"}, "no export format is called 'coc'. Did you mean 'coco'", id="format"),
        pytest.param({"split": "mine"}, "no split is called 'mine'", id="split"),
        pytest.param({"media": "move"}, "media: input should be 'reference', 'copy' or 'link'", id="media"),
    ],
)
def test_a_wrong_word_is_refused(settings: dict[str, Any], message: str, three: Path) -> None:
    with pytest.raises(UsageError, match=message):
        run("export", three, **settings)


def test_frames_name_the_clip_that_they_were_taken_from(workspace: Path, tmp_path: Path) -> None:
    ingest(workspace, make_video(tmp_path / "clip.mp4", RECIPES["h264-mp4"]))
    run("frames", workspace, every_n_frames=30)

    text = (workspace / run("export", workspace).outputs["labels.csv"]).read_text(encoding="utf-8-sig")

    header, *rows = text.splitlines()
    assert {"video_path", "frame_index", "time_s"} <= set(header.split(","))
    assert len(rows) == 2
    assert all("clip.mp4" in row for row in rows)
