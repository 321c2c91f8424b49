"""8-bit graphs of networks, by NNCF's post-training quantisation; `mekiki.models.precision` checks them."""

from __future__ import annotations

import hashlib
import io
import logging
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mekiki.models.runners import Pictures
from mekiki.models.runners_openvino import graph_of
from mekiki.training.runtimes import import_nncf, import_openvino

if TYPE_CHECKING:
    from mekiki.models.embed_source import Tower


SMOOTHING = 0.5
"""How much of the outliers among activations goes over to the weights: alpha of SmoothQuant (Xiao et al. 2023, equation
4), as the paper has it. NNCF's own 0.95 was worse on random and on planted-outlier ViT-B/32 alike."""

ATTENTION = {"ScaledDotProductAttention", "Softmax"}
"""Operations of OpenVINO's that make a network a transformer."""


def write_int8(tower: Tower, pixels: Pictures, path: Path) -> str:
    """Write the graph of a network in 8 bits, ranges of its values taken from pictures, and return the graph's id.

    Args:
        tower: The network.
        pixels: ``(N, H, W, 3)`` uint8 to calibrate on.
        path: The ``.xml`` to write; its weights come beside it.

    Returns:
        16 hex digits of SHA-256 of its weights and ranges; the names in the ``.xml`` differ from time to time.

    Raises:
        MissingExtraError: If OpenVINO or NNCF is not installed.
        BackendError: If the network cannot be turned into a graph.
    """
    openvino, nncf = import_openvino(), import_nncf()
    exact = graph_of(tower)
    is_transformer = any(one.get_type_name() in ATTENTION for one in exact.get_ops())
    with _quiet():
        graph = nncf.quantize(
            exact,
            nncf.Dataset(range(len(pixels)), lambda place: pixels[place : place + 1]),
            subset_size=len(pixels),
            preset=nncf.QuantizationPreset.MIXED,
            model_type=nncf.ModelType.TRANSFORMER if is_transformer else None,
            advanced_parameters=_how(nncf, is_transformer),
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    openvino.save_model(graph, path, compress_to_fp16=False)
    return graph_ids(path)[0]


def graph_ids(path: Path) -> tuple[str, str]:
    """Return 16 hex digits of SHA-256 of a graph's weights and ranges, and of its ``.xml``; empty where one is gone."""
    files = (path.with_suffix(".bin"), path)
    contents = [one.read_bytes() if one.exists() else None for one in files]
    weights, text = ("" if one is None else hashlib.sha256(one).hexdigest()[:16] for one in contents)
    return weights, text


def _how(nncf: Any, is_transformer: bool) -> Any:
    """Return NNCF's options: correcting biases takes longest, and changed no cosine of a transformer's by 1e-5."""
    parameters = nncf.AdvancedQuantizationParameters
    if not is_transformer:
        return parameters()
    return parameters(
        disable_bias_correction=True, smooth_quant_alphas=nncf.AdvancedSmoothQuantParameters(matmul=SMOOTHING)
    )


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep NNCF's progress bars and remarks from the user's screen, and out of what ``--json`` prints."""
    logger = logging.getLogger("nncf")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with redirect_stdout(io.StringIO()):
            yield
    finally:
        logger.setLevel(before)
