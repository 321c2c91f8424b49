"""Trained models on any runtime: the seam between those who score pictures and PyTorch, ONNX Runtime, OpenVINO."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

from mekiki.errors import BackendError, UnreadableError
from mekiki.models.base import Classifier
from mekiki.models.classify_head import has_heads, open_on_pictures
from mekiki.models.opening import Opening, load_card, load_model
from mekiki.registry import Registry
from mekiki.training.card import ModelCard

CLASSIFIERS: Registry[Classifier] = Registry(
    "runtime",
    {
        "onnx": "mekiki.models.classify_onnx:OnnxClassifier",
        "openvino": "mekiki.models.classify_openvino:OpenVinoClassifier",
        "torch": "mekiki.models.classify_torch:TorchClassifier",
    },
)
"""Each is made with a card, weights (a graph's file, or tensors), a device and a precision."""


def open_classifier(opening: Opening) -> Classifier:
    """Return a model ready to score pictures.

    A checkpoint is exported to a graph first where the runtime runs graphs; the graph is gone when this returns.

    Raises:
        UsageError: If a foreign checkpoint lacks a fact, code would be run that is not allowed, or the runtime has no
            such device or precision.
        BackendError: If the file is no model, its weights are not those of its network, a package is missing, or the
            runtime cannot run it.
    """
    from mekiki.training.onnx_export import export_onnx

    known = opening.resolved()
    try:
        if known.is_onnx:
            return _make(known, load_card(known), known.path)
        if known.runtime == "torch":
            return _open_torch(known)
        with TemporaryDirectory(prefix="mekiki-") as folder:
            card, tensors = load_model(known)
            if has_heads(card):
                return open_on_pictures(card, tensors, known)
            graph = export_onnx(card, tensors, Path(folder) / "model.onnx", allow_code=known.allow_code)
            return _make(known, card, graph)
    except UnreadableError as error:
        raise BackendError(f"no model can be read from {error}") from error


def _make(opening: Opening, card: ModelCard, graph: Path) -> Classifier:
    return CLASSIFIERS.create(
        opening.runtime, card=card, graph=graph, device=opening.device, precision=opening.precision
    )


def _open_torch(opening: Opening) -> Classifier:
    from mekiki.models.classify_ensemble import EnsembleClassifier
    from mekiki.training.members import split_members

    card, tensors = load_model(opening)
    if has_heads(card):
        return open_on_pictures(card, tensors, opening)
    networks = [
        CLASSIFIERS.create(
            "torch",
            card=one,
            tensors=own,
            device=opening.device,
            precision=opening.precision,
            allow_code=opening.allow_code,
        )
        for one, own in split_members(card, tensors)
    ]
    return networks[0] if card.kind == "network" else EnsembleClassifier(card, networks)
