"""Labelling pictures by words, as work for an engine: stored vectors in, labels out, no pixel read."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mekiki.catalog.db import PAGE_ROWS, Catalog, Transaction
from mekiki.catalog.items import select_items, write_classes
from mekiki.catalog.results import LabelRow, write_labels
from mekiki.catalog.vectors import StoredVectors, VectorRun
from mekiki.errors import UnreadableError
from mekiki.models.base import TextEmbedder
from mekiki.models.zero_shot import (
    DEFAULT_SCALE,
    Decide,
    Wording,
    class_vectors,
    zero_shot_labels,
    zero_shot_scores,
)
from mekiki.records import Item, ItemKind, Loaded, Result
from mekiki.training.vector_space import VectorSpace, check_same_space


@dataclass(frozen=True, slots=True, eq=False)
class ItemVector:
    """A picture with its vector ``(D,)``; None where it has none."""

    item: Item
    vector: NDArray[np.float32] | None

    @property
    def item_id(self) -> str:
        """The item's."""
        return self.item.item_id

    @property
    def path(self) -> Path | None:
        """The item's."""
        return self.item.path


class ItemVectors:
    """Items of some kinds with their vectors, in the order of ids, read a page at a time."""

    def __init__(self, catalog: Catalog, run: VectorRun, kinds: Sequence[ItemKind]) -> None:
        self._items = select_items(catalog, kinds)
        self._stored = StoredVectors(catalog, run)

    def __len__(self) -> int:
        return len(self._items)

    def __iter__(self) -> Iterator[ItemVector]:
        items = iter(self._items)
        while page := list(islice(items, PAGE_ROWS)):
            having = self._stored.having([item.item_id for item in page])
            found = [item.item_id for item in page if item.item_id in having]
            vectors = dict(zip(found, self._stored.read(found), strict=True))
            for item in page:
                yield ItemVector(item, vectors.get(item.item_id))


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
        space: Of the vectors.
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

    def load(self, one: ItemVector) -> Iterator[Loaded]:
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


def make_zero_shot(run: VectorRun, texts: TextEmbedder, wording: Wording, judging: Judging) -> ZeroShotWork:
    """Return the work that compares the vectors of a run with words.

    Raises:
        DataError: If the words would lie in another space than the vectors.
    """
    check_same_space(run.space, texts.space, "annotator zero-shot")
    words = class_vectors(wording, texts.embed_texts)
    return ZeroShotWork(f"zero-shot:{run.space.embedder}", run.space, words, wording, judging)
