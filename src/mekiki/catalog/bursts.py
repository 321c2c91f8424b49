"""Which stills in the catalog were taken in one burst."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePath

from mekiki.catalog.attributes import read_attributes
from mekiki.catalog.db import Catalog
from mekiki.catalog.items import GroupRow
from mekiki.dataset.claims import placed_groups
from mekiki.dataset.groups import captured_at_to_s, find_bursts


def burst_groups(
    catalog: Catalog, gap_s: float, about_to_be: Mapping[str, Mapping[str, str]] | None = None
) -> list[GroupRow]:
    """Return the burst memberships of all stills with a time.

    A camera is its site and camera if they are known, else the folder of the file and the camera's model; stills of
    which neither is known stand alone.

    Args:
        catalog: Where the stills are.
        gap_s: Largest gap in seconds between neighbours; 0 finds none.
        about_to_be: Item id to attributes that the catalog is about to get.
    """
    if gap_s <= 0:
        return []
    attributes = read_attributes(catalog)
    sql = (
        "SELECT i.item_id, i.captured_at, min(s.path) FROM items i JOIN sources s ON s.item_id = i.item_id "
        "WHERE i.kind = 'image' GROUP BY i.item_id ORDER BY i.item_id"
    )
    item_ids, times, cameras = [], [], []
    for item_id, captured_at, path in catalog.rows(sql):
        known = {**attributes.get(item_id, {}), **(about_to_be or {}).get(item_id, {})}
        when = known.get("captured_at", captured_at)
        if when is None:
            continue
        item_ids.append(item_id)
        times.append(when)
        cameras.append(_camera(known, path))
    bursts = find_bursts(captured_at_to_s(times), cameras, gap_s)
    # The key is made from content, so that photos that are moved stay in the same burst.
    return [GroupRow("burst", min(item_ids[one] for one in rows), item_ids[row]) for _, rows in bursts for row in rows]


def _camera(known: dict[str, str], path: str) -> str | None:
    if "camera" in known:
        return placed_groups({"site": known.get("site", ""), "camera": known["camera"]})["camera"]
    if "camera_model" in known or "site" in known:
        return f"{known.get('site', '')}/{PurePath(path).parent}/{known.get('camera_model', '')}"
    return None
