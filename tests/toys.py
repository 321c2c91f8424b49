"""A toy set that a tiny network learns in a second: squares at places that say which classes are present."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mekiki.media.preprocessing import Preprocessing
from mekiki.records import Image
from mekiki.training.augment import Augmentation
from mekiki.training.data import Batches, Pictures

N_CLASSES = 3
HOW = Preprocessing(resize_hw=(20, 20), crop_hw=(16, 16), mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))


def toy_truth(n: int = 120, seed: int = 0) -> NDArray[np.int8]:
    return np.random.default_rng(seed).integers(0, 2, (n, N_CLASSES), dtype=np.int8)


def toy_reader(truth: NDArray[np.int8]) -> Callable[[int], Image]:
    """Return what draws the picture of a row: a bright bar per present class, on noise."""

    def read(row: int) -> Image:
        image = np.random.default_rng(row).integers(0, 60, (24, 32, 3), dtype=np.uint8)
        for column in np.flatnonzero(truth[row] == 1):
            image[2 + 7 * column : 8 + 7 * column, 4:28] = 220
        return image

    return read


def toy_batches(
    truth: NDArray[np.int8],
    rows: NDArray[np.int64],
    augmentation: Augmentation | None = None,
    cache_gb: float = 1.0,
    **options: Any,
) -> Batches:
    pictures = Pictures(toy_reader(truth), HOW, cache_gb)
    keys = [1000 + int(row) for row in rows]
    return Batches(pictures, rows, keys, truth[rows], 16, augmentation=augmentation, **options)


def toy_network(seed: int = 0) -> Any:
    """Return a network with batch normalisation and dropout, the same for the same seed."""
    import torch
    from torch import nn

    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, stride=2),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.Dropout(0.1),
        nn.AdaptiveAvgPool2d(4),
        nn.Flatten(),
        nn.Linear(128, N_CLASSES),
    )
