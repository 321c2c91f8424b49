"""Trained models in tests: small networks with random weights, as files of ours."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch

from mekiki.catalog.db import Catalog
from mekiki.catalog.models import ModelRow, write_models
from mekiki.media.preprocessing import Preprocessing, prepare
from mekiki.training.backbones import BackboneSpec, default_preprocessing, head_of, make_network
from mekiki.training.card import ModelCard
from mekiki.training.checkpoint import read_tensors, save_model
from workspaces import scene

CLASSES = ("fox", "cat", "hare")


class Saved(NamedTuple):
    """A model file, its id and its card."""

    model_id: str
    path: Path
    card: ModelCard


def make_model(folder: Path, arch: str = "small-cnn", *, seed: int = 0, image_size: int = 32, **card: Any) -> Saved:
    """Write a model with random weights; equal seeds give equal files. ``card`` are further fields of its card."""
    names = card.pop("class_names", CLASSES)
    torch.manual_seed(seed)
    network = make_network(BackboneSpec(arch, len(names)), pretrained=False, weights=None, allow_code=False)
    how = default_preprocessing(arch, image_size)
    facts = {"name": f"{arch}-{seed}", "arch": arch, "class_names": names, "preprocessing": how, **card}
    return Saved(*save_model(folder, ModelCard(**facts), _spread(network, how).state_dict()))


def make_ensemble(folder: Path, members: Sequence[Saved], weights: Sequence[float], name: str = "both") -> Saved:
    """Write an ensemble of networks; weights are scaled to add up to 1."""
    card = ModelCard(
        name=name,
        kind="ensemble",
        class_names=members[0].card.class_names,
        members=tuple(member.card for member in members),
        weights=tuple(weight / sum(weights) for weight in weights),
        parents=tuple(member.model_id for member in members),
    )
    files = [read_tensors(member.path) for member in members]
    tensors = {f"{number}.{key}": tensor for number, file in enumerate(files) for key, tensor in file.items()}
    return Saved(*save_model(folder, card, tensors))


def make_derived(folder: Path, parent: Saved, name: str, **card: Any) -> Saved:
    """Write a model with the weights of another and some other facts on its card, as tuning does."""
    changed = parent.card.model_copy(update={"name": name, "parents": (parent.model_id,), **card})
    return Saved(*save_model(folder, changed, read_tensors(parent.path)))


def register(workspace: Path, model: Saved, run_id: str = "made-up") -> Saved:
    """Make a model one of a workspace's own, as the stages that write models do."""
    with Catalog(workspace) as catalog, catalog.transaction("train", run_id) as transaction:
        write_models(transaction, [ModelRow(model.model_id, run_id, model.card.name, model.path, model.card.parents)])
    return model


def _spread(network: torch.nn.Module, how: Preprocessing) -> torch.nn.Module:
    """Scale the head so that scores of different pictures differ by much more than rounding."""
    pictures = torch.stack([torch.from_numpy(prepare(scene(seed), how)) for seed in range(8)])
    head = head_of(network)
    with torch.no_grad():
        logits = network.eval()(pictures)
        scale = 2 / logits.std(dim=0)
        head.weight.mul_(scale[:, None])
        head.bias.copy_((head.bias - logits.mean(dim=0)) * scale)
    return network
