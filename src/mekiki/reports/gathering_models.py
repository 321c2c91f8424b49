"""What the runs that make and judge models left in ``runs/``, as the sections of a page want it.

A file that is missing or broken is no reason for a page not to be written: the page says so in its place.
"""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mekiki.catalog.annotating import count_labels
from mekiki.catalog.db import Catalog
from mekiki.catalog.evaluations import evaluations_of_models
from mekiki.catalog.runs import Run, failures_of, runs_of
from mekiki.dataset.formats.base import OutItem
from mekiki.reports.figures_search import Search, Trial
from mekiki.reports.gathering import caption_of, shorten, show
from mekiki.reports.pictures import Look, Picture
from mekiki.reports.sections.annotation import Annotation
from mekiki.reports.sections.evaluation import find_evaluated
from mekiki.reports.sections.mistakes import Mistake
from mekiki.reports.sections.thresholds import TunedModel
from mekiki.reports.sections.training import TrainedModel

TOTALS = {
    "host": "server",
    "n_pictures": "pictures labelled",
    "n_unknown": "of these, none of the classes",
    "n_calls": "calls",
    "n_lost_calls": "calls without a known answer",
    "n_from_earlier_runs": "answers from earlier runs, not paid again",
    "input_tokens": "tokens in",
    "output_tokens": "tokens out",
    "cost_usd": "cost in dollars",
    "n_entries": "entries in label files",
    "n_without_item": "entries about files that are not here",
    "n_conflicts": "pictures on which entries disagree",
}
"""Figures of ``annotation.json`` and of summaries, in the order shown, as a page calls them."""

SEARCH_NAME = "search.json"


@dataclass(frozen=True, slots=True)
class RunFile:
    """A JSON file of a run: its content, or what is wrong with it."""

    name: str
    content: Mapping[str, Any]
    problem: str = ""


def read_trained(catalog: Catalog) -> list[TrainedModel]:
    """Return every model that was trained, of each name the latest, in the order in which names first came up."""
    found = []
    for name, run in _latest_by_name(catalog, "train").items():
        text, problem = _read_text(catalog, run, "history.csv")
        epochs = list(_epochs(text))
        if not problem and not epochs:
            problem = f"{_place(run, 'history.csv')} holds no epoch."
        best = run.summary.get("best_epoch")
        arch = str(run.summary.get("arch") or run.settings.get("arch") or "")
        search, search_problem = _read_search(catalog, run)
        problems = " ".join(filter(None, (problem, search_problem)))
        found.append(TrainedModel(name, arch, best, tuple(epochs), run.settings, problems, search))
    return found


def read_evaluation(catalog: Catalog) -> RunFile | None:
    """Return what the latest evaluation measured, or None where there was none."""
    run = next(iter(evaluations_of_models(catalog)), None)
    return None if run is None else read_run_file(catalog, run, "metrics.json")


def read_tuned(catalog: Catalog, evaluation: Mapping[str, Any]) -> list[TunedModel]:
    """Return every tuned model, of each name the latest, with what the evaluation says of it."""
    found = []
    for name, run in _latest_by_name(catalog, "tune").items():
        file = read_run_file(catalog, run, "tuning.json")
        found.append(TunedModel(name, file.content, find_evaluated(evaluation, name), file.problem))
    return found


def read_ensembles(catalog: Catalog) -> list[RunFile]:
    """Return every ensemble, of each name the latest."""
    runs = _latest_by_name(catalog, "ensemble").values()
    return [read_run_file(catalog, run, "ensemble.json") for run in runs]


def read_mistakes(
    catalog: Catalog, items: Sequence[OutItem], look: Look = "shown"
) -> tuple[RunFile | None, list[Mistake]]:
    """Return the file with the worst mistakes of the latest evaluation, and each of them with its picture.

    A picture that cannot be read any more stays as its name.
    """
    run = next(iter(evaluations_of_models(catalog)), None)
    if run is None:
        return None, []
    file = read_run_file(catalog, run, "mistakes.json")
    by_id = {item.item_id: item for item in items}
    found = []
    for one in file.content.get("mistakes") or ():
        item = by_id.get(one.get("item_id", ""))
        shown = None if item is None or not item.states else tuple(item.present)
        picture = _picture(catalog, one, item, look)
        found.append(Mistake(picture, one["class_name"], one["kind"], one["score"], one["threshold"], shown))
    return file, found


def read_annotations(catalog: Catalog) -> tuple[list[Annotation], RunFile | None]:
    """Return what each annotator did, of each the latest run, and the latest comparison of annotators."""
    found: dict[str, Annotation] = {}
    agreement = None
    for run in _finished(catalog, "annotate"):
        if run.settings.get("agreement"):
            agreement = read_run_file(catalog, run, "agreement.json")
            continue
        one = _annotation(catalog, run)
        found[one.annotator] = one
    return list(found.values()), agreement


def read_run_file(catalog: Catalog, run: Run, name: str) -> RunFile:
    """Return a JSON file of a run, or what is wrong with it; a file that holds no object is broken."""
    text, problem = _read_text(catalog, run, name)
    if problem:
        return RunFile(name, {}, problem)
    try:
        content = json.loads(text)
    except ValueError:
        content = None
    if not isinstance(content, dict):
        return RunFile(name, {}, f"{_place(run, name)} cannot be understood. Forget the run and run it again.")
    return RunFile(name, content)


def _read_search(catalog: Catalog, run: Run) -> tuple[Search | None, str]:
    """Return the search that a training began with, and what is wrong with its file; neither where there was none."""
    if not run.settings.get("search"):
        return None, ""
    file = read_run_file(catalog, run, SEARCH_NAME)
    if file.problem:
        return None, file.problem
    try:
        trials = tuple(
            Trial(int(one["number"]), str(one["state"]), one["value"], one["parameters"], _number(one.get("seconds")))
            for one in file.content["trials"]
        )
        return Search(str(file.content["objective"]), file.content["direction"] == "maximize", trials), ""
    except (KeyError, TypeError, ValueError) as error:
        return None, f"{_place(run, SEARCH_NAME)} cannot be understood: {error}."


def _read_text(catalog: Catalog, run: Run, name: str) -> tuple[str, str]:
    path = catalog.workspace / "runs" / run.run_id / name
    try:
        return path.read_text(encoding="utf-8-sig"), ""
    except FileNotFoundError:
        return "", f"{_place(run, name)} is missing, so nothing can be shown of it."
    except (OSError, UnicodeDecodeError) as error:
        return "", f"{_place(run, name)} cannot be read: {error}."


def _place(run: Run, name: str) -> str:
    return f"runs/{run.run_id}/{name} of stage {run.stage}"


def _finished(catalog: Catalog, stage: str) -> list[Run]:
    """Return a stage's finished runs, the one that was finished last at the end."""
    finished = (run for run in runs_of(catalog, stage) if run.finished_at)
    return sorted(finished, key=lambda run: run.finished_at or "")


def _latest_by_name(catalog: Catalog, stage: str) -> dict[str, Run]:
    return {str(run.summary.get("model") or run.run_id): run for run in _finished(catalog, stage)}


def _epochs(text: str) -> Iterator[Mapping[str, float]]:
    for row in csv.DictReader(io.StringIO(text)):
        numbers = {name: _number(value) for name, value in row.items() if name}
        if math.isfinite(numbers.get("epoch", math.nan)):
            yield numbers


def _number(text: Any) -> float:
    try:
        return float(text)
    except (TypeError, ValueError):
        return math.nan


def _picture(catalog: Catalog, mistake: Mapping[str, Any], item: OutItem | None, look: Look) -> Picture:
    if item is not None:
        return show(item.path, caption_of(item), look)
    stored, clip, time_s = mistake.get("path"), mistake.get("parent_path"), mistake.get("time_s")
    caption = shorten(Path(clip or stored or mistake.get("item_id", ""))) + (
        "" if time_s is None else f" at {time_s:.2f} s"
    )
    return Picture(None, caption) if stored is None else show(catalog.locate(stored), caption, look)


def _annotation(catalog: Catalog, run: Run) -> Annotation:
    """Return what one run did: a model's is in ``annotation.json``, a person's or a file's in the run's summary."""
    name = str(run.settings.get("annotator", ""))
    content: Mapping[str, Any] = {**run.summary, **count_labels(catalog, run.run_id)}
    if name.partition(":")[0] not in ("import", "human"):
        file = read_run_file(catalog, run, "annotation.json")
        if file.problem:
            return Annotation(name, problem=file.problem)
        name, content = str(file.content.get("annotator") or name), file.content
    totals = {label: content[key] for key, label in TOTALS.items() if content.get(key) is not None}
    if "cost_usd" in content and content["cost_usd"] is None:
        totals[TOTALS["cost_usd"]] = "unknown: nobody gave a price"
    n_failed = len(failures_of(catalog, run.run_id))
    return Annotation(name, totals, content.get("classes") or {}, content.get("labels_left_out") or {}, n_failed)
