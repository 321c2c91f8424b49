"""Detectors of Ultralytics, the optional extra ``yolo``: its networks and letterbox, our thresholds and overlaps.

Its licence is AGPL-3.0; `mekiki.models.detect.detector_notes` says so. N is the number of boxes that a network
proposes, C that of classes.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from pickle import UnpicklingError
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mekiki.errors import BackendError, UsageError
from mekiki.media.detections import Detections
from mekiki.media.nms import suppress_overlaps
from mekiki.models.classify_torch import torch_device
from mekiki.models.detect import DetectorOpening, hash_weights, identity_of
from mekiki.models.embed_hub import first_line
from mekiki.models.hf_files import TROUBLE
from mekiki.records import Boxes, Image, Scores
from mekiki.training.arithmetic import full_float32
from mekiki.training.optional import import_ultralytics
from mekiki.training.packages import import_torch

SUFFIX = ".pt"
TASKS = ("detect", "pose", "segment")
"""What its networks are made for that gives upright boxes."""

DEFAULT_SIDE_PX = 640
N_SETTLED = 300
"""Boxes that a network which settles overlaps itself gives at least, before any class is looked at."""


@dataclass(frozen=True, slots=True, eq=False)
class Letterboxed:
    """A picture as the network takes it.

    Attributes:
        image_hw: Of the picture that was shown.
        pixels: RGB uint8, shrunk and filled up to whole strides.
    """

    image_hw: tuple[int, int]
    pixels: Image


class YoloDetector:
    """``yolo:FILE.pt``; see `mekiki.models.base.Detector`.

    Pictures go through the network one by one, as Ultralytics fills up pictures of different shapes when they are
    shown together, which would change their boxes. Each proposal has one class, its surest, as Ultralytics has it.

    Raises:
        UsageError: If a program may not be run, the file is of another kind, or a class is unknown.
        BackendError: If the package, the file or the device is missing, or the file holds no such network.
    """

    n_at_once = 1

    def __init__(self, opening: DetectorOpening) -> None:
        path = _weights_file(opening)
        if not opening.allow_code:
            raise UsageError(
                f"{opening.name} is a pickle: a program that is run when it is read. If you trust where it comes "
                "from, add --allow-code; an export to ONNX needs no trust: --detector FILE.onnx"
            )
        self._on = torch_device(opening.device)
        self.device = f"{self._on} (torch)"
        self.identity = identity_of(opening, self.weights_id(opening))
        loaded = _load(path, opening.name)
        self._network = loaded.model.float().to(self._on).eval()
        with _silence():
            if hasattr(self._network, "end2end"):  # as Ultralytics has it: overlaps are settled outside, where they can
                self._network.end2end = False
            self._network.fuse(verbose=False)
        self._stride = int(max(self._network.stride))
        self._side_px = loaded.overrides.get("imgsz") or DEFAULT_SIDE_PX
        self._is_settled = bool(getattr(self._network, "end2end", False))
        if self._is_settled:
            self._network.set_head_attr(max_det=max(N_SETTLED, opening.max_boxes))
        names = loaded.names
        self._class_names = [str(names[place]) for place in sorted(names)]
        self._wanted = np.array(sorted(opening.wanted_rows(self._class_names)))
        self._opening = opening
        self._lock = Lock()  # its last layer keeps the grid of the last picture

    @staticmethod
    def weights_id(opening: DetectorOpening) -> str:
        """Return what stands for its weights: the SHA-256 of their file in hex."""
        return hash_weights([_weights_file(opening)], opening.name)

    def prepare(self, image: Image) -> Letterboxed:
        """Return a picture as `detect` takes it."""
        from ultralytics.data.augment import LetterBox
        from ultralytics.utils.checks import check_imgsz

        side_px = check_imgsz(self._side_px, stride=self._stride, min_dim=2)
        letterbox = LetterBox(side_px, auto=True, stride=self._stride)
        return Letterboxed((image.shape[0], image.shape[1]), letterbox(image=image))

    def detect(self, batch: Sequence[Letterboxed]) -> list[Detections]:
        """Return what it finds in each, the surest first; no pictures give none."""
        return [self._detect(one) for one in batch]

    def _detect(self, one: Letterboxed) -> Detections:
        from ultralytics.utils.ops import scale_boxes

        torch = import_torch()
        pixels = np.ascontiguousarray(one.pixels.transpose(2, 0, 1)[None])
        is_cuda = self._on.startswith("cuda")
        with self._lock, torch.inference_mode(), full_float32() if is_cuda else nullcontext():
            given = self._network(torch.from_numpy(pixels).to(self._on).float() / 255)
        given = given[0] if isinstance(given, (list, tuple)) else given
        numbers = given[0].float().cpu().numpy()
        if not np.isfinite(numbers).all():
            return Detections.failed(f"{self._opening.name} gives scores or boxes that are no numbers")
        boxes, scores, labels = self._proposals(numbers)
        keep = np.flatnonzero((scores > self._opening.confidence) & np.isin(labels, self._wanted))
        if not self._is_settled:
            keep = keep[suppress_overlaps(boxes[keep], scores[keep], labels[keep], self._opening.iou)]
        shown = scale_boxes(one.pixels.shape[:2], boxes[keep], one.image_hw)
        found = Detections(shown, scores[keep], tuple(self._class_names[label] for label in labels[keep]))
        has_area = (shown[:, 2] > shown[:, 0]) & (shown[:, 3] > shown[:, 1])
        return found.where(has_area).best(self._opening.max_boxes)

    def _proposals(self, given: NDArray[np.float32]) -> tuple[Boxes, Scores, NDArray[np.int64]]:
        """Return corners in pixels of the filled-up picture, scores and numbers of classes."""
        if self._is_settled:  # (N, 6 and more): corners, score, class
            return given[:, :4], given[:, 4], given[:, 5].astype(np.int64)
        given = given.T  # (N, 4 + C and more): middle and size, a score for each class
        middles, halves = given[:, :2], given[:, 2:4] / 2
        scores = given[:, 4 : 4 + len(self._class_names)]
        labels = scores.argmax(axis=1)
        return np.hstack([middles - halves, middles + halves]), scores[np.arange(len(labels)), labels], labels


def _weights_file(opening: DetectorOpening) -> Path:
    """Return the file of weights.

    Raises:
        UsageError: If it is of another kind than Ultralytics' own, or is named twice.
        BackendError: If there is none; none is fetched.
    """
    opening.refuse_weights()
    path = Path(opening.what)
    if path.suffix.lower() == ".onnx":
        raise UsageError(f"{opening.name} is an ONNX graph, for which Ultralytics is not needed. Type: onnx:{path}")
    if path.suffix.lower() != SUFFIX:
        raise UsageError(f"{opening.name}: weights of Ultralytics end in {SUFFIX}. Type: --detector yolo:FILE{SUFFIX}")
    if not path.is_file():
        raise BackendError(f"{opening.name}: there is no file {path}; mekiki fetches none. Say where it is: yolo:FILE")
    return path


def _load(path: Path, name: str) -> Any:
    ultralytics = import_ultralytics()
    try:
        with _silence():
            loaded = ultralytics.YOLO(str(path))
    except (*TROUBLE, UnpicklingError) as error:
        raise BackendError(f"{name}: Ultralytics cannot load it: {first_line(error)}") from error
    if loaded.task not in TASKS or type(loaded).__name__ != "YOLO":
        raise BackendError(
            f"{name} is a {type(loaded).__name__} for the task {loaded.task!r}, mekiki takes a YOLO for "
            f"{', '.join(TASKS)}. RT-DETR is there as hf:PekingU/rtdetr_v2_r18vd"
        )
    return loaded


@contextmanager
def _silence() -> Iterator[None]:
    """Keep what Ultralytics says from the terminal."""
    log = logging.getLogger("ultralytics")
    before, log.disabled = log.disabled, True
    try:
        yield
    finally:
        log.disabled = before
