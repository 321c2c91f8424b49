"""A matrix of vectors, ``vectors.npy``, with an ``index.csv`` that names its rows and says what is known of them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path, PurePath

import numpy as np

from mekiki.dataset.formats.base import OutItem, Problem, ReadOptions, Record, Sheet, VectorSource, WriteOptions
from mekiki.dataset.formats.class_file import read_classes, write_classes
from mekiki.dataset.formats.columns import PATH_NAMES, column_key, find_columns
from mekiki.dataset.formats.npy import row_path, split_row
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
from mekiki.dataset.formats.vectors_index import INDEX_NAME, ROW_COLUMN, find_index
from mekiki.errors import UsageError

MATRIX_NAME = "vectors.npy"
BLOCK_ROWS = 8192

INDEX_ATTRIBUTE = "index_name"
"""Attribute of an item of kind vector: what the index of its matrix called it."""

OWN_COLUMNS = frozenset({ROW_COLUMN, "item_id", *PATH_NAMES})
"""Columns of an index that say which row is meant, and nothing about it."""


class NpyMatrix:
    """One row per item. Reading it says what its table says; the numbers are read by ``ingest`` itself."""

    name = "npy"

    @staticmethod
    def matches(path: Path) -> bool:
        """Return whether a table with a column ``row`` is the index of a matrix beside it."""
        columns = peek_columns(path, ".csv")
        if columns is None or ROW_COLUMN not in map(column_key, columns):
            return False
        return bool(_matrices(path))

    @staticmethod
    def read(path: Path, options: ReadOptions) -> Sheet:
        """Return what the index says of the rows of its matrix; of each, if it is that of several.

        Raises:
            UsageError: If it is no table with a column ``row``, or no matrix lies beside it.
        """
        table = Table(path)
        if ROW_COLUMN not in map(column_key, table.columns):
            raise UsageError(f"{path} has no column 'row': it has {', '.join(table.columns)}")
        matrices = _matrices(path)
        if not matrices:
            raise UsageError(f"no matrix of vectors lies beside {path}: {path.with_suffix('.npy').name} was expected")
        columns = find_columns(table, options, path_names=(ROW_COLUMN,))
        kept = {name: column for name, column in columns.attributes.items() if column_key(name) not in OWN_COLUMNS}
        sheet = read_rows(table, NpyMatrix.name, replace(columns, attributes=kept), options, read_classes(path))
        records: list[Record] = []
        problems = list(sheet.problems)
        for record in sheet.records:
            if record.path.isascii() and record.path.isdecimal():
                records += [replace(record, path=row_path(matrix.name, int(record.path[:18]))) for matrix in matrices]
            else:
                problems.append(Problem(record.line, f"row {record.path!r} is no number"))
        return replace(sheet, records=tuple(records), problems=tuple(problems), base=path.parent)

    @staticmethod
    def write(items: Sequence[OutItem], folder: Path, options: WriteOptions) -> list[Path]:
        """Write ``vectors.npy`` (float32, block by block), ``index.csv`` and its class list.

        The column ``filepath`` has the path from the folder that all files share, so that pictures of another
        workspace are found by it.

        Raises:
            UsageError: If the options have no vectors.
            DataError: If a name is no Unicode text.
        """
        source = vectors_of(options, NpyMatrix.name)
        matrix = write_matrix(folder / MATRIX_NAME, [item.item_id for item in items], source)
        rows = {item.item_id: str(row) for row, item in enumerate(items)}
        cells = {
            ROW_COLUMN: lambda item: rows[item.item_id],
            "item_id": lambda item: item.item_id,
            **path_cells("filepath", shared_names(items)),
            **label_cells(items, options),
            **other_cells(folder),
            **{column: make for column, make in attribute_cells(items).items() if column != INDEX_ATTRIBUTE},
        }
        always = (ROW_COLUMN, "item_id", "filepath", "labels")
        table = write_table(folder / INDEX_NAME, *columns_and_rows(items, cells, always=always))
        return [table, matrix, write_classes(table, all_classes(items, options))]


def vectors_of(options: WriteOptions, name: str) -> VectorSource:
    """Return where vectors come from, or refuse to write a format of vectors without any."""
    if options.vectors is None:
        raise UsageError(f"format {name} is of vectors, and none are given: mekiki embed makes them")
    return options.vectors


def write_matrix(path: Path, item_ids: Sequence[str], source: VectorSource) -> Path:
    """Write ``(N, D)`` float32, row i for ``item_ids[i]``, a block at a time; it appears when it is complete.

    Args:
        path: The file.
        item_ids: N of them, all of which have a vector.
        source: Where the vectors are.
    """
    part = path.with_name(f"{path.name}.part")
    header = {"descr": "<f4", "fortran_order": False, "shape": (len(item_ids), source.n_dims)}
    with part.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, header)
        for start in range(0, len(item_ids), BLOCK_ROWS):
            file.write(np.ascontiguousarray(source.read(item_ids[start : start + BLOCK_ROWS]), "<f4").tobytes())
        file.flush()
        os.fsync(file.fileno())
    return part.replace(path)


def shared_names(items: Sequence[OutItem]) -> dict[str, str]:
    """Return item id to a name that no other item has: what an index called it, else its path.

    Paths start at the folder that all have in common, or are whole where there is none, as on two drives. An index's
    name counts for rows of a matrix, which no file stands for; where two are the same, their places count.
    """
    try:
        common = os.path.commonpath([item.path.parent for item in items]) if items else ""
    except ValueError:
        common = ""
    paths = {item.item_id: item.path.with_name(item.file_name) for item in items}
    names = {key: PurePath(os.path.relpath(path, common) if common else path).as_posix() for key, path in paths.items()}
    called = {item.item_id: item.attributes[INDEX_ATTRIBUTE] for item in items if INDEX_ATTRIBUTE in item.attributes}
    taken: dict[str, int] = {}
    for item_id in names:
        name = called.get(item_id, names[item_id])
        taken[name] = taken.get(name, 0) + 1
    return {
        item_id: called[item_id] if taken.get(called.get(item_id, "")) == 1 else names[item_id] for item_id in names
    }


def stem_of(item: OutItem) -> str:
    """Return what a file of an item's own is called, without ending: as its file, or as the index calls its row."""
    if INDEX_ATTRIBUTE in item.attributes:
        return PurePath(item.attributes[INDEX_ATTRIBUTE].replace("\\", "/")).stem
    file, row = split_row(item.path.with_name(item.file_name))
    return file.stem if row is None else f"{file.stem}_{row}"


def _matrices(index: Path) -> list[Path]:
    """Return the matrices beside a table whose index it is."""
    try:
        beside = sorted(path for path in index.parent.iterdir() if path.suffix.lower() == ".npy")
    except OSError:
        return []
    return [path for path in beside if find_index(path) == index]
