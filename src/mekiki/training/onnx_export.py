"""Models as ONNX graphs: pixels in, raw scores out, the card in ``metadata_props``."""

from __future__ import annotations

import io
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mekiki.errors import BackendError, UsageError
from mekiki.training.card import CARD_KEY, ModelCard
from mekiki.training.checkpoint import load_network
from mekiki.training.members import distinct_preprocessings, split_members
from mekiki.training.packages import import_torch
from mekiki.training.runtimes import import_onnx, import_onnxruntime
from mekiki.wholefiles import write_whole

if TYPE_CHECKING:
    from torch import Tensor

OPSET = 17
"""Of ONNX 1.12 (2022): old enough for every runtime in use, new enough for layer normalisation."""

INPUT, OUTPUT = "pictures", "scores"
N_CHECKED = 3
TOLERANCE = 1e-4
"""How far the graph's scores may be from PyTorch's."""

MAX_BYTES = 2**31 - 2**20
"""Protobuf, which ONNX files are made of, holds no more."""


def export_onnx(card: ModelCard, tensors: Mapping[str, Tensor], path: Path, *, allow_code: bool = False) -> Path:
    """Write a model as an ONNX file, and check that ONNX Runtime gets the same scores from it.

    The graph has one input ``(N, 3, H, W)`` float32, ``pictures``, for any N; an ensemble whose members prepare
    pictures differently has one for each way, ``pictures_0``, ``pictures_1``, … in the order of
    `mekiki.training.members.distinct_preprocessings`. Its output ``scores`` is ``(N, C)`` float32: raw scores in
    [0, 1], behind sigmoid or softmax, of an ensemble the weighted mean of its members' calibrated ones. The model's own
    calibration and thresholds are in the card.

    Args:
        card: Of a network or an ensemble.
        tensors: Of its file.
        path: Where to write; replaced if it exists, as a whole.
        allow_code: Whether code of the user's may be run.

    Raises:
        MissingExtraError: If onnx or onnxruntime is not installed.
        UsageError: If the model looks at vectors, is too large for one ONNX file, its backbone is unknown, or code is
            not allowed.
        UnreadableError: If the weights are not those of the card.
        BackendError: If PyTorch cannot turn the network into a graph, or the graph's scores are others.
    """
    if any(one.is_head for one in (card, *card.members)):
        raise UsageError(
            f"model {card.name!r} looks at vectors, not at pixels, and ONNX files of ours take pixels: use its "
            ".safetensors file"
        )
    torch, onnx, onnxruntime = import_torch(), import_onnx(), import_onnxruntime()
    n_bytes = sum(one.numel() * one.element_size() for one in tensors.values())
    if n_bytes > MAX_BYTES:
        raise UsageError(f"model {card.name!r} has {n_bytes:,} bytes of weights; an ONNX file holds {MAX_BYTES:,}")
    from mekiki.training.onnx_graph import ScoringGraph

    distinct, wanted = distinct_preprocessings(card)
    networks = [load_network(*one, allow_code=allow_code) for one in split_members(card, tensors)]
    graph = ScoringGraph(card, networks, wanted).eval()
    names = [INPUT] if len(distinct) == 1 else [f"{INPUT}_{n}" for n in range(len(distinct))]
    chance = np.random.default_rng(0)
    pictures = [chance.standard_normal((N_CHECKED, 3, *one.crop_hw), np.float32) for one in distinct]
    content = _trace(graph, pictures, names, card)
    exported = onnx.load_from_string(content)
    exported.metadata_props.add(key=CARD_KEY, value=card.to_json())
    content = exported.SerializeToString(deterministic=True)
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    found = session.run([OUTPUT], dict(zip(names, pictures, strict=True)))[0]
    with torch.inference_mode():
        scores = graph(*map(torch.from_numpy, pictures)).numpy()
    distance = float(np.abs(found - scores).max())
    if not distance <= TOLERANCE:
        raise BackendError(
            f"the ONNX graph of {card.name!r} gives scores that are up to {distance:.2g} from PyTorch's, more than "
            f"{TOLERANCE:g}: something in its network does not survive the export. Use --runtime torch"
        )
    return write_whole(path, content)


def _trace(graph: Any, pictures: list[Any], names: list[str], card: ModelCard) -> bytes:
    """Return the graph's ONNX bytes.

    By PyTorch's older exporter, which records one run: the newer one needs onnxscript, which no extra of ours brings.
    """
    torch = import_torch()
    buffer = io.BytesIO()
    axes = {name: {0: "n"} for name in (*names, OUTPUT)}
    arguments = tuple(torch.from_numpy(one[: N_CHECKED - 1]) for one in pictures)
    try:
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")  # that it is the older one, and that shapes are taken for constants
            torch.onnx.export(
                *(graph, arguments, buffer),
                input_names=names,
                output_names=[OUTPUT],
                dynamic_axes=axes,
                opset_version=OPSET,
                dynamo=False,
            )
    except (RuntimeError, torch.onnx.errors.OnnxExporterError) as error:
        reason = str(error).strip().splitlines()[0]
        raise BackendError(f"model {card.name!r} cannot be turned into an ONNX graph: {reason}") from error
    return buffer.getvalue()
