"""Files of predictions: seed 1's columns, JSON, and nothing lost on the way."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest

from mekiki.dataset.formats.base import ReadOptions
from mekiki.dataset.formats.csv_labels import CsvLabels
from mekiki.dataset.formats.predictions_out import Prediction, check_predictions_path, write_predictions_file
from mekiki.errors import UsageError
from workspaces import write_text

CLASSES = ("fox", "=cat")


def prediction(path: str = "/a.jpg", scores: Sequence[float] = (0.9, 0.2), **facts: float | int) -> Prediction:
    values = np.array(scores, np.float32)
    return Prediction(Path(path), CLASSES, values, values >= 0.5, **facts)  # type: ignore[arg-type]


def test_nothing_gives_a_header_and_an_empty_list(tmp_path: Path) -> None:
    table = write_predictions_file(tmp_path / "p.csv", CLASSES, {}, [])
    document = write_predictions_file(tmp_path / "p.json", CLASSES, {"model": "m"}, [])

    header = "image_path,predicted_labels_json,predicted_labels_text,is_unknown,prob_fox,prob_=cat\r\n"
    assert table.read_bytes().decode("utf-8-sig") == header
    assert json.loads(document.read_text()) == {"model": "m", "predictions": []}


def test_a_row_says_labels_scores_and_whether_nothing_is_known(tmp_path: Path) -> None:
    said = [prediction("/=a.jpg"), prediction("/b.jpg", (0.1, 0.1)), prediction("/c.jpg", (1, 0.5))]

    path = write_predictions_file(tmp_path / "p.csv", CLASSES, {}, said)

    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.reader(file))[1:]
    assert rows == [
        ["/=a.jpg", '["fox"]', "fox", "0", "0.900000", "0.200000"],
        ["/b.jpg", '["unknown"]', "unknown", "1", "0.100000", "0.100000"],
        ["/c.jpg", '["fox", "=cat"]', "fox|=cat", "0", "1.000000", "0.500000"],
    ]


def test_a_class_name_of_two_lines_stays_one_column(tmp_path: Path) -> None:
    path = write_predictions_file(tmp_path / "p.csv", ("fox", 'a\r\nb\n"c"'), {}, [prediction()])

    rows = list(csv.reader(path.open(encoding="utf-8-sig", newline="")))
    assert [len(row) for row in rows] == [6, 6]
    assert rows[0][-1] == 'prob_a\r\nb\n"c"'
    sheet = CsvLabels.read(path, ReadOptions())
    assert [Path(one.path).name for one in sheet.records] == ["a.jpg"]


def test_frames_and_clips_are_told_from_pictures(tmp_path: Path) -> None:
    said = [prediction("/c.mp4", time_s=1.5), prediction("/c.mp4", n_frames=7), prediction("/a.jpg")]

    path = write_predictions_file(tmp_path / "p.json", CLASSES, {}, said)

    found = json.loads(path.read_text())["predictions"]
    assert [one["kind"] for one in found] == ["frame", "clip", "image"]
    assert (found[0]["time_s"], found[1]["n_frames"]) == (1.5, 7)
    assert found[2] == {
        "image_path": "/a.jpg",
        "kind": "image",
        "predicted_labels": ["fox"],
        "is_unknown": False,
        "probabilities": {"fox": 0.9, "=cat": 0.2},
    }
    assert [one.name for one in said] == ["/c.mp4#t=1.500", "/c.mp4", "/a.jpg"]


def test_it_reads_as_a_sentence_with_the_best_class_first() -> None:
    assert str(prediction(scores=(0.6, 0.9))) == "/a.jpg: fox, =cat (=cat 0.900, fox 0.600)"


@pytest.mark.parametrize("name", ["p.csv", "p.json"])
def test_a_file_appears_when_it_is_complete(tmp_path: Path, name: str) -> None:
    def breaks_off() -> Iterator[Prediction]:
        yield prediction()
        raise KeyboardInterrupt

    write_text(tmp_path / name, "what was there")
    with pytest.raises(KeyboardInterrupt):
        write_predictions_file(tmp_path / name, CLASSES, {}, breaks_off())

    assert (tmp_path / name).read_text() == "what was there"


def test_a_path_that_may_be_written_is_made_absolute(tmp_path: Path) -> None:
    path = check_predictions_path(tmp_path / "new" / ".." / "p.CSV", overwrite=False, is_input=lambda _: False)

    assert path == tmp_path / "p.CSV"


def test_an_existing_file_and_an_input_are_kept(tmp_path: Path) -> None:
    path = write_text(tmp_path / "p.csv", "mine")

    with pytest.raises(UsageError, match="exists: give another file with -o FILE, or --overwrite"):
        check_predictions_path(path, overwrite=False, is_input=lambda _: False)
    with pytest.raises(UsageError, match="is one of the inputs"):
        check_predictions_path(path, overwrite=True, is_input=lambda one: one == path)
    assert check_predictions_path(path, overwrite=True, is_input=lambda _: False) == path
