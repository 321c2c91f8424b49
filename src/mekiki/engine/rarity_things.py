"""What a truth file speaks of, among what ``mine`` has ranked: pictures, or the crops of pictures."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from mekiki.catalog.atoms import ALWAYS_JOINED, all_item_ids, memberships
from mekiki.catalog.crops import Crop, crops_of
from mekiki.catalog.db import Catalog
from mekiki.catalog.items import item_facts, select_items, source_paths
from mekiki.catalog.mining import Mining, read_rarity
from mekiki.catalog.results import hash_rows
from mekiki.catalog.runs import done_among, latest_run
from mekiki.dataset.groups import join_atoms
from mekiki.dataset.rare_truth import Matched, RareTruth, TruthEntry
from mekiki.errors import UsageError
from mekiki.media.boxes import box_iou
from mekiki.records import LABELLED_KINDS

MIN_IOU = 0.5
"""A crop shows an object if their boxes overlap at least so much."""

LAST = -1.0
"""The score of what a scorer gave none: behind all others."""


@dataclass(frozen=True, slots=True)
class Things:
    """What is ranked and known, row i of all arrays for ``item_ids[i]``.

    Attributes:
        unit: ``pictures`` or ``crops``.
        item_ids: N.
        is_rare: ``(N,)``.
        scores: Scorer to ``(N,)``, `LAST` where it has none.
        atoms: ``(N,)``.
        missed: ``(M,)`` atoms of rare objects that are not ranked.
        n_last: Things without a score; they rank last.
        n_unnamed: Pictures that were looked at and that the file does not name; they are not measured.
        left_out: Why pictures that the file names are not measured, to how many.
        n_second: Crops that are not measured, since another shows the same object better.
        not_ranked: Why rare objects are not ranked, to how many; M in all.
        is_untied: No two of several pictures belong together.
    """

    unit: str
    item_ids: tuple[str, ...]
    is_rare: NDArray[np.bool_]
    scores: Mapping[str, NDArray[np.float64]]
    atoms: NDArray[np.int64]
    missed: NDArray[np.int64]
    n_last: int = 0
    n_unnamed: int = 0
    left_out: Mapping[str, int] = field(default_factory=dict)
    n_second: int = 0
    not_ranked: Mapping[str, int] = field(default_factory=dict)
    is_untied: bool = False

    @property
    def n_rare(self) -> int:
        """Rare things, with those that are not ranked."""
        return int(self.is_rare.sum()) + len(self.missed)

    def fingerprint(self) -> str:
        """Return what stands for these things in a run's fingerprint."""
        rows = zip(self.item_ids, self.is_rare.tolist(), self.atoms.tolist(), strict=True)
        return hash_rows(
            [
                *rows,
                tuple(self.missed.tolist()),
                (self.n_last, self.n_unnamed, self.n_second, self.left_out, self.not_ranked),
            ]
        )


def known_places(catalog: Catalog) -> dict[str, str]:
    """Return absolute path to item, of all files that an entry may mean: pictures, our own of frames, vectors."""
    wanted = {item.item_id for item in select_items(catalog, LABELLED_KINDS)}
    given = {str(path): item_id for item_id, paths in source_paths(catalog).items() for path in paths}
    frames = {str(catalog.locate(one.path)): one.item_id for one in item_facts(catalog, ("frame",)) if one.path}
    return {place: item_id for place, item_id in {**frames, **given}.items() if item_id in wanted}


def atoms_of(catalog: Catalog, item_ids: Sequence[str]) -> NDArray[np.int64]:
    """Return ``(N,)``: items with the same number belong together, as in a split.

    They do by source, derivation, burst and identity, and by near-duplicates if those have been looked for.
    """
    all_ids = all_item_ids(catalog, item_ids)
    compared = latest_run(catalog, "dedupe")
    rows = {item_id: row for row, item_id in enumerate(all_ids)}
    ties = memberships(catalog, rows, compared.run_id if compared else "")
    return join_atoms(len(all_ids), [one for one in ties if one[0] in ALWAYS_JOINED])[: len(item_ids)]


def find_things(catalog: Catalog, mining: Mining, truth: RareTruth, matched: Matched) -> Things:
    """Return what is ranked and known.

    Args:
        catalog: Where from.
        mining: Whose rankings.
        truth: What is known.
        matched: Whose entries mean which items.

    Raises:
        UsageError: If the truth speaks of boxes and no crops were ranked.
    """
    rankings = read_rarity(catalog, mining.run_id)
    pictures = _looked_at(catalog, mining, rankings)
    entries = {item_id: said for item_id, said in matched.entries.items() if item_id in pictures}
    n_elsewhere = len(matched.entries) - len(entries)
    left_out = {"never looked at by detect or mine": n_elsewhere} if n_elsewhere else {}
    if truth.has_boxes:
        if mining.detect_run_id is None:
            raise UsageError(
                f"{truth.path} speaks of boxes, and run {mining.run_id} of mine ranked whole pictures: "
                f"mekiki mine --kind crop -w {catalog.workspace}"
            )
        found = _objects(catalog, mining.detect_run_id, rankings, entries)
    else:
        found = _pictures(catalog, mining, rankings, entries, pictures if truth.is_list else ())
    n_unnamed = 0 if truth.is_list else len(pictures - entries.keys())
    return replace(found, left_out={**left_out, **found.left_out}, n_unnamed=n_unnamed)


def _looked_at(catalog: Catalog, mining: Mining, rankings: Mapping[str, Mapping[str, float]]) -> set[str]:
    """Return the pictures in which something rare could have been found."""
    ranked = {item_id for scores in rankings.values() for item_id in scores}
    if mining.detect_run_id is None:
        return ranked
    pictures = [item.item_id for item in select_items(catalog, LABELLED_KINDS)]
    return done_among(catalog, mining.detect_run_id, pictures) | (ranked & set(pictures))


def _pictures(
    catalog: Catalog,
    mining: Mining,
    rankings: Mapping[str, Mapping[str, float]],
    entries: Mapping[str, Sequence[TruthEntry]],
    others: Iterable[str],
) -> Things:
    """Return pictures, each as rare as its rarest crop; ``others`` are common where no entry speaks of them."""
    said = {item_id: _verdict(one) for item_id, one in entries.items()}
    known = {**dict.fromkeys(others, False), **{item_id: rare for item_id, rare in said.items() if rare is not None}}
    item_ids = tuple(sorted(known))
    parent_of = {}
    if mining.detect_run_id is not None:
        parent_of = {one.item_id: one.parent_id for one in crops_of(catalog, mining.detect_run_id)}
    scores = {}
    for scorer, by_item in rankings.items():
        best: dict[str, float] = {}
        for item_id, score in by_item.items():
            picture = parent_of.get(item_id, item_id)
            best[picture] = max(score, best.get(picture, LAST))
        scores[scorer] = np.array([best.get(item_id, LAST) for item_id in item_ids], np.float64)
    is_last = np.all([one == LAST for one in scores.values()], axis=0) if scores else np.ones(len(item_ids), np.bool_)
    n_silent = sum(rare is None for rare in said.values())
    atoms = atoms_of(catalog, item_ids)
    return Things(
        unit="pictures",
        item_ids=item_ids,
        is_rare=np.array([known[item_id] for item_id in item_ids], np.bool_),
        scores=scores,
        atoms=atoms,
        missed=np.zeros(0, np.int64),
        n_last=int(is_last.sum()),
        left_out={"nothing is said of them": n_silent} if n_silent else {},
        is_untied=1 < len(item_ids) == len(set(atoms.tolist())),
    )


def _objects(
    catalog: Catalog,
    detect_run_id: str,
    rankings: Mapping[str, Mapping[str, float]],
    entries: Mapping[str, Sequence[TruthEntry]],
) -> Things:
    """Return the ranked crops of the pictures that are named; each object is shown by one crop at most."""
    ranked = {item_id for scores in rankings.values() for item_id in scores}
    crops: dict[str, list[Crop]] = {picture: [] for picture in entries}
    for crop in crops_of(catalog, detect_run_id):
        if crop.parent_id in crops:
            crops[crop.parent_id].append(crop)
    pictures = sorted(entries)
    atom_of = dict(zip(pictures, atoms_of(catalog, pictures).tolist(), strict=True))
    things: dict[str, tuple[bool, int]] = {}
    missed: list[int] = []
    why = {"not detected": 0, "detected and not ranked": 0}
    n_second = 0
    for picture in pictures:
        objects = [one for one in dict.fromkeys((e.box, e.is_rare) for e in entries[picture]) if one[0] is not None]
        there = [crop for crop in crops[picture] if crop.item_id in ranked]
        shown, seconds = _match([one.box for one in there], [box for box, _ in objects])
        n_second += len(seconds)
        for row, crop in enumerate(there):
            is_rare = objects[shown[row]][1] if row in shown else False
            if row not in seconds and is_rare is not None:
                things[crop.item_id] = (bool(is_rare), atom_of[picture])
        for place, (box, is_rare) in enumerate(objects):
            if is_rare and place not in shown.values():
                missed.append(atom_of[picture])
                others = [crop.box for crop in crops[picture] if crop.item_id not in ranked]
                why["detected and not ranked" if _match(others, [box])[0] else "not detected"] += 1
    item_ids = tuple(sorted(things))
    return Things(
        unit="crops",
        item_ids=item_ids,
        is_rare=np.array([things[one][0] for one in item_ids], np.bool_),
        scores={
            scorer: np.array([by_item.get(one, LAST) for one in item_ids], np.float64)
            for scorer, by_item in rankings.items()
        },
        atoms=np.array([things[one][1] for one in item_ids], np.int64),
        missed=np.array(missed, np.int64),
        n_second=n_second,
        not_ranked={reason: n for reason, n in why.items() if n},
        is_untied=1 < len(atom_of) == len(set(atom_of.values())),
    )


def _match(
    boxes: Sequence[tuple[float, float, float, float]], objects: Sequence[tuple[float, float, float, float] | None]
) -> tuple[dict[int, int], set[int]]:
    """Return crop to object, each once and the best overlap first, and the crops that show one too but not best."""
    if not boxes or not objects:
        return {}, set()
    overlap = box_iou(np.array(boxes, np.float32), np.array(objects, np.float32))
    shown: dict[int, int] = {}
    for place in np.argsort(-overlap, axis=None, kind="stable").tolist():
        row, column = divmod(place, len(objects))
        if overlap[row, column] < MIN_IOU:
            break
        if row not in shown and column not in shown.values():
            shown[row] = column
    showing = {int(row) for row in np.flatnonzero((overlap >= MIN_IOU).any(axis=1))}
    return shown, showing - shown.keys()


def _verdict(entries: Sequence[TruthEntry]) -> bool | None:
    """Return what is said of a picture; entries that agree were checked before."""
    return next((one.is_rare for one in entries if one.is_rare is not None), None)
