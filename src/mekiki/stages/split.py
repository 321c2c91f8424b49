"""Stage ``split``: parts that share nothing. Reads ``items``, ``groups``, ``labels``; writes ``splits``."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any, Literal

from pydantic import field_validator

from mekiki.catalog.db import Catalog
from mekiki.catalog.importing import Entry
from mekiki.catalog.results import SplitRow, hash_rows, split_runs, write_split
from mekiki.catalog.runs import make_latest, mekiki_version, now
from mekiki.catalog.splitting import (
    Splittable,
    certify_split,
    given_parts,
    named_groups,
    parts_to_keep,
    read_splittable,
)
from mekiki.dataset.certificate import Certificate, CertificateFacts, describe
from mekiki.dataset.formats.base import ReadOptions
from mekiki.dataset.formats.reading import LabelFiles, PathRules, read_label_files
from mekiki.dataset.groups import describe_atom
from mekiki.dataset.ids import safe_name
from mekiki.dataset.splits import DEFAULT_SHARES, SplitOptions, extend_split, fold_atoms, split_atoms
from mekiki.engine.outputs import check_output
from mekiki.engine.run import Engine, Outcome, write_text
from mekiki.errors import DataError, UsageError
from mekiki.intake.given import certify_given, read_given_split
from mekiki.records import Failure, RunSummary, counted
from mekiki.settings import Field, Input, Settings, SpeedOnly


class SplitSettings(Settings):
    """Deal out pictures to parts that share no clip, near-duplicate, burst or individual, and certify it."""

    name: str = Field("default", min_length=1, description="name of the split; several can stand side by side")
    shares: dict[str, float] = Field(dict(DEFAULT_SHARES), description="parts and their shares of all pictures")
    seed: int = Field(42, ge=0, description="another seed gives another split")
    group_by: tuple[Literal["site", "camera"], ...] = Field((), description="keep these together too")
    allow_missing: tuple[str, ...] = Field((), description="class that need not be in every part")
    folds: int | None = Field(None, ge=2, description="make this many equal folds instead of parts")
    extend: bool = Field(False, description="keep the parts of the split of this name and deal out what is new")
    check: Path | None = Input(None, description="certify someone else's split: a label file with a part for each file")
    adopt: bool = Field(
        False, description="store the parts of --check, or those that label files gave, if they are clean"
    )
    root: Path | None = Input(None, description="with --check: folder that its paths start from")
    allow_outside: bool = Field(False, description="with --check: let it name files outside its root")
    output: Path | None = Input(None, description="with --check: write the certificate to this file too")
    workers: int = SpeedOnly(2, ge=1, description="with --check: threads that read files")

    @field_validator("shares")
    @classmethod
    def _check_parts(cls, shares: dict[str, float]) -> dict[str, float]:
        for part in shares:
            if safe_name(part) != part:
                raise ValueError(f"a part cannot be called {part!r}, since folders are named after parts")
        return shares

    @property
    def needs_workspace(self) -> bool:
        """Whether it works on a workspace; certifying a file alone does not."""
        return self.check is None or self.adopt


def split(catalog: Catalog, settings: SplitSettings, engine: Engine) -> RunSummary:
    """Split the workspace, extend or adopt a split of it, or certify somebody's file."""
    if sum((settings.folds is not None, settings.extend, settings.check is not None or settings.adopt)) > 1:
        raise UsageError("--folds, --extend and --check or --adopt exclude each other: give one of them")
    if settings.output is not None and settings.needs_workspace:
        raise UsageError("--output goes with --check alone: a stored split has its certificate in runs/RUN_ID/")
    files = None if settings.check is None else _read(settings.check, settings)
    if files is not None and not settings.needs_workspace:
        return _check(catalog, settings, engine, files)
    whole = read_splittable(catalog, settings.group_by)
    known, n_elsewhere = _known_parts(catalog, settings, whole, files)
    if settings.extend and known is not None and None not in known:
        return _nothing_new(catalog, settings, whole)

    def compute(_run_id: str) -> Outcome:
        failures = {} if files is None else _certify_file(files, settings, must_be_clean=True)[1]
        parts = known if settings.adopt and known is not None else _deal(catalog, whole, settings, known)
        certificate = certify_split(catalog, whole, parts, _facts(settings))
        if not certificate.is_leak_free:
            raise DataError(f"the given parts leak, so they are not adopted: {' '.join(certificate.leaks)}")
        rows = [SplitRow(*row) for row in whole.spread(parts)]
        entries = counted(n_elsewhere, "entries are")
        elsewhere = f"{entries} about files that are not in the workspace; their parts are not stored"
        return Outcome(
            n_selected=len(whole.items.item_ids) + len(failures),
            write=lambda transaction: write_split(transaction, rows),
            files={"certificate.json": as_text(certificate)},
            extra={"parts": dict(Counter(part for part in parts if part)), "certificate": certificate.to_json()},
            notes=[*describe(certificate), *[elsewhere] * (n_elsewhere > 0)],
            failures=failures,
        )

    reads = {
        **whole.reads,
        "known": hash_rows([tuple(known)]) if known is not None else "",
        "file": files.fingerprint() if files is not None else "",
    }
    summary = engine.once(catalog, "split", settings, reads, compute)
    if not engine.dry_run:
        make_latest(catalog, summary.run_id)
    return summary


def _known_parts(
    catalog: Catalog, settings: SplitSettings, whole: Splittable, files: LabelFiles | None
) -> tuple[list[str | None] | None, int]:
    """Return the parts that pictures have already, None for a fresh split; and how many entries mean no picture."""
    if settings.extend:
        return parts_to_keep(catalog, whole, settings.name, settings.shares), 0
    if settings.adopt:
        entries = None if files is None else (Entry(str(path), record, clip) for path, record, clip in files.entries())
        return given_parts(catalog, entries, whole.items.item_ids)
    return None, 0


def _deal(
    catalog: Catalog, whole: Splittable, settings: SplitSettings, known: list[str | None] | None
) -> list[str | None]:
    def name_atom(atom: int) -> str:
        return describe_atom(atom, whole.all_atoms, named_groups(catalog, whole.joined))

    options = SplitOptions(settings.shares, settings.seed, settings.allow_missing)
    if settings.folds is not None:
        return [f"fold-{fold}" for fold in fold_atoms(whole.items, settings.folds, options, name_atom).tolist()]
    if len(settings.shares) < 2:
        raise UsageError(f"a split has two parts or more, got {settings.shares}: --shares train=0.8 --shares test=0.2")
    if known is not None:
        return list(extend_split(whole.items, options, known, name_atom).tolist())
    return list(split_atoms(whole.items, options, name_atom).tolist())


def _nothing_new(catalog: Catalog, settings: SplitSettings, whole: Splittable) -> RunSummary:
    n_items = len(whole.items.item_ids)
    run_id = split_runs(catalog)[settings.name]
    return RunSummary("split", run_id, n_items, n_skipped=n_items, notes=["nothing is new since this split was made"])


def _check(catalog: Catalog, settings: SplitSettings, engine: Engine, files: LabelFiles) -> RunSummary:
    """Certify a file that says which picture is in which part; a leak refuses it, with exit 4."""
    output = settings.output and check_output(settings.output, '"atoms_sha256"', "--output cert.json")

    def compute(_run_id: str) -> Outcome:
        certificate, failures, n_files = _certify_file(files, settings, must_be_clean=False)
        if output is not None:
            write_text(output, as_text(certificate))
        extra: dict[str, Any] = {"certificate": certificate.to_json()}
        if not certificate.is_leak_free:
            extra["refusal"] = f"{settings.check} leaks: {' '.join(certificate.leaks)}"
        notes = describe(certificate)[len(certificate.leaks) :]  # leaks stand in the refusal
        return Outcome(n_files, extra=extra, notes=notes, failures=failures)

    return engine.once(catalog, "split", settings, {"file": files.fingerprint()}, compute)


def _certify_file(
    files: LabelFiles, settings: SplitSettings, *, must_be_clean: bool
) -> tuple[Certificate, dict[str, Failure], int]:
    """Return the certificate of somebody's split, what could not be read of it, and how many files it is about."""
    if not any(record.part for sheet in files.sheets for record in sheet.records):
        raise DataError(f"{settings.check} puts no file into a part: it needs a column 'part' such as train, val, test")
    given = read_given_split(files.entries(), settings.workers)
    refused = [Failure(place, why, "split") for place, why in files.refused()]
    failures = {f"{one.path} {one.reason}": one for one in (*given.failures, *refused)}
    first = next(iter(failures), "")
    if not given.files:
        raise DataError(f"no file that {settings.check} names could be read, give --root; the first is {first}")
    if len(set(given.parts)) < 2:
        trouble = f"; {len(failures)} files could not be read, the first is {first}" if failures else ""
        raise DataError(
            f"all files of {settings.check} are in part {given.parts[0]!r}, and a split has two or more{trouble}"
        )
    for kind in settings.group_by:
        if not any(kind in one.record.groups for one in given.files):
            raise DataError(f"{settings.check} gives no file a {kind}: add a column {kind!r}, or leave out --group-by")
    certificate = certify_given(given, files.classes, _facts(settings))
    if must_be_clean and not certificate.is_leak_free:
        raise DataError(f"{settings.check} leaks, so it is not adopted: {' '.join(certificate.leaks)}")
    return certificate, failures, len(given.files) + len(failures)


def as_text(certificate: Certificate) -> str:
    """Return the certificate as it stands in files."""
    return json.dumps(certificate.to_json(), ensure_ascii=False, indent=2)


def _facts(settings: SplitSettings) -> CertificateFacts:
    is_ours = settings.check is None and not settings.adopt
    shares = settings.shares if is_ours and settings.folds is None else {}
    seed = settings.seed if is_ours else None
    name = settings.name if settings.needs_workspace else Path(str(settings.check)).name
    return CertificateFacts(
        name, shares, seed, settings.group_by, created_at=now()[:19] + "Z", version=mekiki_version()
    )


def _read(path: Path, settings: SplitSettings) -> LabelFiles:
    return read_label_files([path], "auto", ReadOptions(), PathRules(settings.root, settings.allow_outside))
