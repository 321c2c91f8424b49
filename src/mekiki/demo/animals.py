"""Draws one animal at one moment: a soft silhouette with the marks of its kind.

A sprite is ``(H, W, 4)`` uint8 RGBA; its animal faces right and stands on the row `GROUND_SHARE` of its height.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from mekiki.demo.gait import Pose, knees, pose_at
from mekiki.demo.kinds import AnimalKind, Coat, Colour
from mekiki.demo.markings import mark_body, mark_head
from mekiki.demo.paint import Board, bend, beside, blend

Sprite = NDArray[np.uint8]

# Room around the animal, in torso lengths: to the left and right of the middle, above and below the ground.
ROOM_LEFT, ROOM_RIGHT, ROOM_ABOVE, ROOM_BELOW = 2.15, 1.5, 1.85, 0.1
GROUND_SHARE = ROOM_ABOVE / (ROOM_ABOVE + ROOM_BELOW)
MIDDLE_SHARE = ROOM_LEFT / (ROOM_LEFT + ROOM_RIGHT)
EYE_SHINE: Colour = (255, 255, 255)


def draw_animal(kind: AnimalKind, coat: Coat, phase: float, torso_px: float, is_night: bool) -> Sprite:
    """Draw an animal that faces right.

    Args:
        kind: Its proportions, gait and marks.
        coat: Its colours.
        phase: Share of the gait cycle.
        torso_px: Length of its torso in pixels.
        is_night: Whether its eye shines back into the infrared lamp.

    Returns:
        A new RGBA sprite of always the same size for one ``torso_px``.
    """
    size = (round((ROOM_LEFT + ROOM_RIGHT) * torso_px), round((ROOM_ABOVE + ROOM_BELOW) * torso_px))
    board = Board(size, torso_px, (ROOM_LEFT * torso_px, ROOM_ABOVE * torso_px), blend(coat.body, coat.legs, 0.5))
    pose = pose_at(kind, phase)
    _draw_legs(board, kind, coat, pose, near=False)
    _draw_tail(board, kind, coat, pose)
    _draw_torso(board, kind, coat, pose)
    mark_body(board, kind, coat, pose)
    _draw_legs(board, kind, coat, pose, near=True)
    _draw_head(board, kind, coat, pose)
    mark_head(board, kind, coat, pose)
    _draw_eye(board, kind, pose, is_night)
    return _with_fur(board.finish())


def _draw_legs(board: Board, kind: AnimalKind, coat: Coat, pose: Pose, near: bool) -> None:
    legs = slice(2, 4) if near else slice(0, 2)
    colour = coat.legs if near else blend(coat.legs, (0, 0, 0), 0.35)
    hips = beside(pose.spine[[0, 2]], 0.0, -0.4 * kind.thickness[1])
    if not near:
        hips = beside(hips, 0.10, 0.02)
    feet = beside(pose.feet[legs], 0.0, 0.7 * kind.leg_width)
    bent = knees(hips, feet, 1.12 * (kind.leg_length - 0.4 * kind.thickness[1]))
    thigh = blend(coat.body if near else blend(coat.body, (0, 0, 0), 0.35), colour, 0.45)
    for hip, knee, foot, thick in zip(hips, bent, feet, (1.9, 1.4), strict=True):
        width = kind.leg_width
        line = np.stack([hip, 0.45 * hip + 0.55 * knee, knee, foot])
        board.tube(line, np.array([thick, 1.3, 0.95, 0.8]) * width, [thigh, colour, colour])
        board.spot(beside(foot, 0.5 * width, -0.1 * width), (1.25 * width, 0.62 * width), colour)


def _draw_torso(board: Board, kind: AnimalKind, coat: Coat, pose: Pose) -> None:
    spine = bend(pose.spine, 9)
    radii = bend(np.array([(r, 0.0) for r in kind.thickness]), 9)[:, 0]
    board.tube(spine, radii, coat.body)
    belly = spine - np.stack([np.zeros(9), 0.55 * radii], axis=1)
    board.tube(belly, 0.40 * radii * np.sin(np.linspace(0.1, np.pi - 0.1, 9)), blend(coat.body, coat.belly, 0.75))


def tail_line(kind: AnimalKind, pose: Pose, n: int) -> NDArray[np.float64]:
    """Return ``(n, 2)`` points of the tail from its root to its tip."""
    bent = np.linspace(0.0, 1.0, n - 1) * kind.tail_curl
    angle = np.radians(180.0 - kind.tail_angle - pose.tail_swing - bent)
    steps = kind.tail_length / (n - 1) * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    root = beside(pose.spine[0], -0.65 * kind.thickness[0], 0.35 * kind.thickness[0])
    return np.concatenate([root[None], root + np.cumsum(steps, axis=0)])


def _draw_tail(board: Board, kind: AnimalKind, coat: Coat, pose: Pose) -> None:
    n = 13
    line = tail_line(kind, pose, n)
    bushy = 0.55 + 0.45 * np.sin(np.pi * np.linspace(0.15, 0.9, n))
    colours: list[Colour] = [coat.tail] * (n - 1)
    if kind.english == "raccoon":
        colours = [coat.mark if i % 4 in (2, 3) else coat.tail for i in range(n - 1)]
    elif kind.english == "raccoon dog":
        colours = [blend(coat.tail, coat.mark, max(0.0, i / (n - 2) - 0.4) / 0.6) for i in range(n - 1)]
    board.tube(line, kind.tail_width * bushy, colours)


def _draw_head(board: Board, kind: AnimalKind, coat: Coat, pose: Pose) -> None:
    r = kind.head_radius
    nape = beside(pose.spine[2], 0.0, 0.25 * kind.thickness[2])
    neck_colour = coat.body if kind.english != "marten" else blend(coat.body, coat.belly, 0.6)
    board.tube(np.stack([nape, pose.head]), (0.8 * kind.thickness[2], 0.85 * r), neck_colour)
    _draw_ear(board, kind, blend(coat.head, (0, 0, 0), 0.3), pose, offset=0.35 * r)
    nose = beside(pose.head, 0.75 * r + kind.snout_length, -0.35 * r)
    board.tube(np.stack([pose.head, nose]), (r, 0.36 * r), coat.head)
    _draw_ear(board, kind, coat.head, pose, offset=-0.15 * r)
    board.spot(beside(nose, 0.2 * r, 0.08 * r), (0.2 * r, 0.17 * r), (22, 20, 20))


def _draw_ear(board: Board, kind: AnimalKind, colour: Colour, pose: Pose, offset: float) -> None:
    r, length = kind.head_radius, kind.ear_length
    root = beside(pose.head, offset - 0.25 * r, 0.7 * r)
    if kind.ear == "round":
        board.spot(beside(root, 0.0, 0.25 * length), (0.8 * length, 0.9 * length), colour)
        board.spot(beside(root, 0.0, 0.3 * length), (0.4 * length, 0.5 * length), blend(colour, (0, 0, 0), 0.45))
    elif kind.ear == "pointed":
        corners = np.array([(-0.5 * length, -0.1), (0.02, length), (0.45 * length, -0.1)])
        board.polygon(root + corners, colour)
    else:  # long: laid back while the animal is in the air
        angle = np.radians(112.0 + 60.0 * pose.lift)
        tip = root + length * np.array([np.cos(angle), np.sin(angle)])
        board.tube(np.stack([root, (root + tip) / 2, tip]), (0.06, 0.11, 0.05), colour)
        board.spot(tip, (0.07, 0.08), (30, 26, 24))


def _draw_eye(board: Board, kind: AnimalKind, pose: Pose, is_night: bool) -> None:
    r = kind.head_radius
    eye = beside(pose.head, 0.42 * r, 0.12 * r)
    board.spot(eye, (0.17 * r, 0.17 * r), (16, 14, 14))
    if is_night:
        board.spot(eye, (0.20 * r, 0.20 * r), EYE_SHINE)


def _with_fur(sprite: Sprite) -> Sprite:
    """Light a flat sprite from above and give it the streaks of a coat; alpha is unchanged."""
    lit = sprite[..., :3] * _fur(*sprite.shape[:2])[..., None]
    return np.concatenate([np.clip(lit, 0, 255).astype(np.uint8), sprite[..., 3:]], axis=2)


@lru_cache(maxsize=4)
def _fur(height: int, width: int) -> NDArray[np.float32]:
    grain = np.random.default_rng(7).normal(0.0, 1.0, (height + 2, width + 6)).astype(np.float32)
    streaks = 0.5 * grain[2:, 3 : width + 3]
    for i in range(5):
        streaks += grain[:height, i : i + width] / 5
    rows = np.linspace(1.18, 0.72, height, dtype=np.float32)[:, None]
    return rows + np.float32(0.08) * streaks
