"""The seven kinds of animal as plain numbers: proportions, coat, gait and pace.

Lengths are in torso lengths (hip to shoulder is 1), heights are above the ground, colours are RGB in 0..255.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Colour = tuple[int, int, int]
GaitName = Literal["walk", "trot", "bound", "hop"]
EarShape = Literal["round", "pointed", "long"]


@dataclass(frozen=True, slots=True)
class Coat:
    """The colours of one animal; a kind may come in several coats."""

    body: Colour
    belly: Colour
    legs: Colour
    head: Colour
    tail: Colour
    mark: Colour


@dataclass(frozen=True, slots=True)
class AnimalKind:
    """What tells one kind of animal from another."""

    label: str  # as it stands in the truth
    english: str  # as it stands in captions
    verb: str  # how captions say that it moves
    gait: GaitName
    torso_size: float  # torso length in picture heights, at middle distance
    pace: float  # torso lengths per gait cycle
    cycle_s: float  # seconds per gait cycle
    thickness: tuple[float, float, float]  # radius at hip, middle and shoulder
    leg_length: float  # height of hip and shoulder above the ground
    leg_width: float
    arch: float  # how far the middle of the back stands above the line from hip to shoulder
    neck: tuple[float, float]  # from the shoulder to the middle of the head
    head_radius: float
    snout_length: float
    ear: EarShape
    ear_length: float
    tail_length: float
    tail_width: float
    tail_angle: float  # degrees above the horizontal at the root; 0 points straight back
    tail_curl: float  # degrees that it bends upwards from root to tip
    coats: tuple[Coat, ...]


BADGER = AnimalKind(
    label="アナグマ",
    english="badger",
    verb="walks",
    gait="walk",
    torso_size=0.31,
    pace=0.75,
    cycle_s=0.8,
    thickness=(0.31, 0.33, 0.27),
    leg_length=0.40,
    leg_width=0.10,
    arch=0.06,
    neck=(0.38, -0.04),
    head_radius=0.17,
    snout_length=0.34,
    ear="round",
    ear_length=0.07,
    tail_length=0.24,
    tail_width=0.09,
    tail_angle=-25.0,
    tail_curl=10.0,
    coats=(Coat((176, 166, 150), (24, 20, 18), (30, 26, 24), (240, 236, 228), (196, 186, 168), (24, 20, 20)),),
)
RACCOON = AnimalKind(
    label="アライグマ",
    english="raccoon",
    verb="walks",
    gait="walk",
    torso_size=0.28,
    pace=0.9,
    cycle_s=0.8,
    thickness=(0.33, 0.32, 0.22),
    leg_length=0.55,
    leg_width=0.08,
    arch=0.17,
    neck=(0.33, -0.06),
    head_radius=0.19,
    snout_length=0.20,
    ear="pointed",
    ear_length=0.15,
    tail_length=0.95,
    tail_width=0.15,
    tail_angle=-18.0,
    tail_curl=22.0,
    coats=(Coat((128, 126, 126), (168, 164, 158), (84, 80, 78), (205, 202, 196), (186, 180, 170), (24, 22, 24)),),
)
CIVET = AnimalKind(
    label="ハクビシン",
    english="masked palm civet",
    verb="creeps",
    gait="walk",
    torso_size=0.29,
    pace=0.85,
    cycle_s=0.75,
    thickness=(0.20, 0.21, 0.18),
    leg_length=0.40,
    leg_width=0.075,
    arch=0.05,
    neck=(0.36, 0.06),
    head_radius=0.14,
    snout_length=0.20,
    ear="round",
    ear_length=0.10,
    tail_length=1.30,
    tail_width=0.10,
    tail_angle=-14.0,
    tail_curl=30.0,
    coats=(Coat((126, 98, 66), (150, 124, 90), (40, 32, 28), (46, 36, 32), (38, 30, 28), (250, 246, 236)),),
)
RACCOON_DOG = AnimalKind(
    label="タヌキ",
    english="raccoon dog",
    verb="trots",
    gait="trot",
    torso_size=0.27,
    pace=1.1,
    cycle_s=0.65,
    thickness=(0.31, 0.34, 0.33),
    leg_length=0.62,
    leg_width=0.075,
    arch=0.02,
    neck=(0.36, 0.14),
    head_radius=0.20,
    snout_length=0.18,
    ear="round",
    ear_length=0.13,
    tail_length=0.50,
    tail_width=0.17,
    tail_angle=-48.0,
    tail_curl=12.0,
    coats=(Coat((164, 132, 88), (120, 92, 60), (38, 30, 26), (186, 158, 116), (134, 104, 68), (34, 28, 26)),),
)
CAT = AnimalKind(
    label="ネコ",
    english="cat",
    verb="walks",
    gait="walk",
    torso_size=0.26,
    pace=1.0,
    cycle_s=0.75,
    thickness=(0.20, 0.21, 0.19),
    leg_length=0.62,
    leg_width=0.07,
    arch=0.0,
    neck=(0.25, 0.22),
    head_radius=0.18,
    snout_length=0.07,
    ear="pointed",
    ear_length=0.19,
    tail_length=1.0,
    tail_width=0.06,
    tail_angle=68.0,
    tail_curl=40.0,
    coats=(
        Coat((204, 136, 66), (236, 206, 164), (214, 156, 92), (214, 150, 80), (196, 124, 56), (146, 84, 34)),
        Coat((134, 130, 124), (196, 192, 184), (150, 146, 140), (146, 142, 134), (120, 116, 110), (58, 54, 50)),
    ),
)
HARE = AnimalKind(
    label="ノウサギ",
    english="hare",
    verb="hops",
    gait="hop",
    torso_size=0.27,
    pace=1.25,
    cycle_s=0.6,
    thickness=(0.36, 0.31, 0.21),
    leg_length=0.46,
    leg_width=0.075,
    arch=0.13,
    neck=(0.20, 0.20),
    head_radius=0.17,
    snout_length=0.13,
    ear="long",
    ear_length=0.66,
    tail_length=0.12,
    tail_width=0.10,
    tail_angle=35.0,
    tail_curl=20.0,
    coats=(Coat((182, 142, 98), (240, 232, 216), (172, 136, 96), (190, 150, 106), (248, 244, 236), (40, 32, 28)),),
)
MARTEN = AnimalKind(
    label="テン",
    english="marten",
    verb="bounds",
    gait="bound",
    torso_size=0.31,
    pace=1.5,
    cycle_s=0.6,
    thickness=(0.15, 0.14, 0.15),
    leg_length=0.32,
    leg_width=0.065,
    arch=0.03,
    neck=(0.30, 0.12),
    head_radius=0.12,
    snout_length=0.12,
    ear="round",
    ear_length=0.09,
    tail_length=0.72,
    tail_width=0.12,
    tail_angle=-6.0,
    tail_curl=18.0,
    coats=(
        Coat((220, 160, 58), (240, 196, 104), (60, 42, 30), (244, 234, 212), (206, 142, 50), (36, 28, 24)),
        Coat((198, 142, 62), (226, 184, 110), (56, 40, 30), (236, 226, 206), (180, 124, 52), (36, 28, 24)),
    ),
)

KINDS: tuple[AnimalKind, ...] = (BADGER, RACCOON, CIVET, RACCOON_DOG, CAT, HARE, MARTEN)
LABELS: tuple[str, ...] = tuple(kind.label for kind in KINDS)
KIND_OF: dict[str, AnimalKind] = {kind.label: kind for kind in KINDS}
