"""What leaves a workspace: a model as ONNX or as what it says of the items, and what was measured, as seed 1 has it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from mekiki.catalog.db import Catalog
from mekiki.catalog.decided import KnownModel
from mekiki.catalog.evaluations import find_evaluation, require_evaluation
from mekiki.catalog.items import select_items
from mekiki.catalog.outgoing import Outgoing
from mekiki.catalog.predictions import hash_predictions, predict_runs
from mekiki.catalog.score_pages import iter_scores
from mekiki.dataset.formats.base import OutItem
from mekiki.dataset.formats.npy import split_row
from mekiki.dataset.formats.predictions_out import Prediction
from mekiki.dataset.formats.seed1_metrics import seed1_metrics
from mekiki.dataset.formats.seed5_out import Seed5, nsfw_column
from mekiki.dataset.formats.vectors_matrix import MATRIX_NAME
from mekiki.errors import DataError
from mekiki.intake.crop_reading import CropReading
from mekiki.media.finding import MEDIA_SUFFIXES
from mekiki.media.images import encode_jpeg
from mekiki.records import VECTOR_SUFFIXES, Item
from mekiki.training.card import DEFAULT_THRESHOLD

SEED5 = "seed5"
MODEL_FORMATS = ("onnx", SEED5)

CROP_QUALITY = 95
"""Of the JPEG files that crops become."""


def model_reads(catalog: Catalog, model: KnownModel, format_name: str) -> dict[str, str]:
    """Return what else than the model goes out: for seed 5 the run of ``predict`` whose scores it is.

    Raises:
        UsageError: If the model has no class that could be the seed's.
        DataError: If no scores of it are stored.
    """
    if format_name != SEED5:
        return {}
    nsfw_column(model.card.class_names, "Take another --format")
    runs = predict_runs(catalog, model.card.scores_id)
    if not runs:
        raise DataError(
            f"model {model.name!r} has no scores here: mekiki predict {model.name} -w {catalog.workspace}, then export"
        )
    return {"predictions": runs[0], "scores": hash_predictions(catalog, runs[0])}


def write_model_as(catalog: Catalog, model: KnownModel, format_name: str, path: Path, *, allow_code: bool) -> Path:
    """Write a model, or its stored scores with its decisions, and return the file.

    Args:
        catalog: The workspace.
        model: Which.
        format_name: One of `MODEL_FORMATS`.
        path: The file, without its ending.
        allow_code: Whether the program that its backbone may be can be run.
    """
    if format_name == SEED5:
        column = nsfw_column(model.card.class_names)
        limits = model.card.thresholds or (DEFAULT_THRESHOLD,) * len(model.card.class_names)
        return Seed5(column, limits[column]).write(path.with_name(f"{path.name}.json"), _said(catalog, model))
    from mekiki.training.checkpoint import read_tensors
    from mekiki.training.onnx_export import export_onnx

    return export_onnx(model.card, read_tensors(model.path), path.with_name(f"{path.name}.onnx"), allow_code=allow_code)


def seed1_measured(
    catalog: Catalog, split_run_id: str | None, model_name: str | None, going: Outgoing
) -> dict[str, Any] | None:
    """Return seed 1's metrics JSON of the latest evaluation on the split's test part; None where there is none.

    Raises:
        DataError: If there is none and a model is named.
        UsageError: If it was not measured.
    """
    find = find_evaluation if model_name is None else require_evaluation
    found = find(catalog, split_run_id, "test")
    if found is None:
        return None
    n_pictures = Counter(item.part for item in going.items if item.part and item.states)
    return seed1_metrics(
        found.model(model_name), n_pictures, found.run.finished_at or found.run.started_at, found.run.device
    )


def crop_cutter() -> Callable[[OutItem], bytes]:
    """Return what gives a crop on its way out as a JPEG file of quality 95; crops of one picture share its decoding.

    It raises `UnreadableError` where the picture is gone or cannot be decoded.
    """
    reading = CropReading()

    def cut(item: OutItem) -> bytes:
        crop = Item(
            item.item_id, "crop", item.path, item.width_px, item.height_px, box=item.box, whole_hw=item.whole_hw
        )
        return encode_jpeg(reading.open(crop)(None), CROP_QUALITY)

    return cut


def is_one_of_many(name: Path) -> bool:
    """Return whether a file is one picture or vector of those that an export holds."""
    suffix = name.suffix.lower()
    return suffix in MEDIA_SUFFIXES or (suffix in VECTOR_SUFFIXES and name.name != MATRIX_NAME)


def _said(catalog: Catalog, model: KnownModel) -> Iterator[Prediction]:
    """Yield what a model's stored scores say of the workspace's items, in the order of their ids."""
    items = {item.item_id: item for item in select_items(catalog, model.kinds)}
    (run_id, *_) = predict_runs(catalog, model.card.scores_id)
    for ids, raw in iter_scores(catalog, run_id, model.card.class_names):
        scores = model.card.finish(raw)
        for item_id, own, is_present in zip(ids, scores, model.card.decide(scores), strict=True):
            item = items.get(item_id)
            if item is None:  # forgotten, or all its files are gone
                continue
            path, row = split_row(item.path or item_id)
            if item.kind == "vector":
                yield Prediction(path, model.card.class_names, own, is_present, row=row or 0)
            else:
                yield Prediction(path, model.card.class_names, own, is_present)
