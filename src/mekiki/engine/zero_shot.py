"""Labelling pictures by words, as work for an engine: stored vectors in, labels out, no pixel read."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mekiki.catalog.annotating import count_labels
from mekiki.catalog.db import Catalog, Transaction
from mekiki.catalog.items import write_classes
from mekiki.catalog.results import LabelRow, write_labels
from mekiki.catalog.vectors import VectorRun, require_vectors
from mekiki.engine.queries import opening_of
from mekiki.engine.run import Engine
from mekiki.engine.vector_items import VectorItem, VectorItems
from mekiki.errors import UnreadableError, UsageError
from mekiki.models.annotate_settings import AnnotateSettings
from mekiki.models.base import TextEmbedder
from mekiki.models.embed import open_text_embedder
from mekiki.models.vocabulary import Vocabulary
from mekiki.models.zero_shot import (
    DEFAULT_SCALE,
    Decide,
    Wording,
    class_vectors,
    wording_of,
    zero_shot_labels,
    zero_shot_scores,
)
from mekiki.records import Loaded, Result, RunSummary
from mekiki.training.vector_space import VectorSpace, check_same_space


@dataclass(frozen=True, slots=True)
class Judging:
    """How cosines become labels; see `mekiki.models.zero_shot`."""

    decide: Decide = "best"
    min_confidence: float = 0.5
    scale: float = DEFAULT_SCALE


class ZeroShotWork:
    """What one worker does to vectors of pictures.

    Args:
        name: Of the annotator, as labels have it.
        space: Of the vectors, with the id of the embedder that made those of the words.
        words: ``(C + 1, D)``: see `mekiki.models.zero_shot.class_vectors`.
        wording: The classes and what was said of them.
        judging: How they become labels.
    """

    device = "cpu"

    def __init__(
        self, name: str, space: VectorSpace, words: NDArray[np.float32], wording: Wording, judging: Judging
    ) -> None:
        self.name = name
        self.space = space
        self.words = words
        self.wording = wording
        self.judging = judging

    def identity(self) -> str:
        """Return what decides the labels."""
        judging = [self.judging.decide, self.judging.min_confidence, self.judging.scale]
        said = [list(self.wording.sentences(number)) for number in range(len(self.wording.class_names))]
        return json.dumps([self.space.embedder_id, self.wording.class_names, said, judging], ensure_ascii=False)

    def open(self) -> None:
        """Open nothing: words and pictures are vectors already."""

    def load(self, one: VectorItem) -> Iterator[Loaded]:
        """Pass a picture's vector on.

        Raises:
            UnreadableError: If it has none.
        """
        if one.vector is None:
            raise UnreadableError(one.path or one.item_id, f"no vector of {self.space.embedder} yet: mekiki embed it")
        yield Loaded(one.item_id, one.vector)

    def compute(self, loaded: list[Loaded]) -> list[Result | UnreadableError]:
        """Score the pictures."""
        vectors = np.stack([one.content for one in loaded])
        scores = zero_shot_scores(vectors, self.words, self.judging.decide, self.judging.scale)
        return [Result(one.item_id, row) for one, row in zip(loaded, scores, strict=True)]

    def write(self, transaction: Transaction, results: list[Result]) -> int:
        """Write a label for every class."""
        write_classes(transaction, self.wording.class_names)
        scores = np.stack([one.content for one in results])
        present = zero_shot_labels(scores, self.judging.decide, self.judging.min_confidence)
        rows = (
            LabelRow(one.item_id, name, self.name, "present" if is_there else "absent", confidence)
            for one, row, states in zip(results, scores, present, strict=True)
            for name, score, is_there in zip(self.wording.class_names, row.tolist(), states.tolist(), strict=True)
            for confidence in (score if is_there else 1 - score,)
        )
        return write_labels(transaction, rows)


def label_by_words(
    catalog: Catalog, settings: AnnotateSettings, engine: Engine, vocabulary: Vocabulary, embedder: str
) -> RunSummary:
    """Label by the cosine between an item's stored vector and those of words.

    Args:
        catalog: The workspace.
        settings: Of ``annotate``.
        engine: Where it runs.
        vocabulary: The classes.
        embedder: Whose vectors, or the id of their run; empty for the latest.

    Raises:
        DataError: If there are no vectors, or the words would lie in another space.
        BackendError: If their embedder has no words, or cannot be opened.
    """
    run = require_vectors(catalog, embedder or None)
    given = {"weights": settings.weights} if settings.weights else {}
    texts = open_text_embedder(opening_of(catalog, run, {"allow_code": settings.allow_code, **given}))
    judging = Judging(settings.decide, settings.min_confidence, settings.scale)
    work = make_zero_shot(run, texts, wording_of(vocabulary, settings.templates), judging)
    items = VectorItems(catalog, run, settings.kind)
    summary = engine.map(catalog, "annotate", settings, work, items, reads={"vectors": run.run_id})
    if not engine.dry_run:
        labelled = count_labels(catalog, summary.run_id)
        shown = ", ".join(f"{name} {n}" for name, n in labelled["classes"].items())
        summary.notes.append(f"pictures of each class: {shown}; none of them in {labelled['n_unknown']}")
        summary.extra["annotation"] = labelled
    return summary


def make_zero_shot(run: VectorRun, texts: TextEmbedder, wording: Wording, judging: Judging) -> ZeroShotWork:
    """Return the work that compares the vectors of a run with words.

    Raises:
        DataError: If the words would lie in another space than the vectors.
        UsageError: If the best of a single class is asked for, which every picture shows.
    """
    if judging.decide == "best" and len(wording.class_names) < 2:
        raise UsageError("best needs two classes or more: add --classes, or --decide each")
    check_same_space(run.space, texts.space, "annotator zero-shot")
    words = class_vectors(wording, texts.embed_texts)
    space = run.space.model_copy(update={"embedder_id": texts.space.embedder_id})  # imported vectors have none
    return ZeroShotWork(f"zero-shot:{run.space.embedder}", space, words, wording, judging)
