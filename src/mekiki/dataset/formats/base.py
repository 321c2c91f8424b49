"""What every label format is read into and written from.

Readers turn a file into a `Sheet` of `Record`; writers turn `Record` with real files into a format. A reader never
opens a picture and never touches the catalog.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from mekiki.errors import MAX_NAME_SHOWN, UnreadableError
from mekiki.records import LabelState

GROUP_KINDS = ("source", "burst", "identity", "site", "camera")
"""Kinds of group that a file can state. Near-duplicates are found, derivation is known."""


@dataclass(frozen=True, slots=True)
class LabelClaim:
    """One class said to be there, not there, or not sure."""

    class_name: str
    state: LabelState = "present"
    confidence: float = 1.0


@dataclass(frozen=True, slots=True)
class BoxClaim:
    """One box with its class: pixels of the full picture, or shares of its sides if ``is_relative``."""

    class_name: str
    xyxy: tuple[float, float, float, float]
    score: float = 1.0
    is_relative: bool = False


@dataclass(frozen=True, slots=True)
class Record:
    """What one entry of a file says of one picture or video.

    Attributes:
        path: As the file spells it; `resolve_path` makes a real path of it.
        line: Where it stands, from 1; for messages.
        labels: Claims as far as the file makes them; see ``is_complete``.
        is_complete: Every class of the sheet that is not named in ``labels`` is absent. An empty complete record is
            what seed 1 calls ``unknown``.
        boxes: Boxes, in the file's order.
        captions: Sentences, in the file's order.
        part: The part of a split that the file puts it in, such as ``train``.
        groups: Kind of group to key; only kinds in `GROUP_KINDS`.
        attributes: Anything else worth keeping, as text.
        captured_at: Local time the picture was taken, ``YYYY-MM-DD HH:MM:SS``.
        parent_path: For a frame: the video it was taken from, as the file spells it.
        frame_index: For a frame: its index in that video; None for stills.
        time_s: For a frame: its time in seconds.
    """

    path: str
    line: int
    labels: tuple[LabelClaim, ...] = ()
    is_complete: bool = False
    boxes: tuple[BoxClaim, ...] = ()
    captions: tuple[str, ...] = ()
    part: str | None = None
    groups: Mapping[str, str] = field(default_factory=dict)
    attributes: Mapping[str, str] = field(default_factory=dict)
    captured_at: str | None = None
    parent_path: str | None = None
    frame_index: int | None = None
    time_s: float | None = None


@dataclass(frozen=True, slots=True)
class Problem:
    """An entry that could not be understood; it becomes a failure row, and the others are read.

    Where a format tells, ``path`` is the file that it is about, as spelled there, and ``lost`` what is lost with it.
    """

    line: int
    reason: str
    path: str = field(default="", repr=False)  # the reason has it: fingerprints of older runs stay
    lost: Literal["entry", "box", "guess"] = field(default="entry", repr=False)


@dataclass(frozen=True, slots=True)
class Sheet:
    """All that one label file (or folder) says.

    Attributes:
        format_name: The format it was read as.
        classes: Class names in the file's own order, or sorted if it has none.
        records: One per entry, in the file's order.
        problems: Entries that could not be understood.
        is_single_label: Each picture is meant to have exactly one class, so that the same bytes under two classes
            contradict each other.
        base: The folder that relative paths resolve against unless the user gives another.
        notes: What the user should know and what is no failure, such as how many doubled rows were left out.
    """

    format_name: str
    classes: tuple[str, ...]
    records: tuple[Record, ...]
    problems: tuple[Problem, ...] = ()
    is_single_label: bool = False
    base: Path = Path()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ReadOptions:
    """What the user may say about a label file.

    Attributes:
        label_column: Name of the column with labels; None looks for the usual names.
        path_column: Name of the column with paths; None looks for the usual names.
        classes: Closed class list in order; None takes it from the file. A label outside it is a problem.
        dedupe_key: Seed 1: which rows are the same frame.
    """

    label_column: str | None = None
    path_column: str | None = None
    classes: tuple[str, ...] | None = None
    dedupe_key: str = "frame_source_path"


class Reader(Protocol):
    """Module-level functions of a format file: how it is recognised and read."""

    def matches(self, path: Path) -> bool:
        """Return whether this file or folder is surely of this format; reads only its beginning."""
        ...

    def read(self, path: Path, options: ReadOptions) -> Sheet:
        """Return all that the file says.

        Raises:
            UsageError: If the file is not of this format, with what was expected.
        """
        ...


@dataclass(frozen=True, slots=True)
class OutItem:
    """One picture or video on its way out.

    Attributes:
        item_id: Its id.
        kind: Its kind.
        path: Where its file is now; of a crop, that of the picture that it is cut from.
        width_px, height_px: Full size.
        states: Class name to ``present``, ``absent`` or ``unsure``; a class that nobody was asked about is missing.
        confidence: Class name to confidence in [0, 1] for the classes in ``states``.
        boxes: In pixels of the full picture.
        captions: In order.
        part: Part of the split that is exported; None without one.
        groups: Kind to key.
        attributes: Name to text, among them ``reason``, ``model``, ``response_id`` where an annotator gave them.
        captured_at: Local time, ``YYYY-MM-DD HH:MM:SS``.
        video_path, video_id, frame_index, time_s: For frames; None for stills.
        parent_id: Id of the picture or video it was made from.
        box, whole_hw: Of a crop: where it lies in its picture, ``x_min, y_min, x_max, y_max`` in pixels, and how large
            that is.
    """

    item_id: str
    kind: str
    path: Path
    width_px: int
    height_px: int
    states: Mapping[str, LabelState] = field(default_factory=dict)
    confidence: Mapping[str, float] = field(default_factory=dict)
    boxes: tuple[BoxClaim, ...] = ()
    captions: tuple[str, ...] = ()
    part: str | None = None
    groups: Mapping[str, str] = field(default_factory=dict)
    attributes: Mapping[str, str] = field(default_factory=dict)
    captured_at: str | None = None
    video_path: Path | None = None
    video_id: str | None = None
    frame_index: int | None = None
    time_s: float | None = None
    parent_id: str | None = None
    box: tuple[float, float, float, float] | None = None
    whole_hw: tuple[int, int] | None = None

    @property
    def file_name(self) -> str:
        """What a file of its own is called: as the one it is now, or a JPEG named after a crop's picture and id."""
        return self.path.name if self.box is None else f"{self.path.stem}_{self.item_id[:8]}.jpg"

    @property
    def present(self) -> list[str]:
        """Classes that are there, in the order of ``states``."""
        return [name for name, state in self.states.items() if state == "present"]

    @property
    def is_unknown(self) -> bool:
        """Whether labels were asked for and every class is absent."""
        return bool(self.states) and all(state == "absent" for state in self.states.values())


class VectorSource(Protocol):
    """Where the vectors of items come from."""

    @property
    def n_dims(self) -> int:
        """D."""
        ...

    def read(self, item_ids: Sequence[str]) -> NDArray[np.float32]:
        """Return ``(N, D)``, one row per id in the order given."""
        ...


@dataclass(frozen=True, slots=True)
class WriteOptions:
    """How pictures go along with what is written.

    Attributes:
        classes: All class names in order.
        media: ``reference`` writes paths relative to the output where possible; ``copy`` and ``link`` put the pictures
            (hard links, else copies) into the output folder. Formats that are folders of pictures always place them.
        skeleton: Leave label columns empty, to be filled in by hand.
        vectors: Of all items that are written, for formats of vectors.
        cut: Gives a crop as the content of a JPEG file; needed where crops are written as pictures.
        notes: Where a writer says what the user should know.
    """

    classes: tuple[str, ...]
    media: str = "reference"
    skeleton: bool = False
    vectors: VectorSource | None = None
    cut: Callable[[OutItem], bytes] | None = None
    notes: list[str] = field(default_factory=list)


class Writer(Protocol):
    """Module-level function of a format file."""

    def write(self, items: Sequence[OutItem], folder: Path, options: WriteOptions) -> list[Path]:
        """Write the format into ``folder`` (it exists and is empty) and return the files, main file first."""
        ...


def complete_claims(record: Record, classes: Sequence[str]) -> tuple[LabelClaim, ...]:
    """Return the record's claims with the absent ones spelled out where it is complete.

    Example:
        >>> complete_claims(Record("a.jpg", 1, (LabelClaim("cat"),), is_complete=True), ["cat", "dog"])[1].state
        'absent'
    """
    if not record.is_complete:
        return record.labels
    named = {claim.class_name for claim in record.labels}
    return (*record.labels, *(LabelClaim(name, "absent") for name in classes if name not in named))


def resolve_path(written: str, base: Path, *, allow_outside: bool = False) -> Path:
    """Return the real path of an entry, refusing one that leaves its folder.

    Args:
        written: As the file spells it; backslashes count as slashes. Absolute paths are allowed inside ``base``.
        base: The label file's folder, or the user's ``--root``.
        allow_outside: Whether paths outside ``base`` are meant.

    Raises:
        UnreadableError: If the path is empty or too long, or leaves ``base`` and ``allow_outside`` is off.
    """
    if not written.strip() or "\0" in written:
        raise UnreadableError(written.replace("\0", "?") or "(no path)", "the entry names no file")
    path = plain_path(base / written)
    try:
        if not path.exists() and "\\" in written:
            path = plain_path(base / written.replace("\\", "/"))
        is_inside = allow_outside or path.resolve().is_relative_to(base.resolve())
    except (OSError, RuntimeError) as error:  # longer than the system takes, or links that lead in a circle
        shown = written[:MAX_NAME_SHOWN] + "…" * (len(written) > MAX_NAME_SHOWN)
        raise UnreadableError(shown, "the entry names no file: its path is too long or cannot be followed") from error
    if not is_inside:
        raise UnreadableError(written, f"points outside {base}: give --root FOLDER, or --allow-outside if it is meant")
    return path


def plain_path(path: Path) -> Path:
    """Return an absolute path without ``..``, so that one file has one path however it is spelled; links stay.

    Example:
        >>> plain_path(Path("/labels/../photos/./a.jpg")).as_posix()
        '/photos/a.jpg'
    """
    return Path(os.path.normpath(path.absolute()))
