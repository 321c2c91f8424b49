"""The catalog: one SQLite file, one writer at a time, any number of readers."""

from __future__ import annotations

import os
import socket
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from mekiki.catalog.filesystem import is_network_folder
from mekiki.catalog.writers import ENGINE_TABLES, WRITERS
from mekiki.errors import DataError, UsageError

SCHEMA_VERSION = 4
MIGRATIONS: Mapping[int, str] = {
    2: "CREATE UNIQUE INDEX vectors_by_place ON vectors (run_id, segment, row);",
    # Some of version 2 have the table already: it came before the number was raised.
    3: """CREATE TABLE IF NOT EXISTS vector_rows (
    path TEXT PRIMARY KEY, item_id TEXT NOT NULL, name TEXT NOT NULL, vector_id TEXT NOT NULL,
    n_dims INTEGER NOT NULL, size_bytes INTEGER NOT NULL, mtime_ns INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS vector_rows_by_item ON vector_rows (item_id);
CREATE INDEX IF NOT EXISTS vector_rows_by_name ON vector_rows (name);
""",
    4: """ALTER TABLE boxes ADD COLUMN crop_id TEXT;
CREATE INDEX boxes_by_crop ON boxes (crop_id) WHERE crop_id IS NOT NULL;
""",
}
"""Version to the SQL that brings a file from the version before to it."""

DATABASE_NAME = "mekiki.db"
PAGE_ROWS = 1000
ONE_OF = "(SELECT value FROM json_each(?))"
"""What follows ``item_id IN``; its parameter is a JSON list of any length."""


def has_catalog(workspace: Path) -> bool:
    """Return whether a workspace has been begun; also for a file in its place, of which `Catalog` will complain."""
    folder = workspace.expanduser()
    return folder.is_file() or (folder / DATABASE_NAME).exists()


class Transaction:
    """What one run of a stage may write, all at once or not at all. Made by `Catalog.transaction`."""

    def __init__(self, catalog: Catalog, writer: str, run_id: str) -> None:
        self._connection = catalog._connection
        self.catalog = catalog
        self.writer = writer
        self.run_id = run_id

    def upsert(self, table: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> int:
        """Write rows; one with the same key replaces the old one. Returns how many were given."""
        self._check(table)
        marks = ", ".join("?" * len(columns))
        sql = f"INSERT OR REPLACE INTO {table} ({', '.join(columns)}) VALUES ({marks})"
        return self._many(sql, rows)

    def insert_new(self, table: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> int:
        """Write rows whose key is not there yet and leave the others alone. Returns how many were new."""
        self._check(table)
        marks = ", ".join("?" * len(columns))
        sql = f"INSERT OR IGNORE INTO {table} ({', '.join(columns)}) VALUES ({marks})"
        before = self._connection.total_changes
        self._many(sql, rows)
        return self._connection.total_changes - before

    def delete(self, table: str, where: str, parameters: Sequence[Any]) -> int:
        """Delete rows and return how many; for the engine's own tables, and for ``forget``."""
        if self.writer != "forget":
            self._check(table)
        return self._connection.execute(f"DELETE FROM {table} WHERE {where}", parameters).rowcount

    def _many(self, sql: str, rows: Iterable[Sequence[Any]]) -> int:
        n_rows = 0

        def counted() -> Iterator[Sequence[Any]]:
            nonlocal n_rows
            for row in rows:
                n_rows += 1
                yield row

        self._connection.executemany(sql, counted())
        return n_rows

    def _check(self, table: str) -> None:
        if table not in ENGINE_TABLES and self.writer not in WRITERS[table]:
            raise PermissionError(f"{self.writer!r} may not write {table!r}; see mekiki/catalog/writers.py")


class Catalog:
    """An open workspace. Use as a context manager, or call `close`.

    Args:
        workspace: The folder; made if ``create`` is on.
        create: Whether a workspace that does not exist is made.
        announce: Called with a line of text when the user should know something, such as waiting for a lock.

    Raises:
        UsageError: If there is no workspace and ``create`` is off, or the path is a file.
        DataError: If the catalog was written by a newer mekiki, or is no catalog.
    """

    def __init__(
        self, workspace: Path | str, *, create: bool = True, announce: Callable[[str], None] | None = None
    ) -> None:
        if not str(workspace):
            raise UsageError("the name of the workspace is empty: give a folder with -w FOLDER")
        self.workspace = Path(os.path.normpath(Path(workspace).expanduser().absolute()))
        self.announce = announce or (lambda _line: None)
        path = self.workspace / DATABASE_NAME
        if self.workspace.exists() and not self.workspace.is_dir():
            raise UsageError(f"workspace {self.workspace} is a file: give a folder with -w FOLDER")
        if not path.exists() and not create:
            raise UsageError(f"there is no workspace in {self.workspace}: start with mekiki ingest PATH -w FOLDER")
        try:
            self.workspace.mkdir(parents=True, exist_ok=True)
            self.is_read_only = path.exists() and not _may_write(self.workspace)
            address = f"{path.as_uri()}?immutable=1" if self.is_read_only and not _is_begun(path) else path.as_uri()
            self._connection = sqlite3.connect(
                address, timeout=60, isolation_level=None, check_same_thread=False, uri=True
            )
        except (OSError, sqlite3.OperationalError) as error:
            raise UsageError(f"cannot open {path}: {error}. Give a folder you may write to with -w FOLDER") from error
        self._lock = FileLock(self.workspace / "mekiki.lock")
        try:
            self._prepare(path)
        except sqlite3.OperationalError as error:
            self._connection.close()
            raise UsageError(f"cannot open {path}: {error}. Give a folder you may write to with -w FOLDER") from error
        except sqlite3.DatabaseError as error:
            self._connection.close()
            raise DataError(f"{path} is no mekiki catalog ({error}): give another workspace with -w FOLDER") from error
        except BaseException:  # raised again: the file is closed whatever it was
            self._connection.close()
            raise

    def __enter__(self) -> Catalog:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def rows(self, sql: str, parameters: Sequence[Any] = ()) -> Iterator[tuple[Any, ...]]:
        """Run a reading statement; for the files of this folder only."""
        yield from self._connection.execute(sql, parameters)

    def value(self, sql: str, parameters: Sequence[Any] = ()) -> Any:
        """Return the first column of the first row, or None without a row."""
        row = self._connection.execute(sql, parameters).fetchone()
        return None if row is None else row[0]

    @contextmanager
    def transaction(self, writer: str, run_id: str = "") -> Iterator[Transaction]:
        """Write all of what follows, or nothing if it raises.

        Args:
            writer: The stage; it decides which tables may be written.
            run_id: The run whose rows these are.
        """
        with self.writing(writer):
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield Transaction(self, writer, run_id)
            except BaseException:  # raised again: Ctrl-C too must leave nothing half written
                self._connection.execute("ROLLBACK")
                raise
            self._connection.execute("COMMIT")

    @contextmanager
    def writing(self, writer: str) -> Iterator[None]:
        """Be the only writer; a second process waits here and says for whom. Can be nested.

        Raises:
            UsageError: If the workspace may only be read.
        """
        if self.is_read_only:
            raise UsageError(f"{self.workspace} may only be read: give a folder you may write to with -w FOLDER")
        holder = self.workspace / "mekiki.writer"
        is_outermost = not self._lock.is_locked
        try:
            self._lock.acquire(timeout=0)
        except Timeout:
            self.announce(f"waiting for {_read_holder(holder)} to finish with {self.workspace}")
            self._lock.acquire()
        try:
            if is_outermost:
                holder.write_text(f"mekiki {writer}, process {os.getpid()} on {socket.gethostname()}")
            yield
        finally:
            if is_outermost:
                holder.unlink(missing_ok=True)
            self._lock.release()

    def relative(self, path: Path | str) -> str:
        """Return an absolute path as it is stored: relative to the workspace if it lies inside, else absolute."""
        text, inside = str(path), f"{self.workspace}{os.sep}"
        return Path(text.removeprefix(inside)).as_posix() if text.startswith(inside) else text

    def locate(self, stored: str) -> Path:
        """Return the real path of a stored one."""
        return self.workspace / stored

    def _prepare(self, path: Path) -> None:
        """Set the journal, and make or migrate the tables."""
        version = self.value("PRAGMA user_version")
        if version > SCHEMA_VERSION:
            raise DataError(
                f"{path} was written by a newer mekiki (catalog version {version}, this one knows {SCHEMA_VERSION}): "
                "pip install --upgrade mekiki"
            )
        if self.is_read_only and version == SCHEMA_VERSION:
            return
        if is_network_folder(self.workspace):
            self.announce(f"{self.workspace} is on a network disk: slower, and readers wait while mekiki writes")
            self._connection.execute("PRAGMA journal_mode = DELETE")
        else:
            self._connection.execute("PRAGMA journal_mode = WAL")
        self._connection.execute("PRAGMA synchronous = NORMAL")
        if version < SCHEMA_VERSION:
            with self.writing("migrate"):
                migrate(self._connection)


def migrate(
    connection: sqlite3.Connection,
    target: int = SCHEMA_VERSION,
    migrations: Mapping[int, str] = MIGRATIONS,
    schema: str | None = None,
) -> None:
    """Bring a catalog to a version in one transaction; a new file gets the whole schema.

    Args:
        connection: An open file.
        target: The version to reach.
        migrations: Version to the SQL that leads to it from the version before.
        schema: SQL of the whole schema at ``target``; None reads ``schema.sql``.
    """
    connection.execute("BEGIN IMMEDIATE")
    try:
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        if version == 0:
            steps = [schema or files("mekiki.catalog").joinpath("schema.sql").read_text(encoding="utf-8")]
        else:
            steps = [migrations[step] for step in range(version + 1, target + 1)]
        for statement in (part for step in steps for part in _statements(step)):
            connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {target}")
    except BaseException:  # raised again: a file is of one version or the other
        connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")


def _statements(script: str) -> Iterator[str]:
    """Split a script into statements, so that all of them can share one transaction."""
    waiting = ""
    for line in script.splitlines(keepends=True):
        waiting += line
        if sqlite3.complete_statement(waiting):
            yield waiting
            waiting = ""


def _may_write(folder: Path) -> bool:
    """Return whether this process may make files in a folder."""
    return os.access(folder, os.W_OK, effective_ids=os.access in os.supports_effective_ids)


def _is_begun(path: Path) -> bool:
    """Return whether rows of a catalog still lie beside it, in the write-ahead log."""
    log = path.with_name(f"{path.name}-wal")
    return log.exists() and log.stat().st_size > 0


def _read_holder(holder: Path) -> str:
    try:
        return holder.read_text()
    except OSError:
        return "another mekiki"
