"""Captions in the spellings of Flickr30k and Flickr8k."""

from __future__ import annotations

from pathlib import Path

import pytest

from format_items import make_item
from mekiki.dataset.formats.base import ReadOptions, Sheet, WriteOptions
from mekiki.dataset.formats.flickr import Flickr8k, Flickr30k
from mekiki.errors import DataError, UsageError

BARS = """image_name| comment_number| comment
1.jpg| 0| Two men , one | two , talk .
1.jpg| 1| "Go" says a sign
2199200615.jpg| 3| A dog .
2199200615.jpg| 4   A dog runs across the grass .
3.jpg| 0|
"""


def captions(sheet: Sheet) -> dict[str, tuple[str, ...]]:
    return {record.path: record.captions for record in sheet.records}


def test_bars_with_blanks_are_read_and_the_malformed_line_is_a_problem(tmp_path: Path) -> None:
    path = tmp_path / "results.csv"
    path.write_text(BARS)

    sheet = Flickr30k.read(path, ReadOptions())

    assert captions(sheet) == {
        "1.jpg": ("Two men , one | two , talk .", '"Go" says a sign'),
        "2199200615.jpg": ("A dog .",),
    }
    assert [(problem.line, problem.reason) for problem in sheet.problems] == [
        (5, "it has fewer than two separators '|', so no caption"),
        (6, "it has no caption"),
    ]
    assert (sheet.format_name, sheet.classes, sheet.is_single_label) == ("flickr30k", (), False)


@pytest.mark.parametrize(
    "text",
    [
        "image_name|comment_number|comment\n1.jpg|0|A cat, black.\n",
        'image_name,comment_number,comment\n1.jpg,0,"A cat, black."\n',
        "image_name\tcomment_number\tcomment\n1.jpg\t0\tA cat, black.\n",
        "\ufeffimage_name| comment_number| comment\r\n1.jpg| 0| A cat, black.\r\n",
    ],
)
def test_other_separators_are_read_too(tmp_path: Path, text: str) -> None:
    path = tmp_path / "results.csv"
    path.write_text(text, newline="")

    assert captions(Flickr30k.read(path, ReadOptions())) == {"1.jpg": ("A cat, black.",)}


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("captions.csv", 'image,caption\n1.jpg,"A cat, black."\n1.jpg,A cat .\n'),
        ("captions.txt", 'image,caption\n1.jpg,"A cat, black."\n1.jpg,A cat .\n'),
        ("Flickr8k.token.txt", "1.jpg#0\tA cat, black.\n1.jpg#1\tA cat .\n"),
        ("results_20130124.token", "1.jpg#0\tA cat, black.\n1.jpg#1\tA cat .\n"),
    ],
)
def test_flickr8k_is_a_table_or_lines_with_numbers(tmp_path: Path, name: str, text: str) -> None:
    path = tmp_path / name
    path.write_text(text)

    sheet = Flickr8k.read(path, ReadOptions())

    assert captions(sheet) == {"1.jpg": ("A cat, black.", "A cat .")}
    assert sheet.format_name == "flickr8k"


def test_lines_without_number_bytes_or_picture_are_problems(tmp_path: Path) -> None:
    path = tmp_path / "Flickr8k.token.txt"
    path.write_bytes(b"1.jpg#0\tA cat .\nno number\n2.jpg#0\t\xff\n3.jpg.1#0\tA hen .\n")

    sheet = Flickr8k.read(path, ReadOptions())

    assert captions(sheet) == {"1.jpg": ("A cat .",), "3.jpg.1": ("A hen .",)}
    assert [(problem.line, problem.reason) for problem in sheet.problems] == [
        (2, "it is not name#number, a tab and a caption"),
        (3, "it holds bytes that are no UTF-8 text"),
    ]


def test_a_row_without_a_picture_is_a_problem(tmp_path: Path) -> None:
    path = tmp_path / "c.csv"
    path.write_text("image,caption\n,A cat .\na.jpg,b,c\n")

    reasons = [problem.reason for problem in Flickr8k.read(path, ReadOptions()).problems]

    assert reasons == ["it names no picture", "it has 3 cells where the header has 2"]


@pytest.mark.parametrize("folder", ["flickr30k_images", "Images", "images", "."])
def test_the_usual_folders_of_pictures_are_found(tmp_path: Path, folder: str) -> None:
    (tmp_path / folder).mkdir(exist_ok=True)
    (tmp_path / folder / "1.jpg").write_text("x")
    (tmp_path / "results.csv").write_text(BARS)

    assert Flickr30k.read(tmp_path / "results.csv", ReadOptions()).base == tmp_path / folder


@pytest.mark.parametrize("text", ["", "file,label\na.jpg,cat\n", "a.jpg\nb.jpg\n"])
def test_other_files_are_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "x.csv"
    path.write_text(text)

    with pytest.raises(UsageError, match=r"is no Flickr30k file: the header image_name\| comment_number\| comment was"):
        Flickr30k.read(path, ReadOptions())
    with pytest.raises(UsageError, match="is no Flickr8k file: the header image,caption or lines name#0<TAB>caption"):
        Flickr8k.read(path, ReadOptions())


def test_captions_survive_being_written(tmp_path: Path) -> None:
    items = [
        make_item(tmp_path / "a/1.jpg", captions=('A cat | dog, "x".', "=1+1", "two\nlines")),
        make_item(tmp_path / "b/1.jpg", captions=("タヌキ",)),
        make_item(tmp_path / "none.jpg"),
    ]

    paths = Flickr30k.write(items, tmp_path / "out", WriteOptions(()))
    sheet = Flickr30k.read(paths[0], ReadOptions())

    assert list(captions(sheet).values()) == [('A cat | dog, "x".', "=1+1", "two lines"), ("タヌキ",)]
    assert all((sheet.base / record.path).is_file() for record in sheet.records)
    assert "| '=1+1\n" in paths[0].read_text()


def test_a_skeleton_has_a_line_for_each_picture(tmp_path: Path) -> None:
    paths = Flickr30k.write([make_item(tmp_path / "a.jpg")], tmp_path / "out", WriteOptions((), skeleton=True))

    assert paths[0].read_text() == "image_name| comment_number| comment\na.jpg| 0| \n"


def test_pictures_without_any_caption_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="none of 1 pictures has a caption"):
        Flickr30k.write([make_item(tmp_path / "a.jpg", captions=(" ",))], tmp_path / "out", WriteOptions(()))
