"""Which models are measured side by side, and the pictures of their mistakes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mekiki.catalog.db import Catalog
from mekiki.catalog.decided import KnownModel, ScoreTable, latest_models, read_model, read_models, split_for
from mekiki.catalog.items import source_paths
from mekiki.catalog.predictions import predict_runs
from mekiki.catalog.scored import Examples
from mekiki.errors import DataError, shown_path
from mekiki.training.card import check_same_classes
from mekiki.training.judging import Mistake


@dataclass(frozen=True, slots=True)
class Contest:
    """Models to measure.

    Attributes:
        models: All of the same classes.
        split_run_id: The run of the split whose parts count.
        against: Name of the model that all are compared with, or None.
        is_named: Whether the user named them; otherwise those without scores are left out.
    """

    models: tuple[KnownModel, ...]
    split_run_id: str
    against: str | None
    is_named: bool

    def with_scores(self, table: ScoreTable, workspace: Path) -> tuple[KnownModel, ...]:
        """Return the models that have scores.

        Raises:
            DataError: If none has, or one has not that the user named, with what to type.
        """
        if self.is_named:
            for model in self.models:
                table.raw(model)
            return self.models
        found = tuple(model for model in self.models if model.name == self.against or table.has(model))
        if not found:
            raise DataError(
                f"no model has scores of these pictures: mekiki predict {self.models[-1].name} -w {workspace}"
            )
        return found


def find_contest(catalog: Catalog, names: Sequence[str], split: str | None, against: str | None) -> Contest:
    """Return the models that are to be measured.

    Without names: the latest model of each name. Those that are known to have been trained on another split count only
    if the user names the split.

    Args:
        catalog: Where from.
        names: Of models; none takes all.
        split: Name of the split; None takes the one that they were trained on.
        against: The model to compare with; it is measured too.

    Raises:
        UsageError: If there is no such model or split.
        DataError: If there is no model, they belong to different splits, or have different classes.
    """
    if names:
        models = read_models(catalog, names)
        split_run_id = split_for(catalog, models, split)
    else:
        every = latest_models(catalog)
        split_run_id = split_for(catalog, every[-1:], split)
        models = [
            model
            for model in every
            if (split is not None or model.splits <= {split_run_id}) and _may_have_scores(catalog, model)
        ] or every[-1:]
    same = None
    if against is not None:
        other = read_model(catalog, against)
        same = next((model for model in models if model.model_id == other.model_id), other)
        models = models if same is not other else [other, *models]
    try:
        check_same_classes({model.name: model.card for model in models})
    except DataError as error:
        raise DataError(f"{error}. Name those to compare: mekiki evaluate {models[-1].name}") from error
    return Contest(tuple(models), split_run_id, None if same is None else same.name, is_named=bool(names))


def _may_have_scores(catalog: Catalog, model: KnownModel) -> bool:
    """Return whether a model has been asked about anything; an ensemble can be joined from its members' scores."""
    return model.card.kind == "ensemble" or bool(predict_runs(catalog, model.card.scores_id))


def describe_mistakes(catalog: Catalog, mistakes: Sequence[Mistake], examples: Examples) -> list[dict[str, Any]]:
    """Return mistakes with their pictures, and the clips that those come from, as plain JSON values.

    Args:
        catalog: Where clips are.
        mistakes: On rows of ``examples``.
        examples: The pictures.
    """
    paths = source_paths(catalog)
    found = []
    for one in mistakes:
        item = examples.items[one.row]
        clips = paths.get(item.parent_id or "", [])
        found.append(
            {
                "item_id": item.item_id,
                "path": None if item.path is None else shown_path(item.path),
                "class_name": examples.class_names[one.column],
                "kind": one.kind,
                "score": round(one.score, 6),
                "threshold": round(one.threshold, 6),
                "parent_path": shown_path(clips[0]) if clips else None,
                "time_s": item.time_s,
            }
        )
    return found
