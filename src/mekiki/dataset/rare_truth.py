"""Files that say what is known to be rare: a table with one row per picture or object, or a list of rare pictures."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from mekiki.dataset.formats.base import Problem, resolve_path
from mekiki.dataset.formats.box_fields import corners
from mekiki.dataset.formats.columns import PATH_NAMES, column_key
from mekiki.dataset.formats.tables import Table
from mekiki.dataset.formats.text_files import find_encoding, open_text
from mekiki.errors import DataError, UnreadableError, UsageError, unknown_name
from mekiki.records import IMAGE_SUFFIXES, VECTOR_SUFFIXES, VIDEO_SUFFIXES

Xyxy = tuple[float, float, float, float]

TABLE_SUFFIXES, LIST_SUFFIXES = (".csv", ".tsv"), (".txt", ".lst")
RARE_NAMES = ("rare", "is_rare", "outlier", "is_outlier", "abnormal", "is_abnormal", "truth")
"""Columns that say what is rare, best first, where the user names none."""

BOX_NAMES = ("x_min", "y_min", "x_max", "y_max")
WORDS: Mapping[str, bool] = {
    **dict.fromkeys(("true", "yes", "rare", "present"), True),
    **dict.fromkeys(("false", "no", "common", "absent"), False),
}
"""What a cell may hold beside a number, in lower case; an empty one says: not known."""

_KNOWN_SUFFIXES = IMAGE_SUFFIXES | VIDEO_SUFFIXES | VECTOR_SUFFIXES


@dataclass(frozen=True, slots=True)
class TruthEntry:
    """What one line says.

    Attributes:
        path: Of the picture, as the file spells it.
        line: From 1.
        is_rare: None where nothing is said.
        box: Of one object in pixels of the whole picture; None where the picture as a whole is meant.
    """

    path: str
    line: int
    is_rare: bool | None
    box: Xyxy | None = None


@dataclass(frozen=True, slots=True)
class RareTruth:
    """All that a truth file says.

    Attributes:
        path: The file.
        entries: In its order.
        problems: Lines that could not be understood.
        told: How it says what is rare, in a few words, for those who read the figures.
        is_list: It names rare pictures only, so that every other one is common.
        has_boxes: It speaks of single objects.
    """

    path: Path
    entries: tuple[TruthEntry, ...]
    problems: tuple[Problem, ...] = ()
    told: str = ""
    is_list: bool = False
    has_boxes: bool = False

    def fingerprint(self) -> str:
        """Return 16 hex digits that stand for what it says, wherever it lies."""
        said = (self.entries, self.problems, self.told, self.is_list, self.has_boxes)
        return hashlib.sha256(repr(said).encode()).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class Matched:
    """Entries with the items that they mean.

    Attributes:
        entries: Item to its entries, in their order; an item on which entries disagree is left out.
        refused: ``(file and line, reason)`` of entries that mean no item, and of those that disagree.
    """

    entries: Mapping[str, tuple[TruthEntry, ...]]
    refused: tuple[tuple[str, str], ...]


def read_truth(path: Path, column: str | None = None, above: float | None = None) -> RareTruth:
    """Read what is known to be rare.

    A ``.csv`` or ``.tsv`` has a column of paths (``filepath``, ``image``, ``file_name``, ...) and one that says what is
    rare: 0 or 1, true or false, or a number that is rare above a limit. With columns ``x_min``, ``y_min``, ``x_max``,
    ``y_max`` each row is one object, rare unless a column says otherwise; a row without a box says of a picture that
    it was looked at. A ``.txt`` or ``.lst`` names the rare pictures, one a line; all others are common then.

    Args:
        path: The file.
        column: Name of the column that says it; None looks for `RARE_NAMES`.
        above: Numbers above this are rare; None takes 0.

    Raises:
        UsageError: If there is no such file or column, or it is no such file.
        DataError: If it says nothing at all.
    """
    if not path.is_file():
        raise UsageError(f"there is no truth file {str(path)!r}: check the path, relative to {Path.cwd()}")
    suffix = path.suffix.lower()
    if suffix in LIST_SUFFIXES:
        if column is not None or above is not None:
            raise UsageError(f"{path} is a plain list of rare pictures: leave out --truth-column and --truth-above")
        truth = _read_list(path)
    elif suffix in TABLE_SUFFIXES:
        truth = _read_table(Table(path), column, above)
    else:
        raise UsageError(f"{path} is no truth file: give a .csv or .tsv table, or a .txt list of rare pictures")
    if not truth.entries and not truth.problems:
        raise DataError(f"{path} names no picture: a row for each, or one rare picture a line, is expected")
    return truth


def match_entries(truth: RareTruth, known: Mapping[str, str], root: Path | None, *, allow_outside: bool) -> Matched:
    """Find the item of each entry: by its path, or, where no such file exists, by the end of it.

    ``0001TP_006690`` means the only picture whose file is called so, whatever its ending and its folder;
    ``night/1.jpg`` the only one whose path ends so.

    Args:
        truth: What was read.
        known: Absolute path to item, of all files that are known.
        root: Folder that paths start from; None for the file's own.
        allow_outside: Whether they may leave it.
    """
    base = (root or truth.path.parent).absolute()
    by_name: dict[str, list[str]] = {}
    for place in known:
        parts = PurePosixPath(place.replace("\\", "/"))
        for name in {parts.name, _without_suffix(parts.name)}:
            by_name.setdefault(name, []).append(place)
    found: dict[str, list[TruthEntry]] = {}
    refused = [(f"{truth.path}:{problem.line}", problem.reason) for problem in truth.problems]
    for entry in truth.entries:
        try:
            item_id = _find(entry.path, base, known, by_name, allow_outside)
        except UnreadableError as error:
            refused.append((f"{truth.path}:{entry.line}", f"{error.path}: {error.reason}"))
        else:
            found.setdefault(item_id, []).append(entry)
    agreed = {}
    for item_id, entries in found.items():
        doubt = _disagreement(entries)
        if doubt is None:
            agreed[item_id] = tuple(entries)
        else:
            refused.append((f"{truth.path}:{doubt.line}", f"{doubt.path}: another line says otherwise of it"))
    return Matched(agreed, tuple(refused))


def _find(written: str, base: Path, known: Mapping[str, str], by_name: Mapping[str, list[str]], outside: bool) -> str:
    real = resolve_path(written, base, allow_outside=outside)
    if str(real) in known:
        return known[str(real)]
    cure = "no picture of the workspace: check the path, or give --root FOLDER"
    if real.exists():
        raise UnreadableError(written, cure)
    wanted = [part for part in written.replace("\\", "/").split("/") if part not in ("", ".")]
    there = [place for place in by_name.get(wanted[-1], ()) if _parts(place)[-len(wanted) : -1] == wanted[:-1]]
    items = {known[place] for place in there}
    if not items:
        raise UnreadableError(written, cure)
    if len(items) > 1:
        raise UnreadableError(written, f"{len(items)} pictures are called so: write more of their paths")
    return items.pop()


def _parts(place: str) -> list[str]:
    return place.replace("\\", "/").split("/")


def _without_suffix(name: str) -> str:
    """Return a name without the ending of a picture; an ending that is none belongs to the name."""
    suffix = PurePosixPath(name).suffix
    return name.removesuffix(suffix) if suffix.lower() in _KNOWN_SUFFIXES else name


def _disagreement(entries: Iterable[TruthEntry]) -> TruthEntry | None:
    """Return an entry that contradicts one before it about the same object; None if none does."""
    said: dict[Xyxy | None, bool] = {}
    for entry in entries:
        if entry.is_rare is not None and said.setdefault(entry.box, entry.is_rare) != entry.is_rare:
            return entry
    return None


def _read_list(path: Path) -> RareTruth:
    encoding = find_encoding(path)
    with open_text(path, encoding) as file:
        lines = [(number, line.strip()) for number, line in enumerate(file, start=1)]
    entries = tuple(TruthEntry(line, number, True) for number, line in lines if line and not line.startswith("#"))
    return RareTruth(path, entries, told="a list of the rare ones", is_list=True)


def _read_table(table: Table, column: str | None, above: float | None) -> RareTruth:
    keys = [column_key(name) for name in table.columns]
    place = next((keys.index(name) for name in PATH_NAMES if name in keys), None)
    if place is None:
        wanted = ", ".join(PATH_NAMES[:4])
        raise UsageError(f"no column of {table.path} holds paths ({wanted}, ...); it has {', '.join(table.columns)}")
    boxes = [keys.index(name) for name in BOX_NAMES] if set(BOX_NAMES) <= set(keys) else []
    judge = _find_judge(table, keys, column, bool(boxes))
    if judge is None and above is not None:
        raise UsageError(f"--truth-above needs a column of numbers in {table.path}: --truth-column NAME")
    entries, problems = [], []
    for line, cells in table.rows():
        try:
            box = _read_box([cells[one] for one in boxes])
            is_rare = box is not None if judge is None else _read_verdict(cells[judge], above)
            if boxes and box is None and is_rare:
                raise ValueError("it says that something is rare and has no box")
        except ValueError as error:
            problems.append(Problem(line, str(error)))
        else:
            entries.append(TruthEntry(cells[place], line, False if boxes and box is None else is_rare, box))
    limit = "" if above is None else f" above {above:g}"
    told = "its boxes" if judge is None else f"column {table.columns[judge]}{limit}"
    return RareTruth(table.path, tuple(entries), (*table.problems, *problems), told, has_boxes=bool(boxes))


def _find_judge(table: Table, keys: list[str], column: str | None, has_boxes: bool) -> int | None:
    """Return the column that says what is rare; None where boxes say it."""
    if column is not None:
        if column in table.columns:
            return table.columns.index(column)
        if column_key(column) not in keys:
            raise unknown_name(f"column of {table.path.name}", column, filter(None, table.columns))
        return keys.index(column_key(column))
    found = next((keys.index(name) for name in RARE_NAMES if name in keys), None)
    if found is None and not has_boxes:
        columns = ", ".join(filter(None, table.columns))
        raise UsageError(
            f"no column of {table.path} is called {RARE_NAMES[0]} or the like; it has {columns}. "
            "Say which one says what is rare: --truth-column NAME"
        )
    return found


def _read_verdict(cell: str, above: float | None) -> bool | None:
    """Return what a cell says; None for an empty one.

    Raises:
        ValueError: If it is neither a word that is known nor a number.
    """
    if not cell:
        return None
    word = WORDS.get(cell.casefold())
    if word is not None and above is None:
        return word
    number = _as_number(cell)
    if number is None or not math.isfinite(number):
        wanted = "a number" if above is not None else "0 or 1, true or false, or a number"
        raise ValueError(f"{cell!r} says nothing of what is rare: {wanted} is expected")
    return number > (above or 0.0)


def _read_box(cells: list[str]) -> Xyxy | None:
    """Return a box; None where there are no such columns, or all four are empty."""
    if not any(cells):
        return None
    numbers = [_as_number(cell) for cell in cells]
    if None in numbers:
        raise ValueError(f"its box {', '.join(cells)} should be four numbers")
    box = corners(numbers)
    if box[2] <= box[0] or box[3] <= box[1]:
        raise ValueError(f"its box {', '.join(cells)} has no area: x_min, y_min, x_max, y_max are expected")
    return box


def _as_number(cell: str) -> float | None:
    try:
        return float(cell)
    except ValueError:
        return None
