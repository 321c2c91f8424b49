"""Parts of a data set that share no atom: refused where that cannot be done well, never torn.

N is the number of items, C of classes; an atom is a set of items that must stay together (`mekiki.dataset.groups`).
How atoms are dealt is in `mekiki.dataset.folds`; here are the rules that a split must obey.

1. There are at least as many atoms as parts, and every part gets one.
2. Every class is present in every part, unless the user allowed it to be missing.
3. No part is off its share by more than 0.1 of all items.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from mekiki.dataset.folds import Deal, count_strata, deal_atoms
from mekiki.errors import DataError, UsageError, unknown_name

PRESENT, ABSENT, NOT_ASKED = 1, 0, -1
"""States of a class in an item; an annotator who was not sure counts as not asked."""

DEFAULT_SHARES: Mapping[str, float] = {"train": 0.70, "val": 0.15, "test": 0.15}

MAX_SHARE_ERROR = 0.1

DescribeAtom = Callable[[int], str]
"""Says how many items an atom has and what joins them, as `mekiki.dataset.groups.describe_atom` does."""


@dataclass(frozen=True, slots=True)
class SplitItems:
    """What is split. Rows of the arrays belong together."""

    item_ids: tuple[str, ...]  # N; the same bytes have the same id
    atoms: NDArray[np.int64]  # (N,) atom of each item, numbered as the caller likes
    class_names: tuple[str, ...]  # C, all different; may be none
    states: NDArray[np.int8]  # (N, C) PRESENT, ABSENT or NOT_ASKED

    def __post_init__(self) -> None:
        n_items, n_classes = len(self.item_ids), len(self.class_names)
        if self.atoms.shape != (n_items,):
            raise ValueError(f"atoms must have shape ({n_items},), got {self.atoms.shape}")
        if self.states.shape != (n_items, n_classes):
            raise ValueError(f"states must have shape ({n_items}, {n_classes}), got {self.states.shape}")
        if self.states.size and not NOT_ASKED <= self.states.min() <= self.states.max() <= PRESENT:
            raise ValueError(f"states must be -1, 0 or 1, got {self.states.min()} to {self.states.max()}")
        if len(set(self.class_names)) != n_classes:
            raise ValueError(f"class_names must all be different, got {self.class_names}")


@dataclass(frozen=True, slots=True)
class SplitOptions:
    """What the user wants of a split.

    Attributes:
        shares: Name of each part to its share of all items; above 0, sum 1.
        seed: At least 0. Other seeds give other splits, as far as the atoms leave a choice.
        allow_missing: Classes that need not be present in every part.
    """

    shares: Mapping[str, float] = field(default_factory=lambda: dict(DEFAULT_SHARES))
    seed: int = 42
    allow_missing: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        total = sum(self.shares.values())
        if not all(self.shares) or not all(share > 0 for share in self.shares.values()) or not abs(total - 1) <= 1e-6:
            raise UsageError(
                f"shares must have names, be above 0 and sum to 1, got {dict(self.shares)} with sum {total:g}."
            )
        if self.seed < 0:
            raise UsageError(f"seed must be 0 or more, got {self.seed}.")


def split_atoms(items: SplitItems, options: SplitOptions, describe: DescribeAtom | None = None) -> NDArray[np.str_]:
    """Return the part of every item; items of one atom are in one part, and every class is in every part.

    Stratified by class, by "no class present" and by "not labelled" (see `mekiki.dataset.folds`). The order of items,
    of classes and of parts and the numbers of atoms do not matter: atoms are dealt in the order of their smallest
    id. 100,000 items in 60,000 atoms with 50 classes take a few seconds; time grows in proportion.

    Args:
        items: What to split, with unique ids.
        options: Shares, seed and allowed gaps.
        describe: Used in error messages only.

    Returns:
        ``(N,)`` names of parts.

    Raises:
        DataError: If there are no items, or one of the three rules of this file cannot be kept.
        UsageError: If ``allow_missing`` names no class.
        ValueError: If an id occurs twice.

    Example:
        >>> ids = ("a", "b", "c", "d")
        >>> items = SplitItems(ids, np.array([0, 0, 1, 2]), (), np.zeros((4, 0), np.int8))
        >>> split_atoms(items, SplitOptions({"train": 0.5, "val": 0.25, "test": 0.25})).tolist()[:2]
        ['train', 'train']
    """
    return extend_split(items, options, [None] * len(items.item_ids), describe)


def extend_split(
    items: SplitItems,
    options: SplitOptions,
    old_parts: Sequence[str | None],
    describe: DescribeAtom | None = None,
) -> NDArray[np.str_]:
    """Return the part of every item, keeping the parts that items already have.

    An atom with an old item goes to that item's part. The other atoms are dealt so that all items together, old and
    new, come near the shares and the overall mix of classes. The rules are those of `split_atoms`, over all items.

    Args:
        items: Old and new items, with unique ids.
        options: As for a fresh split; a part may be one that no old item has.
        old_parts: N parts, None for new items.
        describe: Used in error messages only.

    Returns:
        ``(N,)`` names of parts.

    Raises:
        DataError: As `split_atoms`; or if old items of two parts are in one atom now.
        UsageError: As `split_atoms`; or if an old part has no share.
        ValueError: If an id occurs twice or the lengths differ.
    """
    if not items.item_ids:
        raise DataError("there are no items to split. Bring some in first: mekiki ingest PATH")
    if len(old_parts) != len(items.item_ids):
        raise ValueError(f"old_parts must have {len(items.item_ids)} entries, got {len(old_parts)}")
    for name in sorted({part for part in old_parts if part is not None} - set(options.shares)):
        raise unknown_name("part", name, options.shares)
    for name in sorted(set(options.allow_missing) - set(items.class_names)):
        raise unknown_name("class", name, items.class_names)
    # Parts and classes in an order of their own, so that the order they come in does not matter.
    parts = sorted(options.shares, key=lambda part: (-options.shares[part], part))
    table = _tabulate(items, describe)
    fixed = _fix_atoms(table, items, old_parts, parts)
    table.check_supply(parts, options.allow_missing)
    required = np.zeros(table.counts.shape[1], np.bool_)
    required[: len(table.class_names)] = [name not in options.allow_missing for name in table.class_names]
    required[-1] = True  # of all items, every part must have some
    is_free = fixed < 0
    deal = Deal(
        counts=table.counts[is_free],
        held=np.array([table.counts[fixed == part].sum(axis=0) for part in range(len(parts))]),
        shares=np.array([options.shares[part] for part in parts]),
        required=required,
        tolerance=MAX_SHARE_ERROR,
    )
    fixed[is_free] = dealt = deal_atoms(deal, options.seed)
    table.check_result(parts, deal, deal.sums(dealt))
    return np.array(parts)[fixed[table.rows]]


def fold_atoms(
    items: SplitItems, n_folds: int, options: SplitOptions, describe: DescribeAtom | None = None
) -> NDArray[np.int64]:
    """Return the fold of every item, 0 to k - 1, all folds of about one size and one mix of classes.

    Args:
        items: What to split, with unique ids.
        n_folds: k, at least 2.
        options: Seed and allowed gaps; its shares are not used.
        describe: Used in error messages only.

    Returns:
        ``(N,)`` int64 folds.

    Raises:
        UsageError: If ``n_folds`` is below 2; all else as `split_atoms`, the folds being the parts.
    """
    if n_folds < 2:
        raise UsageError(f"the number of folds must be 2 or more, got {n_folds}.")
    names = [f"fold {number}" for number in range(n_folds)]
    parts = split_atoms(items, replace(options, shares=dict.fromkeys(names, 1 / n_folds)), describe)
    return np.array([int(part.removeprefix("fold ")) for part in parts.tolist()], np.int64)


_LOOSEN = "loosen what joins items: --group-by, bursts, near-duplicates."


@dataclass(frozen=True, slots=True)
class _Table:
    """What each of A atoms brings of each of K strata, in an order that depends on ids and names only.

    ``counts`` is ``(A, K)`` items, the classes first and all items last; ``rows`` is ``(N,)`` the row of each item's
    atom; ``numbers`` is ``(A,)`` the caller's number of each atom; ``class_names`` are sorted.
    """

    counts: NDArray[np.float64]
    rows: NDArray[np.int64]
    numbers: NDArray[np.int64]
    class_names: tuple[str, ...]
    describe: DescribeAtom | None

    def name_atom(self, row: int) -> str:
        return self.describe(int(self.numbers[row])) if self.describe else f"{self.counts[row, -1]:.0f} items"

    def name_largest(self) -> str:
        largest = int(self.counts[:, -1].argmax())
        share = self.counts[largest, -1] / self.counts[:, -1].sum()
        return f"The largest of {len(self.counts)} atoms holds {share:.0%} of all items: {self.name_atom(largest)}."

    def check_supply(self, parts: Sequence[str], allow_missing: Sequence[str]) -> None:
        """Refuse where there are too few atoms, or too few with some class."""
        n_parts = len(parts)
        if len(self.counts) < n_parts:
            raise DataError(
                f"{n_parts} parts need {n_parts} atoms or more, but all {len(self.rows)} items form only "
                f"{len(self.counts)}. {self.name_largest()} Add other sources, ask for fewer parts, or {_LOOSEN}"
            )
        n_atoms = (self.counts > 0).sum(axis=0).tolist()
        scarce = {
            name: f"{name!r} ({n_atoms[column]} atoms, {self.counts[:, column].sum():.0f} items)"
            for column, name in enumerate(self.class_names)
            if name not in allow_missing and n_atoms[column] < n_parts
        }
        if scarce:
            raise DataError(
                f"classes present in fewer atoms than the {n_parts} parts: {', '.join(scarce.values())}. Add pictures "
                f"of them from other sources, ask for fewer parts, or type {_allow(scarce)}"
            )

    def check_result(self, parts: Sequence[str], deal: Deal, sums: NDArray[np.float64]) -> None:
        """Refuse an arrangement that leaves a class out of a part, or gives a part far more or less than its share."""
        for part, column in np.argwhere((sums == 0) & deal.required).tolist():
            if column >= len(self.class_names):
                raise DataError(f"part {parts[part]!r} would stay empty: old items hold all atoms. Add other sources.")
            name, n_atoms = self.class_names[column], (self.counts[:, column] > 0).sum()
            raise DataError(
                f"class {name!r} is present in {n_atoms} atoms, and yet no way was found to have it in part "
                f"{parts[part]!r}: its atoms carry other scarce classes, or old parts hold them. Add pictures of it "
                f"from other sources, ask for fewer parts, or type {_allow([name])}"
            )
        errors = sums[:, -1] / sums[:, -1].sum() - deal.shares
        worst = int(abs(errors).argmax())
        if abs(errors[worst]) > MAX_SHARE_ERROR + 1e-9:
            raise DataError(
                f"part {parts[worst]!r} would get {deal.shares[worst] + errors[worst]:.2f} of all items, more than "
                f"{MAX_SHARE_ERROR} off its share of {deal.shares[worst]:.2f}. {self.name_largest()} Add other "
                f"sources, ask for shares that the atoms can fill, or {_LOOSEN}"
            )


def _allow(names: Iterable[str]) -> str:
    """Return what allows these classes to be missing; shlex alone would quote Japanese names, which no shell wants."""
    flags = " ".join(f"--allow-missing {name if name.isalnum() else shlex.quote(name)}" for name in names)
    listed = shlex.quote(f"split.allow_missing={json.dumps([*names], ensure_ascii=False)}")
    return f"{flags}; with mekiki run: --set {listed}"


def _tabulate(items: SplitItems, describe: DescribeAtom | None) -> _Table:
    """Count the items of every stratum in every atom, atoms in the order of their smallest id."""
    ids = np.array(items.item_ids)
    order = np.argsort(ids, kind="stable")
    if (repeated := np.flatnonzero(ids[order][1:] == ids[order][:-1])).size:
        raise ValueError(f"item_ids must be unique, got {str(ids[order][repeated[0]])!r} twice")
    _, firsts, inverse = np.unique(items.atoms[order], return_index=True, return_inverse=True)
    ranks = np.empty(len(firsts), np.int64)
    ranks[np.argsort(firsts)] = np.arange(len(firsts))
    rows = np.empty(len(ids), np.int64)
    rows[order] = ranks[inverse]
    by_name = sorted(range(len(items.class_names)), key=lambda column: items.class_names[column])
    states = items.states[:, by_name]
    return _Table(
        counts=count_strata(rows, states == PRESENT, states == NOT_ASKED),
        rows=rows,
        numbers=items.atoms[order][np.sort(firsts)],
        class_names=tuple(items.class_names[column] for column in by_name),
        describe=describe,
    )


def _fix_atoms(
    table: _Table, items: SplitItems, old_parts: Sequence[str | None], parts: Sequence[str]
) -> NDArray[np.int64]:
    """Return the part ``(A,)`` that each atom must have because of its old items, -1 where it is free."""
    fixed = np.full(len(table.counts), -1, np.int64)
    holders: dict[int, int] = {}
    for item, part in enumerate(old_parts):
        if part is None:
            continue
        row = int(table.rows[item])
        holder = holders.setdefault(row, item)
        if old_parts[holder] != part:
            raise DataError(
                f"items of parts {old_parts[holder]!r} and {part!r} now belong together, for example "
                f"{items.item_ids[holder]} and {items.item_ids[item]}: {table.name_atom(row)}. Leave out what joins "
                "them, or make a fresh split under another name."
            )
        fixed[row] = parts.index(part)
    return fixed
