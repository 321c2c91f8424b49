"""The certificate of a split: what its parts share, how near they come, how alike they are.

N is the number of items, C of classes, P of parts. An item is named by its row; items without a part do not count.
The certificate states facts about parts that somebody has dealt out, well or badly; nothing here refuses.
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mekiki.dataset.drift import count_classes, measure_drift
from mekiki.dataset.groups import hash_atoms

ALWAYS_ENFORCED = ("content", "source", "derived", "near-duplicate", "burst", "identity")
"""Kinds of group of which none may have items in two parts. ``content`` is the same bytes."""

WHEN_ASKED = ("site", "camera")
"""Kinds that a certificate tells of in any case, and that are enforced only when the user asks."""

MAX_EXAMPLES = 3

SPOKEN = {
    "content": ("picture under several names", "pictures under several names"),
    "source": ("source file", "source files"),
    "derived": ("picture with what was made from it", "pictures with what was made from them"),
    "near-duplicate": ("group of near-duplicates", "groups of near-duplicates"),
    "burst": ("burst", "bursts"),
    "identity": ("individual", "individuals"),
    "site": ("site", "sites"),
    "camera": ("camera", "cameras"),
    "atom": ("chain of groups", "chains of groups"),
}
"""Kind of group to what one and several of it are called."""


@dataclass(frozen=True, slots=True)
class DealtItems:
    """A split as it is to be certified. Rows belong together."""

    item_ids: Sequence[str]  # N; the same bytes have the same id, so an id may occur twice
    names: Sequence[str]  # N; what a user knows the items by
    parts: Sequence[str | None]  # N; None for an item in no part
    atoms: NDArray[np.int64]  # (N,) what the enforced groups join, directly or by a chain
    class_names: Sequence[str]  # C
    states: NDArray[np.int8]  # (N, C) 1 present, 0 absent, -1 unsure or not asked


@dataclass(frozen=True, slots=True)
class NearestPair:
    """The two most alike pictures of different parts: rows, and how many of 64 bits of their hashes differ."""

    rows: tuple[int, int]
    distance_bits: int
    is_mirrored: bool


@dataclass(frozen=True, slots=True)
class CertificateFacts:
    """What the certificate is told."""

    name: str  # of the split
    shares: Mapping[str, float] = field(default_factory=dict)  # as wanted; empty where somebody else dealt
    seed: int | None = None  # None where somebody else dealt
    enforced: Sequence[str] = ()  # kinds of group that had to be kept together, beside ALWAYS_ENFORCED
    nearest: NearestPair | None = None  # None where fewer than two parts have pictures with structure
    created_at: str = ""  # time of day, as it is to stand there
    version: str = ""  # of mekiki


@dataclass(frozen=True, slots=True)
class Certificate:
    """What is certified; `to_json` has the same names.

    Attributes:
        name, seed, created_at, version: As told.
        shares: Part to ``wanted`` (None where somebody else dealt) and ``reached``, by items.
        parts: Part to ``items`` and ``atoms``.
        classes: Class to part to ``present``, ``atoms`` (with the class), ``asked`` and ``prevalence`` (None if nobody
            was asked).
        drift: ``max_abs``: the largest difference between a class's prevalence in a part and in all parts together,
            with its ``class`` and ``part``; ``js_bits``: part to the Jensen-Shannon divergence between its mix of
            classes and that of all parts, 0 (the same) to 1.
        overlaps: Kind to ``enforced`` and ``overlap``, the number of its groups with items in more than one part.
        nearest: ``distance_bits``, ``is_mirrored``, ``first``, ``second`` (names) and their ``parts``; or None.
        n_items, n_atoms, largest_atom: Sizes, of items in a part.
        atoms_sha256: Names the atom list, whatever its order.
        leaks: A sentence for each way in which enforced groups leak; empty if none does.
    """

    name: str
    seed: int | None
    created_at: str
    version: str
    shares: Mapping[str, Mapping[str, float | None]]
    parts: Mapping[str, Mapping[str, int]]
    classes: Mapping[str, Mapping[str, Mapping[str, float | int | None]]]
    drift: Mapping[str, Any]
    overlaps: Mapping[str, Mapping[str, bool | int]]
    nearest: Mapping[str, Any] | None
    n_items: int
    n_atoms: int
    largest_atom: int
    atoms_sha256: str
    leaks: tuple[str, ...]

    @property
    def is_leak_free(self) -> bool:
        """Whether no enforced group has items in two parts."""
        return not self.leaks

    def to_json(self) -> dict[str, Any]:
        """Return the certificate as plain JSON values, with ``is_leak_free``; the keys are stable."""
        return {**asdict(self), "leaks": list(self.leaks), "is_leak_free": self.is_leak_free}


def certify(items: DealtItems, groups: Iterable[tuple[str, str, int]], facts: CertificateFacts) -> Certificate:
    """Return what holds of a split.

    100,000 items with 50 classes and 500,000 memberships take two seconds; time grows in proportion.

    Args:
        items: The split.
        groups: Kind, key and row of every membership, of any kind. Kinds that are neither always enforced, nor asked
            for, nor in `WHEN_ASKED` do not appear.
        facts: What else stands on the certificate.

    Raises:
        ValueError: If no item has a part, or the nearest items are of one part or of none.
    """
    names = _part_order(items, facts)
    if not names:
        raise ValueError("no item has a part, so there is nothing to certify")
    numbers: dict[str | None, int] = {None: -1, **{part: number for number, part in enumerate(names)}}
    dealt = np.array([numbers[part] for part in items.parts])
    rows = np.flatnonzero(dealt >= 0)
    members = {part: np.flatnonzero(dealt == number) for number, part in enumerate(names)}
    enforced = tuple(dict.fromkeys((*ALWAYS_ENFORCED, *facts.enforced)))
    kinds = tuple(dict.fromkeys((*enforced, *WHEN_ASKED)))
    contents = (("content", items.item_ids[row], row) for row in rows.tolist())
    torn = _torn_groups(items.parts, itertools.chain(contents, groups), kinds)
    leaks = [_leak(kind, torn[kind], items) for kind in enforced if kind in torn]
    if not leaks:
        # A chain may lead over a group's member that has no part, so that no group is torn but the atom is.
        atoms = (("atom", str(items.atoms[row]), row) for row in rows.tolist())
        leaks = [_leak("atom", chains, items) for chains in _torn_groups(items.parts, atoms, ("atom",)).values()]
    sizes = np.unique(items.atoms[rows], return_counts=True)[1]
    return Certificate(
        name=facts.name,
        seed=facts.seed,
        created_at=facts.created_at,
        version=facts.version,
        shares={
            part: {"wanted": facts.shares.get(part), "reached": len(found) / len(rows)}
            for part, found in members.items()
        },
        parts={
            part: {"items": len(found), "atoms": len(np.unique(items.atoms[found]))} for part, found in members.items()
        },
        classes=count_classes(items.class_names, items.states, items.atoms, members),
        drift=measure_drift(items.class_names, items.states, rows, members),
        overlaps={kind: {"enforced": kind in enforced, "overlap": len(torn.get(kind, ()))} for kind in kinds},
        nearest=_nearest(items, facts.nearest),
        n_items=len(rows),
        n_atoms=len(sizes),
        largest_atom=int(sizes.max()),
        atoms_sha256=hash_atoms(items.atoms[rows], [items.item_ids[row] for row in rows.tolist()]),
        leaks=tuple(leaks),
    )


def describe(certificate: Certificate) -> list[str]:
    """Return the certificate in plain sentences, the verdict first."""
    parts = ", ".join(
        f"{part} {sizes['items']} ({certificate.shares[part]['reached']:.0%}, {sizes['atoms']} atoms)"
        for part, sizes in certificate.parts.items()
    )
    lines = [*certificate.leaks] if certificate.leaks else ["the parts share nothing that they must not share"]
    lines.append(f"{certificate.name}: {parts}")
    lines += [
        f"{SPOKEN[kind][1]} not enforced: {_counted(int(one['overlap']), kind)} in more than one part "
        f"(--group-by {kind} keeps them)"
        for kind, one in certificate.overlaps.items()
        if not one["enforced"] and one["overlap"]
    ]
    if certificate.nearest is not None:
        lines.append(f"nearest pictures of two parts: {certificate.nearest['distance_bits']} of 64 bits apart")
    if certificate.drift["class"] is not None:
        drift = certificate.drift
        lines.append(f"largest label drift: {drift['max_abs']:.3f} ({drift['class']} in {drift['part']})")
    return lines


def _part_order(items: DealtItems, facts: CertificateFacts) -> list[str]:
    """Return the parts, those that were wanted first and in that order, the others sorted."""
    found = {part for part in items.parts if part is not None}
    return [part for part in facts.shares if part in found] + sorted(found - set(facts.shares))


Torn = dict[str, dict[str, int]]
"""Part to its first row, by key of the group."""


def _torn_groups(
    parts: Sequence[str | None], groups: Iterable[tuple[str, str, int]], kinds: Sequence[str]
) -> dict[str, Torn]:
    """Return the groups with items in more than one part, by kind; kinds without any are missing."""
    found: dict[tuple[str, str], dict[str, int]] = {}
    for kind, key, row in groups:
        if kind in kinds and row < len(parts) and (part := parts[row]) is not None:
            by_part = found.setdefault((kind, key), {})
            by_part[part] = min(row, by_part.get(part, row))
    torn: defaultdict[str, Torn] = defaultdict(dict)
    for (kind, key), by_part in found.items():
        if len(by_part) > 1:
            torn[kind][key] = by_part
    return torn


def _leak(kind: str, torn: Torn, items: DealtItems) -> str:
    """Return one sentence about the groups of one kind that are in more than one part."""
    examples = []
    for key, by_part in sorted(torn.items())[:MAX_EXAMPLES]:
        places = ", ".join(f"{items.names[row]} in {part}" for part, row in sorted(by_part.items()))
        label = "" if kind in ("content", "near-duplicate", "derived", "atom") else f"{key!r}: "
        examples.append(label + places)
    more = f" and {len(torn) - MAX_EXAMPLES} more" if len(torn) > MAX_EXAMPLES else ""
    return f"{_counted(len(torn), kind)} in more than one part: {'; '.join(examples)}{more}."


def _counted(n: int, kind: str) -> str:
    """Return a count with what is counted and the verb: "1 burst is", "2 bursts are"."""
    singular, plural = SPOKEN.get(kind, (kind, f"{kind}s"))
    return f"1 {singular} is" if n == 1 else f"{n} {plural} are"


def _nearest(items: DealtItems, nearest: NearestPair | None) -> dict[str, Any] | None:
    if nearest is None:
        return None
    first, second = nearest.rows
    parts = [items.parts[first], items.parts[second]]
    if None in parts or parts[0] == parts[1]:
        raise ValueError(f"nearest must be two items of different parts, got rows {nearest.rows} of {parts}")
    return {
        "distance_bits": nearest.distance_bits,
        "is_mirrored": nearest.is_mirrored,
        "first": items.names[first],
        "second": items.names[second],
        "parts": parts,
    }
