"""Hugging Face folders with metadata.csv or metadata.jsonl."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from format_items import CLASSES, hard_items, meant, said
from mekiki.dataset.formats.base import LabelClaim, ReadOptions, WriteOptions
from mekiki.dataset.formats.hf_metadata import HfMetadata
from mekiki.errors import UsageError


def write(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def test_a_table_beside_the_pictures_is_read(tmp_path: Path) -> None:
    write(tmp_path, "metadata.csv", "file_name,label,text\na.jpg,タヌキ,A dog.\n")

    sheet = HfMetadata.read(tmp_path, ReadOptions())

    assert HfMetadata.matches(tmp_path)
    assert (sheet.classes, sheet.base, sheet.is_single_label) == (("タヌキ",), tmp_path, True)
    assert [(one.path, one.labels, one.captions) for one in sheet.records] == [
        ("a.jpg", (LabelClaim("タヌキ"),), ("A dog.",))
    ]


def test_folders_are_parts(tmp_path: Path) -> None:
    write(tmp_path, "train/metadata.csv", "file_name,label\na.jpg,cat\n")
    write(tmp_path, "validation/metadata.jsonl", '{"file_name": "b.jpg", "label": "dog"}\n')
    write(tmp_path, "extra/metadata.csv", "file_name,label,split\nc.jpg,cat,test\nd.jpg,cat,\n")

    sheet = HfMetadata.read(tmp_path, ReadOptions())

    assert sheet.classes == ("cat", "dog")
    assert {one.path: one.part for one in sheet.records} == {
        "train/a.jpg": "train",
        "validation/b.jpg": "val",
        "extra/c.jpg": "test",
        "extra/d.jpg": None,
    }


def test_a_table_for_all_parts_says_them_in_its_paths(tmp_path: Path) -> None:
    write(tmp_path, "metadata.csv", "file_name,label\ntest/a.jpg,cat\nb.jpg,cat\n")

    assert [one.part for one in HfMetadata.read(tmp_path, ReadOptions()).records] == ["test", None]


def test_a_table_of_one_part_may_be_named_itself(tmp_path: Path) -> None:
    path = write(tmp_path, "train/metadata.csv", "file_name,label\na.jpg,cat\n")

    sheet = HfMetadata.read(path, ReadOptions())

    assert (sheet.base, sheet.records[0].path, sheet.records[0].part) == (path.parent, "a.jpg", "train")


def test_json_lines_hold_lists_numbers_and_nothing(tmp_path: Path) -> None:
    lines = [
        {"file_name": "a.jpg", "labels": ["fox, red", "a;b"], "n": 3, "night": True},
        {"file_name": "b.jpg", "labels": None},
        {"file_name": "c.jpg", "labels": []},
    ]
    write(tmp_path, "metadata.jsonl", "\n".join(map(json.dumps, lines)))

    records = HfMetadata.read(tmp_path, ReadOptions()).records

    assert [[claim.class_name for claim in one.labels] for one in records] == [["fox, red", "a;b"], [], []]
    assert [one.is_complete for one in records] == [True, False, True]
    assert records[0].attributes == {"n": "3", "night": "true"}


def test_lines_that_are_no_objects_are_problems(tmp_path: Path) -> None:
    good = '{"file_name": "a.jpg", "label": "cat"}'
    text = f'{good}\n[1]\n{{"file_name": \n\n{{"file_name": "\\ud800.jpg", "label": "x"}}\n'
    (tmp_path / "metadata.jsonl").write_bytes(text.encode() + b'{"file_name": "\xff"}\n')

    sheet = HfMetadata.read(tmp_path, ReadOptions())

    assert [one.path for one in sheet.records] == ["a.jpg"]
    assert [problem.line for problem in sheet.problems] == [2, 3, 5, 6]
    reasons = [problem.reason for problem in sheet.problems]
    assert reasons[0] == "it should hold an object, and is a list"
    assert reasons[1].startswith("it is broken JSON: Expecting value")
    assert reasons[2] == "it holds half a surrogate pair, which is no Unicode text"
    assert reasons[3] == "it holds bytes that are no UTF-8"


def test_problems_in_folders_say_where(tmp_path: Path) -> None:
    write(tmp_path, "train/metadata.csv", "file_name,label\n,cat\n")

    assert HfMetadata.read(tmp_path, ReadOptions()).problems[0].reason == "train: it names no file"


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("metadata.csv", "image,label\na.jpg,cat\n", "is called file_name or the like; it has image, label"),
        ("metadata.jsonl", "[1]\n", "has no line with a JSON object such as"),
        ("metadata.jsonl", "", "has no line with a JSON object such as"),
        ("other.csv", "file_name\n", r"has no metadata\.csv or metadata\.jsonl, neither itself nor in its folders"),
    ],
)
def test_what_is_no_such_folder_is_refused(tmp_path: Path, name: str, text: str, message: str) -> None:
    write(tmp_path, name, text)

    assert not HfMetadata.matches(tmp_path)
    with pytest.raises(UsageError, match=message):
        HfMetadata.read(tmp_path, ReadOptions())


@pytest.mark.parametrize("media", ["reference", "copy"])
def test_labels_and_parts_survive_being_written(tmp_path: Path, media: str) -> None:
    items = hard_items(tmp_path / "in")
    out = tmp_path / "out"
    out.mkdir()

    paths = HfMetadata.write(items, out, WriteOptions(CLASSES, media=media))
    sheet = HfMetadata.read(out, ReadOptions())

    assert HfMetadata.matches(out)
    assert sheet.classes == CLASSES
    assert said(sheet) == meant(items)
    assert (out / "validation/metadata.csv") in paths
    assert not any(record.path.startswith("..") for record in sheet.records)


def test_parts_with_names_of_their_own_survive(tmp_path: Path) -> None:
    items = [one for one in hard_items(tmp_path / "in") if one.states][:2]
    items = [
        type(one)(one.item_id, one.kind, one.path, 1, 1, states=one.states, part=f"fold {n}/")
        for n, one in enumerate(items)
    ]
    out = tmp_path / "out"
    out.mkdir()

    HfMetadata.write(items, out, WriteOptions(CLASSES))

    assert said(HfMetadata.read(out, ReadOptions())) == meant(items)


def test_no_items_make_one_table_with_a_header(tmp_path: Path) -> None:
    paths = HfMetadata.write([], tmp_path, WriteOptions(CLASSES))

    assert paths[0].read_text() == "file_name,labels\n"
