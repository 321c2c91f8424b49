"""What all files of the COCO family share when they are read: pictures with their annotations, and categories.

``line`` of a record or problem is its place in the list that it stands in, from 1; the text of a problem says which
list. An id may be a number or text. Masks and keypoints are not read; an annotation that has a box gives that box.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from mekiki.dataset.formats.base import BoxClaim, Problem, Record, Sheet
from mekiki.dataset.formats.box_fields import XYXY, xywh_px, xywh_relative
from mekiki.dataset.formats.cells import part_name
from mekiki.dataset.formats.class_lists import ClassList, Seen, is_unknown, outside_problems
from mekiki.dataset.formats.extras import classes_of, with_extras
from mekiki.dataset.formats.json_files import is_text, key_of, list_of, number, read_json, share, show
from mekiki.dataset.formats.label_text import clean_name
from mekiki.dataset.formats.picture_folder import find_base


@dataclass(slots=True)
class Picture:
    """One entry of ``images`` with the annotations that point at it, each with its place from 1."""

    line: int
    path: str
    entry: Mapping[str, Any]
    annotations: list[tuple[int, Mapping[str, Any]]] = field(default_factory=list)

    @property
    def part(self) -> str | None:
        """The field ``part``, or ``split``, if it is text."""
        part = self.entry.get("part", self.entry.get("split"))
        return part_name(part) if isinstance(part, str) and is_text(part) else None

    @property
    def width_px(self) -> float | None:
        """The field ``width``, if it is a number above 0."""
        return _side(self.entry.get("width"))

    @property
    def height_px(self) -> float | None:
        """The field ``height``, if it is a number above 0."""
        return _side(self.entry.get("height"))


class CocoFile:
    """A file while it is read: its parts, what was understood so far, and what could not be.

    Args:
        path: The JSON file.
        expected: What it should be, for messages.
        closed: The user's class list, None to take the file's.
        is_class: Category id and name to whether it is a class; None if the file needs no categories.

    Raises:
        UsageError: If it is no JSON object or lacks a list that it needs.
    """

    def __init__(
        self,
        path: Path,
        expected: str,
        closed: tuple[str, ...] | None,
        is_class: Callable[[str, str], bool] | None = None,
    ) -> None:
        self.path = path
        document = read_json(path, expected)
        self.problems: list[Problem] = []
        self.records: list[Record] = []
        self.outside: Counter[str] = Counter()
        self.has_annotations = "annotations" in document
        entries = list_of(document, "images", path, expected)
        annotations = list_of(document, "annotations", path, expected) if self.has_annotations else []
        self.category_lines: dict[str, int] = {}
        self.names: dict[str, str] = {}
        if is_class is not None:
            self.names = self._read_categories(list_of(document, "categories", path, expected))
        named = [name for key, name in self.names.items() if is_class is not None and is_class(key, name)]
        self._unknown_names = frozenset(filter(is_unknown, self.names.values()))
        own = classes_of(document, path)
        self.classes = ClassList.of(named if own is None else own, closed)
        self._pictures = deque(self._read_pictures(entries, annotations))

    def _read_categories(self, entries: list[Any]) -> dict[str, str]:
        """Return id to name in the order of ids, numbers first; two ids with one name are one class."""
        names: dict[str, str] = {}
        for line, entry in enumerate(entries, start=1):
            try:
                if not isinstance(entry, dict) or not is_text(entry.get("name")):
                    raise ValueError(f"it should be an object with an id and a name, not {show(entry)}")
                category_id, name = key_of(entry.get("id")), clean_name(entry["name"])
                if names.setdefault(category_id, name) != name:
                    raise ValueError(f"id {category_id} is {names[category_id]!r} already; {name!r} is left out")
                self.category_lines.setdefault(name, line)
            except ValueError as error:
                self.problems.append(Problem(line, f"category {line}: {error}"))
        return dict(sorted(names.items(), key=lambda pair: _order_of_id(pair[0])))

    def _read_pictures(self, entries: list[Any], annotations: list[Any]) -> list[Picture]:
        """Return all pictures in the file's order, each with its annotations.

        A file that is listed twice is one picture, and what is said of either counts. Two files with one id cannot be
        told apart by their annotations: both are left out.
        """
        by_id: dict[str, Picture] = {}
        by_file: dict[str, Picture] = {}
        left_out: set[str] = set()
        for line, entry in enumerate(entries, start=1):
            try:
                picture_id, picture = _picture(line, entry)
                first = by_id.get(picture_id, picture)
                if first.path != picture.path:
                    left_out |= {first.path, picture.path}
                    both = f"{show(first.path)} and {show(picture.path)}"
                    raise ValueError(f"id {picture_id} stands for {both}; both are left out")
                by_id[picture_id] = same = by_file.setdefault(picture.path, picture)
                if same is not picture:
                    raise ValueError(f"{show(picture.path)} is image {same.line} already; they are read as one")
            except ValueError as error:
                self.problems.append(Problem(line, f"image {line}: {error}"))
        for line, entry in enumerate(annotations, start=1):
            try:
                if not isinstance(entry, dict):
                    raise ValueError(f"it should be an object, not {show(entry)}")
                picture_id = key_of(entry.get("image_id"))
                if picture_id not in by_id:
                    raise ValueError(f"there is no image with the id {show(picture_id)}")
                by_id[picture_id].annotations.append((line, entry))
            except ValueError as error:
                self.problems.append(Problem(line, f"annotation {line}: {error}"))
        return [picture for picture in by_file.values() if picture.path not in left_out]

    def take_pictures(self) -> Iterator[Picture]:
        """Yield all pictures in the file's order, each once: what was taken is forgotten, to save memory."""
        while self._pictures:
            yield self._pictures.popleft()

    def see(self, picture: Picture) -> Seen:
        """Return what the annotations of one picture say.

        A crowd region says that the class is there; it is no box, because it is drawn around many. An annotation
        without a box says that the class is there; one whose box is broken still does, and is a problem.
        """
        seen = Seen()
        for line, entry in picture.annotations:
            try:
                name = self._category_of(entry)
            except ValueError as error:
                seen.is_sure = False
                self.problems.append(Problem(line, f"annotation {line} of {show(picture.path)}: {error}"))
                continue
            if self.classes.excludes(name):
                self.outside[name] += 1
                continue
            seen.found.add(name)
            seen.is_sure = seen.is_sure and name not in self._unknown_names
            try:
                if entry.get("iscrowd") in (1, "1"):
                    seen.crowds.append(name)
                elif (box := _box(name, entry, picture)) is not None:
                    seen.boxes.append(box)
            except ValueError as error:
                self.problems.append(Problem(line, f"annotation {line} of {show(picture.path)}: {error}"))
        return seen

    def _category_of(self, entry: Mapping[str, Any]) -> str:
        """Return the name of an annotation's category."""
        category_id = key_of(entry.get("category_id"))
        if category_id not in self.names:
            raise ValueError(f"there is no category with the id {show(category_id)}")
        return self.names[category_id]

    def add(self, record: Record, entry: Mapping[str, Any]) -> None:
        """Keep a record with what its entry's ``mekiki`` object says put over it; a problem if that is broken."""
        try:
            whole = with_extras(record, entry)
        except ValueError as error:
            self.problems.append(Problem(record.line, f"image {record.line}: {error}"))
            return
        if whole is not record:
            whole = replace(whole, labels=self.classes.keep(whole.labels, self.outside))
        self.records.append(whole)

    def sheet(self, format_name: str) -> Sheet:
        """Return all records that were added, and the folder that their pictures are in."""
        problems = self.problems + outside_problems(self.outside, self.category_lines, self.classes.wanted)
        base = find_base(self.path, [record.path for record in self.records])
        return Sheet(format_name, self.classes.wanted, tuple(self.records), tuple(problems), base=base)


def _picture(line: int, entry: object) -> tuple[str, Picture]:
    """Return the id and the picture of one entry of ``images``."""
    if not isinstance(entry, dict):
        raise ValueError(f"it should be an object, not {show(entry)}")
    if not is_text(entry.get("file_name")):
        raise ValueError(f"its file_name should be text, not {show(entry.get('file_name'))}")
    return key_of(entry.get("id")), Picture(line, entry["file_name"], entry)


def _box(name: str, entry: Mapping[str, Any], picture: Picture) -> BoxClaim | None:
    """Return the box of an annotation, None if it has none."""
    corners: XYXY
    if entry.get("bbox"):
        corners = xywh_px(entry["bbox"], picture.width_px, picture.height_px)
    elif entry.get("bbox_relative"):
        corners = xywh_relative(entry["bbox_relative"])
    else:
        return None
    score = 1.0 if entry.get("score") is None else share(entry["score"])
    return BoxClaim(name, corners, score, is_relative=not entry.get("bbox"))


def _side(value: object) -> float | None:
    try:
        side = number(value)
    except ValueError:
        return None
    return side if side > 0 else None


def _order_of_id(key: str) -> tuple[int, int]:
    is_number = key.removeprefix("-").isdecimal() and key.isascii() and len(key) < 20
    return (0, int(key)) if is_number else (1, 0)
