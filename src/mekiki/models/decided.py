"""From scores to what is said of files: decisions, and clips summed up from their frames.

C is the number of classes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Iterable, Iterator, Sequence
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from mekiki.dataset.formats.predictions_out import Prediction
from mekiki.intake.inputs import GivenFile, split_key
from mekiki.records import UNKNOWN
from mekiki.training.card import DEFAULT_THRESHOLD, ModelCard
from mekiki.training.foreign_heads import NEGATIVE_KEY

ClipScore = Literal["max", "mean"]

ScoredPage = tuple[list[str], NDArray[np.float32]]
"""Keys, and ``(N, C)`` raw scores."""


def in_words(one: Prediction, card: ModelCard) -> str:
    """Return what a model says of one thing, as a line; of a model with a single class with its threshold."""
    if len(card.class_names) > 1:
        return str(one)
    limit = (card.thresholds or (DEFAULT_THRESHOLD,))[0]
    says = one.labels[0] if not one.is_unknown else str(card.settings.get(NEGATIVE_KEY, UNKNOWN))
    return f"{one.name}: {says} (probability of {card.class_names[0]} {one.scores[0]:.4f}, threshold {limit:.4g})"


class Tally:
    """How often each class was decided for; frames do not count beside their clip.

    Attributes:
        counts: Class, or ``unknown``, to number of pictures and clips.
        n_rows: Predictions that passed, frames too.
        n_clips: Clips among them.
        last: The last one that is no frame.
    """

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.n_rows = 0
        self.n_clips = 0
        self.last: Prediction | None = None

    def add(self, class_names: Sequence[str], is_present: NDArray[np.bool_]) -> None:
        """Count decisions ``(N, C)``."""
        self.counts.update(dict(zip(class_names, is_present.sum(axis=0).tolist(), strict=True)))
        self.counts[UNKNOWN] += int((~is_present.any(axis=1)).sum())

    def passing(self, predictions: Iterable[Prediction]) -> Iterator[Prediction]:
        """Yield predictions as they are, and count them."""
        for one in predictions:
            self.n_rows += 1
            if one.kind != "frame":
                self.add(one.class_names, one.is_present[None])
                self.n_clips += one.kind == "clip"
                self.last = one
            yield one


def decide_files(
    pages: Iterable[ScoredPage],
    files: Iterable[GivenFile],
    card: ModelCard,
    clip_score: ClipScore,
    without: Container[str] = (),
) -> Iterator[Prediction]:
    """Yield what a model says of each file, in their order; behind the frames of a clip, of the clip as a whole.

    Args:
        pages: Scores of photos and frames in the order of their keys; see `mekiki.intake.inputs.frame_key`.
        files: In the order of their ids, with at least those that have scores.
        card: Of the model; decides, after calibration.
        clip_score: Whether a clip's score of a class is the highest, or the mean, of its frames'.
        without: Ids of files that are left out: a clip that broke off has scores of its beginning.
    """
    remaining = iter(files)
    for item_id, rows in groupby(_rows(pages, card), key=itemgetter(0)):
        if item_id in without:
            continue
        path = next(one.path for one in remaining if one.item_id == item_id)
        total, n_frames = np.zeros(len(card.class_names), np.float64), 0
        for _, time_s, scores in rows:
            yield _decide(path, scores, card, time_s)
            if time_s is not None:
                total = np.maximum(total, scores) if clip_score == "max" else total + scores
                n_frames += 1
        if n_frames:
            summed = total if clip_score == "max" else total / n_frames
            yield _decide(path, summed.astype(np.float32), card, n_frames=n_frames)


def _rows(pages: Iterable[ScoredPage], card: ModelCard) -> Iterator[tuple[str, float | None, NDArray[np.float32]]]:
    for keys, raw in pages:
        for key, scores in zip(keys, card.finish(raw), strict=True):
            item_id, time_s = split_key(key)
            yield item_id, time_s, scores


def _decide(
    path: Path,
    scores: NDArray[np.float32],
    card: ModelCard,
    time_s: float | None = None,
    n_frames: int | None = None,
) -> Prediction:
    return Prediction(path, card.class_names, scores, card.decide(scores[None])[0], time_s, n_frames)
