"""A page stands alone, is harmless whatever its data says, and can be read by everybody."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from mekiki.records import Estimate
from mekiki.reports.blocks import (
    Bar,
    Bars,
    Code,
    Column,
    Columns,
    Details,
    Fact,
    Facts,
    Figure,
    Group,
    Matrix,
    Page,
    Paragraph,
    Section,
    Table,
    Verdict,
    facts_from,
    iter_blocks,
)
from mekiki.reports.figures import bar_figure
from mekiki.reports.page import render_page, write_page
from mekiki.reports.pictures import Badge, Gallery, Picture, make_thumbnail

HOSTILE = [
    pytest.param("<script>alert(1)</script>", id="script"),
    pytest.param('"><img src=x onerror=alert(1)>', id="quotes and a tag"),
    pytest.param("' onmouseover='alert(1)", id="attribute"),
    pytest.param("</style><script>alert(1)</script>", id="end of style"),
    pytest.param("--><script>alert(1)</script>", id="end of comment"),
    pytest.param("javascript:alert(1)", id="javascript address"),
    pytest.param("{{ 7 * 7 }}{% raw %}", id="template"),
    pytest.param("\u202egpj.exe\u2066", id="direction"),
    pytest.param("a\0b\x1b[2J\x08", id="control"),
    pytest.param("caf\udce9", id="no UTF-8"),
    pytest.param("a/<script>/_<b>_\\<i>", id="breaks beside tags"),
    pytest.param("&lt;script&gt;&#0;", id="entities"),
]

VOID = {"meta", "img", "wbr", "br", "circle", "path"}


class Outline(HTMLParser):
    """What a browser would see: elements with their attributes, text, and whether every element is closed."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.texts: list[str] = []
        self.opened: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in VOID:
            self.opened.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.opened.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    @property
    def text(self) -> str:
        return "".join(self.texts)

    def named(self, tag: str) -> Iterator[dict[str, str]]:
        return (attributes for name, attributes in self.elements if name == tag)


def picture(caption: str = "a.jpg", labels: tuple[str, ...] = (), badge: str = "") -> Picture:
    pixels = np.full((30, 40, 3), 120, np.uint8)
    return Picture(make_thumbnail(pixels), caption, labels=labels, badges=(Badge(badge),) if badge else ())


def full_page(name: str = "タヌキ") -> Page:
    """A page with every kind of block, the name in every place that takes a string."""
    table = Table((Column(name, unit=name), Column("path", "code")), ((name, name),) * 3, name, n_open=2)
    blocks = (
        Paragraph(name),
        Facts((Fact(name, name, name),)),
        facts_from({name: name}),
        table,
        Bars((Bar(name, 3, name), Bar(name, 1)), name, n_open=1),
        Matrix((name, name), ((3, 1), (0, 0)), name, name),
        bar_figure({name: 3, "cat": 2}, name, name),
        Gallery((picture(name, (name,), name), Picture(None, name, name)), name, n_total=9),
        *(Verdict(state, name, (name,)) for state in ("ok", "warning", "failed")),
        Details(name, (Code(name), Code.from_json({name: name}))),
        Columns((Group(name, (Group(name, (Paragraph(name),)),), name), Paragraph(name, is_muted=True))),
    )
    sections = (Section("one", name, blocks, name), Section("two", name, ()))
    return Page(name, sections, lead=name, facts=(Fact(name, name, name),), small_print=(name,))


def test_every_element_is_closed_and_ids_are_unique() -> None:
    outline = Outline(render_page(full_page()))

    assert not outline.opened
    ids = [attributes["id"] for _, attributes in outline.elements if "id" in attributes]
    assert len(ids) == len(set(ids))


def test_nothing_is_loaded_from_anywhere() -> None:
    html = render_page(full_page())

    outline = Outline(html)
    for tag, attributes in outline.elements:
        assert tag not in {"script", "link", "iframe", "object", "embed", "base", "form"}
        assert not any(name.startswith("on") for name in attributes)
        for name in ("src", "href", "xlink:href", "srcset", "action", "background", "poster"):
            assert attributes.get(name, "#").startswith(("#", "data:image/jpeg;base64,"))
    style = re.search(r"<style>(.*?)</style>", html, re.DOTALL)
    assert style
    assert "@import" not in style[1]
    assert all(url.startswith("data:font/woff;base64,") for url in re.findall(r"url\(([^)]*)\)", style[1]))
    assert "://" not in re.sub(r"base64,[A-Za-z0-9+/=]+", "", html)


def test_the_browser_is_told_to_load_nothing() -> None:
    outline = Outline(render_page(full_page()))

    policy = next(m["content"] for m in outline.named("meta") if m.get("http-equiv") == "Content-Security-Policy")
    assert "default-src 'none'" in policy
    assert "script-src" not in policy


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_stay_text_wherever_they_stand(name: str) -> None:
    harmless = Outline(render_page(full_page("name")))

    html = render_page(full_page(name))

    outline = Outline(html)
    shape = [tag for tag, _ in outline.elements if tag not in {"wbr", "path", "use", "defs", "g"}]
    assert shape == [tag for tag, _ in harmless.elements if tag not in {"wbr", "path", "use", "defs", "g"}]
    assert [sorted(a) for t, a in outline.elements if t == "img"] == [sorted(a) for a in harmless.named("img")]
    assert not re.search(r"[\x00-\x08\x0b-\x1f\u202a-\u202e\u2066-\u2069\ud800-\udfff]", html)
    html.encode("utf-8")


def test_a_page_can_be_heard_and_reached_by_keyboard() -> None:
    outline = Outline(render_page(full_page()))

    assert next(outline.named("html"))["lang"] == "en"
    assert all(attributes["alt"] for attributes in outline.named("img"))
    levels = [int(tag[1]) for tag, _ in outline.elements if re.fullmatch(r"h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels))
    drawings = [a for tag, a in outline.elements if a.get("class") == "drawing"]
    assert all(a["role"] == "img" and a["aria-label"] for a in drawings)
    assert all(a["tabindex"] == "0" and a["aria-label"] for t, a in outline.elements if a.get("class") == "scroll")
    targets = {attributes.get("id") for _, attributes in outline.elements}
    assert all(a["href"][1:] in targets for a in outline.named("a"))


def test_japanese_names_say_their_language_and_bring_their_letters() -> None:
    html = render_page(full_page("タヌキ"))

    assert '<bdi lang="ja">タヌキ</bdi>' in html
    for letter in "タヌキ":
        assert f"U+{ord(letter):X}" in html
    assert "letters that your device may lack: " in html


def test_a_latin_page_brings_no_font() -> None:
    assert "@font-face" not in render_page(full_page("badger"))


def test_long_tables_fold_after_their_first_rows_and_lose_none() -> None:
    table = Table((Column("name"), Column("n", "count")), tuple((f"row{n}", n) for n in range(30)), "Many", n_open=5)

    html = render_page(Page("p", (Section("s", "S", (table,)),)))

    shown, folded = html.split("<details>")
    assert [f"row{n}<" in shown for n in range(30)] == [True] * 5 + [False] * 25
    assert all(f"row{n}<" in folded for n in range(5, 30))
    assert "Show the other 25 rows" in folded


def test_numbers_carry_their_interval_and_an_unreliable_one_its_note() -> None:
    rows = (("cat", Estimate(0.91, 0.88, 0.94)), ("fox", Estimate(0.5, 0.1, 0.9, is_reliable=False)))
    table = Table((Column("class"), Column("F1", "share")), rows)

    text = Outline(render_page(Page("p", (Section("s", "S", (table,)),)))).text

    assert "0.91 (0.88 to 0.94)" in text
    assert "0.50 (0.10 to 0.90) †" in text
    assert "rests on too few independent groups" in text


def test_a_gallery_says_how_many_there_are_and_what_it_weighs() -> None:
    gallery = Gallery((picture(), Picture(None, "gone.jpg")), n_total=1234)

    text = Outline(render_page(Page("p", (Section("s", "S", (gallery,)),)))).text

    assert "2 of 1,234 are shown." in text
    assert "picture not readable" in text
    assert f"1 picture: {gallery.n_bytes} B" in text


def test_the_same_page_gives_the_same_text() -> None:
    assert render_page(full_page()) == render_page(full_page())


def test_an_empty_page_is_a_page() -> None:
    html = render_page(Page("Nothing yet", ()))

    assert not Outline(html).opened
    assert "<nav" not in html


def test_a_page_with_300_pictures_stays_under_three_megabytes() -> None:
    rng = np.random.default_rng(1)
    noise = [rng.integers(0, 256, (120, 160, 3), np.uint8) for _ in range(3)]
    thumbnails = [make_thumbnail(pixels) for pixels in noise]
    pictures = tuple(
        Picture(thumbnails[n % 3], f"cameras/site-{n % 7}/IMG_{n}.jpg", labels=("タヌキ",)) for n in range(300)
    )

    html = render_page(Page("p", (Section("s", "S", (Gallery(pictures),)),)))

    assert len(html.encode()) < 3_000_000


def test_writing_makes_the_folder_and_leaves_no_other_file(tmp_path: Path) -> None:
    path = write_page(full_page(), tmp_path / "reports" / "報告.html")

    assert path.read_text(encoding="utf-8") == render_page(full_page())
    assert list(path.parent.iterdir()) == [path]


def test_a_page_that_cannot_be_drawn_leaves_the_old_file(tmp_path: Path) -> None:
    path = write_page(full_page(), tmp_path / "report.html")
    before = path.read_bytes()

    with pytest.raises(TypeError, match="a section holds blocks, got str"):
        write_page(Page("p", (Section("s", "S", ("text",)),)), path)  # type: ignore[arg-type]

    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("name", ["", "Counts", "1st", 'a"b', "a b", "ä"])
def test_a_section_id_is_a_plain_word(name: str) -> None:
    with pytest.raises(ValueError, match="a section's id must be like 'counts'"):
        Section(name, "S", ())


def test_two_sections_cannot_share_an_id() -> None:
    with pytest.raises(ValueError, match="section ids must differ, got 's' twice"):
        Page("p", (Section("s", "S", ()), Section("s", "T", ())))


def test_a_row_must_fit_its_table() -> None:
    with pytest.raises(ValueError, match="a row must have 1 values, got 2"):
        Table((Column("a"),), (("x", "y"),))


def test_a_matrix_shades_each_row_by_its_own_sum_and_is_square() -> None:
    matrix = Matrix(("a", "b"), ((30, 10), (0, 0)), "c")

    html = render_page(Page("p", (Section("s", "S", (matrix,)),)))

    assert [matrix.share(i, j) for i in (0, 1) for j in (0, 1)] == [0.75, 0.25, 0, 0]
    assert '<td class="n right" style="--share:0.75">30</td>' in html
    assert '<td class="n wrong" style="--share:0.25">10</td>' in html
    assert '<td class="n none" style="--share:0.00">0</td>' in html
    with pytest.raises(ValueError, match=r"counts must be 2 rows of 2, got \[2, 1\]"):
        Matrix(("a", "b"), ((1, 2), (3,)), "c")


def test_a_figure_that_was_not_measured_asks_for_no_note() -> None:
    nothing = Estimate(float("nan"), float("nan"), float("nan"), is_reliable=False)

    assert Table((Column("a"), Column("F1", "share")), (("cat", nothing),)).footnote == ""


def test_a_drawing_must_be_a_cleaned_one() -> None:
    with pytest.raises(ValueError, match="svg must be a cleaned drawing"):
        Figure(type(bar_figure({"a": 1}, "c").drawing)("<svg onload=x><script>", 1, 1), "alt", "c")


def test_blocks_inside_blocks_are_found_in_reading_order() -> None:
    page = Page(
        "p", (Section("s", "S", (Group("g", (Paragraph("1"), Details("d", (Paragraph("2"),)))), Paragraph("3"))),)
    )

    assert [block.text for block in iter_blocks(page) if isinstance(block, Paragraph)] == ["1", "2", "3"]
