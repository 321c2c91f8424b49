"""MegaDetector batch JSON: what a detector found in each picture, with its confidence.

Boxes come with the confidence as score and in shares of the picture's sides. A detector is no annotator: there are no
labels and no classes, and a picture without detections says nothing. Format versions 1.x are read; fields that came
or went with a version (``max_detection_conf``, ``frames_processed``) are not needed.

The best guess of a classifier over all boxes of a picture becomes the attributes ``top_class`` and
``top_class_score``; the detector's name the attribute ``detector``; an image's other fields that are text or numbers
attributes as well. A file that the detector could not read (``failure``) is a problem. A video is one record without
boxes, and one more, with the video's path, for each frame in which something was found. Detections of categories that
the file does not list count as none, as the format wants it; a note says how many.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mekiki.dataset.formats.base import BoxClaim, OutItem, Problem, ReadOptions, Record, Sheet, WriteOptions
from mekiki.dataset.formats.box_fields import to_relative, xywh_relative
from mekiki.dataset.formats.cells import local_time
from mekiki.dataset.formats.class_lists import ClassList, outside_problems
from mekiki.dataset.formats.extras import (
    KEY,
    classes_of,
    extras_of,
    own_format,
    own_header,
    with_extras,
    without_answers,
)
from mekiki.dataset.formats.json_files import (
    frame_index,
    is_text,
    key_of,
    kind_of,
    list_of,
    number,
    read_json,
    scalars,
    share,
    show,
    sniff_json,
    write_json,
)
from mekiki.dataset.formats.media_files import place_media
from mekiki.dataset.formats.out_rows import all_classes
from mekiki.dataset.formats.picture_folder import find_base
from mekiki.errors import UsageError

FORMAT_VERSION = "1.4"
"""The version that is written."""

_EXPECTED = "a MegaDetector batch file with 'images' and 'detection_categories'"
_NOT_ATTRIBUTES = frozenset(("file", "failure", "max_detection_conf", "width", "height", "datetime"))
_USUAL_IDS = {"animal": "1", "person": "2", "vehicle": "3"}


@dataclass(frozen=True, slots=True)
class Detection:
    """One detection: its box, the frame of a video that it is in, and a classifier's best guess."""

    box: BoxClaim
    frame_number: int | None
    guess: tuple[float, str] | None


class MegaDetector:
    """Results of MegaDetector, and of whatever else writes its format."""

    name = "megadetector"

    @staticmethod
    def matches(path: Path) -> bool:
        """Return whether a ``.json`` file has pictures and detection categories."""
        keys, text = sniff_json(path)
        return own_format(text) in (None, MegaDetector.name) and {"images", "detection_categories"} <= keys

    @staticmethod
    def read(path: Path, options: ReadOptions) -> Sheet:
        """Return every picture and video that was processed, with its boxes.

        Raises:
            UsageError: If the file is no JSON, lacks a list that it needs, or is of a version after 1.
        """
        document = read_json(path, _EXPECTED)
        reading = _Reading(document, path, options)
        for line, entry in enumerate(list_of(document, "images", path, _EXPECTED), start=1):
            try:
                reading.add(line, entry)
            except ValueError as error:
                about = entry.get("file") if isinstance(entry, dict) else None
                named = about if isinstance(about, str) and is_text(about) else ""
                reading.problems.append(Problem(line, f"image {line}: {error}", named))
        return Sheet(
            MegaDetector.name,
            reading.classes.wanted,
            tuple(reading.records),
            tuple(reading.problems + outside_problems(reading.outside, {}, reading.classes.wanted)),
            base=find_base(path, reading.lines),
            notes=reading.notes(),
        )

    @staticmethod
    def write(items: Sequence[OutItem], folder: Path, options: WriteOptions) -> list[Path]:
        """Write ``detections.json`` with one entry per item; what it has no field for as `extras` describes.

        ``animal``, ``person`` and ``vehicle`` have their usual numbers, other classes of boxes follow from 4. Boxes are
        clipped to the picture.
        """
        paths = place_media(items, folder, options)
        bare = [without_answers(item) for item in items] if options.skeleton else list(items)
        names = sorted({box.class_name for item in bare for box in item.boxes})
        others = [name for name in names if name not in _USUAL_IDS]
        ids = _USUAL_IDS | {name: str(number) for number, name in enumerate(others, start=4)}
        detectors = {item.attributes.get("detector") for item in bare}
        detector = detectors.pop() if len(detectors) == 1 else None
        info = {"format_version": FORMAT_VERSION} | ({"detector": detector} if detector else {})
        classes = all_classes(bare, options)
        images = []
        for item in bare:
            native = Record(paths[item.item_id], 1, boxes=item.boxes)
            native = replace(native, attributes={"detector": detector} if detector else {})
            kept = extras_of(item, native, classes, folder)
            entry = {"file": native.path, "detections": [_detection_entry(box, item, ids) for box in item.boxes]}
            images.append(entry | ({KEY: kept} if kept else {}))
        categories = {ids[name]: name for name in sorted(names, key=lambda name: int(ids[name]))}
        document = {"info": info, **own_header(MegaDetector.name, classes), "detection_categories": categories}
        return [write_json(folder / "detections.json", document | {"images": images})]


class _Reading:
    """A file while it is read: what was understood so far, and what could not be."""

    def __init__(self, document: Mapping[str, Any], path: Path, options: ReadOptions) -> None:
        info = document.get("info")
        info = info if isinstance(info, dict) else {}
        _check_version(info.get("format_version"), path)
        detector = info.get("detector")
        self.common = {"detector": detector} if isinstance(detector, str) and is_text(detector) else {}
        self.categories = _names_of(document, "detection_categories", path)
        self.guesses = _names_of(document, "classification_categories", path, is_needed=False)
        self.classes = ClassList.of(classes_of(document, path) or (), options.classes)
        self.problems: list[Problem] = []
        self.outside: Counter[str] = Counter()
        self.lines: dict[str, int] = {}
        self.records: list[Record] = []
        self.n_unlisted = 0

    def add(self, line: int, entry: object) -> None:
        """Keep one entry of ``images``; ValueError if nothing can be made of it."""
        if not isinstance(entry, dict):
            raise ValueError(f"it should be an object, not {show(entry)}")
        path = entry.get("file")
        if not isinstance(path, str) or not is_text(path):
            raise ValueError(f"its file should be text, not {show(path)}")
        if path in self.lines:
            raise ValueError(f"{show(path)} is image {self.lines[path]} already; this one is left out")
        if entry.get("failure"):
            raise ValueError(f"the detector could not read {show(path)}: {show(entry['failure'])}")
        if not isinstance(entry.get("detections"), list):
            raise ValueError(f"{show(path)} has neither a list of detections nor a failure")
        found = list(self._detections(line, entry["detections"], path))
        attributes = self.common | scalars(entry, without=_NOT_ATTRIBUTES)
        guesses = [one.guess for one in found if one.guess is not None]
        if guesses:
            score, name = max(guesses, key=lambda guess: guess[0])
            attributes |= {"top_class": name, "top_class_score": f"{score:g}"}
        in_frames = [one for one in found if one.frame_number is not None]
        boxes = tuple(one.box for one in found if one.frame_number is None)
        time = entry.get("datetime")
        captured_at = local_time(time) if isinstance(time, str) else None
        record = with_extras(Record(path, line, boxes=boxes, attributes=attributes, captured_at=captured_at), entry)
        self.lines[path] = line
        self.records.append(replace(record, labels=self.classes.keep(record.labels, self.outside)))
        self.records += _frame_records(record, in_frames, entry.get("frame_rate"))

    def notes(self) -> tuple[str, ...]:
        """Return what was left out and is no failure."""
        if not self.n_unlisted:
            return ()
        return (f"detections of categories that are not in detection_categories, left out: {self.n_unlisted}",)

    def _detections(self, line: int, entries: list[Any], path: str) -> Iterator[Detection]:
        """Yield the detections of one picture; what is broken of them is a problem."""
        for position, entry in enumerate(entries, start=1):
            where = f"image {line}, detection {position} of {show(path)}"
            try:
                if self._is_unlisted(entry):
                    self.n_unlisted += 1
                    continue
                box, frame_number = self._box(entry)
            except ValueError as error:
                self.problems.append(Problem(line, f"{where}: {error}", path, "box"))
                continue
            guess = None
            try:
                guess = self._best_guess(entry.get("classifications"))
            except ValueError as error:
                self.problems.append(Problem(line, f"{where}: the box is kept, but {error}", path, "guess"))
            yield Detection(box, frame_number, guess)

    def _is_unlisted(self, entry: object) -> bool:
        """Return whether a detection is of a category that the file does not list: the format says to pass it over."""
        if not isinstance(entry, dict):
            raise ValueError(f"it should be an object, not {show(entry)}")
        return key_of(entry.get("category")) not in self.categories

    def _box(self, entry: Mapping[str, Any]) -> tuple[BoxClaim, int | None]:
        """Return the box of one detection and the frame that it is in."""
        category_id = key_of(entry.get("category"))
        try:
            score = share(entry.get("conf"))
        except ValueError as error:
            raise ValueError(f"its conf: {error}") from error
        frame = entry.get("frame_number")
        box = BoxClaim(self.categories[category_id], xywh_relative(entry.get("bbox")), score, is_relative=True)
        return box, None if frame is None else frame_index(frame)

    def _best_guess(self, entries: object) -> tuple[float, str] | None:
        """Return score and class of the likeliest of a list of ``[category, score]``; None if there is none."""
        guesses = []
        for pair in entries if isinstance(entries, list) else []:
            if not isinstance(pair, list) or len(pair) != 2:
                raise ValueError(f"a classification should be a category and a score, not {show(pair)}")
            category_id = key_of(pair[0])
            if category_id not in self.guesses:
                raise ValueError(f"its class {show(category_id)} is not in classification_categories")
            guesses.append((share(pair[1]), self.guesses[category_id]))
        return max(guesses, key=lambda guess: guess[0], default=None)


def _frame_records(video: Record, found: Sequence[Detection], frame_rate: object) -> list[Record]:
    """Return one record per frame of a video, in the order of frames."""
    try:
        rate = number(frame_rate)
    except ValueError:
        rate = 0.0
    by_frame: dict[int, list[BoxClaim]] = {}
    for one in found:
        if one.frame_number is not None:
            by_frame.setdefault(one.frame_number, []).append(one.box)
    return [
        Record(video.path, video.line, boxes=tuple(boxes), frame_index=index, time_s=index / rate if rate > 0 else None)
        for index, boxes in sorted(by_frame.items())
    ]


def _names_of(document: Mapping[str, Any], key: str, path: Path, *, is_needed: bool = True) -> dict[str, str]:
    """Return an object of id to name."""
    names = document.get(key) if is_needed else document.get(key) or {}
    if not isinstance(names, dict) or not all(is_text(name) for name in names.values()):
        found = kind_of(names) if not isinstance(names, dict) else "one with a name that is no text"
        raise UsageError(f"{path} is not {_EXPECTED}: {key!r} should be an object of names, and is {found}")
    return names


def _check_version(version: object, path: Path) -> None:
    """Refuse files of a later major version; a file without a version is an early one."""
    match = re.match(r"\s*(\d{1,9})", str(version)) if isinstance(version, str | float | int) else None
    if match and int(match[1]) > 1:
        raise UsageError(f"{path} has format_version {show(version)}; MegaDetector files of version 1 are read")


def _detection_entry(box: BoxClaim, item: OutItem, ids: Mapping[str, str]) -> dict[str, Any]:
    x_min, y_min, x_max, y_max = to_relative(box, item)
    bbox = [round(value, 7) for value in (x_min, y_min, x_max - x_min, y_max - y_min)]
    return {"category": ids[box.class_name], "conf": box.score, "bbox": bbox}
