"""Sprites of the seven kinds."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from mekiki.demo.animals import GROUND_SHARE, draw_animal
from mekiki.demo.kinds import KIND_OF, KINDS, LABELS, AnimalKind


@pytest.fixture(params=KINDS, ids=lambda kind: kind.english)
def kind(request: pytest.FixtureRequest) -> AnimalKind:
    return request.param


def test_the_kinds_are_the_seven_of_the_wildlife_recipe_in_order() -> None:
    assert LABELS == ("アナグマ", "アライグマ", "ハクビシン", "タヌキ", "ネコ", "ノウサギ", "テン")


def test_a_sprite_has_one_size_in_every_phase_and_is_never_cut_off(kind: AnimalKind) -> None:
    sprites = [draw_animal(kind, kind.coats[0], phase, 40.0, is_night=False) for phase in np.arange(0, 1, 0.125)]

    assert len({sprite.shape for sprite in sprites}) == 1
    for sprite in sprites:
        edge = np.concatenate([sprite[0, :, 3], sprite[:, 0, 3], sprite[:, -1, 3]])
        assert not edge.any()


def test_a_standing_animal_touches_the_ground(kind: AnimalKind) -> None:
    sprite = draw_animal(kind, kind.coats[0], 0.9, 60.0, is_night=False)

    lowest = np.nonzero((sprite[..., 3] > 127).any(axis=1))[0].max()

    assert abs(lowest - GROUND_SHARE * sprite.shape[0]) < 0.15 * 60


def test_an_animal_walks(kind: AnimalKind) -> None:
    first, second = (draw_animal(kind, kind.coats[0], phase, 40.0, is_night=False) for phase in (0.0, 0.3))

    changed = (first[..., 3] > 127) ^ (second[..., 3] > 127)

    assert changed.sum() > 0.03 * (first[..., 3] > 127).sum()


def test_an_eye_shines_at_night(kind: AnimalKind) -> None:
    by_day, by_night = (draw_animal(kind, kind.coats[0], 0.0, 60.0, is_night=night) for night in (False, True))

    gained = by_night[..., :3].astype(int).min(axis=2) - by_day[..., :3].astype(int).min(axis=2)

    assert gained.max() > 120
    np.testing.assert_array_equal(by_night[..., 3], by_day[..., 3])


def test_no_two_kinds_have_one_outline() -> None:
    outlines = {
        kind.english: draw_animal(kind, kind.coats[0], 0.0, 40.0, is_night=False)[..., 3] > 127 for kind in KINDS
    }

    for first, second in combinations(outlines, 2):
        a, b = outlines[first], outlines[second]
        assert (a & b).sum() / (a | b).sum() < 0.8, f"{first} and {second}"


@pytest.mark.parametrize(
    ("label", "is_striped"),
    [pytest.param("アライグマ", True, id="raccoon"), pytest.param("ハクビシン", False, id="civet")],
)
def test_only_the_raccoon_has_rings_on_its_tail(label: str, is_striped: bool) -> None:
    kind = KIND_OF[label]
    sprite = draw_animal(kind, kind.coats[0], 0.0, 80.0, is_night=False)

    columns = np.nonzero((sprite[..., 3] > 250).any(axis=0))[0]
    tail = sprite[:, columns[0] + 4 : columns[0] + 50]
    shown = np.where(tail[..., 3] > 250, tail[..., :3].mean(axis=2), np.nan)
    along = np.nanmedian(shown, axis=0)

    assert (np.abs(np.diff(along)).max() > 40) == is_striped
