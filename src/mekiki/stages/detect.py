"""Stage ``detect``: objects in pictures. Reads pictures; writes ``boxes``, and crops as ``items``."""

from __future__ import annotations

import os
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

from pydantic import model_validator

from mekiki.catalog.db import Catalog
from mekiki.catalog.detected import FoundCounts, count_found
from mekiki.catalog.items import select_pictures
from mekiki.catalog.runs import done_among, failures_of, make_latest
from mekiki.dataset.formats.reading import PathRules
from mekiki.engine.detecting import Among, DetectWork, Keeping, LookUpWork, Sampled, place_detector
from mekiki.engine.embedding import Joined
from mekiki.engine.known_boxes import read_known_boxes
from mekiki.engine.run import Engine, Selection, keep_counts
from mekiki.models.detect import DetectorOpening, detector_identity, detector_notes, resolve_detector
from mekiki.models.detect_files import BOX_KINDS
from mekiki.records import Item, RunSummary, Tally, counted
from mekiki.settings import Field, Input, PerItemSettings, SpeedOnly, fingerprint

N_CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
CORE_SHARE = 0.8
MAX_CLASSES_SHOWN = 12

FOR_LOOKING = ("long_side", "iou", "max_boxes", "weights")
"""Settings of detectors that look at pictures; a device and allow_code may be said to all steps of a recipe."""


class DetectSettings(PerItemSettings):
    """Which pictures are looked at, by what, and what is kept of what it finds."""

    detector: str = Input(
        "auto", description="onnx:FILE, hf:REPO, yolo:WEIGHTS, blobs, megadetector:FILE, import (boxes of labels); auto"
    )
    classes: tuple[str, ...] = Field(
        (), description="what to look for, if the detector finds what it is told; else the classes to keep"
    )
    share: float = Field(1.0, gt=0, le=1, description="share of the pictures that is looked at, chosen by chance")
    seed: int = Field(42, description="of that chance")
    long_side: int = Field(1280, ge=16, description="larger pictures are shrunk to this side in pixels")
    confidence: float = Field(0.25, ge=0, le=1, description="boxes that the detector is less sure of are left out")
    iou: float = Field(0.45, ge=0, le=1, description="of boxes of a class that overlap by more, the surest is kept")
    max_boxes: int = Field(100, ge=1, description="the surest boxes that the detector gives of a picture")
    keep: int = Field(50, ge=1, description="the surest boxes that are kept of a picture")
    padding: float = Field(
        0.0, ge=0, le=10, description="cut boxes out larger, on each side by this share of their own size"
    )
    device: str = SpeedOnly("auto", description="auto, cpu, cuda, cuda:N or mps")
    weights: Path | None = Input(None, description="weights from a file, of a detector that takes one")
    allow_code: bool = Input(False, description="run the program that comes with weights")
    root: Path | None = Input(None, description="megadetector: folder that paths in the file start from")
    allow_outside: bool = Input(False, description="megadetector: paths may lead out of that folder")
    batch_size: int = SpeedOnly(50, ge=1, description="pictures in one batch, which is one transaction")
    workers: int = SpeedOnly(
        max(1, round(CORE_SHARE * N_CORES)),
        ge=1,
        description="pictures that are read and looked at at once (default: four of five cores)",
    )

    @model_validator(mode="after")
    def _check_together(self) -> DetectSettings:
        kind, fields = self.detector.partition(":")[0], type(self).model_fields
        strange = [name for name in FOR_LOOKING if getattr(self, name) != fields[name].default]
        if kind in BOX_KINDS and strange:
            flag = f"--{strange[0].replace('_', '-')}"
            raise ValueError(f"{flag} is for detectors that look at pictures, and {kind} has boxes: leave it out")
        for name in ("root", "allow_outside") if kind != "megadetector" else ():
            if getattr(self, name) != fields[name].default:
                raise ValueError(f"--{name.replace('_', '-')} is for --detector megadetector:FILE: leave it out")
        if kind not in BOX_KINDS and self.keep != fields["keep"].default and self.keep > self.max_boxes:
            raise ValueError(
                f"--keep {self.keep} keeps no more than the --max-boxes {self.max_boxes} that the detector gives: type "
                f"--max-boxes {self.keep} too"
            )
        if self.share == 1 and self.seed != fields["seed"].default:
            raise ValueError("--seed does nothing at --share 1, where all pictures are looked at: leave it out")
        return self

    def to_opening(self) -> DetectorOpening:
        """Return how the detector is opened."""
        names = ("classes", "confidence", "iou", "max_boxes", "device", "weights", "allow_code")
        told = {name: getattr(self, name) for name in names}
        return DetectorOpening(name=self.detector, n_workers=self.workers, **told)


def detect(catalog: Catalog, settings: DetectSettings, engine: Engine) -> RunSummary:
    """Find objects in every picture of the sample that has not been looked at yet."""
    pictures = select_pictures(catalog, "mekiki ingest the pictures themselves, and detect in those")
    opening, why = resolve_detector(settings.to_opening())
    keeping, known, device = Keeping(settings.keep, settings.padding), None, place_detector(opening)
    work: DetectWork | LookUpWork
    if opening.kind in BOX_KINDS:
        known = read_known_boxes(catalog, opening, PathRules(settings.root, settings.allow_outside))
        work = LookUpWork(known, opening, keeping)
    else:
        work = DetectWork(opening, detector_identity(opening), device, settings.long_side, keeping)
    weights = {"weights": Path(catalog.relative(opening.weights))} if opening.weights else {}
    told = settings.model_copy(update={"detector": opening.name, **weights})
    with nullcontext() if engine.dry_run else catalog.writing("detect"):
        sample = _sample(catalog, told, work.identity(), pictures)
        looked_at = Among(sample, known.spoken_of) if known else sample
        strays = [Item(entry_id, "image", None, 0, 0) for entry_id in known.strays] if known else []
        summary = engine.map(catalog, "detect", told, work, Joined(looked_at, strays))
        summary.notes += [note for note in (why, *detector_notes(opening), *(known.notes if known else ())) if note]
        if not engine.dry_run:
            found = count_found(catalog, summary.run_id)
            n_unsaid = len(sample) - len(looked_at)
            failed = failures_of(catalog, summary.run_id)
            looked = _Looked(len(pictures), len(sample), n_unsaid, len(Among(looked_at, failed)) if failed else 0)
            tallies = _tallies(settings, looked, summary, found)
            summary.extra |= {
                "detector": opening.name,
                "device": work.device,
                "n_boxes": found.n_boxes,
                "n_crops": found.n_crops,
                "n_without_boxes": found.n_empty,
                "classes": found.classes,
                "counts": [tally.to_json() for tally in tallies],
                **({**known.facts, "n_without_entry": n_unsaid} if known else {}),
            }
            summary.notes += [*(tally.line() for tally in tallies), *_notes(len(pictures), found)]
            keep_counts(catalog, summary)
            make_latest(catalog, summary.run_id)
    return summary


def _sample(catalog: Catalog, settings: DetectSettings, identity: str, pictures: Selection[Item]) -> Selection[Item]:
    """Return the pictures to look at; of a share, those that were looked at before stay among them."""
    if settings.share == 1:
        return pictures
    run_id = fingerprint("detect", settings, identity, {})
    before = done_among(catalog, run_id, [item.item_id for item in pictures])
    return Sampled(pictures, settings.share, settings.seed, before)


@dataclass(frozen=True, slots=True)
class _Looked:
    """How many pictures there are, are in the sample, are spoken of by nobody there, and failed."""

    n_pictures: int
    n_sample: int
    n_unsaid: int
    n_failed: int


def _tallies(settings: DetectSettings, looked: _Looked, summary: RunSummary, found: FoundCounts) -> list[Tally]:
    """Return what came in and was kept at each step."""
    n_sample, n_unsampled = looked.n_sample, looked.n_pictures - looked.n_sample
    share = f"share {settings.share:g}, seed {settings.seed}" if settings.share < 1 else ""
    n_done = summary.n_written + summary.n_skipped
    n_left = n_sample - n_done - looked.n_unsaid - looked.n_failed
    reasons = {f"{looked.n_unsaid:,} have no entry": looked.n_unsaid, f"{n_left:,} are left by --limit": n_left}
    is_lookup = settings.detector.partition(":")[0] in BOX_KINDS
    other = f"below confidence {settings.confidence:g}, of no wanted class, " if is_lookup else ""
    why = f"{other}after the surest {settings.keep} of a picture, or without an area in it" if found.n_dropped else ""
    n_given = found.n_boxes + found.n_dropped + found.n_refused
    n_shared = found.n_boxes - found.n_crops
    return [
        Tally("sampling", "pictures", looked.n_pictures, n_sample, n_unsampled, why=share),
        Tally("detection", "pictures", n_sample, n_done, looked.n_unsaid + n_left, looked.n_failed, _joined(reasons)),
        Tally("keep best", "boxes", n_given, found.n_boxes, found.n_dropped, found.n_refused, why),
        Tally(
            "crops", "boxes", found.n_boxes, found.n_crops, n_shared, why="cut at the same place" if n_shared else ""
        ),
    ]


def _joined(reasons: dict[str, int]) -> str:
    return ", ".join(why for why, n in reasons.items() if n)


def _notes(n_pictures: int, found: FoundCounts) -> list[str]:
    """Return what else the user should know."""
    shown = [f"{name} {n:,}" for name, n in list(found.classes.items())[:MAX_CLASSES_SHOWN]]
    more = len(found.classes) - len(shown)
    told = {
        f"boxes of each class: {', '.join(shown)}{f' and {more} more classes' if more else ''}": len(shown),
        f"{counted(found.n_empty, 'pictures have')} no box": found.n_empty,
        "there is no picture in the workspace; mekiki frames takes them out of videos": not n_pictures,
    }
    return [note for note, is_so in told.items() if is_so]
