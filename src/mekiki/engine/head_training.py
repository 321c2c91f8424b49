"""Training a head on stored vectors, as ``train --head`` does: from a split's examples to a model's file."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from mekiki.catalog.db import Catalog
from mekiki.catalog.model_files import TRAINED_NAME
from mekiki.catalog.models import ModelRow, model_path, write_models
from mekiki.catalog.results import hash_rows
from mekiki.catalog.trainable import describe_examples
from mekiki.catalog.vectors import StoredVectors, require_vectors
from mekiki.engine.head_inputs import (
    HeadTask,
    WantedProjection,
    check_labels,
    check_parts,
    describe_search,
    describe_source,
    find_lacking,
    hash_vectors,
    input_options,
    pages,
    wanted_projection,
)
from mekiki.engine.interrupt import InterruptFlag
from mekiki.engine.run import Engine, Outcome, run_folder, write_text
from mekiki.engine.trained import find_trained, trained_in_words
from mekiki.errors import InterruptedRunError
from mekiki.neighbours.tables import to_unit_length
from mekiki.records import Failure, RunSummary
from mekiki.training.card import ModelCard
from mekiki.training.checkpoint import save_model
from mekiki.training.head_plan import HeadPlan
from mekiki.training.head_settings import settings_of_head
from mekiki.training.history import HISTORY_NAME, LOG_NAME, TENSORBOARD_NAME, Recorder, WandbProject
from mekiki.training.optional import import_optuna
from mekiki.training.packages import import_torch
from mekiki.training.projections import (
    ProjectionMatrix,
    orthogonal_projection,
    pca_projection,
)
from mekiki.training.search import SearchOptions, search_plan

if TYPE_CHECKING:
    from mekiki.training.head_fit import Fitted, HeadOptions, Learnable, Part
    from mekiki.training.heads import Head

SEARCH_NAME = "search.json"
MEASURES = (
    *("train_loss", "train_micro_f1", "train_macro_f1", "val_loss", "val_micro_f1", "val_macro_f1"),
    *("val_pr_auc", "val_macro_ap", "val_roc_auc"),
)
"""What a head's card says of its best epoch; the areas of validation chose it, so none of them is a result."""


def train_head(catalog: Catalog, task: HeadTask, engine: Engine) -> RunSummary:
    """Train a head and write its model, unless the same was done before.

    Raises:
        DataError: If there are no vectors, too few items have one, or nothing can be learned or chosen by.
        UsageError: If there are no vectors of the embedder that is asked for, or a setting does not fit the labels.
        MissingExtraError: If a search is asked for and Optuna is not installed.
    """
    if task.settings.search:
        import_optuna()  # now, if it is missing, and not when everything has been read
    stored = StoredVectors(catalog, require_vectors(catalog, task.settings.vectors))
    task = replace(task, examples=check_labels(task))
    failures = find_lacking(task.examples, stored, task.max_failed_share)
    rows = np.array([row for row in range(len(task.examples)) if row not in failures], np.int64)
    check_parts(task, rows)
    ids = [task.examples.items[row].item_id for row in rows]
    projection = wanted_projection(task.settings, stored.run.space)

    def compute(run_id: str) -> Outcome:
        return _Training(catalog, task, engine, stored, projection, run_id).run(rows, failures)

    reads = {
        "split": task.examples.split_run_id,
        "examples": task.examples.fingerprint(),
        "vectors": stored.run.run_id,
        "vector_rows": hash_vectors(stored, ids),
        **({} if task.negative is None else {"negative": task.negative}),
    }
    seen_by = f"file {projection.fingerprint}" if isinstance(projection, ProjectionMatrix) else projection
    identity = json.dumps({"space": stored.run.space.model_dump(mode="json"), "projection": seen_by}, sort_keys=True)
    return engine.once(catalog, "train", task.settings, reads, compute, identity=identity, device=task.device)


class _Training:
    """One run of it."""

    def __init__(
        self,
        catalog: Catalog,
        task: HeadTask,
        engine: Engine,
        stored: StoredVectors,
        wanted: WantedProjection,
        run_id: str,
    ) -> None:
        self.catalog, self.task, self.engine, self.stored = catalog, task, engine, stored
        self.wanted, self.run_id, self.folder = wanted, run_id, run_folder(catalog, run_id)

    def run(self, rows: NDArray[np.int64], failures: Mapping[int, Failure]) -> Outcome:
        """Train on these rows of the examples."""
        task, catalog = self.task, self.catalog
        key = hash_rows([[task.examples.items[row].item_id for row in rows]])
        with InterruptFlag() as interrupt:
            extra = find_trained(self.folder, key, catalog)
            if extra is None:
                extra = self._train(rows, lambda: interrupt.is_set)
        path = model_path(catalog, extra["model_id"])
        names = (HISTORY_NAME, LOG_NAME, TENSORBOARD_NAME, *((SEARCH_NAME,) if task.settings.search else ()))
        return Outcome(
            n_selected=len(task.examples),
            write=lambda transaction: write_models(
                transaction, [ModelRow(extra["model_id"], self.run_id, extra["model"], path, ())]
            ),
            files={TRAINED_NAME: json.dumps({"key": key, **extra}, ensure_ascii=False, indent=2)},
            outputs={
                "model": catalog.relative(path),
                **{name: catalog.relative(self.folder / name) for name in names},
            },
            extra=extra,
            notes=[*describe_examples(task.examples, task.wanted), *self._describe(rows), trained_in_words(extra)],
            failures={task.examples.items[row].item_id: failure for row, failure in failures.items()},
        )

    def _train(self, rows: NDArray[np.int64], should_stop: Callable[[], bool]) -> dict[str, Any]:
        from mekiki.training.head_fit import HeadOptions

        task, settings = self.task, self.task.settings
        self.engine.progress.begin("train: reading", len(rows), task.device)
        projection = self._projection(rows)
        learnable = self._learnable(rows, projection)
        patience = settings.patience or settings.epochs
        options = HeadOptions(
            settings.epochs, settings.batch_size, patience, settings.class_weight, settings.seed, task.device
        )
        plan, searched = settings.to_plan(), dict[str, Any]()
        if settings.search:
            plan, searched = self._search(learnable, projection, options, should_stop)
        card = self._card(plan, projection)
        options = replace(options, patience=settings.last_patience)
        fitted = self._fit(self._begin(plan, projection), learnable, plan.lr, options, card, should_stop)
        measured = {name: fitted.best_row[name] for name in MEASURES if fitted.best_row[name] == fitted.best_row[name]}
        metrics = {"best_epoch": fitted.best_epoch, "best_by": "val_pr_auc", **measured}
        card = card.model_copy(update={"metrics": metrics})
        model_id, _, card = save_model(self.catalog.workspace / "models", card, fitted.best)
        extra = {"model_id": model_id, "model": card.name, "arch": card.arch, "best_epoch": fitted.best_epoch}
        return {**extra, "metrics": measured, "vectors": self.stored.run.run_id, **searched}

    def _projection(self, rows: NDArray[np.int64]) -> ProjectionMatrix | None:
        if not isinstance(self.wanted, tuple):
            return self.wanted
        kind, n_out = self.wanted
        if kind == "orthogonal":
            return orthogonal_projection(self.stored.n_dims, n_out, self.task.settings.seed)
        vectors = self.stored.read([self.task.examples.items[row].item_id for row in self._of_part(rows, "train")])
        return pca_projection(to_unit_length(vectors), n_out)

    def _learnable(self, rows: NDArray[np.int64], projection: ProjectionMatrix | None) -> Learnable:
        from mekiki.training.head_fit import Learnable

        begun = self._begin(HeadPlan(()), projection)
        train, val = (self._part(begun, self._of_part(rows, part)) for part in ("train", "val"))
        return Learnable(train, val, self.task.activation)

    def _part(self, begun: Head, rows: NDArray[np.int64]) -> Part:
        """Read vectors and put them through what comes before the layers that learn, page by page."""
        from mekiki.training.head_fit import Part

        torch, examples = import_torch(), self.task.examples
        ids = [examples.items[row].item_id for row in rows]
        vectors = np.empty((len(ids), begun.n_prepared), np.float32)
        done = 0
        for page in pages(ids):
            with torch.no_grad():
                vectors[done : done + len(page)] = begun.prepare(torch.from_numpy(self.stored.read(page))).numpy()
            done += len(page)
            self.engine.progress.advance(len(page), 0)
        return Part(vectors, examples.truth[rows])

    def _of_part(self, rows: NDArray[np.int64], which: str) -> NDArray[np.int64]:
        part = self.task.wanted.train_part if which == "train" else self.task.wanted.val_part
        return np.array([row for row in rows.tolist() if self.task.examples.parts[row] == part], np.int64)

    def _begin(self, plan: HeadPlan, projection: ProjectionMatrix | None) -> Head:
        from mekiki.training.head_fit import new_head

        options = input_options(self.stored.n_dims, projection)
        head = new_head(plan, len(self.task.examples.class_names), options, self.task.settings.seed)
        if projection is not None:
            head.load_state_dict(projection.tensors(), strict=False)
        return head

    def _search(
        self,
        learnable: Learnable,
        projection: ProjectionMatrix | None,
        options: HeadOptions,
        should_stop: Callable[[], bool],
    ) -> tuple[HeadPlan, dict[str, Any]]:
        from mekiki.training.head_fit import fit_head

        settings, progress = self.task.settings, self.engine.progress
        progress.begin("train: search", settings.search, self.task.device)

        def fit(plan: HeadPlan) -> Iterator[Fitted]:
            return fit_head(self._begin(plan, projection), learnable, plan.lr, options, should_stop)

        def say(line: str) -> None:
            progress.say(line)
            progress.advance(1, 0)

        kind: Literal["mlp", "linear"] = "linear" if settings.head == "linear" else "mlp"
        found = search_plan(SearchOptions(kind, settings.search, settings.seed, self.folder), fit, say, should_stop)
        write_text(self.folder / SEARCH_NAME, json.dumps(found.content, indent=2))
        trials = found.content["trials"]
        best = next(one for one in trials if one["number"] == found.content["best"])
        states = {state: sum(one["state"] == state for one in trials) for state in ("complete", "pruned", "failed")}
        told = {**states, "best": best["number"], "value": best["value"], "parameters": best["parameters"]}
        return found.plan, {"search": told}

    def _fit(
        self,
        head: Head,
        learnable: Learnable,
        lr: float,
        options: HeadOptions,
        card: ModelCard,
        should_stop: Callable[[], bool],
    ) -> Fitted:
        from mekiki.training.head_fit import Fitted, fit_head

        task, progress = self.task, self.engine.progress
        progress.begin("train", options.epochs, task.device)
        wandb = None if task.wandb is None else WandbProject(task.wandb, self.folder.name, card.name, card.settings)
        events = f"{TENSORBOARD_NAME}/final" if task.settings.search else TENSORBOARD_NAME
        fitted = Fitted()
        with Recorder(self.folder, wandb=wandb, events=events) as recorder:
            for fitted in fit_head(head, learnable, lr, options, should_stop):
                progress.say(recorder.record(fitted.history))
                progress.advance(1, 0)
        if should_stop():
            raise InterruptedRunError("train interrupted. The same command starts again, and goes on with a search")
        return fitted

    def _card(self, plan: HeadPlan, projection: ProjectionMatrix | None) -> ModelCard:
        task, settings = self.task, self.task.settings
        own = {**settings_of_head(settings, plan), **describe_source(self.stored.run)}
        described = None if projection is None else projection.describe()
        return ModelCard(
            name=settings.name or plan.arch.replace("head:", "head-"),
            arch=plan.arch,
            arch_options={**input_options(self.stored.n_dims, projection), **plan.to_options()},
            class_names=task.examples.class_names,
            vectors=self.stored.run.space.model_copy(update={"is_normalised": True, "projection": described}),
            activation=task.activation,
            settings=own if task.negative is None else {**own, "negative": task.negative},
            **task.facts,
        )

    def _describe(self, rows: NDArray[np.int64]) -> list[str]:
        task, notes = self.task, [f"vectors of {self.stored.run.space}"]
        if n_lacking := len(task.examples) - len(rows):
            notes.append(f"{n_lacking} items have no vector of it and were left out: mekiki embed")
        if task.settings.search:
            val = task.examples.take(self._of_part(rows, "val"))
            notes += describe_search(task.settings.search, val)
        return notes
