"""Stored vectors as one table, and the near-duplicates among them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from mekiki.catalog.db import Catalog
from mekiki.catalog.vectors import VectorRun, open_segment
from mekiki.dataset.duplicates import group_pairs
from mekiki.neighbours.chains import cut_chains
from mekiki.neighbours.near_pairs import NearPairs, find_near_pairs
from mekiki.neighbours.tables import FileVectors, RowNumbers
from mekiki.records import ItemKind

MIN_COSINE = 0.97

Chains = Literal["keep", "cut"]


def read_vector_table(
    catalog: Catalog, run: VectorRun, among: Collection[str] | None = None, kinds: Sequence[ItemKind] | None = None
) -> tuple[list[str], FileVectors]:
    """Return whose vectors a run has, in the order of ids, and the table of them, of which nothing is in memory.

    Args:
        catalog: Where from.
        run: An ``embed`` run.
        among: Items that count; None takes all that have a vector.
        kinds: Kinds of items that count; None takes all.

    Raises:
        DataError: If a file of vectors is not there or not what was written.
    """
    item_ids: list[str] = []
    numbers: dict[str, int] = {}
    files: list[int] = []
    rows: list[int] = []
    is_wanted = "1"
    if kinds is not None:
        marks = ", ".join(f"'{kind}'" for kind in kinds)
        is_wanted = f"NOT EXISTS (SELECT 1 FROM items i WHERE i.item_id = v.item_id AND i.kind NOT IN ({marks}))"
    sql = f"SELECT item_id, segment, row FROM vectors v WHERE run_id = ? AND {is_wanted} ORDER BY item_id"
    for item_id, segment, row in catalog.rows(sql, (run.run_id,)):
        if among is None or item_id in among:
            item_ids.append(item_id)
            files.append(numbers.setdefault(segment, len(numbers)))
            rows.append(row)
    n_dims = run.space.n_dims
    opened = {catalog.locate(name): open_segment(catalog, run.run_id, name, n_dims) for name in numbers}
    table = FileVectors(list(opened), opened.__getitem__, np.array(files, np.int32), np.array(rows, np.int32), n_dims)
    return item_ids, table


@dataclass(frozen=True, slots=True)
class NearVectors:
    """Near-duplicates by their vectors.

    Attributes:
        groups: ``(N,)`` the smallest row of each group.
        found: The pairs that connect them.
        n_chains: Sets connected by pairs that have a member which is not near their middle one.
        longest_chain: Vectors in the largest of these; 0 if there is none.
        n_torn: Connecting pairs whose two lie in different groups; none where chains are kept.
    """

    groups: RowNumbers
    found: NearPairs
    n_chains: int
    longest_chain: int
    n_torn: int

    @property
    def largest_group(self) -> int:
        """Members of the largest group; 1 where nothing is near anything, 0 without vectors."""
        return int(np.bincount(self.groups).max()) if len(self.groups) else 0

    def to_json(self) -> dict[str, Any]:
        """Return what a summary says of it."""
        return {
            "n_zero_vectors": int(self.found.is_zero.sum()),
            "largest_group": self.largest_group,
            "n_chains": self.n_chains,
            "longest_chain": self.longest_chain,
            "n_torn_pairs": self.n_torn,
            "n_cells": self.found.n_cells,
            "expected_share": round(self.found.expected_share, 4),
        }

    def describe(self) -> list[str]:
        """Return what a user should know of it, in sentences."""
        notes = [f"the largest group has {self.largest_group} members"] if self.largest_group > 1 else []
        if self.n_chains and self.n_torn:
            notes.append(
                f"{self.n_chains} chains were cut, the longest of {self.longest_chain}: {self.n_torn} near pairs or "
                "more lie in two groups, and a split may tear them"
            )
        elif self.n_chains:
            notes.append(
                f"{self.n_chains} groups are chains, the longest of {self.longest_chain}: their ends may differ. A "
                "higher --min-cosine shortens them; --chains cut parts them, and a split may then tear near pairs"
            )
        if n_zero := int(self.found.is_zero.sum()):
            notes.append(f"{n_zero} vectors are all zeros, which have no direction, and were not compared")
        if self.found.n_cells > 1:
            notes.append(
                f"compared in {self.found.n_cells} cells, {self.found.n_cells_each} for each vector, where "
                f"{self.found.expected_share:.2%} of the widest pairs meet"
            )
        return notes


def find_near_vectors(vectors: FileVectors, min_cosine: float, chains: Chains) -> NearVectors:
    """Group vectors that are within an angle of each other.

    Args:
        vectors: ``(N, D)``.
        min_cosine: Least cosine of a pair.
        chains: ``keep`` makes a group of all that is connected, ``cut`` holds every group within that of its centre.
    """
    found = find_near_pairs(vectors, min_cosine)
    connected = group_pairs(vectors.shape[0], found.pairs)
    cut = cut_chains(vectors, connected, min_cosine)
    chained = np.unique(connected[cut != connected])
    sizes = np.bincount(connected)[chained] if len(chained) else np.zeros(1, np.int64)
    groups = cut if chains == "cut" else connected
    n_torn = int((groups[found.pairs[:, 0]] != groups[found.pairs[:, 1]]).sum())
    return NearVectors(groups, found, len(chained), int(sizes.max()), n_torn)


def describe_vector_pairs(item_ids: Sequence[str], near: NearVectors, run: VectorRun) -> dict[str, Any]:
    """Return the pairs that connect the groups, as ``pairs.json`` has them."""
    pairs = zip(near.found.pairs.tolist(), near.found.cosines.tolist(), strict=True)
    return {
        "vectors": run.run_id,
        "embedder": run.space.embedder,
        "pairs": [
            {
                "first": item_ids[first],
                "second": item_ids[second],
                "cosine": round(cosine, 6),
                "is_torn": bool(near.groups[first] != near.groups[second]),
            }
            for (first, second), cosine in pairs
        ],
    }
