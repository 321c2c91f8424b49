"""Networks by name: torchvision's, timm's, one of ours, the user's own."""

from __future__ import annotations

import difflib
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mekiki.errors import BackendError, UnreadableError, UsageError, unknown_name
from mekiki.media.preprocessing import IMAGENET_MEAN, IMAGENET_STD, Preprocessing
from mekiki.training.packages import import_timm, import_torch, import_torchvision
from mekiki.training.pretrained import TORCHVISION, fetch_torchvision, has_timm_weights, make_timm_pretrained
from mekiki.training.user_code import is_user_code, make_user_network, read_source
from mekiki.training.weights import load_exactly, read_weights

if TYPE_CHECKING:
    from torch import nn
    from torch.nn import Parameter

SMALL_CNN = "small-cnn"
HEAD = "head:"
"""Begins the names of networks that look at vectors; see `mekiki.training.heads`."""

TIMM = "timm:"
N_SUGGESTED = 5

_NUMBERED = re.compile(r"^(?:layer|features\.|stages\.)(\d+)")
"""Parts of a network that follow each other, as torchvision and `small_cnn` name them."""


@dataclass(frozen=True, slots=True)
class BackboneSpec:
    """Which network to make.

    Attributes:
        arch: ``small-cnn``, a short name, a timm model with or without ``timm:`` before it, ``python:FILE:CLASS``, or
            ``head:mlp`` and ``head:linear``, which look at vectors. A short name means torchvision's,
            ``timm:resnet18`` timm's.
        n_classes: Width of its output.
        options: Further arguments of its constructor.
    """

    arch: str
    n_classes: int
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Start:
    """A network as training begins.

    Attributes:
        network: In training mode, on the CPU.
        left_out: Names of the file's tensors that were not taken, since they belong to a head for other classes.
    """

    network: nn.Module
    left_out: tuple[str, ...] = ()


def make_network(spec: BackboneSpec, *, pretrained: bool, weights: Path | None, allow_code: bool) -> nn.Module:
    """Return a network that turns ``(N, 3, H, W)`` float32, a head ``(N, D)``, into ``(N, n_classes)`` logits."""
    return start_network(spec, pretrained=pretrained, weights=weights, allow_code=allow_code).network


def start_network(spec: BackboneSpec, *, pretrained: bool, weights: Path | None, allow_code: bool) -> Start:
    """Return a network, and what of the given weights it did not take.

    Weights are drawn from PyTorch's global generator where none are given, and always for a head of another width.

    Args:
        spec: Which network.
        pretrained: Whether it starts from published weights, all but the head's; ``weights`` goes before.
        weights: A file of ours, of seed 1 or a plain state dict, which must fit in every tensor. A head for another
            number of classes is left out.
        allow_code: Whether code of the user's may be run.

    Raises:
        UsageError: If the name or an option is unknown, there are no pretrained weights, or code is not allowed.
        BackendError: If pretrained weights cannot be fetched, or the file's do not fit.
        UnreadableError: If ``weights`` cannot be read.
    """
    if weights is not None:
        network = _make_bare(spec, allow_code=allow_code)
        return Start(network, _load_file(network, weights, spec))
    if not pretrained:
        return Start(_make_bare(spec, allow_code=allow_code))
    if not has_pretrained(spec.arch):
        raise UsageError(f"there are no pretrained weights for {spec.arch}. Type: --no-pretrained, or --weights FILE")
    if spec.arch not in TORCHVISION:
        return Start(make_timm_pretrained(timm_name(spec.arch), spec.n_classes, spec.options))
    network = _make_bare(spec, allow_code=allow_code)
    head = head_names(network)
    body = {name: tensor for name, tensor in fetch_torchvision(spec.arch).items() if name not in head}
    trouble = load_exactly(network, body, without=head)
    if trouble:
        raise BackendError(
            f"torchvision's weights of {spec.arch} do not fit {spec.arch} {dict(spec.options)}: {trouble}"
        )
    return Start(network)


def has_pretrained(arch: str) -> bool:
    """Return whether published weights exist for a backbone, wherever they are.

    Raises:
        UsageError: If there is no such backbone.
    """
    if arch == SMALL_CNN or arch.startswith(HEAD) or is_user_code(arch):
        return False
    return arch in TORCHVISION or has_timm_weights(timm_name(arch))


def _make_bare(spec: BackboneSpec, *, allow_code: bool) -> nn.Module:
    import_torch()
    if is_user_code(spec.arch):
        return make_user_network(spec.arch, spec.n_classes, spec.options, allow_code=allow_code)
    try:
        if spec.arch == SMALL_CNN:
            from mekiki.training.small_cnn import SmallCnn

            return SmallCnn(spec.n_classes, **spec.options)
        if spec.arch.startswith(HEAD):
            from mekiki.training.heads import make_head

            return make_head(spec.arch, spec.n_classes, spec.options)
        if spec.arch in TORCHVISION:
            models = import_torchvision().models
            return models.get_model(spec.arch, weights=None, num_classes=spec.n_classes, **spec.options)
        name = timm_name(spec.arch)
        return import_timm().create_model(name, pretrained=False, num_classes=spec.n_classes, **spec.options)
    except TypeError as error:
        if not spec.options:
            raise
        raise UsageError(f"{spec.arch} does not take the options {dict(spec.options)}: {error}") from error


def timm_name(arch: str) -> str:
    """Return timm's name of a backbone that is none of ours.

    Raises:
        UsageError: If timm has none of that name, or no weights of the tag behind its point.
    """
    timm = import_timm()
    name = arch.removeprefix(TIMM)
    base, _, tag = name.partition(".")
    prefix = TIMM if arch.startswith(TIMM) else ""
    if timm.is_model(base):
        tagged = timm.list_pretrained(f"{base}.*")
        if tag and name not in tagged:
            raise unknown_name(f"pretrained {base}", arch, [prefix + one for one in tagged])
        return name
    near = difflib.get_close_matches(name, timm.list_models(), n=N_SUGGESTED)
    ours = {*TORCHVISION, SMALL_CNN, "python:FILE:CLASS"}
    raise unknown_name("backbone", arch, ours | {prefix + one for one in near})


def _load_file(network: nn.Module, weights: Path, spec: BackboneSpec) -> tuple[str, ...]:
    """Load a file into a network and return the names of the head's tensors that were left out."""
    file = read_weights(weights)
    if file.card is not None and file.card.kind == "ensemble":
        raise BackendError(f"{weights} is an ensemble; training starts from one network. Give one of its members")
    trouble = load_exactly(network, file.tensors)
    if not trouble:
        return ()
    own, head = network.state_dict(), head_names(network)
    left_out = tuple(name for name in file.tensors if name in head)
    has_other_width = all(own[name].shape[:1] != file.tensors[name].shape[:1] for name in left_out)
    body = {name: tensor for name, tensor in file.tensors.items() if name not in head}
    if not has_other_width or load_exactly(network, body, without=head):
        raise BackendError(f"{weights} does not fit {spec.arch}: {trouble}")
    return left_out


def head_of(network: nn.Module) -> nn.Module:
    """Return what turns features into logits: timm's classifier, else the Linear that was registered last.

    Of two classifiers, as a distilled transformer has, both together. Without a Linear, the last part with weights.

    Raises:
        UsageError: If no part of the network has weights.
    """
    from torch import nn

    if callable(getattr(network, "get_classifier", None)):
        found = network.get_classifier()
        return nn.ModuleList(found) if isinstance(found, (tuple, list)) else found
    parts = [part for part in network.modules() if any(True for _ in part.parameters(recurse=False))]
    linear = [part for part in parts if isinstance(part, nn.Linear)]
    if not parts:
        raise UsageError(f"{type(network).__name__} has no weights to train")
    return (linear or parts)[-1]


def head_names(network: nn.Module) -> frozenset[str]:
    """Return the names of the head's tensors in the network's state dict."""
    head = {id(tensor) for tensor in head_of(network).state_dict(keep_vars=True).values()}
    return frozenset(name for name, tensor in network.state_dict(keep_vars=True).items() if id(tensor) in head)


def layer_groups(network: nn.Module) -> list[list[Parameter]]:
    """Return all parameters in groups from input to output, for learning rates that differ; the last is the head.

    timm's models are cut as timm cuts them (coarsely: stem, stages or blocks). Of the others, numbered parts
    (``layer1``, ``features.1``, ``stages.1``) are groups, what comes before them is one more, and what comes after
    belongs to the last. A network without numbered parts has two groups: the head, and all else.
    """
    head = {id(one) for one in head_of(network).parameters()}
    body = [(name, one) for name, one in network.named_parameters() if id(one) not in head]
    depths: dict[str, int] = {}
    if callable(getattr(network, "group_matcher", None)):
        from timm.models import group_parameters

        depths = group_parameters(network, network.group_matcher(coarse=True), reverse=True)
    else:
        depth = -1
        for name, _ in body:
            numbered = _NUMBERED.match(name)
            depth = int(numbered[1]) if numbered else depth
            depths[name] = depth
    groups = [[one for name, one in body if depths[name] == depth] for depth in sorted(set(depths.values()))]
    groups = [group for group in groups if group]
    return [*groups, [one for one in network.parameters() if id(one) in head]]


def default_preprocessing(arch: str, image_size: int, *, pretrained: bool = False) -> Preprocessing:
    """Return how pictures are prepared for a network of this sort.

    ``small-cnn``: resized to ``image_size`` whatever the shape, mean and standard deviation 0.5. All others, as
    seed 1: resized to 256/224 of it, of which the middle is taken, with ImageNet's mean and standard deviation.

    Args:
        arch: As in `BackboneSpec`.
        image_size: Side of what the network sees, in pixels.
        pretrained: Whether its published weights are used: a timm model then gets the mean, deviation and
            interpolation that it was trained with.
    """
    if arch == SMALL_CNN:
        half = (0.5, 0.5, 0.5)
        square = (image_size, image_size)
        return Preprocessing(resize_hw=square, crop_hw=square, mean=half, std=half)
    larger = round(image_size * 256 / 224)
    size = {"resize_hw": (larger, larger), "crop_hw": (image_size, image_size)}
    if not pretrained or arch in TORCHVISION or is_user_code(arch):
        return Preprocessing(**size)
    timm = import_timm()
    published = timm.data.resolve_data_config(pretrained_cfg=timm.get_pretrained_cfg(timm_name(arch)).to_dict())
    return Preprocessing(
        **size,
        interpolation=published["interpolation"],
        mean=published.get("mean", IMAGENET_MEAN),
        std=published.get("std", IMAGENET_STD),
    )


def weights_identity(arch: str, pretrained: bool, weights: Path | None) -> str:
    """Return what a network starts from, for a run's fingerprint: a file's hash, a name, or nothing but chance.

    Raises:
        UnreadableError: If ``weights`` cannot be read.
        UsageError: If the file of ``python:FILE:CLASS`` cannot.
    """
    code = f"source:{hashlib.sha256(read_source(arch).encode()).hexdigest()} " if is_user_code(arch) else ""
    if weights is not None:
        try:
            with weights.open("rb") as file:
                return f"{code}file:{hashlib.file_digest(file, 'sha256').hexdigest()}"
        except OSError as error:
            raise UnreadableError(weights, error.strerror or str(error)) from error
    if pretrained:
        return f"{code}pretrained:{arch} {TORCHVISION.get(arch, '')}".rstrip()
    return f"{code}random"
