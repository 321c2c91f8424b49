"""Models as training finds them: a card for a new one, or a foreign checkpoint that is taken over as it is."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np

from mekiki.errors import BackendError, UnreadableError, UsageError
from mekiki.training.arithmetic import full_float32
from mekiki.training.backbones import BackboneSpec
from mekiki.training.card import ModelCard
from mekiki.training.checkpoint import load_network
from mekiki.training.data import Batch
from mekiki.training.foreign import read_foreign
from mekiki.training.packages import import_torch
from mekiki.training.picture_size import check_output
from mekiki.training.scoring import f1_scores, macro_average_precision
from mekiki.training.train_settings import PIXEL_NAMES, NetworkSettings
from mekiki.training.user_code import is_user_code, read_source

if TYPE_CHECKING:
    from torch import Tensor


def blank_card(settings: NetworkSettings, class_names: Sequence[str]) -> ModelCard:
    """Return the card of a model that is about to be trained."""
    spec = settings.to_spec(len(class_names))
    return ModelCard(
        name=spec.arch,
        arch=spec.arch,
        arch_options=dict(spec.options),
        source_code=read_source(spec.arch) if is_user_code(spec.arch) else "",
        class_names=tuple(class_names),
        preprocessing=settings.to_preprocessing(),
    )


def adopted_card(
    settings: NetworkSettings, classes: Sequence[str], activation: Literal["sigmoid", "softmax"] | None
) -> tuple[ModelCard, Mapping[str, Tensor]]:
    """Return a foreign checkpoint as a model, with its weights.

    What the file says of itself counts where nothing else was set; see `mekiki.training.foreign.read_foreign`.

    Raises:
        UsageError: If there is no file, or something is neither set nor in it.
        BackendError: If it cannot be read, or is an ensemble.
    """
    if settings.weights is None:
        raise UsageError("--epochs 0 takes weights as they are, and there are none: add --weights FILE, or epochs")
    is_set = settings.model_fields_set
    try:
        card, tensors = read_foreign(
            settings.weights,
            settings.arch if "arch" in is_set else None,
            classes or None,
            settings.to_preprocessing() if is_set & PIXEL_NAMES else None,
            activation,
        )
    except UnreadableError as error:
        raise BackendError(f"no model can be read from {error}") from error
    if card.kind != "network":
        raise BackendError(f"{settings.weights} is an ensemble, which needs no training: predict with it as it is")
    return card.model_copy(update={"arch_options": dict(settings.arch_options) or card.arch_options}), tensors


def measure_as_it_is(
    card: ModelCard, tensors: Mapping[str, Tensor], batches: Iterable[Batch], device: str, *, allow_code: bool
) -> dict[str, float]:
    """Return ``val_micro_f1``, ``val_macro_f1`` and ``val_macro_ap`` of a network that was trained elsewhere.

    Args:
        card: Of a network; it says how outputs become scores and decisions.
        tensors: Its weights.
        batches: Labelled pictures, at least one, prepared as the card says.
        device: Where to compute.
        allow_code: Whether code of the user's may be run.

    Raises:
        UsageError: If the network does not take such pictures, or does not give one number for each class.
        BackendError: If the weights are not those of the network.
    """
    torch = import_torch()
    try:
        network = load_network(card, tensors, allow_code=allow_code).to(device)
    except UnreadableError as error:
        raise BackendError(str(error)) from error
    spec = BackboneSpec(card.arch, len(card.class_names), card.arch_options)
    check_output(network, spec, card.own_preprocessing.crop_hw)
    found, known = [], []
    with torch.inference_mode(), full_float32():
        for batch in batches:
            logits = network(torch.from_numpy(batch.images).to(device)).float()
            shares = logits.softmax(dim=1) if card.activation == "softmax" else logits.sigmoid()
            found.append(shares.cpu().numpy())
            known.append(batch.truth)
    scores, truth = np.concatenate(found), np.concatenate(known)
    if not np.isfinite(scores).all():
        raise BackendError(f"the weights of {card.arch} give scores that are no numbers: they are damaged, take others")
    micro, macro = f1_scores(card.decide(scores), truth)
    average = macro_average_precision(scores, truth)
    return {"val_micro_f1": micro, "val_macro_f1": macro, "val_macro_ap": average}
