"""New model files from those of other models: the same weights under another card, or several in one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from mekiki.errors import DataError
from mekiki.training.card import ModelCard, check_same_classes

if TYPE_CHECKING:
    from torch import Tensor


class SavedModel(NamedTuple):
    """A model file that was written: its id, where it lies, and its card as it stands there."""

    model_id: str
    path: Path
    card: ModelCard


@dataclass(frozen=True, slots=True)
class Share:
    """A model with its weight in an ensemble."""

    name: str
    model_id: str
    path: Path
    card: ModelCard
    weight: float


@dataclass(frozen=True, slots=True)
class _Member:
    """A network on its way into an ensemble."""

    card: ModelCard
    tensors: dict[str, Tensor]
    weight: float


def save_derived(folder: Path, parent: Path, card: ModelCard) -> SavedModel:
    """Write a model with the weights of another and a card of its own.

    Args:
        folder: Where models lie.
        parent: The file whose weights are taken; it is not changed.
        card: Of the new model; it names its parents.
    """
    from mekiki.training.checkpoint import read_tensors, save_model

    return SavedModel(*save_model(folder, card, read_tensors(parent)))


def save_ensemble(
    folder: Path, name: str, shares: Sequence[Share], settings: Mapping[str, Any], metrics: Mapping[str, Any]
) -> SavedModel:
    """Write a model that contains others and states the weighted mean of their scores.

    Ensembles among the models are taken apart, so that all members are networks; a network that comes in twice is one
    member with both weights. Members keep their calibration, and the file keeps their cards; the ensemble has no
    thresholds yet.

    Args:
        folder: Where models lie.
        name: Of the ensemble.
        shares: Models with weights above 0; weights are scaled to add up to 1.
        settings: How the weights were found, for the card; it says what they, and those of ensembles among the models,
            were searched on (`mekiki.training.origins.SEARCHED_KEY`).
        metrics: What the search measured, for the card.

    Raises:
        DataError: If two have other classes, or an ensemble is calibrated as a whole.
    """
    from mekiki.training.checkpoint import save_model

    class_names = check_same_classes({share.name: share.card for share in shares})
    total = sum(share.weight for share in shares)
    members: dict[tuple[str, str], _Member] = {}
    for share in shares:
        for one in _members_of(share, share.weight / total):
            key = scores_key(one.card)
            before = members[key].weight if key in members else 0.0
            members[key] = _Member(one.card, one.tensors, one.weight + before)
    splits = [share.card.split for share in shares]
    is_softmax = all(one.card.activation == "softmax" for one in members.values())
    card = ModelCard(
        name=name,
        kind="ensemble",
        class_names=class_names,
        activation="softmax" if is_softmax else "sigmoid",
        members=tuple(one.card for one in members.values()),
        weights=tuple(one.weight for one in members.values()),
        settings=settings,
        metrics=metrics,
        split=splits[0] if all(split == splits[0] for split in splits) else {},
        parents=tuple(share.model_id for share in shares),
    )
    tensors = {
        f"{number}.{key}": tensor for number, one in enumerate(members.values()) for key, tensor in one.tensors.items()
    }
    return SavedModel(*save_model(folder, card, tensors))


def scores_key(card: ModelCard) -> tuple[str, str]:
    """Return what stands for a model's finished scores: two models with the same key say the same of any picture."""
    return card.scores_id, "" if card.calibration is None else card.calibration.model_dump_json()


def _members_of(share: Share, weight: float) -> list[_Member]:
    """Return the networks in a model, with their part of its weight."""
    from mekiki.training.checkpoint import read_tensors
    from mekiki.training.members import split_members

    if share.card.kind == "ensemble" and share.card.calibration is not None:
        raise DataError(
            f"{share.name!r} is an ensemble that is calibrated as a whole, so it cannot be taken apart: join its "
            f"members {', '.join(member.name for member in share.card.members)}"
        )
    networks = split_members(share.card, read_tensors(share.path))
    parts = share.card.weights or (1.0,)
    return [_Member(card, tensors, weight * part) for (card, tensors), part in zip(networks, parts, strict=True)]
