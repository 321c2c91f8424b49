"""Vectors in ``.npy`` files: one, ``(D,)`` or ``(1, D)``, or a matrix ``(N, D)``; read as float32, part by part.

A file's header is a claim: nothing is allocated before the size of the file has borne it out.
"""

from __future__ import annotations

import io
import re
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from stat import S_ISREG

import numpy as np
from numpy.typing import NDArray

from mekiki.errors import UnreadableError
from mekiki.records import VECTOR_SUFFIXES

MAGIC = b"\x93NUMPY"

Vectors = NDArray[np.float32]
"""``(N, D)``."""

_HEADER_BYTES = 16_384
"""How much of a file is looked at for its header; NumPy itself refuses more than 10,000 characters."""

_FLOAT_BYTES = (2, 4, 8)
_ROW = re.compile(r"(?P<file>.*\.npy)#(?P<row>\d{1,18})", re.IGNORECASE | re.DOTALL)


@dataclass(frozen=True, slots=True)
class VectorFile:
    """A file whose header has been checked; its numbers are read when they are asked for.

    Attributes:
        path: The file.
        n_rows: N; 1 for a single vector.
        n_dims: D.
        dtype: As it is stored: float16, float32 or float64 of either byte order.
        is_single: It holds one vector, ``(D,)`` or ``(1, D)``.
        is_fortran: Columns lie one behind another, in place of rows.
        offset: Of the first number, in bytes.
    """

    path: Path
    n_rows: int
    n_dims: int
    dtype: np.dtype[np.floating]
    is_single: bool
    is_fortran: bool
    offset: int

    def read(self, start: int = 0, stop: int | None = None) -> Vectors:
        """Return rows ``start`` to ``stop`` (default: the end) as a new ``(n, D)`` float32 array.

        What float32 cannot hold becomes infinite, and -0.0 becomes 0.0: see `vector_faults`.

        Raises:
            UnreadableError: If the file has become shorter, or cannot be read any more.
        """
        stop = self.n_rows if stop is None else min(stop, self.n_rows)
        n_wanted = max(0, stop - start)
        try:
            with self.path.open("rb") as file:
                if self.is_fortran:
                    columns = [
                        self._numbers(file, column * self.n_rows + start, n_wanted) for column in range(self.n_dims)
                    ]
                    found = np.stack(columns, axis=1)
                else:
                    found = self._numbers(file, start * self.n_dims, n_wanted * self.n_dims).reshape(-1, self.n_dims)
        except OSError as error:
            raise UnreadableError(self.path, error.strerror or str(error)) from error
        with np.errstate(over="ignore", invalid="ignore"):
            rows: Vectors = found.astype(np.float32) + np.float32(0)
        return rows

    def blocks(self, size: int = 8192) -> Iterator[tuple[int, Vectors]]:
        """Yield the first row's number and ``(n, D)`` vectors, at most ``size`` at a time."""
        for start in range(0, self.n_rows, size):
            yield start, self.read(start, start + size)

    def _numbers(self, file: io.BufferedReader, first: int, count: int) -> NDArray[np.floating]:
        file.seek(self.offset + first * self.dtype.itemsize)
        content = file.read(count * self.dtype.itemsize)
        if len(content) != count * self.dtype.itemsize:
            raise UnreadableError(self.path, "it has become shorter while it was read")
        return np.frombuffer(content, self.dtype)


def is_vector_name(name: str) -> bool:
    """Return whether a file name is that of vectors, going by its ending; hidden files are not.

    Example:
        >>> is_vector_name("a.NPY"), is_vector_name("._a.npy"), is_vector_name("a.npz")
        (True, False, False)
    """
    return not name.startswith(".") and Path(name).suffix.lower() in VECTOR_SUFFIXES


def row_path(path: Path | str, row: int) -> str:
    """Return how a row of a matrix is written down: ``matrix.npy#12``; rows count from 0."""
    return f"{path}#{row}"


def split_row(path: Path | str) -> tuple[Path, int | None]:
    """Return the file that a path means, and the row if it is that of a row of a matrix.

    Example:
        >>> split_row("a/matrix.npy#12")[1], split_row("a/cat#12.jpg")[1]
        (12, None)
    """
    text = str(path)
    found = _ROW.fullmatch(text) if "#" in text else None
    return (Path(found["file"]), int(found["row"])) if found else (Path(path), None)


def open_vector_file(path: Path) -> VectorFile:
    """Return what the header of a ``.npy`` file says, checked against the size of the file.

    Raises:
        UnreadableError: If it is no ``.npy`` file, is broken, or holds anything but one vector or a matrix of floats.
    """
    try:
        if not S_ISREG(path.stat().st_mode):
            raise UnreadableError(path, "it is no file")
        with path.open("rb") as file:
            head = file.read(_HEADER_BYTES)
            n_bytes = file.seek(0, io.SEEK_END)
    except OSError as error:
        raise UnreadableError(path, error.strerror or str(error)) from error
    if not head.startswith(MAGIC):
        raise UnreadableError(path, "empty file (0 bytes)" if not head else "no .npy file: it does not begin as one")
    shape, is_fortran, dtype, offset = _read_header(path, head)
    _check_dtype(path, dtype)
    if len(shape) not in (1, 2):
        raise UnreadableError(path, f"an array of shape {shape}: a vector (D,) or a matrix of vectors (N, D) is read")
    if 0 in shape:
        raise UnreadableError(path, f"an array of shape {shape}, which holds no vector")
    n_rows, n_dims = (1, *shape)[-2:]
    wanted = offset + n_rows * n_dims * dtype.itemsize
    if n_bytes < wanted:
        raise UnreadableError(
            path, f"broken: by its header {shape} {dtype} it has {wanted} bytes, and there are {n_bytes}"
        )
    if n_bytes > wanted:
        raise UnreadableError(
            path, f"{n_bytes - wanted} bytes lie behind its array {shape} {dtype}: save one array a file"
        )
    is_columnwise = is_fortran and len(shape) == 2
    return VectorFile(path, n_rows, n_dims, dtype, n_rows == 1, is_columnwise, offset)


def read_vector(path: Path, row: int | None = None) -> NDArray[np.float32]:
    """Return ``(D,)`` float32: the vector of a file that holds one, or a row of a matrix.

    Raises:
        UnreadableError: As `open_vector_file`; if it holds many and no row is said, or has no such row, or the vector
            is unusable (see `vector_faults`).
    """
    file = open_vector_file(path)
    if row is None and not file.is_single:
        raise UnreadableError(
            path, f"a matrix of {file.n_rows} vectors, and one was expected: name a row, {path.name}#0"
        )
    if row is not None and row >= file.n_rows:
        raise UnreadableError(row_path(path, row), f"there are rows 0 to {file.n_rows - 1} only")
    vectors = file.read(row or 0, (row or 0) + 1)
    for reason in vector_faults(vectors).values():
        raise UnreadableError(path if row is None else row_path(path, row), reason)
    vector: NDArray[np.float32] = vectors[0]
    return vector


def vector_faults(vectors: Vectors) -> dict[int, str]:
    """Return each row that is no usable vector with what is wrong with it: not finite in float32, or all zeros.

    Example:
        >>> vector_faults(np.array([[1, 2], [0, 0]], np.float32))
        {1: 'all its numbers are 0, so it points nowhere'}
    """
    is_finite = np.isfinite(vectors).all(axis=1)
    is_zero = ~vectors.any(axis=1)
    found = {int(row): "it holds numbers that are infinite or no numbers" for row in np.flatnonzero(~is_finite)}
    return found | {int(row): "all its numbers are 0, so it points nowhere" for row in np.flatnonzero(is_zero)}


def _read_header(path: Path, head: bytes) -> tuple[tuple[int, ...], bool, np.dtype[np.floating], int]:
    """Return shape, order, type and where the numbers begin."""
    stream = io.BytesIO(head)
    readers = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    try:
        version = np.lib.format.read_magic(stream)
        if version not in readers:
            raise UnreadableError(path, f"a .npy file of version {version[0]}.{version[1]}, and 1.0 and 2.0 are read")
        shape, is_fortran, dtype = readers[version](stream)
    # The header is text that is parsed as Python literals, so hostile ones fail in many ways.
    except (
        ValueError,
        TypeError,
        SyntaxError,
        MemoryError,
        RecursionError,
        OverflowError,
        tokenize.TokenError,
    ) as error:
        raise UnreadableError(path, f"broken: its .npy header cannot be read ({type(error).__name__})") from error
    if any(isinstance(side, bool) or side < 0 for side in shape):
        raise UnreadableError(path, f"broken: its header says shape {shape}")
    return shape, is_fortran, dtype, stream.tell()


def _check_dtype(path: Path, dtype: np.dtype[np.floating]) -> None:
    if dtype.hasobject:
        raise UnreadableError(path, "it holds pickled Python objects, which are never read: save it as float32")
    if dtype.names is not None or dtype.subdtype is not None:
        raise UnreadableError(path, "it holds records and not plain numbers: save the vectors alone, as float32")
    if dtype.kind != "f" or dtype.itemsize not in _FLOAT_BYTES:
        raise UnreadableError(
            path, f"it holds {dtype}, and vectors are float16, float32 or float64: save it as float32"
        )
