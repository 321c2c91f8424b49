"""Painted places."""

from __future__ import annotations

import numpy as np
import pytest

from mekiki.demo.scenery import SEASONS, SITES, fractal, paint_panorama


def test_noise_has_the_size_asked_for_and_varies() -> None:
    noise = fractal(np.random.default_rng(0), (20, 30), (2, 3))

    assert noise.shape == (20, 30)
    assert abs(noise.mean()) < 1.5
    assert noise.std() > 0.2


def test_noise_may_be_one_row_high() -> None:
    assert fractal(np.random.default_rng(0), (1, 30), (1, 7)).shape == (1, 30)


def test_one_seed_paints_one_place() -> None:
    first = np.asarray(paint_panorama(3, 0, "summer", 48).picture)
    paint_panorama.cache_clear()

    again = np.asarray(paint_panorama(3, 0, "summer", 48).picture)

    np.testing.assert_array_equal(first, again)


def test_another_seed_paints_another_place() -> None:
    first, second = (np.asarray(paint_panorama(seed, 0, "summer", 48).picture).astype(int) for seed in (3, 4))

    assert np.abs(first - second).mean() > 5


@pytest.mark.parametrize("site_index", range(len(SITES)), ids=[site.name for site in SITES])
def test_snow_brightens_the_ground_and_no_two_seasons_look_alike(site_index: int) -> None:
    grounds = {
        season: np.asarray(paint_panorama(0, site_index, season, 48).picture)[40:].astype(int) for season in SEASONS
    }

    assert grounds["winter"].mean() > max(grounds[season].mean() for season in ("summer", "rain", "autumn")) + 20
    colours = np.array([ground.mean(axis=(0, 1)) for ground in grounds.values()])
    apart = np.abs(colours[:, None] - colours[None]).max(axis=2)
    assert apart[~np.eye(4, dtype=bool)].min() > 3


def test_what_is_near_lies_low() -> None:
    near = np.asarray(paint_panorama(0, 0, "summer", 48).near)

    assert near[0].max() == 0
    assert near[-1].min() == 1
    assert (np.diff(near, axis=0) >= 0).all()
