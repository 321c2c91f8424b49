"""What ``evaluate --rarity`` measured of rankings, for those who show it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from mekiki.catalog.db import Catalog
from mekiki.catalog.runs import Run, runs_of
from mekiki.metrics.beside_chance import Figure

RARITY_METRICS_NAME = "rarity_metrics.json"


@dataclass(frozen=True, slots=True)
class RarityMetrics:
    """One finished measurement.

    Attributes:
        run_id: Of ``evaluate``.
        mining_run_id: Of ``mine``, whose rankings were measured.
        kind: ``truth``: against what a file says; ``inject``: against pictures that were hidden in the pile.
        told: What counts as rare, in a few words.
        unit: What is ranked, in the plural: ``pictures``, ``crops``.
        n_items: How many, without those that were hidden among them.
        n_rare: How many of them are rare, with those that no ranking holds; or how many each draw hid.
        scorers: Scorer, and ``combined``, to its figures by name, among them ``recall_at_n`` and ``recall_at_2n``; of
            kind ``truth`` also ``average_precision``, ``precision_at_n`` and ``precision_at_2n``. Each has its interval
            and the level of chance, and its ``verdict`` says whether it is above that.
        left_out: Scorer to why it was not measured.
        notes: Lines as a terminal shows them.
        content: All that the file says.
    """

    run_id: str
    mining_run_id: str
    kind: Literal["truth", "inject"]
    told: str
    unit: str
    n_items: int
    n_rare: int
    scorers: Mapping[str, Mapping[str, Figure]]
    left_out: Mapping[str, str]
    notes: tuple[str, ...]
    content: Mapping[str, Any]


def find_rarity_metrics(
    catalog: Catalog, kind: Literal["truth", "inject"] = "truth", mining_run_id: str | None = None
) -> RarityMetrics | None:
    """Return the latest measurement of a kind whose file is still there, or None.

    Args:
        catalog: Where from.
        kind: Against a truth file, or against hidden pictures.
        mining_run_id: Only of this run of ``mine``; None for any.
    """
    finished = [run for run in runs_of(catalog, "evaluate") if run.finished_at and run.settings.get("rarity")]
    for run in sorted(finished, key=lambda run: run.finished_at or "", reverse=True):
        path = catalog.locate(run.summary.get("outputs", {}).get(RARITY_METRICS_NAME, RARITY_METRICS_NAME))
        if not path.is_file() or mining_run_id not in (None, run.reads.get("mining")):
            continue
        content = json.loads(path.read_text(encoding="utf-8"))
        if content["kind"] == kind:
            return _as_metrics(run, content)
    return None


def _as_metrics(run: Run, content: Mapping[str, Any]) -> RarityMetrics:
    scorers = {
        scorer: {name: Figure.from_json(figure) for name, figure in figures.items()}
        for scorer, figures in content["scorers"].items()
    }
    return RarityMetrics(
        run_id=run.run_id,
        mining_run_id=content["mining"],
        kind=content["kind"],
        told=content["told"],
        unit=content["unit"],
        n_items=content["n_items"],
        n_rare=content["n_rare"],
        scorers=scorers,
        left_out=content["left_out"],
        notes=tuple(run.summary.get("notes", ())),
        content=content,
    )
