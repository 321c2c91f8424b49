"""The map of vectors as a still picture, and where the page is on which it can be explored."""

from __future__ import annotations

from mekiki.reports.blocks import Block, Columns, Link, Paragraph, Section, Verdict
from mekiki.reports.figures_map import class_figure, rarity_figure
from mekiki.reports.map_page import METHOD_NAMES
from mekiki.reports.map_points import DrawnMap
from mekiki.reports.values import format_count


def map_section(drawn: DrawnMap, page: str = "", *, is_earlier: bool = False) -> Section:
    """Return the section ``map``: the map by class, and by rarity where something was mined.

    Args:
        drawn: What ``map`` laid out; items that have been forgotten since are missing.
        page: Path of the interactive page from this one; empty where it is gone.
        is_earlier: Whether it is of other vectors or objects than those that were mined last.
    """
    method = METHOD_NAMES.get(drawn.method, drawn.method)
    n_points = len(drawn.points)
    which = f"{format_count(n_points)} of {format_count(drawn.n_all)}" if n_points < drawn.n_all else "All"
    lead = (
        f"{which} points: {drawn.what}, laid out by {method}. What is alike lies together; how far apart groups lie "
        "says little."
    )
    if not n_points:
        why = "What was on the map has been forgotten." if drawn.n_all else "There was nothing to lay out."
        return Section("map", "Map", (Paragraph(why),))
    figures = [class_figure(drawn, "By class")]
    rarity = rarity_figure(drawn, "From common to rare")
    blocks: list[Block] = [Columns((*figures, rarity))] if rarity else list(figures)
    if is_earlier:
        earlier = "This map is of other vectors or objects than what is ranked above. Type: mekiki map"
        blocks.insert(0, Verdict("warning", earlier))
    if page:
        blocks.append(Link(page, "Explore the map: see the picture behind each point, filter and zoom"))
    return Section("map", "Map", tuple(blocks), lead)
