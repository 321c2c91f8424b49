"""Piles in tests: a workspace whose pictures, or crops of pictures, have planted vectors and no pixels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mekiki.catalog.crops import new_crop, write_crops
from mekiki.catalog.db import Catalog
from mekiki.catalog.items import ItemSelection, NewItem, write_items
from mekiki.catalog.results import BoxRow, write_boxes
from mekiki.catalog.runs import write_done
from mekiki.engine.run import begin_run, describe_run, end_run
from mekiki.records import RunSummary
from mekiki.settings import Settings
from mekiki.training.vector_space import VectorSpace
from vectors import store_vectors

SIDE_PX = 200


@dataclass(frozen=True)
class PlantedPile:
    """Row i of ``names`` belongs to ``item_ids[i]``; ``crop_ids[i]`` are its crops, in the order of their boxes."""

    workspace: Path
    names: tuple[str, ...]
    item_ids: tuple[str, ...]
    crop_ids: tuple[tuple[str, ...], ...] = ()


def blob_with_outliers(n: int, n_rare: int, seed: int = 0, n_dims: int = 16) -> NDArray[np.float32]:
    """Return ``(n, D)``: a tight cloud round one direction; the first ``n_rare`` each stand in one of their own."""
    rng = np.random.default_rng(seed)
    vectors = np.eye(1, n_dims) * 4 + rng.normal(0, 0.2, (n, n_dims))
    vectors[:n_rare] = rng.normal(0, 4, (n_rare, n_dims))
    return vectors.astype(np.float32)


def plant_pictures(workspace: Path, vectors: NDArray[np.float32]) -> PlantedPile:
    """Fill a workspace with pictures ``/photos/0000.jpg`` ... that have these vectors."""
    planted = _plant_items(workspace, len(vectors))
    store_vectors(workspace, dict(zip(planted.item_ids, vectors, strict=True)))
    return planted


def plant_crops(
    workspace: Path,
    boxes: Sequence[Sequence[tuple[float, float, float, float]]],
    vectors: NDArray[np.float32],
    classes: Sequence[str] = (),
    not_looked_at: Sequence[int] = (),
    space: VectorSpace | None = None,
) -> PlantedPile:
    """Fill a workspace with pictures in which ``detect`` found these boxes.

    Args:
        workspace: Where.
        boxes: Of each picture.
        vectors: Of all crops one after the other; crops behind the last row have none.
        classes: Of all crops likewise; ``thing`` by default.
        not_looked_at: Pictures that ``detect`` has not done.
        space: Of the vectors; one that no embedder makes by default.
    """
    planted = _plant_items(workspace, len(boxes))
    crop_ids: list[tuple[str, ...]] = []
    with Catalog(workspace) as catalog, catalog.writing("detect"):
        run = describe_run("detect", Settings(), "", {})
        begin_run(catalog, run)
        items = {item.item_id: item for item in ItemSelection(catalog, ("image",))}
        with catalog.transaction("detect", run["run_id"]) as transaction:
            n_before = 0
            for picture, there in zip(planted.item_ids, boxes, strict=True):
                crops = [new_crop(items[picture], box) for box in there]
                write_crops(transaction, crops)
                names = [classes[n_before + place] if classes else "thing" for place in range(len(there))]
                rows = [
                    BoxRow(picture, place, name, 0.9, box, crop.item_id)
                    for place, (name, box, crop) in enumerate(zip(names, there, crops, strict=True))
                ]
                write_boxes(transaction, rows)
                crop_ids.append(tuple(crop.item_id for crop in crops))
                n_before += len(there)
            looked = [one for place, one in enumerate(planted.item_ids) if place not in not_looked_at]
            write_done(transaction, run["run_id"], looked)
        end_run(catalog, RunSummary("detect", run["run_id"], n_selected=len(looked), n_written=len(looked)))
    every = [crop_id for ids in crop_ids for crop_id in ids]
    store_vectors(workspace, dict(zip(every, vectors, strict=False)), space)
    return PlantedPile(workspace, planted.names, planted.item_ids, tuple(crop_ids))


def _plant_items(workspace: Path, n: int) -> PlantedPile:
    names = tuple(f"{number:04d}" for number in range(n))
    item_ids = tuple(sha256(name.encode()).hexdigest()[:32] for name in names)
    with Catalog(workspace) as catalog, catalog.transaction("ingest") as transaction:
        write_items(transaction, [NewItem(one, "image", SIDE_PX, SIDE_PX) for one in item_ids])
        sources = ((f"/photos/{name}.jpg", one, 1, 1) for name, one in zip(names, item_ids, strict=True))
        transaction.upsert("sources", ("path", "item_id", "size_bytes", "mtime_ns"), sources)
    return PlantedPile(workspace, names, item_ids)
