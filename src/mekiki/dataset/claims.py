"""Putting together what several entries say of one item."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from mekiki.dataset.formats.base import BoxClaim, Record
from mekiki.records import LabelState


@dataclass(slots=True)
class Claims:
    """All that label files say of one item.

    Attributes:
        named: Class to the state and confidence of its first entry.
        disputed: Classes on which entries disagree.
        n_complete: Entries that say that all classes they do not name are absent.
        n_complete_naming: Class to how many of those name it.
        boxes: In the order of the entries, each once.
        captions: In the order of the entries, each once.
        parts: The parts it was put in; more than one is a leak in the file.
        groups: ``(kind, key)`` pairs.
        attributes: Name to text; a later entry replaces an earlier one.
    """

    named: dict[str, tuple[LabelState, float]] = field(default_factory=dict)
    disputed: set[str] = field(default_factory=set)
    n_complete: int = 0
    n_complete_naming: dict[str, int] = field(default_factory=dict)
    boxes: dict[BoxClaim, None] = field(default_factory=dict)
    captions: dict[str, None] = field(default_factory=dict)
    parts: set[str] = field(default_factory=set)
    groups: set[tuple[str, str]] = field(default_factory=set)
    attributes: dict[str, str] = field(default_factory=dict)

    def add(self, record: Record) -> None:
        """Take one more entry into account."""
        self.n_complete += record.is_complete
        for claim in record.labels:
            state, confidence = self.named.get(claim.class_name, (claim.state, claim.confidence))
            if state != claim.state:
                self.disputed.add(claim.class_name)
            self.named[claim.class_name] = (state, max(confidence, claim.confidence))
            if record.is_complete:
                self.n_complete_naming[claim.class_name] = self.n_complete_naming.get(claim.class_name, 0) + 1
        self.boxes.update(dict.fromkeys(record.boxes))
        self.captions.update(dict.fromkeys(record.captions))
        if record.part:
            self.parts.add(record.part)
        self.groups.update(placed_groups(record.groups).items())
        self.attributes.update(record.attributes)
        if record.captured_at:
            self.attributes["captured_at"] = record.captured_at
        if record.parent_path:
            self._add_origin(record)

    def _add_origin(self, record: Record) -> None:
        """Keep what a frame that is a file of its own says of its video, so that an export can say it again."""
        self.attributes["video_path"] = str(record.parent_path)
        if record.frame_index is not None:
            self.attributes["frame_index"] = str(record.frame_index)
        if record.time_s is not None:
            self.attributes["time_s"] = repr(float(record.time_s))

    def states(self, classes: Sequence[str]) -> Iterator[tuple[str, LabelState, float]]:
        """Yield class, state and confidence for every class that was asked about.

        A class on which entries disagree, one naming it present and another absent (or leaving it out of a complete
        list), is ``unsure``: the same bytes under two classes are evidence for neither.

        Args:
            classes: The closed list that complete entries are complete about.
        """
        disputed = set(self.conflicts())
        for name, (state, confidence) in self.named.items():
            yield name, "unsure" if name in disputed else state, confidence
        if self.n_complete:
            for name in classes:
                if name not in self.named:
                    yield name, "absent", 1.0

    def conflicts(self) -> list[str]:
        """Return the classes on which entries disagree, sorted."""
        left_out = {
            name
            for name, (state, _) in self.named.items()
            if state != "absent" and self.n_complete_naming.get(name, 0) < self.n_complete
        }
        return sorted(self.disputed | left_out)


def placed_groups(groups: Mapping[str, str]) -> dict[str, str]:
    """Return groups with the site in front of the camera: "cam1" of one site is not "cam1" of another.

    Example:
        >>> placed_groups({"site": "north", "camera": "cam1"})
        {'site': 'north', 'camera': 'north/cam1'}
    """
    placed = dict(groups)
    if "site" in placed and "camera" in placed and not placed["camera"].startswith(f"{placed['site']}/"):
        placed["camera"] = f"{placed['site']}/{placed['camera']}"
    return placed


def box_in_px(box: BoxClaim, width_px: int, height_px: int) -> tuple[float, float, float, float]:
    """Return a box as ``x_min, y_min, x_max, y_max`` in pixels of a picture of this size.

    Example:
        >>> box_in_px(BoxClaim("fox", (0.0, 0.5, 0.5, 1.0), is_relative=True), 200, 100)
        (0.0, 50.0, 100.0, 100.0)
    """
    if not box.is_relative:
        return box.xyxy
    x_min, y_min, x_max, y_max = box.xyxy
    return x_min * width_px, y_min * height_px, x_max * width_px, y_max * height_px
