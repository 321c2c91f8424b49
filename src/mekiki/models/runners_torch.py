"""Networks that make vectors, in PyTorch: on a GPU in bf16 with channels last, on a CPU in fp32."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from mekiki.errors import BackendError
from mekiki.media.preprocessing import Preprocessing
from mekiki.models.runners import Pictures, check_vectors, preprocessing_of, scale_and_shift
from mekiki.training.arithmetic import full_float32

if TYPE_CHECKING:
    from mekiki.models.embed_source import Tower


class PixelNetwork(nn.Module):  # type: ignore[misc]  # torch's types are not read
    """A network with its normalisation in front.

    Args:
        network: Takes ``(N, 3, H, W)`` normalised float32.
        how: The preprocessing, of which mean and standard deviation are used.
    """

    def __init__(self, network: nn.Module, how: Preprocessing) -> None:
        super().__init__()
        self.network = network
        scale, shift = scale_and_shift(how)
        self.register_buffer("scale", torch.from_numpy(scale).view(1, 3, 1, 1))
        self.register_buffer("shift", torch.from_numpy(shift).view(1, 3, 1, 1))

    def forward(self, pixels: Tensor) -> Tensor:
        """Return what the network gives for ``(N, H, W, 3)`` uint8."""
        return self.network(pixels.permute(0, 3, 1, 2).float() * self.scale - self.shift)


class TorchRunner:
    """See `mekiki.models.runners.Runner`.

    Args:
        tower: Of which the network is a PyTorch module.
        device: As `mekiki.models.classify_torch.torch_device` gives it.
        precision: ``fp32``, or on a GPU ``bf16``.
        graph: None; PyTorch runs none.
    """

    def __init__(self, tower: Tower, device: str, precision: str, graph: Path | None = None) -> None:
        network = tower.network()
        if graph is not None or isinstance(network, Path):
            raise BackendError(f"PyTorch runs no graph: {graph or network}")
        self.precision = precision
        self.device = f"{device} (torch {precision})"
        self._space = tower.space
        self._on = torch.device(device)
        self._network = PixelNetwork(network, preprocessing_of(tower)).eval().to(self._on)
        if self._on.type == "cuda":
            self._network = self._network.to(memory_format=torch.channels_last)

    def run(self, pictures: Pictures) -> NDArray[np.float32]:
        """Return ``(N, D)``."""
        pixels = torch.from_numpy(np.ascontiguousarray(pictures))
        if self._on.type == "cuda":
            pixels = pixels.pin_memory()
        with torch.inference_mode(), self._arithmetic():
            vectors = self._network(pixels.to(self._on, non_blocking=True)).float()
        return check_vectors(vectors.cpu().numpy(), self._space, len(pictures))

    def _arithmetic(self) -> AbstractContextManager[None]:
        if self.precision == "bf16":
            context: AbstractContextManager[None] = torch.autocast(self._on.type, dtype=torch.bfloat16)
            return context
        return full_float32()
