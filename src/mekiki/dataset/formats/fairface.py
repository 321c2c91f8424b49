"""FairFace-style CSV ``file, age, gender, race, service_test[, looks, pose]``, with any column as label."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from mekiki.dataset.formats.base import OutItem, Problem, ReadOptions, Sheet, WriteOptions
from mekiki.dataset.formats.class_file import read_classes, write_classes
from mekiki.dataset.formats.columns import (
    ATTRIBUTE_PREFIX,
    FLAG_PREFIX,
    PATH_NAMES,
    Columns,
    attribute_column,
    column_key,
    columns_with_flags,
    find_columns,
)
from mekiki.dataset.formats.label_text import clean_name
from mekiki.dataset.formats.media_files import place_media
from mekiki.dataset.formats.out_rows import (
    Cells,
    all_classes,
    attribute_cell,
    columns_and_rows,
    other_cells,
    path_cells,
)
from mekiki.dataset.formats.row_records import read_rows
from mekiki.dataset.formats.tables import Row, RowSource, Table, peek_columns, write_table

ATTRIBUTES = ("age", "gender", "race", "service_test")
"""Columns of every FairFace file."""

_ALSO = ("pose", "age_group", "race4")
_GENDERS = {"male": "Male", "female": "Female"}


class FairFace:
    """Faces with age, gender and race as attributes.

    The label is ``options.label_column``: one class named after the column if it holds only 0 and 1 (or true and
    false), else its values. Without one, every further column that holds only 0 and 1 is a class, such as ``looks``.
    """

    name = "fairface"

    @staticmethod
    def matches(path: Path) -> bool:
        """Return whether a table has paths, age, gender and race."""
        names = {column_key(name) for name in peek_columns(path, ".csv") or ()}
        return names >= {"age", "gender", "race"} and not names.isdisjoint(PATH_NAMES)

    @staticmethod
    def read(path: Path, options: ReadOptions) -> Sheet:
        """Return what the table says; ``female`` is ``Female``, and ``NAME_train.csv`` without parts is ``train``.

        Raises:
            UsageError: If it is no table, has no column with paths, or a named column does not exist.
        """
        table = _Tidy(Table(path))
        sheet = read_rows(table, FairFace.name, _find_columns(table, options), options, read_classes(path))
        part = path.stem.rpartition("_")[2]
        if part not in ("train", "val", "test") or "part" in map(column_key, table.columns):
            return sheet
        return replace(sheet, records=tuple(replace(record, part=part) for record in sheet.records))

    @staticmethod
    def write(items: Sequence[OutItem], folder: Path, options: WriteOptions) -> list[Path]:
        """Write ``labels.csv`` with a column of 1, 0 and ``unsure`` for each class; empty if nobody was asked.

        Raises:
            DataError: If a name is no Unicode text.
            UnreadableError: If a picture is gone.
        """
        written = place_media(items, folder, options)
        classes = all_classes(items, options)
        attributes = {name for item in items for name in item.attributes}
        own = [*ATTRIBUTES, *sorted(attributes.intersection(_ALSO))]
        others = other_cells(folder)
        reserved = {column_key(name) for name in ("file", *own, *others)}
        cells: Cells = {
            **path_cells("file", written),
            **{name: attribute_cell(name) for name in own},
            **{_class_column(name, reserved): _flag(name, options) for name in classes},
            **others,
            **{f"{ATTRIBUTE_PREFIX}{name}": attribute_cell(name) for name in sorted(attributes.difference(own))},
        }
        always = ("file", *ATTRIBUTES, *(_class_column(name, reserved) for name in classes))
        table = write_table(folder / "labels.csv", *columns_and_rows(items, cells, always))
        return [table, write_classes(table, classes)]


class _Tidy:
    """A table in which each gender is spelled in one way."""

    def __init__(self, table: RowSource) -> None:
        self.path = table.path
        self.columns = table.columns
        self.problems: list[Problem] = table.problems
        self._table = table

    def rows(self) -> Iterator[Row]:
        """Yield the table's rows."""
        keys = [column_key(name) for name in self.columns]
        gender = keys.index("gender") if "gender" in keys else None
        for line, cells in self._table.rows():
            if gender is not None:
                cells[gender] = _GENDERS.get(cells[gender].casefold(), cells[gender])
            yield line, cells


def _find_columns(table: RowSource, options: ReadOptions) -> Columns:
    """Return what the columns mean, here where a single column of 0 and 1 is a class."""
    columns = find_columns(table, options)
    if columns.label is not None:
        chosen = [columns.label] if options.label_column is not None else []
        if not columns_with_flags(table, chosen).get(columns.label):
            return columns
    else:
        used = {columns.path, *columns.fields.values(), *columns.groups.values()}
        keys = {number: column_key(name) for number, name in enumerate(table.columns)}
        known = {*ATTRIBUTES, *_ALSO, ""}
        chosen = [
            number
            for number, key in keys.items()
            if number not in used and key not in known and not key.startswith(ATTRIBUTE_PREFIX)
        ]
    flags = tuple((number, _class_of(table.columns[number])) for number in columns_with_flags(table, chosen))
    taken = {columns.path, *columns.fields.values(), *columns.groups.values(), *(number for number, _ in flags)}
    attributes = {
        name.removeprefix(ATTRIBUTE_PREFIX): number
        for number, name in enumerate(table.columns)
        if name and number not in taken
    }
    return replace(columns, label=None, flags=flags, attributes=attributes)


def _class_of(column: str) -> str:
    return clean_name(column.removeprefix(FLAG_PREFIX))


def _class_column(name: str, reserved: set[str]) -> str:
    """Return the column of a class: its name, unless that means something else."""
    is_plain = attribute_column(name) == name and column_key(name) not in reserved
    return name if is_plain else f"{FLAG_PREFIX}{name}"


def _flag(name: str, options: WriteOptions) -> Callable[[OutItem], str]:
    words = {"present": "1", "absent": "0", "unsure": "unsure"}
    if options.skeleton:
        return lambda item: ""
    return lambda item: words.get(item.states.get(name, ""), "")
