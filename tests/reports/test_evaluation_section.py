"""The sections on models: who is best and why, class by class, and what is taken for what."""

from __future__ import annotations

from html import unescape
from typing import Any

import pytest

from mekiki.records import Estimate
from mekiki.reports.blocks import Block, Details, Figure, Group, Matrix, Page, Paragraph, Section, Table, iter_blocks
from mekiki.reports.page import render_page
from mekiki.reports.sections.classes import MAX_CURVES, UNKNOWN_ROW, classes_section
from mekiki.reports.sections.evaluation import evaluation_section, ordered_parts
from model_runs import ANIMALS, THRESHOLDS, comparison, ensemble, estimate, evaluated, evaluation, metrics


def blocks_of(section: Section) -> list[Block]:
    return list(iter_blocks(Page("p", (section,))))


def tables_of(section: Section) -> dict[str, Table]:
    return {block.caption: block for block in blocks_of(section) if isinstance(block, Table)}


def texts_of(section: Section) -> str:
    return " ".join(block.text for block in blocks_of(section) if isinstance(block, Paragraph))


def headings(table: Table) -> list[str]:
    return [column.name for column in table.columns]


def column_of(table: Table, heading: str) -> dict[Any, Any]:
    place = headings(table).index(heading)
    return {row[0]: row[place] for row in table.rows}


def test_every_model_stands_on_every_part_with_intervals_and_test_comes_first() -> None:
    section = evaluation_section(evaluation())

    groups = [block.title for block in blocks_of(section) if isinstance(block, Group)]
    assert groups[:2] == ["On test", "On val"]
    for part in ("test", "val"):
        table = tables_of(section)[f"All models on {part}"]
        assert headings(table)[2:] == ["micro F1", "macro F1", "macro AP", "macro PR-AUC", "exact match"]
        assert [row[0] for row in table.rows] == ["small", "wide", "both", "both-tuned"]
        assert all(isinstance(cell, Estimate) for row in table.rows for cell in row[2:])


def test_the_best_single_and_the_best_overall_are_marked_and_the_page_says_who_chose() -> None:
    section = evaluation_section(evaluation())

    assert column_of(tables_of(section)["All models on test"], "") == {
        "small": "",
        "wide": "best single",
        "both": "ensemble",
        "both-tuned": "best overall, ensemble",
    }
    assert "chosen on val only, by micro F1. No other part had a say" in texts_of(section)
    assert "their cross-fitted figure counted" in texts_of(section)


def test_thresholds_are_not_praised_on_the_part_they_were_tuned_on() -> None:
    section = evaluation_section(evaluation())

    assert "tuned on this part" in column_of(tables_of(section)["All models on val"], "")["both-tuned"]
    assert "tuned on this part" not in column_of(tables_of(section)["All models on test"], "")["both-tuned"]


def test_a_single_model_was_not_chosen() -> None:
    alone = evaluation(evaluated("small", 0.8), best_single="small", best_overall="small", comparisons=[])
    alone["chosen_on"]["part"] = None

    assert "Only small was evaluated, so nothing was chosen." in texts_of(evaluation_section(alone))


def test_an_ensemble_stands_beside_its_members_with_weights_and_paired_differences() -> None:
    section = evaluation_section(evaluation(), [{**ensemble(), "dropped": ["poor"]}], {"both-tuned": "both"})

    table = tables_of(section)["The ensemble and its members"]
    assert column_of(table, "weight") == {"both": "", "both-tuned": "", "small": 0.3, "wide": 0.7, "poor": 0.0}
    versus = column_of(table, "micro F1 above wide")
    assert versus["both-tuned"].value == 0.06
    assert versus["small"].low == pytest.approx(-0.08)
    assert versus["wide"] == ""
    assert column_of(table, "micro F1 on test")["poor"] is None
    group = next(block for block in blocks_of(section) if isinstance(block, Group) and "Ensemble" in block.title)
    assert group.note == "weights found on val for micro F1"


def test_an_ensemble_that_was_not_evaluated_has_no_table_and_a_mean_no_part() -> None:
    unknown = {**ensemble(), "model": "other"}
    assert "The ensemble and its members" not in tables_of(evaluation_section(evaluation(), [unknown]))

    section = evaluation_section(evaluation(), [{**ensemble(), "method": "mean", "part": None, "objective": None}])
    assert [block.note for block in blocks_of(section) if isinstance(block, Group) and "Ensemble" in block.title] == [
        "all weights equal"
    ]


@pytest.mark.parametrize(
    ("difference", "shown"),
    [
        pytest.param(0.05, "b is better", id="second"),
        pytest.param(-0.05, "a is better", id="first"),
        pytest.param(0.02, "no difference is shown", id="neither"),
        pytest.param(0.03, "no difference is shown", id="an end that is 0"),
    ],
)
def test_a_difference_says_who_is_better_only_if_its_interval_does(difference: float, shown: str) -> None:
    section = evaluation_section(evaluation(comparisons=[comparison("a", "b", difference)]))

    (row,) = tables_of(section)["Differences on the same pictures"].rows
    assert row[-1] == shown


def test_what_rests_on_too_few_groups_is_marked_and_explained() -> None:
    shaky = evaluated("small", 0.8)
    shaky["parts"]["test"] = metrics(0.8, reliable=False)

    html = unescape(render_page(Page("p", (evaluation_section(evaluation(shaky)),))))

    assert "0.80 (0.77 to 0.83) †" in html.replace('<span class="note">', "").replace("</span>", "")
    assert "† not reliable" in html


def test_the_interval_figure_names_every_model() -> None:
    (figure,) = (block for block in blocks_of(evaluation_section(evaluation())) if isinstance(block, Figure))

    assert "both-tuned 0.93 (0.90 to 0.96)" in figure.alt


def test_accuracy_appears_where_it_has_a_meaning() -> None:
    single = evaluated("small", 0.8)
    single["parts"]["test"]["accuracy"] = estimate(0.77)

    section = evaluation_section(evaluation(single, evaluated("b", 0.7)))

    assert column_of(tables_of(section)["All models on test"], "accuracy") == {
        "small": Estimate(0.77, pytest.approx(0.74), pytest.approx(0.8)),
        "b": None,
    }
    assert "accuracy" not in headings(tables_of(section)["All models on val"])


def test_an_evaluation_of_nothing_says_so() -> None:
    assert "No model was evaluated." in texts_of(evaluation_section({}))
    assert ordered_parts({}) == []


def test_classes_have_figures_with_intervals_and_unknown_is_a_row_of_its_own() -> None:
    section = classes_section(metrics(), THRESHOLDS, "both-tuned", "test")

    table = tables_of(section)["both-tuned on test"]
    assert [row[0] for row in table.rows] == [*ANIMALS, UNKNOWN_ROW]
    assert all(isinstance(cell, Estimate) for cell in table.rows[0][1:6])
    assert table.rows[0][6:] == (40, 20)
    assert table.rows[-1][4:] == (None, None, 83, None)
    assert "タヌキ" in render_page(Page("p", (section,)))


def test_curves_have_their_operating_point_and_every_class_is_drawn() -> None:
    names = [f"class {n}" for n in range(7)]

    section = classes_section(metrics(names=names), {"class 0": 0.3}, "m", "test")

    figures = [block for block in blocks_of(section) if isinstance(block, Figure)]
    rows = [row for figure in figures if figure.table for row in figure.table.rows]
    assert [row[0] for row in rows] == names
    assert [row[2] for row in rows] == [0.3] + [None] * 6
    assert rows[0][3:] == (0.8, 0.9)


def test_of_very_many_classes_those_with_most_pictures_are_drawn() -> None:
    many = metrics(names=[f"class {n}" for n in range(MAX_CURVES + 6)])
    many["per_class"]["class 29"]["support_pos"] = 1000

    section = classes_section(many, {}, "m", "test")

    figures = [block for block in blocks_of(section) if isinstance(block, Figure)]
    drawn = [row[0] for figure in figures if figure.table for row in figure.table.rows]
    assert len(drawn) == MAX_CURVES
    assert drawn[-1] == "class 29"
    assert f"At most {MAX_CURVES} classes are drawn" in texts_of(section)


def test_mix_ups_are_a_shaded_matrix_with_nothing_at_its_end() -> None:
    matrix = next(b for b in blocks_of(classes_section(metrics(), {}, "m", "test")) if isinstance(b, Matrix))

    assert matrix.names == (*ANIMALS, "nothing")
    assert [list(row) for row in matrix.counts] == metrics()["confusion"]


def test_a_large_matrix_is_folded_and_a_huge_one_left_out_but_the_worst_mix_ups_stay() -> None:
    for n, is_there in ((20, True), (60, False)):
        many = metrics(names=[f"class {k}" for k in range(n)])
        many["confusion"][3][5] = 99

        section = classes_section(many, {}, "m", "test")

        assert tables_of(section)["Most frequent mix-ups"].rows[0] == ("class 3", "class 5", 99)
        folded = [block for block in blocks_of(section) if isinstance(block, Details)]
        assert any(isinstance(inner, Matrix) for block in folded for inner in block.blocks) == is_there
        assert any(isinstance(block, Matrix) for block in blocks_of(section)) == is_there


def test_metrics_without_their_optional_parts_still_make_a_page() -> None:
    bare = {"per_class": {"cat": {"f1": estimate(0.5), "support_pos": 3}}}

    section = classes_section(bare, {}, "m", "test")

    assert tables_of(section)["m on test"].rows[0][0] == "cat"
    assert not [block for block in blocks_of(section) if isinstance(block, (Figure, Matrix))]


def test_a_member_that_was_tuned_too_stands_once_as_it_is_in_the_ensemble() -> None:
    members = [one["name"] for one in ensemble()["members"]]
    content = evaluation()
    tuned = {**content["models"][0], "name": f"{members[0]}-tuned"}
    both = {**content, "models": [*content["models"], tuned]}

    section = evaluation_section(both, [ensemble()], {tuned["name"]: members[0]})

    names = [row[0] for row in tables_of(section)["The ensemble and its members"].rows]
    assert tuned["name"] not in names
    assert names.count(members[0]) == 1
