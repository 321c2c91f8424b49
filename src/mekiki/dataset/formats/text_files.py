"""Text files of unknown origin: which encoding they are in, and how one with wrong bytes is still read."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, TextIO

from mekiki.errors import UsageError

_LAST_EVERYDAY_LEAD = 0x98  # kana, signs and the kanji of JIS level 1 stand at or below this first byte
_NOT_UTF8 = re.compile("[\udc80-\udcff]")  # what Python makes of a byte that is no UTF-8


@dataclass(frozen=True, slots=True)
class Encoding:
    """How the bytes of one file become text. ``is_lossy``: some of them do not; see `is_broken`."""

    name: str
    is_lossy: bool = False

    @property
    def errors(self) -> str:
        """What `open` does with bytes that are no text: it leaves a trace that `is_broken` finds."""
        return "replace" if self.name == "utf-16" else "surrogateescape"

    @property
    def label(self) -> str:
        """The encoding's name as people write it."""
        return self.name.removesuffix("-sig").upper()

    def is_broken(self, text: str) -> bool:
        """Return whether a piece of text held bytes that are none."""
        if self.name == "utf-16":
            return "\ufffd" in text
        return self.is_lossy and _NOT_UTF8.search(text) is not None


def find_encoding(path: Path) -> Encoding:
    """Return the encoding of a text file, by a fixed rule; reads it once, line by line.

    1. A byte order mark of UTF-8 or UTF-16 decides.
    2. If every line is UTF-8, it is UTF-8.
    3. If most lines with other than ASCII are no UTF-8, all are cp932 (Excel on a Japanese Windows), and half or more
       of the two-byte characters are everyday Japanese (kana or JIS level 1, which rules out Western encodings), it
       is cp932.
    4. Otherwise it is UTF-8 with broken lines, each to be reported.

    Raises:
        UsageError: If the file cannot be read.
    """
    try:
        with path.open("rb") as file:
            start = file.read(3)
            if start.startswith((b"\xff\xfe", b"\xfe\xff")):
                return Encoding("utf-16")
            if start == b"\xef\xbb\xbf":
                return Encoding("utf-8-sig", is_lossy=not _count_lines(file).is_utf8)
            file.seek(0)
            count = _count_lines(file)
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror or error}") from error
    if count.is_utf8:
        return Encoding("utf-8")
    return Encoding("cp932") if count.is_cp932 else Encoding("utf-8", is_lossy=True)


@contextmanager
def open_text(path: Path, encoding: Encoding) -> Iterator[TextIO]:
    """Open a text file for reading with its own line ends.

    Raises:
        UsageError: If the file cannot be read.
    """
    try:
        file = path.open(encoding=encoding.name, errors=encoding.errors, newline="")
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror or error}") from error
    with file:
        yield file


@dataclass(slots=True)
class _LineCount:
    """Lines with other than ASCII, by what they can be; characters by whether they are everyday Japanese."""

    n_utf8: int = 0
    n_other: int = 0
    n_wide: int = 0
    n_everyday: int = 0
    can_be_cp932: bool = True

    @property
    def is_utf8(self) -> bool:
        return self.n_other == 0

    @property
    def is_cp932(self) -> bool:
        is_japanese = 0 < self.n_wide <= 2 * self.n_everyday
        return self.can_be_cp932 and self.n_other > self.n_utf8 and is_japanese


def _count_lines(file: BinaryIO) -> _LineCount:
    count = _LineCount()
    for line in file:
        if line.isascii():
            continue
        try:
            line.decode("utf-8")
        except UnicodeDecodeError:
            count.n_other += 1
        else:
            count.n_utf8 += 1
        try:
            characters = line.decode("cp932")
        except UnicodeDecodeError:
            count.can_be_cp932 = False
            continue
        leads = [code[0] for character in characters if len(code := character.encode("cp932", "replace")) == 2]
        count.n_wide += len(leads)
        count.n_everyday += sum(lead <= _LAST_EVERYDAY_LEAD for lead in leads)
    return count
