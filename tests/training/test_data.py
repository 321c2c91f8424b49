"""Batches: the same whatever threads and memory, decoded once where there is room, shared out without overlap."""

from __future__ import annotations

import threading
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from mekiki.errors import UnreadableError
from mekiki.media.preprocessing import Preprocessing, prepare
from mekiki.torchvision_ops import declare_torchvision_ops
from mekiki.training.augment import Augmentation
from mekiki.training.data import Batches, Pictures, ordered_map
from toys import HOW, toy_batches, toy_reader, toy_truth

pytest.importorskip("torch")
declare_torchvision_ops()
pytest.importorskip("torchvision")

TRUTH = toy_truth(40)
ROWS = np.arange(5, 40)


def everything(batches: Batches, epoch: int = 0) -> tuple[np.ndarray, np.ndarray, list[int]]:
    found = list(batches.epoch(epoch))
    images, truth = np.concatenate([one.images for one in found]), np.concatenate([one.truth for one in found])
    return images, truth, [int(row) for one in found for row in one.rows]


@pytest.mark.parametrize("n_threads", [1, 2, 5])
@pytest.mark.parametrize("cache_gb", [0.0, 1e-5, 1.0])
def test_neither_threads_nor_memory_change_a_batch(n_threads: int, cache_gb: float) -> None:
    plain = toy_batches(TRUTH, ROWS, Augmentation(), cache_gb=1.0)
    other = toy_batches(TRUTH, ROWS, Augmentation(), cache_gb=cache_gb, n_threads=n_threads)

    for epoch in (0, 1, 0):
        for ours, theirs in zip(everything(plain, epoch), everything(other, epoch), strict=True):
            np.testing.assert_array_equal(ours, theirs)


def test_every_epoch_and_seed_changes_pictures_differently() -> None:
    batches = toy_batches(TRUTH, ROWS, Augmentation())
    other_seed = toy_batches(TRUTH, ROWS, Augmentation(), seed=1)

    def of_row(found: tuple[np.ndarray, np.ndarray, list[int]], row: int) -> np.ndarray:
        return found[0][found[2].index(row)]

    first, second, other = everything(batches, 0), everything(batches, 1), everything(other_seed, 0)
    assert (of_row(first, 3) != of_row(second, 3)).any()
    assert (of_row(first, 3) != of_row(other, 3)).any()


def test_a_pictures_changes_follow_from_its_key_and_not_from_its_place() -> None:
    """So that new pictures beside it do not change what is made of it."""
    whole, part = toy_batches(TRUTH, ROWS, Augmentation()), toy_batches(TRUTH, ROWS[10:], Augmentation())

    images, _, places = everything(whole)
    fewer, _, fewer_places = everything(part)

    for place in range(len(ROWS) - 10):
        np.testing.assert_array_equal(images[places.index(place + 10)], fewer[fewer_places.index(place)])


def test_truth_stays_with_its_picture() -> None:
    batches = toy_batches(TRUTH, ROWS)

    for one in batches.epoch(0):
        for row, truth, image in zip(one.rows, one.truth, one.images, strict=True):
            np.testing.assert_array_equal(truth, TRUTH[ROWS[row]])
            np.testing.assert_array_equal(image, prepare(toy_reader(TRUTH)(int(ROWS[row])), HOW))


def test_in_order_is_what_evaluation_sees() -> None:
    batches = toy_batches(TRUTH, ROWS, Augmentation(), n_threads=2)

    found = list(batches.in_order())

    assert [int(row) for one in found for row in one.rows] == list(range(35))
    np.testing.assert_array_equal(found[0].images[0], prepare(toy_reader(TRUTH)(5), HOW))
    assert len(list(batches.in_order(2))) == 2
    assert sum(len(one.rows) for one in batches.in_order(2)) == 32


def test_short_side_pictures_keep_their_shape_in_memory() -> None:
    how = Preprocessing(resize="short-side", resize_hw=(20, 20), crop_hw=(16, 16))
    pictures = Pictures(toy_reader(TRUTH), how, 1.0)

    assert pictures[0].shape == (20, 26, 3)
    np.testing.assert_array_equal(prepare(pictures[0], how), prepare(toy_reader(TRUTH)(0), how))


def test_pictures_are_read_once_where_there_is_room_and_each_time_where_there_is_none() -> None:
    n_read: Counter[int] = Counter()

    def read(row: int) -> np.ndarray:
        n_read[row] += 1
        return toy_reader(TRUTH)(row)

    room_for_three = 3 * 20 * 20 * 3 / 1e9
    pictures = Pictures(read, HOW, room_for_three)
    for _ in range(2):
        for row in range(5):
            assert pictures[row].shape == (20, 20, 3)

    assert [n_read[row] for row in range(5)] == [1, 1, 1, 2, 2]


@pytest.mark.parametrize("n_threads", [0, 3])
def test_a_picture_that_cannot_be_used_is_told_and_the_others_are_kept(n_threads: int) -> None:
    def read(row: int) -> np.ndarray:
        if row == 2:
            raise UnreadableError(Path("x.jpg"), "broken")
        return np.zeros((8, 8, 3), np.uint8) if row == 4 else toy_reader(TRUTH)(row)

    how = Preprocessing(resize="none", crop_hw=(16, 16))
    found = dict(Pictures(read, how, 1.0).check(range(6), n_threads))

    assert list(found) == list(range(6))
    assert {row: error.reason for row, error in found.items() if error} == {
        2: "broken",
        4: "image must be at least (16, 16), got (8, 8)",
    }


def test_a_bug_in_a_reader_is_not_an_unreadable_picture() -> None:
    def read(_row: int) -> np.ndarray:
        raise KeyError("bug")

    with pytest.raises(KeyError):
        list(Pictures(read, HOW, 1.0).check(range(3), 2))


def test_processes_share_each_batch_without_overlap() -> None:
    whole = list(toy_batches(TRUTH, ROWS[:32]).epoch(0))
    shares = [list(toy_batches(TRUTH, ROWS[:32], share=(number, 2)).epoch(0)) for number in (0, 1)]

    for one, first, second in zip(whole, *shares, strict=True):
        assert sorted([*first.rows, *second.rows]) == sorted(one.rows)
        assert first.n_known == second.n_known == one.n_known == len(one.rows) * 3


def test_masked_cells_are_not_counted_as_known() -> None:
    truth = TRUTH.copy()
    truth[:, 1] = -1

    assert [one.n_known for one in toy_batches(truth, ROWS).in_order()] == [32, 32, 6]


def test_copies_of_a_rare_picture_are_changed_differently() -> None:
    truth = np.zeros((20, 3), np.int8)
    truth[0, 0] = 1
    batches = toy_batches(truth, np.arange(20), Augmentation(), sampling="class-balanced")

    images, _, rows = everything(batches)

    copies = [image for image, row in zip(images, rows, strict=True) if row == 0]
    assert len(copies) > 2
    assert (copies[0] != copies[1]).any()


def test_progress_is_told_of_every_picture_of_an_epoch() -> None:
    told: list[int] = []

    list(toy_batches(TRUTH, ROWS, advance=told.append).epoch(0))

    assert told == [16, 16, 3]


def test_results_come_in_order_and_threads_end_with_the_iterator() -> None:
    begun: list[int] = []
    before = threading.active_count()

    results = ordered_map(lambda one: begun.append(one) or one, range(100), 2, 2)
    first = [next(results) for _ in range(3)]
    results.close()

    assert first == [0, 1, 2]
    assert len(begun) < 20  # a little ahead, and not all of it
    assert threading.active_count() == before
