"""An evaluation as seed 5 leaves it: a text with the figures, and its curves as PNG and PDF, one line per class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mekiki.records import Estimate
from mekiki.reports.figure_files import Line, histogram_files, history_files, line_files
from mekiki.reports.measures import estimate_of
from mekiki.reports.text import one_line

TEXT_NAME = "evaluation_metrics.txt"
CLASS_FIGURES = {
    "pr_auc": "PR-AUC (trapezoid)",
    "ap": "average precision",
    "roc_auc": "ROC-AUC",
    "precision_at_recall_50": "precision at recall 0.5",
    "precision_at_recall_90": "precision at recall 0.9",
    "precision_at_recall_95": "precision at recall 0.95",
    "precision": "precision at its threshold",
    "recall": "recall at its threshold",
    "f1": "F1 at its threshold",
    "calibration_error": "expected calibration error",
}
TOTALS = {
    "macro_pr_auc": "PR-AUC (trapezoid), mean over classes",
    "macro_ap": "average precision, mean over classes",
    "macro_roc_auc": "ROC-AUC, mean over classes",
    "micro_f1": "micro F1",
    "macro_f1": "macro F1",
    "accuracy": "accuracy",
    "calibration_error": "expected calibration error, all classes",
}
MAX_PANELS = 24
"""Of the histogram: a picture with more cannot be read."""


def write_evaluation_files(
    folder: Path, model: Mapping[str, Any], part: str, epochs: Sequence[Mapping[str, float]]
) -> list[Path]:
    """Write seed 5's files and return them: the text, then figures as PNG and PDF.

    ``pr_curve``, ``roc_curve``, ``prediction_histogram`` and, if there are epochs, ``training_history``. The same
    numbers give the same bytes.

    Args:
        folder: Where to write; exists.
        model: As it stands in ``metrics.json`` of ``mekiki evaluate``.
        part: On which it was measured.
        epochs: Rows of its training's ``history.csv``; empty where it has none.
    """
    measured = model["parts"][part]
    name = f"{one_line(model['name'])} on {part}"
    histograms = {
        class_name: (counts["present"], counts["absent"])
        for class_name, counts in list(measured["histograms"].items())[:MAX_PANELS]
    }
    figures = {
        "pr_curve": line_files(f"Precision against recall, {name}", ("recall", "precision"), _pr_lines(measured)),
        "roc_curve": line_files(f"ROC, {name}", ("false alarm rate", "recall"), _roc_lines(measured)),
        "prediction_histogram": histogram_files(f"Scores, {name}", histograms),
    }
    if epochs:
        figures["training_history"] = history_files(f"Training of {one_line(model['name'])}", epochs)
    written = [folder / TEXT_NAME]
    written[0].write_text(evaluation_text(model, part), encoding="utf-8")
    for stem, files in figures.items():
        for suffix, content in files.items():
            written.append(folder / f"{stem}.{suffix}")
            written[-1].write_bytes(content)
    return written


def evaluation_text(model: Mapping[str, Any], part: str) -> str:
    """Return the figures of a model on a part, each on a line with its interval and what it rests on."""
    measured = model["parts"][part]
    lines = [
        f"model: {one_line(model['name'])} ({model['model_id']})",
        f"part: {part}, {measured['n_items']} pictures in {measured['n_atoms']} groups that belong together",
        "intervals: 95 %, from drawing groups anew; (!) marks what rests on fewer than 20 groups",
        "PR-AUC (trapezoid): area under straight lines between the points of the precision-recall curve",
        "average precision: rises in recall times the precision there, without lines between points",
        "precision at recall r: the highest precision of all thresholds whose recall is r or more",
        "",
        "all classes",
        *_figure_lines(measured, TOTALS),
    ]
    for name, figures in measured["per_class"].items():
        lines += ["", f"class: {one_line(name)}", f"  threshold: {model['thresholds'][name]:.6g}"]
        lines.append(
            f"  pictures with it: {figures['support_pos']} of {figures['n_known']}, in {figures['n_atoms_pos']} groups"
        )
        lines += _figure_lines(figures, CLASS_FIGURES)
        lines += _per_million_lines((model.get("per_million") or {}).get(part, {}).get(name))
    return "\n".join(lines) + "\n"


def _figure_lines(figures: Mapping[str, Any], names: Mapping[str, str]) -> list[str]:
    return [f"  {label}: {_written(one)}" for key, label in names.items() if (one := estimate_of(figures, key))]


def _per_million_lines(one: Mapping[str, Any] | None) -> list[str]:
    if one is None:
        return []
    where = f"per million pictures of which {one['n_present']:,.0f} show it"
    labels = {"false_alarms": "false alarms", "found": "found", "missed": "missed"}
    return [
        f"  {label} {where}: {_written(found, '{:,.0f}')}"
        for key, label in labels.items()
        if (found := estimate_of(one, key))
    ]


def _written(one: Estimate, form: str = "{:.4f}") -> str:
    if one.value != one.value:
        return "nothing to measure"
    value, low, high = (form.format(number) for number in (one.value, one.low, one.high))
    return f"{value} ({low} to {high}){'' if one.is_reliable else ' (!)'}"


def _pr_lines(measured: Mapping[str, Any]) -> list[Line]:
    """Return a line per class from precision 1 at recall 0, where `pr_auc` starts."""
    return [
        Line(name, [0.0, *curve["recall"]], [1.0, *curve["precision"]], _areas(measured, name, {"pr_auc": "PR-AUC"}))
        for name, curve in measured["curves"].items()
        if curve["recall"]
    ]


def _roc_lines(measured: Mapping[str, Any]) -> list[Line]:
    lines = [
        Line(name, curve["false_alarm_rate"], curve["recall"], _areas(measured, name, {"roc_auc": "ROC-AUC"}))
        for name, curve in measured["roc_curves"].items()
        if curve["recall"]
    ]
    return [*lines, Line("guessing", (0.0, 1.0), (0.0, 1.0), is_guide=True)]


def _areas(measured: Mapping[str, Any], name: str, names: Mapping[str, str]) -> str:
    told = ((label, estimate_of(measured, "per_class", name, kind)) for kind, label in names.items())
    return ", ".join(f"{label} {_short(one)}" for label, one in told if one is not None)


def _short(one: Estimate) -> str:
    return "–" if one.value != one.value else f"{one.value:.3f} ({one.low:.3f} to {one.high:.3f})"
