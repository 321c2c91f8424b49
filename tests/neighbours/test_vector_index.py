"""The index: its cosines are exact, its recall is what it says, and it comes back from a file as it was."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from clouds import clusters, directions, in_files
from mekiki.errors import UnreadableError
from mekiki.neighbours.exact import nearest_rows
from mekiki.neighbours.tables import to_unit_length
from mekiki.neighbours.vector_index import VectorIndex, build_index, load_index

pytest.importorskip("faiss", reason="faiss-cpu is not installed")


@pytest.fixture(scope="module")
def vectors():
    return clusters(6000, 40, n_dims=32) * np.float32(3)


@pytest.fixture(scope="module")
def index(vectors) -> VectorIndex:
    return build_index(vectors)


def recall(found, exact) -> float:
    return float((exact[:, :, None] == found[:, None, :]).any(axis=2).mean())


def test_it_finds_nearly_what_brute_force_finds(index, vectors) -> None:
    queries = clusters(300, 40, n_dims=32)

    found = index.nearest(queries, vectors, 10)

    exact = nearest_rows(queries, to_unit_length(vectors), 10)
    assert recall(found.rows, exact.rows) >= 0.95
    assert index.recall >= 0.95
    assert index.n_cells_seen < index.cells.nlist


def test_vectors_without_clusters_need_more_cells_for_the_same_recall() -> None:
    vectors = directions(0, 3000, 24)

    index = build_index(vectors)

    found = index.nearest(directions(9, 200, 24), vectors, 10).rows
    assert index.n_cells_seen > 4
    assert recall(found, nearest_rows(directions(9, 200, 24), vectors, 10).rows) >= 0.93


def test_a_cosine_is_never_a_wrong_one_and_they_fall(index, vectors) -> None:
    queries = directions(7, 50, 32)

    found = index.nearest(queries, vectors, 7)

    true = np.einsum("qkd,qd->qk", to_unit_length(vectors)[found.rows], queries)
    np.testing.assert_allclose(found.scores, true, atol=1e-6)
    assert (np.diff(found.scores, axis=1) <= 0).all()


def test_a_stored_vector_finds_itself(index, vectors) -> None:
    found = index.nearest(to_unit_length(vectors[:200]), vectors, 1)

    np.testing.assert_array_equal(found.rows[:, 0], np.arange(200))
    np.testing.assert_allclose(found.scores, 1, atol=1e-6)


def test_equal_vectors_stand_in_the_order_of_their_rows() -> None:
    vectors = clusters(500, 5, n_dims=16)
    vectors[[400, 3, 77]] = vectors[10]

    found = build_index(vectors).nearest(vectors[10:11], vectors, 4)

    assert found.rows.tolist() == [[3, 10, 77, 400]]


def test_a_file_gives_the_same_index_back(tmp_path, index, vectors) -> None:
    path = tmp_path / "new" / "index.faiss"
    assert load_index(path, vectors.shape) is None

    index.save(path)
    again = load_index(path, vectors.shape)

    assert again is not None
    assert (again.n_cells_seen, again.recall) == (index.n_cells_seen, index.recall)
    queries = directions(8, 20, 32)
    np.testing.assert_array_equal(again.nearest(queries, vectors, 5).rows, index.nearest(queries, vectors, 5).rows)
    assert sorted(one.name for one in path.parent.iterdir()) == ["index.faiss", "index.faiss.json"]


def other_cells(path: Path) -> None:
    import faiss

    cells = faiss.IndexFlatIP(32)
    cells.add(np.ones((6000, 32), np.float32))
    faiss.write_index(cells, str(path))


def of_fewer(path: Path) -> None:
    build_index(clusters(100, 4, n_dims=32)).save(path)


def say(**facts: object) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        at = path.with_name(f"{path.name}.json")
        at.write_text(json.dumps(json.loads(at.read_text()) | facts))

    return write


DAMAGES: dict[str, Callable[[Path], object]] = {
    "truncated": lambda path: path.write_bytes(path.read_bytes()[:-100]),
    "empty": lambda path: path.write_bytes(b""),
    "garbage": lambda path: path.write_bytes(b"\xff" * path.stat().st_size),
    "other kind": lambda path: (other_cells(path), say(n_bytes=path.stat().st_size)(path)),
    "other vectors": of_fewer,
    "no JSON": lambda path: path.with_name(f"{path.name}.json").write_text("{"),
    "a list": lambda path: path.with_name(f"{path.name}.json").write_text("[]"),
    "no cells": say(n_cells_seen=0),
    "negative": say(n_cells_seen=-1),
    "too many cells": say(n_cells_seen=100_000),
    "too many digits": say(n_cells_seen=10**30),
    "recall of 7": say(recall=7.0),
    "recall is no number": say(recall=float("nan")),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_file_is_named(tmp_path, index, vectors, damage) -> None:
    path = tmp_path / "index.faiss"
    index.save(path)
    assert load_index(path, vectors.shape) is not None

    damage(path)

    with pytest.raises(UnreadableError, match=r"index\.faiss"):
        load_index(path, vectors.shape)


def test_the_same_seed_gives_the_same_index_from_files_too(tmp_path, index, vectors) -> None:
    again = build_index(in_files(tmp_path, vectors, 3))

    queries = directions(8, 50, 32)
    np.testing.assert_array_equal(again.nearest(queries, vectors, 5).rows, index.nearest(queries, vectors, 5).rows)


@pytest.mark.parametrize("n", [1, 2, 15])
def test_few_vectors_are_all_found(n) -> None:
    vectors = directions(0, n, 8)

    found = build_index(vectors).nearest(directions(1, 3, 8), vectors, 20)

    np.testing.assert_array_equal(np.sort(found.rows), np.broadcast_to(np.arange(n), (3, n)))


def test_no_query_gives_no_answer(index, vectors) -> None:
    assert index.nearest(np.zeros((0, 32), np.float32), vectors, 5).rows.shape[0] == 0


def test_wrong_calls_say_which_rule_they_break(index, vectors) -> None:
    with pytest.raises(ValueError, match="needs a vector"):
        build_index(np.zeros((0, 4), np.float32))
    with pytest.raises(ValueError, match=r"the index is of \(6000, 32\), got \(10, 32\)"):
        index.nearest(vectors[:1], vectors[:10], 1)
    with pytest.raises(ValueError, match="queries"):
        index.nearest(vectors[:1, :5], vectors, 1)
    with pytest.raises(ValueError, match="k must be at least 1, got 0"):
        index.nearest(vectors[:1], vectors, 0)
