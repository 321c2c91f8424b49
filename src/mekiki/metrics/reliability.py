"""How far scores are from being probabilities, bin by bin, and how scores are spread: for one model on one part.

N pictures, C classes, K atoms, R draws of atoms, B bins of equal width over [0, 1]; a score on the border of two bins
belongs to the upper one, 1 to the last.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from mekiki.metrics.counting import ratio, sum_by_atom
from mekiki.metrics.intervals import MIN_ATOMS, Resampling, Weights, draw_atoms
from mekiki.records import Estimate

N_BINS = 15
N_BARS = 20


@dataclass(frozen=True, slots=True)
class Reliability:
    """One class: how many known pictures have a score in each bin, their mean score, and the share that shows it.

    The last two are None where a bin is empty.
    """

    n: tuple[int, ...]  # (B,)
    mean_score: tuple[float | None, ...]  # (B,)
    present_share: tuple[float | None, ...]  # (B,)

    def to_json(self) -> dict[str, Any]:
        """Return it as files have it."""
        return {"n": list(self.n), "mean_score": list(self.mean_score), "present_share": list(self.present_share)}


@dataclass(frozen=True, slots=True)
class Histogram:
    """One class: how many pictures with it, and how many without it, have a score in each of `N_BARS` bins."""

    present: tuple[int, ...]
    absent: tuple[int, ...]

    def to_json(self) -> dict[str, list[int]]:
        """Return it as files have it."""
        return {"present": list(self.present), "absent": list(self.absent)}


def bin_scores(scores: NDArray[np.float32], n_bins: int) -> NDArray[np.int64]:
    """Return the bin of each score, 0 to ``n_bins - 1``.

    Example:
        >>> bin_scores(np.array([0.0, 0.49, 0.5, 1.0], np.float32), 2)
        array([0, 0, 1, 1])
    """
    return np.minimum((scores.astype(np.float64) * n_bins).astype(np.int64), n_bins - 1)


def reliability(scores: NDArray[np.float32], truth: NDArray[np.int8], n_bins: int = N_BINS) -> Reliability:
    """Return a class's bins.

    Args:
        scores: ``(N,)`` in [0, 1].
        truth: ``(N,)``, where -1 is masked and does not count.
        n_bins: At least 1.
    """
    is_known = truth >= 0
    bins = bin_scores(scores[is_known], n_bins)
    n = np.bincount(bins, minlength=n_bins)
    means, shares = (
        np.bincount(bins, weights, minlength=n_bins) / np.maximum(n, 1)
        for weights in (scores[is_known].astype(np.float64), (truth[is_known] == 1).astype(np.float64))
    )
    return Reliability(tuple(n.tolist()), _where_any(means, n), _where_any(shares, n))


def count_scores(scores: NDArray[np.float32], truth: NDArray[np.int8], n_bins: int = N_BARS) -> Histogram:
    """Return how a class's scores are spread over pictures with and without it; arguments as `reliability`."""
    present, absent = (
        tuple(np.bincount(bin_scores(scores[truth == state], n_bins), minlength=n_bins).tolist()) for state in (1, 0)
    )
    return Histogram(present, absent)


def calibration_errors(
    scores: NDArray[np.float32],
    truth: NDArray[np.int8],
    atoms: NDArray[np.int64],
    n_atoms: int,
    resampling: Resampling,
) -> list[Estimate]:
    """Return the expected calibration error of each class, then that of all known cells together.

    See `mekiki.metrics.calibration.calibration_error`. Chance alone makes the measured error larger than the true one,
    the more so the fewer the pictures; draws of atoms add chance to chance, so that an interval from their quantiles
    would lie above the true error. What is measured differs from the truth by no more than the bins' gaps differ from
    the true ones, all added up: the lower end is the measured error less a high quantile of that, the upper end is the
    plain quantile, which chance moves up already. In 150 worlds each of 300 and of 2,000 pictures with a true error of
    0, 0.05 and 0.15, 95 % intervals held it in 95 % or more.

    Args:
        scores: ``(N, C)`` in [0, 1].
        truth: ``(N, C)``, where -1 is masked.
        atoms: ``(N,)`` 0 to K - 1.
        n_atoms: K.
        resampling: Draws and level.

    Returns:
        C + 1; NaN where no cell is known.
    """
    n_classes = truth.shape[1]
    rows, columns = np.nonzero(truth >= 0)
    excess = scores[rows, columns].astype(np.float64) - (truth[rows, columns] == 1)
    places = columns * N_BINS + bin_scores(scores[rows, columns], N_BINS)
    sums = csr_matrix((excess, (places, atoms[rows])), shape=(n_classes * N_BINS, n_atoms))
    known = sum_by_atom(truth >= 0, atoms, n_atoms)

    def gaps(weights: Weights) -> NDArray[np.float64]:
        """Return how much too high the scores of each bin are, as a share of all cells, ``(C + 1, B, R)``."""
        by_class = np.asarray(sums @ weights).reshape(n_classes, N_BINS, -1)
        cells = known @ weights
        both = np.concatenate([by_class, by_class.sum(axis=0)[None]])
        return ratio(both, np.concatenate([cells, cells.sum(axis=0)[None]])[:, None], np.nan)

    if not n_atoms:
        return [Estimate(float("nan"), float("nan"), float("nan"), False) for _ in range(n_classes + 1)]
    measured = gaps(np.ones((n_atoms, 1)))
    draws = [
        (np.abs(drawn).sum(axis=1), np.abs(drawn - measured).sum(axis=1)) for drawn in _drawn(gaps, n_atoms, resampling)
    ]
    errors, distances = (np.concatenate(part, axis=1) for part in zip(*draws, strict=True))
    values = np.abs(measured).sum(axis=(1, 2)).tolist()
    n_speaking = [*(known > 0).sum(axis=1).tolist(), int((known > 0).any(axis=0).sum())]
    tail = (1 - resampling.level) / 2
    found = []
    for value, error, distance, n in zip(values, errors, distances, n_speaking, strict=True):
        is_drawn = np.isfinite(error)
        if not n or not is_drawn.any():
            found.append(Estimate(float("nan"), float("nan"), float("nan"), False))
            continue
        low = max(0.0, value - float(np.quantile(distance[is_drawn], 1 - tail)))
        high = max(value, float(np.quantile(error[is_drawn], 1 - tail)))
        found.append(Estimate(value, low, min(high, 1.0), n >= MIN_ATOMS))
    return found


def _drawn(
    gaps: Callable[[Weights], NDArray[np.float64]], n_atoms: int, resampling: Resampling
) -> Iterator[NDArray[np.float64]]:
    return (gaps(weights) for weights in draw_atoms(n_atoms, resampling))


def _where_any(numbers: NDArray[np.float64], n: NDArray[np.int64]) -> tuple[float | None, ...]:
    return tuple(
        round(number, 6) if count else None for number, count in zip(numbers.tolist(), n.tolist(), strict=True)
    )
