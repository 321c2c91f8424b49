"""Learning-rate schedules as plain functions of how far training is: nothing to store, nothing to restore.

A schedule gives a factor in [0, 1] by which every learning rate is multiplied.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

ScheduleName = Literal["plateau", "cosine", "constant"]

PLATEAU_FACTOR = 0.5
PLATEAU_PATIENCE = 2
PLATEAU_THRESHOLD = 1e-4
"""A loss is better if it is lower by more than this share of the best one; PyTorch's default."""


def rate_factor(
    name: ScheduleName, at_epoch: float, n_epochs: int, warmup_epochs: float, val_losses: Sequence[float]
) -> float:
    """Return by how much learning rates are multiplied.

    Args:
        name: ``plateau`` halves after bad epochs, ``cosine`` falls to 0, ``constant`` stays at 1.
        at_epoch: How far training is, in epochs from 0, fractions included.
        n_epochs: How long it is.
        warmup_epochs: The factor first rises linearly, over so many epochs.
        val_losses: Of the epochs that are finished.

    Example:
        >>> [round(rate_factor("cosine", at, 10, 0, []), 2) for at in (0, 2.5, 5, 10)]
        [1.0, 0.85, 0.5, 0.0]
    """
    if at_epoch < warmup_epochs:
        return at_epoch / warmup_epochs
    if name == "plateau":
        return plateau_factor(val_losses)
    if name == "cosine":
        share = (at_epoch - warmup_epochs) / max(n_epochs - warmup_epochs, 1e-9)  # no epochs after the warm-up
        return (1 + math.cos(math.pi * min(share, 1.0))) / 2
    return 1.0


def plateau_factor(
    val_losses: Sequence[float], factor: float = PLATEAU_FACTOR, patience: int = PLATEAU_PATIENCE
) -> float:
    """Return what PyTorch's ``ReduceLROnPlateau(mode="min")`` has made of the rate after these validation losses.

    Args:
        val_losses: One per finished epoch; empty gives 1.
        factor: The rate is multiplied by this...
        patience: ...when more than this many epochs in a row brought no better loss.

    Example:
        >>> plateau_factor([1.0, 1.1, 1.1, 1.1])
        0.5
    """
    total, best, n_bad = 1.0, math.inf, 0
    for loss in val_losses:
        if loss < best * (1 - PLATEAU_THRESHOLD):
            best, n_bad = loss, 0
        else:
            n_bad += 1
        if n_bad > patience:
            total, n_bad = total * factor, 0
    return total
