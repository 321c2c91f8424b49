"""Stage ``evaluate``: models or rankings measured, with intervals; writes files.

Reads ``predictions``, ``labels``, ``splits``; for rankings ``rarity``, ``boxes``, ``vectors``. What is measured, chosen
and compared is in `mekiki.training.judging`, for rankings in `mekiki.engine.rarity_judging`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from mekiki.catalog.db import Catalog
from mekiki.catalog.decided import KnownModel, ScoreTable, hash_scores, read_parts
from mekiki.catalog.exposure import Exposure, check_unseen, refuse_gating
from mekiki.catalog.judged import Contest, describe_mistakes, find_contest
from mekiki.catalog.results import read_split
from mekiki.catalog.runs import make_latest
from mekiki.catalog.scored import Examples
from mekiki.engine.rarity_judging import judge_rarity
from mekiki.engine.rarity_settings import RarityQuestion
from mekiki.engine.run import Engine, Outcome
from mekiki.errors import DataError, UsageError, unknown_name
from mekiki.metrics.intervals import Resampling
from mekiki.records import RunSummary
from mekiki.settings import Field, Positional, Settings
from mekiki.training.deciding import decided, sum_up, untuned
from mekiki.training.judging import (
    Candidate,
    MetricName,
    Question,
    judge,
    refuse_gates,
    worst_mistakes,
)
from mekiki.training.origins import TEST_PART
from mekiki.training.telling import tell_verdict


class ModelQuestion(Settings):
    """Measure models on a part of a split that they were not trained on, with intervals, and compare them."""

    models: tuple[str, ...] = Positional(
        (), description="models by name, beginning of id or file (default: all with scores of the part)"
    )
    part: str = Field(TEST_PART, description="part of the split to measure on")
    against: str | None = Field(None, description="model to compare all with (default: the best single one)")
    choose_on: str = Field("val", description="part on which the best models are chosen, never test")
    metric: MetricName = Field("micro_f1", description="by which models are chosen and compared")
    split: str | None = Field(None, description="whose parts (default: the split that the models were trained on)")


class EvaluateSettings(RarityQuestion, ModelQuestion):
    """Measure models on a part of a split, or rankings of rare things, with intervals, and compare them."""


def evaluate(catalog: Catalog, settings: EvaluateSettings, engine: Engine) -> RunSummary:
    """Measure, choose and compare models, or measure rankings, unless the same was done before."""
    if settings.rarity:
        summary = judge_rarity(catalog, settings, engine)
        if not engine.dry_run:
            make_latest(catalog, summary.run_id)
        return summary
    if settings.choose_on == TEST_PART:
        raise UsageError("models are chosen on validation, never on test: leave out --choose-on")
    contest = find_contest(catalog, settings.models, settings.split, settings.against)
    split_run_id = contest.split_run_id
    parts = _parts(catalog, split_run_id, settings, len(contest.models))
    examples = read_parts(catalog, split_run_id, contest.models, parts)
    table = ScoreTable(catalog, examples)
    exposures, liars = _exposures(catalog, contest, contest.with_scores(table, catalog.workspace), examples, parts)
    models = [model for model in contest.models if (parts[0], model.name) in exposures]
    raw = {model.name: table.raw(model) for model in models}
    measured_on = examples.of_part(settings.part)

    def compute(_run_id: str) -> Outcome:
        candidates = [_candidate(model, raw[model.name], examples, parts) for model in models]
        choose_on = settings.choose_on if settings.choose_on in parts else None
        resampling = Resampling(settings.resamples, settings.seed)
        question = Question(split_run_id, settings.part, choose_on, settings.metric, contest.against, resampling)
        verdict = judge(candidates, question)
        best = next(one for one in candidates if one.name == verdict.best_overall)
        mistakes = describe_mistakes(catalog, worst_mistakes(best, settings.part), measured_on)
        files = {
            "metrics.json": verdict.content,
            "mistakes.json": {"model": best.name, "part": settings.part, "mistakes": mistakes},
        }
        extra = {
            "part": settings.part,
            "metrics": {name: sum_up(by_part[settings.part]) for name, by_part in verdict.measured.items()},
            "per_million": {one["name"]: one["per_million"][settings.part] for one in verdict.content["models"]},
            "best_single": verdict.content["best_single"],
            "best_overall": best.name,
        }
        if settings.gate:
            figures = verdict.measured[best.name][settings.part]
            reasons = [
                *refuse_gating(catalog, best.card, measured_on, settings.part, exposures[settings.part, best.name]),
                *refuse_gates(settings.gate, figures),
            ]
            extra |= {"gates": dict(settings.gate)}
            extra |= {"refusal": f"{best.name!r} does not pass: {'; '.join(reasons)}"} if reasons else {}
        return Outcome(
            n_selected=len(measured_on),
            files={name: json.dumps(content, ensure_ascii=False) for name, content in files.items()},
            extra=extra,
            notes=[
                *tell_verdict(verdict.content, settings.part),
                *_unique(one.note for one in exposures.values()),
                *liars,
            ],
        )

    reads = {
        "models": " ".join(f"{model.model_id} {model.name}" for model in models),
        "split": split_run_id,
        "labels": examples.fingerprint(),
        "scores": " ".join(hash_scores(raw[model.name]) for model in models),
    }
    summary = engine.once(catalog, "evaluate", settings, reads, compute)
    if not engine.dry_run:
        make_latest(catalog, summary.run_id)
    return summary


def _exposures(
    catalog: Catalog, contest: Contest, models: Sequence[KnownModel], examples: Examples, parts: Sequence[str]
) -> tuple[dict[tuple[str, str], Exposure], list[str]]:
    """Return the exposure of each model to each part, and why models were left out that nobody named.

    Raises:
        DataError: If figures would lie of a model that was named, or of all.
    """
    exposures: dict[tuple[str, str], Exposure] = {}
    left_out: list[DataError] = []
    for one in models:
        try:
            found = {(part, one.name): check_unseen(catalog, one, examples.of_part(part), part) for part in parts}
        except DataError as error:
            if contest.is_named or one.name == contest.against:
                raise
            left_out.append(error)
        else:
            exposures |= found
    if not exposures:
        raise left_out[-1]
    return exposures, [f"left out: {error}" for error in left_out]


def _parts(catalog: Catalog, split_run_id: str, settings: EvaluateSettings, n_models: int) -> list[str]:
    """Return the part to measure on, then the one to choose on; a single model needs no choice.

    Raises:
        UsageError: If the split has no part to choose on, and there is a choice.
    """
    known = {row.part for row in read_split(catalog, split_run_id).values()}
    if settings.choose_on not in known:
        if n_models > 1 or "choose_on" in settings.model_fields_set:
            raise unknown_name("part (--choose-on)", settings.choose_on, known - {TEST_PART})
        return [settings.part]
    return list(dict.fromkeys((settings.part, settings.choose_on)))


def _candidate(model: KnownModel, raw: NDArray[np.float32], examples: Examples, parts: Sequence[str]) -> Candidate:
    of_part = np.asarray(examples.parts)
    scored, before = {}, {}
    for part in parts:
        rows = of_part == part
        known = (model.card, raw[rows], examples.truth[rows], examples.atoms[rows])
        scored[part], before[part] = decided(*known), untuned(*known)
    return Candidate(model.name, model.model_id, model.card, scored, before)


def _unique(notes: Iterable[str | None]) -> list[str]:
    return list(dict.fromkeys(note for note in notes if note))
