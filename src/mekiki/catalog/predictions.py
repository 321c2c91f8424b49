"""What models say of items: scores, one row per item and class. Only ``predict`` writes them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from mekiki.catalog.db import Catalog, Transaction
from mekiki.catalog.results import hash_rows
from mekiki.catalog.runs import runs_of


def write_predictions(
    transaction: Transaction, class_names: Sequence[str], scores: Iterable[tuple[str, NDArray[np.float32]]]
) -> int:
    """Write the scores of items, each ``(C,)`` in the order of ``class_names``, and return how many rows."""
    rows = (
        (transaction.run_id, item_id, name, float(score))
        for item_id, row in scores
        for name, score in zip(class_names, row, strict=True)
    )
    return transaction.upsert("predictions", ("run_id", "item_id", "class_name", "score"), rows)


def predict_runs(catalog: Catalog, scores_id: str) -> list[str]:
    """Return the ids of the finished runs that stored scores of a model, the latest first.

    Args:
        catalog: Where from.
        scores_id: Of the model's card: models that differ in thresholds only share their scores.
    """
    found = [run for run in runs_of(catalog, "predict") if run.finished_at and run.identity.split(" ")[0] == scores_id]
    return [run.run_id for run in sorted(found, key=lambda run: run.finished_at or "", reverse=True)]


def hash_predictions(catalog: Catalog, run_id: str) -> str:
    """Return what stands for all scores that a run has stored; new items and other vectors of old ones continue it."""
    sql = "SELECT item_id, class_name, score FROM predictions WHERE run_id = ? ORDER BY item_id, class_name"
    return hash_rows(catalog.rows(sql, (run_id,)))


def read_predictions(catalog: Catalog, run_id: str, class_names: Sequence[str]) -> dict[str, NDArray[np.float32]]:
    """Return item id to the ``(C,)`` scores that a run stored; never mix those of two, which computed differently."""
    columns = {name: column for column, name in enumerate(class_names)}
    found: dict[str, NDArray[np.float32]] = {}
    current, row = "", np.empty(0, np.float32)
    sql = "SELECT item_id, class_name, score FROM predictions WHERE run_id = ? ORDER BY item_id"
    for item_id, name, score in catalog.rows(sql, (run_id,)):
        if item_id != current:
            current, row = item_id, np.full(len(columns), np.nan, np.float32)
            found[item_id] = row
        row[columns[name]] = score
    return found
