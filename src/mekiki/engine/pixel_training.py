"""Training a network on pixels, or taking one over as it is, as ``train`` does: from examples to a model's file."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mekiki.catalog.db import Catalog
from mekiki.catalog.model_files import CODE_PLACE, TRAINED_NAME
from mekiki.catalog.models import ModelRow, model_path, write_models
from mekiki.catalog.results import hash_rows
from mekiki.catalog.scored import Examples
from mekiki.catalog.trainable import Wanted, describe_examples
from mekiki.engine.interrupt import InterruptFlag
from mekiki.engine.run import Engine, Outcome, run_folder
from mekiki.engine.trained import CheckPictures, ReadItem, find_trained, trained_in_words
from mekiki.errors import DataError, InterruptedRunError
from mekiki.training.adopting import measure_as_it_is
from mekiki.training.backbones import BackboneSpec
from mekiki.training.card import ModelCard
from mekiki.training.checkpoint import save_model
from mekiki.training.data import Batches, Pictures, until
from mekiki.training.head_settings import HeadSettings
from mekiki.training.history import HISTORY_NAME, LOG_NAME, TENSORBOARD_NAME, WandbProject
from mekiki.training.job import Job, Labelled, Origin, Told
from mekiki.training.launch import run_processes
from mekiki.training.train_settings import JOB_NAMES
from mekiki.training.user_code import code_place, is_user_code

if TYPE_CHECKING:
    from torch import Tensor

MEASURES = (
    *("train_loss", "train_micro_f1", "train_macro_f1"),
    *("val_loss", "val_micro_f1", "val_macro_f1", "val_macro_ap"),
)
"""What a model's card says of its best epoch."""


@dataclass(frozen=True, slots=True)
class PixelTask:
    """One training, as far as it is known before it begins.

    Attributes:
        settings: All of them.
        examples: Labelled pictures of the two parts.
        wanted: Which they are.
        card: Without metrics.
        weights: Of a foreign model that is taken over; else empty.
        device: What it computes on.
        workers: Threads that read and change pictures.
        cache_gb: Memory to keep decoded pictures in.
        max_failed_share: Stop when more of the pictures cannot be read.
        wandb: Project of Weights & Biases; None for none.
    """

    settings: HeadSettings
    examples: Examples
    wanted: Wanted
    card: ModelCard
    weights: Mapping[str, Tensor]
    device: str
    workers: int
    cache_gb: float
    max_failed_share: float
    wandb: str | None


class Trained(NamedTuple):
    """Best weights, their epoch (0 where nothing was learned) and what they measured."""

    tensors: Mapping[str, Tensor]
    best_epoch: int
    metrics: Mapping[str, float]


def train_on_pixels(catalog: Catalog, task: PixelTask, engine: Engine, run_id: str) -> Outcome:
    """Read all pictures, train on those that can be read, and write the model's file.

    Raises:
        DataError: If too many pictures cannot be read, or too few are left to learn from.
        InterruptedRunError: If the user stopped it.
    """
    settings, examples, folder = task.settings, task.examples, run_folder(catalog, run_id)
    how = task.card.own_preprocessing
    pictures = Pictures(ReadItem(examples.items, how.at_least_px), how, task.cache_gb)
    with InterruptFlag() as interrupt:
        check = CheckPictures(examples, task.wanted, task.workers, task.max_failed_share)
        failures = check.run(pictures, engine.progress, task.device, lambda: interrupt.is_set)
        rows = np.array([row for row in range(len(examples)) if row not in failures], np.int64)
        key = hash_rows([[examples.items[row].item_id for row in rows]])
        extra = find_trained(folder, key, catalog)
        if extra is None:
            if settings.is_adopting:
                made = _adopt(task, pictures, rows, lambda: interrupt.is_set)
            else:
                made = _fit(_job(task, rows, folder, key), task, pictures, engine, lambda: interrupt.is_set)
            metrics = {"best_epoch": made.best_epoch, "best_by": settings.best_by, **made.metrics}
            card = task.card.model_copy(update={"metrics": metrics})
            model_id, path, card = save_model(catalog.workspace / "models", card, made.tensors)
            extra = {"model_id": model_id, "model": card.name, "arch": card.arch}
            extra |= {"best_epoch": made.best_epoch, "metrics": dict(made.metrics)}
    path = model_path(catalog, extra["model_id"])
    row = ModelRow(extra["model_id"], run_id, extra["model"], path, task.card.parents)
    is_code = settings.allow_code and is_user_code(task.card.arch)
    known = {"key": key, **({CODE_PLACE: code_place(task.card.arch)} if is_code else {})}
    names = () if settings.is_adopting else (HISTORY_NAME, LOG_NAME, TENSORBOARD_NAME)
    return Outcome(
        n_selected=len(examples),
        write=lambda transaction: write_models(transaction, [row]),
        files={TRAINED_NAME: json.dumps({**known, **extra}, ensure_ascii=False, indent=2)},
        outputs={"model": catalog.relative(path), **{name: catalog.relative(folder / name) for name in names}},
        extra=extra,
        notes=[*describe_examples(examples, task.wanted), trained_in_words(extra)],
        failures={examples.items[row].item_id: failure for row, failure in failures.items()},
    )


def _job(task: PixelTask, rows: NDArray[np.int64], folder: Path, key: str) -> Job:
    """Return what the loop is to do.

    Raises:
        DataError: If too few pictures are left to learn from.
    """
    settings, examples = task.settings, task.examples
    parts = np.array(examples.parts)[rows]
    wandb = None
    if task.wandb is not None:
        wandb = WandbProject(task.wandb, folder.name, task.card.name, task.card.settings)
    spec = BackboneSpec(task.card.arch, len(task.card.class_names), task.card.arch_options)
    job = Job(
        origin=Origin(spec, settings.pretrained, settings.weights, settings.allow_code),
        labelled=Labelled(
            examples.truth,
            [int(item.item_id, 16) for item in examples.items],
            rows[parts == task.wanted.train_part],
            rows[parts == task.wanted.val_part],
        ),
        options=settings.to_options(),
        folder=folder,
        key=key,
        device=task.device,
        workers=task.workers,
        wandb=wandb,
        **settings.model_dump(include=JOB_NAMES),
    )
    n_train, n_needed = len(job.labelled.train), 2 * settings.processes
    if n_train < n_needed:
        fewer = ", or give fewer --processes" if settings.processes > 1 else ""
        raise DataError(
            f"part {task.wanted.train_part!r} has {n_train} pictures, and training needs {n_needed} or more, two for "
            f"each process: label more{fewer}"
        )
    return job


def _fit(job: Job, task: PixelTask, pictures: Pictures, engine: Engine, should_stop: Callable[[], bool]) -> Trained:
    """Train, or go on with a training, to its end.

    Raises:
        InterruptedRunError: If the user stopped it.
    """
    settings, progress = task.settings, engine.progress
    n_pictures = (settings.epochs + settings.head_epochs) * len(job.labelled.train)
    progress.begin("train", n_pictures, task.device)
    told = Told(progress.say, lambda n: progress.advance(n, 0), should_stop)
    state = run_processes(job, pictures, settings.processes, told)
    if not state.is_finished:
        raise InterruptedRunError(f"train interrupted after epoch {len(state.history)}. The same command goes on")
    best = state.history[state.best_epoch - 1]
    return Trained(state.best, state.best_epoch, {name: best[name] for name in MEASURES if best[name] == best[name]})


def _adopt(task: PixelTask, pictures: Pictures, rows: NDArray[np.int64], should_stop: Callable[[], bool]) -> Trained:
    """Return foreign weights as they are, with what they measure."""
    settings, truth = task.settings, task.examples.truth
    batches = Batches(pictures, rows, [0] * len(rows), truth[rows], settings.batch_size, task.workers)
    stoppable = until(batches.in_order(), should_stop, "train")
    measured = measure_as_it_is(task.card, task.weights, stoppable, task.device, allow_code=settings.allow_code)
    return Trained(task.weights, 0, measured)
