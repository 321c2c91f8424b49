"""Taking over a head that was trained elsewhere, as ``train --epochs 0 --weights HEAD`` does: nothing is learned.

The model that is written knows whose vectors it looks at, which a head of somebody else's does not say.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mekiki.catalog.db import Catalog
from mekiki.catalog.model_files import TRAINED_NAME
from mekiki.catalog.models import ModelRow, write_models
from mekiki.catalog.scored import Examples
from mekiki.catalog.trainable import Wanted, certificate_of, check_readable, describe_examples
from mekiki.catalog.vectors import StoredVectors, VectorRun
from mekiki.dataset.ids import safe_name
from mekiki.engine.head_inputs import describe_source, find_lacking, hash_vectors, pages
from mekiki.engine.head_scoring import choose_vectors
from mekiki.engine.run import Engine, Outcome
from mekiki.engine.trained import trained_in_words
from mekiki.errors import UsageError
from mekiki.models.classify_head import VectorScorer
from mekiki.models.opening import ForeignFacts, Opening, load_model
from mekiki.records import Failure, RunSummary
from mekiki.training.checkpoint import save_model
from mekiki.training.head_settings import HeadSettings
from mekiki.training.origins import ORIGINS_KEY, as_setting, origins_of
from mekiki.training.scoring import f1_scores, macro_average_precision


@dataclass(frozen=True, slots=True)
class AdoptTask:
    """One head to take over.

    Attributes:
        settings: With the file of weights, whose vectors, and a projection where it needs one.
        foreign: What else is said of the file.
        examples: Labelled items of a part, to measure it on.
        wanted: Which they are.
        max_failed_share: Stop when more of the items have no vector.
    """

    settings: HeadSettings
    foreign: ForeignFacts
    examples: Examples
    wanted: Wanted
    max_failed_share: float


def adopt_head(catalog: Catalog, task: AdoptTask, engine: Engine) -> RunSummary:
    """Write a model of the workspace with a head as it is, and say what it measures.

    Raises:
        UsageError: If nobody knows whose vectors it was made for and none are named.
        DataError: If they are others than it was made for, or too few items have one.
        BackendError: If it cannot be read.
    """
    path = Path(str(task.settings.weights))
    given = task.settings.projection
    projection = None if given is None else Path(given).expanduser()
    begun, tensors = load_model(Opening(path, "torch", "cpu", foreign=task.foreign, projection=projection))
    if begun.vectors is None:
        raise UsageError(f"{path} looks at pixels: leave out --vectors and --projection")
    run = choose_vectors(catalog, begun, begun.vectors, task.settings.vectors)
    settings = task.settings.model_copy(update={"activation": begun.activation})
    origins, parents = origins_of(path)
    own = {"projection": begun.vectors.projection, "is_normalised": begun.vectors.is_normalised}
    card = begun.model_copy(
        update={
            "name": settings.name or safe_name(begun.name),
            "vectors": run.space.model_copy(update=own),
            "settings": {
                **describe_source(run),
                **begun.settings,
                "epochs": 0,
                **({ORIGINS_KEY: as_setting(origins)} if origins else {}),
            },
            "split": certificate_of(catalog, task.examples.split_run_id),
            "parents": parents,
        }
    )

    def compute(run_id: str) -> Outcome:
        measured, failures = _measure(catalog, task, VectorScorer(card, tensors), run)
        whole = card.model_copy(update={"metrics": {"best_epoch": 0, **measured}})
        model_id, saved, _ = save_model(catalog.workspace / "models", whole, tensors)
        row = ModelRow(model_id, run_id, card.name, saved, card.parents)
        extra = {"model_id": model_id, "model": card.name, "arch": card.arch, "best_epoch": 0, "metrics": measured}
        extra["vectors"] = run.run_id
        notes = [*describe_examples(task.examples, task.wanted), f"vectors of {run.space}", trained_in_words(extra)]
        return Outcome(
            n_selected=len(task.examples),
            write=lambda transaction: write_models(transaction, [row]),
            files={TRAINED_NAME: json.dumps(extra, ensure_ascii=False, indent=2)},
            outputs={"model": catalog.relative(saved)},
            extra=extra,
            notes=notes,
            failures={task.examples.items[place].item_id: failure for place, failure in failures.items()},
        )

    stored = StoredVectors(catalog, run)
    reads = {
        "split": task.examples.split_run_id,
        "examples": task.examples.fingerprint(),
        "vectors": run.run_id,
        "vector_rows": hash_vectors(stored, sorted(stored.having([item.item_id for item in task.examples.items]))),
    }
    return engine.once(catalog, "train", settings, reads, compute, identity=begun.scores_id)


def _measure(
    catalog: Catalog, task: AdoptTask, scorer: VectorScorer, run: VectorRun
) -> tuple[dict[str, float], dict[int, Failure]]:
    """Return what a head measures on the examples that have a vector, and row to failure of the others."""
    examples, stored = task.examples, StoredVectors(catalog, run)
    failures = find_lacking(examples, stored, task.max_failed_share)
    check_readable(examples, failures, task.wanted, 1.0)
    rows = np.array([row for row in range(len(examples)) if row not in failures], np.int64)
    ids = [examples.items[row].item_id for row in rows]
    scores = np.concatenate([scorer.score(stored.read(page)) for page in pages(ids)])
    truth = examples.truth[rows]
    micro, macro = f1_scores(scorer.card.decide(scores), truth)
    measured = {
        "val_micro_f1": micro,
        "val_macro_f1": macro,
        "val_macro_ap": macro_average_precision(scores, truth),
    }
    return {name: value for name, value in measured.items() if value == value}, failures
