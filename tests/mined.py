"""Workspaces with crops that were detected, embedded and mined, planted without anybody who does these things."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mekiki.catalog.crops import new_crop, write_crops
from mekiki.catalog.db import Catalog
from mekiki.catalog.items import select_items
from mekiki.catalog.mining import COMBINED, MINING_NAME, Chosen, Mining, write_rarity
from mekiki.catalog.results import BoxRow, write_boxes
from mekiki.engine.run import begin_run, describe_run, end_run, run_folder, write_text
from mekiki.rarity.class_names import coco_to_nuscenes
from mekiki.records import RunSummary, Tally
from mekiki.settings import Settings
from vectors import space_of, store_vectors
from workspaces import make_photos

BOXES = ((1.0, 2.0, 41.0, 42.0), (30.0, 10.0, 90.0, 60.0), (5.0, 5.0, 25.0, 60.0))
SPELLED = ("car", "person", "traffic light", "truck", "bicycle", "cow")
"""Classes of the crops in turn, as COCO spells them."""

COMMON = ("car", "pedestrian", "traffic_light", "traffic_sign")
CONCEPTS = ("bus", "construction vehicle", "car", "pedestrian")


def make_crops(workspace: Path, n_photos: int = 4, boxes: Sequence[tuple[float, ...]] = BOXES) -> list[str]:
    """Ingest photos with some boxes in each; return the ids of the crops, in the order of ids."""
    make_photos(workspace, n_photos)
    with Catalog(workspace) as catalog, catalog.writing("detect"):
        run = _begun(catalog, "detect", "blobs planted")
        made: list[str] = []
        with catalog.transaction("detect", run) as transaction:
            for parent in select_items(catalog, ["image"]):
                crops = [new_crop(parent, box) for box in boxes]  # type: ignore[arg-type]
                write_crops(transaction, crops)
                rows = []
                for place, (crop, box) in enumerate(zip(crops, boxes, strict=True)):
                    name = SPELLED[len(made) % len(SPELLED)]
                    made.append(crop.item_id)
                    rows.append(BoxRow(parent.item_id, place, name, 0.9, box, crop.item_id))  # type: ignore[arg-type]
                write_boxes(transaction, rows)
        end_run(catalog, RunSummary("detect", run, n_selected=n_photos, n_written=n_photos))
    return sorted(made)


def make_mining(
    workspace: Path,
    crop_ids: Sequence[str],
    n_chosen: int = 4,
    vectors: Mapping[str, NDArray[np.float32]] | None = None,
    concepts: Sequence[str] = CONCEPTS,
    **changes: Any,
) -> Mining:
    """Write a finished mining over crops of `make_crops`; the chosen are the first by a fixed shuffle, rarest first."""
    given = {key: np.eye(8, dtype=np.float32)[row % 8] for row, key in enumerate(crop_ids)}
    vector_run = store_vectors(workspace, vectors or given, space_of(8) if vectors is None else None)
    order = [crop_ids[place] for place in np.random.default_rng(3).permutation(len(crop_ids))]
    with Catalog(workspace) as catalog, catalog.writing("mine"):
        detect_run = next(run for (run,) in catalog.rows("SELECT run_id FROM runs WHERE stage = 'detect'"))
        spelled = dict(catalog.rows("SELECT crop_id, class_name FROM boxes"))
        class_map = coco_to_nuscenes()
        run = _begun(catalog, "mine", repr((list(crop_ids), n_chosen, list(concepts), sorted(changes.items()))))
        mining = Mining(
            **{
                "run_id": run,
                "selected": tuple(
                    Chosen(item_id, rank, 1 - rank / 100, {"knn": 1 - rank / 100}, (f"knn: {rank}",))
                    for rank, item_id in enumerate(order[:n_chosen], start=1)
                ),
                "tallies": (Tally("selection", "crops", len(order), n_chosen, len(order) - n_chosen),),
                "scorers": ("knn",),
                "vector_run_id": vector_run,
                "detect_run_id": detect_run,
                "class_of": {item_id: class_map.mapped(spelled[item_id]) for item_id in crop_ids},
                "named": {item_id: spelled[item_id] for item_id in crop_ids},
                "common_classes": COMMON,
                "target_classes": ("bicycle", "construction_vehicle"),
                "concepts": tuple(concepts),
                "class_map": class_map,
                **changes,
            }
        )
        path = write_text(run_folder(catalog, run) / MINING_NAME, mining.text())
        with catalog.transaction("mine", run) as transaction:
            write_rarity(transaction, {COMBINED: [(item_id, 1 - place / 100) for place, item_id in enumerate(order)]})
        outputs = {MINING_NAME: catalog.relative(path)}
        end_run(catalog, RunSummary("mine", run, n_selected=len(order), n_written=len(order), outputs=outputs))
    return mining


def _begun(catalog: Catalog, stage: str, identity: str) -> str:
    run = describe_run(stage, Settings(), identity, {})
    begin_run(catalog, run)
    return str(run["run_id"])
