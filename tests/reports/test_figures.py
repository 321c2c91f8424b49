"""Figures show every name in real letters, tell their numbers, and carry nothing but shapes."""

from __future__ import annotations

import re
import warnings
from concurrent.futures import ThreadPoolExecutor
from xml.etree import ElementTree

import matplotlib
import pytest

from mekiki.reports.blocks import Figure
from mekiki.reports.figures import activity_figure, bar_figure, stacked_bars

ANIMALS = ("アナグマ", "アライグマ", "ハクビシン", "タヌキ", "ネコ", "ノウサギ", "テン")
PARTS = ("train", "val", "test")
UNASSIGNED = "\U0003fff0"


def by_part(names: tuple[str, ...] = ANIMALS) -> dict[str, dict[str, int]]:
    return {name: {"train": 70 * n, "val": 15 * n, "test": 15 * n} for n, name in enumerate(names, start=1)}


def shapes(figure: Figure) -> ElementTree.Element:
    return ElementTree.fromstring(figure.drawing.svg)


def bars_of(figure: Figure, series: int) -> list[str]:
    return re.findall(rf'd="([^"]+)" style="fill: var\(--series-{series},', figure.drawing.svg)


def width_of(path: str) -> float:
    xs = [float(x) for x in re.findall(r"[ML](-?[\d.]+)", path)]
    return max(xs) - min(xs)


def test_japanese_names_are_drawn_without_a_missing_letter() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")

        figure = stacked_bars(by_part(), PARTS, "Pictures per class and part")

    assert figure.table is not None
    assert [row[0] for row in figure.table.rows] == list(ANIMALS)
    # One outline per different letter, none shared: a box for missing letters would be one outline for many.
    letters = set("".join(ANIMALS) + "".join(PARTS))
    outlines = [node.get("d") for node in shapes(figure).iter("path") if node.get("id")]
    assert len(outlines) == len(set(outlines)) >= len(letters)


def test_a_name_that_no_font_has_becomes_its_number_and_the_table_says_which() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")

        figure = bar_figure({"cat": 3, UNASSIGNED: 5}, "Pictures per class")

    assert figure.table is not None
    assert figure.table.columns[0].name == "in the figure"
    assert figure.table.rows[1] == ("#2", UNASSIGNED, 5)


def test_bars_are_as_long_as_their_counts() -> None:
    figure = bar_figure({"a": 100, "b": 50, "c": 0}, "Pictures per class")

    longest, half = (width_of(path) for path in bars_of(figure, 1))
    assert half == pytest.approx(longest / 2, rel=0.02)


def test_a_stack_has_one_piece_per_series_and_its_total_in_the_table() -> None:
    figure = stacked_bars({"a": {"train": 7, "test": 3}}, PARTS, "Pictures per class and part")

    assert [len(bars_of(figure, n)) for n in (1, 2, 3)] == [2, 1, 2]  # legend and bar; no bar for val
    assert figure.table is not None
    assert figure.table.rows == (("a", 7, 0, 3, 10),)
    assert "a with 10" in figure.alt


def test_hours_are_scaled_to_each_rows_busiest_hour() -> None:
    rare, common = [0] * 24, [0] * 24
    rare[3], common[20] = 2, 2000

    figure = activity_figure({"テン": rare, "ネコ": common}, "Pictures per hour")

    assert "テン at 3:00" in figure.alt
    assert len(bars_of(figure, 1)) == 2


@pytest.mark.parametrize(
    ("counts", "message"),
    [
        pytest.param({}, "at least one name", id="nothing"),
        pytest.param({"a": -1}, "must not be negative, got -1 for 'a'", id="negative"),
    ],
)
def test_what_cannot_be_drawn_is_refused(counts: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        bar_figure(counts, "Pictures per class")


def test_a_day_has_24_hours() -> None:
    with pytest.raises(ValueError, match="must have 24 counts, got 23"):
        activity_figure({"cat": [0] * 23}, "Pictures per hour")


def test_zero_everywhere_is_drawn_as_no_bars() -> None:
    assert not bars_of(bar_figure({"a": 0}, "Pictures per class"), 1)


@pytest.mark.parametrize("name", ["<script>alert(1)</script>", "--><b>", "$\\frac{1}{2}$", "a\0\u202eb", "", "x" * 500])
def test_hostile_names_leave_no_text_in_the_drawing(name: str) -> None:
    figure = bar_figure({name: 1, "cat": 2}, "Pictures per class")

    for node in shapes(figure).iter():
        assert node.tag in {"svg", "g", "defs", "path", "use", "clipPath", "rect"}
        assert not (node.text or "").strip()
        assert not any(attribute.startswith("on") for attribute in node.attrib)
    assert "<!--" not in figure.drawing.svg


def test_the_same_numbers_give_the_same_bytes_whatever_the_users_settings() -> None:
    once = stacked_bars(by_part(), PARTS, "Pictures per class and part")

    with matplotlib.rc_context(
        {"svg.fonttype": "none", "font.size": 30, "font.weight": "bold", "text.color": "red", "lines.linestyle": ":"}
    ):
        again = stacked_bars(by_part(), PARTS, "Pictures per class and part")

    assert again == once


def test_threads_draw_what_one_thread_draws() -> None:
    names = [ANIMALS[: n % 7 + 1] for n in range(14)]

    alone = [stacked_bars(by_part(some), PARTS, "c") for some in names]
    with ThreadPoolExecutor(4) as threads:
        together = list(threads.map(lambda some: stacked_bars(by_part(some), PARTS, "c"), names))

    assert together == alone


def test_ids_of_two_figures_never_meet() -> None:
    one, two = bar_figure({"cat": 1}, "c"), bar_figure({"dog": 1}, "c")

    ids = [{node.get("id") for node in shapes(figure).iter() if node.get("id")} for figure in (one, two)]
    assert ids[0]
    assert not ids[0] & ids[1]


def test_a_figure_is_small() -> None:
    assert len(stacked_bars(by_part(), PARTS, "c").drawing.svg) < 30_000


def test_many_series_wrap_their_legend() -> None:
    folds = [f"fold number {n}" for n in range(10)]

    figure = stacked_bars({"cat": dict.fromkeys(folds, 1)}, folds, "Pictures per fold")

    assert figure.drawing.height_px > stacked_bars({"cat": {"a": 1}}, ["a", "b"], "c").drawing.height_px
