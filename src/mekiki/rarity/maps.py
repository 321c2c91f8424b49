"""Vectors laid out in a plane, so that what is alike lies together: PCA, t-SNE, UMAP.

Letters: N vectors, D dimensions, k neighbours. The same vectors, method and seed give the same map on one machine; the
order of rows may change a t-SNE or UMAP map, since both optimise step by step.

Reference: van der Maaten and Hinton, 2008 (t-SNE); Kobak and Berens, 2019, https://doi.org/10.1038/s41467-019-13056-x
(its start from PCA); McInnes et al., 2018, https://arxiv.org/abs/1802.03426 (UMAP).
"""

from __future__ import annotations

import warnings
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from mekiki.neighbours.shared_knn import knn_graph
from mekiki.rarity.packages import has_opentsne, import_opentsne, import_umap

MapMethod = Literal["auto", "tsne", "umap", "pca"]

Plane = NDArray[np.float32]
"""``(N, 2)``."""

MAX_PERPLEXITY = 30.0
MIN_PERPLEXITY = 5.0
NEIGHBOURS_PER_PERPLEXITY = 3
UMAP_NEIGHBOURS = 15
MIN_DISTINCT = 4
"""Different vectors below which there are no neighbourhoods to keep: these are laid out by PCA."""

_START_SPREAD = 1e-4
_BLOCK_ROWS = 16_384


def make_map(vectors: NDArray[np.float32], method: MapMethod = "auto", seed: int = 42) -> tuple[Plane, str]:
    """Return where each vector lies in a plane, and which method laid them out.

    Distances are Euclidean: give unit vectors where directions are meant. t-SNE has perplexity
    ``min(30, max(5, N - 1))`` but never more than ``(N - 1) / 3``, what N vectors allow; UMAP looks at 15 neighbours or
    at all others. Both get their neighbours from one exact search and start from PCA. With fewer than `MIN_DISTINCT`
    different vectors both are PCA, and the answer says so.

    Args:
        vectors: ``(N, D)`` float32, finite, not changed. N may be 0.
        method: ``auto`` is t-SNE where openTSNE is installed, else PCA.
        seed: Decides what is left to chance; PCA leaves nothing.

    Returns:
        ``(N, 2)`` float32 around 0, finite, and ``tsne``, ``umap`` or ``pca``. Equal vectors lie at the same place in a
        PCA map and close to each other in the others; if all are equal, all lie at 0.

    Raises:
        ValueError: If ``vectors`` is not ``(N, D)`` with D of at least 1 or not finite, or the method is unknown.
        MissingExtraError: If the method's package is not installed.

    Example:
        >>> plane, method = make_map(np.array([[0, 0, 3], [0, 0, 5], [0, 0, 4]], dtype=np.float32), "pca")
        >>> np.abs(plane).tolist(), method
        ([[1.0, 0.0], [1.0, 0.0], [0.0, 0.0]], 'pca')
    """
    if vectors.ndim != 2 or vectors.shape[1] < 1 or not np.isfinite(vectors).all():
        raise ValueError(f"vectors must be (N, D) and finite, got {vectors.shape}")
    if method not in get_args(MapMethod):
        raise ValueError(f"method must be one of {', '.join(get_args(MapMethod))}, got {method!r}")
    if method == "auto":
        method = "tsne" if has_opentsne() else "pca"
    plane = principal_plane(vectors)
    if method == "pca" or not _has_distinct(vectors, MIN_DISTINCT):
        return plane, "pca"
    laid = _tsne(vectors, plane, seed) if method == "tsne" else _umap(vectors, plane, seed)
    return np.ascontiguousarray(laid - laid.mean(axis=0), np.float32), method


def principal_plane(vectors: NDArray[np.float32]) -> Plane:
    """Return ``(N, 2)``: the vectors around their mean, along the two directions in which they vary most.

    The largest entry of a direction is positive, so that the map is never mirrored by chance. A direction in which
    nothing varies gives 0.
    """
    n_vectors, n_dims = vectors.shape
    plane = np.zeros((n_vectors, 2), np.float32)
    if n_vectors < 2:
        return plane
    mean = vectors.mean(axis=0, dtype=np.float64)
    spread = np.zeros((n_dims, n_dims))
    for start in range(0, n_vectors, _BLOCK_ROWS):
        block = vectors[start : start + _BLOCK_ROWS] - mean
        spread += block.T @ block
    variances, directions = np.linalg.eigh(spread)
    for axis, column in enumerate(np.argsort(-variances, kind="stable")[:2]):
        direction = directions[:, column]
        direction = direction * np.sign(direction[np.abs(direction).argmax()])
        if variances[column] > max(variances.max(), 0.0) * 1e-12:  # what is less is rounding
            plane[:, axis] = vectors @ direction.astype(np.float64) - mean @ direction
    return plane


def perplexity_of(n_vectors: int) -> float:
    """Return the perplexity of a t-SNE map of so many vectors.

    Example:
        >>> perplexity_of(4), perplexity_of(31), perplexity_of(1000)
        (1.0, 10.0, 30.0)
    """
    wanted = min(MAX_PERPLEXITY, max(MIN_PERPLEXITY, n_vectors - 1))
    return max(1.0, min(wanted, (n_vectors - 1) / NEIGHBOURS_PER_PERPLEXITY))


def _tsne(vectors: NDArray[np.float32], plane: Plane, seed: int) -> NDArray[np.float64]:
    package = import_opentsne()
    n_vectors = len(vectors)
    perplexity = perplexity_of(n_vectors)
    k = min(n_vectors - 1, int(NEIGHBOURS_PER_PERPLEXITY * perplexity))
    graph = knn_graph(vectors, k)
    known = package.nearest_neighbors.PrecomputedNeighbors(graph.rows, graph.distances)
    affinities = package.affinity.PerplexityBasedNN(knn_index=known, perplexity=perplexity)
    start = _start(plane, _START_SPREAD, seed)
    # One thread: sums of several would depend on how many there are.
    optimiser = package.TSNE(perplexity=perplexity, n_jobs=1, random_state=seed)
    laid = optimiser.fit(affinities=affinities, initialization=start)
    return np.asarray(laid, np.float64)


def _umap(vectors: NDArray[np.float32], plane: Plane, seed: int) -> NDArray[np.float64]:
    package = import_umap()
    n_vectors = len(vectors)
    n_neighbours = min(UMAP_NEIGHBOURS, n_vectors - 1)  # each counts as its own first neighbour
    graph = knn_graph(vectors, n_neighbours - 1)
    rows = np.column_stack([np.arange(n_vectors), graph.rows])
    distances = np.column_stack([np.zeros(n_vectors, np.float32), graph.distances])
    mapper = package.UMAP(
        n_neighbors=n_neighbours,
        init=_start(plane, 10.0, seed).astype(np.float32),
        random_state=seed,
        n_jobs=1,
        precomputed_knn=(rows, distances),
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # that such a map cannot be extended, which nobody asks of it
        return np.asarray(mapper.fit_transform(vectors), np.float64)


def _start(plane: Plane, spread: float, seed: int) -> NDArray[np.float64]:
    """Return the PCA map scaled to a spread along its first direction, equal vectors moved apart a little."""
    jitter = np.random.default_rng(seed).normal(scale=1e-3, size=plane.shape)
    return np.asarray((plane / plane[:, 0].std(dtype=np.float64) + jitter) * spread)


def _has_distinct(vectors: NDArray[np.float32], n: int) -> bool:
    """Return whether at least ``n`` vectors differ from each other; reads no more rows than it takes."""
    seen: set[bytes] = set()
    for row in vectors:
        seen.add((row + 0.0).tobytes())  # -0 is 0
        if len(seen) >= n:
            return True
    return False
