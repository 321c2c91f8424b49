"""How an animal holds its body at one moment of its gait cycle.

Points are ``(x, y)`` float64 in torso lengths: x forward, y up, (0, 0) on the ground below the middle of the torso.
A phase is a share of the gait cycle in [0, 1). Legs come in the order far hind, far fore, near hind, near fore.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mekiki.demo.kinds import AnimalKind, GaitName

Points = NDArray[np.float64]

# When each leg sets off, as a share of the cycle.
LEG_PHASES: dict[GaitName, tuple[float, float, float, float]] = {
    "walk": (0.0, 0.25, 0.5, 0.75),
    "trot": (0.0, 0.5, 0.5, 0.0),
    "bound": (0.0, 0.48, 0.06, 0.54),
    "hop": (0.0, 0.40, 0.03, 0.52),
}
# The share of a cycle in which a foot stands on the ground and is carried backwards under the body.
STANCE_SHARE: dict[GaitName, float] = {"walk": 0.6, "trot": 0.5, "bound": 0.35, "hop": 0.32}
FOOT_LIFT: dict[GaitName, float] = {"walk": 0.10, "trot": 0.16, "bound": 0.16, "hop": 0.14}
# How high the whole body leaves the ground, how much the back bends, and how far the body pitches (radians).
BODY_LIFT: dict[GaitName, float] = {"walk": 0.015, "trot": 0.04, "bound": 0.22, "hop": 0.38}
BACK_BEND: dict[GaitName, float] = {"walk": 0.01, "trot": 0.01, "bound": 0.24, "hop": 0.10}
BODY_PITCH: dict[GaitName, float] = {"walk": 0.02, "trot": 0.02, "bound": 0.22, "hop": 0.30}
HALF_TORSO = 0.45


@dataclass(frozen=True, slots=True)
class Pose:
    """Where the parts of the body are; everything that a drawing needs besides the kind."""

    spine: Points  # (3, 2) hip, middle, shoulder
    feet: Points  # (4, 2)
    head: Points  # (2,) middle of the head
    tail_swing: float  # degrees added to the kind's tail angle
    lift: float  # how high the body is off its standing height
    phase: float


def pose_at(kind: AnimalKind, phase: float) -> Pose:
    """Return the pose of a kind of animal at one phase of its gait.

    Args:
        kind: Its proportions and gait.
        phase: Share of the cycle; whole numbers are the same pose as 0.
    """
    turn = 2 * np.pi * phase
    gait = kind.gait
    leaps = gait in ("bound", "hop")
    wave = np.sin(turn) if leaps else np.sin(2 * turn)
    lift = BODY_LIFT[gait] * max(0.0, wave) if leaps else BODY_LIFT[gait] * wave
    pitch = BODY_PITCH[gait] * np.cos(turn)
    bend = BACK_BEND[gait] * (0.35 - np.cos(turn - 0.6)) / 1.35
    height = kind.leg_length + lift
    hip = np.array([-HALF_TORSO * np.cos(pitch), height - HALF_TORSO * np.sin(pitch)])
    shoulder = np.array([HALF_TORSO * np.cos(pitch), height + HALF_TORSO * np.sin(pitch)])
    middle = (hip + shoulder) / 2 + np.array([0.0, kind.arch + bend])
    head = shoulder + np.array(kind.neck) + np.array([0.0, 0.02 * np.sin(2 * turn)])
    return Pose(
        spine=np.stack([hip, middle, shoulder]),
        feet=_feet(kind, phase, lift),
        head=head,
        tail_swing=float(9.0 * np.sin(turn + 0.8)),
        lift=float(lift),
        phase=phase % 1.0,
    )


def _feet(kind: AnimalKind, phase: float, lift: float) -> Points:
    stance = STANCE_SHARE[kind.gait]
    stride = kind.pace * stance
    feet = np.empty((4, 2))
    for leg, start in enumerate(LEG_PHASES[kind.gait]):
        joint_x = -HALF_TORSO if leg % 2 == 0 else HALF_TORSO
        at = (phase + start) % 1.0
        if at < stance:
            swing, raised = 0.5 - at / stance, 0.0
        else:
            through = (at - stance) / (1 - stance)
            swing, raised = through - 0.5, np.sin(np.pi * through)
        feet[leg] = joint_x + stride * swing, FOOT_LIFT[kind.gait] * raised + 0.75 * max(0.0, lift)
    return feet


def knees(hips: Points, feet: Points, leg_length: float) -> Points:
    """Return ``(N, 2)`` knees that bend backwards so that both halves of a leg keep their length.

    A leg that is stretched further than it is long gets a straight knee half-way.

    Args:
        hips: ``(N, 2)`` upper joints.
        feet: ``(N, 2)`` lower ends.
        leg_length: Length of the stretched leg.

    Example:
        >>> knees(np.array([[0.0, 1.0]]), np.array([[0.0, 0.0]]), leg_length=1.0)
        array([[0. , 0.5]])
    """
    along = feet - hips
    length = np.hypot(along[:, 0], along[:, 1])
    half = leg_length / 2
    side = np.sqrt(np.maximum(0.0, half**2 - (length / 2) ** 2))
    normal = np.stack([along[:, 1], -along[:, 0]], axis=1) / np.maximum(length, 1e-9)[:, None]
    return (hips + feet) / 2 + normal * side[:, None]
