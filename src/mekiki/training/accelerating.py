"""The Accelerator that training runs under."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Literal

from mekiki.errors import MissingExtraError, UsageError
from mekiki.training.packages import import_torch

if TYPE_CHECKING:
    from accelerate import Accelerator

Precision = Literal["fp32", "fp16", "bf16"]


def open_accelerator(device: str, precision: Precision) -> Accelerator:
    """Return an Accelerator for a device, as if none had been made in this process before.

    Accelerate keeps its choice of device and precision for the life of the process and reads others from the
    environment; here the arguments alone decide, but for the processes that `mekiki.training.launch` starts.

    Args:
        device: ``cpu``, ``cuda:N`` or ``mps``.
        precision: What forward passes compute in; weights stay in 32 bits.

    Raises:
        UsageError: If fp16 is asked for without a GPU.
        MissingExtraError: If Accelerate is not installed.
    """
    torch = import_torch()
    if precision == "fp16" and not device.startswith("cuda"):
        raise UsageError(f"--precision fp16 needs a GPU and this is {device}: try --precision bf16 or fp32")
    try:
        from accelerate import Accelerator
        from accelerate.state import AcceleratorState
    except ImportError as error:
        raise MissingExtraError("accelerate", "train") from error
    if device.startswith("cuda:") and "LOCAL_RANK" not in os.environ:
        torch.cuda.set_device(int(device.removeprefix("cuda:")))
    mixed: Any = {"fp32": "no"}.get(precision, precision)
    AcceleratorState._reset_state(reset_partial_state=True)
    aside = {name: os.environ.pop(name) for name in list(os.environ) if name.startswith("ACCELERATE_")}
    try:
        return Accelerator(cpu=device == "cpu", mixed_precision=mixed)
    finally:
        os.environ.update(aside)
