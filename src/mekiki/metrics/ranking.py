"""Figures of scores without thresholds: average precision and ROC-AUC, for any weights of the atoms.

N pictures, C classes, K atoms, R draws of atoms.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from mekiki.metrics.counting import ratio
from mekiki.metrics.intervals import Weights


class RankFigures:
    """Average precision and ROC-AUC of each class, with their means over classes.

    Average precision is the sum over distinct scores of the rise in recall times the precision there, as in
    scikit-learn; ROC-AUC counts a tie between a present and an absent picture as half. For a class without present or
    without absent pictures both are NaN, and it is left out of the means.
    """

    def __init__(
        self,
        scores: NDArray[np.float32],
        truth: NDArray[np.int8],
        atoms: NDArray[np.int64],  # (N,) 0 to K - 1
        n_atoms: int,
    ) -> None:
        columns = range(truth.shape[1])
        self._classes = [_Ranked(scores[:, column], truth[:, column], atoms, n_atoms) for column in columns]
        self.names: tuple[str, ...] = (
            *(f"ap[{column}]" for column in columns),
            *(f"roc_auc[{column}]" for column in columns),
            "macro_ap",
            "macro_roc_auc",
        )
        self.n_atoms = n_atoms
        counts = np.array([one.n_atoms for one in self._classes], np.float64)
        mean = float(counts[counts > 0].mean()) if (counts > 0).any() else 0.0
        n_known = float(len(np.unique(atoms[(truth >= 0).any(axis=1)])))
        self.rests_on = np.array([*counts, *counts, mean, mean])
        self.n_chances = np.array([*counts, *counts, n_known, n_known])

    def __call__(self, weights: Weights) -> NDArray[np.float64]:
        """Return ``(F, R)`` figures in the order of ``names``."""
        measured = [one.measure(weights) for one in self._classes]
        rows = [np.stack([pair[kind] for pair in measured]) for kind in (0, 1)]
        means = [
            ratio(np.nansum(part, axis=0), np.isfinite(part).sum(axis=0).astype(np.float64), np.nan) for part in rows
        ]
        return np.concatenate([*rows, np.stack(means)])


class _Ranked:
    """One class, its pictures sorted by score once and for all.

    Only scores that a present picture has matter; absent pictures between two of them are counted together. So each
    draw costs two products with sparse matrices: of present and of absent pictures, by place in the order and by atom.
    """

    def __init__(
        self, scores: NDArray[np.float32], truth: NDArray[np.int8], atoms: NDArray[np.int64], n_atoms: int
    ) -> None:
        rows = np.flatnonzero(truth >= 0)
        rows = rows[np.argsort(-scores[rows], kind="stable")]
        is_present = truth[rows] == 1
        tie = np.cumsum(np.diff(scores[rows], prepend=scores[rows[:1]]) != 0) if len(rows) else rows
        has_present = np.zeros(int(tie[-1]) + 1 if len(rows) else 0, bool)
        has_present[tie[is_present]] = True
        # Place 2j + 1 is the j-th score that a present picture has, place 2j is all between it and the one before.
        place = (2 * (np.cumsum(has_present) - has_present) + has_present)[tie]
        n_places = 2 * int(has_present.sum()) + 1
        self._present = _by_atom(place[is_present] // 2, atoms[rows[is_present]], (n_places // 2, n_atoms))
        self._absent = _by_atom(place[~is_present], atoms[rows[~is_present]], (n_places, n_atoms))
        # Of the two sides, the one that fewer atoms speak for.
        sides = (atoms[rows[is_present]], atoms[rows[~is_present]])
        self.n_atoms = min(len(np.unique(side)) for side in sides)

    def measure(self, weights: Weights) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return ``(R,)`` average precisions and ``(R,)`` ROC-AUCs."""
        present = np.asarray(self._present @ weights)
        absent = np.asarray(self._absent @ weights)
        n_present, n_absent = present.sum(axis=0), absent.sum(axis=0)
        tied = absent[1::2].copy()
        alarms = np.cumsum(absent, axis=0, out=absent)[1::2]
        below = n_absent - alarms + tied / 2
        areas = ratio((present * below).sum(axis=0), n_present * n_absent, np.nan)
        hits = np.cumsum(present, axis=0)
        precision = ratio(hits, hits + alarms, 0.0)
        averages = ratio((present * precision).sum(axis=0), n_present, np.nan)
        return np.where(n_absent > 0, averages, np.nan), areas


def _by_atom(places: NDArray[np.int64], atoms: NDArray[np.int64], shape: tuple[int, int]) -> csr_matrix:
    """Return how many pictures of each atom stand at each place."""
    return csr_matrix((np.ones(len(places)), (places, atoms)), shape=shape)
