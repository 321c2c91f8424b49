"""The vectors in the files that a user and label files name, beside what the catalog knows of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from mekiki.catalog.db import Catalog
from mekiki.catalog.found import NAMED
from mekiki.catalog.importing import Entry
from mekiki.catalog.sources import known_sources
from mekiki.catalog.vector_rows import VectorRow, has_rows, known_rows, owners_of, rows_called, spellings
from mekiki.dataset.formats.base import Record
from mekiki.dataset.formats.npy import VectorFile, is_vector_name, open_vector_file, row_path, split_row
from mekiki.dataset.formats.vectors_index import find_index, read_index
from mekiki.dataset.ids import content_id
from mekiki.errors import UnreadableError, UsageError, shown_path
from mekiki.records import VECTOR_SUFFIXES

PAGE_VECTORS = 1000


@dataclass(frozen=True, slots=True)
class FoundVector:
    """A vector that may become an item, or that of a photo.

    Attributes:
        item_id: Stands for its path in ``done`` and ``failures``.
        path: ``one.npy``, or ``matrix.npy#12``.
        file: Where its numbers are; None for a file that cannot be used.
        row: Of the matrix; 0 in a file with one vector.
        size_bytes, mtime_ns: Of the file.
        known_id: The item that it is or belongs to, if all is as it was when it was read.
        name: What an index calls it.
        was_named: Whether an index called it something when it was read before.
        has_namesakes: Whether another row of the matrix is called the same.
        owner_id: The photo whose vector it is; None makes it an item of its own.
        problem: Why the file cannot be used.
    """

    item_id: str
    path: Path
    file: VectorFile | None = None
    row: int = 0
    size_bytes: int = 0
    mtime_ns: int = 0
    known_id: str | None = None
    name: str | None = None
    was_named: bool = False
    has_namesakes: bool = False
    owner_id: str | None = None
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class _Opened:
    """A file of vectors as it was found."""

    path: str
    file: VectorFile | None = None
    size_bytes: int = 0
    mtime_ns: int = 0
    names: Mapping[int, str] = field(default_factory=dict)
    index: Path | None = None
    problem: str | None = None

    @property
    def n_rows(self) -> int:
        return self.file.n_rows if self.file else 1

    @property
    def is_single(self) -> bool:
        return self.file is None or self.file.is_single


class FoundVectors:
    """Every vector in some files, in the order of the files and of their rows, looked up a page at a time.

    Headers and indexes are read when it is made; the photos that an index may name are looked for when it is iterated,
    so that photos of the same call are there by then.

    Args:
        catalog: The workspace.
        files: Absolute path to the folder that it was found under.
        is_rehash: Whether to read what is known again.
        index: The index that the user named.

    Raises:
        UsageError: If an index is named and there is not exactly one matrix.
        UnreadableError: If the index that the user named cannot be used.
    """

    def __init__(
        self, catalog: Catalog, files: Mapping[str, str], *, is_rehash: bool = False, index: Path | None = None
    ) -> None:
        self._catalog = catalog
        self._is_rehash = is_rehash
        self._opened = [_open(Path(path), folder, index) for path, folder in files.items()]
        self._by_path = {one.path: one for one in self._opened}
        matrices = [one for one in self._opened if not one.is_single]
        if index is not None and len(matrices) != 1:
            raise UsageError(f"--index {index} is of one matrix of vectors, and {len(matrices)} are given: give one")
        self._only_matrix = matrices[0] if len(matrices) == 1 else None
        self._rows_of: dict[str, list[str]] = {}
        for one in matrices:
            for row, name in one.names.items():
                self._rows_of.setdefault(name, []).append(row_path(one.path, row))
        self._has_rows = has_rows(catalog)

    def __len__(self) -> int:
        return sum(one.n_rows for one in self._opened)

    def __iter__(self) -> Iterator[FoundVector]:
        for one in self._opened:
            owners = owners_of(self._catalog, set(one.names.values())) if one.names else {}
            uses = Counter(one.names.values())
            rows = iter(range(one.n_rows))
            while page := list(islice(rows, PAGE_VECTORS)):
                yield from self._page(one, page, owners, uses)

    def find_rows(self, record: Record) -> list[str]:
        """Return the absolute paths of the rows that an entry of a label file means: by name, or by bare number.

        A number counts where exactly one matrix is given. Several rows may have one name.
        """
        matrix, written = self._only_matrix, record.path
        for name in spellings(written):
            if found := self._rows_of.get(name):
                return found
        if self._has_rows and (stored := rows_called(self._catalog, written)):
            return [str(self._catalog.locate(path)) for path in stored]
        if matrix is not None and written.isascii() and written.isdecimal() and int(written[:18]) < matrix.n_rows:
            return [row_path(matrix.path, int(written[:18]))]
        return []

    def has(self, path: str) -> bool:
        """Return whether a path is that of a vector here, or of a file whose failure says what is wrong with it."""
        file, row = split_row(path)
        one = self._by_path.get(str(file))
        if one is None or one.problem is not None:
            return one is not None
        return one.is_single if row is None else not one.is_single and row < one.n_rows

    def sizes(self) -> dict[str, int]:
        """Return path to number of rows, of the files that can be used; 0 for one with a single vector."""
        return {one.path: 0 if one.file.is_single else one.file.n_rows for one in self._opened if one.file}

    @property
    def is_named(self) -> bool:
        """Whether label files may speak of rows by name or number."""
        return self._has_rows or self._only_matrix is not None or bool(self._rows_of)

    def notes(self) -> list[str]:
        """Return a line for each matrix: how many rows it has, and where their names are from."""
        return [
            f"{Path(one.path).name}: {one.n_rows} vectors, "
            + (f"named by {one.index.name}" if one.index else "named by their numbers: no index lies beside it")
            for one in self._opened
            if not one.is_single
        ]

    def _page(
        self, one: _Opened, rows: Sequence[int], owners: Mapping[str, str], uses: Mapping[str, int]
    ) -> Iterator[FoundVector]:
        paths = [one.path if one.is_single else row_path(one.path, row) for row in rows]
        stored = [self._catalog.relative(path) for path in paths]
        sources = known_sources(self._catalog, stored) if one.file else {}
        indexed = known_rows(self._catalog, stored) if one.file else {}
        for row, path, place in zip(rows, paths, stored, strict=True):
            name = one.names.get(row)
            owner_id = owners.get(name) if name else None
            known = _known(sources.get(place), indexed.get(place), name, owner_id)
            is_same = known is not None and known[1:] == (one.size_bytes, one.mtime_ns) and not self._is_rehash
            yield FoundVector(
                content_id(f"path:{shown_path(path)}".encode()),
                Path(path),
                one.file,
                row,
                one.size_bytes,
                one.mtime_ns,
                known_id=known[0] if known and is_same else None,
                name=name,
                was_named=place in indexed,
                has_namesakes=name is not None and uses[name] > 1,
                owner_id=owner_id,
                problem=one.problem,
            )


def _known(
    source: tuple[str, int, int] | None, row: VectorRow | None, name: str | None, owner_id: str | None
) -> tuple[str, int, int] | None:
    """Return item, size and time as they are known, if the name and whose vector it is are as they were."""
    if name is None:
        return source if row is None else None
    if row is None or row.name != name or (owner_id is not None and row.item_id != owner_id):
        return None
    is_owned = row.item_id != row.vector_id
    return None if is_owned and owner_id is None else (row.item_id, row.size_bytes, row.mtime_ns)


def _open(path: Path, folder: str, index: Path | None) -> _Opened:
    """Return a file with what its header and its index say, or with what is wrong with it."""
    if shown_path(path) != str(path):
        return _Opened(shown_path(path), problem="its name is no UTF-8 text: rename it")
    try:
        status = path.stat()
        file = open_vector_file(path)
    except FileNotFoundError:
        cure = "; if the paths in the label file start elsewhere: --root FOLDER" if folder == NAMED else ""
        return _Opened(str(path), problem=f"no such file{cure}")
    except OSError as error:
        return _Opened(str(path), problem=error.strerror or str(error))
    except UnreadableError as error:
        return _Opened(str(path), problem=error.reason)
    names: dict[int, str] = {}
    table = None if file.is_single else index or find_index(path)
    if table is not None:
        try:
            names = read_index(table, file.n_rows)
        except UnreadableError as error:
            if index is not None:
                raise
            return _Opened(str(path), problem=f"its index {table.name} does not fit: {error.reason}")
    return _Opened(str(path), file, status.st_size, status.st_mtime_ns, names, table)


def vector_files(found: Mapping[str, str], said: Sequence[Entry]) -> dict[str, str]:
    """Return the files of vectors among those that were found, and those that label files name."""
    endings = tuple(VECTOR_SUFFIXES)
    of_vectors = {path: folder for path, folder in found.items() if path.lower().endswith(endings)}
    for entry in said:
        if any(ending in entry.path.lower() for ending in endings):
            file = split_row(entry.path)[0]
            if is_vector_name(file.name) and file.exists():
                of_vectors.setdefault(str(file), NAMED)
    return of_vectors


def with_rows(said: Sequence[Entry], vectors: FoundVectors) -> Iterator[tuple[Entry, bool]]:
    """Yield entries, with the row's path where they mean a row, and whether each is of a vector that is there."""
    for entry in said:
        file = split_row(entry.path)[0]
        rows = vectors.find_rows(entry.record) if vectors.is_named and not file.exists() else []
        yield from ((Entry(row, *entry[1:]), True) for row in rows)
        if not rows:
            yield entry, vectors.has(entry.path)
