"""Stage ``predict``: scores of a trained model. Reads pictures or vectors; writes ``predictions``, or a file."""

from __future__ import annotations

from pathlib import Path

from mekiki.catalog.db import Catalog
from mekiki.catalog.items import require_items
from mekiki.catalog.model_files import locate_model, locate_model_beside
from mekiki.catalog.runs import failures_of, make_latest
from mekiki.catalog.score_pages import iter_scores
from mekiki.dataset.formats.npy import is_vector_name, split_row
from mekiki.dataset.formats.predictions_out import Keys
from mekiki.dataset.formats.reading import PathRules
from mekiki.dataset.formats.thresholds_in import merge_thresholds, read_thresholds
from mekiki.engine.answer_files import Layout, WantedFile, add_answers, answer_file, model_facts
from mekiki.engine.head_files import FileScores
from mekiki.engine.head_scoring import stored_job
from mekiki.engine.run import Engine
from mekiki.engine.scoring import FileWork
from mekiki.errors import InterruptedRunError, UsageError
from mekiki.intake.given_vectors import GivenVectors, find_vectors
from mekiki.intake.inputs import GivenFiles
from mekiki.media.finding import LIST_SUFFIXES, TABLE_SUFFIXES
from mekiki.media.sampling_settings import SamplingSettings
from mekiki.models.classify_head import has_heads
from mekiki.models.decided import ClipScore, Tally, decide_files
from mekiki.models.head_use import ON_PICTURES, HeadUseSettings
from mekiki.models.model_settings import ModelSettings
from mekiki.models.opening import Opening, load_card
from mekiki.records import VIDEO_SUFFIXES, RunSummary
from mekiki.settings import Field, Input, PerItemSettings, Positional
from mekiki.training.card import DEFAULT_THRESHOLD, ModelCard

DEFAULT_OUTPUT = Path("predict.csv")
OUTPUT_HELP = "with PATHS: .csv or .json to write (default: one picture or vector is shown, else ./predict.csv)"


class PredictSettings(SamplingSettings, HeadUseSettings, ModelSettings, PerItemSettings):
    """Score pictures or vectors with a trained model: the workspace's, or given ones into a CSV or JSON file."""

    model: str = Positional("", description="a model file, or the name or id of a model in the workspace")
    paths: tuple[str, ...] = Positional(
        (),
        description="photos, clips, folders, patterns, .txt lists, label tables; for a head also .npy vectors and "
        "folders of them; none: the workspace's",
    )
    threshold: float | None = Input(None, ge=0, le=1, description="decide every class at this score")
    thresholds: str | None = Input(
        None,
        description="decide at these: a number, JSON as in '{\"fox\": 0.4}', or a file with either or with metrics",
    )
    output: Path | None = Field(None, description=OUTPUT_HELP)
    overwrite: bool = Field(False, description="with PATHS: replace the output file if it is there")
    recursive: bool = Field(True, description="with PATHS: look into folders inside folders")
    root: Path | None = Field(None, description="with PATHS: folder that the paths in a label table start from")
    allow_outside: bool = Field(False, description="with PATHS: let a label table name files outside its root")
    layout: Layout = Field(
        "mekiki", description="with PATHS and a .json to write: seed5 has that system's keys, nsfw and sfw"
    )
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


OF_FILES = {"root", "allow_outside", "clip_score", *SamplingSettings.model_fields}
"""Settings that mean something where pictures and clips are given only."""

ONE_SHOT = {"output", "overwrite", "recursive", "layout", *ON_PICTURES, *OF_FILES}
"""Settings that mean something with PATHS only."""

_OF_MANY = {*TABLE_SUFFIXES, *LIST_SUFFIXES, *VIDEO_SUFFIXES}


def predict(catalog: Catalog, settings: PredictSettings, engine: Engine) -> RunSummary:
    """Score the pictures of the workspace that have no scores of this model yet, or the files that are given."""
    if settings.threshold is not None and settings.thresholds is not None:
        raise UsageError("--threshold and --thresholds both say where to decide: give one of them")
    return (_predict_given if settings.paths else _predict_stored)(catalog, settings, engine)


def _predict_stored(catalog: Catalog, settings: PredictSettings, engine: Engine) -> RunSummary:
    """Store raw scores of everything that has none; thresholds only decide what is counted."""
    for name in sorted(ONE_SHOT & settings.model_fields_set):
        raise UsageError(f"--{name.replace('_', '-')} goes with PATHS: scores of the workspace's pictures stay in it")
    require_items(catalog)
    located = locate_model(catalog, settings.model)
    opening = _opening(settings, located.path, is_trusted=located.is_trusted)
    card = _decisive(load_card(opening), settings)
    job = stored_job(catalog, card, opening, settings.vectors)
    summary = engine.map(catalog, "predict", job.sized(settings), job.work, job.items, reads=job.reads)
    if engine.dry_run:
        return summary
    make_latest(catalog, summary.run_id)
    tally = Tally()
    for _, raw in iter_scores(catalog, summary.run_id, card.class_names):
        tally.add(card.class_names, card.decide(card.finish(raw)))
    summary.notes += job.notes()
    if not summary.n_written and not summary.n_failed:
        summary.notes.append("nothing to do: these scores are stored; thresholds and calibration do not change them")
    summary.extra |= {**model_facts(card, opening), **job.reads, "n_per_class": dict(tally.counts)}
    return summary


def _predict_given(catalog: Catalog, settings: PredictSettings, engine: Engine) -> RunSummary:
    """Score what is given, pictures or vectors, into a file."""
    settings.refuse(("vectors",), "names vectors of the workspace, and PATHS are given")
    opening = _opening(settings, Path(settings.model), is_trusted=False)
    card = _decisive(load_card(opening), settings)
    if has_heads(card) or any(is_vector_name(split_row(path)[0].name) for path in settings.paths):
        vectors = find_vectors(settings.paths, is_recursive=settings.recursive)
        if vectors is not None:
            return _predict_vectors(settings, engine, opening, card, vectors)
    if not has_heads(card):
        settings.refuse(ON_PICTURES, f"goes with a head, and model {card.name!r} looks at pixels")
    return _predict_files(catalog, settings, engine, opening, card)


def _predict_vectors(
    settings: PredictSettings, engine: Engine, opening: Opening, card: ModelCard, vectors: GivenVectors
) -> RunSummary:
    """Score vectors block by block into a file."""
    for name in sorted(OF_FILES & settings.model_fields_set):
        raise UsageError(f"--{name.replace('_', '-')} does nothing with vectors: leave it out")
    settings.refuse(ON_PICTURES, "goes with pictures, and vectors are given")
    is_single = vectors.n_vectors() == 1
    file = answer_file(_output(settings, is_single=is_single), card, is_input=lambda path: path in vectors)
    scores = FileScores(opening, card, vectors, settings, engine)
    if engine.dry_run:
        return scores.planned()
    facts, tally = model_facts(card, opening), Tally()
    keys: Keys = "row" if vectors.is_one_file else "vector_path"
    file.write(card, facts, tally.passing(scores.predictions()), keys, is_single=is_single)
    summary = scores.summary
    add_answers(summary, file, tally, card, facts, is_single=is_single)
    if vectors.n_ignored:
        summary.notes.append(f"files of unknown type, ignored: {vectors.n_ignored}")
    return summary


def _predict_files(
    catalog: Catalog, settings: PredictSettings, engine: Engine, opening: Opening, card: ModelCard
) -> RunSummary:
    """Score pictures and clips into a passing catalog, then write what it holds in the order of what was given."""
    files = GivenFiles(
        settings.paths, is_recursive=settings.recursive, rules=PathRules(settings.root, settings.allow_outside)
    )
    is_single = len(files) == 1
    file = answer_file(_output(settings, is_single=is_single), card, is_input=lambda path: path in files)
    work = FileWork(opening, card, settings.to_sampling())
    try:
        summary = engine.map(catalog, "predict", settings, work, files)
    except InterruptedRunError as error:
        raise InterruptedRunError("predict interrupted: nothing is written. The same command starts anew") from error
    if engine.dry_run:
        return summary
    facts, tally = {**model_facts(card, opening), "clip_score": settings.clip_score}, Tally()
    pages = iter_scores(catalog, summary.run_id, card.class_names)
    said = decide_files(pages, files, card, settings.clip_score, failures_of(catalog, summary.run_id))
    file.write(card, facts, tally.passing(said), "image_path", is_single=is_single)
    add_answers(summary, file, tally, card, facts, is_single=is_single)
    if tally.n_clips:
        summary.notes.append(f"{tally.n_clips} clips are summed up by the {settings.clip_score} over their frames")
    if work.damages:
        n_lost = sum(one.n_lost_frames for one in work.damages)
        summary.notes.append(f"damaged clips: {len(work.damages)}; {n_lost} frames were lost and the others taken")
    if files.n_ignored:
        summary.notes.append(f"files of unknown type, ignored: {files.n_ignored}")
    return summary


def _opening(settings: PredictSettings, path: Path, *, is_trusted: bool) -> Opening:
    return settings.for_head(settings.to_opening(path, is_trusted=is_trusted), settings.runtime)


def _output(settings: PredictSettings, *, is_single: bool) -> WantedFile:
    """Return the file to write: none for one picture or vector that was given as a file, unless a file is asked for."""
    given = split_row(Path(settings.paths[0]).expanduser())[0]
    is_shown = is_single and given.is_file() and given.suffix.lower() not in _OF_MANY
    written = settings.output or (None if is_shown else DEFAULT_OUTPUT)
    return WantedFile(written, settings.layout, settings.overwrite, settings.thresholds)


def _decisive(card: ModelCard, settings: PredictSettings) -> ModelCard:
    """Return the card with the thresholds that were given in the place of its own; a flag wins over everything."""
    written = settings.thresholds if settings.threshold is None else str(settings.threshold)
    if written is None:
        return card
    given = read_thresholds(written, card.class_names)
    thresholds = merge_thresholds(given, card.thresholds, card.class_names, DEFAULT_THRESHOLD)
    return card.model_copy(update={"thresholds": thresholds})
