"""The worst mistakes of a model as pictures: what it missed, what it saw where nothing was."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from mekiki.reports.blocks import Block, Details, Group, Paragraph, Section
from mekiki.reports.pictures import Badge, Gallery, Picture
from mekiki.reports.values import format_count, format_share

MAX_OPEN = 12

MistakeKind = Literal["missed", "false alarm"]

_GROUPS: Sequence[tuple[MistakeKind, str, str]] = (
    ("missed", "Missed", "The picture shows the class, and the model did not decide it; the lowest score first."),
    (
        "false alarm",
        "False alarms",
        "The model decided the class, and the picture does not show it; the highest score first.",
    ),
)


@dataclass(frozen=True, slots=True)
class Mistake:
    """One class wrongly decided on one picture.

    The picture's caption says where it comes from; ``shown`` is what it shows, None where that is not known here.
    """

    picture: Picture
    class_name: str
    kind: MistakeKind
    score: float
    threshold: float
    shown: tuple[str, ...] | None = None


def mistakes_section(mistakes: Sequence[Mistake], name: str, part: str, max_open: int = MAX_OPEN) -> Section:
    """Return the section ``mistakes``: missed ones and false alarms, each in the order given, the later ones folded.

    Args:
        mistakes: The worst first.
        name: The model's name.
        part: The part on which it was judged.
        max_open: How many of each kind are shown without a click.
    """
    blocks: list[Block] = []
    for kind, title, meaning in _GROUPS:
        found = [_as_picture(one) for one in mistakes if one.kind == kind]
        if not found:
            continue
        inside: list[Block] = [Paragraph(meaning, is_muted=True), Gallery(tuple(found[:max_open]))]
        if rest := tuple(found[max_open:]):
            inside.append(Details(f"The other {format_count(len(rest))}", (Gallery(rest),)))
        blocks.append(Group(title, tuple(inside), format_count(len(found))))
    if not blocks:
        blocks.append(Paragraph(f"{name} decided every picture of {part} as its labels say."))
    lead = f"{name} on {part}. Some may be mistakes of the labels rather than of the model: look at them."
    return Section("mistakes", "Worst mistakes", tuple(blocks), lead)


def _as_picture(mistake: Mistake) -> Picture:
    is_missed = mistake.kind == "missed"
    badge = Badge("missed", "warning") if is_missed else Badge("false alarm", "failed")
    said = f"score {format_share(mistake.score)}, threshold {format_share(mistake.threshold)}"
    picture = mistake.picture
    if mistake.shown is not None:
        said += f"\nshows {', '.join(mistake.shown) or 'none of the classes'}"
    caption = f"{said}\n{picture.caption}"
    alt = f"{mistake.class_name}, {badge.text}: {said}. {picture.caption}".replace("\n", ", ")
    return replace(picture, labels=(mistake.class_name,), caption=caption, alt=alt, badges=(badge,))
