"""The drawing board."""

from __future__ import annotations

import numpy as np

from mekiki.demo.paint import Board, bend, beside

RED, BLUE = (255, 0, 0), (0, 0, 255)


def test_an_unused_board_is_transparent() -> None:
    board = Board((8, 6), 1.0, (0.0, 6.0), RED)

    picture = board.finish()

    assert picture.shape == (6, 8, 4)
    assert not picture[..., 3].any()


def test_a_tube_lies_where_its_points_say_with_y_up() -> None:
    board = Board((40, 20), 10.0, (0.0, 20.0), RED)

    board.tube(np.array([(0.5, 0.5), (3.5, 0.5)]), (0.3, 0.3), RED)

    opaque = board.finish()[..., 3] > 127
    rows, columns = np.nonzero(opaque)
    assert 11 <= rows.min() <= 13
    assert 16 <= rows.max() <= 18
    assert columns.min() <= 3
    assert columns.max() >= 36


def test_a_tube_may_change_its_colour_on_the_way() -> None:
    board = Board((40, 20), 10.0, (0.0, 20.0), RED)

    board.tube(np.array([(0.5, 1.0), (2.0, 1.0), (3.5, 1.0)]), (0.3, 0.3, 0.3), [RED, BLUE])

    picture = board.finish()
    assert tuple(picture[10, 8, :3]) == RED
    assert tuple(picture[10, 32, :3]) == BLUE


def test_a_bent_line_goes_through_its_three_points() -> None:
    points = np.array([(0.0, 0.0), (1.0, 2.0), (3.0, 0.0)])

    line = bend(points, 5)

    np.testing.assert_allclose(line[[0, 2, 4]], points)


def test_moving_points_leaves_the_given_ones_alone() -> None:
    points = np.zeros((2, 2))

    moved = beside(points, 1.0, -1.0)

    np.testing.assert_array_equal(moved, [(1, -1), (1, -1)])
    assert not points.any()
