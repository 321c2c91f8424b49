"""Which thresholds keep a promise of recall or precision, at a bound that respects atoms and the search.

Searching many thresholds for one whose bound is high enough finds one that was lucky. Here thresholds are tested in an
order that labels do not decide, and the first failure ends the search (fixed-sequence testing): then the chance that
any threshold that passed breaks the promise is no larger than the error of one test.

What decides is the test at the threshold where the share is exactly what is promised. So the design effect is taken
from the threshold where it is so in the data, which has enough wrong cells to tell how they cluster.

`tests/metrics/test_promises.py` tunes on many sets of atoms from one world and counts broken promises there.

Reference:
    Angelopoulos et al., 2021, https://arxiv.org/abs/2110.01052, section 3.2 (fixed sequences, several starts).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from mekiki.metrics.bounds import Moments, Row, design_effect, holds, lower_bound, n_flawless
from mekiki.metrics.counting import ratio
from mekiki.metrics.search import Ranking

FIRST_STARTS = (1.5, 4, 10)
"""Precision is tested downwards from where this many times as many atoms are decided as flawless ones would suffice."""


@dataclass(frozen=True, slots=True)
class Promise:
    """What is promised of decisions on new pictures.

    Attributes:
        kind: ``recall``, or ``precision``.
        at_least: The promised share, between 0 and 1.
        tail: How often the promise may be broken, over many sets to tune on.
        prevalence: Share of present cells where precision is promised; None takes it as it is in the data.
    """

    kind: Literal["recall", "precision"]
    at_least: float
    tail: float
    prevalence: float | None = None


def keeps_promise(ranking: Ranking, promise: Promise, atom_weights: Row | None = None) -> NDArray[np.bool_]:
    """Return at which thresholds the promise is kept, ``(G,)``; any of them may then be chosen.

    Recall is tested from the lowest threshold upwards. Precision is tested downwards from several starts, which share
    the error: where at least 1.5, 4 and 10 times as many atoms are decided as would do if all were right.
    """
    if promise.kind == "recall":
        moments, steps = ranking.found_share(atom_weights)
        effect = _effect_where(moments, moments.share, promise)
        # More is found at lower thresholds, so that whichever pass are those below one of them.
        return holds(moments, effect, promise.at_least, promise.tail)[steps]
    moments = ranking.present_share(atom_weights)
    decided = moments.n_atoms
    enough = n_flawless(promise.at_least, promise.tail / len(FIRST_STARTS))
    starts = np.unique([int(np.searchsorted(decided, times * enough)) for times in FIRST_STARTS])
    starts = starts[starts < len(decided)]
    kept = np.zeros(len(decided), bool)
    if not len(starts):
        return kept
    tail = promise.tail / len(starts)
    if promise.prevalence is None:
        is_kept = holds(moments, _effect_where(moments, moments.share, promise), promise.at_least, tail)
    else:
        is_kept = _precision_bounds(ranking, promise, tail, atom_weights) >= promise.at_least
    for start in starts.tolist():
        n_kept = int(np.argmin(np.append(is_kept[start:], False)))
        kept[start : start + n_kept] = True
    return kept


def promised_bounds(ranking: Ranking, promise: Promise) -> Row:
    """Return the one-sided bound of the promised share at each threshold, ``(G,)``, as if it had not been searched."""
    if promise.kind == "recall":
        moments, steps = ranking.found_share()
        return lower_bound(moments, _effect_where(moments, moments.share, promise), promise.tail)[steps]
    if promise.prevalence is None:
        moments = ranking.present_share()
        return lower_bound(moments, _effect_where(moments, moments.share, promise), promise.tail)
    return _precision_bounds(ranking, promise, promise.tail, None)


def nearest_to_promise(ranking: Ranking, promise: Promise, atom_weights: Row | None = None) -> Row:
    """Return how near each threshold comes to the promise, ``(G,)``, higher is nearer; where none keeps it.

    Those with the recall that is wanted are equally near: with few pictures no bound is high enough, and the lowest
    threshold of all, which comes highest, would call everything present.
    """
    if promise.kind == "recall":
        return np.minimum(ranking.count(atom_weights).recall, promise.at_least)
    return ranking.present_share(atom_weights).cautious_share


def _effect_where(moments: Moments, share: Row, promise: Promise) -> float:
    """Return the design effect at the lowest threshold (the highest, for recall) whose share is what is promised."""
    reached = np.flatnonzero(share >= promise.at_least)
    if not len(reached):
        return design_effect(moments, int(np.argmax(share)), promise.tail)
    return design_effect(moments, int(reached[0 if promise.kind == "recall" else -1]), promise.tail)


def _precision_bounds(ranking: Ranking, promise: Promise, tail: float, atom_weights: Row | None) -> Row:
    """Return bounds of precision at another prevalence: recall and false alarm rate each at half the error."""
    prevalence = promise.prevalence or 0.0
    found, found_steps = ranking.decided_share(True, atom_weights)
    alarms, alarm_steps = ranking.decided_share(False, atom_weights)
    quiet = alarms.complement()
    precision = _precision(found.share[found_steps], alarms.share[alarm_steps], prevalence)
    reached = np.flatnonzero(precision >= promise.at_least)
    at = int(reached[-1]) if len(reached) else int(np.argmax(precision))
    recall = lower_bound(found, design_effect(found, int(found_steps[at]), tail / 2), tail / 2)
    right_rate = lower_bound(quiet, design_effect(quiet, int(alarm_steps[at]), tail / 2), tail / 2)
    return _precision(recall[found_steps], 1 - right_rate[alarm_steps], prevalence)


def _precision(recall: Row, alarm_rate: Row, prevalence: float) -> Row:
    hits = prevalence * recall
    return ratio(hits, hits + (1 - prevalence) * alarm_rate, 0.0)
