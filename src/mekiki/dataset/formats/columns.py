"""What the columns of a label table mean, found by their names.

Names are compared without case, with blanks and hyphens as underscores. A column that means nothing else is an
attribute; one that begins with ``attribute_`` always is.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from mekiki.dataset.formats.base import ReadOptions
from mekiki.dataset.formats.class_lists import is_unknown
from mekiki.dataset.formats.label_text import clean_name
from mekiki.dataset.formats.tables import RowSource
from mekiki.errors import UsageError, unknown_name
from mekiki.records import LabelState

PATH_NAMES = (
    "filepath",
    "file_path",
    "path",
    "file",
    "filename",
    "file_name",
    "image",
    "image_path",
    "img_path",
    "img",
)
"""Columns with paths, best first."""

LABEL_NAMES = (
    *("labels", "label", "class", "class_name", "classes", "label_name", "category", "category_name", "categories"),
    *("species", "species_name", "animal", "animals"),
)
"""Columns with class names, best first."""

FIELD_NAMES: Mapping[str, tuple[str, ...]] = {
    "part": ("part", "split", "set", "subset"),
    "captured_at": ("captured_at", "datetime", "date_time", "datetime_original", "datetimeoriginal", "capture_time"),
    "confidence": ("confidence",),
    "captions": ("captions", "caption", "text"),
    "unsure": ("unsure",),
    "not_asked": ("not_asked",),
    "parent_path": ("parent_path", "video_path"),
    "frame_index": ("frame_index",),
    "time_s": ("time_s", "timestamp_sec"),
}
"""Field to the columns that may hold it, best first."""

GROUP_NAMES: Mapping[str, tuple[str, ...]] = {
    "source": ("source_id", "source_file", "video_id"),
    "burst": ("burst", "burst_id", "sequence", "sequence_id", "seq_id"),
    "identity": ("identity", "identity_id", "individual", "individual_id", "person", "person_id"),
    "site": ("site", "site_id", "station", "station_id", "location", "location_id"),
    "camera": ("camera", "camera_id"),
}
"""Kind of group to the columns that may hold its key, best first.

A column called ``source`` is an attribute: it mostly names a data set or a web site, and pictures of one may well
stand in different parts.
"""

FLAG_PREFIX = "label_"
"""Before a class name, makes a column with that class's state."""

ATTRIBUTE_PREFIX = "attribute_"
"""Before a name, makes a column an attribute whatever the name means elsewhere."""

FLAGS: Mapping[str, LabelState] = {
    **dict.fromkeys(("1", "1.0", "true", "present"), "present"),
    **dict.fromkeys(("0", "0.0", "false", "absent"), "absent"),
    "unsure": "unsure",
}
"""What a cell of a column with a class's state may hold, in lower case; an empty one says: not asked."""

_ROLE_NAMES = frozenset(
    [
        *PATH_NAMES,
        *LABEL_NAMES,
        *(name for table in (FIELD_NAMES, GROUP_NAMES) for names in table.values() for name in names),
    ]
)


@dataclass(frozen=True, slots=True)
class Columns:
    """The meaning of each column, by position.

    Attributes:
        path: The column with paths.
        label: The column with class names; None without one.
        flags: Columns with the state of one class, and that class. Only used if ``label`` is None.
        fields: Field of `FIELD_NAMES` to column.
        groups: Kind of group to column.
        attributes: Attribute to column.
    """

    path: int
    label: int | None
    flags: tuple[tuple[int, str], ...]
    fields: Mapping[str, int]
    groups: Mapping[str, int]
    attributes: Mapping[str, int]


def find_columns(table: RowSource, options: ReadOptions, path_names: Sequence[str] = PATH_NAMES) -> Columns:
    """Return what the columns of a table mean.

    A table without a column of paths may name videos, with a frame number or a time: each row is about that frame.

    Labels are looked for in this order: ``options.label_column``; columns named like ``options.classes``, if two or
    more are (or the only class is); a column of `LABEL_NAMES`; columns with `FLAG_PREFIX` that hold only `FLAGS`; two
    or more columns without another meaning that hold only `FLAGS`.

    Raises:
        UsageError: If no column holds paths, or a column that the user named does not exist.
    """
    names = [column_key(name) for name in table.columns]
    path = _path_column(table, names, options, path_names)
    taken = {path}
    label = None
    if options.label_column is not None:
        label = _named_column(table, options.label_column)
    taken |= {label} if label is not None else set()
    fields = _first_of(FIELD_NAMES, names, taken)
    groups = _first_of(GROUP_NAMES, names, taken)
    flags: list[tuple[int, str]] = []
    if label is None:
        flags = _class_columns(table, options, taken)
        if not flags:
            label = next((names.index(name) for name in LABEL_NAMES if _is_free(name, names, taken)), None)
        if not flags and label is None:
            flags = _flag_columns(table, taken)
    if label is None:
        fields = {name: column for name, column in fields.items() if name not in ("unsure", "not_asked")}
    used = {path, label, *fields.values(), *groups.values(), *(column for column, _ in flags)}
    attributes = {
        name.removeprefix(ATTRIBUTE_PREFIX): column
        for column, name in enumerate(table.columns)
        if name and column not in used
    }
    return Columns(path, label, tuple(flags), fields, groups, attributes)


def column_key(name: str) -> str:
    """Return a column's name in the form that names are compared in.

    Example:
        >>> column_key("File Name")
        'file_name'
    """
    return re.sub(r"[\s-]+", "_", name.strip()).casefold()


def attribute_column(name: str) -> str:
    """Return the name of the column that an attribute is written to, so that it is read as one.

    Example:
        >>> attribute_column("reason"), attribute_column("Station")
        ('reason', 'attribute_Station')
    """
    key = column_key(name)
    is_taken = key in _ROLE_NAMES or key.startswith((FLAG_PREFIX, ATTRIBUTE_PREFIX))
    return f"{ATTRIBUTE_PREFIX}{name}" if is_taken or not name else name


def _path_column(table: RowSource, names: list[str], options: ReadOptions, path_names: Sequence[str]) -> int:
    if options.path_column is not None:
        return _named_column(table, options.path_column)
    found = next((names.index(name) for name in path_names if name in names), None)
    if found is None and any(name in names for field in ("frame_index", "time_s") for name in FIELD_NAMES[field]):
        found = next((names.index(name) for name in FIELD_NAMES["parent_path"] if name in names), None)
    if found is None:
        raise UsageError(
            f"no column of {table.path} is called {path_names[0]} or the like; it has {', '.join(table.columns)}. "
            "Say which one holds the paths: --path-column NAME"
        )
    return found


def _named_column(table: RowSource, name: str) -> int:
    if name in table.columns:
        return table.columns.index(name)
    keys = [column_key(column) for column in table.columns]
    if column_key(name) not in keys:
        raise unknown_name(f"column of {table.path.name}", name, filter(None, table.columns))
    return keys.index(column_key(name))


def _is_free(name: str, names: list[str], taken: set[int]) -> bool:
    return name in names and names.index(name) not in taken


def _first_of(table: Mapping[str, tuple[str, ...]], names: list[str], taken: set[int]) -> dict[str, int]:
    """Return each meaning with the first of its columns that is there; they are added to ``taken``."""
    found: dict[str, int] = {}
    for meaning, candidates in table.items():
        name = next((name for name in candidates if _is_free(name, names, taken)), None)
        if name is not None:
            found[meaning] = names.index(name)
    taken.update(found.values())
    return found


def _class_columns(table: RowSource, options: ReadOptions, taken: set[int]) -> list[tuple[int, str]]:
    """Return the columns that are named like the user's classes, with or without the prefix."""
    wanted = set(options.classes or ())
    named = [
        (column, clean_name(name).removeprefix(FLAG_PREFIX))
        for column, name in enumerate(table.columns)
        if column not in taken and clean_name(name).removeprefix(FLAG_PREFIX) in wanted
    ]
    is_meant = len(named) >= min(2, len(wanted)) and columns_with_flags(table, [column for column, _ in named])
    return named if is_meant else []


def _flag_columns(table: RowSource, taken: set[int]) -> list[tuple[int, str]]:
    """Return the columns that hold the states of classes: those with the prefix, else two or more without."""
    free = {column: name for column, name in enumerate(table.columns) if column not in taken and name}
    prefixed = {
        column: clean_name(name[len(FLAG_PREFIX) :])
        for column, name in free.items()
        if name.casefold().startswith(FLAG_PREFIX)
    }
    plain = {
        column: clean_name(name)
        for column, name in free.items()
        if column not in prefixed and not name.startswith(ATTRIBUTE_PREFIX)
    }
    holding = columns_with_flags(table, [*prefixed, *plain])
    chosen = [(column, name) for column, name in prefixed.items() if column in holding and name]
    if not any(not is_unknown(name) for _, name in chosen):
        chosen = [(column, name) for column, name in plain.items() if holding.get(column)]
        chosen = chosen if len(chosen) > 1 else []
    return chosen


def columns_with_flags(table: RowSource, columns: Iterable[int]) -> dict[int, bool]:
    """Return the columns that hold nothing but `FLAGS`, and whether any cell of theirs is filled."""
    holding = dict.fromkeys(columns, False)
    for _, cells in table.rows() if holding else ():
        for column in list(holding):
            cell = cells[column]
            if cell and cell.casefold() not in FLAGS:
                del holding[column]
            elif cell:
                holding[column] = True
        if not holding:
            break
    return holding
