"""Which labelled pictures a training learns from and measures on, and what a user should know of them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mekiki.catalog.db import Catalog
from mekiki.catalog.scored import Examples
from mekiki.errors import DataError, unknown_name
from mekiki.records import Failure, Item


@dataclass(frozen=True, slots=True)
class Wanted:
    """What to take of a split.

    Attributes:
        train_part: Part to learn from; None learns from nothing.
        val_part: Part to choose the best epoch by.
        known_only: Leave out pictures that show no class.
        max_train: At most so many pictures, drawn by ``seed``; 0 for all.
        max_val: As ``max_train``.
        seed: Of the drawing.
    """

    train_part: str | None
    val_part: str
    known_only: bool = False
    max_train: int = 0
    max_val: int = 0
    seed: int = 0


def choose_examples(examples: Examples, wanted: Wanted) -> Examples:
    """Return the rows that are wanted, in their order.

    Raises:
        UsageError: If the split has no such part.
        DataError: If nothing is left of a part, or nothing to learn from shows any class.
    """
    parts = np.array(examples.parts)
    is_known = (examples.truth == 1).any(axis=1)
    limits = {wanted.train_part: wanted.max_train, wanted.val_part: wanted.max_val}
    chosen: list[NDArray[np.int64]] = []
    for part in filter(None, dict.fromkeys((wanted.train_part, wanted.val_part))):
        if part not in examples.parts:
            raise unknown_name("part with labelled pictures", part, set(examples.parts))
        rows = np.flatnonzero((parts == part) & (is_known | (not wanted.known_only)))
        if not len(rows):
            raise DataError(f"no picture of part {part!r} shows any class: leave out --known-only, or label more")
        if part == wanted.train_part and not is_known[rows].any():
            raise DataError(f"no picture of part {part!r} shows any class, so there is nothing to learn: label more")
        if limits[part] and limits[part] < len(rows):
            rows = np.random.default_rng(wanted.seed).choice(rows, limits[part], replace=False)
        chosen.append(rows)
    return examples.take(np.unique(np.concatenate(chosen)))


def describe_examples(examples: Examples, wanted: Wanted) -> list[str]:
    """Return what a user should know before believing in a training: sizes, and classes that lack pictures."""
    notes = []
    for part in filter(None, dict.fromkeys((wanted.train_part, wanted.val_part))):
        truth = examples.of_part(part).truth
        n_present = (truth == 1).sum(axis=0)
        n_unknown = int((truth != 1).all(axis=1).sum())
        notes.append(f"part {part!r}: {len(truth)} pictures, {n_unknown} of them without any class")
        names = zip(examples.class_names, n_present, strict=True)
        if missing := [name for name, n_pictures in names if not n_pictures]:
            effect = "cannot be learned" if part == wanted.train_part else "count as 0 in macro-F1 there"
            notes.append(f"no picture of part {part!r} shows {', '.join(missing)}: they {effect}")
    if examples.n_unlabelled:
        notes.append(f"{examples.n_unlabelled} pictures of the split have no label and were left out")
    if examples.n_other_kinds:
        notes.append(
            f"{examples.n_other_kinds} vectors of the split have no pixels and were left out (--head uses them)"
        )
    return notes


def check_readable(examples: Examples, failures: dict[int, Failure], wanted: Wanted, max_failed_share: float) -> None:
    """Refuse to go on where too much cannot be read.

    Args:
        examples: What was chosen.
        failures: Row to why it cannot be used.
        wanted: Its parts.
        max_failed_share: More than this is too much, of more than 20 pictures.

    Raises:
        DataError: If more than that fails, or nothing is left of a part, or one picture alone to learn from.
    """
    n_failed = len(failures)
    if not n_failed:
        return
    first = next(iter(failures.values()))
    if len(examples) > 20 and n_failed > max_failed_share * len(examples):
        raise DataError(
            f"train stopped: {n_failed} of {len(examples)} pictures cannot be read, the first is {first.path}: "
            f"{first.reason}. Mend them, or go on with --max-failed-share "
            f"{min(1.0, n_failed / len(examples) + 0.1):.1f}"
        )
    left = {part for row, part in enumerate(examples.parts) if row not in failures}
    for part in filter(None, (wanted.train_part, wanted.val_part)):
        if part not in left:
            raise DataError(f"no picture of part {part!r} can be read, the first is {first.path}: {first.reason}")


def certificate_of(catalog: Catalog, split_run_id: str) -> dict[str, Any]:
    """Return the certificate of a split with its run, as a model's card has it.

    Names of files are left out, since models are passed on, and the time of day, since the same training gives the
    same file.
    """
    path = catalog.workspace / "runs" / split_run_id / "certificate.json"
    certificate: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    nearest = certificate.get("nearest")
    if nearest:
        certificate["nearest"] = {name: nearest[name] for name in nearest if name not in ("first", "second")}
    certificate.pop("created_at", None)
    return {"run_id": split_run_id, **certificate}


def failure_of(item: Item, reason: str) -> Failure:
    """Return the failure row of a picture that training cannot use."""
    return Failure(str(item.path or item.item_id), reason, "train")
