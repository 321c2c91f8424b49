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
from mekiki.catalog.model_files import locate_model
from mekiki.catalog.outgoing import Outgoing, Wanted, gather
from mekiki.catalog.results import find_split, hash_rows
from mekiki.dataset.formats.base import WriteOptions, plain_path
from mekiki.dataset.formats.registry import WRITERS
from mekiki.dataset.formats.seed1_metrics import METRICS_FILE, seed1_metrics
from mekiki.dataset.ids import safe_name
from mekiki.engine.run import Engine, Outcome, write_text
from mekiki.errors import DataError, UsageError, unknown_name
from mekiki.media.finding import MEDIA_SUFFIXES
from mekiki.records import ItemKind, RunSummary
from mekiki.settings import Field, Input, Settings, SpeedOnly

MODEL_FORMATS = ("onnx",)
"""Formats of models; all others are of items."""

OF_ITEMS = frozenset({"split", "kind", "annotator", "media", "skeleton"})
"""Settings that do nothing for a model's format."""


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
        None, min_length=1, description="with onnx: which model; with seed1: whose metrics (default: the best)"
    )
    output: Path | None = Input(None, description="folder to write (default: exports/FORMAT in the workspace)")
    overwrite: bool = SpeedOnly(False, description="replace the output folder if it holds something")
    split: str | None = Field(None, description="whose parts to write (default: the latest split, if there is one)")
    kind: tuple[ItemKind, ...] = Field(("image", "frame"), description="kinds of item to write")
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
    if settings.format in MODEL_FORMATS:
        return _export_model(catalog, settings, engine)
    if settings.model is not None and settings.format != "seed1":
        raise UsageError(f"--model goes with --format onnx or seed1, not with {settings.format}")
    writer = WRITERS.create(settings.format)
    split_run_id = find_split(catalog, settings.split)
    going = gather(catalog, Wanted(settings.kind, split_run_id, settings.annotator), "export")
    if not going.items and not going.failures:
        raise DataError(f"nothing to export: the workspace has no items of kind {', '.join(settings.kind)}")
    folder = _output_folder(catalog, settings, catalog.workspace / "exports" / settings.format, _paths(going))
    measured = _seed1_metrics(catalog, settings, split_run_id, going) if settings.format == "seed1" else None
    options = WriteOptions(going.classes, settings.media, settings.skeleton)

    def write(_run_id: str) -> Outcome:
        with _replaced(folder) as part:
            written = writer.write(going.items, part, options)
            if measured is not None:
                written.append(write_text(part / METRICS_FILE, json.dumps(measured, ensure_ascii=False, indent=2)))
            names = [path.relative_to(part) for path in written]
        outputs = {"folder": catalog.relative(folder)}
        outputs |= {
            str(name): catalog.relative(folder / name) for name in names if name.suffix.lower() not in MEDIA_SUFFIXES
        }
        extra = {"format": settings.format, "split": split_run_id}
        return Outcome(len(going.items) + len(going.failures), outputs=outputs, extra=extra, failures=going.failures)

    reads = {"rows": _hash(going), "split": split_run_id or "", "folder": str(folder)}
    reads |= {} if measured is None else {"metrics": hash_rows([(measured,)])}
    return engine.once(catalog, "export", settings, reads, write)


def _export_model(catalog: Catalog, settings: ExportSettings, engine: Engine) -> RunSummary:
    """Write a model in a format that other runtimes load."""
    if settings.model is None:
        raise UsageError(f"--format {settings.format} writes a model: say which with --model NAME")
    useless = sorted(settings.model_fields_set & OF_ITEMS)
    if useless:
        raise UsageError(
            f"--{useless[0]} does nothing with --format {settings.format}, which writes a model: leave it out"
        )
    model = read_model(catalog, settings.model)
    name, allow_code = safe_name(model.name), settings.allow_code or locate_model(catalog, settings.model).is_trusted
    folder = _output_folder(catalog, settings, catalog.workspace / "exports" / settings.format / name, [model.path])

    def write(_run_id: str) -> Outcome:
        from mekiki.training.checkpoint import read_tensors
        from mekiki.training.onnx_export import export_onnx

        with _replaced(folder) as part:
            export_onnx(model.card, read_tensors(model.path), part / f"{name}.onnx", allow_code=allow_code)
        outputs = {"folder": catalog.relative(folder), "model": catalog.relative(folder / f"{name}.onnx")}
        return Outcome(1, outputs=outputs, extra={"format": settings.format, "model_id": model.model_id})

    return engine.once(catalog, "export", settings, {"model": model.model_id, "folder": str(folder)}, write)


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
