"""YOLO data sets: a ``data.yaml``, pictures, and a text file of boxes for each.

The label file of ``…/images/…/a.jpg`` is ``…/labels/…/a.txt`` (the last folder called ``images`` counts), or else
``a.txt`` beside the picture. A line is ``class x_centre y_centre width height`` in shares of the picture's sides, with
a sixth number for a score; a class and a polygon of three points or more, whose box is taken; or a box and keypoints,
which are left out, if ``kpt_shape`` says so. Every picture is taken to be searched for all classes: one whose label
file is empty or missing shows none of them. After a line whose class cannot be told, nothing is said to be absent.

A picture that is in two parts is read for both, and a note says how many there are. `Record.line` counts pictures;
the line of a problem is a line of the label file that it names.

What these files have no room for (labels that do not follow from the boxes, scores, captions, groups) is written to
``mekiki.json`` beside ``data.yaml``, as `mekiki.dataset.formats.extras` describes, and read back from there.
"""

from __future__ import annotations

import math
import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path, PurePath
from typing import Any

from mekiki.dataset.formats.base import BoxClaim, OutItem, Problem, ReadOptions, Record, Sheet, WriteOptions
from mekiki.dataset.formats.box_fields import XYXY, relative_corners
from mekiki.dataset.formats.class_lists import ClassList, Seen, is_unknown, outside_problems
from mekiki.dataset.formats.extras import KEY, classes_of, with_extras
from mekiki.dataset.formats.json_files import is_text, kind_of, read_json, show
from mekiki.dataset.formats.looking import has_file, has_folder
from mekiki.dataset.formats.yolo_out import EXTRAS_NAME, write_yolo
from mekiki.dataset.formats.yolo_yaml import YoloYaml, find_place, find_yaml, iter_pictures, read_yaml
from mekiki.errors import UsageError

MAX_LABEL_BYTES = 20_000_000
"""Largest label file of one picture that is read."""


class Yolo:
    """Folders for YOLO."""

    name = "yolo"

    @staticmethod
    def matches(path: Path) -> bool:
        """Return whether a ``.yaml`` file, or the one in a folder, has class names and a part."""
        return find_yaml(path) is not None

    @staticmethod
    def read(path: Path, options: ReadOptions) -> Sheet:
        """Return every picture of every part with its boxes and the labels that follow from them.

        Args:
            path: The ``data.yaml`` or its folder.
            options: Only ``classes`` matters.

        Raises:
            UsageError: If there is no ``data.yaml``, it is broken, or none of its folders exists.
        """
        yaml_path = find_yaml(path) if has_folder(path) else path
        if yaml_path is None:
            raise UsageError(
                f"{path} holds no data.yaml with 'names' and 'train', or several: give the one that is meant"
            )
        data = read_yaml(yaml_path)
        own, kept = _read_kept(yaml_path.parent / EXTRAS_NAME)
        reading = _Reading(data, ClassList.of(data.names.values() if own is None else own, options.classes), kept)
        reading.read_parts()
        problems = reading.problems + outside_problems(reading.outside, {}, reading.classes.wanted)
        return Sheet(
            Yolo.name,
            reading.classes.wanted,
            tuple(reading.records),
            tuple(problems),
            base=yaml_path.parent,
            notes=reading.notes(),
        )

    @staticmethod
    def write(items: Sequence[OutItem], folder: Path, options: WriteOptions) -> list[Path]:
        """Write a data set; see `mekiki.dataset.formats.yolo_out.write_yolo`."""
        return write_yolo(items, folder, options)


class _Reading:
    """A data set while it is read: what was understood so far, and what could not be."""

    def __init__(self, data: YoloYaml, classes: ClassList, kept: Mapping[str, Any]) -> None:
        self.data = data
        self.classes = classes
        self.kept = kept
        self.problems: list[Problem] = []
        self.outside: Counter[str] = Counter()
        self.records: list[Record] = []
        self.parts_of: dict[str, list[str]] = {}

    def read_parts(self) -> None:
        """Read all pictures of all parts.

        Raises:
            UsageError: If no part is where it should be.
        """
        n_found = 0
        missing = []
        for part, places in self.data.parts.items():
            for written in places:
                place = find_place(written, self.data)
                if place is None:
                    missing.append(
                        f"{part}: {show(written)} is no folder or .txt file in {self.data.root}, or is above it"
                    )
                    continue
                n_found += 1
                for picture in iter_pictures(place, self.data):
                    self._add(picture, part)
        if not n_found:
            raise UsageError(f"{self.data.path} points at nothing: {'; '.join(missing)}. Mend 'path' in it.")
        self.problems += [Problem(1, reason) for reason in missing]

    def notes(self) -> tuple[str, ...]:
        """Return which parts share pictures."""
        shared = Counter(" and ".join(parts) for parts in self.parts_of.values() if len(parts) > 1)
        return tuple(f"pictures that are in {parts} at once: {n}" for parts, n in shared.items())

    def _add(self, picture: Path, part: str) -> None:
        """Keep what the label file of one picture says."""
        spelled = _spelled(picture, self.data.path.parent)
        if not is_text(spelled):
            self.problems.append(Problem(1, f"{part}: the file name {spelled!a} is no Unicode text"))
            return
        parts = self.parts_of.setdefault(spelled, [])
        if part in parts:
            return
        parts.append(part)
        seen = self._read_labels(picture, spelled) if len(parts) == 1 else Seen(is_sure=False)
        labels, is_complete = self.classes.claims(seen.found, is_exhaustive=seen.is_sure)
        record = Record(spelled, len(self.records) + 1, labels, is_complete, tuple(seen.boxes), part=part)
        if spelled in self.kept:
            try:
                record = with_extras(record, {KEY: self.kept[spelled]})
            except ValueError as error:
                self.problems.append(Problem(record.line, f"{EXTRAS_NAME}, {show(spelled)}: {error}"))
                return
            record = replace(record, labels=self.classes.keep(record.labels, self.outside))
        self.records.append(record)

    def _read_labels(self, picture: Path, spelled: str) -> Seen:
        """Return what the label file of a picture says; a missing one says that there is nothing."""
        seen = Seen()
        for path in _label_paths(picture):
            if not has_file(path):
                continue
            try:
                if path.stat().st_size > MAX_LABEL_BYTES:
                    raise ValueError(f"it has {path.stat().st_size:,} bytes, more than labels of one picture need")
                lines = path.read_bytes().removeprefix(b"\xef\xbb\xbf").splitlines()
            except (OSError, ValueError) as error:
                seen.is_sure = False
                self.problems.append(Problem(1, f"{path.name} of {show(spelled)} cannot be read: {error}"))
                return seen
            for number, line in enumerate(lines, start=1):
                if fields := line.split():
                    self._read_line(fields, seen, number, path)
            break
        return seen

    def _read_line(self, fields: list[bytes], seen: Seen, number: int, path: Path) -> None:
        """Add what one line says to what was seen, and what is wrong with it to the problems."""
        where = f"{_spelled(path, self.data.path.parent)}:{number}"
        try:
            name = self._class_of(fields[0])
        except ValueError as error:
            seen.is_sure = False
            self.problems.append(Problem(number, f"{where}: {error}"))
            return
        if self.classes.excludes(name):
            self.outside[name] += 1
            return
        seen.found.add(name)
        seen.is_sure = seen.is_sure and not is_unknown(name)
        try:
            corners, score = _box(fields[1:], self.data.n_keypoint_numbers)
            seen.boxes.append(BoxClaim(name, corners, score, is_relative=True))
        except ValueError as error:
            self.problems.append(Problem(number, f"{where}: {error}"))

    def _class_of(self, field: bytes) -> str:
        """Return the name of a class index."""
        try:
            index = float(field)
        except ValueError:
            index = math.nan
        if not index.is_integer():
            raise ValueError(f"{show(field)[1:]} is no class index")
        if index not in self.data.names:
            last = max(self.data.names)
            raise ValueError(f"there is no class {index:g}; data.yaml names 0 to {last}")
        return self.data.names[int(index)]


def _box(fields: list[bytes], n_keypoint_numbers: int) -> tuple[XYXY, float]:
    """Return corners and score of the numbers after the class."""
    try:
        numbers = [float(field) for field in fields]
    except ValueError:
        numbers = [math.nan]
    if not all(math.isfinite(number) for number in numbers):
        raise ValueError(f"{show(b' '.join(fields))[1:]} are not all numbers")
    score = 1.0
    if n_keypoint_numbers and len(numbers) in (4 + n_keypoint_numbers, 5 + n_keypoint_numbers):
        numbers = numbers[:4]
    elif len(numbers) == 5:
        score = numbers.pop()
        if not 0 <= score <= 1:
            raise ValueError(f"its score {score:g} is not between 0 and 1")
    if len(numbers) == 4:
        x, y, width, height = numbers
        if width <= 0 or height <= 0:
            raise ValueError(f"its box {x:g} {y:g} {width:g} {height:g} has no area")
        return relative_corners(x - width / 2, y - height / 2, x + width / 2, y + height / 2), score
    if len(numbers) >= 6 and len(numbers) % 2 == 0:
        xs, ys = numbers[::2], numbers[1::2]
        return relative_corners(min(xs), min(ys), max(xs), max(ys)), score
    raise ValueError(f"{len(numbers)} numbers after the class are neither a box (4) nor a polygon (6, 8, 10 …)")


def _label_paths(picture: Path) -> Iterator[Path]:
    """Yield where the label file of a picture may be."""
    parts = picture.parent.parts
    if "images" in parts:
        last = len(parts) - 1 - parts[::-1].index("images")
        yield Path(*parts[:last], "labels", *parts[last + 1 :], f"{picture.stem}.txt")
    yield picture.parent / f"{picture.stem}.txt"


def _spelled(path: Path, base: Path) -> str:
    """Return a path relative to ``base`` with slashes if it is inside, else as it is."""
    whole, inside = (PurePath(os.path.normpath(one.absolute())) for one in (path, base))
    return (whole.relative_to(inside) if whole.is_relative_to(inside) else whole).as_posix()


def _read_kept(path: Path) -> tuple[list[str] | None, Mapping[str, Any]]:
    """Return the class list and what is kept of each picture, from beside a data set of ours; nothing for others."""
    if not has_file(path):
        return None, {}
    document = read_json(path, "what mekiki keeps beside a data.yaml")
    pictures = document.get("pictures", {})
    if not isinstance(pictures, dict):
        raise UsageError(
            f"{path}: 'pictures' should be an object, and is {kind_of(pictures)}. Mend or remove the file."
        )
    return classes_of(document, path), pictures
