"""Weights that others trained: fetched once into their packages' caches, or refused with the ways out."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mekiki.errors import BackendError, UsageError
from mekiki.training.packages import import_timm, import_torch, import_torchvision
from mekiki.training.weights import read_weights

if TYPE_CHECKING:
    from torch import Tensor, nn

TORCHVISION = {
    "resnet18": "IMAGENET1K_V1",
    "resnet34": "IMAGENET1K_V1",
    "resnet50": "IMAGENET1K_V2",
    "resnet101": "IMAGENET1K_V2",
    "resnet152": "IMAGENET1K_V2",
    "efficientnet_v2_s": "IMAGENET1K_V1",
}
"""Short names of networks, with the weights that belong to them: seed 1's."""


def fetch_torchvision(arch: str) -> Mapping[str, Tensor]:
    """Return the pretrained tensors of a short name, out of ``TORCH_HOME``'s cache or from the internet.

    Raises:
        BackendError: If they are not in the cache and cannot be fetched, or ``HF_HUB_OFFLINE`` is set.
        UnreadableError: If the cached file is damaged.
    """
    weights = import_torchvision().models.get_model_weights(arch)[TORCHVISION[arch]]
    hub = import_torch().hub
    cached = Path(hub.get_dir()) / "checkpoints" / weights.url.rpartition("/")[2]
    if not cached.is_file():
        if is_offline():
            raise _not_fetched(arch, "HF_HUB_OFFLINE is set", f"fetch {weights.url} into {cached.parent}")
        cached.parent.mkdir(parents=True, exist_ok=True)
        try:  # the file appears under its name when it is complete and its hash is right
            hub.download_url_to_file(
                weights.url, str(cached), hash_prefix=_hash_in(cached.stem), progress=sys.stderr.isatty()
            )
        except (OSError, RuntimeError) as error:
            raise _not_fetched(arch, str(error), f"fetch {weights.url} into {cached.parent}") from error
    return read_weights(cached).tensors


def make_timm_pretrained(name: str, n_classes: int, options: Mapping[str, Any]) -> nn.Module:
    """Return a timm model with its pretrained weights, out of ``HF_HOME``'s cache or from the hub, and a new head.

    Raises:
        UsageError: If timm has no pretrained weights for it.
        BackendError: If they are not in the cache and cannot be fetched, or do not fit.
    """
    timm = import_timm()
    from huggingface_hub import constants
    from huggingface_hub.errors import HTTPError
    from safetensors import SafetensorError

    if not has_timm_weights(name):
        raise UsageError(f"timm has no pretrained weights for {name}. Type: --no-pretrained, or --weights FILE")
    source = timm.get_pretrained_cfg(name)
    way = f"type there hf download {source.hf_hub_id} and copy {constants.HF_HUB_CACHE}"
    if not source.hf_hub_id:
        way = f"fetch {source.url} into {Path(import_torch().hub.get_dir()) / 'checkpoints'}"
        if is_offline() and not (Path(way.rpartition(" ")[2]) / source.url.rpartition("/")[2]).is_file():
            raise _not_fetched(name, "HF_HUB_OFFLINE is set", way)
    try:
        return timm.create_model(name, pretrained=True, num_classes=n_classes, **options)
    except (HTTPError, SafetensorError, OSError, RuntimeError) as error:
        raise _not_fetched(name, str(error), way) from error


def has_timm_weights(name: str) -> bool:
    """Return whether timm knows where pretrained weights of a model are."""
    source = import_timm().get_pretrained_cfg(name, allow_unregistered=True)
    return source is not None and bool(source.hf_hub_id or source.url)


def is_offline() -> bool:
    """Return whether ``HF_HUB_OFFLINE`` forbids the internet; read as the hub's package reads it."""
    return os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "ON", "YES", "TRUE")


def _hash_in(stem: str) -> str | None:
    """Return the first digits of a file's SHA-256 that its name ends in, such as ``resnet18-f37072fd``."""
    digits = stem.rpartition("-")[2]
    return digits if len(digits) == 8 and set(digits) <= set("0123456789abcdef") else None


def _not_fetched(what: str, reason: str, way: str) -> BackendError:
    first = (reason.strip().splitlines() or ["no reason given"])[0].rstrip(".")
    return BackendError(
        f"the pretrained weights of {what} cannot be fetched: {first}. Three ways out: on a machine with internet "
        f"{way} and bring that folder here; a file of your own with --weights FILE; training from chance with "
        "--no-pretrained"
    )
