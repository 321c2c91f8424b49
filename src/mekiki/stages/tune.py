"""Stage ``tune``: thresholds at which a model decides. Reads ``predictions`` and ``labels``; writes ``models``.

The search itself is `mekiki.metrics.thresholds`; calibration and cross-fitting are `mekiki.training.deciding`.
"""

from __future__ import annotations

import json
from typing import Literal

from pydantic import field_validator

from mekiki.catalog.db import Catalog
from mekiki.catalog.decided import (
    ScoreTable,
    hash_scores,
    make_current,
    read_model,
    read_parts,
    split_for,
)
from mekiki.catalog.exposure import require_unseen
from mekiki.catalog.models import ModelRow, write_models
from mekiki.engine.run import Engine, Outcome
from mekiki.errors import DataError, UsageError, unknown_name
from mekiki.metrics.intervals import Resampling
from mekiki.metrics.thresholds import TuneOptions
from mekiki.records import RunSummary
from mekiki.settings import Field, Positional, Settings
from mekiki.training.card import ModelName
from mekiki.training.deciding import DecisionPlan, tune_card
from mekiki.training.derived import save_derived
from mekiki.training.origins import TEST_PART
from mekiki.training.telling import tell_tuning

WITH_LEVEL = ("precision-at-recall", "recall-at-precision")


class TuneSettings(Settings):
    """Find the thresholds at which a model decides, on a part that it was not trained on."""

    model: str = Positional("", description="a model's name, the beginning of its id, or its file")
    objective: Literal["macro-f1", "micro-f1", "precision-at-recall", "recall-at-precision", "cost"] = Field(
        "macro-f1", description="what thresholds are to reach"
    )
    at_least: float | None = Field(
        None, gt=0, lt=1, description="recall, or precision, to promise; where it cannot be, that is said"
    )
    false_alarm_cost: float = Field(1.0, gt=0, description="with cost: what one false alarm costs")
    miss_cost: float = Field(1.0, gt=0, description="with cost: what one miss costs")
    joint: bool = Field(False, description="one threshold for all classes")
    prevalence: dict[str, float] = Field(
        {}, description="class and the share of pictures with it where the model will be used"
    )
    part: tuple[str, ...] = Field(("val",), min_length=1, description="part of the split to tune on, never test")
    cross_fit: int = Field(5, ge=2, description="folds of atoms over which gains are cross-fitted")
    calibrate: Literal["none", "temperature", "isotonic"] = Field(
        "none", description="make scores probabilities first; takes the place of the model's own calibration"
    )
    split: str | None = Field(None, description="whose parts (default: the split that the model was trained on)")
    name: ModelName | None = Field(None, description="of the new model (default: MODEL-tuned)")
    resamples: int = Field(2000, ge=100, description="draws of atoms for intervals")
    seed: int = Field(0, ge=0, description="of folds and draws")

    @field_validator("prevalence")
    @classmethod
    def _check_prevalence(cls, prevalence: dict[str, float]) -> dict[str, float]:
        for name, share in prevalence.items():
            if not 0 < share < 1:
                raise ValueError(f"the prevalence of {name!r} must lie between 0 and 1")
        return prevalence


def tune(catalog: Catalog, settings: TuneSettings, engine: Engine) -> RunSummary:
    """Write a model that decides by tuned thresholds, unless the same was tuned before."""
    model = read_model(catalog, settings.model)
    split_run_id = split_for(catalog, [model], settings.split)
    plan = _plan(settings, model.card.class_names, split_run_id)
    examples = read_parts(catalog, split_run_id, [model], settings.part)
    notes = [
        require_unseen(catalog, model, examples.of_part(part), part, "thresholds are not tuned")
        for part in settings.part
    ]
    n_atoms = len(set(examples.atoms.tolist()))
    if n_atoms < settings.cross_fit:
        raise DataError(
            f"{len(examples)} labelled pictures of part {', '.join(settings.part)} are in {n_atoms} groups that belong "
            f"together, too few to cross-fit over {settings.cross_fit} folds: label more"
            + f", or give --cross-fit {n_atoms}"
            * (n_atoms >= 2)
        )
    raw = ScoreTable(catalog, examples).raw(model)
    name = settings.name or f"{model.name}-tuned"

    def compute(run_id: str) -> Outcome:
        resampling = Resampling(settings.resamples, settings.seed)
        card, content = tune_card(model.card, raw, examples.truth, examples.atoms, plan, resampling)
        card = card.model_copy(update={"name": name, "parents": (model.model_id,)})
        saved = save_derived(catalog.workspace / "models", model.path, card)
        content = {"model": name, "parent": model.name, "part": ", ".join(settings.part), **content}
        row = ModelRow(saved.model_id, run_id, name, saved.path, saved.card.parents)
        shown = ("objective", "thresholds", "per_million", "gain_cross_fitted")
        return Outcome(
            n_selected=len(examples),
            write=lambda transaction: write_models(transaction, [row]),
            files={"tuning.json": json.dumps(content, ensure_ascii=False)},
            outputs={"model": catalog.relative(saved.path)},
            extra={"model_id": saved.model_id, "model": name, **{key: content[key] for key in shown}},
            notes=[*dict.fromkeys(note for note in notes if note), *tell_tuning(content)],
        )

    reads = {
        "model": f"{model.model_id} {model.name}",
        "split": split_run_id,
        "labels": examples.fingerprint(),
        "scores": hash_scores(raw),
    }
    summary = engine.once(catalog, "tune", settings, reads, compute)
    if not engine.dry_run:
        make_current(catalog, summary)
    return summary


def _plan(settings: TuneSettings, class_names: tuple[str, ...], split_run_id: str) -> DecisionPlan:
    """Return what is to be found, after refusing what would do nothing or lie.

    Raises:
        DataError: If it is to be tuned on the test part.
        UsageError: If a setting does not go with the objective, or a class is unknown.
    """
    if TEST_PART in settings.part:
        raise DataError(
            "thresholds are not tuned on part 'test', since figures measured there would lie: leave out --part, which "
            "tunes on 'val', then measure with mekiki evaluate"
        )
    given, objective = settings.model_fields_set, settings.objective
    if objective in WITH_LEVEL and settings.at_least is None:
        raise UsageError(f"--objective {objective} needs a level to keep to, such as --at-least 0.9")
    if objective not in WITH_LEVEL and settings.at_least is not None:
        raise UsageError(f"--at-least goes with --objective {' or '.join(WITH_LEVEL)}, not with {objective}")
    if objective != "cost" and given & {"false_alarm_cost", "miss_cost"}:
        raise UsageError(f"--false-alarm-cost and --miss-cost go with --objective cost, not with {objective}")
    for name in settings.prevalence:
        if name not in class_names:
            raise unknown_name("class", name, class_names)
    options = TuneOptions(
        objective=objective,
        per_class=not settings.joint,
        at_least=settings.at_least,
        costs=(settings.false_alarm_cost, settings.miss_cost),
        prevalence={class_names.index(name): share for name, share in settings.prevalence.items()} or None,
        seed=settings.seed,
    )
    source = {"split": split_run_id, "parts": list(settings.part)}
    return DecisionPlan(options, settings.calibrate, settings.cross_fit, settings.seed, source)
