"""Networks that make vectors, on ONNX Runtime."""

from __future__ import annotations

import io
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mekiki.errors import BackendError
from mekiki.media.preprocessing import Preprocessing
from mekiki.models.classify_onnx import open_session
from mekiki.models.runners import OPSET, Pictures, check_vectors, preprocessing_of, scale_and_shift, with_pixels
from mekiki.training.packages import import_torch

if TYPE_CHECKING:
    from mekiki.models.embed_source import Tower


class OnnxRunner:
    """See `mekiki.models.runners.Runner`.

    The input of a graph of the user's is normalised float32; before it, NumPy normalises.

    Args:
        tower: Of which the network is an ``.onnx`` file, or a PyTorch module, which is turned into a graph.
        device: ``cpu`` or ``cuda:N``.
        precision: ``fp32``.
        graph: None; a graph in less precision is OpenVINO's.

    Raises:
        MissingExtraError: If ONNX Runtime is not installed.
        BackendError: If it cannot run the network, or the graph has not one input and one output.
    """

    def __init__(self, tower: Tower, device: str, precision: str, graph: Path | None = None) -> None:
        network, how = tower.network(), preprocessing_of(tower)
        if graph is not None:
            raise BackendError(f"{graph} is a graph of OpenVINO's: --runtime openvino runs it")
        self.precision = precision
        self._space = tower.space
        self._scale, self._shift = (one[:, None, None] for one in scale_and_shift(how))
        self._takes_pixels = not isinstance(network, Path)
        content = str(network) if isinstance(network, Path) else trace(with_pixels(network, how), how)
        self._session, self.device = open_session(content, device, tower.space.embedder)
        names = [[one.name for one in ends] for ends in (self._session.get_inputs(), self._session.get_outputs())]
        if [len(one) for one in names] != [1, 1]:
            raise BackendError(f"{tower.space.embedder} has inputs {names[0]} and outputs {names[1]}: one of each")
        self._input = names[0][0]

    def run(self, pictures: Pictures) -> NDArray[np.float32]:
        """Return ``(N, D)``."""
        inputs: Any = pictures
        if not self._takes_pixels:
            inputs = np.ascontiguousarray(pictures.transpose(0, 3, 1, 2).astype(np.float32) * self._scale - self._shift)
        return check_vectors(self._session.run(None, {self._input: inputs})[0], self._space, len(pictures))


def trace(network: Any, how: Preprocessing) -> bytes:
    """Return a PyTorch module that takes ``(N, H, W, 3)`` uint8 as the content of an ONNX file, for any N.

    By PyTorch's older exporter, which records one run: the newer one needs onnxscript, which no extra of ours brings.

    Raises:
        BackendError: If something in the module has no counterpart in ONNX.
    """
    torch = import_torch()
    buffer = io.BytesIO()
    has_fast_attention = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)  # one operation for all of it, of which ONNX knows nothing
    try:
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")  # that it is the older one, and that shapes are taken for constants
            torch.onnx.export(
                *(network, (torch.zeros((2, *how.crop_hw, 3), dtype=torch.uint8),), buffer),
                input_names=["pixels"],
                output_names=["vectors"],
                dynamic_axes={"pixels": {0: "n"}, "vectors": {0: "n"}},
                opset_version=OPSET,
                dynamo=False,
            )
    except (RuntimeError, torch.onnx.errors.OnnxExporterError) as error:
        reason = str(error).strip().splitlines()[0]
        raise BackendError(
            f"the network cannot be turned into an ONNX graph: {reason}. Type: --runtime torch"
        ) from error
    finally:
        torch.backends.mha.set_fastpath_enabled(has_fast_attention)
    return buffer.getvalue()
