"""Real CLIP vectors of 986 photos: each finds itself or its duplicate, with the index as without."""

from __future__ import annotations

import numpy as np
import pytest

from mekiki.neighbours.exact import nearest_rows
from mekiki.neighbours.near_pairs import find_near_pairs
from mekiki.neighbours.tables import to_unit_length
from mekiki.neighbours.vector_index import build_index


@pytest.fixture(scope="module")
def vectors(shared_data):
    path = shared_data / "captions" / "flickr8k_clip_vitb32" / "image_embeddings.npy"
    return to_unit_length(np.load(path).astype(np.float32))


def test_a_picture_is_its_own_nearest_neighbour_or_its_duplicate_is(vectors) -> None:
    found = nearest_rows(vectors, vectors, 1)

    same = (vectors[found.rows[:, 0]] * vectors).sum(axis=1)
    assert ((found.rows[:, 0] == np.arange(len(vectors))) | (same > 0.999)).all()


def test_exact_and_indexed_answers_agree(vectors) -> None:
    pytest.importorskip("faiss", reason="faiss-cpu is not installed")

    indexed = build_index(vectors).nearest(vectors, vectors, 10)

    exact = nearest_rows(vectors, vectors, 10)
    assert (exact.rows[:, :, None] == indexed.rows[:, None, :]).any(axis=2).mean() >= 0.95
    np.testing.assert_allclose(indexed.scores[:, 0], exact.scores[:, 0], atol=1e-6)


def test_cells_find_the_near_pairs_that_all_with_all_finds(vectors) -> None:
    changed = to_unit_length(vectors + 0.006 * np.random.default_rng(0).standard_normal(vectors.shape).astype("f"))
    both = np.concatenate([vectors, changed])

    exact, cells = find_near_pairs(both, 0.97), find_near_pairs(both, 0.97, exact_rows=100)

    assert len(exact.pairs) >= len(vectors)
    assert len(cells.pairs) >= 0.99 * len(exact.pairs)
