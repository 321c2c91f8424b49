"""Seed 1's CSVs: what its annotator said (12 columns) and the data sets made of that (22 columns)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

from mekiki.dataset.formats.base import Problem, ReadOptions, Record, Sheet
from mekiki.dataset.formats.class_file import read_classes
from mekiki.dataset.formats.class_lists import is_unknown
from mekiki.dataset.formats.columns import FLAG_PREFIX
from mekiki.dataset.formats.label_text import clean_name
from mekiki.dataset.formats.seed1_files import (
    CLASSES,
    COLUMN_ALIASES,
    DATASET_FILE,
    DEDUPE_KEYS,
    PART_FILES,
    standard_name,
)
from mekiki.dataset.formats.seed1_rows import SeedRow, read_row
from mekiki.dataset.formats.tables import Table, peek_columns
from mekiki.errors import UsageError, unknown_name


class Seed1Annotations:
    """One row per answer, with ``video_path, video_id, frame_index`` or what ``COLUMN_ALIASES`` calls them."""

    name = "seed1-annotations"

    @staticmethod
    def matches(path: Path) -> bool:
        """Return whether a table has the columns with the picture and the labels given to it."""
        return _has_columns(path, "assigned_labels_json")

    @staticmethod
    def read(path: Path, options: ReadOptions) -> Sheet:
        """Return one record per frame or still: of its rows the one with the highest confidence.

        A failed call, which the seed stores as ``unknown``, is a record without labels: it was not answered.

        Raises:
            UsageError: If it is another table, or ``options.dedupe_key`` is no key.
        """
        if not Seed1Annotations.matches(path):
            raise UsageError(
                f"{path} is no annotation CSV of seed 1: columns frame_source_path, assigned_labels_json expected"
            )
        return _read(path, Seed1Annotations.name, options, {})


class Seed1:
    """The data set: one row per frame or still, a column per class, its part in one of three more files."""

    name = "seed1"

    @staticmethod
    def matches(path: Path) -> bool:
        """Return whether it is one of the six tables, or the folder with all of them."""
        path = path / DATASET_FILE if path.is_dir() else path
        return _has_columns(path, "sample_id", "labels_json")

    @staticmethod
    def read(path: Path, options: ReadOptions) -> Sheet:
        """Return one record per frame or still.

        The folder, or ``final_multilabel_dataset.csv`` in it, is read with the parts that ``train_known.csv``,
        ``val_known.csv`` and ``test_known.csv`` beside it say; each of these alone is that part.

        Raises:
            UsageError: If it is another table, or ``options.dedupe_key`` is no key.
        """
        if not Seed1.matches(path):
            raise UsageError(
                f"{path} is no data set of seed 1: {DATASET_FILE} with sample_id and labels_json was expected"
            )
        path = path / DATASET_FILE if path.is_dir() else path
        if path.name == DATASET_FILE:
            return _read(path, Seed1.name, options, _parts_beside(path))
        sheet = _read(path, Seed1.name, options, {})
        part = {file: part for part, file in PART_FILES.items()}.get(path.name)
        return replace(sheet, records=tuple(replace(record, part=part) for record in sheet.records))


def _has_columns(path: Path, *names: str) -> bool:
    """Return whether a table has these columns, and one with paths."""
    columns = set(peek_columns(path, ".csv") or ())
    return columns.issuperset(names) and not columns.isdisjoint(("frame_source_path", "video_path", "source_path"))


def _columns_of(table: Table) -> dict[str, int]:
    """Return each column's place, by the name that the seed's later files use."""
    found = {COLUMN_ALIASES.get(name, name): place for place, name in enumerate(table.columns)}
    return found | {name: place for place, name in enumerate(table.columns)}


def _read(path: Path, name: str, options: ReadOptions, parts: Mapping[str, str]) -> Sheet:
    """Return what one file says; ``parts`` is sample id to part."""
    if options.dedupe_key not in DEDUPE_KEYS:
        raise unknown_name("dedupe key", options.dedupe_key, DEDUPE_KEYS)
    table = Table(path)
    places = _columns_of(table)
    rows: list[SeedRow] = []
    problems: list[Problem] = []
    for line, cells in table.rows():
        try:
            rows.append(read_row(line, {column: cells[place] for column, place in places.items()}))
        except ValueError as error:
            problems.append(Problem(line, str(error)))
    classes, is_closed = _class_list(path, table, rows, options)
    records: dict[str, tuple[bool, float, Record]] = {}
    n_repeated = 0
    for row in rows:
        try:
            record = row.to_record(classes, is_closed=is_closed, part=parts.get(row.sample_id))
        except ValueError as error:
            problems.append(Problem(row.frame.line, str(error)))
            continue
        key = row.key(options.dedupe_key)
        n_repeated += key in records
        rank = (row.is_answered, row.confidence)
        if key not in records or rank > records[key][:2]:
            records[key] = (*rank, record)
    kept = tuple(record for _, _, record in records.values())
    open_names = sorted({claim.class_name for record in kept for claim in record.labels} - set(classes))
    return Sheet(
        format_name=name,
        classes=(*classes, *open_names),
        records=kept,
        problems=tuple(sorted([*problems, *table.problems], key=lambda problem: problem.line)),
        base=path.parent,
        notes=tuple(_notes(rows, n_repeated, options.dedupe_key)),
    )


def _class_list(
    path: Path, table: Table, rows: Iterable[SeedRow], options: ReadOptions
) -> tuple[tuple[str, ...], bool]:
    """Return the class list and whether it is closed: the user's, the file's own, or the seed's seven.

    A file without a list that never names one of the seven is about something else: its list is what it names.
    """
    if options.classes is not None:
        return tuple(map(clean_name, options.classes)), True
    flags = [clean_name(column.removeprefix(FLAG_PREFIX)) for column in table.columns if column.startswith(FLAG_PREFIX)]
    own = read_classes(path) or tuple(name for name in flags if name and not is_unknown(name))
    if own:
        return own, False
    named = {standard_name(name, CLASSES) for row in rows for name in row.names or ()}
    is_foreign = any(not is_unknown(name) for name in named) and named.isdisjoint(CLASSES)
    return (() if is_foreign else CLASSES), False


def _parts_beside(path: Path) -> dict[str, str]:
    """Return sample id to part, from the files beside a data set.

    Raises:
        UsageError: If a sample is in two of them.
    """
    found: dict[str, str] = {}
    for part, name in PART_FILES.items():
        columns = peek_columns(path.parent / name, ".csv") or ()
        if "sample_id" not in columns:
            continue
        place = columns.index("sample_id")
        for _, cells in Table(path.parent / name).rows():
            if found.setdefault(cells[place], part) != part:
                raise UsageError(
                    f"sample {cells[place]!r} is in {PART_FILES[found[cells[place]]]} and in {name}, beside {path}. "
                    f"Remove one, or read the three files one by one."
                )
    return found


def _notes(rows: Iterable[SeedRow], n_repeated: int, key: str) -> Iterable[str]:
    if n_repeated:
        yield f"{n_repeated} rows repeat a frame (by {key}): the one with the highest confidence was kept"
    failed = Counter(row.why_not_answered for row in rows if row.why_not_answered)
    for why, n_rows in sorted(failed.items()):
        yield f"{n_rows} rows hold {why} and not an answer: they were read as not asked, not as unknown"
