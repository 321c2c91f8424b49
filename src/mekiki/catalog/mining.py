"""What ``mine`` found: how rare each item is by each scorer, and which were chosen. Only ``mine`` writes it.

Scores stand in the table ``rarity``, one row per item and scorer and one under `COMBINED`; the choice and all that it
rests on stand in ``runs/<run_id>/mining.json``, from which ``forget`` takes items out.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from mekiki.catalog.db import Catalog, Transaction
from mekiki.catalog.runs import Run, runs_of
from mekiki.errors import DataError, unknown_name
from mekiki.rarity.class_names import NO_MAP, ClassMap, target_matches
from mekiki.records import Tally

MINING_NAME = "mining.json"
COMBINED = "combined"
"""The scorer's name under which the joint score of an item stands."""


@dataclass(frozen=True, slots=True)
class Chosen:
    """One item of the selection.

    Attributes:
        item_id: Of the crop, picture or vector.
        rank: 1 is the rarest.
        score: The joint one, in [0, 1], 1 the rarest.
        scores: Scorer to score, in [0, 1].
        why: A short sentence per scorer whose rule kept it: ``knn: 3rd of 231``.
        kept_by: Scorers whose rule kept it; empty where the mean of their ranks did.
    """

    item_id: str
    rank: int
    score: float
    scores: Mapping[str, float]
    why: tuple[str, ...]
    kept_by: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Mining:
    """One finished run of ``mine``.

    Attributes:
        run_id: Of it.
        selected: The rarest first; empty where no rule kept anything.
        tallies: Step by step, how many came in, stayed and went.
        kept_by: Scorer to how many its rule kept.
        scorers: In the order given.
        vector_run_id: The run of ``embed`` whose vectors were read; empty where there was nothing to read.
        detect_run_id: The run of ``detect`` whose crops these are; None where no crops were mined.
        class_of: Item to the class that a detector or labels give it, mapped by `mekiki.rarity.class_names`;
            of every item that was scored and has a class, chosen or not.
        named: Item to the same class as the detector or the labels spell it.
        common_classes: Normalised names of what is not rare.
        target_classes: Normalised names of what is looked for.
        concepts: The vocabulary by which descriptions are judged; empty for none.
        class_map: How classes were mapped, whatever its file says by now.
        settings: All settings, as they were after the preset.
    """

    run_id: str
    selected: tuple[Chosen, ...] = ()
    tallies: tuple[Tally, ...] = ()
    kept_by: Mapping[str, int] = field(default_factory=dict)
    scorers: tuple[str, ...] = ()
    vector_run_id: str = ""
    detect_run_id: str | None = None
    class_of: Mapping[str, str] = field(default_factory=dict)
    named: Mapping[str, str] = field(default_factory=dict)
    common_classes: tuple[str, ...] = ()
    target_classes: tuple[str, ...] = ()
    concepts: tuple[str, ...] = ()
    class_map: ClassMap = field(default_factory=lambda: ClassMap(NO_MAP))
    settings: Mapping[str, Any] = field(default_factory=dict)

    def chosen(self) -> dict[str, Chosen]:
        """Return item to what is known of its choice, the rarest first."""
        return {one.item_id: one for one in self.selected}

    def targets_of(self, item_id: str, answer: str | None = None) -> tuple[str, ...]:
        """Return the target classes that an item belongs to, by its class as it is spelled and as it is mapped.

        Args:
            item_id: Of something that was scored.
            answer: What a model said of it, which counts too; None where nobody was asked.
        """
        name = self.named.get(item_id) or self.class_of.get(item_id, "")
        return target_matches(name, answer, self.target_classes, self.class_map)

    def to_json(self) -> dict[str, Any]:
        """Return it as ``mining.json`` has it; the run's id and settings stand beside it."""
        return {
            "selected": [
                {
                    "item_id": one.item_id,
                    "rank": one.rank,
                    "score": one.score,
                    "scores": dict(one.scores),
                    "why": list(one.why),
                    "kept_by": list(one.kept_by),
                }
                for one in self.selected
            ],
            "counts": [tally.to_json() for tally in self.tallies],
            "kept_by": dict(self.kept_by),
            "scorers": list(self.scorers),
            "vectors": self.vector_run_id,
            "detections": self.detect_run_id,
            "class_of": dict(self.class_of),
            "named": dict(self.named),
            "common_classes": list(self.common_classes),
            "target_classes": list(self.target_classes),
            "concepts": list(self.concepts),
            "class_map": self.class_map.to_json(),
        }

    @classmethod
    def from_json(cls, run_id: str, settings: Mapping[str, Any], content: Mapping[str, Any]) -> Mining:
        """Return what `to_json` wrote."""
        return cls(
            run_id=run_id,
            selected=tuple(_chosen(one) for one in content["selected"]),
            tallies=tuple(Tally.from_json(one) for one in content["counts"]),
            kept_by=content["kept_by"],
            scorers=tuple(content["scorers"]),
            vector_run_id=content["vectors"],
            detect_run_id=content["detections"],
            class_of=content["class_of"],
            named=content["named"],
            common_classes=tuple(content["common_classes"]),
            target_classes=tuple(content["target_classes"]),
            concepts=tuple(content["concepts"]),
            class_map=ClassMap.from_json(content["class_map"]),
            settings=settings,
        )

    def text(self) -> str:
        """Return the content of ``mining.json``."""
        return json.dumps(self.to_json(), ensure_ascii=False, indent=1, allow_nan=False)


def write_rarity(transaction: Transaction, scores: Mapping[str, Iterable[tuple[str, float]]]) -> int:
    """Write the scores of a run and return how many rows.

    Args:
        transaction: Of ``mine``.
        scores: Scorer, or `COMBINED`, to items with their score.
    """
    rows = (
        (transaction.run_id, item_id, scorer, score) for scorer, pairs in scores.items() for item_id, score in pairs
    )
    return transaction.upsert("rarity", ("run_id", "item_id", "scorer", "score"), rows)


def find_mining(catalog: Catalog, wanted: str | None = None) -> Mining | None:
    """Return what a run of ``mine`` found, without items that have been forgotten since.

    Args:
        catalog: Where from.
        wanted: The beginning of a run's id; None for the run whose command was given last.

    Returns:
        None where nothing has been mined and none is named.

    Raises:
        UsageError: If there is no such run.
    """
    found = {run.run_id: run for run in _finished(catalog)}
    for run in found.values():
        if wanted is None or (len(wanted) >= 4 and run.run_id.startswith(wanted)):
            return _read(catalog, run)
    if wanted is not None:
        raise unknown_name("run of mine", wanted, found)
    return None


def require_mining(catalog: Catalog, wanted: str | None = None) -> Mining:
    """Return what `find_mining` does, or raise `DataError` if nothing has been mined."""
    found = find_mining(catalog, wanted)
    if found is None:
        raise DataError(f"nothing has been mined in {catalog.workspace}: mekiki mine -w {catalog.workspace}")
    return found


def without_mined(content: Mapping[str, Any], gone: Collection[str]) -> dict[str, Any]:
    """Return ``mining.json`` without what it says of some items; ranks and counts stay what they were."""
    classes = {
        name: {item_id: word for item_id, word in content[name].items() if item_id not in gone}
        for name in ("class_of", "named")
    }
    return {**content, **classes, "selected": [one for one in content["selected"] if one["item_id"] not in gone]}


def read_rarity(catalog: Catalog, run_id: str) -> dict[str, dict[str, float]]:
    """Return scorer, and `COMBINED`, to item to score, of all items that a run scored."""
    found: dict[str, dict[str, float]] = {}
    sql = "SELECT scorer, item_id, score FROM rarity WHERE run_id = ? ORDER BY scorer, item_id"
    for scorer, item_id, score in catalog.rows(sql, (run_id,)):
        found.setdefault(scorer, {})[item_id] = score
    return found


def box_positions(catalog: Catalog, run_id: str) -> dict[str, int]:
    """Return crop to the number of its box in its picture, from 0 on, as a run of ``detect`` found them.

    Of two boxes that are cut at the same place, the one with the higher score counts.
    """
    sql = "SELECT crop_id, position FROM boxes WHERE run_id = ? AND crop_id IS NOT NULL ORDER BY score, position DESC"
    return dict(catalog.rows(sql, (run_id,)))


def _chosen(content: Mapping[str, Any]) -> Chosen:
    return Chosen(**{**content, "why": tuple(content["why"]), "kept_by": tuple(content["kept_by"])})


def _finished(catalog: Catalog) -> list[Run]:
    """Return the runs that have a result which is still there, the one whose command was given last first."""
    runs = [run for run in runs_of(catalog, "mine") if run.finished_at and _path_of(run)]
    there = [run for run in runs if catalog.locate(_path_of(run)).is_file()]
    return sorted(there, key=lambda run: run.finished_at or "", reverse=True)


def _path_of(run: Run) -> str:
    return str(run.summary.get("outputs", {}).get(MINING_NAME, ""))


def _read(catalog: Catalog, run: Run) -> Mining:
    text = catalog.locate(_path_of(run)).read_text(encoding="utf-8")
    return Mining.from_json(run.run_id, run.settings, json.loads(text))
