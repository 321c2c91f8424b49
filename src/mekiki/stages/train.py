"""Stage ``train``: a classifier. Reads labelled items of a ``split``, a head their vectors; writes ``models``."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mekiki.catalog.db import Catalog
from mekiki.catalog.decided import make_current
from mekiki.catalog.items import class_names, require_items
from mekiki.catalog.model_files import CODE_PLACE, TRAINED_NAME
from mekiki.catalog.models import ModelRow, model_path, write_models
from mekiki.catalog.results import hash_rows, require_split
from mekiki.catalog.scored import Examples, read_examples
from mekiki.catalog.trainable import (
    Wanted,
    certificate_of,
    choose_examples,
    describe_examples,
)
from mekiki.dataset.ids import safe_name
from mekiki.engine.head_adopting import AdoptTask, adopt_head
from mekiki.engine.head_inputs import HeadTask
from mekiki.engine.head_training import train_head
from mekiki.engine.interrupt import InterruptFlag
from mekiki.engine.run import Engine, Outcome, run_folder
from mekiki.engine.trained import CheckPictures, ReadItem, find_trained, trained_in_words
from mekiki.errors import DataError, InterruptedRunError, UsageError
from mekiki.models.classify_torch import torch_device
from mekiki.models.opening import ForeignFacts
from mekiki.records import PICTURE_KINDS, RunSummary
from mekiki.settings import Field, SpeedOnly
from mekiki.training.adopting import adopted_card, blank_card, measure_as_it_is
from mekiki.training.backbones import BackboneSpec, weights_identity
from mekiki.training.card import ModelCard
from mekiki.training.checkpoint import save_model
from mekiki.training.data import Batches, Pictures, until
from mekiki.training.head_settings import HeadSettings, settings_of_pixels
from mekiki.training.history import HISTORY_NAME, LOG_NAME, TENSORBOARD_NAME, WandbProject
from mekiki.training.job import Job, Labelled, Origin, Told
from mekiki.training.launch import check_processes, run_processes
from mekiki.training.origins import ORIGINS_KEY, as_setting, origins_of
from mekiki.training.resume import RESUME_NAME
from mekiki.training.train_settings import JOB_NAMES
from mekiki.training.user_code import code_place, is_user_code

if TYPE_CHECKING:
    from torch import Tensor

MEASURES = (
    *("train_loss", "train_micro_f1", "train_macro_f1"),
    *("val_loss", "val_micro_f1", "val_macro_f1", "val_macro_ap"),
)
"""What a model's card says of its best epoch."""


class TrainSettings(HeadSettings):
    """Train a classifier on one part of a split, and keep the epoch that is best on another."""

    activation: Literal["sigmoid", "softmax"] | None = Field(
        None, description="with --head, or --epochs 0: what turns outputs into scores (default: sigmoid)"
    )
    split: str | None = Field(None, description="name of the split (default: the latest)")
    train_part: str = Field("train", description="part to learn from")
    val_part: str = Field("val", description="part to choose the best epoch by")
    classes: tuple[str, ...] = Field((), description="classes in this order (default: all of the workspace)")
    known_only: bool = Field(False, description="leave out pictures that show no class, as seed 1 does")
    max_train: int = Field(0, ge=0, description="learn from at most this many pictures; 0 for all")
    max_val: int = Field(0, ge=0, description="measure on at most this many pictures; 0 for all")
    device: str = SpeedOnly("auto", description="auto, cpu, cuda, cuda:N or mps")
    workers: int = SpeedOnly(2, ge=0, description="threads that read and change pictures; 0 for none")
    cache_gb: float = SpeedOnly(2.0, ge=0, description="memory to keep decoded pictures in, in 1e9 bytes")
    max_failed_share: float = SpeedOnly(0.5, ge=0, le=1, description="stop when more of the pictures cannot be read")
    wandb: str | None = SpeedOnly(None, min_length=1, description="also log to this project of Weights & Biases")

    @property
    def is_adopting(self) -> bool:
        """Whether weights are taken as they are, and nothing is learned."""
        return self.epochs == self.head_epochs == 0

    @property
    def wanted(self) -> Wanted:
        """Which pictures of the split are needed."""
        train_part = None if self.is_adopting else self.train_part
        return Wanted(train_part, self.val_part, self.known_only, self.max_train, self.max_val, self.seed)


@dataclass(frozen=True, slots=True)
class Task:
    """One training, as far as it is known before it begins: a card without metrics, and what to learn from."""

    settings: TrainSettings
    engine: Engine
    examples: Examples
    card: ModelCard
    weights: Mapping[str, Tensor]  # of a foreign model that is taken over; else empty
    device: str
    folder: Path


class Trained(NamedTuple):
    """Best weights, their epoch (0 where nothing was learned) and what they measured."""

    tensors: Mapping[str, Tensor]
    best_epoch: int
    metrics: Mapping[str, float]


def train(catalog: Catalog, settings: TrainSettings, engine: Engine) -> RunSummary:
    """Train a model, or take over foreign weights, unless the same was done before."""
    if settings.train_part == settings.val_part:
        raise UsageError(
            f"train_part and val_part are both {settings.val_part!r}: a model is not chosen by what it saw"
        )
    if settings.activation is not None and not settings.is_adopting and settings.head is None:
        raise UsageError(
            "--activation goes with --head, or --epochs 0: other networks trained here have a sigmoid for each class"
        )
    require_items(catalog)
    split_run_id = require_split(catalog, settings.split)
    if settings.head is not None:
        return _train_head(catalog, settings, engine, split_run_id)
    foreign = adopted_card(settings, settings.classes, settings.activation) if settings.is_adopting else None
    if foreign is not None and (foreign[0].is_head or settings.vectors or settings.projection):
        return _adopt_head(catalog, settings, engine, split_run_id, foreign[0])
    classes = settings.classes if foreign is None else foreign[0].class_names
    examples = choose_examples(read_examples(catalog, split_run_id, classes, PICTURE_KINDS), settings.wanted)
    begun, weights = foreign or (blank_card(settings, examples.class_names), {})
    origins, parents = ((), ()) if settings.weights is None else origins_of(settings.weights)
    facts = {
        "settings": settings_of_pixels(settings) | ({ORIGINS_KEY: as_setting(origins)} if origins else {}),
        "split": certificate_of(catalog, split_run_id),
        "parents": parents,
    }
    card = begun.model_copy(update={"name": settings.name or safe_name(begun.arch), **facts})
    device = torch_device(settings.device)
    check_processes(settings.processes, device, settings.device)

    def compute(run_id: str) -> Outcome:
        task = Task(settings, engine, examples, card, weights, device, run_folder(catalog, run_id))
        return _compute(catalog, task, run_id)

    reads = {"split": split_run_id, "examples": examples.fingerprint()}
    identity = weights_identity(settings.arch, settings.pretrained, settings.weights)
    summary = engine.once(catalog, "train", settings, reads, compute, identity=identity, device=device)
    if not engine.dry_run:
        (run_folder(catalog, summary.run_id) / RESUME_NAME).unlink(missing_ok=True)
        make_current(catalog, summary)
    return summary


def _train_head(catalog: Catalog, settings: TrainSettings, engine: Engine, split_run_id: str) -> RunSummary:
    """Train on stored vectors; see `mekiki.engine.head_training`."""
    classes, negative = settings.classes, None
    if settings.positive is not None:
        useless = next((name for name in ("classes", "known_only") if name in settings.model_fields_set), None)
        if useless:
            raise UsageError(f"{useless} does nothing with positive, which gives the score of one class: leave it out")
        classes = (settings.positive,)
        others = [name for name in class_names(catalog) if name != settings.positive]
        negative = others[0] if len(others) == 1 else None
    task = HeadTask(
        settings,
        choose_examples(read_examples(catalog, split_run_id, classes), settings.wanted),
        settings.wanted,
        settings.activation or "sigmoid",
        {"split": certificate_of(catalog, split_run_id)},
        negative,
        torch_device(settings.device),
        settings.max_failed_share,
        settings.wandb,
    )
    summary = train_head(catalog, task, engine)
    if not engine.dry_run:
        make_current(catalog, summary)
    return summary


def _adopt_head(
    catalog: Catalog, settings: TrainSettings, engine: Engine, split_run_id: str, card: ModelCard
) -> RunSummary:
    """Take over a head that was trained elsewhere; see `mekiki.engine.head_adopting`."""
    examples = choose_examples(read_examples(catalog, split_run_id, card.class_names), settings.wanted)
    said = ForeignFacts(class_names=settings.classes or None, activation=settings.activation)
    summary = adopt_head(
        catalog, AdoptTask(settings, said, examples, settings.wanted, settings.max_failed_share), engine
    )
    if not engine.dry_run:
        make_current(catalog, summary)
    return summary


def _compute(catalog: Catalog, task: Task, run_id: str) -> Outcome:
    """Read all pictures, train on those that can be read, and write the model's file."""
    settings, examples, folder = task.settings, task.examples, task.folder
    how = task.card.own_preprocessing
    pictures = Pictures(ReadItem(examples.items, how.at_least_px), how, settings.cache_gb)
    with InterruptFlag() as interrupt:
        check = CheckPictures(examples, settings.wanted, settings.workers, settings.max_failed_share)
        failures = check.run(pictures, task.engine.progress, task.device, lambda: interrupt.is_set)
        rows = np.array([row for row in range(len(examples)) if row not in failures], np.int64)
        key = hash_rows([[examples.items[row].item_id for row in rows]])
        extra = find_trained(folder, key, catalog)
        if extra is None:
            made = (_adopt if settings.is_adopting else _fit)(task, pictures, rows, key, lambda: interrupt.is_set)
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
        notes=[*describe_examples(examples, settings.wanted), trained_in_words(extra)],
        failures={examples.items[row].item_id: failure for row, failure in failures.items()},
    )


def _fit(task: Task, pictures: Pictures, rows: NDArray[np.int64], key: str, should_stop: Callable[[], bool]) -> Trained:
    """Train, or go on with a training, to its end.

    Raises:
        InterruptedRunError: If the user stopped it.
    """
    settings, examples = task.settings, task.examples
    parts = np.array(examples.parts)[rows]
    wandb = None
    if settings.wandb is not None:
        wandb = WandbProject(settings.wandb, task.folder.name, task.card.name, task.card.settings)
    spec = BackboneSpec(task.card.arch, len(task.card.class_names), task.card.arch_options)
    job = Job(
        origin=Origin(spec, settings.pretrained, settings.weights, settings.allow_code),
        labelled=Labelled(
            examples.truth,
            [int(item.item_id, 16) for item in examples.items],
            rows[parts == settings.train_part],
            rows[parts == settings.val_part],
        ),
        options=settings.to_options(),
        folder=task.folder,
        key=key,
        device=task.device,
        workers=settings.workers,
        wandb=wandb,
        **settings.model_dump(include=JOB_NAMES),
    )
    n_train, n_needed = len(job.labelled.train), 2 * settings.processes
    if n_train < n_needed:
        fewer = ", or give fewer --processes" if settings.processes > 1 else ""
        raise DataError(
            f"part {settings.train_part!r} has {n_train} pictures, and training needs {n_needed} or more, two for each "
            f"process: label more{fewer}"
        )
    n_pictures = (settings.epochs + settings.head_epochs) * len(job.labelled.train)
    task.engine.progress.begin("train", n_pictures, task.device)
    told = Told(task.engine.progress.say, lambda n: task.engine.progress.advance(n, 0), should_stop)
    state = run_processes(job, pictures, settings.processes, told)
    if not state.is_finished:
        raise InterruptedRunError(f"train interrupted after epoch {len(state.history)}. The same command goes on")
    best = state.history[state.best_epoch - 1]
    return Trained(state.best, state.best_epoch, {name: best[name] for name in MEASURES if best[name] == best[name]})


def _adopt(
    task: Task, pictures: Pictures, rows: NDArray[np.int64], _key: str, should_stop: Callable[[], bool]
) -> Trained:
    """Return foreign weights as they are, with what they measure."""
    settings, truth = task.settings, task.examples.truth
    batches = Batches(pictures, rows, [0] * len(rows), truth[rows], settings.batch_size, settings.workers)
    stoppable = until(batches.in_order(), should_stop, "train")
    measured = measure_as_it_is(task.card, task.weights, stoppable, task.device, allow_code=settings.allow_code)
    return Trained(task.weights, 0, measured)
