"""Segments of vectors that were lost, damaged or changed by hand: one line that says which run to forget."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from mekiki.catalog.db import Catalog
from mekiki.catalog.forget import forget_item
from mekiki.catalog.near_vectors import read_vector_table
from mekiki.catalog.vectors import StoredVectors, _put, require_vectors, write_vectors
from mekiki.errors import DataError
from vectors import store_vectors


def drawn(n_vectors: int) -> dict[str, NDArray[np.float32]]:
    matrix = np.random.default_rng(0).normal(size=(n_vectors, 5)).astype(np.float32)
    return {f"{number:032x}": row for number, row in enumerate(matrix)}


def of_ten_rows(path: Path) -> None:
    np.save(path, np.load(path)[:10])


def as_a_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def with_nan(path: Path) -> None:
    matrix = np.load(path)
    matrix[3] = np.nan
    np.save(path, matrix)


DAMAGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "deleted": (lambda path: path.unlink(), "No such file"),
    "truncated": (lambda path: os.truncate(path, 5000), "by its header"),
    "empty": (lambda path: path.write_bytes(b""), "empty file"),
    "a pipe": (as_a_pipe, "no file"),
    "fewer rows": (of_ten_rows, "10 rows"),
    "other order": (lambda path: np.save(path, np.asfortranarray(np.load(path))), "not float32 with 5 columns"),
    "float64": (lambda path: np.save(path, np.load(path).astype(np.float64)), "not float32"),
}


@pytest.mark.parametrize(("damage", "told"), DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_segment_is_neither_read_nor_written_to(
    tmp_path: Path, damage: Callable[[Path], object], told: str
) -> None:
    vectors = drawn(20)
    run_id = store_vectors(tmp_path, vectors)
    (path,) = (tmp_path / "vectors" / run_id).glob("*.npy")
    damage(path)

    with Catalog(tmp_path) as catalog:
        run = require_vectors(catalog)
        with pytest.raises(DataError, match=f"{told}.*mekiki forget {run_id}"):
            StoredVectors(catalog, run).read(list(vectors))
        with pytest.raises(DataError, match=f"{told}.*mekiki forget {run_id}"):
            read_vector_table(catalog, run)
        with (
            pytest.raises(DataError, match=f"{told}.*mekiki forget {run_id}"),
            catalog.transaction("embed", run_id) as transaction,
        ):
            write_vectors(transaction, ["f" * 32], np.ones((1, 5), np.float32))
        assert catalog.value("SELECT count(*) FROM vectors") == 20


def test_numbers_that_are_none_are_refused_where_they_are_read(tmp_path: Path) -> None:
    vectors = drawn(20)
    run_id = store_vectors(tmp_path, vectors)
    with_nan(tmp_path / "vectors" / run_id / "00000.npy")

    with Catalog(tmp_path) as catalog:
        run = require_vectors(catalog)
        with pytest.raises(DataError, match=f"infinite or no numbers.*mekiki forget {run_id}"):
            StoredVectors(catalog, run).read(list(vectors))
        with pytest.raises(DataError, match=f"infinite or no numbers.*mekiki forget {run_id}"):
            read_vector_table(catalog, run)[1][0:20]


def test_large_numbers_are_numbers(tmp_path: Path) -> None:
    vectors = {item_id: vector * np.float32(1e38) for item_id, vector in drawn(5).items()}
    store_vectors(tmp_path, vectors)

    with Catalog(tmp_path) as catalog:
        run = require_vectors(catalog)
        assert np.array_equal(StoredVectors(catalog, run).read(list(vectors)), np.stack(list(vectors.values())))
        assert np.array_equal(read_vector_table(catalog, run)[1][0:5], np.stack(list(vectors.values())))


@pytest.mark.parametrize("row", [99_999_999, 2**40, -5, "x"])
def test_a_row_that_no_segment_has_is_refused(tmp_path: Path, row: int | str) -> None:
    vectors = drawn(20)
    run_id = store_vectors(tmp_path, vectors)
    with closing(sqlite3.connect(tmp_path / "mekiki.db")) as connection:
        connection.execute("UPDATE vectors SET row = ? WHERE row = 4", (row,))
        connection.commit()

    with Catalog(tmp_path) as catalog:
        run = require_vectors(catalog)
        with pytest.raises(DataError, match=f"row {row}.*mekiki forget {run_id}"):
            StoredVectors(catalog, run).read(list(vectors))
        with pytest.raises(DataError, match=f"row {row}.*mekiki forget {run_id}"):
            read_vector_table(catalog, run)
        with (
            pytest.raises(DataError, match=f"row {row}.*mekiki forget {run_id}"),
            catalog.transaction("embed", run_id) as transaction,
        ):
            write_vectors(transaction, ["f" * 32], np.ones((1, 5), np.float32))


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no full disk here")
def test_a_full_disk_says_which_file(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No space left") as caught:
        _put(Path("/dev/full"), 0, np.ones((4, 5), np.float32))

    assert caught.value.filename == "/dev/full"


def test_what_lies_elsewhere_is_not_wiped(tmp_path: Path) -> None:
    workspace = tmp_path / "ws"
    store_vectors(workspace, drawn(3))
    np.save(tmp_path / "mine.npy", np.ones((9, 5), np.float32))
    with closing(sqlite3.connect(workspace / "mekiki.db")) as connection:
        connection.execute("UPDATE vectors SET segment = '../mine.npy'")
        connection.commit()

    with Catalog(workspace) as catalog, pytest.raises(DataError, match="mekiki forget"):
        forget_item(catalog, f"{1:032x}")

    assert np.load(tmp_path / "mine.npy").all()
