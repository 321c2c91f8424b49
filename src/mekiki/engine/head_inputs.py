"""What a head is trained on: labelled items with vectors, what they are seen through, and what is refused."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from mekiki.catalog.scored import Examples
from mekiki.catalog.trainable import Wanted, failure_of
from mekiki.catalog.vectors import StoredVectors, VectorRun
from mekiki.errors import DataError, UsageError
from mekiki.records import Failure
from mekiki.training.head_settings import HeadSettings
from mekiki.training.projections import ProjectionMatrix, parse_projection, read_projection
from mekiki.training.vector_space import VectorSpace

N_AT_ONCE = 8192
"""Vectors that are read together."""

N_FOR_SEARCH, N_PRESENT_FOR_SEARCH = 200, 50
"""Pictures of validation, and those that show a class, below which a search is told to fit them."""

RUN_KEY, PRECISION_KEY = "vectors", "vectors_precision"
"""Settings of a head's card: which run's vectors it was trained on, and in which precision these were computed."""

WantedProjection = ProjectionMatrix | tuple[Literal["orthogonal", "pca"], int] | None
"""One that a file had; a kind and a size, to be made; or none."""


@dataclass(frozen=True, slots=True)
class HeadTask:
    """One training of a head, as the stage knows it.

    Attributes:
        settings: All of them.
        examples: Labelled items of the two parts.
        wanted: Which they are.
        activation: Of the head's outputs.
        facts: Further fields of its card: the certificate of the split.
        negative: The other of two classes where one score is asked for; kept in the card's settings.
        device: What it computes on.
        max_failed_share: Stop when more of the items have no vector.
        wandb: Project of Weights & Biases; None for none.
    """

    settings: HeadSettings
    examples: Examples
    wanted: Wanted
    activation: Literal["sigmoid", "softmax"]
    facts: Mapping[str, Any]
    negative: str | None
    device: str
    max_failed_share: float
    wandb: str | None


def check_labels(task: HeadTask) -> Examples:
    """Return the examples that the activation can learn from.

    Softmax needs one class for each item; items of which that is not known, since they are unsure, are left out.

    Raises:
        UsageError: If softmax is asked for and there is one class only, or an item has none or several.
    """
    examples = task.examples
    if task.activation == "sigmoid":
        return examples
    if len(examples.class_names) < 2:
        raise UsageError("--activation softmax needs two classes or more: with one, leave it out")
    n_present = (examples.truth == 1).sum(axis=1)
    is_unsure = (n_present == 0) & (examples.truth == -1).any(axis=1)
    is_wrong = (n_present != 1) & ~is_unsure
    if is_wrong.any():
        first = examples.items[int(np.flatnonzero(is_wrong)[0])]
        n_several = int((n_present > 1).sum())
        raise UsageError(
            f"--activation softmax needs one class for each item, and {int(is_wrong.sum()) - n_several} have none and "
            f"{n_several} several, such as {first.path}: leave it out, so that each class has a score of its own"
        )
    return examples.take(np.flatnonzero(~is_unsure))


def input_options(n_dims: int, projection: ProjectionMatrix | None) -> dict[str, Any]:
    """Return the part of a card's ``arch_options`` that says what comes in."""
    if projection is None:
        return {"n_inputs": n_dims}
    return {"n_inputs": n_dims, "projection_dims": len(projection.weight), "projection_kind": projection.kind}


def wanted_projection(settings: HeadSettings, space: VectorSpace) -> WantedProjection:
    """Return what ``--projection`` asks for, a file being read.

    Raises:
        UsageError: If the file's is for vectors of another length.
        UnreadableError: If it cannot be read.
    """
    wanted = None if settings.projection is None else parse_projection(settings.projection)
    if not isinstance(wanted, Path):
        return wanted
    found = read_projection(wanted)
    if found.weight.shape[1] != space.n_dims:
        raise UsageError(
            f"the projection in {wanted} is {found.weight.shape}, for vectors of {found.weight.shape[1]} dimensions, "
            f"and those of {space} are here: give one of (N, {space.n_dims}), or other --vectors"
        )
    return found


def find_lacking(examples: Examples, stored: StoredVectors, max_failed_share: float) -> dict[int, Failure]:
    """Return row to failure of the items without a vector.

    Raises:
        DataError: If more than that share of more than 20 items has none.
    """
    items = examples.items
    having = stored.having([item.item_id for item in items])
    reason = f"it has no vector of {stored.run.space.embedder or stored.run.run_id}"
    failures = {
        row: failure_of(item, f"{reason}: mekiki embed") for row, item in enumerate(items) if item.item_id not in having
    }
    if len(items) > 20 and len(failures) > max_failed_share * len(items):
        first = next(iter(failures.values()))
        raise DataError(
            f"{len(failures)} of {len(items)} labelled items have no vector, the first is {first.path}: {reason}. "
            f"Type: mekiki embed, or go on with --max-failed-share {min(1.0, len(failures) / len(items) + 0.1):.1f}"
        )
    return failures


def check_parts(task: HeadTask, rows: NDArray[np.int64]) -> None:
    """Refuse parts that a head cannot learn from, or be chosen by."""
    examples, wanted = task.examples.take(rows), task.wanted
    n_train = len(examples.of_part(str(wanted.train_part)))
    if n_train < 2:
        raise DataError(f"part {wanted.train_part!r} has {n_train} items with labels and vectors, and 2 are needed")
    truth = examples.of_part(wanted.val_part).truth
    if not ((truth == 1).any(axis=0) & (truth == 0).any(axis=0)).any():
        raise DataError(
            f"in part {wanted.val_part!r}, by which the best epoch is chosen, no class is present in one item with a "
            "vector and absent in another: label or embed more, or split anew"
        )


def describe_search(n_trials: int, val: Examples) -> list[str]:
    """Return a line where validation is too small to choose among designs, else nothing.

    Args:
        n_trials: Designs that are tried.
        val: Items by which they are compared.
    """
    counts = (val.truth == 1).sum(axis=0).tolist()
    pairs = zip(val.class_names, counts, strict=True)
    rare = ", ".join(f"{n} of {name}" for name, n in pairs if n < N_PRESENT_FOR_SEARCH)
    if len(val) >= N_FOR_SEARCH and not rare:
        return []
    few = f"{len(val)} validation pictures" + (f" ({rare})" if rare else "")
    return [f"a search over {n_trials} designs on {few} finds what suits these by chance: compare with --search 0"]


def describe_source(run: VectorRun) -> dict[str, str]:
    """Return what a head's card says of the vectors that it was trained on, beside their space."""
    return {RUN_KEY: run.run_id, PRECISION_KEY: run.precision}


def hash_vectors(stored: StoredVectors, ids: Sequence[str]) -> str:
    """Return 16 hex digits that stand for these items and their vectors, to the last bit."""
    digest = hashlib.sha256()
    for page in pages(ids):
        digest.update(repr(page).encode())
        digest.update(stored.read(page).tobytes())
    return digest.hexdigest()[:16]


def pages(ids: Sequence[str]) -> Iterator[list[str]]:
    """Yield ids, `N_AT_ONCE` at a time."""
    for start in range(0, len(ids), N_AT_ONCE):
        yield list(ids[start : start + N_AT_ONCE])
