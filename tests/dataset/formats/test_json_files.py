"""JSON files: what is read, and what is said of those that are not."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from mekiki.dataset.formats.json_files import is_text, key_of, number, read_json, scalars, share, sniff_json, write_json
from mekiki.errors import UsageError


def write(folder: Path, content: bytes | str) -> Path:
    path = folder / "labels.json"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b'{"a": "\xe7\x8b\xb8"}', id="utf-8"),
        pytest.param(b'\xef\xbb\xbf{"a": "\xe7\x8b\xb8"}', id="utf-8 with a byte order mark"),
        pytest.param('{"a": "狸"}'.encode("utf-16"), id="utf-16 with a byte order mark"),
        pytest.param(b'{"a": "\\u72f8"}', id="escaped"),
    ],
)
def test_a_file_is_read_in_any_of_these_encodings(tmp_path: Path, content: bytes) -> None:
    assert read_json(write(tmp_path, content), "a test")["a"] in ("狸", "狸")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param("", r"broken JSON at line 1, column 1: .* \(the file has 0 bytes", id="empty"),
        pytest.param('{\n "a": [1, 2', r"broken JSON at line 2, column \d+: .* cut short\?\)", id="cut short"),
        pytest.param('{"a": 1,}', r"broken JSON at line 1, column \d+", id="comma too many"),
        pytest.param(b'{"a": "\xff"}', r"is no UTF-8 text at byte 7\. Save it as UTF-8", id="latin 1"),
        pytest.param("[1]", r"is not a test: it should hold an object \{…\}, not a list", id="a list"),
        pytest.param("null", r"not null", id="null"),
        pytest.param("[" * 100_000, r"is nested too deeply to be a test", id="nested"),
        pytest.param(f'{{"a": {"9" * 5000}}}', r"holds a number that cannot be read", id="giant integer"),
    ],
)
def test_a_broken_file_is_refused_with_the_place_and_the_reason(
    tmp_path: Path, content: bytes | str, message: str
) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        read_json(write(tmp_path, content), "a test")

    assert "\n" not in str(caught.value)
    assert "labels.json" in str(caught.value)


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"gone\.json cannot be read: No such file .* Give the path of a test\."):
        read_json(tmp_path / "gone.json", "a test")


def test_a_file_that_is_too_large_is_refused_with_its_size(tmp_path: Path) -> None:
    path = write(tmp_path, json.dumps({"a": "x" * 2000}))

    with pytest.raises(UsageError, match=r"has 2,009 bytes; at most 1,000 are read\. Split it"):
        read_json(path, "a test", max_bytes=1000)


def test_nan_and_infinity_are_read_and_refused_as_numbers(tmp_path: Path) -> None:
    document = read_json(write(tmp_path, '{"a": NaN, "b": Infinity}'), "a test")

    assert math.isnan(document["a"])
    for value in document.values():
        with pytest.raises(ValueError, match="is no finite number"):
            number(value)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        pytest.param(None, "None is no number", id="nothing"),
        pytest.param(True, "True is no number", id="true"),
        pytest.param("1", "'1' is no number", id="text"),
        pytest.param(10**400, "a number is too large", id="too large"),
    ],
)
def test_what_is_no_number_is_refused(value: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        number(value)


@pytest.mark.parametrize("value", [-0.1, 1.1])
def test_a_share_lies_between_0_and_1(value: float) -> None:
    with pytest.raises(ValueError, match=f"{value} is not between 0 and 1"):
        share(value)


@pytest.mark.parametrize("value", [7, 7.0, "7"])
def test_an_id_is_the_same_as_number_and_as_text(value: object) -> None:
    assert key_of(value) == "7"


@pytest.mark.parametrize("value", [None, True, 7.5, [], {}, "", " ", "\ud800"])
def test_what_is_neither_text_nor_a_whole_number_is_no_id(value: object) -> None:
    with pytest.raises(ValueError, match="is no id: a whole number or text is"):
        key_of(value)


def test_half_a_surrogate_pair_is_no_text() -> None:
    assert not is_text("a\ud800")
    assert is_text("🦝")


def test_fields_that_are_no_scalars_or_cannot_be_stored_are_left_out() -> None:
    entry = {"id": 1, "n": 2, "f": 0.5, "t": "x", "no": False, "none": None, "l": [1], "o": {}, "s": "\ud800", "": "x"}

    assert scalars(entry, without={"id"}) == {"n": "2", "f": "0.5", "t": "x", "no": "false"}


def test_a_written_file_has_one_line_per_entry_and_reads_back(tmp_path: Path) -> None:
    document = {"info": {"by": "狸"}, "images": [{"id": 1}, {"id": 2}], "empty": []}

    path = write_json(tmp_path / "out.json", document)

    assert read_json(path, "a test") == document
    assert '\n  {"id": 1},\n  {"id": 2}\n' in path.read_text("utf-8")
    assert read_json(write_json(tmp_path / "nothing.json", {}), "a test") == {}


def test_sniffing_sees_the_keys_at_both_ends_of_a_long_file(tmp_path: Path) -> None:
    path = write(tmp_path, json.dumps({"first": 1, "filler": "x" * 300_000, "hidden": "y" * 300_000, "last": {"z": 1}}))

    keys, _ = sniff_json(path)

    assert {"first", "filler", "last", "z"} <= keys
    assert "hidden" not in keys


@pytest.mark.parametrize("name", ["a.txt", "folder.json", "gone.json"])
def test_sniffing_never_raises(tmp_path: Path, name: str) -> None:
    (tmp_path / "a.txt").write_text('{"a": 1}')
    (tmp_path / "folder.json").mkdir()

    assert sniff_json(tmp_path / name) == (set(), "")
