"""Stage ``embed``: one vector per picture or crop. Reads pictures; writes ``vectors``."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from pydantic import model_validator

from mekiki.catalog.crops import CropSelection, crops_of, require_detections
from mekiki.catalog.db import Catalog
from mekiki.catalog.embedded_crops import taken_before, write_taken
from mekiki.catalog.items import select_items, select_pictures
from mekiki.catalog.runs import make_latest
from mekiki.catalog.vector_wiping import EMBEDDERS_FOLDER
from mekiki.catalog.vectors import vector_runs
from mekiki.dataset.ids import draw_lot
from mekiki.engine.embedding import EmbedWork, Joined, located, read_sample, spread
from mekiki.engine.importing_vectors import import_vectors, wants_import
from mekiki.engine.run import Engine, Selection, keep_counts
from mekiki.errors import UsageError
from mekiki.media.preprocessing import Interpolation
from mekiki.models.embed import has_network, open_space, open_tower, resolve_embedder
from mekiki.models.embed_opening import EmbedderOpening, Output, Precision, ResizeMode, RuntimeName
from mekiki.models.precision import Precisions, Settled
from mekiki.models.precision_sample import Sample
from mekiki.models.runners import place, preprocessing_of
from mekiki.rarity.early import early_filter
from mekiki.records import PICTURE_KINDS, Item, ItemKind, RunSummary, Tally
from mekiki.settings import Input, PerItemSettings, SpeedOnly
from mekiki.training.embedder_names import lasting_name

UNSETTLED = Settled("auto", "the precision is settled when pictures are embedded")


class EmbedSettings(PerItemSettings):
    """Which vectors, and what computes them.

    All of it stays outside the fingerprint: what decides vectors is in the run's identity, as it was resolved.
    """

    embedder: str = Input(
        "auto",
        description="clip:ARCH/TAG, hf:REPO, timm:NAME, onnx:FILE, python:FILE:CLASS, torch:MODEL, colour-layout; auto",
    )
    weights: Path | None = Input(None, description="weights of a python:, clip: or timm: embedder, from a file")
    output: Output = Input(
        "auto", description="projected: in the space of the texts, if it has any; pooler: before the last layer"
    )
    precision: Precision = Input(
        "auto", description="of the arithmetic; fewer bits are checked on your own pictures first"
    )
    runtime: RuntimeName = Input(
        "auto", description="what computes; auto: torch on a GPU, openvino on a CPU if it is installed"
    )
    device: str = SpeedOnly("auto", description="auto, cpu, cuda, cuda:N or mps")
    allow_code: bool = Input(False, description="run the program that a python:FILE:CLASS embedder is")
    image_size: int | None = Input(None, ge=1, description="of python: and onnx: the side in pixels of what it sees")
    resize: ResizeMode | None = Input(
        None, description="of python: and onnx: to a square, by the short side, or not at all before the middle is cut"
    )
    resize_px: int | None = Input(None, ge=1, description="of python: and onnx: to this side")
    interpolation: Interpolation | None = Input(None, description="of python: and onnx: how pictures are resized")
    mean: tuple[float, float, float] | None = Input(None, description="of python: and onnx: subtracted, per channel")
    std: tuple[float, float, float] | None = Input(None, description="of python: and onnx: divided by, per channel")
    kind: tuple[ItemKind, ...] = Input(PICTURE_KINDS, description="kinds of item: image, frame, crop")
    detections: str | None = Input(None, description="crop: run of detect whose crops are meant (default: the latest)")
    keywords: tuple[str, ...] = Input(
        (), description="crop: embed those with such a word in their class only; seed2 stands for ten words; none: all"
    )
    top_up_below: float = Input(
        0.3, ge=0, le=1, description="crop: if less than this share has a keyword, some others are added"
    )
    top_up_share: float = Input(0.1, ge=0, le=1, description="crop: how many, as a share of all crops")
    seed: int = Input(42, description="crop: of the chance by which these are chosen")

    @model_validator(mode="after")
    def _check_kinds(self) -> EmbedSettings:
        strange = [kind for kind in self.kind if kind not in (*PICTURE_KINDS, "crop")]
        if strange or not self.kind:
            raise ValueError(f"--kind takes image, frame and crop, which have pixels, got {strange or 'nothing'}")
        given = [name for name in ("detections", "keywords") if getattr(self, name)]
        if given and "crop" not in self.kind:
            raise ValueError(f"--{given[0]} is for crops: add --kind crop")
        of_chance = ("top_up_share", "seed")
        for name in ("top_up_below", *of_chance) if not self.keywords else () if self.top_up_below else of_chance:
            if getattr(self, name) != type(self).model_fields[name].default:
                without = "--top-up-below 0" if self.keywords else "no --keywords"
                raise ValueError(f"--{name.replace('_', '-')} does nothing with {without}: leave it out")
        if any(not word.strip() for word in self.keywords):
            raise ValueError("a keyword is empty, and would be part of every class: leave it out")
        return self

    def to_opening(self) -> EmbedderOpening:
        """Return how the embedder is opened."""
        names = {field.name for field in fields(EmbedderOpening)} & set(EmbedSettings.model_fields)
        return EmbedderOpening(name=self.embedder, **{name: getattr(self, name) for name in sorted(names)})


def embed(catalog: Catalog, settings: EmbedSettings, engine: Engine) -> RunSummary:
    """Embed every picture, or every crop, that has no vector of this embedder yet."""
    if wants_import(catalog, settings.embedder):
        if "crop" in settings.kind:
            raise UsageError(
                "--kind crop: vectors in files are of whole pictures. Name an --embedder that looks at crops"
            )
        return import_vectors(catalog, settings, engine, lasting_name(settings.embedder))
    items, taken = _select(catalog, settings)
    tallies = [taken.tally] if taken else []
    given = located(catalog, settings.to_opening())
    opening, why = resolve_embedder(given)
    with nullcontext() if engine.dry_run else catalog.writing("embed"):
        if has_network(opening):
            work, settled = _with_network(catalog, items, opening, engine)
        else:
            plain = replace(opening, device="cpu", precision="fp32")
            work, settled = EmbedWork(plain, open_space(opening)), Settled("fp32", "")
        summary = engine.map(catalog, "embed", _told(catalog, settings, given), work, items)
        summary.notes += [note for note in (why, settled.why, *(tally.line() for tally in tallies)) if note]
        if not engine.dry_run:
            summary.extra |= _facts(work, settled)
            if taken:
                write_taken(catalog, summary.run_id, taken.detect_run_id, taken.rule, taken.kept)
                summary.extra["counts"] = [tally.to_json() for tally in tallies]
                keep_counts(catalog, summary)
            make_latest(catalog, summary.run_id)
    return summary


@dataclass(frozen=True, slots=True)
class Taken:
    """The crops of a run of ``detect`` that are embedded: ids, None for all; by which rule; how many are left out."""

    detect_run_id: str
    rule: dict[str, Any]
    kept: set[str] | None
    tally: Tally


def _select(catalog: Catalog, settings: EmbedSettings) -> tuple[Selection[Item], Taken | None]:
    """Return what is to have a vector, and which crops the early filter keeps; None where no crop is meant.

    Raises:
        DataError: If there is nothing of that kind to look at.
    """
    kinds = tuple(kind for kind in PICTURE_KINDS if kind in settings.kind)
    if kinds == PICTURE_KINDS:
        pictures = select_pictures(catalog, "mekiki embed --embedder vectors")
    else:
        pictures = select_items(catalog, kinds)
    if "crop" not in settings.kind:
        return pictures, None
    run = require_detections(catalog, settings.detections)
    crops, found = CropSelection(catalog, run.run_id), crops_of(catalog, run.run_id)
    if len(crops) != len(found):  # of some, the picture's file holds something else now
        there = {item.item_id for item in crops}
        found = [one for one in found if one.item_id in there]
    rule = {name: getattr(settings, name) for name in ("top_up_below", "top_up_share", "seed")}
    rule["keywords"] = sorted(set(settings.keywords))
    before = taken_before(catalog, run.run_id, rule)
    lots = [(one.item_id not in before, draw_lot(settings.seed, one.item_id)) for one in found]
    names = [one.class_name for one in found]
    keep, tally = early_filter(names, settings.keywords, lots, settings.top_up_below, settings.top_up_share)
    kept = None
    if settings.keywords:
        kept = {one.item_id for one, is_kept in zip(found, keep.tolist(), strict=True) if is_kept}
        crops = CropSelection(catalog, run.run_id, kept)
    return (Joined(pictures, crops) if kinds else crops), Taken(run.run_id, rule, kept, tally)


def _told(catalog: Catalog, settings: EmbedSettings, given: EmbedderOpening) -> EmbedSettings:
    """Return the settings as the run keeps them: whoever opens the embedder again may be in another folder."""
    weights = {"weights": Path(catalog.relative(given.weights))} if given.weights else {}
    return settings.model_copy(update={"embedder": given.name, **weights})


def _with_network(
    catalog: Catalog, items: Selection[Item], opening: EmbedderOpening, engine: Engine
) -> tuple[EmbedWork, Settled]:
    """Return the work of a network on a real runtime and device in a real precision, and how that was settled.

    Raises:
        UsageError: If these do not go together.
        DataError: If the precision that is wanted changes the vectors too much, or cannot be checked.
    """
    tower = open_tower(opening)
    how = preprocessing_of(tower)
    runtime, device = place(opening.runtime, opening.device, is_graph=opening.kind == "onnx")
    precisions = Precisions(
        *(tower, runtime, device, catalog.workspace / EMBEDDERS_FOLDER),
        sample=lambda n_wanted: Sample(*read_sample(spread(items, n_wanted), how)),
        say=engine.progress.say,
    )
    earlier = next(
        (one.precision for one in vector_runs(catalog) if one.space.embedder_id == tower.space.embedder_id), None
    )
    settled = (
        precisions.settle(opening.precision, len(items), may_check=not engine.dry_run, earlier=earlier) or UNSETTLED
    )
    known = replace(opening, runtime=runtime, device=device, precision=settled.precision, graph=settled.graph)
    return EmbedWork(known, tower.space, settled.check.graph_id if settled.check else "", tower), settled


def _facts(work: EmbedWork, settled: Settled) -> dict[str, Any]:
    """Return what the summary says of the embedder."""
    space, check = work.space, settled.check
    cosine = check and {"mean": check.mean_cosine, "lowest": check.lowest_cosine, "n_checked": check.n_checked}
    return {
        "embedder": space.embedder,
        "embedder_id": space.embedder_id,
        "n_dims": space.n_dims,
        "precision": settled.precision,
        "runtime": work.runtime,
        "device": work.opening.device,
        "cosine_to_fp32": cosine,
    }
