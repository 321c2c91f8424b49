"""Piles in tests: clusters of common things, a class each, with copies among them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from clouds import directions
from mekiki.rarity.pile import Pile

VECTOR_SCORERS = ("knn", "isolation", "lof", "class-lof", "map", "unlike-common")
SCORERS = (*VECTOR_SCORERS, "frequency")


def pile_of(vectors: NDArray[np.float32], class_names: tuple[str, ...], common: NDArray[np.float32]) -> Pile:
    return Pile(vectors=vectors, class_names=class_names, common=common, map_method="pca", n_trees=30)


def common_pile(n: int, seed: int = 0, n_dims: int = 16) -> Pile:
    """Four clusters, a class each, whose centres are the words; every tenth thing is a copy of the one before."""
    centres = directions(seed, 4, n_dims)
    numbers = np.random.default_rng(seed + 1).integers(4, size=n)
    vectors = (centres[numbers] + 0.1 * directions(seed + 2, n, n_dims)).astype(np.float32)
    vectors[9::10] = vectors[8::10][: len(vectors[9::10])]
    numbers[9::10] = numbers[8::10][: len(numbers[9::10])]
    return pile_of(vectors, tuple(f"class {number}" for number in numbers), centres)


def taken(pile: Pile, rows: NDArray[np.int64]) -> Pile:
    """A pile of some of the things, in that order."""
    assert pile.vectors is not None
    names = tuple(pile.class_names[row] for row in rows.tolist())
    return replace(pile, vectors=pile.vectors[rows], class_names=names)
