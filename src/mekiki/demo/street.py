"""The world of the rare-objects demo: drawn street scenes, a few of which hold something that no street has.

Every scene is a stack of level bands (sky, houses, pavement, road), so that what stands in it differs from its row: the
detector ``blobs`` can see that without any weights. Nothing overlaps, and nothing is cut off by the edge.
"""

from __future__ import annotations

import csv
import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import PIL.Image
from numpy.typing import NDArray

from mekiki.demo.street_kinds import COMMON_SHARES, KINDS, RARE_KINDS, draw_sprite
from mekiki.errors import UsageError
from mekiki.records import Image
from mekiki.wholefiles import write_whole

WIDTH_PX, HEIGHT_PX = 480, 320
DRAWING_VERSION = 1
MARKER_NAME, TRUTH_NAME = "street.json", "truth.csv"
TRUTH_COLUMNS = ("filepath", "kind", "rare", "x_min", "y_min", "x_max", "y_max")
QUALITY = 92

# Sky above and at the horizon, houses, pavement, road.
_HOURS = (
    ((112, 164, 216), (196, 220, 238), (168, 160, 152), (150, 150, 150), (104, 106, 110)),
    ((150, 160, 172), (198, 202, 206), (150, 148, 146), (140, 140, 142), (96, 98, 102)),
    ((196, 140, 112), (236, 198, 160), (158, 140, 134), (146, 140, 138), (100, 98, 100)),
)
_HORIZON, _PAVEMENT, _ROAD = 0.40, 0.56, 0.64


@dataclass(frozen=True, slots=True)
class StreetSettings:
    """How to draw the streets. The same settings give the same bytes.

    Attributes:
        seed: Everything that is drawn by chance follows from it.
        n_scenes: Photos, of which the last is cut off in the middle of its file.
        n_rare: Rare things, dealt over their kinds and over scenes by chance, one a scene.
    """

    seed: int = 0
    n_scenes: int = 240
    n_rare: int = 20

    def __post_init__(self) -> None:
        if self.seed < 0:
            raise UsageError(f"seed must be 0 or more, got {self.seed}.")
        if not 0 <= self.n_rare < self.n_scenes:
            raise UsageError(f"n_rare must lie in 0..{self.n_scenes - 1}, one in a scene at most, got {self.n_rare}.")


@dataclass(frozen=True, slots=True)
class Thing:
    """Something in a scene: its kind and where it is, ``x_min, y_min, x_max, y_max`` in pixels."""

    kind: str
    box: tuple[int, int, int, int]


@dataclass(frozen=True, slots=True)
class StreetWorld:
    """Drawn streets on disk.

    Attributes:
        folder: Holds ``photos`` and the truth.
        photos: The folder with the scenes.
        truth_path: CSV with a row for each thing, its box, and 1 under ``rare`` where it is.
        n_things, n_rare: How many there are in readable scenes.
        n_unreadable: Photos that are broken on purpose.
    """

    folder: Path
    photos: Path
    truth_path: Path
    n_things: int
    n_rare: int
    n_unreadable: int = 1


def make_street_world(folder: Path, settings: StreetSettings | None = None) -> StreetWorld:
    """Draw streets into a folder; those that are there already with these settings are left as they are.

    Args:
        folder: New, empty, or that of an earlier call.
        settings: None for the defaults.

    Raises:
        UsageError: If the folder holds something else.
    """
    settings = settings or StreetSettings()
    wanted = json.dumps({"drawing_version": DRAWING_VERSION, **asdict(settings)})
    marker, photos, truth = folder / MARKER_NAME, folder / "photos", folder / TRUTH_NAME
    if folder.exists() and not marker.is_file() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError(f"{folder} holds something that is no demo street. Choose a new or an empty folder.")
    if not (marker.is_file() and marker.read_text(encoding="utf-8") == wanted and truth.is_file()):
        photos.mkdir(parents=True, exist_ok=True)
        write_whole(marker, b"being drawn")
        for old in photos.glob("street_*.jpg"):
            old.unlink()
        _write_scenes(photos, truth, settings)
        write_whole(marker, wanted.encode())
    with truth.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    return StreetWorld(folder, photos, truth, len(rows), sum(row["rare"] == "1" for row in rows))


def draw_scene(rng: np.random.Generator, rare: str | None = None) -> tuple[Image, list[Thing]]:
    """Return a scene ``(320, 480, 3)`` and what is in it, the rare thing first if there is one."""
    pixels = _background(rng)
    wanted = [rare] if rare else []
    names, shares = list(COMMON_SHARES), list(COMMON_SHARES.values())
    wanted += [str(name) for name in rng.choice(names, size=int(rng.integers(3, 6)), p=shares)]
    things: list[Thing] = []
    free = np.ones(WIDTH_PX, np.bool_)
    for name in wanted:
        kind = KINDS[name]
        metre_px = float(rng.uniform(24, 34))
        sprite = draw_sprite(kind, metre_px, rng)
        foot = HEIGHT_PX * float(rng.uniform(_ROAD + 0.03, 0.97)) - kind.height_m * metre_px
        left = _find_room(free, sprite.shape[1], rng)
        if left is None:
            continue
        things.append(Thing(name, _paste(pixels, sprite, left, int(foot))))
        free[max(0, left - 4) : left + sprite.shape[1] + 4] = False
    noise = rng.normal(0, 1.5, pixels.shape)
    return np.clip(pixels + noise, 0, 255).astype(np.uint8), things


def _background(rng: np.random.Generator) -> NDArray[np.float64]:
    sky, haze, houses, pavement, road = (np.array(one, np.float64) for one in _HOURS[int(rng.integers(len(_HOURS)))])
    rows = np.empty((HEIGHT_PX, 1, 3))
    horizon, kerb, lane = (round(HEIGHT_PX * share) for share in (_HORIZON, _PAVEMENT, _ROAD))
    fade = np.linspace(0, 1, horizon)[:, None]
    rows[:horizon, 0] = sky * (1 - fade) + haze * fade
    rows[horizon:kerb] = houses
    rows[kerb:lane] = pavement
    rows[lane:] = road
    rows[lane : lane + 3] = 200  # the kerb
    rows += rng.normal(0, 1.0, rows.shape)
    return np.repeat(rows + rng.uniform(-10, 10), WIDTH_PX, axis=1)


def _find_room(free: NDArray[np.bool_], width: int, rng: np.random.Generator) -> int | None:
    """Return where something of this width fits, by chance; None where it does not."""
    if width + 8 > WIDTH_PX:
        return None
    starts = np.flatnonzero(np.lib.stride_tricks.sliding_window_view(free, width + 8).all(axis=1))
    return int(rng.choice(starts)) + 4 if len(starts) else None


def _paste(
    pixels: NDArray[np.float64],
    sprite: NDArray[np.uint8],
    left: int,
    foot: int,
) -> tuple[int, int, int, int]:
    """Put a sprite on its foot and return the box of what is seen of it."""
    top = max(2, foot - sprite.shape[0])
    shown = sprite[-(foot - top) :] if foot - top < sprite.shape[0] else sprite
    alpha = shown[:, :, 3:] / 255
    place = pixels[top:foot, left : left + shown.shape[1]]
    place[:] = place * (1 - alpha) + shown[:, :, :3] * alpha
    ys, xs = np.nonzero(shown[:, :, 3] > 96)
    return left + int(xs.min()), top + int(ys.min()), left + int(xs.max()) + 1, top + int(ys.max()) + 1


def _write_scenes(photos: Path, truth: Path, settings: StreetSettings) -> None:
    rng = np.random.default_rng(settings.seed)
    places = rng.choice(settings.n_scenes - 1, settings.n_rare, replace=False)  # never the one that is broken
    rare = {int(place): RARE_KINDS[number % len(RARE_KINDS)] for number, place in enumerate(places)}
    with truth.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(TRUTH_COLUMNS)
        for number in range(settings.n_scenes):
            pixels, things = draw_scene(np.random.default_rng((settings.seed, number)), rare.get(number))
            path = photos / f"street_{number:04d}.jpg"
            PIL.Image.fromarray(pixels).save(path, "JPEG", quality=QUALITY)
            if number == settings.n_scenes - 1:
                content = path.read_bytes()
                path.write_bytes(content[: len(content) // 8])
                continue
            writer.writerows(
                (f"photos/{path.name}", one.kind, int(KINDS[one.kind].is_rare), *one.box) for one in things
            )
