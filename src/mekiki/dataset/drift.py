"""How alike the parts of a split are: counts and prevalences of classes, and how far parts are off the whole.

N is the number of items, C of classes. States are 1 present, 0 absent, -1 unsure or not asked. ``members`` is part to
the ``(M,)`` int64 rows of its items.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import rel_entr

Members = Mapping[str, NDArray[np.int64]]


def count_classes(
    class_names: Sequence[str], states: NDArray[np.int8], atoms: NDArray[np.int64], members: Members
) -> dict[str, dict[str, dict[str, float | int | None]]]:
    """Return class to part to ``present``, ``atoms``, ``asked`` and ``prevalence``; see `Certificate`.

    Args:
        class_names: C names.
        states: ``(N, C)`` int8.
        atoms: ``(N,)`` int64 atom of each item.
        members: Rows of each part.
    """
    table: dict[str, dict[str, dict[str, float | int | None]]] = {}
    for column, name in enumerate(class_names):
        table[name] = {}
        for part, rows in members.items():
            said = states[rows, column]
            n_present, n_asked = int((said == 1).sum()), int((said >= 0).sum())
            table[name][part] = {
                "present": n_present,
                "atoms": len(np.unique(atoms[rows[said == 1]])),
                "asked": n_asked,
                "prevalence": n_present / n_asked if n_asked else None,
            }
    return table


def measure_drift(
    class_names: Sequence[str], states: NDArray[np.int8], rows: NDArray[np.int64], members: Members
) -> dict[str, Any]:
    """Return the ``drift`` of a certificate; of equal differences the first by part and class.

    Args:
        class_names: C names.
        states: ``(N, C)`` int8.
        rows: ``(M,)`` int64 rows of all items in a part.
        members: Rows of each part.

    Returns:
        ``max_abs``, ``class``, ``part`` and ``js_bits``; see `mekiki.dataset.certificate.Certificate`.
    """
    worst: tuple[float, str | None, str | None] = (0.0, None, None)
    counts, asked = _count(states[rows])
    divergences: dict[str, float] = {}
    for part, found in members.items():
        part_counts, part_asked = _count(states[found])
        divergences[part] = js_bits(part_counts, counts)
        for column, name in enumerate(class_names):
            if part_asked[column]:
                off = abs(part_counts[column] / part_asked[column] - counts[column] / asked[column])
                if worst[1] is None or off > worst[0]:
                    worst = (float(off), name, part)
    return {"max_abs": worst[0], "class": worst[1], "part": worst[2], "js_bits": divergences}


def js_bits(counts: NDArray[np.int64], others: NDArray[np.int64]) -> float:
    """Return the Jensen-Shannon divergence of two mixes in bits; 0 if one of them has nothing.

    Lin, "Divergence measures based on the Shannon entropy", 1991, section IV, with equal weights.

    Args:
        counts: ``(C,)`` int64.
        others: ``(C,)`` int64.

    Example:
        >>> js_bits(np.array([1, 0]), np.array([0, 1]))
        1.0
    """
    if not counts.sum() or not others.sum():
        return 0.0
    p, q = counts / counts.sum(), others / others.sum()
    middle = (p + q) / 2
    return float((rel_entr(p, middle) + rel_entr(q, middle)).sum() / (2 * np.log(2)))


def _count(states: NDArray[np.int8]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return in how many items each class is present, and in how many anybody said."""
    return (states == 1).sum(axis=0), (states >= 0).sum(axis=0)
