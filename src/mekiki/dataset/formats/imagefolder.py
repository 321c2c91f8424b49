"""ImageFolder ``part/<class>/*.jpg`` or ``<class>/*.jpg``: the folder's name is the label."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from mekiki.dataset.formats.base import LabelClaim, OutItem, Problem, ReadOptions, Record, Sheet, WriteOptions
from mekiki.dataset.formats.cells import part_name
from mekiki.dataset.formats.class_file import read_classes, write_classes
from mekiki.dataset.formats.class_lists import is_unknown
from mekiki.dataset.formats.label_text import clean_name
from mekiki.dataset.formats.media_files import is_media_name, place_media
from mekiki.dataset.formats.out_rows import all_classes
from mekiki.dataset.ids import safe_name, safe_names
from mekiki.errors import DataError, UsageError, unknown_name
from mekiki.records import UNKNOWN

CLASS_FILE_OF = "imagefolder"
"""Class names that no folder can have, and their order, stand in ``imagefolder.classes.json``."""

NO_PART = "no_part"
"""Folder for items that are in no part, where others are."""

_PART_FOLDERS = frozenset({"train", "training", "val", "valid", "validation", "dev", "test", "testing"})


class ImageFolder:
    """Pictures and videos in one folder per class, in ``unknown`` where every class is absent."""

    name = "imagefolder"

    @staticmethod
    def matches(path: Path) -> bool:
        """Return whether a folder has part folders with classes, or two or more folders that all hold pictures."""
        if not path.is_dir():
            return False
        try:
            classes = read_classes(path / CLASS_FILE_OF)
            is_told = bool(classes) or _has_parts(path, classes)
            has_media = [any(_media(folder)) for _, folder in _class_folders(path, classes)]
        except (UsageError, OSError):
            return False
        return any(has_media) if is_told else len(has_media) > 1 and all(has_media)

    @staticmethod
    def read(path: Path, options: ReadOptions) -> Sheet:
        """Return every picture and video that is directly in a class's folder; others are counted in a note.

        Raises:
            UsageError: If it is no folder, or has no folders of classes.
        """
        if not path.is_dir():
            raise UsageError(f"{path} is no folder. An ImageFolder was expected: {path}/train/<class>/*.jpg.")
        listed = read_classes(path / CLASS_FILE_OF)
        found = list(_class_folders(path, listed))
        if not found:
            raise UsageError(f"{path} has no folders. An ImageFolder was expected: {path}/train/<class>/*.jpg.")
        name_of = {safe: name for name, safe in safe_names(listed).items()}
        names = {folder: clean_name(name_of.get(clean_name(folder.name), folder.name)) for _, folder in found}
        in_folders = sorted({name for name in names.values() if not is_unknown(name)} - set(listed))
        reading = _Reading(path, options.classes or (*listed, *in_folders), options.classes is not None)
        for part, folder in found:
            reading.add(part, folder, names[folder])
        n_left_out = _count_media(path) - reading.n_media
        return Sheet(
            format_name=ImageFolder.name,
            classes=reading.classes,
            records=tuple(reading.records),
            problems=tuple(reading.problems),
            is_single_label=True,
            base=path,
            notes=(f"{n_left_out} pictures are not directly in a class's folder and were left out",) * (n_left_out > 0),
        )

    @staticmethod
    def write(items: Sequence[OutItem], folder: Path, options: WriteOptions) -> list[Path]:
        """Link or copy every picture into the folder of its class; return the class list and the pictures.

        Raises:
            DataError: If a picture has several classes, or none that is sure.
            UnreadableError: If a picture is gone.
        """
        classes = all_classes(items, options)
        folder_of = safe_names(classes) | {UNKNOWN: UNKNOWN}
        check_single(items)
        has_parts = any(item.part for item in items)

        def subfolder(item: OutItem) -> str:
            of_class = folder_of[item.present[0] if item.present else UNKNOWN]
            return f"{safe_name(item.part or NO_PART)}/{of_class}" if has_parts else of_class

        for name in classes:
            for part in sorted({safe_name(item.part or NO_PART) for item in items}) if has_parts else [""]:
                (folder / part / folder_of[name]).mkdir(parents=True, exist_ok=True)
        written = place_media(items, folder, options, subfolder=subfolder, must_place=True)
        return [write_classes(folder / CLASS_FILE_OF, classes), *(folder / path for path in written.values())]


def read_class_folders(folders: Sequence[Path], options: ReadOptions) -> Sheet:
    """Return what the names of some folders say of the files that are directly in them: each is a class.

    Args:
        folders: One or more, with absolute paths; two of one name are one class.
        options: With a closed list of classes, if the user has one.

    Raises:
        UsageError: If there is nothing in one of them that a label could be of.
    """
    for folder in folders:
        if not any(_media(folder)):
            raise UsageError(f"{folder} holds no pictures and no folders of classes: give the folder that holds them")
    names = {folder: clean_name(folder.name) for folder in folders}
    in_folders = sorted({name for name in names.values() if not is_unknown(name)})
    base = Path(os.path.commonpath([folder.parent for folder in folders]))
    reading = _Reading(base, options.classes or tuple(in_folders), options.classes is not None)
    for folder in folders:
        reading.add(None, folder, names[folder])
    return Sheet(
        format_name=ImageFolder.name,
        classes=reading.classes,
        records=tuple(reading.records),
        problems=tuple(reading.problems),
        is_single_label=True,
        base=base,
    )


def without_empty_classes(sheet: Sheet) -> Sheet:
    """Return what folders say without the classes that no picture is in; a note names them.

    A data set that somebody has made has the classes that it has; a folder that is just there says nothing.
    """
    filled = {claim.class_name for record in sheet.records for claim in record.labels}
    empty = [name for name in sheet.classes if name not in filled]
    if not empty:
        return sheet
    note = f"folders without pictures in {sheet.base} are no classes: {', '.join(empty)}"
    return replace(sheet, classes=tuple(name for name in sheet.classes if name in filled), notes=(*sheet.notes, note))


def has_class_folders(path: Path) -> bool:
    """Return whether a folder holds folders, of classes or of parts with classes, in which pictures are."""
    return any(any(_media(folder)) for _, folder in _class_folders(path, read_classes(path / CLASS_FILE_OF)))


@dataclass(slots=True)
class _Reading:
    """What is read so far."""

    base: Path
    classes: tuple[str, ...]
    is_closed: bool
    records: list[Record] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    n_media: int = 0

    def add(self, part: str | None, folder: Path, name: str) -> None:
        """Take in the pictures of one folder."""
        files = sorted(_media(folder))
        self.n_media += len(files)
        if self.is_closed and name not in self.classes and not is_unknown(name):
            reason = f"{unknown_name('class', name, self.classes)} {len(files)} pictures in {folder} were left out"
            self.problems.append(Problem(len(self.records) + 1, reason))
            return
        claims = () if is_unknown(name) else (LabelClaim(name),)
        inside = folder.relative_to(self.base).as_posix()
        for file in files:
            line = len(self.records) + 1
            self.records.append(Record(f"{inside}/{file}", line, labels=claims, is_complete=True, part=part))


def check_single(items: Sequence[OutItem]) -> None:
    """Refuse items that no single folder can hold."""
    n_several = sum(len(item.present) > 1 for item in items)
    if n_several:
        raise DataError(
            f"{n_several} of {len(items)} pictures have several classes, and an ImageFolder holds one each. "
            "Write another format: --format csv, hf or coco"
        )
    n_open = sum(not item.is_unknown and (not item.present or "unsure" in item.states.values()) for item in items)
    if n_open:
        raise DataError(
            f"{n_open} of {len(items)} pictures have an unsure class or no label, which an ImageFolder cannot say. "
            "Label them, or write another format: --format csv or hf"
        )


def _folders(path: Path) -> list[Path]:
    return sorted(folder for folder in path.iterdir() if folder.is_dir() and not folder.name.startswith("."))


def _media(folder: Path) -> Iterator[str]:
    """Yield the names of pictures and videos in a folder."""
    return (file.name for file in folder.iterdir() if is_media_name(file.name) and file.is_file())


def _has_parts(path: Path, classes: Sequence[str]) -> bool:
    """Return whether the first folders are parts: they hold folders, and have a part's name or no class's."""
    safe = set(safe_names(classes).values()) | {UNKNOWN}
    return any(
        _folders(folder) and (folder.name not in safe if classes else folder.name.casefold() in _PART_FOLDERS)
        for folder in _folders(path)
    )


def _class_folders(path: Path, classes: Sequence[str]) -> list[tuple[str | None, Path]]:
    """Return part and folder of each class; without parts, the first folders are the classes."""
    if not _has_parts(path, classes):
        return [(None, folder) for folder in _folders(path)]
    return [
        (None if part.name == NO_PART else part_name(part.name), folder)
        for part in _folders(path)
        for folder in _folders(part)
    ]


def _count_media(path: Path) -> int:
    """Return how many pictures and videos are anywhere below a folder; hidden folders are not looked into."""
    return sum(1 for _ in _media(path)) + sum(
        _count_media(folder) for folder in _folders(path) if not folder.is_symlink()
    )
