"""One fit of thresholds to weighted atoms: per class where there is enough to go by, joint otherwise.

N pictures, C classes, K atoms. Thresholds have numbers, see `mekiki.metrics.search`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mekiki.metrics.bounds import Row
from mekiki.metrics.objectives import PROMISES, TuneOptions
from mekiki.metrics.promises import Promise, keeps_promise, nearest_to_promise, promised_bounds
from mekiki.metrics.search import Cells, Counts, Ranking, maximise_joint_f1, pick


class ThresholdFit:
    """Cells of a data set, sorted once, to which thresholds are fitted for any weights of its atoms.

    Args:
        scores: ``(N, C)``.
        truth: ``(N, C)``.
        atoms: ``(N,)`` 0 to K - 1, and K.
        options: What the thresholds are to be good for.

    Raises:
        ValueError: If no cell is present, or a prevalence cannot be reached by weights.
    """

    def __init__(
        self,
        scores: NDArray[np.float32],
        truth: NDArray[np.int8],
        atoms: tuple[NDArray[np.int64], int],
        options: TuneOptions,
    ) -> None:
        if not (truth == 1).any():
            raise ValueError(f"truth of {truth.shape} has no present cell, so that there is nothing to tune on")
        self._options = options
        numbers, n_atoms = atoms
        weights = _cell_weights(truth, options)
        is_known = truth >= 0
        self._columns = [
            Ranking(
                Cells(scores[known, column], truth[known, column] == 1, numbers[known], weights[known, column]),
                n_atoms,
            )
            for column, known in enumerate(is_known.T)
        ]
        rows = np.nonzero(is_known)[0]
        self._pooled = Ranking(Cells(scores[is_known], truth[is_known] == 1, numbers[rows], weights[is_known]), n_atoms)
        self._sizes = [
            {
                "n_known": int((column >= 0).sum()),
                "n_positives": int((column == 1).sum()),
                "n_atoms": len(np.unique(numbers[column == 1])),
            }
            for column in truth.T
        ]
        self._has_own = [
            options.per_class and one["n_positives"] >= options.min_positives and one["n_atoms"] >= options.min_atoms
            for one in self._sizes
        ]
        self._promises = [self._promise(column) for column in range(truth.shape[1])]
        self._joint_promise = self._promise(None)

    def choose(self, atom_weights: Row | None = None) -> tuple[int, list[int | None]]:
        """Return the number of the joint threshold and those of the classes; None for a class that uses the joint."""
        pooled = self._pooled.count(atom_weights)
        if self._options.objective == "macro-f1" and not self._options.per_class:
            joint = pick(self._mean_f1(atom_weights), self._pooled.thresholds)
        else:
            joint = self._best(self._pooled, pooled, self._joint_promise, atom_weights)
        if not any(self._has_own):
            return joint, [None] * len(self._columns)
        counts = [column.count(atom_weights) for column in self._columns]
        if self._options.objective == "micro-f1":
            limit = np.float32(self._pooled.thresholds[joint])
            fixed = {
                number: column.number_of(limit)
                for number, column in enumerate(self._columns)
                if not self._has_own[number]
            }
            found = maximise_joint_f1(counts, [column.thresholds for column in self._columns], fixed)
        else:
            found = [
                self._best(self._columns[column], counts[column], self._promises[column], atom_weights)
                if has_own
                else 0
                for column, has_own in enumerate(self._has_own)
            ]
        return joint, [number if has_own else None for number, has_own in zip(found, self._has_own, strict=True)]

    def joint_threshold(self, joint: int) -> float:
        """Return the joint threshold of this number."""
        return float(self._pooled.thresholds[joint])

    def thresholds(self, joint: int, numbers: list[int | None]) -> list[float]:
        """Return the thresholds of what `choose` returned, one per class."""
        return [
            self.joint_threshold(joint) if number is None else float(column.thresholds[number])
            for column, number in zip(self._columns, numbers, strict=True)
        ]

    def describe(self, column: int | None, threshold: float, ends: list[float]) -> dict[str, Any]:
        """Return the facts of a class's threshold, or of the joint one for None; see `mekiki.metrics.thresholds.Tuned`.

        Args:
            column: Which class.
            threshold: Its threshold.
            ends: Of the threshold's interval.
        """
        ranking = self._pooled if column is None else self._columns[column]
        number = ranking.number_of(np.float32(threshold))
        counts = ranking.count()
        facts = {name: float(getattr(counts, name)[number]) for name in ("precision", "recall", "f1")}
        value = {"precision-at-recall": facts["precision"], "recall-at-precision": facts["recall"]}.get(
            self._options.objective, facts["f1"]
        )
        if self._options.objective == "cost":
            value = float(self._cost(counts)[number]) / max(counts.n_present + counts.n_absent, 1e-9)
        totals = {name: sum(one[name] for one in self._sizes) for name in ("n_known", "n_positives")}
        sizes = {**totals, "n_atoms": self._n_positive_atoms} if column is None else self._sizes[column]
        return {
            **sizes,
            "used_joint": column is None or not self._has_own[column],
            "threshold": threshold,
            "threshold_low": min(ends[0], threshold),
            "threshold_high": max(ends[1], threshold),
            "value": value,
            **facts,
            **self._describe_promise(
                ranking, self._joint_promise if column is None else self._promises[column], number
            ),
        }

    def _describe_promise(self, ranking: Ranking, promise: Promise | None, number: int) -> dict[str, Any]:
        if promise is None:
            return dict.fromkeys(("promised", "at_least", "bound", "is_met"))
        return {
            "promised": promise.kind,
            "at_least": promise.at_least,
            "bound": float(promised_bounds(ranking, promise)[number]),
            "is_met": bool(keeps_promise(ranking, promise)[number]),
        }

    def _best(self, ranking: Ranking, counts: Counts, promise: Promise | None, atom_weights: Row | None) -> int:
        """Return the number of the threshold that is best for the objective."""
        if promise is None:
            values = -self._cost(counts) if self._options.objective == "cost" else counts.f1
            return pick(values, ranking.thresholds)
        gained, promised = counts.precision, counts.recall
        if promise.kind == "precision":
            gained, promised = promised, gained
        is_kept = keeps_promise(ranking, promise, atom_weights)
        if is_kept.any():
            return pick(np.where(is_kept, gained, -np.inf), ranking.thresholds, promised)
        return pick(nearest_to_promise(ranking, promise, atom_weights), ranking.thresholds, gained)

    def _cost(self, counts: Counts) -> Row:
        alarm, miss = self._options.costs
        return alarm * counts.alarms + miss * (counts.n_present - counts.hits)

    def _mean_f1(self, atom_weights: Row | None) -> Row:
        """Return the mean of F1 over classes with a known cell at each joint threshold."""
        limits = self._pooled.thresholds
        known = [column for column, one in zip(self._columns, self._sizes, strict=True) if one["n_known"]]
        by_class = np.stack([column.count(atom_weights).f1[column.numbers_of(limits)] for column in known])
        return np.asarray(by_class.mean(axis=0), np.float64)

    def _promise(self, column: int | None) -> Promise | None:
        options = self._options
        if options.objective not in PROMISES or options.at_least is None:
            return None
        if options.objective == "precision-at-recall":
            return Promise("recall", options.at_least, 1 - options.level)
        wanted = options.prevalence or {}
        prevalence = wanted.get(column) if column is not None else None
        if column is None and wanted:
            counts = self._pooled.count()
            prevalence = counts.n_present / (counts.n_present + counts.n_absent)
        return Promise("precision", options.at_least, 1 - options.level, prevalence)

    @property
    def _n_positive_atoms(self) -> int:
        return int(self._pooled.decided_share(True)[0].n_atoms[0])


def _cell_weights(truth: NDArray[np.int8], options: TuneOptions) -> Row:
    """Return ``(N, C)`` weights with which columns have the prevalence that is asked for."""
    weights = np.ones(truth.shape)
    for column, share in (options.prevalence or {}).items():
        if not 0 <= column < truth.shape[1]:
            raise ValueError(f"prevalence must be of columns 0 to {truth.shape[1] - 1}, got {column}")
        is_present, is_absent = truth[:, column] == 1, truth[:, column] == 0
        n_known = is_present.sum() + is_absent.sum()
        if not is_present.any() or not is_absent.any():
            raise ValueError(
                f"prevalence of column {column} needs present and absent cells, "
                f"got {is_present.sum()} and {is_absent.sum()}"
            )
        weights[is_present, column] = share * n_known / is_present.sum()
        weights[is_absent, column] = (1 - share) * n_known / is_absent.sum()
    return weights
