"""The catalog: made, migrated, refused, locked; transactions are all or nothing."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from mekiki.catalog.db import DATABASE_NAME, SCHEMA_VERSION, Catalog, migrate
from mekiki.catalog.filesystem import is_network_folder
from mekiki.catalog.vector_rows import has_rows
from mekiki.catalog.writers import ENGINE_TABLES, WRITERS
from mekiki.errors import DataError, UsageError


def test_a_new_workspace_gets_all_tables(tmp_path: Path) -> None:
    with Catalog(tmp_path / "ws") as catalog:
        tables = {row[0] for row in catalog.rows("SELECT name FROM sqlite_master WHERE type = 'table'")}

    assert tables - {"sqlite_sequence"} == set(WRITERS) | ENGINE_TABLES


def test_an_older_catalog_is_migrated_and_keeps_its_rows() -> None:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    migrate(connection, target=1, schema="CREATE TABLE items (item_id TEXT);\nINSERT INTO items VALUES ('a');\n")

    migrate(
        connection, target=3, migrations={2: "ALTER TABLE items ADD COLUMN kind TEXT;", 3: "CREATE TABLE more (x);"}
    )

    assert connection.execute("SELECT * FROM items").fetchall() == [("a", None)]
    assert connection.execute("PRAGMA user_version").fetchone() == (3,)


@pytest.mark.parametrize("lost", ["DROP TABLE vector_rows", "SELECT 1"], ids=["without the table", "with it"])
def test_both_kinds_of_version_2_are_migrated(tmp_path: Path, lost: str) -> None:
    """For a while version 2 had no table of vectors' rows."""
    Catalog(tmp_path).close()
    with sqlite3.connect(tmp_path / DATABASE_NAME) as connection:
        connection.execute(lost)
        connection.execute("DROP INDEX boxes_by_crop")
        connection.execute("ALTER TABLE boxes DROP COLUMN crop_id")
        connection.execute("PRAGMA user_version = 2")
    connection.close()

    with Catalog(tmp_path) as catalog:
        assert not has_rows(catalog)
        names = {row[0] for row in catalog.rows("SELECT name FROM sqlite_master WHERE tbl_name = 'vector_rows'")}
        assert {"vector_rows_by_item", "vector_rows_by_name"} <= names
        assert catalog.value("PRAGMA user_version") == SCHEMA_VERSION


def test_a_migration_that_breaks_half_way_leaves_the_file_as_it_was() -> None:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    migrate(connection, target=1, schema="CREATE TABLE items (item_id TEXT);")

    with pytest.raises(sqlite3.OperationalError):
        migrate(connection, target=2, migrations={2: "CREATE TABLE more (x);\nCREATE TABLE items (x);"})

    assert connection.execute("SELECT count(*) FROM sqlite_master WHERE name = 'more'").fetchone() == (0,)
    assert connection.execute("PRAGMA user_version").fetchone() == (1,)


def test_a_newer_catalog_is_refused_with_what_to_do(tmp_path: Path) -> None:
    Catalog(tmp_path).close()
    connection = sqlite3.connect(tmp_path / DATABASE_NAME)
    connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
    connection.close()

    with pytest.raises(DataError, match=r"newer mekiki.*pip install --upgrade mekiki"):
        Catalog(tmp_path)


def test_a_file_that_is_no_catalog_is_refused(tmp_path: Path) -> None:
    (tmp_path / DATABASE_NAME).write_text("certainly not a database, but long enough to be read as one" * 50)

    with pytest.raises(DataError, match="is no mekiki catalog"):
        Catalog(tmp_path)


def test_a_workspace_that_does_not_exist_says_how_to_start(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="start with mekiki ingest PATH"):
        Catalog(tmp_path / "nothing", create=False)

    assert not (tmp_path / "nothing").exists()


def test_a_workspace_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "ws").write_text("")

    with pytest.raises(UsageError, match="is a file"):
        Catalog(tmp_path / "ws")


def test_a_transaction_that_fails_writes_nothing(tmp_path: Path) -> None:
    catalog = Catalog(tmp_path)

    def fail() -> None:
        with catalog.transaction("ingest") as transaction:
            transaction.upsert("sources", ("path", "item_id", "size_bytes", "mtime_ns"), [("a", "b", 1, 2)])
            raise RuntimeError("half-way")

    with pytest.raises(RuntimeError, match="half-way"):
        fail()

    assert catalog.value("SELECT count(*) FROM sources") == 0


def test_a_stage_cannot_write_a_table_that_is_not_its_own(tmp_path: Path) -> None:
    catalog = Catalog(tmp_path)

    with pytest.raises(PermissionError, match="'split' may not write 'items'"), catalog.transaction("split") as one:
        one.upsert("items", ("item_id",), [("a",)])


def test_the_writer_table_stands_in_the_architecture_page() -> None:
    page = (Path(__file__).parents[2] / "ARCHITECTURE.md").read_text()

    for table, writers in WRITERS.items():
        row = next(line for line in page.splitlines() if line.startswith(f"| `{table}` |"))
        assert {word.strip(" `") for word in row.split("|")[-2].split(",")} == set(writers)


HOLDER = """
import sys
from mekiki.catalog.db import Catalog
with Catalog(sys.argv[1]) as catalog, catalog.writing("ingest"):
    print("held", flush=True)
    sys.stdin.readline()
"""


def test_a_second_writer_waits_and_says_for_whom(tmp_path: Path) -> None:
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    holder = subprocess.Popen([sys.executable, "-c", HOLDER, str(tmp_path)], **pipes)
    assert holder.stdout.readline() == "held\n"
    lines: list[str] = []

    def hear(line: str) -> None:
        lines.append(line)
        holder.communicate("\n")

    with Catalog(tmp_path, announce=hear) as catalog, catalog.transaction("ingest"):
        pass

    assert f"waiting for mekiki ingest, process {holder.pid}" in lines[0]


def test_readers_read_while_a_writer_writes(tmp_path: Path) -> None:
    with Catalog(tmp_path) as writer, Catalog(tmp_path) as reader, writer.transaction("ingest") as transaction:
        transaction.upsert("sources", ("path", "item_id", "size_bytes", "mtime_ns"), [("a", "b", 1, 2)])

        assert reader.value("SELECT count(*) FROM sources") == 0


@pytest.mark.parametrize(
    ("mounts", "expected"),
    [
        pytest.param("", False, id="nothing known"),
        pytest.param("/dev/sda / ext4 rw 0 0\nserver:/x /home nfs4 rw 0 0", True, id="network"),
        pytest.param("server:/x / nfs rw 0 0\n/dev/sda /home ext4 rw 0 0", False, id="local disk on a network root"),
        pytest.param("gcs /home fuse.gcsfuse rw 0 0", True, id="FUSE"),
        pytest.param("server:/x /home\\040me nfs rw 0 0", False, id="another folder"),
    ],
)
def test_network_disks_are_recognised(mounts: str, expected: bool) -> None:
    assert is_network_folder(Path("/home/me/ws"), mounts) is expected
