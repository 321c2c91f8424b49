"""The search of an ensemble's weights: what it finds, and what that is worth on pictures that it did not see.

M models, N pictures, C classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from mekiki.metrics.classification import Metrics, Scored, measure
from mekiki.metrics.ensembles import Objective, combine, cross_combine, search_weights, select_greedily
from mekiki.training.card import DEFAULT_THRESHOLD
from mekiki.training.deciding import sum_up

MAX_FOLDS = 5
"""Of atoms, over which a search is cross-fitted."""


@dataclass(frozen=True, slots=True)
class Search:
    """A search of weights, and what it is done on.

    Attributes:
        scores: ``(M, N, C)`` finished scores of the models.
        truth: ``(N, C)``, with something present.
        atoms: ``(N,)``.
        class_names: C of them.
        method: See `mekiki.metrics.ensembles`.
        objective: What weights are to reach.
        seed: Of ``weighted``.
    """

    scores: NDArray[np.float32]
    truth: NDArray[np.int8]
    atoms: NDArray[np.int64]
    class_names: tuple[str, ...]
    method: Literal["weighted", "greedy"]
    objective: Objective
    seed: int

    def find(self) -> NDArray[np.float64]:
        """Return weights ``(M,)``."""
        return self._find(self.scores, self.truth)

    def cross_fitted(self) -> dict[str, Any] | None:
        """Return figures of decisions at 0.5, each by weights that its picture, and what belongs to it, did not find.

        None where fewer than two groups have a class: without one of them there may be nothing to search by.
        """
        if len(set(self.atoms[(self.truth == 1).any(axis=1)].tolist())) < 2:
            return None
        n_folds = min(MAX_FOLDS, len(set(self.atoms.tolist())))
        return sum_up(self._measure(cross_combine(self.scores, self.truth, self.atoms, self._find, n_folds)))

    def describe(self, names: Sequence[str], weights: NDArray[np.float64]) -> dict[str, Any]:
        """Return the objective for each model alone, their mean and what was found, on the pictures of the search."""
        return {
            "n_items": len(self.truth),
            "members": {name: self._value(one) for name, one in zip(names, self.scores, strict=True)},
            "mean": self._value(combine(self.scores, np.full(len(names), 1 / len(names)))),
            "found": self._value(combine(self.scores, weights)),
        }

    def _find(self, scores: NDArray[np.float32], truth: NDArray[np.int8]) -> NDArray[np.float64]:
        if self.method == "greedy":
            return select_greedily(scores, truth, self.objective)
        return search_weights(scores, truth, self.objective, self.seed)

    def _measure(self, scores: NDArray[np.float32]) -> Metrics:
        decisions = scores >= np.float32(DEFAULT_THRESHOLD)
        return measure(Scored(scores, self.truth, decisions, self.atoms), self.class_names)

    def _value(self, scores: NDArray[np.float32]) -> dict[str, Any]:
        return self._measure(scores).value(self.objective.replace("-", "_")).to_json()
