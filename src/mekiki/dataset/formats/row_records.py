"""Rows of a label table made into records, one per picture; used by every format that is a table."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from mekiki.dataset.formats.base import LabelClaim, Problem, ReadOptions, Record, Sheet
from mekiki.dataset.formats.cells import caption_list, frame_index_of, local_time, part_name, seconds_of
from mekiki.dataset.formats.class_lists import is_unknown
from mekiki.dataset.formats.columns import Columns
from mekiki.dataset.formats.label_cells import LabelCells
from mekiki.dataset.formats.label_text import clean_name
from mekiki.dataset.formats.picture_folder import N_TRIED, find_base
from mekiki.dataset.formats.tables import RowSource
from mekiki.errors import unknown_name
from mekiki.records import VIDEO_SUFFIXES


def read_rows(
    table: RowSource, format_name: str, columns: Columns, options: ReadOptions, classes: Sequence[str] = ()
) -> Sheet:
    """Return all that a table says; rows for one picture are joined.

    Args:
        table: The table.
        format_name: What the sheet is called.
        columns: What the columns mean.
        options: A closed class list, if there is one.
        classes: Known beginning of an open class list, in order; others are added, sorted.

    Returns:
        A sheet; single-label if there is a label column, no picture has more than one class, and nothing is unsure.
    """
    closed = None if options.classes is None else tuple(map(clean_name, options.classes))
    problems: list[Problem] = []
    if closed is not None:
        outside = [name for _, name in columns.flags if not is_unknown(name) and name not in closed]
        problems = [Problem(1, str(unknown_name("class", name, closed))) for name in outside]
        columns = replace(columns, flags=tuple(flag for flag in columns.flags if flag[1] not in outside))
    rows = _Rows(columns, closed)
    for line, cells in table.rows():
        try:
            rows.add(line, cells)
        except ValueError as error:
            problems.append(Problem(line, str(error)))
    if closed is None:
        known = [*classes, *(name for _, name in columns.flags if not is_unknown(name))]
        closed = tuple(dict.fromkeys([*known, *sorted(rows.class_names - set(known))]))
    records = tuple(rows.finished(closed))
    has_labels = columns.label is not None or bool(columns.flags)
    return Sheet(
        format_name=format_name,
        classes=closed,
        records=records,
        problems=tuple(sorted([*table.problems, *problems], key=lambda problem: problem.line)),
        is_single_label=columns.label is not None and bool(rows.class_names) and rows.is_single_label,
        base=find_base(table.path, [record.path for record in records[:: max(1, len(records) // N_TRIED)]]),
        notes=() if has_labels or "captions" in columns.fields else (_no_labels(table, columns),),
    )


def _no_labels(table: RowSource, columns: Columns) -> str:
    """Return what was taken from which column where that is no labels, and what might hold them."""
    groups = {"identities" if kind == "identity" else f"{kind}s": column for kind, column in columns.groups.items()}
    used = {"paths": columns.path, **groups, **columns.fields}
    taken = ", ".join(f"{what} from {table.columns[column]}" for what, column in used.items())
    rest = ", ".join(table.columns[column] for column in columns.attributes.values())
    cure = f". If one of the others ({rest}) holds them: --label-column NAME" if rest else ""
    return f"{table.path.name}: {taken}; no labels{cure}"


def _key(record: Record) -> str:
    """Return what rows have in common that speak of one picture: the path, and of a video the frame too."""
    path = record.path.replace("\\", "/").removeprefix("./")
    is_video = path.lower().endswith(tuple(VIDEO_SUFFIXES))
    return f"{path}\n{record.frame_index}\n{record.time_s}" if is_video else path


class _Rows:
    """Records made so far, by picture."""

    def __init__(self, columns: Columns, closed: tuple[str, ...] | None) -> None:
        self.is_single_label = True
        self._columns = columns
        self._labels = LabelCells(columns, closed)
        self._records: dict[str, Record] = {}
        self._not_asked: dict[str, frozenset[str]] = {}
        self._texts: dict[str, str] = {}

    @property
    def class_names(self) -> set[str]:
        """All class names seen so far."""
        return self._labels.class_names

    def add(self, line: int, cells: list[str]) -> None:
        """Take one row in.

        Raises:
            ValueError: If it cannot be understood, or contradicts an earlier row; the message says how.
        """
        path = cells[self._columns.path]
        if not path:
            raise ValueError("it names no file")
        field = {name: cells[column] for name, column in self._columns.fields.items() if cells[column]}
        labels = self._labels.read(cells, field)
        attributes = {name: cells[column] for name, column in self._columns.attributes.items() if cells[column]}
        captured_at = local_time(field["captured_at"]) if "captured_at" in field else None
        if captured_at is None and "captured_at" in field:
            attributes["captured_at"] = field["captured_at"]
        record = Record(
            path,
            line,
            labels=labels.claims,
            is_complete=labels.is_complete,
            captions=caption_list(field["captions"]) if "captions" in field else (),
            part=part_name(self._once(field["part"])) if "part" in field else None,
            groups={kind: self._once(cells[column]) for kind, column in self._columns.groups.items() if cells[column]},
            attributes=attributes,
            captured_at=captured_at,
            parent_path=self._once(field["parent_path"]) if "parent_path" in field else None,
            frame_index=frame_index_of(field["frame_index"]) if "frame_index" in field else None,
            time_s=seconds_of(field["time_s"]) if "time_s" in field else None,
        )
        key = _key(record)
        not_asked = labels.not_asked
        if key in self._records and record.part and (self._records[key].part or record.part) != record.part:
            key = f"{key}\n{record.part}"  # one file in two parts is a leak, for whoever looks for leaks to see
        if key in self._records:
            earlier = self._records[key]
            record = join_records(earlier, record)
            not_asked_before = self._not_asked.pop(key, frozenset())
            if not labels.is_complete:
                not_asked = not_asked_before
            elif earlier.is_complete:
                not_asked &= not_asked_before
        if not_asked:
            self._not_asked[key] = not_asked
        self._records[key] = record
        if labels.is_uncertain or sum(claim.state == "present" for claim in record.labels) > 1:
            self.is_single_label = False

    def finished(self, classes: Sequence[str]) -> Iterator[Record]:
        """Yield the records; where some classes were not asked for, the absent ones are spelled out."""
        for key, record in self._records.items():
            if key not in self._not_asked:
                yield record
                continue
            named = {claim.class_name for claim in record.labels} | self._not_asked[key]
            absent = tuple(LabelClaim(name, "absent") for name in classes if name not in named)
            yield replace(record, labels=record.labels + absent, is_complete=False)

    def _once(self, text: str) -> str:
        """Return one and the same object for equal texts."""
        return self._texts.setdefault(text, text)


def join_records(first: Record, second: Record) -> Record:
    """Return what two entries for one picture say together; where both have an attribute, the first's stays.

    Raises:
        ValueError: If they contradict each other on a class, the part, a time or a group.
    """
    claims = {claim.class_name: claim for claim in first.labels}
    for claim in second.labels:
        earlier = claims.get(claim.class_name, claim)
        _agree(first.line, f"of {claim.class_name!r}", earlier.state, claim.state)
        claims[claim.class_name] = max(earlier, claim, key=lambda one: one.confidence)
    for kind in first.groups.keys() & second.groups.keys():
        _agree(first.line, kind, first.groups[kind], second.groups[kind])
    return replace(
        first,
        labels=tuple(claims.values()),
        is_complete=first.is_complete or second.is_complete,
        boxes=first.boxes + second.boxes,
        captions=first.captions + second.captions,
        groups={**second.groups, **first.groups},
        attributes={**second.attributes, **first.attributes},
        **{name: _agree(first.line, name, getattr(first, name), getattr(second, name)) for name in _SINGLE},
    )


_SINGLE = ("part", "captured_at", "parent_path", "frame_index", "time_s")
"""Fields of a record that two entries for one picture have to agree on."""


def _agree(line: int, what: str, first: Any, second: Any) -> Any:
    """Return the value that either has."""
    if first is not None and second is not None and first != second:
        raise ValueError(f"it says {what}: {second!r}, but line {line} says {first!r} of the same file")
    return second if first is None else first
