"""Stage ``ensemble``: several models in one. Reads ``models``, ``predictions``, ``labels``; writes ``models``.

Weights are searched in `mekiki.training.weighing`; how models are joined in one file is `mekiki.training.derived`.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from mekiki.catalog.db import Catalog
from mekiki.catalog.decided import (
    KnownModel,
    ScoreTable,
    hash_scores,
    make_current,
    read_models,
    read_parts,
    split_for,
)
from mekiki.catalog.exposure import require_unseen
from mekiki.catalog.items import require_items
from mekiki.catalog.models import ModelRow, write_models
from mekiki.catalog.scored import Examples
from mekiki.engine.run import Engine, Outcome
from mekiki.errors import DataError, UsageError
from mekiki.records import RunSummary
from mekiki.settings import Field, Positional, Settings
from mekiki.training.card import ModelName, check_same_classes
from mekiki.training.derived import Share, save_ensemble, scores_key
from mekiki.training.origins import SEARCHED_KEY, TEST_PART, Source, as_setting, searched_on
from mekiki.training.telling import tell_search
from mekiki.training.weighing import Search

SEARCH = frozenset({"part", "objective", "split", "seed"})
"""Settings of a search."""

DOES_NOTHING: dict[str, frozenset[str]] = {"mean": SEARCH, "greedy": frozenset({"seed"}), "weighted": frozenset()}
"""Method to the settings that it has no use for."""


class EnsembleSettings(Settings):
    """Join models into one that states the weighted mean of their scores."""

    models: tuple[str, ...] = Positional((), description="two or more models, by name, beginning of id, or file")
    name: ModelName = Field("ensemble", description="of the new model")
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
    search: Search
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
    ground = None if settings.method == "mean" else _read(catalog, models, settings, settings.method)

    def compute(run_id: str) -> Outcome:
        weights = np.full(len(models), 1 / len(models)) if ground is None else ground.search.find()
        shares = [
            Share(model.name, model.model_id, model.path, model.card, float(weight))
            for model, weight in zip(models, weights, strict=True)
        ]
        kept = [share for share in shares if share.weight > 0]
        searched = [one for share in kept for one in searched_on(share.card)]
        how: dict[str, Any] = {"method": settings.method}
        metrics: dict[str, Any] = {}
        cross_fitted = None
        if ground is not None:
            how = settings.model_dump(include={"method", *SEARCH})
            here = Source(ground.examples.split_run_id, settings.part)
            cross_fitted = ground.search.cross_fitted()
            if cross_fitted is not None and here not in searched:  # else weights of a member have seen all of it
                metrics = {"cross_fitted": cross_fitted}
            searched.append(here)
        how |= {SEARCHED_KEY: as_setting(searched)} if searched else {}
        saved = save_ensemble(catalog.workspace / "models", settings.name, kept, how, metrics)
        content = {
            "model": settings.name,
            "method": settings.method,
            "members": [{"name": one.name, "model_id": one.model_id, "weight": one.weight} for one in kept],
            "dropped": [one.name for one in shares if one.weight == 0],
            "part": None if ground is None else settings.part,
            "objective": None if ground is None else settings.objective,
            "search": None if ground is None else ground.search.describe([one.name for one in models], weights),
            "cross_fitted": cross_fitted,
        }
        row = ModelRow(saved.model_id, run_id, settings.name, saved.path, saved.card.parents)
        return Outcome(
            n_selected=len(models),
            write=lambda transaction: write_models(transaction, [row]),
            files={"ensemble.json": json.dumps(content, ensure_ascii=False, indent=2)},
            outputs={"model": catalog.relative(saved.path)},
            extra={"model_id": saved.model_id, "model": settings.name, "members": content["members"]},
            notes=[*_notes(shares), *(ground.notes if ground else ()), *(tell_search(content) if ground else ())],
        )

    reads = {"models": " ".join(f"{model.model_id} {model.name}" for model in models)}
    if ground is not None:
        examples = ground.examples
        reads |= {
            "split": examples.split_run_id,
            "labels": examples.fingerprint(),
            "scores": hash_scores(ground.search.scores),
        }
    summary = engine.once(catalog, "ensemble", settings, reads, compute)
    if not engine.dry_run:
        make_current(catalog, summary)
    return summary


def _read(
    catalog: Catalog,
    models: Sequence[KnownModel],
    settings: EnsembleSettings,
    method: Literal["weighted", "greedy"],
) -> _Ground:
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
    examples = read_parts(catalog, split_run_id, models, [settings.part])
    notes = [require_unseen(catalog, one, examples, settings.part, "weights are not searched") for one in models]
    if not (examples.truth == 1).any():
        raise DataError(
            f"no class is present in any of {len(examples)} pictures of part {settings.part!r}, so there is nothing to "
            "search weights by: label more, or give --method mean"
        )
    table = ScoreTable(catalog, examples)
    scores = [model.card.finish(table.raw(model)) for model in models]
    search = Search(
        np.stack(scores),
        examples.truth,
        examples.atoms,
        examples.class_names,
        method,
        settings.objective,
        settings.seed,
    )
    return _Ground(examples, search, tuple(note for note in notes if note))


def _notes(shares: Sequence[Share]) -> list[str]:
    kept = [one for one in shares if one.weight > 0]
    told = ", ".join(f"{one.name} {one.weight:.3f}" for one in kept)
    dropped = [f"{one.name!r} got no weight and is left out" for one in shares if one.weight == 0]
    alone = [f"the others add nothing on this part, so the ensemble says what {kept[0].name!r} says"] * (len(kept) == 1)
    return [f"weights: {told}", *dropped, *alone]
