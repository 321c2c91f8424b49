"""Heads in Keras files: a zip of JSON and HDF5, read without TensorFlow and without running anything.

Layers that only scale and shift, which is what batch normalisation does once it is trained, are taken into the Dense
behind them (or before them, where their output goes through an activation): the same numbers, in float64, rounded once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mekiki.errors import UnreadableError
from mekiki.training.foreign_heads import ForeignHead
from mekiki.training.head_plan import LINEAR, MLP
from mekiki.training.keras_file import is_on, read_keras_layers
from mekiki.training.packages import import_torch

KERAS_EPSILON = 1e-3
HIDDEN = ("tanh", "gelu", "relu")
OUTPUT = ("sigmoid", "softmax", "linear")

Matrix = NDArray[np.float64]


@dataclass(slots=True)
class _Dense:
    """A layer as PyTorch has it: ``(out, in)`` and ``(out,)``."""

    weight: Matrix
    bias: Matrix
    activation: str


def read_keras_head(path: Path) -> ForeignHead:
    """Return the head in a ``.keras`` file.

    Known are Sequential models of InputLayer, BatchNormalization, Dense, Dropout and Activation on vectors, with one
    of `HIDDEN` behind every Dense but the last. Epsilon, axis, activations and order are those of the configuration.

    Raises:
        MissingExtraError: If h5py is not installed.
        UnreadableError: If the file cannot be read, is too large or damaged, or has a part that is not known, by name.
    """
    chain = _Chain(path)
    for kind, settings, arrays in read_keras_layers(path):
        chain.add(kind, settings, arrays)
    return _as_head(path, chain.finished())


def _as_head(path: Path, denses: Sequence[_Dense]) -> ForeignHead:
    *blocks, output = denses
    hidden = {one.activation for one in blocks}
    if not hidden <= set(HIDDEN) or len(hidden) > 1:
        raise UnreadableError(
            path, f"it has {' and '.join(sorted(hidden))} between layers; known is one of {', '.join(HIDDEN)}"
        )
    if output.activation not in OUTPUT:
        raise UnreadableError(path, f"its output goes through {output.activation}; known are {', '.join(OUTPUT)}")
    n_dims = int(denses[0].weight.shape[1])
    options: dict[str, Any] = {"n_inputs": n_dims, "normalise": False}
    if blocks:
        options |= {"layers": [len(one.bias) for one in blocks], "hidden": hidden.pop(), "batch_norm": False}
    torch = import_torch()
    names = [*(f"blocks.{place}.dense" for place in range(len(blocks))), "output"]
    tensors = {
        f"{name}.{part}": torch.from_numpy(array.astype(np.float32))
        for name, one in zip(names, denses, strict=True)
        for part, array in (("weight", one.weight), ("bias", one.bias))
    }
    if not all(bool(tensor.isfinite().all()) for tensor in tensors.values()):
        raise UnreadableError(path, "its weights are no numbers")
    return ForeignHead(
        arch=MLP if blocks else LINEAR,
        options=options,
        tensors=tensors,
        n_dims=n_dims,
        n_classes=len(output.bias),
        activation=None
        if output.activation == "linear"
        else "softmax"
        if output.activation == "softmax"
        else "sigmoid",
        kind="a Keras file",
        is_normalised=False,
    )


class _Chain:
    """Layers one after another, on their way to nothing but Dense ones.

    ``scale`` and ``shift`` are what has been met since the last Dense and not been taken into one yet.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._denses: list[_Dense] = []
        self._scale: Matrix | None = None
        self._shift: Matrix | None = None

    def add(self, kind: str, settings: Mapping[str, Any], arrays: Sequence[Matrix]) -> None:
        """Add a layer with its weights."""
        if kind == "BatchNormalization":
            self._add_norm(settings, list(arrays))
        elif kind == "Dense":
            self._add_dense(settings, list(arrays))
        elif kind == "Activation":
            self._add_activation(_activation(self._path, settings))

    def finished(self) -> list[_Dense]:
        """Return the Dense layers, at least one."""
        if not self._denses:
            raise UnreadableError(self._path, "it has no Dense layer")
        if self._scale is not None:
            self._take_back("its output")
        return self._denses

    def _add_norm(self, settings: Mapping[str, Any], arrays: list[Matrix]) -> None:
        axis = settings.get("axis", -1)
        if axis not in (-1, 1, [-1], [1]):
            raise UnreadableError(self._path, f"its batch normalisation is along axis {axis}, not along the numbers")
        epsilon = settings.get("epsilon", KERAS_EPSILON)
        if not isinstance(epsilon, int | float) or isinstance(epsilon, bool) or not epsilon >= 0:
            raise UnreadableError(self._path, f"its batch normalisation has epsilon {epsilon!r}, no number from 0 on")
        mean, variance = arrays[-2:]
        width = self._width() or len(mean)
        gamma = arrays[0] if is_on(settings, "scale") else np.ones(width)
        beta = arrays[int(is_on(settings, "scale"))] if is_on(settings, "center") else np.zeros(width)
        if any(one.shape != (width,) for one in (gamma, beta, mean, variance)) or (variance < 0).any():
            raise UnreadableError(self._path, f"its batch normalisation does not go with {width} numbers")
        with np.errstate(divide="ignore", invalid="ignore"):  # what is no number then is found in the weights
            scale = gamma / np.sqrt(variance + epsilon)
            shift = beta - mean * scale
        if self._scale is not None and self._shift is not None:
            scale, shift = self._scale * scale, self._shift * scale + shift
        self._scale, self._shift = scale, shift

    def _add_dense(self, settings: Mapping[str, Any], arrays: list[Matrix]) -> None:
        kernel = arrays[0]
        width = self._width() or (kernel.shape[0] if kernel.ndim == 2 else 0)
        bias = arrays[1] if len(arrays) == 2 else np.zeros(kernel.shape[1:])
        if kernel.ndim != 2 or kernel.shape[0] != width or not kernel.shape[1] or bias.shape != kernel.shape[1:]:
            raise UnreadableError(
                self._path,
                f"a Dense layer has weights of {list(kernel.shape)} and {list(bias.shape)} behind {width} numbers",
            )
        weight = kernel.T
        if self._scale is not None and self._shift is not None:
            weight, bias = weight * self._scale, bias + weight @ self._shift
            self._scale = self._shift = None
        self._denses.append(_Dense(weight, bias, _activation(self._path, settings)))

    def _add_activation(self, name: str) -> None:
        if self._scale is not None:
            self._take_back(f"the activation {name}")
        if not self._denses or self._denses[-1].activation != "linear":
            raise UnreadableError(self._path, f"its activation {name} does not come behind a Dense layer without one")
        self._denses[-1].activation = name

    def _take_back(self, what: str) -> None:
        """Take what scales and shifts into the Dense before it."""
        if not self._denses or self._denses[-1].activation != "linear" or self._scale is None or self._shift is None:
            raise UnreadableError(self._path, f"a batch normalisation stands between an activation and {what}")
        last = self._denses[-1]
        last.weight, last.bias = last.weight * self._scale[:, None], last.bias * self._scale + self._shift
        self._scale = self._shift = None

    def _width(self) -> int:
        """Return how many numbers come out of the last layer; 0 before the first."""
        if self._scale is not None:
            return len(self._scale)
        return len(self._denses[-1].bias) if self._denses else 0


def _activation(path: Path, settings: Mapping[str, Any]) -> str:
    name = settings.get("activation", "linear")
    if name is None:
        return "linear"
    if not isinstance(name, str):
        what = name.get("registered_name") or name.get("config") if isinstance(name, dict) else name
        raise UnreadableError(path, f"it has an activation {str(what)[:80]!r} of its own, and nothing was run")
    return name
