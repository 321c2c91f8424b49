"""Predictions as files: a CSV with seed 1's columns, or JSON; written row by row.

C is the number of classes. A frame of a clip is written as ``CLIP#t=SECONDS``, a clip as a whole under its own path, a
vector by its row in its file.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from mekiki.dataset.formats.base import plain_path
from mekiki.dataset.formats.npy import row_path
from mekiki.dataset.formats.tables import path_cell, write_table
from mekiki.errors import UsageError, shown_path
from mekiki.records import UNKNOWN

SUFFIXES = (".csv", ".json")
DIGITS = 6

Keys = Literal["image_path", "row", "vector_path"]
"""What says what a row is about: a path, a row of the one file of vectors, or a file of several and a row in it."""

KEY_COLUMNS: Mapping[Keys, tuple[str, ...]] = {
    "image_path": ("image_path",),
    "row": ("row",),
    "vector_path": ("vector_path", "row"),
}


@dataclass(frozen=True, slots=True, eq=False)
class Prediction:
    """What a model says of one picture, of a clip as a whole, or of one vector.

    Attributes:
        path: The file.
        class_names: Of the model, in its order.
        scores: ``(C,)`` float32 finished scores.
        is_present: ``(C,)``: the classes that it decides for.
        time_s: Of a frame of a clip.
        n_frames: Of a clip as a whole: the frames that were looked at.
        row: Of a vector: its place in the file, from 0.
    """

    path: Path
    class_names: tuple[str, ...]
    scores: NDArray[np.float32]
    is_present: NDArray[np.bool_]
    time_s: float | None = None
    n_frames: int | None = None
    row: int | None = None

    @property
    def labels(self) -> list[str]:
        """The classes that it decides for; ``unknown`` where there is none."""
        chosen = zip(self.class_names, self.is_present, strict=True)
        return [name for name, is_present in chosen if is_present] or [UNKNOWN]

    @property
    def is_unknown(self) -> bool:
        """Whether it decides for no class."""
        return not self.is_present.any()

    @property
    def kind(self) -> Literal["image", "frame", "clip", "vector"]:
        """What it is about."""
        if self.row is not None:
            return "vector"
        if self.n_frames is not None:
            return "clip"
        return "image" if self.time_s is None else "frame"

    @property
    def name(self) -> str:
        """The path, with a frame's time or a vector's row behind it."""
        path = shown_path(self.path)
        if self.row is not None:
            return row_path(path, self.row)
        return path if self.time_s is None else f"{path}#t={self.time_s:.3f}"

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON files and ``--json`` have it."""
        scores = {name: round(float(one), DIGITS) for name, one in zip(self.class_names, self.scores, strict=True)}
        path = shown_path(self.path)
        facts: dict[str, Any] = {"image_path": path} if self.row is None else {"row": self.row, "vector_path": path}
        facts["kind"] = self.kind
        if self.time_s is not None:
            facts["time_s"] = round(self.time_s, 3)
        if self.n_frames is not None:
            facts["n_frames"] = self.n_frames
        return {**facts, "predicted_labels": self.labels, "is_unknown": self.is_unknown, "probabilities": scores}

    def __str__(self) -> str:
        order = np.argsort(-self.scores, kind="stable")[:5]
        best = ", ".join(f"{self.class_names[column]} {self.scores[column]:.3f}" for column in order)
        return f"{self.name}: {', '.join(self.labels)} ({best})"


def check_predictions_path(path: Path, *, overwrite: bool, is_input: Callable[[Path], bool]) -> Path:
    """Return the absolute path of a file for predictions, unless something would be lost.

    Args:
        path: As the user gave it.
        overwrite: Whether a file that is there may be replaced.
        is_input: Whether an absolute path is among what is read.

    Raises:
        UsageError: If it has another ending, is a folder, is there already, is an input, or cannot be made.
    """
    path = plain_path(path.expanduser())
    if path.suffix.lower() not in SUFFIXES:
        raise UsageError(f"predictions are written to a .csv or a .json file, got {path.name}: give one with -o FILE")
    if path.is_dir():
        raise UsageError(f"{path} is a folder: give a file with -o FILE")
    if is_input(path):
        raise UsageError(f"{path} is one of the inputs and would be lost: give another file with -o FILE")
    if path.exists() and not overwrite:
        raise UsageError(f"{path} exists: give another file with -o FILE, or --overwrite to replace it")
    above = next(folder for folder in path.parents if folder.exists())
    if not above.is_dir() or not os.access(above, os.W_OK):
        raise UsageError(f"cannot write {path}: {above} is no folder that may be written to. Give another with -o FILE")
    return path


def write_predictions_file(
    path: Path,
    class_names: Sequence[str],
    facts: Mapping[str, Any],
    predictions: Iterable[Prediction],
    keys: Keys = "image_path",
) -> Path:
    """Write predictions in the order in which they come; the file appears when it is complete.

    Args:
        path: A ``.csv``, written with a byte order mark as seed 1 does, or a ``.json``.
        class_names: Of the model.
        facts: What a JSON file says at its top; a CSV has no place for it.
        predictions: Looked at once.
        keys: Which first columns of a CSV say what a row is about.

    Raises:
        DataError: If a name is no Unicode text and the file is a CSV.
    """
    if path.suffix.lower() == ".json":
        return _write_json(path, facts, predictions)
    columns = [*KEY_COLUMNS[keys], "predicted_labels_json", "predicted_labels_text", "is_unknown"]
    columns += [f"prob_{name}" for name in class_names]
    try:
        return write_table(path, columns, _csv_rows(predictions, keys), encoding="utf-8-sig")
    finally:
        path.with_name(f"{path.name}.part").unlink(missing_ok=True)  # of a writing that broke off


def _csv_rows(predictions: Iterable[Prediction], keys: Keys) -> Iterator[list[str]]:
    for one in predictions:
        names = json.dumps(one.labels, ensure_ascii=False)
        yield [
            *_key_cells(one, keys),
            names,
            "|".join(one.labels),
            str(int(one.is_unknown)),
            *(f"{score:.{DIGITS}f}" for score in one.scores),
        ]


def _key_cells(one: Prediction, keys: Keys) -> list[str]:
    if keys == "image_path":
        return [path_cell(one.name)]
    path = [path_cell(shown_path(one.path))] if keys == "vector_path" else []
    return [*path, str(one.row)]


def _write_json(path: Path, facts: Mapping[str, Any], predictions: Iterable[Prediction]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.part")
    try:
        with part.open("w", encoding="utf-8") as file:
            file.write(json.dumps({**facts, "predictions": []}, ensure_ascii=False)[:-2])
            for number, one in enumerate(predictions):
                file.write(f"{',' if number else ''}\n{json.dumps(one.to_json(), ensure_ascii=False)}")
            file.write("\n]}\n")
            file.flush()
            os.fsync(file.fileno())
        return part.replace(path)
    finally:
        part.unlink(missing_ok=True)  # of a writing that broke off
