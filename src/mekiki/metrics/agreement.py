"""How far two annotators agree, class by class, beyond what chance would give.

N pictures, C classes. States are ``(N, C)`` int8: 1 present, 0 absent, -1 unsure or not asked.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mekiki.metrics.arrays import check_atoms, check_truth
from mekiki.metrics.counting import ratio, sum_by_atom
from mekiki.metrics.intervals import DEFAULT_RESAMPLING, Resampling, Weights, estimate, number_atoms
from mekiki.records import Estimate


@dataclass(frozen=True, slots=True)
class ClassAgreement:
    """How far two annotators agree on one class.

    Attributes:
        kappa: Cohen's, from -1 to 1; NaN where nobody was asked by both, or chance alone would make them agree.
        n_both: Pictures of which both said present or absent.
        observed: Share of those on which they said the same; NaN without any.
    """

    kappa: Estimate
    n_both: int
    observed: float

    def to_json(self) -> dict[str, Any]:
        """Return it as files have it."""
        observed = None if self.observed != self.observed else round(self.observed, 6)
        return {"kappa": self.kappa.to_json(), "n": self.n_both, "agreement": observed}


def cohen_kappa(
    first: NDArray[np.int8],
    second: NDArray[np.int8],
    atoms: NDArray[np.int64],
    resampling: Resampling = DEFAULT_RESAMPLING,
) -> list[ClassAgreement]:
    """Return Cohen's kappa per class with intervals over atoms.

    A picture counts for a class if both annotators said present or absent. Kappa has no value where both say the same
    state everywhere: there is no chance to disagree.

    Args:
        first: ``(N, C)``, of one annotator.
        second: ``(N, C)``, of the other.
        atoms: ``(N,)``.
        resampling: Draws and level.

    Returns:
        One per class; intervals rest on atoms with such a picture.

    Raises:
        ValueError: If shapes do not belong together, or states are none of 1, 0 and -1.

    Reference:
        Cohen, 1960, https://doi.org/10.1177/001316446002000104, equation 1.
    """
    check_truth(first, "first")
    check_truth(second, "second")
    if first.shape != second.shape:
        raise ValueError(f"second must have the shape of first, {first.shape}, got {second.shape}")
    check_atoms(atoms, len(first))
    figures = _Kappas(first, second, atoms)
    is_both = (first >= 0) & (second >= 0)
    n_both, n_same = is_both.sum(axis=0), (is_both & (first == second)).sum(axis=0)
    return [
        ClassAgreement(_widened(kappa, n_atoms, resampling), int(n), int(same) / int(n) if n else float("nan"))
        for kappa, n_atoms, n, same in zip(
            estimate(figures, resampling, is_share=False), figures.rests_on.tolist(), n_both, n_same, strict=True
        )
    ]


def _widened(kappa: Estimate, n_atoms: float, resampling: Resampling) -> Estimate:
    """Return an interval that does not end at full agreement or disagreement, which draws alone cannot rule out.

    With n atoms that all agree, the share of those that do is ``tail ** (1 / n)`` at least (see `estimate`), and kappa,
    which is never above that share, may be as low.
    """
    if not n_atoms:
        return kappa
    flawless = float(((1 - resampling.level) / 2) ** (1 / n_atoms))
    return replace(kappa, low=min(kappa.low, flawless), high=max(kappa.high, -flawless))


class _Kappas:
    """Kappa of each class for any weights of the atoms."""

    def __init__(self, first: NDArray[np.int8], second: NDArray[np.int8], atoms: NDArray[np.int64]) -> None:
        numbers, self.n_atoms = number_atoms(atoms)
        is_both = (first >= 0) & (second >= 0)
        cells = (is_both, (first == 1) & is_both, (second == 1) & is_both, (first == second) & is_both)
        self._sums = [sum_by_atom(one, numbers, self.n_atoms) for one in cells]
        self.rests_on = (self._sums[0] > 0).sum(axis=1).astype(np.float64)
        self.n_chances = self.rests_on

    def __call__(self, weights: Weights) -> NDArray[np.float64]:
        """Return ``(C, R)``."""
        n, first, second, same = (one @ weights for one in self._sums)
        # Both sides of (observed - expected) / (1 - expected), times n squared.
        expected = first * second + (n - first) * (n - second)
        return ratio(n * same - expected, n * n - expected, np.nan)
