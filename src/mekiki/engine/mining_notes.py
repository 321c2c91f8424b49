"""What ``mine`` says of names: those that are found nowhere, and those that count as one."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from mekiki.engine.mine_settings import MineSettings
from mekiki.engine.mining import Gathered
from mekiki.errors import nearest_name
from mekiki.rarity.class_names import plain_name, plain_names
from mekiki.rarity.concept_files import repeated_concepts
from mekiki.records import counted

MAX_SHOWN = 5
"""Names in a note."""


def describe_classes(known: Gathered, settings: MineSettings) -> list[str]:
    """Return lines about what is not there: anything to rank, classes that were asked for, names of their own."""
    seen: Collection[str] = set(known.class_of.values())
    wanted = (*settings.target_classes, *settings.common_classes)
    gone = known.class_map.unreachable(wanted, seen) if known.crops else []
    lines = []
    if not known.tallies[0].n_in:
        lines.append(f"there is nothing to rank: no {' and no '.join(settings.kind)} in the workspace")
    if gone:
        lines.append(
            f"{', '.join(gone)}: found nowhere. COCO has no such class, and none is guessed: only words (mekiki "
            "caption) or a detector with other classes can name it"
        )
    lines += _misspelt(known, settings, gone)
    n_bare = len(known.item_ids) - len(known.class_of)
    if n_bare and known.class_of:
        lines.append(f"{counted(n_bare, 'items have')} no class, of {len(known.item_ids):,}")
    return lines + _one_name(known, settings)


def _misspelt(known: Gathered, settings: MineSettings, gone: Collection[str]) -> list[str]:
    """Return a line for each name that the user gave and that neither objects nor concepts have."""
    if not known.class_of:
        return []
    given = [
        name
        for one in ("target_classes", "common_classes")
        if one in settings.model_fields_set
        for name in getattr(settings, one)
    ]
    there = {*known.class_of.values(), *map(plain_name, (*known.named.values(), *known.concepts))}
    near = {name: nearest_name(name, sorted(there)) for name in plain_names(given) if name not in {*there, *gone}}
    unit = known.unit.removesuffix("s")
    return [
        f"{name}: no {unit} is of this class{f'; did you mean {guess}?' if guess else ''}"
        for name, guess in near.items()
    ]


def _one_name(known: Gathered, settings: MineSettings) -> list[str]:
    """Return lines about names that count as one because they differ only in their spelling."""
    spelt: dict[str, set[str]] = {}
    for name in set(known.named.values()):
        spelt.setdefault(plain_name(name), set()).add(name)
    met = [", ".join(sorted(names)) for _, names in sorted(spelt.items()) if len(names) > 1]
    twice = [f"{name} ({first})" for name, first in repeated_concepts(settings.concepts).items()]
    lines = [f"classes that count as one: {'; '.join(met[:MAX_SHOWN])}{_more(met)}"] if met else []
    if twice:
        lines.append(
            f"concepts left out as other spellings of one that counts: {', '.join(twice[:MAX_SHOWN])}{_more(twice)}"
        )
    return lines


def _more(names: Sequence[str]) -> str:
    return f" and {len(names) - MAX_SHOWN} more" if len(names) > MAX_SHOWN else ""
