"""Models of a workspace, and what they say of pictures."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mekiki.catalog.db import Catalog
from mekiki.catalog.items import require_items
from mekiki.catalog.model_files import find_model_file
from mekiki.catalog.models import ModelRow, find_model, list_models
from mekiki.catalog.results import read_split, require_split, split_runs
from mekiki.catalog.runs import make_latest
from mekiki.catalog.scored import Examples, read_examples, read_scores
from mekiki.dataset.ids import MODEL_ID_LENGTH, hash_file
from mekiki.errors import BackendError, DataError, UnreadableError, UsageError, unknown_name
from mekiki.metrics.ensembles import combine
from mekiki.records import LABELLED_KINDS, PICTURE_KINDS, ItemKind, RunSummary
from mekiki.training.card import ModelCard, read_card


@dataclass(frozen=True, slots=True)
class KnownModel:
    """A model file with its card: what the user calls it, its id, where it lies."""

    name: str
    model_id: str
    path: Path
    card: ModelCard

    @property
    def splits(self) -> set[str]:
        """Runs of the splits that it, or its members, were trained on."""
        cards = self.card.members or (self.card,)
        return {str(card.split["run_id"]) for card in cards if "run_id" in card.split}

    @property
    def kinds(self) -> tuple[ItemKind, ...]:
        """What it can judge: a head, or an ensemble of heads, also vectors that came without their pictures."""
        cards = self.card.members or (self.card,)
        return LABELLED_KINDS if all(card.is_head for card in cards) else PICTURE_KINDS


def read_model(catalog: Catalog, model: str) -> KnownModel:
    """Return a model by its name, the beginning of its id, or its file.

    Raises:
        UsageError: If there is no such model, or none is given.
        DataError: If nothing has been ingested, or trained.
        UnreadableError: If the file is none of ours.
    """
    require_items(catalog)
    path = find_model_file(model)
    if path is not None:
        card = read_card(path)
        return KnownModel(card.name, hash_file(path)[:MODEL_ID_LENGTH], path, card)
    return _known(find_model(catalog, model))


def _known(row: ModelRow) -> KnownModel:
    """Return a model of the workspace with its card.

    Raises:
        BackendError: If its file is gone or damaged.
    """
    try:
        return KnownModel(row.name, row.model_id, row.path, read_card(row.path))
    except UnreadableError as error:
        raise BackendError(
            f"the file of model {row.name!r} cannot be used: {error}. Bring it back, or mekiki forget {row.run_id} and "
            "make it again"
        ) from error


def read_models(catalog: Catalog, models: Sequence[str]) -> list[KnownModel]:
    """Return several models; those that share a name have the beginning of their ids behind it.

    Raises:
        UsageError: As `read_model`; also if one is given twice.
    """
    found = [read_model(catalog, model) for model in models]
    ids = [one.model_id for one in found]
    for one in found:
        if ids.count(one.model_id) > 1:
            raise UsageError(f"model {one.name!r} is given twice: name each once")
    names = [one.name for one in found]
    return [
        replace(one, name=f"{one.name} ({one.model_id[:8]})") if names.count(one.name) > 1 else one for one in found
    ]


def latest_models(catalog: Catalog) -> list[KnownModel]:
    """Return the models of a workspace, of those with one name the latest; the oldest first.

    Raises:
        DataError: If nothing has been ingested, or trained.
    """
    require_items(catalog)
    rows = {row.name: row for row in list_models(catalog)}
    if not rows:
        raise DataError(f"there is no model in {catalog.workspace} yet: mekiki train -w {catalog.workspace}")
    return [_known(row) for row in rows.values()]


def split_for(catalog: Catalog, models: Sequence[KnownModel], name: str | None) -> str:
    """Return the run of the split by which models are judged: by name, else the one that they were trained on.

    Where nobody knows what they were trained on, the latest split counts.

    Raises:
        UsageError: If no split has the name.
        DataError: If the models were trained on several splits, that split is gone, or nothing has been split.
    """
    if name is not None:
        return require_split(catalog, name)
    trained_on = sorted({run_id for model in models for run_id in model.splits})
    if len(trained_on) > 1:
        raise DataError(
            f"these models were trained on different splits (runs {', '.join(trained_on)}): say with --split NAME "
            f"which to judge them by; there are {', '.join(split_runs(catalog)) or 'none'}"
        )
    if not trained_on:
        return require_split(catalog, None)
    if not read_split(catalog, trained_on[0]):
        raise DataError(
            f"the split that {models[0].name!r} was trained on (run {trained_on[0]}) is not in {catalog.workspace}: "
            f"train again, or judge it by another split with --split NAME"
        )
    return trained_on[0]


def read_parts(catalog: Catalog, split_run_id: str, models: Sequence[KnownModel], parts: Collection[str]) -> Examples:
    """Return what is labelled in some parts of a split, as far as all of these models can judge it.

    Args:
        catalog: Where from.
        split_run_id: The split.
        models: At least one; all of the same classes, which are those of the rows.
        parts: Of the split.

    Raises:
        UsageError: If the split has no such part, with the nearest.
        DataError: If no picture of a part is labelled.
    """
    known = {row.part for row in read_split(catalog, split_run_id).values()}
    for part in parts:
        if part not in known:
            raise unknown_name("part", part, known)
    kinds = [kind for kind in LABELLED_KINDS if all(kind in model.kinds for model in models)]
    examples = read_examples(catalog, split_run_id, models[0].card.class_names, kinds)
    for part in parts:
        if part not in examples.parts:
            raise DataError(
                f"no picture of part {part!r} is labelled, so there is nothing to go by: mekiki annotate -w "
                f"{catalog.workspace}"
            )
    return examples.of_part(*parts)


class ScoreTable:
    """Scores of the same pictures by several models; those that models share are read once.

    They are those that ``predict`` stored; of an ensemble without its own, those of its members, combined.
    """

    def __init__(self, catalog: Catalog, examples: Examples) -> None:
        self._catalog = catalog
        self._examples = examples
        self._known: dict[str, NDArray[np.float32]] = {}

    def raw(self, model: KnownModel) -> NDArray[np.float32]:
        """Return ``(N, C)`` scores of a model, row by row of the pictures, before its own calibration.

        Raises:
            DataError: If scores are missing, with what to type.
        """
        return self._read(model.card, model.name)

    def has(self, model: KnownModel) -> bool:
        """Return whether all the pictures have scores of a model."""
        try:
            self.raw(model)
        except DataError:
            return False
        return True

    def _read(self, card: ModelCard, name: str) -> NDArray[np.float32]:
        if card.scores_id not in self._known:
            try:
                scores = read_scores(self._catalog, card.scores_id, name, self._examples)
            except DataError as error:
                scores = self._combined(card, error)
            self._known[card.scores_id] = scores
        return self._known[card.scores_id]

    def _combined(self, card: ModelCard, error: DataError) -> NDArray[np.float32]:
        """Return an ensemble's scores from those of its members; where one has none, the ensemble is to be asked."""
        try:
            members = [member.finish(self._read(member, member.name)) for member in card.members]
        except DataError:
            raise error from None
        if not members:
            raise error
        return combine(np.stack(members), np.asarray(card.weights))


def hash_scores(scores: NDArray[np.float32]) -> str:
    """Return what stands for scores in a run's fingerprint."""
    return hashlib.sha256(scores.tobytes()).hexdigest()[:MODEL_ID_LENGTH]


def make_current(catalog: Catalog, summary: RunSummary) -> None:
    """Let the model of a run count as the latest of its name again, since its command was given again."""
    if "dry_run" not in summary.extra:
        current = find_model(catalog, str(summary.extra["model"]))
        if current.model_id != summary.extra["model_id"]:
            make_latest(catalog, summary.run_id)
