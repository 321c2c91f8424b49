"""The networks in a model, and what each of them wants to see."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from mekiki.media.preprocessing import Preprocessing
from mekiki.training.card import ModelCard

if TYPE_CHECKING:
    from torch import Tensor


def split_members(card: ModelCard, tensors: Mapping[str, Tensor]) -> list[tuple[ModelCard, dict[str, Tensor]]]:
    """Return the networks of a model, each with its tensors under their own names; of a network, itself.

    An ensemble's file has those of its first member under ``0.``, of its second under ``1.``, and so on.
    Tensors that belong to no member go to nobody; whoever loads networks sees what is missing.
    """
    if card.kind == "network":
        return [(card, dict(tensors))]
    own: list[dict[str, Tensor]] = [{} for _ in card.members]
    for name, tensor in tensors.items():
        number, _, rest = name.partition(".")
        if number.isdecimal() and int(number) < len(own):
            own[int(number)][rest] = tensor
    return list(zip(card.members, own, strict=True))


def distinct_preprocessings(card: ModelCard) -> tuple[list[Preprocessing], list[int]]:
    """Return each different preprocessing of a model's networks once, and which of them each network wants.

    In the order in which the networks first want them: the order of a prepared picture's arrays, and of the inputs of
    an exported graph.
    """
    wanted = [network.own_preprocessing for network in card.members or (card,)]
    distinct: list[Preprocessing] = []
    for one in wanted:
        if one not in distinct:
            distinct.append(one)
    return distinct, [distinct.index(one) for one in wanted]
