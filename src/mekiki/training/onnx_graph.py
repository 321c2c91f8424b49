"""What a model computes from pixels to raw scores, as one PyTorch module that can be exported."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor, nn

from mekiki.metrics.calibration import CLIP
from mekiki.training.card import Calibration, ModelCard


class ScoringGraph(nn.Module):  # type: ignore[misc]  # torch's types are not read
    """Networks, their scores, calibration and weighted mean; the same numbers as `EnsembleClassifier`.

    Args:
        card: Of a network or an ensemble.
        networks: One, or those of its members in their order.
        wanted: Per network, which of the inputs it takes.
    """

    def __init__(self, card: ModelCard, networks: Sequence[nn.Module], wanted: Sequence[int]) -> None:
        super().__init__()
        self.networks = nn.ModuleList(networks)
        self.wanted = list(wanted)
        self.is_ensemble = card.kind == "ensemble"
        members = card.members if self.is_ensemble else (card,)
        self.is_softmax = [member.activation == "softmax" for member in members]
        self.weights = card.weights
        self.calibrations = nn.ModuleList(
            [_calibration(member.calibration if self.is_ensemble else None) for member in members]
        )

    def forward(self, *pictures: Tensor) -> Tensor:
        """Return ``(N, C)`` float32 raw scores of one ``(N, 3, H, W)`` per different preprocessing."""
        scores = []
        for network, place, is_softmax in zip(self.networks, self.wanted, self.is_softmax, strict=True):
            logits = network(pictures[place])
            scores.append(logits.softmax(dim=1) if is_softmax else logits.sigmoid())
        if not self.is_ensemble:
            return scores[0]
        # in 64 bits as in NumPy: 1 - 1e-7, next to which calibration clips, is no 32-bit number
        finished = [one(raw.double()) for one, raw in zip(self.calibrations, scores, strict=True)]
        total = finished[0] * self.weights[0]
        for one, weight in zip(finished[1:], self.weights[1:], strict=True):
            total = total + one * weight
        return total.clamp(0, 1).float()


class _Temperatures(nn.Module):  # type: ignore[misc]
    """`mekiki.metrics.calibration.apply_temperatures` in 64 bits."""

    def __init__(self, temperatures: Sequence[float]) -> None:
        super().__init__()
        self.register_buffer("temperatures", torch.tensor(temperatures, dtype=torch.float64))

    def forward(self, scores: Tensor) -> Tensor:
        clipped = scores.clamp(CLIP, 1 - CLIP)
        return (((clipped / (1 - clipped)).log()) / self.temperatures).sigmoid()


class _Knots(nn.Module):  # type: ignore[misc]
    """`mekiki.metrics.calibration.apply_isotonic` in 64 bits: between two knots a line, outside them flat.

    As a sum over the stretches between knots: each adds its rise, times the part of it that lies below the score.
    """

    def __init__(self, knots: Sequence[tuple[Sequence[float], Sequence[float]]]) -> None:
        super().__init__()
        n_stretches = max(1, *(len(x) - 1 for x, _ in knots))
        start, length, rise = (np.full((len(knots), n_stretches), fill) for fill in (0.0, 1.0, 0.0))
        for column, (x, y) in enumerate(knots):
            for place, ((x_low, x_high), (y_low, y_high)) in enumerate(zip(pairwise(x), pairwise(y), strict=True)):
                start[column, place], length[column, place] = x_low, x_high - x_low
                rise[column, place] = y_high - y_low
        for name, values in (("start", start), ("length", length), ("rise", rise)):
            self.register_buffer(name, torch.from_numpy(values))
        self.register_buffer("lowest", torch.tensor([y[0] for _, y in knots], dtype=torch.float64))

    def forward(self, scores: Tensor) -> Tensor:
        passed = ((scores.unsqueeze(2) - self.start) / self.length).clamp(0, 1)
        return self.lowest + (passed * self.rise).sum(dim=2)


def _calibration(how: Calibration | None) -> nn.Module:
    if how is None:
        return nn.Identity()
    return _Temperatures(how.temperatures) if how.method == "temperature" else _Knots(how.knots)
