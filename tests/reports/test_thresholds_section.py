"""The section on thresholds claims a gain only where an interval shows one."""

from __future__ import annotations

from html import unescape
from typing import Any

import pytest

from mekiki.records import Estimate
from mekiki.reports.blocks import Block, Page, Paragraph, Section, Table, Verdict, iter_blocks
from mekiki.reports.page import render_page
from mekiki.reports.sections.thresholds import TunedModel, thresholds_section
from model_runs import ANIMALS, THRESHOLDS, estimate, evaluated, tuning


def blocks_of(section: Section) -> list[Block]:
    return list(iter_blocks(Page("p", (section,))))


def verdict_of(section: Section) -> Verdict:
    return next(block for block in blocks_of(section) if isinstance(block, Verdict))


def tables_of(section: Section) -> list[Table]:
    return [block for block in blocks_of(section) if isinstance(block, Table)]


def texts_of(section: Section) -> str:
    return " ".join(block.text for block in blocks_of(section) if isinstance(block, Paragraph))


def gaining(gain: dict[str, Any]) -> dict[str, Any]:
    entry = evaluated("both-tuned", 0.9, gain=0.04)
    entry["half"]["test"]["gain"] = {"micro_f1": gain, "macro_f1": gain}
    return entry


@pytest.mark.parametrize(
    ("gain", "state", "headline"),
    [
        pytest.param(estimate(0.05, 0.03), "ok", "Tuning gains on test", id="gain"),
        pytest.param(estimate(0.02, 0.03), "warning", "No gain is shown on test: the interval", id="contains 0"),
        pytest.param(estimate(0.03, 0.03), "warning", "No gain is shown on test", id="touches 0"),
        pytest.param(estimate(-0.05, 0.03), "failed", "Tuning loses on test", id="loss"),
        pytest.param(
            estimate(0.05, 0.03, reliable=False),
            "warning",
            "No gain is shown on test that could be believed",
            id="few groups",
        ),
        pytest.param(
            {"value": None, "low": None, "high": None, "reliable": False},
            "warning",
            "nothing could be compared",
            id="nothing",
        ),
    ],
)
def test_a_gain_is_claimed_only_if_the_interval_on_test_shows_it(
    gain: dict[str, Any], state: str, headline: str
) -> None:
    section = thresholds_section([TunedModel("both-tuned", tuning(0.04), gaining(gain))])

    verdict = verdict_of(section)
    assert verdict.state == state
    assert headline in verdict.headline


def test_both_ways_of_measuring_stand_beside_each_other_with_paired_intervals() -> None:
    section = thresholds_section([TunedModel("both-tuned", tuning(0.02), evaluated("both-tuned", 0.93, gain=0.04))])

    table = tables_of(section)[0]
    assert [row[:2] for row in table.rows] == [
        ("val, cross-fitted", "micro F1"),
        ("val, cross-fitted", "macro F1"),
        ("test", "micro F1"),
        ("test", "macro F1"),
    ]
    assert table.rows[0][2:] == tuple(
        Estimate(value, pytest.approx(value - 0.03), pytest.approx(value + 0.03)) for value in (0.88, 0.9, 0.02)
    )
    assert isinstance(table.rows[2][4], Estimate)
    assert table.rows[2][4].value == 0.04
    html = unescape(render_page(Page("p", (section,))))
    assert "+0.020" in html
    assert "(−0.010 to +0.050)" in html
    assert "no difference is shown: +0.020 (−0.010 to +0.050) contains 0" in html


def test_figures_of_the_part_that_thresholds_were_tuned_on_are_not_taken_for_a_test() -> None:
    section = thresholds_section([TunedModel("both-tuned", tuning(), evaluated("both-tuned", 0.93, gain=0.04))])

    assert {row[0] for row in tables_of(section)[0].rows} == {"val, cross-fitted", "test"}
    assert "On the very pictures they were tuned on: micro F1 0.95 (0.92 to 0.98)" in texts_of(section)


def test_without_an_evaluation_cross_fitting_judges_and_the_page_says_what_to_type() -> None:
    section = thresholds_section([TunedModel("both-tuned", tuning(0.01))])

    verdict = verdict_of(section)
    assert verdict.headline.startswith("No gain is shown on val, cross-fitted")
    assert any("mekiki evaluate" in sentence for sentence in verdict.sentences)


def test_other_objectives_are_not_judged_by_f1() -> None:
    section = thresholds_section([TunedModel("a", tuning(objective="recall-at-precision"))])

    assert not [block for block in blocks_of(section) if isinstance(block, Verdict)]
    assert "tuned for recall at precision, not for F1" in texts_of(section)


def test_each_class_says_how_sure_its_threshold_is_and_whose_it_is() -> None:
    section = thresholds_section([TunedModel("both-tuned", tuning())])

    table = tables_of(section)[1]
    assert [row[0] for row in table.rows] == list(ANIMALS)
    assert table.rows[0] == ("アナグマ", Estimate(0.31, 0.25, 0.38), 40, 25, "its own")
    assert table.rows[2][4] == "the joint one"
    assert "uses the joint threshold, 0.50" in texts_of(section)


def test_a_promise_says_whether_it_is_made() -> None:
    facts = {
        name: {"promised": "precision", "at_least": 0.9, "bound": 0.95 - n / 10, "is_met": n == 0}
        for n, name in enumerate(THRESHOLDS)
    }

    section = thresholds_section([TunedModel("a", tuning(objective="recall-at-precision", classes=facts))])

    table = tables_of(section)[1]
    assert table.rows[0][5:] == ("precision at least 0.90", 0.95, True)
    assert [row[-1] for row in table.rows] == [True, False, False]
    assert "No promise is made for タヌキ, cat" in texts_of(section)


def test_thresholds_without_facts_stand_alone() -> None:
    section = thresholds_section([TunedModel("a", {"thresholds": {"cat": 0.4}})])

    assert tables_of(section)[-1].rows == (("cat", 0.4, None, None, None),)


def test_a_file_that_is_gone_is_said() -> None:
    section = thresholds_section([TunedModel("a", {}, problem="runs/1/tuning.json is missing.")])

    assert "runs/1/tuning.json is missing." in texts_of(section)
