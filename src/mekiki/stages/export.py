"""Stage ``export``: a format that other tools read. Reads everything; writes files and no table."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator

from mekiki.catalog.db import Catalog
from mekiki.catalog.outgoing import Outgoing, Wanted, gather
from mekiki.catalog.results import find_split, hash_rows
from mekiki.dataset.formats.base import WriteOptions, plain_path
from mekiki.dataset.formats.registry import WRITERS
from mekiki.engine.run import Engine, Outcome
from mekiki.errors import DataError, UsageError
from mekiki.media.finding import MEDIA_SUFFIXES
from mekiki.records import ItemKind, RunSummary
from mekiki.settings import Field, Input, Settings, SpeedOnly


class ExportSettings(Settings):
    """Write the workspace's items, labels and parts in a format that other tools read."""

    format: Annotated[str, AfterValidator(WRITERS.check)] = Field(
        "csv", description="the format; mekiki list formats shows all"
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


def export(catalog: Catalog, settings: ExportSettings, engine: Engine) -> RunSummary:
    """Write one format, unless the same was written there before."""
    writer = WRITERS.create(settings.format)
    split_run_id = find_split(catalog, settings.split)
    going = gather(catalog, Wanted(settings.kind, split_run_id, settings.annotator), "export")
    if not going.items and not going.failures:
        raise DataError(f"nothing to export: the workspace has no items of kind {', '.join(settings.kind)}")
    folder = _output_folder(catalog, settings, going)
    options = WriteOptions(going.classes, settings.media, settings.skeleton)

    def write(_run_id: str) -> Outcome:
        with _replaced(folder) as part:
            names = [path.relative_to(part) for path in writer.write(going.items, part, options)]
        outputs = {"folder": catalog.relative(folder)}
        outputs |= {
            str(name): catalog.relative(folder / name) for name in names if name.suffix.lower() not in MEDIA_SUFFIXES
        }
        extra = {"format": settings.format, "split": split_run_id}
        return Outcome(len(going.items) + len(going.failures), outputs=outputs, extra=extra, failures=going.failures)

    reads = {"rows": _hash(going), "split": split_run_id or "", "folder": str(folder)}
    return engine.once(catalog, "export", settings, reads, write)


def _hash(going: Outgoing) -> str:
    rows = ((replace(item, path=Path(item.path.name)), str(item.path)) for item in going.items)
    return hash_rows([going.classes, sorted(going.failures), *rows])


def _output_folder(catalog: Catalog, settings: ExportSettings, going: Outgoing) -> Path:
    """Return where to write; a folder of the user's is not replaced unless asked, one with what we read never."""
    if settings.output is None:
        return catalog.workspace / "exports" / settings.format
    folder = plain_path(settings.output.expanduser())
    inside = next((path for path in (catalog.workspace, *_paths(going)) if path.is_relative_to(folder)), None)
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
