"""Detectors that are ONNX graphs, on ONNX Runtime: ``onnx:FILE``, of any layout in `detect_layouts`."""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mekiki.errors import BackendError, UsageError
from mekiki.media.boxes import clip_boxes
from mekiki.media.detections import Detections
from mekiki.media.letterbox import Letterbox, letterbox
from mekiki.media.nms import suppress_overlaps
from mekiki.models.classify_graph import has_external_data
from mekiki.models.classify_onnx import onnx_device, open_session, session_errors
from mekiki.models.coco_classes import COCO_NAMES
from mekiki.models.detect import DetectorOpening, hash_weights, identity_of
from mekiki.models.detect_layouts import Layout, StrangeOutputError, decode, recognise
from mekiki.records import Image
from mekiki.training.runtimes import import_onnx

VERSION = "1"
"""Raised whenever the same graph gives other boxes."""

MAX_BYTES = 2**31
"""What an ONNX file can hold."""

USUAL_SIDE_PX, MAX_SIDE_PX, SIDE_STEP_PX = 640, 4096, 32
MAX_TEXT = 1_000_000
"""Characters of what a file says of its classes."""

N_AT_ONCE_ON_GPU = 16
INPUT_TYPES: dict[str, type[np.floating[Any]]] = {"tensor(float)": np.float32, "tensor(float16)": np.float16}

Prepared = tuple[Image, Letterbox]
"""A picture in its frame, ``(H, W, 3)`` RGB uint8, and where it lies there."""


class OnnxDetector:
    """See `mekiki.models.base.Detector`.

    The network sees every picture in a grey frame of its own size; where its file leaves that open, of the size that
    its metadata say, else 640 x 640. A graph without final boxes loses its overlaps here; one with them has done it
    itself, so that `DetectorOpening.iou` does nothing there.

    Raises:
        MissingExtraError: If ONNX or ONNX Runtime is not installed.
        UsageError: If no file is named, a class is unknown to it, or it is given weights.
        BackendError: If the file is no ONNX graph, cannot be run, or has an unknown layout.
    """

    def __init__(self, opening: DetectorOpening) -> None:
        path = _path_of(opening)
        content = _read(path)
        self.name = f"onnx:{path.name}"
        self.identity = identity_of(opening, _version(hashlib.sha256(content).hexdigest()))
        is_on_cpu = onnx_device(opening.device) == "cpu"
        self.n_at_once = opening.n_workers if is_on_cpu else 1
        n_threads = 1 if self.n_at_once > 1 else None
        self._session, self.device = open_session(content, opening.device, self.name, n_threads)
        facts = dict(self._session.get_modelmeta().custom_metadata_map)
        self._opening = opening
        self._input = _input_name(self._session, self.name)
        self._type = INPUT_TYPES[self._session.get_inputs()[0].type]
        shape = self._session.get_inputs()[0].shape
        self.frame_hw = _frame_of(shape, facts, self.name)
        # one picture at a time is as fast on a processor, and what is quantised on the run depends on its neighbours
        may_batch = not is_on_cpu and b"DynamicQuantizeLinear" not in content
        self._n_batch = shape[0] if _is_size(shape[0]) else N_AT_ONCE_ON_GPU if may_batch else 1
        self._is_batch_fixed = _is_size(shape[0])
        names = read_class_names(facts, self.name)
        self.layout = self._recognise(None if names is None else len(names), facts)
        self.class_names = names or _usual_names(self.layout)
        if not self.class_names and opening.classes:
            raise UsageError(f"{self.name} does not say what its classes are called: leave out --classes")
        self._wanted = np.array(sorted(opening.wanted_rows(self.class_names)), np.int64)

    @staticmethod
    def weights_id(opening: DetectorOpening) -> str:
        """Return what stands for the file and for what is done with its output."""
        path = _path_of(opening)
        return _version(hash_weights([path], f"onnx:{path.name}"))

    def prepare(self, image: Image) -> Prepared:
        """Return a picture in the network's frame."""
        return letterbox(image, self.frame_hw, centred=not self.layout.is_bgr)

    def detect(self, batch: Sequence[Prepared]) -> list[Detections]:
        """Return what it finds in each; see `mekiki.models.base.Detector.detect`.

        Raises:
            BackendError: If the runtime fails.
        """
        found: list[Detections] = []
        for start in range(0, len(batch), self._n_batch):
            some = batch[start : start + self._n_batch]
            outputs = self._run(self._pixels([frame for frame, _ in some]))
            (rows,) = (one for one in outputs if one.ndim == 3)
            found += [self._boxes(rows[place], where) for place, (_, where) in enumerate(some)]
        return found

    def _boxes(self, output: NDArray[np.float32], where: Letterbox) -> Detections:
        try:
            proposals = decode(output, self.layout, self.frame_hw, self._opening.confidence)
        except StrangeOutputError as error:
            return Detections.failed(f"{self.name} {error}")
        if self._opening.classes:
            proposals = proposals.where(np.isin(proposals.classes, self._wanted))
        in_image = clip_boxes(where.to_image(proposals.boxes), where.image_hw)
        has_area = np.all(in_image[:, 2:] > in_image[:, :2], axis=1)
        proposals, in_image = proposals.where(has_area), in_image[has_area]
        if self.layout.is_final:
            kept = np.argsort(-proposals.scores, kind="stable")[: self._opening.max_boxes]
        else:
            kept = suppress_overlaps(
                proposals.boxes, proposals.scores, proposals.classes, self._opening.iou, self._opening.max_boxes
            )
        names = tuple(self._name_of(int(number)) for number in proposals.classes[kept])
        return Detections(in_image[kept], proposals.scores[kept], names)

    def _name_of(self, number: int) -> str:
        if not self.class_names:
            return f"class_{number}"
        if not 0 <= number < len(self.class_names):
            raise BackendError(f"{self.name} gives class {number}, and its file names {len(self.class_names)}")
        return self.class_names[number]

    def _pixels(self, frames: Sequence[Image]) -> NDArray[Any]:
        """Return ``(N, 3, H, W)`` as the network takes pixels; a batch of a fixed size is filled with its last."""
        n_missing = self._n_batch - len(frames) if self._is_batch_fixed else 0
        stacked = np.stack([*frames, *[frames[-1]] * n_missing]).transpose(0, 3, 1, 2)
        if self.layout.is_bgr:
            return np.ascontiguousarray(stacked[:, ::-1], self._type)
        return np.multiply(np.ascontiguousarray(stacked, self._type), self._type(1 / 255))

    def _run(self, pixels: NDArray[Any]) -> list[NDArray[np.float32]]:
        try:
            outputs = self._session.run(None, {self._input: pixels})
        except session_errors() as error:
            raise BackendError(f"ONNX Runtime cannot run {self.name}: {str(error).splitlines()[0]}") from error
        return [np.asarray(one, np.float32) for one in outputs if isinstance(one, np.ndarray) and one.dtype.kind == "f"]

    def _recognise(self, n_names: int | None, facts: Mapping[str, str]) -> Layout:
        """Return the layout, from what the network gives for a plain grey picture."""
        n_batch = self._n_batch if self._is_batch_fixed else 1
        outputs = self._run(np.full((n_batch, 3, *self.frame_hw), 0.5, self._type))
        says_final = facts.get("end2end") == "True" or "'nms': True" in facts.get("args", "")
        task = facts.get("task", "detect")
        if task != "detect":
            raise BackendError(f"{self.name} is a network for the task {task[:40]!r}: one that detects is wanted")
        return recognise(outputs, self.frame_hw, n_names, says_final=says_final, name=self.name)


def read_class_names(facts: Mapping[str, str], name: str) -> tuple[str, ...] | None:
    """Return the names of the classes from a graph's metadata, in their order; None where it has none.

    Args:
        facts: The metadata; ``names`` is a list or a mapping from numbers, as Python writes them.
        name: What errors call the graph.

    Raises:
        BackendError: If ``names`` is something else, or skips a number.

    Example:
        >>> read_class_names({"names": "{0: 'cat', 1: 'dog'}"}, "x")
        ('cat', 'dog')
    """
    text = facts.get("names")
    if text is None:
        return None
    wrong = BackendError(f"{name} names its classes in a form that is not known: {text[:60]!r}")
    try:
        said = ast.literal_eval(text) if len(text) <= MAX_TEXT else None
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError) as error:
        raise wrong from error
    if isinstance(said, dict) and set(said) == set(range(len(said))):
        said = [said[number] for number in range(len(said))]
    if not isinstance(said, list | tuple) or not said or not all(isinstance(one, str) and one.strip() for one in said):
        raise wrong
    return tuple(said)


def _usual_names(layout: Layout) -> tuple[str, ...]:
    if layout.n_classes == len(COCO_NAMES):
        return COCO_NAMES
    return tuple(f"class_{number}" for number in range(layout.n_classes or 0))


def _path_of(opening: DetectorOpening) -> Path:
    opening.refuse_weights()
    if not opening.what:
        raise UsageError("detector onnx needs a file: --detector onnx:FILE")
    return Path(opening.what)


def _version(digest: str) -> str:
    return f"v{VERSION} {digest}"


def _read(path: Path) -> bytes:
    """Return the content of a file that is an ONNX graph with all its weights in it."""
    onnx, message = import_onnx(), import_module("google.protobuf.message")
    try:
        size = path.stat().st_size
        if size > MAX_BYTES or not path.is_file():
            what = f"{size:,} bytes, and an ONNX file has 2 GB at most" if path.is_file() else "no file"
            raise BackendError(f"no detector can be read from {path}: {what}")
        content = path.read_bytes()
        graph = onnx.load_model_from_string(content)
    except OSError as error:
        raise BackendError(f"no detector can be read from {path}: {error.strerror or error}") from error
    except message.DecodeError as error:
        raise BackendError(f"no detector can be read from {path}: no ONNX file, or one cut off") from error
    if not graph.graph.node:
        raise BackendError(f"no detector can be read from {path}: no ONNX file, or an empty one")
    if has_external_data(graph):
        raise BackendError(f"the weights of {path} lie in other files: save it again as one whole file")
    return content


def _input_name(session: Any, name: str) -> str:
    inputs = session.get_inputs()
    said = ", ".join(f"{one.type} {one.shape}" for one in inputs)
    is_right = len(inputs) == 1 and inputs[0].type in INPUT_TYPES and len(inputs[0].shape) == 4
    if not is_right or (_is_size(inputs[0].shape[1]) and inputs[0].shape[1] != 3):
        raise BackendError(f"{name} takes {said or 'nothing'}: a detector takes one float (N, 3, H, W)")
    return str(inputs[0].name)


def _frame_of(shape: Sequence[Any], facts: Mapping[str, str], name: str) -> tuple[int, int]:
    """Return height and width of what a network sees: of its input, else of its metadata, else the usual."""
    usual = _stated_size(facts.get("imgsz", ""))
    height, width = (side if _is_size(side) else usual[place] for place, side in enumerate(shape[2:]))
    is_open = not (_is_size(shape[2]) and _is_size(shape[3]))
    if min(height, width) < SIDE_STEP_PX or max(height, width) > MAX_SIDE_PX:
        raise BackendError(f"{name} takes {width} x {height} pixels: {SIDE_STEP_PX} to {MAX_SIDE_PX} are supported")
    if is_open and (height % SIDE_STEP_PX or width % SIDE_STEP_PX):
        raise BackendError(f"{name} says that it takes {width} x {height} pixels: no multiples of {SIDE_STEP_PX}")
    return height, width


def _stated_size(text: str) -> tuple[int, int]:
    numbers = [int(one) for one in text.strip("[]() ").split(",") if one.strip().isdecimal()][:2]
    if not numbers:
        return USUAL_SIDE_PX, USUAL_SIDE_PX
    return numbers[0], numbers[-1]


def _is_size(side: Any) -> bool:
    """Return whether a graph fixes a side of its input; others are names, None or 0."""
    return isinstance(side, int) and side > 0
