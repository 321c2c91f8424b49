"""Suppression of overlaps: its rules one by one, and beside torchvision's."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from mekiki.media.boxes import box_iou
from mekiki.media.nms import suppress_overlaps

Boxes = NDArray[np.float32]


def crowd(n: int, seed: int) -> tuple[Boxes, NDArray[np.float32], NDArray[np.int64]]:
    """Return boxes of which many overlap, scores of which some are equal, and three classes."""
    rng = np.random.default_rng(seed)
    corners = rng.uniform(0, 60, (n, 2))
    boxes = np.concatenate([corners, corners + rng.uniform(1, 40, (n, 2))], axis=1).astype(np.float32)
    return boxes, rng.uniform(0, 1, n).round(2).astype(np.float32), rng.integers(0, 3, n)


def by_definition(boxes: Boxes, scores: NDArray[np.float32], classes: NDArray[np.int64], iou: float) -> list[int]:
    """Return the rows that stay, by looking at every pair."""
    overlap, kept = box_iou(boxes, boxes), []
    for row in sorted(range(len(boxes)), key=lambda one: (-scores[one], one)):
        if not any(classes[row] == classes[other] and overlap[other, row] > iou for other in kept):
            kept.append(row)
    return kept


def test_no_boxes_leave_none() -> None:
    kept = suppress_overlaps(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros(0, np.int64), 0.5)

    assert (kept.shape, kept.dtype) == ((0,), np.int64)


@pytest.mark.parametrize("iou", [0.0, 0.3, 0.45, 0.7, 1.0])
@pytest.mark.parametrize("seed", range(4))
def test_it_keeps_what_the_definition_keeps(seed: int, iou: float) -> None:
    given = crowd(120, seed)

    assert suppress_overlaps(*given, iou).tolist() == by_definition(*given, iou)


@pytest.mark.parametrize("iou", [0.3, 0.45, 0.7])
def test_it_keeps_what_torchvision_keeps(iou: float) -> None:
    torch = pytest.importorskip("torch")
    from mekiki.training.packages import import_torchvision

    ops = import_torchvision().ops
    boxes, _, classes = crowd(300, 5)
    scores = (
        np.random.default_rng(1).permutation(300).astype(np.float32) / 300
    )  # without ties: its own rule is unstated
    try:
        wanted = ops.batched_nms(*(torch.from_numpy(one) for one in (boxes, scores, classes)), iou)
    except RuntimeError as error:
        if "custom C++ ops" not in str(error):
            raise
        pytest.skip("torchvision's operators do not load beside this torch")

    assert suppress_overlaps(boxes, scores, classes, iou).tolist() == wanted.tolist()


def test_of_equally_sure_boxes_the_first_stays() -> None:
    boxes = np.tile(np.array([[0, 0, 10, 10]], np.float32), (3, 1))

    kept = suppress_overlaps(boxes, np.full(3, 0.5, np.float32), np.zeros(3, np.int64), 0.5)

    assert kept.tolist() == [0]


def test_an_overlap_of_exactly_the_limit_suppresses_nothing() -> None:
    boxes = np.array([[0, 0, 10, 10], [0, 0, 10, 5]], np.float32)
    scores, classes = np.array([0.9, 0.8], np.float32), np.zeros(2, np.int64)

    assert suppress_overlaps(boxes, scores, classes, 0.5).tolist() == [0, 1]
    assert suppress_overlaps(boxes, scores, classes, 0.499).tolist() == [0]


def test_classes_never_meet_however_large_the_boxes_are() -> None:
    boxes = np.tile(np.array([[-1e6, -1e6, 1e6, 1e6]], np.float32), (4, 1))

    kept = suppress_overlaps(boxes, np.array([0.1, 0.2, 0.3, 0.4], np.float32), np.array([0, 1, 0, 1]), 0.5)

    assert kept.tolist() == [3, 2]


def test_it_stops_at_the_boxes_that_are_wanted() -> None:
    given = crowd(200, 3)

    assert suppress_overlaps(*given, 0.5, at_most=7).tolist() == suppress_overlaps(*given, 0.5).tolist()[:7]
    assert suppress_overlaps(*given, 0.5, at_most=0).tolist() == []


def test_boxes_without_area_stay_and_suppress_nothing() -> None:
    boxes = np.array([[5, 5, 5, 5], [5, 5, 5, 5], [0, 0, 10, 10]], np.float32)

    kept = suppress_overlaps(boxes, np.array([0.9, 0.8, 0.7], np.float32), np.zeros(3, np.int64), 0.0)

    assert kept.tolist() == [0, 1, 2]


def test_what_it_is_given_is_not_changed() -> None:
    given = crowd(50, 1)
    before = [one.copy() for one in given]

    suppress_overlaps(*given, 0.5)

    assert all((one == other).all() for one, other in zip(given, before, strict=True))


def test_thousands_of_weak_boxes_are_done_in_a_moment() -> None:
    rng = np.random.default_rng(0)
    corners = rng.uniform(0, 600, (8400, 2)).astype(np.float32)
    boxes = np.concatenate([corners, corners + 30], axis=1)

    kept = suppress_overlaps(boxes, rng.uniform(0, 1, 8400).astype(np.float32), rng.integers(0, 80, 8400), 0.65, 300)

    assert len(kept) == 300


@pytest.mark.parametrize(
    ("n_scores", "iou", "message"),
    [(2, 0.5, r"must be \(N, 4\), \(N,\), \(N,\)"), (3, 1.5, "iou must lie in")],
)
def test_what_does_not_go_together_is_refused(n_scores: int, iou: float, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        suppress_overlaps(np.zeros((3, 4), np.float32), np.zeros(n_scores, np.float32), np.zeros(3, np.int64), iou)
