"""Heads in tests: files of ours, of LAION's layout and of Keras', with random weights."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from classifiers import Saved
from mekiki.training.card import ModelCard
from mekiki.training.checkpoint import save_model
from mekiki.training.heads import make_head
from mekiki.training.projections import orthogonal_projection
from mekiki.training.vector_space import VectorSpace
from vectors import space_of

N_DIMS = 8


def make_head_file(
    folder: Path,
    space: VectorSpace | None = None,
    *,
    seed: int = 0,
    class_names: Sequence[str] = ("fox", "cat"),
    projection_dims: int | None = None,
    **card: Any,
) -> Saved:
    """Write a head with random weights; equal seeds give equal files."""
    space = space or space_of(N_DIMS)
    options: dict[str, Any] = {"n_inputs": space.n_dims, "layers": [16], "hidden": "tanh"}
    tensors: dict[str, torch.Tensor] = {}
    if projection_dims is not None:
        matrix = orthogonal_projection(space.n_dims, projection_dims, seed)
        options |= {"projection_dims": projection_dims, "projection_kind": "orthogonal"}
        space = space.model_copy(update={"projection": matrix.describe()})
        tensors = matrix.tensors()
    torch.manual_seed(seed)
    head = make_head("head:mlp", len(class_names), options)
    tensors = {**head.state_dict(), **tensors}
    tensors["output.weight"] = tensors["output.weight"] * 8  # so that scores differ by much more than rounding
    facts = {"name": f"head-{seed}", "arch": "head:mlp", "arch_options": options, "vectors": space}
    return Saved(*save_model(folder, ModelCard(**{**facts, "class_names": tuple(class_names), **card}), tensors))


def laion_tensors(n_dims: int = N_DIMS, widths: Sequence[int] = (4, 3, 1), seed: int = 10) -> dict[str, torch.Tensor]:
    """Return a state dict of LAION's layout."""
    chance = torch.Generator().manual_seed(seed)
    tensors = {
        "norm.mean": torch.randn(n_dims, generator=chance) / 4,
        "norm.variance": torch.rand(n_dims, generator=chance) + 0.1,
    }
    width = n_dims
    for number, n_out in enumerate(widths, start=1):
        tensors[f"linear_{number}.weight"] = torch.randn(n_out, width, generator=chance)
        tensors[f"linear_{number}.bias"] = torch.randn(n_out, generator=chance)
        width = n_out
    tensors[f"linear_{len(widths)}.weight"] *= 4
    return tensors


def laion_scores(tensors: Mapping[str, torch.Tensor], vectors: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return ``(N, C)`` in float64, by the formula in LAION's repository."""
    own = {name: tensor.double().numpy() for name, tensor in tensors.items()}
    numbers = np.asarray(vectors, np.float64)
    numbers = numbers / np.linalg.norm(numbers, axis=1, keepdims=True)
    numbers = (numbers - own["norm.mean"]) / (np.sqrt(own["norm.variance"]) + 1e-10)
    last = sum(name.endswith(".weight") for name in own)
    for number in range(1, last + 1):
        numbers = numbers @ own[f"linear_{number}.weight"].T + own[f"linear_{number}.bias"]
        numbers = numbers if number == last else np.maximum(numbers, 0)
    return 1 / (1 + np.exp(-numbers))


def keras_layer(kind: str, name: str, **config: Any) -> dict[str, Any]:
    return {"module": "keras.layers", "class_name": kind, "config": {"name": name, **config}, "registered_name": None}


def write_keras(
    path: Path,
    layers: Sequence[dict[str, Any]],
    arrays: Mapping[str, Sequence[NDArray[np.floating]]],
    **config: Any,
) -> Path:
    """Write a file of `systems.md` 5.6's layout; ``arrays`` are those of each group of weights."""
    import h5py

    content = io.BytesIO()
    with h5py.File(content, "w") as file:
        for group, own in arrays.items():
            for place, array in enumerate(own):
                file[f"layers/{group}/vars/{place}"] = array
    known = {"module": "keras", "class_name": "Sequential", "config": {"name": "sequential", "layers": list(layers)}}
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("config.json", json.dumps({**known, **config}))
        archive.writestr("metadata.json", json.dumps({"keras_version": "3.5.0"}))
        archive.writestr("model.weights.h5", content.getvalue())
    return path
