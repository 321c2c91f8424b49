"""Boxes of objects: what came with label files, what a run of ``detect`` kept of what it found, and how many."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mekiki.catalog.attributes import write_attributes
from mekiki.catalog.crops import write_crops
from mekiki.catalog.db import Catalog, Transaction
from mekiki.catalog.items import NewItem
from mekiki.catalog.results import BoxRow, write_boxes

DROPPED = "boxes_dropped"
"""Attribute of a picture of which not all boxes were kept: how many were not. It goes out to nobody."""

REFUSED = "boxes_refused"
"""Attribute of a picture of which some boxes cannot be used: how many. It goes out to nobody."""


@dataclass(frozen=True, slots=True)
class KeptBoxes:
    """What is kept of one picture's boxes.

    Attributes:
        item_id: The picture.
        boxes: The surest first.
        crops: One for each box; boxes that are cut at the same place share one.
        n_dropped: Boxes that were found and are not kept.
        n_refused: Boxes that were said to be there and cannot be used.
    """

    item_id: str
    boxes: tuple[BoxRow, ...]
    crops: tuple[NewItem, ...]
    n_dropped: int = 0
    n_refused: int = 0


@dataclass(frozen=True, slots=True)
class FoundCounts:
    """What a run of ``detect`` has come to.

    Attributes:
        n_boxes: Kept.
        n_dropped: Found and not kept.
        n_refused: Said to be there, and of no use.
        n_crops: Different ones.
        n_empty: Pictures that were looked at and have no box.
        classes: Class to number of boxes that were kept, the most frequent first.
    """

    n_boxes: int
    n_dropped: int
    n_refused: int
    n_crops: int
    n_empty: int
    classes: dict[str, int]


def write_kept(transaction: Transaction, pictures: Sequence[KeptBoxes]) -> int:
    """Write boxes and crops of pictures, and return how many of both."""
    n_boxes = write_boxes(transaction, (box for one in pictures for box in one.boxes))
    left = [(one.item_id, DROPPED, one.n_dropped) for one in pictures]
    left += [(one.item_id, REFUSED, one.n_refused) for one in pictures]
    write_attributes(transaction, ((item_id, name, str(n)) for item_id, name, n in left if n))
    return n_boxes + write_crops(transaction, (crop for one in pictures for crop in one.crops))


def count_found(catalog: Catalog, run_id: str) -> FoundCounts:
    """Return what a run has come to, over all its invocations."""
    per_class = "SELECT class_name, count(*) FROM boxes WHERE run_id = ? GROUP BY class_name ORDER BY 2 DESC, 1"
    classes = dict(catalog.rows(per_class, (run_id,)))
    left = "SELECT coalesce(sum(value), 0) FROM attributes WHERE run_id = ? AND name = ?"
    empty = (
        "SELECT count(*) FROM done d WHERE run_id = ? AND NOT EXISTS "
        "(SELECT 1 FROM boxes b WHERE b.run_id = d.run_id AND b.item_id = d.item_id)"
    )
    return FoundCounts(
        n_boxes=sum(classes.values()),
        n_dropped=int(catalog.value(left, (run_id, DROPPED))),
        n_refused=int(catalog.value(left, (run_id, REFUSED))),
        n_crops=int(catalog.value("SELECT count(DISTINCT crop_id) FROM boxes WHERE run_id = ?", (run_id,))),
        n_empty=int(catalog.value(empty, (run_id,))),
        classes=classes,
    )


def boxes_from_files(catalog: Catalog) -> dict[str, list[BoxRow]]:
    """Return item id to the boxes that label files had for it, in their order; of several ``ingest``, the latest."""
    found: dict[str, list[BoxRow]] = {}
    run_of: dict[str, str] = {}
    sql = (
        "SELECT b.run_id, item_id, position, class_name, score, x_min, y_min, x_max, y_max FROM boxes b "
        "JOIN runs r ON r.run_id = b.run_id WHERE r.stage = 'ingest' ORDER BY r.sequence, item_id, position"
    )
    for run_id, item_id, position, class_name, score, *edges in catalog.rows(sql):
        if run_of.get(item_id) != run_id:
            run_of[item_id] = run_id
            found[item_id] = []
        found[item_id].append(BoxRow(item_id, position, class_name, score, (edges[0], edges[1], edges[2], edges[3])))
    return found
