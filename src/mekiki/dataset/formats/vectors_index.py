"""The index of a matrix of vectors: a table beside it that says what each row is of.

Columns are found by their names: ``row`` counts from 0 (without it, the table's order counts), and any of the usual
columns of paths holds the name.
"""

from __future__ import annotations

from pathlib import Path

from mekiki.dataset.formats.columns import PATH_NAMES, column_key
from mekiki.dataset.formats.tables import Table, peek_columns
from mekiki.errors import UnreadableError, UsageError

INDEX_NAME = "index.csv"
"""Lies beside a matrix that has no table of its own name."""

ROW_COLUMN = "row"


def find_index(matrix: Path) -> Path | None:
    """Return the table beside a matrix that names its rows: ``NAME.csv``, else ``index.csv``; None without one.

    A table without a column of names is passed over.
    """
    for path in (matrix.with_suffix(".csv"), matrix.with_name(INDEX_NAME)):
        columns = peek_columns(path, ".csv")
        if columns and _name_column(columns) is not None:
            return path
    return None


def read_index(path: Path, n_rows: int) -> dict[int, str]:
    """Return row to name, for the rows that the table names.

    Args:
        path: The table.
        n_rows: Of the matrix. A table without a column ``row`` must have as many.

    Raises:
        UnreadableError: If it is no table, has no column of names, or does not fit the matrix.
    """
    try:
        table = Table(path)
    except UsageError as error:
        raise UnreadableError(path, str(error)) from error
    names = _name_column(table.columns)
    if names is None:
        raise UnreadableError(path, f"no column holds names ({', '.join(table.columns)}): call one of them 'image'")
    keys = [column_key(column) for column in table.columns]
    numbers = keys.index(ROW_COLUMN) if ROW_COLUMN in keys else None
    found: dict[int, str] = {}
    n_read = 0
    for line, cells in table.rows():
        row = n_read if numbers is None else _row_number(path, line, cells[numbers], n_rows)
        if row in found:
            raise UnreadableError(path, f"line {line} names row {row} once more")
        if cells[names]:
            found[row] = cells[names]
        n_read += 1
    for problem in table.problems:
        raise UnreadableError(path, f"line {problem.line}: {problem.reason}")
    if numbers is None and n_read != n_rows:
        raise UnreadableError(path, f"it has {n_read} rows and no column 'row', and the matrix has {n_rows} rows")
    return found


def _name_column(columns: tuple[str, ...]) -> int | None:
    keys = [column_key(column) for column in columns]
    return next((keys.index(name) for name in PATH_NAMES if name in keys), None)


def _row_number(path: Path, line: int, text: str, n_rows: int) -> int:
    if not text.isascii() or not text.isdecimal() or len(text) > 18 or int(text) >= n_rows:
        raise UnreadableError(path, f"line {line} speaks of row {text!r}, and the matrix has rows 0 to {n_rows - 1}")
    return int(text)
