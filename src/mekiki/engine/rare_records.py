"""What seed 2 writes of rare objects: its records, its statistics and its configuration, as plain JSON values."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

from mekiki.catalog.crops import Crop
from mekiki.catalog.db import Catalog
from mekiki.catalog.describing import Described, Descriptions
from mekiki.catalog.mining import Chosen, Mining
from mekiki.catalog.runs import Run, count_done, find_run
from mekiki.catalog.vectors import as_vector_run
from mekiki.dataset.ids import safe_name
from mekiki.rarity.class_names import holds_phrase, plain_name
from mekiki.rarity.combine import Rule
from mekiki.rarity.early import SEED2_KEYWORDS
from mekiki.records import Item
from mekiki.settings import without_places

SEED_SCORERS = {"isolation": "isolation_forest", "lof": "lof", "map": "tsne"}
"""Our scorers' names as seed 2 has them; others keep theirs."""

INSIDE, OUTSIDE = 1, -1
"""Codes of inliers and outliers, as scikit-learn has them."""

_TAKEN_ENDINGS = ("_source", "_desc", "_probs")
_STEM_BYTES = 100
_DIGITS = 2


@dataclass(frozen=True, slots=True)
class RareObject:
    """One object that was ranked, with all that is known of it.

    Attributes:
        item: The crop or picture.
        crop: What was detected; None for a whole picture.
        position: Number of its box in its picture.
        named: Its class as the detector or labels spell it; may be empty.
        class_name: The same, mapped.
        score: The joint score.
        chosen: Why it was selected; None where it was not.
        described: What was said of it; None where nothing was.
        targets: Target classes that it belongs to.
        is_candidate: Whether its class holds a keyword.
    """

    item: Item
    crop: Crop | None
    position: int
    named: str
    class_name: str
    score: float
    chosen: Chosen | None
    described: Described | None
    targets: tuple[str, ...]
    is_candidate: bool

    @property
    def is_final(self) -> bool:
        """Whether it is a final outlier; without descriptions, whether it was selected and its class has a keyword."""
        if self.described is not None:
            return self.described.is_final_outlier
        return self.chosen is not None and self.is_candidate

    @property
    def text(self) -> str:
        """What was said of it, or else its class."""
        return self.described.text if self.described else self.class_name.replace("_", " ")

    @property
    def box(self) -> list[float]:
        """Where it is, ``x_min, y_min, x_max, y_max`` in pixels of the whole picture."""
        edges = self.crop.box if self.crop else (0.0, 0.0, float(self.item.width_px), float(self.item.height_px))
        return [round(float(edge), _DIGITS) for edge in edges]


def keywords_of(mining: Mining) -> tuple[str, ...]:
    """Return the words that make a class rare: those that ``mine`` was given, or seed 2's."""
    return tuple(mining.settings.get("keywords") or SEED2_KEYWORDS)


def rare_object(
    item: Item,
    ranked: tuple[float, Chosen | None],
    mining: Mining,
    told: Descriptions | None,
    found: tuple[Crop | None, int],
) -> RareObject:
    """Return an object with what a mining and its descriptions say of it.

    Args:
        item: The crop or picture.
        ranked: The joint score, and what is known of its choice, if it was selected.
        mining: Where it was ranked.
        told: What was said of the selection, if anything.
        found: What was detected, and the number of its box.
    """
    item_id = item.item_id
    class_name, named = mining.class_of.get(item_id, ""), mining.named.get(item_id, "")
    described = told.described.get(item_id) if told else None
    targets = sorted({*mining.targets_of(item_id), *(described.targets if described else ())})
    is_candidate = any(holds_phrase(f"{named} / {class_name}", word) for word in keywords_of(mining))
    score, chosen = ranked
    crop, position = found
    return RareObject(item, crop, position, named, class_name, score, chosen, described, tuple(targets), is_candidate)


def file_stems(objects: Sequence[RareObject]) -> dict[str, str]:
    """Return item to ``<picture's stem>_<box>_<class>``, safe and unique even where case does not count.

    Equal ones get the beginning of the picture's id, or all of their own, so that their order never matters.
    """
    plain = {one.item.item_id: _stem(one) for one in objects}
    parents = {one.item.item_id: one.item.parent_id or one.item.item_id for one in objects}
    names = dict(plain)
    for marks in (
        {item_id: parent[:8] for item_id, parent in parents.items()},
        {item_id: item_id for item_id in parents},
    ):
        uses = Counter(name.casefold() for name in names.values())
        for item_id, stem in plain.items():
            if uses[names[item_id].casefold()] > 1 or names[item_id].casefold().endswith(_TAKEN_ENDINGS):
                names[item_id] = f"{stem}_{marks[item_id]}"
    return names


def to_record(
    one: RareObject, path: str | None, original_path: str | None, scores: Mapping[str, float]
) -> dict[str, Any]:
    """Return an object as ``detection_results.json`` has it: seed 2's keys first, ours behind.

    Args:
        one: The object.
        path: Of its picture in the folder; None where it could not be read.
        original_path: Of the picture that it is in.
        scores: Scorer to score.
    """
    kept_by = one.chosen.kept_by if one.chosen else ()
    told = one.described
    return {
        "path": path,
        "original_path": original_path,
        "sample_token": one.item.parent_id or one.item.item_id,
        "class_name": one.named,
        "confidence": round(float(one.crop.score), 6) if one.crop else None,
        "bbox": one.box,
        "is_outlier": one.chosen is not None,
        "outlier_code": INSIDE if one.chosen is None else OUTSIDE,
        "top_concept": (told.top_concept if told else "") or one.class_name,
        "is_final_outlier": bool(one.is_final),
        "is_yolo_potential": one.is_candidate,
        "target_matches": list(one.targets),
        "description": one.text,
        "used_image_embedding": bool(told.used_image) if told else False,
        "weight_text": None if told is None or told.weight_text is None else round(float(told.weight_text), 6),
        "outlier_source": {
            **{SEED_SCORERS.get(name, name): name in kept_by for name in scores},
            "combined": one.chosen is not None,
        },
        "item_id": one.item.item_id,
        "mapped_class": one.class_name,
        "rank": one.chosen.rank if one.chosen else None,
        "rarity": round(float(one.score), 6),
        "scores": {name: round(float(score), 6) for name, score in scores.items()},
        "why": list(one.chosen.why) if one.chosen else [],
        "description_source": told.source if told else "class-name",
        "decided_by": told.decided_by if told else "keywords",
    }


def statistics_of(objects: Sequence[RareObject], mining: Mining) -> dict[str, Any]:
    """Return ``statistics.json``: seed 2's keys, and our counts of each step."""
    targets = Counter(name for one in objects for name in one.targets)
    return {
        "total_objects": mining.tallies[0].n_in if mining.tallies else len(objects),
        "processed_objects": len(objects),
        "outlier_count": sum(one.chosen is not None for one in objects),
        "final_outlier_count": sum(one.is_final for one in objects),
        "target_counts": {name: targets[name] for name in mining.target_classes},
        "class_distribution": dict(Counter(one.class_name for one in objects).most_common()),
        "counts": [tally.to_json() for tally in mining.tallies],
    }


def runs_behind(catalog: Catalog, mining: Mining, told: Descriptions | None) -> list[Run]:
    """Return the runs that an export rests on, in the order of their work."""
    captions = [told.captions_run_id, told.run_id] if told else []
    ids = dict.fromkeys([mining.detect_run_id, mining.vector_run_id, mining.run_id, *captions])
    return [run for run in (find_run(catalog, run_id) for run_id in ids if run_id) if run is not None]


def config_of(mining: Mining, told: Descriptions | None, runs: Sequence[Run]) -> dict[str, Any]:
    """Return ``config.json``: seed 2's words where we have the like, and the settings of every run."""
    by_stage = {run.stage: run for run in runs}
    detect = by_stage["detect"].settings if "detect" in by_stage else {}
    caption = by_stage["caption"].settings if "caption" in by_stage else {}
    return {
        "contamination": _contamination(mining),
        "target_classes": list(mining.target_classes),
        "common_classes": list(mining.common_classes),
        "concept_list": list(mining.concepts),
        "seed": mining.settings.get("seed"),
        "sampling_rate": detect.get("share"),
        "yolo_model": without_places(detect.get("detector")),
        "clip_model": as_vector_run(by_stage["embed"]).space.embedder if "embed" in by_stage else None,
        "use_lof": "lof" in mining.scorers,
        "skip_caption": told is None,
        "weight_text": caption.get("weight_text"),
        "described_by": told.captioner if told else "class-name",
        "runs": [{"stage": run.stage, "run_id": run.run_id, "settings": without_places(run.settings)} for run in runs],
    }


def _contamination(mining: Mining) -> float | None:
    """Return the share that the isolation forest kept; None where none was asked, or its rule has no share."""
    rule = mining.settings.get("rule", {}).get("isolation", mining.settings.get("keep"))
    is_asked = "isolation" in mining.scorers and mining.settings.get("combine") != "mean-rank"
    return Rule.parse(rule).share if rule and is_asked else None


def timing_of(catalog: Catalog, runs: Iterable[Run]) -> str:
    """Return ``timing.txt``: what each run took in all its commands, and for how many items, whatever their kind."""
    lines, total = [], 0.0
    for run in runs:
        n_items = count_done(catalog, run.run_id) or run.summary.get("n_selected", 0)
        lines.append(f"{run.stage} ({run.run_id}): {run.seconds_in_all:.3f} s for {n_items} items")
        total += run.seconds_in_all
    return "\n".join([*lines, f"total: {total:.3f} s", ""])


def _stem(one: RareObject) -> str:
    where = PurePath(one.item.path).stem if one.item.path else one.item.item_id
    named = plain_name(one.named) or "object"
    return PurePath(safe_name(f"{where}_{one.position}_{named}.jpg", max_bytes=_STEM_BYTES)).stem
