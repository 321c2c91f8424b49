"""Vectors in tests: clusters with planted near-duplicates, in memory or in files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mekiki.neighbours.tables import FileVectors, to_unit_length


def directions(seed: int, n: int, n_dims: int = 64) -> NDArray[np.float32]:
    return to_unit_length(np.random.default_rng(seed).standard_normal((n, n_dims)).astype(np.float32))


def clusters(n: int, n_clusters: int, seed: int = 0, n_dims: int = 64) -> NDArray[np.float32]:
    """Unit vectors, two of one cluster at a cosine of about 0.7."""
    chosen = directions(seed, n_clusters, n_dims)[np.random.default_rng(seed + 1).integers(n_clusters, size=n)]
    return to_unit_length(0.7**0.5 * chosen + 0.3**0.5 * directions(seed + 2, n, n_dims)).astype(np.float32)


def turned(vectors: NDArray[np.float32], cosine: float, seed: int = 5) -> NDArray[np.float32]:
    """Each vector turned in a random direction until it is at that cosine to what it was."""
    sideways = directions(seed, *vectors.shape)
    sideways -= (sideways * vectors).sum(axis=1, keepdims=True) * vectors
    return (cosine * vectors + np.sqrt(1 - cosine**2) * to_unit_length(sideways)).astype(np.float32)


def with_pairs(n: int, n_pairs: int, cosine: float, seed: int = 0) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Clusters in which the last ``n_pairs`` vectors are the first ones, turned; and the rows of the pairs."""
    vectors = clusters(n, max(n // 50, 1), seed)
    vectors[n - n_pairs :] = turned(vectors[:n_pairs], cosine)
    return vectors, np.column_stack([np.arange(n_pairs), np.arange(n - n_pairs, n)])


def in_files(folder: Path, vectors: NDArray[np.float32], n_files: int, seed: int = 0) -> FileVectors:
    """The vectors, dealt at random to files."""
    files = np.random.default_rng(seed).integers(n_files, size=len(vectors)).astype(np.int32)
    rows = np.zeros(len(vectors), np.int32)
    paths = []
    for number in range(n_files):
        inside = np.flatnonzero(files == number)
        rows[inside] = np.arange(len(inside))[::-1]
        paths.append(folder / f"{number}.npy")
        np.save(paths[-1], vectors[inside][::-1])
    return FileVectors(paths, lambda path: np.load(path, mmap_mode="r"), files, rows, vectors.shape[1])
