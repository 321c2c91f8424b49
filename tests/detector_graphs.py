"""Tiny ONNX detectors made in code: each finds red and blue squares of 16 pixels, in the layout of a YOLO network.

Their frame is 64 x 64 unless said otherwise. A class's score is its own channel less half of the two others, averaged
over a cell of 16 pixels, so that it is 1 for a cell that is filled with the class's colour and 0 for grey: a detector
that is fed BGR for RGB, 255 for 1, or a picture in the wrong place finds something else or nothing.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from mekiki.records import Image

SIDE_PX = 64
NAMES = ("red", "blue")
RED, BLUE, GREY = (255, 0, 0), (0, 0, 255), (114, 114, 114)
STRIDES = (8, 16, 32)
LAYOUTS = ("yolox", "yolox-decoded", "yolov5", "yolov6", "yolov8", "yolov8-turned", "final")
OBJECTNESS = 0.9
"""What every cell of a layout with objectness says, but for YOLOv6."""


class _Graph:
    """Nodes and weights as they come."""

    def __init__(self, dtype: type) -> None:
        self.nodes: list[Any] = []
        self.weights: list[Any] = []
        self.dtype = dtype

    def constant(self, values: Any, dtype: type | None = None) -> str:
        name = f"w{len(self.weights)}"
        self.weights.append(numpy_helper.from_array(np.ascontiguousarray(values, dtype or self.dtype), name))
        return name

    def add(self, kind: str, *inputs: str, **attributes: Any) -> str:
        name = f"n{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [name], **attributes))
        return name


def write_detector(
    path: Path,
    layout: str = "yolov8",
    *,
    shape: tuple[Any, ...] = (1, 3, SIDE_PX, SIDE_PX),
    frame_hw: tuple[int, int] = (SIDE_PX, SIDE_PX),
    is_half: bool = False,
    strength: float = 1.0,
    **facts: str,
) -> Path:
    """Write a detector.

    Args:
        path: The file.
        layout: One of `LAYOUTS`, or ``classifier``.
        shape: Of the input as the file says it; names for sides that are left open.
        frame_hw: What it really takes.
        is_half: Whether it computes in 16 bits.
        strength: What its scores are multiplied by.
        facts: Metadata.
    """
    graph = _Graph(np.float16 if is_half else np.float32)
    is_bgr = layout.startswith("yolox")
    own = np.array([[1, -0.5, -0.5], [-0.5, -0.5, 1]], np.float64)[:, :: -1 if is_bgr else 1]
    weights = graph.constant(own[:, :, None, None] * strength / (255 if is_bgr else 1))
    scores = []
    for stride in STRIDES:
        pooled = graph.add("AveragePool", "images", kernel_shape=[stride, stride], strides=[stride, stride])
        raw = graph.add("Conv", pooled, weights)
        raw = raw if stride == 16 else graph.add("Mul", raw, graph.constant(0))
        low_high = [graph.constant(0), graph.constant(1)]
        flat = graph.add("Reshape", graph.add("Clip", raw, *low_high), graph.constant([0, 2, -1], np.int64))
        scores.append(flat)
    if layout == "classifier":
        last = graph.add("ReduceMax", scores[1], axes=[2], keepdims=0)
    else:
        last = _as_layout(graph, layout, scores, frame_hw)
    kind = TensorProto.FLOAT16 if is_half else TensorProto.FLOAT
    given = helper.make_tensor_value_info("images", kind, shape)
    made = helper.make_tensor_value_info(last, kind, None)
    model = helper.make_model(
        helper.make_graph(graph.nodes, "toy", [given], [made], graph.weights),
        opset_imports=[helper.make_opsetid("", 13)],
        ir_version=8,
    )
    for key, value in facts.items():
        model.metadata_props.add(key=key, value=value)
    path.parent.mkdir(parents=True, exist_ok=True)
    onnx.save(model, path)
    return path


def spoil(path: Path, brighter_than: float) -> Path:
    """Let a detector give what is no number for pictures whose mean in the frame is more than this, 0 to 1."""
    model = onnx.load(path)
    last = model.graph.output[0].name
    limit, shape = np.array(brighter_than, np.float32), np.array([-1, 1, 1], np.int64)
    model.graph.initializer.extend([numpy_helper.from_array(limit, "limit"), numpy_helper.from_array(shape, "rows")])
    model.graph.node.extend(
        [
            helper.make_node("ReduceMean", ["images"], ["mean"], axes=[1, 2, 3], keepdims=0),
            helper.make_node("Sub", ["limit", "mean"], ["left"]),
            helper.make_node("Sqrt", ["left"], ["root"]),
            helper.make_node("Div", ["root", "root"], ["one"]),
            helper.make_node("Reshape", ["one", "rows"], ["factor"]),
            helper.make_node("Mul", [last, "factor"], ["spoilt"]),
        ]
    )
    model.graph.output[0].name = "spoilt"
    onnx.save(model, path)
    return path


def _as_layout(graph: _Graph, layout: str, scores: list[str], frame_hw: tuple[int, int]) -> str:
    """Return the output of a layout, from scores ``(N, 2, S)`` of each stride."""
    middles, strides = cells(frame_hw)
    if layout == "final":
        return _final(graph, scores[1], middles[strides[:, 0] == 16])
    of_classes = graph.add("Concat", *scores, axis=2)
    size = np.full_like(middles, 16)
    numbers = np.concatenate([middles, size], axis=1)
    if layout == "yolox":
        numbers = np.concatenate([np.full_like(middles, 0.5), np.log(size / strides)], axis=1)
    if layout == "yolov5":  # three boxes a cell, of which the first is the surest; stride after stride
        of_classes = graph.add("Concat", *(_three(graph, one) for one in scores), axis=2)
        parts = [numbers[strides[:, 0] == stride] for stride in STRIDES]
        numbers = np.concatenate([part + np.array([0, 0, d, d]) for part in parts for d in (0, -1, 1)])
    if layout.startswith("yolov8"):
        rows = _with_boxes(graph, numbers, of_classes)
        return graph.add("Transpose", rows, perm=[0, 2, 1]) if layout.endswith("turned") else rows
    sure = np.full((len(numbers), 1), 1 if layout == "yolov6" else OBJECTNESS)
    rows = _with_boxes(graph, np.concatenate([numbers, sure], axis=1), of_classes)
    return graph.add("Transpose", rows, perm=[0, 2, 1])


def _with_boxes(graph: _Graph, numbers: NDArray[np.float64], of_classes: str) -> str:
    """Return ``(N, 4+C, S)`` for any N: numbers that are the same in every picture above those of the picture."""
    first = graph.add("Slice", of_classes, *(graph.constant([one], np.int64) for one in (0, 1, 1)))
    nothing = graph.add("Mul", first, graph.constant(0))
    return graph.add("Concat", graph.add("Add", nothing, graph.constant(numbers.T[None])), of_classes, axis=1)


def _three(graph: _Graph, scores: str) -> str:
    weaker = [graph.add("Mul", scores, graph.constant(share)) for share in (0.8, 0.6)]
    return graph.add("Concat", scores, *weaker, axis=2)


def _final(graph: _Graph, scores: str, middles: NDArray[np.float64]) -> str:
    best = graph.add("ReduceMax", scores, axes=[1], keepdims=1)
    kind = TensorProto.FLOAT16 if graph.dtype is np.float16 else TensorProto.FLOAT
    number = graph.add("Cast", graph.add("ArgMax", scores, axis=1, keepdims=1), to=kind)
    corners = np.concatenate([middles - 8, middles + 8], axis=1)
    return graph.add(
        "Transpose", _with_boxes(graph, corners, graph.add("Concat", best, number, axis=1)), perm=[0, 2, 1]
    )


def cells(frame_hw: tuple[int, int]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the middles ``(S, 2)`` and strides ``(S, 1)`` of all cells."""
    middles, strides = [], []
    for stride in STRIDES:
        for y in range(frame_hw[0] // stride):
            for x in range(frame_hw[1] // stride):
                middles.append([(x + 0.5) * stride, (y + 0.5) * stride])
                strides.append([stride])
    return np.array(middles, np.float64), np.array(strides, np.float64)


def picture(
    *squares: tuple[int, int, tuple[int, int, int]], size: tuple[int, int] = (128, 64), side_px: int = 32
) -> Image:
    """Return a grey picture, of a width and height, with squares at ``(x, y, colour)``.

    In a frame of 64 x 64 pixels it is half as large, so that squares at multiples of 32 fill cells of 16.
    """
    image = np.full((size[1], size[0], 3), GREY, np.uint8)
    for x, y, colour in squares:
        image[y : y + side_px, x : x + side_px] = colour
    return image
