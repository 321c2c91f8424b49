"""CSV ``filepath,labels[,part,site,...]``: the table that everybody has, and the one that loses nothing."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from mekiki.dataset.formats.base import OutItem, ReadOptions, Sheet, WriteOptions
from mekiki.dataset.formats.class_file import read_classes, write_classes
from mekiki.dataset.formats.columns import PATH_NAMES, column_key, find_columns
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
from mekiki.dataset.formats.tables import Table, peek_columns, write_table

SUFFIXES = (".csv", ".tsv", ".txt")
"""Of files that may be tables."""


class CsvLabels:
    """One row per picture (or several, which are joined), columns by name; see `mekiki.dataset.formats.columns`."""

    name = "csv"

    @staticmethod
    def matches(path: Path) -> bool:
        """Return whether a table has a column with paths; a list file, one path per line, has none."""
        columns = peek_columns(path, *SUFFIXES)
        return columns is not None and any(column_key(column) in PATH_NAMES for column in columns)

    @staticmethod
    def read(path: Path, options: ReadOptions) -> Sheet:
        """Return what the table says; the class list of ``NAME.classes.json`` beside it is kept in its order.

        Raises:
            UsageError: If it is no table, has no column with paths, or a named column does not exist.
        """
        table = Table(path)
        return read_rows(table, CsvLabels.name, find_columns(table, options), options, read_classes(path))

    @staticmethod
    def write(items: Sequence[OutItem], folder: Path, options: WriteOptions) -> list[Path]:
        """Write ``labels.csv`` and ``labels.classes.json``; boxes are left out.

        Raises:
            DataError: If a name is no Unicode text.
            UnreadableError: If a picture is gone.
        """
        written = place_media(items, folder, options)
        cells = {
            **path_cells("filepath", written),
            **label_cells(items, options),
            **other_cells(folder),
            **attribute_cells(items),
        }
        table = write_table(folder / "labels.csv", *columns_and_rows(items, cells, always=("filepath", "labels")))
        return [table, write_classes(table, all_classes(items, options))]
