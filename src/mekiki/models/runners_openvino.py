"""Networks that make vectors, on OpenVINO: in fp32, in bf16 on CPUs that have it, and as 8-bit graphs."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mekiki.errors import BackendError
from mekiki.models.classify_graph import n_usable_cores
from mekiki.models.runners import Pictures, check_vectors, preprocessing_of
from mekiki.training.runtimes import import_openvino

if TYPE_CHECKING:
    from mekiki.models.embed_source import Tower

HINTS = {"fp32": "f32", "bf16": "bf16", "int8": "f32"}
"""Ours to what OpenVINO calls the arithmetic of all that a graph does not have in 8 bits."""


class OpenVinoRunner:
    """See `mekiki.models.runners.Runner`.

    Args:
        tower: Of which the network is a PyTorch module or an ``.onnx`` file.
        device: ``cpu``.
        precision: ``fp32``, ``bf16``, or ``int8`` with a graph; always stated, since OpenVINO on its own takes bf16 on
            a CPU that has it.
        graph: An ``.xml`` of OpenVINO's that takes pixels; then the tower's network is not loaded.

    Raises:
        MissingExtraError: If OpenVINO is not installed.
        BackendError: If the network cannot be run, or ``int8`` has no graph.
    """

    def __init__(self, tower: Tower, device: str, precision: str, graph: Path | None = None) -> None:
        if precision == "int8" and graph is None:
            raise BackendError(f"{tower.space.embedder} has no graph in int8 yet: mekiki embed makes one")
        self.precision = precision
        self.device = f"{device} (openvino {precision})"
        self._space = tower.space
        settings = {
            "INFERENCE_PRECISION_HINT": HINTS[precision],
            "PERFORMANCE_HINT": "LATENCY",
            "PERFORMANCE_HINT_NUM_REQUESTS": 1,
            "INFERENCE_NUM_THREADS": n_usable_cores(),
        }
        core = import_openvino().Core()
        try:
            model = core.compile_model(graph_of(tower) if graph is None else core.read_model(graph), "CPU", settings)
        except RuntimeError as error:
            raise _refusal(tower, error) from error
        self._request = model.create_infer_request()

    def run(self, pictures: Pictures) -> NDArray[np.float32]:
        """Return ``(N, D)``."""
        self._request.infer([np.ascontiguousarray(pictures)], share_inputs=True)
        return check_vectors(self._request.get_output_tensor(0).data.copy(), self._space, len(pictures))


def graph_of(tower: Tower) -> Any:
    """Return a tower's network as an OpenVINO model that takes ``(N, H, W, 3)`` uint8, for any N.

    Raises:
        MissingExtraError: If OpenVINO is not installed.
        BackendError: If the network cannot be turned into one, or has not one input and one output.
    """
    openvino = import_openvino()
    network, how = tower.network(), preprocessing_of(tower)
    try:
        if isinstance(network, Path):
            model = openvino.Core().read_model(network)
        else:
            model = _converted(openvino, network, how.crop_hw)
        if (len(model.inputs), len(model.outputs)) != (1, 1):
            raise BackendError(
                f"{tower.space.embedder} has {len(model.inputs)} inputs and {len(model.outputs)} outputs: one of each"
            )
        model.reshape([-1, 3, *how.crop_hw])
        wrapped = openvino.preprocess.PrePostProcessor(model)
        tensor = wrapped.input().tensor()
        tensor.set_element_type(openvino.Type.u8).set_layout(openvino.Layout("NHWC")).set_shape([-1, *how.crop_hw, 3])
        mean, std = ([255 * float(one) for one in values] for values in (how.mean, how.std))
        wrapped.input().preprocess().convert_element_type(openvino.Type.f32).mean(mean).scale(std)
        wrapped.input().model().set_layout(openvino.Layout("NCHW"))
        return wrapped.build()
    except RuntimeError as error:
        raise _refusal(tower, error) from error


def _converted(openvino: Any, network: Any, crop_hw: tuple[int, int]) -> Any:
    from mekiki.training.packages import import_torch

    torch = import_torch()
    example = torch.zeros(2, 3, *crop_hw)
    with warnings.catch_warnings(), torch.inference_mode():
        warnings.simplefilter("ignore")  # that shapes are taken for constants
        traced = torch.jit.trace(network, example, check_trace=False, strict=False)  # OpenVINO's own way runs it thrice
        return openvino.convert_model(traced, example_input=example, input=[-1, 3, *crop_hw])


def _refusal(tower: Tower, error: RuntimeError) -> BackendError:
    last = [line for line in str(error).splitlines() if line.strip()][-1]
    return BackendError(f"OpenVINO cannot run {tower.space.embedder}: {last}. Type: --runtime torch")
