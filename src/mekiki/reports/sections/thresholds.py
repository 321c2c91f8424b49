"""At which score a model decides: its thresholds, how sure they are, and whether tuning them gained anything."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mekiki.records import Estimate
from mekiki.reports.blocks import Block, Column, Group, Paragraph, Section, Table, Verdict, VerdictState
from mekiki.reports.measures import estimate_of, name_of_measure, what_is_shown
from mekiki.reports.sections.per_million import per_million_blocks, per_million_rows
from mekiki.reports.values import Value, format_share

COMPARED = ("micro_f1", "macro_f1")
NO_GAIN = "No gain is shown"


@dataclass(frozen=True, slots=True)
class TunedModel:
    """One tuned model as the page tells it.

    ``tuning`` is what ``tuning.json`` holds; ``evaluated`` is the model's entry in the latest ``metrics.json``, None
    where it was not evaluated; ``problem`` says what could not be read.
    """

    name: str
    tuning: Mapping[str, Any]
    evaluated: Mapping[str, Any] | None = None
    problem: str = ""


@dataclass(frozen=True, slots=True)
class _Compared:
    """Decisions of one model at 0.5 and at its thresholds, measured on the same pictures."""

    where: str
    half: Any
    tuned: Any
    gain: Any


def thresholds_section(models: Sequence[TunedModel]) -> Section:
    """Return the section ``thresholds``: for each tuned model its thresholds and what they gain over 0.5."""
    blocks = tuple(Group(one.name, tuple(_model_blocks(one)), _note(one)) for one in models)
    lead = (
        "A class is decided when its score reaches its threshold. Cross-fitted means that no picture was judged by "
        "thresholds that it, or one that belongs with it, had helped to find."
    )
    return Section("thresholds", "Thresholds", blocks, lead)


def _note(model: TunedModel) -> str:
    objective, part = model.tuning.get("objective"), model.tuning.get("part")
    how = model.tuning.get("calibrate", "none")
    calibrated = "" if how == "none" else f", scores calibrated first ({how})"
    return f"tuned for {name_of_measure(str(objective))} on {part}{calibrated}" if objective and part else ""


def _model_blocks(model: TunedModel) -> list[Block]:
    if model.problem:
        return [Paragraph(model.problem)]
    part = str(model.tuning.get("part", "val"))
    compared = _compared(model, part)
    blocks: list[Block] = [_judgement(model, compared, part)]
    if rows := _gain_rows(compared):
        columns = (
            Column("measured on"),
            Column("measure"),
            Column("at 0.5", "share"),
            Column("tuned", "share"),
            Column("difference", "difference"),
        )
        blocks.append(Table(columns, tuple(rows), "Tuned thresholds against 0.5, on the same pictures"))
    itself = [
        f"{name_of_measure(name)} {format_share(found)}"
        for name in COMPARED
        if (found := estimate_of(model.tuning, "in_sample", name))
    ]
    if itself:
        told = f"On the very pictures they were tuned on: {', '.join(itself)}. Such figures are too good by nature."
        blocks.append(Paragraph(told, is_muted=True))
    if model.tuning.get("thresholds"):
        blocks += [_class_table(model.tuning), _class_remark(model.tuning)]
    if rows := list(per_million_rows(model.name, model.tuning.get("per_million") or {})):
        blocks += per_million_blocks(rows, f"{part}, cross-fitted")
    return blocks


def _compared(model: TunedModel, tuned_on: str) -> list[_Compared]:
    tuning, evaluated = model.tuning, model.evaluated or {}
    found = []
    if tuning.get("cross_fitted"):
        where = f"{tuned_on}, cross-fitted"
        found.append(_Compared(where, tuning.get("half"), tuning["cross_fitted"], tuning.get("gain_cross_fitted")))
    for part, half in (evaluated.get("half") or {}).items():
        if part not in tuned_on.split(", "):
            found.append(_Compared(part, half.get("metrics"), evaluated["parts"].get(part), half.get("gain")))
    return found


def _gain_rows(compared: Sequence[_Compared]) -> list[tuple[Value, ...]]:
    return [
        (
            one.where,
            name_of_measure(name),
            estimate_of(one.half, name),
            estimate_of(one.tuned, name),
            estimate_of(one.gain, name),
        )
        for one in compared
        for name in COMPARED
    ]


def _judgement(model: TunedModel, compared: Sequence[_Compared], tuned_on: str) -> Block:
    """Return whether tuning gained anything, said of the part that knows best: one that it was not tuned on."""
    objective = str(model.tuning.get("objective", "")).replace("-", "_")
    if objective not in COMPARED:
        aim = name_of_measure(objective) if objective else "something else"
        return Paragraph(f"The thresholds were tuned for {aim}, not for F1, which may well be lower than at 0.5.")
    shown = [(one.where, what_is_shown(estimate_of(one.gain, objective), "higher", "lower")) for one in compared]
    sentences = [f"{where}, {name_of_measure(objective)}: {what}." for where, what in shown]
    apart = [one for one in compared if one.where != f"{tuned_on}, cross-fitted"]
    if not apart:
        sentences.append("It was not evaluated on another part yet. Type: mekiki evaluate")
    # The part called test knows best, then any other that the thresholds have not seen, then cross-fitting.
    judges = sorted(apart, key=lambda one: one.where != "test") or list(compared)
    gain = estimate_of(judges[0].gain, objective) if judges else None
    state, headline = _verdict(gain, judges[0].where if judges else "")
    return Verdict(state, headline, tuple(sentences))


def _verdict(gain: Estimate | None, where: str) -> tuple[VerdictState, str]:
    if gain is None or math.isnan(gain.low) or math.isnan(gain.high):
        return "warning", f"{NO_GAIN}: nothing could be compared."
    if gain.low > 0 and gain.is_reliable:
        return "ok", f"Tuning gains on {where}: the whole interval of the difference lies above 0."
    if gain.high < 0:
        return "failed", f"Tuning loses on {where}: the whole interval of the difference lies below 0."
    if gain.low > 0:
        return "warning", f"{NO_GAIN} on {where} that could be believed: there are too few independent groups."
    return "warning", f"{NO_GAIN} on {where}: the interval of the difference contains 0."


def _class_table(tuning: Mapping[str, Any]) -> Table:
    facts_of: Mapping[str, Mapping[str, Any]] = tuning.get("classes") or {}
    has_promise = any(facts.get("promised") for facts in facts_of.values())
    columns = [
        Column("class"),
        Column("threshold", "share"),
        Column("pictures that show it", "count"),
        Column("in sets", "count"),
        Column("threshold is"),
    ]
    if has_promise:
        columns += [Column("promise"), Column("sure of", "share"), Column("promise is made")]
    rows: list[tuple[Value, ...]] = []
    for name, threshold in tuning["thresholds"].items():
        facts = facts_of.get(name, {})
        low, high, joint = (facts.get(key) for key in ("threshold_low", "threshold_high", "used_joint"))
        row: tuple[Value, ...] = (
            name,
            threshold if low is None or high is None else Estimate(threshold, low, high),
            facts.get("n_positives"),
            facts.get("n_atoms"),
            None if joint is None else "the joint one" if joint else "its own",
        )
        rows.append((*row, *_promise(facts)) if has_promise else row)
    return Table(tuple(columns), tuple(rows), "Thresholds by class")


def _promise(facts: Mapping[str, Any]) -> tuple[Value, Value, Value]:
    """Return what a class promises, its one-sided bound, and whether the promise is made."""
    promised, at_least = facts.get("promised"), facts.get("at_least")
    what = None if promised is None or at_least is None else f"{promised} at least {format_share(float(at_least))}"
    return what, facts.get("bound"), facts.get("is_met")


def _class_remark(tuning: Mapping[str, Any]) -> Paragraph:
    remark = "In brackets: where the threshold fell when sets of pictures were drawn anew."
    facts_of: Mapping[str, Mapping[str, Any]] = tuning.get("classes") or {}
    if tuning.get("joint") is not None and any(facts.get("used_joint") for facts in facts_of.values()):
        shared = format_share(float(tuning["joint"]))
        remark += f" A class with too few pictures or sets of its own uses the joint threshold, {shared}."
    broken = [name for name, facts in facts_of.items() if facts.get("is_met") is False]
    if broken:
        remark += (
            f" No promise is made for {', '.join(broken)}: these pictures do not show that it would be kept, and the "
            "threshold is the one that comes nearest."
        )
    return Paragraph(remark, is_muted=True)
