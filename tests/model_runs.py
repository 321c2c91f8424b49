"""What the runs that make and judge models leave behind, made up: for tests of what reads it."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mekiki.catalog.db import Catalog
from mekiki.engine.local import LocalEngine
from mekiki.engine.run import Outcome
from mekiki.settings import Settings

ANIMALS = ("アナグマ", "タヌキ", "cat")
THRESHOLDS = {"アナグマ": 0.31, "タヌキ": 0.62, "cat": 0.5}
NOTHING = {"value": None, "low": None, "high": None, "reliable": False}


class MadeUpSettings(Settings):
    """Settings of a run that never ran."""

    arch: str = "small-cnn"
    epochs: int = 12
    lr: float = 1e-4
    annotator: str = "vlm"
    agreement: bool = False
    search: int = 0


def estimate(value: float, half_width: float = 0.03, reliable: bool = True) -> dict[str, Any]:
    """Return an estimate as files have it."""
    return {"value": value, "low": value - half_width, "high": value + half_width, "reliable": reliable}


def metrics(micro_f1: float = 0.9, names: Sequence[str] = ANIMALS, reliable: bool = True) -> dict[str, Any]:
    """Return the metrics of one model on one part; every class has its own figures."""

    def one(n: int) -> dict[str, Any]:
        figures = {"precision": 0.9, "recall": 0.8, "f1": 0.85, "ap": 0.88, "pr_auc": 0.87, "roc_auc": 0.95}
        figures |= {f"precision_at_recall_{share}": 0.9 - share / 1000 for share in (50, 90, 95)}
        figures["calibration_error"] = 0.05
        shifted = {name: estimate(value - 0.01 * n, reliable=reliable) for name, value in figures.items()}
        return {**shifted, "support_pos": 40 - n, "n_atoms_pos": 20 - n, "n_known": 200}

    recall = [step / 20 for step in range(21)]
    curve = {"recall": recall, "precision": [1 - 0.7 * r**3 for r in recall], "threshold": [1 - r for r in recall]}
    roc = {"false_alarm_rate": [0.0, 0.1, 1.0], "recall": [0.0, 0.8, 1.0], "threshold": [None, 0.6, 0.0]}
    bins = {"n": [160, 0, 40], "mean_score": [0.1, None, 0.9], "present_share": [0.05, None, 0.8]}
    bars = {"present": [2, 8, 10, 20], "absent": [100, 40, 15, 5]}
    n = len(names) + 1
    return {
        "n_items": 200,
        "n_atoms": 60,
        "n_positives": 117,
        "micro_f1": estimate(micro_f1, reliable=reliable),
        "macro_f1": estimate(micro_f1 - 0.02, reliable=reliable),
        "macro_ap": estimate(micro_f1 - 0.01, reliable=reliable),
        "macro_pr_auc": estimate(micro_f1 - 0.015, reliable=reliable),
        "macro_roc_auc": estimate(0.96, reliable=reliable),
        "exact_match": estimate(micro_f1 - 0.1, reliable=reliable),
        "accuracy": None,
        "per_class": {name: one(k) for k, name in enumerate(names)},
        "unknown": {"precision": estimate(0.7), "recall": estimate(0.75), "f1": estimate(0.72), "support_pos": 83},
        "confusion": [[30 + i if i == j else (i + 2 * j) % 5 for j in range(n)] for i in range(n)],
        "curves": dict.fromkeys(names, curve),
        "roc_curves": dict.fromkeys(names, roc),
        "histograms": dict.fromkeys(names, bars),
        "calibration": dict.fromkeys(names, bins),
    }


def evaluated(name: str, micro_f1: float, kind: str = "network", gain: float | None = None) -> dict[str, Any]:
    """Return one model's entry in ``metrics.json``; with a gain, it is one that was tuned."""
    half = None
    if gain is not None:
        gains = {"micro_f1": estimate(gain), "macro_f1": estimate(gain)}
        half = {part: {"metrics": metrics(micro_f1 - gain), "gain": gains} for part in ("val", "test")}
    return {
        "model_id": name.encode().hex()[:16],
        "name": name,
        "kind": kind,
        "arch": "" if kind == "ensemble" else "small-cnn",
        "decides_by": "thresholds",
        "thresholds": THRESHOLDS,
        "objective": None if gain is None else "macro-f1",
        "tuned_on": [] if gain is None else ["val"],
        "searched_on": [],
        "flattered_by": [],
        "choice": {"value": micro_f1, "is_cross_fitted": gain is not None, "flattered_by": []},
        "parts": {"val": metrics(micro_f1 + 0.01), "test": metrics(micro_f1)},
        "half": half,
    }


def evaluation(*models: Mapping[str, Any], **changes: Any) -> dict[str, Any]:
    """Return ``metrics.json``; without models, of two networks, their ensemble and that tuned."""
    known = models or (
        evaluated("small", 0.84),
        evaluated("wide", 0.87),
        evaluated("both", 0.89, "ensemble"),
        evaluated("both-tuned", 0.93, "ensemble", gain=0.04),
    )
    return {
        "split": "0123456789abcdef",
        "class_names": list(ANIMALS),
        "parts": {"val": 180, "test": 200},
        "models": list(known),
        "best_single": "wide",
        "best_overall": "both-tuned",
        "chosen_on": {"part": "val", "metric": "micro_f1"},
        "comparisons": [
            comparison("wide", "both-tuned", 0.06),
            comparison("wide", "both", 0.02),
            comparison("wide", "small", -0.05),
        ],
        **changes,
    }


def comparison(first: str, second: str, difference: float) -> dict[str, Any]:
    """Return one comparison of two models on test, in micro F1."""
    return {
        "first": first,
        "second": second,
        "part": "test",
        "metric": "micro_f1",
        "difference": estimate(difference),
    }


def tuning(gain: float = 0.04, objective: str = "macro-f1", **changes: Any) -> dict[str, Any]:
    """Return ``tuning.json`` of the ensemble: one class uses the joint threshold."""
    facts = {
        name: {
            "n_positives": 40 - 15 * n,
            "n_atoms": 25 - 8 * n,
            "used_joint": n == 2,
            "threshold_low": value - 0.06,
            "threshold_high": value + 0.07,
        }
        for n, (name, value) in enumerate(THRESHOLDS.items())
    }
    return {
        "model": "both-tuned",
        "parent": "both",
        "objective": objective,
        "part": "val",
        "thresholds": THRESHOLDS,
        "classes": facts,
        "joint": 0.5,
        "half": metrics(0.88),
        "cross_fitted": metrics(0.88 + gain),
        "in_sample": metrics(0.95),
        "gain_cross_fitted": {"micro_f1": estimate(gain), "macro_f1": estimate(gain)},
        **changes,
    }


def ensemble() -> dict[str, Any]:
    """Return ``ensemble.json`` of the two networks."""
    members = [
        {"name": "small", "model_id": "1" * 16, "weight": 0.3},
        {"name": "wide", "model_id": "2" * 16, "weight": 0.7},
    ]
    return {"model": "both", "method": "weighted", "members": members, "part": "val", "objective": "micro-f1"}


def history(n_epochs: int = 12, best: float = 0.9) -> str:
    """Return ``history.csv``."""
    names = "epoch,train_loss,train_micro_f1,train_macro_f1,val_loss,val_micro_f1,val_macro_f1,lr,seconds"
    rows = [names]
    for epoch in range(1, n_epochs + 1):
        f1 = best * (1 - math.exp(-epoch / 4))
        loss = 0.2 + math.exp(-epoch / 4)
        rate = 1e-4 * 0.5 ** (epoch // 5)
        rows.append(f"{epoch},{loss:.4f},{f1 + 0.05:.4f},{f1:.4f},{loss + 0.1:.4f},{f1:.4f},{f1 - 0.05:.4f},{rate},3.2")
    return "\n".join(rows) + "\n"


def mistakes(paths: Sequence[Path]) -> dict[str, Any]:
    """Return ``mistakes.json`` about these pictures: missed and false alarms in turn; the last is from a clip."""
    found = []
    for n, path in enumerate(paths):
        is_missed = n % 2 == 0
        is_last = n == len(paths) - 1
        found.append(
            {
                "item_id": f"{n:032x}",
                "path": str(path),
                "class_name": ANIMALS[n % len(ANIMALS)],
                "kind": "missed" if is_missed else "false alarm",
                "score": 0.02 if is_missed else 0.98,
                "threshold": 0.31,
                "parent_path": "/clips/night.mp4" if is_last else None,
                "time_s": 3.2 if is_last else None,
            }
        )
    return {"model": "both-tuned", "part": "test", "mistakes": found}


def annotation() -> dict[str, Any]:
    """Return ``annotation.json`` of a model that was asked."""
    return {
        "annotator": "vlm:gpt-5.2",
        "host": "api.openai.com",
        "n_pictures": 120,
        "n_unknown": 30,
        "classes": {name: 40 - n for n, name in enumerate(ANIMALS)},
        "labels_left_out": {"deer": 3, "鳥": 1},
        "n_calls": 95,
        "n_lost_calls": 2,
        "n_from_earlier_runs": 25,
        "input_tokens": 123_456,
        "output_tokens": 4_567,
        "cost_usd": 1.234567,
    }


def agreement() -> dict[str, Any]:
    """Return ``agreement.json`` of two annotators."""
    classes = {
        name: {"kappa": estimate(0.8 - 0.1 * n, 0.1), "n": 120, "agreement": 0.9} for n, name in enumerate(ANIMALS)
    }
    return {"pairs": [{"first": "vlm:gpt", "second": "human:rie", "classes": {**classes, "none": {"kappa": NOTHING}}}]}


def leave(workspace: Path, stage: str, name: str, files: Mapping[str, Any], **extra: Any) -> str:
    """Record a finished run of a stage that left these files, and return its id.

    Args:
        workspace: Where.
        stage: Whose run.
        name: What tells this run from others of the stage.
        files: Name to content, as text or as what JSON is made of.
        extra: What the stage's summary says; ``settings`` are its settings.
    """
    settings = MadeUpSettings(**extra.pop("settings", {}))
    texts = {one: content if isinstance(content, str) else json.dumps(content) for one, content in files.items()}
    with Catalog(workspace) as catalog:
        outcome = Outcome(1, files=texts, extra=extra)
        return LocalEngine().once(catalog, stage, settings, {"name": name}, lambda _: outcome).run_id
