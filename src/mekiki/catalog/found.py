"""The files that a user named, beside what the catalog knows of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from mekiki.catalog.db import Catalog
from mekiki.catalog.sources import known_sources
from mekiki.dataset.groups import compile_path_pattern, parse_path
from mekiki.dataset.ids import content_id
from mekiki.errors import UsageError, shown_path
from mekiki.media.finding import Findings

PAGE_FILES = 500

NAMED = ""
"""In place of the folder that a file was found in: a label file names it."""


@dataclass(frozen=True, slots=True)
class FoundFile:
    """A file that may become an item.

    ``item_id`` stands for the path in ``done`` and ``failures``. ``known_id`` is the item that the file is, if it is as
    it was when it was read.
    """

    item_id: str
    path: Path
    folder: str
    known_id: str | None


@dataclass(frozen=True, slots=True)
class FoundFiles:
    """The files that were asked for, with what the catalog knows of each; a page of them at a time."""

    catalog: Catalog
    files: Mapping[str, str]
    is_rehash: bool

    def __len__(self) -> int:
        return len(self.files)

    def __iter__(self) -> Iterator[FoundFile]:
        paths = list(self.files)
        for start in range(0, len(paths), PAGE_FILES):
            page = [Path(path) for path in paths[start : start + PAGE_FILES]]
            stored = [self.catalog.relative(path) for path in page]
            known = {} if self.is_rehash else known_sources(self.catalog, stored)
            for path, name in zip(page, stored, strict=True):
                place_id = content_id(f"path:{shown_path(path)}".encode())
                yield FoundFile(place_id, path, self.files[str(path)], _unchanged(path, known.get(name)))


def _unchanged(path: Path, known: tuple[str, int, int] | None) -> str | None:
    """Return the item that a file was when it was ingested, if its size and time are still the same."""
    if known is None:
        return None
    try:
        status = path.stat()
    except OSError:
        return None
    return known[0] if (status.st_size, status.st_mtime_ns) == known[1:] else None


def notes_on_paths(found: Findings, path_pattern: str | None) -> list[str]:
    """Return what a user should know about the paths: those that the pattern does not fit, those that were ignored.

    Raises:
        UsageError: If the pattern fits no path: then it is not what the user meant.
    """
    if not found.files:
        return [f"no photo or video was found there; files of other types: {found.n_ignored}"]
    notes = [f"files of unknown type ignored: {found.n_ignored}"] if found.n_ignored else []
    if path_pattern:
        pattern = compile_path_pattern(path_pattern)
        n_files, n_fitting = len(found.files), sum(bool(parse_path(pattern, path)) for path in found.files)
        if not n_fitting:
            raise UsageError(
                f"--path-pattern {path_pattern!r} fits none of {n_files} paths, such as {next(iter(found.files))}. "
                "A template such as '{site}/{camera}/*.jpg' has to fit the end of a path"
            )
        if n_fitting < n_files:
            notes.append(f"the path pattern fits {n_fitting} of {n_files} paths; it says nothing of the others")
    return notes
