"""Networks of others as modules that take pictures and give vectors."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from mekiki.errors import UsageError
from mekiki.models.embed_source import taking_pictures
from mekiki.training.backbones import head_of


class FirstOutput(nn.Module):  # type: ignore[misc]  # torch's types are not read
    """A network that gives several tensors, of which the first is the vectors."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, pictures: Tensor) -> Tensor:
        """Return ``(N, D)``."""
        return self.network(pictures)[0]


class Flat(nn.Module):  # type: ignore[misc]
    """A network whose output is flattened to ``(N, D)``."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, pictures: Tensor) -> Tensor:
        """Return ``(N, D)``."""
        return self.network(pictures).flatten(1)


class HfProjected(nn.Module):  # type: ignore[misc]
    """A model of transformers with a text side: pictures in the space that they share with words."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(self, pictures: Tensor) -> Tensor:
        """Return ``(N, D)``."""
        found = self.model.get_image_features(pixel_values=pictures)
        return found if isinstance(found, torch.Tensor) else found.pooler_output


class HfPooler(nn.Module):  # type: ignore[misc]
    """A vision model of transformers: what its pooler gives, before any projection."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(self, pictures: Tensor) -> Tensor:
        """Return ``(N, D)``."""
        return self.model(pixel_values=pictures).pooler_output.flatten(1)


def without_head(network: nn.Module, what: str, crop_hw: tuple[int, int]) -> nn.Module:
    """Return a classifier that gives what went into its head; ``network`` is changed.

    timm's models are told to drop their classifier. Of any other the head is taken out, and it is checked that nothing
    comes after it.

    Args:
        network: In evaluation mode.
        what: Its name, for messages.
        crop_hw: Size of its pictures, in pixels.

    Raises:
        UsageError: If something comes after the head, or there is none.
        BackendError: If it cannot take such pictures.
    """
    if callable(getattr(network, "reset_classifier", None)):
        network.reset_classifier(0)
        return Flat(network)
    head = head_of(network)
    names = [name for name, part in network.named_modules(remove_duplicate=False) if part is head]
    if names == [""]:
        raise UsageError(f"{what} is one layer, with nothing before it. Type: --output projected")
    seen: list[Tensor] = []
    watching = head.register_forward_pre_hook(lambda _part, given: seen.append(given[0]))
    picture = torch.linspace(-1, 1, 3 * crop_hw[0] * crop_hw[1]).reshape(1, 3, *crop_hw)
    with torch.inference_mode(), taking_pictures(what, crop_hw):
        network(picture)
        watching.remove()
        for name in names:
            parent, _, own = name.rpartition(".")
            setattr(network.get_submodule(parent), own, nn.Identity())
        left = network(picture)
    if len(seen) != 1 or not isinstance(left, torch.Tensor) or not torch.equal(left.flatten(1), seen[0].flatten(1)):
        raise UsageError(
            f"{what} does something with what its last layer {names[0]!r} gives, so that this cannot be left out. "
            "Type: --output projected"
        )
    return Flat(network)
