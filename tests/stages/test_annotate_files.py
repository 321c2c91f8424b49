"""Stage ``annotate`` with labels from files, and how far annotators agree."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from mekiki.api.verbs import run_stage
from mekiki.catalog.annotating import agreement_lines
from mekiki.catalog.db import Catalog
from mekiki.catalog.results import read_labels
from mekiki.dataset.formats.seed1_files import ANNOTATION_COLUMNS
from mekiki.demo.world import World
from mekiki.engine.local import LocalEngine
from mekiki.errors import DataError, UsageError
from mekiki.records import RunSummary
from videos import RECIPES, make_video
from workspaces import attributes, counts, dump, ingest, labels, make_photos, query, run, write_photo, write_text

N_PHOTOS = 30


@pytest.fixture
def photos(workspace: Path) -> Path:
    """A workspace with 30 photos that nobody has labelled."""
    return make_photos(workspace, N_PHOTOS)


def table(workspace: Path, name: str, rows: str, header: str = "filepath,label") -> Path:
    return write_text(workspace / "in" / name, f"{header}\n{rows}")


def annotate(workspace: Path, *files: Path, **settings: Any) -> RunSummary:
    return run("annotate", workspace, **{"annotator": "import", "labels": list(files), **settings})


def annotators(workspace: Path) -> list[str]:
    return [name for (name,) in query(workspace, "SELECT DISTINCT annotator FROM labels ORDER BY 1")]


@pytest.mark.parametrize("name", ["import", "import:camera", "human:ALICE"])
def test_labels_of_a_file_belong_to_whoever_gave_them(name: str, photos: Path) -> None:
    path = table(photos, "a.csv", "00.jpg,fox\n01.jpg,fox;cat\n02.jpg,unknown\n")

    summary = annotate(photos, path, annotator=name)

    assert counts(summary) == (3, 3, 0, 0)
    assert annotators(photos) == [name]
    assert labels(photos) == {
        "00.jpg": {"cat": "absent", "fox": "present"},
        "01.jpg": {"cat": "present", "fox": "present"},
        "02.jpg": {"cat": "absent", "fox": "absent"},
    }


def test_twice_writes_nothing_new(photos: Path) -> None:
    path = table(photos, "a.csv", "00.jpg,fox\n")
    annotate(photos, path)
    rows = dump(photos)

    summary = annotate(photos, path)

    assert counts(summary) == (1, 0, 1, 0)
    assert dump(photos) == rows


def test_a_person_is_believed_before_an_import(photos: Path) -> None:
    annotate(photos, table(photos, "b.csv", "00.jpg,cat\n"), annotator="human:BOB", classes=["cat", "fox"])
    annotate(photos, table(photos, "a.csv", "00.jpg,fox\n"), classes=["cat", "fox"])

    summary = run("export", photos, format="csv")

    text = (photos / summary.outputs["folder"] / "labels.csv").read_text(encoding="utf-8-sig")
    assert "00.jpg,cat" in text


def test_files_that_are_not_in_the_workspace_are_counted_and_not_ingested(photos: Path) -> None:
    n_items = query(photos, "SELECT count(*) FROM items")
    write_photo(photos / "in" / "new.jpg", 99)
    path = table(photos, "a.csv", "00.jpg,fox\nnew.jpg,fox\nnowhere.jpg,fox\n")

    summary = annotate(photos, path)

    assert summary.extra["n_without_item"] == 2
    assert "2 entries are about files that are not in the workspace" in summary.notes[-1]
    assert query(photos, "SELECT count(*) FROM items") == n_items


def test_a_file_about_nothing_that_is_here_is_refused(photos: Path, tmp_path: Path) -> None:
    path = write_text(tmp_path / "elsewhere" / "a.csv", "filepath,label\n00.jpg,fox\n")

    with pytest.raises(DataError, match=r"none of 1 entries is about an item.*--root"):
        annotate(photos, path)

    assert annotate(photos, path, root=photos / "in").n_written == 1


def test_an_entry_that_cannot_be_used_is_a_failure(photos: Path) -> None:
    path = table(photos, "a.csv", "00.jpg,fox\n../../x.jpg,fox\n01.jpg,bear\n")

    summary = annotate(photos, path, classes=["fox"])

    assert counts(summary) == (3, 1, 0, 2)
    assert {Path(one.path).name for one in summary.failures} == {"a.csv:3", "a.csv:4"}


def test_what_is_no_label_stays_in_the_file_and_is_said(photos: Path) -> None:
    image = {"id": 1, "file_name": "00.jpg", "width": 96, "height": 64}
    box = {"id": 1, "image_id": 1, "category_id": 1, "bbox": [8, 16, 32, 16], "iscrowd": 0}
    content = {"images": [image], "annotations": [box], "categories": [{"id": 1, "name": "fox"}]}

    summary = annotate(photos, write_text(photos / "in" / "boxes.json", json.dumps(content)))

    assert labels(photos) == {"00.jpg": {"fox": "present"}}
    assert query(photos, "SELECT count(*) FROM boxes") == [(0,)]
    assert "1 boxes and 0 captions are left: mekiki ingest --labels takes them" in summary.notes


def test_seed_1s_answers_come_with_their_reasons(photos: Path) -> None:
    header = "video_path,video_id,frame_index,timestamp_sec,frame_source_path,assigned_labels_json,confidence,reason"
    row = '00.jpg,x,-1,-1.000,00.jpg,"[""タヌキ""]",0.8,しっぽ,gpt-5.2,r1,"{}",[]'
    path = table(photos, "a.csv", row, f"{header},model,response_id,response_text,copied_paths_json")

    annotate(photos, path, annotator="import:seed")

    assert labels(photos)["00.jpg"]["タヌキ"] == "present"
    assert attributes(photos, "reason") == {"00.jpg": "しっぽ"}


def test_entries_about_frames_apply_after_they_are_taken(world: World, workspace: Path) -> None:
    ingest(workspace, world.folder)
    before = annotate(workspace, world.frames_path)
    run("frames", workspace, every_n_frames=4)

    after = annotate(workspace, world.frames_path)

    assert before.extra["n_frames_not_taken"] > after.extra["n_frames_not_taken"]
    assert before.run_id != after.run_id
    sql = "SELECT count(DISTINCT l.item_id) FROM labels l JOIN items i ON i.item_id = l.item_id WHERE kind = 'frame'"
    assert query(workspace, sql)[0][0] == query(workspace, "SELECT count(*) FROM items WHERE kind = 'frame'")[0][0]
    assert annotators(workspace) == ["import"]


def test_a_dry_run_of_an_import_writes_nothing(photos: Path) -> None:
    path = table(photos, "a.csv", "00.jpg,fox\n")
    rows = dump(photos)

    settings = {"annotator": "import", "labels": [path]}
    summary = run_stage("annotate", photos, settings, engine=LocalEngine(dry_run=True))

    assert summary.extra["dry_run"] is True
    assert dump(photos) == rows


def two_opinions(photos: Path, n_different: int) -> None:
    """Let two people label all photos, differing on the first few."""
    rows = [f"{number:02d}.jpg,{'fox' if number % 2 else 'cat'}" for number in range(N_PHOTOS)]
    other = [
        f"{number:02d}.jpg,{'fox' if (number % 2) != (number < n_different) else 'cat'}" for number in range(N_PHOTOS)
    ]
    annotate(photos, table(photos, "a.csv", "\n".join(rows)), annotator="human:ALICE")
    annotate(photos, table(photos, "b.csv", "\n".join(other)), annotator="human:BOB")


def test_agreement_is_measured_per_class_with_intervals(photos: Path) -> None:
    two_opinions(photos, 6)

    summary = run("annotate", photos, agreement=True)

    written = json.loads((photos / summary.outputs["agreement.json"]).read_text())
    (pair,) = written["pairs"]
    assert (pair["first"], pair["second"], pair["n_items"]) == ("human:ALICE", "human:BOB", N_PHOTOS)
    fox = pair["classes"]["fox"]
    assert (fox["n"], fox["agreement"]) == (N_PHOTOS, 0.8)
    assert fox["kappa"]["value"] == pytest.approx(0.6, abs=0.01), "24 of 30 the same, half of it by chance"
    assert fox["kappa"]["low"] < 0.6 < fox["kappa"]["high"]
    assert any("human:ALICE and human:BOB" in line for line in summary.notes)
    assert any(line.strip().startswith("fox  0.60") for line in summary.notes)


@pytest.fixture
def clip(workspace: Path) -> Path:
    """A workspace with a clip of 60 frames, of which frames 0 and 30 are taken."""
    (workspace / "in").mkdir(parents=True)
    make_video(workspace / "in" / "clip.mp4", RECIPES["h264-mp4"])
    ingest(workspace, workspace / "in")
    run("frames", workspace, every_n_frames=30)
    return workspace


def frame_labels(workspace: Path) -> list[tuple[int, str]]:
    sql = "SELECT i.frame_index, l.class_name FROM labels l JOIN items i USING (item_id) WHERE state = 'present'"
    return sorted(query(workspace, sql))


@pytest.mark.parametrize(
    ("header", "first", "second"),
    [("video_path,frame_index,label", "0", "30"), ("video_path,time_s,label", "0.0", "1.2")],
)
def test_a_table_of_videos_and_frames_needs_no_column_of_paths(
    header: str, first: str, second: str, clip: Path
) -> None:
    rows = f"clip.mp4,{first},fox\nclip.mp4,{second},cat\n"

    summary = annotate(clip, table(clip, "a.csv", rows, header))

    assert (summary.n_written, summary.extra["n_without_item"]) == (2, 0)
    assert frame_labels(clip) == [(0, "fox"), (30, "cat")]


def test_a_table_of_videos_alone_still_needs_to_be_told_its_paths(clip: Path) -> None:
    with pytest.raises(UsageError, match="--path-column"):
        annotate(clip, table(clip, "a.csv", "clip.mp4,fox\n", "video_path,label"))


def test_answers_of_seed_1_find_the_frames_that_mekiki_has_taken(clip: Path) -> None:
    said = ((0, "fox"), (30, "wolf"), (31, "wolf"))
    rows = "".join(f"clip.mp4,clip,{i},{i / 25},frames/clip_{i}.jpg,{name},0.9,so,m,r,t,[]\n" for i, name in said)

    summary = annotate(clip, table(clip, "openai_video_annotations.csv", rows, ",".join(ANNOTATION_COLUMNS)))

    assert frame_labels(clip) == [(0, "fox"), (30, "wolf")]
    assert (summary.extra["n_frames_not_taken"], summary.extra["n_without_item"]) == (1, 0)
    assert annotate(clip, clip / "in" / "openai_video_annotations.csv").n_skipped > 0


def test_agreement_can_be_asked_between_two(photos: Path) -> None:
    two_opinions(photos, 3)
    annotate(photos, table(photos, "c.csv", "00.jpg,fox\n01.jpg,fox\n"), annotator="import:third")

    all_pairs = run("annotate", photos, agreement=True)
    one_pair = run("annotate", photos, agreement=True, between=["import:third", "human:ALICE"])

    assert len(all_pairs.extra["pairs"]) == 3
    assert [(one["first"], one["second"]) for one in one_pair.extra["pairs"]] == [("import:third", "human:ALICE")]
    assert one_pair.extra["pairs"][0]["n_items"] == 2


def test_agreement_needs_two_annotators_with_items_in_common(photos: Path) -> None:
    with pytest.raises(DataError, match="needs two annotators, and the workspace has 0: none"):
        run("annotate", photos, agreement=True)
    annotate(photos, table(photos, "a.csv", "00.jpg,fox\n"))
    with pytest.raises(DataError, match="has 1: import"):
        run("annotate", photos, agreement=True)
    annotate(photos, table(photos, "b.csv", "01.jpg,fox\n"), annotator="human:BOB")

    summary = run("annotate", photos, agreement=True)

    assert summary.notes == ["no two annotators have labelled the same item"]
    with pytest.raises(UsageError, match=r"no annotator is called 'human:BOBB'\. Did you mean 'human:BOB'"):
        run("annotate", photos, agreement=True, between=["import", "human:BOBB"])


def test_what_has_no_kappa_is_said_in_words() -> None:
    nothing = {"value": None, "low": None, "high": None, "reliable": False}
    pair = {"first": "a", "second": "b", "n_items": 2, "classes": {"fox": {"kappa": nothing, "n": 2, "agreement": 1.0}}}

    assert "not defined" in agreement_lines(pair)[1]


def test_a_correction_that_is_taken_back_counts_again(workspace: Path, tmp_path: Path) -> None:
    photo = write_photo(tmp_path / "in" / "a.jpg", 1)
    ingest(workspace, photo)

    def import_label(name: str) -> dict[str, str]:
        table = write_text(tmp_path / f"{name}.csv", f"filepath,label\n{photo},{name}\n")
        run(
            "annotate",
            workspace,
            annotator="human:c",
            labels=[str(table)],
            classes=["fox", "badger"],
            allow_outside=True,
        )
        with Catalog(workspace) as catalog:
            found = next(iter(read_labels(catalog).values()))
        return {class_name: state for class_name, (state, _) in found.items()}

    assert import_label("fox") == {"fox": "present", "badger": "absent"}
    assert import_label("badger") == {"fox": "absent", "badger": "present"}
    assert import_label("fox") == {"fox": "present", "badger": "absent"}


def test_a_dry_run_of_an_earlier_command_changes_nothing(workspace: Path, tmp_path: Path) -> None:
    photo = write_photo(tmp_path / "in" / "a.jpg", 1)
    ingest(workspace, photo)
    tables_of = {
        name: write_text(tmp_path / f"{name}.csv", f"filepath,label\n{photo},{name}\n") for name in ("fox", "badger")
    }
    settings = {"annotator": "human:c", "classes": ["fox", "badger"], "allow_outside": True}
    for name in ("fox", "badger"):
        run("annotate", workspace, **settings, labels=[str(tables_of[name])])
    before = dump(workspace)

    run_stage("annotate", workspace, {**settings, "labels": [str(tables_of["fox"])]}, dry_run=True)

    assert dump(workspace) == before
