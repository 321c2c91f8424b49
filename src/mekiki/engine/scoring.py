"""Scoring pictures with a classifier, as work for an engine: those of a workspace, or files that are given."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mekiki.catalog.db import PAGE_ROWS, Catalog, Transaction
from mekiki.catalog.items import select_pictures
from mekiki.catalog.predictions import write_predictions
from mekiki.catalog.score_pages import run_of_identity, scores_of
from mekiki.errors import UnreadableError
from mekiki.intake.files import unchanged_path
from mekiki.intake.inputs import GivenFile, frame_key
from mekiki.intake.pictures import iter_pictures
from mekiki.media.images import decode_image, read_picture_bytes
from mekiki.media.sampling import Sampling
from mekiki.media.video import Damage
from mekiki.metrics.ensembles import combine
from mekiki.models.base import Classifier, Prepared
from mekiki.models.classify import open_classifier
from mekiki.models.opening import Opening, scores_identity
from mekiki.records import Item, Loaded, Result
from mekiki.training.card import ModelCard


@dataclass(frozen=True, slots=True, eq=False)
class Ready:
    """A picture on its way to its scores.

    Attributes:
        path: Its file, for messages.
        key: What its scores are stored under.
        prepared: For the networks; None if it has scores already.
        scores: ``(C,)`` float32, raw.
        damage: What was lost of a clip; then there is nothing else.
        is_joined: Whether the scores were made of stored ones.
    """

    path: Path | None
    key: str
    prepared: Prepared | None = None
    scores: NDArray[np.float32] | None = None
    damage: Damage | None = None
    is_joined: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class StoredPicture:
    """A picture of the workspace; of an ensemble's, with what its members' stored scores add up to if all are there."""

    item: Item
    scores: NDArray[np.float32] | None

    @property
    def item_id(self) -> str:
        """The item's."""
        return self.item.item_id

    @property
    def path(self) -> Path | None:
        """The item's."""
        return self.item.path


class StoredPictures:
    """Every picture of a workspace, in the order of ids, read a page at a time.

    Args:
        catalog: The workspace.
        card: Of the model.
        opening: How it is opened: members' scores only count if they were made in the same way.
    """

    def __init__(self, catalog: Catalog, card: ModelCard, opening: Opening) -> None:
        self._catalog = catalog
        self._items = select_pictures(catalog, "mekiki train --head mlp makes a model that looks at vectors")
        self._card = card
        members = () if opening.is_onnx else card.members  # a graph need not be what its card says of its members
        runs = [run_of_identity(catalog, scores_identity(member, opening)) for member in members]
        self._runs = [] if None in runs else [run for run in runs if run is not None]

    def __len__(self) -> int:
        return len(self._items)

    def __iter__(self) -> Iterator[StoredPicture]:
        items = iter(self._items)
        while page := list(islice(items, PAGE_ROWS)):
            ids = [item.item_id for item in page]
            found = [scores_of(self._catalog, run, ids, self._card.class_names) for run in self._runs]
            for item in page:
                yield StoredPicture(item, self._joined(found, item.item_id))

    def _joined(self, found: list[dict[str, NDArray[np.float32]]], item_id: str) -> NDArray[np.float32] | None:
        """Return what members' scores of a picture add up to; None for a network, or if some are not stored."""
        if not found or not all(item_id in scores for scores in found):
            return None
        finished = [card.finish(scores[item_id][None]) for card, scores in zip(self._card.members, found, strict=True)]
        joined: NDArray[np.float32] = combine(np.stack(finished), self._card.weights)[0]
        return joined


class ScoreWork:
    """What all scoring shares: one classifier, opened when it is first needed.

    Args:
        opening: The model, with a real runtime and device.
        card: What its file says of it.
    """

    def __init__(self, opening: Opening, card: ModelCard) -> None:
        self.opening = opening
        self.card = card

    @property
    def device(self) -> str:
        """What the classifier runs on."""
        return self.opening.device

    def identity(self) -> str:
        """Return what the scores depend on."""
        return scores_identity(self.card, self.opening)

    def open(self) -> None:
        """Open nothing yet: an ensemble may find the scores of all its members stored."""
        self._lock = threading.Lock()
        self._classifier: Classifier | None = None

    def classifier(self) -> Classifier:
        """Return the classifier; other threads wait while one opens it."""
        with self._lock:
            if self._classifier is None:
                self._classifier = open_classifier(self.opening)
            return self._classifier

    def compute(self, loaded: list[Loaded]) -> list[Result | UnreadableError]:
        """Score what has no scores yet, in one batch; scores that are no numbers are failures."""
        ready: list[Ready] = [one.content for one in loaded]
        waiting = [one.prepared for one in ready if one.prepared is not None]
        scores = iter(self.classifier().score(waiting) if waiting else ())
        done = [one if one.prepared is None else replace(one, prepared=None, scores=next(scores)) for one in ready]
        return [
            UnreadableError(one.path or one.key, f"model {self.card.name!r} gives scores that are no numbers")
            if one.scores is not None and not np.isfinite(one.scores).all()
            else Result(item.item_id, one)
            for item, one in zip(loaded, done, strict=True)
        ]

    def write(self, transaction: Transaction, results: list[Result]) -> int:
        """Write the scores."""
        rows = [(one.content.key, one.content.scores) for one in results if one.content.scores is not None]
        return write_predictions(transaction, self.card.class_names, rows)


class StoredWork(ScoreWork):
    """What one worker does to pictures of a workspace.

    Attributes:
        n_joined: Pictures whose scores were made of stored ones.
    """

    n_joined = 0

    def load(self, picture: StoredPicture) -> Iterator[Loaded]:
        """Read and prepare a picture, unless its scores are known."""
        if picture.scores is not None:
            yield Loaded(picture.item_id, Ready(picture.path, picture.item_id, scores=picture.scores, is_joined=True))
            return
        classifier = self.classifier()
        path = unchanged_path(picture.item)  # what was ingested although its end is missing is taken as far as it goes
        content = read_picture_bytes(path)
        prepared = classifier.prepare(
            lambda px: decode_image(content, path, at_least_px=px, allow_truncated=True).pixels
        )
        yield Loaded(picture.item_id, Ready(picture.path, picture.item_id, prepared))

    def write(self, transaction: Transaction, results: list[Result]) -> int:
        """Write the scores, and count those that were made of stored ones."""
        self.n_joined += sum(one.content.is_joined for one in results)
        return super().write(transaction, results)


class FileWork(ScoreWork):
    """What one worker does to files that are given.

    Args:
        opening: The model, with a real runtime and device.
        card: What its file says of it.
        sampling: Which frames of clips are looked at.

    Attributes:
        damages: What was lost of clips.
    """

    def __init__(self, opening: Opening, card: ModelCard, sampling: Sampling) -> None:
        super().__init__(opening, card)
        self.sampling = sampling
        self.damages: list[Damage] = []

    def load(self, file: GivenFile) -> Iterator[Loaded]:
        """Read and prepare a photo, or frames of a clip."""
        if file.problem is not None:
            raise UnreadableError(file.path, file.problem)
        classifier = self.classifier()
        for one in iter_pictures(file.path, self.sampling):
            if isinstance(one, Damage):
                yield Loaded(file.item_id, Ready(file.path, file.item_id, damage=one))
                continue
            key = file.item_id if one.time_s is None else frame_key(file.item_id, one.index or 0, one.time_s)
            yield Loaded(file.item_id, Ready(file.path, key, classifier.prepare(one.read)))

    def write(self, transaction: Transaction, results: list[Result]) -> int:
        """Write the scores, and remember what was lost."""
        self.damages += [one.content.damage for one in results if one.content.damage is not None]
        return super().write(transaction, results)
