"""Seed 1's CSVs as its own tools read them: the six tables of a data set, and the table of answers with its folders.

Both know only *present* and *absent*. Pictures that stay where they are get absolute paths, since the seed's tools
look for them from the current folder; pictures that come along get paths relative to the tables.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mekiki.dataset.formats.base import OutItem, WriteOptions
from mekiki.dataset.formats.class_file import write_classes
from mekiki.dataset.formats.columns import FLAG_PREFIX
from mekiki.dataset.formats.media_files import place_media
from mekiki.dataset.formats.out_rows import all_classes
from mekiki.dataset.formats.seed1_files import (
    ANNOTATION_COLUMNS,
    ANNOTATION_FILE,
    DATASET_COLUMNS,
    DATASET_FILE,
    KNOWN_FILE,
    PART_FILES,
    UNKNOWN_FILE,
)
from mekiki.dataset.formats.tables import path_cell, write_table
from mekiki.dataset.ids import safe_names
from mekiki.errors import DataError
from mekiki.records import UNKNOWN

ANNOTATED_FOLDER = "ai_annotated_frames"
"""Has a folder per label, as the seed's ``--output-root``."""

_SHARE = re.compile(r"0(\.\d+)?|1")
_FLAGS = {"present": "1", "absent": "0", "unsure": "unsure"}


class Seed1Out:
    """The six tables with 22 columns (with seven classes), with a byte order mark, and the answers beside them."""

    name = "seed1"

    @staticmethod
    def write(items: Sequence[OutItem], folder: Path, options: WriteOptions) -> list[Path]:
        """Write the six tables, the main one first, then what `Seed1AnnotationsOut` writes, if any picture is answered.

        Pictures with an unsure class, or one that nobody was asked about, stand in the main table only, with
        ``unsure`` or nothing in that class's column: the others are for what is known.

        Raises:
            DataError: If the split has other parts than train, val and test, or a name is no Unicode text.
            UnreadableError: If a picture is gone.
        """
        strange = sorted({item.part for item in items if item.part} - PART_FILES.keys())
        if strange:
            raise DataError(
                f"seed 1 has files for {', '.join(PART_FILES)}, and this split has a part {strange[0]!r}. "
                "Write another format: --format csv"
            )
        classes = all_classes(items, options)
        rows = {one.item.item_id: one for one in _frames(items, folder, options)}
        answered = [item for item in items if _is_answered(item, classes)]
        known = [item for item in answered if item.present]
        tables = {
            DATASET_FILE: list(items),
            KNOWN_FILE: known,
            UNKNOWN_FILE: [item for item in answered if not item.present],
            **{file: [item for item in known if item.part == part] for part, file in PART_FILES.items()},
        }
        columns = [*DATASET_COLUMNS, *(f"{FLAG_PREFIX}{name}" for name in (*classes, UNKNOWN))]
        written = [
            write_table(
                folder / file,
                columns,
                (rows[item.item_id].dataset_row(classes) for item in chosen),
                encoding="utf-8-sig",
            )
            for file, chosen in tables.items()
        ]
        frames = [rows[item.item_id] for item in answered]
        return [*written, *(_write_answers(frames, classes, folder, options) if frames else ())]


class Seed1AnnotationsOut:
    """The table of answers with 12 columns, without a byte order mark, and a folder of pictures per label."""

    name = "seed1-annotations"

    @staticmethod
    def write(items: Sequence[OutItem], folder: Path, options: WriteOptions) -> list[Path]:
        """Write the table, its class list, and every picture in ``ai_annotated_frames/LABEL/`` of each of its labels.

        The folders hold hard links where that is possible, unless pictures are to be copied.

        Pictures with an unsure class, or one that nobody was asked about, are left out: the seed's annotator asks for
        what has no row.

        Raises:
            DataError: If no picture is left, or a name is no Unicode text.
            UnreadableError: If a picture is gone.
        """
        classes = all_classes(items, options)
        answered = [item for item in items if _is_answered(item, classes)]
        if items and not answered:
            raise DataError(
                f"none of {len(items)} pictures has a sure answer for each of {len(classes)} classes, and seed 1's "
                "annotations hold nothing else. Write another format: --format csv"
            )
        return _write_answers(_frames(answered, folder, options), classes, folder, options)


@dataclass(frozen=True, slots=True)
class _Frame:
    """One item with its paths as they are written."""

    item: OutItem
    path: str
    video_path: str
    video_id: str

    @property
    def index(self) -> int:
        """Index of the frame in its video; where only its time is known, that in milliseconds; -1 for stills."""
        if self.item.frame_index is not None:
            return self.item.frame_index
        return -1 if self.item.time_s is None else round(self.item.time_s * 1000)

    @property
    def time(self) -> str:
        """Seconds with three decimals; -1 for stills."""
        return f"{-1 if self.item.time_s is None else self.item.time_s:.3f}"

    @property
    def confidence(self) -> str:
        """The lowest confidence of what is present, else of what is absent, with four decimals.

        For ``unknown`` it is never 0, by which the seed marks an answer that it could not read.
        """
        if not self.item.states:
            return "0.0000"
        kept = self.item.attributes.get("confidence", "")  # where `Seed1` puts that of ``unknown``
        default = float(kept) if _SHARE.fullmatch(kept) and not self.item.present else 1.0
        share = min(self.item.confidence.get(name, default) for name in self.item.present or self.item.states)
        return f"{share if self.item.present else max(share, 0.0001):.4f}"

    def dataset_row(self, classes: Sequence[str]) -> list[str]:
        """Return the row of a data set."""
        states = self.item.states
        sample = f"{self.video_path}::{self.index}::{self.path}"
        present = [name for name in classes if states.get(name) == "present"]
        labels = present or ([UNKNOWN] if states else [])
        return [
            _md5(sample)[:16],
            "image" if self.index < 0 else "video",
            self.video_path,
            self.video_id,
            str(self.index),
            self.time,
            self.path,
            self.confidence,
            self.item.attributes.get("reason", ""),
            self.item.attributes.get("model", ""),
            _json(labels) if labels else "",
            "|".join(labels),
            str(len(present)),
            str(int(self.item.is_unknown)),
            *(_FLAGS[states[name]] if name in states else "" for name in classes),
            str(int(self.item.is_unknown)),
        ]

    def annotation_row(self, classes: Sequence[str], copies: Sequence[str]) -> list[str]:
        """Return the row of an answer."""
        attribute = self.item.attributes.get
        return [
            self.video_path,
            self.video_id,
            str(self.index),
            self.time,
            self.path,
            _json(_labels(self.item, classes)),
            self.confidence,
            attribute("reason", ""),
            attribute("model", ""),
            attribute("response_id", ""),
            attribute("response_text", ""),
            _json(copies),
        ]


def _write_answers(frames: Sequence[_Frame], classes: Sequence[str], folder: Path, options: WriteOptions) -> list[Path]:
    """Write the table of answers with its class list, and the folders of pictures by label."""
    copies: dict[str, list[str]] = {one.item.item_id: [] for one in frames}
    for name, safe in safe_names([*classes, UNKNOWN]).items():
        chosen = [one.item for one in frames if name in _labels(one.item, classes)]
        written = place_media(chosen, folder, options, subfolder=_always(f"{ANNOTATED_FOLDER}/{safe}"), must_place=True)
        for item_id, path in written.items():
            copies[item_id].append(path_cell(path))
    rows = (one.annotation_row(classes, copies[one.item.item_id]) for one in frames)
    table = write_table(folder / ANNOTATION_FILE, ANNOTATION_COLUMNS, rows)
    return [table, write_classes(table, classes)]


def _always(place: str) -> Callable[[OutItem], str]:
    return lambda _item: place


def _labels(item: OutItem, classes: Sequence[str]) -> list[str]:
    """Return the labels as the seed has them: what is present, else ``unknown``."""
    return [name for name in classes if item.states.get(name) == "present"] or [UNKNOWN]


def _frames(items: Sequence[OutItem], folder: Path, options: WriteOptions) -> list[_Frame]:
    """Return the items with their paths, after placing their files if that is asked for."""
    written: Mapping[str, str] = place_media(items, folder, options)
    frames = []
    video_ids: dict[str, str] = {}
    for item in items:
        path = str(item.path.absolute()) if options.media == "reference" else path_cell(written[item.item_id])
        video = str(item.video_path.absolute()) if item.video_path is not None else path
        if video not in video_ids:
            stated = item.video_id if item.kind == "image" else None  # a frame that the seed took: its id stays
            video_ids[video] = stated or _md5(str((folder / video).resolve()))[:10]
        frames.append(_Frame(item, path, video, video_ids[video]))
    return frames


def _is_answered(item: OutItem, classes: Sequence[str]) -> bool:
    """Return whether every class is present or absent."""
    return bool(item.states) and all(item.states.get(name) in ("present", "absent") for name in classes)


def _json(names: Sequence[str]) -> str:
    return json.dumps(list(names), ensure_ascii=False)


def _md5(text: str) -> str:
    """Return the hash that the seed makes its ids of; nothing is protected by it."""
    return hashlib.md5(text.encode("utf-8", "surrogateescape"), usedforsecurity=False).hexdigest()
