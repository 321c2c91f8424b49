"""Fonts that really have the characters of a text, for figures and for pages.

Figures draw letters as shapes, so what counts is what is installed here: DejaVu Sans (it comes with matplotlib) for
Latin, Greek and Cyrillic; then IPAexGothic, which the package matplotlib-fontja brings, for Japanese; then whatever
matplotlib finds on this system for Korean, Thai, simplified Chinese and the rest. The package itself is never
imported, because importing it changes matplotlib's defaults for the whole process; only its font file is used.

Pages are read elsewhere, so the glyphs that they use beyond Latin, Greek and Cyrillic travel inside them as a subset.
IPAexGothic is under the IPA Font License 1.0, whose article 2 (3 and 5) allows copies of a document with the font
embedded to display it. Of other fonts only those are embedded whose own flags allow it without limits (OS/2
``fsType`` 0). What no font has is left to the reader's own fonts; emoji always are.
"""

from __future__ import annotations

import base64
import importlib.util
import io
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from fontTools import subset
from fontTools.ttLib import TTFont

if TYPE_CHECKING:
    from matplotlib.ft2font import FT2Font

PAGE_FAMILY = "mekiki-page"
LATIN_FAMILY = "DejaVu Sans"

# Copyright, licence and its address stay in a subset; the font's own names do not.
_KEPT_NAME_IDS = [0, 13, 14]
_VERTICAL_FEATURES = {"vert", "vrt2", "vkrn", "valt", "vhal", "vpal"}
_NOT_EMBEDDED = (
    range(0x0590),  # Latin, Greek, Cyrillic, Armenian: every reader has them
    range(0x1D00, 0x2C00),  # Latin and Greek extended, punctuation, arrows, signs
    range(0xFE00, 0xFE10),  # variation selectors
    range(0x1F000, 0x20000),  # emoji: a reader's own are coloured
    range(0xE000, 0xF900),  # private use: means nothing elsewhere
)


@dataclass(frozen=True, slots=True)
class FontFile:
    """One face in a font file, by the family name that matplotlib knows it under."""

    family: str
    path: Path
    face_index: int = 0


@dataclass(frozen=True, slots=True)
class PageFonts:
    """The glyphs that a page brings: style rules, their size, and the characters that no font here has."""

    css: str
    n_bytes: int
    missing: frozenset[str]


@lru_cache(maxsize=1)
def find_bundled_font() -> FontFile | None:
    """Return IPAexGothic from the package matplotlib-fontja without importing it, or None where it is missing."""
    package = importlib.util.find_spec("matplotlib_fontja")
    for folder in (package.submodule_search_locations or ()) if package else ():
        path = Path(folder) / "fonts" / "ipaexg.ttf"
        if path.is_file():
            return FontFile("IPAexGothic", path)
    return None


def choose_fonts(characters: Iterable[str], fonts: Iterable[FontFile]) -> tuple[list[FontFile], frozenset[str]]:
    """Return the fewest fonts that together have the characters, and those that none has.

    The first font that has all of them wins; otherwise the one that has most is taken, the earlier one where two
    have equally many, and so on with what is left. White space and joiners need no font.
    """
    left = {character for character in characters if not character.isspace() and character not in "\u200c\u200d\ufe0f"}
    found: dict[FontFile, frozenset[str]] = {}
    for font in fonts if left else ():
        found[font] = covered_by(font, frozenset(left))
        if len(found[font]) == len(left):
            return [font], frozenset()
    chosen: list[FontFile] = []
    while found and (best := max(found, key=lambda font: len(found[font] & left))) and found[best] & left:
        chosen.append(best)
        left -= found[best]
    return chosen, frozenset(left)


@lru_cache(maxsize=4096)
def covered_by(font: FontFile, characters: frozenset[str]) -> frozenset[str]:
    """Return those of the characters that the font has a glyph for."""
    face = _open_face(font)
    return frozenset(character for character in characters if face.get_char_index(ord(character)))


def figure_families(text: str) -> list[str]:
    """Return the family names, in order of preference, with which matplotlib draws every character it can.

    The bundled font is made known to matplotlib's list of fonts under its own name; no default changes.
    """
    latin = _latin_font()
    rest = set(text) - covered_by(latin, frozenset(text))
    chosen, _ = choose_fonts(rest, _other_fonts())
    bundled = find_bundled_font()
    if bundled in chosen:
        _register(bundled)
    return [LATIN_FAMILY, *(font.family for font in chosen)]


def undrawable(text: str) -> frozenset[str]:
    """Return the characters of the text that no font of this machine has, so that a figure cannot show them."""
    rest = set(text) - covered_by(_latin_font(), frozenset(text))
    return choose_fonts(rest, _other_fonts())[1]


def embed_fonts(characters: Iterable[str]) -> PageFonts:
    """Return style rules that bring the glyphs of the characters beyond Latin under the name `PAGE_FAMILY`.

    Latin text alone gives no rules. The same characters give the same bytes.
    """
    needed = {c for c in characters if not any(ord(c) in block for block in _NOT_EMBEDDED) and not c.isspace()}
    chosen, missing = choose_fonts(needed, (font for font in _other_fonts() if _may_be_embedded(font)))
    rules = []
    left = frozenset(needed)
    for font in chosen:
        here = covered_by(font, left)
        left -= here
        encoded = base64.b64encode(subset_font(font, here)).decode("ascii")
        rules.append(
            f'@font-face{{font-family:"{PAGE_FAMILY}";src:url(data:font/woff;base64,{encoded}) format("woff");'
            f"unicode-range:{','.join(f'U+{ord(c):X}' for c in sorted(here))}}}"
        )
    css = "\n".join(rules)
    return PageFonts(css, len(css), missing)


def subset_font(font: FontFile, characters: Iterable[str]) -> bytes:
    """Return a WOFF font with the glyphs of these characters alone."""
    options = subset.Options(flavor="woff", name_IDs=_KEPT_NAME_IDS, hinting=False)
    options.layout_features = sorted(set(options.layout_features) - _VERTICAL_FEATURES)
    options.drop_tables += ["vhea", "vmtx", "VORG", "FFTM"]
    with TTFont(font.path, fontNumber=font.face_index, lazy=True, recalcTimestamp=False) as face:
        subsetter = subset.Subsetter(options)
        subsetter.populate(unicodes=sorted(map(ord, characters)))
        subsetter.subset(face)
        stream = io.BytesIO()
        subset.save_font(face, stream, options)
    return stream.getvalue()


@lru_cache(maxsize=1)
def _latin_font() -> FontFile:
    import matplotlib

    return FontFile(LATIN_FAMILY, Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf")


@lru_cache(maxsize=1)
def _other_fonts() -> tuple[FontFile, ...]:
    """The bundled font, then this system's upright regular ones by name."""
    from matplotlib import font_manager

    bundled = find_bundled_font()
    entries = sorted(
        (entry.name, entry.fname, getattr(entry, "index", 0))
        for entry in font_manager.fontManager.ttflist
        if entry.style == "normal" and entry.variant == "normal" and entry.weight in (400, "normal", "regular", "book")
    )
    installed = {
        name: FontFile(name, Path(path), index)
        for name, path, index in reversed(entries)
        if not name.startswith("Last Resort") and "Emoji" not in name and name != "IPAexGothic"
    }
    return (*((bundled,) if bundled else ()), *(installed[name] for name in sorted(installed)))


@lru_cache(maxsize=1)
def _register(font: FontFile) -> None:
    from matplotlib import font_manager

    font_manager.fontManager.addfont(font.path)


def _open_face(font: FontFile) -> FT2Font:
    from matplotlib.ft2font import FT2Font

    return FT2Font(str(font.path), face_index=font.face_index) if font.face_index else FT2Font(str(font.path))


@lru_cache(maxsize=1024)
def _may_be_embedded(font: FontFile) -> bool:
    table = _open_face(font).get_sfnt_table("OS/2")
    return table is not None and table.get("fsType") == 0
