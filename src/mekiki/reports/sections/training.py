"""How each model was trained: what differs between them, and their learning curves."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from mekiki.reports.blocks import Block, Column, Columns, Details, Group, Paragraph, Section, Table
from mekiki.reports.figures_lines import learning_figure
from mekiki.reports.figures_search import Search, history_figure, parallel_figure
from mekiki.reports.text import shorten
from mekiki.reports.values import Value, format_count, format_counted

MAX_FIGURES = 6
MAX_SETTING_CHARACTERS = 60


@dataclass(frozen=True, slots=True)
class TrainedModel:
    """One training run as the page tells it.

    ``epochs`` are the rows of its history; ``settings`` are those of the run; ``problem`` says what of it could not
    be read; ``search`` is the search for settings that it began with, if any.
    """

    name: str
    arch: str = ""
    best_epoch: int | None = None
    epochs: Sequence[Mapping[str, float]] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)
    problem: str = ""
    search: Search | None = None


def training_section(models: Sequence[TrainedModel], max_figures: int = MAX_FIGURES) -> Section:
    """Return the section ``training``: a row and learning curves per model, in the order given.

    The curves of models after the first ``max_figures`` are folded.
    """
    columns = (Column("model"), Column("architecture"), Column("epochs", "count"), Column("best epoch", "count"))
    rows = tuple((one.name, one.arch or None, len(one.epochs) or None, one.best_epoch) for one in models)
    blocks: list[Block] = [Table(columns, rows, "Models that were trained")]
    blocks += [Paragraph(f"{one.name}: {one.problem}") for one in models if one.problem]
    if differing := _differing(models):
        blocks.append(Group("Settings that differ", (differing,)))
    figures = [learning_figure(one.epochs, one.best_epoch, _caption(one)) for one in models if one.epochs]
    if figures:
        shown: list[Block] = [Columns(tuple(figures[:max_figures]))]
        if rest := tuple(figures[max_figures:]):
            shown.append(Details(f"The other {format_count(len(rest))}", (Columns(rest),)))
        note = Paragraph("These figures chose the best epoch, so they are no test: how good a model is stands below.")
        blocks.append(Group("Learning curves", (note, *shown)))
    blocks += [_search_group(one.name, one.search) for one in models if one.search is not None]
    lead = f"{format_counted(len(models), 'model')}, of each name the last that was trained."
    return Section("training", "Training", tuple(blocks), lead)


def _search_group(name: str, search: Search) -> Group:
    n_pruned = sum(one.state == "pruned" for one in search.trials)
    note = f"{format_counted(len(search.trials), 'trial')}, {format_count(n_pruned)} of them stopped early"
    remark = (
        f"Each dot is a trial, the line the best so far by {search.sought}; one line through all "
        "settings is one trial, the best in red, the best quarter in blue. The best of many trials looks better than "
        "it is: believe the part called test."
    )
    figures = [history_figure(search, f"Trials of {name}")]
    if parallel := parallel_figure(search, f"Settings of the trials of {name}"):
        figures.append(parallel)
    return Group(f"Search of {name}", (Paragraph(remark, is_muted=True), Columns(tuple(figures))), note)


def _caption(model: TrainedModel) -> str:
    return f"{model.name} ({model.arch})" if model.arch and model.arch != model.name else model.name


def _differing(models: Sequence[TrainedModel]) -> Table | None:
    """Return setting by model for what is not the same in all; None where everything is."""
    told_already = [[one.name for one in models], [one.arch for one in models]]
    rows: list[tuple[Value, ...]] = []
    for name in dict.fromkeys(name for one in models for name in one.settings):
        values = [_as_text(one.settings.get(name)) for one in models]
        if len(set(values)) > 1 and values not in told_already:
            rows.append((name.replace("_", " "), *values))
    if not rows:
        return None
    return Table((Column("setting"), *(Column(one.name) for one in models)), tuple(rows))


def _as_text(value: Any) -> str | None:
    if value is None:
        return None
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.6g}"
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, sort_keys=True)
    return shorten(text, MAX_SETTING_CHARACTERS)
