"""What a model file says of itself: the JSON in its header. Needs no torch."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import pydantic
from numpy.typing import NDArray

from mekiki.errors import DataError, UnreadableError
from mekiki.media.preprocessing import Preprocessing
from mekiki.metrics.calibration import apply_isotonic, apply_temperatures
from mekiki.training.vector_space import VectorSpace

CARD_KEY = "mekiki"
"""Key of the card in a safetensors header's metadata, and in an ONNX file's ``metadata_props``."""

MAX_HEADER_BYTES = 100_000_000
DEFAULT_THRESHOLD = 0.5


def check_model_name(name: str) -> str:
    """Return a model's name as it is, or refuse what could be taken for a path or not be typed.

    Raises:
        ValueError: If it is empty, has a slash or a blank end, or a character that cannot be seen.
    """
    if not name or "/" in name or "\\" in name or name != name.strip() or not name.isprintable():
        raise ValueError(f"a model's name must have no slash, blank end or control character, got {name!r}")
    return name


ModelName = Annotated[str, pydantic.AfterValidator(check_model_name)]
"""What a user may call a new model."""


class _Part(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Calibration(_Part):
    """How scores are turned into probabilities, class by class.

    ``temperature``: ``sigmoid(logit(score) / temperature)``. ``isotonic``: linear between the knots, flat outside.
    """

    method: Literal["temperature", "isotonic"]
    temperatures: tuple[float, ...] = ()
    knots: tuple[tuple[tuple[float, ...], tuple[float, ...]], ...] = ()


class Decisions(_Part):
    """How a model's thresholds were found, and how sure each is; ``facts`` is what ``tune`` measured."""

    objective: str
    is_joint: bool
    facts: Mapping[str, Any] = {}


class ModelCard(_Part):
    """All that is needed to use a model, and where it comes from.

    Attributes:
        version: Of this layout.
        name: What the user calls it.
        kind: ``network``, or ``ensemble`` of ``members``.
        arch: Of a network: a backbone's name as ``train --arch`` takes it; of an ensemble empty.
        arch_options: Keyword arguments with which the backbone was made.
        source_code: Of a ``python:FILE:CLASS`` backbone: the file's text, for the record; it is never run from here.
        class_names: In the order of the scores.
        preprocessing: Of a network that looks at pixels.
        vectors: Of a network that looks at vectors, called a head: which, and what is done to them first.
        activation: What turns a network's outputs into scores: ``sigmoid`` for each class alone, ``softmax`` over all.
        members: Of an ensemble.
        weights: Of an ensemble: one per member, adding up to 1.
        calibration: None for plain scores.
        thresholds: Per class; None decides at 0.5 (``sigmoid``) or for the highest score (``softmax``).
        decisions: Where the thresholds come from.
        settings: Of the training.
        split: The certificate of the split that it was trained on.
        metrics: What training measured: best epoch, validation metrics.
        parents: Ids of the models that this one was made from.
        scores_id: 16 hex digits that stand for all that decides scores: weights, backbone, preprocessing, members.
    """

    version: Literal[1] = 1
    name: str
    kind: Literal["network", "ensemble"] = "network"
    arch: str = ""
    arch_options: Mapping[str, Any] = {}
    source_code: str = ""
    class_names: tuple[str, ...]
    preprocessing: Preprocessing | None = None
    vectors: VectorSpace | None = None
    activation: Literal["sigmoid", "softmax"] = "sigmoid"
    members: tuple[ModelCard, ...] = ()
    weights: tuple[float, ...] = ()
    calibration: Calibration | None = None
    thresholds: tuple[float, ...] | None = None
    decisions: Decisions | None = None
    settings: Mapping[str, Any] = {}
    split: Mapping[str, Any] = {}
    metrics: Mapping[str, Any] = {}
    parents: tuple[str, ...] = ()
    scores_id: str = ""

    @pydantic.model_validator(mode="after")
    def _check(self) -> ModelCard:
        if not self.class_names or len(set(self.class_names)) != len(self.class_names):
            raise ValueError(f"class_names must be one or more different names, got {self.class_names}")
        if self.thresholds is not None and len(self.thresholds) != len(self.class_names):
            raise ValueError(f"thresholds must be {len(self.class_names)}, got {len(self.thresholds)}")
        if self.kind == "network" and ((self.preprocessing is None) == (self.vectors is None) or self.members):
            raise ValueError("a network has preprocessing or vectors, and no members")
        if self.kind == "ensemble" and (len(self.members) != len(self.weights) or not self.members):
            raise ValueError("an ensemble has members, with one weight each")
        if any(member.class_names != self.class_names for member in self.members):
            raise ValueError("an ensemble's members have its classes, in its order")
        return self

    @property
    def is_head(self) -> bool:
        """Whether it is a network that looks at vectors."""
        return self.vectors is not None

    @property
    def own_preprocessing(self) -> Preprocessing:
        """A network's preprocessing; of a head, its embedder's.

        Raises:
            ValueError: For an ensemble, whose members have theirs, and a head whose embedder nobody knows.
        """
        if self.vectors is not None and self.vectors.preprocessing is not None:
            return self.vectors.preprocessing
        if self.vectors is not None:
            raise ValueError(f"{self.name!r} is a head on vectors of {self.vectors}: nobody knows their pictures")
        if self.preprocessing is None:
            raise ValueError(f"{self.name!r} is an ensemble: ask its members for their preprocessing")
        return self.preprocessing

    def to_json(self) -> str:
        """Return the card as it stands in the file."""
        return json.dumps(self.model_dump(mode="json"), ensure_ascii=False, sort_keys=True)

    def finish(self, scores: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return ``(N, C)`` scores as the model states them: its raw ones, calibrated where it is."""
        if self.calibration is None:
            return scores
        if self.calibration.method == "temperature":
            return apply_temperatures(scores, np.asarray(self.calibration.temperatures))
        return apply_isotonic(scores, self.calibration.knots)

    def decide(self, scores: NDArray[np.float32]) -> NDArray[np.bool_]:
        """Return which classes are present.

        Args:
            scores: ``(N, C)`` finished scores: calibrated, where the model is.

        Returns:
            ``(N, C)``: score at or above its threshold; without thresholds, a ``softmax`` network says the class of
            the highest score, of equal ones the first.
        """
        if self.thresholds is None and self.activation == "softmax" and self.kind == "network":
            is_first: NDArray[np.bool_] = np.arange(scores.shape[1]) == scores.argmax(axis=1)[:, None]
            return is_first
        limits = self.thresholds or (DEFAULT_THRESHOLD,) * len(self.class_names)
        is_over: NDArray[np.bool_] = scores >= np.asarray(limits, np.float32)
        return is_over


def read_card(path: Path) -> ModelCard:
    """Read the card of a ``.safetensors`` model of ours, without its weights.

    Raises:
        UnreadableError: If the file cannot be read, or is no safetensors file of ours.
    """
    try:
        with path.open("rb") as file:
            size = int.from_bytes(file.read(8), "little")
            if not 2 <= size <= min(MAX_HEADER_BYTES, path.stat().st_size - 8):
                raise UnreadableError(path, "no safetensors file")
            header = json.loads(file.read(size))
    except OSError as error:
        raise UnreadableError(path, error.strerror or str(error)) from error
    except (ValueError, RecursionError) as error:
        raise UnreadableError(path, "no safetensors file: its header is no JSON") from error
    metadata = header.get("__metadata__", {}) if isinstance(header, dict) else {}
    text = metadata.get(CARD_KEY) if isinstance(metadata, dict) else None
    if not isinstance(text, str):
        raise UnreadableError(path, "a safetensors file, but no model that mekiki wrote")
    return parse_card(text, path)


def parse_card(text: str, path: Path) -> ModelCard:
    """Return the card of a model file's JSON.

    Raises:
        UnreadableError: If it is no card, or of a newer mekiki.
    """
    try:
        return ModelCard.model_validate_json(text)
    except pydantic.ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise UnreadableError(
            path, f"its card is none that this mekiki understands: {place}: {first['msg']}"
        ) from error


def check_same_classes(cards: Mapping[str, ModelCard]) -> tuple[str, ...]:
    """Return the classes of models that must have the same, in the same order.

    Raises:
        DataError: If two differ, with both names.
    """
    first, *others = cards
    for name in others:
        if cards[name].class_names != cards[first].class_names:
            raise DataError(
                f"models {first!r} and {name!r} have other classes, or in another order: "
                f"{', '.join(cards[first].class_names)}; {', '.join(cards[name].class_names)}"
            )
    return cards[first].class_names
