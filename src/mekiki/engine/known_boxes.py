"""Boxes that nobody has to find: those in a file of MegaDetector's, and those that came with label files."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice

import numpy as np

from mekiki.catalog.db import Catalog
from mekiki.catalog.detected import boxes_from_files
from mekiki.catalog.importing import Entry, plan_import
from mekiki.catalog.items import select_items
from mekiki.catalog.results import hash_rows
from mekiki.catalog.runs import CHUNK
from mekiki.catalog.sources import find_known
from mekiki.dataset.claims import box_in_px
from mekiki.dataset.formats.base import Problem
from mekiki.dataset.formats.reading import LabelFiles, PathRules
from mekiki.dataset.ids import content_id
from mekiki.errors import DataError, UnreadableError, UsageError
from mekiki.media.detections import Detections
from mekiki.models.detect import DetectorOpening
from mekiki.models.detect_files import read_box_file
from mekiki.records import counted

OneBox = tuple[str, float, tuple[float, float, float, float]]
"""Class, score and ``x_min, y_min, x_max, y_max`` in pixels of the full picture."""


@dataclass(frozen=True, slots=True)
class Broken:
    """What cannot be used: file and line, what is wrong there, and the item that it is about, if one is known."""

    place: str
    problem: Problem
    item_id: str

    @property
    def is_entry(self) -> bool:
        """Whether a whole entry is lost."""
        return self.problem.lost == "entry"


@dataclass(frozen=True, slots=True)
class KnownBoxes:
    """What was said of pictures by somebody who looked at them before.

    Attributes:
        of_item: Item id to boxes, for every item of which something is said; that may be that there are none.
        said: Stands for all boxes of all items, wherever the paths that lead to them start.
        refused: Item id to why, of items of which something was said that cannot be used, and nothing else.
        strays: Id to why, of entries that cannot be used and are about no item that is known.
        boxes_refused: Item id to how many of its boxes cannot be used.
        facts: Counts for the summary: entries that are of no use here.
        notes: The same for the user.
    """

    of_item: Mapping[str, Detections]
    said: str
    refused: Mapping[str, UnreadableError] = field(default_factory=dict)
    strays: Mapping[str, UnreadableError] = field(default_factory=dict)
    boxes_refused: Mapping[str, int] = field(default_factory=dict)
    facts: dict[str, int] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    @property
    def spoken_of(self) -> frozenset[str]:
        """Ids of the items of which anything is said, be it of use or not."""
        return frozenset({*self.of_item, *self.refused})


def read_known_boxes(catalog: Catalog, opening: DetectorOpening, rules: PathRules) -> KnownBoxes:
    """Return the boxes that ``megadetector:FILE`` or ``import`` stands for.

    Raises:
        UsageError: If there is no such file, or none of the boxes is of a wanted class.
        DataError: If nothing is said of any item of the workspace.
    """
    known = _from_workspace(catalog, opening) if opening.kind == "import" else _from_file(catalog, opening, rules)
    opening.wanted_rows(sorted({name for found in known.of_item.values() for name in found.class_names}))
    return known


def _from_workspace(catalog: Catalog, opening: DetectorOpening) -> KnownBoxes:
    if opening.what:
        raise UsageError(f"detector import reads the workspace and no file, got {opening.name!r}. Type: import")
    stored = boxes_from_files(catalog)
    if not stored:
        raise DataError(
            f"no label file has brought boxes to {catalog.workspace}: mekiki ingest --labels FILE, with a COCO, YOLO "
            "or MegaDetector file"
        )
    return _known({item_id: [(box.class_name, box.score, box.xyxy) for box in stored[item_id]] for item_id in stored})


def _from_file(catalog: Catalog, opening: DetectorOpening, rules: PathRules) -> KnownBoxes:
    files = read_box_file(opening, rules)
    entries = [Entry(str(path), record, video_path) for path, record, video_path in files.entries()]
    plan = plan_import(catalog, entries, files.classes)
    broken = _find_broken(catalog, files)
    lost = [one for one in broken if one.is_entry]
    if not plan.claims and lost and not entries:
        raise DataError(
            f"no entry in {opening.what} can be used ({counted(len(lost), 'entries')}, the first is {lost[0].place}: "
            f"{lost[0].problem.reason})"
        )
    if not plan.claims:
        first = f", the first is {entries[0].path}" if entries else ""
        raise DataError(
            f"no entry in {opening.what} is about an item of the workspace ({counted(len(entries), 'entries')}{first}"
            "): mekiki ingest the files first, or say where paths start with --root"
        )
    of_item = {
        item_id: [(box.class_name, box.score, box_in_px(box, *plan.sizes[item_id])) for box in claims.boxes]
        for item_id, claims in plan.claims.items()
    }
    facts = {
        "n_entries": len(entries),
        "n_without_item": plan.n_waiting,
        "n_frames_not_taken": plan.n_not_taken,
        "n_entries_refused": len(lost),
    }
    waiting, not_taken = (counted(n, "entries are") for n in (plan.n_waiting, plan.n_not_taken))
    told = {
        f"{waiting} about files that are not in the workspace: mekiki ingest them": plan.n_waiting,
        f"{not_taken} about frames that have not been taken out of their video": plan.n_not_taken,
    }
    notes = [note for sheet in files.sheets for note in sheet.notes] + [note for note, n in told.items() if n]
    notes += _told_of_boxes(broken)
    refused, strays = _failures(catalog, broken, of_item)
    return replace(_known(of_item, broken), refused=refused, strays=strays, facts=facts, notes=notes)


def _known(of_item: Mapping[str, list[OneBox]], broken: Sequence[Broken] = ()) -> KnownBoxes:
    n_refused = Counter(one.item_id for one in broken if one.problem.lost == "box" and one.item_id in of_item)
    said = hash_rows((item_id, of_item[item_id], n_refused[item_id]) for item_id in sorted(of_item))
    found = {item_id: _detections(boxes) for item_id, boxes in of_item.items()}
    return KnownBoxes(found, said, boxes_refused=dict(n_refused))


def _find_broken(catalog: Catalog, files: LabelFiles) -> list[Broken]:
    """Return what cannot be used, with the items that it is about."""
    found: list[Broken] = []
    stream = files.broken()
    while chunk := list(islice(stream, CHUNK)):
        stored = ["" if path is None else catalog.relative(path) for _, _, path in chunk]
        known = find_known(catalog, stored)
        for (place, problem, _), name in zip(chunk, stored, strict=True):
            found.append(Broken(place, problem, known[name].item_id if name in known else ""))
    return found


def _failures(
    catalog: Catalog, broken: Sequence[Broken], of_item: Collection[str]
) -> tuple[dict[str, UnreadableError], dict[str, UnreadableError]]:
    """Return the failures of items, those of a video's frames among them, and of entries about no known item."""
    lost = [(one.item_id, UnreadableError(one.place, one.problem.reason)) for one in broken if one.is_entry]
    strays = {content_id(f"entry:{error}".encode()): error for item_id, error in lost if not item_id}
    refused = {item_id: error for item_id, error in lost if item_id and item_id not in of_item}
    frames = select_items(catalog, ["frame"]) if refused else ()
    own = {one.item_id: refused[one.parent_id] for one in frames if one.parent_id in refused}
    return {**{item_id: error for item_id, error in own.items() if item_id not in of_item}, **refused}, strays


def _told_of_boxes(broken: Sequence[Broken]) -> list[str]:
    boxes = [one for one in broken if one.problem.lost == "box"]
    return [
        f"{counted(len(boxes), 'boxes')} cannot be used, the first is {one.place}: {one.problem.reason}"
        for one in boxes[:1]
    ]


def _detections(listed: list[OneBox]) -> Detections:
    return Detections(
        np.array([box for _, _, box in listed], np.float32).reshape(-1, 4),
        np.array([score for _, score, _ in listed], np.float32),
        tuple(name for name, _, _ in listed),
    )
