"""Vectors in tests: stored as ``embed`` stores them, without an embedder."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mekiki.catalog.db import Catalog
from mekiki.catalog.vectors import vectors_identity, write_vectors
from mekiki.engine.run import begin_run, describe_run, end_run
from mekiki.records import RunSummary
from mekiki.settings import Settings
from mekiki.training.vector_space import VectorSpace


def space_of(n_dims: int, embedder: str = "toy", embedder_id: str = "00112233aabbccdd") -> VectorSpace:
    return VectorSpace(embedder=embedder, embedder_id=embedder_id, n_dims=n_dims)


def store_vectors(
    workspace: Path,
    vectors: Mapping[str, NDArray[np.float32]],
    space: VectorSpace | None = None,
    precision: str = "fp32",
) -> str:
    """Store item id to vector as a finished ``embed`` run and return the run's id."""
    matrix = np.stack(list(vectors.values())).astype(np.float32)
    space = space or space_of(matrix.shape[1])
    with Catalog(workspace) as catalog, catalog.writing("embed"):
        run = describe_run("embed", Settings(), vectors_identity(space, precision), {})
        begin_run(catalog, run)
        with catalog.transaction("embed", run["run_id"]) as transaction:
            write_vectors(transaction, list(vectors), matrix)
        end_run(catalog, RunSummary("embed", run["run_id"], n_selected=len(vectors), n_written=len(vectors)))
    return str(run["run_id"])
