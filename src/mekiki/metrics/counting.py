"""Figures that follow from counts of right and wrong decisions: precision, recall, F1, exact match, accuracy.

N pictures, C classes, K atoms, R draws of atoms. All are ratios of sums over atoms, so that each draw costs one product
of matrices.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mekiki.metrics.intervals import Weights

KINDS = ("precision", "recall", "f1")


def ratio(above: NDArray[np.float64], below: NDArray[np.float64], nothing: float) -> NDArray[np.float64]:
    """Return ``above / below``, and ``nothing`` where ``below`` is 0."""
    divided: NDArray[np.float64] = np.full(np.broadcast(above, below).shape, nothing)
    return np.divide(above, below, out=divided, where=below > 0)


_TAIL = 0.025
"""Of each end of a 95 % interval."""


def sum_by_atom(cells: NDArray[np.bool_], atoms: NDArray[np.int64], n_atoms: int) -> NDArray[np.float64]:
    """Return how many of ``(N, C)`` cells are true in each atom, ``(C, K)``."""
    sums = np.empty((cells.shape[1], n_atoms))
    for column in range(cells.shape[1]):
        sums[column] = np.bincount(atoms[cells[:, column]], minlength=n_atoms)
    return sums


def atoms_of_mean(counts: NDArray[np.float64]) -> tuple[float, float]:
    """Return how many atoms a mean over classes rests on, and how many could have spoilt it, from those of each class.

    It rests on those of its rarest class. The others follow from the lowest mean that true shares can have of which it
    is still as likely as `_TAIL` that no atom of any class shows a fault: ``mean(p)`` at its smallest where
    ``prod(p ** n) == tail``, with ``n`` atoms of each class, taken to be independent. That is what so many atoms of a
    single class would allow. A rare class counts for its own share of the mean only, and many classes of ten atoms
    each allow little together, although each allows much. In 80 sets each of four worlds (one class in 16 of 64 atoms,
    easy and hard; one in 14 beside one in 60; one in 9 beside six in 30 to 60) 95 % intervals held the true value in
    95 % or more.

    Args:
        counts: ``(C,)`` atoms of each class that the mean is of; those of none cannot be spoilt any more.
    """
    speaking = counts[counts > 0]
    if not len(speaking):
        return 0.0, 0.0
    if (speaking == speaking[0]).all() and len(speaking) == 1:
        return float(counts.min()), float(speaking[0])
    return float(counts.min()), float(np.log(_TAIL) / np.log(_lowest_mean(np.sort(speaking))))


def _lowest_mean(counts: NDArray[np.float64]) -> float:
    """Return the smallest mean of shares, 0 to 1, with which all atoms are flawless with a chance of `_TAIL`.

    By Lagrange ``p`` is proportional to ``n`` among the classes with the fewest atoms, and 1 for all others.

    Args:
        counts: ``(C,)`` atoms of each class, ascending, above 0.
    """
    n_classes = len(counts)
    for n_active in range(1, n_classes + 1):
        active = counts[:n_active]
        scale = np.exp((np.log(_TAIL) - active @ np.log(active)) / active.sum())
        if n_active == n_classes or scale * counts[n_active] >= 1:
            break
    return float((scale * active.sum() + n_classes - n_active) / n_classes)


class CountFigures:
    """Figures of decisions, for any weights of the atoms.

    A ratio without a denominator is 0 (scikit-learn's ``zero_division=0``), as long as there is a known cell; NaN where
    nothing is known. Macro figures are means over the classes of which a cell is known, without positives or not.
    """

    def __init__(
        self,
        scores: NDArray[np.float32],
        truth: NDArray[np.int8],
        decisions: NDArray[np.bool_],
        atoms: NDArray[np.int64],  # (N,) 0 to K - 1
        n_atoms: int,
    ) -> None:
        is_known, is_present = truth >= 0, truth == 1
        has_all = is_known.all(axis=1)
        is_unknown, says_unknown = (has_all & ~is_present.any(axis=1)), (has_all & ~decisions.any(axis=1))
        is_right = has_all & (decisions == is_present).all(axis=1)
        is_single = bool(len(truth)) and bool(has_all.all()) and bool((is_present.sum(axis=1) == 1).all())
        finds = np.zeros(len(truth), bool)
        if is_single:
            finds = is_present[np.arange(len(truth)), scores.argmax(axis=1)]
        cells = [
            decisions & is_present,
            decisions & is_known & ~is_present,
            ~decisions & is_present,
            is_known,
            np.stack(
                [
                    is_unknown & says_unknown,
                    ~is_unknown & says_unknown,
                    is_unknown & ~says_unknown,
                    has_all,
                    is_right,
                    finds,
                    np.full(len(truth), is_single),
                ],
                axis=1,
            ),
        ]
        self.n_atoms = n_atoms
        self._n_classes = truth.shape[1]
        self._sums = sum_by_atom(np.concatenate(cells, axis=1), atoms, n_atoms)
        columns = range(self._n_classes)
        self.names: tuple[str, ...] = (
            *(f"{kind}[{column}]" for kind in KINDS for column in columns),
            *(f"micro_{kind}" for kind in KINDS),
            *(f"macro_{kind}" for kind in KINDS),
            *(f"unknown_{kind}" for kind in KINDS),
            "exact_match",
            "accuracy",
        )
        self.rests_on, self.n_chances = self._count_atoms()

    def __call__(self, weights: Weights) -> NDArray[np.float64]:
        """Return ``(F, R)`` figures in the order of ``names``."""
        sums = self._sums @ weights
        n = self._n_classes
        hits, alarms, misses, known = sums[:n], sums[n : 2 * n], sums[2 * n : 3 * n], sums[3 * n : 4 * n]
        unknown_hits, unknown_alarms, unknown_misses, full, right, finds, singles = sums[4 * n :]
        by_class = _from_counts(hits, alarms, misses, known)
        pooled = _from_counts(*(part.sum(axis=0) for part in (hits, alarms, misses, known)))
        n_measured = (known > 0).sum(axis=0).astype(np.float64)
        means = [ratio(np.nansum(part, axis=0), n_measured, np.nan) for part in by_class]
        unknown = _from_counts(unknown_hits, unknown_alarms, unknown_misses, full)
        shares = [ratio(right, full, np.nan), ratio(finds, singles, np.nan)]
        return np.concatenate([*by_class, np.stack([*pooled, *means, *unknown, *shares])])

    def _count_atoms(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return how many atoms speak about each figure, and how many could have spoilt it."""
        n, sums = self._n_classes, self._sums
        hits, alarms, misses, known = sums[:n], sums[n : 2 * n], sums[2 * n : 3 * n], sums[3 * n : 4 * n]
        decided, present = (((hits + one) > 0).sum(axis=1) for one in (alarms, misses))
        unknown_hits, unknown_alarms, unknown_misses, full, _, _, singles = sums[4 * n :]
        said, were = (((unknown_hits + one) > 0).sum() for one in (unknown_alarms, unknown_misses))
        all_decided, all_present = (((hits + one) > 0).any(axis=0).sum() for one in (alarms, misses))
        is_measured = (known > 0).any(axis=1)
        means = [atoms_of_mean(part[is_measured]) for part in (decided, present, present)]
        before = [*decided, *present, *present, all_decided, all_present, all_present]
        after = [said, were, were, (full > 0).sum(), (singles > 0).sum()]
        rests_on, n_chances = ([*before, *part, *after] for part in zip(*means, strict=True))
        return np.array(rests_on, np.float64), np.array(n_chances, np.float64)


def _from_counts(
    hits: NDArray[np.float64], alarms: NDArray[np.float64], misses: NDArray[np.float64], known: NDArray[np.float64]
) -> list[NDArray[np.float64]]:
    """Return precision, recall and F1; 0 where the denominator is 0, NaN where nothing is known."""
    figures = [
        ratio(hits, hits + alarms, 0.0),
        ratio(hits, hits + misses, 0.0),
        ratio(2 * hits, 2 * hits + alarms + misses, 0.0),
    ]
    return [np.where(known > 0, figure, np.nan) for figure in figures]
