"""Hugging Face folders: pictures beside a ``metadata.csv`` or ``metadata.jsonl`` with a column ``file_name``.

Each part has a folder, ``train``, ``validation`` or ``test``; the other columns mean what they mean in any table.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath

from mekiki.dataset.formats.base import OutItem, ReadOptions, Sheet, WriteOptions
from mekiki.dataset.formats.cells import part_name
from mekiki.dataset.formats.class_file import read_classes, write_classes
from mekiki.dataset.formats.columns import find_columns
from mekiki.dataset.formats.json_lines import JsonLines
from mekiki.dataset.formats.media_files import place_media
from mekiki.dataset.formats.out_rows import (
    all_classes,
    attribute_cells,
    columns_and_rows,
    label_cells,
    other_cells,
    path_cells,
)
from mekiki.dataset.formats.row_records import read_rows
from mekiki.dataset.formats.tables import RowSource, Table, write_table
from mekiki.dataset.ids import safe_name
from mekiki.errors import UsageError

FILE_NAMES = ("metadata.csv", "metadata.jsonl")
"""What the table is called."""

PATH_NAMES = ("file_name",)

_PARTS = {"train": "train", "val": "validation", "test": "test"}


class HfMetadata:
    """One table per part folder, or one for all; paths are relative to the table."""

    name = "hf"

    @staticmethod
    def matches(path: Path) -> bool:
        """Return whether it is such a table, or a folder with one in it or in its folders."""
        files = _tables(path) if path.is_dir() else [path] if path.name.lower() in FILE_NAMES else []
        return bool(files) and all(_has_file_names(file) for file in files)

    @staticmethod
    def read(path: Path, options: ReadOptions) -> Sheet:
        """Return what all tables say; the part is a column, or else the folder's name.

        Raises:
            UsageError: If there is no such table, or it has no column ``file_name``.
        """
        base = path if path.is_dir() else path.parent
        files = _tables(path) if path.is_dir() else [path]
        if not files:
            raise UsageError(f"{path} has no metadata.csv or metadata.jsonl, neither itself nor in its folders")
        listed = read_classes(base / FILE_NAMES[0])
        sheets = {file.parent.relative_to(base).as_posix(): _read_table(file, options, listed) for file in files}
        classes = next(iter(sheets.values())).classes
        if len(sheets) > 1 and options.classes is None:
            found = {name for sheet in sheets.values() for name in sheet.classes}
            classes = (*listed, *sorted(found - set(listed)))
        return Sheet(
            format_name=HfMetadata.name,
            classes=classes,
            records=tuple(
                replace(
                    record,
                    path=(PurePosixPath(inside) / record.path).as_posix(),
                    part=record.part or _part_in([inside, *PurePosixPath(record.path).parts[:-1], base.name]),
                )
                for inside, sheet in sheets.items()
                for record in sheet.records
            ),
            problems=tuple(
                problem if inside == "." else replace(problem, reason=f"{inside}: {problem.reason}")
                for inside, sheet in sheets.items()
                for problem in sheet.problems
            ),
            is_single_label=all(sheet.is_single_label for sheet in sheets.values()),
            base=base,
            notes=tuple(note for sheet in sheets.values() for note in sheet.notes),
        )

    @staticmethod
    def write(items: Sequence[OutItem], folder: Path, options: WriteOptions) -> list[Path]:
        """Write a ``metadata.csv`` beside the pictures of each part, and the class list above them.

        Raises:
            DataError: If a name is no Unicode text.
            UnreadableError: If a picture is gone.
        """
        written = place_media(items, folder, options, subfolder=_folder_of, must_place=True)
        classes = replace(options, classes=all_classes(items, options))
        tables = []
        for inside in sorted({_folder_of(item) for item in items}) or [""]:
            here = [item for item in items if _folder_of(item) == inside]
            names = {item.item_id: written[item.item_id].removeprefix(f"{inside}/") for item in here}
            cells = {
                **path_cells("file_name", names),
                **label_cells(here, classes),
                **other_cells(folder / inside),
                **attribute_cells(here),
            }
            if all(item.part == _part_in([inside]) for item in here):
                cells = {column: make for column, make in cells.items() if column != "part"}
            header_and_rows = columns_and_rows(here, cells, always=("file_name", "labels"))
            tables.append(write_table(folder / inside / FILE_NAMES[0], *header_and_rows))
        return [*tables, write_classes(folder / FILE_NAMES[0], classes.classes)]


def _tables(folder: Path) -> list[Path]:
    """Return the tables of a folder: its own, and one in each of its folders."""
    folders = [folder, *sorted(child for child in folder.iterdir() if child.is_dir())]
    found = ([path for name in FILE_NAMES if (path := inside / name).is_file()] for inside in folders)
    return [paths[0] for paths in found if paths]


def _open_table(path: Path) -> RowSource:
    return JsonLines(path) if path.suffix.lower() == ".jsonl" else Table(path)


def _has_file_names(path: Path) -> bool:
    try:
        return PATH_NAMES[0] in _open_table(path).columns
    except UsageError:
        return False


def _read_table(path: Path, options: ReadOptions, classes: Sequence[str]) -> Sheet:
    table = _open_table(path)
    return read_rows(table, HfMetadata.name, find_columns(table, options, PATH_NAMES), options, classes)


def _part_in(folders: Iterable[str]) -> str | None:
    """Return the part that the first folder with the name of one stands for."""
    return next((part for folder in folders if (part := part_name(folder)) in _PARTS), None)


def _folder_of(item: OutItem) -> str:
    return _PARTS.get(item.part) or safe_name(item.part) if item.part else ""
