"""What all embedders with a network share: loaded once, identified by their tensors, run on any runtime.

N is the number of pictures, H and W their size in pixels, D the number of dimensions of a vector.
"""

from __future__ import annotations

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from mekiki.dataset.ids import MODEL_ID_LENGTH
from mekiki.errors import BackendError, NoWordsError
from mekiki.media.preprocessing import Preprocessing, ReadPicture, seen_by
from mekiki.models.base import Embedder, TextEmbedder
from mekiki.models.embed_hub import first_line
from mekiki.models.embed_opening import EmbedderOpening
from mekiki.models.runners import Runner, open_runner, place
from mekiki.records import Image
from mekiki.training.embedder_names import OutputName
from mekiki.training.packages import import_torch
from mekiki.training.vector_space import VectorSpace

if TYPE_CHECKING:
    from torch import Tensor, nn


WITH_WORDS = "clip:ViT-B-32/openai"
"""An embedder of pictures and words, for messages."""


class Tower(Protocol):
    """A network that turns pictures into vectors, before a runtime runs it."""

    space: VectorSpace
    """Of its vectors, with preprocessing and ``embedder_id``."""

    def network(self) -> nn.Module | Path:
        """Return the network in evaluation mode, fp32, on the CPU: normalised ``(N, 3, H, W)`` to ``(N, D)``.

        Or the ``.onnx`` file that is one. A module may be another one each time, and belongs to the caller.
        """
        ...


@dataclass(frozen=True, slots=True, eq=False)
class LoadedTower:
    """A network as its source has loaded it; see `Tower`."""

    space: VectorSpace
    module: nn.Module | Path


class Source(ABC):
    """Where embedders of one kind come from."""

    @abstractmethod
    def space(self, opening: EmbedderOpening) -> VectorSpace:
        """Return what its vectors are; the weights are read for it."""

    @abstractmethod
    def tower(self, opening: EmbedderOpening) -> Tower:
        """Return its network, not yet on a runtime."""

    @abstractmethod
    def embedder(self, opening: EmbedderOpening) -> Embedder:
        """Return it ready to embed."""

    def text(self, opening: EmbedderOpening) -> TextEmbedder:
        """Return its text side.

        Raises:
            NoWordsError: If it has none.
        """
        raise NoWordsError(
            f"{opening.name} has no text side, so words have no place among its pictures. All clip: embedders have "
            "one, and hf: those of CLIP and SigLIP",
            WITH_WORDS,
        )


class NetworkSource(Source):
    """Embedders that are networks; a kind says how it loads one."""

    @abstractmethod
    def load(self, opening: EmbedderOpening) -> LoadedTower:
        """Load the network and find out what its vectors are."""

    def space(self, opening: EmbedderOpening) -> VectorSpace:
        """Return what its vectors are."""
        return self.load(opening).space

    def tower(self, opening: EmbedderOpening) -> Tower:
        """Return its network, not yet on a runtime."""
        return NetworkTower(self, opening)

    def embedder(self, opening: EmbedderOpening) -> Embedder:
        """Return it ready to embed on a runtime; see `mekiki.models.runners`."""
        tower = NetworkTower(self, opening)
        runtime, device = place(opening.runtime, opening.device, is_graph=tower.is_graph)
        precision = "fp32" if opening.precision == "auto" else opening.precision
        return NetworkEmbedder(tower.space, open_runner(tower, runtime, device, precision, opening.graph))


class NetworkTower:
    """See `Tower`. Holds the network until it is first asked for it, so that one load serves both it and the space."""

    def __init__(self, source: NetworkSource, opening: EmbedderOpening) -> None:
        self._source = source
        self._opening = opening
        self._loaded: LoadedTower | None = source.load(opening)
        self.space = self._loaded.space
        self.is_graph = isinstance(self._loaded.module, Path)

    def network(self) -> nn.Module | Path:
        """Return the network; loaded again the second time, so that nobody holds on to it in vain."""
        loaded, self._loaded = self._loaded or self._source.load(self._opening), None
        return loaded.module


class NetworkEmbedder:
    """A network on a runtime; see `mekiki.models.base.Embedder`."""

    def __init__(self, space: VectorSpace, runner: Runner) -> None:
        if space.preprocessing is None:
            raise ValueError(f"space must have preprocessing, that of {space} has none")
        self.space = space
        self.device = runner.device
        self.precision = runner.precision
        self._runner = runner
        self._how = space.preprocessing

    def prepare(self, read: ReadPicture) -> Image:
        """Return a picture as `embed` takes it."""
        return seen_by(read(self._how.at_least_px), self._how)

    def embed(self, batch: Sequence[Image]) -> NDArray[np.float32]:
        """Return ``(N, D)`` vectors."""
        if not batch:
            return np.zeros((0, self.space.n_dims), np.float32)
        return self._runner.run(np.stack(batch))


def loaded_module(
    opening: EmbedderOpening, module: nn.Module, how: Preprocessing, facts: Mapping[str, Any], usual: OutputName
) -> LoadedTower:
    """Return a PyTorch network as a tower; its number of dimensions is found by running it once.

    Args:
        opening: What was asked for.
        module: Normalised ``(N, 3, H, W)`` to ``(N, D)``.
        how: Its preprocessing.
        facts: What decides its vectors beside the tensors: ``output``, ``tensors`` if others than the module's own
            count, and whatever else is JSON.
        usual: The output that needs no mention in the name.

    Raises:
        BackendError: If it cannot take such pictures, or gives something else than one vector for each.
    """
    torch = import_torch()
    module = module.eval().requires_grad_(False)
    with torch.inference_mode(), taking_pictures(opening.name, how.crop_hw):
        given = module(torch.zeros(2, 3, *how.crop_hw))
    shape = tuple(given.shape) if isinstance(given, torch.Tensor) else type(given).__name__
    if not isinstance(shape, tuple) or len(shape) != 2 or shape[0] != 2:
        raise BackendError(f"{opening.name} gives {shape} for 2 pictures; an embedder gives one vector for each")
    rest = {name: value for name, value in facts.items() if name != "tensors"}
    space = VectorSpace(
        embedder=opening.full_name(facts["output"], usual),
        embedder_id=embedder_id(facts.get("tensors", module.state_dict()), {**rest, "kind": opening.kind}, how),
        n_dims=shape[1],
        preprocessing=how,
    )
    return LoadedTower(space, module)


@contextmanager
def taking_pictures(name: str, crop_hw: tuple[int, int]) -> Iterator[None]:
    """Say of what PyTorch raises inside that a network cannot take pictures of this size.

    Raises:
        BackendError: With PyTorch's reason.
    """
    try:
        yield
    except (RuntimeError, ValueError, AssertionError) as error:
        raise BackendError(
            f"{name} cannot take pictures of {crop_hw[1]} x {crop_hw[0]} px: {first_line(error)}"
        ) from error


def embedder_id(tensors: Mapping[str, Tensor], facts: Mapping[str, Any], how: Preprocessing) -> str:
    """Return 16 hex digits that stand for weights, preprocessing, and what is done with them.

    Args:
        tensors: By name; in which order does not matter.
        facts: JSON.
        how: The preprocessing.
    """
    digest = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name]
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(import_torch().uint8).numpy())
    decided = {**facts, "preprocessing": how.model_dump(mode="json")}
    digest.update(json.dumps(decided, ensure_ascii=False, sort_keys=True).encode())
    return digest.hexdigest()[:MODEL_ID_LENGTH]
