"""A measured figure beside what random orders give, and whether it is told from that."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.stats import hypergeom

from mekiki.records import Estimate

Verdict = Literal["above chance", "not above chance", "below chance", "too little to tell", "not measured"]
N_ORDERS, TAIL = 1000, 0.025
MAX_CELLS = 1 << 20
"""Cells of an array of orders: memory grows with this, and not with their number."""

SAME = 1e-9
"""Figures that differ by no more were reached by the same order, added up in another way."""

Row = NDArray[np.float64]


class Figure(NamedTuple):
    """One figure of a ranking.

    Attributes:
        found: With its interval over atoms.
        chance: What a random order of the same things has in the mean, exactly.
        gain: ``found`` less chance, with an interval of its own.
        orders: Between which two values 95 % of random orders lie, see `draw_orders`; NaN where nobody knows.
    """

    found: Estimate
    chance: float
    gain: Estimate
    orders: tuple[float, float] = (float("nan"), float("nan"))

    @property
    def verdict(self) -> Verdict:
        """Whether it is told from chance: the gain's interval excludes 0, and few random orders reach what was found.

        Both are asked, since draws of ten rare things that all rank low cannot show how high they might have ranked.
        Nothing is told by an interval that is not reliable.

        Chosen by simulation (``tests/metrics/test_rare_ranking.py`` has a small one), where scores knew nothing of what
        is rare. By average precision, 2.7 % of 1,000 such worlds of 200 atoms of one thing were above chance and 2.6 %
        below; of 100 atoms of five things that nearly always rank, and are rare, together, 1.6 and 2.0 %; of 400 worlds
        of 120 atoms of log-normal size, 2.2 and 2.0 %. In the last the interval alone said 3.5 and 9 %, and orders that
        do not keep atoms together 23 and 22 %.
        """
        if not np.isfinite([self.gain.low, self.gain.high]).all():
            return "not measured"
        if not (self.found.is_reliable and self.gain.is_reliable):
            return "too little to tell"
        least, most = self.orders
        if self.gain.low > 0 and not self.found.value <= most + SAME:
            return "above chance"
        return "below chance" if self.gain.high < 0 and not self.found.value >= least - SAME else "not above chance"

    def to_json(self) -> dict[str, Any]:
        """Return it as files have it: figure and interval, ``chance`` with its two ends, ``gain`` and ``verdict``."""
        names = ("chance", "chance_low", "chance_high")
        numbers = zip(names, (self.chance, *self.orders), strict=True)
        chance = {name: round(float(one), 6) if np.isfinite(one) else None for name, one in numbers}
        return {**self.found.to_json(), **chance, "gain": self.gain.to_json(), "verdict": self.verdict}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Figure:
        """Return what `to_json` wrote."""
        names = ("chance", "chance_low", "chance_high")
        chance, low, high = (float("nan") if content[name] is None else float(content[name]) for name in names)
        return cls(Estimate.from_json(content), chance, Estimate.from_json(content["gain"]), (low, high))


def hits_by_chance(n: int, n_rare: int, k: int) -> tuple[int, int]:
    """Return between which two numbers of rare things are among the first k in 95 % of random orders of single things.

    Args:
        n: Things.
        n_rare: Of which so many are rare, up to n.
        k: Up to n.
    """
    low, high = hypergeom.ppf([TAIL, 1 - TAIL], n, n_rare, k)
    return int(low), int(high)


def draw_orders(
    scores: NDArray[np.floating[Any]], is_rare: NDArray[np.bool_], atoms: NDArray[np.int64]
) -> Iterator[tuple[Row, Row]]:
    """Yield `N_ORDERS` orders of atoms, some at a time: how many rare things, and how many things, stand at each place.

    In each order every atom takes the scores of another one, drawn without replacement: what ranks together, or is rare
    together, still does. Within an atom who takes which score is drawn too; an atom with more things takes scores more
    than once, and one with fewer takes some of them. With atoms of one thing each these are random orders.

    Args:
        scores: ``(N,)``, higher comes first; N is 1 or more.
        is_rare: ``(N,)``.
        atoms: ``(N,)``, any numbers.

    Yields:
        Two arrays ``(R, P)``, P being the number of distinct scores, the highest first.
    """
    rng = np.random.default_rng(0)
    mixed = rng.permutation(len(scores))
    rows = mixed[np.argsort(atoms[mixed], kind="stable")]
    levels, place = np.unique(-scores[rows], return_inverse=True)
    _, atom, sizes = np.unique(atoms[rows], return_inverse=True, return_counts=True)
    starts, is_rare = np.cumsum(sizes) - sizes, is_rare[rows]
    nth = np.arange(len(rows)) - starts[atom]
    n_at_once = min(max(1, MAX_CELLS // len(levels)), N_ORDERS)
    for first in range(0, N_ORDERS, n_at_once):
        taken = []
        for _ in range(min(n_at_once, N_ORDERS - first)):
            other, turn = rng.permutation(len(sizes))[atom], rng.integers(sizes)
            taken.append(place[starts[other] + (nth + turn[other]) % sizes[other]])
        cells = np.stack(taken) + len(levels) * np.arange(len(taken))[:, None]
        shape = (len(taken), len(levels))
        rare, counts = (
            np.bincount(some.ravel(), minlength=shape[0] * shape[1]).reshape(shape).astype(np.float64)
            for some in (cells[:, is_rare], cells)
        )
        yield rare, counts
