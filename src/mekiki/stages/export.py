"""Stage ``export``: a format that other tools read, of items or of a model. Reads all; writes files and no table."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator

from mekiki.catalog.crops import require_detections
from mekiki.catalog.db import Catalog
from mekiki.catalog.decided import read_model
from mekiki.catalog.items import count_kinds
from mekiki.catalog.model_files import locate_model
from mekiki.catalog.outgoing import Outgoing, Wanted, called_by_detector, gather, having_vectors
from mekiki.catalog.results import find_split, hash_rows
from mekiki.catalog.vectors import StoredVectors, require_vectors
from mekiki.dataset.formats.base import WriteOptions
from mekiki.dataset.formats.registry import WRITERS
from mekiki.dataset.formats.seed1_metrics import METRICS_FILE
from mekiki.dataset.ids import safe_name
from mekiki.engine.export_folder import output_folder, replaced
from mekiki.engine.exporting import MODEL_FORMATS as WRITTEN_OF_MODELS
from mekiki.engine.exporting import crop_cutter, is_one_of_many, model_reads, seed1_measured, write_model_as
from mekiki.engine.head_inputs import hash_vectors
from mekiki.engine.rare_export import RARE_FILES, SEED2, gather_rare, write_rare
from mekiki.engine.run import Engine, Outcome, write_text
from mekiki.errors import DataError, UsageError, unknown_name
from mekiki.records import LABELLED_KINDS, ItemKind, RunSummary
from mekiki.settings import Field, Input, Settings, SpeedOnly

EVALUATION = "evaluation"
MODEL_FORMATS = (*WRITTEN_OF_MODELS, EVALUATION)
"""Formats of models; all others are of items."""

OTHER_FORMATS = (*MODEL_FORMATS, SEED2)
"""Formats that are written by other means than the rest."""

OF_ITEMS = frozenset({"split", "kind", "annotator", "media", "skeleton", "vectors", "mining", "detections"})
"""Settings that do nothing for a model's format."""


OF_VECTORS = ("npy", "npy-folders")
"""Formats that hold the vectors themselves, of whatever they are."""

WITHOUT_PIXELS = ("csv", *OF_VECTORS)
"""Formats that can speak of vectors; all others are of pictures."""

OF_CLASS_FOLDERS = ("imagefolder", "npy-folders")
"""Formats that can only hold what has a class."""

OF_CROPS = ("csv", "hf", "imagefolder", *OF_VECTORS)
"""Formats that can hold crops; all others are of whole pictures."""


def _check_format(name: str) -> str:
    if name not in WRITERS.names() and name not in OTHER_FORMATS:
        raise unknown_name("export format", name, [*WRITERS.names(), *OTHER_FORMATS])
    return name


class ExportSettings(Settings):
    """Write the workspace's items, labels and parts, or a model, in a format that other tools read."""

    format: Annotated[str, AfterValidator(_check_format)] = Field(
        "csv", description="the format; mekiki list formats shows all"
    )
    model: str | None = Field(
        None,
        min_length=1,
        description="with onnx, seed5: which model; with seed1, evaluation: whose metrics (default: the best)",
    )
    output: Path | None = Input(None, description="folder to write (default: exports/FORMAT in the workspace)")
    overwrite: bool = SpeedOnly(False, description="replace the output folder if it holds something")
    split: str | None = Field(None, description="whose parts to write (default: the latest split, if there is one)")
    kind: tuple[ItemKind, ...] = Field(
        LABELLED_KINDS,
        description="kinds of item to write; vectors only as csv, npy, npy-folders; crops also as imagefolder, hf",
    )
    detections: str | None = Input(None, description="with kind crop: run of detect whose crops (default: the latest)")
    vectors: str | None = Input(
        None, description="with npy, npy-folders: embedder or run of embed whose vectors to write (default: the latest)"
    )
    annotator: str | None = Field(None, description="write only this annotator's labels, unresolved")
    media: Literal["reference", "copy", "link"] = Field(
        "reference", description="name the pictures where they are, or copy or hard-link them into the output"
    )
    mining: str | None = Input(None, min_length=4, description="with rare-objects: run of mine (default: the latest)")
    skeleton: bool = Field(False, description="leave the label columns empty, to be filled in by hand")
    allow_code: bool = SpeedOnly(
        False, description="with a model file: run the program that its python:FILE:CLASS backbone is"
    )


def export(catalog: Catalog, settings: ExportSettings, engine: Engine) -> RunSummary:
    """Write one format, unless the same was written there before."""
    if settings.format == EVALUATION:
        return _export_evaluation(catalog, settings, engine)
    if settings.format in MODEL_FORMATS:
        return _export_model(catalog, settings, engine)
    if settings.format == SEED2:
        return _export_rare(catalog, settings, engine)
    if settings.model is not None and settings.format != "seed1":
        raise UsageError(f"--model goes with --format onnx, seed1, seed5 or evaluation, not with {settings.format}")
    writer = WRITERS.create(settings.format)
    split_run_id = find_split(catalog, settings.split)
    kinds = _kinds(settings)
    stored: StoredVectors | None = None
    notes: list[str] = []
    detected = require_detections(catalog, settings.detections).run_id if "crop" in kinds else None
    going = gather(catalog, Wanted(kinds, split_run_id, settings.annotator, detected), "export")
    if not going.items and not going.failures:
        hint = f". Vectors go out as {', '.join(WITHOUT_PIXELS)}" if "vector" in count_kinds(catalog) else ""
        raise DataError(f"nothing to export: the workspace has no items of kind {', '.join(kinds)}{hint}")
    if settings.format in OF_VECTORS:
        stored = StoredVectors(catalog, require_vectors(catalog, settings.vectors))
        going, notes = having_vectors(going, stored)
    if detected is not None:
        going, notes = _with_crops(going, notes, settings)
    folder = _folder(catalog, settings, going.paths())
    measured = seed1_measured(catalog, split_run_id, settings.model, going) if settings.format == "seed1" else None
    options = WriteOptions(going.classes, settings.media, settings.skeleton, stored, crop_cutter(), notes)

    def write(_run_id: str) -> Outcome:
        with replaced(folder) as part:
            written = writer.write(going.items, part, options)
            if measured is not None:
                written.append(write_text(part / METRICS_FILE, json.dumps(measured, ensure_ascii=False, indent=2)))
            names = [path.relative_to(part) for path in written]
        outputs = {"folder": catalog.relative(folder)}
        outputs |= {str(name): catalog.relative(folder / name) for name in names if not is_one_of_many(name)}
        extra = {"format": settings.format, "split": split_run_id}
        extra |= {} if stored is None else {"vectors": stored.run.run_id, "embedder": stored.run.space.embedder}
        n_items = len(going.items) + len(going.failures)
        return Outcome(n_items, outputs=outputs, extra=extra, failures=going.failures, notes=notes)

    reads = {"rows": going.fingerprint(), "split": split_run_id or "", "folder": str(folder)}
    reads |= {} if measured is None else {"metrics": hash_rows([(measured,)])}
    reads |= {} if detected is None else {"detections": detected}
    if stored is not None:
        ids = [item.item_id for item in going.items]
        reads |= {"vectors": stored.run.run_id, "vector_rows": hash_vectors(stored, ids)}
    return engine.once(catalog, "export", settings, reads, write)


def _kinds(settings: ExportSettings) -> list[ItemKind]:
    """Return the kinds of item to write; vectors are left out of formats of pictures unless they are asked for.

    Raises:
        UsageError: If they are, or a setting does nothing with the format.
    """
    useless = ("media", "skeleton", "mining") if settings.format in OF_VECTORS else ("vectors", "mining")
    _refuse_useless(settings, frozenset(useless))
    if "crop" not in settings.kind:
        _refuse_useless(settings, frozenset({"detections"}), "without --kind crop")
    elif settings.format not in OF_CROPS:
        raise UsageError(
            f"format {settings.format} is of whole pictures: crops go out with --format {', '.join(OF_CROPS)}"
        )
    if settings.format in WITHOUT_PIXELS:
        return list(settings.kind)
    if "vector" in settings.kind and "kind" in settings.model_fields_set:
        raise UsageError(
            f"format {settings.format} is of pictures, and a vector has none: --format {', '.join(WITHOUT_PIXELS)}"
        )
    return [kind for kind in settings.kind if kind != "vector"]


def _with_crops(going: Outgoing, notes: list[str], settings: ExportSettings) -> tuple[Outgoing, list[str]]:
    """Return what goes out with the classes of crops where folders need one, and lines about what becomes of crops."""
    n_crops = sum(item.box is not None for item in going.items)
    if settings.format not in OF_VECTORS and n_crops:
        notes = [*notes, f"{n_crops} crops are cut out as JPEG files: there is none to name or to link"]
    if settings.format not in OF_CLASS_FOLDERS:
        return going, notes
    called, more = called_by_detector(going)
    return called, [*notes, *more]


def _export_model(catalog: Catalog, settings: ExportSettings, engine: Engine) -> RunSummary:
    """Write a model in a format that other runtimes load, or what it says of the workspace as seed 5 writes it."""
    if settings.model is None:
        raise UsageError(f"--format {settings.format} writes a model: say which with --model NAME")
    _refuse_useless(settings, OF_ITEMS)
    model = read_model(catalog, settings.model)
    name, allow_code = safe_name(model.name), settings.allow_code or locate_model(catalog, settings.model).is_trusted
    folder = _folder(catalog, settings, [model.path], name)
    reads = {"model": model.model_id, "folder": str(folder), **model_reads(catalog, model, settings.format)}

    def write(_run_id: str) -> Outcome:
        with replaced(folder) as part:
            written = write_model_as(catalog, model, settings.format, part / name, allow_code=allow_code).name
        outputs = {"folder": catalog.relative(folder), "model": catalog.relative(folder / written)}
        return Outcome(1, outputs=outputs, extra={"format": settings.format, "model_id": model.model_id})

    return engine.once(catalog, "export", settings, reads, write)


def _export_evaluation(catalog: Catalog, settings: ExportSettings, engine: Engine) -> RunSummary:
    """Write what was measured of a model on test as seed 5 does: a text, and figures as PNG and PDF."""
    from mekiki.reports.evaluation_export import read_measured

    _refuse_useless(settings, OF_ITEMS - {"split"})
    found = read_measured(catalog, find_split(catalog, settings.split), settings.model)
    folder = _folder(catalog, settings, [], safe_name(found.name))

    def write(_run_id: str) -> Outcome:
        with replaced(folder) as part:
            names = found.write(part)
        outputs = {"folder": catalog.relative(folder)} | {one: catalog.relative(folder / one) for one in names}
        notes = [] if found.epochs else [f"no training_history: {found.name!r} has no training in this workspace"]
        extra = {"format": settings.format, "model_id": found.content["model_id"], "evaluation": found.run_id}
        return Outcome(1, outputs=outputs, extra=extra, notes=notes)

    reads = {"evaluation": found.run_id, "model": found.content["model_id"], "folder": str(folder)}
    reads |= {"metrics": hash_rows([(found.content,)]), "history": hash_rows([tuple(found.epochs)])}
    return engine.once(catalog, "export", settings, reads, write)


def _export_rare(catalog: Catalog, settings: ExportSettings, engine: Engine) -> RunSummary:
    """Write what ``mine`` ranked and ``caption`` said of it as seed 2 does."""
    from mekiki.reports.figure_files import bars_png

    _refuse_useless(settings, (OF_ITEMS - {"media", "mining"}) | {"model"})
    going = gather_rare(catalog, settings.mining)
    folder = _folder(catalog, settings, going.paths())

    def write(_run_id: str) -> Outcome:
        with replaced(folder) as part:
            failures, tally = write_rare(
                *(catalog, going, part, lambda title, scores: bars_png(title, scores, "score")),
                copy=settings.media == "copy",
            )
        outputs = {"folder": catalog.relative(folder)} | {one: catalog.relative(folder / one) for one in RARE_FILES}
        extra = {"format": SEED2, "counts": [tally.to_json()], **going.facts()}
        return Outcome(
            tally.n_in, outputs=outputs, extra=extra, failures=failures, notes=[tally.line(), *going.notes()]
        )

    return engine.once(catalog, "export", settings, {**going.reads(), "folder": str(folder)}, write)


def _refuse_useless(settings: ExportSettings, names: frozenset[str], where: str = "") -> None:
    why = ", which writes a model" if settings.format in MODEL_FORMATS else ""
    for name in sorted(settings.model_fields_set & names):
        raise UsageError(f"--{name} does nothing {where or f'with --format {settings.format}{why}'}: leave it out")


def _folder(catalog: Catalog, settings: ExportSettings, used: Iterable[Path], *names: str) -> Path:
    usual = catalog.workspace.joinpath("exports", settings.format, *names)
    return output_folder(settings.output, usual, (catalog.workspace, *used), overwrite=settings.overwrite)
