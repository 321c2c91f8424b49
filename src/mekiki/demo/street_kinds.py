"""What stands in the street of the demo: four common kinds and five rare ones, drawn from the side.

Lengths are metres, x to the right and y up from the ground. A sprite is ``(H, W, 4)`` uint8 RGBA that stands on its
last row.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mekiki.demo.kinds import Colour
from mekiki.demo.paint import Board, Points, blend

Sprite = NDArray[np.uint8]
Draw = Callable[[Board, np.random.Generator], None]

BLACK: Colour = (32, 32, 36)
GLASS: Colour = (150, 190, 214)
STEEL: Colour = (46, 48, 54)
PAINTS: tuple[Colour, ...] = (
    (186, 42, 44),
    (38, 74, 150),
    (236, 236, 238),
    (40, 44, 50),
    (60, 120, 76),
    (170, 172, 178),
)
CLOTHES: tuple[Colour, ...] = ((172, 48, 60), (44, 66, 128), (64, 110, 70), (120, 84, 52), (56, 58, 66))
SKIN: tuple[Colour, ...] = ((224, 182, 150), (168, 118, 84), (110, 74, 52))
YELLOW: Colour = (240, 182, 22)
ORANGE: Colour = (232, 112, 28)


@dataclass(frozen=True, slots=True)
class StreetKind:
    """Something that can be seen in the street.

    Attributes:
        name: As the truth has it.
        size_m: Width and height of its sprite.
        draw: Draws it on a board whose (0, 0) is the middle of its foot.
        is_rare: Whether the world plants a few of it only.
        height_m: Of its foot above the ground.
    """

    name: str
    size_m: tuple[float, float]
    draw: Draw
    is_rare: bool = False
    height_m: float = 0.0


def draw_sprite(kind: StreetKind, metre_px: float, rng: np.random.Generator) -> Sprite:
    """Draw one, as large as a metre is in pixels; its colours and whether it faces left are drawn by chance."""
    size = (round(kind.size_m[0] * metre_px), round(kind.size_m[1] * metre_px))
    board = Board(size, metre_px, (size[0] / 2, float(size[1])), (90, 92, 96))
    kind.draw(board, rng)
    sprite = board.finish()
    return np.ascontiguousarray(sprite[:, ::-1]) if rng.random() < 0.5 else sprite


def _points(*pairs: tuple[float, float]) -> Points:
    return np.array(pairs, dtype=np.float64)


def _pick(rng: np.random.Generator, colours: tuple[Colour, ...]) -> Colour:
    return colours[int(rng.integers(len(colours)))]


def _wheels(board: Board, xs: tuple[float, ...], radius: float) -> None:
    for x in xs:
        board.spot((x, radius), (radius, radius), BLACK)
        board.spot((x, radius), (radius / 2, radius / 2), (176, 178, 182))


def _car(board: Board, rng: np.random.Generator) -> None:
    paint = _pick(rng, PAINTS)
    board.polygon(_points((-2.1, 0.35), (2.1, 0.35), (2.05, 0.85), (1.2, 0.98), (-2.0, 1.0)), paint)
    board.polygon(_points((-1.5, 0.95), (-0.95, 1.5), (0.55, 1.5), (1.2, 0.95)), blend(paint, BLACK, 0.15))
    board.polygon(_points((-1.2, 0.98), (-0.82, 1.4), (-0.25, 1.4), (-0.25, 0.98)), GLASS)
    board.polygon(_points((-0.1, 0.98), (-0.1, 1.4), (0.48, 1.4), (0.95, 0.98)), GLASS)
    _wheels(board, (-1.35, 1.35), 0.34)


def _pedestrian(board: Board, rng: np.random.Generator) -> None:
    coat, legs, skin = _pick(rng, CLOTHES), _pick(rng, CLOTHES), _pick(rng, SKIN)
    step = 0.12 + 0.14 * float(rng.random())
    for foot in (-step, step):
        board.tube(_points((0.0, 0.85), (foot, 0.05)), [0.1, 0.07], blend(legs, BLACK, 0.2))
    board.tube(_points((0.0, 0.85), (0.0, 1.4)), [0.19, 0.17], coat)
    board.tube(_points((0.03, 1.35), (0.2, 0.85)), [0.07, 0.06], blend(coat, BLACK, 0.15))
    board.spot((0.02, 1.6), (0.12, 0.14), skin)


def _traffic_light(board: Board, rng: np.random.Generator) -> None:
    board.tube(_points((0.0, 0.0), (0.0, 2.3)), [0.07, 0.07], STEEL)
    board.polygon(_points((-0.22, 2.2), (0.22, 2.2), (0.22, 3.2), (-0.22, 3.2)), BLACK)
    lit = int(rng.integers(3))
    lamps: tuple[Colour, ...] = ((60, 210, 90), (244, 196, 48), (232, 54, 48))
    for number, lamp in enumerate(lamps):
        board.spot((0.0, 2.4 + 0.3 * number), (0.12, 0.12), lamp if number == lit else blend(lamp, BLACK, 0.75))


def _traffic_sign(board: Board, rng: np.random.Generator) -> None:
    board.tube(_points((0.0, 0.0), (0.0, 2.0)), [0.05, 0.05], STEEL)
    if rng.random() < 0.5:
        board.spot((0.0, 2.3), (0.36, 0.36), (206, 34, 40))
        board.spot((0.0, 2.3), (0.25, 0.25), (246, 246, 246))
    else:
        board.polygon(_points((-0.4, 1.98), (0.4, 1.98), (0.0, 2.66)), (206, 34, 40))
        board.polygon(_points((-0.24, 2.08), (0.24, 2.08), (0.0, 2.48)), (246, 246, 246))


def _excavator(board: Board, rng: np.random.Generator) -> None:
    lift = 0.6 * float(rng.random())
    board.tube(_points((-1.5, 0.35), (1.2, 0.35)), [0.34, 0.34], BLACK)
    board.polygon(_points((-1.6, 0.75), (1.0, 0.75), (1.0, 1.7), (-1.6, 1.7)), YELLOW)
    board.polygon(_points((0.1, 1.7), (1.0, 1.7), (0.85, 2.5), (0.1, 2.5)), GLASS)
    board.tube(_points((0.9, 1.4), (2.0, 2.7 + lift), (2.9, 1.7 + lift)), [0.2, 0.17, 0.12], YELLOW)
    board.polygon(_points((2.6, 1.7 + lift), (3.2, 1.7 + lift), (3.1, 1.1 + lift), (2.5, 1.2 + lift)), BLACK)


def _road_roller(board: Board, rng: np.random.Generator) -> None:
    board.polygon(_points((-1.3, 0.8), (1.5, 0.8), (1.5, 1.35), (-1.3, 1.35)), ORANGE)
    board.tube(_points((-0.5, 1.3), (-0.5, 2.5)), [0.06, 0.06], BLACK)
    board.tube(_points((0.7, 1.3), (0.7, 2.5)), [0.06, 0.06], BLACK)
    board.polygon(_points((-0.8, 2.45), (1.0, 2.45), (1.0, 2.65), (-0.8, 2.65)), ORANGE)
    grey = 120 + int(rng.integers(30))
    for x in (-1.15, 1.3):
        board.spot((x, 0.65), (0.65, 0.65), (grey, grey, grey + 4))
        board.spot((x, 0.65), (0.18, 0.18), BLACK)


def _horse(board: Board, rng: np.random.Generator) -> None:
    coats: tuple[Colour, ...] = ((126, 78, 44), (92, 54, 32), (150, 100, 60))
    coat = _pick(rng, coats)
    dark = blend(coat, BLACK, 0.45)
    for x, step in ((-0.65, 0.1), (-0.5, -0.12), (0.6, 0.12), (0.75, -0.08)):
        board.tube(_points((x, 1.0), (x + step, 0.05)), [0.12, 0.07], coat)
    board.tube(_points((-0.7, 1.35), (0.75, 1.35)), [0.36, 0.34], coat)
    board.tube(_points((0.8, 1.5), (1.2, 2.1), (1.55, 1.95)), [0.25, 0.17, 0.1], coat)
    board.tube(_points((0.75, 1.75), (1.1, 2.25)), [0.09, 0.07], dark)
    board.tube(_points((-0.95, 1.5), (-1.2, 1.2), (-1.2, 0.7)), [0.08, 0.1, 0.04], dark)


def _couch(board: Board, rng: np.random.Generator) -> None:
    cloths: tuple[Colour, ...] = ((150, 60, 140), (190, 88, 168), (128, 52, 160))
    cloth = _pick(rng, cloths)
    board.polygon(_points((-1.0, 0.2), (1.0, 0.2), (1.0, 0.6), (-1.0, 0.6)), cloth)
    board.polygon(_points((-0.9, 0.55), (0.9, 0.55), (0.85, 1.1), (-0.85, 1.1)), blend(cloth, (255, 255, 255), 0.25))
    for x in (-1.05, 1.05):
        board.tube(_points((x, 0.2), (x, 0.75)), [0.17, 0.17], blend(cloth, BLACK, 0.2))
    for x in (-0.9, 0.9):
        board.tube(_points((x, 0.2), (x, 0.04)), [0.04, 0.04], BLACK)


def _balloon(board: Board, rng: np.random.Generator) -> None:
    hues: tuple[Colour, ...] = ((216, 44, 120), (30, 160, 150), (244, 140, 20))
    hue = _pick(rng, hues)
    board.spot((0.0, 2.6), (1.3, 1.35), hue)
    board.spot((0.0, 2.6), (0.75, 1.35), (250, 236, 190))
    board.spot((0.0, 2.6), (0.28, 1.35), hue)
    for x in (-0.3, 0.3):
        board.tube(_points((2.2 * x, 1.5), (x, 0.5)), [0.03, 0.03], BLACK)
    board.polygon(_points((-0.35, 0.0), (0.35, 0.0), (0.35, 0.5), (-0.35, 0.5)), (120, 84, 50))


KINDS: Mapping[str, StreetKind] = {
    kind.name: kind
    for kind in (
        StreetKind("car", (4.4, 1.6), _car),
        StreetKind("pedestrian", (0.8, 1.8), _pedestrian),
        StreetKind("traffic_light", (0.6, 3.3), _traffic_light),
        StreetKind("traffic_sign", (0.9, 2.8), _traffic_sign),
        StreetKind("excavator", (6.6, 3.6), _excavator, is_rare=True),
        StreetKind("road_roller", (4.0, 2.8), _road_roller, is_rare=True),
        StreetKind("horse", (3.4, 2.5), _horse, is_rare=True),
        StreetKind("couch", (2.6, 1.3), _couch, is_rare=True),
        StreetKind("balloon", (2.8, 4.1), _balloon, is_rare=True, height_m=3.0),
    )
}
"""Every kind by its name."""

COMMON_SHARES: Mapping[str, float] = {"car": 0.42, "pedestrian": 0.3, "traffic_light": 0.12, "traffic_sign": 0.16}
"""How often a place in the street holds which common kind."""

RARE_KINDS = tuple(name for name, kind in KINDS.items() if kind.is_rare)
