"""What ``evaluate`` measured, for those who pass it on."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mekiki.catalog.db import Catalog
from mekiki.catalog.runs import Run, runs_of
from mekiki.errors import DataError, unknown_name

METRICS_NAME = "metrics.json"


@dataclass(frozen=True, slots=True)
class Evaluation:
    """A finished evaluation: its run, and the content of its ``metrics.json``."""

    run: Run
    content: Mapping[str, Any]

    def model(self, name: str | None) -> Mapping[str, Any]:
        """Return what was measured of a model by name; None takes the best.

        Raises:
            UsageError: If it was not measured, with those that were.
        """
        models = {model["name"]: model for model in self.content["models"]}
        wanted = self.content["best_overall"] if name is None else name
        if wanted not in models:
            raise unknown_name("evaluated model", wanted, models)
        return dict(models[wanted])


def evaluations_of_models(catalog: Catalog) -> list[Run]:
    """Return the finished runs that measured models and no rankings, the one whose command was given last first."""
    found = [run for run in runs_of(catalog, "evaluate") if run.finished_at and not run.settings.get("rarity")]
    return sorted(found, key=lambda run: run.finished_at or "", reverse=True)


def find_evaluation(catalog: Catalog, split_run_id: str | None, part: str) -> Evaluation | None:
    """Return the latest evaluation on a part of a split whose files are still there, or None."""
    for run in evaluations_of_models(catalog):
        if run.reads.get("split") != split_run_id or run.settings.get("part") != part:
            continue
        path = catalog.locate(run.summary["outputs"][METRICS_NAME])
        if path.is_file():
            return Evaluation(run, json.loads(path.read_text(encoding="utf-8")))
    return None


def require_evaluation(catalog: Catalog, split_run_id: str | None, part: str) -> Evaluation:
    """Return the latest evaluation on a part of a split, or raise `DataError` if there is none."""
    found = find_evaluation(catalog, split_run_id, part)
    if found is None:
        raise DataError(
            f"no model has been measured on part {part!r} of this split: mekiki evaluate -w {catalog.workspace}"
        )
    return found
