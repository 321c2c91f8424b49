"""Vectors that were stored are found again, whatever happened in between."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from mekiki.catalog.db import Catalog
from mekiki.catalog.forget import forget_item, forget_run
from mekiki.catalog.runs import find_run
from mekiki.catalog.vector_wiping import wipe_unused
from mekiki.catalog.vectors import StoredVectors, require_vectors, segments_of, vector_runs, write_vectors
from mekiki.errors import DataError, UsageError
from vectors import space_of, store_vectors


def drawn(n_vectors: int, n_dims: int = 5, seed: int = 0) -> dict[str, NDArray[np.float32]]:
    matrix = np.random.default_rng(seed).normal(size=(n_vectors, n_dims)).astype(np.float32)
    return {f"{number:032x}": row for number, row in enumerate(matrix)}


def test_what_was_stored_is_read_in_any_order(tmp_path: Path) -> None:
    vectors = drawn(7)

    store_vectors(tmp_path, vectors)

    with Catalog(tmp_path) as catalog:
        stored = StoredVectors(catalog, require_vectors(catalog))
        wanted = list(vectors)[::-2]
        assert len(stored) == 7
        assert stored.item_ids() == sorted(vectors)
        assert np.array_equal(stored.read(wanted), np.stack([vectors[one] for one in wanted]))
        assert stored.read([]).shape == (0, 5)
        assert stored.having([wanted[0], "f" * 32]) == {wanted[0]}


def test_segments_are_filled_one_after_another(tmp_path: Path) -> None:
    run_id = store_vectors(tmp_path, drawn(1))
    many = drawn(12, seed=1)
    ids = [f"a{item_id[1:]}" for item_id in many]
    matrix = np.stack(list(many.values()))
    with Catalog(tmp_path) as catalog:
        forget_item(catalog, "0" * 32)
        for path in segments_of(catalog, run_id):
            path.unlink()

        with catalog.transaction("embed", run_id) as transaction:
            for rows in (slice(0, 9), slice(9, 10), slice(10, 12)):
                write_vectors(transaction, ids[rows], matrix[rows], segment_rows=4)

        stored = StoredVectors(catalog, require_vectors(catalog))
        assert [path.name for path in segments_of(catalog, run_id)] == ["00000.npy", "00001.npy", "00002.npy"]
        assert np.array_equal(stored.read(ids), matrix)
        order = np.random.default_rng(2).integers(0, 12, 30)  # any order, from all segments, some twice
        assert np.array_equal(stored.read([ids[place] for place in order]), matrix[order])
        with pytest.raises(KeyError):
            stored.read([*ids, "f" * 32])


def test_rows_of_a_transaction_that_failed_are_taken_again(tmp_path: Path) -> None:
    vectors = drawn(3)
    run_id = store_vectors(tmp_path, vectors)

    with Catalog(tmp_path) as catalog:
        with suppress(ValueError), catalog.transaction("embed", run_id) as transaction:
            write_vectors(transaction, ["e" * 32], np.ones((1, 5), np.float32))
            write_vectors(transaction, ["e" * 32], np.full((1, 5), np.nan, np.float32))
        with catalog.transaction("embed", run_id) as transaction:
            write_vectors(transaction, ["f" * 32], np.full((1, 5), 2, np.float32))
        stored = StoredVectors(catalog, require_vectors(catalog))

        assert stored.having(["e" * 32]) == set()
        assert np.array_equal(stored.read([*vectors, "f" * 32])[:3], np.stack(list(vectors.values())))
        assert catalog.value("SELECT max(row) FROM vectors") == 3


@pytest.mark.parametrize(
    "matrix",
    [
        pytest.param(np.full((1, 5), np.nan, np.float32), id="no number"),
        pytest.param(np.ones((2, 5), np.float32), id="more than ids"),
    ],
)
def test_vectors_that_cannot_be_are_refused(tmp_path: Path, matrix: NDArray[np.float32]) -> None:
    run_id = store_vectors(tmp_path, drawn(1))

    with (
        Catalog(tmp_path) as catalog,
        catalog.transaction("embed", run_id) as transaction,
        pytest.raises(ValueError, match="must be finite and 1"),
    ):
        write_vectors(transaction, ["e" * 32], matrix)


def test_nothing_of_a_forgotten_item_stays_in_the_file(tmp_path: Path) -> None:
    vectors = drawn(3)
    gone, kept = list(vectors)[1], list(vectors)[2]
    run_id = store_vectors(tmp_path, vectors)

    with Catalog(tmp_path) as catalog:
        forget_item(catalog, gone)

        (path,) = segments_of(catalog, run_id)
        assert vectors[gone].tobytes() not in path.read_bytes()
        assert vectors[kept].tobytes() in path.read_bytes()
        assert StoredVectors(catalog, require_vectors(catalog)).having([gone, kept]) == {kept}


def test_vectors_of_a_run_that_was_killed_do_not_outlive_their_items(tmp_path: Path) -> None:
    """It had written rows and not said yet whose they are; forgetting any item cleans up after it."""
    vectors = drawn(3)
    run_id = store_vectors(tmp_path, vectors)
    lost, kept = np.full((2, 5), 7, np.float32), list(vectors)[2]

    with Catalog(tmp_path) as catalog:
        with suppress(KeyboardInterrupt), catalog.transaction("embed", run_id) as transaction:
            write_vectors(transaction, ["e" * 32, "f" * 32], lost)
            raise KeyboardInterrupt
        (path,) = segments_of(catalog, run_id)
        n_bytes = path.stat().st_size
        assert lost.tobytes() in path.read_bytes()

        forget_item(catalog, next(iter(vectors)))

        assert lost[0].tobytes() not in path.read_bytes()
        assert path.stat().st_size == n_bytes
        assert np.array_equal(StoredVectors(catalog, require_vectors(catalog)).read([kept])[0], vectors[kept])

        for item_id in vectors:
            forget_item(catalog, item_id)
        assert segments_of(catalog, run_id) == []


def test_a_vector_that_was_replaced_does_not_outlive_a_wipe(tmp_path: Path) -> None:
    vectors = drawn(3)
    run_id = store_vectors(tmp_path, vectors)
    item_id = list(vectors)[1]
    with Catalog(tmp_path) as catalog:
        with catalog.transaction("embed", run_id) as transaction:
            write_vectors(transaction, [item_id], np.ones((1, 5), np.float32))
        index = tmp_path / "vectors" / run_id / "index-0011.faiss"
        index.write_bytes(vectors[item_id].tobytes())

        wipe_unused(catalog)

        assert segments_of(catalog, run_id) == [tmp_path / "vectors" / run_id / "00000.npy"]  # the index had a copy
        assert vectors[item_id].tobytes() not in segments_of(catalog, run_id)[0].read_bytes()
        stored = StoredVectors(catalog, require_vectors(catalog))
        wanted = [*vectors.values()]
        wanted[1] = np.ones(5, np.float32)
        assert np.array_equal(stored.read(list(vectors)), np.stack(wanted))


def test_broken_segments_are_named_when_an_item_is_forgotten(tmp_path: Path) -> None:
    run_id = store_vectors(tmp_path, drawn(2))
    (tmp_path / "vectors" / run_id / "00000.npy").write_bytes(b"no array")

    with Catalog(tmp_path) as catalog, pytest.raises(DataError, match=f"are broken: mekiki forget {run_id}"):
        forget_item(catalog, "0" * 32)


def test_a_forgotten_run_names_its_segments_to_be_deleted(tmp_path: Path) -> None:
    run_id = store_vectors(tmp_path, drawn(3))

    with Catalog(tmp_path) as catalog:
        run = find_run(catalog, run_id)
        assert run is not None
        _, paths = forget_run(catalog, run)

        assert paths == segments_of(catalog, run_id)
        assert vector_runs(catalog) == []


def test_the_vectors_of_an_embedder_are_found_by_its_name_or_their_run(tmp_path: Path) -> None:
    first = store_vectors(tmp_path, drawn(2), space_of(5, "clip:ViT-B-32/openai"))
    second = store_vectors(tmp_path, drawn(2), space_of(5, "colour-layout"))

    with Catalog(tmp_path) as catalog:
        assert require_vectors(catalog).run_id == second
        assert require_vectors(catalog, "clip:ViT-B-32/openai").run_id == first
        assert require_vectors(catalog, first[:6]).run_id == first
        with pytest.raises(UsageError, match="Did you mean 'colour-layout'"):
            require_vectors(catalog, "color-layout")


def test_a_workspace_without_vectors_says_what_to_type(tmp_path: Path) -> None:
    with Catalog(tmp_path) as catalog, pytest.raises(DataError, match="mekiki embed"):
        require_vectors(catalog)


def test_a_segment_that_is_not_what_was_written_is_named(tmp_path: Path) -> None:
    run_id = store_vectors(tmp_path, drawn(2))
    path = tmp_path / "vectors" / run_id / "00000.npy"
    np.save(path, np.zeros((4, 3), np.float32))

    with Catalog(tmp_path) as catalog, pytest.raises(DataError, match=r"00000\.npy holds \(4, 3\)"):
        StoredVectors(catalog, require_vectors(catalog)).read(["0" * 32])
