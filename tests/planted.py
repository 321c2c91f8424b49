"""Workspaces whose labels, parts and scores are planted, so that what tuning and evaluation must find is known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from mekiki.catalog.db import Catalog, Transaction
from mekiki.catalog.items import NewItem, write_classes, write_items
from mekiki.catalog.models import ModelRow, write_models
from mekiki.catalog.predictions import write_predictions
from mekiki.catalog.results import LabelRow, SplitRow, write_labels, write_split
from mekiki.catalog.runs import finish_run, start_run
from mekiki.media.preprocessing import Preprocessing
from mekiki.records import LabelState
from mekiki.training.card import ModelCard
from mekiki.training.checkpoint import save_model

CLASSES = ("fox", "hare", "タヌキ")
STATES: Mapping[int, LabelState] = {1: "present", 0: "absent"}
PREPROCESSING = Preprocessing(resize="squash", resize_hw=(8, 8), crop_hw=(8, 8), mean=(0.5,) * 3, std=(0.5,) * 3)


@dataclass(frozen=True)
class Planted:
    """Rows belong together."""

    workspace: Path
    item_ids: tuple[str, ...]
    truth: NDArray[np.int8]
    parts: tuple[str, ...]
    atoms: NDArray[np.int64]
    split_run_id: str = "split0"
    classes: tuple[str, ...] = CLASSES

    def rows(self, part: str) -> NDArray[np.int64]:
        return np.flatnonzero(np.asarray(self.parts) == part)


def some_truth(n_items: int, seed: int = 0, share: float = 0.4) -> NDArray[np.int8]:
    """Return ``(N, 3)`` states; pictures come in pairs with the same truth, as frames of one clip do."""
    states = np.random.default_rng(seed).random((-(-n_items // 2), len(CLASSES))) < share
    return np.repeat(states, 2, axis=0)[:n_items].astype(np.int8)


def plant(
    workspace: Path,
    truth: NDArray[np.int8],
    shares: Mapping[str, float] | None = None,
    classes: Sequence[str] = CLASSES,
) -> Planted:
    """Fill a workspace with pictures that have no pixels, their labels (-1 is not asked) and a split; no torch runs.

    Two pictures after one another are of one atom. Parts are dealt out in the order of atoms: a third each of
    ``train``, ``val`` and ``test`` by default.
    """
    wanted = shares or {"train": 1 / 3, "val": 1 / 3, "test": 1 / 3}
    n_items = len(truth)
    item_ids = tuple(sorted(sha256(f"item {number}".encode()).hexdigest()[:32] for number in range(n_items)))
    atoms = np.arange(n_items) // 2
    edges = np.cumsum(list(wanted.values())) * (atoms[-1] + 1)
    parts = tuple(list(wanted)[min(int(np.searchsorted(edges, atom, "right")), len(wanted) - 1)] for atom in atoms)
    planted = Planted(workspace, item_ids, truth, parts, atoms, classes=tuple(classes))
    with Catalog(workspace) as catalog:
        with catalog.transaction("ingest", "ingest0") as transaction:
            _run(catalog, transaction, "ingest", "ingest0")
            write_items(transaction, (NewItem(one, "image", 8, 8) for one in item_ids))
            sources = ((f"/photos/{row:04d}.jpg", one, 1, 1) for row, one in enumerate(item_ids))
            transaction.upsert("sources", ("path", "item_id", "size_bytes", "mtime_ns"), sources)
            write_classes(transaction, classes)
            write_labels(transaction, _labels(planted, truth))
        write_parts(catalog, planted, "split0", parts)
    return planted


def write_parts(catalog: Catalog, planted: Planted, run_id: str, parts: Sequence[str], name: str = "default") -> None:
    with catalog.transaction("split", run_id) as transaction:
        _run(catalog, transaction, "split", run_id, {"name": name})
        rows = zip(planted.item_ids, parts, planted.atoms.tolist(), strict=True)
        write_split(transaction, (SplitRow(one, part, f"atom{atom:06d}") for one, part, atom in rows))


def relabel(planted: Planted, truth: NDArray[np.int8]) -> None:
    """Let a person say otherwise."""
    with Catalog(planted.workspace) as catalog, catalog.transaction("annotate", "annotate0") as transaction:
        _run(catalog, transaction, "annotate", "annotate0")
        write_labels(transaction, _labels(planted, truth, "human:anna"))


def plant_model(planted: Planted, name: str, scores: NDArray[np.floating] | None, **fields: Any) -> ModelRow:
    """Write a model file and its row, and its scores of all pictures where some are given."""
    seed = int(sha256(name.encode()).hexdigest()[:8], 16)
    known = {"name": name, "arch": "none", "class_names": planted.classes, "preprocessing": PREPROCESSING}
    card = ModelCard(**{**known, "split": {"run_id": planted.split_run_id}, **fields})
    tensors = {"weight": torch.rand(4, generator=torch.Generator().manual_seed(seed))}
    model_id, path, saved = save_model(planted.workspace / "models", card, tensors)
    row = ModelRow(model_id, f"train {name}", name, path)
    with Catalog(planted.workspace) as catalog:
        with catalog.transaction("train", row.run_id) as transaction:
            _run(catalog, transaction, "train", row.run_id)
            write_models(transaction, [row])
        if scores is not None:
            write_scores(catalog, planted, saved.scores_id, scores)
    return row


def write_scores(
    catalog: Catalog, planted: Planted, scores_id: str, scores: NDArray[np.floating], run_id: str = ""
) -> None:
    """Store scores as ``predict`` does; later runs count before earlier ones."""
    run_id = run_id or f"predict {scores_id}"
    with catalog.transaction("predict", run_id) as transaction:
        _run(catalog, transaction, "predict", run_id, identity=f"{scores_id} torch fp32")
        write_predictions(transaction, planted.classes, zip(planted.item_ids, scores.astype(np.float32), strict=True))


def _labels(planted: Planted, truth: NDArray[np.int8], annotator: str = "import:planted") -> list[LabelRow]:
    return [
        LabelRow(one, name, annotator, STATES[state], 1.0)
        for one, states in zip(planted.item_ids, truth.tolist(), strict=True)
        for name, state in zip(planted.classes, states, strict=True)
        if state >= 0
    ]


def _run(
    catalog: Catalog,
    transaction: Transaction,
    stage: str,
    run_id: str,
    settings: Mapping[str, Any] | None = None,
    identity: str = "",
) -> None:
    run = {"run_id": run_id, "stage": stage, "settings": dict(settings or {}), "identity": identity, "reads": {}}
    start_run(transaction, run)
    finish_run(catalog, transaction, run_id, {"n_failed": 0})
