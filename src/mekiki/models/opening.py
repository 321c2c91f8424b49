"""Which model, on which runtime and device, in which precision; and what its file says of it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import ValidationError

from mekiki.dataset.ids import MODEL_ID_LENGTH
from mekiki.errors import BackendError, DataError, UnreadableError, UsageError
from mekiki.media.preprocessing import Preprocessing
from mekiki.models.classify_graph import read_onnx_card
from mekiki.models.classify_onnx import onnx_device
from mekiki.models.classify_openvino import openvino_device
from mekiki.training.card import ModelCard, read_card
from mekiki.training.vector_space import VectorSpace

if TYPE_CHECKING:
    from torch import Tensor

RuntimeName = Literal["auto", "torch", "onnx", "openvino"]
Precision = Literal["fp32", "bf16"]
ResizeMode = Literal["squash", "short-side", "none"]

OWN, ONNX = ".safetensors", ".onnx"


@dataclass(frozen=True, slots=True)
class ForeignFacts:
    """What a checkpoint that is none of ours does not say of itself; None where it does, or for the default.

    Attributes:
        arch: Its backbone, as `mekiki.training.backbones.BackboneSpec` takes it.
        class_names: In the order of its outputs.
        activation: What turns its outputs into scores.
        image_size: Side in pixels of what the network sees.
        resize_px: Side to which a picture is resized before the middle is cut out of it.
        resize: As `mekiki.media.preprocessing.Preprocessing` has it.
        mean: Per channel.
        std: Per channel.
    """

    arch: str | None = None
    class_names: tuple[str, ...] | None = None
    activation: Literal["sigmoid", "softmax"] | None = None
    image_size: int | None = None
    resize_px: int | None = None
    resize: ResizeMode | None = None
    mean: tuple[float, float, float] | None = None
    std: tuple[float, float, float] | None = None

    def given(self) -> list[str]:
        """Return the names of those that are given."""
        return [one.name for one in fields(self) if getattr(self, one.name) is not None]

    def of_pixels(self) -> list[str]:
        """Return the names of those that are given and say how pictures are prepared."""
        return [name for name in self.given() if name not in ("arch", "class_names", "activation")]


@dataclass(frozen=True, slots=True)
class EmbedderFacts:
    """What makes vectors of pictures for a head, as far as the user says it.

    Attributes:
        name: As ``embed --embedder`` takes it; empty for the one that the head names.
        weights: Its file of weights, where it has one.
        runtime: That it runs on.
    """

    name: str = ""
    weights: Path | None = None
    runtime: RuntimeName = "auto"


@dataclass(frozen=True, slots=True)
class Opening:
    """How a model is opened.

    Attributes:
        path: A ``.safetensors`` or ``.onnx`` of ours, or any other checkpoint that ``foreign`` describes.
        runtime: ``auto`` runs an ``.onnx`` on ONNX Runtime and everything else on PyTorch.
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:N`` or ``mps``.
        precision: Of the arithmetic.
        allow_code: Whether a backbone that is a program of the user's may be run.
        foreign: Only for a checkpoint that is none of ours.
        embedder: Only for a head that is to look at pictures.
        projection: Of a head of somebody else's: what vectors go through first. Of ours: it must be its own.
    """

    path: Path
    runtime: RuntimeName = "auto"
    device: str = "auto"
    precision: Precision = "fp32"
    allow_code: bool = False
    foreign: ForeignFacts = ForeignFacts()
    embedder: EmbedderFacts = EmbedderFacts()
    projection: Path | None = None

    @property
    def is_onnx(self) -> bool:
        """Whether the file is an ONNX graph."""
        return self.path.suffix.lower() == ONNX

    def resolved(self) -> Opening:
        """Return the same with a real runtime and device.

        Raises:
            UsageError: If the runtime cannot run such a file, or has no such device.
            BackendError: If this machine has no such device, or a package is missing.
        """
        runtime = ("onnx" if self.is_onnx else "torch") if self.runtime == "auto" else self.runtime
        if self.is_onnx and runtime == "torch":
            raise UsageError(f"{self.path} is an ONNX graph, which torch does not run. Type: --runtime onnx")
        if runtime == "onnx":
            return replace(self, runtime="onnx", device=onnx_device(self.device))
        if runtime == "openvino":
            return replace(self, runtime="openvino", device=openvino_device(self.device))
        from mekiki.models.classify_torch import torch_device

        return replace(self, runtime="torch", device=torch_device(self.device))


def scores_identity(card: ModelCard, opening: Opening) -> str:
    """Return what scores depend on, for a run's fingerprint: weights and preprocessing, runtime, precision.

    For a graph that is all of its file: its card stays as it is when somebody quantises or prunes it.
    """
    scores_id = id_of_file(opening.path) if opening.is_onnx else card.scores_id
    return f"{scores_id} {opening.resolved().runtime} {opening.precision}"


def id_of_file(path: Path) -> str:
    """Return a model's id: the first 16 hex digits of its file's SHA-256."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:MODEL_ID_LENGTH]


def load_card(opening: Opening) -> ModelCard:
    """Return what a model's file says of it; its ``scores_id`` is filled in.

    Raises:
        UsageError: If a foreign checkpoint lacks a fact, or a file of ours is given one.
        BackendError: If the file cannot be read, is no model, or was changed after we wrote it.
    """
    card = None
    try:
        if opening.is_onnx:
            card = read_onnx_card(opening.path)
        elif opening.path.suffix.lower() == OWN:
            card = read_card(opening.path)
    except UnreadableError as error:
        if opening.is_onnx:
            raise BackendError(f"no model can be read from {error}") from error
    if card is None:  # anybody's checkpoint, whose tensors belong to what identifies its scores
        return load_model(opening)[0]
    pixels = opening.foreign.of_pixels() if card.is_head else []  # a head's are its embedder's
    facts = [name for name in opening.foreign.given() if name not in pixels]
    if facts:
        flags = ", ".join("--" + name.replace("class_names", "classes").replace("_", "-") for name in facts)
        raise UsageError(f"{opening.path} is a model of mekiki's and says itself what it is. Leave out {flags}")
    _check_projection(card, opening)
    if card.kind == "ensemble" and not opening.is_onnx:
        load_model(opening)  # checks it: its scores may be made of stored ones, without a look at its weights
    return card


def load_model(opening: Opening) -> tuple[ModelCard, Mapping[str, Tensor]]:
    """Return the card and the tensors of a checkpoint, ours or not.

    Raises:
        UsageError: If a foreign checkpoint lacks a fact, or a file of ours is given one.
        BackendError: If the file cannot be read, is no model, or was changed after we wrote it.
    """
    from mekiki.training.checkpoint import scores_id_of
    from mekiki.training.foreign import read_foreign

    facts = opening.foreign
    try:
        card, tensors = read_foreign(opening.path, facts.arch, facts.class_names, activation=facts.activation)
    except UnreadableError as error:
        raise BackendError(f"no model can be read from {error}") from error
    if card.scores_id:  # one of ours, which takes no facts
        _check_projection(card, opening)
        return card, tensors
    if card.vectors is not None:
        return _foreign_head(card, tensors, opening)
    _check_projection(card, opening)
    known = card.model_copy(update={"preprocessing": _adapted(card.arch, card.own_preprocessing, facts)})
    return known.model_copy(update={"scores_id": scores_id_of(known, tensors)}), tensors


def _foreign_head(
    card: ModelCard, tensors: Mapping[str, Tensor], opening: Opening
) -> tuple[ModelCard, Mapping[str, Tensor]]:
    """Return a head of somebody else's with the projection that is given, and its ``scores_id`` filled in."""
    from mekiki.training.checkpoint import scores_id_of
    from mekiki.training.projections import read_projection

    if opening.projection is not None and card.vectors is not None:
        try:
            matrix = read_projection(opening.projection)
        except UnreadableError as error:
            raise BackendError(f"no projection can be read from {error}") from error
        n_out, n_dims = matrix.weight.shape
        if n_out != card.vectors.n_dims:
            raise DataError(
                f"{opening.path} is a head on {card.vectors.n_dims} dimensions, and the projection in "
                f"{opening.projection} gives {n_out}: give the one that it was trained with"
            )
        space = VectorSpace(n_dims=n_dims, projection=matrix.describe())
        options = {
            **card.arch_options,
            "n_inputs": n_dims,
            "normalise": True,
            "projection_dims": n_out,
            "projection_kind": matrix.kind,
        }
        card = card.model_copy(update={"vectors": space, "arch_options": options})
        tensors = {**tensors, **matrix.tensors()}
    return card.model_copy(update={"scores_id": scores_id_of(card, tensors)}), tensors


def _check_projection(card: ModelCard, opening: Opening) -> None:
    """Refuse a projection that is not the model's own.

    Raises:
        UsageError: If it takes none.
        DataError: If it is another, naming both.
    """
    if opening.projection is None:
        return
    own = None if card.vectors is None else card.vectors.projection
    if own is None:
        raise UsageError(
            f"model {card.name!r} was made without a projection, so {opening.projection} is none of its: leave out "
            "--projection"
        )
    from mekiki.training.projections import read_projection

    try:
        given = read_projection(opening.projection).describe()
    except UnreadableError as error:
        raise BackendError(f"no projection can be read from {error}") from error
    if given.fingerprint != own.fingerprint:
        raise DataError(
            f"model {card.name!r} was made with the {own.kind} projection {own.fingerprint} ({own.n_dims} dimensions), "
            f"and {opening.projection} is {given.fingerprint} ({given.n_dims} dimensions): leave out --projection, the "
            "model has its own in its file"
        )


def _adapted(arch: str, usual: Preprocessing, facts: ForeignFacts) -> Preprocessing:
    """Return how pictures are prepared, with what the user says in the place of what is usual."""
    from mekiki.training.backbones import default_preprocessing

    how = default_preprocessing(arch, facts.image_size) if facts.image_size else usual
    changes = {
        "resize": facts.resize,
        "resize_hw": (facts.resize_px, facts.resize_px) if facts.resize_px else None,
        "mean": facts.mean,
        "std": facts.std,
    }
    given = {name: value for name, value in changes.items() if value is not None}
    try:
        return Preprocessing(**{**how.model_dump(), **given})
    except ValidationError as error:
        raise UsageError(f"pictures cannot be prepared like that: {error.errors()[0]['msg']}") from error
