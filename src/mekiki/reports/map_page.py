"""The interactive map as one HTML file that needs nothing else: points to hover over, filter and zoom into.

It is a page of its own since it has a script, which the report's policy forbids. Its own policy allows this one
script and this one style sheet by their hashes, pictures inside the file, and nothing else. What comes from data is
in JSON, where it can end no element, and reaches the page as text only.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from mekiki.reports.map_points import NO_CLASS, NO_PART, ColorBy, DrawnMap, names_by_count, scaled
from mekiki.reports.pictures import Look
from mekiki.reports.sprites import TILES_PER_SIDE, Sheets
from mekiki.reports.text import plain_text
from mekiki.reports.values import format_bytes, format_count
from mekiki.wholefiles import write_whole

SIGN = 'content="mekiki map"'
"""Stands near the beginning of every map page, so that no other file is written over."""

SIDE = 65_535
METHOD_NAMES = {"tsne": "t-SNE", "umap": "UMAP", "pca": "PCA"}

_ESCAPES = {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"}

LOOKS: Mapping[Look, str] = {
    "shown": "",
    "blurred": "The pictures are blurred as asked for.",
    "none": "The pictures are left out as asked for.",
}


def render_map(drawn: DrawnMap, sheets: Sheets, title: str, color_by: ColorBy = "class", look: Look = "shown") -> str:
    """Return the page as HTML. The same map gives the same text.

    Args:
        drawn: What it shows.
        sheets: The pictures of the points, in their order; none at all where they are not to be shown.
        title: Heading of the page.
        color_by: What colours the points at first; ``class`` where the points do not differ by it.
        look: What is left of the pictures, for a remark.

    Raises:
        ValueError: If the sheets have tiles, but not one for each point.
    """
    if sheets.sizes and len(sheets.sizes) != len(drawn.points):
        raise ValueError(f"sheets must have {len(drawn.points)} tiles or none, got {len(sheets.sizes)}")
    script, style = _text("map.js"), _text("map.css")
    environment = Environment(
        loader=PackageLoader("mekiki.reports", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("map.html").render(
        title=plain_text(title),
        lead=plain_text(_lead(drawn)),
        remarks=_remarks(sheets, look),
        points=Markup(script_json(_columns(drawn, sheets, color_by))),  # cannot end its element
        sheets=sheets.sheets,
        script=Markup(script),  # ours
        style=Markup(style),  # ours
        script_hash=_policy_hash(script),
        style_hash=_policy_hash(style),
    )


def write_map(html: str, path: Path) -> Path:
    """Write the page; the file is whole or, after a crash, as it was before. Its folder is made where it is missing."""
    return write_whole(path, html.encode())


def script_json(content: Any) -> str:
    r"""Return JSON that may stand inside a script element: no character of it can end that, or begin another.

    Control and direction characters in its texts become visible marks; see `mekiki.reports.text.plain_text`.

    Example:
        >>> script_json(["</script>"])
        '["\\u003c/script\\u003e"]'
    """
    text = json.dumps(content, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    for character, escape in _ESCAPES.items():
        text = text.replace(character, escape)
    return text


def _columns(drawn: DrawnMap, sheets: Sheets, color_by: ColorBy) -> dict[str, Any]:
    """Return what the script reads: one list per fact, one entry per point."""
    points = drawn.points
    places = scaled(drawn.plane, SIDE)
    class_names, part_names = drawn.names_of("class"), drawn.names_of("part")
    classes, parts = names_by_count(class_names, NO_CLASS), names_by_count(part_names, NO_PART)
    choices = drawn.color_choices()
    folders, names = _split_names([point.name for point in points])
    return {
        "side": SIDE,
        "x": places[:, 0].tolist(),
        "y": places[:, 1].tolist(),
        "choices": choices,
        "colorBy": color_by if color_by in choices else "class",
        "classes": [plain_text(name) for name in classes],
        "class": _numbers(class_names, list(classes)),
        "score": [None if one.class_score is None else round(one.class_score, 3) for one in points],
        "parts": [plain_text(name) for name in parts],
        "part": _numbers(part_names, list(parts)),
        "rarity": [None if one.rarity is None else round(one.rarity, 4) for one in points],
        "rank": [one.rank for one in points],
        "folders": [plain_text(folder) for folder in folders],
        "name": [[folder, plain_text(name)] for folder, name in names],
        "id": [plain_text(one.item_id) for one in points],
        "tile": {
            "side": sheets.side_px,
            "across": TILES_PER_SIDE,
            "sizes": [list(size) for size in sheets.sizes],
        },
    }


def _numbers(names: Sequence[str], known: Sequence[str]) -> list[int]:
    number = {name: place for place, name in enumerate(known)}
    return [number[name] for name in names]


def _split_names(names: Sequence[str]) -> tuple[list[str], list[tuple[int, str]]]:
    """Return the folders, and each name as a folder's number and the rest: folders repeat thousands of times."""
    folders: dict[str, int] = {}
    split = []
    for name in names:
        folder, slash, rest = name.rpartition("/")
        split.append((folders.setdefault(folder + slash, len(folders)), rest))
    return list(folders), split


def _lead(drawn: DrawnMap) -> str:
    n_points, method = len(drawn.points), METHOD_NAMES.get(drawn.method, drawn.method)
    which = (
        format_count(n_points)
        if n_points == drawn.n_all
        else f"{format_count(n_points)} of {format_count(drawn.n_all)}, drawn at random"
    )
    return f"{method} of {drawn.what}: {which}. What is alike lies together; how far apart groups lie says little."


def _remarks(sheets: Sheets, look: Look) -> list[str]:
    n_pictures = sum(1 for size in sheets.sizes if size != (0, 0))
    remarks = ["This file stands alone and loads nothing."]
    if n_pictures:
        remarks.append(f"In it, {format_count(n_pictures)} small pictures: {format_bytes(sheets.n_bytes)}.")
    return [*remarks, LOOKS[look]] if LOOKS[look] else remarks


def _text(name: str) -> str:
    return files("mekiki.reports").joinpath("templates", name).read_text(encoding="utf-8")


def _policy_hash(text: str) -> str:
    digest = hashlib.sha256(f"\n{text}\n".encode()).digest()  # as it stands between its tags
    return f"'sha256-{base64.b64encode(digest).decode('ascii')}'"
