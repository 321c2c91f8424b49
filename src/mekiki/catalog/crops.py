"""Crops: what a run of ``detect`` found in pictures, and the items that are cut there when they are looked at."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from mekiki.catalog.db import ONE_OF, PAGE_ROWS, Catalog, Transaction
from mekiki.catalog.item_rows import HAS_FILE, ITEM_ROWS, as_item
from mekiki.catalog.items import NewItem, require_items, write_items, write_made
from mekiki.catalog.runs import Run, runs_of
from mekiki.dataset.ids import crop_id
from mekiki.errors import DataError, unknown_name
from mekiki.media.cropping import cut_edges
from mekiki.records import Item

Xyxy = tuple[float, float, float, float]

_IS_CROP_OF = (
    f"+i.kind = 'crop' AND EXISTS (SELECT 1 FROM made m WHERE m.run_id = ? AND m.item_id = i.item_id) AND {HAS_FILE}"
)
"""Whether an item ``i`` is a crop that a run made; by the index of kinds each page would sort all that is left."""


@dataclass(frozen=True, slots=True)
class Crop:
    """One object that was found, and the item that shows it.

    Where two boxes of one run are cut at the same place, the one with the higher score counts.

    Attributes:
        item_id: Of the crop.
        parent_id: Of the picture.
        class_name: As the detector spells it.
        score: The detector's confidence.
        box: As it was found, ``x_min, y_min, x_max, y_max`` in pixels of the whole picture.
    """

    item_id: str
    parent_id: str
    class_name: str
    score: float
    box: Xyxy


def new_crop(parent: Item, cut: Xyxy) -> NewItem:
    """Return the row of a crop.

    Args:
        parent: The picture.
        cut: Where it is cut, in pixels of the whole picture, rounded to 1/16 px and inside it.

    Raises:
        ValueError: If that is less than one pixel.
    """
    left, top, right, bottom = cut_edges(cut, (parent.height_px, parent.width_px))
    return NewItem(
        item_id=crop_id(parent.item_id, cut),
        kind="crop",
        width_px=right - left,
        height_px=bottom - top,
        parent_id=parent.item_id,
        parameters=json.dumps({"xyxy": [float(edge) for edge in cut]}),
    )


def write_crops(transaction: Transaction, crops: Iterable[NewItem]) -> int:
    """Add crops that are not there yet, record that the run asked for all of them, and return how many were new."""
    listed = list(crops)
    write_made(transaction, (one.item_id for one in listed))
    return write_items(transaction, listed)


def require_detections(catalog: Catalog, wanted: str | None = None) -> Run:
    """Return the finished run of ``detect`` whose boxes are meant.

    Args:
        catalog: Where from.
        wanted: The beginning of a run's id; None for the run whose command was given last.

    Raises:
        DataError: If nothing has been detected.
        UsageError: If there is no such run.
    """
    runs = sorted(
        (run for run in runs_of(catalog, "detect") if run.status == "finished"),
        key=lambda run: run.finished_at or "",
        reverse=True,
    )
    if not runs:
        raise DataError(f"nothing has been detected in {catalog.workspace}: mekiki detect -w {catalog.workspace}")
    for run in runs:
        if wanted is None or (len(wanted) >= 4 and run.run_id.startswith(wanted)):
            return run
    raise unknown_name("run of detect", wanted or "", [run.run_id for run in runs])


def crops_of(catalog: Catalog, run_id: str) -> list[Crop]:
    """Return what a run found, in the order of pictures and, in each, of the detector."""
    sql = (
        "SELECT crop_id, item_id, class_name, score, x_min, y_min, x_max, y_max FROM boxes "
        "WHERE run_id = ? AND crop_id IS NOT NULL ORDER BY item_id, position"
    )
    found: dict[str, Crop] = {}
    for item_id, parent_id, class_name, score, *edges in catalog.rows(sql, (run_id,)):
        known = found.get(item_id)
        if known is None or score > known.score:
            found[item_id] = Crop(item_id, parent_id, class_name, score, (edges[0], edges[1], edges[2], edges[3]))
    return list(found.values())


class CropSelection:
    """Crops that a run made, those of one picture behind each other, so that it is decoded once.

    Args:
        catalog: Where from.
        run_id: Of ``detect``.
        only: Ids of those that are wanted; None for all.

    Raises:
        DataError: If nothing at all has been ingested.
    """

    def __init__(self, catalog: Catalog, run_id: str, only: Collection[str] | None = None) -> None:
        require_items(catalog)
        self._catalog = catalog
        self._run_id = run_id
        self._only = None if only is None else json.dumps(sorted(only))

    def __len__(self) -> int:
        if self._only is not None:
            return len(self._ids())
        return int(self._catalog.value(f"SELECT count(*) FROM items i WHERE {_IS_CROP_OF}", (self._run_id,)))

    def __iter__(self) -> Iterator[Item]:
        for rows in self._pages() if self._only is None else self._chosen():
            yield from (as_item(self._catalog, row) for row in rows)

    def _pages(self) -> Iterator[list[tuple[Any, ...]]]:
        """Yield rows of all crops, read along the index of parents."""
        after = ("", "")
        where = f"{_IS_CROP_OF} AND (i.parent_id, i.item_id) > (?, ?)"
        sql = f"{ITEM_ROWS} WHERE {where} ORDER BY i.parent_id, i.item_id LIMIT ?"
        while True:
            page = list(self._catalog.rows(sql, (self._run_id, *after, PAGE_ROWS)))
            yield page
            if len(page) < PAGE_ROWS:
                return
            after = (page[-1][5], page[-1][0])

    def _chosen(self) -> Iterator[list[tuple[Any, ...]]]:
        """Yield rows of those that are wanted."""
        ids = self._ids()
        sql = f"{ITEM_ROWS} WHERE i.item_id IN {ONE_OF} ORDER BY i.parent_id, i.item_id"
        for start in range(0, len(ids), PAGE_ROWS):
            yield list(self._catalog.rows(sql, (json.dumps(ids[start : start + PAGE_ROWS]),)))

    def _ids(self) -> list[str]:
        """Return those that are wanted and there, in their order."""
        where = f"i.item_id IN {ONE_OF} AND {_IS_CROP_OF}"
        sql = f"SELECT i.item_id FROM items i WHERE {where} ORDER BY i.parent_id, i.item_id"
        return [row[0] for row in self._catalog.rows(sql, (self._only, self._run_id))]
