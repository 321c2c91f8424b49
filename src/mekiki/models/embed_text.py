"""Words into vectors, a few at a time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mekiki.training.packages import import_torch

if TYPE_CHECKING:
    from torch import Tensor

BATCH = 64


def in_batches(texts: Sequence[str], n_dims: int, embed: Callable[[list[str]], Tensor]) -> NDArray[np.float32]:
    """Return ``(N, D)`` float32 of N texts; none give ``(0, D)``.

    Args:
        texts: How they are batched changes nothing beyond rounding.
        n_dims: D.
        embed: Returns ``(n, D)`` for up to `BATCH` texts.
    """
    with import_torch().inference_mode():
        found = [embed(list(texts[at : at + BATCH])).float().cpu().numpy() for at in range(0, len(texts), BATCH)]
    return np.concatenate([np.zeros((0, n_dims), np.float32), *found])
