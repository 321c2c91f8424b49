"""What a one-shot command is given: photos, clips, folders, patterns, lists and tables, in their order."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from mekiki.dataset.formats.base import ReadOptions
from mekiki.dataset.formats.reading import PathRules, read_label_files
from mekiki.errors import UsageError
from mekiki.media.finding import TABLE_SUFFIXES, find_files


@dataclass(frozen=True, slots=True)
class GivenFile:
    """One file that was given.

    Attributes:
        item_id: Its place among all that were given, as text that sorts in their order.
        path: Absolute; it need not exist.
        problem: Why an entry of a table names no file that may be read; None if it does.
    """

    item_id: str
    path: Path
    problem: str | None = None


class GivenFiles:
    """The files that were given, in their order and each once. Only their names are kept in memory.

    Args:
        paths: Photos, clips, folders, patterns, ``.txt`` lists, and label tables of any format that mekiki reads.
        is_recursive: Whether folders inside folders count.
        rules: Where paths in tables start, and whether they may leave that folder.

    Attributes:
        n_ignored: Files of unknown type that lay in the folders.

    Raises:
        UsageError: If a path does not exist, a pattern finds nothing, a table is of no known format, or nothing at
            all is found.
    """

    def __init__(self, paths: Sequence[str], *, is_recursive: bool = True, rules: PathRules | None = None) -> None:
        self._problems: dict[str, str | None] = {}
        self._given = {os.path.normpath(Path(written).expanduser().absolute()) for written in paths}
        self.n_ignored = 0
        for written in paths:
            path = Path(written).expanduser()
            if path.suffix.lower() in TABLE_SUFFIXES and path.is_file():
                self._add_table(path, rules or PathRules())
                continue
            found = find_files([written], is_recursive=is_recursive)
            self.n_ignored += found.n_ignored
            for name in found.files:
                self._problems.setdefault(name)
        if not self._problems:
            raise UsageError(f"no photo or clip in {', '.join(paths)}: give photos, clips, folders or lists")

    def __len__(self) -> int:
        return len(self._problems)

    def __iter__(self) -> Iterator[GivenFile]:
        for place, (name, problem) in enumerate(self._problems.items()):
            yield GivenFile(f"{place:09d}", Path(name), problem)

    def __contains__(self, path: object) -> bool:
        """Return whether an absolute path is read: it is one of the files, or the list or table that names them."""
        return str(path) in self._problems or str(path) in self._given

    def _add_table(self, path: Path, rules: PathRules) -> None:
        files = read_label_files([path], "auto", ReadOptions(), rules)
        for real, _record, _video in files.entries():
            self._problems.setdefault(str(real))
        for place, reason in files.refused():
            self._problems.setdefault(place, reason)


def frame_key(item_id: str, index: int, time_s: float) -> str:
    """Return what stands for a frame of a given clip; it sorts behind the clip and in the order of frames.

    Example:
        >>> frame_key("000000003", 45, 1.5)
        '000000003/000000045/1.500'
    """
    return f"{item_id}/{index:09d}/{time_s:.3f}"


def split_key(key: str) -> tuple[str, float | None]:
    """Return the id of a given file, and the time of the frame if the key is that of one.

    Example:
        >>> split_key("000000003/000000045/1.500"), split_key("000000004")
        (('000000003', 1.5), ('000000004', None))
    """
    item_id, _, rest = key.partition("/")
    return item_id, float(rest.partition("/")[2]) if rest else None
