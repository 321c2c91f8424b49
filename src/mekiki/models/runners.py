"""Networks that make vectors, on any runtime: the seam between embedders and PyTorch, ONNX Runtime, OpenVINO.

N is the number of pictures, H and W their size in pixels, D the number of dimensions of a vector. Runners take the
pixels as they are, ``(N, H, W, 3)`` uint8, and subtract and divide as `mekiki.media.preprocessing.normalise` does
inside the graph, so that a quarter of the memory travels and no thread of Python's does it.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from mekiki.errors import BackendError, UsageError
from mekiki.media.preprocessing import Preprocessing
from mekiki.models.classify_onnx import onnx_device
from mekiki.models.classify_openvino import openvino_device
from mekiki.models.embed_opening import Precision, RuntimeName
from mekiki.registry import Registry
from mekiki.training.packages import import_torch
from mekiki.training.runtimes import import_openvino
from mekiki.training.vector_space import VectorSpace

if TYPE_CHECKING:
    from torch import nn

    from mekiki.models.embed_source import Tower

Pictures = NDArray[np.uint8]
"""``(N, H, W, 3)`` RGB, resized and cropped."""

OPSET = 17


class Runner(Protocol):
    """A network on a runtime."""

    device: str
    """In words: ``cpu (openvino int8)``."""

    precision: str
    """Of its arithmetic: ``fp32``, ``bf16`` or ``int8``."""

    def run(self, pictures: Pictures) -> NDArray[np.float32]:
        """Return ``(N, D)`` for one picture or more; how they are batched changes nothing beyond rounding."""
        ...


RUNNERS: Registry[Runner] = Registry(
    "runtime",
    {
        "onnx": "mekiki.models.runners_onnx:OnnxRunner",
        "openvino": "mekiki.models.runners_openvino:OpenVinoRunner",
        "torch": "mekiki.models.runners_torch:TorchRunner",
    },
)


def open_runner(tower: Tower, runtime: str, device: str, precision: str, graph: Path | None = None) -> Runner:
    """Return a network ready to run.

    Args:
        tower: The network and how pictures become its input.
        runtime: ``torch``, ``onnx`` or ``openvino``.
        device: As `place` gives it.
        precision: One of `precisions`.
        graph: A graph in that precision that OpenVINO runs in place of the tower's network; ``int8`` needs one.

    Raises:
        UsageError: If these do not go together.
        BackendError: If a package is missing or the runtime cannot run the network.
    """
    check_precision(runtime, device, precision)
    return RUNNERS.create(runtime, tower=tower, device=device, precision=precision, graph=graph)


def place(runtime: RuntimeName, device: str, *, is_graph: bool) -> tuple[RuntimeName, str]:
    """Return the runtime and the device that these names stand for.

    Args:
        runtime: ``auto`` is PyTorch where there is a GPU, else OpenVINO, else PyTorch or, for a graph, ONNX Runtime.
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:N`` or ``mps``.
        is_graph: Whether the network is an ONNX graph, which PyTorch does not run.

    Raises:
        UsageError: If the runtime has no such device, or cannot run a graph.
        BackendError: If this machine has no such device, or the package is not installed.
    """
    if runtime == "torch" and is_graph:
        raise UsageError("an ONNX graph is not run by torch. Type: --runtime openvino, or --runtime onnx")
    if runtime == "auto":
        runtime, device = _best_place(device, is_graph)
    if runtime == "onnx":
        return runtime, onnx_device(device)
    if runtime == "openvino":
        return runtime, openvino_device(device)
    from mekiki.models.classify_torch import torch_device

    return runtime, torch_device(device)


def _best_place(device: str, is_graph: bool) -> tuple[RuntimeName, str]:
    otherwise: RuntimeName = "onnx" if is_graph else "torch"
    if device not in ("auto", "cpu"):
        return otherwise, device
    if device == "auto" and not is_graph and find_spec("torch"):
        from mekiki.models.classify_torch import torch_device

        found = torch_device("auto")
        if found != "cpu":
            return "torch", found
    return ("openvino", "cpu") if find_spec("openvino") else (otherwise, device)


def precisions(runtime: str, device: str) -> tuple[Precision, ...]:
    """Return in what a runtime computes on a device, the fastest first; ``fp32`` is always the last."""
    if runtime == "openvino":
        return ("int8", "bf16", "fp32") if has_bf16() else ("int8", "fp32")
    return ("bf16", "fp32") if runtime == "torch" and device.startswith("cuda") else ("fp32",)


def check_precision(runtime: str, device: str, precision: str) -> None:
    """Raise `UsageError` if a runtime does not compute in this precision on this device."""
    known = precisions(runtime, device)
    if precision not in known:
        other = "" if runtime == "openvino" or device != "cpu" else ", or --runtime openvino"
        raise UsageError(
            f"runtime {runtime} on this machine's {device} computes in {' or '.join(known)}, not in {precision}. "
            f"Type: --precision fp32{other}"
        )


def has_bf16() -> bool:
    """Return whether OpenVINO computes in bf16 on this processor and does not only make believe."""
    return "BF16" in import_openvino().Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


def scale_and_shift(how: Preprocessing) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return two ``(3,)`` so that ``pixel * scale - shift`` is what `normalise` computes."""
    std = np.asarray(how.std, np.float32)
    return np.float32(1) / (np.float32(255) * std), np.asarray(how.mean, np.float32) / std


def check_vectors(vectors: Any, space: VectorSpace, n_pictures: int) -> NDArray[np.float32]:
    """Return what a network gave as ``(N, D)`` float32.

    Raises:
        BackendError: If it has another shape.
    """
    found = np.asarray(vectors, np.float32)
    if found.shape != (n_pictures, space.n_dims):
        raise BackendError(
            f"{space.embedder} gives {found.shape} for {n_pictures} pictures; an embedder gives one vector of "
            f"{space.n_dims} numbers each"
        )
    return found


def preprocessing_of(tower: Tower) -> Preprocessing:
    """Return how pictures become a tower's input; every tower has one.

    Raises:
        BackendError: If its space has none.
    """
    if tower.space.preprocessing is None:
        raise BackendError(f"{tower.space.embedder} does not say how pictures become its input")
    return tower.space.preprocessing


def with_pixels(network: nn.Module, how: Preprocessing) -> nn.Module:
    """Return a network that takes ``(N, H, W, 3)`` uint8 in place of ``(N, 3, H, W)`` normalised float32."""
    import_torch()
    from mekiki.models.runners_torch import PixelNetwork

    return PixelNetwork(network, how).eval()
