"""Rows of ``items`` with the file behind each: of a crop, that of the picture that it is cut from."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, cast

from mekiki.catalog.db import Catalog
from mekiki.catalog.sources import standing_source
from mekiki.records import Item, ItemKind

HAS_FILE = (
    "(CASE WHEN i.kind IN ('image', 'video', 'vector') "
    "THEN EXISTS (SELECT 1 FROM sources s WHERE s.item_id = i.item_id) "
    "WHEN i.kind = 'crop' THEN EXISTS (SELECT 1 FROM items p WHERE p.item_id = i.parent_id AND (p.kind <> 'image' "
    "OR EXISTS (SELECT 1 FROM sources s WHERE s.item_id = p.item_id))) ELSE 1 END)"
)
"""Whether an item ``i`` has a file that is known, or is made from one."""

ITEM_ROWS = (
    "SELECT i.item_id, i.kind, CASE i.kind WHEN 'crop' THEN w.path ELSE i.path END, "
    "i.width_px, i.height_px, i.parent_id, i.time_s, s.path, s.size_bytes, s.mtime_ns, "
    "EXISTS (SELECT 1 FROM sources other WHERE other.item_id = s.item_id AND other.path > s.path), "
    "CASE i.kind WHEN 'crop' THEN i.parameters END, w.height_px, w.width_px "
    "FROM items i LEFT JOIN sources s ON s.item_id = CASE i.kind WHEN 'crop' THEN i.parent_id ELSE i.item_id END "
    "AND s.path = (SELECT min(path) FROM sources f WHERE f.item_id = s.item_id) "
    "LEFT JOIN items w ON w.item_id = i.parent_id AND i.kind = 'crop'"
)
"""What `as_item` takes, of items ``i``; the files of a crop are those of its parent."""


def as_item(catalog: Catalog, row: Sequence[Any]) -> Item:
    """Return a row of `ITEM_ROWS` as an item."""
    owner = row[5] if row[1] == "crop" else row[0]
    source = standing_source(catalog, owner) if row[10] else row[7:10]
    stored = source[0] or row[2]
    return Item(
        item_id=row[0],
        kind=cast(ItemKind, row[1]),
        path=catalog.locate(stored) if stored else None,
        width_px=row[3],
        height_px=row[4],
        parent_id=row[5],
        time_s=row[6],
        size_bytes=source[1],
        mtime_ns=source[2],
        box=tuple(json.loads(row[11])["xyxy"]) if row[11] else None,
        whole_hw=(row[12], row[13]) if row[12] else None,
    )
