"""The rare things that were found, ranked: each beside its scene, with the reasons."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from mekiki.reports.blocks import Block, Column, Details, Paragraph, Section, Table
from mekiki.reports.finds import Find, FindList
from mekiki.reports.pictures import Look
from mekiki.reports.values import Value, format_count, format_counted

MAX_SHOWN = 40
MAX_OPEN = 12

_LOOKS: Mapping[Look, str] = {
    "shown": "",
    "blurred": "Pictures are blurred as asked for.",
    "none": "Pictures are not shown as asked for.",
}


@dataclass(frozen=True, slots=True)
class RareFinds:
    """What was found rare.

    Attributes:
        finds: The first of the selection, with their pictures.
        rest: The others, a row each: rank, class, joint score, words, verdict, why.
        n_ranked: Of how many these were chosen.
        unit: What they are, in the plural: ``crops``.
        kept_by: Scorer to how many its rule kept, and the rule.
        combine: How several scorers' choices were joined.
        words: Whose words there are, and what decides the final verdict; empty without.
    """

    finds: tuple[Find, ...]
    rest: tuple[tuple[Value, ...], ...] = ()
    n_ranked: int = 0
    unit: str = "items"
    kept_by: Mapping[str, tuple[int, str]] = field(default_factory=dict)
    combine: str = ""
    words: Sequence[str] = ()


def rare_section(found: RareFinds, look: Look = "shown") -> Section:
    """Return the section ``rare``: the first few in the open, the others folded.

    Args:
        found: What there is.
        look: What is left of the pictures in the page.
    """
    n_chosen = len(found.finds) + len(found.rest)
    blocks: list[Block] = []
    if not n_chosen:
        blocks.append(Paragraph(f"No rule kept any of {format_counted(found.n_ranked, *_noun(found.unit))}."))
    blocks += [Paragraph(text, is_muted=True) for text in (*found.words, _LOOKS[look]) if text]
    if len(found.kept_by) > 1:
        rows = tuple((name, rule, n) for name, (n, rule) in found.kept_by.items())
        blocks.append(Table((Column("scorer"), Column("rule"), Column("kept", "count")), rows))
    if found.finds:
        blocks.append(FindList(found.finds[:MAX_OPEN]))
    if more := found.finds[MAX_OPEN:]:
        blocks.append(Details(f"The next {format_count(len(more))}", (FindList(more),)))
    if found.rest:
        columns = (
            Column("rank", "count"),
            Column("class"),
            Column("rarity", "score"),
            Column("words"),
            Column("verdict"),
            Column("chosen for"),
        )
        table = Table(columns, found.rest, n_open=50)
        blocks.append(Details(f"The other {format_count(len(found.rest))}, without pictures", (table,)))
    how = f" ({found.combine} of what {len(found.kept_by)} scorers keep)" if len(found.kept_by) > 1 else ""
    lead = (
        f"{format_count(n_chosen)} of {format_counted(found.n_ranked, *_noun(found.unit))} were chosen{how}, the "
        "rarest first. A score of 1 is the rarest of the pile, 0 the most common."
    )
    return Section("rare", "What is rare", tuple(blocks), lead)


def _noun(plural: str) -> tuple[str, str]:
    return plural.removesuffix("s"), plural
