"""How a model is opened, as settings of the stages that score pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from mekiki.errors import UsageError
from mekiki.models.opening import ForeignFacts, Opening, Precision, ResizeMode, RuntimeName
from mekiki.settings import Input, Settings, SpeedOnly
from mekiki.training.normalisations import NORMALISATIONS


class ModelSettings(Settings):
    """What computes, and what a checkpoint of somebody else's does not say of itself.

    All of it stays outside the fingerprint. What decides scores is in the run's identity, as it was resolved: so
    ``auto`` and what it stands for are one run, and so are a model and one that only differs in thresholds.
    """

    runtime: RuntimeName = Input("auto", description="what computes; auto: onnx for an .onnx file, else torch")
    device: str = SpeedOnly("auto", description="auto, cpu, cuda, cuda:N or mps")
    precision: Precision = Input("fp32", description="of the arithmetic: bf16 with torch on a GPU, or with openvino")
    arch: str | None = Input(None, description="backbone of a checkpoint of somebody else's, as train takes it")
    classes: tuple[str, ...] = Input((), description="its class, in the order of its outputs")
    activation: Literal["sigmoid", "softmax"] | None = Input(None, description="what makes scores of its outputs")
    image_size: int | None = Input(None, ge=1, description="side in pixels of what it sees (default: 224)")
    resize: ResizeMode | None = Input(
        None, description="before the middle is cut out: to a square (default), by the short side, or not at all"
    )
    resize_px: int | None = Input(None, ge=1, description="to this side (default: 256/224 of image size)")
    normalise: Literal["imagenet", "half"] | None = Input(None, description="its mean and deviation, by name")
    mean: tuple[float, float, float] | None = Input(None, description="what it wants subtracted from each channel")
    std: tuple[float, float, float] | None = Input(None, description="what it wants each channel divided by")
    allow_code: bool = Input(False, description="run the program that a python:FILE:CLASS backbone is")

    def to_opening(self, path: Path, *, is_trusted: bool) -> Opening:
        """Return how the model in a file is opened.

        Args:
            path: The file.
            is_trusted: Whether the program that its backbone may be can be run without asking.

        Raises:
            UsageError: If the runtime cannot run such a file, or has no such device.
            BackendError: If this machine has no such device, or a package is missing.
        """
        if self.normalise is not None and (self.mean or self.std):
            raise UsageError("--normalise and --mean or --std say the same: give one of them")
        mean, std = NORMALISATIONS.get(self.normalise or "", (self.mean, self.std))
        facts = ForeignFacts(
            arch=self.arch,
            class_names=self.classes or None,
            activation=self.activation,
            image_size=self.image_size,
            resize_px=self.resize_px,
            resize=self.resize,
            mean=mean,
            std=std,
        )
        return Opening(path, self.runtime, self.device, self.precision, self.allow_code or is_trusted, facts).resolved()
