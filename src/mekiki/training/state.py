"""Where a training stands between two epochs."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(slots=True)
class State:
    """All that decides how a training goes on; after as many epochs as ``history`` has rows.

    Attributes:
        history: One row of measures per finished epoch.
        network: Current weights, by name.
        optimiser: AdamW's moments: number of the parameter to name to tensor.
        average: Running average of the weights, if there is one, and...
        n_averaged: ...over how many steps.
        scaler: State of fp16's loss scaling.
        best: Weights of the best epoch so far; averaged ones where there is an average.
        best_epoch: From 1; 0 before the first.
        is_finished: Nothing is left to do.
    """

    history: list[dict[str, float]] = field(default_factory=list)
    network: dict[str, Tensor] = field(default_factory=dict)
    optimiser: dict[int, dict[str, Tensor]] = field(default_factory=dict)
    average: dict[str, Tensor] = field(default_factory=dict)
    n_averaged: int = 0
    scaler: dict[str, float] = field(default_factory=dict)
    best: dict[str, Tensor] = field(default_factory=dict)
    best_epoch: int = 0
    is_finished: bool = False
