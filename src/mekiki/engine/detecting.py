"""Detecting objects, as work for an engine: in pictures, or by looking up boxes that are there already."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import numpy as np

from mekiki.catalog.crops import new_crop
from mekiki.catalog.db import Transaction
from mekiki.catalog.detected import KeptBoxes, write_kept
from mekiki.catalog.results import BoxRow
from mekiki.dataset.ids import draw_lot
from mekiki.engine.known_boxes import KnownBoxes
from mekiki.engine.run import Selection
from mekiki.errors import UnreadableError
from mekiki.intake.pictures import open_picture
from mekiki.media.boxes import clip_boxes, pad_boxes, round_boxes, scale_boxes
from mekiki.media.detections import Detections
from mekiki.media.shrinking import read_shrunk
from mekiki.models.base import Detector
from mekiki.models.classify_onnx import onnx_device
from mekiki.models.classify_torch import check_device_name, torch_device
from mekiki.models.detect import DetectorOpening, open_detector
from mekiki.records import Item, Loaded, Result

N_TOGETHER = 8
"""Pictures that a detector which computes on all cores at once is given together."""


@dataclass(frozen=True, slots=True)
class Keeping:
    """What becomes of boxes that were found.

    Attributes:
        n_best: How many of a picture's are kept, the surest.
        padding: By which share of its own size a box is cut out larger on every side.
    """

    n_best: int = 50
    padding: float = 0.0


@dataclass(frozen=True, slots=True, eq=False)
class Shown:
    """A picture on its way to its boxes.

    Attributes:
        item: The picture.
        shown_hw: Height and width in pixels as the detector sees it.
        prepared: What the detector takes; None once it has looked.
        found: What it found, in pixels of what it was shown.
    """

    item: Item
    shown_hw: tuple[int, int]
    prepared: Any = None
    found: Detections | None = None


def keep_boxes(item: Item, found: Detections, keeping: Keeping) -> KeptBoxes:
    """Return what is kept of a picture's boxes: those with an area inside it, the surest of them.

    Boxes are clipped to the picture and rounded to 1/16 pixel; what is cut is padded before.

    Args:
        item: The picture.
        found: In pixels of the full picture; of equally sure ones the first count.
        keeping: How many, and how much of their surroundings.
    """
    full_hw = (item.height_px, item.width_px)
    boxes = round_boxes(clip_boxes(found.boxes, full_hw))
    cuts = round_boxes(pad_boxes(clip_boxes(found.boxes, full_hw), keeping.padding, full_hw))
    has_area = (boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1])
    rows = np.flatnonzero(has_area)
    rows = rows[np.argsort(-found.scores[rows], kind="stable")][: keeping.n_best]
    kept, crops = [], []
    for position, row in enumerate(rows.tolist()):
        x_min, y_min, x_max, y_max = boxes[row].tolist()
        left, top, right, bottom = cuts[row].tolist()
        crop = new_crop(item, (left, top, right, bottom))
        crops.append(crop)
        score, edges = float(found.scores[row]), (x_min, y_min, x_max, y_max)
        kept.append(BoxRow(item.item_id, position, found.class_names[row], score, edges, crop.item_id))
    return KeptBoxes(item.item_id, tuple(kept), tuple(crops), len(found) - len(rows))


def place_detector(opening: DetectorOpening) -> str:
    """Return what a detector runs on, without opening it: ``cpu``, ``cuda:N`` or ``mps``.

    Raises:
        UsageError: If there is no device of such a name.
        BackendError: If this machine has none.
    """
    if opening.kind == "onnx":
        return onnx_device(opening.device)
    if opening.kind in ("hf", "yolo") and find_spec("torch"):  # else opening it says what to install
        return torch_device(opening.device)
    check_device_name(opening.device)
    return "cpu"


class DetectWork:
    """What one worker does to detect objects in pictures.

    A detector that can be called several times at once is called by the threads that read; another gets several
    pictures at a time.

    Args:
        opening: The detector; ``n_workers`` is how many may be looked at at once here.
        identity: Of the detector.
        device: What it runs on, in words, before it is opened.
        long_side_px: Pictures are shrunk to this.
        keeping: What becomes of boxes.
        opener: Makes the detector.
    """

    def __init__(
        self,
        opening: DetectorOpening,
        identity: str,
        device: str,
        long_side_px: int,
        keeping: Keeping,
        opener: Callable[[DetectorOpening], Detector] = open_detector,
    ) -> None:
        self.opening = opening
        self._identity = identity
        self.device = device
        self._long_side_px = long_side_px
        self._keeping = keeping
        self._opener = opener

    @property
    def n_in_all(self) -> int:
        """How many pictures may be in hand at once, on all workers together."""
        return self.opening.n_workers

    def identity(self) -> str:
        """Return what decides what the detector finds."""
        return self._identity

    def open(self) -> None:
        """Load the detector.

        Raises:
            BackendError: If it cannot be loaded.
        """
        self._detector = self._opener(self.opening)
        self.device = self._detector.device
        self._slots = threading.BoundedSemaphore(max(1, min(self._detector.n_at_once, self.opening.n_workers)))

    def load(self, item: Item) -> Iterator[Loaded]:
        """Read and shrink a picture, and detect in it if the detector can do several at once.

        Raises:
            UnreadableError: If it cannot be read.
        """
        image = read_shrunk(open_picture(item), (item.height_px, item.width_px), self._long_side_px)
        shown_hw = (image.shape[0], image.shape[1])
        prepared = self._detector.prepare(image)
        if self._detector.n_at_once <= 1:
            yield Loaded(item.item_id, Shown(item, shown_hw, prepared))
            return
        with self._slots:
            found = self._detector.detect([prepared])[0]
        yield Loaded(item.item_id, Shown(item, shown_hw, found=found))

    def compute(self, loaded: list[Loaded]) -> list[Result | UnreadableError]:
        """Detect in what has not been looked at, and choose among the boxes, in pixels of the full pictures."""
        pictures: list[Shown] = [one.content for one in loaded]
        waiting = [one.prepared for one in pictures if one.found is None]
        looked = (
            found
            for start in range(0, len(waiting), N_TOGETHER)
            for found in self._detector.detect(waiting[start : start + N_TOGETHER])
        )
        return [self._kept(one, one.found if one.found is not None else next(looked)) for one in pictures]

    def write(self, transaction: Transaction, results: list[Result]) -> int:
        """Write boxes and crops."""
        return write_kept(transaction, [one.content for one in results])

    def _kept(self, one: Shown, found: Detections) -> Result | UnreadableError:
        item = one.item
        if found.fault:
            return UnreadableError(item.path or item.item_id, found.fault)
        boxes = scale_boxes(found.boxes, one.shown_hw, (item.height_px, item.width_px))
        whole = Detections(boxes, found.scores, found.class_names)
        return Result(item.item_id, keep_boxes(item, whole, self._keeping))


@dataclass(frozen=True, slots=True)
class LookUpWork:
    """What is done where boxes are there already: no picture is read.

    Attributes:
        known: What was said of items, and what of it cannot be used.
        opening: Which classes are wanted, and how sure a box must be.
        keeping: What becomes of boxes.
    """

    known: KnownBoxes
    opening: DetectorOpening
    keeping: Keeping

    @property
    def device(self) -> str:
        """Nothing is computed."""
        return "cpu"

    def identity(self) -> str:
        """Return what decides the boxes."""
        classes = ", ".join(self.opening.classes)
        return f"{self.opening.kind} {self.known.said} confidence {self.opening.confidence} classes [{classes}]"

    def open(self) -> None:
        """Open nothing."""

    def load(self, item: Item) -> Iterator[Loaded]:
        """Look up a picture's boxes.

        Raises:
            UnreadableError: If what is said of it cannot be used, and for an entry about nothing that is known.
        """
        known = self.known
        if item.item_id in known.strays:
            raise known.strays[item.item_id]
        if item.item_id in known.refused:
            why = known.refused[item.item_id]
            raise UnreadableError(item.path or item.item_id, f"{why.path}: {why.reason}")
        yield Loaded(item.item_id, (item, known.of_item[item.item_id]))

    def compute(self, loaded: list[Loaded]) -> list[Result | UnreadableError]:
        """Choose among the boxes."""
        return [Result(one.item_id, self._kept(*one.content)) for one in loaded]

    def write(self, transaction: Transaction, results: list[Result]) -> int:
        """Write boxes and crops."""
        return write_kept(transaction, [one.content for one in results])

    def _kept(self, item: Item, found: Detections) -> KeptBoxes:
        classes = self.opening.classes
        is_wanted = np.array([not classes or name in classes for name in found.class_names], np.bool_)
        wanted = found.where(is_wanted & (found.scores >= self.opening.confidence))
        kept = keep_boxes(item, wanted, self.keeping)
        n_refused = self.known.boxes_refused.get(item.item_id, 0)
        return KeptBoxes(item.item_id, kept.boxes, kept.crops, len(found) - len(kept.boxes), n_refused)


class Among:
    """Those of some items that are wanted, in their order.

    Args:
        items: Among which.
        wanted: Ids; others than those of the items do not matter.
    """

    def __init__(self, items: Selection[Item], wanted: Collection[str]) -> None:
        self._items = items
        self._chosen = frozenset(item.item_id for item in items if item.item_id in wanted)

    def __len__(self) -> int:
        return len(self._chosen)

    def __iter__(self) -> Iterator[Item]:
        return (item for item in self._items if item.item_id in self._chosen)


class Sampled(Among):
    """A share of some items: the same ones whenever and wherever it is taken, with the same seed.

    Args:
        items: Among which.
        share: How many of them, in (0, 1]; of any at all at least one.
        seed: Which.
        before: Items that were taken before and stay, so that items that come later replace none.
    """

    def __init__(self, items: Selection[Item], share: float, seed: int, before: Collection[str] = ()) -> None:
        ids = [item.item_id for item in items]
        n_items = len(ids)
        n_wanted = max(1, round(n_items * share))
        ranked = sorted(ids, key=lambda item_id: (item_id not in before, draw_lot(seed, item_id)))
        n_before = sum(item_id in before for item_id in ids)
        super().__init__(items, frozenset(ranked[: max(n_wanted, n_before)]))
