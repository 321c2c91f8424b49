"""Seed 1's metrics JSON, from which its predictor also takes thresholds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

METRICS_FILE = "multilabel_test_metrics.json"
NO_SINGLE_THRESHOLD = 0.5
"""What stands as ``threshold`` where classes differ; the seed's predictor takes ``thresholds`` first."""


def seed1_metrics(
    model: Mapping[str, Any], n_pictures: Mapping[str, int], created_at: str, device: str
) -> dict[str, Any]:
    """Return the metrics of a model on ``test`` as seed 1 writes them, with its threshold per class beside them.

    Args:
        model: As it stands in ``metrics.json`` of ``mekiki evaluate``; see `mekiki.training.judging.judge`.
        n_pictures: Part to number of labelled pictures.
        created_at: When it was measured, in UTC.
        device: What it was measured on.
    """
    test, val = model["parts"]["test"], model["parts"].get("val")
    thresholds = model["thresholds"]
    one = next(iter(thresholds.values())) if len(set(thresholds.values())) == 1 else NO_SINGLE_THRESHOLD
    kinds = ("precision", "recall", "f1")
    return {
        "created_at_utc": created_at,
        "device": device,
        **{f"num_{part}": n_pictures.get(part, 0) for part in ("train", "val", "test")},
        "class_names": list(thresholds),
        "threshold": one,
        "thresholds": dict(thresholds),
        "arch": model["arch"] or model["kind"],
        "best_val_micro_f1": None if val is None else val["micro_f1"]["value"],
        "test": {"loss": model["loss"]["test"], **{name: test[name]["value"] for name in ("micro_f1", "macro_f1")}},
        "per_class": {
            name: {**{kind: figures[kind]["value"] for kind in kinds}, "support_pos": figures["support_pos"]}
            for name, figures in test["per_class"].items()
        },
    }
