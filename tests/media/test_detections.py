"""What a detector found: rows that belong together."""

from __future__ import annotations

import numpy as np
import pytest

from mekiki.media.detections import Detections

BOXES = np.array([[0, 0, 1, 1], [0, 0, 2, 2], [0, 0, 3, 3]], np.float32)
SCORES = np.array([0.2, 0.9, 0.2], np.float32)


@pytest.fixture
def found() -> Detections:
    return Detections(BOXES, SCORES, ("a", "b", "c"))


def test_no_boxes_are_fine() -> None:
    none = Detections.none()

    assert len(none) == len(none.best(5)) == 0
    assert none.boxes.shape == (0, 4)


def test_rows_stay_together(found: Detections) -> None:
    kept = found.where(found.scores < 0.5)

    assert kept.class_names == ("a", "c")
    assert kept.boxes[:, 2].tolist() == [1, 3]
    assert found.take([2, 0]).class_names == ("c", "a")


def test_the_best_come_first_and_equal_ones_as_they_stand(found: Detections) -> None:
    assert found.best(3).class_names == ("b", "a", "c")
    assert found.best(2).class_names == ("b", "a")
    assert found.best(99).class_names == ("b", "a", "c")


@pytest.mark.parametrize(
    ("boxes", "scores", "names", "message"),
    [
        pytest.param(BOXES, SCORES, ("a", "b"), "must have shapes", id="a name is missing"),
        pytest.param(BOXES[:2], SCORES, ("a", "b", "c"), "must have shapes", id="a box is missing"),
        pytest.param(BOXES, SCORES[:2], ("a", "b", "c"), "must have shapes", id="a score is missing"),
        pytest.param(BOXES * np.nan, SCORES, ("a", "b", "c"), "finite", id="no numbers"),
        pytest.param(BOXES, SCORES * np.inf, ("a", "b", "c"), "finite", id="endless scores"),
    ],
)
def test_what_does_not_fit_together_is_refused(
    boxes: np.ndarray, scores: np.ndarray, names: tuple[str, ...], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        Detections(boxes, scores, names)
