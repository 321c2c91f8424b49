"""Stage ``export``: a format that other tools read, of items or of a model. Reads all; writes files and no table."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator

from mekiki.catalog.db import Catalog
from mekiki.catalog.decided import read_model
from mekiki.catalog.evaluations import find_evaluation, require_evaluation
from mekiki.catalog.items import count_kinds
from mekiki.catalog.model_files import locate_model
from mekiki.catalog.outgoing import Outgoing, Wanted, gather
from mekiki.catalog.results import find_split, hash_rows
from mekiki.catalog.vectors import StoredVectors, require_vectors
from mekiki.dataset.formats.base import WriteOptions, plain_path
from mekiki.dataset.formats.registry import WRITERS
from mekiki.dataset.formats.seed1_metrics import METRICS_FILE, seed1_metrics
from mekiki.dataset.formats.vectors_matrix import MATRIX_NAME
from mekiki.dataset.ids import safe_name
from mekiki.engine.exporting import MODEL_FORMATS as WRITTEN_OF_MODELS
from mekiki.engine.exporting import model_reads, write_model_as
from mekiki.engine.run import Engine, Outcome, write_text
from mekiki.errors import DataError, UsageError, unknown_name
from mekiki.media.finding import MEDIA_SUFFIXES
from mekiki.records import LABELLED_KINDS, VECTOR_SUFFIXES, ItemKind, RunSummary
from mekiki.reports.evaluation_files import write_evaluation_files
from mekiki.reports.gathering_models import read_trained, read_tuned
from mekiki.settings import Field, Input, Settings, SpeedOnly
from mekiki.training.origins import TEST_PART

EVALUATION = "evaluation"
MODEL_FORMATS = (*WRITTEN_OF_MODELS, EVALUATION)
"""Formats of models; all others are of items."""

OF_ITEMS = frozenset({"split", "kind", "annotator", "media", "skeleton", "vectors"})
"""Settings that do nothing for a model's format."""


OF_VECTORS = ("npy", "npy-folders")
"""Formats that hold the vectors themselves, of whatever they are."""

WITHOUT_PIXELS = ("csv", *OF_VECTORS)
"""Formats that can speak of vectors; all others are of pictures."""


def _check_format(name: str) -> str:
    if name not in WRITERS.names() and name not in MODEL_FORMATS:
        raise unknown_name("export format", name, [*WRITERS.names(), *MODEL_FORMATS])
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
        LABELLED_KINDS, description="kinds of item to write; vectors only as csv, npy and npy-folders"
    )
    vectors: str | None = Input(
        None, description="with npy, npy-folders: embedder or run of embed whose vectors to write (default: the latest)"
    )
    annotator: str | None = Field(None, description="write only this annotator's labels, unresolved")
    media: Literal["reference", "copy", "link"] = Field(
        "reference", description="name the pictures where they are, or copy or hard-link them into the output"
    )
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
    if settings.model is not None and settings.format != "seed1":
        raise UsageError(f"--model goes with --format onnx, seed1, seed5 or evaluation, not with {settings.format}")
    writer = WRITERS.create(settings.format)
    split_run_id = find_split(catalog, settings.split)
    kinds = _kinds(settings)
    stored: StoredVectors | None = None
    notes: list[str] = []
    going = gather(catalog, Wanted(kinds, split_run_id, settings.annotator), "export")
    if not going.items and not going.failures:
        hint = f". Vectors go out as {', '.join(WITHOUT_PIXELS)}" if "vector" in count_kinds(catalog) else ""
        raise DataError(f"nothing to export: the workspace has no items of kind {', '.join(kinds)}{hint}")
    if settings.format in OF_VECTORS:
        stored = StoredVectors(catalog, require_vectors(catalog, settings.vectors))
        going, notes = _having_vectors(going, stored)
    folder = _output_folder(catalog, settings, catalog.workspace / "exports" / settings.format, _paths(going))
    measured = _seed1_metrics(catalog, settings, split_run_id, going) if settings.format == "seed1" else None
    options = WriteOptions(going.classes, settings.media, settings.skeleton, stored, notes)

    def write(_run_id: str) -> Outcome:
        with _replaced(folder) as part:
            written = writer.write(going.items, part, options)
            if measured is not None:
                written.append(write_text(part / METRICS_FILE, json.dumps(measured, ensure_ascii=False, indent=2)))
            names = [path.relative_to(part) for path in written]
        outputs = {"folder": catalog.relative(folder)}
        outputs |= {str(name): catalog.relative(folder / name) for name in names if not _is_one_of_many(name)}
        extra = {"format": settings.format, "split": split_run_id}
        extra |= {} if stored is None else {"vectors": stored.run.run_id, "embedder": stored.run.space.embedder}
        n_items = len(going.items) + len(going.failures)
        return Outcome(n_items, outputs=outputs, extra=extra, failures=going.failures, notes=notes)

    reads = {"rows": _hash(going), "split": split_run_id or "", "folder": str(folder)}
    reads |= {} if measured is None else {"metrics": hash_rows([(measured,)])}
    reads |= {} if stored is None else {"vectors": stored.run.run_id}
    return engine.once(catalog, "export", settings, reads, write)


def _is_one_of_many(name: Path) -> bool:
    """Return whether a file is one picture or vector of those that an export holds."""
    suffix = name.suffix.lower()
    return suffix in MEDIA_SUFFIXES or (suffix in VECTOR_SUFFIXES and name.name != MATRIX_NAME)


def _kinds(settings: ExportSettings) -> list[ItemKind]:
    """Return the kinds of item to write; vectors are left out of formats of pictures unless they are asked for.

    Raises:
        UsageError: If they are, or a setting does nothing with the format.
    """
    useless = ("media", "skeleton") if settings.format in OF_VECTORS else ("vectors",)
    _refuse_useless(settings, frozenset(useless))
    if settings.format in WITHOUT_PIXELS:
        return list(settings.kind)
    if "vector" in settings.kind and "kind" in settings.model_fields_set:
        raise UsageError(
            f"format {settings.format} is of pictures, and a vector has none: --format {', '.join(WITHOUT_PIXELS)}"
        )
    return [kind for kind in settings.kind if kind != "vector"]


def _having_vectors(going: Outgoing, stored: StoredVectors) -> tuple[Outgoing, list[str]]:
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


def _export_model(catalog: Catalog, settings: ExportSettings, engine: Engine) -> RunSummary:
    """Write a model in a format that other runtimes load, or what it says of the workspace as seed 5 writes it."""
    if settings.model is None:
        raise UsageError(f"--format {settings.format} writes a model: say which with --model NAME")
    _refuse_useless(settings, OF_ITEMS)
    model = read_model(catalog, settings.model)
    name, allow_code = safe_name(model.name), settings.allow_code or locate_model(catalog, settings.model).is_trusted
    folder = _output_folder(catalog, settings, catalog.workspace / "exports" / settings.format / name, [model.path])

    reads = {"model": model.model_id, "folder": str(folder), **model_reads(catalog, model, settings.format)}

    def write(_run_id: str) -> Outcome:
        with _replaced(folder) as part:
            written = write_model_as(catalog, model, settings.format, part / name, allow_code=allow_code).name
        outputs = {"folder": catalog.relative(folder), "model": catalog.relative(folder / written)}
        return Outcome(1, outputs=outputs, extra={"format": settings.format, "model_id": model.model_id})

    return engine.once(catalog, "export", settings, reads, write)


def _export_evaluation(catalog: Catalog, settings: ExportSettings, engine: Engine) -> RunSummary:
    """Write what was measured of a model on test as seed 5 does: a text, and figures as PNG and PDF."""
    _refuse_useless(settings, OF_ITEMS - {"split"})
    found = require_evaluation(catalog, find_split(catalog, settings.split), TEST_PART)
    model = found.model(settings.model)
    if "histograms" not in model["parts"][TEST_PART]:
        raise DataError(
            f"evaluation {found.run.run_id} is of an older mekiki, which counted no histograms: mekiki forget "
            f"{found.run.run_id} -w {catalog.workspace}, then mekiki evaluate"
        )
    folder = _output_folder(
        catalog, settings, catalog.workspace / "exports" / settings.format / safe_name(model["name"]), []
    )
    trained = {one.name: one for one in read_trained(catalog)}
    parents = {one.name: str(one.tuning.get("parent", "")) for one in read_tuned(catalog, {})}
    name = str(model["name"])
    while name not in trained and name in parents:
        name = parents.pop(name)
    epochs = trained[name].epochs if name in trained else ()

    def write(_run_id: str) -> Outcome:
        with _replaced(folder) as part:
            names = [path.name for path in write_evaluation_files(part, model, TEST_PART, epochs)]
        outputs = {"folder": catalog.relative(folder)} | {one: catalog.relative(folder / one) for one in names}
        notes = [] if epochs else [f"no training_history: {model['name']!r} has no training in this workspace"]
        extra = {"format": settings.format, "model_id": model["model_id"], "evaluation": found.run.run_id}
        return Outcome(1, outputs=outputs, extra=extra, notes=notes)

    reads = {"evaluation": found.run.run_id, "model": model["model_id"], "folder": str(folder)}
    reads |= {"metrics": hash_rows([(model,)]), "history": hash_rows([tuple(epochs)])}
    return engine.once(catalog, "export", settings, reads, write)


def _refuse_useless(settings: ExportSettings, names: frozenset[str]) -> None:
    why = ", which writes a model" if settings.format in MODEL_FORMATS else ""
    for name in sorted(settings.model_fields_set & names):
        raise UsageError(f"--{name} does nothing with --format {settings.format}{why}: leave it out")


def _seed1_metrics(
    catalog: Catalog, settings: ExportSettings, split_run_id: str | None, going: Outgoing
) -> dict[str, Any] | None:
    """Return seed 1's metrics JSON of the latest evaluation on the split's test part; None where there is none."""
    find = find_evaluation if settings.model is None else require_evaluation
    found = find(catalog, split_run_id, "test")
    if found is None:
        return None
    n_pictures = Counter(item.part for item in going.items if item.part and item.states)
    return seed1_metrics(
        found.model(settings.model), n_pictures, found.run.finished_at or found.run.started_at, found.run.device
    )


def _hash(going: Outgoing) -> str:
    rows = ((replace(item, path=Path(item.path.name)), str(item.path)) for item in going.items)
    return hash_rows([going.classes, sorted(going.failures), *rows])


def _output_folder(catalog: Catalog, settings: ExportSettings, usual: Path, used: Iterable[Path]) -> Path:
    """Return where to write; a folder of the user's is not replaced unless asked, one with what we read never."""
    if settings.output is None:
        return usual
    folder = plain_path(settings.output.expanduser())
    inside = next((path for path in (catalog.workspace, *used) if path.is_relative_to(folder)), None)
    if inside is not None:
        raise UsageError(f"{folder} would be replaced, and {inside} is in it: give another folder with --output FOLDER")
    if folder.is_file():
        raise UsageError(f"{folder} is a file: give a folder with --output FOLDER")
    is_ours = (folder / MARKER).exists()
    if folder.is_dir() and any(folder.iterdir()) and not is_ours and not settings.overwrite:
        raise UsageError(f"{folder} is not empty: give another with --output FOLDER, or --overwrite to replace it")
    return folder


def _paths(going: Outgoing) -> Iterator[Path]:
    """Yield the files that go out, and the clips that frames come from."""
    for item in going.items:
        yield item.path
        if item.video_path is not None:
            yield item.video_path


MARKER = ".mekiki-export"
"""Says that a folder was written by us, so that it may be replaced."""


@contextmanager
def _replaced(folder: Path) -> Iterator[Path]:
    """Give a new folder to write to, and put it in the place of another as nearly at once as a file system can.

    It lies beside the other, so that relative paths mean the same; if writing fails, nothing is left of it.
    """
    part, old = (folder.with_name(f".{folder.name}.mekiki-{what}") for what in ("part", "old"))
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    try:
        yield part
        (part / MARKER).write_text("This folder was written by mekiki export, which replaces it when run again.\n")
        shutil.rmtree(old, ignore_errors=True)
        if folder.exists():
            folder.rename(old)
        part.rename(folder)
    finally:
        shutil.rmtree(part, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)
