"""Says in English what a picture of the demo world shows, and when a clip begins to show something else."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from mekiki.demo.kinds import KIND_OF
from mekiki.demo.plan import Event
from mekiki.demo.scenery import SITES, Season

PLACES = {
    "cedar": "among cedars",
    "meadow": "across a meadow",
    "quarry": "over stones",
    "bamboo": "among bamboo",
    "creek": "along a creek",
}
WEATHER: dict[Season, str] = {"rain": "in the rain", "autumn": "through fallen leaves", "winter": "through snow"}


def describe(event: Event, labels: Sequence[str]) -> str:
    """Return one sentence without a full stop, such as ``a badger walks left through snow``.

    Args:
        event: Where and when it is, and which way everybody walks.
        labels: Kinds that are present in the picture, in the order in which they are to be named.
    """
    heading = {actor.label: "left" if actor.heading == -1 else "right" for actor in event.actors}
    place = WEATHER.get(event.season, PLACES[SITES[event.site_index].name])
    night = " at night" if event.is_night else ""
    if not labels:
        return f"no animal moves {place}{night}"
    doings = [f"a {KIND_OF[label].english} {KIND_OF[label].verb} {heading[label]}" for label in labels]
    return f"{' and '.join(doings)} {place}{night}"


def stretches(labels: Sequence[tuple[str, ...]]) -> list[tuple[int, int]]:
    """Return ``(first, end)`` of every run of equal neighbours; ``end`` is not part of the run.

    Example:
        >>> stretches([(), ("cat",), ("cat",), ()])
        [(0, 1), (1, 3), (3, 4)]
        >>> stretches([])
        []
    """
    edges = [0, *(i for i in range(1, len(labels)) if labels[i] != labels[i - 1]), len(labels)]
    return [(first, end) for first, end in pairwise(edges) if end > first]
