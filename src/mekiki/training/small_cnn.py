"""A small network for machines without GPU or weights: plain convolutions at full resolution first."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mekiki.errors import UsageError

DEFAULT_WIDTH = 16
MULTIPLES = (1, 2, 4, 6)
"""Channels of the stages, in widths."""

N_REFINING = (0, 0, 1, 1)
"""Residual pairs of convolutions in each stage: where maps are small, they cost little."""


class SmallCnn(nn.Module):  # type: ignore[misc]  # torch's types are not read
    """Four stages of 3x3 convolutions with batch normalisation, mean and maximum over the picture, one Linear.

    A stage convolves before it halves, so that stripes two pixels wide still count: in 96 px, an animal's marks are
    no wider. The last maps see 86 px of the picture. The maximum finds an animal that fills a hundredth of the
    frame, which the mean would drown.

    Args:
        num_classes: Outputs; logits.
        width: Channels of the first stage; the following have 2, 4 and 6 times as many.
        dropout: Share of the features that training leaves out before the head.

    Raises:
        UsageError: If an option is out of range.
    """

    def __init__(self, num_classes: int, width: int = DEFAULT_WIDTH, dropout: float = 0.0) -> None:
        super().__init__()
        if not isinstance(width, int):
            raise UsageError(f"small-cnn: width must be a whole number, got {width!r}")
        if width < 4:
            raise UsageError(f"small-cnn: width must be 4 or more, got {width}")
        if not isinstance(dropout, (int, float)):
            raise UsageError(f"small-cnn: dropout must be a number, got {dropout!r}")
        if not 0 <= dropout < 1:
            raise UsageError(f"small-cnn: dropout must lie in [0, 1), got {dropout}")
        channels = [3, *(width * multiple for multiple in MULTIPLES)]
        self.stages = nn.ModuleList(
            [
                nn.Sequential(*_convolve(n_in, n_out), nn.MaxPool2d(2), *(_Refine(n_out) for _ in range(n_refining)))
                for n_in, n_out, n_refining in zip(channels[:-1], channels[1:], N_REFINING, strict=True)
            ]
        )
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(2 * channels[-1], num_classes)

    def forward(self, pictures: Tensor) -> Tensor:
        """Return ``(N, num_classes)`` logits of ``(N, 3, H, W)`` float32; H and W are 16 or more."""
        maps = pictures
        for stage in self.stages:
            maps = stage(maps)
        features = torch.cat([maps.mean(dim=(2, 3)), maps.amax(dim=(2, 3))], dim=1)
        return self.head(self.dropout(features))


class _Refine(nn.Module):  # type: ignore[misc]
    """Add to each value what two more convolutions make of its surroundings; nothing before training."""

    def __init__(self, n_channels: int) -> None:
        super().__init__()
        self.change = nn.Sequential(*_convolve(n_channels, n_channels), *_convolve(n_channels, n_channels)[:-1])
        nn.init.zeros_(self.change[-1].weight)

    def forward(self, maps: Tensor) -> Tensor:
        return torch.relu(maps + self.change(maps))


def _convolve(n_in: int, n_out: int) -> list[nn.Module]:
    return [nn.Conv2d(n_in, n_out, 3, padding=1, bias=False), nn.BatchNorm2d(n_out), nn.ReLU(inplace=True)]
