"""Figures of lines tell their numbers, mark what matters, and carry nothing but shapes."""

from __future__ import annotations

import itertools
import math
import re
import warnings
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mekiki.records import Estimate
from mekiki.reports.blocks import Figure
from mekiki.reports.canvas import SERIES, Canvas
from mekiki.reports.figures_lines import PrecisionRecall, interval_figure, learning_figure, recall_figure
from mekiki.reports.panels import Box, Curve, Panel, draw_panel, round_steps

UNASSIGNED = "\U0003fff0"


def epochs(n: int = 12) -> list[dict[str, float]]:
    rows = []
    for epoch in range(1, n + 1):
        loss, f1 = math.exp(-epoch / 4), 1 - math.exp(-epoch / 4)
        both = {
            f"{part}_{name}": value
            for part in ("train", "val")
            for name, value in (("loss", loss), ("micro_f1", f1), ("macro_f1", f1 / 2))
        }
        rows.append({"epoch": float(epoch), "lr": 1e-4, **both})
    return rows


def one_class(name: str = "タヌキ", point: tuple[float, float] | None = (0.8, 0.6)) -> PrecisionRecall:
    return PrecisionRecall(name, (0.0, 0.5, 1.0), (1.0, 0.9, 0.2), Estimate(0.8, 0.7, 0.9), 0.4, point, 0.2)


def shapes(figure: Figure) -> ElementTree.Element:
    return ElementTree.fromstring(figure.drawing.svg)


def lines_of(svg: str, series: int) -> list[str]:
    return re.findall(rf'd="([^"]+)" style="[^"]*stroke: var\(--series-{series},', svg)


def dots_of(svg: str, series: int) -> list[str]:
    return re.findall(rf'd="([^"]+)" style="fill: var\(--series-{series},', svg)


def points_of(path: str) -> list[tuple[float, float]]:
    return [(float(x), float(y)) for x, y in re.findall(r"[ML](-?[\d.]+) (-?[\d.]+)", path)]


def drawn(panel: Panel) -> str:
    canvas = Canvas(100, ["0123456789.", panel.title], 200)
    draw_panel(canvas, panel, Box(0, 0, 200, 100))
    return canvas.finish().svg


def test_learning_curves_have_every_epoch_as_numbers_and_say_the_best() -> None:
    figure = learning_figure(epochs(12), 7, "small-cnn")

    assert figure.table is not None
    assert [row[0] for row in figure.table.rows] == list(range(1, 13))
    assert figure.table.n_open == 12
    assert "12 epochs" in figure.alt
    assert "The best epoch is 7" in figure.alt
    assert "val loss from 0.7788 to 0.04979" in figure.alt


def test_learning_curves_stay_inside_their_drawing() -> None:
    wild = [{**row, "val_loss": 10.0**n, "lr": 1.23456e-5 / n} for n, row in enumerate(epochs(9), start=1)]

    figure = learning_figure(wild, 9, "c")

    for node in shapes(figure).iter("path"):
        for x, y in points_of(node.get("d", "")):
            if not node.get("id"):
                assert -1 <= x <= figure.drawing.width_px + 1
                assert -1 <= y <= figure.drawing.height_px + 1


def test_a_mark_stands_at_its_place() -> None:
    curve = Curve((0, 10), (0, 1), SERIES[0])

    without, at_half = drawn(Panel("p", [curve])), drawn(Panel("p", [curve], mark=5))

    (line,) = lines_of(at_half, 1)
    (start, _), (end, _) = points_of(line)
    (mark,) = set(re.findall(r'd="([^"]+)" style="[^"]*stroke: currentColor', at_half))
    assert points_of(mark)[0][0] == pytest.approx((start + end) / 2, abs=0.2)
    assert "currentColor" not in "".join(re.findall(r"stroke: \w+", without))


def test_higher_values_are_drawn_higher() -> None:
    svg = drawn(Panel("p", [Curve((0, 1), (0.1, 0.9), SERIES[0])], y_range=(0, 1)))

    ((_, low), (_, high)) = points_of(lines_of(svg, 1)[0])
    assert high < low


def test_a_missing_value_is_a_gap_and_a_lonely_one_a_dot() -> None:
    nan = math.nan

    svg = drawn(Panel("p", [Curve((1, 2, 3, 4, 5, 6), (0.1, 0.2, nan, 0.5, nan, nan), SERIES[0])]))

    assert [len(points_of(path)) for path in lines_of(svg, 1)] == [2]
    assert len(dots_of(svg, 1)) == 1


@pytest.mark.parametrize("rows", [epochs(1), [{"epoch": 1.0}], [{"epoch": 1.0, "val_loss": math.nan, "lr": 0.0}]])
def test_little_is_drawn_without_complaint(rows: list[dict[str, float]]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")

        assert learning_figure(rows, None, "c").drawing.svg


def test_each_class_has_its_curve_its_point_and_its_row() -> None:
    classes = [one_class(), one_class("cat", None), one_class("テン", (math.nan, math.nan))]

    figure = recall_figure(classes, "c")

    assert len(lines_of(figure.drawing.svg, 1)) == 3
    assert len(dots_of(figure.drawing.svg, 6)) == 1
    assert figure.table is not None
    assert figure.table.rows[0] == ("タヌキ", Estimate(0.8, 0.7, 0.9), 0.4, 0.8, 0.6)
    assert figure.table.rows[1] == ("cat", Estimate(0.8, 0.7, 0.9), 0.4, None, None)
    assert "タヌキ 0.80" in figure.alt


def test_intervals_are_as_long_as_they_are_wide_and_the_marked_one_stands_out() -> None:
    estimates = {
        "a": Estimate(0.8, 0.7, 0.9),
        "b": Estimate(0.85, 0.8, 0.9),
        "c": Estimate(math.nan, math.nan, math.nan),
    }

    figure = interval_figure(estimates, "micro F1 on test", "micro F1")

    wide, narrow = (points_of(path) for path in lines_of(figure.drawing.svg, 1))
    assert wide[1][0] - wide[0][0] == pytest.approx(2 * (narrow[1][0] - narrow[0][0]), rel=0.02)
    assert len(dots_of(figure.drawing.svg, 1)) == 2
    assert "a 0.80 (0.70 to 0.90); b 0.85 (0.80 to 0.90); c –" in figure.alt
    assert len(dots_of(interval_figure(estimates, "c", "w", marked="b").drawing.svg, 1)) == 1


def test_differences_show_where_zero_is() -> None:
    def strong_lines(kind: str) -> int:
        figure = interval_figure({"a": Estimate(0.05, 0.02, 0.08)}, "c", "w", kind)  # type: ignore[arg-type]
        return len(re.findall(r"stroke: var\(--muted", figure.drawing.svg))

    assert strong_lines("difference") == strong_lines("share") + 1


def test_a_name_that_no_font_has_becomes_its_number_in_both_kinds() -> None:
    recall = recall_figure([one_class(UNASSIGNED)], "c")
    intervals = interval_figure({UNASSIGNED: Estimate(0.5, 0.4, 0.6)}, "c", "w")

    for figure in (recall, intervals):
        assert figure.table is not None
        assert figure.table.rows[0][:2] == ("#1", UNASSIGNED)


@pytest.mark.parametrize("name", ["<script>alert(1)</script>", "--><b>", "$\\frac{1}{2}$", "a\0\u202eb", "", "x" * 500])
def test_hostile_names_leave_no_text_in_the_drawing(name: str) -> None:
    for figure in (recall_figure([one_class(name)], "c"), interval_figure({name: Estimate(0.5, 0.4, 0.6)}, "c", "w")):
        for node in shapes(figure).iter():
            assert node.tag in {"svg", "g", "defs", "path", "use", "clipPath", "rect"}
            assert not (node.text or "").strip()


@pytest.mark.parametrize(
    ("draw", "message"),
    [
        pytest.param(lambda: learning_figure([], None, "c"), "at least one epoch", id="no epoch"),
        pytest.param(lambda: recall_figure([], "c"), "at least one class", id="no class"),
        pytest.param(lambda: interval_figure({}, "c", "w"), "at least one name", id="no name"),
    ],
)
def test_nothing_cannot_be_drawn(draw: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        draw()  # type: ignore[operator]


@given(st.floats(-1e6, 1e6), st.floats(0, 1e6), st.integers(1, 6))
def test_steps_enclose_both_ends_evenly(low: float, width: float, n: int) -> None:
    steps = round_steps(low, low + width, n)

    gap = steps[1] - steps[0]
    assert 2 <= len(steps) <= 2 * n + 3
    assert gap > 0
    assert steps[0] <= low + 1e-6 * gap
    assert steps[-1] >= low + width - 1e-6 * gap
    assert all(b - a == pytest.approx(gap, rel=1e-3) for a, b in itertools.pairwise(steps))


def test_a_page_of_figures_is_small_and_the_same_each_time() -> None:
    figure = learning_figure(epochs(50), 30, "c")

    assert len(figure.drawing.svg) < 30_000
    assert learning_figure(epochs(50), 30, "c") == figure
