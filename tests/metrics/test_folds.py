"""Folds: atoms stay whole, no fold is empty, and classes are spread."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clustered import make_clustered
from mekiki.metrics.folds import deal_folds


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10_000), n_atoms=st.integers(3, 30), n_folds=st.integers(2, 3))
def test_atoms_stay_whole_and_no_fold_is_empty(seed: int, n_atoms: int, n_folds: int) -> None:
    world = make_clustered(n_atoms, seed)

    folds = deal_folds(world.truth, world.atoms, n_folds, seed)

    assert set(folds.tolist()) == set(range(n_folds))
    assert all(len(set(folds[world.atoms == atom].tolist())) == 1 for atom in range(n_atoms))


def test_every_fold_has_every_class_where_there_are_atoms_enough() -> None:
    world = make_clustered(100, 0, shares=(0.5, 0.2, 0.08))

    folds = deal_folds(world.truth, world.atoms, 5)

    for fold in range(5):
        assert (world.truth[folds == fold] == 1).any(axis=0).all()
    sizes = np.bincount(folds)
    assert sizes.max() < 1.3 * sizes.min()


def test_the_order_of_rows_changes_nothing() -> None:
    world = make_clustered(40, 0)
    order = np.random.default_rng(0).permutation(len(world.atoms))

    folds = deal_folds(world.truth, world.atoms, 4, 3)

    assert (deal_folds(world.truth[order], world.atoms[order], 4, 3) == folds[order]).all()


def test_as_many_atoms_as_folds_give_one_each() -> None:
    folds = deal_folds(np.zeros((6, 1), np.int8), np.array([1, 1, 1, 1, 2, 3]), 3)

    assert len(set(folds[[0, 4, 5]].tolist())) == 3


@pytest.mark.parametrize(("n_folds", "message"), [(1, "2 or more, got 1"), (7, "at most the number of atoms, 3")])
def test_numbers_of_folds_that_cannot_be(n_folds: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        deal_folds(np.zeros((3, 1), np.int8), np.arange(3), n_folds)
