"""One row of seed 1's CSVs: what it is about, what it says, and whether anybody said it."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

from mekiki.dataset.formats.base import LabelClaim, Record
from mekiki.dataset.formats.cells import frame_index_of, seconds_of
from mekiki.dataset.formats.class_lists import is_unknown
from mekiki.dataset.formats.columns import FLAG_PREFIX, FLAGS
from mekiki.dataset.formats.label_text import clean_name, parse_list
from mekiki.dataset.formats.seed1_files import ERROR_PREFIX, standard_name
from mekiki.errors import unknown_name
from mekiki.records import LabelState

ATTRIBUTES = ("reason", "model", "response_id", "response_text")
"""Columns that become attributes."""

_LABEL_COLUMNS = ("assigned_labels_json", "labels_json")
_FAILED_CALL = "an API error"
_NO_ANSWER = "an answer that the seed could not read"


@dataclass(frozen=True, slots=True)
class SeedRow:
    """One row, not yet compared with a class list.

    Attributes:
        names: Labels as spelled; None where the cell is empty.
        flags: Class to state, from the class's own column; None where its cell is empty.
        confidence: In [0, 1].
        why_not_answered: What the row holds in place of an answer; None if it is one, or says nothing.
        sample_id: The seed's id, in data sets.
        video_path: The video, or the still, that it is about.
        frame: Everything else: a record without labels.
    """

    names: tuple[str, ...] | None
    flags: Mapping[str, LabelState | None]
    confidence: float
    why_not_answered: str | None
    sample_id: str
    video_path: str
    frame: Record

    @property
    def is_answered(self) -> bool:
        """Whether the row has labels, and they are somebody's."""
        return self.names is not None and self.why_not_answered is None

    def key(self, dedupe_key: str) -> str:
        """Return what equals that of another row for the same frame."""
        index = self.frame.frame_index
        by_video = f"{self.video_path}::{-1 if index is None else index}"
        return by_video if dedupe_key == "video_path_frame_index" else self.frame.path

    def to_record(self, classes: tuple[str, ...], *, is_closed: bool, part: str | None) -> Record:
        """Return the row as a record.

        Args:
            classes: The class list.
            is_closed: Whether no other label is allowed.
            part: Its part of a split, if known.

        Raises:
            ValueError: If a label is not in a closed list.
        """
        frame = replace(self.frame, part=part)
        if self.why_not_answered is not None:
            return frame
        spelled = [standard_name(name, classes) for name in self.names or ()]
        present = list(dict.fromkeys(name for name in spelled if not is_unknown(name)))
        outside = [name for name in present if is_closed and name not in classes]
        if outside:
            raise ValueError(str(unknown_name("class", outside[0], classes)))
        states: dict[str, LabelState] = dict.fromkeys(present, "present")
        uses_flags = any(state is not None for state in self.flags.values())
        is_complete = self.names is not None
        if uses_flags and (not is_complete or any(state in (None, "unsure") for state in self.flags.values())):
            is_complete = False
            states |= {name: state for name, state in self.flags.items() if state is not None and name not in states}
        if is_complete and not present and self.confidence != 1.0:
            frame = replace(frame, attributes={**frame.attributes, "confidence": f"{self.confidence:g}"})
        claims = tuple(LabelClaim(name, state, self.confidence) for name, state in states.items())
        return replace(frame, labels=claims, is_complete=is_complete)


def read_row(line: int, cell: Mapping[str, str]) -> SeedRow:
    """Return one row.

    Args:
        line: Where it stands, from 1.
        cell: Column to text; columns that the file lacks are missing.

    Raises:
        ValueError: If it names no picture or holds something unreadable.
    """
    video_path = cell.get("video_path", "")
    index = frame_index_of(cell["frame_index"]) if cell.get("frame_index") else None
    path = cell.get("frame_source_path", "") or (video_path if index is None else "")
    if not path:
        raise ValueError("it names no picture: frame_source_path is empty")
    is_frame = index is not None
    attributes = {name: cell[name] for name in ATTRIBUTES if cell.get(name)}
    if not is_frame and video_path not in ("", path):
        attributes["original_path"] = video_path
    frame = Record(
        path,
        line,
        groups={"source": cell["video_id"]} if is_frame and cell.get("video_id") else {},
        attributes=attributes,
        parent_path=video_path or None if is_frame else None,
        frame_index=index,
        time_s=seconds_of(cell["timestamp_sec"]) if is_frame and cell.get("timestamp_sec") else None,
    )
    names = _names(cell)
    confidence = _confidence(cell.get("confidence", ""))
    return SeedRow(
        names=names,
        flags=_flags(cell),
        confidence=confidence,
        why_not_answered=_why_not_answered(names, confidence, cell),
        sample_id=cell.get("sample_id", ""),
        video_path=video_path or path,
        frame=frame,
    )


def _names(cell: Mapping[str, str]) -> tuple[str, ...] | None:
    """Return the labels: a JSON list, else a Python list, else one name; else what ``labels_text`` joins."""
    text = next((cell[column] for column in _LABEL_COLUMNS if cell.get(column)), "")
    if not text:
        joined = cell.get("labels_text", "")
        return tuple(name for name in map(clean_name, joined.split("|")) if name) or None
    listed = parse_list(text) if text[0] in '[({"' else None
    return tuple(name for name in map(clean_name, [text] if listed is None else listed) if name)


def _flags(cell: Mapping[str, str]) -> dict[str, LabelState | None]:
    found: dict[str, LabelState | None] = {}
    for column, text in cell.items():
        name = clean_name(column.removeprefix(FLAG_PREFIX))
        if column.startswith(FLAG_PREFIX) and name and not is_unknown(name):
            if text and text.casefold() not in FLAGS:
                raise ValueError(f"class {name!r} cannot be {text!r}: write 1, 0, unsure, or nothing")
            found[name] = FLAGS[text.casefold()] if text else None
    return found


def _confidence(text: str) -> float:
    """Return a number in [0, 1] as the seed does: clipped, and 0 if it is none; 1 where the cell is empty."""
    try:
        number = float(text) if text else 1.0
    except ValueError:
        return 0.0
    return min(max(number, 0.0), 1.0) if math.isfinite(number) else 0.0


def _why_not_answered(names: tuple[str, ...] | None, confidence: float, cell: Mapping[str, str]) -> str | None:
    """Return what the seed stored as ``unknown`` without being told so; None for answers."""
    if names is None or not all(is_unknown(name) for name in names):
        return None
    if cell.get("reason", "").startswith(ERROR_PREFIX):
        return _FAILED_CALL
    return _NO_ANSWER if confidence == 0 and not _is_answer(cell.get("response_text", "")) else None


def _is_answer(text: str) -> bool:
    """Return whether a model's text holds an object with labels, alone or between other words."""
    for candidate in (text, text[text.find("{") : text.rfind("}") + 1]):
        try:
            answer = json.loads(candidate)
        except (ValueError, RecursionError):
            continue
        return isinstance(answer, dict) and "labels" in answer
    return False
