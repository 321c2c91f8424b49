"""Exact search for thresholds: what each distinct score would decide, for one column of scores.

G thresholds: number 0 lies above all scores and decides nothing; number g decides the g highest distinct scores.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from mekiki.metrics.bounds import Moments
from mekiki.metrics.counting import ratio

Row = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Cells:
    """Known cells of one class, or of all classes pooled. Rows belong together."""

    scores: NDArray[np.float32]  # (n,)
    is_present: NDArray[np.bool_]  # (n,)
    atoms: NDArray[np.int64]  # (n,) 0 to K - 1
    weights: Row  # (n,) how much a cell counts for; 1 unless prevalence will be another


@dataclass(frozen=True, slots=True)
class Counts:
    """What is right and wrong at each of G thresholds, in weights of cells."""

    hits: Row  # (G,)
    alarms: Row  # (G,)
    n_present: float
    n_absent: float
    recall: Row  # (G,) of the cells as they are, whatever the prevalence; 0 where nothing is present

    @property
    def precision(self) -> Row:
        """0 where nothing is decided."""
        return ratio(self.hits, self.hits + self.alarms, 0.0)

    @property
    def f1(self) -> Row:
        """0 where nothing is present nor decided."""
        return ratio(2 * self.hits, self.hits + self.alarms + self.n_present, 0.0)


@dataclass(frozen=True, slots=True)
class _Side:
    """The present or the absent cells, from the highest score to the lowest."""

    atoms: NDArray[np.int64]  # (n,)
    terms: Row  # (3, n) what each cell adds to hits, to their squares by atom, to their products with totals
    totals: Row  # (K,) cells of each atom
    steps: NDArray[np.int64]  # (G,) how many of them each threshold decides


class Ranking:
    """Cells sorted by score once, to be counted for any weights of atoms."""

    def __init__(self, cells: Cells, n_atoms: int) -> None:
        order = np.argsort(-cells.scores, kind="stable")
        self._n_atoms = n_atoms
        self._scores, self._atoms = cells.scores[order], cells.atoms[order]
        self._is_present, self._weights = cells.is_present[order], cells.weights[order]
        n = len(order)
        ends = np.flatnonzero(np.append(np.diff(self._scores) != 0, True)) if n else np.empty(0, np.int64)
        self._ends = ends
        self.thresholds = _midway(self._scores[ends])

    def count(self, atom_weights: Row | None = None) -> Counts:
        """Return right and wrong decisions at each threshold."""
        weights = self._weights if atom_weights is None else self._weights * atom_weights[self._atoms]
        hits = np.cumsum(np.where(self._is_present, weights, 0.0))
        alarms = np.cumsum(np.where(self._is_present, 0.0, weights))
        found = hits
        if not self._is_evenly_present:
            found = np.cumsum(self._is_present * (1.0 if atom_weights is None else atom_weights[self._atoms]))
        return Counts(
            self._at_ends(hits),
            self._at_ends(alarms),
            float(hits[-1]) if len(hits) else 0.0,
            float(alarms[-1]) if len(alarms) else 0.0,
            ratio(self._at_ends(found), np.full(len(self.thresholds), found[-1] if len(found) else 0.0), 0.0),
        )

    def found_share(self, atom_weights: Row | None = None) -> tuple[Moments, NDArray[np.int64]]:
        """Return as `decided_share` the moments of recall, each present cell counted once, whatever the prevalence."""
        return self._share_of(self._present_once, atom_weights)

    def decided_share(self, is_of_present: bool, atom_weights: Row | None = None) -> tuple[Moments, NDArray[np.int64]]:
        """Return which share of the present cells, or of the absent ones (the false alarm rate), is decided.

        Weights of cells are taken relative to the mean of their side, since only their differences matter.

        Returns:
            The moments after each cell of the side, and ``(G,)`` which of them each threshold has.
        """
        return self._share_of(self._sides[is_of_present], atom_weights)

    def _share_of(self, sums: _Side, atom_weights: Row | None) -> tuple[Moments, NDArray[np.int64]]:
        pulls = np.ones(self._n_atoms) if atom_weights is None else atom_weights
        hits, hits_squared, hits_cells = _cumulated(sums.terms * pulls[sums.atoms])

        def everywhere(number: float) -> Row:
            return np.full(len(hits), number)

        moments = Moments(
            hits,
            everywhere(float(pulls @ sums.totals)),
            hits_squared,
            hits_cells,
            everywhere(float(pulls @ np.square(sums.totals))),
            everywhere(float(pulls @ (sums.totals > 0))),
        )
        return moments, sums.steps

    def present_share(self, atom_weights: Row | None = None) -> Moments:
        """Return the moments of precision: which share of decided cells is present; all cells count alike."""
        scale = 1.0 if atom_weights is None else atom_weights[self._atoms]
        return Moments(*(row[self._steps] for row in _cumulated(self._decided * scale)))

    def number_of(self, threshold: np.float32) -> int:
        """Return the number of the threshold that decides the same as this one."""
        return int(self.numbers_of(np.array([threshold], np.float32))[0])

    def numbers_of(self, thresholds: NDArray[np.float32]) -> NDArray[np.int64]:
        """Return the numbers of the thresholds that decide the same as these."""
        return np.searchsorted(-self._scores[self._ends], -thresholds, side="right")

    def _at_ends(self, sums: Row) -> Row:
        return np.concatenate([[0.0], sums[self._ends]])

    @cached_property
    def _steps(self) -> NDArray[np.int64]:
        """How many cells each threshold decides, ``(G,)``."""
        return np.append(0, self._ends + 1)

    @cached_property
    def _sides(self) -> tuple[_Side, _Side]:
        return self._side(False, self._weights), self._side(True, self._weights)

    @cached_property
    def _present_once(self) -> _Side:
        return self._side(True, np.ones(len(self._weights)))

    @cached_property
    def _is_evenly_present(self) -> bool:
        """Whether all present cells weigh the same: of one class they do, of several with a prevalence they do not."""
        weights = self._weights[self._is_present]
        return bool((weights == weights[:1]).all())

    def _side(self, is_of_present: bool, cell_weights: Row) -> _Side:
        rows = np.flatnonzero(self._is_present == is_of_present)
        atoms = self._atoms[rows]
        weights = cell_weights[rows] / (cell_weights[rows].mean() if len(rows) else 1.0)
        totals: Row = np.bincount(atoms, weights, minlength=self._n_atoms).astype(np.float64)
        terms = np.stack([weights, weights * (2 * _running(weights, atoms) + weights), weights * totals[atoms]])
        return _Side(atoms, terms, totals, np.searchsorted(rows, self._steps))

    @cached_property
    def _decided(self) -> Row:
        """What each cell adds to the six sums of `Moments`, ``(6, n)``."""
        is_hit = self._is_present.astype(np.float64)
        ones = np.ones(len(is_hit))
        hits, cells = _running(is_hit, self._atoms), _running(ones, self._atoms)
        return np.stack(
            [
                is_hit,
                ones,
                is_hit * (2 * hits + 1),
                (hits + is_hit) * (cells + 1) - hits * cells,
                2 * cells + 1,
                cells == 0,
            ]
        )


def pick(values: Row, thresholds: NDArray[np.float32], then: Row | None = None) -> int:
    """Return the number of the threshold with the highest value.

    Of equal ones, that with the highest in ``then``; of those, the one nearest to 0.5; of those, the highest.
    """
    best = np.flatnonzero(values == values.max())
    if then is not None:
        best = best[then[best] == then[best].max()]
    return int(best[np.argmin(np.abs(thresholds[best].astype(np.float64) - 0.5))])


def maximise_joint_f1(counts: list[Counts], thresholds: list[NDArray[np.float32]], fixed: dict[int, int]) -> list[int]:
    """Return one threshold number per class, so that F1 over all cells together is as high as can be.

    F1 is ``2 hits / (decided + present)``, a ratio of sums over classes. For a given ratio r, each class on its own
    maximises ``2 hits - r decided``; r rises to the ratio so reached, until it stays (a few rounds).

    Args:
        counts: Of each class.
        thresholds: Of each class.
        fixed: Class to the number of a threshold that is not to be changed.

    Reference:
        Dinkelbach, 1967, https://doi.org/10.1287/mnsc.13.7.492.
    """
    n_present = sum(one.n_present for one in counts)
    numbers, ratio_before = [0] * len(counts), -1.0
    reached = 0.0
    while reached > ratio_before:
        ratio_before = reached
        chosen = [
            fixed[column] if column in fixed else pick(2 * one.hits - reached * (one.hits + one.alarms), limits)
            for column, (one, limits) in enumerate(zip(counts, thresholds, strict=True))
        ]
        hits = sum(float(one.hits[number]) for one, number in zip(counts, chosen, strict=True))
        alarms = sum(float(one.alarms[number]) for one, number in zip(counts, chosen, strict=True))
        whole = hits + alarms + n_present
        reached = 2 * hits / whole if whole > 0 else 0.0
        if reached > ratio_before:
            numbers = chosen
    return numbers


def _midway(distinct: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return thresholds around falling scores: each midway to the next lower one, which decides the same.

    Above the highest stands its middle to 1, below the lowest its middle to 0. Where float32 has nothing between two
    neighbours, the upper one is the threshold, so that ``scores >= threshold`` always decides what was searched.
    """
    highest = float(distinct[0]) if len(distinct) else 0.0
    above = np.float32((highest + 1) / 2)
    if len(distinct) and above <= distinct[0]:
        above = np.nextafter(distinct[0], np.float32(2))
    lower = np.append(distinct[1:], np.float32(0))
    middle = ((distinct.astype(np.float64) + lower) / 2).astype(np.float32)
    return np.concatenate([[above], np.where(middle > lower, middle, distinct)]).astype(np.float32)


def _cumulated(terms: Row) -> Row:
    """Return sums of the first 0, 1, 2, ... columns."""
    sums = np.zeros((len(terms), terms.shape[1] + 1))
    np.cumsum(terms, axis=1, out=sums[:, 1:])
    return sums


def _running(terms: Row, atoms: NDArray[np.int64]) -> Row:
    """Return for each row the sum of terms of its atom in the rows before it."""
    order = np.argsort(atoms, kind="stable")
    sums = np.cumsum(terms[order]) - terms[order]
    grouped = atoms[order]
    first = np.flatnonzero(np.diff(grouped, prepend=-1) != 0)
    sizes = np.diff(np.append(first, len(grouped)))
    before = np.empty_like(sums)
    before[order] = sums - np.repeat(sums[first], sizes)
    return before
