"""Truth, parts, atoms and scores of pictures, row by row: what is trained on, tuned on and measured on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from mekiki.catalog.db import Catalog
from mekiki.catalog.items import class_names, select_items
from mekiki.catalog.predictions import predict_runs, read_predictions
from mekiki.catalog.results import hash_rows, iter_labels, read_split
from mekiki.errors import DataError, UsageError, unknown_name
from mekiki.records import LABELLED_KINDS, STATE_CODES, Item, ItemKind


@dataclass(frozen=True, slots=True)
class Examples:
    """Labelled pictures of some parts of a split, in the order of their ids; rows belong together.

    Attributes:
        items: The pictures.
        class_names: Columns of ``truth``.
        truth: ``(N, C)`` int8: 1 present, 0 absent, -1 unsure or not asked.
        parts: Part of each picture.
        atoms: ``(N,)`` int64: pictures with the same number belong together.
        split_run_id: The split.
        n_unlabelled: Pictures of these parts that nobody labelled; they are left out.
        n_other_kinds: Vectors of the split that are left out, since pixels are wanted.
    """

    items: tuple[Item, ...]
    class_names: tuple[str, ...]
    truth: NDArray[np.int8]
    parts: tuple[str, ...]
    atoms: NDArray[np.int64]
    split_run_id: str
    n_unlabelled: int = 0
    n_other_kinds: int = 0

    def __len__(self) -> int:
        return len(self.items)

    def take(self, rows: Sequence[int] | NDArray[np.int64]) -> Examples:
        """Return some of the rows."""
        chosen = [int(row) for row in rows]
        items, parts = tuple(self.items[row] for row in chosen), tuple(self.parts[row] for row in chosen)
        return replace(self, items=items, truth=self.truth[chosen], parts=parts, atoms=self.atoms[chosen])

    def of_part(self, *parts: str) -> Examples:
        """Return the rows of these parts."""
        return self.take([row for row, part in enumerate(self.parts) if part in parts])

    def fingerprint(self) -> str:
        """Return what stands for ids, labels and parts in a run's fingerprint."""
        ids = [item.item_id for item in self.items]
        return hash_rows([self.class_names, ids, self.parts, (self.truth.tobytes(), self.atoms.tobytes())])


def read_examples(
    catalog: Catalog, split_run_id: str, classes: Sequence[str] = (), kinds: Sequence[ItemKind] = LABELLED_KINDS
) -> Examples:
    """Return all that is labelled in a split, with its parts.

    Args:
        catalog: Where from.
        split_run_id: See `mekiki.catalog.results.require_split`.
        classes: Columns in this order; empty takes all classes of the workspace in theirs.
        kinds: Kinds of item; what looks at pixels leaves vectors out.

    Raises:
        UsageError: If a class is asked for that the workspace does not know.
        DataError: If the workspace has no classes, or no picture of the split is labelled.
    """
    known = class_names(catalog)
    for name in classes:
        if name not in known:
            raise unknown_name("class", name, known)
    if len(set(classes)) != len(classes):
        raise UsageError(f"a class is named twice: {', '.join(classes)}")
    names = tuple(classes) or tuple(known)
    if not names:
        raise DataError(
            f"nothing in {catalog.workspace} is labelled: mekiki annotate -w {catalog.workspace}, or "
            f"mekiki ingest --labels FILE -w {catalog.workspace}"
        )
    dealt = read_split(catalog, split_run_id)
    columns = {name: column for column, name in enumerate(names)}
    states: dict[str, NDArray[np.int8]] = {}
    for item_id, labels in iter_labels(catalog):
        if item_id in dealt:
            row = np.full(len(names), -1, np.int8)
            for name, (state, _) in labels.items():
                if name in columns:
                    row[columns[name]] = STATE_CODES[state]
            if (row >= 0).any():
                states[item_id] = row
    everything = [item for item in select_items(catalog, LABELLED_KINDS) if item.item_id in dealt]
    pictures = [item for item in everything if item.kind in kinds]
    items = tuple(item for item in pictures if item.item_id in states)
    if not pictures and everything:
        raise DataError(
            f"the split holds {len(everything)} vectors and no picture, so that there are no pixels to look at: "
            f"mekiki train --head mlp -w {catalog.workspace} learns from vectors"
        )
    if not items:
        raise DataError(f"no picture of the split is labelled: mekiki annotate -w {catalog.workspace}")
    numbers = {atom: number for number, atom in enumerate(sorted({dealt[one.item_id].atom for one in items}))}
    return Examples(
        items,
        names,
        np.stack([states[one.item_id] for one in items]),
        tuple(dealt[one.item_id].part for one in items),
        np.array([numbers[dealt[one.item_id].atom] for one in items], np.int64),
        split_run_id,
        len(pictures) - len(items),
        len(everything) - len(pictures),
    )


def read_scores(catalog: Catalog, scores_id: str, name: str, examples: Examples) -> NDArray[np.float32]:
    """Return the stored scores of a model, row by row of ``examples``; ``(N, C)`` float32, not calibrated.

    All are of one run: the latest finished one that has every picture.

    Args:
        catalog: Where from.
        scores_id: Of the model's card.
        name: What messages call the model.
        examples: Whose scores; its classes are the model's.

    Raises:
        DataError: If no run has scores of all pictures, with how many the best one lacks, and what to type.
    """
    if not len(examples):
        return np.empty((0, len(examples.class_names)), np.float32)
    missing = list(examples.items)
    for run_id in predict_runs(catalog, scores_id):
        stored = read_predictions(catalog, run_id, examples.class_names)
        lacking = [item for item in examples.items if item.item_id not in stored]
        if not lacking:
            return np.stack([stored[item.item_id] for item in examples.items])
        missing = min(missing, lacking, key=len)
    raise DataError(
        f"{len(missing)} of {len(examples)} pictures have no scores of model {name!r}, the first is "
        f"{missing[0].path}: mekiki predict {name} -w {catalog.workspace}"
    )
