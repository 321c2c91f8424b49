"""Stage ``annotate``: who sees what. Reads pictures and label files; writes ``labels``, ``attributes``, ``answers``."""

from __future__ import annotations

import json

from mekiki.catalog.annotating import agreement_lines, annotators_of, measure_agreement, read_opinions
from mekiki.catalog.db import Catalog
from mekiki.catalog.importing import Entry, ImportPlan, plan_import, write_imported_labels
from mekiki.catalog.items import class_names, require_items, select_items
from mekiki.catalog.runs import make_latest
from mekiki.dataset.formats.base import ReadOptions
from mekiki.dataset.formats.reading import PathRules, read_label_files
from mekiki.dataset.ids import content_id
from mekiki.engine.ask_run import AskOptions, ask_about, estimate_calls
from mekiki.engine.run import Engine, Outcome
from mekiki.engine.zero_shot import label_by_words
from mekiki.errors import DataError, UsageError, unknown_name
from mekiki.models.annotate_settings import AnnotateSettings
from mekiki.models.annotators import ANNOTATORS, LabelFiles, Words
from mekiki.models.vlm_openai import VlmAnnotator
from mekiki.models.vocabulary import Vocabulary, plain_vocabulary, read_class_file
from mekiki.records import Failure, RunSummary, counted

__all__ = ["AnnotateSettings", "annotate"]


def annotate(catalog: Catalog, settings: AnnotateSettings, engine: Engine) -> RunSummary:
    """Label what is not labelled yet by this annotator, or say how far annotators agree."""
    require_items(catalog)
    if settings.agreement:
        return _agree(catalog, settings, engine)
    base, _, variant = settings.annotator.partition(":")
    kind = ANNOTATORS.load(base)
    if kind is LabelFiles:
        return _import(catalog, settings, engine)
    if kind is Words:
        return _latest(
            catalog, engine, label_by_words(catalog, settings, engine, _vocabulary(catalog, settings), variant)
        )
    annotator = VlmAnnotator(vocabulary=_vocabulary(catalog, settings), **settings.whom())
    items = select_items(catalog, settings.kind)
    if engine.dry_run:
        return estimate_calls(catalog, settings, annotator, items)
    options = AskOptions(settings.concurrency, settings.max_cost)
    return _latest(catalog, engine, ask_about(catalog, settings, annotator, items, engine, options))


def _vocabulary(catalog: Catalog, settings: AnnotateSettings) -> Vocabulary:
    """Return the words to use: of the class file, of ``--classes``, else the workspace's classes."""
    if settings.classes_file is not None:
        found = read_class_file(settings.classes_file)
    else:
        names = settings.classes or class_names(catalog)
        if not names:
            raise UsageError(
                "no class is known: list them with --classes NAME --classes NAME, or --classes-file FILE (shipped: "
                "japanese-mammals)"
            )
        found = plain_vocabulary(names)
    return found.in_language(settings.language)


def _import(catalog: Catalog, settings: AnnotateSettings, engine: Engine) -> RunSummary:
    """Write what label files say of items that are in the catalog; no file is ingested."""
    if not settings.labels:
        raise UsageError(f"--annotator {settings.annotator} needs the files with the labels: --labels FILE")
    options = ReadOptions(settings.label_column, settings.path_column, settings.classes or None)
    rules = PathRules(settings.root, settings.allow_outside)
    files = read_label_files(settings.labels, settings.labels_format, options, rules)
    entries = [Entry(str(path), record, video_path) for path, record, video_path in files.entries()]
    plan = plan_import(catalog, entries, files.classes)
    failures = [Failure(place, why, "annotate") for place, why in files.refused()]
    refused = {content_id(f"entry:{one.path} {one.reason}".encode()): one for one in failures}
    if entries and not plan.claims:
        raise DataError(
            f"none of {len(entries)} entries is about an item of the workspace, the first is {entries[0].path}: mekiki "
            "ingest the files first (and mekiki frames for entries about frames), or say where paths start with --root"
        )
    outcome = Outcome(
        len(plan.claims) + len(refused),
        lambda transaction: write_imported_labels(transaction, plan, settings.annotator),
        extra={
            "n_entries": len(entries),
            "n_without_item": plan.n_waiting,
            "n_frames_not_taken": plan.n_not_taken,
            "n_conflicts": len(plan.conflicts()),
        },
        notes=[*(note for sheet in files.sheets for note in sheet.notes), *_notes_on(plan)],
        failures=refused,
    )
    reads = {"labels": files.fingerprint(), "items": plan.fingerprint()}
    return _latest(catalog, engine, engine.once(catalog, "annotate", settings, reads, lambda _run_id: outcome))


def _notes_on(plan: ImportPlan) -> list[str]:
    """Return what was not written, and why."""
    n_conflicts = len(plan.conflicts())
    n_boxes = sum(len(claims.boxes) for claims in plan.claims.values())
    n_captions = sum(len(claims.captions) for claims in plan.claims.values())
    waiting, not_taken = (counted(n, "entries are") for n in (plan.n_waiting, plan.n_not_taken))
    told = {
        f"{waiting} about files that are not in the workspace: mekiki ingest them": plan.n_waiting,
        f"{not_taken} about frames that have not been taken out of their video": plan.n_not_taken,
        f"labels that entries disagree on are now unsure, in {n_conflicts} items": n_conflicts,
        f"{n_boxes} boxes and {n_captions} captions are left: mekiki ingest --labels takes them": n_boxes + n_captions,
    }
    return [note for note, n in told.items() if n]


def _agree(catalog: Catalog, settings: AnnotateSettings, engine: Engine) -> RunSummary:
    """Measure how far annotators agree on the items that both were asked about."""
    known = annotators_of(catalog)
    for name in settings.between:
        if name not in known:
            raise unknown_name("annotator", name, known)
    if len(known) < 2:
        raise DataError(
            f"agreement needs two annotators, and the workspace has {len(known)}: {', '.join(known) or 'none'}. Add "
            "one with mekiki annotate --annotator human:NAME --labels FILE"
        )
    opinions = read_opinions(catalog, settings.between or known)

    def compute(_run_id: str) -> Outcome:
        pairs = measure_agreement(opinions)
        text = json.dumps({"pairs": pairs}, ensure_ascii=False, indent=2)
        notes = [line for pair in pairs for line in agreement_lines(pair)]
        if not pairs:
            notes = ["no two annotators have labelled the same item"]
        return Outcome(len(opinions.item_ids), files={"agreement.json": text}, extra={"pairs": pairs}, notes=notes)

    return _latest(
        catalog, engine, engine.once(catalog, "annotate", settings, {"labels": opinions.fingerprint()}, compute)
    )


def _latest(catalog: Catalog, engine: Engine, summary: RunSummary) -> RunSummary:
    """Let the words of a run count again, since its command was given again."""
    if not engine.dry_run:
        make_latest(catalog, summary.run_id)
    return summary
