"""Sentences about pictures."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from mekiki.demo.plan import Event, mirrored, plan_events
from mekiki.demo.sentences import describe, stretches
from mekiki.demo.settings import WorldSettings


@pytest.fixture(scope="module")
def event() -> Event:
    """A badger in front of a hare; the badger walks left, the hare right."""
    given = next(event for event in plan_events(WorldSettings()) if len(event.actors) == 2)
    badger, hare = given.actors
    actors = (replace(badger, label="アナグマ", heading=-1), replace(hare, label="ノウサギ", heading=1))
    return replace(given, actors=actors, season="winter", is_night=False, site_index=0)


@pytest.mark.parametrize(
    ("labels", "changes", "sentence"),
    [
        pytest.param([], {}, "no animal moves through snow", id="nobody"),
        pytest.param(["アナグマ"], {}, "a badger walks left through snow", id="one"),
        pytest.param(
            ["ノウサギ", "アナグマ"],
            {"season": "rain", "is_night": True},
            "a hare hops right and a badger walks left in the rain at night",
            id="two",
        ),
        pytest.param(["ノウサギ"], {"season": "summer"}, "a hare hops right among cedars", id="a place in summer"),
    ],
)
def test_a_sentence_says_who_does_what_where(
    event: Event, labels: list[str], changes: dict[str, Any], sentence: str
) -> None:
    assert describe(replace(event, **changes), labels) == sentence


def test_a_mirror_picture_is_described_the_other_way_round(event: Event) -> None:
    assert describe(mirrored(event), ["アナグマ"]) == "a badger walks right through snow"


def test_stretches_cover_everything_once() -> None:
    labels = [("a",), ("a",), (), ("a", "b"), ("a", "b"), ("b",)]

    found = stretches(labels)

    assert found == [(0, 2), (2, 3), (3, 5), (5, 6)]
