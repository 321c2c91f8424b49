"""Events on film, with what can be seen in each picture."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from mekiki.demo.plan import Actor, Event, plan_events
from mekiki.demo.scenes import Shot, film_event
from mekiki.demo.settings import WorldSettings

SETTINGS = WorldSettings(width_px=128, n_clips=30, n_stills=12, n_planted=1)
SIZE = SETTINGS.clip_size


def film(event: Event) -> list[Shot]:
    return list(film_event(event, SETTINGS.seed, SIZE, 120))


@pytest.fixture(scope="module")
def empty() -> Event:
    return next(event for event in plan_events(SETTINGS) if not event.actors and event.medium == "clip")


@pytest.fixture
def crossing(empty: Event) -> Event:
    """A badger that walks in from the left, on a long clip by day."""
    actor = Actor("アナグマ", 0, 1, "enters", 0.2, 0.0, 0.5, 1.2, 0.0)
    times = tuple(i / 8 for i in range(32))
    return replace(empty, actors=(actor,), times_s=times, duration_s=4.0, is_night=False, season="summer")


def boxes_inside(shots: list[Shot]) -> Iterator[bool]:
    for shot in shots:
        for one in shot.sightings:
            x_min, y_min, x_max, y_max = one.box
            yield 0 <= x_min < x_max <= SIZE[0] and 0 <= y_min < y_max <= SIZE[1]


def test_an_event_is_filmed_twice_alike(crossing: Event) -> None:
    first, again = film(crossing), film(crossing)

    for one, other in zip(first, again, strict=True):
        np.testing.assert_array_equal(one.pixels, other.pixels)
        assert one.sightings == other.sightings


def test_nothing_but_the_wind_moves_in_an_empty_event(empty: Event) -> None:
    shots = film(empty)

    moved = np.abs(shots[0].pixels.astype(int) - shots[3].pixels).mean(axis=(1, 2))
    assert all(not shot.sightings and not shot.labels for shot in shots)
    assert moved.mean() > 0.5


def test_an_animal_that_enters_is_first_absent_then_unsure_then_present(crossing: Event) -> None:
    shots = film(crossing)

    shares = [shot.sightings[0].visible_share if shot.sightings else 0.0 for shot in shots]
    assert shares[0] == 0.0
    assert max(shares) > 0.95
    rising = shares[: int(np.argmax(shares)) + 1]
    assert all(later >= earlier - 0.05 for earlier, later in pairwise(rising))
    assert [shot.labels == ("アナグマ",) for shot in shots] == [share >= 0.25 for share in shares]


def test_boxes_lie_inside_the_picture_and_round_the_animal(crossing: Event, empty: Event) -> None:
    with_animal = film(crossing)
    without = film(replace(crossing, actors=()))

    assert all(boxes_inside(with_animal))
    shot = max(with_animal, key=lambda one: one.sightings[0].visible_share if one.sightings else 0.0)
    x_min, y_min, x_max, y_max = (int(edge) for edge in shot.sightings[0].box)
    assert (x_max - x_min) > (y_max - y_min) > 15
    box = shot.pixels[y_min:y_max, x_min:x_max].astype(int)
    assert box.std() > 15, without


def test_an_animal_in_front_hides_the_one_behind(crossing: Event) -> None:
    behind = replace(crossing.actors[0], entry="passes", turning_share=0.5)
    in_front = replace(behind, label="タヌキ", depth=0.6)
    event = replace(crossing, actors=(behind, in_front))

    shots = film(event)

    middle = {one.label: one.visible_share for one in shots[16].sightings}
    assert middle["タヌキ"] > 0.95
    assert middle["アナグマ"] < 0.7


def test_heading_tells_the_way_it_goes(crossing: Event) -> None:
    leftwards = replace(crossing, actors=(replace(crossing.actors[0], heading=-1),))

    def middles(event: Event) -> list[float]:
        return [(shot.sightings[0].box[0] + shot.sightings[0].box[2]) / 2 for shot in film(event) if shot.labels]

    assert middles(crossing)[0] < middles(crossing)[-1]
    assert middles(leftwards)[0] > middles(leftwards)[-1]


def test_a_night_is_grey_and_a_day_is_not(crossing: Event) -> None:
    by_day, by_night = (film(replace(crossing, is_night=night))[10].pixels.astype(int) for night in (False, True))

    assert np.ptp(by_night, axis=2).max() == 0
    assert np.ptp(by_day, axis=2).mean() > 10


def test_an_animal_stands_out_against_the_night(crossing: Event) -> None:
    event = replace(crossing, is_night=True, actors=(replace(crossing.actors[0], entry="passes", turning_share=0.5),))

    shown, bare = film(event)[16], film(replace(event, actors=()))[16]

    x_min, y_min, x_max, y_max = (int(edge) for edge in shown.sightings[0].box)
    inside = (slice(y_min, y_max), slice(x_min, x_max))
    assert np.abs(shown.pixels[inside].astype(int) - bare.pixels[inside]).mean() > 15
