"""From what a user names to the files that are meant: folders, globs, list files and single files."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from mekiki.errors import UsageError
from mekiki.media.kinds import IMAGE_SUFFIXES, VIDEO_SUFFIXES

MEDIA_SUFFIXES = IMAGE_SUFFIXES | VIDEO_SUFFIXES
LIST_SUFFIXES = (".txt", ".lst")
TABLE_SUFFIXES = (".csv", ".tsv", ".json", ".jsonl", ".yaml", ".yml")


@dataclass(slots=True)
class Findings:
    """The files that were meant.

    Attributes:
        files: Absolute path to the folder that it was found under (itself for single files), in a fixed order.
        n_ignored: Files of unknown type that lay beside them.
    """

    files: dict[str, str] = field(default_factory=dict)
    n_ignored: int = 0


def find_files(
    paths: Sequence[str],
    *,
    is_recursive: bool = True,
    leave_out: Path | None = None,
    suffixes: frozenset[str] = MEDIA_SUFFIXES,
) -> Findings:
    """Return the photos and videos that these paths mean.

    A folder means the photos and videos in it, told by their endings; hidden files and folders are passed over. A
    ``.txt`` file is a list: one path a line, relative to the current folder or else to the list's own; blank lines
    and lines that begin with ``#`` do not count, and a listed file that does not exist is returned all the same, so
    that it is reported. A pattern with ``*``, ``?`` or ``[`` is a glob, ``**`` for any depth. Anything else is a file,
    whatever its ending.

    Args:
        paths: Absolute, or relative to the current folder. ``~`` is the home folder.
        is_recursive: Whether folders inside folders count.
        leave_out: A folder to pass over, such as the workspace.
        suffixes: Lower-case endings of the files that a folder means; photos and videos by default.

    Raises:
        UsageError: If a path does not exist, a glob finds nothing, or a file is a table and no list.
    """
    found = Findings()
    walk = _Walk(found, is_recursive, os.path.realpath(leave_out) if leave_out else None, suffixes)
    for written in paths:
        walk.add(written)
    return found


def read_list_file(path: Path) -> list[str]:
    """Return the paths that a list file names, absolute, in its order without repetition.

    Raises:
        UsageError: If the file is no text.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise UsageError(f"{path} is no list of paths: it is not UTF-8 text ({error.reason})") from error
    wanted = [line.strip() for line in lines]
    return list(dict.fromkeys(_listed(line, path) for line in wanted if line and not line.startswith("#")))


def _listed(written: str, list_path: Path) -> str:
    here = Path(written).expanduser()
    beside = list_path.absolute().parent / here
    return os.path.normpath(here.absolute() if here.exists() or not beside.exists() else beside)


class _Walk:
    """Adds files to findings, each once."""

    def __init__(self, found: Findings, is_recursive: bool, leave_out: str | None, suffixes: frozenset[str]) -> None:
        self._found = found
        self._is_recursive = is_recursive
        self._leave_out = leave_out
        self._suffixes = suffixes

    def add(self, written: str) -> None:
        path = Path(written).expanduser()
        if path.is_dir():
            self._add_folder(os.path.normpath(path.absolute()))
        elif path.is_file():
            self._add_file(path)
        elif any(mark in written for mark in "*?["):
            matches = sorted(glob.glob(str(path), recursive=True))  # noqa: PTH207 - takes absolute patterns too
            if not matches:
                raise UsageError(f"no file matches {written!r}: check the pattern, and quote it")
            for match in matches:
                if not Path(match).is_dir():
                    self._add_known(os.path.normpath(Path(match).absolute()), os.path.dirname(match))  # noqa: PTH120
        else:
            raise UsageError(f"there is no file or folder {written!r}: check the path, relative to {Path.cwd()}")

    def _add_file(self, path: Path) -> None:
        suffix = path.suffix.lower()
        if suffix in TABLE_SUFFIXES:
            raise UsageError(f"{path} is a table, not a photo: give it with --labels {path}")
        if suffix in LIST_SUFFIXES:
            for listed in read_list_file(path):
                self._found.files.setdefault(listed, listed)
            return
        absolute = os.path.normpath(path.absolute())
        self._found.files.setdefault(absolute, os.path.dirname(absolute))  # noqa: PTH120

    def _add_folder(self, folder: str) -> None:
        for path in _files_under(folder, self._is_recursive, self._leave_out):
            self._add_known(path, folder)

    def _add_known(self, path: str, folder: str) -> None:
        if os.path.splitext(path)[1].lower() in self._suffixes:  # noqa: PTH122 - a Path for each file is slow
            self._found.files.setdefault(path, folder)
        else:
            self._found.n_ignored += 1


def _files_under(
    folder: str, is_recursive: bool, leave_out: str | None, above: frozenset[str] = frozenset()
) -> Iterator[str]:
    """Yield the files of a folder in a fixed order; hidden ones are passed over, a link to a folder above too."""
    real = os.path.realpath(folder)
    if real == leave_out or real in above:
        return
    above |= {real}
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError as error:
        raise UsageError(f"cannot read folder {folder}: {error.strerror}") from error
    for entry in _visible(entries):
        if _is_folder(entry):
            if is_recursive:
                yield from _files_under(entry.path, is_recursive, leave_out, above)
        elif entry.is_symlink() or entry.is_file():
            yield entry.path


def _is_folder(entry: os.DirEntry[str]) -> bool:
    """Return whether an entry is a folder; a link to itself is none, and is reported as a file that cannot be read."""
    try:
        return entry.is_dir()
    except OSError:
        return False


def _visible(entries: Iterable[os.DirEntry[str]]) -> Iterator[os.DirEntry[str]]:
    return (entry for entry in entries if not entry.name.startswith("."))
