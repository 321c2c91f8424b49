"""Whatever is written in a figure or a page is in the font that it is written with."""

from __future__ import annotations

import base64
import io
import re
import sys

import matplotlib
from fontTools.pens.recordingPen import RecordingPen
from fontTools.ttLib import TTFont

from mekiki.reports.fonts import (
    FontFile,
    choose_fonts,
    covered_by,
    embed_fonts,
    figure_families,
    find_bundled_font,
    undrawable,
)

ANIMALS = ("アナグマ", "アライグマ", "ハクビシン", "タヌキ", "ネコ", "ノウサギ", "テン")
UNASSIGNED = "\U0003fff0"


def embedded_fonts(css: str) -> list[TTFont]:
    return [TTFont(io.BytesIO(base64.b64decode(code))) for code in re.findall(r"base64,([A-Za-z0-9+/=]+)", css)]


def test_the_japanese_font_is_there_without_importing_its_package() -> None:
    font = find_bundled_font()

    assert font is not None
    assert font.path.is_file()
    assert "matplotlib_fontja" not in sys.modules


def test_every_letter_of_the_seven_animals_has_a_shape_in_the_embedded_font() -> None:
    letters = set("".join(ANIMALS))

    fonts = embedded_fonts(embed_fonts(letters).css)

    for letter in letters:
        shapes = []
        for font in fonts:
            name = font.getBestCmap().get(ord(letter))
            if name not in (None, ".notdef"):
                pen = RecordingPen()
                font.getGlyphSet()[name].draw(pen)
                shapes.append(pen.value)
        assert len(shapes) == 1, f"{letter} is in {len(shapes)} fonts"
        assert shapes[0], f"{letter} is empty"


def test_an_embedded_font_holds_no_glyph_that_the_page_does_not_use() -> None:
    (font,) = embedded_fonts(embed_fonts("ネコと猫").css)

    assert set(map(chr, font.getBestCmap())) == set("ネコと猫")
    assert len(font.getGlyphOrder()) <= 6
    assert font["name"].getDebugName(13)


def test_the_seven_animals_take_less_than_ten_kilobytes() -> None:
    assert 1_000 < embed_fonts("".join(ANIMALS)).n_bytes < 10_000


def test_latin_greek_cyrillic_and_emoji_bring_no_font() -> None:
    fonts = embed_fonts("Dachs é ß Ω Ж – “×” → 🦡\n\t")

    assert (fonts.css, fonts.n_bytes, fonts.missing) == ("", 0, frozenset())


def test_other_scripts_come_from_the_fonts_of_this_machine() -> None:
    fonts = embed_fonts("猫 גירית")

    assert not fonts.missing
    assert [set(map(chr, font.getBestCmap())) for font in embedded_fonts(fonts.css)] in (
        [set("猫"), set("גירית")],
        [set("גירית"), set("猫")],
        [set("猫גירית")],
    )


def test_what_no_font_has_is_named_and_left_to_the_reader() -> None:
    fonts = embed_fonts("猫" + UNASSIGNED)

    assert fonts.missing == {UNASSIGNED}
    assert "U+732B" in fonts.css


def test_the_same_letters_give_the_same_bytes_in_any_order() -> None:
    assert embed_fonts("タヌキ").css == embed_fonts("キヌタタ").css


def test_the_first_font_that_has_everything_is_chosen_alone() -> None:
    bundled = find_bundled_font()
    assert bundled is not None
    latin = FontFile("DejaVu Sans", bundled.path.with_name("missing.ttf"))

    chosen, missing = choose_fonts("ネコ", [bundled, latin])

    assert chosen == [bundled]
    assert not missing


def test_no_characters_need_no_font() -> None:
    assert choose_fonts(" \n\u200d", []) == ([], frozenset())


def test_figures_know_the_japanese_font_and_nothing_else_changes() -> None:
    names = [name for name in matplotlib.rcParams if name != "backend"]
    before = [matplotlib.rcParams[name] for name in names]

    families = figure_families("Dachs アナグマ")

    assert families == ["DejaVu Sans", "IPAexGothic"]
    assert [matplotlib.rcParams[name] for name in names] == before
    assert figure_families("Dachs") == ["DejaVu Sans"]


def test_what_a_figure_cannot_draw_is_told() -> None:
    assert undrawable("アナグマ é") == frozenset()
    assert undrawable("a" + UNASSIGNED) == {UNASSIGNED}


def test_a_font_covers_only_what_it_has_a_glyph_for() -> None:
    bundled = find_bundled_font()
    assert bundled is not None

    assert covered_by(bundled, frozenset("猫" + UNASSIGNED)) == {"猫"}
