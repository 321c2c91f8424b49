"""What a training leaves to look at: a table, a text log, TensorBoard, and Weights & Biases when asked.

The table has seed 1's columns first, one row per epoch; it is written anew each time, so a resumed training leaves
the same table as an undisturbed one. Text and events are added to.
"""

from __future__ import annotations

import csv
import io
import math
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from mekiki.errors import MissingExtraError
from mekiki.wholefiles import write_whole

SEED_COLUMNS = (
    "epoch",
    "train_loss",
    "train_micro_f1",
    "train_macro_f1",
    "val_loss",
    "val_micro_f1",
    "val_macro_f1",
    "lr",
)
COLUMNS = (*SEED_COLUMNS, "val_macro_ap", "seconds")
HISTORY_NAME = "history.csv"
LOG_NAME = "train.log"
TENSORBOARD_NAME = "tensorboard"


@dataclass(frozen=True, slots=True)
class WandbProject:
    """Where Weights & Biases puts a run: ``WANDB_MODE`` and its other variables are honoured by its own package."""

    project: str
    run_id: str
    name: str
    settings: Mapping[str, Any]


class Recorder:
    """Writes a training's history into a folder. Use as a context manager.

    Args:
        folder: ``runs/<run_id>``; made if it does not exist.
        n_before: Epochs that an earlier invocation finished; 0 starts text and events anew.
        wandb: Also tell Weights & Biases; None does not import it.
        events: Where TensorBoard's events go, below the folder.

    Raises:
        MissingExtraError: If TensorBoard is not installed, or Weights & Biases is asked for and not installed.
    """

    def __init__(
        self, folder: Path, n_before: int = 0, wandb: WandbProject | None = None, events: str = TENSORBOARD_NAME
    ) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        if not n_before:
            shutil.rmtree(folder / events, ignore_errors=True)
            (folder / LOG_NAME).unlink(missing_ok=True)
        self._wandb = _open_wandb(wandb, folder) if wandb is not None else None
        self._events = open_events(folder / events, n_before)

    def __enter__(self) -> Recorder:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def record(self, history: Sequence[Mapping[str, float]]) -> str:
        """Write down the last epoch and return it in words.

        Args:
            history: All epochs so far, at least one.
        """
        last = history[-1]
        epoch = int(last["epoch"])
        write_whole(self._folder / HISTORY_NAME, as_table(history).encode())
        measures = add_scalars(self._events, last)
        self._events.flush()
        if self._wandb is not None:
            self._wandb.log(measures, step=epoch)
        line = describe_epoch(last)
        self.say(line)
        return line

    def say(self, line: str) -> None:
        """Add a line to the text log, with the time of day."""
        with (self._folder / LOG_NAME).open("a", encoding="utf-8") as file:
            file.write(f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S} {line}\n")

    def close(self) -> None:
        """Finish."""
        self._events.close()
        if self._wandb is not None:
            self._wandb.finish()


def as_table(history: Sequence[Mapping[str, float]]) -> str:
    """Return a history as CSV: seed 1's columns, ours, then what else the rows have.

    Numbers have six digits; there is nothing where a measure has no value.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    names = (*COLUMNS, *(name for name in (history[0] if history else ()) if name not in COLUMNS))
    writer.writerow(names)
    for row in history:
        writer.writerow("" if math.isnan(row[name]) else f"{row[name]:.6g}" for name in names)
    return text.getvalue()


def describe_epoch(row: Mapping[str, float]) -> str:
    """Return an epoch in one line."""
    ranked = f"PR-AUC {row['val_pr_auc']:.4f}, " if "val_pr_auc" in row else ""
    return (
        f"epoch {int(row['epoch'])}: loss {row['train_loss']:.4f}, validation loss {row['val_loss']:.4f}, {ranked}"
        f"micro-F1 {row['val_micro_f1']:.4f}, macro-F1 {row['val_macro_f1']:.4f}, rate {row['lr']:.2g}, "
        f"{row['seconds']:.1f} s"
    )


def add_scalars(events: Any, row: Mapping[str, float]) -> dict[str, float]:
    """Write an epoch's finite measures as TensorBoard groups them, ``loss/val``, and return them under their names."""
    measures = {name: value for name, value in row.items() if name != "epoch" and math.isfinite(value)}
    for name, value in measures.items():
        part, _, measure = name.partition("_")
        events.add_scalar(f"{measure}/{part}" if part in ("train", "val") else name, value, int(row["epoch"]))
    return measures


def open_events(folder: Path, n_before: int = 0) -> Any:
    """Return what writes TensorBoard's events into a folder.

    Raises:
        MissingExtraError: If TensorBoard is not installed.
    """
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise MissingExtraError("tensorboard", "train") from error
    # Events of an epoch that was under way when the training was stopped are not shown twice.
    return SummaryWriter(str(folder), purge_step=n_before + 1 if n_before else None)


def _open_wandb(project: WandbProject, folder: Path) -> Any:
    try:
        import wandb
    except ImportError as error:
        raise MissingExtraError("wandb", "wandb") from error
    return wandb.init(
        project=project.project,
        id=project.run_id,
        name=project.name,
        config=dict(project.settings),
        dir=str(folder),
        resume="allow",
    )
