"""From photos to stored vectors: ``mekiki embed`` on a CPU beside the loops that users write, all in one run.

The network is ViT-B/32 as CLIP has it, with random weights: they cost as much as trained ones. The loops are
``transformers`` and open_clip in fp32, each with its own processor, a ``DataLoader`` with two workers and batches of
32. Time runs from file names to vectors on the disk, with the model loaded in it; packages are imported before. Ours is
``ingest`` and ``embed`` into a fresh workspace; the 8-bit graph is made once before, and what that takes is stated.
Ways take turns, and medians count. The time of a core, all threads and workers together, tells of a shared machine what
the clock cannot. Photos are real ones, each cropped and written again so that all files differ.

Beside them stands the limit: what this machine multiplies in each precision in the network's own largest product.

Run: ``python benchmarks/embedding.py [N_PHOTOS [N_ROUNDS]]``
"""

from __future__ import annotations

import io
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image as PillowImage

from mekiki.media.images import decode_image, encode_jpeg
from mekiki.media.preprocessing import Preprocessing, seen_by
from mekiki.models.precision import cosines_between
from mekiki.training.packages import import_open_clip, import_transformers
from mekiki.training.runtimes import import_openvino

HERE = Path(__file__).parent
DATA = HERE.parents[1] / "shared" / "data"
FOLDERS = (
    "street/coco_mini",
    "classification/hymenoptera",
    "classification/imagenet_one_per_class",
    "wildlife/ena24_small",
)
TRANSFORMERS, OPEN_CLIP = "transformers loop, fp32", "open_clip loop, fp32"
OURS = {"mekiki, fp32": "fp32", "mekiki, bf16": "bf16", "mekiki, int8": "int8"}
WAYS = {TRANSFORMERS: "transformers", OPEN_CLIP: "open_clip", **OURS}
N_PHOTOS, N_ROUNDS = 1_000, 3
FLOPS_PER_PHOTO = 8.8e9
"""Of ViT-B/32 at 224 px: 4.4 thousand million multiplications, each with an addition."""

PRODUCT = (1_600, 768, 3_072)
"""Rows of 32 pictures of 50 tokens, through the wider layer of an MLP."""

LARGE_HW = (3_000, 4_000)
HOW = Preprocessing(resize="short-side", resize_hw=(224, 224), crop_hw=(224, 224), interpolation="bicubic")


def real_photos() -> Iterator[NDArray[np.uint8]]:
    """Yield real photos over and over, another part of each, half of them mirrored; scenes where there are none."""
    chance = np.random.default_rng(0)
    paths: list[Path] = (
        sorted(path for name in FOLDERS for path in (DATA / name).rglob("*.jp*g")) if DATA.is_dir() else []
    )
    while True:
        for path in paths or (None,):
            if path is None:
                coarse = PillowImage.fromarray(chance.integers(0, 256, (12, 16, 3), np.uint8))
                yield np.asarray(coarse.resize((640, 480), PillowImage.Resampling.BICUBIC))
                continue
            pixels = np.asarray(PillowImage.open(path).convert("RGB"))
            top, left = (int(chance.integers(0, side // 8 + 1)) for side in pixels.shape[:2])
            part = pixels[top : top + pixels.shape[0] * 7 // 8, left : left + pixels.shape[1] * 7 // 8]
            yield part[:, ::-1] if chance.random() < 0.5 else part


def make_photos(folder: Path, n_photos: int) -> Path:
    """Write so many different JPEG files."""
    folder.mkdir()
    for number, pixels in zip(range(n_photos), real_photos(), strict=False):
        (folder / f"{number:05d}.jpg").write_bytes(encode_jpeg(np.ascontiguousarray(pixels), 90))
    return folder


def make_models(folder: Path) -> Path:
    """Write both libraries' ViT-B/32 with random weights, as their users have them on the disk."""
    transformers, open_clip = import_transformers(), import_open_clip()
    torch.manual_seed(0)
    transformers.CLIPModel(transformers.CLIPConfig()).save_pretrained(folder / "hf")
    transformers.CLIPImageProcessor().save_pretrained(folder / "hf")
    torch.save(open_clip.create_model("ViT-B-32", pretrained=None).state_dict(), folder / "open_clip.pt")
    return folder


def run_way(way: str, models: Path, photos: Path, scratch: Path) -> dict[str, Any]:
    """Run one way in a process of its own."""
    scratch.mkdir(exist_ok=True)
    words = [sys.executable, str(HERE / "ways" / "embedding_way.py"), WAYS[way], str(models), str(photos), str(scratch)]
    done = subprocess.run(words, stdout=subprocess.PIPE, text=True, check=True, stderr=subprocess.DEVNULL)
    return {**json.loads(done.stdout.splitlines()[-1]), "vectors": np.load(scratch / "vectors.npy")}


def rates() -> dict[str, float]:
    """Return thousand million operations a second of one matrix product in each precision, the best of several."""
    n_rows, n_in, n_out = PRODUCT
    openvino = import_openvino()
    ops, core = openvino.opset13, openvino.Core()
    chance = np.random.default_rng(0)
    weights = chance.standard_normal((n_in, n_out), np.float32)
    rows = chance.standard_normal((n_rows, n_in), np.float32)

    def product(hint: str, *, is_int8: bool) -> Callable[[], object]:
        given = ops.parameter([n_rows, n_in], np.float32)
        left, right = given, ops.constant(weights)
        if is_int8:  # as NNCF's symmetric quantisation has it: 256 levels of what comes in, 255 of weights
            left = ops.fake_quantize(left, *_ends(ops, -4, 4 * 127 / 128), 256)
            right = ops.fake_quantize(right, *_ends(ops, -4, 4), 255)
        last = ops.reduce_max(ops.matmul(left, right, False, False), ops.constant(np.array([1])))
        options = {"INFERENCE_PRECISION_HINT": hint, "PERFORMANCE_HINT": "LATENCY"}
        request = core.compile_model(openvino.Model([last], [given]), "CPU", options).create_infer_request()
        return lambda: request.infer([rows])

    works = {
        "fp32": product("f32", is_int8=False),
        "bf16": product("bf16", is_int8=False),
        "int8": product("f32", is_int8=True),
    }
    seconds = {name: min(timed(work) for _ in range(30)) for name, work in works.items()}
    return {name: 2e-9 * n_rows * n_in * n_out / one for name, one in seconds.items()}


def _ends(ops: Any, low: float, high: float) -> list[Any]:
    return [ops.constant(np.float32(one)) for one in (low, high, low, high)]


def timed(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def decoding() -> list[dict[str, str]]:
    """Return how long a photo of 12 megapixels takes from its bytes to what the network sees, ours and Pillow's way."""
    contents = []
    for _, pixels in zip(range(8), real_photos(), strict=False):
        large = PillowImage.fromarray(pixels).resize(LARGE_HW[::-1], PillowImage.Resampling.BICUBIC)
        grain = np.random.default_rng(0).normal(0, 4, (*LARGE_HW, 1))
        file = io.BytesIO()  # by Pillow, which halves the colours as cameras do
        PillowImage.fromarray((np.asarray(large) + grain).clip(0, 255).astype(np.uint8)).save(file, "JPEG", quality=90)
        contents.append(file.getvalue())

    def ours(content: bytes) -> object:
        return seen_by(decode_image(content, "photo", at_least_px=HOW.at_least_px).pixels, HOW)

    def pillow(content: bytes) -> object:
        image = PillowImage.open(io.BytesIO(content)).convert("RGB")
        scale = 224 / min(image.size)
        small = image.resize([round(side * scale) for side in image.size], PillowImage.Resampling.BICUBIC)
        left, top = ((side - 224) // 2 for side in small.size)
        return np.asarray(small.crop((left, top, left + 224, top + 224)))

    times: dict[str, list[float]] = {"mekiki": [], "Pillow": []}
    for content in contents * 3:
        times["Pillow"].append(timed(lambda content=content: pillow(content)))  # type: ignore[misc]
        times["mekiki"].append(timed(lambda content=content: ours(content)))  # type: ignore[misc]
    middle = {name: statistics.median(values) for name, values in times.items()}
    return [
        {
            "12-megapixel JPEG, decoded and resized by": name,
            "ms": f"{1e3 * seconds:.1f}",
            "times Pillow": f"{middle['Pillow'] / seconds:.1f}",
        }
        for name, seconds in middle.items()
    ]


def tables(folder: Path, n_photos: int, n_rounds: int) -> Iterator[list[dict[str, str]]]:
    """Yield the tables."""
    models, photos = make_models(folder), make_photos(folder / "photos", n_photos)
    scratch = {way: folder / f"scratch{number}" for number, way in enumerate(WAYS)}
    first = {way: run_way(way, models, photos, scratch[way]) for way in ("mekiki, bf16", "mekiki, int8")}
    rounds: list[dict[str, dict[str, Any]]] = []
    limits: list[dict[str, float]] = []
    for _ in range(n_rounds):
        limits.append(rates())
        rounds.append({way: run_way(way, models, photos, scratch[way]) for way in WAYS})
    limit = {name: statistics.median(one[name] for one in limits) for name in limits[0]}
    expected = rounds[-1][TRANSFORMERS]["vectors"]
    yield [_row(way, rounds, limit, expected, n_photos) for way in WAYS]
    yield [
        {
            "made and checked once": way.removeprefix("mekiki, "),
            "seconds": f"{one['embed_s'] - statistics.median(r[way]['embed_s'] for r in rounds):.0f}",
            "mean cosine to fp32": f"{one['cosine']['mean']:.5f}",
            "lowest": f"{one['cosine']['lowest']:.5f}",
            "on pictures": str(one["cosine"]["n_checked"]),
        }
        for way, one in first.items()
    ]
    yield decoding()
    few = make_photos(folder / "few", max(32, n_photos // 4))
    yield [
        {
            "way": way,
            f"peak MB, {len(list(few.iterdir()))} photos": f"{run_way(way, models, few, scratch[way])['peak_mb']:.0f}",
            f"peak MB, {n_photos} photos": f"{statistics.median(one[way]['peak_mb'] for one in rounds):.0f}",
        }
        for way in ("mekiki, fp32", "mekiki, int8")
    ]


def _row(
    way: str,
    rounds: list[dict[str, dict[str, Any]]],
    limit: Mapping[str, float],
    expected: NDArray[np.float32],
    n_photos: int,
) -> dict[str, str]:
    speed = {one: statistics.median(n_photos / found[one]["seconds"] for found in rounds) for one in rounds[0]}
    alone = statistics.median(n_photos / found[way].get("embed_s", found[way]["seconds"]) for found in rounds)
    precision = OURS.get(way, "fp32")
    rate = alone * FLOPS_PER_PHOTO / 1e9
    same_weights = cosines_between(rounds[-1][way]["vectors"], expected)
    return {
        "way": way,
        "photos a second": f"{speed[way]:.1f}",
        "without ingest": f"{alone:.1f}" if way in OURS else "",
        "ms of a core a photo": f"{1e3 * statistics.median(one[way]['cpu_s'] for one in rounds) / n_photos:.0f}",
        "times transformers": f"{speed[way] / speed[TRANSFORMERS]:.2f}",
        "times open_clip": f"{speed[way] / speed[OPEN_CLIP]:.2f}",
        "share of the limit": f"{rate:.0f} of {limit[precision]:.0f} GFLOP/s",
        "cosine to transformers, mean and lowest": ""
        if way == OPEN_CLIP
        else f"{same_weights.mean():.5f}, {same_weights.min():.5f}",
    }


def run(n_photos: int = N_PHOTOS, n_rounds: int = N_ROUNDS) -> list[list[dict[str, str]]]:
    """Measure all ways and return the tables."""
    with tempfile.TemporaryDirectory(prefix="mekiki-benchmark-") as name:
        return list(tables(Path(name), n_photos, n_rounds))


def main() -> None:
    given = [int(word) for word in sys.argv[1:]]
    for rows in run(*given):
        print("| " + " | ".join(rows[0]) + " |")
        print("|" + "---|" * len(rows[0]))
        for row in rows:
            print("| " + " | ".join(row.values()) + " |")
        print(flush=True)


if __name__ == "__main__":
    main()
