"""What classifiers that run an ONNX graph share: its card, its inputs, its threads.

N is the number of pictures, C of classes. A graph of ours has one input ``(N, 3, H, W)`` for each different
preprocessing of its networks, in the order of `mekiki.training.members.distinct_preprocessings`, and one output:
``(N, C)`` raw scores.
"""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mekiki.errors import BackendError, UnreadableError
from mekiki.media.preprocessing import ReadPicture, prepare_each
from mekiki.models.base import Prepared
from mekiki.training.card import CARD_KEY, ModelCard, parse_card
from mekiki.training.members import distinct_preprocessings
from mekiki.training.runtimes import import_onnx


def read_onnx_card(path: Path) -> ModelCard:
    """Read the card of an ``.onnx`` model of ours.

    Raises:
        MissingExtraError: If the package that reads such files is not installed.
        UnreadableError: If the file cannot be read, is no ONNX, none that mekiki wrote, or keeps weights elsewhere.
    """
    onnx, message = import_onnx(), import_module("google.protobuf.message")
    try:
        graph = onnx.load(path, load_external_data=False)
    except OSError as error:
        raise UnreadableError(path, error.strerror or str(error)) from error
    except message.DecodeError as error:
        raise UnreadableError(path, "no ONNX file") from error
    found = {one.key: one.value for one in graph.metadata_props}
    if CARD_KEY not in found:
        raise UnreadableError(path, "an ONNX file, but none that mekiki exported: it has no card")
    if has_external_data(graph):
        raise UnreadableError(path, "an ONNX file whose weights lie in other files: save it again as one whole file")
    return parse_card(found[CARD_KEY], path)


def has_external_data(graph: Any) -> bool:
    """Return whether some of a graph's weights lie in other files."""
    return any(one.data_location == import_onnx().TensorProto.EXTERNAL for one in _tensors(graph))


def _tensors(message: Any) -> Iterator[Any]:
    """Yield the tensors in a part of a graph, at any depth: initialisers, constants, those in branches and loops."""
    if message.DESCRIPTOR.name == "TensorProto":
        yield message
        return
    for kind, value in message.ListFields():
        if kind.message_type is not None:
            for one in (value,) if hasattr(value, "ListFields") else value:
                yield from _tensors(one)


def n_usable_cores() -> int:
    """Return how many cores this process may compute on; ``OMP_NUM_THREADS`` limits them, as it does PyTorch's."""
    n_cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    limit = os.environ.get("OMP_NUM_THREADS", "")
    return min(n_cores, int(limit)) if limit.isdecimal() and int(limit) else n_cores


class GraphClassifier(ABC):
    """A model of ours as an ONNX graph; see `mekiki.models.base.Classifier`."""

    card: ModelCard
    device: str

    def __init__(self, card: ModelCard) -> None:
        self.card = card
        self._preprocessings, _ = distinct_preprocessings(card)

    def prepare(self, read: ReadPicture) -> Prepared:
        """Return a picture as `score` takes it."""
        return prepare_each(read, self._preprocessings)

    def score(self, batch: Sequence[Prepared]) -> NDArray[np.float32]:
        """Return ``(N, C)`` scores in [0, 1], not calibrated."""
        n_classes = len(self.card.class_names)
        if not batch:
            return np.zeros((0, n_classes), np.float32)
        inputs = [np.stack([one[place] for one in batch]) for place in range(len(self._preprocessings))]
        scores = np.asarray(self._run(inputs), np.float32)
        if scores.shape != (len(batch), n_classes):
            raise BackendError(
                f"model {self.card.name!r} gives {scores.shape} for {len(batch)} pictures and {n_classes} classes: "
                "its graph and its card do not belong together"
            )
        return scores

    @abstractmethod
    def _run(self, inputs: list[NDArray[np.float32]]) -> NDArray[np.float32]:
        """Return the graph's output for its inputs, each ``(N, 3, H, W)``."""

    def _check_inputs(self, n_inputs: int, n_outputs: int) -> None:
        """Raise `BackendError` if the graph is not of the form that the card promises."""
        if (n_inputs, n_outputs) != (len(self._preprocessings), 1):
            raise BackendError(
                f"model {self.card.name!r} has a graph with {n_inputs} inputs and {n_outputs} outputs, its card says "
                f"{len(self._preprocessings)} and 1: export it again"
            )
