"""What tuning and evaluation found, in lines for a terminal; the numbers come as ``Estimate.to_json`` gives them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from mekiki.records import Estimate

COLUMNS = {"micro_f1": "micro-F1", "macro_f1": "macro-F1", "macro_ap": "macro-AP", "accuracy": "accuracy"}
"""Metrics that a terminal shows, with their names there; accuracy only where pictures have one class each."""

PR_AUC = "PR-AUC (trapezoid)"

MISSING = "–"


def describe(estimate: Estimate, sign: str = "") -> str:
    """Return a figure with its interval in a few characters; † marks what is not reliable.

    Args:
        estimate: The figure.
        sign: ``+`` for differences, so that gains have a sign too.

    Example:
        >>> describe(Estimate(0.5, 0.25, 0.75, is_reliable=False))
        '0.500 [0.250, 0.750]†'
    """
    if estimate.value != estimate.value:
        return MISSING
    # + 0.0 makes the -0.0 that rounding leaves a plain 0
    value, low, high = (f"{round(one, 3) + 0.0:{sign}.3f}" for one in (estimate.value, estimate.low, estimate.high))
    return f"{value} [{low}, {high}]{'' if estimate.is_reliable else '†'}"


def missed_gate(what: str, found: Estimate, shown: str, least: float, too_few: str = "groups") -> list[str]:
    """Return why a figure does not pass a gate, in a list of one; empty if it passes.

    It passes if the lower end of its interval lies above a value and is reliable.

    Args:
        what: Name of the figure.
        found: The figure.
        shown: As a reader sees it.
        least: The value.
        too_few: What there is too little of where the interval is not reliable, in the plural.

    Example:
        >>> missed_gate("F1", Estimate(0.5, 0.25, 0.75), "0.50", 0.4)
        ['F1 is 0.50, and the lower end must lie above 0.4']
    """
    if np.isnan(found.low):
        return [f"{what} could not be measured"]
    if not found.is_reliable:
        return [f"{what} is {shown}, which rests on too few {too_few} to be believed"]
    return [] if found.low > least else [f"{what} is {shown}, and the lower end must lie above {least:g}"]


def tell_verdict(content: Mapping[str, Any], part: str) -> list[str]:
    """Return a table of models on a part, what their thresholds gain, and how they compare.

    Args:
        content: Of ``metrics.json``; see `mekiki.training.judging.judge`.
        part: Which figures.
    """
    models = content["models"]
    first = models[0]["parts"][part]
    names = [name for name in COLUMNS if first[name] is not None]
    rows = [["model", *(COLUMNS[name] for name in names), ""]]
    for model in models:
        figures = [_shown(model["parts"][part][name]) for name in names]
        marks = [word for word in ("single", "overall") if content[f"best_{word}"] == model["name"]]
        rows.append([model["name"], *figures, f"best {' and '.join(marks)}" if marks and len(models) > 1 else ""])
    lines = [f"{part}: {first['n_items']} pictures in {first['n_atoms']} groups; 95 % intervals", *_aligned(rows)]
    for model in models:
        if model["half"] is not None:
            gain = _shown(model["half"][part]["gain"]["micro_f1"], "+")
            lines.append(f"thresholds of {model['name']} against {model['untuned']}: micro-F1 {gain}")
        if model["flattered_by"]:
            found = " and ".join(model["flattered_by"])
            lines.append(f"{found} of {model['name']} were found on part {part!r}: its figures there flatter it")
        lines += tell_per_million(model["per_million"][part], model["name"])
    best = next(model for model in models if model["name"] == content["best_overall"])
    what = "mean over classes" if len(content["class_names"]) > 1 else content["class_names"][0]
    lines.append(f"{PR_AUC} of {best['name']}, {what}: {_shown(best['parts'][part]['macro_pr_auc'])}")
    for one in content["projections"]:
        seen = f"{one['second']} ({one['second_sees']}) against {one['first']} ({one['first_sees']})"
        lines.append(f"{seen}: {PR_AUC} {_shown(one['difference'], '+')}")
    for one in content["comparisons"]:
        metric = COLUMNS.get(one["metric"], one["metric"])
        lines.append(f"{one['second']} against {one['first']}: {metric} {_shown(one['difference'], '+')}")
    chosen_on, metric = content["chosen_on"]["part"], content["chosen_on"]["metric"]
    if len(models) > 1 and chosen_on is not None:
        here = ", where they are measured: the figures of the best flatter it" if chosen_on == part else ""
        lines.append(f"the best are chosen by {metric} on {chosen_on}{here}")
        for model in models:
            if model["choice"]["flattered_by"]:
                found = " and ".join(model["choice"]["flattered_by"])
                lines.append(f"{model['name']} is flattered there: its {found} were found on part {chosen_on!r}")
    return lines


def tell_per_million(classes: Mapping[str, Mapping[str, Any]], where: str) -> list[str]:
    """Return one line per class: false alarms, finds and misses per million pictures at its prevalence.

    Args:
        classes: Class to `mekiki.metrics.per_million.PerMillion` as JSON.
        where: Whose decisions, or on which pictures.
    """
    return [
        f"{name} ({where}), per million pictures of which {_whole(one['n_present'])} show it: "
        f"{_whole_estimate(one['false_alarms'])} false alarms, {_whole_estimate(one['found'])} found, "
        f"{_whole_estimate(one['missed'])} missed"
        for name, one in classes.items()
    ]


def write_threshold(threshold: float) -> str:
    """Return a threshold in as few digits as decide the same: those that give the same float32 when read.

    Example:
        >>> write_threshold(float(np.float32(0.0000392)))
        '0.0000392'
    """
    return np.format_float_positional(np.float32(threshold), unique=True, trim="0")


def tell_tuning(content: Mapping[str, Any]) -> list[str]:
    """Return the thresholds that were found, what they gain, and what could not be promised.

    Args:
        content: Of ``tuning.json``; see `mekiki.training.deciding.tune_card`.
    """
    told = ", ".join(f"{name} {write_threshold(threshold)}" for name, threshold in content["thresholds"].items())
    gains = content["gain_cross_fitted"]
    gain = ", ".join(f"{COLUMNS[name]} {_shown(one, '+')}" for name, one in gains.items())
    lines = [f"thresholds: {told}", f"against {content['untuned']}, cross-fitted: {gain}"]
    lines += tell_per_million(content["per_million"], "cross-fitted")
    if content["calibration"] is not None:
        before, after = content["calibration"]["before"], content["calibration"]["after"]
        lines.append(
            f"calibrated, cross-fitted: expected error {before['expected_error']:.3f} to "
            f"{after['expected_error']:.3f}, Brier score {before['brier']:.3f} to {after['brier']:.3f}"
        )
    rare = [name for name, facts in content["classes"].items() if facts["used_joint"]]
    # With one class both thresholds are the same one.
    if rare and len(content["classes"]) > 1 and content["joint"] is not None and not content["is_joint"]:
        names = "all classes" if len(rare) == len(content["classes"]) else ", ".join(rare)
        lines.append(f"too rare for a threshold of their own, so the joint one is used: {names}")
    for name, facts in content["classes"].items():
        if facts["promised"] is not None and not facts["is_met"]:
            bound = "nothing" if facts["bound"] is None else f"{facts['bound']:.3f}"
            lines.append(
                f"{facts['promised']} of {name} is not promised: at its threshold the 95 % bound is {bound}, and "
                f"{facts['at_least']:g} was asked for"
            )
    return lines


def tell_search(content: Mapping[str, Any]) -> list[str]:
    """Return what a search of an ensemble's weights reached, and what that is worth on pictures that it did not see.

    Args:
        content: Of ``ensemble.json``; see `mekiki.training.weighing`.
    """
    if content["cross_fitted"] is None:
        return [f"too few groups of part {content['part']!r} have a class to cross-fit the weights"]
    name = content["objective"].replace("-", "_")
    found, honest = _shown(content["search"]["found"]), _shown(content["cross_fitted"][name])
    return [f"{COLUMNS[name]} on {content['part']}: {found}, cross-fitted {honest}"]


def _shown(content: Mapping[str, Any], sign: str = "") -> str:
    return describe(Estimate.from_json(content), sign)


def _whole_estimate(content: Mapping[str, Any]) -> str:
    one = Estimate.from_json(content)
    if one.value != one.value:
        return MISSING
    mark = "" if one.is_reliable else "†"
    return f"{_whole(one.value)} [{_whole(one.low)}, {_whole(one.high)}]{mark}"


def _whole(number: float) -> str:
    """Return a count as a whole number with commas; what is above 0 and below 1 shows that it is."""
    return "<1" if 0 < number < 0.5 else f"{number:,.0f}"


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
