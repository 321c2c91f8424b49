"""Tables of vectors: ``(N, D)`` float32 in memory or in files, read a few rows at a time and scaled to unit length.

N is the number of vectors, D of dimensions. A table is whatever has a ``shape`` and gives rows for a slice or for
row numbers; an array is one.
"""

from __future__ import annotations

import hashlib
import mmap
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from mekiki.errors import DataError

Vectors = NDArray[np.float32]
"""``(N, D)``."""

RowNumbers = NDArray[np.int64]
"""``(N,)``."""

BLOCK_ROWS = 16_384

ROUNDING = 1e-6
"""By how much a float32 product of equal unit vectors may miss 1."""


class VectorTable(Protocol):
    """Vectors that need not be in memory together."""

    @property
    def shape(self) -> tuple[int, ...]:
        """N and D."""
        ...

    def __getitem__(self, rows: slice | RowNumbers, /) -> Vectors: ...


class FileVectors:
    """Vectors in ``.npy`` files, read as they are needed; what was read is not kept in memory.

    Args:
        paths: Files of ``(rows, D)`` float32.
        open_file: Maps one of them read-only; it raises what its caller wants to be told.
        files: ``(N,)`` which file each vector is in.
        rows: ``(N,)`` its row there.
        n_dims: D.
    """

    def __init__(
        self,
        paths: Sequence[Path],
        open_file: Callable[[Path], Vectors],
        files: NDArray[np.int32],
        rows: NDArray[np.int32],
        n_dims: int,
    ) -> None:
        self._paths = paths
        self._maps = [open_file(path) for path in paths]
        self._files, self._rows = files, rows
        self.shape = (len(rows), n_dims)

    def __getitem__(self, rows: slice | RowNumbers, /) -> Vectors:
        files, places = self._files[rows], self._rows[rows]
        if len(files) and (files == files[0]).all():
            return self._read(int(files[0]), places)
        vectors = np.empty((len(places), self.shape[1]), np.float32)
        for number in np.unique(files).tolist():
            inside = files == number
            vectors[inside] = self._read(number, places[inside])
        return vectors

    def places(self) -> bytes:
        """Return what stands for where all the vectors are."""
        return self._files.tobytes() + self._rows.tobytes()

    def fingerprint(self) -> str:
        """Return 16 hex digits that stand for all the numbers, wherever they are."""
        digest = hashlib.sha256()
        for start in range(0, self.shape[0], BLOCK_ROWS):
            digest.update(self[start : start + BLOCK_ROWS].tobytes())
        return digest.hexdigest()[:16]

    def _read(self, number: int, places: NDArray[np.int32]) -> Vectors:
        """Return a copy of rows of one file; neighbours there are read in one go."""
        mapped = self._maps[number]
        is_run = len(places) > 0 and bool((np.diff(places) == 1).all())
        vectors: Vectors = np.array(mapped[places[0] : places[-1] + 1] if is_run else mapped[places])
        _forget_pages(mapped)
        check_finite(vectors, self._paths[number])
        return vectors


class UnitVectors:
    """A table's vectors scaled to unit length, so that inner products are cosines; a vector of zeros stays zeros."""

    def __init__(self, table: VectorTable) -> None:
        self._table = table

    @property
    def shape(self) -> tuple[int, ...]:
        """N and D."""
        return self._table.shape

    def __getitem__(self, rows: slice | RowNumbers, /) -> Vectors:
        return to_unit_length(self._table[rows])


def to_unit_length(vectors: Vectors) -> Vectors:
    """Return vectors of length 1 in the same directions, ``(N, D)`` float32; zeros stay zeros.

    Example:
        >>> to_unit_length(np.array([[3, 4], [0, 0]], dtype=np.float32)).tolist()
        [[0.6000000238418579, 0.800000011920929], [0.0, 0.0]]
    """
    squares = np.einsum("nd,nd->n", vectors, vectors)
    odd = np.flatnonzero(~((squares > 1e-20) & (squares < 1e20)))  # too near the ends of float32: in float64 instead
    scaled: Vectors = vectors / np.sqrt(np.where(squares > 0, squares, 1)).astype(np.float32)[:, None]
    if len(odd):
        wide = vectors[odd].astype(np.float64)
        lengths = np.linalg.norm(wide, axis=1, keepdims=True)
        scaled[odd] = wide / np.where(lengths > 0, lengths, 1)
    return scaled


def check_finite(vectors: Vectors, path: Path) -> None:
    """Refuse vectors of a file that are not what was written.

    Raises:
        DataError: If a number is infinite or none.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        is_sure = np.isfinite(np.dot(vectors.ravel(), vectors.ravel()))  # far cheaper than to look at each
    if not is_sure and not np.isfinite(vectors).all():
        raise DataError(
            f"the vectors in {path} hold numbers that are infinite or no numbers: delete their run with mekiki forget "
            f"{path.parent.name}"
        )


def _forget_pages(mapped: Vectors) -> None:
    """Have pages of a mapped file leave this process's memory; the system keeps them for whoever reads them next."""
    pages = getattr(mapped, "_mmap", None)
    if isinstance(pages, mmap.mmap) and hasattr(mmap, "MADV_DONTNEED"):
        pages.madvise(mmap.MADV_DONTNEED)
