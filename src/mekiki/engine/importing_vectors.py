"""Vectors that somebody else made, taken into the store: ``embed --embedder vectors``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from itertools import islice
from operator import attrgetter

import numpy as np

from mekiki.catalog.db import PAGE_ROWS, Catalog, Transaction
from mekiki.catalog.items import count_kinds, require_items
from mekiki.catalog.runs import make_latest, undo_readers
from mekiki.catalog.vector_rows import VectorPlace, count_lengths, count_places, vector_places
from mekiki.catalog.vector_wiping import wipe_unused
from mekiki.catalog.vectors import StoredVectors, VectorRun, vectors_identity, write_vectors
from mekiki.dataset.formats.npy import VectorFile, Vectors, open_vector_file, split_row, vector_faults
from mekiki.dataset.ids import vector_id
from mekiki.engine.ingesting_vectors import BATCH_VECTORS, RowReader
from mekiki.engine.run import Engine, describe_run
from mekiki.errors import DataError, UnreadableError, UsageError
from mekiki.records import Loaded, Result, RunSummary
from mekiki.settings import PerItemSettings
from mekiki.training.vector_space import VectorSpace

EMBEDDER = "vectors"
"""Name of the embedder that embeds nothing; ``vectors:NAME`` says what made the vectors."""


class ImportedVectors:
    """Every item of kind vector and every photo that an index names, in the order of their files.

    Args:
        catalog: The workspace.
        run: Where the vectors are stored.
    """

    def __init__(self, catalog: Catalog, run: VectorRun) -> None:
        self._catalog, self._run = catalog, run

    def __len__(self) -> int:
        return count_places(self._catalog)

    def __iter__(self) -> Iterator[VectorPlace]:
        stored = StoredVectors(self._catalog, self._run)
        places = vector_places(self._catalog)
        while page := list(islice(places, PAGE_ROWS)):
            replaced = _replaced(page, stored)
            for place in page:
                yield replace(place, is_replaced=True) if place.item_id in replaced else place


@dataclass
class ImportVectorsWork:
    """What one worker does to vectors in files: read each, and see that it is what was ingested.

    Attributes:
        space: What the vectors are; all have its length.
    """

    space: VectorSpace

    def identity(self) -> str:
        """Return what the run's vectors are; see `mekiki.catalog.vectors.vector_runs`."""
        return vectors_identity(self.space, "fp32")

    def open(self) -> None:
        """Open nothing yet; the header of the matrix read last is kept, and a few blocks of it."""
        self._matrix: VectorFile | None = None
        self._reader = RowReader()

    def load(self, place: VectorPlace) -> Iterator[Loaded]:
        """Read a vector.

        Raises:
            UnreadableError: If its file is gone or holds another one now, it has another length than those of the run,
                or its photo has two different ones.
        """
        if place.others:
            raise UnreadableError(
                place.path, f"its photo has another vector in {place.others[0]}: keep one of the two, and ingest again"
            )
        if place.n_dims != self.space.n_dims:
            raise UnreadableError(
                place.path, f"a vector of length {place.n_dims}, and most of the workspace have {self.space.n_dims}"
            )
        vector = self._read(place)
        if vector_id(vector[0]) != place.vector_id or vector_faults(vector):
            raise UnreadableError(place.path, "changed since ingest: mekiki ingest it again")
        yield Loaded(place.item_id, vector)

    def compute(self, loaded: list[Loaded]) -> list[Result | UnreadableError]:
        """Pass on what was read."""
        return [Result(one.item_id, one.content) for one in loaded]

    def write(self, transaction: Transaction, results: list[Result]) -> int:
        """Store the vectors; what was computed from others of the same items in this run is to be done again."""
        vectors: Vectors = np.concatenate([one.content for one in results])
        item_ids = [one.item_id for one in results]
        undo_readers(transaction, "vectors", item_ids)
        return write_vectors(transaction, item_ids, vectors)

    def _read(self, place: VectorPlace) -> Vectors:
        """Return ``(1, D)``."""
        path, row = split_row(place.path)
        file = self._matrix
        if row is None or file is None or file.path != path:
            if not path.exists():
                raise UnreadableError(place.path, "gone since ingest: bring it back, or ingest its new place")
            file = open_vector_file(path)
        if row is not None:
            self._matrix = file
        if (row or 0) >= file.n_rows or (row is None and not file.is_single):
            raise UnreadableError(place.path, "changed since ingest: mekiki ingest it again")
        return self._reader.read(file, row or 0)[None]


def imported_space(catalog: Catalog, embedder: str) -> VectorSpace:
    """Return what the vectors are that were ingested: their commonest length, and what the user calls them.

    Args:
        catalog: The workspace.
        embedder: ``vectors``, or ``vectors:NAME`` for those of the embedder NAME, such as ``vectors:clip:ViT-B-32``.

    Raises:
        DataError: If no vectors were ingested.
    """
    lengths = count_lengths(catalog)
    if not lengths:
        raise DataError(
            f"there are no vectors to import in {catalog.workspace}: mekiki ingest VECTORS.npy -w {catalog.workspace}, "
            "with an index beside it that names the pictures, or name another embedder: mekiki list embedders"
        )
    n_dims = max(lengths, key=lambda length: (lengths[length], length))
    return VectorSpace(embedder=embedder.partition(":")[2] or EMBEDDER, n_dims=n_dims)


def wants_import(catalog: Catalog, embedder: str) -> bool:
    """Return whether ``--embedder`` means vectors that are there: by name, or ``auto`` where there is nothing else."""
    return embedder.partition(":")[0] == EMBEDDER or (embedder == "auto" and holds_only_vectors(catalog))


def import_vectors(catalog: Catalog, settings: PerItemSettings, engine: Engine, embedder: str) -> RunSummary:
    """Store the vectors of the workspace's files that are not stored yet, as a run of ``embed``.

    Args:
        catalog: The workspace.
        settings: Of ``embed``; those of an embedder that computes are refused.
        engine: Where it runs.
        embedder: ``vectors``, ``vectors:NAME`` or ``auto``.

    Raises:
        UsageError: If a setting was given that means nothing here.
        DataError: If no vectors were ingested.
    """
    for name in sorted(settings.model_fields_set - PerItemSettings.model_fields.keys() - {"embedder"}):
        raise UsageError(f"--{name.replace('_', '-')} does nothing with vectors that are imported: leave it out")
    require_items(catalog)
    space = imported_space(catalog, EMBEDDER if embedder == "auto" else embedder)
    settings, work = settings.with_batches_of(BATCH_VECTORS), ImportVectorsWork(space)
    run_id = describe_run("embed", settings, work.identity(), {})["run_id"]
    items = ImportedVectors(catalog, VectorRun(run_id, space, "fp32", is_finished=False))
    with nullcontext() if engine.dry_run else catalog.writing("embed"):
        summary = engine.map(catalog, "embed", settings, work, items, redo=attrgetter("is_replaced"))
        if summary.n_written:
            wipe_unused(catalog)
    if not engine.dry_run:
        make_latest(catalog, summary.run_id)
        summary.extra |= {"embedder": space.embedder, "n_dims": space.n_dims, "precision": "fp32"}
        if n_bare := n_without_vector(catalog):
            summary.notes.append(f"{n_bare} pictures have no vector in any file: name them in the matrix's index")
    return summary


def holds_only_vectors(catalog: Catalog) -> bool:
    """Return whether all there is to embed are vectors already, so that no embedder has anything to look at."""
    kinds = count_kinds(catalog)
    return "vector" in kinds and not {"image", "frame", "video"} & kinds.keys()


def _replaced(page: Sequence[VectorPlace], stored: StoredVectors) -> set[str]:
    """Return the items of which another vector is stored; an item of kind vector is its numbers, which never change."""
    given = {place.item_id: place.vector_id for place in page if place.item_id != place.vector_id}
    known = sorted(stored.having(list(given)))
    vectors = stored.read(known)
    return {item_id for item_id, vector in zip(known, vectors, strict=True) if vector_id(vector) != given[item_id]}


def n_without_vector(catalog: Catalog) -> int:
    """Return how many pictures no index has a vector of."""
    kinds = count_kinds(catalog)
    n_items = kinds.get("image", 0) + kinds.get("frame", 0) + kinds.get("vector", 0)
    return max(0, n_items - count_places(catalog))
