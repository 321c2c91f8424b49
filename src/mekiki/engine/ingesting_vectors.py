"""Vectors becoming items, or those of photos that an index names, as work for an engine."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mekiki.catalog.db import Transaction
from mekiki.catalog.found_vectors import FoundVector
from mekiki.catalog.ingested import IngestedFile, SaidOfAll, write_ingested
from mekiki.catalog.vector_rows import VectorRow, format_of, write_vector_rows
from mekiki.dataset.formats.npy import VectorFile, Vectors, vector_faults
from mekiki.dataset.formats.vectors_matrix import INDEX_ATTRIBUTE
from mekiki.dataset.groups import compile_path_pattern, parse_path
from mekiki.dataset.ids import vector_id
from mekiki.errors import UnreadableError
from mekiki.intake.files import FileFacts
from mekiki.records import Loaded, Result

BLOCK_BYTES, N_BLOCKS = 8 << 20, 8
"""What is read of a matrix together, and how many of these are kept: by their names, rows 99, 990 and 9900 come soon
after one another."""

BATCH_VECTORS = 1024
"""Vectors in one transaction, unless the user chose: they are small, and each transaction waits for the disk."""


class RowReader:
    """Reads vectors of files one at a time, and a matrix in blocks, of which a few are kept; for several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._blocks: dict[tuple[VectorFile, int], Vectors] = {}

    def read(self, file: VectorFile, row: int) -> NDArray[np.float32]:
        """Return ``(D,)``, a copy.

        Raises:
            UnreadableError: If the file cannot be read any more.
        """
        if file.is_single:
            single: NDArray[np.float32] = file.read()[0]
            return single
        n_rows = max(1, BLOCK_BYTES // (4 * file.n_dims))
        first = row - row % n_rows
        with self._lock:
            block = self._blocks.pop((file, first), None)
            if block is None:
                block = file.read(first, first + n_rows)
            self._blocks[file, first] = block  # at the end: the one used last
            if len(self._blocks) > N_BLOCKS:
                del self._blocks[next(iter(self._blocks))]
            vector: NDArray[np.float32] = block[row - first].copy()
        return vector


@dataclass(frozen=True, slots=True)
class IngestedVector:
    """A vector on its way into the catalog: a file with the facts of an item, and what an index says of it."""

    file: IngestedFile
    row: VectorRow | None = None
    was_named: bool = False


@dataclass
class IngestVectorsWork:
    """What one worker does to vectors: read each once, unless it is known.

    Attributes:
        said: What holds for all of them.
        path_pattern: What paths say.
    """

    said: SaidOfAll
    path_pattern: str | None = None

    def identity(self) -> str:
        """Return what sets this run apart from that of photos and videos."""
        return "vectors"

    def open(self) -> None:
        """Prepare the path pattern."""
        self._pattern = compile_path_pattern(self.path_pattern) if self.path_pattern else None
        self._reader = RowReader()

    def load(self, item: FoundVector) -> Iterator[Loaded]:
        """Read a vector, unless it is known."""
        if item.file is None:
            raise UnreadableError(item.path, item.problem or "it cannot be read")
        told = {"source": f"{item.file.path.name}:{item.name}"} if item.has_namesakes else {}
        if item.name and item.owner_id is None:
            told[INDEX_ATTRIBUTE] = item.name
        said = {**told, **(parse_path(self._pattern, item.path.as_posix()) if self._pattern else {})}
        if item.known_id:
            yield Loaded(item.item_id, IngestedVector(IngestedFile(item.path, item.known_id, None, said)))
            return
        vector = self._reader.read(item.file, item.row)
        for reason in vector_faults(vector[None]).values():
            raise UnreadableError(item.path, reason)
        own_id = vector_id(vector)
        facts = FileFacts(
            own_id, "vector", 0, 0, format_of(len(vector)), size_bytes=item.size_bytes, mtime_ns=item.mtime_ns
        )
        file = IngestedFile(item.path, item.owner_id, None if item.owner_id else facts, said)
        row = None
        if item.name:
            whose = item.owner_id or own_id
            row = VectorRow(str(item.path), whose, item.name, own_id, len(vector), item.size_bytes, item.mtime_ns)
        yield Loaded(item.item_id, IngestedVector(file, row, item.was_named))

    def compute(self, loaded: list[Loaded]) -> list[Result | UnreadableError]:
        """Pass on what was read."""
        return [Result(one.item_id, one.content) for one in loaded]

    def write(self, transaction: Transaction, results: list[Result]) -> int:
        """Write items with all that is known of them, and whose vectors the others are."""
        vectors: list[IngestedVector] = [one.content for one in results]
        n_rows = write_ingested(transaction, [one.file for one in vectors], self.said)
        rows = [one.row._replace(path=transaction.catalog.relative(one.row.path)) for one in vectors if one.row]
        for one in vectors:
            if one.was_named and one.row is None:  # its index has lost it
                transaction.delete("vector_rows", "path = ?", (transaction.catalog.relative(one.file.path),))
        for row in rows:
            if row.item_id != row.vector_id:  # it was an item of its own before its photo came
                transaction.delete("sources", "path = ?", (row.path,))
        return n_rows + write_vector_rows(transaction, rows)
