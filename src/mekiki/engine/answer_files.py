"""What a one-shot command writes: predictions as a file in one of its layouts, and what a summary says of them."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from mekiki.dataset.formats.base import plain_path
from mekiki.dataset.formats.predictions_out import Keys, Prediction, check_predictions_path, write_predictions_file
from mekiki.dataset.formats.seed5_out import Seed5, nsfw_column
from mekiki.errors import UsageError
from mekiki.models.decided import Tally, in_words
from mekiki.models.opening import Opening, id_of_file
from mekiki.records import RunSummary
from mekiki.training.card import DEFAULT_THRESHOLD, ModelCard

Layout = Literal["mekiki", "seed5"]


@dataclass(frozen=True, slots=True)
class AnswerFile:
    """A file for predictions that may be written.

    Attributes:
        path: Absolute; None where the answer is only shown.
        layout: What it will look like.
    """

    path: Path | None
    layout: Layout

    def write(
        self,
        card: ModelCard,
        facts: Mapping[str, Any],
        predictions: Iterable[Prediction],
        keys: Keys,
        *,
        is_single: bool,
    ) -> None:
        """Write predictions as they come; the file appears when it is complete.

        Args:
            card: Of the model, with the thresholds that decided.
            facts: What a file of ours says at its top.
            predictions: Looked at once.
            keys: What a CSV's rows are about.
            is_single: One thing was given.
        """
        if self.path is None:
            deque(predictions, maxlen=0)
            return
        if self.layout == "mekiki":
            write_predictions_file(self.path, card.class_names, facts, predictions, keys)
            return
        column = nsfw_column(card.class_names)
        limits = card.thresholds or (DEFAULT_THRESHOLD,) * len(card.class_names)
        Seed5(column, limits[column], is_single).write(self.path, predictions)


@dataclass(frozen=True, slots=True)
class WantedFile:
    """A file for predictions as the user wants it.

    Attributes:
        path: As it was given; None where the answer is only to be shown.
        layout: What it is to look like.
        overwrite: Whether a file that is there may be replaced.
        thresholds: What may be another file that is read.
    """

    path: Path | None
    layout: Layout
    overwrite: bool
    thresholds: str | None


def answer_file(wanted: WantedFile, card: ModelCard, is_input: Callable[[Path], bool]) -> AnswerFile:
    """Return a file that predictions may be written to.

    Args:
        wanted: What the user wants.
        card: Of the model.
        is_input: Whether an absolute path is among what is read.

    Raises:
        UsageError: If something would be lost, or the layout is none of such a file or model.
    """
    if wanted.path is None:
        for flag, is_given in (("--overwrite", wanted.overwrite), ("--layout seed5", wanted.layout == "seed5")):
            if is_given:
                raise UsageError(f"{flag} goes with -o FILE: of one picture or vector the answer is shown, not written")
        return AnswerFile(None, wanted.layout)
    read = plain_path(Path(wanted.thresholds or "").expanduser())
    path = check_predictions_path(
        wanted.path, overwrite=wanted.overwrite, is_input=lambda one: one == read or is_input(one)
    )
    if wanted.layout == "seed5":
        nsfw_column(card.class_names)
        if path.suffix.lower() != ".json":
            raise UsageError(f"--layout seed5 is that of a .json file, got {path.name}: give one with -o FILE")
    return AnswerFile(path, wanted.layout)


def model_facts(card: ModelCard, opening: Opening) -> dict[str, Any]:
    """Return what the summary, and a JSON file of ours, say of the model."""
    decides_by_highest = card.thresholds is None and card.activation == "softmax" and card.kind == "network"
    limits = card.thresholds or (DEFAULT_THRESHOLD,) * len(card.class_names)
    return {
        "model": card.name,
        "model_id": id_of_file(opening.path),
        "class_names": list(card.class_names),
        "thresholds": None if decides_by_highest else dict(zip(card.class_names, limits, strict=True)),
        "runtime": opening.runtime,
        "precision": opening.precision,
        "device": opening.device,
    }


def add_answers(
    summary: RunSummary, file: AnswerFile, tally: Tally, card: ModelCard, facts: Mapping[str, Any], *, is_single: bool
) -> None:
    """Add to a summary what was predicted; of a single thing, the answer itself.

    Args:
        summary: Changed.
        file: Where the predictions are.
        tally: Through which they passed.
        card: Of the model.
        facts: What is said of the model.
        is_single: One thing was given.
    """
    summary.n_rows = tally.n_rows
    summary.outputs = {} if file.path is None else {"predictions": str(file.path)}
    summary.extra |= {**facts, "n_per_class": dict(tally.counts)}
    if is_single and tally.last is not None:
        summary.extra["answer"] = tally.last.to_json()
        summary.notes.append(in_words(tally.last, card))
