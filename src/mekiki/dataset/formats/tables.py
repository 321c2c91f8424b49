"""Tables in text files: CSV in any usual encoding and with any usual delimiter, read and written safely.

What a spreadsheet would run as a formula is written with a leading ``'``, which reading takes off again.
"""

from __future__ import annotations

import csv
import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice, takewhile
from pathlib import Path
from typing import Literal, Protocol

from mekiki.dataset.formats.base import Problem
from mekiki.dataset.formats.text_files import find_encoding, open_text
from mekiki.errors import DataError, UsageError

DELIMITERS = (",", ";", "\t", "|")
"""What may separate cells."""

Row = tuple[int, list[str]]
"""Line number from 1, and one cell per column, without blanks at the ends."""

_SNIFFED_LINES = 20
_FORMULA = re.compile(r"'*[=+\-@\t\r]")
_GUARDED = re.compile(r"'+[=+\-@\t\r]")
_NUMBER = re.compile(r"[+-]?\d+(\.\d+)?")


class RowSource(Protocol):
    """Anything with named columns and rows of text: a CSV, or a file of JSON lines."""

    path: Path
    columns: tuple[str, ...]
    problems: list[Problem]

    def rows(self) -> Iterator[Row]:
        """Yield every row that can be read; the others are added to ``problems``."""
        ...


def guard_text(text: str) -> str:
    """Return free text so that no spreadsheet runs it: ``'`` before ``= + - @``, tab or CR. Numbers stay.

    Example:
        >>> guard_text("=1+1"), guard_text("-0.5"), guard_text("'=1")
        ("'=1+1", '-0.5', "''=1")
    """
    return f"'{text}" if _FORMULA.match(text) and not _NUMBER.fullmatch(text) else text


def unguard_text(text: str) -> str:
    """Return what `guard_text` was given.

    Example:
        >>> unguard_text("'=1+1"), unguard_text("'tis")
        ('=1+1', "'tis")
    """
    return text[1:] if text[:1] == "'" and _GUARDED.match(text) else text


def path_cell(path: str) -> str:
    """Return a path that no spreadsheet runs and every program opens: ``./`` before what would be guarded.

    Example:
        >>> path_cell("=1.jpg"), path_cell("a/b.jpg")
        ('./=1.jpg', 'a/b.jpg')
    """
    return f"./{path}" if _FORMULA.match(path) else path


class Table:
    """A text file with a header line, and rows that are read when asked for.

    Args:
        path: The file.
        delimiter: What separates cells; None looks which of `DELIMITERS` does.
        has_quotes: Whether ``"`` around a cell is not part of it.

    Attributes:
        columns: Names in the header, without blanks at the ends; an index column may have none.
        problems: Rows that could not be read; complete once `rows` is at its end.

    Raises:
        UsageError: If the file cannot be read, is empty or binary, or two columns have one name.
    """

    def __init__(self, path: Path, delimiter: str | None = None, *, has_quotes: bool = True) -> None:
        self.path = path
        self.problems: list[Problem] = []
        self.encoding = find_encoding(path)
        self._has_quotes = has_quotes
        with open_text(path, self.encoding) as file:
            start = list(islice(file, _SNIFFED_LINES + 1))
        self._n_skipped = sum(1 for _ in takewhile(_is_blank, start))
        start = start[self._n_skipped :]
        if not start:
            raise UsageError(f"{path} is empty. A header line such as filepath,label was expected.")
        if "\0" in start[0]:
            raise UsageError(f"{path} holds NUL bytes: it is no text file. Save it as 'CSV UTF-8'.")
        declared = re.fullmatch(r"\"?sep=(.)\"?\s*", start[0], re.IGNORECASE)
        if declared and len(start) > 1:
            self._n_skipped, start = self._n_skipped + 1, start[1:]
        self.delimiter = delimiter or (declared.group(1) if declared else _find_delimiter(start))
        self.columns = self._header()

    def rows(self) -> Iterator[Row]:
        """Yield line number and cells of every row that has one cell per column; blank rows are passed over.

        A quote that is left open spoils its own row only: reading goes on at the next line.
        """
        self.problems.clear()
        raw_rows = self._raw_rows(len(self.columns))
        next(raw_rows, None)
        for line, cells, reason in raw_rows:
            reason = reason or (self._fault(cells) if cells else None)
            if reason:
                self.problems.append(Problem(line, reason))
            elif cells:
                yield line, [unguard_text(cell) if cell[:1] == "'" else cell for cell in cells]

    def _header(self) -> tuple[str, ...]:
        line, cells, reason = next(self._raw_rows(None), (1, [], "it has no header"))
        reason = reason or self._fault(cells)
        if reason:
            raise UsageError(f"cannot read the header of {self.path} (line {line}): {reason}")
        columns = tuple(unguard_text(cell) for cell in cells)
        doubled = sorted(name for name, n in Counter(columns).items() if n > 1 and name)
        if doubled:
            raise UsageError(f"{self.path} has more than one column {doubled[0]!r}. Rename or remove one.")
        return columns

    def _fault(self, cells: list[str]) -> str | None:
        """Return what is wrong with the characters of a row, or None."""
        text = "".join(cells)
        if "\0" in text:
            return "it holds a NUL byte"
        if self.encoding.is_broken(text):
            return f"it holds bytes that are no {self.encoding.label}; save the file as 'CSV UTF-8'"
        return None

    def _raw_rows(self, n_columns: int | None) -> Iterator[tuple[int, list[str], str | None]]:
        """Yield line, cells and what is wrong with their number or quotes, the header first; blank rows are empty."""
        with open_text(self.path, self.encoding) as file:
            lines = _Lines(islice(file, self._n_skipped, None), self._n_skipped)
            quoting: Literal[0, 3] = csv.QUOTE_MINIMAL if self._has_quotes else csv.QUOTE_NONE
            reader = csv.reader(lines, delimiter=self.delimiter, quoting=quoting, strict=True)
            while True:
                first = lines.begin_row()
                try:
                    cells = [cell.strip() for cell in next(reader)]
                except StopIteration:
                    return
                except csv.Error as error:
                    lines.give_back()
                    yield first, [], f"its quotes or the length of a cell are wrong ({error})"
                    continue
                if not any(cells):
                    yield first, [], None
                elif n_columns is None or len(cells) == n_columns:
                    yield first, cells, None
                elif len(cells) > n_columns and not any(cells[n_columns:]):
                    yield first, cells[:n_columns], None
                else:
                    lines.give_back()
                    yield first, [], f"it has {len(cells)} cells where the header has {n_columns}"


class _Lines:
    """Lines of a file that can be read again from the second line of a row that turned out wrong."""

    def __init__(self, lines: Iterator[str], n_before: int) -> None:
        self._lines = lines
        self._again: list[str] = []
        self._row: list[str] = []
        self._n_read = n_before

    def __iter__(self) -> _Lines:
        return self

    def __next__(self) -> str:
        line = self._again.pop() if self._again else next(self._lines)
        self._n_read += 1
        self._row.append(line)
        return line

    def begin_row(self) -> int:
        self._row = []
        return self._n_read + 1

    def give_back(self) -> None:
        later = self._row[1:]
        self._again.extend(reversed(later))
        self._n_read -= len(later)


def _is_blank(line: str) -> bool:
    return not line.strip()


def _find_delimiter(lines: Sequence[str]) -> str:
    """Return the delimiter that cuts the header into most cells, and most other lines into as many."""

    def score(delimiter: str) -> tuple[float, int]:
        try:
            counts = [len(cells) for cells in csv.reader(lines, delimiter=delimiter)]
        except csv.Error:
            return 0.0, 0
        return sum(n == counts[0] for n in counts) / len(counts) * (counts[0] > 1), counts[0]

    return max(DELIMITERS, key=score)


def peek_columns(path: Path, *suffixes: str) -> tuple[str, ...] | None:
    """Return the columns of a file that may be a table; None if it is none, or has another suffix.

    Args:
        path: Any path.
        suffixes: Lower case, with the dot.
    """
    if path.suffix.lower() not in suffixes or not path.is_file():
        return None
    try:
        return Table(path).columns
    except UsageError:
        return None


def write_table(path: Path, columns: Sequence[str], rows: Iterable[Sequence[str]], *, encoding: str = "utf-8") -> Path:
    """Write a CSV with commas and return its path; it appears under its name only when it is complete.

    Free text is guarded against being run by a spreadsheet; paths must have gone through `path_cell`.

    Args:
        path: The file; its folder is made.
        columns: The header.
        rows: One text per column.
        encoding: ``utf-8``, or ``utf-8-sig`` with a byte order mark.

    Raises:
        DataError: If a text cannot be written, as a file name that is no Unicode.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.part")
    try:
        with part.open("w", encoding=encoding, newline="") as file:
            writer = csv.writer(file, lineterminator="\r\n")
            writer.writerow([guard_text(column) for column in columns])
            writer.writerows([guard_text(cell) for cell in row] for row in rows)
            file.flush()
            os.fsync(file.fileno())
    except UnicodeEncodeError as error:
        part.unlink(missing_ok=True)
        bad = error.object[max(0, error.start - 30) : error.end + 10].strip()
        raise DataError(f"{path.name} cannot hold {bad!a}, which is no Unicode: rename that file or class") from error
    part.replace(path)
    return path
