"""How well scorers of rarity find what is known to be rare, beside chance, with the vectors that can be had offline.

First: 120 frames of CamVid, of which those with more than 0.2 % of their pixels on bicyclists count as rare. Frames are
ranked whole, and as the rarest of the objects that a detector finds in each. Frames of a drive that follow each other
are drawn together, five by five, about a quarter of a minute. Second: photos of dollar bills, laptops and scissors
(Caltech-101) are hidden among the objects of the same streets, again and again, and counted among the first.

Vectors are ``colour-layout``, which needs no weights, and the backbone of YOLOX-nano (trained on COCO, which has
bicycles, laptops and scissors): its last map averaged over the picture. All runs through ``mekiki.run_stage``.

Run: ``python benchmarks/rare_truth.py [N_DRAWS]``
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from mekiki import RunSummary, run_stage
from mekiki.metrics.intervals import MIN_ATOMS
from mekiki.training.runtimes import import_onnx

DATA = Path(__file__).parents[2] / "shared" / "data"
CAMVID, CALTECH = DATA / "street" / "camvid", DATA / "classification" / "caltech101_subset"
DETECTORS = {
    "YOLOX-nano": DATA / "weights" / "detection" / "yolox_nano.onnx",
    "YOLOv8n": DATA / "weights" / "detection" / "yolov8n_int8.onnx",
}
LAST_MAP, N_DIMS, SIDE_PX = "input.307", 512, 160
"""Of YOLOX-nano: the end of its backbone; any side that is a multiple of 32 does."""

RARE_SHARE, BURST = 0.002, 5
BY_VECTORS, BY_CLASS = ("knn", "isolation", "lof", "map"), ("class-lof", "frequency")
HIDDEN_CLASS = "laptop"
"""What hidden photos count as for scorers by class; all but the laptops are misnamed so, as a detector would."""

N_DRAWS = 20
MARKS = {
    "above chance": "above",
    "below chance": "below",
    "not above chance": "no",
    "too little to tell": "†",
    "not measured": "–",
}

Figures = Mapping[str, Any]


def main() -> None:
    """Print both tables in Markdown."""
    n_draws = int(sys.argv[1]) if len(sys.argv) > 1 else N_DRAWS
    with TemporaryDirectory(prefix="mekiki-bench-") as folder:
        for line in run(Path(folder), n_draws):
            print(line, flush=True)


def run(folder: Path, n_draws: int, n_frames: int | None = None) -> Iterator[str]:
    """Yield both tables, line by line; ``n_frames`` takes the first of them only."""
    embedders = {"colour-layout": "colour-layout", "YOLOX-nano's backbone": f"onnx:{write_backbone(folder)}"}
    labels = write_bursts(folder, sorted((CAMVID / "images").iterdir())[:n_frames])
    yield row(
        ("ranked", "vectors", "scorer", "AP", "chance", "told from it?", "recall at n", "chance", "at 2n", "chance")
    )
    yield "|---|---|---|---|---|---|---|---|---|---|"
    workspaces = {what: folder / what for what in ("frames", *DETECTORS)}
    notes = ""
    for what, workspace in workspaces.items():
        prepare(workspace, labels, DETECTORS.get(what), embedders.values())
        for name, embedder in embedders.items():
            summary, lines = judged(workspace, what, name, embedder)
            notes = notes or note_on(summary)
            yield from lines
    yield from ("", notes, "")
    yield row(("hidden among", "vectors", "scorer", "recall at n", "chance", "told from it?", "at 2n", "chance"))
    yield "|---|---|---|---|---|---|---|---|"
    drawn = ""
    for name, embedder in embedders.items():
        summary, lines = hidden(workspaces["YOLOX-nano"], name, embedder, n_draws)
        drawn = f"{n_draws} draws of {summary.extra['n_rare']} of {summary.extra['told']}."
        yield from lines
    yield from ("", drawn)


def write_bursts(folder: Path, frames: Sequence[Path]) -> Path:
    """Write a table that ties frames of a drive that follow each other, so that they are drawn together."""
    n_before: Counter[str] = Counter()
    lines = ["filepath,burst"]
    for frame in frames:
        drive = frame.stem.partition("_")[0]
        lines.append(f"{frame},{drive}-{n_before[drive] // BURST}")
        n_before[drive] += 1
    path = folder / "bursts.csv"
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def prepare(workspace: Path, labels: Path, detector: Path | None, embedders: Iterable[str]) -> None:
    """Ingest frames, find objects where there is a detector, and embed the ones or the others."""
    frames = [line.partition(",")[0] for line in labels.read_text(encoding="utf-8").splitlines()[1:]]
    run_stage("ingest", workspace, {"paths": frames, "labels": [labels], "root": CAMVID})
    run_stage("dedupe", workspace)
    if detector is not None:
        run_stage("detect", workspace, {"detector": f"onnx:{detector}"})
    for embedder in embedders:
        kind = "image" if detector is None else "crop"
        run_stage("embed", workspace, {"embedder": embedder, "kind": [kind], "precision": "fp32"})


def mine(workspace: Path, embedder: str, scorers: Sequence[str]) -> str:
    kind = "image" if set(scorers) <= set(BY_VECTORS) else "crop"
    found = run_stage("mine", workspace, {"kind": [kind], "vectors": embedder, "scorers": list(scorers)})
    return str(found.run_id)


def judged(workspace: Path, what: str, vectors: str, embedder: str) -> tuple[RunSummary, list[str]]:
    """Return how frames with bicyclists are ranked, and a row for each scorer."""
    scorers = BY_VECTORS if what == "frames" else (*BY_VECTORS, *BY_CLASS)
    truth = {"truth": CAMVID / "class_fractions.csv", "truth_column": "Bicyclist", "truth_above": RARE_SHARE}
    asked = {"rarity": True, "mining": mine(workspace, embedder, scorers), **truth}
    summary = run_stage("evaluate", workspace, asked)
    lines = []
    for scorer, figures in summary.extra["metrics"].items():
        precision, first, second = (figures[name] for name in ("average_precision", "recall_at_n", "recall_at_2n"))
        cells = ["frames" if what == "frames" else f"objects of {what}", vectors, scorer, shown(precision)]
        cells += [f"{precision['chance']:.2f}", MARKS[precision["verdict"]]]
        cells += [f"{one[name]:.2f}" for one in (first, second) for name in ("value", "chance")]
        lines.append(row(cells))
    return summary, lines


def hidden(workspace: Path, vectors: str, embedder: str, n_draws: int) -> tuple[RunSummary, list[str]]:
    """Return how many of the hidden photos come back, and a row for each scorer."""
    names = (*BY_VECTORS, *BY_CLASS)
    asked = {"inject": [CALTECH], "repeats": n_draws, "inject_class": HIDDEN_CLASS, "scorers": list(names)}
    mined = mine(workspace, embedder, names)
    summary = run_stage("evaluate", workspace, {"rarity": True, "mining": mined, **asked})
    lines = []
    for scorer, figures in summary.extra["metrics"].items():
        first, second = figures["recall_at_n"], figures["recall_at_2n"]
        cells = [f"{summary.extra['n_items']} objects of YOLOX-nano", vectors, scorer, shown(first)]
        cells += [f"{first['chance']:.2f}", MARKS[first["verdict"]], shown(second), f"{second['chance']:.2f}"]
        lines.append(row(cells))
    return summary, lines


def note_on(summary: RunSummary) -> str:
    """Return what the figures of frames rest on."""
    known = summary.extra
    return (
        f"{known['n_rare']} of {known['n_items']} frames are rare, in {known['n_rare_groups']} of {known['n_groups']} "
        f"groups that are drawn together; † means that these are fewer than {MIN_ATOMS}: such an interval is not "
        "reliable, and nothing is told by it. n is the number of rare ones."
    )


def shown(figure: Figures) -> str:
    mark = "" if figure["reliable"] else "†"
    return f"{figure['value']:.2f} [{figure['low']:.2f}, {figure['high']:.2f}]{mark}"


def row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def write_backbone(folder: Path, detector: Path = DETECTORS["YOLOX-nano"]) -> Path:
    """Cut a detector's graph behind its backbone, average the last map, and write it as ``onnx:`` takes it."""
    onnx = import_onnx()
    whole = onnx.load(str(detector))
    needed, kept = {LAST_MAP}, list[Any]()
    for node in reversed(whole.graph.node):
        if needed & set(node.output):
            kept.insert(0, node)
            needed |= set(node.input)
    for node in kept:
        for place, name in enumerate(node.input):
            node.input[place] = "bgr" if name == "images" else name
    order = onnx.numpy_helper.from_array(np.array([2, 1, 0]), "order")
    make, info = onnx.helper.make_node, onnx.helper.make_tensor_value_info
    nodes = [
        make("Gather", ["images", "order"], ["bgr"], axis=1),  # it was trained on blue first
        *kept,
        make("GlobalAveragePool", [LAST_MAP], ["averaged"]),
        make("Flatten", ["averaged"], ["vector"]),
    ]
    graph = onnx.helper.make_graph(
        nodes,
        "backbone",
        [info("images", onnx.TensorProto.FLOAT, ["N", 3, SIDE_PX, SIDE_PX])],
        [info("vector", onnx.TensorProto.FLOAT, ["N", N_DIMS])],
        [*(one for one in whole.graph.initializer if one.name in needed), order],
    )
    path = folder / "yolox-backbone.onnx"
    onnx.save(onnx.helper.make_model(graph, opset_imports=whole.opset_import, ir_version=whole.ir_version), str(path))
    square = {name: [SIDE_PX] * 2 for name in ("resize_hw", "crop_hw")}
    how = {"resize": "squash", **square, "mean": [0] * 3, "std": [1 / 255] * 3}
    path.with_name(f"{path.name}.json").write_text(json.dumps(how), encoding="utf-8")
    return path


if __name__ == "__main__":
    main()
