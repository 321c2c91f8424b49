"""Stage ``annotate``: who sees what. Reads pictures and label files; writes ``labels``, ``attributes``, ``answers``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, model_validator

from mekiki.catalog.annotating import agreement_lines, annotators_of, measure_agreement, read_opinions
from mekiki.catalog.db import Catalog
from mekiki.catalog.importing import Entry, ImportPlan, plan_import, write_imported_labels
from mekiki.catalog.items import class_names, require_items, select_items
from mekiki.catalog.runs import make_latest
from mekiki.catalog.vectors import require_vectors
from mekiki.dataset.formats.base import ReadOptions
from mekiki.dataset.formats.reading import PathRules, read_label_files
from mekiki.dataset.formats.registry import READERS
from mekiki.dataset.ids import content_id
from mekiki.engine.ask_run import AskOptions, ask_about, estimate_calls
from mekiki.engine.run import Engine, Outcome
from mekiki.engine.zero_shot import ItemVectors, Judging, make_zero_shot
from mekiki.errors import DataError, UsageError, unknown_name
from mekiki.models.annotators import ANNOTATORS, LabelFiles, Words
from mekiki.models.embed import EmbedderOpening, open_text_embedder
from mekiki.models.openai_requests import Sampling
from mekiki.models.openai_server import Api, OpenAiServer
from mekiki.models.pricing import Detail, find_price
from mekiki.models.retries import Pacer
from mekiki.models.vlm_openai import Showing, VlmAnnotator
from mekiki.models.vocabulary import Language, Vocabulary, plain_vocabulary, read_class_file
from mekiki.models.zero_shot import DEFAULT_SCALE, DEFAULT_TEMPLATES, Decide, wording_of
from mekiki.records import Failure, ItemKind, RunSummary
from mekiki.settings import Field, Input, PerItemSettings, SpeedOnly

VLM_ONLY = frozenset(
    {"model", "language", "long_side", "quality", "detail", "max_output_tokens", "temperature"}
    | {"reasoning_effort", "max_cost", "price_in", "price_out"}
)
FILES_ONLY = frozenset({"labels", "labels_format", "root", "allow_outside", "label_column", "path_column"})
WORDS_ONLY = frozenset({"templates", "decide", "min_confidence", "scale", "weights"})
STRANGE = {
    "vlm": FILES_ONLY | WORDS_ONLY,
    "zero-shot": FILES_ONLY | VLM_ONLY,
    "import": VLM_ONLY | WORDS_ONLY | {"classes_file", "kind"},
    "human": VLM_ONLY | WORDS_ONLY | {"classes_file", "kind"},
}
"""Settings that mean nothing to an annotator."""


def check_reader(name: str) -> str:
    """Return the name of a label format, or refuse it with the nearest; ``auto`` looks at the files."""
    return name if name == "auto" else READERS.check(name)


class AnnotateSettings(PerItemSettings):
    """Label pictures: by a vision-language model, or with what a person or another tool has written into files."""

    annotator: Annotated[str, AfterValidator(ANNOTATORS.check)] = Field(
        "vlm", description="who labels: vlm[:MODEL], zero-shot[:EMBEDDER], import[:NAME] or human:NAME"
    )
    model: str = Field("gpt-5.2", min_length=1, description="vlm: the model's name on the server")
    classes_file: str | None = Input(
        None, description="vlm, zero-shot: YAML with classes, aliases and hints, or a shipped one: japanese-mammals"
    )
    classes: tuple[str, ...] = Field((), description="closed list of classes (default: those of the workspace)")
    language: Language | None = Field(None, description="vlm: of the prompt (default: the class file's, else en)")
    long_side: int = Field(1024, ge=16, description="vlm: pictures are shrunk to this many pixels on their long side")
    quality: int = Field(85, ge=1, le=100, description="vlm: JPEG quality of what is sent")
    detail: Detail = Field("low", description="vlm: how closely the model looks, which decides what a picture costs")
    max_output_tokens: int = Field(220, ge=16, description="vlm: where the server cuts an answer, thinking included")
    temperature: float | None = Field(
        None, ge=0, le=2, description="vlm: 0 for always the same (default: the server's)"
    )
    reasoning_effort: Literal["none", "minimal", "low", "medium", "high", "xhigh"] | None = Field(
        None, description="vlm: how long the model thinks first (default: the server's)"
    )
    kind: tuple[ItemKind, ...] = Field(("image", "frame"), description="vlm, zero-shot: kinds of item to look at")
    api: Api = SpeedOnly("auto", description="vlm: the protocol; auto finds out which the server speaks")
    concurrency: int = SpeedOnly(4, ge=1, description="vlm: calls in flight at once")
    rate_limit: float | None = SpeedOnly(None, gt=0, description="vlm: at most this many calls a minute")
    timeout: float = SpeedOnly(60.0, gt=0, description="vlm: seconds that a call may take")
    retries: int = SpeedOnly(3, ge=0, description="vlm: how often a failed call is made again")
    max_cost: float | None = SpeedOnly(
        None, ge=0, description="vlm: dollars that all invocations of this run together may cost, at the very most"
    )
    price_in: float | None = SpeedOnly(None, ge=0, description="vlm: dollars per million tokens of questions")
    price_out: float | None = SpeedOnly(None, ge=0, description="vlm: dollars per million tokens of answers")
    templates: tuple[str, ...] = Field(
        DEFAULT_TEMPLATES, description="zero-shot: sentences with {} where the name of a class goes; their mean counts"
    )
    decide: Decide = Field(
        "best", description="zero-shot: the best class of a picture, or each that fits better than a neutral sentence"
    )
    min_confidence: float = Field(0.5, ge=0, le=1, description="zero-shot: below it a class is absent")
    scale: float = Field(DEFAULT_SCALE, gt=0, description="zero-shot: cosines are multiplied by it; CLIP's own is 100")
    weights: Path | None = Input(None, description="zero-shot: the embedder's, if embed was given a file")
    allow_code: bool = SpeedOnly(False, description="zero-shot: run the program that a python: embedder is")
    labels: tuple[Path, ...] = Input((), description="import, human: label file or folder; see mekiki list formats")
    labels_format: Annotated[str, AfterValidator(check_reader)] = Field(
        "auto", description="import, human: format of the label files; auto looks at them"
    )
    root: Path | None = Input(None, description="import, human: folder that paths in label files start from")
    allow_outside: bool = Field(False, description="import, human: let label files name files outside their root")
    label_column: str | None = Field(None, description="import, human: column with the labels, if its name is unusual")
    path_column: str | None = Field(None, description="import, human: column with the paths, if its name is unusual")
    agreement: bool = Field(False, description="label nothing; say how far annotators agree on what both have labelled")
    between: tuple[str, ...] = Field((), description="with --agreement: only these two annotators")
    batch_size: int = SpeedOnly(1, ge=1, description="answers in one batch, which is one transaction")
    workers: int = SpeedOnly(2, ge=1, description="threads that read pictures ahead of the calls")

    @model_validator(mode="before")
    @classmethod
    def _split_name(cls, given: Any) -> Any:
        """Take ``vlm:MODEL`` for what it is, so that both ways of naming a model are one run."""
        name, _, model = str(given.get("annotator", "")).partition(":")
        if name != "vlm" or ":" not in str(given["annotator"]):
            return given
        if not model.strip():
            raise ValueError("vlm: names no model: --annotator vlm:MODEL, or vlm alone with --model MODEL")
        if given.get("model", model) != model:
            raise ValueError(f"two models are named, {model!r} and {given['model']!r}: leave out --model")
        return {**given, "annotator": name, "model": model}

    @model_validator(mode="after")
    def _check_together(self) -> AnnotateSettings:
        base, _, name = self.annotator.partition(":")
        if base == "human" and not name:
            raise ValueError("a person needs a name: --annotator human:NAME")
        fields, others = type(self).model_fields, STRANGE[base]
        # A recipe's settings can be taken back: --set annotate.annotator=import --set annotate.classes_file=null
        strange = sorted(name for name in others if getattr(self, name) != fields[name].default)
        if strange and not self.agreement:
            owners = [owner for owner, useless in STRANGE.items() if strange[0] not in useless]
            flag = f"--{strange[0].replace('_', '-')}"
            raise ValueError(f"{flag} is for --annotator {' or '.join(owners)}, not for {self.annotator}")
        if any("{}" not in template for template in self.templates) or not self.templates:
            raise ValueError(f"a template needs {{}} where the name of a class goes, got {self.templates}")
        if self.classes and self.classes_file is not None:
            raise ValueError("--classes and --classes-file exclude each other: list the classes in the file")
        if "vector" in self.kind:
            raise ValueError("--kind vector: a model is shown pictures, and a vector that came without one has none")
        if "video" in self.kind:
            raise ValueError("--kind video: a model is shown pictures; mekiki frames takes them out of videos")
        if self.between and (not self.agreement or len(set(self.between)) != 2 or len(self.between) != 2):
            raise ValueError("--between goes with --agreement and names two annotators: --between A --between B")
        return self


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
        return _compare(catalog, settings, engine, variant)
    annotator = make_vlm(settings, _vocabulary(catalog, settings))
    items = select_items(catalog, settings.kind)
    if engine.dry_run:
        return estimate_calls(catalog, settings, annotator, items)
    options = AskOptions(settings.concurrency, settings.max_cost)
    return _latest(catalog, engine, ask_about(catalog, settings, annotator, items, engine, options))


def _compare(catalog: Catalog, settings: AnnotateSettings, engine: Engine, embedder: str) -> RunSummary:
    """Label by the cosine between a picture's stored vector and those of words."""
    run = require_vectors(catalog, embedder or None)
    opening = EmbedderOpening(run.space.embedder, settings.weights, allow_code=settings.allow_code)
    wording = wording_of(_vocabulary(catalog, settings), settings.templates)
    judging = Judging(settings.decide, settings.min_confidence, settings.scale)
    work = make_zero_shot(run, open_text_embedder(opening), wording, judging)
    summary = engine.map(
        catalog, "annotate", settings, work, ItemVectors(catalog, run, settings.kind), reads={"vectors": run.run_id}
    )
    return _latest(catalog, engine, summary)


def make_vlm(settings: AnnotateSettings, vocabulary: Vocabulary) -> VlmAnnotator:
    """Return the model that is going to be asked.

    Raises:
        UsageError: If a cost cap is set and nobody knows the price.
    """
    price = find_price(settings.model, settings.price_in, settings.price_out)
    if settings.max_cost is not None and price is None:
        raise UsageError(
            f"--max-cost needs a price, and none is known for {settings.model!r}: give --price-in and --price-out in "
            "dollars per million tokens (0 and 0 for a server of your own)"
        )
    sampling = Sampling(
        settings.model,
        settings.detail,
        settings.max_output_tokens,
        settings.temperature,
        settings.reasoning_effort,
    )
    server = OpenAiServer(settings.api, settings.timeout)
    showing = Showing(settings.long_side, settings.quality)
    return VlmAnnotator(server, vocabulary, sampling, showing, price, Pacer(settings.rate_limit), settings.retries)


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
    told = {
        f"{plan.n_waiting} entries are about files that are not in the workspace: mekiki ingest them": plan.n_waiting,
        f"{plan.n_not_taken} entries are about frames that have not been taken out of their video": plan.n_not_taken,
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
