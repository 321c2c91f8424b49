"""Folds of atoms for cross-fitting: whole atoms, classes spread as evenly as easily possible.

N pictures, C classes, K atoms.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mekiki.metrics.arrays import check_atoms, check_truth
from mekiki.metrics.intervals import number_atoms


def deal_folds(truth: NDArray[np.int8], atoms: NDArray[np.int64], n_folds: int, seed: int = 0) -> NDArray[np.int64]:
    """Return the fold of each picture, from 0 to ``n_folds`` - 1; no fold is empty.

    Atoms are dealt one by one: those with the rarest classes first, larger ones before smaller, equal ones in an order
    that the seed gives. Each goes where its rarest class is rarest, of equal folds to the one with the fewest pictures.
    The order of rows changes nothing.

    Args:
        truth: ``(N, C)``.
        atoms: ``(N,)``.
        n_folds: At least 2.
        seed: For the order of like atoms.

    Raises:
        ValueError: If there are fewer atoms than folds, or fewer than 2 folds.
    """
    check_truth(truth)
    check_atoms(atoms, len(truth))
    numbers, n_atoms = number_atoms(atoms)
    if n_folds < 2:
        raise ValueError(f"n_folds must be 2 or more, got {n_folds}")
    if n_atoms < n_folds:
        raise ValueError(f"n_folds must be at most the number of atoms, {n_atoms}, got {n_folds}")
    present = np.zeros((n_atoms, truth.shape[1]))
    np.add.at(present, numbers, truth == 1)
    sizes = np.bincount(numbers, minlength=n_atoms)
    rarity = np.argsort(np.argsort((present > 0).sum(axis=0), kind="stable"), kind="stable")
    # C stands for an atom without any class: it is dealt last.
    ranks = np.where(present > 0, rarity, truth.shape[1]).min(axis=1, initial=truth.shape[1])
    column_of = np.argsort(rarity)
    chance = np.random.default_rng(seed).permutation(n_atoms)
    folds = np.zeros(n_atoms, np.int64)
    dealt, filled = np.zeros((n_folds, truth.shape[1])), np.zeros(n_folds)
    for position, atom in enumerate(np.lexsort((chance, -sizes, ranks)).tolist()):
        is_open = filled == 0 if n_atoms - position <= (filled == 0).sum() else np.ones(n_folds, bool)
        has_class = ranks[atom] < truth.shape[1]
        rarest = dealt[:, column_of[ranks[atom]]] if has_class else np.zeros(n_folds)
        fold = int(np.lexsort((filled, rarest, ~is_open))[0])
        folds[atom] = fold
        dealt[fold] += present[atom]
        filled[fold] += sizes[atom]
    return folds[numbers]
