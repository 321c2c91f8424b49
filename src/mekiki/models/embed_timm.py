"""Embedders of timm: any of its models, pooled, without its classifier."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from mekiki.errors import BackendError, UnreadableError
from mekiki.media.preprocessing import Interpolation, Preprocessing
from mekiki.models.embed_hub import hub_access
from mekiki.models.embed_opening import EmbedderOpening
from mekiki.models.embed_source import LoadedTower, NetworkSource, loaded_module
from mekiki.training.backbones import TIMM, head_names, timm_name
from mekiki.training.packages import import_timm, import_torch
from mekiki.training.pretrained import has_timm_weights
from mekiki.training.weights import load_exactly, read_weights

if TYPE_CHECKING:
    from torch import nn

INTERPOLATIONS = ("nearest", "bilinear", "bicubic", "lanczos")


class TimmSource(NetworkSource):
    """``timm:NAME`` with its published weights, or with a file of them."""

    def load(self, opening: EmbedderOpening) -> LoadedTower:
        """Load the network."""
        from mekiki.models.embed_networks import Flat

        opening.refuse_preprocessing("among timm's settings for it")
        name = timm_name(TIMM + opening.what)
        output = opening.chosen_output(("pooler",), "pooler")
        torch = import_torch()
        with torch.random.fork_rng(devices=[]):
            network = _published(opening, name) if opening.weights is None else _from_file(opening.weights, name)
        how = timm_preprocessing(opening.name, import_timm().data.resolve_model_data_config(network))
        network.reset_classifier(0)
        return loaded_module(opening, Flat(network), how, {"arch": name, "output": output}, "pooler")


def _published(opening: EmbedderOpening, name: str) -> nn.Module:
    timm = import_timm()
    if not has_timm_weights(name):
        raise BackendError(f"timm has no published weights for {name}. Type: --weights FILE")
    with hub_access(opening, timm.get_pretrained_cfg(name).hf_hub_id or ""):
        return timm.create_model(name, pretrained=True)


def _from_file(weights: Path, name: str) -> nn.Module:
    """Return the network with a file's tensors; the classifier's, for however many classes, do not matter."""
    try:
        file = read_weights(weights)
    except UnreadableError as error:
        raise BackendError(f"no weights can be read from {error}. Say where they are: --weights FILE") from error
    network = import_timm().create_model(name, pretrained=False)
    head = head_names(network)
    body = {one: tensor for one, tensor in file.tensors.items() if one not in head}
    trouble = load_exactly(network, body, without=head)
    if trouble:
        raise BackendError(f"{weights} does not fit {TIMM}{name}: {trouble}")
    return network


def timm_preprocessing(name: str, said: Mapping[str, Any]) -> Preprocessing:
    """Return timm's settings for pictures as ours.

    Raises:
        BackendError: If they ask for what ours cannot do.
    """
    _, height, width = said["input_size"]
    mode, interpolation = said.get("crop_mode") or "center", said["interpolation"]
    resized = (math.floor(height / said["crop_pct"]), math.floor(width / said["crop_pct"]))
    is_centred = mode == "center" and resized[0] == resized[1]
    if interpolation not in INTERPOLATIONS or not (is_centred or mode == "squash"):
        raise BackendError(
            f"{name} prepares its pictures in a way that mekiki cannot: crop mode {mode} to {width} x {height} "
            f"px, interpolation {interpolation}"
        )
    return Preprocessing(
        resize="squash" if mode == "squash" else "short-side",
        resize_hw=resized,
        crop_hw=(height, width),
        interpolation=cast(Interpolation, interpolation),
        mean=tuple(said["mean"]),
        std=tuple(said["std"]),
    )
