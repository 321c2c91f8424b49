"""What a split reads from the catalog, and how its certificate is made from it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mekiki.catalog.atoms import (
    ALWAYS_JOINED,
    HashedPictures,
    all_item_ids,
    check_group_by,
    hashed_pictures,
    label_states,
    memberships,
    require_compared,
)
from mekiki.catalog.db import Catalog
from mekiki.catalog.importing import Entry, plan_import
from mekiki.catalog.items import parents, select_items, source_paths
from mekiki.catalog.results import hash_rows, read_split, require_split, split_runs
from mekiki.catalog.runs import list_runs
from mekiki.dataset.certificate import Certificate, CertificateFacts, DealtItems, NearestPair, certify
from mekiki.dataset.duplicates import nearest_across
from mekiki.dataset.groups import join_atoms
from mekiki.dataset.splits import SplitItems
from mekiki.errors import DataError, UsageError
from mekiki.records import LABELLED_KINDS


@dataclass(frozen=True, slots=True)
class Splittable:
    """All that a split depends on. Pictures come first among all items; rows of arrays belong together.

    Attributes:
        items: The pictures, which are dealt out.
        pictures: Their hashes.
        all_ids: The pictures' ids, then those of all other items, which go where their atom goes.
        all_atoms: Atom of each of these.
        joined: Kind, key and row of the groups that are kept together, over all items.
        groups: The same of all groups, for the certificate.
        enforced: Kinds of group that are kept together.
        reads: What stands for all this in the fingerprint.
    """

    items: SplitItems
    pictures: HashedPictures
    all_ids: tuple[str, ...]
    all_atoms: NDArray[np.int64]
    joined: tuple[tuple[str, str, int], ...]
    groups: tuple[tuple[str, str, int], ...]
    enforced: tuple[str, ...]
    reads: Mapping[str, str]

    def spread(self, parts: Sequence[str | None]) -> Iterator[tuple[str, str, str]]:
        """Yield id, part and atom for every picture with a part, and for all other items of its atom that are none.

        An atom is named by the smallest of its ids.
        """
        atoms = self.all_atoms.tolist()
        part_of = {atom: part for atom, part in zip(atoms, parts, strict=False) if part}
        name_of: dict[int, str] = {}
        for item_id, atom in sorted(zip(self.all_ids, atoms, strict=True)):
            name_of.setdefault(atom, item_id)
        for row, (item_id, atom) in enumerate(zip(self.all_ids, atoms, strict=True)):
            part = parts[row] if row < len(parts) else part_of.get(atom)
            if part:
                yield item_id, part, name_of[atom]


def read_splittable(catalog: Catalog, group_by: Sequence[str]) -> Splittable:
    """Read pictures, labels and groups, and join groups to atoms.

    Args:
        catalog: Where from.
        group_by: Kinds to keep together beside those that always are.

    Raises:
        DataError: If there are no pictures, they have not been compared for near-duplicates since the last one came,
            or nothing has a group of a kind in ``group_by``.
    """
    pictures = hashed_pictures(catalog)
    if not pictures.item_ids:
        raise DataError(
            f"there are no pictures to split; videos are split by their frames: mekiki frames -w {catalog.workspace}"
        )
    check_group_by(catalog, group_by)
    dedupe_run_id = require_compared(catalog, pictures)
    all_ids = all_item_ids(catalog, pictures.item_ids)
    groups = tuple(memberships(catalog, {item_id: row for row, item_id in enumerate(all_ids)}, dedupe_run_id))
    enforced = (*ALWAYS_JOINED, *group_by)
    joined = tuple(one for one in groups if one[0] in enforced)
    atoms = join_atoms(len(all_ids), joined)
    names, states = label_states(catalog, pictures.item_ids)
    items = SplitItems(pictures.item_ids, atoms[: len(pictures.item_ids)], names, states)
    reads = {
        "dedupe": dedupe_run_id,
        "groups": hash_rows([all_ids, *groups]),
        "labels": hash_rows([names, (states.tobytes(),)]),
    }
    return Splittable(items, pictures, tuple(all_ids), atoms, joined, groups, enforced, reads)


def certify_split(
    catalog: Catalog, whole: Splittable, parts: Sequence[str | None], facts: CertificateFacts
) -> Certificate:
    """Return the certificate of parts dealt out to the pictures of a workspace.

    Args:
        catalog: Where the pictures' names are.
        whole: What was split.
        parts: The part of each picture; None for those in no part.
        facts: Name, shares and seed; what depends on the pictures is added here.
    """
    hashes = whole.pictures.hashes
    numbers = {part: number for number, part in enumerate(sorted({part for part in parts if part}))}
    dealt = np.array([row for row, part in enumerate(parts) if part], np.int64)
    found = nearest_across(
        hashes["phash"][dealt],
        hashes["mirrored"][dealt],
        np.array([numbers[str(parts[row])] for row in dealt.tolist()], np.int64),
        hashes["is_flat"][dealt],
    )
    nearest = None
    if found is not None:
        rows = (int(dealt[found.rows[0]]), int(dealt[found.rows[1]]))
        nearest = NearestPair(rows, found.distance, found.is_mirrored)
    told = replace(facts, enforced=whole.enforced, nearest=nearest)
    return certify(_dealt(catalog, whole, parts), whole.groups, told)


def named_groups(catalog: Catalog, groups: Iterable[tuple[str, str, int]]) -> list[tuple[str, str, int]]:
    """Return groups with the paths of files as keys where the keys are ids, for people to read."""
    names = dict(catalog.rows("SELECT item_id, path FROM items WHERE path IS NOT NULL"))
    names |= {item_id: str(paths[0]) for item_id, paths in source_paths(catalog).items()}
    return [(kind, names.get(key, key), row) for kind, key, row in groups]


def find_leaks(catalog: Catalog, whole: Splittable, parts: Sequence[str | None]) -> tuple[str, ...]:
    """Return a sentence for each way in which parts of a workspace's pictures leak; none if they do not."""
    split = _dealt(catalog, whole, parts)
    return certify(split, whole.groups, CertificateFacts("", enforced=whole.enforced)).leaks


def parts_to_keep(catalog: Catalog, whole: Splittable, name: str, shares: Collection[str]) -> list[str | None]:
    """Return the part that each picture has in the latest split of this name; None for new ones.

    Args:
        catalog: Where from.
        whole: What is to be split now.
        name: Of the split.
        shares: Parts that it is to have now.

    Raises:
        UsageError: If there is no split of this name, or it had other parts or kept more together than is asked for.
        DataError: If there is no split at all, or pictures of two of its parts belong together by now.
    """
    if not split_runs(catalog):
        raise DataError(f"there is no split to extend: mekiki split -w {catalog.workspace} makes one")
    run_id = require_split(catalog, name)
    rows = read_split(catalog, run_id)
    kept_together = list_runs(catalog, "run_id = ?", (run_id,))[0].settings["group_by"]
    for kind in sorted(set(kept_together) - set(whole.enforced)):
        raise UsageError(f"split {name!r} keeps what is of one {kind} together: extend it with --group-by {kind} too")
    if lost := {row.part for row in rows.values()} - set(shares):
        flags = " ".join(f"--shares {part}=SHARE" for part in sorted({row.part for row in rows.values()}))
        raise UsageError(f"split {name!r} has a part {min(lost)!r}, which has no share now: extend it with {flags}")
    parts = [rows[item_id].part if item_id in rows else None for item_id in whole.items.item_ids]
    if any(parts) and (leaks := find_leaks(catalog, whole, parts)):
        raise DataError(
            f"split {name!r} cannot be extended, since what is known now joins its parts: {' '.join(leaks)} Leave out "
            f"what joins them (mekiki forget), or make a fresh split: mekiki split --name ANOTHER"
        )
    return parts


class GivenParts(NamedTuple):
    """The part that someone else gave each picture, None without one, and entries about files not in the catalog."""

    parts: list[str | None]
    n_elsewhere: int = 0


def given_parts(catalog: Catalog, entries: Iterable[Entry] | None, item_ids: Sequence[str]) -> GivenParts:
    """Return the parts that someone else gave. Frames are in the part of their clip, if that has one.

    Args:
        catalog: Where from.
        entries: Of a file; None takes the parts that were given at ingest, by all its runs.
        item_ids: The pictures.

    Raises:
        DataError: If no picture has a part, or one has two: the same bytes, or a frame and its clip.
    """
    given: dict[str, set[str]] = {}
    n_elsewhere = 0
    if entries is None:
        for item_id, value in catalog.rows("SELECT item_id, value FROM attributes WHERE name = 'part'"):
            given.setdefault(item_id, set()).update(value.split("|"))
    else:
        plan = plan_import(catalog, (entry for entry in entries if entry.record.part), ())
        given = {item_id: claims.parts for item_id, claims in plan.claims.items()}
        n_elsewhere = plan.n_waiting + plan.n_not_taken
    clip_of = parents(catalog)
    wanted = [given.get(item_id, set()) | given.get(clip_of.get(item_id, ""), set()) for item_id in item_ids]
    if not any(wanted):
        where = "the label files that were ingested" if entries is None else "the file"
        raise DataError(f"no picture of the workspace has a part in {where}: give a column 'part', or ingest its files")
    for item_id, parts in zip(item_ids, wanted, strict=True):
        if len(parts) > 1:
            raise DataError(_in_two_parts(catalog, item_id, clip_of.get(item_id), parts))
    return GivenParts([next(iter(parts), None) for parts in wanted], n_elsewhere)


def _in_two_parts(catalog: Catalog, item_id: str, clip_id: str | None, parts: Collection[str]) -> str:
    """Return what is wrong with a picture that was put into several parts."""
    paths = [str(path) for path in source_paths(catalog).get(clip_id or item_id, [])]
    sql = "SELECT DISTINCT run_id FROM attributes WHERE name = 'part' AND item_id IN (?, ?)"
    runs = [row[0] for row in catalog.rows(sql, (item_id, clip_id))]
    mend = f" If one of them was a mistake, forget who said so: mekiki forget {' or '.join(runs)}" * (len(runs) > 1)
    what = "frames of one clip" if clip_id else "the same bytes"
    return f"the given parts leak: {what} are in {' and '.join(sorted(parts))}: {', '.join(paths) or item_id}.{mend}"


def _dealt(catalog: Catalog, whole: Splittable, parts: Sequence[str | None]) -> DealtItems:
    items = whole.items
    names = [str(item.path) for item in select_items(catalog, LABELLED_KINDS)]
    return DealtItems(items.item_ids, names, parts, items.atoms, items.class_names, items.states)
