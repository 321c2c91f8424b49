"""Writing what label files say into the catalog."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from mekiki.catalog.attributes import write_attributes
from mekiki.catalog.db import Catalog, Transaction
from mekiki.catalog.items import GroupRow, find_item_by_path, write_classes, write_groups
from mekiki.catalog.results import BoxRow, CaptionRow, LabelRow, hash_rows, write_boxes, write_captions, write_labels
from mekiki.catalog.runs import CHUNK
from mekiki.catalog.sources import KnownFile, find_known
from mekiki.catalog.vector_rows import has_rows, rows_called
from mekiki.dataset.claims import Claims, box_in_px
from mekiki.dataset.formats.base import Record

FRAME_TOLERANCE_S = 0.002
"""How far an entry's time may be from a frame's; label files round to milliseconds."""


class Entry(NamedTuple):
    """One entry of a label file with the real path of its file, and of the video that its frame comes from."""

    path: str
    record: Record
    video_path: Path | None = None


@dataclass(slots=True)
class ImportPlan:
    """What is about to be written.

    Attributes:
        classes: All class names, in the order of the files.
        claims: Item id to all that is said of it.
        sizes: Item id to width and height in pixels.
        n_not_taken: Entries about frames of known videos that are not in the catalog.
        n_waiting: Entries whose file is not in the catalog.
    """

    classes: tuple[str, ...]
    claims: dict[str, Claims] = field(default_factory=dict)
    sizes: dict[str, tuple[int, int]] = field(default_factory=dict)
    n_not_taken: int = 0
    n_waiting: int = 0

    def fingerprint(self) -> str:
        """Return a hash of which items are spoken of."""
        return hash_rows([self.classes, *((item_id,) for item_id in sorted(self.claims))])

    def attributes(self) -> dict[str, dict[str, str]]:
        """Return item id to the attributes that it is about to get."""
        found: dict[str, dict[str, str]] = {}
        for item_id, name, value in _attributes(self):
            found.setdefault(item_id, {})[name] = value
        return found

    def conflicts(self) -> dict[str, list[str]]:
        """Return item id to the classes on which entries disagree."""
        return {item_id: names for item_id, claims in self.claims.items() if (names := claims.conflicts())}


def plan_import(catalog: Catalog, entries: Iterable[Entry], classes: Sequence[str]) -> ImportPlan:
    """Find the items that entries speak of.

    An entry with a time or a frame number about a video speaks of that frame, if it has been taken out. So does one
    about a picture that is not in the catalog, where the video that it names is; and one about a picture whose vector
    an index names.

    Args:
        catalog: Where the items are.
        entries: In the order of the files.
        classes: All class names.
    """
    plan = ImportPlan(tuple(classes))
    stream = iter(entries)
    has_index = has_rows(catalog)
    while chunk := list(islice(stream, CHUNK)):
        stored = [catalog.relative(entry.path) for entry in chunk]
        known = find_known(catalog, stored)
        videos = [_video_of(catalog, entry) for entry in chunk]
        known_videos = find_known(catalog, [one for one in dict.fromkeys(videos) if one])
        for name, video, entry in zip(stored, videos, chunk, strict=True):
            if name in known:
                _add(catalog, plan, known[name], entry.record)
                _tie_to_video(catalog, plan, entry)
            elif video in known_videos:
                _add(catalog, plan, known_videos[video], entry.record)
            elif has_index and (rows := rows_called(catalog, entry.record.path)):
                for one in find_known(catalog, rows).values():
                    _add(catalog, plan, one, entry.record)
            else:
                plan.n_waiting += 1
    return plan


def write_import(transaction: Transaction, plan: ImportPlan, annotator: str) -> int:
    """Write what was planned and return how many rows.

    Args:
        transaction: Of stage ``ingest`` or ``annotate``.
        plan: From `plan_import`.
        annotator: Who says so.
    """
    write_classes(transaction, plan.classes)
    n_rows = write_labels(transaction, _labels(plan, annotator))
    n_rows += write_boxes(transaction, _boxes(plan))
    n_rows += write_captions(transaction, _captions(plan, annotator))
    n_rows += write_groups(transaction, _groups(plan))
    n_rows += write_attributes(transaction, _attributes(plan))
    return n_rows


def write_imported_labels(transaction: Transaction, plan: ImportPlan, annotator: str) -> int:
    """Write only who says what is to be seen, with the reasons and other attributes given; return how many rows.

    Args:
        transaction: Of stage ``annotate``, which adds to what is known of items and not to what they are.
        plan: From `plan_import`.
        annotator: Who says so.
    """
    write_classes(transaction, plan.classes)
    n_rows = write_labels(transaction, _labels(plan, annotator))
    told = ((item_id, *pair) for item_id, claims in plan.claims.items() for pair in claims.attributes.items())
    return n_rows + write_attributes(transaction, told)


def _video_of(catalog: Catalog, entry: Entry) -> str:
    """Return the stored path of the video in which an entry means one frame; empty if it means none."""
    is_frame = entry.record.frame_index is not None or entry.record.time_s is not None
    return catalog.relative(entry.video_path) if is_frame and entry.video_path is not None else ""


def _add(catalog: Catalog, plan: ImportPlan, known: KnownFile, record: Record) -> None:
    item_id = known.item_id
    if known.kind == "video" and (record.frame_index is not None or record.time_s is not None):
        frame_id = _find_frame(catalog, item_id, record)
        if frame_id is None:
            plan.n_not_taken += 1
            return
        item_id = frame_id
    plan.claims.setdefault(item_id, Claims()).add(record)
    if record.boxes:
        plan.sizes[item_id] = (known.width_px, known.height_px)


def _find_frame(catalog: Catalog, video_id: str, record: Record) -> str | None:
    """Return the frame of a video that an entry means: by its number if it has one, else by its time."""
    if record.frame_index is not None:
        sql = "SELECT item_id FROM items WHERE parent_id = ? AND kind = 'frame' AND frame_index = ?"
        found = catalog.value(sql, (video_id, record.frame_index))
    else:
        sql = (
            "SELECT item_id FROM items WHERE parent_id = ? AND kind = 'frame' AND abs(time_s - ?) <= ? "
            "ORDER BY abs(time_s - ?) LIMIT 1"
        )
        found = catalog.value(sql, (video_id, record.time_s, FRAME_TOLERANCE_S, record.time_s))
    return None if found is None else str(found)


def _tie_to_video(catalog: Catalog, plan: ImportPlan, entry: Entry) -> None:
    """Put a frame's video, where it is known too, into the frame's source group."""
    if entry.video_path is None or "source" not in entry.record.groups:
        return
    video_id = find_item_by_path(catalog, entry.video_path)
    if video_id is not None:
        plan.claims.setdefault(video_id, Claims()).groups.add(("source", entry.record.groups["source"]))


def _labels(plan: ImportPlan, annotator: str) -> Iterator[LabelRow]:
    for item_id, claims in plan.claims.items():
        for name, state, confidence in claims.states(plan.classes):
            yield LabelRow(item_id, name, annotator, state, confidence)


def _boxes(plan: ImportPlan) -> Iterator[BoxRow]:
    for item_id, claims in plan.claims.items():
        for position, box in enumerate(claims.boxes):
            xyxy = box_in_px(box, *plan.sizes[item_id])
            yield BoxRow(item_id, position, box.class_name, box.score, xyxy)


def _captions(plan: ImportPlan, annotator: str) -> Iterator[CaptionRow]:
    for item_id, claims in plan.claims.items():
        for position, text in enumerate(claims.captions):
            yield CaptionRow(item_id, position, annotator, text)


def _groups(plan: ImportPlan) -> Iterator[GroupRow]:
    for item_id, claims in plan.claims.items():
        for kind, key in sorted(claims.groups):
            yield GroupRow(kind, key, item_id)


def _attributes(plan: ImportPlan) -> Iterator[tuple[str, str, str]]:
    for item_id, claims in plan.claims.items():
        yield from ((item_id, name, value) for name, value in claims.attributes.items())
        yield from ((item_id, kind, key) for kind, key in sorted(claims.groups) if kind in ("site", "camera"))
        if claims.parts:
            yield item_id, "part", "|".join(sorted(claims.parts))
