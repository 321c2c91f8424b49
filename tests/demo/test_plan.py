"""What happens in a world, before it is drawn."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from itertools import pairwise

import pytest

from mekiki.demo.kinds import LABELS
from mekiki.demo.plan import MONTHS, Event, mirrored, plan_events
from mekiki.demo.settings import WorldSettings


@pytest.fixture(scope="module")
def events() -> list[Event]:
    return plan_events(WorldSettings())


def test_one_seed_plans_one_world_and_another_another() -> None:
    assert plan_events(WorldSettings()) == plan_events(WorldSettings())
    assert plan_events(WorldSettings(seed=1)) != plan_events(WorldSettings())


def test_a_test_part_of_fifteen_in_a_hundred_holds_forty_events(events: list[Event]) -> None:
    assert 0.15 * len(events) > 40


def test_every_kind_comes_equally_often(events: list[Event]) -> None:
    counts = Counter(actor.label for event in events for actor in event.actors)

    assert set(counts) == set(LABELS)
    assert max(counts.values()) - min(counts.values()) <= 2


def test_some_events_are_empty_and_some_show_two_kinds(events: list[Event]) -> None:
    sizes = Counter(len(event.actors) for event in events)

    assert sizes[0] / len(events) == pytest.approx(0.10, abs=0.01)
    assert sizes[2] / len(events) == pytest.approx(0.16, abs=0.01)
    assert all(len({actor.label for actor in event.actors}) == len(event.actors) for event in events)


def test_the_confined_kind_lives_at_one_site_and_the_others_everywhere(events: list[Event]) -> None:
    sites = {
        label: {event.site_index for event in events for actor in event.actors if actor.label == label}
        for label in LABELS
    }

    assert sites.pop("テン") == {0}
    assert all(found == set(range(5)) for found in sites.values())


def test_nobody_is_confined_when_nobody_is_to_be() -> None:
    events = plan_events(WorldSettings(confined_kind=""))

    assert {event.site_index for event in events if any(actor.label == "テン" for actor in event.actors)} == set(
        range(5)
    )


def test_no_kind_is_tied_to_the_night_or_to_a_camera(events: list[Event]) -> None:
    for label in LABELS:
        own = [event for event in events if any(actor.label == label for actor in event.actors)]
        assert 0.15 < sum(event.is_night for event in own) / len(own) < 0.52
        assert 0.3 < sum(event.camera_index for event in own) / len(own) < 0.7


def test_the_clock_agrees_with_season_and_light(events: list[Event]) -> None:
    for event in events:
        assert event.starts_at.month in MONTHS[event.season]
        assert (event.starts_at.hour < 4 or event.starts_at.hour >= 20) == event.is_night


def test_no_two_events_begin_within_half_an_hour(events: list[Event]) -> None:
    starts = sorted(event.starts_at for event in events)

    assert min(later - earlier for earlier, later in pairwise(starts)) >= timedelta(minutes=30)


def test_stills_come_alone_or_in_threes_within_two_seconds(events: list[Event]) -> None:
    bursts = [event.times_s for event in events if event.medium == "still"]

    assert {len(times) for times in bursts} == {1, 3}
    assert max(times[-1] - times[0] for times in bursts) == 2.0


def test_in_a_mirror_everybody_walks_the_other_way(events: list[Event]) -> None:
    event = next(event for event in events if len(event.actors) == 2)

    turned = mirrored(event)

    assert [actor.heading for actor in turned.actors] == [-actor.heading for actor in event.actors]
    assert mirrored(turned) == event
