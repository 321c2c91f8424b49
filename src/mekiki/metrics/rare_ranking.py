"""How well a ranking finds what is known to be rare, beside what a random order would find.

N things are ranked, r of them rare; M more rare things are known that the ranking does not hold. Things with the same
score stand in a random order, and every figure is the mean over all such orders, in closed form: the order in which a
file lists them never matters.

Reference: McSherry and Najork, 2008, https://doi.org/10.1007/978-3-540-78646-7_38, section 3, for ties; the level of
chance is that of one tie of all N. K atoms, R draws of them, J distinct scores that a rare thing has.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from scipy.special import digamma

from mekiki.metrics.beside_chance import TAIL, Figure, draw_orders
from mekiki.metrics.intervals import DEFAULT_RESAMPLING, Resampling, Weights, estimate, number_atoms

Row = NDArray[np.float64]
NO_ATOMS = np.zeros(0, np.int64)


@dataclass(frozen=True, slots=True)
class Cutoff:
    """How many of the first are looked at.

    Attributes:
        name: ``n``, ``2n``, ``50``.
        count: So many; 0 where ``per_rare`` says it.
        per_rare: So many for each of the r + M rare things.
    """

    name: str
    count: int = 0
    per_rare: float = 0.0

    def of(self, n_rare: Row) -> Row:
        """Return k for so many rare things."""
        return np.full(n_rare.shape, float(self.count)) if self.count else self.per_rare * n_rare


USUAL_CUTOFFS = (Cutoff("n", per_rare=1.0), Cutoff("2n", per_rare=2.0))
"""As many as are rare, and twice as many."""


def average_precision(scores: NDArray[np.floating[Any]], is_rare: NDArray[np.bool_], n_missed: int = 0) -> float:
    """Return the mean, over rare things, of the precision at their place; those that are missed add 0.

    Args:
        scores: ``(N,)``, higher comes first.
        is_rare: ``(N,)``.
        n_missed: M.

    Returns:
        In [0, 1]; NaN where nothing is rare.

    Example:
        >>> round(average_precision(np.array([0.9, 0.5, 0.1]), np.array([True, False, True])), 6)
        0.833333
    """
    return _plain(scores, is_rare, n_missed, ())[0]


def precision_at(scores: NDArray[np.floating[Any]], is_rare: NDArray[np.bool_], k: int) -> float:
    """Return the rare share of the first k, or of all N where k is more; see `average_precision`."""
    return _plain(scores, is_rare, 0, (Cutoff("k", _positive(k)),))[1]


def recall_at(scores: NDArray[np.floating[Any]], is_rare: NDArray[np.bool_], k: int, n_missed: int = 0) -> float:
    """Return the share of all r + M rare things that are among the first k; see `average_precision`."""
    return _plain(scores, is_rare, n_missed, (Cutoff("k", _positive(k)),))[2]


def chance_average_precision(n: int, n_rare: int, n_missed: int = 0) -> float:
    """Return the mean of `average_precision` over all orders of N things; somewhat above the share of rare ones.

    Raises:
        ValueError: If there are more rare things than things.

    Example:
        >>> round(chance_average_precision(2, 1), 6)
        0.75
    """
    if not 0 <= n_rare <= n or n_missed < 0:
        raise ValueError(f"of n things 0 to n can be rare, got {n_rare} of {n}, and {n_missed} missed")
    return average_precision(np.zeros(n), np.arange(n) < n_rare, n_missed)


def measure_ranking(
    scores: NDArray[np.floating[Any]],
    is_rare: NDArray[np.bool_],
    atoms: NDArray[np.int64],
    missed: NDArray[np.int64] = NO_ATOMS,
    cutoffs: Sequence[Cutoff] = USUAL_CUTOFFS,
    resampling: Resampling = DEFAULT_RESAMPLING,
) -> dict[str, Figure]:
    """Return ``average_precision``, and ``precision_at_K`` and ``recall_at_K`` for each cutoff K, with intervals.

    Atoms are drawn with all that is in them, and chance is that of each draw. An interval is reliable if rare things,
    and others, lie in `mekiki.metrics.intervals.MIN_ATOMS` atoms or more. Random orders keep together what is in an
    atom, see `mekiki.metrics.beside_chance.draw_orders`.

    Args:
        scores: ``(N,)``, higher comes first.
        is_rare: ``(N,)``.
        atoms: ``(N,)``, any numbers; what has the same belongs together.
        missed: ``(M,)`` atoms of rare things that are not ranked.
        cutoffs: Of different names.
        resampling: Draws and level.

    Raises:
        ValueError: If arrays do not belong together, or a score is no number.
    """
    numbers, n_atoms = number_atoms(np.concatenate([atoms, missed]))
    there, gone = numbers[: len(atoms)], numbers[len(atoms) :]
    found, gains = (
        estimate(RareFigures(scores, is_rare, there, gone, n_atoms, cutoffs, less_chance=less), resampling, not less)
        for less in (False, True)
    )
    names = ("average_precision", *(f"{kind}_at_{one.name}" for one in cutoffs for kind in ("precision", "recall")))
    orders = _random_orders(scores, is_rare, atoms, len(missed), cutoffs)
    return {
        name: Figure(one, one.value - gain.value, gain, ends)
        for name, one, gain, ends in zip(names, found, gains, orders, strict=True)
    }


def _random_orders(
    scores: NDArray[np.floating[Any]],
    is_rare: NDArray[np.bool_],
    atoms: NDArray[np.int64],
    n_missed: int,
    cutoffs: Sequence[Cutoff],
) -> list[tuple[float, float]]:
    """Return between which two values 95 % of orders of atoms lie, in the order of `measure_ranking`'s figures."""
    if not len(scores) or not (is_rare.any() or n_missed):
        return [(float("nan"), float("nan"))] * (1 + 2 * len(cutoffs))
    drawn = [
        _figures(rare, counts, np.full(len(rare), float(n_missed)), cutoffs)[0]
        for rare, counts in draw_orders(scores, is_rare, atoms)
    ]
    ends = np.quantile(np.concatenate(drawn, axis=1), [TAIL, 1 - TAIL], axis=1, method="inverted_cdf")
    return [(float(low), float(high)) for low, high in ends.T]


class RareFigures:
    """Figures of one ranking for any weights of its atoms; see `mekiki.metrics.intervals.Statistic`.

    Args:
        scores: ``(N,)``.
        is_rare: ``(N,)``.
        atoms: ``(N,)`` 0 to K - 1.
        missed: ``(M,)`` 0 to K - 1.
        n_atoms: K.
        cutoffs: Where precision and recall are measured.
        less_chance: Whether chance is taken off each figure.
    """

    def __init__(
        self,
        scores: NDArray[np.floating[Any]],
        is_rare: NDArray[np.bool_],
        atoms: NDArray[np.int64],
        missed: NDArray[np.int64],
        n_atoms: int,
        cutoffs: Sequence[Cutoff],
        *,
        less_chance: bool = False,
    ) -> None:
        if not scores.shape == is_rare.shape == atoms.shape or scores.ndim != 1:
            raise ValueError(f"scores, is_rare and atoms must be (N,), got {scores.shape, is_rare.shape, atoms.shape}")
        if np.isnan(scores).any():
            raise ValueError(f"every score must be a number, got {int(np.isnan(scores).sum())} that are not")
        self._cutoffs, self._less_chance, self.n_atoms = cutoffs, less_chance, n_atoms
        self._missed = np.bincount(missed, minlength=n_atoms).astype(np.float64)
        order = np.argsort(-scores, kind="stable")
        levels, tie = np.unique(-scores[order], return_inverse=True)
        rare = is_rare[order]
        has_rare = np.zeros(len(levels), np.bool_)
        has_rare[tie[rare]] = True
        # Place 2j + 1 is the j-th score that a rare thing has, place 2j is all between it and the one before.
        place = (2 * (np.cumsum(has_rare) - has_rare) + has_rare)[tie]
        shape = (2 * int(has_rare.sum()) + 1, n_atoms)
        self._rare = _by_atom(place[rare], atoms[order][rare], shape)
        self._common = _by_atom(place[~rare], atoms[order][~rare], shape)
        with_rare, with_common = np.union1d(atoms[is_rare], missed), np.unique(atoms[~is_rare])
        n_figures = 1 + 2 * len(cutoffs)
        self.rests_on = np.full(n_figures, float(min(len(with_rare), len(with_common))))
        self.n_chances = self.rests_on

    def __call__(self, weights: Weights) -> Row:
        """Return ``(F, R)``: average precision, then precision and recall at each cutoff."""
        rare, common = (np.ascontiguousarray((one @ weights).T) for one in (self._rare, self._common))
        found, chances = _figures(rare, rare + common, self._missed @ weights, self._cutoffs)
        return found - chances if self._less_chance else found


def _figures(rare: Row, counts: Row, missed: Row, cutoffs: Sequence[Cutoff]) -> tuple[Row, Row]:
    """Return the figures of R orders, and what chance gives, ``(F, R)`` each; NaN where nothing can be measured.

    Args:
        rare: ``(R, P)`` how many are rare at each place of the order.
        counts: ``(R, P)`` how many there are.
        missed: ``(R,)`` how many rare things are not ranked.
        cutoffs: Where precision and recall are measured.
    """
    n, n_ranked = counts.sum(axis=1), rare.sum(axis=1)
    n_rare = n_ranked + missed
    is_known = (n_rare > 0) & (n > 0)
    known = np.where(is_known, n_rare, 1.0)
    figures = [_precisions(rare, counts) / known]
    chances = [_precisions(n_ranked[:, None], n[:, None]) / known]
    reached, hits = np.cumsum(counts, axis=1), np.cumsum(rare, axis=1)
    for cutoff in cutoffs:
        k = np.minimum(cutoff.of(n_rare), n)
        found = np.array([np.interp(*row) for row in zip(k, _from_0(reached), _from_0(hits), strict=True)])
        looked, whole = np.where(k > 0, k, 1.0), np.where(n > 0, n, 1.0)
        figures += [found / looked, found / known]
        chances += [n_ranked / whole, k / whole * n_ranked / known]
    return np.where(is_known, figures, np.nan), np.where(is_known, chances, np.nan)


def _precisions(rare: Row, counts: Row) -> Row:
    """Return the sum of the precisions at all rare things, ``(R,)``, with the mean over orders inside each tie.

    Of m tied things r are rare, and before them stand n, of which h are rare. The i-th of them is rare with
    probability r / m, and then has ``h + 1 + (i - 1) a`` rare things up to itself, a = (r - 1) / (m - 1) in the mean.
    So they add ``r / m`` times the sum over i of that over n + i, which is ``a m + (h + 1 - a - a n)`` times the
    difference of two harmonic numbers.

    Args:
        rare: ``(R, P)`` how many are rare at each place of the order.
        counts: ``(R, P)`` how many there are.
    """
    before, hits = np.cumsum(counts, axis=1) - counts, np.cumsum(rare, axis=1) - rare
    rows, places = np.nonzero(rare)
    r, m, n, h = (one[rows, places] for one in (rare, counts, before, hits))
    a = np.divide(r - 1, m - 1, out=np.zeros_like(r), where=m > 1)
    added = r / m * (a * m + (h + 1 - a - a * n) * (digamma(n + m + 1) - digamma(n + 1)))
    sums = np.zeros(len(rare))
    np.add.at(sums, rows, added)
    return np.asarray(np.minimum(sums, rare.sum(axis=1)), np.float64)  # each is 1 at most, but for rounding


def _plain(
    scores: NDArray[np.floating[Any]], is_rare: NDArray[np.bool_], n_missed: int, cutoffs: Sequence[Cutoff]
) -> list[float]:
    """Return the figures without intervals."""
    one = RareFigures(scores, is_rare, np.zeros(len(scores), np.int64), np.zeros(n_missed, np.int64), 1, cutoffs)
    return [float(figure) for figure in one(np.ones((1, 1)))[:, 0]]


def _positive(k: int) -> int:
    if k < 1:
        raise ValueError(f"k must be 1 or more, got {k}")
    return k


def _from_0(sums: Row) -> Row:
    """Return rows of sums with the 0 that they start from."""
    return np.concatenate([np.zeros((len(sums), 1)), sums], axis=1)


def _by_atom(places: NDArray[np.int64], atoms: NDArray[np.int64], shape: tuple[int, int]) -> csr_matrix:
    """Return how many things of each atom stand at each place."""
    return csr_matrix((np.ones(len(places)), (places, atoms)), shape=shape)
