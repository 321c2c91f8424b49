"""A running average of a network's weights, which often decides better than the last of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor, nn


class Average:
    """Exponential moving average of all tensors of a network, running statistics included.

    Early steps count less long: the decay of step n is ``min(decay, (1 + n) / (10 + n))``, as in TensorFlow's
    ``ExponentialMovingAverage``. Counters, which are integers, are copied.

    Args:
        network: What is averaged; the average begins with its weights.
        decay: Below 1.
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        self.decay = decay
        self.n_steps = 0
        self.tensors: dict[str, Tensor] = {
            name: tensor.detach().clone() for name, tensor in network.state_dict().items()
        }

    def update(self, network: nn.Module) -> None:
        """Take one more step into account."""
        import torch

        self.n_steps += 1
        decay = min(self.decay, (1 + self.n_steps) / (10 + self.n_steps))
        with torch.no_grad():
            for name, tensor in network.state_dict().items():
                if tensor.is_floating_point():
                    self.tensors[name].lerp_(tensor, 1 - decay)
                else:
                    self.tensors[name].copy_(tensor)

    def restore(self, tensors: Mapping[str, Tensor], n_steps: int) -> None:
        """Go on from an earlier average."""
        self.n_steps = n_steps
        for name, tensor in tensors.items():
            self.tensors[name].copy_(tensor)
