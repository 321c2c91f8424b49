"""Files that are given: their order, each once, and those that tables must not name."""

from __future__ import annotations

from pathlib import Path

import pytest

from mekiki.dataset.formats.reading import PathRules
from mekiki.errors import UsageError
from mekiki.intake.inputs import GivenFiles, frame_key, split_key
from workspaces import write_photo, write_text


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    for number, name in enumerate(("b.jpg", "a.jpg", "deep/c.jpg")):
        write_photo(tmp_path / "in" / name, number)
    write_text(tmp_path / "in" / "notes.doc", "x")
    return tmp_path / "in"


def names(files: GivenFiles) -> list[str]:
    return [one.path.name for one in files]


def test_what_is_named_twice_stands_once_in_its_first_place(photos: Path) -> None:
    files = GivenFiles([str(photos / "b.jpg"), str(photos)])

    assert names(files) == ["b.jpg", "a.jpg", "c.jpg"]
    assert names(files) == names(files)
    assert len(files) == 3
    assert files.n_ignored == 1
    assert photos / "b.jpg" in files
    assert photos / "x.jpg" not in files


def test_ids_sort_in_the_order_of_the_files(photos: Path) -> None:
    write_text(photos / "list.txt", "\n".join(f"{number}.jpg" for number in range(1200)))

    ids = [one.item_id for one in GivenFiles([str(photos / "list.txt")])]

    assert ids == sorted(ids)
    assert len(set(ids)) == 1200


def test_folders_inside_folders_count_unless_told(photos: Path) -> None:
    assert names(GivenFiles([str(photos)], is_recursive=False)) == ["a.jpg", "b.jpg"]


def test_tables_of_any_format_name_files_in_their_order(photos: Path) -> None:
    table = write_text(photos / "t.csv", "filepath,label\ndeep/c.jpg,fox\ngone.jpg,fox\nb.jpg,cat\n")
    lines = write_text(photos / "metadata.jsonl", '{"file_name": "a.jpg", "text": "An animal."}\n')

    files = GivenFiles([str(table), f"{photos}/deep/../metadata.jsonl"])
    assert table in files
    assert lines in files
    assert names(GivenFiles([str(table), str(lines)])) == ["c.jpg", "gone.jpg", "b.jpg", "a.jpg"]


def test_a_table_may_not_leave_its_folder_unless_allowed(photos: Path) -> None:
    table = write_text(photos / "deep" / "t.csv", "filepath,label\n../a.jpg,fox\nc.jpg,cat\n")

    refused = list(GivenFiles([str(table)]))
    allowed = GivenFiles([str(table)], rules=PathRules(allow_outside=True))
    rooted = GivenFiles([str(table)], rules=PathRules(root=photos / "deep", allow_outside=True))

    assert [one.problem is None for one in refused] == [True, False]
    assert str(refused[1].path) == f"{table}:2"
    assert names(allowed) == names(rooted) == ["a.jpg", "c.jpg"]


def test_nothing_at_all_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no photo or clip in .*: give photos, clips, folders or lists"):
        GivenFiles([str(tmp_path)])


def test_keys_of_frames_sort_behind_their_clip_and_before_the_next_file() -> None:
    keys = ["000000001", frame_key("000000001", 2, 0.1), frame_key("000000001", 10, 0.5), "000000002"]

    assert keys == sorted(keys)
    assert [split_key(key) for key in keys[1:3]] == [("000000001", 0.1), ("000000001", 0.5)]
