"""Photos and clips with planted relations, and what became of them in a split; for the tests of splits."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PillowImage
from PIL import ImageDraw

from mekiki.demo.clips import GOOD_CRF, POOR_CRF, read_clip, write_clip
from pictures import exif_block, jpeg
from workspaces import query, scene

Pixels = NDArray[np.uint8]

CLIP_FPS = 4


def texture(seed: int, width_px: int = 96, height_px: int = 72) -> Pixels:
    """Return a picture of blobs, of patches, of ellipses or of bars, by turns; no two resemble each other."""
    if seed % 4 == 0:
        return scene(seed, width_px, height_px)
    rng = np.random.default_rng([seed, 7])
    if seed % 4 == 1:
        coarse = rng.integers(0, 256, (6, 8, 3), dtype=np.uint8)
        patches = PillowImage.fromarray(coarse).resize((width_px, height_px), PillowImage.Resampling.NEAREST)
        return np.asarray(patches, dtype=np.uint8)
    picture = PillowImage.new("RGB", (width_px, height_px), tuple(rng.integers(0, 256, 3).tolist()))
    draw = ImageDraw.Draw(picture)
    for _ in range(width_px // 10):
        x, y = int(rng.integers(0, width_px)), int(rng.integers(0, height_px))
        width, height = (int(side) for side in rng.integers(12, 40, 2))
        colour = tuple(rng.integers(0, 256, 3).tolist())
        box = (x - width // 2, y - height // 2, x + width // 2, y + height // 2)
        (draw.ellipse if seed % 4 == 2 else draw.rectangle)(box, fill=colour)
    return np.asarray(picture, dtype=np.uint8)


def write_picture(path: Path, pixels: Pixels, quality: int = 92, taken_at: str | None = None, **exif: str) -> Path:
    """Write a JPEG; ``exif`` may be make, model and serial."""
    path.parent.mkdir(parents=True, exist_ok=True)
    options = {"exif": exif_block(taken_at=taken_at, **exif)} if taken_at or exif else {}
    path.write_bytes(jpeg(np.ascontiguousarray(pixels), quality=quality, **options))
    return path


def write_pictures(folder: Path, seeds: Iterable[int]) -> list[Path]:
    """Write one unrelated photo per seed, called ``SEED.jpg``."""
    return [write_picture(folder / f"{seed:03d}.jpg", texture(seed)) for seed in seeds]


def mirrored(pixels: Pixels) -> Pixels:
    return np.ascontiguousarray(pixels[:, ::-1])


def resized(pixels: Pixels, share: float) -> Pixels:
    size = round(pixels.shape[1] * share), round(pixels.shape[0] * share)
    return np.asarray(PillowImage.fromarray(pixels).resize(size, PillowImage.Resampling.LANCZOS), dtype=np.uint8)


def clip_pictures(seed: int, n_frames: int = 8) -> list[Pixels]:
    """Return the pictures of a clip that pans over a wide picture, so that its frames differ from each other."""
    wide = texture(seed, 128 + 32 * n_frames, 96)
    return [np.ascontiguousarray(wide[:, 32 * frame : 32 * frame + 128]) for frame in range(n_frames)]


def write_clip_file(path: Path, seed: int, n_frames: int = 8) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_clip(path, clip_pictures(seed, n_frames), CLIP_FPS, GOOD_CRF)
    return path


def reencode_clip(source: Path, target: Path) -> Path:
    target.parent.mkdir(parents=True, exist_ok=True)
    write_clip(target, read_clip(source), CLIP_FPS, POOR_CRF)
    return target


def mirror_clip(source: Path, target: Path) -> Path:
    target.parent.mkdir(parents=True, exist_ok=True)
    write_clip(target, [mirrored(picture) for picture in read_clip(source)], CLIP_FPS)
    return target


def copy_file(source: Path, target: Path) -> Path:
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(source.read_bytes())
    return target


def write_csv(path: Path, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        writer.writerows(rows)
    return path


def write_parts(path: Path, parts: Mapping[str | Path, str]) -> Path:
    """Write a CSV with the part of each file."""
    return write_csv(path, ("filepath", "part"), parts.items())


def split_run(workspace: Path, name: str = "default") -> str:
    """Return the id of the latest split of a name."""
    sql = (
        "SELECT run_id FROM runs WHERE stage = 'split' AND json_extract(settings, '$.name') = ? "
        "AND run_id IN (SELECT run_id FROM splits) ORDER BY finished_at DESC LIMIT 1"
    )
    return str(query(workspace, sql, name)[0][0])


def parts_by_id(workspace: Path, run_id: str) -> dict[str, str]:
    """Return item id to part."""
    return dict(query(workspace, "SELECT item_id, part FROM splits WHERE run_id = ?", run_id))


def parts_by_file(workspace: Path, run_id: str, folder: Path) -> dict[str, str]:
    """Return each file's path below a folder with its part; a clip has that of its frames."""
    sql = "SELECT s.path, p.part FROM sources s JOIN splits p ON p.item_id = s.item_id WHERE p.run_id = ?"
    return {Path(path).relative_to(folder).as_posix(): part for path, part in query(workspace, sql, run_id)}


def parts_by_frame(workspace: Path, run_id: str, folder: Path) -> dict[str, set[str]]:
    """Return each clip's path below a folder with the parts of all frames taken from it."""
    sql = (
        "SELECT s.path, p.part FROM items i JOIN splits p ON p.item_id = i.item_id "
        "JOIN sources s ON s.item_id = i.parent_id WHERE p.run_id = ? AND i.kind = 'frame'"
    )
    found: dict[str, set[str]] = {}
    for path, part in query(workspace, sql, run_id):
        found.setdefault(Path(path).relative_to(folder).as_posix(), set()).add(part)
    return found


def read_certificate(workspace: Path, run_id: str) -> dict[str, object]:
    """Return the certificate as it stands on disk."""
    text = (workspace / "runs" / run_id / "certificate.json").read_text(encoding="utf-8")
    return dict(json.loads(text))
