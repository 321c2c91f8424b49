"""Checks that arrays belong together: scores, truth and atoms of the same pictures.

N pictures, C classes: scores ``(N, C)`` float32 in [0, 1]; truth ``(N, C)`` int8 with 1 present, 0 absent, -1 masked;
atoms ``(N,)`` int64, where pictures with the same number belong together.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def check_truth(truth: NDArray[np.int8], name: str = "truth") -> None:
    """Refuse what is no ``(N, C)`` array of states.

    Raises:
        ValueError: With the shape or the value.
    """
    if truth.ndim != 2:
        raise ValueError(f"{name} must have shape (N, C), got {truth.shape}")
    if truth.size and not np.isin(truth, (-1, 0, 1)).all():
        wrong = truth[~np.isin(truth, (-1, 0, 1))][0]
        raise ValueError(f"{name} must be 1 (present), 0 (absent) or -1 (masked), got {wrong}")


def check_scores(scores: NDArray[np.float32], truth: NDArray[np.int8]) -> None:
    """Refuse scores that do not belong to a truth, or are outside [0, 1].

    Raises:
        ValueError: With the shape or the value.
    """
    check_truth(truth)
    if scores.shape != truth.shape:
        raise ValueError(f"scores must have the shape of truth, {truth.shape}, got {scores.shape}")
    # Written so that NaN is refused too.
    is_right = (scores >= 0) & (scores <= 1)
    if not is_right.all():
        raise ValueError(f"scores must be from 0 to 1, got {scores[~is_right][0]}")


def check_atoms(atoms: NDArray[np.int64], n_rows: int) -> None:
    """Refuse atoms that are not one whole number per row.

    Raises:
        ValueError: With the shape or the type.
    """
    if atoms.shape != (n_rows,):
        raise ValueError(f"atoms must have shape ({n_rows},), got {atoms.shape}")
    if not np.issubdtype(atoms.dtype, np.integer):
        raise ValueError(f"atoms must be whole numbers, got {atoms.dtype}")
