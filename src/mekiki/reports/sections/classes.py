"""How well one model decides each class: figures with intervals, curves, and what is taken for what."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mekiki.records import UNKNOWN
from mekiki.reports.blocks import Block, Column, Columns, Details, Group, Matrix, Paragraph, Section, Table
from mekiki.reports.figures_lines import PrecisionRecall, recall_figure
from mekiki.reports.measures import estimate_of
from mekiki.reports.values import Value, format_count

MEASURES = (("precision", "precision"), ("recall", "recall"), ("f1", "F1"), ("ap", "AP"), ("roc_auc", "ROC AUC"))
NOTHING = "nothing"
UNKNOWN_ROW = f"{UNKNOWN} (none of the classes)"

MAX_CURVES = 24
CURVES_IN_FIGURE = 4
MAX_OPEN_MATRIX = 12
MAX_MATRIX = 40
MAX_PAIRS = 10


def classes_section(metrics: Mapping[str, Any], thresholds: Mapping[str, float], name: str, part: str) -> Section:
    """Return the section ``classes`` of one model on one part.

    Args:
        metrics: Metrics of the model on the part, as ``metrics.json`` has them.
        thresholds: Class to the threshold at which the model decides; may lack classes, and is empty for one that
            decides by the highest score.
        name: The model's name.
        part: The part's name.
    """
    by_class: Mapping[str, Any] = metrics.get("per_class") or {}
    blocks: list[Block] = [_class_table(metrics, f"{name} on {part}")]
    curves = _curves(metrics, by_class, thresholds)
    if curves:
        blocks.append(Group("Precision against recall", tuple(_curve_blocks(curves))))
    if matrix := _confusion_blocks(metrics.get("confusion"), [*by_class, NOTHING]):
        how = (
            "A class that was missed counts once with every false alarm in the same picture, and under nothing where "
            "there is none. A false alarm with no missed class beside it stands in the row of nothing."
        )
        blocks.append(Group("What is taken for what", (*matrix, Paragraph(how, is_muted=True))))
    lead = (
        f"{name} on {part}. Precision: of the pictures said to show a class, how many do. Recall: of the pictures that "
        "show it, how many are found. AP and ROC AUC judge the order of scores, whatever the thresholds."
    )
    return Section("classes", "Class by class", tuple(blocks), lead)


def _class_table(metrics: Mapping[str, Any], caption: str) -> Table:
    columns = (
        Column("class"),
        *(Column(heading, "share") for _, heading in MEASURES),
        Column("pictures with it", "count"),
        Column("in sets", "count"),
    )
    named = [*(metrics.get("per_class") or {}).items()]
    if metrics.get("unknown"):
        named.append((UNKNOWN_ROW, metrics["unknown"]))
    rows: tuple[tuple[Value, ...], ...] = tuple(
        (
            name,
            *(estimate_of(one, measure) for measure, _ in MEASURES),
            one.get("support_pos"),
            one.get("n_atoms_pos"),
        )
        for name, one in named
    )
    return Table(columns, rows, caption, n_open=40)


def _curves(
    metrics: Mapping[str, Any], by_class: Mapping[str, Any], thresholds: Mapping[str, float]
) -> list[PrecisionRecall]:
    """Return the curves of the classes with most pictures, at most `MAX_CURVES`, in the order of the classes."""
    found: list[PrecisionRecall] = []
    support: list[int] = []
    for name, curve in (metrics.get("curves") or {}).items():
        if not curve.get("recall"):
            continue
        one = by_class.get(name, {})
        recall, precision = estimate_of(one, "recall"), estimate_of(one, "precision")
        n_known, n_positive = one.get("n_known"), one.get("support_pos") or 0
        support.append(n_positive)
        found.append(
            PrecisionRecall(
                name,
                curve["recall"],
                curve["precision"],
                estimate_of(one, "ap"),
                thresholds.get(name),
                (recall.value, precision.value) if recall and precision else None,
                n_positive / n_known if n_known else None,
            )
        )
    kept = set(sorted(range(len(found)), key=lambda n: -support[n])[:MAX_CURVES])
    return [one for n, one in enumerate(found) if n in kept]


def _curve_blocks(curves: Sequence[PrecisionRecall]) -> list[Block]:
    note = (
        "Precision upwards, recall to the right. The dot is where the model decides with its threshold; the dashed "
        "line is what guessing would reach."
    )
    starts = range(0, len(curves), CURVES_IN_FIGURE)
    figures = [
        recall_figure(
            curves[start : start + CURVES_IN_FIGURE], "Precision against recall" + (f", {n}" if n > 1 else "")
        )
        for n, start in enumerate(starts, start=1)
    ]
    if len(curves) == MAX_CURVES:
        note += f" At most {MAX_CURVES} classes are drawn: those with most pictures."
    return [Paragraph(note), Columns(tuple(figures))]


def _confusion_blocks(confusion: Sequence[Sequence[int]] | None, names: Sequence[str]) -> list[Block]:
    """Return the matrix; where it is large, the most frequent mix-ups and the matrix folded."""
    if not confusion or len(confusion) != len(names):
        return []
    blocks: list[Block] = []
    if len(names) <= MAX_MATRIX:
        counts = tuple(tuple(int(n) for n in row) for row in confusion)
        blocks.append(Matrix(tuple(names), counts, "Rows: what is there. Columns: what was decided", "is there"))
    if len(names) <= MAX_OPEN_MATRIX:
        return blocks
    folded = [Details(f"All {format_count(len(names))} classes", tuple(blocks))] if blocks else []
    pairs = sorted(
        ((n, i, j) for i, row in enumerate(confusion) for j, n in enumerate(row) if n and i != j),
        key=lambda pair: (-pair[0], pair[1], pair[2]),
    )
    columns = (Column("is there"), Column("decided"), Column("pictures", "count"))
    rows = tuple((names[i], names[j], n) for n, i, j in pairs[:MAX_PAIRS])
    return [Table(columns, rows, "Most frequent mix-ups"), *folded]
