"""The packages of the extras ``train`` and ``clip``, imported when they are first needed."""

from __future__ import annotations

import os
from typing import Any

from mekiki.errors import MissingExtraError
from mekiki.torchvision_ops import declare_torchvision_ops


def import_torch() -> Any:
    """Return PyTorch.

    Raises:
        MissingExtraError: If it is not installed.
    """
    # Threads that wait must not spin: on cores shared with the threads that read pictures, or with anybody else's
    # work, training was seen to be eight times as slow. Read once, when PyTorch is loaded; what the user set stays.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    try:
        import torch
    except ImportError as error:
        raise MissingExtraError("torch", "train") from error
    return torch


def import_torchvision() -> Any:
    """Return torchvision, importable beside a CPU-only torch too.

    Raises:
        MissingExtraError: If it or PyTorch is not installed.
    """
    import_torch()
    declare_torchvision_ops()
    try:
        import torchvision
    except ImportError as error:
        raise MissingExtraError("torchvision", "train") from error
    return torchvision


def import_timm() -> Any:
    """Return timm, which imports torchvision.

    Raises:
        MissingExtraError: If it or what it is built on is not installed.
    """
    import_torchvision()
    try:
        import timm
    except ImportError as error:
        raise MissingExtraError("timm", "train") from error
    return timm


def import_safetensors() -> Any:
    """Return safetensors' functions for PyTorch's tensors.

    Raises:
        MissingExtraError: If it or PyTorch is not installed.
    """
    import_torch()
    try:
        import safetensors.torch
    except ImportError as error:
        raise MissingExtraError("safetensors", "train") from error
    return safetensors.torch


def import_open_clip() -> Any:
    """Return open_clip, which imports torchvision and timm.

    Raises:
        MissingExtraError: If it or what it is built on is not installed.
    """
    import_torchvision()
    try:
        import open_clip
    except ImportError as error:
        raise MissingExtraError("open_clip_torch", "clip") from error
    return open_clip


def import_transformers() -> Any:
    """Return transformers, without its reports on how it is used.

    Raises:
        MissingExtraError: If it or what it is built on is not installed.
    """
    import_torchvision()
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    try:
        import transformers
    except ImportError as error:
        raise MissingExtraError("transformers", "clip") from error
    return transformers
