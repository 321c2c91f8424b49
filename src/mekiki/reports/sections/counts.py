"""How many pictures there are: by kind, class, part, site and hour of the day."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from mekiki.reports.blocks import Bar, Bars, Block, Columns, Fact, Facts, Group, Paragraph, Section
from mekiki.reports.figures import activity_figure, stacked_bars
from mekiki.reports.values import format_counted, format_percent

MAX_FIGURE_ROWS = 24
MAX_HOUR_ROWS = 10


@dataclass(frozen=True, slots=True)
class Counts:
    """What is counted, each by its name; what is empty is left out of the page.

    ``by_object`` is what detectors call what they found. ``by_class_and_part`` is class to part to count, its parts in
    the order of ``by_part``. ``by_hour`` is class to 24 counts from midnight on. ``n_unknown`` pictures show none of
    the classes, ``n_unlabelled`` have no label.
    """

    by_kind: Mapping[str, int] = field(default_factory=dict)
    by_class: Mapping[str, int] = field(default_factory=dict)
    by_part: Mapping[str, int] = field(default_factory=dict)
    by_class_and_part: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    by_site: Mapping[str, int] = field(default_factory=dict)
    by_hour: Mapping[str, Sequence[int]] = field(default_factory=dict)
    n_unknown: int = 0
    n_unlabelled: int = 0
    by_object: Mapping[str, int] = field(default_factory=dict)


def counts_section(counts: Counts) -> Section:
    """Return the section ``counts``; names keep the order in which they are given.

    Figures show the largest classes, at most 24, and 10 for the hours of the day, so that they stay readable.
    """
    blocks: list[Block] = []
    if counts.by_kind:
        blocks.append(Facts(tuple(Fact(kind, n) for kind, n in counts.by_kind.items())))
    if counts.by_object:
        objects: Block = Bars(_bars(counts.by_object), "Objects found, by the class that the detector gave")
        blocks.append(Group("By object", (objects,)))
    if counts.by_class or not counts.by_object:
        blocks.append(Group("By class", tuple(_class_blocks(counts))))
    if counts.by_part:
        blocks.append(Group("By part", tuple(_part_blocks(counts))))
    if counts.by_site:
        sites = Bars(
            _bars(counts.by_site), f"Pictures per site, {format_counted(len(counts.by_site), 'site')}", n_open=12
        )
        blocks.append(Group("By site", (sites,)))
    if counts.by_hour:
        shown = _largest({name: sum(hours) for name, hours in counts.by_hour.items()}, MAX_HOUR_ROWS)
        figure = activity_figure(
            {name: counts.by_hour[name] for name in shown},
            "Pictures per hour of the day, each row scaled to its busiest hour",
        )
        blocks.append(Group("By hour of the day", (figure,)))
    return Section("counts", "What is there", tuple(blocks))


def _class_blocks(counts: Counts) -> list[Block]:
    if not counts.by_class:
        return [Paragraph("No picture has a label yet. Type: mekiki ingest PATH --labels FILE")]
    blocks: list[Block] = [Bars(_bars(counts.by_class), "Pictures per class; one picture can show several")]
    remarks = []
    if counts.n_unknown:
        remarks.append(f"None of these classes: {format_counted(counts.n_unknown, 'picture')}.")
    if counts.n_unlabelled:
        remarks.append(f"No label yet: {format_counted(counts.n_unlabelled, 'picture')}.")
    if remarks:
        blocks.append(Paragraph(" ".join(remarks), is_muted=True))
    return blocks


def _part_blocks(counts: Counts) -> list[Block]:
    total = max(sum(counts.by_part.values()), 1)
    bars: Block = Bars(
        tuple(Bar(part, n, format_percent(n / total)) for part, n in counts.by_part.items()), "Pictures per part"
    )
    if not counts.by_class_and_part:
        return [bars]
    shown = _largest({name: sum(row.values()) for name, row in counts.by_class_and_part.items()}, MAX_FIGURE_ROWS)
    rest = len(counts.by_class_and_part) - len(shown)
    figure = stacked_bars(
        {name: counts.by_class_and_part[name] for name in shown},
        list(counts.by_part),
        "Pictures per class and part" + (f", the {len(shown)} largest of {len(shown) + rest} classes" if rest else ""),
    )
    return [Columns((figure, bars))]


def _bars(counts: Mapping[str, int]) -> tuple[Bar, ...]:
    return tuple(Bar(name, n) for name, n in counts.items())


def _largest(totals: Mapping[str, int], n: int) -> list[str]:
    """Return the names of the ``n`` largest totals in the order given; of equal ones the earlier stay."""
    kept = set(sorted(totals, key=lambda name: -totals[name])[:n])
    return [name for name in totals if name in kept]
