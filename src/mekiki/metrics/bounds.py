"""One-sided lower bounds of shares that were counted in atoms, for many thresholds at once.

T thresholds. A share is hits over cells: recall counts found cells of present ones, precision present cells of decided
ones. Cells of one atom are alike, so that they count for fewer: their number is divided by the design effect.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.special import betainc, betaincinv, ndtri, stdtrit

Row = NDArray[np.float64]

UNSEEN = 0.5
"""Of an atom that is counted as wrong beside what was seen."""

N_SHARES = 1025
"""Shares at which bounds are computed; between them they are linear."""

CELLS = np.geomspace(1, 1e8, 2000)
"""Numbers of independent cells for which critical shares are computed; between them they are linear."""


@dataclass(frozen=True, slots=True)
class Moments:
    """Sums over atoms, at each threshold: of hits, of cells, of their squares and products. All ``(T,)``."""

    hits: Row
    cells: Row
    hits_squared: Row
    hits_cells: Row
    cells_squared: Row
    n_atoms: Row  # with a cell

    @property
    def share(self) -> Row:
        """Hits over cells; 0 without cells."""
        return np.divide(self.hits, self.cells, out=np.zeros_like(self.hits), where=self.cells > 0)

    @property
    def cautious_share(self) -> Row:
        """The share with half an atom more that is all wrong; whole, it is as large as the atom of an average cell."""
        cells = np.maximum(self.cells, 1e-9)
        return self.hits / (cells + UNSEEN * self.cells_squared / cells)

    def complement(self) -> Moments:
        """Return the moments of the cells that are no hits."""
        return Moments(
            self.cells - self.hits,
            self.cells,
            self.cells_squared - 2 * self.hits_cells + self.hits_squared,
            self.cells_squared - self.hits_cells,
            self.cells_squared,
            self.n_atoms,
        )


def design_effect(moments: Moments, at: int, tail: float) -> float:
    """Return how many cells count for one independent cell, 1 or more, from the variance between atoms at a threshold.

    One more atom is counted that is all wrong and as large as the atom of an average cell: what has not been seen yet
    can still come. The effect also holds Korn and Graubard's correction for few atoms, t instead of normal quantiles.

    Reference:
        Korn and Graubard, 1998, Survey Methodology 24, pages 193 to 201, section 2.
    """
    cells, n_atoms = max(float(moments.cells[at]), 1e-9), max(float(moments.n_atoms[at]), 1.0)
    extra = float(moments.cells_squared[at]) / cells
    share = float(moments.hits[at]) / (cells + extra)
    squares = (
        float(moments.hits_squared[at])
        - 2 * share * float(moments.hits_cells[at])
        + share**2 * (float(moments.cells_squared[at]) + extra**2)
    )
    variance = (n_atoms + 1) / n_atoms * squares / (cells + extra) ** 2
    effect = variance * cells / (share * (1 - share)) if 0 < share < 1 else extra
    return float(max(effect, 1.0) * (stdtrit(max(n_atoms - 1, 1), tail) / ndtri(tail)) ** 2)


def lower_bound(moments: Moments, effect: float, tail: float) -> Row:
    """Return what shares are at least, but for ``tail`` of all cases; 0 where there is no hit.

    The exact (Clopper-Pearson) bound of the cautious share for as many cells as are independent. Without the half atom
    in the share, promises of recall 0.9 were broken after up to 10 % of sets of 60 to 400 atoms of a world in which an
    eighth of the atoms are hopeless, and after 9 % where large atoms are the hard ones; with it after up to 5 %.
    """
    n = moments.cells / effect
    share = moments.cautious_share
    if len(share) > N_SHARES and (n == n[0]).all():
        grid = np.linspace(0, 1, N_SHARES)
        return np.interp(share, grid, _exact_bound(grid, np.full(N_SHARES, n[0]), tail))
    return _exact_bound(share, n, tail)


def holds(moments: Moments, effect: float, at_least: float, tail: float) -> NDArray[np.bool_]:
    """Return where `lower_bound` is ``at_least`` or more; much faster than computing it."""
    n = np.maximum(moments.cells / effect, CELLS[0])
    return np.asarray(moments.cautious_share >= np.interp(n, CELLS, _critical_shares(at_least, tail)), bool)


@lru_cache
def n_flawless(at_least: float, tail: float) -> int:
    """Return how many atoms, all right, are enough for a bound of ``at_least``."""
    is_enough = _critical_shares(at_least, tail) <= CELLS / (CELLS + UNSEEN)
    return int(np.ceil(CELLS[np.argmax(is_enough)] if is_enough.any() else CELLS[-1]))


@lru_cache
def _critical_shares(at_least: float, tail: float) -> Row:
    """Return the lowest share whose exact bound is ``at_least``, for each of `CELLS`; above 1 where there is none."""
    low, high = np.full_like(CELLS, at_least), np.full_like(CELLS, 1 + 1e-6)
    for _ in range(40):
        middle = (low + high) / 2
        is_enough = betainc(middle * CELLS, np.maximum(1 - middle, 0) * CELLS + 1, at_least) <= tail
        low, high = np.where(is_enough, low, middle), np.where(is_enough, middle, high)
    return high


def _exact_bound(share: Row, n: Row, tail: float) -> Row:
    hits = share * n
    return np.where(hits > 0, betaincinv(np.maximum(hits, 1e-9), (1 - share) * n + 1, tail), 0.0)
