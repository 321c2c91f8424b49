"""Decides what happens in a world before anything is drawn: who passes which camera, when, and how.

Kinds, sites, cameras, seasons and night are dealt from evenly filled decks, so that no kind is tied to a place or an
hour by chance: the one tie in a world is the one that its settings ask for.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Literal, TypeVar

import numpy as np
from numpy.random import Generator

from mekiki.demo.kinds import KIND_OF, LABELS
from mekiki.demo.scenery import SEASONS, Season
from mekiki.demo.settings import WorldSettings

Medium = Literal["clip", "still"]
Entry = Literal["enters", "leaves", "passes"]
Dealt = TypeVar("Dealt")

FIRST_YEAR = 2023
MONTHS: dict[Season, tuple[int, ...]] = {"summer": (4, 5, 8), "rain": (6, 7), "autumn": (10, 11), "winter": (12, 1, 2)}
DAY_HOURS, NIGHT_HOURS = range(7, 17), (20, 21, 22, 23, 0, 1, 2, 3)
BURST_STEP_S = 1.0
BURST_SIZE = 3
CLIP_SECONDS = (2.0, 3.0)
# What is in the events, as shares: nothing but wind, one animal, animals of two kinds.
EMPTY_SHARE, PAIR_SHARE = 0.10, 0.16
TURNING_SHARES: dict[Entry, tuple[float, float]] = {"enters": (0.05, 0.3), "leaves": (0.65, 0.9), "passes": (0.3, 0.7)}
ENTRIES: tuple[Entry, ...] = ("enters", "leaves", "passes", "passes", "passes", "passes")
BURST_SHARE = 0.2  # of the events on stills


@dataclass(frozen=True, slots=True)
class Actor:
    """One animal in one event."""

    label: str
    coat_index: int
    heading: Literal[-1, 1]  # -1 walks left, 1 walks right
    entry: Entry
    turning_share: float  # when it crosses the edge, or the middle, as a share of the event
    aside: float  # where the middle is that it passes, in picture heights from the real one
    depth: float  # 0 far, 1 near
    tempo: float  # how much faster than its kind's usual pace
    phase: float  # of its gait at the start


@dataclass(frozen=True, slots=True)
class Event:
    """One release of one camera: a clip, or a burst of one or three stills."""

    index: int
    medium: Medium
    site_index: int
    camera_index: int
    season: Season
    is_night: bool
    starts_at: datetime
    times_s: tuple[float, ...]  # of its frames or stills
    duration_s: float
    actors: tuple[Actor, ...]

    @property
    def event_id(self) -> str:
        """Name of the event in the truth."""
        return f"E{self.index:04d}"


def plan_events(settings: WorldSettings) -> list[Event]:
    """Return all events of a world, clips first; copies and damage are planted later by `mekiki.demo.world`."""
    rng = np.random.default_rng([settings.seed, 0])
    n_clips = settings.n_clips - 3 * settings.n_planted
    bursts = _burst_sizes(settings.n_stills - 2 * settings.n_planted)
    n_events = n_clips + len(bursts)
    casts = _deal(rng, _casts(rng, n_events), n_events)
    seasons, nights = _deal(rng, list(SEASONS), n_events), _deal(rng, [False, False, True], n_events)
    cameras, sites = _deal(rng, [0, 1], n_events), _deal(rng, list(range(settings.n_sites)), n_events)
    starts = _starts(rng, seasons, nights)
    events = []
    for index in range(n_events):
        is_clip = index < n_clips
        n_times = round(rng.uniform(*CLIP_SECONDS) * settings.fps) if is_clip else bursts[index - n_clips]
        times = tuple(i / settings.fps if is_clip else i * BURST_STEP_S for i in range(n_times))
        site_index = 0 if settings.confined_kind in casts[index] and settings.confined_kind else sites[index]
        events.append(
            Event(
                index=index,
                medium="clip" if is_clip else "still",
                site_index=site_index,
                camera_index=cameras[index],
                season=seasons[index],
                is_night=nights[index],
                starts_at=starts[index],
                times_s=times,
                duration_s=n_times / settings.fps if is_clip else BURST_STEP_S * (n_times - 1),
                actors=_actors(rng, casts[index], is_clip),
            )
        )
    return events


def mirrored(event: Event) -> Event:
    """Return the event as its mirror picture shows it: everybody walks the other way."""
    turned = tuple(replace(actor, heading=1 if actor.heading == -1 else -1) for actor in event.actors)
    return replace(event, actors=turned)


def _deal(rng: Generator, deck: list[Dealt], n: int) -> list[Dealt]:
    """Deal n cards; every card of the deck comes equally often, as far as n allows."""
    repeated = [deck[i % len(deck)] for i in range(n)]
    return [repeated[i] for i in rng.permutation(n)]


def _burst_sizes(n_stills: int) -> list[int]:
    n_bursts = round(BURST_SHARE * n_stills / (1 + BURST_SHARE * (BURST_SIZE - 1)))
    return [BURST_SIZE] * n_bursts + [1] * (n_stills - BURST_SIZE * n_bursts)


def _casts(rng: Generator, n: int) -> list[tuple[str, ...]]:
    """Return n casts, so that every kind comes equally often and every pair of kinds is about as likely."""
    n_empty, n_pairs = round(EMPTY_SHARE * n), round(PAIR_SHARE * n)
    deck = _deal(rng, list(LABELS), n - n_empty + n_pairs)
    casts: list[tuple[str, ...]] = [()] * n_empty
    for _ in range(n_pairs):
        first = deck.pop()
        partner = next((i for i in reversed(range(len(deck))) if deck[i] != first), None)
        casts.append((first,) if partner is None else (first, deck.pop(partner)))
    return casts + [(label,) for label in deck]


def _starts(rng: Generator, seasons: list[Season], nights: list[bool]) -> list[datetime]:
    """Return one moment per event, in its season and light; no two are within half an hour."""
    n_years = 1 + len(seasons) // 500
    taken: set[datetime] = set()
    starts = []
    for season, is_night in zip(seasons, nights, strict=True):
        while True:
            month = int(rng.choice(MONTHS[season]))
            hour = int(rng.choice(NIGHT_HOURS if is_night else list(DAY_HOURS)))
            year = FIRST_YEAR + int(rng.integers(n_years))
            slot = datetime(year, month, int(rng.integers(1, 29)), hour)
            if slot not in taken:
                break
        taken.add(slot)
        starts.append(slot + timedelta(seconds=int(rng.integers(0, 1800))))
    return starts


def _actors(rng: Generator, cast: tuple[str, ...], is_clip: bool) -> tuple[Actor, ...]:
    actors = []
    depths = (rng.uniform(0.2, 0.9),) if len(cast) == 1 else (rng.uniform(0.0, 0.2), rng.uniform(0.75, 1.0))
    for label, depth in zip(cast, depths, strict=False):
        entry: Entry = "passes"
        if is_clip:
            entry = ENTRIES[int(rng.integers(len(ENTRIES)))]
        low, high = TURNING_SHARES[entry]
        actors.append(
            Actor(
                label=label,
                coat_index=int(rng.integers(len(KIND_OF[label].coats))),
                heading=1 if rng.random() < 0.5 else -1,
                entry=entry,
                turning_share=float(rng.uniform(low, high)),
                aside=float(rng.uniform(-0.25, 0.25)),
                depth=float(depth),
                tempo=float(rng.uniform(0.9, 1.3)),
                phase=float(rng.random()),
            )
        )
    return tuple(actors)
