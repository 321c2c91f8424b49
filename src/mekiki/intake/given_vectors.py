"""Vectors that a one-shot command is given: ``.npy`` files, rows of them, folders of them; read block by block.

N is the number of vectors, D of their dimensions.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mekiki.dataset.formats.base import plain_path
from mekiki.dataset.formats.npy import VectorFile, is_vector_name, open_vector_file, row_path, split_row, vector_faults
from mekiki.errors import DataError, UnreadableError, UsageError
from mekiki.media.finding import MEDIA_SUFFIXES, TABLE_SUFFIXES, find_files
from mekiki.records import VECTOR_SUFFIXES, Failure


@dataclass(frozen=True, slots=True, eq=False)
class VectorBlock:
    """Vectors that were read together, and what of them could not be used.

    Attributes:
        places: File and row, from 0, of each vector.
        vectors: ``(N, D)`` float32; N may be 0.
        failures: Rows and files that were left out.
    """

    places: tuple[tuple[Path, int], ...]
    vectors: NDArray[np.float32]
    failures: tuple[Failure, ...]


class GivenVectors:
    """Files of vectors in the order in which they were given, each once; only their names are kept in memory.

    Args:
        entries: Absolute path, and a row where a single one is meant.
        n_ignored: Files that are none, in the folders.
    """

    def __init__(self, entries: Sequence[tuple[Path, int | None]], n_ignored: int = 0) -> None:
        self._entries = tuple(dict.fromkeys(entries))
        self._paths = {path for path, _ in self._entries}
        self.n_ignored = n_ignored

    def __contains__(self, path: object) -> bool:
        """Return whether an absolute path is read."""
        return path in self._paths

    @property
    def is_one_file(self) -> bool:
        """Whether a row's number says which vector is meant."""
        return len(self._paths) == 1

    def n_vectors(self) -> int | None:
        """Return how many there are, where that can be told without opening more than one file."""
        if len(self._entries) > 1:
            return None
        path, row = self._entries[0]
        try:
            return 1 if row is not None else open_vector_file(path).n_rows
        except UnreadableError:
            return 1  # which will fail

    def blocks(self, n_dims: int, what: str, size: int, *, allow_zero: bool = False) -> Iterator[VectorBlock]:
        """Yield all vectors, at most ``size`` at a time; whatever cannot be used is a failure and shifts nothing.

        Args:
            n_dims: D.
            what: What wants vectors of so many, for a message: ``model 'unsafe'``.
            size: Rows, from one file or from several with few.
            allow_zero: Take vectors of zeros, which point nowhere.

        Raises:
            DataError: If all have vectors of another length; where some have, those are failures.
        """
        waiting = _Waiting(n_dims)
        n_fitting, others = 0, ""
        for path, row in self._entries:
            try:
                file = open_vector_file(path)
                if file.n_dims != n_dims:
                    reason = f"{what} was made for vectors of {n_dims} dimensions, and these have {file.n_dims}"
                    others = others or f"{path}: {reason}. Embed with the embedder that it was made for"
                    raise UnreadableError(path, reason)
                n_fitting += 1
                for start, vectors in _rows_of(file, row, size):
                    waiting.add(path, start, vectors, allow_zero=allow_zero)
                    if waiting.n_rows >= size:
                        yield waiting.taken()
            except UnreadableError as error:
                waiting.failures.append(Failure(error.path, error.reason, "predict"))
        if others and not n_fitting:
            raise DataError(others)
        if waiting.n_rows:
            yield waiting.taken()


class _Waiting:
    """What has been read and not been handed on yet."""

    def __init__(self, n_dims: int) -> None:
        self._n_dims = n_dims
        self.places: list[tuple[Path, int]] = []
        self.parts: list[NDArray[np.float32]] = []
        self.failures: list[Failure] = []

    @property
    def n_rows(self) -> int:
        return len(self.places) + len(self.failures)

    def add(self, path: Path, start: int, vectors: NDArray[np.float32], *, allow_zero: bool) -> None:
        faults = vector_faults(vectors)
        if allow_zero:
            faults = {row: reason for row, reason in faults.items() if vectors[row].any()}
        self.failures += [
            Failure(row_path(path, start + row), reason, "predict") for row, reason in sorted(faults.items())
        ]
        kept = [row for row in range(len(vectors)) if row not in faults]
        self.places += [(path, start + row) for row in kept]
        self.parts.append(vectors[kept] if faults else vectors)

    def taken(self) -> VectorBlock:
        vectors = np.concatenate([np.empty((0, self._n_dims), np.float32), *self.parts])
        block = VectorBlock(tuple(self.places), vectors, tuple(self.failures))
        self.places, self.parts, self.failures = [], [], []
        return block


def find_vectors(paths: Sequence[str], *, is_recursive: bool = True) -> GivenVectors | None:
    """Return the vectors that these paths mean; None if they mean none, but pictures or nothing at all.

    Args:
        paths: ``.npy`` files, ``matrix.npy#12`` for a row of one, folders, patterns and ``.txt`` lists with such.
        is_recursive: Whether folders inside folders count.

    Raises:
        UsageError: If there are vectors and pictures among them, or a path does not exist.
    """
    entries: list[tuple[Path, int | None]] = []
    others: list[str] = []
    n_ignored = 0
    for written in paths:
        path, row = split_row(Path(written).expanduser())
        if row is not None and path.is_file():
            entries.append((plain_path(path), row))
        elif path.is_file() and path.suffix.lower() in TABLE_SUFFIXES:
            others.append(written)
        else:
            found = find_files([written], is_recursive=is_recursive, suffixes=MEDIA_SUFFIXES | VECTOR_SUFFIXES)
            entries += [(Path(name), None) for name in found.files if is_vector_name(Path(name).name)]
            others += [name for name in found.files if not is_vector_name(Path(name).name)]
            n_ignored += found.n_ignored
    if entries and others:
        raise UsageError(
            f"there are vectors ({entries[0][0]}) and other files ({others[0]}) among the paths: give one sort only"
        )
    return GivenVectors(entries, n_ignored) if entries else None


def _rows_of(file: VectorFile, row: int | None, size: int) -> Iterator[tuple[int, NDArray[np.float32]]]:
    if row is None:
        yield from file.blocks(size)
    elif row < file.n_rows:
        yield row, file.read(row, row + 1)
    else:
        raise UnreadableError(row_path(file.path, row), f"there are rows 0 to {file.n_rows - 1} only")
