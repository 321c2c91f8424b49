"""Formats by name, and which one a file is taken for."""

from __future__ import annotations

from pathlib import Path

import pytest

from format_items import CLASSES, single_label_items
from mekiki.dataset.formats.base import WriteOptions
from mekiki.dataset.formats.registry import DETECTION_ORDER, READERS, WRITERS, detect_format
from mekiki.errors import UsageError


@pytest.mark.parametrize("name", READERS.names())
def test_every_reader_is_called_what_it_is_registered_as(name: str) -> None:
    assert getattr(READERS.load(name), "name", None) == name


@pytest.mark.parametrize("name", WRITERS.names())
def test_every_writer_is_called_what_it_is_registered_as(name: str) -> None:
    assert getattr(WRITERS.load(name), "name", None) == name


def test_everything_that_is_written_can_be_read_and_found() -> None:
    assert set(WRITERS.names()) <= set(READERS.names()) == set(DETECTION_ORDER)


@pytest.mark.parametrize(
    ("file", "text", "name"),
    [
        ("t.csv", "filepath,label\na.jpg,cat\n", "csv"),
        ("t.tsv", "filepath\tlabel\na.jpg\tcat\n", "csv"),
        ("t.csv", "file,age,gender,race,service_test\n", "fairface"),
        ("metadata.csv", "file_name,label\n", "hf"),
        ("metadata.jsonl", '{"file_name": "a.jpg"}\n', "hf"),
        ("results.csv", "image_name| comment_number| comment\n", "flickr30k"),
        ("captions.txt", "image,caption\n", "flickr8k"),
        ("x.csv", "video_path,frame_index,frame_source_path,assigned_labels_json\n", "seed1-annotations"),
        ("x.csv", "source_path,item_index,frame_source_path,assigned_labels_json\n", "seed1-annotations"),
        ("x.csv", "sample_id,frame_source_path,labels_json\n", "seed1"),
    ],
)
def test_a_table_is_taken_for_what_its_header_says(tmp_path: Path, file: str, text: str, name: str) -> None:
    (tmp_path / file).write_text(text)

    assert detect_format(tmp_path / file) == name


@pytest.mark.parametrize("name", ["csv", "imagefolder", "fairface", "seed1", "seed1-annotations", "coco", "yolo"])
def test_what_a_writer_wrote_is_taken_for_its_format(tmp_path: Path, name: str) -> None:
    out = tmp_path / "out"
    out.mkdir()

    paths = WRITERS.create(name).write(single_label_items(tmp_path / "in"), out, WriteOptions(CLASSES))

    assert detect_format(out if name in ("imagefolder", "yolo", "seed1") else paths[0]) == name


HOSTILE = {
    "empty": b"",
    "blank": b"\n\n",
    "binary": bytes(range(256)) * 8,
    "nul": b"file,label\0\n",
    "not utf-8": b"\xff\xfe\xfd",
    "open quote": b'file,"label\n',
    "deep json": b"[" * 100_000,
    "long line": b"x" * 200_000,
    "list of paths": b"# photos\na/1.jpg\n\nb/2.jpg\n",
}


@pytest.mark.parametrize("suffix", [".txt", ".json", ".jsonl", ".yaml", ".jpg", ""])
@pytest.mark.parametrize("content", HOSTILE.values(), ids=HOSTILE)
def test_what_is_no_label_file_is_refused_with_all_names(tmp_path: Path, content: bytes, suffix: str) -> None:
    path = tmp_path / f"metadata{suffix}"
    path.write_bytes(content)

    with pytest.raises(
        UsageError, match=r"is of no known label format\..* --labels-format NAME, one of coco, .*, yolo"
    ):
        detect_format(path)


@pytest.mark.parametrize("content", HOSTILE.values(), ids=HOSTILE)
def test_a_table_that_nothing_matches_is_left_to_the_reader_of_tables_which_says_why(
    tmp_path: Path, content: bytes
) -> None:
    path = tmp_path / "metadata.csv"
    path.write_bytes(content)

    assert detect_format(path) == "csv"


def test_a_folder_with_a_label_file_in_it_names_that_file(tmp_path: Path) -> None:
    (tmp_path / "notes").mkdir()
    (tmp_path / "labels.csv").write_text("file,label\n")

    with pytest.raises(UsageError, match=r"Did you mean .*labels\.csv\?"):
        detect_format(tmp_path)


def test_an_empty_folder_is_refused_too(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is of no known label format"):
        detect_format(tmp_path)


def test_a_path_that_does_not_exist_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"there is no label file or folder .*gone\.csv"):
        detect_format(tmp_path / "gone.csv")
