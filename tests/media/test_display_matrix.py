"""Turns are read from display matrices and undone."""

from __future__ import annotations

import math

import numpy as np
import pytest

from mekiki.media.display_matrix import Turn, matrix_to_turn, turn_upright

ONE = 1 << 16


def make_matrix(degrees: float, is_mirrored: bool) -> list[int]:
    """The matrix of a clockwise turn, after a mirroring left to right."""
    cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    flip = -1 if is_mirrored else 1
    return [round(flip * cos * ONE), round(flip * sin * ONE), 0, round(-sin * ONE), round(cos * ONE), 0, 0, 0, 1 << 30]


@pytest.mark.parametrize("is_mirrored", [False, True])
@pytest.mark.parametrize("degrees", [-180, -90, -3, 0, 2, 88, 90, 180, 270, 359])
def test_any_angle_counts_as_the_nearest_quarter(degrees: float, is_mirrored: bool) -> None:
    assert matrix_to_turn(make_matrix(degrees, is_mirrored)) == Turn(round(degrees / 90) % 4, is_mirrored)


def test_a_matrix_without_a_direction_turns_nothing() -> None:
    assert matrix_to_turn([0] * 9) == Turn()


@pytest.mark.parametrize("is_mirrored", [False, True])
@pytest.mark.parametrize("quarters", range(4))
def test_every_pixel_goes_where_the_matrix_sends_it(quarters: int, is_mirrored: bool) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (3, 5, 3), dtype=np.uint8)
    a, b, _, c, d, *_ = (number // ONE for number in make_matrix(90 * quarters, is_mirrored))

    turned = turn_upright(pixels, Turn(quarters, is_mirrored))

    places = {(x, y): (a * x + c * y, b * x + d * y) for x in range(5) for y in range(3)}
    left, top = (min(place[axis] for place in places.values()) for axis in (0, 1))
    for (x, y), (to_x, to_y) in places.items():
        assert np.array_equal(turned[to_y - top, to_x - left], pixels[y, x])
    assert turned.flags.c_contiguous
