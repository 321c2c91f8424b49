"""Heads that are not ours: LAION's, single linear layers, Keras files; recognised by what is in them.

N is the number of vectors, D of their dimensions, C of classes. Nobody knows which embedder such a head was made for.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from mekiki.errors import UnreadableError, UsageError
from mekiki.training.card import ModelCard
from mekiki.training.head_plan import LINEAR, MLP
from mekiki.training.vector_space import VectorSpace

if TYPE_CHECKING:
    from torch import Tensor

POSITIVE, NEGATIVE = "unsafe", "safe"
"""What a head with a single output tells apart if nobody says otherwise."""

NEGATIVE_KEY = "negative"
"""Key of a card's settings: what a model with a single class says where it is absent."""

_MEAN, _VARIANCE = "norm.mean", "norm.variance"
_KINDS = ("float32", "float16", "bfloat16", "float64")
_LAYER = re.compile(r"linear_(\d+)\.(weight|bias)")


@dataclass(frozen=True, slots=True)
class ForeignHead:
    """What a file of somebody else's turned out to be.

    Attributes:
        arch: ``head:mlp`` or ``head:linear``.
        options: Of `mekiki.training.heads.Head`.
        tensors: Under the names of its state dict.
        n_dims: D.
        n_classes: C.
        activation: None where the file does not say how outputs become scores.
        kind: What it is, in words.
        is_normalised: Whether vectors are scaled to unit length first.
    """

    arch: str
    options: Mapping[str, Any]
    tensors: Mapping[str, Tensor]
    n_dims: int
    n_classes: int
    activation: Literal["sigmoid", "softmax"] | None
    kind: str
    is_normalised: bool = True
    settings: Mapping[str, Any] = field(default_factory=dict)


def find_head(path: Path, tensors: Mapping[str, Tensor]) -> ForeignHead | None:
    """Return the head that a state dict is, or None if it is none that is known by the names of its tensors.

    Known are LAION's (``norm.mean``, ``norm.variance``, ``linear_1`` and so on: ``x = (x - mean) / (sqrt(variance) +
    1e-10)`` of a unit vector, ReLU behind all layers but the last, a sigmoid; https://github.com/LAION-AI/
    CLIP-based-NSFW-Detector) and a single linear layer (``weight``, ``bias``), which says nothing of its output.

    Raises:
        UnreadableError: If it has the names of a head, but shapes or numbers that cannot be one's.
    """
    names = set(tensors)
    if {_MEAN, _VARIANCE} < names and all(_LAYER.fullmatch(name) for name in names - {_MEAN, _VARIANCE}):
        return _laion(path, _as_float32(path, tensors))
    if names == {"weight", "bias"} and tensors["weight"].ndim == 2:
        numbers = _as_float32(path, tensors)
        n_classes, n_dims = tensors["weight"].shape
        _check_chain(path, [(numbers["weight"], numbers["bias"])], n_dims)
        return ForeignHead(
            arch=LINEAR,
            options={"n_inputs": n_dims},
            tensors={f"output.{name}": tensor for name, tensor in numbers.items()},
            n_dims=n_dims,
            n_classes=n_classes,
            activation=None,
            kind="a single linear layer",
        )
    return None


def head_card(
    path: Path,
    head: ForeignHead,
    arch: str | None,
    class_names: Sequence[str] | None,
    activation: Literal["sigmoid", "softmax"] | None,
) -> ModelCard:
    """Return the card of a head of somebody else's.

    Args:
        path: Its file.
        head: What is in it.
        arch: What the user says it is: nothing, or a head.
        class_names: In the order of its outputs; ``unsafe`` if not given and there is one.
        activation: What the user says makes scores of its outputs.

    Raises:
        UsageError: If what is given is not so, or something is neither given nor in the file.
    """
    if arch is not None and not arch.startswith("head:"):
        raise UsageError(f"{path} is a head on vectors ({head.kind}), not a {arch}. Leave out --arch")
    if head.activation is not None and activation not in (None, head.activation):
        raise UsageError(f"{path} says that its outputs go through a {head.activation}. Leave out --activation")
    known = head.activation or activation
    if known is None:
        raise UsageError(
            f"{path} is {head.kind} on {head.n_dims}-dimensional vectors and does not say what its output is. A mark "
            "such as LAION's aesthetic one, about 1 to 10, is no probability, and models here give probabilities. If "
            "this one's output becomes one, type --activation sigmoid --classes NAME"
        )
    is_default = not class_names and head.n_classes == 1 and head.activation is not None
    names = (POSITIVE,) if is_default else tuple(class_names or ())
    if not names:
        raise UsageError(f"{path} does not say what its classes are. Name all {head.n_classes} in order: --classes")
    if len(names) != head.n_classes or len(set(names)) != len(names):
        raise UsageError(
            f"{path} has {head.n_classes} outputs, which want as many different classes, got {', '.join(names)}"
        )
    return ModelCard(
        name=path.stem,
        arch=head.arch,
        arch_options=head.options,
        class_names=names,
        vectors=VectorSpace(n_dims=head.n_dims, is_normalised=head.is_normalised),
        activation=known,
        settings={**head.settings, **({NEGATIVE_KEY: NEGATIVE} if is_default else {})},
    )


def _laion(path: Path, tensors: Mapping[str, Tensor]) -> ForeignHead:
    numbers = sorted({int(found[1]) for found in map(_LAYER.fullmatch, tensors) if found})
    wanted = {f"linear_{number}.{part}" for number in range(1, len(numbers) + 1) for part in ("weight", "bias")}
    missing = sorted(wanted - set(tensors))
    if missing:
        raise UnreadableError(path, f"a head of LAION's that lacks {missing[0]}")
    layers = [(tensors[f"linear_{one}.weight"], tensors[f"linear_{one}.bias"]) for one in numbers]
    n_dims = tensors[_MEAN].numel()
    if tensors[_MEAN].shape != (n_dims,) or tensors[_VARIANCE].shape != (n_dims,):
        raise UnreadableError(path, f"its {_MEAN} and {_VARIANCE} are no two vectors of one length")
    if not (tensors[_VARIANCE] >= 0).all():
        raise UnreadableError(path, f"its {_VARIANCE} has numbers that no vectors have")
    _check_chain(path, layers, n_dims)
    own: dict[str, Tensor] = {"standard.mean": tensors[_MEAN], "standard.variance": tensors[_VARIANCE]}
    for place, (weight, bias) in enumerate(layers):
        name = "output" if place == len(layers) - 1 else f"blocks.{place}.dense"
        own |= {f"{name}.weight": weight, f"{name}.bias": bias}
    widths = [int(weight.shape[0]) for weight, _ in layers]
    return ForeignHead(
        arch=MLP,
        options={
            "n_inputs": n_dims,
            "layers": widths[:-1],
            "hidden": "relu",
            "batch_norm": False,
            "standardise": True,
        },
        tensors=own,
        n_dims=n_dims,
        n_classes=widths[-1],
        activation="sigmoid",
        kind="one of LAION's",
    )


def _as_float32(path: Path, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return tensors as float32, or raise `UnreadableError` if one of them is of another kind or not finite there."""
    numbers = {}
    for name, tensor in tensors.items():
        kind = str(tensor.dtype).removeprefix("torch.")
        if kind not in _KINDS:
            raise UnreadableError(path, f"its {name} is {kind}; a head's weights are {', '.join(_KINDS)}")
        numbers[name] = tensor.float()
        if not numbers[name].isfinite().all():
            raise UnreadableError(path, f"its {name} has numbers that are not finite in float32")
    return numbers


def _check_chain(path: Path, layers: Sequence[tuple[Tensor, Tensor]], n_dims: int) -> None:
    """Raise `UnreadableError` if the output of one layer is not the input of the next."""
    width = n_dims
    for number, (weight, bias) in enumerate(layers, start=1):
        if weight.ndim != 2 or weight.shape[1] != width or bias.shape != weight.shape[:1] or not weight.shape[0]:
            raise UnreadableError(
                path,
                f"layer {number} of the head is {list(weight.shape)} and {list(bias.shape)}, behind {width} numbers",
            )
        width = int(weight.shape[0])
