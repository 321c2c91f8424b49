"""The sections about models: which ones a workspace has something to say for, and in what order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mekiki.catalog.db import Catalog
from mekiki.dataset.formats.base import OutItem
from mekiki.reports.blocks import Fact, Paragraph, Section
from mekiki.reports.gathering_models import (
    read_annotations,
    read_ensembles,
    read_evaluation,
    read_mistakes,
    read_trained,
    read_tuned,
)
from mekiki.reports.measures import estimate_of
from mekiki.reports.pictures import Look
from mekiki.reports.sections.annotation import annotation_section
from mekiki.reports.sections.classes import classes_section
from mekiki.reports.sections.evaluation import evaluation_section, find_evaluated, ordered_parts
from mekiki.reports.sections.mistakes import mistakes_section
from mekiki.reports.sections.scores import PR_AUC, scores_section
from mekiki.reports.sections.thresholds import thresholds_section
from mekiki.reports.sections.training import training_section

HEADLINES = {"micro F1": "micro_f1", PR_AUC: "macro_pr_auc"}
"""What stands at a page's head, and under which name in metrics files."""

DOUBT = "; † too few independent groups to rely on"


@dataclass(frozen=True, slots=True)
class ModelPages:
    """What a page says of models: its sections, and the main figure for its head, if there is one."""

    sections: tuple[Section, ...]
    facts: tuple[Fact, ...] = ()


def annotation_sections(catalog: Catalog) -> list[Section]:
    """Return the section about annotators, if there was any."""
    annotations, agreement = read_annotations(catalog)
    if not annotations and agreement is None:
        return []
    problem = agreement.problem if agreement else ""
    return [annotation_section(annotations, None if agreement is None or problem else agreement.content, problem)]


def model_pages(catalog: Catalog, items: Sequence[OutItem], look: Look = "shown") -> ModelPages:
    """Return what there is to say of models: training, comparison, thresholds, classes, scores, mistakes.

    A stage that was never run has no section. ``items`` are the pictures of the workspace, for those that a model got
    wrong; ``look`` says how these are shown.
    """
    sections: list[Section] = []
    if trained := read_trained(catalog):
        sections.append(training_section(trained))
    file = read_evaluation(catalog)
    evaluation = file.content if file else {}
    tuned = read_tuned(catalog, evaluation)
    if file is not None and file.problem:
        sections.append(Section("models", "Models compared", (Paragraph(file.problem),)))
    elif file is not None:
        parents = {one.name: str(one.tuning.get("parent", "")) for one in tuned}
        ensembles = read_ensembles(catalog)
        known = [one.content for one in ensembles if not one.problem]
        problems = [one.problem for one in ensembles if one.problem]
        sections.append(evaluation_section(evaluation, known, parents, problems))
    if tuned:
        sections.append(thresholds_section(tuned))
    best = find_evaluated(evaluation, str(evaluation.get("best_overall")))
    part = next(iter(ordered_parts(evaluation)), "")
    measured: Mapping[str, Any] = ((best or {}).get("parts") or {}).get(part) or {}
    if best is not None and measured:
        thresholds = {} if best.get("decides_by") == "highest score" else best.get("thresholds") or {}
        sections.append(classes_section(measured, thresholds, best["name"], part))
        if scores := scores_section(evaluation, best, part):
            sections.append(scores)
    sections += _mistakes(catalog, items, look)
    return ModelPages(tuple(sections), _facts(best, measured, part))


def _mistakes(catalog: Catalog, items: Sequence[OutItem], look: Look) -> list[Section]:
    file, mistakes = read_mistakes(catalog, items, look)
    if file is None:
        return []
    if file.problem:
        return [Section("mistakes", "Worst mistakes", (Paragraph(file.problem),))]
    return [mistakes_section(mistakes, str(file.content.get("model", "")), str(file.content.get("part", "")))]


def _facts(best: Mapping[str, Any] | None, measured: Mapping[str, Any], part: str) -> tuple[Fact, ...]:
    if best is None or part != "test":
        return ()
    found = {name: estimate_of(measured, key) for name, key in HEADLINES.items()}
    return tuple(
        Fact(f"{name} on test", one, f"{best['name']}{'' if one.is_reliable else DOUBT}", "share")
        for name, one in found.items()
        if one is not None
    )
