"""Pictures that are the same, or nearly: each group with its pictures and files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from mekiki.reports.blocks import Block, Column, Columns, Details, Group, Paragraph, Section, Table
from mekiki.reports.pictures import Badge, Gallery, Picture
from mekiki.reports.values import format_count, format_counted

MIRRORED = Badge("mirrored", "accent")
"""For pictures that match the first of their group only when flipped."""

MAX_GROUPS = 12
MAX_FILES = 6
MAX_LISTED = 2000


@dataclass(frozen=True, slots=True)
class DuplicateGroup:
    """Pictures that belong together: ``exact`` are the same bytes under several names, ``near`` look alike.

    Captions say which file each is. Of an exact group only the first picture needs a thumbnail, of a near one those
    that are shown side by side.
    """

    kind: Literal["exact", "near"]
    pictures: tuple[Picture, ...]


def duplicates_section(groups: Sequence[DuplicateGroup], max_groups: int = MAX_GROUPS, n_inside: int = 0) -> Section:
    """Return the section ``duplicates``: the first groups of each kind as pictures, the rest as a folded list.

    An exact group is one picture with its names, a near group up to six pictures side by side.

    Args:
        groups: In the order in which they are shown, usually the largest first.
        max_groups: Groups of each kind that are shown as pictures.
        n_inside: Groups of frames of one clip that resemble each other; they are only counted.
    """
    exact = [group for group in groups if group.kind == "exact"]
    near = [group for group in groups if group.kind == "near"]
    blocks: list[Block] = []
    if exact:
        what = Paragraph("The same content under more than one name. It counts as one picture.")
        shown: Block = Gallery(tuple(_as_one(group) for group in exact[:max_groups]))
        blocks.append(Group("Identical files", (what, shown, *_rest(exact, max_groups)), _how_many(exact)))
    if near:
        mirrored = sum(MIRRORED in picture.badges for group in near for picture in group.pictures)
        flipped = f" Matching only when flipped left to right: {format_count(mirrored)}." if mirrored else ""
        what = Paragraph("Different files that show the same picture. A split never parts them." + flipped)
        shown = Columns(tuple(_side_by_side(n, group) for n, group in enumerate(near[:max_groups], start=1)))
        blocks.append(Group("Near-duplicates", (what, shown, *_rest(near, max_groups)), _how_many(near)))
    if n_inside:
        inside = (
            f"{format_counted(n_inside, 'more group')} of frames that resemble each other lie within one clip each."
        )
        blocks.append(Paragraph(inside, is_muted=True))
    if not blocks:
        blocks.append(Paragraph("No duplicates were found."))
    return Section("duplicates", "Duplicates", tuple(blocks))


def _as_one(group: DuplicateGroup) -> Picture:
    names = [picture.caption for picture in group.pictures]
    more = [f"and {format_count(len(names) - MAX_FILES)} more"] if len(names) > MAX_FILES else []
    badge = Badge(f"{format_count(len(names))} files")
    return replace(group.pictures[0], caption="\n".join(names[:MAX_FILES] + more), alt=names[0], badges=(badge,))


def _side_by_side(n: int, group: DuplicateGroup) -> Gallery:
    return Gallery(group.pictures[:MAX_FILES], f"Group {n}", n_total=len(group.pictures))


def _how_many(groups: Sequence[DuplicateGroup]) -> str:
    n_pictures = sum(len(group.pictures) for group in groups)
    return f"{format_counted(len(groups), 'group')}, {format_counted(n_pictures, 'file')}"


def _rest(groups: Sequence[DuplicateGroup], n_shown: int) -> tuple[Block, ...]:
    rest = groups[n_shown:]
    rows = [(n, one.caption) for n, group in enumerate(rest, start=n_shown + 1) for one in group.pictures]
    if not rows:
        return ()
    table = Table((Column("group", "count"), Column("file", "code")), tuple(rows[:MAX_LISTED]), n_open=MAX_LISTED)
    blocks: list[Block] = [table]
    if len(rows) > MAX_LISTED:
        blocks.append(Paragraph(f"{format_count(len(rows) - MAX_LISTED)} more files are not listed.", is_muted=True))
    return (Details(f"The other {format_count(len(rest))} as a list", tuple(blocks)),)
