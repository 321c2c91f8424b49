"""Losses of many yes-or-no questions: ``(B, C)`` logits against ``(B, C)`` truth, where -1 is masked.

A loss is the sum over known cells, to be divided by how many of them there are: so that parts of a batch add up to
the whole batch, and a masked cell changes nothing at all. Sigmoids are those of each class alone.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from torch import Tensor

LossName = Literal["bce", "asymmetric", "focal"]
SumLoss = Callable[["Tensor", "Tensor"], "Tensor"]
"""Logits and truth to the sum over known cells."""

FOCAL_GAMMA = 2.0
FOCAL_ALPHA = 0.25
ASYMMETRIC_GAMMA_POSITIVE = 0.0
ASYMMETRIC_GAMMA_NEGATIVE = 4.0
ASYMMETRIC_MARGIN = 0.05


def positive_weights(truth: NDArray[np.int8], most: float) -> NDArray[np.float32]:
    """Return ``(C,)`` float32: how much more a present cell counts than an absent one.

    Seed 1's rule, ``clip(negatives / max(positives, 1), 1, most)``, counted over known cells of the training part.

    Args:
        truth: ``(N, C)`` int8; N may be 0, which gives ones.
        most: 1 or more.

    Example:
        >>> positive_weights(np.array([[1, 0], [0, 0], [0, -1]], np.int8), most=20.0).tolist()
        [2.0, 2.0]
    """
    n_present = (truth == 1).sum(axis=0)
    n_absent = (truth == 0).sum(axis=0)
    weights: NDArray[np.float32] = np.clip(n_absent / np.maximum(n_present, 1), 1, most).astype(np.float32)
    return weights


def make_loss(name: LossName, weights: NDArray[np.float32]) -> SumLoss:
    """Return a loss by name.

    Args:
        name: ``bce``, ``asymmetric`` or ``focal``.
        weights: ``(C,)``, of `positive_weights`; only ``bce`` has use for them, the others weight by difficulty.
    """
    import torch

    if name == "bce":
        return lambda logits, truth: bce(logits, truth, torch.as_tensor(weights, device=logits.device))
    return asymmetric if name == "asymmetric" else focal


def bce(logits: Tensor, truth: Tensor, weights: Tensor) -> Tensor:
    """Return the sum of binary cross-entropies, present cells weighted by their class's ``weights`` ``(C,)``."""
    from torch.nn.functional import binary_cross_entropy_with_logits

    known = truth >= 0
    cells = binary_cross_entropy_with_logits(
        logits, truth.clamp(min=0).to(logits.dtype), pos_weight=weights, reduction="none"
    )
    return (cells * known).sum()


def focal(logits: Tensor, truth: Tensor, gamma: float = FOCAL_GAMMA, alpha: float = FOCAL_ALPHA) -> Tensor:
    """Return the sum of focal losses: easy cells count for little.

    Reference: Lin et al., 2017, https://arxiv.org/abs/1708.02002, equation 5:
    ``-alpha_t (1 - p_t)^gamma log(p_t)``, with ``alpha`` for present cells and ``1 - alpha`` for absent ones.
    """
    from torch.nn.functional import logsigmoid

    is_present = truth == 1
    sided = logits.where(is_present, -logits)  # sigmoid(sided) is p_t: the chance given to what is true
    log_p = logsigmoid(sided)
    alpha_t = is_present * alpha + ~is_present * (1 - alpha)
    cells = -alpha_t * (-sided).sigmoid() ** gamma * log_p
    return (cells * (truth >= 0)).sum()


def asymmetric(
    logits: Tensor,
    truth: Tensor,
    gamma_positive: float = ASYMMETRIC_GAMMA_POSITIVE,
    gamma_negative: float = ASYMMETRIC_GAMMA_NEGATIVE,
    margin: float = ASYMMETRIC_MARGIN,
) -> Tensor:
    """Return the sum of asymmetric losses: easy absent cells count for little, very easy ones for nothing.

    As in the authors' code, the focusing weight is a constant to the gradient.

    Reference: Ridnik et al., 2021, https://arxiv.org/abs/2009.14119, equation 7: present cells
    ``-(1 - p)^gamma_positive log(p)``, absent ones ``-p_m^gamma_negative log(1 - p_m)``, where
    ``p_m = max(p - margin, 0)``.
    """
    is_present = truth == 1
    chances = logits.sigmoid()
    shifted = (chances - margin).clamp(min=0)
    # 1e-8: as in the authors' code; a logarithm of 0 would make the whole batch infinite.
    log_p = chances.clamp(min=1e-8).log().where(is_present, (1 - shifted).clamp(min=1e-8).log())
    weight = ((1 - chances) ** gamma_positive).where(is_present, shifted**gamma_negative).detach()
    return (-weight * log_p * (truth >= 0)).sum()
