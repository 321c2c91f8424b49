"""Scoring photos: ``mekiki predict`` on each runtime beside a plain PyTorch loop as a user would write it, in one run.

The loop is a torchvision ``Dataset`` of Pillow pictures (``Resize``, ``CenterCrop``, ``ToTensor``, ``Normalize``), a
``DataLoader`` with two workers and batches of 32, ``inference_mode``, and ``csv.writer``. All is timed from file names
to a finished CSV, with the model loaded in the time that is measured; PyTorch is imported before. The graphs that
ONNX Runtime and OpenVINO run are exported once before, as ``mekiki export`` does. Weights are random: they
cost as much as trained ones. Photos are those of ``../shared/data`` where they are, as they are (0.06 MP) and enlarged
to 4 MP as cameras write them, and made scenes elsewhere. Ways take turns, and the best round counts.

Run: ``python benchmarks/predict.py [N_PHOTOS]``
"""

from __future__ import annotations

import csv
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image as PillowImage
from torch.utils.data import DataLoader

from mekiki.api.verbs import run_stage
from mekiki.media.images import encode_jpeg
from mekiki.training.backbones import default_preprocessing
from mekiki.training.card import ModelCard
from mekiki.training.checkpoint import save_model
from mekiki.training.onnx_export import export_onnx
from mekiki.training.packages import import_torchvision

N_PHOTOS = 64
N_ROUNDS = 2
CLASSES = tuple(f"class {number}" for number in range(7))
PHOTOS = Path(__file__).parents[2] / "shared" / "data" / "wildlife" / "monkeys10"
LARGE_HW = (1728, 2304)
CASES = (("resnet18", "0.06 MP"), ("resnet50", "0.06 MP"), ("resnet18", "4 MP"))
RUNTIMES: Mapping[str, Mapping[str, str]] = {
    "mekiki, torch": {"runtime": "torch"},
    "mekiki, onnxruntime": {"runtime": "onnx"},
    "mekiki, openvino": {"runtime": "openvino"},
    "mekiki, openvino bf16": {"runtime": "openvino", "precision": "bf16"},
}
LOOP = "plain PyTorch loop"


class Photos:
    """The data set that a user would write."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self.paths = paths
        transforms = import_torchvision().transforms
        self.transform = transforms.Compose(
            [
                transforms.Resize((256, 256)),
                transforms.CenterCrop(224),
                transforms.ToTensor(),
                transforms.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
            ]
        )

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> Any:
        return self.transform(PillowImage.open(self.paths[index]).convert("RGB"))


def by_loop(arch: str, checkpoint: Path, folder: Path, output: Path) -> None:
    paths = sorted(folder.glob("*.jpg"))
    network = import_torchvision().models.get_model(arch, weights=None, num_classes=len(CLASSES))
    network.load_state_dict(torch.load(checkpoint, weights_only=True))
    network.eval()
    loader = DataLoader(Photos(paths), batch_size=32, num_workers=2)
    with torch.inference_mode():
        scores = torch.cat([network(batch).sigmoid() for batch in loader]).numpy()
    with output.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["image_path", "labels", *CLASSES])
        for path, row in zip(paths, scores, strict=True):
            labels = [name for name, score in zip(CLASSES, row, strict=True) if score >= 0.5]
            writer.writerow([path, "|".join(labels) or "unknown", *row.tolist()])


def by_mekiki(model: Path, folder: Path, output: Path, settings: Mapping[str, str]) -> None:
    given = {"model": str(model), "paths": [str(folder)], "output": str(output), "overwrite": True, "device": "cpu"}
    run_stage("predict", "no workspace", {**given, **settings})


def make_files(folder: Path, n_photos: int) -> dict[str, Path]:
    """Write the photos in both sizes; return size to folder."""
    found = sorted(PHOTOS.glob("*/*.jpg"))[:n_photos] if PHOTOS.is_dir() else []
    rng = np.random.default_rng(0)
    made = [PillowImage.fromarray(rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)) for _ in range(n_photos)]
    folders = {size: folder / size for _, size in CASES}
    for size, place in folders.items():
        place.mkdir(exist_ok=True)
        for number in range(n_photos):
            path = place / f"{number:04d}.jpg"
            if size == "0.06 MP" and found:
                path.write_bytes(found[number % len(found)].read_bytes())
                continue
            picture = PillowImage.open(found[number % len(found)]).convert("RGB") if found else made[number]
            height_px, width_px = LARGE_HW if size == "4 MP" else (250, 250)
            path.write_bytes(encode_jpeg(np.asarray(picture.resize((width_px, height_px), 3), np.uint8), 90))
    return folders


def make_models(folder: Path, arch: str) -> dict[str, Path]:
    """Write random weights as a state dict, a model of ours, and a graph."""
    torch.manual_seed(0)
    network = import_torchvision().models.get_model(arch, weights=None, num_classes=len(CLASSES))
    torch.save(network.state_dict(), folder / f"{arch}.pt")
    how = default_preprocessing(arch, 224)
    card = ModelCard(name=arch, arch=arch, class_names=CLASSES, preprocessing=how)
    _, path, card = save_model(folder, card, network.state_dict())
    graph = export_onnx(card, network.state_dict(), folder / f"{arch}.onnx")
    return {"checkpoint": folder / f"{arch}.pt", "torch": path, "graph": graph}


def read_scores(path: Path) -> Any:
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.reader(file))[1:]
    return np.array([row[-len(CLASSES) :] for row in rows], np.float64)


def seconds(work: Callable[[], None]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def measure(folder: Path, arch: str, size: str, photos: Path) -> list[dict[str, str]]:
    """Return a row for each way: photos a second, the ratio to the loop, and how far its scores are from it."""
    files = make_models(folder, arch)
    n_photos = len(list(photos.glob("*.jpg")))
    outputs = {way: folder / f"{number}.csv" for number, way in enumerate((LOOP, *RUNTIMES))}
    ways: dict[str, Callable[[], None]] = {LOOP: lambda: by_loop(arch, files["checkpoint"], photos, outputs[LOOP])}
    for way, settings in RUNTIMES.items():
        model = files["torch" if settings["runtime"] == "torch" else "graph"]
        ways[way] = lambda model=model, way=way, settings=settings: by_mekiki(  # type: ignore[misc]
            model, photos, outputs[way], settings
        )
    best: dict[str, float] = {}
    for _ in range(N_ROUNDS):
        for way, work in ways.items():
            best[way] = min(best.get(way, float("inf")), seconds(work))
    expected = read_scores(outputs[LOOP])
    return [
        {
            "network": arch,
            "photos": f"{n_photos} of {size}",
            "way": way,
            "photos a second": f"{n_photos / best[way]:.1f}",
            "times the loop": f"{best[LOOP] / best[way]:.2f}",
            "off the loop's scores, most": f"{np.abs(read_scores(outputs[way]) - expected).max():.5f}",
        }
        for way in ways
    ]


def run(n_photos: int = N_PHOTOS) -> list[dict[str, str]]:
    """Measure every network on photos of every size."""
    with tempfile.TemporaryDirectory(prefix="mekiki-benchmark-") as name:
        folder = Path(name)
        folders = make_files(folder, n_photos)
        return [row for arch, size in CASES for row in measure(folder, arch, size, folders[size])]


def main() -> None:
    rows = run(int(sys.argv[1]) if len(sys.argv) > 1 else N_PHOTOS)
    print("| " + " | ".join(rows[0]) + " |")
    print("|" + "---|" * len(rows[0]))
    for row in rows:
        print("| " + " | ".join(row.values()) + " |")


if __name__ == "__main__":
    main()
