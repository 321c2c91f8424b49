"""Stage ``predict``: scores of a trained model. Reads pictures; writes ``predictions``, or a file and no workspace."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mekiki.catalog.db import Catalog
from mekiki.catalog.items import require_items
from mekiki.catalog.model_files import locate_model, locate_model_beside
from mekiki.catalog.runs import failures_of
from mekiki.catalog.score_pages import iter_scores
from mekiki.dataset.formats.base import plain_path
from mekiki.dataset.formats.predictions_out import check_predictions_path, write_predictions_file
from mekiki.dataset.formats.reading import PathRules
from mekiki.dataset.formats.thresholds_in import merge_thresholds, read_thresholds
from mekiki.engine.run import Engine
from mekiki.engine.scoring import FileWork, StoredPictures, StoredWork
from mekiki.errors import InterruptedRunError, UsageError
from mekiki.intake.inputs import GivenFiles
from mekiki.media.sampling_settings import SamplingSettings
from mekiki.models.decided import ClipScore, Tally, decide_files
from mekiki.models.model_settings import ModelSettings
from mekiki.models.opening import Opening, id_of_file, load_card
from mekiki.records import RunSummary
from mekiki.settings import Field, Input, PerItemSettings, Positional
from mekiki.training.card import DEFAULT_THRESHOLD, ModelCard

DEFAULT_OUTPUT = Path("predict.csv")


class PredictSettings(SamplingSettings, ModelSettings, PerItemSettings):
    """Score pictures with a trained model: those of the workspace, or given files into a CSV or JSON file."""

    model: str = Positional("", description="a model file, or the name or id of a model in the workspace")
    paths: tuple[str, ...] = Positional(
        (), description="photos, clips, folders, patterns, .txt lists, label tables; none: the workspace's pictures"
    )
    threshold: float | None = Input(None, ge=0, le=1, description="decide every class at this score")
    thresholds: str | None = Input(
        None,
        description="decide at these: a number, JSON as in '{\"fox\": 0.4}', or a file with either or with metrics",
    )
    output: Path | None = Field(None, description="with PATHS: .csv or .json to write (default: ./predict.csv)")
    overwrite: bool = Field(False, description="with PATHS: replace the output file if it is there")
    recursive: bool = Field(True, description="with PATHS: look into folders inside folders")
    root: Path | None = Field(None, description="with PATHS: folder that the paths in a label table start from")
    allow_outside: bool = Field(False, description="with PATHS: let a label table name files outside its root")
    clip_score: ClipScore = Field("max", description="with PATHS: what sums up the frames of a clip, class by class")

    @property
    def needs_workspace(self) -> bool:
        """Whether it works on a workspace; with files given it writes to none."""
        return not self.paths

    def resolved(self, workspace: Path) -> PredictSettings:
        """Return the settings with a model's file in the place of its name, and whether it is trusted."""
        located = locate_model_beside(workspace, self.model)
        changes = {"model": str(located.path), "allow_code": self.allow_code or located.is_trusted}
        return self.model_copy(update=changes)


ONE_SHOT = {"output", "overwrite", "recursive", "root", "allow_outside", "clip_score", *SamplingSettings.model_fields}
"""Settings that mean something with PATHS only."""


def predict(catalog: Catalog, settings: PredictSettings, engine: Engine) -> RunSummary:
    """Score the pictures of the workspace that have no scores of this model yet, or the files that are given."""
    if settings.threshold is not None and settings.thresholds is not None:
        raise UsageError("--threshold and --thresholds both say where to decide: give one of them")
    return (_predict_files if settings.paths else _predict_stored)(catalog, settings, engine)


def _predict_stored(catalog: Catalog, settings: PredictSettings, engine: Engine) -> RunSummary:
    """Store raw scores of every picture that has none; thresholds only decide what is counted."""
    for name in sorted(ONE_SHOT & settings.model_fields_set):
        raise UsageError(f"--{name.replace('_', '-')} goes with PATHS: scores of the workspace's pictures stay in it")
    require_items(catalog)
    located = locate_model(catalog, settings.model)
    opening = settings.to_opening(located.path, is_trusted=located.is_trusted)
    card = _decisive(load_card(opening), settings)
    work = StoredWork(opening, card)
    summary = engine.map(catalog, "predict", settings, work, StoredPictures(catalog, card, opening))
    if engine.dry_run:
        return summary
    tally = Tally()
    for _, raw in iter_scores(catalog, summary.run_id, card.class_names):
        tally.add(card.class_names, card.decide(card.finish(raw)))
    if work.n_joined:
        summary.notes.append(f"{work.n_joined} pictures were not read: the scores of all members are stored")
    if not summary.n_written and not summary.n_failed:
        summary.notes.append("nothing to do: these scores are stored; thresholds and calibration do not change them")
    summary.extra |= {**_facts(card, opening), "n_per_class": dict(tally.counts)}
    return summary


def _predict_files(catalog: Catalog, settings: PredictSettings, engine: Engine) -> RunSummary:
    """Score files into a passing catalog, then write what it holds in the order in which they were given."""
    files = GivenFiles(
        settings.paths, is_recursive=settings.recursive, rules=PathRules(settings.root, settings.allow_outside)
    )
    decided_by = plain_path(Path(settings.thresholds or "").expanduser())
    output = check_predictions_path(
        settings.output or DEFAULT_OUTPUT,
        overwrite=settings.overwrite,
        is_input=lambda path: path in files or path == decided_by,
    )
    opening = settings.to_opening(Path(settings.model), is_trusted=False)
    card = _decisive(load_card(opening), settings)
    work = FileWork(opening, card, settings.to_sampling())
    try:
        summary = engine.map(catalog, "predict", settings, work, files)
    except InterruptedRunError as error:
        raise InterruptedRunError("predict interrupted: nothing is written. The same command starts anew") from error
    if engine.dry_run:
        return summary
    facts = {**_facts(card, opening), "clip_score": settings.clip_score}
    tally = Tally()
    pages = iter_scores(catalog, summary.run_id, card.class_names)
    failed = failures_of(catalog, summary.run_id)
    said = decide_files(pages, files, card, settings.clip_score, failed)
    write_predictions_file(output, card.class_names, facts, tally.passing(said))
    summary.n_rows, summary.outputs = tally.n_rows, {"predictions": str(output)}
    summary.extra |= {**facts, "n_per_class": dict(tally.counts)}
    if len(files) == 1 and tally.last is not None:
        summary.extra["answer"] = tally.last.to_json()
        summary.notes.append(str(tally.last))
    if tally.n_clips:
        summary.notes.append(f"{tally.n_clips} clips are summed up by the {settings.clip_score} over their frames")
    if work.damages:
        n_lost = sum(one.n_lost_frames for one in work.damages)
        summary.notes.append(f"damaged clips: {len(work.damages)}; {n_lost} frames were lost and the others taken")
    if files.n_ignored:
        summary.notes.append(f"files of unknown type, ignored: {files.n_ignored}")
    return summary


def _decisive(card: ModelCard, settings: PredictSettings) -> ModelCard:
    """Return the card with the thresholds that were given in the place of its own; a flag wins over everything."""
    written = settings.thresholds if settings.threshold is None else str(settings.threshold)
    if written is None:
        return card
    given = read_thresholds(written, card.class_names)
    thresholds = merge_thresholds(given, card.thresholds, card.class_names, DEFAULT_THRESHOLD)
    return card.model_copy(update={"thresholds": thresholds})


def _facts(card: ModelCard, opening: Opening) -> dict[str, Any]:
    """Return what the summary, and a JSON file, say of the model."""
    decides_by_highest = card.thresholds is None and card.activation == "softmax" and card.kind == "network"
    limits = card.thresholds or (DEFAULT_THRESHOLD,) * len(card.class_names)
    return {
        "model": card.name,
        "model_id": id_of_file(opening.path),
        "class_names": list(card.class_names),
        "thresholds": None if decides_by_highest else dict(zip(card.class_names, limits, strict=True)),
        "runtime": opening.runtime,
        "precision": opening.precision,
        "device": opening.device,
    }
