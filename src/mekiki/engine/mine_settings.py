"""Settings of stage ``mine``: what is ranked, by whom, and what of it is chosen."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator

from mekiki.errors import UsageError, unknown_name
from mekiki.rarity.base import SCORERS
from mekiki.rarity.class_names import COCO_NUSCENES, words_of
from mekiki.rarity.combine import How, Rule
from mekiki.rarity.maps import MapMethod
from mekiki.rarity.pile import KEYWORDS
from mekiki.settings import Field, Input, Settings, SpeedOnly

MinedKind = Literal["crop", "image", "frame", "vector"]
"""What can have a vector."""

PRESETS: dict[str, dict[str, Any]] = {
    "seed2": {
        "scorers": ("isolation", "frequency"),
        "normalise": False,
        "rule": {"isolation": "share:0.1", "frequency": "share:0.3,at-least:50"},
        "combine": "union",
        "keywords": KEYWORDS,
        "seed": 42,
    }
}
"""What a preset sets, unless the user sets it."""

OF_SCORERS = {"n_neighbours": "knn", "map_method": "map", "template": "unlike-common", "keywords": "frequency"}
"""Settings that do something for one scorer only."""


def _check_kinds(kinds: tuple[MinedKind, ...]) -> tuple[MinedKind, ...]:
    if not kinds:
        raise UsageError("kind names nothing to rank: give crop, image, frame or vector")
    return tuple(dict.fromkeys(kinds))


def _check_scorers(names: tuple[str, ...]) -> tuple[str, ...]:
    if not names:
        raise UsageError(f"no scorer is named: --scorers takes {', '.join(SCORERS.names())}, and may be repeated")
    for name in names:
        if name not in SCORERS.names():
            raise unknown_name("scorer", name, SCORERS.names())
    return tuple(dict.fromkeys(names))


def _check_names(names: tuple[str, ...]) -> tuple[str, ...]:
    for name in names:
        if not words_of(name):
            raise UsageError(f"{name!r} is no name of a class or keyword: it has no letter. Leave it out")
    return names


def _check_rule(text: str) -> str:
    return str(Rule.parse(text))


def _check_rules(rules: dict[str, str]) -> dict[str, str]:
    for name in rules:
        if name not in SCORERS.names():
            raise unknown_name("scorer", name, SCORERS.names())
    return {name: _check_rule(text) for name, text in rules.items()}


class MineSettings(Settings):
    """Rank the objects of a workspace by how rare they are, and choose the rarest."""

    kind: Annotated[tuple[MinedKind, ...], AfterValidator(_check_kinds)] = Field(
        ("crop",), description="what is ranked: crop, image, frame or vector"
    )
    vectors: str | None = Input(
        None, min_length=1, description="embedder or run of embed whose vectors are read (default: the latest with any)"
    )
    detections: str | None = Input(None, min_length=4, description="run of detect whose crops are ranked")
    preset: Literal["seed2"] | None = Field(
        None, description="seed2: scorers, rules and keywords of that program; what you set yourself stays"
    )
    scorers: Annotated[tuple[str, ...], AfterValidator(_check_scorers)] = Field(
        ("knn",), description="ideas of what is rare; mekiki list scorers shows all"
    )
    normalise: bool = Field(True, description="scale vectors to length 1 first")
    keep: Annotated[str, AfterValidator(_check_rule)] = Field(
        "share:0.1", description="what a scorer keeps: share:0.1, count:50, score:0.95 or share:0.3,at-least:50"
    )
    rule: Annotated[dict[str, str], AfterValidator(_check_rules)] = Field(
        {}, description="the same for one scorer: knn=count:20"
    )
    combine: How = Field(
        "union", description="chosen is what any scorer keeps, what all keep, or what keep says of their mean rank"
    )
    n_neighbours: int = Field(10, ge=1, le=1000, description="knn: the distance to this many nearest others")
    target_classes: Annotated[tuple[str, ...], AfterValidator(_check_names)] = Field(
        (), description="classes that are looked for"
    )
    common_classes: Annotated[tuple[str, ...], AfterValidator(_check_names)] = Field(
        ("car", "pedestrian", "traffic_light", "traffic_sign"), description="classes that are nothing rare"
    )
    concepts: str = Input(
        "driving", min_length=1, description="what descriptions are judged by: a file, driving, driving-long, none"
    )
    class_map: str = Input(
        COCO_NUSCENES,
        min_length=1,
        description="what a detector's classes are called here: a CSV or YAML file, coco-to-nuscenes, none",
    )
    keywords: Annotated[tuple[str, ...], AfterValidator(_check_names)] = Field(
        (), description="frequency: words that make a class rare whatever its count"
    )
    at_most_alike: int = Field(
        0, ge=0, description="choose at most this many of those that look alike; 0 for all of them"
    )
    alike_cosine: float = Field(0.95, gt=0, le=1, description="from this cosine on two look alike")
    map_method: MapMethod = Field("auto", description="map: how the plane is made")
    template: str = Field(
        "a photo of a {}", pattern=r"\{\}", description="unlike-common: what is said of each common class"
    )
    seed: int = Field(42, ge=0, description="of all that is drawn by chance")
    allow_code: bool = SpeedOnly(
        False, description="unlike-common: run the program that a python:FILE:CLASS embedder is"
    )

    def with_preset(self) -> MineSettings:
        """Return them with what their preset sets, but for what was given."""
        if self.preset is None:
            return self
        given = self.model_fields_set
        wanted = {name: value for name, value in PRESETS[self.preset].items() if name not in given}
        scorers = self.scorers if "scorers" in given else wanted["scorers"]
        wanted = {
            name: value for name, value in wanted.items() if name not in OF_SCORERS or OF_SCORERS[name] in scorers
        }
        has_none = "keep" in given or self.combine == "mean-rank"
        own = {} if has_none else {name: one for name, one in PRESETS[self.preset]["rule"].items() if name in scorers}
        return self.model_copy(update={**wanted, "rule": {**own, **self.rule}})

    def check_useful(self) -> None:
        """Refuse settings that were given and do nothing beside the others.

        Raises:
            UsageError: For the first of them.
        """
        for name in self.rule:
            if name not in self.scorers:
                raise UsageError(f"--rule {name}={self.rule[name]} does nothing: {name} is not among --scorers")
        if "keep" in self.model_fields_set and self.combine != "mean-rank" and set(self.scorers) <= self.rule.keys():
            raise UsageError("--keep does nothing where every scorer has a --rule of its own: leave one of them out")
        for name, scorer in OF_SCORERS.items():
            if name in self.model_fields_set and scorer not in self.scorers:
                raise UsageError(f"--{name.replace('_', '-')} does nothing without --scorers {scorer}: leave it out")
        if "alike_cosine" in self.model_fields_set and not self.at_most_alike:
            raise UsageError("--alike-cosine does nothing without --at-most-alike: say how many may look alike")
        if "detections" in self.model_fields_set and "crop" not in self.kind:
            raise UsageError("--detections says whose crops are ranked: leave it out, or add --kind crop")

    def rules(self) -> dict[str, Rule]:
        """Return scorer to a rule of its own, of those that have one."""
        return {name: Rule.parse(text) for name, text in self.rule.items() if name in self.scorers}
