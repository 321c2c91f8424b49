"""How well rankings find what is known to be rare, beside chance."""

from __future__ import annotations

from collections.abc import Sequence
from typing import get_args

from mekiki.catalog.rarity_metrics import RarityMetrics
from mekiki.metrics.beside_chance import Verdict
from mekiki.reports.blocks import Block, Column, Group, Paragraph, Section, Table
from mekiki.reports.values import format_count

NAMES = {
    "average_precision": "Average precision",
    "precision_at_n": "Precision at n",
    "recall_at_n": "Recall at n",
    "recall_at_2n": "Recall at 2n",
}
"""Figures that a page shows, where they were measured; n is how many are rare.

The first n hold as large a share of what is rare as is rare of them, so recall at n is shown where precision is not.
"""


def scorers_section(measurements: Sequence[RarityMetrics]) -> Section:
    """Return the section ``scorers``: of each measurement one table per figure, a row per scorer, beside chance."""
    groups = tuple(Group(_title(one), tuple(_tables(one))) for one in measurements)
    lead = (
        "Against what is known to be rare. Chance is what a random order of the same things has. A scorer is above "
        "chance where the interval of its gain is, and fewer than one in 40 random orders reach what it found; what "
        "belongs together stays together in these. Where the interval is not reliable, nothing is told."
    )
    return Section("scorers", "Do the scorers find what is rare?", groups, lead)


def _title(one: RarityMetrics) -> str:
    if one.kind == "inject":
        return f"{format_count(one.n_rare)} odd pictures, hidden among {format_count(one.n_items)} {one.unit}"
    return f"{format_count(one.n_rare)} of {format_count(one.n_items)} {one.unit} are known to be rare"


def _tables(one: RarityMetrics) -> list[Block]:
    blocks: list[Block] = [Paragraph(f"What counts as rare: {one.told}.", is_muted=True)] if one.told else []
    blocks.append(Paragraph(_sentence(one)))
    columns = (
        Column("scorer"),
        Column("found", "share"),
        Column("chance", "share"),
        Column("verdict"),
        Column("gain", "difference"),
    )
    measured = {name for figures in one.scorers.values() for name in figures}
    for name, title in NAMES.items():
        if name == "recall_at_n" and "precision_at_n" in measured:
            continue
        rows = tuple(
            (scorer, figures[name].found, figures[name].chance, figures[name].verdict, figures[name].gain)
            for scorer, figures in one.scorers.items()
            if name in figures
        )
        if rows:
            blocks.append(Table(columns, rows, caption=title))
    blocks += [Paragraph(f"{scorer} was not measured: {why}.", is_muted=True) for scorer, why in one.left_out.items()]
    return blocks


def _sentence(one: RarityMetrics) -> str:
    """Return, for the figure that says most, which scorers are above chance, which are not, and where none can tell."""
    name = next((name for name in NAMES if any(name in figures for figures in one.scorers.values())), None)
    if name is None:
        return "Nothing could be measured."
    verdicts = {scorer: figures[name].verdict for scorer, figures in one.scorers.items() if name in figures}
    told = []
    for verdict in get_args(Verdict):
        scorers = [scorer for scorer, said in verdicts.items() if said == verdict]
        if scorers:
            told.append(f"{verdict}: {', '.join(scorers)}")
    return f"By {NAMES[name].lower()}, {'; '.join(told)}."
