"""Stage ``dedupe``: near-duplicates. Reads ``items``, and ``hashes`` or ``vectors``; writes ``groups``."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from mekiki.catalog.atoms import HashedPictures, hashed_pictures
from mekiki.catalog.db import Catalog
from mekiki.catalog.items import GroupRow, write_groups
from mekiki.catalog.near_vectors import (
    MIN_COSINE,
    Chains,
    describe_vector_pairs,
    find_near_vectors,
    read_vector_table,
)
from mekiki.catalog.results import hash_rows
from mekiki.catalog.runs import make_latest
from mekiki.catalog.sources import repeated_files
from mekiki.catalog.vectors import require_vectors
from mekiki.dataset.duplicates import MAX_DIFFERENCE, MAX_DISTANCE, NearDuplicates, group_pairs
from mekiki.dataset.flips import find_flipped_duplicates
from mekiki.dataset.hashes import HASH_NAME, THUMB_SIDE_PX
from mekiki.engine.run import Engine, Outcome
from mekiki.errors import DataError, UsageError
from mekiki.records import RunSummary
from mekiki.settings import Field, Input, Settings


class DedupeSettings(Settings):
    """Find pictures that are the same but for encoding, size, mirroring or a little light, and group them."""

    by: Literal["auto", "hashes", "vectors"] = Field(
        "auto",
        description="compare perceptual hashes, or the vectors of embed: crops and logos too; auto: hashes, if there "
        "is any picture",
    )
    max_distance: int = Field(
        MAX_DISTANCE, ge=0, le=16, description="candidates: at most this many of 64 bits differ between hashes"
    )
    max_difference: float = Field(
        MAX_DIFFERENCE,
        ge=0,
        le=2,
        description="verified: thumbnails differ by at most this in every part of the picture",
    )
    min_cosine: float = Field(
        MIN_COSINE, gt=0, le=1, description="by vectors: near-duplicates have at least this cosine"
    )
    chains: Chains = Field(
        "keep",
        description="by vectors: keep: all that pairs connect is one group, so that no split tears a pair; "
        "cut: a group is what has min cosine to its middle one",
    )
    vectors: str | None = Input(None, description="by vectors: embedder or run of embed (default: the latest)")


OTHER_WAY = {"hashes": ("min_cosine", "chains", "vectors"), "vectors": ("max_distance", "max_difference")}
"""Settings that do nothing by this way."""


def dedupe(catalog: Catalog, settings: DedupeSettings, engine: Engine) -> RunSummary:
    """Group all near-duplicates, unless the same pictures were compared with the same settings before."""
    if settings.by == "auto":
        settings = settings.model_copy(update={"by": _way(catalog)})
    for name in OTHER_WAY[settings.by]:
        if name in settings.model_fields_set:
            raise UsageError(f"--{name.replace('_', '-')} does nothing with --by {settings.by}: leave one of them out")
    compare = _by_hashes if settings.by == "hashes" else _by_vectors
    summary = compare(catalog, settings, engine)
    if not engine.dry_run:
        make_latest(catalog, summary.run_id)
    return summary


def _way(catalog: Catalog) -> str:
    """Return what there is to compare: hashes, unless there are vectors alone."""
    is_known = hashed_pictures(catalog).hashes["is_known"]
    return "vectors" if len(is_known) and not is_known.any() else "hashes"


def _by_hashes(catalog: Catalog, settings: DedupeSettings, engine: Engine) -> RunSummary:
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
        n_flat = int((hashes["is_flat"] & hashes["is_known"]).sum())
        n_unseen = int((~hashes["is_known"]).sum())
        return _outcome(
            catalog,
            len(item_ids),
            rows,
            describe_pairs(item_ids, found),
            {"n_mirrored_pairs": int(found.is_mirrored.sum()), "n_flat": n_flat},
            [
                f"{n_flat} pictures have next to no structure and were not compared",
                *([f"{n_unseen} vectors have no picture to compare: mekiki dedupe --by vectors"] if n_unseen else []),
            ],
        )

    return engine.once(catalog, "dedupe", settings, {"pictures": pictures.fingerprint()}, compute)


def _by_vectors(catalog: Catalog, settings: DedupeSettings, engine: Engine) -> RunSummary:
    wanted, asked = _what_is_asked(hashed_pictures(catalog))
    run = require_vectors(catalog, settings.vectors)
    item_ids, table = read_vector_table(catalog, run, set(wanted))
    n_without = len(wanted) - len(item_ids)
    if wanted and not item_ids:
        raise DataError(
            f"run {run.run_id} of {run.space} has no vector of any picture: mekiki embed -w {catalog.workspace}"
        )

    def compute(_run_id: str) -> Outcome:
        near = find_near_vectors(table, settings.min_cosine, settings.chains)
        facts = {
            "embedder": run.space.embedder,
            "vectors": run.run_id,
            "n_without_vectors": n_without,
            **near.to_json(),
        }
        notes = near.describe()
        if n_without:
            notes.append(f"{n_without} pictures have no vector and were not compared: mekiki embed")
        rows = group_rows(item_ids, near.groups)
        pairs = describe_vector_pairs(item_ids, near, run)
        return _outcome(catalog, len(wanted), rows, pairs, facts, notes)

    reads = {
        "pictures": asked,
        "vectors": run.run_id,
        "with_vectors": hash_rows([tuple(item_ids)]),
    }
    if not run.space.embedder_id:  # imported: the same pictures may get others
        reads["vector_rows"] = table.fingerprint()
    return engine.once(catalog, "dedupe", settings, reads, compute)


def _what_is_asked(pictures: HashedPictures) -> tuple[tuple[str, ...], str]:
    """Return ids and fingerprint; the thumbnails of a million pictures are a gigabyte, which can go then."""
    return pictures.item_ids, pictures.fingerprint()


def _outcome(
    catalog: Catalog,
    n_selected: int,
    rows: Sequence[GroupRow],
    pairs: dict[str, Any],
    facts: dict[str, Any],
    notes: Sequence[str],
) -> Outcome:
    """Return what both ways have in common, with each one's own facts and notes."""
    n_groups, n_files = len({row.key for row in rows}), sum(len(paths) - 1 for _, paths in repeated_files(catalog))
    return Outcome(
        n_selected=n_selected,
        write=lambda transaction: write_groups(transaction, rows),
        files={"pairs.json": json.dumps(pairs, ensure_ascii=False)},
        extra={"n_groups": n_groups, "n_in_groups": len(rows), **facts, "n_repeated_files": n_files},
        notes=[
            f"{len(rows)} pictures are near-duplicates, in {n_groups} groups",
            f"{n_files} files have the same bytes as another",
            *notes,
        ],
    )


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
