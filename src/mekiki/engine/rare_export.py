"""The folder that seed 2 fills: every ranked object, sorted into inliers, final outliers and target classes."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mekiki.catalog.crops import CropSelection, crops_of
from mekiki.catalog.db import Catalog
from mekiki.catalog.describing import Descriptions, find_descriptions
from mekiki.catalog.items import select_items
from mekiki.catalog.mining import COMBINED, Mining, box_positions, read_rarity, require_mining
from mekiki.catalog.results import hash_rows
from mekiki.dataset.formats.media_files import relative_path
from mekiki.dataset.ids import safe_names
from mekiki.engine.rare_records import (
    RareObject,
    config_of,
    file_stems,
    rare_object,
    runs_behind,
    statistics_of,
    timing_of,
    to_record,
)
from mekiki.errors import DataError, UnreadableError
from mekiki.intake.crop_reading import CropReading
from mekiki.intake.files import unchanged_path
from mekiki.media.images import encode_jpeg
from mekiki.records import Failure, Item, Tally

SEED2 = "rare-objects"
"""The format's name."""

RESULTS, STATISTICS, CONFIG, TIMING = "detection_results.json", "statistics.json", "config.json", "timing.txt"
RARE_FILES = (RESULTS, STATISTICS, CONFIG, TIMING)
ALL, INLIERS, OUTLIERS, FINAL, TARGETS = "cropped_objects", "inliers", "outliers", "final_outliers", "targets"

DrawConcepts = Callable[[str, Mapping[str, float]], bytes]
"""Gives a PNG of concepts with their scores, best first, under a title."""


@dataclass(frozen=True, slots=True)
class RareExport:
    """What is about to be written.

    Attributes:
        mining: The run of ``mine``.
        told: What was said of its selection; None where ``caption`` was left out.
        objects: All that were ranked and are still there, in the order of ids.
        scores: Item to scorer to score.
        gone: Items whose picture is no longer known, with the failure that says so.
    """

    mining: Mining
    told: Descriptions | None
    objects: tuple[RareObject, ...]
    scores: Mapping[str, Mapping[str, float]]
    gone: Mapping[str, Failure]

    def reads(self) -> dict[str, str]:
        """Return what stands for all of it in a run's fingerprint."""
        told = self.told.to_json() if self.told else {}
        paths = ((one.item.item_id, str(one.item.path)) for one in self.objects)
        return {
            "mining": self.mining.run_id,
            "mined": hash_rows([(self.mining.text(),), *sorted(self.gone)]),
            "descriptions": self.told.run_id if self.told else "",
            "described": hash_rows([(json.dumps(told, sort_keys=True),)]),
            "sources": hash_rows(paths),
        }

    def paths(self) -> Iterator[Path]:
        """Yield the user's files that are read."""
        for one in self.objects:
            if one.item.path is not None:
                yield one.item.path

    def facts(self) -> dict[str, Any]:
        """Return what a summary says of it."""
        return {
            "mining": self.mining.run_id,
            "descriptions": self.told.run_id if self.told else None,
            "n_outliers": len(self.mining.selected),
            "n_final_outliers": sum(one.is_final for one in self.objects),
        }

    def notes(self) -> list[str]:
        """Return what the user should know of how it was judged."""
        if self.told is None:
            return [
                "no caption of this selection: descriptions are class names, and final outliers are those chosen whose "
                "class holds a keyword; to have them in words: mekiki caption, then this again"
            ]
        return [f"described by {self.told.captioner}"]


def gather_rare(catalog: Catalog, wanted: str | None) -> RareExport:
    """Return all that is known of the objects that a run of ``mine`` ranked.

    Args:
        catalog: The workspace.
        wanted: The beginning of the run's id; None for the latest.

    Raises:
        DataError: If nothing was mined, or what was mined are vectors without a picture.
        UsageError: If there is no such run.
    """
    mining = require_mining(catalog, wanted)
    told = find_descriptions(catalog, mining)
    by_scorer = read_rarity(catalog, mining.run_id)
    joint = by_scorer.pop(COMBINED, {})
    kinds = mining.settings.get("kind", ["crop"])
    if "vector" in kinds:
        raise DataError(
            f"run {mining.run_id} ranked vectors, which have no picture to write: mekiki mine --kind crop or image, or "
            "--format csv"
        )
    crops = {one.item_id: one for one in crops_of(catalog, mining.detect_run_id)} if mining.detect_run_id else {}
    positions = box_positions(catalog, mining.detect_run_id) if mining.detect_run_id else {}
    found = {item.item_id: item for item in _items(catalog, mining, kinds) if item.item_id in joint}
    chosen = mining.chosen()
    objects = tuple(
        rare_object(
            found[item_id],
            (joint[item_id], chosen.get(item_id)),
            mining,
            told,
            (crops.get(item_id), positions.get(item_id, 0)),
        )
        for item_id in sorted(found)
    )
    gone = {
        item_id: Failure(item_id, "its picture is no longer known: mekiki ingest it again, then mine", "export")
        for item_id in sorted(joint.keys() - found.keys())
    }
    scores = {item_id: {name: by_scorer[name][item_id] for name in mining.scorers} for item_id in found}
    return RareExport(mining, told, objects, scores, gone)


def write_rare(
    catalog: Catalog, going: RareExport, folder: Path, draw: DrawConcepts, *, copy: bool
) -> tuple[dict[str, Failure], Tally]:
    """Fill a folder, and return what could not be read and the count of pictures.

    Args:
        catalog: The workspace.
        going: What is written.
        folder: Where to; it is there and empty.
        draw: Draws a final outlier's concepts.
        copy: Copy whole pictures; otherwise they are hard-linked where the disk can do that.
    """
    stems = file_stems(going.objects)
    failures = dict(going.gone)
    reading = CropReading()
    records: list[dict[str, Any]] = []
    target_folders = safe_names(going.mining.target_classes)
    for one in sorted(going.objects, key=lambda one: (one.item.parent_id or "", one.item.item_id)):
        item_id = one.item.item_id
        try:
            source = unchanged_path(one.item)
            suffix = ".jpg" if one.item.kind == "crop" else source.suffix.lower()
            path = folder / ALL / f"{stems[item_id]}{suffix}"
            if one.item.kind == "crop":
                _put(path, encode_jpeg(reading.open(one.item)(None)))
            else:
                _place(source, path, copy=copy)
        except UnreadableError as error:
            failures[item_id] = Failure(error.path, error.reason, "export")
            records.append(to_record(one, None, None, going.scores[item_id]))
            continue
        for place in _places(one, target_folders):
            _place(path, folder / place / path.name, copy=False)
        if one.is_final:
            _describe(one, source, folder / FINAL / path.name, draw, copy=copy)
        shown = path.relative_to(folder).as_posix()
        records.append(to_record(one, shown, relative_path(source, folder), going.scores[item_id]))
    records.sort(key=lambda record: (record["rank"] is None, record["rank"] or 0, -record["rarity"], record["item_id"]))
    runs = runs_behind(catalog, going.mining, going.told)
    _write_json(folder / RESULTS, records)
    _write_json(folder / STATISTICS, statistics_of(going.objects, going.mining))
    _write_json(folder / CONFIG, config_of(going.mining, going.told, runs))
    _put(folder / TIMING, timing_of(catalog, runs).encode())
    n_in = len(going.objects) + len(going.gone)
    return failures, Tally("pictures written", "objects", n_in, n_in - len(failures), 0, len(failures))


def _items(catalog: Catalog, mining: Mining, kinds: Iterable[Any]) -> Iterator[Item]:
    if mining.detect_run_id:
        yield from CropSelection(catalog, mining.detect_run_id)
    others = [kind for kind in kinds if kind != "crop"]
    if others:
        yield from select_items(catalog, others)


def _places(one: RareObject, target_folders: Mapping[str, str]) -> Iterator[str]:
    """Yield the folders in which an object's picture lies, beside that of all."""
    yield INLIERS if one.chosen is None else OUTLIERS
    if one.is_final:
        yield FINAL
    for name in one.targets:
        yield f"{TARGETS}/{target_folders[name]}"


def _describe(one: RareObject, source: Path, path: Path, draw: DrawConcepts, *, copy: bool) -> None:
    """Put a final outlier's scene, its words and its concepts beside its picture."""
    if one.item.kind == "crop":
        _place(source, path.with_name(f"{path.stem}_source{source.suffix.lower()}"), copy=copy)
    _put(path.with_name(f"{path.stem}_desc.txt"), f"{one.text}\n".encode(errors="backslashreplace"))
    if one.described and one.described.concepts:
        _put(path.with_name(f"{path.stem}_probs.png"), draw(one.text, one.described.concepts))


def _place(source: Path, target: Path, *, copy: bool) -> None:
    """Hard-link a file, or copy it where that is wanted or links cannot be had."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if not copy:
        try:
            os.link(source.resolve(), target)
        except OSError:  # another disk, a file system without links, too many of them: a copy is as good
            copy = True
    if copy:
        try:
            shutil.copyfile(source, target)
        except OSError as error:
            raise UnreadableError(source, f"cannot be copied to {target}: {error.strerror or error}") from error


def _put(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def _write_json(path: Path, content: Any) -> None:
    _put(path, json.dumps(content, ensure_ascii=False, indent=2, allow_nan=False).encode(errors="backslashreplace"))
