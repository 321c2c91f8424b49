"""Means and deviations of channels that go by a name."""

from __future__ import annotations

from mekiki.media.preprocessing import IMAGENET_MEAN, IMAGENET_STD

Channels = tuple[float, float, float]

NORMALISATIONS: dict[str, tuple[Channels, Channels]] = {
    "imagenet": (IMAGENET_MEAN, IMAGENET_STD),
    "half": ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
}
