"""``ingest --class-folders``: the folder that a file lies in says what it shows."""

from __future__ import annotations

from pathlib import Path

import pytest

from mekiki.errors import UsageError
from workspaces import ingest, query, run, write_photo, write_text


def labels(workspace: Path) -> dict[str, dict[str, str]]:
    """Return the name of each file with class to state."""
    found: dict[str, dict[str, str]] = {}
    sql = "SELECT s.path, class_name, state FROM labels JOIN sources s USING (item_id)"
    for path, name, state in query(workspace, sql):
        found.setdefault(Path(path).name, {})[name] = state
    return found


EXPECTED = {
    "0.jpg": {"safe": "present", "unsafe": "absent"},
    "1.jpg": {"safe": "absent", "unsafe": "present"},
}


def test_folders_of_one_folder_are_classes(tmp_path: Path) -> None:
    write_photo(tmp_path / "in" / "safe" / "0.jpg", 0)
    write_photo(tmp_path / "in" / "unsafe" / "1.jpg", 1)

    summary = ingest(tmp_path / "ws", tmp_path / "in", class_folders=True)

    assert summary.n_failed == 0
    assert labels(tmp_path / "ws") == EXPECTED


def test_so_are_folders_that_are_given_one_by_one(tmp_path: Path) -> None:
    write_photo(tmp_path / "here" / "safe" / "0.jpg", 0)
    write_photo(tmp_path / "there" / "unsafe" / "1.jpg", 1)

    ingest(tmp_path / "ws", tmp_path / "here" / "safe", tmp_path / "there" / "unsafe", class_folders=True)

    assert labels(tmp_path / "ws") == EXPECTED


def test_one_class_in_one_folder_is_enough(tmp_path: Path) -> None:
    write_photo(tmp_path / "in" / "safe" / "0.jpg", 0)

    ingest(tmp_path / "ws", tmp_path / "in", class_folders=True)

    assert labels(tmp_path / "ws") == {"0.jpg": {"safe": "present"}}


def test_a_folder_without_pictures_is_no_class_and_is_named(tmp_path: Path) -> None:
    for number, name in enumerate(("safe", "unsafe", "safe", "unsafe")):
        write_photo(tmp_path / "in" / name / f"{number}.jpg", number)
    (tmp_path / "in" / "weapons").mkdir()
    (tmp_path / "in" / "deep" / "inside").mkdir(parents=True)

    summary = ingest(tmp_path / "ws", tmp_path / "in", class_folders=True)

    assert any(note.endswith("/in are no classes: deep, weapons") for note in summary.notes)
    assert query(tmp_path / "ws", "SELECT name FROM classes ORDER BY name") == [("safe",), ("unsafe",)]
    assert all(set(states) == {"safe", "unsafe"} for states in labels(tmp_path / "ws").values())
    run("dedupe", tmp_path / "ws")
    assert run("split", tmp_path / "ws", shares={"a": 0.5, "b": 0.5}).n_failed == 0


def test_the_same_picture_in_two_folders_is_unsure_in_both(tmp_path: Path) -> None:
    write_photo(tmp_path / "in" / "safe" / "0.jpg", 0)
    write_photo(tmp_path / "in" / "unsafe" / "also.jpg", 0)

    summary = ingest(tmp_path / "ws", tmp_path / "in", class_folders=True)

    assert summary.extra["n_conflicts"] == 1
    assert labels(tmp_path / "ws")["also.jpg"] == {"safe": "unsure", "unsafe": "unsure"}


def test_a_file_in_a_folder_that_is_no_class_of_the_list_is_a_failure(tmp_path: Path) -> None:
    write_photo(tmp_path / "in" / "safe" / "0.jpg", 0)
    write_photo(tmp_path / "in" / "unsave" / "1.jpg", 1)

    summary = ingest(tmp_path / "ws", tmp_path / "in", class_folders=True, classes=["safe", "unsafe"])

    assert summary.n_failed == 1
    assert "Did you mean 'unsafe'" in summary.failures[0].reason


def test_what_cannot_be_classes_is_refused(tmp_path: Path) -> None:
    photo = write_photo(tmp_path / "in" / "0.jpg", 0)
    table = write_text(tmp_path / "labels.csv", "filepath,label\n")
    (tmp_path / "empty").mkdir()

    with pytest.raises(UsageError, match=r"0\.jpg' is no folder: give folders"):
        ingest(tmp_path / "ws", photo, class_folders=True)
    with pytest.raises(UsageError, match="holds no pictures and no folders of classes"):
        ingest(tmp_path / "ws", tmp_path / "empty", class_folders=True)
    with pytest.raises(UsageError, match="both say what files show"):
        ingest(tmp_path / "ws", tmp_path / "in", class_folders=True, labels=[table])
