"""Figures of scores without thresholds: areas under curves and precision at a recall, for any weights of the atoms.

N pictures, C classes, K atoms, R draws of atoms.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from mekiki.metrics.counting import atoms_of_mean, ratio
from mekiki.metrics.intervals import Weights

RECALLS = {"precision_at_recall_50": 0.5, "precision_at_recall_90": 0.9, "precision_at_recall_95": 0.95}
"""Figures of precision at a recall, and which recall."""

RANK_KINDS = ("ap", "pr_auc", "roc_auc", *RECALLS)

MEANS = ("ap", "pr_auc", "roc_auc")
"""Kinds of which there is a mean over classes, named ``macro_``."""

ROUNDING = 1e-9
"""In positives: 0.95 times their number is a little off a whole number in floating point."""


class RankFigures:
    """Areas of each class, with their means over classes, and precision at a recall.

    ``ap``, average precision, is the sum over distinct scores of the rise in recall times the precision there.
    ``pr_auc`` is the area under straight lines from one distinct score's precision and recall to the next, the first of
    which starts at precision 1 and recall 0: ``auc(recall, precision)`` in scikit-learn. The two are close where scores
    differ; where many are equal, lines promise more than any threshold between them gives (Davis and Goadrich, 2006),
    and average precision is the one to trust. ROC-AUC counts a tie between a present and an absent picture as half.

    Precision at recall r is the highest precision of all thresholds whose recall is r or more; seed 5 took the point of
    the curve whose recall is nearest to r, which may find less than was asked for.

    For a class without present or without absent pictures all are NaN, and it is left out of the means.
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
            *(f"{kind}[{column}]" for kind in RANK_KINDS for column in columns),
            *(f"macro_{kind}" for kind in MEANS),
        )
        self.n_atoms = n_atoms
        counts = np.array([one.n_atoms for one in self._classes], np.float64)
        rests_on, n_chances = atoms_of_mean(counts[counts > 0])
        by_class = [count for _ in RANK_KINDS for count in counts]
        self.rests_on = np.array([*by_class, *(rests_on for _ in MEANS)])
        self.n_chances = np.array([*by_class, *(n_chances for _ in MEANS)])

    def __call__(self, weights: Weights) -> NDArray[np.float64]:
        """Return ``(F, R)`` figures in the order of ``names``."""
        measured = np.stack([one.measure(weights) for one in self._classes], axis=1)
        averaged = measured[: len(MEANS)]
        n_measured = np.isfinite(averaged).sum(axis=1).astype(np.float64)
        means = ratio(np.nansum(averaged, axis=1), n_measured, np.nan)
        return np.concatenate([measured.reshape(-1, weights.shape[1]), means])


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

    def measure(self, weights: Weights) -> NDArray[np.float64]:
        """Return ``(6, R)``: `RANK_KINDS` of each draw."""
        if not self._present.shape[0]:
            return np.full((len(RANK_KINDS), weights.shape[1]), np.nan)
        # Draws by places: sums run along rows, which lie together in memory.
        present = np.ascontiguousarray((self._present @ weights).T)
        absent = (self._absent @ weights).T
        n_present, n_absent = present.sum(axis=1), absent.sum(axis=1)
        tied = np.ascontiguousarray(absent[:, 1::2])
        alarms = np.cumsum(absent[:, :-1:2] + tied, axis=1)
        # Of absent pictures, those below and half of those beside each present one.
        pairs = n_present * n_absent - _summed(present, alarms) + _summed(present, tied) / 2
        hits = np.cumsum(present, axis=1)
        decided = hits + alarms
        precision = ratio(hits, decided, 0.0)
        at_end = _summed(present, precision)
        # Just above each of these scores, where the line to it starts; nothing is decided above the first.
        decided -= present
        decided -= tied
        at_start = _summed(present, ratio(hits - present, decided, 1.0))
        figures = [
            ratio(at_end, n_present, np.nan),
            ratio((at_start + at_end) / 2, n_present, np.nan),
            ratio(pairs, n_present * n_absent, np.nan),
            *_at_recalls(hits, precision, n_present),
        ]
        return np.where((n_absent > 0) & (n_present > 0), np.stack(figures), np.nan)


def _at_recalls(
    hits: NDArray[np.float64], precision: NDArray[np.float64], n_present: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return ``(3, R)``: the highest precision from the place on where each of `RECALLS` is reached."""
    wanted = np.array(list(RECALLS.values()))[:, None] * n_present - ROUNDING
    best = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
    # A binary search in all rows at once, for the first place with enough hits.
    low, high = np.zeros(wanted.shape, np.int64), np.full(wanted.shape, hits.shape[1] - 1)
    rows = np.arange(len(hits))
    while (low < high).any():
        middle = (low + high) // 2
        is_enough = hits[rows, middle] >= wanted
        low, high = np.where(is_enough, low, middle + 1), np.where(is_enough, middle, high)
    return np.asarray(best[rows, low], np.float64)


def _summed(first: NDArray[np.float64], second: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the sum over places of the products, ``(R,)``."""
    return np.asarray(np.einsum("rp,rp->r", first, second), np.float64)


def _by_atom(places: NDArray[np.int64], atoms: NDArray[np.int64], shape: tuple[int, int]) -> csr_matrix:
    """Return how many pictures of each atom stand at each place."""
    return csr_matrix((np.ones(len(places)), (places, atoms)), shape=shape)
