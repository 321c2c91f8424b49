"""What was measured of one model on test, read from a workspace and written as seed 5 does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mekiki.catalog.db import Catalog
from mekiki.catalog.evaluations import require_evaluation
from mekiki.errors import DataError
from mekiki.reports.evaluation_files import write_evaluation_files
from mekiki.reports.gathering_models import read_trained, read_tuned
from mekiki.training.origins import TEST_PART


@dataclass(frozen=True, slots=True)
class MeasuredModel:
    """One model of an evaluation.

    Attributes:
        run_id: Of the evaluation.
        content: As it stands in its ``metrics.json``.
        epochs: Rows of its training's ``history.csv``; empty where it has no training in this workspace.
    """

    run_id: str
    content: Mapping[str, Any]
    epochs: Sequence[Mapping[str, float]]

    @property
    def name(self) -> str:
        """What the model is called."""
        return str(self.content["name"])

    def write(self, folder: Path) -> list[str]:
        """Write a text and figures into a folder that is there, and return the files' names."""
        return [path.name for path in write_evaluation_files(folder, self.content, TEST_PART, self.epochs)]


def read_measured(catalog: Catalog, split_run_id: str | None, model_name: str | None) -> MeasuredModel:
    """Return a model of the latest evaluation of a split; None takes the best.

    Raises:
        DataError: If there is no evaluation, or one that is too old.
        UsageError: If the model was not measured.
    """
    found = require_evaluation(catalog, split_run_id, TEST_PART)
    model = found.model(model_name)
    if "histograms" not in model["parts"][TEST_PART]:
        raise DataError(
            f"evaluation {found.run.run_id} is of an older mekiki, which counted no histograms: mekiki forget "
            f"{found.run.run_id} -w {catalog.workspace}, then mekiki evaluate"
        )
    trained = {one.name: one for one in read_trained(catalog)}
    parents = {one.name: str(one.tuning.get("parent", "")) for one in read_tuned(catalog, {})}
    name = str(model["name"])
    while name not in trained and name in parents:
        name = parents.pop(name)
    return MeasuredModel(found.run.run_id, model, trained[name].epochs if name in trained else ())
