"""Detectors by name: the seam between those who want boxes and whoever finds them.

To add one: a class that keeps to `mekiki.models.base.Detector`, is made from a `DetectorOpening` alone, and has a
static method ``weights_id(opening)`` that says what its weights are without loading them; then a line in each of the
two tables here, and one in ``tests/contracts/test_detectors.py``.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from stat import S_ISREG
from typing import Any

from mekiki.dataset.formats.base import plain_path
from mekiki.dataset.formats.looking import has_file, has_folder
from mekiki.errors import BackendError, UsageError, unknown_name
from mekiki.models.base import Detector
from mekiki.registry import Registry

DETECTORS: Registry[Any] = Registry(
    "detector",
    {
        "blobs": "mekiki.models.detect_blobs:BlobDetector",
        "hf": "mekiki.models.detect_hf:HfDetector",
        "import": "mekiki.models.detect_files:StoredBoxes",
        "megadetector": "mekiki.models.detect_files:BoxFile",
        "onnx": "mekiki.models.detect_onnx:OnnxDetector",
        "yolo": "mekiki.models.detect_yolo:YoloDetector",
    },
)
"""Kinds of detectors. ``import`` and ``megadetector`` look at no pixel: their boxes are there already."""

ABOUT_DETECTORS = {
    "auto": "hf:PekingU/rtdetr_v2_r18vd",
    "blobs": "what stands out from a plain background, without any weights: for drawn scenes, not for photos",
    "hf:REPO": "transformers: RT-DETR, D-FINE, DETR, YOLOS, with --classes OWLv2 and Grounding DINO; or a folder",
    "import": "boxes that came with label files",
    "megadetector:FILE": "the JSON that MegaDetector has written",
    "onnx:FILE": "an ONNX graph of YOLOX, YOLOv5, YOLOv8, YOLO11 or alike; FILE.onnx alone means the same",
    "yolo:WEIGHTS": "Ultralytics (licence AGPL-3.0)",
}

AGPL = (
    "Ultralytics is licensed under AGPL-3.0: who passes on its programs or weights, or lets others use a service built "
    "on them, must publish that service's source or buy a licence. --detector FILE.onnx and hf:REPO need neither"
)

AUTO, PREFERRED = "auto", "hf:PekingU/rtdetr_v2_r18vd"
ONNX_SUFFIX = ".onnx"
FILE_KINDS = ("onnx", "megadetector", "yolo")
"""Kinds whose WHAT is the path of a file, if there is such a file."""


@dataclass(frozen=True, slots=True)
class DetectorOpening:
    """How a detector is opened.

    Attributes:
        name: ``KIND`` or ``KIND:WHAT``, as `DETECTORS` has the kinds.
        classes: Of a detector that finds whatever it is told: what to look for. Of another: the classes whose boxes are
            wanted; empty for all of them.
        confidence: Boxes with a lower score are left out; in [0, 1].
        iou: Of two boxes of one class that overlap by more, the surer one is kept; in [0, 1].
        max_boxes: The surest boxes of a picture that are kept; at least 1.
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:N`` or ``mps``.
        n_workers: How many threads will call `Detector.detect` at once; changes no box.
        weights: A file in place of published weights, where a detector has a use for one.
        allow_code: Whether a program that comes with the weights may be run.

    Raises:
        ValueError: If a number is out of its range.
    """

    name: str
    classes: tuple[str, ...] = ()
    confidence: float = 0.25
    iou: float = 0.45
    max_boxes: int = 100
    device: str = "auto"
    n_workers: int = 1
    weights: Path | None = None
    allow_code: bool = False

    def __post_init__(self) -> None:
        if not (0 <= self.confidence <= 1 and 0 <= self.iou <= 1):
            raise ValueError(f"confidence and iou must lie in [0, 1], got {self.confidence} and {self.iou}")
        if self.max_boxes < 1 or self.n_workers < 1:
            raise ValueError(f"max_boxes and n_workers must be 1 or more, got {self.max_boxes} and {self.n_workers}")

    @property
    def kind(self) -> str:
        """What stands before the first colon of the name."""
        return self.name.partition(":")[0]

    @property
    def what(self) -> str:
        """What stands behind it."""
        return self.name.partition(":")[2]

    def refuse_weights(self) -> None:
        """Raise `UsageError` if a file of weights is given to what takes none."""
        if self.weights is not None:
            raise UsageError(f"{self.name} takes no file of weights. Leave out --weights {self.weights}")

    def wanted_rows(self, class_names: Sequence[str]) -> frozenset[int]:
        """Return the places of the wanted classes among those that a detector knows; all if none were named.

        Raises:
            UsageError: If one is not among them, with the nearest.
        """
        for name in self.classes:
            if name not in class_names:
                raise unknown_name(f"class of {self.name}", name, set(class_names))
        return frozenset(row for row, name in enumerate(class_names) if not self.classes or name in self.classes)


def resolve_detector(opening: DetectorOpening) -> tuple[DetectorOpening, str]:
    """Return the opening with a real detector that means the same from every folder, and why it was taken or "".

    Raises:
        UsageError: If there is no such detector.
    """
    name, note = opening.name, ""
    if name == AUTO:
        name, note = PREFERRED, f"detector {PREFERRED} (Apache-2.0)"
    elif name.lower().endswith(ONNX_SUFFIX) and name.partition(":")[0] not in DETECTORS.names():
        name = f"onnx:{name}"
    DETECTORS.check(name)
    kind, _, what = name.partition(":")
    path = Path(what)
    is_here = what and (has_file(path) if kind in FILE_KINDS else kind == "hf" and has_folder(path))
    weights = None if opening.weights is None else plain_path(opening.weights)
    return replace(opening, name=f"{kind}:{plain_path(path)}" if is_here else name, weights=weights), note


def detector_notes(opening: DetectorOpening) -> tuple[str, ...]:
    """Return what a user must be told before a detector is used: the duties that its licence brings."""
    return (AGPL,) if opening.kind == "yolo" else ()


def open_detector(opening: DetectorOpening) -> Detector:
    """Return a detector ready to detect.

    Raises:
        UsageError: If there is no such detector, it does not go with what else is asked for, or does not know a class.
        BackendError: If a package is missing, or weights cannot be had, read or run.
    """
    resolved, _ = resolve_detector(opening)
    detector: Detector = DETECTORS.load(resolved.name)(resolved)
    return detector


def detector_identity(opening: DetectorOpening) -> str:
    """Return all that decides a detector's boxes, without loading its network: what `Detector.identity` says.

    Raises:
        UsageError: If there is no such detector.
        BackendError: If its weights cannot be had or read.
    """
    resolved, _ = resolve_detector(opening)
    return identity_of(resolved, DETECTORS.load(resolved.name).weights_id(resolved))


def identity_of(opening: DetectorOpening, weights_id: str) -> str:
    """Return the identity of a detector whose weights are known; where its files lie is no part of it.

    Args:
        opening: Its kind, classes and thresholds count.
        weights_id: Stands for its weights, and for the version of what is done with them.

    Example:
        >>> identity_of(DetectorOpening("blobs", confidence=0.5), "v1")
        'blobs v1 {"classes": [], "confidence": 0.5, "iou": 0.45, "max_boxes": 100}'
    """
    settings = {
        "classes": list(opening.classes),
        "confidence": opening.confidence,
        "iou": opening.iou,
        "max_boxes": opening.max_boxes,
    }
    return f"{opening.kind} {weights_id} {json.dumps(settings)}"


def hash_weights(paths: Collection[Path], name: str) -> str:
    """Return the SHA-256 of files of weights in hex; of several, of their names and contents.

    Args:
        paths: Files; their order does not matter.
        name: What errors call the detector.

    Raises:
        BackendError: If one cannot be read.
    """
    hasher = hashlib.sha256()
    for path in sorted(paths, key=lambda one: one.name):
        try:
            if not S_ISREG(path.stat().st_mode):
                raise BackendError(f"no weights of {name} can be read from {path}: it is no file")
            with path.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            raise BackendError(f"no weights of {name} can be read from {path}: {error.strerror or error}") from error
        if len(paths) == 1:
            return digest
        hasher.update(f"{path.name}\0{digest}\0".encode("utf-8", "surrogateescape"))
    return hasher.hexdigest()
