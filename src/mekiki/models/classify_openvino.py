"""Trained models on OpenVINO: the runtime that computes in bf16 on CPUs that have it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mekiki.errors import BackendError, UsageError
from mekiki.models.classify_graph import GraphClassifier, n_usable_cores
from mekiki.training.card import ModelCard
from mekiki.training.runtimes import import_openvino

PRECISIONS = {"fp32": "f32", "bf16": "bf16"}
"""Ours to OpenVINO's names."""


class OpenVinoClassifier(GraphClassifier):
    """A model of ours on OpenVINO; see `mekiki.models.base.Classifier`.

    Args:
        card: Of the model.
        graph: Its ONNX file.
        device: ``auto`` or ``cpu``.
        precision: Of the arithmetic, ``fp32`` or ``bf16``; always stated, since OpenVINO on its own takes bf16 on a
            CPU that has it.

    Raises:
        MissingExtraError: If OpenVINO is not installed.
        UsageError: If there is no such device or precision.
        BackendError: If the graph cannot be run or is not the card's.
    """

    def __init__(self, card: ModelCard, graph: Path, device: str = "auto", precision: str = "fp32") -> None:
        super().__init__(card)
        self.device = f"{openvino_device(device)} (openvino)"
        if precision not in PRECISIONS:
            raise UsageError(f"runtime openvino computes in {' or '.join(PRECISIONS)}, not in {precision}")
        settings = {
            "INFERENCE_PRECISION_HINT": PRECISIONS[precision],
            "PERFORMANCE_HINT": "LATENCY",
            "PERFORMANCE_HINT_NUM_REQUESTS": 1,
            "INFERENCE_NUM_THREADS": n_usable_cores(),
        }
        core = import_openvino().Core()
        try:
            model = core.compile_model(core.read_model(str(graph)), "CPU", settings)
        except RuntimeError as error:
            last = [line for line in str(error).splitlines() if line.strip()][-1]
            raise BackendError(f"OpenVINO cannot run model {card.name!r}: {last}") from error
        self._check_inputs(len(model.inputs), len(model.outputs))
        self._request = model.create_infer_request()

    def _run(self, inputs: list[NDArray[np.float32]]) -> NDArray[np.float32]:
        self._request.infer(inputs, share_inputs=True)
        scores: NDArray[np.float32] = self._request.get_output_tensor(0).data.copy()
        return scores


def openvino_device(name: str) -> str:
    """Return the device that a name stands for.

    Raises:
        UsageError: If it is none that OpenVINO is used on here.
    """
    if name not in ("auto", "cpu"):
        raise UsageError(f"runtime openvino has no device {name!r}. Known: auto, cpu.")
    return "cpu"
