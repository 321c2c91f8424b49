"""Scoring files of vectors with a head, block by block, whatever their number.

N is the number of vectors, D of dimensions, C of classes.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mekiki.dataset.formats.npy import row_path
from mekiki.dataset.formats.predictions_out import Prediction
from mekiki.engine.interrupt import InterruptFlag
from mekiki.engine.run import Engine
from mekiki.errors import DataError, InterruptedRunError
from mekiki.intake.given_vectors import GivenVectors
from mekiki.models.classify_head import VectorScorer, open_scorer
from mekiki.models.opening import Opening
from mekiki.records import Failure, RunSummary
from mekiki.settings import PerItemSettings
from mekiki.training.card import ModelCard

BATCH_ROWS = 4096
"""Vectors that are read and scored together, unless the user chose: a head takes no memory worth mentioning."""

N_BEFORE_SHARE = 20
"""Vectors to see before the share of failures can stop the reading of files."""


class FileScores:
    """Scores of given vectors, block by block; nothing but failures is kept in memory.

    Args:
        opening: The head, with a real runtime and device.
        card: What its file says of it, with the thresholds to decide by.
        vectors: What is given.
        settings: Of the stage: how many at a time, how many at all, how many may fail.
        engine: Where to say how far it is.

    Attributes:
        summary: Complete once `predictions` is at its end.
    """

    def __init__(
        self, opening: Opening, card: ModelCard, vectors: GivenVectors, settings: PerItemSettings, engine: Engine
    ) -> None:
        self._scorer: VectorScorer = open_scorer(opening)
        self._card = card
        self._vectors = vectors
        self._settings = settings
        self._engine = engine
        self.summary = RunSummary("predict", "")

    def planned(self) -> RunSummary:
        """Return what would be done."""
        n_vectors = self._vectors.n_vectors()
        self.summary.extra = {"dry_run": True, "n_todo": n_vectors}
        self.summary.notes.append(f"would score {'all' if n_vectors is None else n_vectors} vectors")
        return self.summary

    def predictions(self) -> Iterator[Prediction]:
        """Yield what the model says of each vector, in their order.

        Raises:
            DataError: If the first file has vectors of another length, or too many vectors fail.
            InterruptedRunError: If the user stopped it.
        """
        space, summary = self._scorer.space, self.summary
        what, size = f"model {self._card.name!r}", self._settings.with_batches_of(BATCH_ROWS).batch_size
        blocks = self._vectors.blocks(space.n_dims, what, size, allow_zero=not space.is_normalised)
        started = time.monotonic()
        self._engine.progress.begin("predict", self._vectors.n_vectors(), self._scorer.device)
        with InterruptFlag() as interrupt:
            try:
                for block in blocks:
                    n_left = None if self._settings.limit is None else self._settings.limit - summary.n_selected
                    if interrupt.is_set:
                        raise InterruptedRunError(
                            "predict interrupted: nothing is written. The same command starts anew"
                        )
                    if n_left == 0:
                        break
                    places = block.places[:n_left]
                    summary.failures += block.failures if n_left is None else block.failures[: n_left - len(places)]
                    yield from self._decided(places, block.vectors[: len(places)])
                    self._engine.progress.advance(len(places) + len(block.failures), len(block.failures))
                    summary.n_failed = len(summary.failures)
                    summary.n_selected = summary.n_written + summary.n_failed
                    self._check_share()
            finally:
                self._engine.progress.end()
                summary.seconds = time.monotonic() - started

    def _decided(self, places: Sequence[tuple[Path, int]], vectors: NDArray[np.float32]) -> Iterator[Prediction]:
        if not places:
            return
        scores = self._card.finish(self._scorer.score(vectors))
        decisions = self._card.decide(scores)
        is_known = np.asarray(np.isfinite(scores).all(axis=1))
        for place, (path, row) in enumerate(places):
            if not is_known[place]:
                reason = f"model {self._card.name!r} gives no number for it"
                self.summary.failures.append(Failure(row_path(path, row), reason, "predict"))
                continue
            self.summary.n_written += 1
            yield Prediction(path, self._card.class_names, scores[place], decisions[place], row=row)

    def _check_share(self) -> None:
        summary = self.summary
        share = summary.n_failed / summary.n_selected if summary.n_selected > N_BEFORE_SHARE else 0.0
        if share > self._settings.max_failed_share:
            first = summary.failures[0]
            raise DataError(
                f"predict stopped: {summary.n_failed} of {summary.n_selected} vectors failed, the first is "
                f"{first.path}: {first.reason}. Mend them, or go on with --max-failed-share {min(1.0, share + 0.1):.1f}"
            )
