"""A page as one HTML file that needs nothing else: no network, no script, no font of the reader's.

Everything that comes from data is escaped by Jinja and made visible by `plain_text`; a content security policy in the
page's head forbids scripts and every address but data inside the file, should anything ever slip through.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from mekiki.records import Estimate
from mekiki.reports.blocks import Block, Page, iter_blocks
from mekiki.reports.finds import FindList
from mekiki.reports.fonts import PAGE_FAMILY, PageFonts, embed_fonts
from mekiki.reports.pictures import Gallery
from mekiki.reports.text import language_of, plain_text
from mekiki.reports.values import (
    NUMBER_KINDS,
    Value,
    ValueKind,
    format_bytes,
    format_count,
    format_counted,
    format_value,
)
from mekiki.wholefiles import write_whole

# Long paths break after these rather than inside a word. "&" and ";" of escaped characters are not among them.
_SEPARATORS = re.compile(r"[/\\_](?=\w)")
_BREAK = "<wbr>"


def render_page(page: Page) -> str:
    """Return the page as HTML. The same page gives the same text on one machine.

    Raises:
        TypeError: If a section holds something that is no block.
    """
    blocks = list(iter_blocks(page))
    for block in blocks:
        if not isinstance(getattr(block, "template", None), str):
            raise TypeError(f"a section holds blocks, got {type(block).__name__}: {block!r}")
    environment = _environment()
    body = environment.get_template("body.html").render(page=page)
    fonts = embed_fonts(set(body) | set(page.title))
    return environment.get_template("page.html").render(
        page=page,
        body=Markup(body),  # it was escaped when it was rendered
        style=Markup(_style(fonts)),  # our own style sheet, and numbers
        sizes=_sizes(blocks, fonts),
    )


def write_page(page: Page, path: Path) -> Path:
    """Write the page to a file and return its path; the file is whole or, after a crash, as it was before.

    The folder is made where it is missing.
    """
    return write_whole(path, render_page(page).encode())


def draw(block: Block, level: int = 3) -> Markup:
    """Return one block as HTML; ``level`` is that of the headings it may hold."""
    template = _environment().get_template(block.template)
    return Markup(template.render(block=block, level=level))  # escaped when it was rendered


def name_markup(text: str) -> Markup:
    """Return a name from the data, kept from reordering its surroundings, with the language its script tells."""
    language = language_of(text)
    opening = Markup('<bdi lang="{}">').format(language) if language else Markup("<bdi>")
    breakable = _SEPARATORS.sub(lambda match: match[0] + _BREAK, str(escape(plain_text(text))))
    return opening + Markup(breakable) + Markup("</bdi>")  # escaped above; breaks are added after


def cell_markup(value: Value, kind: ValueKind) -> Markup:
    """Return a table's cell: names as names, paths and ids as code, numbers as `format_value` writes them."""
    if kind == "code" and value is not None:
        return Markup("<code>{}</code>").format(name_markup(format_value(value, kind)))
    if isinstance(value, str):
        return name_markup(value)
    text = format_value(value, kind)
    if isinstance(value, Estimate) and " " in text:
        number, _, interval = text.partition(" ")
        return Markup('<span class="estimate">{} <span class="note">{}</span></span>').format(number, interval)
    return escape(text)


def _visible(value: Any) -> Any:
    """Make plain strings visible on their way into the page; markup has been through this."""
    return plain_text(value) if isinstance(value, str) and not isinstance(value, Markup) else value


@lru_cache(maxsize=1)
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("mekiki.reports", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_visible,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=False,
    )
    environment.filters.update(draw=draw, named=name_markup, cell=cell_markup, count=format_count, bytes=format_bytes)
    environment.globals.update(NUMBER_KINDS=NUMBER_KINDS)
    return environment


def _style(fonts: PageFonts) -> str:
    file = files("mekiki.reports").joinpath("templates", "style.css")
    css = file.read_text(encoding="utf-8").replace("PAGE-FAMILY", f'"{PAGE_FAMILY}"')
    css = re.sub(r"/\*.*?\*/", "", css, flags=re.DOTALL)
    return fonts.css + "\n" + re.sub(r"\s*\n\s*", "\n", css).strip()


def _sizes(blocks: Iterable[Block], fonts: PageFonts) -> str:
    galleries = [block for block in blocks if isinstance(block, Gallery | FindList)]
    n_pictures = sum(1 for gallery in galleries for picture in gallery.pictures if picture.thumbnail)
    parts = []
    if n_pictures:
        n_bytes = sum(gallery.n_bytes for gallery in galleries)
        parts.append(f"{format_counted(n_pictures, 'picture')}: {format_bytes(n_bytes)}")
    if fonts.n_bytes:
        parts.append(f"letters that your device may lack: {format_bytes(fonts.n_bytes)}")
    return "This file stands alone and loads nothing." + (f" In it, {', '.join(parts)}." if parts else "")
