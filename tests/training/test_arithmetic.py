"""Arithmetic without TF32: what a program has set is not used, and comes back."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")
from mekiki.training.arithmetic import full_float32  # noqa: E402


@pytest.mark.parametrize("before", ["highest", "high", "medium"])
def test_tf32_is_off_inside_and_as_before_outside(before: str) -> None:
    usual, convolutions = torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32
    torch.set_float32_matmul_precision(before)
    try:
        with full_float32():
            inside = torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32
        with pytest.raises(KeyError), full_float32():
            raise KeyError
        after = torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32
    finally:
        torch.set_float32_matmul_precision(usual)

    assert inside == ("highest", False)
    assert after == (before, convolutions)
