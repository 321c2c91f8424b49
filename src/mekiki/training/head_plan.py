"""The design of a head: what a search may choose. Needs no torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

Hidden = Literal["tanh", "gelu", "relu"]
Init = Literal["he", "glorot"]

MLP, LINEAR = "head:mlp", "head:linear"
"""How backbones and cards name heads; see `mekiki.training.heads.make_head`."""


@dataclass(frozen=True, slots=True)
class HeadPlan:
    """One design.

    Attributes:
        layers: Widths of the hidden layers; none for a linear head.
        hidden: Activation between them.
        dropout: Share of their numbers that training leaves out.
        init: First weights of each Dense, uniform: ``he`` within ±√(6 / inputs), ``glorot`` within
            ±√(6 / (inputs + outputs)). Biases begin at 0, and so does all of a linear head, which has one optimum.
        lr: Learning rate of Adam.
    """

    layers: tuple[int, ...] = (256,)
    hidden: Hidden = "tanh"
    dropout: float = 0.0
    init: Init = "he"
    lr: float = 1e-3

    @property
    def arch(self) -> str:
        """The head's name in a card."""
        return MLP if self.layers else LINEAR

    def to_options(self) -> dict[str, Any]:
        """Return its part of a card's ``arch_options``.

        A linear head that is trained here has a batch normalisation, and is linear all the same: without it, what all
        vectors of an embedder have in common drowns for hundreds of steps what they differ in.
        """
        if not self.layers:
            return {"batch_norm": True}
        return {"layers": list(self.layers), "hidden": self.hidden, "dropout": self.dropout}
