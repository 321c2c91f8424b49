"""What ``caption`` made of a selection of rare things: a text for each, the concepts it fits, and the judgement."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from mekiki.catalog.db import Catalog
from mekiki.catalog.runs import runs_of
from mekiki.records import Tally

if TYPE_CHECKING:
    from mekiki.catalog.mining import Mining

STAGE = "caption"
DESCRIPTIONS_NAME = "descriptions.json"
CLASS_NAME = "class-name"
"""Who says what nobody was asked about: the detector's class, by its mapped name."""

DecidedBy = Literal["concepts", "names", "keywords"]


@dataclass(frozen=True, slots=True)
class Described:
    """What is said of one rare thing, and what follows from it.

    Attributes:
        item_id: The thing.
        text: A model's words, or the mapped class name where there are none.
        source: Whose words: ``vlm:MODEL``, ``qwen-vl:NAME`` or `CLASS_NAME`.
        trouble: Why the class name stands in for a model's words that were wanted; empty where it does not.
        class_name: The detector's class, mapped.
        judged_on: The words that the judgement rests on: ``text``, or those of `CLASS_NAME`.
        top_concept: What it fits best; two that are about equal are joined by `` or ``.
        concepts: Score of each concept that it fits at all, best first; empty where no cosines were taken.
        is_final_outlier: Whether it is rare after all that is known.
        decided_by: The rule.
        weight_text: Share of the text in the concepts' scores; None where the picture had none.
        used_image: Whether the picture's own vector counted too.
        targets: Classes looked for that it may be.
    """

    item_id: str
    text: str
    source: str
    trouble: str = ""
    class_name: str = ""
    judged_on: Literal["text", "class-name"] = "text"
    top_concept: str = ""
    concepts: Mapping[str, float] = field(default_factory=dict)
    is_final_outlier: bool = False
    decided_by: DecidedBy = "names"
    weight_text: float | None = None
    used_image: bool = False
    targets: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Descriptions:
    """All that one judgement says.

    Attributes:
        run_id: Of the judgement.
        captions_run_id: Whose texts were judged; those of things outside the selection are its captions too.
        mining_run_id: Whose selection.
        captioner: As it was resolved: ``vlm:MODEL``, ``qwen-vl:NAME`` or `CLASS_NAME`.
        described: Item id to what is said, rarest first.
        tallies: Counts of each step.
    """

    run_id: str
    captions_run_id: str
    mining_run_id: str
    captioner: str
    described: Mapping[str, Described]
    tallies: tuple[Tally, ...] = ()

    def final_outliers(self) -> list[str]:
        """Return the ids of those that are rare after all, rarest first."""
        return [item_id for item_id, one in self.described.items() if one.is_final_outlier]

    def to_json(self) -> dict[str, Any]:
        """Return it as ``descriptions.json`` has it."""
        return {
            "run_id": self.run_id,
            "captions_run_id": self.captions_run_id,
            "mining_run_id": self.mining_run_id,
            "captioner": self.captioner,
            "counts": [one.to_json() for one in self.tallies],
            "described": [asdict(one) for one in self.described.values()],
        }


def descriptions_from_json(content: Mapping[str, Any]) -> Descriptions:
    """Return what `Descriptions.to_json` wrote."""
    told = [Described(**{**one, "targets": tuple(one["targets"])}) for one in content["described"]]
    return Descriptions(
        run_id=content["run_id"],
        captions_run_id=content["captions_run_id"],
        mining_run_id=content["mining_run_id"],
        captioner=content["captioner"],
        described={one.item_id: one for one in told},
        tallies=tuple(Tally.from_json(one) for one in content["counts"]),
    )


def find_descriptions(catalog: Catalog, mining: Mining) -> Descriptions | None:
    """Return the latest judgement of a mining's selection whose file is still there, or None."""
    runs = [
        run
        for run in runs_of(catalog, STAGE)
        if run.finished_at and run.reads.get("mining") == mining.run_id and "captions" in run.reads
    ]
    for run in sorted(runs, key=lambda run: run.finished_at or "", reverse=True):
        path = catalog.workspace / "runs" / run.run_id / DESCRIPTIONS_NAME
        if path.is_file():
            return descriptions_from_json(json.loads(path.read_text(encoding="utf-8")))
    return None


def without_described(content: Mapping[str, Any], gone: Collection[str]) -> dict[str, Any]:
    """Return a judgement's file without what it says of some items; the counts stay what they were."""
    return {**content, "described": [one for one in content["described"] if one["item_id"] not in gone]}


def captions_of(catalog: Catalog, run_id: str) -> dict[str, tuple[str, str]]:
    """Return item id to text and annotator, as one run of ``caption`` wrote them, in the order of ids."""
    sql = "SELECT item_id, text, annotator FROM captions WHERE run_id = ? ORDER BY item_id, position"
    return {item_id: (text, annotator) for item_id, text, annotator in catalog.rows(sql, (run_id,))}
