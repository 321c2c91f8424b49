"""How atoms are dealt out to parts: iterative multi-label stratification over atoms of any size.

F is the number of atoms to deal, P of parts, K of strata. A stratum is a class, or items that share another trait (no
class present, not labelled); the last stratum is all items. An atom brings a whole row of counts and goes to one part.

Reference: Sechidis, Tsoumakas and Vlahavas, "On the Stratification of Multi-label Data", 2011, algorithm 1. We depart
from it in four things:

* An atom counts with all its items. Rarest is the stratum in the fewest atoms, not in the fewest items, since atoms
  are what is scarce. Atoms with much of it come first, in random order within a factor of two, so that seeds differ.
* The paper gives to the part that still wants the most items. Large atoms then all go to the largest part: at 4,000
  atoms train had 13.5 items per atom and test 5.7. We compare fullness: what a part has of its target after taking
  half of the atom (as the Sainte-Lague method shares out seats), which gave 9.9 and 8.9. One pass drifts a little more
  (0.0012 against 0.0006); with the steps below it is 0.0003.
* When as many parts lack a required stratum as atoms with it are left, only those parts may take; what remains
  uncovered is repaired by min-conflicts search (Minton et al., 1992).
* Single atoms are moved as long as that lowers the sum of squared deviations over targets (Pearson's chi-square), and
  the best of several attempts counts. If all break a rule, up to 200 random beginnings are tried: of 162 hard cases
  with 9 to 11 atoms that all arrangements show to be possible, attempts alone solve 133 and all 162 are solved so.
  Up to about nine atoms and three parts, all arrangements are tried.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

MAX_ARRANGEMENTS = 20_000
"""Up to so many ways of dealing, all are tried."""

MAX_ATTEMPTS = 16
ATOMS_PER_DEAL = 50_000
"""Attempts times atoms stay below this: 16 attempts up to 3,000 atoms, 1 from 25,000."""

MAX_RESCUES = 200
"""So many random beginnings are tried where the attempts break a rule."""

MAX_MOVES = 300
CLOSE_ENOUGH = 0.0005
"""Deviations below this share of a part's items are left alone."""


@dataclass(frozen=True, slots=True)
class Deal:
    """The atoms that are to be dealt and what is wanted of the parts.

    Attributes:
        counts: ``(F, K)`` float64 items of each stratum in each atom; the last column is all its items, at least 1.
        held: ``(P, K)`` float64 items that the parts have already.
        shares: ``(P,)`` float64 share of all items that each part should get; above 0, sum 1.
        required: ``(K,)`` strata that every part must hold.
        tolerance: How far the share of items that a part gets may be off, in shares of all items.
    """

    counts: NDArray[np.float64]
    held: NDArray[np.float64]
    shares: NDArray[np.float64]
    required: NDArray[np.bool_]
    tolerance: float

    @property
    def targets(self) -> NDArray[np.float64]:
        """``(P, K)`` items of each stratum that each part should have."""
        return np.outer(self.shares, self.counts.sum(axis=0) + self.held.sum(axis=0))

    def sums(self, parts: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return ``(P, K)`` items of each stratum that each part has, given ``(F,)`` parts of the atoms."""
        dealt = [self.counts[parts == part].sum(axis=0) for part in range(len(self.shares))]
        return np.add(self.held, dealt, dtype=np.float64)


def count_strata(
    atoms: NDArray[np.int64], is_present: NDArray[np.bool_], is_missing: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Return how many items of each stratum each of A atoms has.

    Strata are the C classes in their order, then "no class present", then every way of not being asked (not labelled
    at all; for each class whose gaps differ from those, not asked about it), then all items. Without the gaps, merging
    two label files that ask about different classes made prevalence drift by 0.036, and with them by 0.006 (300 atoms).

    Args:
        atoms: ``(N,)`` int64 atom of each item, 0 to A - 1.
        is_present: ``(N, C)`` whether a class is present.
        is_missing: ``(N, C)`` whether nobody said; where it is true, ``is_present`` is false.

    Returns:
        ``(A, K)`` float64.
    """
    is_unlabelled = is_missing.all(axis=1)
    gaps = {column.tobytes(): column for column in (is_unlabelled, *is_missing.T)}
    strata = (*is_present.T, ~is_unlabelled & ~is_present.any(axis=1), *gaps.values(), np.ones_like(is_unlabelled))
    return np.stack([np.bincount(atoms, column) for column in strata], axis=1)


def deal_atoms(deal: Deal, seed: int) -> NDArray[np.int64]:
    """Return the part of every atom, the same for the same seed and the same order of atoms, strata and parts.

    Of several arrangements the best is returned: first the one that leaves fewest required strata out of a part, then
    the one with the smallest excess over the tolerance, then the one with the least chi-square. It may still break
    both rules; the caller looks (`Deal.sums`). Time grows as atoms times (parts + strata): a second or two at 60,000.

    Args:
        deal: What to deal; F may be 0.
        seed: At least 0; breaks ties.

    Returns:
        ``(F,)`` int64 parts, 0 to P - 1.
    """
    n_atoms, n_parts = len(deal.counts), len(deal.shares)
    if n_atoms * np.log(n_parts) <= np.log(MAX_ARRANGEMENTS):
        digits = n_parts ** np.random.default_rng(seed).permutation(n_atoms)
        return _pick(deal, np.arange(n_parts**n_atoms)[:, None] // digits % n_parts)
    attempts = []
    for attempt in range(int(np.clip(ATOMS_PER_DEAL // n_atoms, 1, MAX_ATTEMPTS))):
        rng = np.random.default_rng([seed, attempt])
        attempts.append(_improve(deal, _cover(deal, _stratify(deal, rng), rng)))
    best = _pick(deal, np.array(attempts))
    if _keeps_rules(deal, best):
        return best
    rng = np.random.default_rng([seed, MAX_ATTEMPTS])
    for _ in range(int(np.clip(ATOMS_PER_DEAL // n_atoms, 1, MAX_RESCUES))):
        start = rng.integers(0, n_parts, n_atoms)
        attempts.append(_improve(deal, _cover(deal, start, rng), item_weight=10))
        if _keeps_rules(deal, attempts[-1]):
            break
    return _pick(deal, np.array(attempts))


def _keeps_rules(deal: Deal, parts: NDArray[np.int64]) -> bool:
    sums = deal.sums(parts)
    off = abs(sums[:, -1] / sums[:, -1].sum() - deal.shares).max()
    return bool((sums[:, deal.required] > 0).all() and off <= deal.tolerance + 1e-9)


def _pick(deal: Deal, arrangements: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the best row of ``(M, F)`` arrangements; of equals the first."""
    n_uncovered = np.zeros(len(arrangements), np.int64)
    chi_square = np.zeros(len(arrangements))
    off = np.zeros(len(arrangements))
    n_items = deal.targets[:, -1].sum()
    for part, target in enumerate(deal.targets):
        sums = deal.held[part] + (arrangements == part).astype(np.float64) @ deal.counts
        n_uncovered += (sums[:, deal.required] == 0).sum(axis=1)
        chi_square += ((sums - target) ** 2 / np.where(target > 0, target, 1)).sum(axis=1)
        off = np.maximum(off, abs(sums[:, -1] - target[-1]) / n_items)
    excess = np.maximum(off - deal.tolerance, 0)
    # Rounded, since arrangements that are equally good must not be told apart by the last bit of a sum.
    order = np.lexsort((chi_square.round(9), excess.round(9), n_uncovered))
    return np.asarray(arrangements[order[0]], np.int64)


def _stratify(deal: Deal, rng: np.random.Generator) -> NDArray[np.int64]:
    """Deal the atoms of the rarest stratum, then of the rarest that is left, and so on."""
    counts, targets = deal.counts, deal.targets
    n_parts = len(targets)
    have = deal.held.copy()
    parts = np.full(len(counts), -1, np.int64)
    noise = rng.random((len(counts), n_parts)).tolist()
    shuffle = rng.permutation(len(counts))
    while (free := parts < 0).any():
        n_left = (counts[free] > 0).sum(axis=0)
        stratum = int(np.where(n_left > 0, n_left, len(counts) + 1).argmin())
        members = np.flatnonzero(free & (counts[:, stratum] > 0))
        size = np.floor(np.log2(counts[members, stratum]))
        members = members[np.lexsort((shuffle[members], -size))]
        got, got_items = have[:, stratum].tolist(), have[:, -1].tolist()
        want, want_items = targets[:, stratum].tolist(), targets[:, -1].tolist()
        lacking = {part for part in range(n_parts) if deal.required[stratum] and not got[part]}
        for n_dealt, atom in enumerate(members.tolist()):
            weight, items = counts[atom, stratum], counts[atom, -1]
            is_scarce = 0 < len(lacking) >= len(members) - n_dealt
            part = min(
                lacking if is_scarce else range(n_parts),
                key=lambda part: (
                    (got[part] + weight / 2) / want[part],
                    (got_items[part] + items / 2) / want_items[part],
                    noise[atom][part],
                ),
            )
            parts[atom] = part
            got[part] += weight
            got_items[part] += items
            lacking.discard(part)
        for part in range(n_parts):
            have[part] += counts[members[parts[members] == part]].sum(axis=0)
    return parts


def _cover(deal: Deal, parts: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.int64]:
    """Move atoms until every part holds every required stratum, or until that has been tried for long."""
    present = deal.counts[:, deal.required] > 0
    n_holders = _count_holders(deal, parts, present)
    for _ in range(100 + 10 * n_holders.size):
        gaps = np.argwhere(n_holders == 0)
        if not len(gaps):
            break
        part, stratum = gaps[rng.integers(len(gaps))]
        donors = np.flatnonzero(present[:, stratum] & (parts != part))
        if not len(donors):
            break
        opened = (present[donors] & (n_holders[parts[donors]] == 1)).sum(axis=1)
        closed = (present[donors] & (n_holders[part] == 0)).sum(axis=1)
        donor = donors[np.argmin(opened - closed + rng.random(len(donors)) * 1.5)]
        n_holders[parts[donor]] -= present[donor]
        n_holders[part] += present[donor]
        parts[donor] = part
    return parts


def _improve(deal: Deal, parts: NDArray[np.int64], item_weight: float = 1) -> NDArray[np.int64]:
    """Make the single move that lowers chi-square most, again and again, never taking a part's last holder.

    ``item_weight`` is what the number of items counts in chi-square, against 1 for every other stratum.
    """
    counts, targets = deal.counts, deal.targets
    rows = np.arange(len(counts))
    present = counts[:, deal.required] > 0
    n_holders = _count_holders(deal, parts, present)
    weights = np.divide(1, targets, out=np.zeros_like(targets), where=targets > 0)
    weights[:, -1] *= item_weight
    deviations = deal.sums(parts) - targets
    squares = counts**2 @ weights.T
    products = counts @ (weights * deviations).T
    for _ in range(MAX_MOVES):
        if (abs(deviations) <= CLOSE_ENOUGH * targets[:, -1:]).all():
            break
        gains = 2 * (products - products[rows, parts][:, None]) + squares + squares[rows, parts][:, None]
        gains[rows, parts] = np.inf
        scarce = np.flatnonzero((n_holders == 1).any(axis=0))
        gains[(present[:, scarce] & (n_holders[:, scarce] == 1)[parts]).any(axis=1)] = np.inf
        atom, target = np.unravel_index(gains.argmin(), gains.shape)
        if not gains[atom, target] < -1e-9:
            break
        source = parts[atom]
        for part, sign in ((source, -1), (target, 1)):
            deviations[part] += sign * counts[atom]
            n_holders[part] += sign * present[atom]
            products[:, part] = counts @ (weights[part] * deviations[part])
        parts[atom] = target
    return parts


def _count_holders(deal: Deal, parts: NDArray[np.int64], present: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return ``(P, R)`` atoms with each required stratum in each part; what is held already counts as one."""
    dealt = [present[parts == part].sum(axis=0) for part in range(len(deal.shares))]
    return np.add(deal.held[:, deal.required] > 0, dealt, dtype=np.int64)
