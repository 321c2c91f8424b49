"""The two stages of training, and the optimiser of each: first the head alone if asked for, then all layers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from mekiki.training.backbones import layer_groups
from mekiki.training.packages import import_torch
from mekiki.training.schedules import ScheduleName, rate_factor

if TYPE_CHECKING:
    from torch import nn

BestBy = Literal["val_micro_f1", "val_macro_f1", "val_loss", "val_macro_ap"]


@dataclass(frozen=True, slots=True)
class FitOptions:
    """How to train; the defaults are seed 1's.

    Attributes:
        epochs: Over all layers, after those of the head.
        lr: Learning rate of AdamW.
        weight_decay: Of AdamW, on all weights.
        head_epochs: First so many epochs change the head alone.
        head_lr: Their learning rate.
        layer_decay: Learning rate of each layer group as a share of that of the group after it; 1 for equal rates.
        schedule: See `mekiki.training.schedules`; it begins with the first epoch over all layers.
        warmup_epochs: Epochs in which rates rise from 0.
        patience: Stop after so many epochs over all layers that brought nothing better; None never stops.
        best_by: Which measure makes an epoch the best: strictly greater, or strictly less for the loss.
        clip_norm: Longest gradient; None for any.
        ema: Decay of the running average of weights, which is then what is validated and kept; 0 for none.
        seed: Of the order, the augmentation and dropout.
    """

    epochs: int = 12
    lr: float = 1e-4
    weight_decay: float = 1e-4
    head_epochs: int = 0
    head_lr: float = 1e-3
    layer_decay: float = 1.0
    schedule: ScheduleName = "plateau"
    warmup_epochs: float = 0
    patience: int | None = None
    best_by: BestBy = "val_micro_f1"
    clip_norm: float | None = None
    ema: float = 0.0
    seed: int = 42


@dataclass(frozen=True, slots=True)
class Stage:
    """Some epochs with one optimiser: ``first`` and ``end`` number them from 0, the end not included."""

    options: FitOptions
    is_head_only: bool
    first: int
    end: int

    def factor(self, at_epoch: float, val_losses: Sequence[float]) -> float:
        """Return by how much rates are multiplied at a time in epochs from 0, after these losses of all epochs."""
        if self.is_head_only:
            return 1.0
        options = self.options
        at, own = at_epoch - self.first, val_losses[self.first :]
        return rate_factor(options.schedule, at, options.epochs, options.warmup_epochs, own)


def stages_of(options: FitOptions) -> Iterator[Stage]:
    """Yield the stages of a training, one or two, in order."""
    if options.head_epochs:
        yield Stage(options, True, 0, options.head_epochs)
    yield Stage(options, False, options.head_epochs, options.head_epochs + options.epochs)


def make_optimiser(network: nn.Module, stage: Stage) -> Any:
    """Return AdamW over what a stage trains, and let nothing else of the network have gradients.

    Each parameter group has its full learning rate as ``base_lr``; see `set_rates`.
    """
    layers = layer_groups(network)
    options = stage.options
    n_layers = len(layers)
    groups = []
    for depth, parameters in enumerate(layers):
        is_trained = not stage.is_head_only or depth == n_layers - 1
        for parameter in parameters:
            parameter.requires_grad_(is_trained)
        if is_trained and parameters:
            rate = options.head_lr if stage.is_head_only else options.lr * options.layer_decay ** (n_layers - 1 - depth)
            groups.append({"params": list(parameters), "lr": rate, "base_lr": rate})
    return import_torch().optim.AdamW(groups, lr=options.lr, weight_decay=options.weight_decay)


def set_rates(optimiser: Any, factor: float) -> float:
    """Set each group's learning rate to its full one times ``factor`` and return the highest, which is the head's."""
    for group in optimiser.param_groups:
        group["lr"] = group["base_lr"] * factor
    return float(max(group["lr"] for group in optimiser.param_groups))


def start_training(network: nn.Module) -> None:
    """Put a network into training mode, but for layers that are frozen.

    The running statistics of frozen batch normalisation stay as they are: they belong to its weights.
    """
    network.train()
    for module in network.modules():
        own = list(module.parameters(recurse=False))
        if own and not any(parameter.requires_grad for parameter in own):
            module.eval()
