"""Intervals that respect atoms: the bootstrap draws atoms, never rows.

K atoms, R draws, F figures. A draw is a column of weights: how often each atom was drawn.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri, stdtrit

from mekiki.records import Estimate

Weights = NDArray[np.float64]
"""``(K, R)``: how often each atom was drawn."""

MIN_ATOMS = 20
"""An interval that rests on fewer atoms is not reliable."""

N_COLUMNS = 64
"""Draws at a time: memory grows with this and not with the number of draws."""

MAX_LEFT_OUT = 400
"""Above this many atoms, the jackknife leaves out this many blocks of them instead of single ones."""


@dataclass(frozen=True, slots=True)
class Resampling:
    """How to draw atoms again and again.

    Attributes:
        n_resamples: Draws; at least 1.
        seed: The same seed draws the same atoms.
        level: Of two-sided intervals, between 0 and 1.
    """

    n_resamples: int = 2000
    seed: int = 0
    level: float = 0.95

    def __post_init__(self) -> None:
        if self.n_resamples < 1:
            raise ValueError(f"n_resamples must be 1 or more, got {self.n_resamples}")
        if not 0 < self.level < 1:
            raise ValueError(f"level must be between 0 and 1, got {self.level}")


DEFAULT_RESAMPLING = Resampling()


class Statistic(Protocol):
    """Figures that can be measured on weighted atoms."""

    @property
    def n_atoms(self) -> int:
        """K."""
        ...

    @property
    def rests_on(self) -> NDArray[np.float64]:
        """``(F,)``: how many atoms speak about a figure: about recall those with the class, about means the fewest."""
        ...

    @property
    def n_chances(self) -> NDArray[np.float64]:
        """``(F,)``: how many atoms could have spoilt a figure: as ``rests_on``, for means over classes a mean."""
        ...

    def __call__(self, weights: Weights) -> NDArray[np.float64]:
        """Return ``(F, R)`` figures, NaN where a draw leaves nothing to measure."""
        ...


def number_atoms(atoms: NDArray[np.int64]) -> tuple[NDArray[np.int64], int]:
    """Return atoms numbered 0 to K - 1 in the order of their names, and K."""
    names, numbers = np.unique(atoms, return_inverse=True)
    return numbers.astype(np.int64), len(names)


def draw_atoms(n_atoms: int, resampling: Resampling) -> Iterator[Weights]:
    """Yield all draws, `N_COLUMNS` at a time; each draw is of as many atoms as there are, with replacement.

    Args:
        n_atoms: At least 1.
        resampling: The level does not matter.
    """
    rng = np.random.default_rng(resampling.seed)
    for start in range(0, resampling.n_resamples, N_COLUMNS):
        n_columns = min(N_COLUMNS, resampling.n_resamples - start)
        drawn = rng.integers(n_atoms, size=(n_columns, n_atoms)) + n_atoms * np.arange(n_columns)[:, None]
        counts = np.bincount(drawn.ravel(), minlength=n_atoms * n_columns)
        yield np.ascontiguousarray(counts.reshape(n_columns, n_atoms).T, np.float64)


def estimate(statistic: Statistic, resampling: Resampling, is_share: bool = True) -> list[Estimate]:
    """Return figures with bias-corrected, accelerated (BCa) intervals over atoms.

    Two additions for few atoms. The tails are widened as a t-interval's are (Hesterberg's expanded bootstrap), by the
    number of atoms that the figure rests on. With n atoms that could have spoilt it, a share ends no nearer to 1 than
    ``tail ** (1 / n)`` and no nearer to 0 than one minus that, the exact ends where all are right, or all wrong: draws
    cannot show a failure that has not happened yet. Draws in which nothing can be measured are left out.

    Chosen by simulation (``tests/metrics/test_intervals.py`` has a small one): 800 sets each of 60 and of 150 atoms of
    log-normal size that act on scores, classes in 40, 20 and 8 % of atoms, 15 figures where they rest on 20 atoms or
    more. 95 % intervals held the true value in 89 to 94 % of sets (percentile), 91 to 95 % (BCa), 90 to 96 % (expanded
    percentile), 92 to 95 % (expanded BCa), and the last missed most evenly: true recall of a class in 30 atoms lay
    below the interval in 5 % of sets, against 8.5, 6.4 and 7.6. Where nearly all decisions are right they held it in 73
    to 94, 81 to 94, 75 to 94 and 82 to 94 %; the last with the exact ends in 92 % or more. Intervals always hold the
    measured value.

    Args:
        statistic: What to measure.
        resampling: Draws and level.
        is_share: Whether figures lie in [0, 1]; differences of two do not.

    Returns:
        One per figure, reliable if it rests on `MIN_ATOMS` atoms or more. NaN where nothing can be measured.

    Reference:
        Efron, 1987, https://doi.org/10.1080/01621459.1987.10478410, equations 2.3 and 6.6.
        Hesterberg, 2015, https://doi.org/10.1080/00031305.2015.1089789, section 4.4.
    """
    rests_on, n_chances = statistic.rests_on, statistic.n_chances
    if statistic.n_atoms == 0:
        return [Estimate(float("nan"), float("nan"), float("nan"), False) for _ in rests_on]
    values = statistic(np.ones((statistic.n_atoms, 1)))[:, 0]
    draws = np.concatenate([statistic(weights) for weights in draw_atoms(statistic.n_atoms, resampling)], axis=1)
    left_out = _leave_out(statistic)
    tail = (1 - resampling.level) / 2
    estimates = []
    for figure, value in enumerate(values.tolist()):
        low, high = _ends(value, draws[figure], left_out[figure], _expanded(tail, rests_on[figure]))
        if is_share and n_chances[figure] > 0:
            flawless = float(tail ** (1 / n_chances[figure]))
            low, high = min(low, flawless), max(high, 1 - flawless)
        is_reliable = bool(rests_on[figure] >= MIN_ATOMS) and np.isfinite([value, low, high]).all()
        estimates.append(Estimate(value, low, high, bool(is_reliable)))
    return estimates


def _expanded(tail: float, n: float) -> float:
    """Return the tail of the bootstrap that stands for a tail of a t-interval with n - 1 degrees of freedom."""
    return float(ndtr(np.sqrt(n / (n - 1)) * stdtrit(n - 1, tail))) if n > 1 else 0.0


def _leave_out(statistic: Statistic) -> NDArray[np.float64]:
    """Return the figures without each atom, or without each block of atoms: ``(F, B)``."""
    n_blocks = min(statistic.n_atoms, MAX_LEFT_OUT)
    block = np.arange(statistic.n_atoms) % n_blocks
    parts = [
        statistic((block[:, None] != np.arange(start, min(start + N_COLUMNS, n_blocks))).astype(np.float64))
        for start in range(0, n_blocks, N_COLUMNS)
    ]
    return np.concatenate(parts, axis=1)


def _ends(value: float, draws: NDArray[np.float64], left_out: NDArray[np.float64], tail: float) -> tuple[float, float]:
    """Return both ends of a BCa interval; NaN if the value is NaN."""
    draws, left_out = draws[np.isfinite(draws)], left_out[np.isfinite(left_out)]
    if not np.isfinite(value) or not len(draws):
        return float("nan"), float("nan")
    # A value that all draws equal has a share of one half; 0 and 1 would have no normal quantile.
    below = (np.sum(draws < value) + np.sum(draws == value) / 2 + 0.5) / (len(draws) + 1)
    shift = ndtri(below)
    pulls = left_out.mean() - left_out if len(left_out) else np.zeros(1)
    spread = np.square(pulls).sum() ** 1.5
    pull = np.power(pulls, 3).sum() / (6 * spread) if spread > 0 else 0.0
    z = shift + ndtri(np.array([max(tail, 1e-12), min(1 - tail, 1 - 1e-12)]))
    # The correction has a pole; beyond it stands the outermost draw.
    low, high = np.quantile(draws, ndtr(shift + z / np.maximum(1 - pull * z, 1e-12)))
    return min(float(low), value), max(float(high), value)
