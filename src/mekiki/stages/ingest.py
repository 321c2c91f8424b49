"""Stage ``ingest``: files become items. Writes ``items``, ``sources``, ``hashes``, ``groups``, ``labels`` and more."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator

from mekiki.catalog.bursts import burst_groups
from mekiki.catalog.db import Catalog, Transaction
from mekiki.catalog.found import NAMED, FoundFile, FoundFiles, notes_on_paths
from mekiki.catalog.importing import Entry, plan_import, write_import
from mekiki.catalog.ingested import IngestedFile, SaidOfAll, write_ingested
from mekiki.catalog.items import is_own_file, write_groups
from mekiki.catalog.results import hash_rows
from mekiki.catalog.sources import drop_healed_failures, items_without_file
from mekiki.dataset.formats.base import ReadOptions
from mekiki.dataset.formats.class_lists import is_unknown
from mekiki.dataset.formats.label_text import clean_name
from mekiki.dataset.formats.reading import LabelFiles, PathRules, read_label_files
from mekiki.dataset.formats.registry import READERS, detect_format
from mekiki.dataset.groups import compile_path_pattern, parse_path
from mekiki.dataset.ids import content_id
from mekiki.engine.run import Engine, Outcome
from mekiki.errors import UnreadableError, UsageError, shown_path, unknown_name
from mekiki.intake.files import examine_file
from mekiki.media.finding import Findings, find_files
from mekiki.models.hub import PREFIX, fetch_dataset
from mekiki.records import Failure, Loaded, Result, RunSummary
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
    """Add photos and videos, and what files say of them, to the workspace. Your files are read and never changed."""

    paths: tuple[str, ...] = Positional((), description="folders, files, globs, .txt lists, hf://datasets/OWNER/NAME")
    labels: tuple[Path, ...] = Input((), description="label file or folder; mekiki list formats shows which")
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


@dataclass
class IngestWork:
    """What one worker does to files: read each once, unless it is known."""

    settings: IngestSettings
    said: SaidOfAll

    def identity(self) -> str:
        """No backend is involved."""
        return ""

    def open(self) -> None:
        """Prepare the path pattern."""
        pattern = self.settings.path_pattern
        self._pattern = compile_path_pattern(pattern) if pattern else None

    def load(self, item: FoundFile) -> Iterator[Loaded]:
        """Read a file, unless it is known; decoding and hashing happen here, where there are several threads."""
        if item.folder == NAMED and not item.path.exists():
            raise UnreadableError(
                item.path, "no such file; if the paths in the label file start elsewhere: --root FOLDER"
            )
        facts = None if item.known_id else examine_file(item.path, allow_truncated=self.settings.allow_truncated)
        said = parse_path(self._pattern, Path(item.path).as_posix()) if self._pattern else {}
        yield Loaded(item.item_id, IngestedFile(item.path, item.known_id, facts, said))

    def compute(self, loaded: list[Loaded]) -> list[Result | UnreadableError]:
        """Pass on what was read."""
        return [Result(one.item_id, one.content) for one in loaded]

    def write(self, transaction: Transaction, results: list[Result]) -> int:
        """Write items with all that is known of them."""
        return write_ingested(transaction, [one.content for one in results], self.said)


def ingest(catalog: Catalog, settings: IngestSettings, engine: Engine) -> RunSummary:
    """Add files to the catalog, then what label files say of them, then the bursts that their times show."""
    if not settings.paths and not settings.labels:
        raise UsageError("nothing to ingest: give folders or files, or --labels FILE. See mekiki ingest --help")
    work = IngestWork(settings, said_of_all(settings))
    fetched = _fetch(catalog, settings)
    labels = _read_labels(settings, fetched)
    found = _find(catalog, settings, fetched)
    entries = [Entry(str(path), record, video_path) for path, record, video_path in labels.entries()]
    for entry in entries:
        if not is_own_file(catalog, entry.path):
            found.files.setdefault(entry.path, NAMED)
    fitting = notes_on_paths(found, settings.path_pattern)
    files = FoundFiles(catalog, found.files, settings.rehash)
    summary = engine.map(catalog, "ingest", settings, work, files, redo=lambda file: file.known_id is None)
    if "dry_run" in summary.extra:
        return summary
    with catalog.writing("ingest"):
        with catalog.transaction("ingest") as transaction:
            drop_healed_failures(catalog, transaction, {shown_path(path) for path in found.files}, labels.names)
        said = _import(catalog, settings, engine, labels, entries)
    if left := items_without_file(catalog):
        fitting.append(
            f"the files of {len(left)} items hold something else now: mekiki forget {left[0][:12]} deletes one"
        )
    return _joined(summary, said, fitting, found)


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
) -> RunSummary | None:
    """Write what label files and times say, as a run of its own; None if they say nothing."""
    plan = plan_import(catalog, entries, labels.classes)
    bursts = burst_groups(catalog, settings.burst_s, plan.attributes())
    failures = [Failure(place, why, "ingest") for place, why in _refused(labels, len(entries))]
    refused = {content_id(f"entry:{one.path} {one.reason}".encode()): one for one in failures}
    if not labels.sheets and not bursts:
        return None

    def write(transaction: Transaction) -> int:
        return write_import(transaction, plan, settings.annotator) + write_groups(transaction, bursts)

    notes = [note for sheet in labels.sheets for note in sheet.notes]
    if conflicts := plan.conflicts():
        cause = "the same bytes under two names, or one file twice"
        notes.append(f"labels that entries disagree on are now unsure, in {len(conflicts)} items ({cause})")
    if plan.n_not_taken:
        notes.append(f"{plan.n_not_taken} entries are about frames that have not been taken out of their video")
    extra = {"n_conflicts": len(conflicts), "n_labelled": len(plan.claims)}
    reads = {
        "labels": labels.fingerprint(),
        "items": plan.fingerprint(),
        "bursts": hash_rows((one.key, one.item_id) for one in bursts),
    }
    outcome = Outcome(len(refused), write, failures=refused, extra=extra, notes=notes)
    return engine.once(catalog, "ingest", settings, reads, lambda _run_id: outcome)


def _refused(labels: LabelFiles, n_entries: int) -> list[tuple[str, str]]:
    """Return the entries that cannot be used; paths are only looked at again if some were left out."""
    n_problems = sum(len(sheet.problems) for sheet in labels.sheets)
    n_records = sum(len(sheet.records) for sheet in labels.sheets)
    return list(labels.refused()) if n_problems or n_entries < n_records else []


def _joined(summary: RunSummary, said: RunSummary | None, notes: list[str], found: Findings) -> RunSummary:
    """Return one summary for both runs of the stage."""
    if said is not None:
        summary.n_selected += said.n_selected
        summary.n_written += said.n_written
        summary.n_skipped += said.n_skipped
        summary.n_failed += said.n_failed
        summary.n_rows += said.n_rows
        summary.seconds += said.seconds
        summary.failures += said.failures
        summary.notes += said.notes
        summary.extra = {**said.extra, "labels_run_id": said.run_id}
    summary.notes += notes
    summary.extra["n_ignored"] = found.n_ignored
    return summary


def _read_labels(settings: IngestSettings, fetched: list[str]) -> LabelFiles:
    options = ReadOptions(
        settings.label_column, settings.path_column, settings.classes or None, dedupe_key=settings.dedupe_key
    )
    rules = PathRules(settings.root, settings.allow_outside)
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
    found = find_files(local, is_recursive=settings.recursive, leave_out=catalog.workspace)
    more = find_files(fetched, is_recursive=settings.recursive)
    return Findings({**found.files, **more.files}, found.n_ignored + more.n_ignored)
