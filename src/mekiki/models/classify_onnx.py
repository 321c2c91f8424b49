"""Trained models on ONNX Runtime."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mekiki.errors import BackendError, UsageError
from mekiki.models.classify_graph import GraphClassifier, n_usable_cores
from mekiki.training.card import ModelCard
from mekiki.training.runtimes import import_onnxruntime

ERRORS_ONLY = 3
"""ONNX Runtime's level of messages at which it keeps its warnings to itself."""

_REFUSALS = ("Fail", "InvalidArgument", "InvalidGraph", "InvalidProtobuf", "NotImplemented", "RuntimeException")


class OnnxClassifier(GraphClassifier):
    """A model of ours on ONNX Runtime; see `mekiki.models.base.Classifier`.

    Args:
        card: Of the model.
        graph: Its ONNX file.
        device: ``auto`` and ``cpu`` compute on all cores that may be used, ``cuda`` and ``cuda:N`` on a GPU.
        precision: Only ``fp32``: a graph computes in the precision in which it was exported.

    Raises:
        MissingExtraError: If ONNX Runtime is not installed.
        UsageError: If it has no such device or precision.
        BackendError: If the GPU cannot be used, or the graph cannot be run or is not the card's.
    """

    def __init__(self, card: ModelCard, graph: Path, device: str = "auto", precision: str = "fp32") -> None:
        super().__init__(card)
        if precision != "fp32":
            raise UsageError(f"runtime onnx computes in fp32, not in {precision}. Type: --precision fp32")
        self._session, self.device = open_session(str(graph), device, f"model {card.name!r}")
        self._inputs = [one.name for one in self._session.get_inputs()]
        self._check_inputs(len(self._inputs), len(self._session.get_outputs()))

    def _run(self, inputs: list[NDArray[np.float32]]) -> NDArray[np.float32]:
        scores: NDArray[np.float32] = self._session.run(None, dict(zip(self._inputs, inputs, strict=True)))[0]
        return scores


def open_session(graph: str | bytes, device: str, name: str, n_threads: int | None = None) -> tuple[Any, str]:
    """Return an inference session on all cores that may be used, or on a GPU, and the device in words.

    Args:
        graph: The path of a file, or its content.
        device: As `onnx_device` takes it.
        name: What errors call it.
        n_threads: On how many cores one picture is computed; None for all.

    Raises:
        MissingExtraError: If ONNX Runtime is not installed.
        UsageError: If it has no such device.
        BackendError: If the GPU cannot be used, or the graph cannot be run.
    """
    runtime = import_onnxruntime()
    options = runtime.SessionOptions()
    options.intra_op_num_threads = n_threads or n_usable_cores()
    options.log_severity_level = ERRORS_ONLY
    provider, settings, in_words = _provider(device)
    try:
        session = runtime.InferenceSession(graph, options, [provider], [settings])
    except session_errors() as error:
        raise BackendError(f"ONNX Runtime cannot run {name}: {str(error).splitlines()[0]}") from error
    if provider not in session.get_providers():
        raise BackendError(f"ONNX Runtime cannot use the GPU {device}: mend its driver, or type --device cpu")
    return session, in_words


def session_errors() -> tuple[type[Exception], ...]:
    """Return what ONNX Runtime raises where a graph cannot be opened or run."""
    state = import_onnxruntime().capi.onnxruntime_pybind11_state
    return tuple(getattr(state, one) for one in _REFUSALS)


def onnx_device(name: str) -> str:
    """Return the device that a name stands for: ``cpu``, or ``cuda:N``.

    Raises:
        UsageError: If ONNX Runtime has no device of such a name.
        BackendError: If it is a GPU, and the installed ONNX Runtime is one for CPUs.
    """
    kind, _, number = name.partition(":")
    if name in ("auto", "cpu"):
        return "cpu"
    if kind != "cuda" or (number and not number.isdecimal()):
        raise UsageError(f"runtime onnx has no device {name!r}. Known: auto, cpu, cuda, cuda:N.")
    if "CUDAExecutionProvider" not in import_onnxruntime().get_available_providers():
        raise BackendError("the installed onnxruntime has no CUDA: pip install onnxruntime-gpu, or type --device cpu")
    return f"cuda:{int(number or 0)}"


def _provider(name: str) -> tuple[str, dict[str, str], str]:
    """Return ONNX Runtime's name of where to compute, its settings, and ours in words."""
    device = onnx_device(name)
    if device == "cpu":
        return "CPUExecutionProvider", {}, "cpu (onnxruntime)"
    # TensorFloat-32 keeps 10 bits of a number: scores would differ by more than 1e-4.
    settings = {"device_id": device.partition(":")[2], "use_tf32": "0"}
    return "CUDAExecutionProvider", settings, f"{device} (onnxruntime)"
