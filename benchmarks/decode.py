"""Reading a JPEG file as a small picture: mekiki beside plain Pillow and OpenCV, in one run.

Every way reads the same file and gives the upright RGB picture with a short side of 224 pixels. The limit is what
libjpeg-turbo needs to decode the file at the scale that mekiki chooses, with nothing around it. Figures are the best
of several rounds, in which the ways take turns, on one thread each.

Run: ``python benchmarks/decode.py``
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import simplejpeg
from PIL import Image as PillowImage
from PIL import ImageOps

from mekiki.media.images import encode_jpeg, read_image, resize_image
from mekiki.media.jpeg import choose_divisor
from mekiki.records import Image

SHORT_SIDE_PX = 224
OVERSIZE = 2  # decoded to no less than twice the target
SIZES_HW = {1: (866, 1155), 4: (1732, 2309), 12: (3000, 4000)}  # by megapixels
N_ROUNDS = 7
QUALITY = 90

Way = Callable[[Path, tuple[int, int]], object]


def make_scene(height_px: int, width_px: int) -> Image:
    """Return something with the detail of a photo: a gradient, and noise that is weaker the finer it is."""
    rng = np.random.default_rng(0)
    x = np.linspace(0, 90, width_px, dtype=np.float32)
    scene = np.broadcast_to(60 + x[np.newaxis, :, np.newaxis], (height_px, width_px, 3)).copy()
    contrast, cell_px = 60.0, 512
    while cell_px >= 1:
        shape = (height_px // cell_px + 2, width_px // cell_px + 2, 3)
        octave = rng.normal(0, contrast, shape).astype(np.float32)
        scene += cv2.resize(octave, (width_px, height_px), interpolation=cv2.INTER_CUBIC)
        contrast, cell_px = contrast / 2, cell_px // 2
    return np.clip(scene, 0, 255).astype(np.uint8)


def by_mekiki(path: Path, size: tuple[int, int]) -> Image:
    return resize_image(read_image(path, at_least_px=OVERSIZE * SHORT_SIDE_PX), *size)


def by_pillow(path: Path, size: tuple[int, int], resample: PillowImage.Resampling) -> Image:
    with PillowImage.open(path) as picture:
        upright = ImageOps.exif_transpose(picture).convert("RGB")
    return np.asarray(upright.resize(size, resample))


def by_pillow_bicubic(path: Path, size: tuple[int, int]) -> Image:
    return by_pillow(path, size, PillowImage.Resampling.BICUBIC)


def by_pillow_lanczos(path: Path, size: tuple[int, int]) -> Image:
    return by_pillow(path, size, PillowImage.Resampling.LANCZOS)


def by_opencv(path: Path, size: tuple[int, int]) -> object:
    bgr = cv2.imread(str(path), cv2.IMREAD_COLOR)
    assert bgr is not None
    return cv2.resize(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), size, interpolation=cv2.INTER_AREA)


def by_decoder_alone(path: Path, size: tuple[int, int]) -> object:
    content = path.read_bytes()
    height_px, width_px, _, _ = simplejpeg.decode_jpeg_header(content)
    divisor = choose_divisor(min(height_px, width_px), OVERSIZE * SHORT_SIDE_PX)
    return simplejpeg.decode_jpeg(content, min_height=-(-height_px // divisor), min_width=-(-width_px // divisor))


WAYS: dict[str, Way] = {
    "mekiki": by_mekiki,
    "Pillow, bicubic": by_pillow_bicubic,
    "Pillow, Lanczos": by_pillow_lanczos,
    "OpenCV, area": by_opencv,
    "limit": by_decoder_alone,
}


def best_times_s(path: Path, size: tuple[int, int]) -> dict[str, float]:
    best = dict.fromkeys(WAYS, float("inf"))
    for _ in range(N_ROUNDS):
        for name, way in WAYS.items():
            start = time.perf_counter()
            way(path, size)
            best[name] = min(best[name], time.perf_counter() - start)
    return best


def run() -> list[dict[str, str]]:
    """Return one row per picture size: milliseconds of each way, ratios, and how far the result is from Pillow's."""
    cv2.setNumThreads(1)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for megapixels, (height_px, width_px) in SIZES_HW.items():
            path = Path(folder) / f"{megapixels}.jpg"
            path.write_bytes(encode_jpeg(make_scene(height_px, width_px), QUALITY))
            scale = SHORT_SIDE_PX / min(height_px, width_px)
            size = (round(width_px * scale), round(height_px * scale))
            best = best_times_s(path, size)
            off = np.abs(by_mekiki(path, size).astype(int) - by_pillow_bicubic(path, size))
            rows.append(
                {
                    "JPEG": f"{megapixels} MP, {path.stat().st_size / 1e6:.1f} MB",
                    **{f"{name} (ms)": f"{1000 * seconds:.1f}" for name, seconds in best.items()},
                    "faster than Pillow, bicubic": f"{best['Pillow, bicubic'] / best['mekiki']:.1f}×",
                    "than Pillow, Lanczos": f"{best['Pillow, Lanczos'] / best['mekiki']:.1f}×",
                    "than OpenCV": f"{best['OpenCV, area'] / best['mekiki']:.1f}×",
                    "off Pillow, mean / most": f"{off.mean():.2f} / {off.max()} of 255",
                }
            )
    return rows


def main() -> None:
    rows = run()
    print("| " + " | ".join(rows[0]) + " |")
    print("|" + "---|" * len(rows[0]))
    for row in rows:
        print("| " + " | ".join(row.values()) + " |")


if __name__ == "__main__":
    main()
