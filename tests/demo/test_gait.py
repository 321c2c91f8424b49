"""Poses over the gait cycle."""

from __future__ import annotations

import numpy as np
import pytest

from mekiki.demo.gait import knees, pose_at
from mekiki.demo.kinds import KINDS, AnimalKind


@pytest.fixture(params=KINDS, ids=lambda kind: kind.english)
def kind(request: pytest.FixtureRequest) -> AnimalKind:
    return request.param


def test_a_cycle_ends_where_it_began(kind: AnimalKind) -> None:
    first, last = pose_at(kind, 0.0), pose_at(kind, 1.0)

    np.testing.assert_allclose(first.spine, last.spine, atol=1e-9)
    np.testing.assert_allclose(first.feet, last.feet, atol=1e-9)
    np.testing.assert_allclose(first.head, last.head, atol=1e-9)


def test_no_foot_sinks_into_the_ground(kind: AnimalKind) -> None:
    feet = np.stack([pose_at(kind, phase).feet for phase in np.linspace(0, 1, 25)])

    assert feet[..., 1].min() >= 0.0


def test_every_foot_is_lifted_once_in_a_cycle(kind: AnimalKind) -> None:
    feet = np.stack([pose_at(kind, phase).feet for phase in np.linspace(0, 1, 25)])

    assert (feet[..., 1].max(axis=0) > 0.05).all()


def test_a_walker_keeps_its_back_level_and_a_leaper_does_not() -> None:
    heights = {
        kind.english: np.ptp([pose_at(kind, phase).spine[1, 1] for phase in np.linspace(0, 1, 25)]) for kind in KINDS
    }

    assert max(heights[name] for name in ("badger", "raccoon", "masked palm civet", "cat")) < 0.1
    assert min(heights[name] for name in ("hare", "marten")) > 0.2


def test_a_knee_bends_backwards_and_keeps_both_halves_of_the_leg() -> None:
    hips, feet = np.array([(0.0, 0.8)]), np.array([(0.1, 0.0)])

    bent = knees(hips, feet, leg_length=1.0)

    np.testing.assert_allclose(np.hypot(*(bent - hips)[0]), 0.5)
    np.testing.assert_allclose(np.hypot(*(bent - feet)[0]), 0.5)
    assert bent[0, 0] < 0.05
