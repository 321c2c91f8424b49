"""Tables of vectors: files give what an array gives, and lengths are made 1 whatever they were."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from clouds import directions, in_files
from mekiki.neighbours.exact import nearest_rows
from mekiki.neighbours.tables import UnitVectors, to_unit_length


@pytest.mark.parametrize(
    "rows",
    [
        pytest.param(np.zeros(0, np.int64), id="none"),
        pytest.param(slice(0, 0), id="empty slice"),
        pytest.param(slice(10, 60), id="slice"),
        pytest.param(slice(90, 200), id="slice beyond the end"),
        pytest.param(np.array([99, 0, 50, 0]), id="any order and twice"),
    ],
)
@pytest.mark.parametrize("n_files", [1, 3])
def test_files_give_what_an_array_gives(tmp_path: Path, rows, n_files) -> None:
    vectors = directions(0, 100, 8)

    table = in_files(tmp_path, vectors, n_files)

    assert table.shape == (100, 8)
    np.testing.assert_array_equal(table[rows], vectors[rows])


def test_what_was_read_is_a_copy(tmp_path: Path) -> None:
    table = in_files(tmp_path, directions(0, 20, 4), 1)

    table[slice(0, 5)][:] = 0  # a view of the read-only file would refuse

    assert table[slice(0, 5)].any()


def test_a_search_through_files_is_the_search_through_an_array(tmp_path: Path) -> None:
    vectors = directions(1, 500, 16)

    found = nearest_rows(vectors[:7], UnitVectors(in_files(tmp_path, 3 * vectors, 4)), 5)

    expected = nearest_rows(vectors[:7], vectors, 5)
    np.testing.assert_array_equal(found.rows, expected.rows)
    np.testing.assert_allclose(found.scores, expected.scores, atol=1e-6)


@pytest.mark.parametrize("scale", [1e-30, 1e-12, 1.0, 1e12, 1e30])
def test_any_length_becomes_1_in_the_same_direction(scale) -> None:
    vectors = directions(2, 30, 512)

    unit = to_unit_length((vectors * np.float32(scale)).astype(np.float32))

    np.testing.assert_allclose(np.linalg.norm(unit.astype(np.float64), axis=1), 1, atol=1e-6)
    np.testing.assert_allclose(unit, vectors, atol=1e-6)


def test_zeros_have_no_direction_and_stay_zeros() -> None:
    unit = to_unit_length(np.array([[0, 0], [0, 2]], np.float32))

    assert unit.tolist() == [[0, 0], [0, 1]]
    assert to_unit_length(np.zeros((0, 3), np.float32)).shape == (0, 3)
