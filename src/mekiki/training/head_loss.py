"""What heads make small: cross-entropies of classes, weighted if asked for; -1 in truth is masked. C classes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

Activation = Literal["sigmoid", "softmax"]


def class_weights(truth: NDArray[np.int8], activation: Activation) -> NDArray[np.float32]:
    """Return how much an answer counts, so that each answer of a class weighs the same in sum.

    Sigmoid: seed 5's ``N / (2 n)`` for each of absent and present, class by class, N its known rows. Softmax:
    ``N / (C n)``. 1 where an answer does not occur.

    Args:
        truth: ``(N, C)`` of the training part.
        activation: Which.

    Returns:
        ``(2, C)``, absent first; of softmax ``(C,)``.

    Example:
        >>> class_weights(np.array([[1], [0], [0], [0], [-1]], np.int8), "sigmoid").round(3).tolist()
        [[0.6669999957084656], [2.0]]
    """
    present = (truth == 1).sum(axis=0)
    counts = present if activation == "softmax" else np.stack([(truth == 0).sum(axis=0), present])
    n_answers = np.count_nonzero(present) if activation == "softmax" else 2
    weights = counts.sum(axis=0) / (max(n_answers, 1) * np.maximum(counts, 1))
    return np.where(counts > 0, weights, 1).astype(np.float32)


HeadLoss = Callable[[Tensor, Tensor], tuple[Tensor, int]]
"""Logits and truth, both ``(B, C)``, to the sum of losses and how many cells, of softmax rows, it is of."""


def make_head_loss(truth: NDArray[np.int8], activation: Activation, is_weighted: bool) -> HeadLoss:
    """Return the loss: cross-entropy of each known cell, or of each known row for softmax; masked ones count nothing.

    As in Keras, the mean of weighted losses is over their number and not over their weights.

    Args:
        truth: ``(N, C)`` of the training part.
        activation: Of the head's outputs.
        is_weighted: By `class_weights`.
    """
    if is_weighted:
        weights = torch.from_numpy(class_weights(truth, activation))
    else:
        weights = torch.ones(truth.shape[1] if activation == "softmax" else (2, 1))

    def of_cells(logits: Tensor, truth: Tensor) -> tuple[Tensor, int]:
        known, own = truth >= 0, weights.to(logits.device)
        cells = functional.binary_cross_entropy_with_logits(logits, truth.clamp(min=0).float(), reduction="none")
        return (cells * torch.where(truth == 1, own[1], own[0]) * known).sum(), int(known.sum())

    def of_rows(logits: Tensor, truth: Tensor) -> tuple[Tensor, int]:
        known, chosen = (truth == 1).any(dim=1), (truth == 1).int().argmax(dim=1)
        rows = functional.cross_entropy(logits, chosen, reduction="none") * weights.to(logits.device)[chosen]
        return (rows * known).sum(), int(known.sum())

    return of_rows if activation == "softmax" else of_cells
