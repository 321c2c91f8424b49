"""The marks by which a person tells the kinds apart: masks, stripes, saddles and haunches."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from mekiki.demo.gait import Pose
from mekiki.demo.kinds import AnimalKind, Coat
from mekiki.demo.paint import Board, bend, beside, blend

Mark = Callable[[Board, AnimalKind, Coat, Pose], None]


def mark_body(board: Board, kind: AnimalKind, coat: Coat, pose: Pose) -> None:
    """Draw what the kind wears on its torso; nothing for most."""
    if kind.english in BODY_MARKS:
        BODY_MARKS[kind.english](board, kind, coat, pose)


def mark_head(board: Board, kind: AnimalKind, coat: Coat, pose: Pose) -> None:
    """Draw what the kind wears on its face; nothing for some."""
    if kind.english in HEAD_MARKS:
        HEAD_MARKS[kind.english](board, kind, coat, pose)


def _tabby(board: Board, kind: AnimalKind, coat: Coat, pose: Pose) -> None:
    spine = bend(pose.spine, 9)
    for x, y in spine[1:-1]:
        r = kind.thickness[1]
        line = np.array([(x, y + 0.9 * r), (x - 0.03, y + 0.3 * r), (x + 0.02, y - 0.25 * r)])
        board.tube(line, (0.03, 0.026, 0.012), coat.mark)


def _saddle(board: Board, kind: AnimalKind, coat: Coat, pose: Pose) -> None:
    """A dark band from the shoulder down the foreleg, with a dark line along the back."""
    band = pose.spine[2] + np.array([(-0.08, 0.26), (-0.02, 0.0), (0.0, -0.28)])
    board.tube(band, (0.10, 0.15, 0.12), coat.mark)
    back = beside(bend(pose.spine, 9)[1:-1], 0.0, 0.86 * kind.thickness[1])
    board.tube(back, 0.055 * np.sin(np.linspace(0.3, np.pi - 0.3, 7)), blend(coat.body, coat.mark, 0.55))


def _haunch(board: Board, kind: AnimalKind, coat: Coat, pose: Pose) -> None:
    hip = pose.spine[0]
    board.spot(beside(hip, 0.06, -0.10), (0.31, 0.27), blend(coat.body, (0, 0, 0), 0.12))
    board.spot(beside(hip, 0.07, -0.08), (0.28, 0.25), blend(coat.body, (255, 255, 255), 0.06))


def _bib(board: Board, kind: AnimalKind, coat: Coat, pose: Pose) -> None:
    board.tube(pose.spine[2] + np.array([(0.02, -0.06), (0.16, 0.03)]), (0.09, 0.08), coat.belly)


def _dark_side(board: Board, kind: AnimalKind, coat: Coat, pose: Pose) -> None:
    """A dark throat and lower half below a pale back."""
    low = beside(bend(pose.spine, 9), 0.06, -0.42 * kind.thickness[1])
    board.tube(low, 0.55 * kind.thickness[1] * np.sin(np.linspace(0.6, np.pi - 0.6, 9)), coat.belly)


def _badger_face(board: Board, kind: AnimalKind, coat: Coat, pose: Pose) -> None:
    r = kind.head_radius
    stripe = pose.head + r * np.array([(-1.2, 0.3), (0.45, 0.12), (2.2, -0.22)])
    board.tube(stripe, r * np.array([0.42, 0.4, 0.18]), coat.mark)


def _raccoon_face(board: Board, kind: AnimalKind, coat: Coat, pose: Pose) -> None:
    r = kind.head_radius
    board.tube(pose.head + r * np.array([(-0.15, 0.55), (0.6, 0.5)]), r * np.array([0.2, 0.18]), (236, 232, 224))
    mask = pose.head + r * np.array([(-0.55, -0.25), (0.3, 0.08), (0.95, 0.0)])
    board.tube(mask, r * np.array([0.30, 0.36, 0.2]), coat.mark)


def _civet_face(board: Board, kind: AnimalKind, coat: Coat, pose: Pose) -> None:
    r = kind.head_radius
    blaze = pose.head + r * np.array([(-0.75, 0.85), (0.45, 0.66), (0.85 + kind.snout_length / r, -0.2)])
    board.tube(blaze, r * np.array([0.28, 0.32, 0.22]), coat.mark)
    board.spot(beside(pose.head, 0.35 * r, -0.42 * r), (0.3 * r, 0.2 * r), coat.mark)


def _tanuki_face(board: Board, kind: AnimalKind, coat: Coat, pose: Pose) -> None:
    r = kind.head_radius
    cheek = pose.head + r * np.array([(0.5, 0.12), (0.1, -0.35), (-0.3, -0.75)])
    board.tube(cheek, r * np.array([0.34, 0.4, 0.3]), coat.mark)
    board.tube(pose.head + r * np.array([(-0.1, 0.55), (0.8, 0.4)]), r * np.array([0.2, 0.14]), (226, 208, 176))


def _hare_face(board: Board, kind: AnimalKind, coat: Coat, pose: Pose) -> None:
    r = kind.head_radius
    board.spot(beside(pose.head, 0.5 * r, -0.5 * r), (0.5 * r, 0.28 * r), blend(coat.head, coat.belly, 0.7))


BODY_MARKS: dict[str, Mark] = {
    "badger": _dark_side,
    "cat": _tabby,
    "raccoon dog": _saddle,
    "hare": _haunch,
    "marten": _bib,
}
HEAD_MARKS: dict[str, Mark] = {
    "badger": _badger_face,
    "raccoon": _raccoon_face,
    "masked palm civet": _civet_face,
    "raccoon dog": _tanuki_face,
    "hare": _hare_face,
}
