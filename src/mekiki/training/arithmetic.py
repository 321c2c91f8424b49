"""Arithmetic in all 24 bits of float32, where a GPU would round to 11."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from mekiki.training.packages import import_torch


@contextmanager
def full_float32() -> Iterator[None]:
    """Let convolutions and matrix products be computed in float32 and not in TF32, whatever the program has set.

    A GPU's usual float32 keeps 10 of 23 bits after the point; scores would depend on the machine, and on what was
    imported before. What was set comes back.
    """
    torch = import_torch()
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    try:
        with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
            yield
    finally:
        torch.set_float32_matmul_precision(before)
