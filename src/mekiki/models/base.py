"""What backends look like to stages: Protocols, each with a contract test over every registered name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from mekiki.media.detections import Detections
from mekiki.media.preprocessing import ReadPicture
from mekiki.records import Image
from mekiki.training.card import ModelCard
from mekiki.training.vector_space import VectorSpace

Prepared = tuple[NDArray[Any], ...]
"""One picture as a classifier's networks want it: ``(3, H, W)`` float32 each, one per different preprocessing; for an
embedder before a head as that takes it, RGB uint8."""


class Classifier(Protocol):
    """A trained model, ready to score pictures; ensembles look the same."""

    card: ModelCard
    device: str
    """What it runs on, in words: ``cpu``, ``cuda:0``, ``cpu (onnxruntime)``."""

    def prepare(self, read: ReadPicture) -> Prepared:
        """Return a picture as `score` takes it, decoded once for each size wanted; runs in several threads at once."""
        ...

    def score(self, batch: Sequence[Prepared]) -> NDArray[np.float32]:
        """Return ``(N, C)`` scores in [0, 1], not calibrated; how pictures are batched changes nothing beyond 1e-4."""
        ...


class Embedder(Protocol):
    """Turns pictures into vectors that lie near each other where the pictures are alike."""

    space: VectorSpace
    """What its vectors are."""

    device: str
    """What it runs on, in words: ``cpu (openvino int8)``."""

    precision: str
    """Of its arithmetic: ``fp32``, ``bf16`` or ``int8``."""

    def prepare(self, read: ReadPicture) -> Image:
        """Return a picture as `embed` takes it: RGB uint8, resized and cropped; runs in several threads at once."""
        ...

    def embed(self, batch: Sequence[Image]) -> NDArray[np.float32]:
        """Return ``(N, D)`` vectors as the model gives them, not scaled to unit length; no pictures give ``(0, D)``."""
        ...


class TextEmbedder(Protocol):
    """Turns words into vectors that lie near those of pictures which the words describe."""

    space: VectorSpace
    """That of the pictures."""

    def embed_texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return ``(N, D)`` vectors, not scaled to unit length; no texts give ``(0, D)``."""
        ...


class Detector(Protocol):
    """Finds objects in pictures. Both methods may be called from several threads at once."""

    identity: str
    """All that decides its boxes: its kind, the hash of its weights, its classes, its thresholds."""

    device: str
    """What it runs on, in words: ``cpu (onnxruntime)``."""

    n_at_once: int
    """How many calls of `detect` at the same time make it faster; 1 where one call uses all there is."""

    def prepare(self, image: Image) -> Any:
        """Return a picture as `detect` takes it, from RGB uint8 ``(H, W, 3)``; boxes come in pixels of this picture."""
        ...

    def detect(self, batch: Sequence[Any]) -> list[Detections]:
        """Return what it finds in each, the surest first; how pictures are batched changes nothing beyond 0.1 px.

        What cannot be read of a single picture, such as scores that are no numbers, is its `Detections.fault`.
        """
        ...


@dataclass(frozen=True, slots=True)
class Question:
    """What an annotator is asked about one picture; rendered and hashed before it is sent.

    Attributes:
        item_id: The picture.
        image: RGB, shrunk.
    """

    item_id: str
    image: Image


@dataclass(frozen=True, slots=True)
class Answer:
    """What an annotator said of one picture.

    Attributes:
        item_id: The picture.
        labels: Classes that are present; empty means unknown: all of the list are absent.
        confidence: In [0, 1], of the whole answer.
        reason: A short sentence, or empty.
        scores: Class to its own confidence, where the annotator has one for each.
        facts: What else it said: model, response id, response text, tokens, cost.
    """

    item_id: str
    labels: tuple[str, ...]
    confidence: float
    reason: str = ""
    scores: Mapping[str, float] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)
