"""Seed 5's JSON: its keys, its two words, and no division by nothing."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from mekiki.dataset.formats.predictions_out import Prediction
from mekiki.dataset.formats.seed5_out import Seed5, nsfw_column
from mekiki.errors import UsageError


def said(path: str, score: float, **facts: float | int) -> Prediction:
    scores = np.array([score], np.float32)
    return Prediction(Path(path), ("unsafe",), scores, scores >= 0.5, **facts)  # type: ignore[arg-type]


def test_nothing_has_no_average(tmp_path: Path) -> None:
    path = Seed5(0, 0.5).write(tmp_path / "p.json", [])

    assert json.loads(path.read_text()) == {
        "summary": {"total": 0, "nsfw": 0, "sfw": 0, "avg_probability": None, "threshold": 0.5},
        "predictions": [],
    }


def test_pictures_vectors_and_clips_have_the_seeds_keys(tmp_path: Path) -> None:
    given = [
        said("/in/a.jpg", 0.75),
        said("/in/v.npy", 0.25, row=3),
        said("/in/c.mp4", 0.9, time_s=1.0),
        said("/in/c.mp4", 0.9, n_frames=1),
    ]

    content = json.loads(Seed5(0, 0.5).write(tmp_path / "p.json", given).read_text())

    assert content["summary"] == {
        "total": 3,
        "nsfw": 2,
        "sfw": 1,
        "avg_probability": pytest.approx(1.9 / 3, abs=1e-6),
        "threshold": 0.5,
    }
    picture, vector, clip = content["predictions"]
    assert picture == {
        "file": "a.jpg",
        "name": "a",
        "image_path": "/in/a.jpg",
        "nsfw_probability": 0.75,
        "is_nsfw": True,
        "classification": "nsfw",
    }
    assert vector == {
        "file": "v.npy#3",
        "name": "v#3",
        "nsfw_probability": 0.25,
        "is_nsfw": False,
        "classification": "sfw",
    }
    assert clip["file"] == "c.mp4"


def test_a_single_one_is_an_object_of_its_own(tmp_path: Path) -> None:
    path = Seed5(0, 0.5, is_single=True).write(tmp_path / "p.json", [said("/in/a.jpg", 0.75)])

    assert json.loads(path.read_text()) == {
        "nsfw_probability": 0.75,
        "is_nsfw": True,
        "classification": "nsfw",
        "image_path": "/in/a.jpg",
        "threshold": 0.5,
    }


def test_a_writing_that_breaks_off_leaves_nothing(tmp_path: Path) -> None:
    def breaks_off() -> Iterator[Prediction]:
        yield said("/in/a.jpg", 0.75)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Seed5(0, 0.5).write(tmp_path / "p.json", breaks_off())

    assert not list(tmp_path.iterdir())


def test_which_class_is_meant_is_not_guessed() -> None:
    assert nsfw_column(["anything"]) == 0
    assert nsfw_column(["safe", "Unsafe"]) == 1
    for names in (["fox", "cat"], ["nsfw", "unsafe"]):
        with pytest.raises(UsageError, match="seed 5's files are of one class"):
            nsfw_column(names)
