"""The settings of a head: a small network that learns from stored vectors in place of pixels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from pydantic import field_validator, model_validator

from mekiki.dataset.formats.seed5_out import POSITIVE
from mekiki.errors import UsageError
from mekiki.settings import Field, Input, Settings, result_values
from mekiki.training.head_plan import HeadPlan, Hidden, Init
from mekiki.training.projections import parse_projection
from mekiki.training.train_settings import FitSettings, NetworkSettings

DEFAULTS: dict[str, Any] = {"epochs": 40, "batch_size": 64, "lr": 1e-3, "patience": 5}
"""Seed 5's, where they are not those of networks that look at pixels."""

AUTO = "auto"
"""Of ``positive``: see `choose_positive`."""

SEARCHED = {"mlp": ("hidden", "init", "layers", "units", "lr", "dropout"), "linear": ("lr",)}
"""What a search looks for; see `mekiki.training.search`."""

OF_BLOCKS = ("hidden", "layers", "units", "dropout", "init")
"""What only a head with blocks has."""

OF_HEADS = frozenset(
    {"vectors", "units", "layers", "hidden", "dropout", "init", "class_weight", "projection", "positive", "search"}
)

NOT_OF_HEADS = frozenset(
    {
        *(name for name in NetworkSettings.model_fields if name not in ("name", "allow_code")),
        *("augment", "weight_decay", "loss", "max_positive_weight", "schedule", "warmup_epochs", "head_epochs"),
        *("head_lr", "layer_decay", "clip_norm", "ema", "sampling", "best_by", "precision", "processes"),
        *("workers", "cache_gb"),
    }
)
"""Settings of training that do nothing with a head, which sees no pixel and is trained by Adam as it is."""


class HeadSettings(FitSettings, NetworkSettings):
    """Settings of any training, a head's among them."""

    head: Literal["mlp", "linear"] | None = Field(
        None, description="learn from stored vectors and not from pixels: with hidden layers, or without"
    )
    activation: Literal["sigmoid", "softmax"] | None = Field(
        None, description="with head, or epochs 0: what turns outputs into scores (default: sigmoid)"
    )
    vectors: str | None = Input(
        None, description="with head: whose vectors, by embedder or run id (default: the latest)"
    )
    units: int = Field(256, ge=1, description="with head mlp: width of its layers")
    layers: int = Field(1, ge=1, le=8, description="with head mlp: hidden layers")
    hidden: Hidden = Field("tanh", description="with head mlp: what bends the numbers between layers")
    dropout: float = Field(0.0, ge=0, lt=1, description="with head mlp: share of a layer that training leaves out")
    init: Init = Field("he", description="with head mlp: first weights, uniform by He's or Glorot's rule")
    class_weight: bool = Field(False, description="with head: let rare and common answers weigh the same in sum")
    projection: str | None = Input(
        None, description="with head: orthogonal:N (seed 5's), pca:N or FILE, through which it sees vectors"
    )
    positive: str | None = Field(
        None,
        min_length=1,
        description="with head: give the score of this class only; auto: of unsafe or nsfw where it is one of two",
    )
    search: int = Field(0, ge=0, description="with head: try so many designs, then train the best; 0 for none")

    @model_validator(mode="before")
    @classmethod
    def _fill_in(cls, values: Any) -> Any:
        """Put in a head's own defaults, so that the fingerprint and the card have what is really used."""
        if not isinstance(values, dict) or values.get("head") is None:
            return values
        useless = sorted(NOT_OF_HEADS & values.keys())
        if useless:
            raise ValueError(f"{useless[0]} does nothing with head, which learns from stored vectors: leave it out")
        if str(values.get("epochs")) == "0":
            raise ValueError("epochs must be 1 or more with head: a head made elsewhere needs no training here")
        searched = sorted({*SEARCHED.get(str(values["head"]), ())} & values.keys())
        if searched and str(values.get("search", 0)) != "0":
            raise ValueError(f"{searched[0]} does nothing with search, which finds it: leave out one of them")
        blocks = sorted({*OF_BLOCKS} & values.keys())
        if blocks and values["head"] == "linear":
            raise ValueError(f"{blocks[0]} does nothing with head linear, which has no hidden layers")
        return {**DEFAULTS, **values, "activation": values.get("activation") or "sigmoid"}

    @model_validator(mode="after")
    def _check_head(self) -> HeadSettings:
        taken_over = {"vectors", "projection"} if self.is_adopting else set()
        useless = sorted(self.model_fields_set & OF_HEADS - taken_over)
        if self.head is None and useless:
            raise ValueError(f"{useless[0]} does nothing without head: add --head mlp or --head linear")
        return self

    @field_validator("projection")
    @classmethod
    def _check_projection(cls, text: str | None) -> str | None:
        if text is not None:
            parse_projection(text)
        return text

    @property
    def is_adopting(self) -> bool:
        """Whether weights are taken as they are, and nothing is learned."""
        return self.epochs == self.head_epochs == 0

    @property
    def last_patience(self) -> int:
        """Epochs without a better one after which the last fit of a head stops: twice those of a search's trials."""
        return min(2 * (self.patience or self.epochs), self.epochs)

    def to_plan(self) -> HeadPlan:
        """Return the design of the head as it is set."""
        widths = () if self.head == "linear" else (self.units,) * self.layers
        return HeadPlan(widths, self.hidden, self.dropout, self.init, self.lr)


def choose_positive(positive: str | None, known: Sequence[str], *, is_all: bool = False) -> str | None:
    """Return the class that alone gets a score; None where all do.

    ``auto`` is the one of two classes that is called unsafe or nsfw, in large or small letters.

    Args:
        positive: A class, ``auto``, or None.
        known: Classes of the workspace.
        is_all: What else is set asks for several scores, or says which: ``auto`` is None then.

    Raises:
        UsageError: If nobody can tell whether ``auto`` means the rule or a class of that name.

    Example:
        >>> choose_positive("auto", ["Safe", "NSFW"])
        'NSFW'
        >>> choose_positive("auto", ["fox", "hare"])
    """
    if positive != AUTO:
        return positive
    if is_all:
        return None
    if AUTO in known:
        raise UsageError(
            f"positive {AUTO} is a rule, and a class is called {AUTO!r} too: --classes {AUTO} gives its score alone, "
            "all classes by --classes give all scores"
        )
    found = [name for name in known if name.casefold() in POSITIVE]
    return found[0] if len(known) == 2 and len(found) == 1 else None


def settings_of_head(settings: HeadSettings, plan: HeadPlan) -> dict[str, Any]:
    """Return the settings that a head's card has: those that mean something, with the design that was found.

    ``last_patience`` is what stopped the fit that is kept.

    Args:
        settings: All of them.
        plan: The design that was trained.
    """
    own = {name: value for name, value in result_values(settings).items() if name not in NOT_OF_HEADS}
    own["last_patience"] = settings.last_patience
    if not plan.layers:
        own = {name: value for name, value in own.items() if name not in OF_BLOCKS}
        return {**own, "lr": plan.lr}
    found = {"hidden": plan.hidden, "dropout": plan.dropout, "init": plan.init, "lr": plan.lr}
    return {**own, **found, "layers": len(plan.layers), "units": plan.layers[0]}


def settings_of_pixels(settings: Settings) -> dict[str, Any]:
    """Return the settings that the card of a network has which looks at pixels."""
    return {name: value for name, value in result_values(settings).items() if name not in OF_HEADS | {"head"}}
