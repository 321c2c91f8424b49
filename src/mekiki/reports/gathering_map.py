"""What is known of the points of a map: the file, class, part and rarity of each."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from mekiki.catalog.crops import crops_of
from mekiki.catalog.db import Catalog
from mekiki.catalog.mining import COMBINED, find_mining, read_rarity
from mekiki.catalog.results import read_labels, read_split
from mekiki.catalog.vector_search import names_of_items
from mekiki.records import UNKNOWN, Item
from mekiki.reports.gathering import shorten
from mekiki.reports.map_points import MapPoint


def map_points(
    catalog: Catalog,
    items: Sequence[Item],
    split_run_id: str | None = None,
    mining: str | None = None,
    detect_run_id: str | None = None,
) -> tuple[MapPoint, ...]:
    """Return what is known of items, in their order.

    A crop has the class that its detector gave it in the run whose crops these are, and the part of its picture. Other
    items have the classes that labels say are present, joined, in the order of names.

    Args:
        catalog: Where from.
        items: What lies on the map.
        split_run_id: Whose parts; None for none.
        mining: The beginning of the id of a run of ``mine``; None for the latest.
        detect_run_id: Of the crops; None where there are none.

    Raises:
        UsageError: If there is no such run.
    """
    names = names_of_items(catalog, [item.item_id for item in items])
    crops = {one.item_id: one for one in crops_of(catalog, detect_run_id)} if detect_run_id else {}
    labelled = _labelled(catalog) if any(item.kind != "crop" for item in items) else {}
    parts = {item_id: row.part for item_id, row in read_split(catalog, split_run_id).items()} if split_run_id else {}
    mined = find_mining(catalog, mining)
    rarity = read_rarity(catalog, mined.run_id).get(COMBINED, {}) if mined else {}
    chosen = mined.chosen() if mined else {}
    points = []
    for item in items:
        crop = crops.get(item.item_id)
        one = chosen.get(item.item_id)
        points.append(
            MapPoint(
                item_id=item.item_id,
                name=shorten(Path(names.get(item.item_id, item.item_id))),
                class_name=crop.class_name if crop else labelled.get(item.item_id, ""),
                class_score=crop.score if crop else None,
                part=parts.get(item.item_id) or parts.get(item.parent_id or "", ""),
                rarity=rarity.get(item.item_id),
                rank=one.rank if one else None,
            )
        )
    return tuple(points)


def _labelled(catalog: Catalog) -> dict[str, str]:
    """Return item id to what labels say is there; `UNKNOWN` where every class is absent."""
    found: dict[str, str] = {}
    for item_id, words in read_labels(catalog).items():
        present = sorted(name for name, (state, _) in words.items() if state == "present")
        is_unknown = all(state == "absent" for state, _ in words.values())
        found[item_id] = ", ".join(present) or (UNKNOWN if is_unknown else "")
    return found
