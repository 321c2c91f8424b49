"""JSON label files: read with a message that says where they are broken, written one entry per line.

NaN and infinity, which strict JSON does not know and Python writes all the same, are read; whoever takes a number out
of an entry checks it with `number`, so that they end as one `Problem` and not as a lost file.
"""

from __future__ import annotations

import codecs
import json
import math
import re
import reprlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mekiki.dataset.formats.looking import has_file
from mekiki.errors import UsageError

MAX_JSON_BYTES = 4 * 2**30
"""Largest file that is read: parsing takes five to ten times as much memory."""

MAX_FRAMES = 2**31
"""A frame index beyond is a mistake."""

SNIFFED_BYTES = 64 * 1024
"""How much of the beginning, and again of the end, of a file is looked at to tell its format."""

_KEY = re.compile(r'"([A-Za-z_]\w*)"\s*:')


def read_json(path: Path, expected: str, *, max_bytes: int = MAX_JSON_BYTES) -> dict[str, Any]:
    """Return the object that a JSON file holds.

    UTF-8 with or without a byte order mark, and UTF-16 with one. A key that occurs twice counts with its last value.

    Args:
        path: The file.
        expected: What the object should be, for messages, such as ``a COCO file``.
        max_bytes: Size above which the file is refused.

    Raises:
        UsageError: If it is no file, cannot be read, is too large, is no text, is broken (with line and column), is
            nested too deeply, or holds anything but an object.
    """
    try:
        size = path.stat().st_size
        if not path.is_file():
            raise UsageError(f"{path} is no file: give the path of {expected}")
        if size > max_bytes:
            raise UsageError(f"{path} has {size:,} bytes; at most {max_bytes:,} are read. Split it into several files.")
        content = path.read_bytes()
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror or error}. Give the path of {expected}.") from error
    try:
        text = _decode(content, path)
        del content  # parsing needs the memory
        document = json.loads(text)
    except json.JSONDecodeError as error:
        raise UsageError(
            f"{path} is broken JSON at line {error.lineno}, column {error.colno}: {error.msg} "
            f"(the file has {size:,} bytes; was it cut short?)"
        ) from error
    except RecursionError as error:
        raise UsageError(f"{path} is nested too deeply to be {expected}") from error
    except ValueError as error:  # an integer of more digits than Python converts
        raise UsageError(f"{path} holds a number that cannot be read: {error}") from error
    if not isinstance(document, dict):
        raise UsageError(f"{path} is not {expected}: it should hold an object {{…}}, not {kind_of(document)}")
    return document


def _decode(content: bytes, path: Path) -> str:
    """Return the text of a file that is UTF-8, or UTF-16 with a byte order mark."""
    is_utf16 = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    try:
        return content.decode("utf-16" if is_utf16 else "utf-8-sig")
    except UnicodeDecodeError as error:
        raise UsageError(f"{path} is no UTF-8 text at byte {error.start}. Save it as UTF-8.") from error


def sniff_json(path: Path) -> tuple[set[str], str]:
    """Return the keys that stand in the beginning and the end of a JSON file, and that text.

    Anything but a readable file called ``.json`` gives ``(set(), "")``.
    """
    if path.suffix.lower() != ".json" or not has_file(path):
        return set(), ""
    try:
        with path.open("rb") as file:
            content = file.read(SNIFFED_BYTES)
            size = path.stat().st_size
            if size > SNIFFED_BYTES:
                file.seek(max(SNIFFED_BYTES, size - SNIFFED_BYTES))
                content += b"\n" + file.read()
    except OSError:
        return set(), ""
    head = content.decode("utf-8-sig", "replace")
    return (set(_KEY.findall(head)), head) if head.lstrip()[:1] == "{" else (set(), "")


def write_json(path: Path, document: Mapping[str, Any]) -> Path:
    """Write an object with one line per entry of its lists, so that a diff shows what changed; return the path.

    Raises:
        ValueError: If a number is NaN or infinite.
    """
    with path.open("w", encoding="utf-8", newline="\n") as file:
        for number_of_field, (key, value) in enumerate(document.items()):
            file.write("{" if number_of_field == 0 else ",\n ")
            file.write(f"{_dump(key)}: ")
            if isinstance(value, list) and value:
                file.write("[\n  " + ",\n  ".join(map(_dump, value)) + "\n ]")
            else:
                file.write(_dump(value))
        file.write("}\n" if document else "{}\n")
    return path


_dump = json.JSONEncoder(ensure_ascii=False, allow_nan=False).encode


def list_of(document: Mapping[str, Any], key: str, path: Path, expected: str) -> list[Any]:
    """Return a list of the top level.

    Raises:
        UsageError: If it is missing or no list.
    """
    value = document.get(key)
    if not isinstance(value, list):
        found = kind_of(value) if key in document else "nothing"
        raise UsageError(f"{path} is not {expected}: {key!r} should be a list, and is {found}")
    return value


def number(value: object) -> float:
    """Return a finite number.

    Raises:
        ValueError: If it is no number, NaN, infinite or too large for a float.

    Example:
        >>> number(3)
        3.0
    """
    if (
        type(value) is not float and type(value) is not int
    ):  # exact types: True is an int, and this runs a million times
        raise ValueError(f"{show(value)} is no number")
    try:
        converted = float(value)
    except OverflowError as error:
        raise ValueError("a number is too large") from error
    if not math.isfinite(converted):
        raise ValueError(f"{converted} is no finite number")
    return converted


def share(value: object) -> float:
    """Return a number in [0, 1].

    Raises:
        ValueError: If it is no number or outside.
    """
    converted = number(value)
    if not 0 <= converted <= 1:
        raise ValueError(f"{converted:g} is not between 0 and 1")
    return converted


def frame_index(value: object) -> int:
    """Return the index of a frame in its video.

    Raises:
        ValueError: If it is no whole number from 0 on that a video can have.
    """
    if type(value) is not int or not 0 <= value < MAX_FRAMES:
        raise ValueError(f"{show(value)} is no index of a frame: they count from 0")
    return value


def is_text(value: object) -> bool:
    """Return whether a value is text that is not blank and that can be stored: half a surrogate pair cannot."""
    if not isinstance(value, str) or not value.strip():
        return False
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def key_of(value: object) -> str:
    """Return an id as text, so that 7, 7.0 and ``"7"`` are one id.

    Raises:
        ValueError: If it is neither text nor a whole number.
    """
    if type(value) is int:
        return str(value)
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, str) and is_text(value):
        return value
    raise ValueError(f"{show(value)} is no id: a whole number or text is")


def scalars(entry: Mapping[str, Any], without: Sequence[str] | set[str] | frozenset[str]) -> dict[str, str]:
    """Return the fields of an entry that are text, numbers or yes and no, as text; lists and objects are left out.

    Example:
        >>> scalars({"id": 7, "license": 3, "night": True, "note": "", "seen": []}, without={"id"})
        {'license': '3', 'night': 'true'}
    """
    found: dict[str, str] = {}
    for key, value in entry.items():
        if key in without or not is_text(key):
            continue
        if isinstance(value, bool):
            found[key] = "true" if value else "false"
        elif isinstance(value, int | float) or is_text(value):
            found[key] = str(value)
    return found


def kind_of(value: object) -> str:
    """Return what JSON calls a value, with an article."""
    names = {dict: "an object", list: "a list", str: "text", bool: "true or false", type(None): "null"}
    return names.get(type(value), "a number")


def show(value: object) -> str:
    """Return a value for a message: one line, at most some 120 characters."""
    return _SHOW.repr(value)


_SHOW = reprlib.Repr()
_SHOW.maxstring = _SHOW.maxother = _SHOW.maxlong = 120
_SHOW.maxdict = _SHOW.maxlist = 5
_SHOW.maxlevel = 2
