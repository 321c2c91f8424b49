"""One way from photos to stored vectors, in a process of its own; ``benchmarks/embedding.py`` calls and compares them.

Prints one line of JSON: seconds, peak memory in MB, and the file with the vectors in the order of the photos' names.
The packages are imported before the clock starts; the model is loaded after.

Run: ``python benchmarks/ways/embedding_way.py transformers|open_clip|fp32|bf16|int8 MODELS PHOTOS SCRATCH``
"""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image as PillowImage
from torch.utils.data import DataLoader

from mekiki.api.verbs import run_stage
from mekiki.catalog.db import Catalog
from mekiki.catalog.vectors import StoredVectors, require_vectors
from mekiki.training.packages import import_open_clip, import_transformers
from mekiki.training.runtimes import import_openvino

BATCH = 32
N_WORKERS = 2


class Photos:
    """The data set that a user would write."""

    def __init__(self, paths: Sequence[Path], prepare: Callable[[Any], Any]) -> None:
        self.paths = paths
        self.prepare = prepare

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> Any:
        return self.prepare(PillowImage.open(self.paths[index]).convert("RGB"))


def by_loop(photos: Path, prepare: Callable[[Any], Any], embed: Callable[[Any], Any]) -> Any:
    """Return the vectors that a loop as its users write it gives."""
    loader = DataLoader(Photos(sorted(photos.iterdir()), prepare), batch_size=BATCH, num_workers=N_WORKERS)
    with torch.inference_mode():
        return torch.cat([embed(batch) for batch in loader]).numpy()


def by_transformers(models: Path, photos: Path) -> Any:
    transformers = import_transformers()
    processor = transformers.AutoImageProcessor.from_pretrained(models / "hf")
    model = transformers.CLIPModel.from_pretrained(models / "hf").eval()

    def embed(batch: Any) -> Any:
        found = model.get_image_features(pixel_values=batch)
        return found if isinstance(found, torch.Tensor) else found.pooler_output

    return by_loop(photos, lambda image: processor(images=image, return_tensors="pt")["pixel_values"][0], embed)


def by_open_clip(models: Path, photos: Path) -> Any:
    open_clip = import_open_clip()
    model, _, prepare = open_clip.create_model_and_transforms("ViT-B-32", pretrained=str(models / "open_clip.pt"))
    return by_loop(photos, prepare, model.eval().encode_image)


def by_mekiki(models: Path, photos: Path, scratch: Path, precision: str) -> tuple[Any, dict[str, Any]]:
    """Ingest and embed into a fresh workspace, which has the 8-bit graph of an earlier one if that is there."""
    workspace, graphs = scratch / "workspace", scratch / "embedders"
    started = time.perf_counter()
    run_stage("ingest", workspace, {"paths": [str(photos)]})
    ingested = time.perf_counter()
    if graphs.is_dir():
        shutil.copytree(graphs, workspace / "models" / "embedders")
    summary = run_stage(
        "embed", workspace, {"embedder": f"hf:{models / 'hf'}", "precision": precision, "runtime": "openvino"}
    )
    done = time.perf_counter()
    if summary.n_failed:
        raise SystemExit(f"{summary.n_failed} photos failed: {summary.failures[0]}")
    facts = {
        "ingest_s": ingested - started,
        "embed_s": done - ingested,
        "seconds": done - started,
        "cosine": summary.extra["cosine_to_fp32"],
    }
    with Catalog(workspace) as catalog:
        vectors = StoredVectors(catalog, require_vectors(catalog))
        ids = dict(catalog.rows("SELECT path, item_id FROM sources"))
        found = vectors.read([ids[str(path)] for path in sorted(photos.iterdir())])
    made = workspace / "models" / "embedders"
    if made.is_dir() and not graphs.is_dir():
        shutil.copytree(made, graphs)
    return found, facts


def peak_mb() -> float:
    """Return the most memory that this process ever held."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    return int(found[1]) / 1e3 if found else float("nan")


def cpu_s() -> float:
    """Return the processor time of this process and of those that it waited for."""
    return sum(os.times()[:4])


def main() -> None:
    way, models, photos, scratch = sys.argv[1], *(Path(word) for word in sys.argv[2:5])
    import_open_clip(), import_transformers(), import_openvino()
    started, cpu_before = time.perf_counter(), cpu_s()
    facts: dict[str, Any] = {}
    if way == "transformers":
        vectors = by_transformers(models, photos)
    elif way == "open_clip":
        vectors = by_open_clip(models, photos)
    else:
        vectors, facts = by_mekiki(models, photos, scratch, way)
    np.save(scratch / "vectors.npy", vectors)
    facts = {"seconds": time.perf_counter() - started, **facts, "peak_mb": peak_mb(), "cpu_s": cpu_s() - cpu_before}
    shutil.rmtree(scratch / "workspace", ignore_errors=True)
    print(json.dumps(facts))


if __name__ == "__main__":
    main()
