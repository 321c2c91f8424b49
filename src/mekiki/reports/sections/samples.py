"""What the classes look like: a few pictures of each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from mekiki.reports.blocks import Block, Group, Paragraph, Section
from mekiki.reports.pictures import Gallery, Look, Picture
from mekiki.reports.values import format_count

LEADS: dict[Look, str] = {
    "shown": "Drawn at random, so that a wrong label or a broken picture has a chance to be seen.",
    "blurred": "Drawn at random. Blurred as asked for; mekiki report --pictures shown shows them as they are.",
    "none": "Drawn at random. Not shown as asked for; mekiki report --pictures shown shows them.",
}


def samples_section(
    pictures: Mapping[str, Sequence[Picture]], totals: Mapping[str, int], look: Look = "shown"
) -> Section:
    """Return the section ``samples``: one gallery per class, in the order given.

    Under its class a picture shows only its other labels.

    Args:
        pictures: Class to the pictures to show. A class without any says so.
        totals: Class to the number of all its pictures, for "6 of 340"; may lack classes.
        look: What is left of the pictures in the page.
    """
    blocks: list[Block] = []
    for name, shown in pictures.items():
        gallery = Gallery(tuple(_under(picture, name) for picture in shown))
        blocks.append(Group(name, (gallery,) if shown else (), _how_many(len(shown), totals.get(name))))
    if not blocks:
        blocks.append(Paragraph("There are no pictures to show yet. Type: mekiki ingest PATH"))
    return Section("samples", "What it looks like", tuple(blocks), LEADS[look] if pictures else "")


def _under(picture: Picture, name: str) -> Picture:
    others = tuple(f"also {label}" for label in picture.labels if label != name)
    return replace(picture, labels=others, alt=picture.spoken)


def _how_many(n_shown: int, n_all: int | None) -> str:
    if not n_shown:
        return "no picture"
    return f"{n_shown} of {format_count(n_all)}" if n_all is not None and n_all > n_shown else ""
