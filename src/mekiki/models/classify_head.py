"""Heads: networks that look at vectors, alone or behind the embedder that makes vectors of pictures.

N is the number of vectors or pictures, D of dimensions, C of classes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mekiki.errors import BackendError, DataError, UnreadableError, UsageError
from mekiki.media.preprocessing import ReadPicture
from mekiki.metrics.ensembles import combine
from mekiki.models.base import Classifier, Embedder, Prepared
from mekiki.models.opening import Opening, load_model
from mekiki.training.card import ModelCard
from mekiki.training.members import split_members
from mekiki.training.vector_space import VectorSpace, check_same_space

if TYPE_CHECKING:
    from torch import Tensor, nn


def has_heads(card: ModelCard) -> bool:
    """Return whether a model, or a member of it, looks at vectors."""
    return any(one.is_head for one in (card, *card.members))


def common_space(card: ModelCard) -> VectorSpace | None:
    """Return what a head, or every member of an ensemble, looks at; None if one looks at something else."""
    spaces = [one.vectors for one in card.members or (card,)]
    first = next((one for one in spaces if one is not None), None)
    if first is None or not all(one is not None and _embedder_of(one) == _embedder_of(first) for one in spaces):
        return None
    return first


def _embedder_of(space: VectorSpace) -> VectorSpace:
    """Return a space as it is before a head does anything to it."""
    return space.model_copy(update={"projection": None, "is_normalised": True})


class VectorScorer:
    """A head, or an ensemble of heads on the same vectors.

    Args:
        card: Of the model.
        tensors: Its weights.
        device: Where it computes.

    Attributes:
        space: What it looks at.
        device: In words.

    Raises:
        ValueError: If something in the model does not look at these vectors.
        UnreadableError: If the weights are not those of the card.
    """

    def __init__(self, card: ModelCard, tensors: Mapping[str, Tensor], device: str = "cpu") -> None:
        from mekiki.training.checkpoint import load_network

        space = common_space(card)
        if space is None:
            raise ValueError(f"model {card.name!r} looks at more than the vectors of one embedder")
        self.card = card
        self.space = space
        self.device = device
        self._networks: list[tuple[ModelCard, nn.Module]] = [
            (one, load_network(one, own, allow_code=False).to(device)) for one, own in split_members(card, tensors)
        ]

    def score(self, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return ``(N, C)`` scores in [0, 1], not calibrated, of ``(N, D)`` vectors as the embedder gives them.

        Raises:
            DataError: If they have another number of dimensions.
        """
        check_dims(self.card, self.space.n_dims, vectors.shape[1])
        scores = [self._score(card, network, vectors) for card, network in self._networks]
        if self.card.kind == "network":
            return scores[0]
        finished = [card.finish(one) for (card, _), one in zip(self._networks, scores, strict=True)]
        return combine(np.stack(finished), self.card.weights)

    def _score(self, card: ModelCard, network: nn.Module, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
        import torch

        from mekiki.training.arithmetic import full_float32

        with torch.inference_mode(), full_float32():
            logits = network(torch.from_numpy(np.ascontiguousarray(vectors, np.float32)).to(self.device)).float()
            scores = logits.sigmoid() if card.activation == "sigmoid" else logits.softmax(dim=1)
        return np.asarray(scores.cpu().numpy(), np.float32)


class HeadClassifier:
    """A head behind its embedder, so that it scores pictures; see `mekiki.models.base.Classifier`.

    Args:
        scorer: The head.
        embedder: Makes the vectors that it was made for.

    Raises:
        DataError: If it makes others, naming both.
    """

    def __init__(self, scorer: VectorScorer, embedder: Embedder) -> None:
        check_same_space(scorer.space, embedder.space, f"model {scorer.card.name!r}")
        self.card = scorer.card
        self.device = embedder.device
        self._scorer = scorer
        self._embedder = embedder

    def prepare(self, read: ReadPicture) -> Prepared:
        """Return a picture as the embedder takes it."""
        return (self._embedder.prepare(read),)

    def score(self, batch: Sequence[Prepared]) -> NDArray[np.float32]:
        """Return ``(N, C)`` scores in [0, 1], not calibrated."""
        return self._scorer.score(self._embedder.embed([one[0] for one in batch]))


class MixedEnsemble:
    """Members of which some look at pixels and some at vectors; see `mekiki.models.base.Classifier`.

    Args:
        card: Of an ensemble.
        members: One for each of ``card.members``, in their order, that prepares one array each.
    """

    def __init__(self, card: ModelCard, members: Sequence[Classifier]) -> None:
        self.card = card
        self.device = ", ".join(dict.fromkeys(member.device for member in members))
        self._members = tuple(members)

    def prepare(self, read: ReadPicture) -> Prepared:
        """Return a picture as every member takes it, one after another."""
        return tuple(array for member in self._members for array in member.prepare(read))

    def score(self, batch: Sequence[Prepared]) -> NDArray[np.float32]:
        """Return ``(N, C)`` scores in [0, 1]: the weighted mean of the members' finished ones."""
        scores = [
            member.card.finish(member.score([(one[place],) for one in batch]))
            for place, member in enumerate(self._members)
        ]
        return combine(np.stack(scores), self.card.weights)


def check_dims(card: ModelCard, wanted: int, given: int) -> None:
    """Raise `DataError` if vectors have another number of dimensions than a model was made for."""
    if given != wanted:
        raise DataError(
            f"model {card.name!r} was made for vectors of {wanted} dimensions, and these have {given}: embed with the "
            "embedder that it was made for"
        )


def open_scorer(opening: Opening) -> VectorScorer:
    """Return a head, or an ensemble of heads, ready to score vectors.

    Raises:
        UsageError: If a runtime or a precision was asked for that heads do not run in, or it looks at something else.
        BackendError: If the file is no model, or was changed.
    """
    if opening.runtime != "torch" or opening.precision != "fp32":
        raise UsageError(
            "a head on vectors computes with torch in fp32, which takes no time: leave out --runtime and --precision"
        )
    for name in opening.foreign.of_pixels():
        raise UsageError(
            f"--{name.replace('_', '-')} goes with pictures, and a head looks at vectors here: leave it out"
        )
    card, tensors = load_model(opening)
    if common_space(card) is None:
        raise UsageError(f"model {card.name!r} looks at pictures, not at vectors of one embedder: give it pictures")
    try:
        return VectorScorer(card, tensors, opening.device)
    except UnreadableError as error:
        raise BackendError(str(error)) from error


def open_on_pictures(card: ModelCard, tensors: Mapping[str, Tensor], opening: Opening) -> Classifier:
    """Return a model with a head in it, ready to score pictures: its embedder makes vectors of them.

    Raises:
        UsageError: If nobody knows the embedder and none is given, or it is code that is not allowed.
        DataError: If the embedder that is given makes other vectors, naming both.
        BackendError: If it cannot be opened.
    """
    if common_space(card) is not None:
        scorer = VectorScorer(card, tensors, _head_device(opening))
        return HeadClassifier(scorer, _open_embedder(card, scorer.space, opening))
    return MixedEnsemble(card, [_open_member(one, own, opening) for one, own in split_members(card, tensors)])


def _open_member(card: ModelCard, tensors: Mapping[str, Tensor], opening: Opening) -> Classifier:
    from mekiki.models.classify_torch import TorchClassifier

    if card.is_head:
        return open_on_pictures(card, tensors, opening)
    return TorchClassifier(card, tensors, _head_device(opening), "fp32", opening.allow_code)


def _head_device(opening: Opening) -> str:
    return opening.device if opening.runtime == "torch" else "cpu"


def _open_embedder(card: ModelCard, space: VectorSpace, opening: Opening) -> Embedder:
    from mekiki.models.embed import open_embedder, open_space
    from mekiki.models.embed_opening import EmbedderOpening
    from mekiki.training.user_code import is_user_code

    given, pixels = opening.embedder, opening.foreign
    name = given.name or space.embedder
    if not name:
        raise UsageError(
            f"nobody knows which embedder model {card.name!r} was made for, only that its vectors have {space.n_dims} "
            "dimensions: say it, as with --embedder clip:ViT-B-32/openai, or give vectors in place of pictures"
        )
    is_own = is_user_code(name) and not pixels.of_pixels()  # which cannot say how its pictures are prepared
    wanted = EmbedderOpening(
        name=name,
        weights=given.weights,
        runtime=given.runtime,
        device=opening.device,
        precision=opening.precision,
        allow_code=opening.allow_code,
        preprocessing=space.preprocessing if is_own else None,
        image_size=pixels.image_size,
        resize=pixels.resize,
        resize_px=pixels.resize_px,
        mean=pixels.mean,
        std=pixels.std,
    )
    check_same_space(space, open_space(wanted), f"model {card.name!r}")
    return open_embedder(wanted)
