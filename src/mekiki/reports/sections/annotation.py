"""How pictures got their labels: answers and what they cost, classes given, and whether annotators agree."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from mekiki.reports.blocks import Bar, Bars, Block, Column, Fact, Facts, Group, Paragraph, Section, Table
from mekiki.reports.measures import estimate_of
from mekiki.reports.values import Value, format_count

WHAT_KAPPA_IS = (
    "Kappa is agreement beyond chance: 1 is always the same answer, 0 what two would reach who guess, each as often as "
    "they say yes. Where one of them always says the same it has no value."
)


@dataclass(frozen=True, slots=True)
class Annotation:
    """What one annotator did, as the page tells it.

    ``totals`` are names and values in the order shown: calls, tokens, cost. ``by_class`` is class to the pictures that
    were said to show it; ``left_out`` is what answers named that is no class, and how often. ``n_failed`` pictures or
    entries gave no label. ``problem`` says what could not be read.
    """

    annotator: str
    totals: Mapping[str, Value] = field(default_factory=dict)
    by_class: Mapping[str, int] = field(default_factory=dict)
    left_out: Mapping[str, int] = field(default_factory=dict)
    n_failed: int = 0
    problem: str = ""


def annotation_section(
    annotations: Sequence[Annotation], agreement: Mapping[str, Any] | None = None, problem: str = ""
) -> Section:
    """Return the section ``annotation``: each annotator's totals and classes, then how far any two agree.

    Args:
        annotations: In the order in which they are shown.
        agreement: What ``agreement.json`` holds; None where nobody asked.
        problem: Why it could not be read.
    """
    blocks: list[Block] = [Group(one.annotator, tuple(_annotation_blocks(one))) for one in annotations]
    for pair in (agreement or {}).get("pairs") or ():
        title = f"Agreement of {pair['first']} and {pair['second']}"
        blocks.append(Group(title, (_agreement_table(pair), Paragraph(WHAT_KAPPA_IS, is_muted=True))))
    if agreement is not None and not agreement.get("pairs"):
        blocks.append(Paragraph("No two annotators have labelled the same picture, so their agreement is not known."))
    if problem:
        blocks.append(Paragraph(problem))
    return Section("annotation", "Labels and who gave them", tuple(blocks))


def _annotation_blocks(annotation: Annotation) -> list[Block]:
    if annotation.problem:
        return [Paragraph(annotation.problem)]
    blocks: list[Block] = []
    if annotation.totals:
        blocks.append(Facts(tuple(Fact(name, value, kind="number") for name, value in annotation.totals.items())))
    if annotation.n_failed:
        blocks.append(
            Paragraph(
                f"Without a label: {format_count(annotation.n_failed)}. No label was made up for what failed: it is "
                "listed under Failures, and the same command tries it again."
            )
        )
    if annotation.by_class:
        bars = tuple(Bar(name, n) for name, n in annotation.by_class.items())
        blocks.append(Bars(bars, "Pictures said to show a class; one picture can show several"))
    if annotation.left_out:
        named = ", ".join(f"{name} ({format_count(n)})" for name, n in annotation.left_out.items())
        blocks.append(Paragraph(f"Named in answers but no class, so left out: {named}.", is_muted=True))
    return blocks or [Paragraph("Nothing was annotated.")]


def _agreement_table(pair: Mapping[str, Any]) -> Table:
    columns = (
        Column("class"),
        Column("kappa", "share"),
        Column("pictures judged by both", "count"),
        Column("same answer", "percent"),
    )
    rows: tuple[tuple[Value, ...], ...] = tuple(
        (name, estimate_of(one, "kappa"), one.get("n"), one.get("agreement"))
        for name, one in (pair.get("classes") or {}).items()
    )
    return Table(columns, rows, f"{pair['first']} against {pair['second']}")
