"""Scoring the vectors that a workspace stores with a head, as work for an engine. D is the number of dimensions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mekiki.catalog.db import Catalog, Transaction
from mekiki.catalog.items import select_items
from mekiki.catalog.predictions import write_predictions
from mekiki.catalog.vectors import VectorRun, require_vectors, vector_runs
from mekiki.engine.head_files import BATCH_ROWS
from mekiki.engine.head_inputs import PRECISION_KEY, RUN_KEY
from mekiki.engine.run import Selection, Work
from mekiki.engine.scoring import StoredPicture, StoredPictures, StoredWork
from mekiki.engine.vector_items import VectorItem, VectorItems
from mekiki.errors import DataError, UnreadableError, UsageError
from mekiki.models.classify_head import common_space, has_heads, open_scorer
from mekiki.models.opening import Opening, scores_identity
from mekiki.records import LABELLED_KINDS, Loaded, Result
from mekiki.settings import PerItemSettings
from mekiki.training.card import ModelCard
from mekiki.training.vector_space import VectorSpace, check_same_space


def choose_vectors(catalog: Catalog, card: ModelCard, space: VectorSpace, wanted: str | None) -> VectorRun:
    """Return the run of ``embed`` whose vectors a model scores.

    Args:
        catalog: The workspace.
        card: Of the model.
        space: What it looks at.
        wanted: What the user asks for; None takes, of the same embedder's, the run that the model was trained on, else
            the latest in the same precision, else the latest.

    Raises:
        DataError: If there are no vectors of that embedder, naming what there is.
        UsageError: If there are none of that name, or nobody knows which embedder the model was made for.
    """
    if wanted is not None:
        run = require_vectors(catalog, wanted)
        check_same_space(space, run.space, f"model {card.name!r}")
        return run
    latest = require_vectors(catalog)
    runs = [run for run in vector_runs(catalog) if run.is_finished]
    if not space.embedder and not space.embedder_id:
        raise UsageError(
            f"nobody knows which embedder model {card.name!r} was made for, only that its vectors have {space.n_dims} "
            f"dimensions: say which vectors it is to look at, as with --vectors {latest.space.embedder}"
        )
    fitting, refusals = [], []
    for run in runs:
        try:
            check_same_space(space, run.space, f"model {card.name!r}")
        except DataError as error:
            refusals.append(error)
        else:
            fitting.append(run)
    if not fitting:
        raise refusals[0]
    known = _source_of(card)
    return min(fitting, key=lambda run: (run.run_id != known.get(RUN_KEY), run.precision != known.get(PRECISION_KEY)))


def _source_of(card: ModelCard) -> Mapping[str, Any]:
    """Return the settings that say what a head, or the first member of an ensemble of heads, was trained on."""
    return card.members[0].settings if card.members else card.settings


def _note_other_precision(card: ModelCard, run: VectorRun) -> list[str]:
    """Return a line if a model scores vectors in another precision than those that it was trained on."""
    trained_in = _source_of(card).get(PRECISION_KEY, run.precision)
    if trained_in == run.precision:
        return []
    return [f"these vectors are in {run.precision}, and model {card.name!r} was trained on those in {trained_in}"]


class StoredVectorWork:
    """What one worker does to stored vectors; no pixel is read.

    Args:
        opening: The model, with a real runtime and device.
        card: What its file says of it.
        embedder: What makes vectors of items that have none, for a message.
    """

    def __init__(self, opening: Opening, card: ModelCard, embedder: str) -> None:
        self.opening = opening
        self.card = card
        self._embedder = embedder

    @property
    def device(self) -> str:
        """What the head runs on."""
        return self.opening.device

    def identity(self) -> str:
        """Return what the scores depend on."""
        return scores_identity(self.card, self.opening)

    def open(self) -> None:
        """Open the head."""
        self._scorer = open_scorer(self.opening)

    def load(self, one: VectorItem) -> Iterator[Loaded]:
        """Hand on a vector, or say that there is none."""
        if one.vector is None:
            raise UnreadableError(
                one.path or one.item_id, f"it has no vector yet: mekiki embed --embedder {self._embedder}"
            )
        yield Loaded(one.item_id, one)

    def compute(self, loaded: list[Loaded]) -> list[Result | UnreadableError]:
        """Score vectors in one batch; scores that are no numbers are failures."""
        scores = self._scorer.score(np.stack([one.content.vector for one in loaded]))
        is_known = np.asarray(np.isfinite(scores).all(axis=1))
        return [
            Result(one.item_id, (one.item_id, scores[row]))
            if is_known[row]
            else UnreadableError(one.content.path or one.item_id, f"model {self.card.name!r} gives no number for it")
            for row, one in enumerate(loaded)
        ]

    def write(self, transaction: Transaction, results: list[Result]) -> int:
        """Write the scores."""
        return write_predictions(transaction, self.card.class_names, [one.content for one in results])


class MemberScores(StoredPictures):
    """Everything in a workspace, with what members' stored scores add up to; of a model that mixes heads and networks.

    Args:
        catalog: The workspace.
        card: Of the ensemble.
        opening: How it is opened.

    Raises:
        DataError: If a member has no stored scores at all.
    """

    def __init__(self, catalog: Catalog, card: ModelCard, opening: Opening) -> None:
        super().__init__(catalog, card, opening)
        if all(member.is_head for member in card.members):
            self._items = select_items(catalog, LABELLED_KINDS)
        if not self._runs:
            raise DataError(
                f"the members of {card.name!r} look at different things, so their stored scores are joined, and not "
                f"all are stored: mekiki predict each of {', '.join(member.name for member in card.members)} first"
            )


class MemberScoresWork(StoredWork):
    """What one worker does to items whose scores are made of stored ones."""

    def load(self, picture: StoredPicture) -> Iterator[Loaded]:
        """Hand on joined scores, or say that some are missing."""
        if picture.scores is None:
            names = ", ".join(member.name for member in self.card.members)
            raise UnreadableError(
                picture.path or picture.item_id, f"not all members have scores of it: mekiki predict each of {names}"
            )
        yield from super().load(picture)


@dataclass(frozen=True, slots=True)
class StoredJob:
    """What ``predict`` does to a workspace with a model.

    Attributes:
        work: What to do.
        items: To what.
        reads: What else the scores depend on.
        warnings: What to tell of the choice of vectors.
    """

    work: Work[Any]
    items: Selection[Any]
    reads: Mapping[str, str]
    warnings: Sequence[str] = ()

    def sized(self, settings: PerItemSettings) -> PerItemSettings:
        """Return the settings with a batch of a good size."""
        return settings.with_batches_of(BATCH_ROWS) if isinstance(self.work, StoredVectorWork) else settings

    def notes(self) -> list[str]:
        """Return what to tell of it when it is done."""
        n_joined = self.work.n_joined if isinstance(self.work, StoredWork) else 0
        joined = [f"{n_joined} pictures were not read: the scores of all members are stored"] if n_joined else []
        return [*self.warnings, *joined]


def stored_job(catalog: Catalog, card: ModelCard, opening: Opening, vectors: str | None) -> StoredJob:
    """Return what is to be done to a workspace: pictures are read, or their stored vectors.

    Args:
        catalog: The workspace.
        card: Of the model.
        opening: How it is opened.
        vectors: Whose vectors the user asks for.

    Raises:
        UsageError: If vectors are asked for and the model looks at pictures, or nobody knows which it looks at.
        DataError: If there are no vectors that it was made for, or members' scores are missing.
    """
    space = common_space(card)
    if space is not None:
        run = choose_vectors(catalog, card, space, vectors)
        work = StoredVectorWork(opening, card, run.space.embedder)
        warnings = _note_other_precision(card, run)
        return StoredJob(work, VectorItems(catalog, run), {"vectors": run.run_id}, warnings)
    if vectors is not None:
        raise UsageError(f"--vectors goes with a head, and model {card.name!r} looks at pictures: leave it out")
    if has_heads(card):
        return StoredJob(MemberScoresWork(opening, card), MemberScores(catalog, card, opening), {})
    return StoredJob(StoredWork(opening, card), StoredPictures(catalog, card, opening), {})
