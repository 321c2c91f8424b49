"""Measured rankings in lines for a terminal, and gates on them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

from mekiki.catalog.mining import COMBINED
from mekiki.errors import unknown_name
from mekiki.metrics.beside_chance import Figure
from mekiki.records import Estimate
from mekiki.training.telling import MISSING, missed_gate

Measured = Mapping[str, Mapping[str, Figure]]
"""Scorer to figures by name."""

SHORT = {"average_precision": "AP", "precision": "precision", "recall": "recall"}


def tell_scorers(measured: Measured, lead: str) -> Iterator[str]:
    """Yield a line for each scorer: its leading figure beside chance, and what the others are.

    Args:
        measured: What was measured.
        lead: Name of the figure whose verdict is told.
    """
    for scorer, figures in measured.items():
        first = figures[lead]
        others = ", ".join(
            f"{_short(name)} {_plain(one.found.value)} ({_plain(one.chance)})"
            for name, one in figures.items()
            if name != lead
        )
        said = f"{_short(lead)} {shown(first.found)}, chance {_plain(first.chance)}: {first.verdict}"
        yield f"{scorer}: {said}{f'; {others}' if others else ''}"
    is_told = [figures[lead].found.is_reliable for figures in measured.values()]
    if not all(is_told):
        yield "† too few groups, or too few draws that differ, for an interval to rely on: nothing is told by it"
    if len(measured) > 1:
        by_luck = ". Of rankings at chance, up to one in 40 seems to be above it" if any(is_told) else ""
        yield f"brackets: 95 % intervals; parentheses: chance{by_luck}"


def shown(estimate: Estimate) -> str:
    """Return a figure with its interval in few digits; † marks what is not reliable.

    Example:
        >>> shown(Estimate(0.313, 0.22, 0.41, is_reliable=False))
        '0.31 [0.22, 0.41]†'
    """
    if math.isnan(estimate.value):
        return MISSING
    mark = "" if estimate.is_reliable else "†"
    return f"{estimate.value:.2f} [{_plain(estimate.low)}, {_plain(estimate.high)}]{mark}"


def refuse_gates(gates: Mapping[str, float], measured: Measured, too_few: str = "groups") -> list[str]:
    """Return why rankings do not pass gates; empty if they pass all.

    Args:
        gates: ``METRIC``, of the combined ranking, or ``SCORER:METRIC``, to the value that its lower bound must exceed.
        measured: What was measured.
        too_few: What there is too little of where intervals are not reliable.

    Raises:
        UsageError: If a scorer was not measured, with the nearest that was.
    """
    reasons = []
    for name, least in gates.items():
        given, _, metric = name.rpartition(":")
        scorer = given or COMBINED
        if scorer not in measured:
            raise unknown_name("measured scorer (--gate SCORER:METRIC=VALUE)", scorer, measured)
        found = measured[scorer][metric].found
        reasons += missed_gate(f"{metric} of {scorer}", found, shown(found), least, too_few)
    return reasons


def _short(name: str) -> str:
    kind, _, cutoff = name.partition("_at_")
    return f"{SHORT[kind]} at {cutoff}" if cutoff else SHORT[kind]


def _plain(number: float) -> str:
    return MISSING if math.isnan(number) else f"{number:.2f}"
