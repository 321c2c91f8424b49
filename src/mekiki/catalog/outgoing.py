"""Everything that is known of items, put together for writers of formats and for reports."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from mekiki.catalog.attributes import read_attributes
from mekiki.catalog.crops import Crop, CropSelection, crops_of
from mekiki.catalog.db import Catalog
from mekiki.catalog.describing import CLASS_NAME
from mekiki.catalog.items import NewItem, class_names, inherited_groups, item_facts, read_groups, select_items
from mekiki.catalog.results import (
    ANNOTATOR_ORDER,
    BoxRow,
    hash_rows,
    read_boxes,
    read_captions,
    read_labels,
    read_split,
)
from mekiki.catalog.runs import run_times
from mekiki.catalog.vectors import StoredVectors
from mekiki.dataset.formats.base import GROUP_KINDS, BoxClaim, OutItem
from mekiki.errors import DataError, UnreadableError
from mekiki.intake.files import unchanged_path
from mekiki.records import Failure, Item, ItemKind

ANSWER_ATTRIBUTES = ("reason", "model", "response_id", "response_text", "confidence", "labels_left_out")
"""Attributes that belong to one annotator's answer: they go out with that annotator's labels only."""

CROP_CLASS = "class_name"
"""Attribute of a crop that goes out: what its detector calls it."""

SAID_ELSEWHERE = ("part", "captured_at", "site", "camera", "video_path", "frame_index", "time_s")
"""Attributes that an outgoing item has fields for."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to go out.

    Attributes:
        kinds: Kinds of item.
        split_run_id: The split whose parts count; None takes the parts that files stated.
        annotator: Only this one's labels; None takes the resolved ones.
        detect_run_id: The run of ``detect`` whose crops count, where crops are among the kinds.
    """

    kinds: Sequence[ItemKind]
    split_run_id: str | None = None
    annotator: str | None = None
    detect_run_id: str | None = None


@dataclass(frozen=True, slots=True)
class Outgoing:
    """Items on their way out, and those whose file is gone or changed."""

    items: tuple[OutItem, ...]
    failures: Mapping[str, Failure]
    classes: tuple[str, ...]

    def fingerprint(self) -> str:
        """Return what stands for all of it in a run's fingerprint."""
        rows = ((replace(item, path=Path(item.path.name)), str(item.path)) for item in self.items)
        return hash_rows([self.classes, sorted(self.failures), *rows])

    def paths(self) -> Iterator[Path]:
        """Yield the files that go out, and the clips that frames come from."""
        for item in self.items:
            yield item.path
            if item.video_path is not None:
                yield item.video_path


def gather(catalog: Catalog, wanted: Wanted, stage: str) -> Outgoing:
    """Return all that is known of items of these kinds, in the order of their ids.

    Args:
        catalog: Where from.
        wanted: What is to go out.
        stage: Who asks; stands in the failures.
    """
    facts = {one.item_id: one for one in item_facts(catalog, wanted.kinds)}
    videos = {one.item_id: one for one in select_items(catalog, ["video"])}
    labels = read_labels(catalog, wanted.annotator)
    order = {name: position for position, name in enumerate(class_names(catalog))}
    parts = _parts(catalog, wanted.split_run_id)
    boxes, captions, attributes = read_boxes(catalog), read_captions(catalog), read_attributes(catalog)
    _keep_answers_of(catalog, wanted.annotator, attributes)
    groups: dict[str, dict[str, str]] = {}
    own = [row for row in read_groups(catalog, {}) if row.kind in GROUP_KINDS]
    for row in (*inherited_groups(catalog, own), *own):
        groups.setdefault(row.item_id, {})[row.kind] = row.key
    times = _start_times(catalog, attributes)
    found = {one.item_id: one for one in crops_of(catalog, wanted.detect_run_id)} if wanted.detect_run_id else {}
    items, failures = [], {}
    for item in _selected(catalog, wanted):
        item_id = item.item_id
        try:
            path = unchanged_path(item)
        except UnreadableError as error:
            failures[item_id] = Failure(error.path, error.reason, stage)
            continue
        said = sorted(labels.get(item_id, {}).items(), key=lambda pair: order.get(pair[0], len(order)))
        known = attributes.get(item_id, {}) | (_crop_facts(found[item_id], said) if item_id in found else {})
        items.append(
            OutItem(
                item_id=item_id,
                kind=item.kind,
                path=path,
                width_px=item.width_px,
                height_px=item.height_px,
                states={name: state for name, (state, _) in said},
                confidence={name: confidence for name, (_, confidence) in said},
                boxes=tuple(_box(box) for box in boxes.get(item_id, [])),
                captions=tuple(one.text for one in captions.get(item_id, []) if one.annotator != CLASS_NAME),
                part=_part(item, parts, attributes),
                groups=groups.get(item_id, {}),
                attributes={name: text for name, text in known.items() if name not in SAID_ELSEWHERE},
                captured_at=known.get("captured_at") or _time_of(facts[item_id], times),
                parent_id=item.parent_id,
                box=item.box,
                whole_hw=item.whole_hw,
                **(_video_facts(facts[item_id], videos) or _stated_video(known, groups.get(item_id, {}))),
            )
        )
    return Outgoing(tuple(items), failures, tuple(order))


def called_by_detector(going: Outgoing) -> tuple[Outgoing, list[str]]:
    """Return the same with crops that nobody labelled under the class of their detector, and a line that says so."""
    items = tuple(
        replace(one, states={one.attributes[CROP_CLASS]: "present"})
        if one.box is not None and not one.states and CROP_CLASS in one.attributes
        else one
        for one in going.items
    )
    n_called = sum(one is not other for one, other in zip(items, going.items, strict=True))
    notes = [f"{n_called} crops without labels lie under the class that their detector gave them"] if n_called else []
    return replace(going, items=items), notes


def having_vectors(going: Outgoing, stored: StoredVectors) -> tuple[Outgoing, list[str]]:
    """Return what has a vector, and a line about what has not.

    Raises:
        DataError: If nothing has.
    """
    known = stored.having([item.item_id for item in going.items])
    items = tuple(item for item in going.items if item.item_id in known)
    if going.items and not items:
        raise DataError(
            f"none of {len(going.items)} items has a vector of {stored.run.space}: --vectors NAME says whose"
        )
    n_bare = len(going.items) - len(items)
    notes = [f"{n_bare} items have no vector of {stored.run.space} and were left out: mekiki embed"] if n_bare else []
    return replace(going, items=items), notes


def _keep_answers_of(catalog: Catalog, annotator: str | None, attributes: dict[str, dict[str, str]]) -> None:
    """Leave of each labelled item's answers the one whose labels count, in place of the latest of anybody."""
    runs = _label_runs(catalog, annotator)
    for item_id in runs:
        for name in ANSWER_ATTRIBUTES:
            attributes.get(item_id, {}).pop(name, None)
    marks = ", ".join("?" * len(ANSWER_ATTRIBUTES))
    sql = f"SELECT item_id, name, value, run_id FROM attributes WHERE name IN ({marks})"
    for item_id, name, value, run_id in catalog.rows(sql, ANSWER_ATTRIBUTES):
        if runs.get(item_id) == run_id:
            attributes.setdefault(item_id, {})[name] = value


def _label_runs(catalog: Catalog, annotator: str | None) -> dict[str, str]:
    """Return the id of each labelled item to the run whose labels count first; see `iter_labels`."""
    ranks = {name: rank for rank, name in enumerate(reversed(ANNOTATOR_ORDER), start=1)}
    times = run_times(catalog)
    where, parameters = ("WHERE annotator = ?", (annotator,)) if annotator else ("", ())
    best: dict[str, tuple[int, str, str]] = {}
    for item_id, who, run_id in catalog.rows(
        f"SELECT DISTINCT item_id, annotator, run_id FROM labels {where}", parameters
    ):
        rank = (ranks.get(who.partition(":")[0], 0), times.get(run_id, ""), run_id)
        best[item_id] = max(best.get(item_id, rank), rank)
    return {item_id: run_id for item_id, (_, _, run_id) in best.items()}


def _stated_video(known: Mapping[str, str], groups: Mapping[str, str]) -> dict[str, Any]:
    """Return what label files said of the video of a frame that is a file of its own; nothing for other items."""
    if "video_path" not in known:
        return {}
    return {
        "video_path": Path(known["video_path"]),
        "video_id": groups.get("source"),
        "frame_index": int(known["frame_index"]) if "frame_index" in known else None,
        "time_s": float(known["time_s"]) if "time_s" in known else None,
    }


def _selected(catalog: Catalog, wanted: Wanted) -> list[Item]:
    """Return the items, in the order of their ids; of crops those of one run, which other runs may have found too."""
    kinds = [kind for kind in wanted.kinds if kind != "crop" or wanted.detect_run_id is None]
    items = list(select_items(catalog, kinds)) if kinds else []
    if len(kinds) < len(wanted.kinds) and wanted.detect_run_id is not None:
        items += CropSelection(catalog, wanted.detect_run_id)
    return sorted(items, key=lambda item: item.item_id)


def _crop_facts(crop: Crop, labels: Sequence[Any]) -> dict[str, str]:
    """Return what its detector says of a crop: the score, where it was seen, and its class if nobody labelled it."""
    facts = {"detection_score": f"{crop.score:.4f}", "box": " ".join(f"{edge:g}" for edge in crop.box)}
    return facts if labels else {CROP_CLASS: crop.class_name, **facts}


def _part(item: Item, parts: Mapping[str, str] | None, attributes: Mapping[str, Mapping[str, str]]) -> str | None:
    """Return the part of a split, or that files stated; a crop without its own has that of its picture."""
    for item_id in (item.item_id, item.parent_id if item.kind == "crop" else None):
        if item_id is not None:
            part = parts.get(item_id) if parts is not None else _given_part(attributes.get(item_id, {}))
            if part is not None:
                return part
    return None


def _given_part(known: Mapping[str, str]) -> str | None:
    """Return the part that label files gave an item; none where they gave it several, which is a leak."""
    part = known.get("part")
    return None if part is None or "|" in part else part


def _start_times(catalog: Catalog, attributes: Mapping[str, Mapping[str, str]]) -> dict[str, str]:
    """Return the id of each video to when its recording began, where that is known."""
    facts = item_facts(catalog, ["video"])
    times = {one.item_id: attributes.get(one.item_id, {}).get("captured_at", one.captured_at) for one in facts}
    return {item_id: time for item_id, time in times.items() if time}


def _time_of(facts: NewItem, start_times: Mapping[str, str]) -> str | None:
    """Return when a picture was taken; a frame when its video began, and its own time after that."""
    if facts.kind != "frame" or facts.parent_id is None or facts.parent_id not in start_times:
        return facts.captured_at
    try:
        began = datetime.fromisoformat(start_times[facts.parent_id])
    except ValueError:
        return None
    return str((began + timedelta(seconds=facts.time_s or 0)).replace(microsecond=0))


def _parts(catalog: Catalog, run_id: str | None) -> dict[str, str] | None:
    if run_id is None:
        return None
    return {item_id: row.part for item_id, row in read_split(catalog, run_id).items()}


def _box(box: BoxRow) -> BoxClaim:
    return BoxClaim(box.class_name, box.xyxy, box.score)


def _video_facts(facts: NewItem, videos: Mapping[str, Item]) -> dict[str, Any]:
    """Return what a frame says of its video; nothing for other items."""
    if facts.kind != "frame":
        return {}
    video = videos.get(str(facts.parent_id))
    return {
        "video_path": video.path if video else None,
        "video_id": facts.parent_id,
        "frame_index": facts.frame_index,
        "time_s": facts.time_s,
    }
