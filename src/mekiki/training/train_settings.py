"""The settings of a training, by what they are about: the network, its pixels, the loop."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

from pydantic import field_validator, model_validator

from mekiki.media.preprocessing import Interpolation, Preprocessing
from mekiki.settings import Field, Input, Settings, SpeedOnly
from mekiki.training.accelerating import Precision
from mekiki.training.backbones import BackboneSpec, default_preprocessing
from mekiki.training.card import ModelName
from mekiki.training.normalisations import NORMALISATIONS, Channels
from mekiki.training.optimising import BestBy, FitOptions
from mekiki.training.picture_size import fit_to_size
from mekiki.training.schedules import ScheduleName

PIXEL_NAMES = frozenset({"image_size", "resize", "resize_px", "interpolation", "normalise", "mean", "std"})
"""Settings that say how pictures become a network's input."""

JOB_NAMES = {"loss", "max_positive_weight", "augment", "sampling", "batch_size", "precision"}
"""Settings that `mekiki.training.job.Job` takes as they are."""


OF_ALL_LAYERS = frozenset({"lr", "layer_decay", "schedule", "warmup_epochs", "patience"})
"""Settings of the epochs over all layers."""

OF_LEARNING = OF_ALL_LAYERS | {
    *("augment", "weight_decay", "loss", "max_positive_weight", "head_lr", "clip_norm", "ema", "sampling", "best_by"),
    *("precision", "processes", "train_part", "max_train"),
}
"""Settings that do nothing where nothing is learned."""


class NetworkSettings(Settings):
    """Which network, what it starts from, and how pictures become its input."""

    name: ModelName | None = Field(None, description="what to call the model (default: the backbone's name)")
    arch: str = Field(
        "resnet18", description="resnet18 to 152, efficientnet_v2_s, small-cnn, a timm model, or python:FILE:CLASS"
    )
    arch_options: dict[str, Any] = Field({}, description="further arguments of the backbone's constructor")
    pretrained: bool = Field(True, description="start from published weights; --no-pretrained starts from chance")
    weights: Path | None = Input(None, description="start from this file: one of ours, seed 1's, or a state dict")
    allow_code: bool = SpeedOnly(False, description="run the program that a python:FILE:CLASS backbone is")

    image_size: int = Field(224, ge=8, description="side of what the network sees, in pixels")
    resize: Literal["squash", "short-side", "none"] = Field(
        "squash", description="before the middle is cut out: to a square, by the short side, or not at all"
    )
    resize_px: int | None = Field(None, ge=8, description="to this side (default: 256/224 of image_size)")
    interpolation: Interpolation | None = Field(None, description="of resizing (default: bilinear, or as published)")
    normalise: Literal["imagenet", "half"] | None = Field(None, description="mean and deviation (default: the arch's)")
    mean: Channels | None = Field(None, description="of the channels, in 0..1; goes with std")
    std: Channels | None = Field(None, description="of the channels, in 0..1; goes with mean")

    @field_validator("arch_options")
    @classmethod
    def _read_options(cls, options: dict[str, Any]) -> dict[str, Any]:
        return {name: _as_value(value) for name, value in options.items()}

    @model_validator(mode="after")
    def _check_pixels(self) -> NetworkSettings:
        if (self.mean is None) != (self.std is None):
            raise ValueError("mean and std go together: give both, or --normalise imagenet or half")
        if self.mean is not None and self.normalise is not None:
            raise ValueError("normalise and mean say the same: give one of them")
        if self.resize_px is not None and self.resize == "none":
            raise ValueError("resize_px does nothing with resize none: leave it out")
        if self.resize_px is not None and self.resize_px < self.image_size:
            raise ValueError(f"resize_px {self.resize_px} must not be below image_size {self.image_size}")
        if self.std is not None and min(self.std) <= 0:
            raise ValueError(f"std must be above 0, got {self.std}")
        return self

    @model_validator(mode="after")
    def _check_start(self) -> NetworkSettings:
        if self.weights is not None and self.pretrained and "pretrained" in self.model_fields_set:
            raise ValueError("pretrained does nothing with weights, which go before: give one of them")
        return self

    def to_preprocessing(self) -> Preprocessing:
        """Return how pictures become the network's input; what is not said is as the backbone is used to."""
        usual = default_preprocessing(self.arch, self.image_size, pretrained=self.pretrained and self.weights is None)
        mean, std = NORMALISATIONS.get(self.normalise or "", (self.mean or usual.mean, self.std or usual.std))
        side = self.resize_px
        return Preprocessing(
            resize=self.resize,
            resize_hw=usual.resize_hw if side is None else (side, side),
            crop_hw=usual.crop_hw,
            interpolation=self.interpolation or usual.interpolation,
            mean=mean,
            std=std,
        )

    def to_spec(self, n_classes: int) -> BackboneSpec:
        """Return which network to make."""
        return fit_to_size(BackboneSpec(self.arch, n_classes, self.arch_options), self.image_size)


class FitSettings(Settings):
    """How to train."""

    augment: Literal["seed1", "none", "strong"] = Field("seed1", description="how training pictures are changed")
    epochs: int = Field(12, ge=0, description="epochs over all layers, with head 40; 0 takes the --weights as they are")
    batch_size: int = Field(32, ge=2, description="pictures of one step; with head 64")
    lr: float = Field(1e-4, gt=0, description="learning rate of AdamW; with head of Adam, 1e-3")
    weight_decay: float = Field(1e-4, ge=0, description="of AdamW")
    loss: Literal["bce", "asymmetric", "focal"] = Field("bce", description="what is made small")
    max_positive_weight: float = Field(20.0, ge=1, description="with bce: most that a present class counts for")
    schedule: ScheduleName = Field("plateau", description="of the learning rate")
    warmup_epochs: float = Field(0.0, ge=0, description="epochs in which the learning rate rises from 0")
    head_epochs: int = Field(0, ge=0, description="epochs before the others in which only the head learns")
    head_lr: float = Field(1e-3, gt=0, description="with head_epochs: the learning rate of those")
    layer_decay: float = Field(1.0, gt=0, le=1, description="learning rate of a layer group by that of the next one")
    clip_norm: float | None = Field(None, gt=0, description="longest gradient (default: any)")
    ema: float = Field(0.0, ge=0, lt=1, description="decay of a running average of the weights; 0 for none")
    sampling: Literal["uniform", "class-balanced"] = Field("uniform", description="how an epoch draws its pictures")
    best_by: BestBy = Field("val_micro_f1", description="which measure makes an epoch the best")
    patience: int | None = Field(
        None,
        ge=1,
        description="stop after so many epochs without a better one; with head 5, and the last fit waits twice as long",
    )
    precision: Precision = Field("fp32", description="of forward passes")
    processes: int = Field(1, ge=1, description="processes that share each batch, one per GPU")
    seed: int = Field(42, ge=0, description="another seed trains another model")

    @model_validator(mode="after")
    def _check_useful(self) -> FitSettings:
        for names, when, is_so in (
            ({"max_positive_weight"}, f"loss {self.loss}, only with bce", self.loss != "bce"),
            ({"head_lr"}, "head_epochs 0: say how many epochs, or leave it out", not self.head_epochs),
            (OF_LEARNING, "epochs 0, which takes weights as they are", not self.epochs and not self.head_epochs),
            (OF_ALL_LAYERS, "epochs 0: only the head learns", not self.epochs),
        ):
            useless = sorted(self.model_fields_set & names)
            if is_so and useless:
                raise ValueError(f"{useless[0]} does nothing with {when}")
        return self

    def to_options(self) -> FitOptions:
        """Return what the loop needs."""
        return FitOptions(**{name: getattr(self, name) for name in FitOptions.__dataclass_fields__})


def _as_value(text: Any) -> Any:
    """Return the number or truth value that a text stands for, else the text; a flag's values come as text."""
    if not isinstance(text, str):
        return text
    try:
        return json.loads(text)
    except ValueError:
        return text
