"""Search and near-duplicates among a million vectors, in one run, within the memory of a small machine.

The world: 1,000,000 vectors of 512 dimensions in 10,000 clusters. A cluster's centre is a random direction; a vector is
that centre (weight √0.7) plus a random direction of its own (√0.3), so that two of one cluster are at cosine 0.7 ± 0.03
and two of different ones at 0 ± 0.04. 20,000 of the vectors are copies of others, each turned in a random direction to
a cosine between 0.97 and 1, and stand at random places. Queries are new vectors from the same clusters. They are the
vectors of items of a workspace, written block by block; peak memory is that of the whole process. Run this file to
print the table.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mekiki.api.verbs import run_stage
from mekiki.catalog.db import Catalog
from mekiki.catalog.items import NewItem, read_groups, write_items
from mekiki.catalog.near_vectors import read_vector_table
from mekiki.catalog.vector_search import VectorSearch
from mekiki.catalog.vectors import require_vectors, vectors_identity, write_vectors
from mekiki.engine.run import begin_run, describe_run, end_run
from mekiki.neighbours.tables import to_unit_length
from mekiki.records import RunSummary
from mekiki.settings import Settings
from mekiki.training.vector_space import VectorSpace

N_VECTORS, N_DIMS, N_CLUSTERS, N_PLANTED = 1_000_000, 512, 10_000, 20_000
MIN_COSINE = 0.97
N_QUERIES, N_EXACT_QUERIES, K = 1000, 20, 10
BLOCK = 20_000


def draw_directions(rng: np.random.Generator, n: int, n_dims: int) -> NDArray[np.float32]:
    return to_unit_length(rng.standard_normal((n, n_dims), np.float32))


def draw_members(rng: np.random.Generator, centres: NDArray[np.float32], n: int) -> NDArray[np.float32]:
    """Return n vectors of random clusters."""
    chosen = centres[rng.integers(len(centres), size=n)]
    return to_unit_length(
        np.float32(0.7**0.5) * chosen + np.float32(0.3**0.5) * draw_directions(rng, n, chosen.shape[1])
    )


def turn(rng: np.random.Generator, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return each vector turned in a random direction, to a cosine of 0.97 or more."""
    cosines = rng.uniform(MIN_COSINE + 1e-5, 1, (len(vectors), 1)).astype(np.float32)
    sideways = draw_directions(rng, len(vectors), vectors.shape[1])
    sideways -= (sideways * vectors).sum(axis=1, keepdims=True) * vectors
    turned = cosines * vectors + np.sqrt(1 - cosines**2) * to_unit_length(sideways)
    return turned.astype(np.float32)


def draw_world(workspace: Path, n: int, n_clusters: int, n_planted: int, seed: int = 0) -> tuple[Any, Any]:
    """Fill a workspace with n items that have vectors; return the queries and the ``(n_planted, 2)`` planted pairs."""
    rng = np.random.default_rng(seed)
    centres = draw_directions(rng, n_clusters, N_DIMS)
    planted = np.sort(rng.choice(n, (n_planted, 2), replace=False), axis=1)
    number_of = np.full((2, n), -1)  # of the pair whose original, or whose copy, a row is
    for side in (0, 1):
        number_of[side, planted[:, side]] = np.arange(n_planted)
    originals = np.empty((n_planted, N_DIMS), np.float32)
    space = VectorSpace(embedder="world", embedder_id="0" * 16, n_dims=N_DIMS)
    with Catalog(workspace) as catalog:
        run = describe_run("embed", Settings(), vectors_identity(space, "fp32"), {})
        begin_run(catalog, run)
        for first in range(0, n, BLOCK):
            rows = np.arange(first, min(first + BLOCK, n))
            block = draw_members(rng, centres, len(rows))
            here = rows[number_of[0, rows] >= 0]
            originals[number_of[0, here]] = block[here - first]
            here = rows[number_of[1, rows] >= 0]
            block[here - first] = turn(rng, originals[number_of[1, here]])
            ids = [item_id(row) for row in rows.tolist()]
            with catalog.transaction("ingest") as transaction:
                write_items(transaction, [NewItem(one, "image", 640, 480) for one in ids])
                columns = ("path", "item_id", "size_bytes", "mtime_ns")
                transaction.upsert("sources", columns, ((f"{one}.jpg", one, 0, 0) for one in ids))
            with catalog.transaction("embed", run["run_id"]) as transaction:
                write_vectors(transaction, ids, block)
        end_run(catalog, RunSummary("embed", run["run_id"]))
    return draw_members(rng, centres, N_QUERIES), planted


def item_id(row: int) -> str:
    return f"{row:032x}"


def timed(function: Callable[[], Any]) -> tuple[float, Any]:
    started = time.perf_counter()
    result = function()
    return time.perf_counter() - started, result


def timed_each(function: Callable[[NDArray[np.float32]], Any], queries: NDArray[np.float32]) -> tuple[Any, list[Any]]:
    """Return milliseconds per query, one at a time, and the answers."""
    runs = [timed(lambda one=one: function(one[None])) for one in queries]  # type: ignore[misc]
    return np.array([1000 * seconds for seconds, _ in runs]), [answer for _, answer in runs]


def peak_gb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2


def run(n: int = N_VECTORS, n_clusters: int = N_CLUSTERS, n_planted: int = N_PLANTED) -> list[tuple[str, str]]:
    """Return what was measured, with its figure."""
    with TemporaryDirectory(prefix="mekiki-bench-") as folder:
        workspace = Path(folder) / "ws"
        seconds_draw, (queries, planted) = timed(lambda: draw_world(workspace, n, n_clusters, n_planted))
        return [
            ("vectors, dimensions, clusters, planted pairs", f"{n:,}, {N_DIMS}, {n_clusters:,}, {n_planted:,}"),
            ("filling the workspace", f"{seconds_draw:.0f} s; peak memory {peak_gb():.2f} GB"),
            *measure_search(workspace, queries),
            *measure_dedupe(workspace, planted),
        ]


def measure_search(workspace: Path, queries: NDArray[np.float32]) -> list[tuple[str, str]]:
    with Catalog(workspace) as catalog:
        stored = require_vectors(catalog)
        seconds_ids, looked_in = timed(lambda: VectorSearch(catalog, stored, index_from=1))
        seconds_build, _ = timed(lambda: looked_in.open_index(print_nothing))
        seconds_open, (index, _) = timed(lambda: looked_in.open_index(print_nothing))
        first_ms, _ = timed_each(lambda one: looked_in.nearest(one, K, index), queries[:1])
        indexed_ms, found = timed_each(lambda one: looked_in.nearest(one, K, index), queries)
        exact_ms, _ = timed_each(lambda one: looked_in.nearest(one, K), queries[:N_EXACT_QUERIES])
        true = looked_in.nearest(queries, K)
    hits = [len({one for one, _ in a[0]} & {one for one, _ in b}) for a, b in zip(found, true, strict=True)]
    return [
        ("reading whose vectors they are, once a command", f"{seconds_ids:.1f} s"),
        (
            "building the index and saving it (a query then looks into)",
            f"{seconds_build:.0f} s ({index.n_cells_seen} cells)",
        ),
        ("opening the saved index", f"{seconds_open:.2f} s"),
        ("indexed query, first after opening", f"{first_ms[0]:.1f} ms"),
        ("indexed query, median and 95th percentile", percentiles(indexed_ms)),
        ("exact query, median and 95th percentile", percentiles(exact_ms)),
        (f"recall@{K} of {len(queries):,} queries", f"{sum(hits) / (K * len(queries)):.4f}"),
        ("the same, as measured when it was built", f"{index.recall:.4f}"),
        ("peak memory until then", f"{peak_gb():.2f} GB"),
    ]


def measure_dedupe(workspace: Path, planted: NDArray[np.int64]) -> list[tuple[str, str]]:
    settings = {"by": "vectors", "min_cosine": MIN_COSINE}
    seconds, summary = timed(lambda: run_stage("dedupe", workspace, settings))
    peak = peak_gb()
    pairs = json.loads((workspace / summary.outputs["pairs.json"]).read_text())["pairs"]
    with Catalog(workspace) as catalog:
        group_of = {row.item_id: row.key for row in read_groups(catalog, {"near-duplicate": summary.run_id})}
        ids, table = read_vector_table(catalog, require_vectors(catalog))
    together = [group_of.get(item_id(one), one) == group_of.get(item_id(other)) for one, other in planted.tolist()]
    sides = [np.searchsorted(ids, [pair[side] for pair in pairs]) for side in ("first", "second")]
    left, right = (table[rows].astype(np.float64) for rows in sides)
    lengths = np.linalg.norm(left, axis=1) * np.linalg.norm(right, axis=1)
    n_false = int(((left * right).sum(axis=1) / lengths < MIN_COSINE - 1e-6).sum())
    return [
        ("mekiki dedupe --by vectors --min-cosine 0.97", f"{seconds:.0f} s"),
        (
            "cells; share of the widest pairs that meet in one, as measured by it",
            f"{summary.extra['n_cells']:,}; {summary.extra['expected_share']:.4f}",
        ),
        ("planted pairs found", f"{sum(together):,} of {len(together):,}"),
        ("pairs found, false ones", f"{len(pairs):,}, {n_false}"),
        ("largest group", f"{summary.extra['largest_group']}"),
        ("peak memory of all", f"{peak:.2f} GB"),
    ]


def print_nothing(_line: str) -> None:
    """Say nothing."""


def percentiles(milliseconds: NDArray[np.float64]) -> str:
    return f"{np.median(milliseconds):.1f} ms, {np.percentile(milliseconds, 95):.1f} ms"


def main() -> None:
    """Print the table in Markdown; a number of vectors on the command line asks for a smaller world."""
    n = int(sys.argv[1]) if len(sys.argv) > 1 else N_VECTORS
    print("| What | |\n|---|---:|")
    for what, figure in run(n, max(n // 100, 1), n // 50):
        print(f"| {what} | {figure} |", flush=True)


if __name__ == "__main__":
    main()
