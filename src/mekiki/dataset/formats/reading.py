"""Reading the label files that a user named, and finding the real files that their entries mean."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from mekiki.dataset.formats.base import Problem, ReadOptions, Record, Sheet, plain_path, resolve_path
from mekiki.dataset.formats.imagefolder import (
    ImageFolder,
    has_class_folders,
    read_class_folders,
    without_empty_classes,
)
from mekiki.dataset.formats.looking import has_file
from mekiki.dataset.formats.registry import READERS, detect_format
from mekiki.errors import UnreadableError, UsageError


@dataclass(frozen=True, slots=True)
class PathRules:
    """Where the paths in label files start, and whether they may leave that folder."""

    root: Path | None = None
    allow_outside: bool = False


@dataclass(frozen=True, slots=True)
class LabelFiles:
    """All label files of one call.

    Attributes:
        names: The files, with absolute paths; row i belongs to ``sheets[i]``.
        sheets: What they say.
        rules: How their paths become real ones.
    """

    names: tuple[str, ...] = ()
    sheets: tuple[Sheet, ...] = ()
    rules: PathRules = field(default_factory=PathRules)

    @property
    def classes(self) -> tuple[str, ...]:
        """All class names, in the order of the files."""
        return tuple(dict.fromkeys(name for sheet in self.sheets for name in sheet.classes))

    def fingerprint(self) -> str:
        """Return 16 hex digits that stand for all that the files say."""
        digest = hashlib.sha256()
        for sheet in self.sheets:
            digest.update(repr((sheet.classes, sheet.is_single_label, sheet.problems)).encode())
            for record in sheet.records:
                digest.update(repr(record).encode())
        return digest.hexdigest()[:16]

    def entries(self) -> Iterator[tuple[Path, Record, Path | None]]:
        """Yield each entry with the real path of its file and of the video its frame comes from.

        Entries whose path is refused are left out; `refused` tells them.
        """
        for _, record, path, base in self._located():
            if isinstance(path, Path):
                yield path, record, _find_video(record, base)

    def refused(self) -> Iterator[tuple[str, str]]:
        """Yield ``(file and line, reason)`` for entries that cannot be used."""
        return ((place, problem.reason) for place, problem, _ in self.broken())

    def broken(self) -> Iterator[tuple[str, Problem, Path | None]]:
        """Yield file and line, what is wrong there, and the real path that the entry means, None if nobody knows.

        A path is told even if it is refused: who sees it does not open it.
        """
        for name, sheet in zip(self.names, self.sheets, strict=True):
            base = self._base_of(sheet)
            for problem in sheet.problems:
                yield f"{name}:{problem.line}", problem, _path_anywhere(problem.path, base)
        for name, record, path, base in self._located():
            if isinstance(path, UnreadableError):
                problem = Problem(record.line, f"{path.path}: {path.reason}", record.path)
                yield f"{name}:{record.line}", problem, _path_anywhere(record.path, base)

    def _located(self) -> Iterator[tuple[str, Record, Path | UnreadableError, Path]]:
        for name, sheet in zip(self.names, self.sheets, strict=True):
            base = self._base_of(sheet)
            for record in sheet.records:
                try:
                    path = resolve_path(record.path, base, allow_outside=self.rules.allow_outside)
                except UnreadableError as error:
                    yield name, record, error, base
                else:
                    yield name, record, path, base

    def _base_of(self, sheet: Sheet) -> Path:
        return (self.rules.root or sheet.base).absolute()


def read_label_files(paths: Sequence[Path], format_name: str, options: ReadOptions, rules: PathRules) -> LabelFiles:
    """Read label files and folders.

    Args:
        paths: As the user gave them.
        format_name: A name from the list of formats, or ``auto``.
        options: What the user says about columns and classes.
        rules: Where paths start.

    Raises:
        UsageError: If a file is missing or of another format, or there is no such format.
    """
    sheets = []
    for path in paths:
        if not path.exists():
            raise UsageError(f"there is no label file {str(path)!r}: check the path, relative to {Path.cwd()}")
        if not (path.is_file() or path.is_dir()):
            raise UsageError(f"{path} is neither a file nor a folder, but a pipe or a device: give a label file")
        name = detect_format(path) if format_name == "auto" else format_name
        sheets.append(READERS.create(name).read(path, options))
    return LabelFiles(tuple(str(plain_path(path)) for path in paths), tuple(sheets), rules)


def read_folder_names(paths: Sequence[str], options: ReadOptions, rules: PathRules) -> LabelFiles:
    """Take the name of the folder that a file lies in for its class.

    Args:
        paths: As the user gave them: folders that hold one folder for each class, or these folders themselves.
        options: With a closed list of classes, if the user has one.
        rules: Where paths start; folders start where they are.

    Raises:
        UsageError: If one is no folder, or there are no classes in it.
    """
    folders = [plain_path(Path(path).expanduser()) for path in paths]
    for path, folder in zip(paths, folders, strict=True):
        if not folder.is_dir():
            raise UsageError(f"the names of folders are to be classes, and {path!r} is no folder: give folders")
    holders = [folder for folder in folders if has_class_folders(folder)]
    classes = [folder for folder in folders if folder not in holders]
    sheets = [ImageFolder.read(folder, options) for folder in holders]
    if options.classes is None:
        sheets = [without_empty_classes(sheet) for sheet in sheets]
    if classes:
        sheets.append(read_class_folders(classes, options))
    names = [*map(str, holders), *([str(classes[0].parent)] if classes else [])]
    return LabelFiles(tuple(names), tuple(sheets), replace(rules, root=None))


def _find_video(record: Record, base: Path) -> Path | None:
    """Return the real path of the video that a frame comes from; None if it is not there."""
    if not record.parent_path:
        return None
    path = plain_path(base / record.parent_path.replace("\\", "/"))
    return path if has_file(path) else None


def _path_anywhere(written: str, base: Path) -> Path | None:
    """Return what a path means, wherever that is; None if it means nothing."""
    try:
        return resolve_path(written, base, allow_outside=True)
    except UnreadableError:
        return None
