"""Small models on disk, for tests of what reads and runs them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from mekiki.media.preprocessing import Preprocessing
from mekiki.models.base import Classifier
from mekiki.models.classify_ensemble import EnsembleClassifier
from mekiki.models.classify_torch import TorchClassifier
from mekiki.records import Image
from mekiki.training.backbones import SMALL_CNN, BackboneSpec, default_preprocessing, make_network
from mekiki.training.card import ModelCard
from mekiki.training.members import split_members

CLASSES = ("cat", "dog", "fox")
WIDTH = {"width": 4}

USER_MODULE = """
import torch
from torch import nn


class Tiny(nn.Module):
    def __init__(self, num_classes, scale=1.0):
        super().__init__()
        self.scale = scale
        self.features = nn.Conv2d(3, 4, 3, stride=2)
        self.output = nn.Linear(4, num_classes)

    def forward(self, pictures):
        return self.output(self.features(pictures).relu().mean(dim=(2, 3))) * self.scale
"""
"""A backbone as a user would write it."""


def make_card(**changes: Any) -> ModelCard:
    """Return the card of a tiny ``small-cnn``, with fields changed."""
    fields: dict[str, Any] = {
        "name": "tiny",
        "arch": SMALL_CNN,
        "arch_options": WIDTH,
        "class_names": CLASSES,
        "preprocessing": default_preprocessing(SMALL_CNN, 32),
    }
    return ModelCard(**{**fields, **changes})


def random_network(arch: str = SMALL_CNN, seed: int = 0, *, n_classes: int = 3, **options: Any) -> Any:
    """Return a network with random weights, the same for the same seed; its outputs are spread out."""
    import torch

    torch.manual_seed(seed)
    spec = BackboneSpec(arch, n_classes, options or (WIDTH if arch == SMALL_CNN else {}))
    return make_network(spec, pretrained=False, weights=None, allow_code=True).eval()


def random_tensors(seed: int = 0) -> dict[str, Any]:
    """Return the state dict of `random_network`."""
    return dict(random_network(seed=seed).state_dict())


def random_images(n: int = 5, seed: int = 0, size_hw: tuple[int, int] = (40, 48)) -> list[Image]:
    """Return pictures of coarse coloured blocks, which networks tell apart better than noise."""
    chance = np.random.default_rng(seed)
    blocks = chance.integers(0, 256, (n, 4, 4, 3), np.uint8)
    return [
        np.ascontiguousarray(np.kron(one, np.ones((size_hw[0] // 4, size_hw[1] // 4, 1), np.uint8))) for one in blocks
    ]


def open_torch(card: ModelCard, tensors: Mapping[str, Any], *, allow_code: bool = False) -> Classifier:
    """Return a network or an ensemble on PyTorch, on the CPU."""
    members = [TorchClassifier(*one, device="cpu", allow_code=allow_code) for one in split_members(card, tensors)]
    return members[0] if card.kind == "network" else EnsembleClassifier(card, members)


def write_user_module(folder: Path, text: str = USER_MODULE, name: str = "nets.py") -> str:
    """Write a file with a backbone and return its name, ``python:FILE:Tiny``."""
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return f"python:{path}:Tiny"


def changed_graph(graph: Path, to: Path) -> Path:
    """Write a graph with other weights and the same card, as quantising or pruning it does."""
    import onnx
    from onnx import numpy_helper

    content = onnx.load(graph)
    for one in content.graph.initializer:
        weights = numpy_helper.to_array(one)
        if weights.dtype == np.float32:
            one.CopyFrom(numpy_helper.from_array(weights * np.float32(0.5), one.name))
    onnx.save(content, to)
    return to


NO_RESIZE = Preprocessing(resize="none", resize_hw=(32, 32), crop_hw=(32, 32))
