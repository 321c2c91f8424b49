"""What decisions mean where they will be used: false alarms, finds and misses per million pictures there.

A data set rarely shows a class as often as the world does. Recall and false alarm rate do not depend on how often, so
they carry over to any share; precision does not.

N pictures, C classes, K atoms, R draws of atoms.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mekiki.metrics.classification import Scored
from mekiki.metrics.counting import ratio, sum_by_atom
from mekiki.metrics.intervals import DEFAULT_RESAMPLING, Resampling, Weights, estimate, number_atoms
from mekiki.records import Estimate

MILLION = 1_000_000


@dataclass(frozen=True, slots=True)
class PerMillion:
    """One class among a million pictures, of which a stated share shows it.

    Attributes:
        prevalence: That share.
        n_present: Pictures that show it: a million times the share.
        false_alarms: Pictures without it that are said to show it.
        found, missed: Pictures with it; together they are ``n_present``.
        false_alarm_rate: Share of pictures without it that are said to show it.
    """

    prevalence: float
    n_present: float
    false_alarms: Estimate
    found: Estimate
    missed: Estimate
    false_alarm_rate: Estimate

    def to_json(self) -> dict[str, Any]:
        """Return it as files have it."""
        figures = ("false_alarms", "found", "missed", "false_alarm_rate")
        return {
            "prevalence": self.prevalence,
            "n_present": round(self.n_present, 6),
            **{name: getattr(self, name).to_json() for name in figures},
        }


def per_million(
    scored: Scored, column: int, prevalence: float, resampling: Resampling = DEFAULT_RESAMPLING
) -> PerMillion:
    """Return what a class's decisions mean at a prevalence: ``1e6 * (1 - prevalence) * false_alarm_rate``, and so on.

    Intervals are over atoms, see `mekiki.metrics.intervals.estimate`: where there is not a single false alarm, their
    upper end is as many as so few atoms could have hidden.

    Args:
        scored: Decisions and truth; masked cells do not count.
        column: Which class.
        prevalence: Share of pictures that show it where the model will be used, between 0 and 1.
        resampling: Draws and level.

    Returns:
        NaN where there is no absent picture (false alarms) or no present one (found, missed).

    Raises:
        ValueError: If the prevalence is not between 0 and 1, or there is no such column.
    """
    if not 0 < prevalence < 1:
        raise ValueError(f"prevalence must be between 0 and 1, got {prevalence}")
    if not 0 <= column < scored.truth.shape[1]:
        raise ValueError(f"column must be 0 to {scored.truth.shape[1] - 1}, got {column}")
    alarm_rate, recall = estimate(_Rates(scored, column), resampling)
    n_present = MILLION * prevalence
    missed = Estimate(1 - recall.value, 1 - recall.high, 1 - recall.low, recall.is_reliable)
    return PerMillion(
        prevalence,
        n_present,
        _times(alarm_rate, MILLION - n_present),
        _times(recall, n_present),
        _times(missed, n_present),
        alarm_rate,
    )


class _Rates:
    """False alarm rate and recall of one class."""

    def __init__(self, scored: Scored, column: int) -> None:
        atoms, self.n_atoms = number_atoms(scored.atoms)
        truth, is_decided = scored.truth[:, column], scored.decisions[:, column]
        cells = [is_decided & (truth == 0), truth == 0, is_decided & (truth == 1), truth == 1]
        self._sums = sum_by_atom(np.stack(cells, axis=1), atoms, self.n_atoms)
        self.rests_on = self.n_chances = (self._sums > 0).sum(axis=1)[[1, 3]].astype(np.float64)

    def __call__(self, weights: Weights) -> NDArray[np.float64]:
        alarms, absent, hits, present = self._sums @ weights
        return np.stack([ratio(alarms, absent, np.nan), ratio(hits, present, np.nan)])


def _times(one: Estimate, number: float) -> Estimate:
    return Estimate(number * one.value, number * one.low, number * one.high, one.is_reliable)
