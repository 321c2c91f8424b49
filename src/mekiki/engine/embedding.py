"""Embedding pictures of a workspace, as work for an engine, and the sample of them that a precision is checked on."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from mekiki.catalog.db import Catalog, Transaction
from mekiki.catalog.model_files import locate_model
from mekiki.catalog.vectors import vectors_identity, write_vectors
from mekiki.dataset.formats.base import plain_path
from mekiki.engine.run import Selection
from mekiki.errors import BackendError, UnreadableError
from mekiki.intake.crop_reading import CropReading
from mekiki.intake.pictures import open_picture
from mekiki.media.cropping import fragment_of
from mekiki.media.preprocessing import Preprocessing, ReadPicture, seen_by
from mekiki.models.base import Embedder
from mekiki.models.embed import has_network, open_embedder, open_tower
from mekiki.models.embed_opening import EmbedderOpening
from mekiki.models.embed_source import NetworkEmbedder, Tower
from mekiki.models.runners import open_runner
from mekiki.records import Image, Item, Loaded, Result
from mekiki.training.embedder_names import lasting_name
from mekiki.training.vector_space import VectorSpace


@dataclass(frozen=True, slots=True, eq=False)
class Ready:
    """A picture on its way to its vector: ``image`` is what the embedder sees, or ``vector`` ``(D,)`` what it gave."""

    path: Path | None
    image: Image | None = None
    vector: NDArray[np.float32] | None = None


@dataclass(slots=True)
class KnownTower:
    """A network of which a graph is there, so that nobody needs its weights; see `mekiki.models.embed_source.Tower`."""

    space: VectorSpace

    def network(self) -> NoReturn:
        """Refuse.

        Raises:
            BackendError: Always.
        """
        raise BackendError(f"the network of {self.space} is not loaded: its graph is")


def located(catalog: Catalog, opening: EmbedderOpening) -> EmbedderOpening:
    """Return an opening that means the same from every folder, with the file that ``torch:MODEL`` stands for.

    Raises:
        UsageError: If there is no such model, with the nearest name.
        DataError: If the workspace has none yet.
    """
    weights = opening.weights
    if weights is not None:
        weights = plain_path(weights)
    elif opening.kind == "torch":
        weights = locate_model(catalog, opening.what).path
    return replace(opening, name=lasting_name(opening.name), weights=weights)


class EmbedWork:
    """What one worker does to embed pictures.

    Args:
        opening: The embedder, with a real runtime, device and precision.
        space: What its vectors are.
        graph_id: Stands for the graph that computes in reduced precision; empty where the weights say all.
        tower: The network, if it is loaded already; other processes load their own.
    """

    def __init__(
        self, opening: EmbedderOpening, space: VectorSpace, graph_id: str = "", tower: Tower | None = None
    ) -> None:
        self.opening = opening
        self.space = space
        self.graph_id = graph_id
        self._tower = tower

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_tower": None}

    @property
    def device(self) -> str:
        """What the embedder runs on, in words."""
        return f"{self.opening.device} ({self.runtime} {self.opening.precision})"

    @property
    def runtime(self) -> str:
        """What computes; embedders without a network have no choice."""
        return "numpy" if self.opening.runtime == "auto" else self.opening.runtime

    def identity(self) -> str:
        """Return what the vectors depend on: the space and the arithmetic, not the runtime."""
        return vectors_identity(self.space, self.opening.precision, self.graph_id)

    def open(self) -> None:
        """Load the embedder.

        Raises:
            BackendError: If it cannot be loaded, or is not what the driver of this worker has.
        """
        self._reading = CropReading()
        self._embedder: Embedder = self._open_network() if has_network(self.opening) else open_embedder(self.opening)
        if self._embedder.space != self.space:
            raise BackendError(f"this machine has {self._embedder.space}, and the run wants {self.space}")

    def _open_network(self) -> Embedder:
        opening, tower = self.opening, self._tower
        self._tower = None
        if opening.graph is not None:
            tower = KnownTower(self.space)  # the graph holds the weights
        tower = tower or open_tower(opening)
        runner = open_runner(tower, opening.runtime, opening.device, opening.precision, opening.graph)
        return NetworkEmbedder(tower.space, runner)

    def load(self, item: Item) -> Iterator[Loaded]:
        """Read and prepare a picture; crops of one picture share what is decoded of it.

        Raises:
            UnreadableError: If it cannot be read, or its size will not do. A crop is called by its place.
        """
        path = item.path
        if path is not None and item.box is not None:
            path = path.with_name(f"{path.name}#{fragment_of(item.box, item.width_px, item.height_px)}")
        try:
            image = self._embedder.prepare(reader_of(item, self.space.preprocessing, self._reading.open))
        except UnreadableError as error:
            raise UnreadableError(path or error.path, error.reason) from error
        yield Loaded(item.item_id, Ready(path, image))

    def compute(self, loaded: list[Loaded]) -> list[Result | UnreadableError]:
        """Embed a batch; vectors that are no numbers, or have no direction, are failures of their pictures."""
        ready: list[Ready] = [one.content for one in loaded]
        vectors = self._embedder.embed([one.image for one in ready if one.image is not None])
        return [
            Result(item.item_id, Ready(one.path, vector=vector))
            if np.isfinite(vector).all() and vector.any()
            else UnreadableError(one.path or item.item_id, f"{self.space.embedder} {_wrong_with(vector)}")
            for item, one, vector in zip(loaded, ready, vectors, strict=True)
        ]

    def write(self, transaction: Transaction, results: list[Result]) -> int:
        """Write the vectors."""
        return write_vectors(
            transaction, [one.item_id for one in results], np.stack([one.content.vector for one in results])
        )


def reader_of(
    item: Item, how: Preprocessing | None, opener: Callable[[Item], ReadPicture] = open_picture
) -> ReadPicture:
    """Return what decodes an item's picture, once its file has been read.

    Args:
        item: A photo, a frame or a crop.
        how: What is done to it then; None if nobody knows.
        opener: Reads its file.

    Raises:
        UnreadableError: If the file is gone, was changed since ingest or holds no picture, or is too small for a
            network that takes pictures as they are.
    """
    read = opener(item)
    if how is not None and how.resize == "none" and (item.height_px < how.crop_hw[0] or item.width_px < how.crop_hw[1]):
        wanted = f"{how.crop_hw[1]} x {how.crop_hw[0]}"
        raise UnreadableError(
            item.path or item.item_id, f"{item.width_px} x {item.height_px} pixels; the embedder takes {wanted} or more"
        )
    return read


class Joined:
    """Items of several selections, one selection behind the other; no item may be in two."""

    def __init__(self, *selections: Selection[Item]) -> None:
        self._selections = selections

    def __len__(self) -> int:
        return sum(map(len, self._selections))

    def __iter__(self) -> Iterator[Item]:
        return chain.from_iterable(self._selections)


def _wrong_with(vector: NDArray[np.float32]) -> str:
    return "gives a vector of zeros" if not vector.any() else "gives a vector with values that are no numbers"


def spread(items: Selection[Item], n_wanted: int) -> list[Item]:
    """Return up to so many items, taken evenly from their order, which is that of ids and so of chance.

    The same items give the same ones, in the order of a fixed shuffle, so that any beginning of the list is a sample.
    """
    n_items = len(items)
    places = set(np.linspace(0, n_items - 1, min(n_wanted, n_items)).round().astype(int).tolist())
    chosen = [item for place, item in enumerate(items) if place in places]
    return [chosen[place] for place in np.random.default_rng(0).permutation(len(chosen))]


def read_sample(items: Sequence[Item], how: Preprocessing) -> tuple[list[str], NDArray[np.uint8]]:
    """Return ids and pixels ``(N, H, W, 3)`` of those that can be read; the run itself reports the others."""
    ids, images = [], []
    for item in items:
        try:
            read = reader_of(item, how)
            images.append(seen_by(read(how.at_least_px), how))
        except UnreadableError:
            continue
        ids.append(item.item_id)
    return ids, np.stack(images) if images else np.zeros((0, *how.crop_hw, 3), np.uint8)
