"""Two published detectors as ONNX files: how well ours runs them, and how fast, beside a loop that users write.

Average precision is pycocotools' over 80 pictures of COCO with all boxes down to a score of 0.001, overlaps suppressed
at 0.65, 300 boxes at most, as is customary. The intervals draw pictures with replacement: they say what 80 pictures
can say, not what is published for the 5,000 of val2017. The 80 are of train2017, which both networks were trained on.

Speed runs from JPEG files to boxes at the usual thresholds. The loop opens a file with Pillow, scales it, runs ONNX
Runtime as it comes, and suppresses overlaps in NumPy. Ways take turns, and medians count. The limit is what ONNX
Runtime does with pictures that lie in memory ready for it: all cores on one picture, and one core on each.

Run: ``python benchmarks/detection.py [N_RESAMPLES [N_ROUNDS]]``
"""

from __future__ import annotations

import contextlib
import io
import json
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PillowImage

from mekiki.media.boxes import box_iou, xyxy_to_xywh
from mekiki.media.images import decode_image, read_picture_bytes
from mekiki.models.classify_graph import n_usable_cores
from mekiki.models.coco_classes import COCO_IDS
from mekiki.models.detect import DetectorOpening, open_detector
from mekiki.models.detect_onnx import OnnxDetector
from mekiki.training.runtimes import import_onnxruntime

DATA = Path(__file__).parents[2] / "shared" / "data"
WEIGHTS, COCO = DATA / "weights" / "detection", DATA / "street" / "coco_mini"
PUBLISHED = {"yolox_nano.onnx": 25.8, "yolov8n_int8.onnx": 37.3}
"""mAP of the networks on val2017 in percent, as their makers give it; the second one's before it was made 8-bit."""

N_RESAMPLES, N_ROUNDS = 300, 5
LEVEL = (2.5, 97.5)

Table = list[dict[str, str]]


@dataclass(frozen=True)
class Precision:
    """Average precision in percent, and the ends of its interval."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.1f} ({self.low:.1f} to {self.high:.1f})"


def open_weights(name: str, **options: Any) -> OnnxDetector:
    detector = open_detector(DetectorOpening(f"onnx:{WEIGHTS / name}", **options))
    assert isinstance(detector, OnnxDetector)
    return detector


def coco_paths() -> list[Path]:
    return sorted((COCO / "images").glob("*.jpg"))


def read(path: Path) -> NDArray[np.uint8]:
    return decode_image(read_picture_bytes(path), path).pixels


def boxes_as_coco(detector: OnnxDetector) -> list[dict[str, Any]]:
    """Return what is found in all pictures as pycocotools takes it."""
    said = json.loads((COCO / "instances.json").read_text(encoding="utf-8"))
    found = []
    for picture in said["images"]:
        one = detector.detect([detector.prepare(read(COCO / "images" / picture["file_name"]))])[0]
        rows = zip(xyxy_to_xywh(one.boxes).tolist(), one.scores.tolist(), one.class_names, strict=True)
        found += [
            {"image_id": picture["id"], "category_id": COCO_IDS[name], "bbox": box, "score": score}
            for box, score, name in rows
        ]
    return found


def average_precision(found: list[dict[str, Any]], n_resamples: int) -> tuple[Precision, Precision]:
    """Return mAP@[.5:.95] and mAP@.5, with intervals by drawing pictures with replacement."""
    from pycocotools import coco
    from pycocotools.cocoeval import COCOeval

    with contextlib.redirect_stdout(io.StringIO()):
        truth = coco.COCO(str(COCO / "instances.json"))
        judge = COCOeval(truth, truth.loadRes(found), "bbox")
        judge.params.areaRng, judge.params.areaRngLbl = judge.params.areaRng[:1], judge.params.areaRngLbl[:1]
        judge.params.maxDets = [100]
        judge.evaluate()
        every = np.array(judge.evalImgs, object).reshape(-1, len(judge.params.imgIds))
        pictures = np.arange(every.shape[1])
        chance = np.random.default_rng(0)
        value = _accumulate(judge, every, pictures)
        drawn = np.array(
            [_accumulate(judge, every, chance.choice(pictures, len(pictures))) for _ in range(n_resamples)] or [value]
        )
    low, high = np.percentile(drawn, LEVEL, axis=0)
    first, second = (Precision(value[place], low[place], high[place]) for place in range(2))
    return first, second


def _accumulate(judge: Any, every: NDArray[Any], pictures: NDArray[np.int64]) -> tuple[float, float]:
    judge.evalImgs = every[:, pictures].ravel().tolist()
    judge.accumulate()
    precision = judge.eval["precision"][:, :, :, 0, 0]  # at 10 overlaps and 101 recalls, of each class; -1 without it
    return tuple(100 * float(one[one > -1].mean()) for one in (precision, precision[0]))  # type: ignore[return-value]


def precisions(n_resamples: int) -> Table:
    table: Table = []
    for name, published in PUBLISHED.items():
        detector = open_weights(name, confidence=0.001, iou=0.65, max_boxes=300)
        whole, loose = average_precision(boxes_as_coco(detector), n_resamples)
        row = {
            "detector": name,
            "mAP@[.5:.95], 95 % interval": str(whole),
            "mAP@.5": str(loose),
            "published, val2017": f"{published:.1f}",
            "lies in the interval": "yes" if whole.low <= published <= whole.high else "no",
        }
        table.append(row)
    return table


def plain_loop(name: str, paths: Sequence[Path]) -> int:
    """Run a detector as one would without mekiki, and return how many boxes it finds."""
    session = import_onnxruntime().InferenceSession(str(WEIGHTS / name), providers=["CPUExecutionProvider"])
    given = session.get_inputs()[0]
    side = given.shape[2]
    n_boxes = 0
    for path in paths:
        picture = PillowImage.open(path).convert("RGB")
        scale = side / max(picture.size)
        small = picture.resize([round(edge * scale) for edge in picture.size], PillowImage.Resampling.BILINEAR)
        frame = PillowImage.new("RGB", (side, side), (114, 114, 114))
        is_yolox = name.startswith("yolox")
        frame.paste(small, (0, 0) if is_yolox else ((side - small.size[0]) // 2, (side - small.size[1]) // 2))
        pixels = np.asarray(frame, np.float32).transpose(2, 0, 1)[None]
        pixels = np.ascontiguousarray(pixels[:, ::-1] if is_yolox else pixels / 255)
        rows = session.run(None, {given.name: pixels})[0][0]
        rows = rows if is_yolox else rows.T
        scores = rows[:, 4:5] * rows[:, 5:] if is_yolox else rows[:, 4:]
        if is_yolox:
            grids = [(side // stride, stride) for stride in (8, 16, 32)]
            middles = np.concatenate([np.stack(np.meshgrid(range(n), range(n)), 2).reshape(-1, 2) for n, _ in grids])
            strides = np.concatenate([np.full((n * n, 1), stride) for n, stride in grids])
            rows[:, :2], rows[:, 2:4] = (rows[:, :2] + middles) * strides, np.exp(rows[:, 2:4]) * strides
        kept = scores.max(axis=1) > 0.25
        n_boxes += _plain_nms(rows[kept, :4], scores[kept])
    return n_boxes


def _plain_nms(rows: NDArray[np.float32], scores: NDArray[np.float32]) -> int:
    classes, best = scores.argmax(axis=1), scores.max(axis=1)
    boxes = np.concatenate([rows[:, :2] - rows[:, 2:] / 2, rows[:, :2] + rows[:, 2:] / 2], axis=1)
    overlap = box_iou(boxes, boxes)
    left, n_kept = list(np.argsort(-best)), 0
    while left:
        first = left.pop(0)
        n_kept += 1
        left = [one for one in left if classes[one] != classes[first] or overlap[first, one] <= 0.45]
    return n_kept


def ours(name: str, paths: Sequence[Path], n_workers: int) -> int:
    """Do the same by mekiki's detector, in so many threads."""
    detector = open_weights(name, n_workers=n_workers)

    def find(path: Path) -> int:
        return len(detector.detect([detector.prepare(read(path))])[0])

    if n_workers == 1:
        return sum(map(find, paths))
    with ThreadPoolExecutor(n_workers) as pool:
        return sum(pool.map(find, paths))


def network_alone(name: str, paths: Sequence[Path], n_workers: int) -> int:
    """Run the network on pictures that are ready in memory: all cores on one picture, or one on each."""
    options = import_onnxruntime().SessionOptions()
    options.intra_op_num_threads = 1 if n_workers > 1 else n_usable_cores()
    session = import_onnxruntime().InferenceSession(str(WEIGHTS / name), options, ["CPUExecutionProvider"])
    given = session.get_inputs()[0]
    pixels = np.full(given.shape, 0.5, np.float32)
    with ThreadPoolExecutor(n_workers) as pool:
        return sum(pool.map(lambda _: len(session.run(None, {given.name: pixels})), paths))


def speeds(n_rounds: int) -> Table:
    paths, n_cores = coco_paths(), max(2, n_usable_cores())
    ways: dict[str, Callable[[str], int]] = {
        "ONNX Runtime and Pillow loop": lambda name: plain_loop(name, paths),
        "mekiki, 1 worker": lambda name: ours(name, paths, 1),
        "mekiki, 2 workers": lambda name: ours(name, paths, 2),
        "limit: the network alone, all cores on a picture": lambda name: network_alone(name, paths, 1),
        "limit: the network alone, a core on each": lambda name: network_alone(name, paths, n_cores),
    }
    table: Table = []
    for name in PUBLISHED:
        times: dict[str, list[float]] = {way: [] for way in ways}
        counts = {}
        for _ in range(n_rounds):
            for way, work in ways.items():
                started = time.perf_counter()
                counts[way] = work(name)
                times[way].append(time.perf_counter() - started)
        rates = {way: statistics.median(len(paths) / one for one in times[way]) for way in ways}
        loop, limit = rates["ONNX Runtime and Pillow loop"], max(list(rates.values())[-2:])
        for way, rate in rates.items():
            is_limit = way.startswith("limit")
            row = {
                "detector": name,
                "way": way,
                "pictures a second": f"{rate:.1f}",
                "times the loop": f"{rate / loop:.2f}",
                "share of the better limit": f"{rate / limit:.0%}",
                "boxes": "" if is_limit else f"{counts[way]:,}",
            }
            table.append(row)
    return table


def run(n_resamples: int = N_RESAMPLES, n_rounds: int = N_ROUNDS) -> list[Table]:
    """Measure precision and speed and return both tables."""
    return [precisions(n_resamples), speeds(n_rounds)]


def main() -> None:
    for rows in run(*map(int, sys.argv[1:])):
        print("| " + " | ".join(rows[0]) + " |")
        print("|" + "---|" * len(rows[0]))
        for row in rows:
            print("| " + " | ".join(row.values()) + " |")
        print(flush=True)


if __name__ == "__main__":
    main()
