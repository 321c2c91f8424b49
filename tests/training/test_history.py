"""What a training leaves to look at: seed 1's columns, a text log, events."""

from __future__ import annotations

import csv
import json
import math
import sys
from pathlib import Path

import pytest

from mekiki.errors import MissingExtraError
from mekiki.training.history import COLUMNS, Recorder, WandbProject, as_table

pytest.importorskip("torch")
pytest.importorskip("tensorboard")

SEED1 = ["epoch", "train_loss", "train_micro_f1", "train_macro_f1", "val_loss", "val_micro_f1", "val_macro_f1", "lr"]


def row(epoch: int, **changes: float) -> dict[str, float]:
    return {**dict.fromkeys(COLUMNS, 0.5 + epoch / 100), "epoch": epoch, "lr": 1e-4, **changes}


def read_events(folder: Path) -> dict[str, list[tuple[int, float]]]:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder))
    events.Reload()
    return {tag: [(one.step, one.value) for one in events.Scalars(tag)] for tag in events.Tags()["scalars"]}


def test_the_table_begins_with_seed_1s_columns(tmp_path: Path) -> None:
    with Recorder(tmp_path) as recorder:
        recorder.record([row(1)])
        recorder.record([row(1), row(2, train_loss=0.123456789, val_macro_ap=math.nan)])

    with (tmp_path / "history.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0])[:8] == SEED1
    assert [one["epoch"] for one in rows] == ["1", "2"]
    assert rows[1]["train_loss"] == "0.123457"
    assert rows[1]["val_macro_ap"] == ""
    assert rows[0]["lr"] == "0.0001"
    assert not (tmp_path / "history.csv").read_bytes().startswith(b"\xef\xbb\xbf")


def test_an_empty_history_is_a_header() -> None:
    assert as_table([]) == ",".join(COLUMNS) + "\n"


def test_further_measures_follow_and_stand_in_the_log(tmp_path: Path) -> None:
    with Recorder(tmp_path, events="tensorboard/final") as recorder:
        said = recorder.record([row(1, val_pr_auc=0.75)])

    assert as_table([row(1, val_pr_auc=0.75)]).splitlines()[0] == ",".join((*COLUMNS, "val_pr_auc"))
    assert "PR-AUC 0.7500" in said
    assert read_events(tmp_path / "tensorboard/final")["pr_auc/val"] == [(1, 0.75)]


def test_the_log_has_a_line_an_epoch_with_the_time(tmp_path: Path) -> None:
    with Recorder(tmp_path) as recorder:
        said = recorder.record([row(1)])
        recorder.say("something happened")

    lines = (tmp_path / "train.log").read_text(encoding="utf-8").splitlines()
    assert len(lines) == 2
    assert lines[0].endswith(said)
    assert said.startswith("epoch 1: loss 0.5100")
    assert lines[1].endswith("Z something happened") or lines[1].endswith(" something happened")


def test_events_have_every_measure_of_every_epoch(tmp_path: Path) -> None:
    with Recorder(tmp_path) as recorder:
        recorder.record([row(1)])
        recorder.record([row(1), row(2)])

    events = read_events(tmp_path / "tensorboard")
    assert [step for step, _ in events["loss/val"]] == [1, 2]
    assert events["micro_f1/train"][1][1] == pytest.approx(0.52)
    assert set(events) >= {"loss/train", "macro_f1/val", "macro_ap/val", "lr", "seconds"}


def test_a_new_training_begins_anew_and_a_resumed_one_goes_on(tmp_path: Path) -> None:
    for n_before, epoch in ((0, 1), (1, 2)):
        with Recorder(tmp_path, n_before) as recorder:
            recorder.record([row(number) for number in range(1, epoch + 1)])

    assert len((tmp_path / "train.log").read_text().splitlines()) == 2
    assert [step for step, _ in read_events(tmp_path / "tensorboard")["loss/val"]] == [1, 2]

    with Recorder(tmp_path) as recorder:
        recorder.record([row(1)])

    assert len((tmp_path / "train.log").read_text().splitlines()) == 1
    assert [step for step, _ in read_events(tmp_path / "tensorboard")["loss/val"]] == [1]


def test_weights_and_biases_is_only_wanted_when_asked_for(tmp_path: Path) -> None:
    try:
        import wandb  # noqa: F401
    except ImportError:
        with pytest.raises(MissingExtraError, match=r'pip install "mekiki\[wandb\]"'):
            Recorder(tmp_path, wandb=WandbProject("wildlife", "0123", "model", {}))
    else:
        pytest.skip("wandb is installed here, and the test is about its absence")


FAKE_WANDB = """
import json, pathlib

class Run:
    def __init__(self, told):
        self.folder = pathlib.Path(told["dir"])
        self.told = [told]

    def log(self, measures, step):
        self.told.append([step, measures])

    def finish(self):
        (self.folder / "told.json").write_text(json.dumps(self.told))

def init(**told):
    return Run(told)
"""


def test_weights_and_biases_is_told_every_epoch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "fake").mkdir()
    (tmp_path / "fake" / "wandb.py").write_text(FAKE_WANDB)
    monkeypatch.syspath_prepend(tmp_path / "fake")
    monkeypatch.delitem(sys.modules, "wandb", raising=False)

    with Recorder(tmp_path / "run", wandb=WandbProject("wildlife", "0123", "model", {"lr": 0.1})) as recorder:
        recorder.record([row(1)])
        recorder.record([row(1), row(2, val_macro_ap=math.nan)])
    monkeypatch.delitem(sys.modules, "wandb")

    begun, first, second = json.loads((tmp_path / "run" / "told.json").read_text())
    assert {name: begun[name] for name in ("project", "id", "name", "config", "resume")} == {
        "project": "wildlife",
        "id": "0123",
        "name": "model",
        "config": {"lr": 0.1},
        "resume": "allow",
    }
    assert first[0] == 1
    assert first[1]["val_loss"] == pytest.approx(0.51)
    assert second[0] == 2
    assert "val_macro_ap" not in second[1]
