"""Small networks that make vectors, in tests of what runs them."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mekiki.media.preprocessing import Preprocessing
from mekiki.training.vector_space import VectorSpace

HOW = Preprocessing(
    resize="short-side", resize_hw=(32, 32), crop_hw=(32, 32), mean=(0.48, 0.45, 0.40), std=(0.26, 0.25, 0.27)
)
N_DIMS = 12


@dataclass
class ToyTower:
    """See `mekiki.models.embed_source.Tower`."""

    module: Any
    embedder_id: str = "00112233aabbccdd"
    n_dims: int = N_DIMS

    @property
    def space(self) -> VectorSpace:
        return VectorSpace(embedder="toy", embedder_id=self.embedder_id, n_dims=self.n_dims, preprocessing=HOW)

    def network(self) -> Any:
        return self.module


def small_vit(seed: int = 0) -> Any:
    """Return a transformer of two layers over patches of 8 x 8 pixels, with random weights."""
    import torch
    from torch import nn

    class SmallVit(nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.patches = nn.Conv2d(3, 32, 8, stride=8)
            self.places = nn.Parameter(torch.randn(1, 16, 32) * 0.1)
            layer = nn.TransformerEncoderLayer(32, 4, 64, dropout=0.0, batch_first=True, norm_first=True)
            self.layers = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
            self.last = nn.Linear(32, N_DIMS)

        def forward(self, pictures: Any) -> Any:
            tokens = self.patches(pictures).flatten(2).transpose(1, 2) + self.places
            return self.last(self.layers(tokens).mean(dim=1))

    torch.manual_seed(seed)
    return SmallVit().eval()


def pixels(n_pictures: int, seed: int = 0) -> NDArray[np.uint8]:
    """Return ``(N, 32, 32, 3)`` of coarse coloured blocks."""
    coarse = np.random.default_rng(seed).integers(0, 256, (n_pictures, 4, 4, 3), np.uint8)
    return np.kron(coarse, np.ones((1, 8, 8, 1), np.uint8))


def write_graph(path: Path, module: Any) -> Path:
    """Write a module as an ``.onnx`` file that takes normalised float32."""
    import torch

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            *(module, (torch.zeros(2, 3, 32, 32),), str(path)),
            input_names=["pictures"],
            output_names=["vectors"],
            dynamic_axes={"pictures": {0: "n"}, "vectors": {0: "n"}},
            opset_version=17,
            dynamo=False,
        )
    return path
