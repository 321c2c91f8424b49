"""Stage ``dedupe``: near-duplicates. Reads picture ``items`` and ``hashes``; writes near-duplicate ``groups``."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mekiki.catalog.atoms import hashed_pictures
from mekiki.catalog.db import Catalog
from mekiki.catalog.items import GroupRow, write_groups
from mekiki.catalog.runs import make_latest
from mekiki.catalog.sources import repeated_files
from mekiki.dataset.duplicates import MAX_DIFFERENCE, MAX_DISTANCE, NearDuplicates, group_pairs
from mekiki.dataset.flips import find_flipped_duplicates
from mekiki.dataset.hashes import HASH_NAME, THUMB_SIDE_PX
from mekiki.engine.run import Engine, Outcome
from mekiki.records import RunSummary
from mekiki.settings import Field, Settings


class DedupeSettings(Settings):
    """Find pictures that are the same but for encoding, size, mirroring or a little light, and group them."""

    max_distance: int = Field(
        MAX_DISTANCE, ge=0, le=16, description="candidates: at most this many of 64 bits differ between hashes"
    )
    max_difference: float = Field(
        MAX_DIFFERENCE,
        ge=0,
        le=2,
        description="verified: thumbnails differ by at most this in every part of the picture",
    )


def dedupe(catalog: Catalog, settings: DedupeSettings, engine: Engine) -> RunSummary:
    """Group all near-duplicates, unless the same pictures were compared with the same settings before."""
    pictures = hashed_pictures(catalog)
    item_ids, hashes = pictures.item_ids, pictures.hashes

    def compute(_run_id: str) -> Outcome:
        found = find_flipped_duplicates(
            hashes["thumbnail"].reshape(-1, THUMB_SIDE_PX, THUMB_SIDE_PX),
            hashes["is_flat"],
            max_distance=settings.max_distance,
            max_difference=settings.max_difference,
        )
        rows = group_rows(item_ids, group_pairs(len(item_ids), found.pairs))
        n_groups, n_files = len({row.key for row in rows}), sum(len(paths) - 1 for _, paths in repeated_files(catalog))
        n_flat = int(hashes["is_flat"].sum())
        return Outcome(
            n_selected=len(item_ids),
            write=lambda transaction: write_groups(transaction, rows),
            files={"pairs.json": json.dumps(describe_pairs(item_ids, found), ensure_ascii=False)},
            extra={
                "n_groups": n_groups,
                "n_in_groups": len(rows),
                "n_mirrored_pairs": int(found.is_mirrored.sum()),
                "n_flat": n_flat,
                "n_repeated_files": n_files,
            },
            notes=[
                f"{len(rows)} pictures are near-duplicates, in {n_groups} groups",
                f"{n_files} files have the same bytes as another",
                f"{n_flat} pictures have next to no structure and were not compared",
            ],
        )

    summary = engine.once(catalog, "dedupe", settings, {"pictures": pictures.fingerprint()}, compute)
    if not engine.dry_run:
        make_latest(catalog, summary.run_id)
    return summary


def group_rows(item_ids: Sequence[str], groups: NDArray[np.int64]) -> list[GroupRow]:
    """Return the memberships of all groups of two or more; a group's key is its smallest id."""
    sizes = Counter(groups.tolist())
    keys: dict[int, str] = {}
    for item_id, group in sorted(zip(item_ids, groups.tolist(), strict=True)):
        keys.setdefault(group, item_id)
    return [
        GroupRow("near-duplicate", keys[group], item_id)
        for item_id, group in zip(item_ids, groups.tolist(), strict=True)
        if sizes[group] > 1
    ]


def describe_pairs(item_ids: Sequence[str], found: NearDuplicates) -> dict[str, Any]:
    """Return the verified pairs that connect the groups, as ``pairs.json`` has them."""
    numbers = zip(
        found.pairs.tolist(),
        found.distances.tolist(),
        found.differences.tolist(),
        found.is_mirrored.tolist(),
        strict=True,
    )
    pairs = [
        {
            "first": item_ids[first],
            "second": item_ids[second],
            "distance_bits": distance,
            "difference": round(difference, 4),
            "is_mirrored": is_mirrored,
        }
        for (first, second), distance, difference, is_mirrored in numbers
    ]
    return {"hash": HASH_NAME, "pairs": pairs}
