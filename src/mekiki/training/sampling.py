"""The order in which an epoch sees its pictures: a function of seed and epoch, so that any epoch can be done again."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

Sampling = Literal["uniform", "class-balanced"]


def epoch_order(truth: NDArray[np.int8], sampling: Sampling, seed: int, epoch: int) -> NDArray[np.int64]:
    """Return ``(N,)`` int64 rows in the order of one epoch; empty for no rows.

    Args:
        truth: ``(N, C)`` int8.
        sampling: ``uniform`` takes each row once. ``class-balanced`` draws N rows with replacement so that each class,
            and each picture of no class, has the same chance: see `balanced_chances`.
        seed: Of the training.
        epoch: From 0.
    """
    generator = np.random.default_rng((seed, epoch))
    if sampling == "uniform" or not len(truth):
        return generator.permutation(len(truth))
    return generator.choice(len(truth), len(truth), p=balanced_chances(truth))


def balanced_chances(truth: NDArray[np.int8]) -> NDArray[np.float64]:
    """Return ``(N,)`` chances of being drawn that add up to 1.

    A row's chance is the mean over its present classes of one over how many rows have that class; rows without any
    count as a class of their own. So a rare class is seen as often as a common one.

    Example:
        >>> balanced_chances(np.array([[1, 0], [1, 0], [0, 1]], np.int8)).tolist()
        [0.25, 0.25, 0.5]
    """
    present = np.column_stack([truth == 1, ~(truth == 1).any(axis=1)])
    each = present / np.maximum(present.sum(axis=0), 1)
    raw = each.sum(axis=1) / present.sum(axis=1)
    chances: NDArray[np.float64] = raw / raw.sum()
    return chances


def split_batches(rows: NDArray[np.int64], batch_size: int, at_least: int = 2) -> list[NDArray[np.int64]]:
    """Cut rows into batches, the last being smaller; one that would be too small joins the one before.

    Args:
        rows: ``(N,)``.
        batch_size: 1 or more.
        at_least: Rows of the last batch: batch normalisation needs two values to normalise, in each process.

    Example:
        >>> [len(batch) for batch in split_batches(np.arange(9), 4)]
        [4, 5]
    """
    batches = [rows[start : start + batch_size] for start in range(0, len(rows), batch_size)]
    if len(batches) > 1 and len(batches[-1]) < at_least:
        batches[-2:] = [np.concatenate(batches[-2:])]
    return batches
