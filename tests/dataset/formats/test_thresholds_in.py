"""Thresholds in every form in which people have them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from mekiki.dataset.formats.thresholds_in import merge_thresholds, read_thresholds
from mekiki.errors import UsageError
from mekiki.metrics.thresholds import TuneOptions, tune
from workspaces import write_text

CLASSES = ("fox", "cat", "ネコ")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("0.3", dict.fromkeys(CLASSES, 0.3), id="number"),
        pytest.param("0", dict.fromkeys(CLASSES, 0.0), id="zero"),
        pytest.param("1", dict.fromkeys(CLASSES, 1.0), id="one"),
        pytest.param('{"cat": 0.25}', {"cat": 0.25}, id="per class"),
        pytest.param('{"ネコ": 0, "fox": 1}', {"ネコ": 0.0, "fox": 1.0}, id="not ASCII"),
        pytest.param("{}", {}, id="none"),
        pytest.param('{"threshold": 0.4}', dict.fromkeys(CLASSES, 0.4), id="metrics, scalar"),
        pytest.param('{"thresholds": {"cat": 0.4}, "threshold": 0.9}', {"cat": 0.4}, id="metrics, per class wins"),
        pytest.param('{"thresholds": null, "threshold": 0.9}', dict.fromkeys(CLASSES, 0.9), id="metrics, null"),
        pytest.param(
            '{"arch": "resnet18", "threshold": 0.5, "test": {"micro_f1": 0.6}}',
            dict.fromkeys(CLASSES, 0.5),
            id="seed 1",
        ),
    ],
)
def test_text_and_a_file_with_it_say_the_same(tmp_path: Path, text: str, expected: dict[str, float]) -> None:
    file = write_text(tmp_path / "t.json", f"\ufeff{text}\n")

    assert read_thresholds(text, CLASSES) == expected
    assert read_thresholds(str(file), CLASSES) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("1.5", r"must lie in \[0, 1\], got 1.5", id="above"),
        pytest.param("-0.1", r"must lie in \[0, 1\], got -0.1", id="below"),
        pytest.param("NaN", r"must lie in \[0, 1\], got nan", id="no number"),
        pytest.param("true", r"must lie in \[0, 1\], got True", id="switch"),
        pytest.param("[0.5]", r"must lie in \[0, 1\], got \[0.5\]", id="list"),
        pytest.param('{"fox": 2}', r"must lie in \[0, 1\], got 2", id="above, per class"),
        pytest.param('{"fox": "0.5"}', r"must lie in \[0, 1\], got '0.5'", id="text"),
        pytest.param('{"foks": 0.5}', r"no class is called 'foks'\. Did you mean 'fox'", id="unknown class"),
        pytest.param('{"fox": 0.5', "are broken JSON: give a number from 0 to 1", id="broken"),
        pytest.param('{"thresholds": 3}', r"must lie in \[0, 1\], got None", id="metrics without"),
        pytest.param("nothing.json", "there are no thresholds nothing.json: give a number", id="no file"),
    ],
)
def test_what_is_no_threshold_is_refused(text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        read_thresholds(text, CLASSES)


def test_a_file_that_is_wrong_is_named(tmp_path: Path) -> None:
    file = write_text(tmp_path / "t.json", json.dumps({"fox": 7}))

    with pytest.raises(UsageError, match=r"got 7 \(in .*t\.json\)"):
        read_thresholds(str(file), CLASSES)


@pytest.mark.parametrize(
    ("given", "own", "expected"),
    [
        pytest.param({}, None, (0.5, 0.5, 0.5), id="nobody says anything"),
        pytest.param({}, (0.1, 0.2, 0.3), (0.1, 0.2, 0.3), id="the model's"),
        pytest.param({"cat": 0.9}, (0.1, 0.2, 0.3), (0.1, 0.9, 0.3), id="what is given wins"),
        pytest.param({"cat": 0.0}, None, (0.5, 0.0, 0.5), id="zero is given"),
    ],
)
def test_what_is_given_goes_before_the_models_own(
    given: dict[str, float], own: tuple[float, ...] | None, expected: tuple[float, ...]
) -> None:
    assert merge_thresholds(given, own, CLASSES, 0.5) == expected


def test_a_threshold_that_no_score_reaches_is_read_back_as_tuning_wrote_it() -> None:
    """Everything that scores 1 is absent, so that deciding nothing costs least."""
    truth = np.array([[1]] * 3 + [[0]] * 30, np.int8)
    scores = np.where(truth == 1, 0.0, 1.0).astype(np.float32)
    options = TuneOptions(objective="cost", n_resamples=2)
    found = float(tune(scores, truth, np.arange(33), options).thresholds[0])

    assert found > 1
    assert read_thresholds(json.dumps({CLASSES[0]: found}), CLASSES) == {CLASSES[0]: found}
    with pytest.raises(UsageError, match=r"must lie in \[0, 1\], got 1.001"):
        read_thresholds("1.001", CLASSES)
