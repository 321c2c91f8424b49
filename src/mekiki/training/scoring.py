"""What training measures after each epoch: F1 at a fixed decision and average precision, over known cells only.

Plain numbers to steer by; what is reported has intervals and comes from `mekiki.metrics`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score


def f1_scores(decided: NDArray[np.bool_], truth: NDArray[np.int8]) -> tuple[float, float]:
    """Return micro- and macro-F1; 0 where nothing is present and nothing decided, as seed 1 counts.

    Args:
        decided: ``(N, C)``; N may be 0.
        truth: ``(N, C)`` int8; -1 does not count.

    Example:
        >>> decided = np.array([[True, False], [True, True]])
        >>> micro, macro = f1_scores(decided, np.array([[1, 0], [0, 1]], np.int8))
        >>> round(micro, 3), round(macro, 3)
        (0.8, 0.833)
    """
    right = (decided & (truth == 1)).sum(axis=0)
    wrong = (decided & (truth == 0)).sum(axis=0) + (~decided & (truth == 1)).sum(axis=0)
    each = 2 * right / np.maximum(2 * right + wrong, 1)
    micro = 2 * right.sum() / max(int(2 * right.sum() + wrong.sum()), 1)
    return float(micro), float(each.mean())


def macro_average_precision(scores: NDArray[np.float32], truth: NDArray[np.int8]) -> float:
    """Return the mean average precision of the classes that are present somewhere; NaN if none is.

    Args:
        scores: ``(N, C)``; only their order within a class counts.
        truth: ``(N, C)`` int8; -1 does not count.
    """
    found = [
        average_precision_score(truth[known, column] == 1, scores[known, column])
        for column, known in enumerate((truth >= 0).T)
        if (truth[:, column] == 1).any()
    ]
    return float(np.mean(found)) if found else float("nan")
