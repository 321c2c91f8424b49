"""Scored pictures in atoms of uneven size, whose pictures are alike: what metrics and thresholds are tested on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Clustered:
    """Rows belong together."""

    scores: NDArray[np.float32]
    truth: NDArray[np.int8]
    atoms: NDArray[np.int64]

    def mask(self, share: float, seed: int = 0) -> Clustered:
        """Return it with some cells that nobody knows."""
        is_known = np.random.default_rng(seed).random(self.truth.shape) >= share
        return Clustered(self.scores, np.where(is_known, self.truth, -1).astype(np.int8), self.atoms)

    def take(self, rows: NDArray[np.int64] | NDArray[np.bool_]) -> Clustered:
        return Clustered(self.scores[rows], self.truth[rows], self.atoms[rows])


def make_clustered(
    n_atoms: int,
    seed: int,
    shares: Sequence[float] = (0.4, 0.2, 0.1),
    shifts: Sequence[float] = (),
    separation: float = 2.2,
    alike: float = 0.5,
) -> Clustered:
    """Return atoms of log-normal size, each with or without each class.

    Args:
        n_atoms: How many.
        seed: Of everything.
        shares: Of atoms with each class.
        shifts: Of each class's scores, in logits: above 0 the best threshold is above 0.5.
        separation: Of present from absent pictures, in standard deviations.
        alike: How much of the variance the pictures of an atom share.
    """
    rng = np.random.default_rng(seed)
    sizes = np.exp(rng.normal(1.5, 0.8, n_atoms)).astype(int) + 1
    atoms = np.repeat(np.arange(n_atoms), sizes)
    shape = (len(atoms), len(shares))
    truth = ((rng.random((n_atoms, len(shares))) < shares)[atoms] & (rng.random(shape) < 0.9)).astype(np.int8)
    effects = np.sqrt(alike) * rng.normal(0, 1, (n_atoms, len(shares)))[atoms]
    logits = 2 * (separation * (truth - 0.5) + effects + np.sqrt(1 - alike) * rng.normal(0, 1, shape))
    scores = (1 / (1 + np.exp(-logits - np.array(shifts or [0.0] * len(shares))))).astype(np.float32)
    return Clustered(scores, truth, atoms)
