"""Detections in tests: boxes and crops stored as ``detect`` stores them, without a detector."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mekiki.catalog.crops import crops_of, new_crop, write_crops
from mekiki.catalog.db import Catalog
from mekiki.catalog.items import select_items
from mekiki.catalog.results import BoxRow, write_boxes
from mekiki.engine.run import begin_run, describe_run, end_run
from mekiki.records import RunSummary
from mekiki.settings import Settings
from vectors import store_vectors
from workspaces import make_photos, query

Found = tuple[str, tuple[float, float, float, float]]
"""A class and a box in pixels of the picture."""


def store_detections(workspace: Path, found: Mapping[str, Sequence[Found]], identity: str = "toy") -> str:
    """Store picture id to what was found there, the surest first, as a finished ``detect`` run; return the run's id."""
    with Catalog(workspace) as catalog, catalog.writing("detect"):
        run = describe_run("detect", Settings(), identity, {})
        begin_run(catalog, run)
        items = {item.item_id: item for item in select_items(catalog, ["image", "frame"])}
        with catalog.transaction("detect", run["run_id"]) as transaction:
            for item_id, boxes in found.items():
                crops = [new_crop(items[item_id], xyxy) for _, xyxy in boxes]
                rows = [
                    BoxRow(item_id, position, name, 0.9 - position / 1000, xyxy, crop.item_id)
                    for position, ((name, xyxy), crop) in enumerate(zip(boxes, crops, strict=True))
                ]
                write_boxes(transaction, rows)
                write_crops(transaction, crops)
        end_run(catalog, RunSummary("detect", run["run_id"], n_selected=len(found), n_written=len(found)))
    return str(run["run_id"])


def street(workspace: Path, class_names: Sequence[str], n_photos: int = 4) -> list[str]:
    """Make photos with one object per name, dealt out in turn, and return the crops' ids in the order of the names."""
    make_photos(workspace, n_photos)
    photos = [row[0] for row in query(workspace, "SELECT item_id FROM sources ORDER BY path")]
    found: dict[str, list[Found]] = {photo: [] for photo in photos}
    places = []
    for number, name in enumerate(class_names):
        photo, step = photos[number % n_photos], number // n_photos
        box = (float(step % 8 * 10), float(step // 8 * 3), float(step % 8 * 10 + 12), float(step // 8 * 3 + 9))
        places.append((photo, len(found[photo])))
        found[photo].append((name, box))
    run_id = store_detections(workspace, found)
    sql = "SELECT item_id, position, crop_id FROM boxes WHERE run_id = ?"
    crop_at = {(photo, position): crop for photo, position, crop in query(workspace, sql, run_id)}
    with Catalog(workspace) as catalog:
        assert len(crops_of(catalog, run_id)) == len(class_names), "two boxes are one crop"
    return [crop_at[place] for place in places]


def cloud_with_strangers(n: int, strangers: Sequence[int], n_dims: int = 16, seed: int = 0) -> NDArray[np.float32]:
    """Return ``(n, n_dims)`` vectors near one direction, but for those of strangers, each in one of its own."""
    rng = np.random.default_rng(seed)
    vectors = rng.normal(0, 0.05, (n, n_dims))
    vectors[:, 0] += 1
    for number, row in enumerate(strangers, start=1):
        vectors[row] = 0
        vectors[row, number] = 1
    return vectors.astype(np.float32)


def mined_street(
    workspace: Path, class_names: Sequence[str], strangers: Sequence[int] = (), missing: Sequence[int] = ()
) -> list[str]:
    """Make a `street` whose crops have vectors, those of strangers unlike all others; ``missing`` ones have none."""
    crops = street(workspace, class_names)
    vectors = cloud_with_strangers(len(crops), strangers)
    store_vectors(workspace, {crop: vectors[row] for row, crop in enumerate(crops) if row not in missing})
    return crops
