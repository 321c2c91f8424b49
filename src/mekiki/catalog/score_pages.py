"""Stored scores a page at a time, so that memory does not grow with the number of pictures."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby, islice
from operator import itemgetter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mekiki.catalog.db import PAGE_ROWS, Catalog
from mekiki.catalog.runs import runs_of

_COLUMNS = "SELECT item_id, class_name, score FROM predictions WHERE run_id = ?"


def iter_scores(
    catalog: Catalog, run_id: str, class_names: Sequence[str]
) -> Iterator[tuple[list[str], NDArray[np.float32]]]:
    """Yield the raw scores that a run stored, in the order of the items' ids.

    Args:
        catalog: Where from.
        run_id: A run of ``predict``.
        class_names: Columns, in this order.

    Yields:
        Ids of at most 1000 items, and their ``(N, C)`` float32 scores.
    """
    items = _by_item(catalog.rows(f"{_COLUMNS} ORDER BY item_id", (run_id,)), class_names)
    while page := list(islice(items, PAGE_ROWS)):
        yield [item_id for item_id, _ in page], np.stack([row for _, row in page])


def scores_of(
    catalog: Catalog, run_id: str, item_ids: Sequence[str], class_names: Sequence[str]
) -> dict[str, NDArray[np.float32]]:
    """Return item id to ``(C,)`` float32 raw scores, for those of a page of items that a run has scores of."""
    marks = ", ".join("?" * len(item_ids))
    sql = f"{_COLUMNS} AND item_id IN ({marks}) ORDER BY item_id"
    return dict(_by_item(catalog.rows(sql, (run_id, *item_ids)), class_names))


def run_of_identity(catalog: Catalog, identity: str) -> str | None:
    """Return the latest finished run of ``predict`` with exactly this model, runtime and precision, or None."""
    found = [run for run in runs_of(catalog, "predict") if run.finished_at and run.identity == identity]
    return max(found, key=lambda run: run.finished_at or "").run_id if found else None


def _by_item(rows: Iterable[tuple[Any, ...]], class_names: Sequence[str]) -> Iterator[tuple[str, NDArray[np.float32]]]:
    for item_id, cells in groupby(rows, key=itemgetter(0)):
        scores = {name: score for _, name, score in cells}
        yield item_id, np.array([scores[name] for name in class_names], np.float32)
