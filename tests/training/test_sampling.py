"""The order of an epoch: all rows once, or rare classes as often as common ones."""

from __future__ import annotations

import numpy as np
import pytest

from mekiki.training.sampling import balanced_chances, epoch_order, split_batches


def test_uniform_takes_each_row_once_and_every_epoch_differently() -> None:
    truth = np.zeros((50, 2), np.int8)

    first, again, second = (epoch_order(truth, "uniform", 7, epoch) for epoch in (0, 0, 1))

    assert sorted(first) == list(range(50))
    assert (first == again).all()
    assert (first != second).any()
    assert (first != epoch_order(truth, "uniform", 8, 0)).any()


def test_balanced_sees_a_rare_class_as_often_as_a_common_one() -> None:
    truth = np.zeros((1000, 3), np.int8)
    truth[:20, 0] = truth[20:500, 1] = truth[500:800, 2] = 1
    truth[20:500, 0] = -1  # masked cells are no presence

    order = np.concatenate([epoch_order(truth, "class-balanced", 0, epoch) for epoch in range(5)])

    assert len(order) == 5000
    shares = [np.isin(order, np.arange(*bounds)).mean() for bounds in ((0, 20), (20, 500), (500, 800), (800, 1000))]
    assert shares == pytest.approx([0.25] * 4, abs=0.03)


def test_chances_add_up_to_one_whatever_is_present() -> None:
    truth = np.array([[1, 1], [0, 0], [-1, -1], [1, 0]], np.int8)

    assert balanced_chances(truth).sum() == pytest.approx(1)
    assert (balanced_chances(truth) > 0).all()


@pytest.mark.parametrize("sampling", ["uniform", "class-balanced"])
def test_no_rows_have_no_order(sampling: str) -> None:
    assert len(epoch_order(np.empty((0, 2), np.int8), sampling, 0, 0)) == 0


def test_no_batch_is_too_small_to_normalise() -> None:
    assert split_batches(np.arange(0), 4) == []
    assert [len(one) for one in split_batches(np.arange(8), 4)] == [4, 4]
    assert [len(one) for one in split_batches(np.arange(10), 4)] == [4, 4, 2]
    assert [len(one) for one in split_batches(np.arange(9), 4)] == [4, 5]
    assert [len(one) for one in split_batches(np.arange(1), 4)] == [1]
    assert [len(one) for one in split_batches(np.arange(11), 4, at_least=4)] == [4, 7]
    assert np.concatenate(split_batches(np.arange(9), 4)).tolist() == list(range(9))
