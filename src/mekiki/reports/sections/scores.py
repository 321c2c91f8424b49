"""How well scores rank pictures, whatever the thresholds: areas under curves, and what thresholds mean per million."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from mekiki.records import Estimate
from mekiki.reports.blocks import Block, Column, Columns, Figure, Group, Paragraph, Section, Table
from mekiki.reports.figures_scores import ScoresOfClass, histogram_figure, reliability_figure, roc_figure
from mekiki.reports.measures import estimate_of, what_is_shown
from mekiki.reports.sections.per_million import per_million_blocks, per_million_rows
from mekiki.reports.values import UNRELIABLE_NOTE, Value, format_count, format_counted

PR_AUC = "PR-AUC (trapezoid)"
CLASS_COLUMNS = {
    "pr_auc": PR_AUC,
    "ap": "average precision",
    "roc_auc": "ROC-AUC",
    "precision_at_recall_50": "precision at recall 0.5",
    "precision_at_recall_90": "at recall 0.9",
    "precision_at_recall_95": "at recall 0.95",
    "calibration_error": "calibration error",
}
MODEL_COLUMNS = {"macro_pr_auc": PR_AUC, "macro_ap": "average precision", "macro_roc_auc": "ROC-AUC"}
MAX_SENTENCES = 8
MAX_CLASSES = 12
CLASSES_IN_FIGURE = 4


def scores_section(evaluation: Mapping[str, Any], best: Mapping[str, Any], part: str) -> Section | None:
    """Return the section ``scores``; None if the evaluation is of an older mekiki, which did not measure areas.

    Args:
        evaluation: What ``metrics.json`` of an ``evaluate`` run holds.
        best: The entry of the model whose classes are told.
        part: Whose pictures.
    """
    measured = best["parts"][part]
    if estimate_of(measured, "macro_pr_auc") is None:
        return None
    blocks: list[Block] = [Paragraph(sentence) for sentence in _sentences(measured, best["name"])]
    blocks.append(_class_table(measured, f"{best['name']} on {part}"))
    blocks += _figures(measured)
    models = [one for one in evaluation.get("models") or () if part in (one.get("parts") or {})]
    if len(models) > 1:
        blocks.append(Group("All models", (_model_table(models, part),), "means over classes"))
    if projections := evaluation.get("projections"):
        blocks.append(Group("Vectors as they are, and through a projection", tuple(_projections(projections, models))))
    told = [(model["name"], (model.get("per_million") or {}).get(part) or {}) for model in models]
    if rows := [row for name, classes in told for row in per_million_rows(name, classes)]:
        blocks.append(Group("Per million pictures", tuple(per_million_blocks(rows, part))))
    lead = (
        f"{PR_AUC}: area under straight lines between the points of the curve of precision over recall. Average "
        "precision: the same without lines between points. Precision at a recall: the best of all thresholds that "
        "find at least that share."
    )
    return Section("scores", "Areas under curves", tuple(blocks), lead)


def pr_auc_sentence(what: str, one: Estimate, n_items: int, n_atoms: int) -> str:
    """Return the area with its name, its interval and what it rests on, as a reader would quote it.

    Example:
        >>> pr_auc_sentence("unsafe", Estimate(0.9134, 0.87, 0.95), 240, 80)
        'unsafe: PR-AUC (trapezoid) 0.913, 95 % interval 0.870 to 0.950, 240 pictures, 80 independent groups.'
    """
    rests_on = f"{format_counted(n_items, 'picture')}, {format_counted(n_atoms, 'independent group')}"
    if one.value != one.value:
        return f"{what}: {PR_AUC} cannot be measured without pictures of both kinds; {rests_on}."
    doubt = "" if one.is_reliable else f" ({UNRELIABLE_NOTE})"
    return f"{what}: {PR_AUC} {one.value:.3f}, 95 % interval {one.low:.3f} to {one.high:.3f}, {rests_on}{doubt}."


def _sentences(measured: Mapping[str, Any], name: str) -> Iterator[str]:
    sizes = measured["n_items"], measured["n_atoms"]
    by_class = measured["per_class"]
    mean = estimate_of(measured, "macro_pr_auc")
    if mean is not None and len(by_class) > 1:
        yield pr_auc_sentence(f"{name}, mean over {len(by_class)} classes", mean, *sizes)
    for class_name, figures in by_class.items() if len(by_class) <= MAX_SENTENCES else ():
        if one := estimate_of(figures, "pr_auc"):
            yield pr_auc_sentence(f"{name}, {class_name}", one, *sizes)


def _class_table(measured: Mapping[str, Any], caption: str) -> Table:
    columns = (Column("class"), *(Column(heading, "share") for heading in CLASS_COLUMNS.values()))
    rows: tuple[tuple[Value, ...], ...] = tuple(
        (name, *(estimate_of(figures, kind) for kind in CLASS_COLUMNS))
        for name, figures in measured["per_class"].items()
    )
    return Table(columns, rows, caption, n_open=40)


def _model_table(models: Sequence[Mapping[str, Any]], part: str) -> Table:
    columns = (Column("model"), *(Column(heading, "share") for heading in MODEL_COLUMNS.values()))
    rows: tuple[tuple[Value, ...], ...] = tuple(
        (model["name"], *(estimate_of(model, "parts", part, kind) for kind in MODEL_COLUMNS)) for model in models
    )
    return Table(columns, rows, f"Areas of all models on {part}")


def _figures(measured: Mapping[str, Any]) -> list[Block]:
    """Return ROC, histogram and calibration of the classes with most pictures, at most `MAX_CLASSES`."""
    found = [
        _scores_of(name, measured)
        for name in measured["per_class"]
        if ((measured.get("roc_curves") or {}).get(name) or {}).get("recall")
    ]
    supports = [measured["per_class"][one.name].get("support_pos") or 0 for one in found]
    kept = set(sorted(range(len(found)), key=lambda number: -supports[number])[:MAX_CLASSES])
    shown = [one for number, one in enumerate(found) if number in kept]
    if not shown:
        return []
    parts = [shown[start : start + CLASSES_IN_FIGURE] for start in range(0, len(shown), CLASSES_IN_FIGURE)]
    drawn: list[Figure] = []
    for number, part in enumerate(parts, start=1):
        nth = f", {number}" if number > 1 else ""
        drawn += [
            roc_figure(part, f"ROC: recall over the share of false alarms{nth}"),
            histogram_figure(part, f"Scores in pictures with and without the class{nth}"),
            reliability_figure(part, f"Share of pictures that show the class, over its score{nth}"),
        ]
    note = "Dashed: guessing in ROC, and scores that are probabilities in the figure of shares."
    if len(shown) < len(found):
        note += f" Drawn are the {MAX_CLASSES} of {format_count(len(found))} classes with most pictures."
    return [Paragraph(note, is_muted=True), Columns(tuple(drawn))]


def _scores_of(name: str, measured: Mapping[str, Any]) -> ScoresOfClass:
    roc, histogram, bins = (measured[kind][name] for kind in ("roc_curves", "histograms", "calibration"))
    figures = measured["per_class"][name]
    return ScoresOfClass(
        name,
        roc["false_alarm_rate"],
        roc["recall"],
        estimate_of(figures, "roc_auc"),
        histogram["present"],
        histogram["absent"],
        bins["n"],
        bins["mean_score"],
        bins["present_share"],
        estimate_of(figures, "calibration_error"),
    )


def _projections(projections: Sequence[Mapping[str, Any]], models: Sequence[Mapping[str, Any]]) -> Iterator[Block]:
    by_name = {model["name"]: model for model in models}
    columns = (
        Column("model"),
        Column("sees"),
        Column(PR_AUC, "share"),
        Column("against"),
        Column("difference", "difference"),
        Column("what it shows"),
    )
    rows: list[tuple[Value, ...]] = []
    for base in dict.fromkeys((one["first"], one["first_sees"]) for one in projections):
        part = projections[0]["part"]
        area = estimate_of(by_name.get(base[0]), "parts", part, "macro_pr_auc")
        rows.append((*base, area, "", "", ""))
        for one in (one for one in projections if one["first"] == base[0]):
            difference = estimate_of(one, "difference")
            shown = what_is_shown(difference, "the projection gains", "the projection loses").partition(":")[0]
            area = estimate_of(by_name.get(one["second"]), "parts", part, "macro_pr_auc")
            rows.append((one["second"], one["second_sees"], area, one["first"], difference, shown))
    yield Table(columns, tuple(rows), "The same pictures through each projection")
    yield Paragraph(
        "Differences are paired: both heads judged the same pictures. Heads may also differ in how they were trained; "
        "the section on training says how.",
        is_muted=True,
    )
