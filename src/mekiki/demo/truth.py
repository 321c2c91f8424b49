"""What is really in a world: one CSV of files, one of pictures, one of sentences.

``truth.csv`` has a row per file and can be imported as labels; ``truth_frames.csv`` has a row per picture of a clip and
one (number 0, at 0 s) per still; ``truth_captions.csv`` says in words what happens from when to when. Labels are
joined by ``;``, `mekiki.records.UNKNOWN` stands for none, times are seconds, boxes are pixels, yes and no are 1 and 0.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from mekiki.demo.scenes import Sighting
from mekiki.errors import UsageError
from mekiki.records import UNKNOWN

FILES_NAME, FRAMES_NAME, CAPTIONS_NAME = "truth.csv", "truth_frames.csv", "truth_captions.csv"
FILES_COLUMNS = (
    "filepath",
    "labels",
    "site",
    "camera",
    "captured_at",
    "event_id",
    "is_night",
    "season",
    "duplicate_of",
    "transformation",
    "is_readable",
)
FRAMES_COLUMNS = ("filepath", "frame_index", "time_s", "labels", "unsure", "boxes_json")
CAPTIONS_COLUMNS = ("filepath", "start_s", "end_s", "caption")
LABEL_SEPARATOR = ";"


@dataclass(frozen=True, slots=True)
class FileTruth:
    """One file of a world."""

    filepath: str  # below the world's folder, with slashes
    labels: tuple[str, ...]  # kinds that are present in at least one of its pictures
    site: str
    camera: str
    captured_at: datetime
    event_id: str  # stills of one burst and copies of one file share it
    is_night: bool
    season: str
    duplicate_of: str  # filepath of the original of a planted copy, else empty
    transformation: str  # see `mekiki.demo.layout.Transformation`
    is_readable: bool


@dataclass(frozen=True, slots=True)
class FrameTruth:
    """One picture: a still, or one frame of a clip."""

    filepath: str
    frame_index: int
    time_s: float
    labels: tuple[str, ...]  # at least a quarter of the animal shows
    unsure_labels: tuple[str, ...]  # something of the animal shows, but less
    sightings: tuple[Sighting, ...]


@dataclass(frozen=True, slots=True)
class CaptionTruth:
    """A sentence that holds from ``start_s`` to ``end_s``; both are 0 for a still."""

    filepath: str
    start_s: float
    end_s: float
    caption: str


@dataclass(slots=True)
class Truth:
    """The whole truth about a world; the three lists are in the order of the world's events."""

    files: list[FileTruth] = field(default_factory=list)
    frames: list[FrameTruth] = field(default_factory=list)
    captions: list[CaptionTruth] = field(default_factory=list)

    def extend(self, other: Truth) -> None:
        """Append everything that another truth says."""
        self.files += other.files
        self.frames += other.frames
        self.captions += other.captions


def write_truth(folder: Path, truth: Truth) -> None:
    """Write the three CSV files into a folder; older ones are replaced."""
    _write_rows(folder / FILES_NAME, FILES_COLUMNS, (_file_row(one) for one in truth.files))
    _write_rows(folder / FRAMES_NAME, FRAMES_COLUMNS, (_frame_row(one) for one in truth.frames))
    rows = ((one.filepath, f"{one.start_s:.3f}", f"{one.end_s:.3f}", one.caption) for one in truth.captions)
    _write_rows(folder / CAPTIONS_NAME, CAPTIONS_COLUMNS, rows)


def read_truth(folder: Path) -> Truth:
    """Return what `write_truth` wrote.

    Raises:
        UsageError: If there is no world in the folder.
    """
    for name in (FILES_NAME, FRAMES_NAME, CAPTIONS_NAME):
        if not (folder / name).is_file():
            raise UsageError(f"{folder} holds no demo world: {name} is missing. Make one with make_world.")
    return Truth(
        files=[_read_file(row) for row in _read_rows(folder / FILES_NAME)],
        frames=[_read_frame(row) for row in _read_rows(folder / FRAMES_NAME)],
        captions=[
            CaptionTruth(row["filepath"], float(row["start_s"]), float(row["end_s"]), row["caption"])
            for row in _read_rows(folder / CAPTIONS_NAME)
        ],
    )


def join_labels(labels: Sequence[str]) -> str:
    """Return labels as one cell of a table.

    Example:
        >>> join_labels(["cat", "hare"]), join_labels([])
        ('cat;hare', 'unknown')
    """
    return LABEL_SEPARATOR.join(labels) or UNKNOWN


def split_labels(cell: str) -> tuple[str, ...]:
    """Return the labels of one cell; the inverse of `join_labels`.

    Example:
        >>> split_labels("cat;hare"), split_labels("unknown"), split_labels("")
        (('cat', 'hare'), (), ())
    """
    return tuple(label for label in cell.split(LABEL_SEPARATOR) if label and label != UNKNOWN)


def _file_row(one: FileTruth) -> tuple[str, ...]:
    return (
        one.filepath,
        join_labels(one.labels),
        one.site,
        one.camera,
        one.captured_at.isoformat(sep=" ", timespec="seconds"),
        one.event_id,
        str(int(one.is_night)),
        one.season,
        one.duplicate_of,
        one.transformation,
        str(int(one.is_readable)),
    )


def _frame_row(one: FrameTruth) -> tuple[str, ...]:
    boxes = [
        {"label": seen.label, "box": [round(x, 1) for x in seen.box], "visible_share": round(seen.visible_share, 3)}
        for seen in one.sightings
    ]
    unsure = LABEL_SEPARATOR.join(one.unsure_labels)
    written = json.dumps(boxes, ensure_ascii=False)
    return one.filepath, str(one.frame_index), f"{one.time_s:.3f}", join_labels(one.labels), unsure, written


def _read_file(row: dict[str, str]) -> FileTruth:
    return FileTruth(
        filepath=row["filepath"],
        labels=split_labels(row["labels"]),
        site=row["site"],
        camera=row["camera"],
        captured_at=datetime.fromisoformat(row["captured_at"]),
        event_id=row["event_id"],
        is_night=row["is_night"] == "1",
        season=row["season"],
        duplicate_of=row["duplicate_of"],
        transformation=row["transformation"],
        is_readable=row["is_readable"] == "1",
    )


def _read_frame(row: dict[str, str]) -> FrameTruth:
    sightings = tuple(
        Sighting(box["label"], (box["box"][0], box["box"][1], box["box"][2], box["box"][3]), box["visible_share"])
        for box in json.loads(row["boxes_json"])
    )
    return FrameTruth(
        filepath=row["filepath"],
        frame_index=int(row["frame_index"]),
        time_s=float(row["time_s"]),
        labels=split_labels(row["labels"]),
        unsure_labels=split_labels(row["unsure"]),
        sightings=sightings,
    )


def _write_rows(path: Path, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(rows)


def _read_rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))
