"""Whether a network takes pictures of a size, and gives one number per class for them."""

from __future__ import annotations

import dataclasses
from contextlib import nullcontext
from typing import TYPE_CHECKING

from mekiki.errors import UsageError
from mekiki.training.backbones import SMALL_CNN, BackboneSpec, timm_name
from mekiki.training.packages import import_timm, import_torch
from mekiki.training.pretrained import TORCHVISION
from mekiki.training.user_code import is_user_code, users_fault

if TYPE_CHECKING:
    from torch import nn


def fit_to_size(spec: BackboneSpec, image_size: int) -> BackboneSpec:
    """Return the spec with timm's option ``img_size``, if the model is made for one size of picture and not this one.

    Vision transformers are; their position embeddings are resampled. An ``img_size`` in the options stays.

    Raises:
        UsageError: If there is no such backbone.
    """
    if spec.arch == SMALL_CNN or spec.arch in TORCHVISION or is_user_code(spec.arch) or "img_size" in spec.options:
        return spec
    made_for = import_timm().get_pretrained_cfg(timm_name(spec.arch), allow_unregistered=True)
    if made_for is None or not made_for.fixed_input_size or made_for.input_size[-1] == image_size:
        return spec
    return dataclasses.replace(spec, options={**spec.options, "img_size": image_size})


def check_output(network: nn.Module, spec: BackboneSpec, crop_hw: tuple[int, int]) -> None:
    """Run a black picture through a network, to see that it gives ``(N, n_classes)``.

    Neither weights nor the running means of normalisations change.

    Args:
        network: On any device; its mode is left as it is.
        spec: What it was made from.
        crop_hw: Size of the pictures that it will get, in pixels.

    Raises:
        UsageError: If it cannot take them, or gives something else.
    """
    torch = import_torch()
    size = f"pictures of {crop_hw[0]} x {crop_hw[1]} px"
    device = next((one.device for one in network.parameters()), "cpu")
    was_training = network.training
    guard = users_fault(spec.arch) if is_user_code(spec.arch) else nullcontext()
    try:
        with guard, torch.inference_mode():
            given = network.eval()(torch.zeros(2, 3, *crop_hw, device=device))
    except (RuntimeError, ValueError, AssertionError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise UsageError(f"{spec.arch} cannot take {size}: {reason}. Give another --image-size") from error
    finally:
        network.train(was_training)
    shape = tuple(given.shape) if isinstance(given, torch.Tensor) else type(given).__name__
    if shape != (2, spec.n_classes):
        raise UsageError(
            f"{spec.arch} gives {shape} for 2 {size}, but there are {spec.n_classes} classes: (2, {spec.n_classes}) "
            "would be right. Let its class take num_classes, and return one logit for each"
        )
