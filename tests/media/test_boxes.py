"""Boxes: laws that hold for any of them, the edges, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from mekiki.media.boxes import (
    box_iou,
    clip_boxes,
    pad_boxes,
    pixels_to_relative,
    relative_to_pixels,
    round_boxes,
    scale_boxes,
    xywh_to_xyxy,
    xyxy_to_xywh,
)
from mekiki.records import Boxes

HW = (480, 640)
NO_BOXES = np.zeros((0, 4), np.float32)

CHANGES: list[Any] = [
    pytest.param(lambda boxes: pad_boxes(boxes, 0.1, HW), id="pad_boxes"),
    pytest.param(lambda boxes: clip_boxes(boxes, HW), id="clip_boxes"),
    pytest.param(lambda boxes: scale_boxes(boxes, HW, (240, 100)), id="scale_boxes"),
    pytest.param(xyxy_to_xywh, id="xyxy_to_xywh"),
    pytest.param(xywh_to_xyxy, id="xywh_to_xyxy"),
    pytest.param(lambda boxes: relative_to_pixels(boxes, HW), id="relative_to_pixels"),
    pytest.param(lambda boxes: pixels_to_relative(boxes, HW), id="pixels_to_relative"),
    pytest.param(round_boxes, id="round_boxes"),
]


def random_boxes(n: int, seed: int = 0) -> Boxes:
    """Boxes inside the image, each with an area."""
    generator = np.random.default_rng(seed)
    low = generator.uniform((0, 0), (500, 400), (n, 2))
    return np.concatenate([low, low + generator.uniform(1, 80, (n, 2))], axis=1).astype(np.float32)


def boxes_of(*rows: tuple[float, float, float, float]) -> Boxes:
    return np.array(rows, np.float32)


@pytest.mark.parametrize("change", CHANGES)
def test_no_boxes_give_no_boxes(change: Callable[[Boxes], Boxes]) -> None:
    changed = change(NO_BOXES)

    assert changed.shape == (0, 4)
    assert changed.dtype == np.float32


@pytest.mark.parametrize("change", CHANGES)
def test_each_box_is_changed_by_itself_and_the_given_ones_stay(change: Callable[[Boxes], Boxes]) -> None:
    boxes = random_boxes(20)
    before = boxes.copy()

    changed = change(boxes)

    assert changed.dtype == np.float32
    assert not np.shares_memory(changed, boxes)
    np.testing.assert_array_equal(boxes, before)
    np.testing.assert_array_equal(changed[::-1], change(boxes[::-1]))
    np.testing.assert_array_equal(changed[:7], change(boxes[:7]))


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("shape", [(4,), (2, 5), (1, 2, 4)])
def test_what_is_no_list_of_boxes_is_refused(change: Callable[[Boxes], Boxes], shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"boxes\w* must have shape \(N, 4\), got \("):
        change(np.zeros(shape, np.float32))


@pytest.mark.parametrize("image_hw", [(0, 10), (10, -1)])
def test_an_image_without_sides_is_refused(image_hw: tuple[int, int]) -> None:
    message = r"an image must have sides of at least 1, got height -?\d+ and width -?\d+"
    for change in (clip_boxes, relative_to_pixels, pixels_to_relative):
        with pytest.raises(ValueError, match=message):
            change(random_boxes(1), image_hw)
    with pytest.raises(ValueError, match=message):
        scale_boxes(random_boxes(1), HW, image_hw)


@pytest.mark.parametrize("fraction", [-0.1, float("nan"), float("inf")])
def test_boxes_do_not_shrink_by_padding(fraction: float) -> None:
    with pytest.raises(ValueError, match=f"fraction must be a number from 0 on, got {fraction}"):
        pad_boxes(random_boxes(1), fraction, HW)


def test_padding_by_a_tenth_makes_a_box_a_fifth_wider() -> None:
    padded = pad_boxes(boxes_of((100, 100, 200, 150)), 0.1, HW)

    np.testing.assert_allclose(padded, [[90, 95, 210, 155]])


def test_a_padded_box_holds_the_box_and_stays_in_the_image() -> None:
    boxes = random_boxes(50)

    padded = pad_boxes(boxes, 3.0, HW)

    assert (padded[:, :2] <= boxes[:, :2]).all()
    assert (padded[:, 2:] >= boxes[:, 2:]).all()
    assert (padded >= 0).all()
    assert (padded <= [640, 480, 640, 480]).all()


def test_clipping_twice_is_clipping_once() -> None:
    boxes = boxes_of((-10, -10, 700, 500), (10, 10, 20, 20), (650, 490, 700, 500))

    clipped = clip_boxes(boxes, HW)

    np.testing.assert_array_equal(clipped, [[0, 0, 640, 480], [10, 10, 20, 20], [640, 480, 640, 480]])
    np.testing.assert_array_equal(clip_boxes(clipped, HW), clipped)


def test_scaling_there_and_back_changes_nothing() -> None:
    boxes = random_boxes(50)

    there = scale_boxes(boxes, HW, (123, 77))

    np.testing.assert_allclose(scale_boxes(there, (123, 77), HW), boxes, atol=1e-3)


def test_the_two_layouts_and_the_two_units_undo_each_other() -> None:
    boxes = random_boxes(50)

    np.testing.assert_allclose(xywh_to_xyxy(xyxy_to_xywh(boxes)), boxes, atol=1e-3)
    np.testing.assert_allclose(relative_to_pixels(pixels_to_relative(boxes, HW), HW), boxes, atol=1e-3)


def test_a_box_overlaps_itself_wholly_and_overlap_has_no_direction() -> None:
    boxes, others = random_boxes(30), random_boxes(40, seed=1)

    overlap = box_iou(boxes, others)

    np.testing.assert_allclose(np.diagonal(box_iou(boxes, boxes)), 1)
    np.testing.assert_array_equal(overlap.T, box_iou(others, boxes))
    assert overlap.shape == (30, 40)
    assert overlap.dtype == np.float32
    assert 0 <= overlap.min() <= overlap.max() <= 1


def test_overlap_is_counted_against_the_union() -> None:
    box = boxes_of((0, 0, 10, 10))
    others = boxes_of((0, 0, 10, 5), (5, 5, 15, 15), (10, 0, 20, 10), (100, 100, 110, 110))

    np.testing.assert_allclose(box_iou(box, others), [[0.5, 25 / 175, 0, 0]], rtol=1e-6)


def test_boxes_without_an_area_overlap_nothing() -> None:
    flat = boxes_of((5, 5, 5, 9), (9, 9, 1, 1))

    np.testing.assert_array_equal(box_iou(flat, np.concatenate([flat, boxes_of((0, 0, 10, 10))])), np.zeros((2, 3)))
    assert box_iou(NO_BOXES, flat).shape == (0, 2)
    assert box_iou(flat, NO_BOXES).shape == (2, 0)


def test_overlap_is_refused_for_what_is_no_list_of_boxes() -> None:
    with pytest.raises(ValueError, match=r"others must have shape \(N, 4\), got \(4,\)"):
        box_iou(NO_BOXES, np.zeros(4, np.float32))


def test_rounding_goes_to_the_nearest_sixteenth_and_halves_go_up() -> None:
    boxes = boxes_of((1 / 32, 3 / 32, -1 / 32, 0.99), (7, 7.0625, 1e6 + 1 / 16, 0.031))

    rounded = round_boxes(boxes)

    np.testing.assert_array_equal(rounded, [[1 / 16, 2 / 16, 0, 1], [7, 7.0625, 1e6 + 1 / 16, 0]])
    np.testing.assert_array_equal(round_boxes(rounded), rounded)
    assert np.abs(round_boxes(random_boxes(50)) - random_boxes(50)).max() <= 1 / 32
