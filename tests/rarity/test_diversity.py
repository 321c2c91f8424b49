"""At most a few of each clump: which, in which order, and what is no clump."""

from __future__ import annotations

import numpy as np
import pytest

from clouds import directions, turned
from mekiki.rarity.diversity import diversify


def clumps(n_clumps: int, size: int) -> np.ndarray:
    """Clump after clump of vectors at a cosine of 0.99 to their centre."""
    centres = np.repeat(directions(0, n_clumps), size, axis=0)
    return turned(centres, 0.99)


def test_the_first_of_each_clump_are_kept_in_their_order() -> None:
    vectors = clumps(5, 10)
    order = np.random.default_rng(0).permutation(50)

    found = diversify(vectors, order, at_most=3)

    assert found.n_clusters == 5
    assert found.n_dropped == 35
    assert len(found.rows) == 15
    assert found.rows.tolist() == [
        row for place, row in enumerate(order.tolist()) if sum(order[:place] // 10 == row // 10) < 3
    ]


def test_rows_outside_the_choice_play_no_part() -> None:
    vectors = clumps(3, 4)

    assert diversify(vectors, np.array([8, 0]), at_most=1).rows.tolist() == [8, 0]


@pytest.mark.parametrize("at_most", [None, 0])
def test_no_limit_keeps_all(at_most: int | None) -> None:
    found = diversify(np.ones((4, 2), np.float32), np.array([3, 1]), at_most)

    assert found.rows.tolist() == [3, 1]
    assert (found.n_clusters, found.n_dropped) == (2, 0)


def test_nothing_stays_nothing() -> None:
    found = diversify(np.zeros((0, 8), np.float32), np.zeros(0, np.int64), 3)

    assert (len(found.rows), found.n_clusters, found.n_dropped) == (0, 0, 0)


def test_a_long_drift_is_many_clumps() -> None:
    angles = np.radians(np.arange(0, 180, 3))
    vectors = np.column_stack([np.cos(angles), np.sin(angles)]).astype(np.float32)

    found = diversify(vectors, np.arange(60), at_most=1, cosine=0.95)  # 18 degrees

    assert 5 <= found.n_clusters <= 12
    kept = angles[found.rows]
    assert (abs(angles[:, None] - kept).min(axis=1) <= np.radians(36) + 1e-6).all()  # nothing seen is far from all kept


def test_vectors_of_zeros_are_one_clump() -> None:
    vectors = np.vstack([np.zeros((3, 4)), np.eye(4)]).astype(np.float32)

    assert diversify(vectors, np.arange(7), at_most=1).rows.tolist() == [0, 3, 4, 5, 6]


def test_a_negative_count_is_refused() -> None:
    with pytest.raises(ValueError, match="at_most must be 0 or more, got -1"):
        diversify(np.eye(2, dtype=np.float32), np.arange(2), -1)
