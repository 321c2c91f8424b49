"""The section on scores: PR-AUC by name with its interval, curves, projections compared, false alarms per million."""

from __future__ import annotations

from html import unescape
from typing import Any

import pytest

from mekiki.records import Estimate
from mekiki.reports.blocks import Block, Figure, Page, Paragraph, Section, Table, iter_blocks
from mekiki.reports.figures_scores import ScoresOfClass, histogram_figure, reliability_figure, roc_figure
from mekiki.reports.page import render_page
from mekiki.reports.sections.per_million import per_million_blocks, per_million_rows
from mekiki.reports.sections.scores import MAX_CLASSES, PR_AUC, pr_auc_sentence, scores_section
from model_runs import ANIMALS, NOTHING, estimate, evaluated, evaluation, metrics

HOSTILE = "<script>alert(1)</script>\u202egpj"


def section_of(content: dict[str, Any], name: str = "small", part: str = "test") -> Section:
    best = next(one for one in content["models"] if one["name"] == name)
    section = scores_section(content, best, part)
    assert section is not None
    return section


def blocks_of(section: Section) -> list[Block]:
    return list(iter_blocks(Page("p", (section,))))


def table_of(section: Section, caption: str) -> Table:
    (found,) = (one for one in blocks_of(section) if isinstance(one, Table) and one.caption == caption)
    return found


def figures_of(section: Section) -> list[Figure]:
    return [one for one in blocks_of(section) if isinstance(one, Figure)]


def named(names: list[str]) -> dict[str, Any]:
    one = evaluated("small", 0.9)
    one["parts"] = {"test": metrics(0.9, names)}
    return evaluation(one, parts={"test": 200})


def per_million_of(n_false: float = 1234.0) -> dict[str, Any]:
    counts = {"false_alarms": n_false, "found": 900.0, "missed": 100.0}
    return {
        "prevalence": 0.001,
        "n_present": 1000.0,
        **{
            name: {"value": value, "low": 0.9 * value, "high": 1.1 * value, "reliable": True}
            for name, value in counts.items()
        },
    }


def test_pr_auc_is_named_with_its_interval_and_what_it_rests_on() -> None:
    section = section_of(evaluation())

    told = [one.text for one in blocks_of(section) if isinstance(one, Paragraph)]
    expected = "small, mean over 3 classes: PR-AUC (trapezoid) 0.825, 95 % interval 0.795 to 0.855, 200 pictures, "
    assert told[0] == f"{expected}60 independent groups."
    assert told[1].startswith("small, アナグマ: PR-AUC (trapezoid) 0.870, 95 % interval 0.840 to 0.900")
    assert len([line for line in told if PR_AUC in line]) == 1 + len(ANIMALS)


def test_a_single_class_needs_no_mean() -> None:
    told = [one.text for one in blocks_of(section_of(named(["unsafe"]))) if isinstance(one, Paragraph)]

    assert told[0].startswith("small, unsafe: PR-AUC (trapezoid) 0.870")
    assert "mean over" not in " ".join(told)


@pytest.mark.parametrize(
    ("one", "told"),
    [
        pytest.param(Estimate(0.5, 0.4, 0.6, False), "not reliable", id="few groups"),
        pytest.param(Estimate(float("nan"), float("nan"), float("nan"), False), "cannot be measured", id="one kind"),
    ],
)
def test_doubt_is_told(one: Estimate, told: str) -> None:
    assert told in pr_auc_sentence("unsafe", one, 1, 1)
    assert "1 picture, 1 independent group" in pr_auc_sentence("unsafe", one, 1, 1)


def test_an_evaluation_of_an_older_mekiki_has_no_such_section() -> None:
    content = evaluation()
    for model in content["models"]:
        for measured in model["parts"].values():
            del measured["macro_pr_auc"]

    assert scores_section(content, content["models"][0], "test") is None


def test_every_class_has_its_row_and_its_panel_in_each_figure() -> None:
    section = section_of(evaluation())

    table = table_of(section, "small on test")
    assert [row[0] for row in table.rows] == list(ANIMALS)
    assert all(isinstance(cell, Estimate) for row in table.rows for cell in row[1:])
    roc, histogram, reliability = figures_of(section)
    assert all(name in figure.alt for figure in (roc, histogram, reliability) for name in ANIMALS)
    assert "アナグマ: 75 % of pictures with it and 12 % without it" in histogram.alt
    assert histogram.table is not None
    assert len(histogram.table.rows) == 4 * len(ANIMALS)


def test_many_classes_are_drawn_only_so_far_and_it_is_said() -> None:
    section = section_of(named([f"class {number}" for number in range(MAX_CLASSES + 3)]))

    assert len(figures_of(section)) == 3 * 3
    assert f"the {MAX_CLASSES} of {MAX_CLASSES + 3} classes" in render_page(Page("p", (section,)))


def test_a_class_that_could_not_be_measured_is_a_row_without_a_panel() -> None:
    content = named(["cat", "dog"])
    measured = content["models"][0]["parts"]["test"]
    measured["per_class"]["dog"] |= dict.fromkeys(("ap", "pr_auc", "roc_auc"), NOTHING)
    measured["roc_curves"]["dog"] = {"false_alarm_rate": [], "recall": [], "threshold": []}

    section = section_of(content)

    assert [row[0] for row in table_of(section, "small on test").rows] == ["cat", "dog"]
    assert all("dog" not in figure.alt for figure in figures_of(section))


def test_projections_are_compared_with_raw_vectors_on_the_same_pictures() -> None:
    content = evaluation(evaluated("raw-head", 0.9), evaluated("pca-head", 0.91), evaluated("seed5-head", 0.8))
    content["projections"] = [
        {
            "first": "raw-head",
            "second": name,
            "first_sees": "raw 512",
            "second_sees": sees,
            "part": "test",
            "metric": "macro_pr_auc",
            "difference": estimate(difference),
        }
        for name, sees, difference in (("pca-head", "pca 64", 0.01), ("seed5-head", "orthogonal 256", -0.1))
    ]

    rows = table_of(section_of(content, "raw-head"), "The same pictures through each projection").rows

    assert [row[:2] for row in rows] == [
        ("raw-head", "raw 512"),
        ("pca-head", "pca 64"),
        ("seed5-head", "orthogonal 256"),
    ]
    assert [row[-1] for row in rows] == ["", "no difference is shown", "the projection loses"]


def test_false_alarms_per_million_stand_where_a_prevalence_was_stated() -> None:
    content = evaluation()
    assert "Per million" not in render_page(Page("p", (section_of(content),)))
    content["models"][0]["per_million"] = {"test": {"タヌキ": per_million_of()}}

    (row,) = table_of(section_of(content), "Per million pictures, measured on test").rows

    assert row[:4] == ("small", "タヌキ", "0.001", "1,234 (1,111 to 1,357)")


def test_counts_that_cannot_be_believed_are_marked_and_the_mark_is_explained() -> None:
    one = per_million_of()
    one["found"]["reliable"] = False
    one["missed"] = NOTHING
    rows = list(per_million_rows("a", {"cat": one}))

    table, remark = per_million_blocks(rows, "test")

    assert rows[0][-2:] == ("900 (810 to 990) †", None)
    assert isinstance(remark, Paragraph)
    assert "† not reliable" in remark.text
    assert isinstance(table, Table)


def test_hostile_class_names_are_text() -> None:
    page = render_page(Page("p", (section_of(named([HOSTILE, "$\\frac{x}{$"])),)))

    assert "<script" not in page
    assert "\u202e" not in page
    assert "alert(1)" in unescape(page)


@pytest.mark.parametrize("draw", [roc_figure, histogram_figure, reliability_figure])
def test_a_figure_without_classes_is_refused_and_one_with_is_the_same_each_time(draw: Any) -> None:
    one = ScoresOfClass("cat", (0, 1), (0, 1), None, (0, 3), (2, 0), (1,), (0.5,), (1.0,), None)

    with pytest.raises(ValueError, match="at least one class"):
        draw((), "nothing")
    assert draw([one], "c") == draw([one], "c")
