"""The packages of the extras ``train``, ``clip`` and ``hf``, imported when they are first needed."""

from __future__ import annotations

import os
from typing import Any

from mekiki.registry import import_extra
from mekiki.torchvision_ops import declare_torchvision_ops


def import_torch() -> Any:
    """Return PyTorch.

    Raises:
        MissingExtraError: If it is not installed.
    """
    # Threads that wait must not spin: on cores shared with the threads that read pictures, or with anybody else's
    # work, training was seen to be eight times as slow. Read once, when PyTorch is loaded; what the user set stays.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    return import_extra("torch", "train")


def import_torchvision() -> Any:
    """Return torchvision, importable beside a CPU-only torch too.

    Raises:
        MissingExtraError: If it or PyTorch is not installed.
    """
    import_torch()
    declare_torchvision_ops()
    return import_extra("torchvision", "train")


def import_timm() -> Any:
    """Return timm, which imports torchvision.

    Raises:
        MissingExtraError: If it or what it is built on is not installed.
    """
    import_torchvision()
    return import_extra("timm", "train")


def import_safetensors() -> Any:
    """Return safetensors' functions for PyTorch's tensors.

    Raises:
        MissingExtraError: If it or PyTorch is not installed.
    """
    import_torch()
    return import_extra("safetensors.torch", "train", "safetensors")


def import_open_clip() -> Any:
    """Return open_clip, which imports torchvision and timm.

    Raises:
        MissingExtraError: If it or what it is built on is not installed.
    """
    import_torchvision()
    return import_extra("open_clip", "clip", "open_clip_torch")


def import_transformers(extra: str = "clip") -> Any:
    """Return transformers, without its reports on how it is used.

    Args:
        extra: Of mekiki, the one that brings what is wanted of it.

    Raises:
        MissingExtraError: If it or what it is built on is not installed.
    """
    import_torchvision()
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    return import_extra("transformers", extra)
