"""Which model is the best: all that were evaluated side by side, and the ensemble beside its members."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from mekiki.records import Estimate
from mekiki.reports.blocks import Block, Column, Group, Paragraph, Section, Table
from mekiki.reports.figures_lines import interval_figure
from mekiki.reports.measures import MEASURES, estimate_of, name_of_measure, what_is_shown
from mekiki.reports.values import Value, format_counted

MAX_FIGURE_ROWS = 16


def evaluation_section(
    evaluation: Mapping[str, Any],
    ensembles: Sequence[Mapping[str, Any]] = (),
    parents: Mapping[str, str] | None = None,
    remarks: Sequence[str] = (),
) -> Section:
    """Return the section ``models``: a table per part, the one judged last first, then ensembles and comparisons.

    Args:
        evaluation: What ``metrics.json`` of an ``evaluate`` run holds.
        ensembles: What ``ensemble.json`` of each ensemble holds.
        parents: Name of a tuned model to that of the model whose scores it shares, so that an ensemble's members are
            found under either name.
        remarks: What could not be read.
    """
    models: Sequence[Mapping[str, Any]] = evaluation.get("models") or ()
    blocks: list[Block] = [Paragraph(_choice(evaluation))] if evaluation.get("best_overall") else []
    parts = ordered_parts(evaluation)
    blocks += [Group(f"On {part}", tuple(_part_blocks(evaluation, part)), _size(evaluation, part)) for part in parts]
    for ensemble in ensembles:
        table = _ensemble_table(ensemble, evaluation, parents or {}, parts[0] if parts else "")
        if table is not None:
            blocks.append(Group(f"Ensemble {ensemble['model']}", (table,), _how_weighted(ensemble)))
    blocks += [Paragraph(remark) for remark in remarks]
    if comparisons := evaluation.get("comparisons"):
        blocks.append(Group("Model against model", (_comparison_table(comparisons),)))
    if not models:
        blocks.append(Paragraph("No model was evaluated."))
    lead = (
        "In brackets: 95 % intervals, from drawing anew sets of pictures that belong together. Two models whose "
        "intervals overlap can still differ; a comparison on the same pictures tells."
    )
    return Section("models", "Models compared", tuple(blocks), lead)


def ordered_parts(evaluation: Mapping[str, Any]) -> list[str]:
    """Return the parts that were evaluated: ``test`` first, then the others as they stand in the file."""
    parts = list(evaluation.get("parts") or {})
    return sorted(parts, key=lambda part: part != "test")


def find_evaluated(evaluation: Mapping[str, Any], name: str) -> Mapping[str, Any] | None:
    """Return the entry of a model in ``metrics.json``, or None."""
    found = (model for model in evaluation.get("models") or () if model.get("name") == name)
    return next(found, None)


def _choice(evaluation: Mapping[str, Any]) -> str:
    chosen_on = evaluation.get("chosen_on") or {}
    single, overall, part = evaluation.get("best_single"), evaluation["best_overall"], chosen_on.get("part")
    if not part:
        return f"Only {overall} was evaluated, so nothing was chosen."
    best = f"The best model is {overall}"
    if single == overall:
        best += ", a single one"
    elif single:
        best += f", the best single one {single}"
    metric = name_of_measure(str(chosen_on.get("metric", "micro_f1")))
    cross_fitted = any((model.get("choice") or {}).get("is_cross_fitted") for model in evaluation.get("models") or ())
    honest = (
        f" Where thresholds or weights were found on {part}, their cross-fitted figure counted." if cross_fitted else ""
    )
    return f"{best}: chosen on {part} only, by {metric}. No other part had a say in the choice.{honest}"


def _size(evaluation: Mapping[str, Any], part: str) -> str:
    n_items = evaluation["parts"].get(part)
    return format_counted(n_items, "picture") if isinstance(n_items, int) else ""


def _part_blocks(evaluation: Mapping[str, Any], part: str) -> list[Block]:
    models = [model for model in evaluation.get("models") or () if part in (model.get("parts") or {})]
    measured = [name for name in MEASURES if any(estimate_of(model, "parts", part, name) for model in models)]
    columns = (Column("model"), Column(""), *(Column(MEASURES[name], "share") for name in measured))
    rows = tuple(
        (
            model["name"],
            _marks(evaluation, model, part),
            *(estimate_of(model, "parts", part, name) for name in measured),
        )
        for model in models
    )
    blocks: list[Block] = [Table(columns, rows, f"All models on {part}")]
    if any(part in (model.get(key) or ()) for model in models for key in ("tuned_on", "searched_on")):
        flattered = (
            "Thresholds look better than they are on the part they were tuned on, and weights where they were "
            "searched: believe another part."
        )
        blocks.append(Paragraph(flattered, is_muted=True))
    estimates = {model["name"]: found for model in models if (found := estimate_of(model, "parts", part, "micro_f1"))}
    if part == ordered_parts(evaluation)[0] and 1 < len(estimates) <= MAX_FIGURE_ROWS:
        best_name = str(evaluation.get("best_overall") or "")
        marked = best_name if best_name in estimates else ""
        blocks.append(interval_figure(estimates, f"micro F1 on {part}", "micro F1", marked=marked))
    return blocks


def _marks(evaluation: Mapping[str, Any], model: Mapping[str, Any], part: str) -> str:
    marks = ["best overall"] if model["name"] == evaluation.get("best_overall") else []
    marks += ["best single"] if model["name"] == evaluation.get("best_single") else []
    marks += ["ensemble"] if model.get("kind") == "ensemble" else []
    marks += ["tuned on this part"] if part in (model.get("tuned_on") or ()) else []
    marks += ["weights searched on this part"] if part in (model.get("searched_on") or ()) else []
    return ", ".join(marks)


def _how_weighted(ensemble: Mapping[str, Any]) -> str:
    if not ensemble.get("part"):
        return "all weights equal"
    objective = ensemble.get("objective")
    return f"weights found on {ensemble['part']}" + (f" for {name_of_measure(objective)}" if objective else "")


def _ensemble_table(
    ensemble: Mapping[str, Any], evaluation: Mapping[str, Any], parents: Mapping[str, str], part: str
) -> Table | None:
    """Return the ensemble and its members; None if the ensemble was not evaluated.

    The ensemble stands under every name it was evaluated by, since it may have been tuned. A member stands as it is in
    the ensemble, under a tuned name only if it was not evaluated under its own.
    """
    whole = _under_any_name(evaluation, ensemble["model"], parents)
    if not whole:
        return None
    weighted: list[tuple[Mapping[str, Any], float | None]] = [(model, None) for model in whole]
    dropped = [{"name": name, "weight": 0.0} for name in ensemble.get("dropped") or ()]
    for member in [*(ensemble.get("members") or ()), *dropped]:
        known = _under_any_name(evaluation, member["name"], {}) or _under_any_name(evaluation, member["name"], parents)
        known = known or [{"name": member["name"]}]
        weighted += [(model, member["weight"]) for model in known]
    base, metric, versus = _versus(evaluation, part)
    columns = [
        Column("model"),
        Column("weight", "share"),
        Column(f"micro F1 on {part}", "share"),
        Column(f"macro F1 on {part}", "share"),
    ]
    rows: list[tuple[Value, ...]] = []
    for model, weight in weighted:
        figures = (estimate_of(model, "parts", part, name) for name in ("micro_f1", "macro_f1"))
        beside = [versus.get(model["name"], "" if model["name"] == base else None)] if versus else []
        rows.append((model["name"], "" if weight is None else weight, *figures, *beside))
    if versus:
        columns.append(Column(f"{metric} above {base}", "difference"))
    return Table(tuple(columns), tuple(rows), "The ensemble and its members")


def _under_any_name(evaluation: Mapping[str, Any], name: str, parents: Mapping[str, str]) -> list[Mapping[str, Any]]:
    return [
        model
        for model in evaluation.get("models") or ()
        if name in (model.get("name"), parents.get(model.get("name", "")))
    ]


def _versus(evaluation: Mapping[str, Any], part: str) -> tuple[str, str, dict[str, Estimate]]:
    """Return the model that all others were compared with, by which measure, and each one's difference from it.

    Where comparisons have no such model in common, nothing is returned.
    """
    on_part = [one for one in evaluation.get("comparisons") or () if one.get("part") == part]
    common = {(one["first"], one["metric"]) for one in on_part}
    if len(common) != 1:
        return "", "", {}
    ((base, metric),) = common
    found = {one["second"]: difference for one in on_part if (difference := estimate_of(one, "difference"))}
    return base, name_of_measure(metric), found


def _comparison_table(comparisons: Iterable[Mapping[str, Any]]) -> Table:
    columns = (
        Column("first"),
        Column("second"),
        Column("part"),
        Column("measure"),
        Column("second − first", "difference"),
        Column("what it shows"),
    )
    rows: list[tuple[Value, ...]] = []
    for one in comparisons:
        difference = estimate_of(one, "difference")
        rows.append(
            (
                one["first"],
                one["second"],
                one["part"],
                name_of_measure(one["metric"]),
                difference,
                what_is_shown(difference, f"{one['second']} is better", f"{one['first']} is better").partition(":")[0],
            )
        )
    return Table(columns, tuple(rows), "Differences on the same pictures")
