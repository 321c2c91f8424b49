"""Neighbours among vectors by brute force in blocks: nothing is approximated.

Letters: Q queries, T targets, D dimensions, k neighbours.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mekiki.neighbours.tables import BLOCK_ROWS, VectorTable

_BLOCK_QUERIES = 256


@dataclass(frozen=True, slots=True)
class Neighbours:
    """The k best targets of every query, best first; ``(Q, k)`` each."""

    rows: NDArray[np.int64]
    scores: NDArray[np.float32]


def nearest_rows(queries: NDArray[np.float32], vectors: VectorTable, k: int) -> Neighbours:
    """Return, for every query, the k vectors with the largest inner product.

    For unit vectors that is cosine similarity. The table is read once. Memory is bounded by one block of 16,384 vectors
    and of 256 × 16,384 products, beside the result; nothing is approximated. The products are float32 sums, so the last
    digit may depend on the number of rows.

    Args:
        queries: ``(Q, D)`` float32. Q may be 0.
        vectors: ``(T, D)`` float32, an array or a table that reads files. T may be 0.
        k: Neighbours wanted, at least 1; with fewer vectors there are T of them.

    Returns:
        Row numbers into ``vectors`` and inner products, best first. Equal products stand in the order of their rows.

    Raises:
        ValueError: If the arrays are not two-dimensional with the same D, or k is below 1.

    Example:
        >>> found = nearest_rows(np.eye(2, dtype=np.float32), np.array([[1, 0], [1, 1]], dtype=np.float32), k=1)
        >>> found.rows.tolist(), found.scores.tolist()
        ([[0], [1]], [[1.0], [1.0]])
    """
    if queries.ndim != 2 or len(vectors.shape) != 2 or queries.shape[1] != vectors.shape[1]:
        raise ValueError(f"queries and vectors must be (Q, D) and (T, D), got {queries.shape} and {vectors.shape}")
    if k < 1:
        raise ValueError(f"k must be at least 1, got {k}")
    n_vectors = vectors.shape[0]
    width = 0 if len(queries) else min(k, n_vectors)
    rows, scores = np.zeros((len(queries), width), np.int64), np.zeros((len(queries), width), np.float32)
    for first in range(0, n_vectors if len(queries) else 0, BLOCK_ROWS):
        block = vectors[first : first + BLOCK_ROWS]
        better = [
            _better(queries[part] @ block.T, first, rows[part], scores[part], k) for part in _query_blocks(len(queries))
        ]
        rows = np.concatenate([one[0] for one in better])
        scores = np.concatenate([one[1] for one in better])
    return Neighbours(rows, scores)


def _query_blocks(n_queries: int) -> list[slice]:
    return [slice(first, first + _BLOCK_QUERIES) for first in range(0, n_queries, _BLOCK_QUERIES)]


def _better(
    products: NDArray[np.float32], first: int, rows: NDArray[np.int64], scores: NDArray[np.float32], k: int
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Return the k best of what was best so far and of a block's products, whose first column is row ``first``."""
    numbers = np.broadcast_to(np.arange(first, first + products.shape[1]), products.shape)
    return best_columns(np.concatenate([rows, numbers], axis=1), np.concatenate([scores, products], axis=1), k)


def row_products(vectors: NDArray[np.float32], query: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return ``(N,)`` inner products with one query, such that equal vectors have the same, digit by digit.

    A matrix product does not promise that: its sums depend on where in the matrix a row stands.
    """
    products: NDArray[np.float32] = (vectors * query).sum(axis=1)
    return products


def best_columns(
    rows: NDArray[np.int64], scores: NDArray[np.float32], k: int
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Return the k best columns of each line, best first; equal scores in the order of their columns.

    Args:
        rows: ``(Q, C)``, what the columns are called.
        scores: ``(Q, C)``.
        k: At least 1; with fewer columns there are C of them.
    """
    k = min(k, scores.shape[1])
    threshold = np.partition(scores, scores.shape[1] - k, axis=1)[:, scores.shape[1] - k]
    lines, columns = np.nonzero(scores >= threshold[:, None])  # k per line, more where the last place is shared
    order = np.lexsort((columns, -scores[lines, columns], lines))
    lines, columns = lines[order], columns[order]
    place = np.arange(len(lines)) - np.searchsorted(lines, lines)
    chosen = columns[place < k].reshape(-1, k)
    return np.take_along_axis(rows, chosen, axis=1), np.take_along_axis(scores, chosen, axis=1)
