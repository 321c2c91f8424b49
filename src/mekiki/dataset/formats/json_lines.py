"""JSON lines as a table: one object per line, its fields as columns of text."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mekiki.dataset.formats.base import Problem
from mekiki.dataset.formats.json_files import kind_of
from mekiki.dataset.formats.tables import Row
from mekiki.dataset.formats.text_files import find_encoding, open_text
from mekiki.errors import UsageError


class JsonLines:
    """A file with one JSON object per line, read as `mekiki.dataset.formats.tables.RowSource`.

    Args:
        path: The file.

    Attributes:
        columns: All fields that any object has, in the order in which they first occur.
        problems: Lines that could not be read; complete once `rows` is at its end.

    Raises:
        UsageError: If the file cannot be read, or no line of it is an object.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.problems: list[Problem] = []
        self._encoding = find_encoding(path)
        self.columns = tuple(dict.fromkeys(key for _, entry in self._objects() for key in entry))
        if not self.columns and (self.problems or path.stat().st_size == 0):
            raise UsageError(f'{path} has no line with a JSON object such as {{"file_name": "a.jpg"}}')

    def rows(self) -> Iterator[Row]:
        """Yield line number and cells of every object; what an object lacks is an empty cell."""
        for line, entry in self._objects():
            try:
                yield line, [cell_text(entry.get(column)) for column in self.columns]
            except UnicodeEncodeError:
                self.problems.append(Problem(line, "it holds half a surrogate pair, which is no Unicode text"))

    def _objects(self) -> Iterator[tuple[int, dict[str, Any]]]:
        self.problems.clear()
        with open_text(self.path, self._encoding) as file:
            for line, text in enumerate(file, start=1):
                if not text.strip():
                    continue
                if self._encoding.is_broken(text):
                    self.problems.append(Problem(line, f"it holds bytes that are no {self._encoding.label}"))
                    continue
                try:
                    entry = json.loads(text)
                except (ValueError, RecursionError) as error:
                    self.problems.append(Problem(line, f"it is broken JSON: {str(error)[:100]}"))
                    continue
                if isinstance(entry, dict):
                    yield line, entry
                else:
                    self.problems.append(Problem(line, f"it should hold an object, and is {kind_of(entry)}"))


def cell_text(value: Any) -> str:
    """Return a JSON value as the text of a cell; lists and objects stay JSON.

    Raises:
        UnicodeEncodeError: If it holds half a surrogate pair.

    Example:
        >>> [cell_text(value) for value in ("a ", 1, True, None, ["b"])]
        ['a', '1', 'true', '', '["b"]']
    """
    if value is None:
        return ""
    text = value.strip() if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    text.encode()
    return text
