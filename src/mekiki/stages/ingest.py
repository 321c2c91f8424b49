"""Stage ``ingest``: files become items. Writes ``items``, ``sources``, ``hashes``, ``groups``, ``labels`` and more."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator

from mekiki.catalog.bursts import burst_groups
from mekiki.catalog.db import Catalog, Transaction
from mekiki.catalog.found import NAMED, FoundFile, FoundFiles, notes_on_paths
from mekiki.catalog.found_vectors import FoundVector, FoundVectors, vector_files, with_rows
from mekiki.catalog.importing import Entry, plan_import, write_import
from mekiki.catalog.ingested import SaidOfAll
from mekiki.catalog.items import is_own_file, write_groups
from mekiki.catalog.results import hash_rows
from mekiki.catalog.sources import drop_healed_failures, items_without_file
from mekiki.catalog.vector_rows import drop_gone_rows, drop_stale_failures
from mekiki.dataset.formats.base import ReadOptions
from mekiki.dataset.formats.class_lists import is_unknown
from mekiki.dataset.formats.label_text import clean_name
from mekiki.dataset.formats.reading import LabelFiles, PathRules, read_folder_names, read_label_files
from mekiki.dataset.formats.registry import READERS, detect_format
from mekiki.dataset.groups import compile_path_pattern
from mekiki.dataset.ids import content_id
from mekiki.engine.ingesting import IngestFilesWork, joined
from mekiki.engine.ingesting_vectors import BATCH_VECTORS, IngestVectorsWork
from mekiki.engine.run import Engine, Outcome
from mekiki.errors import UsageError, shown_path, unknown_name
from mekiki.media.finding import MEDIA_SUFFIXES, Findings, find_files
from mekiki.models.hub import PREFIX, fetch_dataset
from mekiki.records import VECTOR_SUFFIXES, Failure, RunSummary, counted
from mekiki.settings import Field, Input, PerItemSettings, Positional, SpeedOnly


def check_reader(name: str) -> str:
    """Return the name of a label format, or refuse it with the nearest; ``auto`` looks at the files."""
    return name if name == "auto" else READERS.check(name)


def check_pattern(pattern: str | None) -> str | None:
    """Return a path pattern, or refuse one that cannot be used."""
    if pattern is not None:
        compile_path_pattern(pattern)
    return pattern


class IngestSettings(PerItemSettings):
    """Add photos, videos and vectors, and what files say of them, to the workspace. Your files are never changed."""

    paths: tuple[str, ...] = Positional((), description="folders, files, globs, .txt lists, hf://datasets/OWNER/NAME")
    index: Path | None = Input(
        None, description="table that names the rows of a matrix of vectors (default: NAME.csv or index.csv beside it)"
    )
    labels: tuple[Path, ...] = Input((), description="label file or folder; mekiki list formats shows which")
    class_folders: bool = Field(
        False, description="the name of the folder that a file lies in is its class; the others are absent"
    )
    labels_format: Annotated[str, AfterValidator(check_reader)] = Field(
        "auto", description="format of the label files; auto looks at them"
    )
    root: Path | None = Input(None, description="folder that paths in label files start from, else the file's own")
    allow_outside: bool = Field(False, description="let label files name files outside their root")
    label_column: str | None = Field(None, description="column with the labels, if its name is unusual")
    path_column: str | None = Field(None, description="column with the paths, if its name is unusual")
    classes: tuple[str, ...] = Field((), description="closed list of classes; a label outside it is a failure")
    dedupe_key: Literal["frame_source_path", "video_path_frame_index"] = Field(
        "frame_source_path", description="seed 1 files: which rows are the same frame"
    )
    annotator: str = Field("import", description="whose labels these are, such as human:ALICE")
    label: tuple[str, ...] = Field(
        (), description="class that every file of this call shows; those of --classes besides it are absent"
    )
    part: str | None = Field(
        None, min_length=1, description="part of a split that every file of this call is meant for"
    )
    path_pattern: Annotated[str | None, AfterValidator(check_pattern)] = Field(
        None, description="what paths say: '{site}/{camera}/*.jpg', or a regular expression with named groups"
    )
    burst_s: float = Field(60.0, ge=0, description="stills of one camera at most this many seconds apart are a burst")
    allow_truncated: bool = Field(False, description="take JPEGs whose end is missing as far as they go")
    recursive: bool = Input(True, description="look into folders inside folders")
    rehash: bool = SpeedOnly(False, description="read files again even if their size and time are as they were")


def ingest(catalog: Catalog, settings: IngestSettings, engine: Engine) -> RunSummary:
    """Add files to the catalog, then what label files say of them, then the bursts that their times show."""
    if not settings.paths and not settings.labels:
        raise UsageError("nothing to ingest: give folders or files, or --labels FILE. See mekiki ingest --help")
    work = IngestFilesWork(said_of_all(settings), settings.path_pattern, settings.allow_truncated)
    fetched = _fetch(catalog, settings)
    labels = _read_labels(settings, fetched)
    found = _find(catalog, settings, fetched)
    said = [Entry(str(path), record, video_path) for path, record, video_path in labels.entries()]
    of_vectors = vector_files(found.files, said)
    vectors = FoundVectors(catalog, of_vectors, is_rehash=settings.rehash, index=settings.index)
    media = {path: folder for path, folder in found.files.items() if path not in of_vectors}
    entries = []
    for entry, is_vector in with_rows(said, vectors):
        entries.append(entry)
        if not is_vector and not is_own_file(catalog, entry.path):
            media.setdefault(entry.path, NAMED)
    found.files = media | of_vectors
    notes = [*notes_on_paths(found, settings.path_pattern), *vectors.notes()]
    summaries = []
    if media or not of_vectors:
        files = FoundFiles(catalog, media, settings.rehash)
        summaries.append(engine.map(catalog, "ingest", settings, work, files, redo=_is_new))
    if of_vectors:  # after the photos, whose vectors they may be
        n_left = settings.limit and max(0, settings.limit - sum(one.n_written + one.n_failed for one in summaries))
        limited = settings.with_batches_of(BATCH_VECTORS).model_copy(update={"limit": n_left})
        work_on_vectors = IngestVectorsWork(work.said, settings.path_pattern)
        summaries.append(engine.map(catalog, "ingest", limited, work_on_vectors, vectors, redo=_is_new))
    if engine.dry_run:
        return joined(summaries, notes, found.n_ignored)
    with catalog.writing("ingest"):
        with catalog.transaction("ingest") as transaction:
            drop_healed_failures(catalog, transaction, {shown_path(path) for path in found.files}, labels.names)
            drop_gone_rows(transaction, vectors.sizes())
            if settings.limit is None:
                failing = {one.path for summary in summaries for one in summary.failures}
                drop_stale_failures(transaction, of_vectors, failing)
        summaries += _import(catalog, settings, engine, labels, entries)
    if left := items_without_file(catalog):
        notes.append(
            f"the files of {len(left)} items hold something else now: mekiki forget {left[0][:12]} deletes one"
        )
    return joined(summaries, notes, found.n_ignored)


def _is_new(file: FoundFile | FoundVector) -> bool:
    return file.known_id is None


def said_of_all(settings: IngestSettings) -> SaidOfAll:
    """Return what the user says of every file of the call.

    Raises:
        UsageError: If a label is not one of the classes, or ``unknown`` stands without classes or beside a label.
    """
    classes, names = [[clean_name(name) for name in listed] for listed in (settings.classes, settings.label)]
    if "" in (*classes, *names):
        raise UsageError("a class needs a name: --label and --classes take no empty text")
    present = [name for name in names if not is_unknown(name)]
    for name in present:
        if classes and name not in classes:
            raise unknown_name("class", name, classes)
    if len(present) < len(names) and (present or not classes):
        raise UsageError(
            "--label unknown says that every class is absent: list them with --classes, and give no other --label"
        )
    return SaidOfAll(settings.annotator, present, classes if names else (), settings.part)


def _import(
    catalog: Catalog, settings: IngestSettings, engine: Engine, labels: LabelFiles, entries: list[Entry]
) -> list[RunSummary]:
    """Write what label files and times say, as a run of its own; none if they say nothing."""
    plan = plan_import(catalog, entries, labels.classes)
    bursts = burst_groups(catalog, settings.burst_s, plan.attributes())
    failures = [Failure(place, why, "ingest") for place, why in _refused(labels, len(entries))]
    refused = {content_id(f"entry:{one.path} {one.reason}".encode()): one for one in failures}
    if not labels.sheets and not bursts:
        return []

    def write(transaction: Transaction) -> int:
        return write_import(transaction, plan, settings.annotator) + write_groups(transaction, bursts)

    notes = [note for sheet in labels.sheets for note in sheet.notes]
    if conflicts := plan.conflicts():
        cause = "the same bytes under two names, or one file twice"
        notes.append(f"labels that entries disagree on are now unsure, in {len(conflicts)} items ({cause})")
    if plan.n_not_taken:
        notes.append(
            f"{counted(plan.n_not_taken, 'entries are')} about frames that have not been taken out of their video"
        )
    extra = {"n_conflicts": len(conflicts), "n_labelled": len(plan.claims)}
    reads = {
        "labels": labels.fingerprint(),
        "items": plan.fingerprint(),
        "bursts": hash_rows((one.key, one.item_id) for one in bursts),
    }
    outcome = Outcome(len(refused), write, failures=refused, extra=extra, notes=notes)
    summary = engine.once(catalog, "ingest", settings, reads, lambda _run_id: outcome)
    summary.extra["labels_run_id"] = summary.run_id
    return [summary]


def _refused(labels: LabelFiles, n_entries: int) -> list[tuple[str, str]]:
    """Return the entries that cannot be used; paths are only looked at again if some were left out."""
    n_problems = sum(len(sheet.problems) for sheet in labels.sheets)
    n_records = sum(len(sheet.records) for sheet in labels.sheets)
    return list(labels.refused()) if n_problems or n_entries < n_records else []


def _read_labels(settings: IngestSettings, fetched: list[str]) -> LabelFiles:
    options = ReadOptions(
        settings.label_column, settings.path_column, settings.classes or None, dedupe_key=settings.dedupe_key
    )
    rules = PathRules(settings.root, settings.allow_outside)
    if settings.class_folders and settings.labels:
        raise UsageError("--class-folders and --labels both say what files show: give one of them")
    if settings.class_folders:
        return read_folder_names(settings.paths, options, rules)
    named = list(settings.labels) or [Path(folder) for folder in fetched if _says_labels(folder)]
    return read_label_files(named, settings.labels_format, options, rules)


def _says_labels(folder: str) -> bool:
    """Return whether a fetched data set has labels in a form that we know."""
    try:
        detect_format(Path(folder))
    except UsageError:
        return False
    return True


def _fetch(catalog: Catalog, settings: IngestSettings) -> list[str]:
    """Return the folders of the data sets from the hub; two processes do not fetch at once."""
    addresses = [path for path in settings.paths if path.startswith(PREFIX)]
    if not addresses:
        return []
    with catalog.writing("ingest"):
        return [str(fetch_dataset(address, catalog.workspace / "media" / "hub")) for address in addresses]


def _find(catalog: Catalog, settings: IngestSettings, fetched: list[str]) -> Findings:
    """Return the files that are meant; our own are never taken for the user's, and fetched data sets lie among them."""
    local = [path for path in settings.paths if not path.startswith(PREFIX)]
    find = partial(find_files, is_recursive=settings.recursive, suffixes=MEDIA_SUFFIXES | VECTOR_SUFFIXES)
    found, more = find(local, leave_out=catalog.workspace), find(fetched)
    return Findings({**found.files, **more.files}, found.n_ignored + more.n_ignored)
