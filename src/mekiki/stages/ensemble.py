"""Stage ``ensemble``: several models in one. Reads ``models``, ``predictions``, ``labels``; writes ``models``.

Weights are searched in `mekiki.metrics.ensembles`; how models are joined in one file is `mekiki.training.derived`.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from mekiki.catalog.db import Catalog
from mekiki.catalog.decided import (
    KnownModel,
    ScoreTable,
    check_unseen,
    hash_scores,
    make_current,
    read_models,
    read_parts,
    split_for,
)
from mekiki.catalog.items import require_items
from mekiki.catalog.models import ModelRow, write_models
from mekiki.catalog.scored import Examples
from mekiki.engine.run import Engine, Outcome
from mekiki.errors import DataError, UsageError
from mekiki.metrics.classification import Scored, measure
from mekiki.metrics.ensembles import combine, search_weights, select_greedily
from mekiki.records import RunSummary
from mekiki.settings import Field, Positional, Settings
from mekiki.training.card import DEFAULT_THRESHOLD, check_same_classes
from mekiki.training.derived import Share, save_ensemble, scores_key

TEST_PART = "test"
SEARCH = frozenset({"part", "objective", "split", "seed"})
"""Settings of a search."""

DOES_NOTHING: dict[str, frozenset[str]] = {"mean": SEARCH, "greedy": frozenset({"seed"}), "weighted": frozenset()}
"""Method to the settings that it has no use for."""


class EnsembleSettings(Settings):
    """Join models into one that states the weighted mean of their scores."""

    models: tuple[str, ...] = Positional((), description="two or more models, by name, beginning of id, or file")
    name: str = Field("ensemble", min_length=1, description="of the new model")
    method: Literal["mean", "weighted", "greedy"] = Field(
        "mean", description="equal weights, weights searched on --part, or selected one by one"
    )
    part: str = Field("val", description="part of the split to search weights on, never test")
    objective: Literal["micro-f1", "macro-f1", "macro-ap"] = Field(
        "micro-f1", description="what searched weights are to reach; F1 is that of decisions at 0.5"
    )
    split: str | None = Field(None, description="whose part (default: the split that the models were trained on)")
    seed: int = Field(0, ge=0, description="of the search")


@dataclass(frozen=True, slots=True)
class _Ground:
    """What weights are searched on."""

    examples: Examples
    scores: NDArray[np.float32]  # (M, N, C) finished
    notes: tuple[str, ...]


def ensemble(catalog: Catalog, settings: EnsembleSettings, engine: Engine) -> RunSummary:
    """Write an ensemble, unless the same was written before."""
    require_items(catalog)
    if len(settings.models) < 2:
        raise UsageError(f"an ensemble has two models or more, got {len(settings.models)}: name them one after another")
    useless = sorted(settings.model_fields_set & DOES_NOTHING[settings.method])
    if useless:
        raise UsageError(
            f"--{useless[0]} does nothing with --method {settings.method}: leave it out, or search weights"
        )
    models = read_models(catalog, settings.models)
    check_same_classes({model.name: model.card for model in models})
    if len({scores_key(model.card) for model in models}) < 2:
        raise DataError(
            f"{' and '.join(model.name for model in models)} differ in thresholds only and have the same scores, so "
            "joining them changes nothing: name two different models"
        )
    ground = None if settings.method == "mean" else _read(catalog, models, settings)

    def compute(run_id: str) -> Outcome:
        weights = np.full(len(models), 1 / len(models)) if ground is None else _search(ground, settings)
        shares = [
            Share(model.name, model.model_id, model.path, model.card, float(weight))
            for model, weight in zip(models, weights, strict=True)
        ]
        kept = [share for share in shares if share.weight > 0]
        how = {"method": settings.method} if ground is None else settings.model_dump(include={"method", *SEARCH})
        saved = save_ensemble(catalog.workspace / "models", settings.name, kept, how)
        content = {
            "model": settings.name,
            "method": settings.method,
            "members": [{"name": one.name, "model_id": one.model_id, "weight": one.weight} for one in kept],
            "dropped": [one.name for one in shares if one.weight == 0],
            "part": None if ground is None else settings.part,
            "objective": None if ground is None else settings.objective,
            "search": None if ground is None else _describe(ground, models, weights, settings.objective),
        }
        row = ModelRow(saved.model_id, run_id, settings.name, saved.path, saved.card.parents)
        return Outcome(
            n_selected=len(models),
            write=lambda transaction: write_models(transaction, [row]),
            files={"ensemble.json": json.dumps(content, ensure_ascii=False, indent=2)},
            outputs={"model": catalog.relative(saved.path)},
            extra={"model_id": saved.model_id, "model": settings.name, "members": content["members"]},
            notes=[*_notes(shares), *(ground.notes if ground else ())],
        )

    reads = {"models": " ".join(f"{model.model_id} {model.name}" for model in models)}
    if ground is not None:
        examples = ground.examples
        reads |= {
            "split": examples.split_run_id,
            "labels": examples.fingerprint(),
            "scores": hash_scores(ground.scores),
        }
    summary = engine.once(catalog, "ensemble", settings, reads, compute)
    if not engine.dry_run:
        make_current(catalog, summary)
    return summary


def _read(catalog: Catalog, models: Sequence[KnownModel], settings: EnsembleSettings) -> _Ground:
    """Return what weights are searched on.

    Raises:
        DataError: If that is the test part, pictures that a model was trained on, or scores are missing.
    """
    if settings.part == TEST_PART:
        raise DataError(
            "weights are not searched on part 'test', since figures measured there would lie: leave out --part, which "
            "searches on 'val'"
        )
    split_run_id = split_for(catalog, models, settings.split)
    examples = read_parts(catalog, split_run_id, models[0].card.class_names, [settings.part])
    exposures = [check_unseen(catalog, model, examples, settings.part) for model in models]
    table = ScoreTable(catalog, examples)
    scores = [model.card.finish(table.raw(model)) for model in models]
    return _Ground(examples, np.stack(scores), tuple(one.note for one in exposures if one.note))


def _search(ground: _Ground, settings: EnsembleSettings) -> NDArray[np.float64]:
    if settings.method == "greedy":
        return select_greedily(ground.scores, ground.examples.truth, settings.objective)
    return search_weights(ground.scores, ground.examples.truth, settings.objective, settings.seed)


def _describe(
    ground: _Ground, models: Sequence[KnownModel], weights: NDArray[np.float64], objective: str
) -> dict[str, Any]:
    """Return the objective for each model alone, their mean and what was found, on the pictures of the search."""
    examples = ground.examples

    def value(scores: NDArray[np.float32]) -> dict[str, Any]:
        scored = Scored(scores, examples.truth, scores >= np.float32(DEFAULT_THRESHOLD), examples.atoms)
        return measure(scored, examples.class_names).value(objective.replace("-", "_")).to_json()

    return {
        "n_items": len(examples),
        "members": {model.name: value(one) for model, one in zip(models, ground.scores, strict=True)},
        "mean": value(combine(ground.scores, np.full(len(models), 1 / len(models)))),
        "found": value(combine(ground.scores, weights)),
    }


def _notes(shares: Sequence[Share]) -> list[str]:
    kept = [one for one in shares if one.weight > 0]
    told = ", ".join(f"{one.name} {one.weight:.3f}" for one in kept)
    dropped = [f"{one.name!r} got no weight and is left out" for one in shares if one.weight == 0]
    alone = [f"the others add nothing on this part, so the ensemble says what {kept[0].name!r} says"] * (len(kept) == 1)
    return [f"weights: {told}", *dropped, *alone]
