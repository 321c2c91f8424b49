"""Forgetting runs and items: rows and our files go, the user's files and what others need stay."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from mekiki.api.workspace import forget, status
from mekiki.catalog.db import Catalog
from mekiki.catalog.describing import find_descriptions
from mekiki.catalog.forget import ITEM_TABLES, RUN_TABLES
from mekiki.catalog.mining import require_mining
from mekiki.catalog.results import read_labels, require_split
from mekiki.cli.main import main
from mekiki.dataset.ids import hash_file
from mekiki.errors import DataError, UsageError
from objects import make_scenes
from pictures import jpeg
from videos import RECIPES, make_video
from workspaces import dump, file_hashes, ingest, labels, query, run, scene, tables, write_photo, write_text


@pytest.fixture
def filled(workspace: Path, tmp_path: Path) -> Path:
    """A workspace with two labelled photos, a clip, its frames and a run of dedupe."""
    write_photo(tmp_path / "in/a.jpg", 1)
    write_photo(tmp_path / "in/b.jpg", 2)
    make_video(tmp_path / "in/clip.mp4", RECIPES["h264-mp4"])
    table = write_text(tmp_path / "labels.csv", "filepath,label,site\nin/a.jpg,fox,north\nin/clip.mp4,fox,north\n")
    ingest(workspace, tmp_path / "in", labels=[table])
    run("frames", workspace, every_n_frames=30)
    run("dedupe", workspace)
    return workspace


def rows_about(workspace: Path, column: str, value: str) -> dict[str, int]:
    """Return table to the number of rows in which a column has a value, for tables that have it and such rows."""
    found = {}
    for name, rows in tables(workspace).items():
        n_rows = sum(row.get(column) == value for row in rows)
        found |= {name: n_rows} if n_rows else {}
    return found


def test_every_table_with_a_run_or_an_item_is_cleared(filled: Path) -> None:
    by_run, by_item = set(), set()
    for name in tables(filled):
        columns = {row[1] for row in query(filled, f"PRAGMA table_info({name})")}
        by_run |= {name} if "run_id" in columns else set()
        by_item |= {name} if "item_id" in columns else set()

    assert set(RUN_TABLES) == by_run
    assert {*ITEM_TABLES, "items"} == by_item


def test_forgetting_a_clip_takes_its_frames_and_their_files_along(filled: Path, tmp_path: Path) -> None:
    clip_id = hash_file(tmp_path / "in/clip.mp4")
    frame_ids = [row[0] for row in query(filled, "SELECT item_id FROM items WHERE parent_id = ?", clip_id)]

    forget(filled, clip_id)

    assert len(frame_ids) == 2
    assert [rows_about(filled, "item_id", one) for one in (clip_id, *frame_ids)] == [{}, {}, {}]
    assert list((filled / "media").rglob("*.*")) == []
    assert (tmp_path / "in/clip.mp4").is_file()


def test_an_item_may_be_given_by_its_path_or_the_beginning_of_its_id(filled: Path, tmp_path: Path) -> None:
    forget(filled, str(tmp_path / "in/a.jpg"))
    forget(filled, hash_file(tmp_path / "in/b.jpg")[:12])

    assert status(filled)["items"] == {"frame": 2, "video": 1}
    assert (tmp_path / "in/a.jpg").is_file()


def test_a_forgotten_file_comes_back_only_when_it_is_ingested_again(filled: Path, tmp_path: Path) -> None:
    photo = tmp_path / "in/a.jpg"
    forget(filled, str(photo))
    assert rows_about(filled, "item_id", hash_file(photo)) == {}

    ingest(filled, tmp_path / "in")

    assert rows_about(filled, "item_id", hash_file(photo))["items"] == 1


def test_what_was_found_among_pictures_is_found_again_when_one_comes_back(workspace: Path, tmp_path: Path) -> None:
    """Groups, parts and labels of an item that was forgotten: the same commands make them anew."""
    for number in range(12):
        write_photo(tmp_path / f"in/{number:02d}.jpg", number)
    twin = tmp_path / "in/twin.jpg"
    twin.write_bytes(jpeg(scene(0), quality=60))
    table = write_text(tmp_path / "labels.csv", "filepath,label\nin/twin.jpg,fox\n")
    stages = {"dedupe": {}, "split": {"shares": {"a": 0.5, "b": 0.5}, "allow_missing": ["fox"]}}
    ingest(workspace, tmp_path / "in", labels=[table])
    for stage, settings in stages.items():
        run(stage, workspace, **settings)
    before = tables(workspace)

    forget(workspace, str(twin))
    assert {row["part"] for row in tables(workspace)["splits"]} == {"a", "b"}
    with Catalog(workspace) as catalog:
        assert require_split(catalog, "default")  # the rest of it still counts
    ingest(workspace, tmp_path / "in", labels=[table])
    with pytest.raises(DataError, match="mekiki dedupe"):
        run("split", workspace, **stages["split"])  # nobody knows the twin now
    summaries = [run(stage, workspace, **settings) for stage, settings in stages.items()]

    assert [summary.n_written for summary in summaries] == [13, 13]
    after = tables(workspace)
    for name in ("groups", "splits", "labels", "attributes"):
        assert after[name] == before[name]
    assert {row["status"] for row in after["runs"]} == {"finished"}


def test_forgetting_one_item_leaves_what_was_said_last_of_others(workspace: Path, tmp_path: Path) -> None:
    """Of two files of one person the one given last is believed, though it is to be read again."""
    a, b = (write_photo(tmp_path / f"in/{name}.jpg", ord(name)) for name in ("a", "b"))
    ingest(workspace, tmp_path / "in")
    for word in ("hare", "fox", "hare"):
        table = write_text(tmp_path / f"{word}.csv", f"filepath,label\nin/a.jpg,{word}\nin/b.jpg,{word}\n")
        run("annotate", workspace, annotator="human:me", labels=[table], classes=["hare", "fox"])

    forget(workspace, str(b))

    with Catalog(workspace) as catalog:
        (said,) = read_labels(catalog).values()
    assert {name for name, (state, _) in said.items() if state == "present"} == {"hare"}
    assert a.is_file()


def test_forgetting_an_import_takes_its_labels_and_keeps_the_items(filled: Path, tmp_path: Path) -> None:
    imported = query(filled, "SELECT DISTINCT run_id FROM labels")[0][0]
    n_items = query(filled, "SELECT count(*) FROM items")

    forget(filled, imported)

    assert labels(filled) == {}
    assert rows_about(filled, "run_id", imported) == {}
    assert query(filled, "SELECT count(*) FROM items") == n_items
    assert not (filled / "runs" / imported).exists()


def test_forgetting_a_run_takes_its_folder_and_touches_no_other(filled: Path) -> None:
    dedupe = query(filled, "SELECT run_id FROM runs WHERE stage = 'dedupe'")[0][0]
    before = file_hashes(filled)

    n_rows, n_files = forget(filled, dedupe)

    gone = before.keys() - file_hashes(filled).keys()
    assert gone == {f"runs/{dedupe}/run.json", f"runs/{dedupe}/pairs.json"}
    assert n_files == 2
    assert n_rows >= 1


def test_a_forgotten_run_can_be_done_again_with_the_same_result(filled: Path) -> None:
    before = tables(filled)
    forget(filled, query(filled, "SELECT run_id FROM runs WHERE stage = 'dedupe'")[0][0])

    run("dedupe", filled)

    assert tables(filled) == before


def test_forgetting_a_file_that_failed_is_forgetting_its_run_only(filled: Path, tmp_path: Path) -> None:
    broken = write_text(tmp_path / "in/broken.jpg", "no picture")
    summary = ingest(filled, tmp_path / "in", part="train")
    assert status(filled)["failures"] == 1

    forget(filled, summary.run_id)

    assert status(filled)["failures"] == 0
    assert broken.is_file()


@pytest.mark.parametrize(
    ("name", "message"),
    [
        pytest.param("", r"no run or item begins with '' \(an id needs \d+ digits\)", id="empty"),
        pytest.param("ffffffffffffffff0", "no run or item begins with", id="unknown"),
        pytest.param("nothing.jpg", "no run or item begins with 'nothing.jpg'.*mekiki status -v lists runs", id="path"),
    ],
)
def test_a_name_that_means_nothing_or_too_much_is_refused_and_deletes_nothing(
    name: str, message: str, filled: Path
) -> None:
    before = dump(filled)

    with pytest.raises(UsageError, match=message):
        forget(filled, name)

    assert dump(filled) == before


def test_the_command_line_says_how_much_was_deleted(filled: Path, capsys: pytest.CaptureFixture[str]) -> None:
    frames = query(filled, "SELECT run_id FROM runs WHERE stage = 'frames'")[0][0]

    code = main(["forget", frames, "-w", str(filled), "--json"])

    said = json.loads(capsys.readouterr().out)
    assert code == 0
    assert said["n_files"] == 3
    assert said["n_rows"] > 6


def test_forgetting_a_picture_takes_exports_along_and_forgetting_groups_does_not(filled: Path, tmp_path: Path) -> None:
    exported = filled / run("export", filled, media="copy").outputs["folder"]
    forget(filled, query(filled, "SELECT run_id FROM runs WHERE stage = 'dedupe'")[0][0])
    kept = exported.is_dir()

    forget(filled, str(tmp_path / "in/a.jpg"))

    assert kept
    assert not exported.exists()


def test_a_reader_that_is_open_is_no_hindrance(filled: Path, tmp_path: Path) -> None:
    with Catalog(filled) as reader:
        open_rows = reader.rows("SELECT item_id FROM items")
        next(open_rows)

        forget(filled, str(tmp_path / "in/a.jpg"))

        assert len(list(open_rows)) == 4


def mined_objects(workspace: Path) -> dict[str, dict[str, Any]]:
    """Detect, embed, mine and name the objects of a workspace; return what the two files say that hold them."""
    run("detect", workspace, detector="blobs")
    run("embed", workspace, embedder="colour-layout", kind=["crop"])
    mined = run("mine", workspace, keep="count:6")
    named = run("caption", workspace, captioner="class-name", final_rule="names")
    runs = {"mining.json": mined.run_id, "descriptions.json": named.extra["judgement"]["run_id"]}
    return {name: json.loads((workspace / "runs" / run_id / name).read_text()) for name, run_id in runs.items()}


def test_a_picture_that_comes_back_is_mined_and_described_as_before(tmp_path: Path) -> None:
    workspace = make_scenes(tmp_path / "ws", 6)
    before = mined_objects(workspace)
    crop_id = before["mining.json"]["selected"][0]["item_id"]
    photo = query(workspace, "SELECT parent_id FROM items WHERE item_id = ?", crop_id)[0][0]
    gone = {row[0] for row in query(workspace, "SELECT item_id FROM items WHERE parent_id = ?", photo)}

    forget(workspace, photo)

    for name in before:
        (path,) = workspace.glob(f"runs/*/{name}")
        assert not any(one in path.read_text() for one in gone)
    with Catalog(workspace) as catalog:
        mining = require_mining(catalog)
        described = find_descriptions(catalog, mining)
    assert described is not None
    left = [one["item_id"] for one in before["mining.json"]["selected"] if one["item_id"] not in gone]
    assert [one.item_id for one in mining.selected] == list(described.described) == left
    ingest(workspace, workspace / "in")
    assert mined_objects(workspace) == before
    assert {row[0] for row in query(workspace, "SELECT status FROM runs")} == {"finished"}


def test_each_file_is_written_once_however_much_is_forgotten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    workspace = make_scenes(tmp_path / "ws", 6)
    mined_objects(workspace)
    (run_id,) = query(workspace, "SELECT run_id FROM runs WHERE stage = 'detect'")[0]
    written: list[str] = []
    monkeypatch.setattr("mekiki.catalog.forget.write_whole", lambda path, _content: written.append(path.name))

    forget(workspace, run_id)

    assert sorted(written) == ["descriptions.json", "mining.json"]
