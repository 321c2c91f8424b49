"""Figures of a search: every trial is told, the best stands out, and what never varied has no axis."""

from __future__ import annotations

import math
import re
from typing import Any

import pytest

from mekiki.reports.blocks import Figure, Page
from mekiki.reports.figures_search import MAX_AXES, Search, Trial, history_figure, parallel_figure
from mekiki.reports.page import render_page
from mekiki.reports.sections.training import TrainedModel, training_section


def trial(number: int, value: float | None, state: str = "complete", **parameters: Any) -> Trial:
    return Trial(number, state, value, {"lr": 10.0 ** -(number % 4), "units": 128, **parameters}, 1.5)


def search(*trials: Trial, is_maximised: bool = True) -> Search:
    return Search("val_pr_auc", is_maximised, trials)


SOME = search(trial(0, 0.6), trial(1, 0.9), trial(2, 0.3, "pruned"), trial(3, None, "failed"), trial(4, 0.8))


def lines(figure: Figure, series: int) -> list[str]:
    return re.findall(rf'd="([^"]+)" style="[^"]*stroke: var\(--series-{series},', figure.drawing.svg)


def test_a_search_needs_a_trial() -> None:
    with pytest.raises(ValueError, match="at least one trial"):
        search()


def test_the_best_comes_first_whichever_way_is_better() -> None:
    assert [one.number for one in SOME.complete] == [1, 4, 0]
    assert [one.number for one in Search("val_loss", False, SOME.trials).complete] == [0, 4, 1]


def test_all_trials_are_in_the_table_the_best_first_then_those_that_did_not_end() -> None:
    figure = history_figure(SOME, "Trials")

    assert figure.table is not None
    assert [row[:2] for row in figure.table.rows] == [
        (2, "complete"),
        (5, "complete"),
        (1, "complete"),
        (3, "pruned"),
        (4, "failed"),
    ]
    assert figure.table.columns[2].name == "val PR-AUC"
    assert "trial 2 reached 0.9" in figure.alt
    assert "5 trials reached, 1 of them stopped early" in figure.alt


def test_the_best_so_far_never_gets_worse() -> None:
    (path,) = lines(history_figure(SOME, "Trials"), 6)

    heights = [float(y) for _, y in re.findall(r"[ML](-?[\d.]+) (-?[\d.]+)", path)]
    assert heights == sorted(heights, reverse=True)  # y runs downwards
    assert len(heights) >= 2


def test_the_best_so_far_goes_to_the_last_trial() -> None:
    figure = history_figure(SOME, "Trials")
    longer = history_figure(search(*SOME.trials, trial(9, 0.1, "pruned")), "Trials")

    ends = [max(float(x) for x in re.findall(r"[ML](-?[\d.]+) ", lines(one, 6)[0])) for one in (figure, longer)]
    assert abs(ends[0] - ends[1]) < 1


def test_what_never_varied_has_no_axis() -> None:
    figure = parallel_figure(SOME, "Settings")

    assert figure is not None
    assert "lr" in figure.alt
    assert "units" not in figure.alt


@pytest.mark.parametrize(
    "trials",
    [
        pytest.param((trial(0, 0.5),), id="one trial"),
        pytest.param((trial(0, 0.5, lr=1), trial(4, 0.6, lr=1)), id="nothing varied"),
        pytest.param((trial(0, None, "failed"), trial(1, math.nan)), id="none ended"),
    ],
)
def test_where_nothing_can_be_compared_there_is_no_second_figure(trials: tuple[Trial, ...]) -> None:
    assert parallel_figure(search(*trials), "Settings") is None
    assert history_figure(search(*trials), "Trials").table is not None


def test_words_numbers_and_nothing_can_stand_on_one_axis_and_only_so_many_axes_are_drawn() -> None:
    many = {f"setting_{number}": number for number in range(MAX_AXES + 3)}
    changed = {name: value + 1 for name, value in many.items()}
    first = trial(0, 0.5, kind="tanh", other=None, **many)
    second = trial(4, 0.6, kind=("gelu", 2), other=3, **changed)

    figure = parallel_figure(search(first, second, trial(8, 0.6, kind=1.0, **many)), "Settings")

    assert figure is not None
    assert figure.alt.count("setting_") + figure.alt.count("kind") + figure.alt.count("other") == MAX_AXES
    assert figure == parallel_figure(search(first, second, trial(8, 0.6, kind=1.0, **many)), "Settings")


def test_a_training_with_a_search_shows_both_figures_and_hostile_settings_are_text() -> None:
    found = search(trial(0, 0.5, act="<b>"), trial(1, 0.6, act="</table>"), trial(2, 0.1, "pruned"))

    page = render_page(Page("p", (training_section([TrainedModel("head", search=found)]),)))

    assert "Search of head" in page
    assert "3 trials, 1 of them stopped early" in page
    assert page.count("<svg") == 2
    assert "<b>" not in page.replace("<bdi>", "")
