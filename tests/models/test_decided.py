"""Decisions about files: in their order, clips summed up, broken ones left out, all counted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mekiki.dataset.formats.predictions_out import Prediction
from mekiki.intake.inputs import GivenFile, frame_key
from mekiki.media.preprocessing import Preprocessing
from mekiki.models.decided import Tally, decide_files
from mekiki.training.card import Calibration, ModelCard

FILES = [GivenFile(f"{place:09d}", Path(name)) for place, name in enumerate(("a.jpg", "gone.jpg", "c.mp4", "d.jpg"))]
A, GONE, CLIP, D = (one.item_id for one in FILES)


def card(**facts: Any) -> ModelCard:
    return ModelCard(name="m", class_names=("fox", "cat"), preprocessing=Preprocessing(), **facts)


def page(*rows: tuple[str, tuple[float, float]]) -> tuple[list[str], Any]:
    return [key for key, _ in rows], np.array([scores for _, scores in rows], np.float32)


PAGES = [
    page((A, (0.9, 0.1)), (frame_key(CLIP, 0, 0.0), (0.1, 0.2))),
    page((frame_key(CLIP, 9, 0.3), (0.7, 0.4)), (D, (0.2, 0.3))),
]


def decide(model: ModelCard, how: Any = "max", **facts: Any) -> list[Prediction]:
    return list(decide_files(PAGES, FILES, model, how, **facts))


def test_no_scores_give_nothing() -> None:
    assert list(decide_files([], FILES, card(), "max")) == []


@pytest.mark.parametrize(("how", "scores", "labels"), [("max", [0.7, 0.4], ["fox"]), ("mean", [0.4, 0.3], ["unknown"])])
def test_files_keep_their_order_and_a_clip_is_summed_up_behind_its_frames(
    how: str, scores: list[float], labels: list[str]
) -> None:
    said = decide(card(), how)

    assert [one.name for one in said] == ["a.jpg", "c.mp4#t=0.000", "c.mp4#t=0.300", "c.mp4", "d.jpg"]
    assert [one.kind for one in said] == ["image", "frame", "frame", "clip", "image"]
    assert np.allclose(said[3].scores, scores)
    assert said[3].labels == labels
    assert said[3].n_frames == 2


def test_thresholds_and_calibration_of_the_card_decide() -> None:
    tuned = decide(card(thresholds=(0.95, 0.05)))
    hot = decide(card(calibration=Calibration(method="temperature", temperatures=(2.0, 1.0))))

    assert tuned[0].labels == ["cat"]
    assert np.isclose(hot[0].scores[0], 1 / (1 + np.exp(-np.log(9) / 2)))


def test_without_thresholds_softmax_says_the_highest() -> None:
    assert [one.labels for one in decide(card(activation="softmax"))][0::4] == [["fox"], ["cat"]]


def test_files_that_failed_are_left_out() -> None:
    assert [one.name for one in decide(card(), without={CLIP})] == ["a.jpg", "d.jpg"]


def test_a_tally_counts_pictures_and_clips_but_no_frames() -> None:
    tally = Tally()

    passed = list(tally.passing(decide(card())))

    assert len(passed) == tally.n_rows == 5
    assert tally.counts == {"fox": 2, "cat": 0, "unknown": 1}
    assert tally.n_clips == 1
    assert tally.last is passed[-1]
