"""Models and their stored scores in the catalog."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from mekiki.catalog.db import Catalog
from mekiki.catalog.models import ModelRow, find_model, list_models, model_path, write_models
from mekiki.catalog.predictions import predict_runs, read_predictions, write_predictions
from mekiki.catalog.runs import finish_run, start_run
from mekiki.errors import DataError, UsageError


@pytest.fixture
def catalog(tmp_path: Path) -> Iterator[Catalog]:
    with Catalog(tmp_path / "ws") as opened:
        yield opened


def begin(catalog: Catalog, stage: str, run_id: str, identity: str = "", *, is_finished: bool = True) -> None:
    run = {"run_id": run_id, "stage": stage, "settings": {}, "identity": identity, "reads": {}}
    with catalog.transaction(stage) as transaction:
        start_run(transaction, run)
        if is_finished:
            finish_run(catalog, transaction, run_id, {})


def add(catalog: Catalog, run_id: str, model_id: str, name: str) -> None:
    begin(catalog, "train", run_id)
    with catalog.transaction("train", run_id) as transaction:
        write_models(transaction, [ModelRow(model_id, run_id, name, model_path(catalog, model_id), ("p",))])


def predict(catalog: Catalog, run_id: str, identity: str, scores: dict[str, list[float]]) -> None:
    begin(catalog, "predict", run_id, identity)
    with catalog.transaction("predict", run_id) as transaction:
        write_predictions(transaction, ("a", "b"), ((key, np.array(row, np.float32)) for key, row in scores.items()))


def test_a_model_is_found_by_name_or_by_the_beginning_of_its_id(catalog: Catalog) -> None:
    add(catalog, "r1", "abcd1111", "first")
    assert find_model(catalog, "first").model_id == find_model(catalog, "abcd").model_id == "abcd1111"
    assert find_model(catalog, "first").path == model_path(catalog, "abcd1111")
    assert list_models(catalog)[0].parents == ("p",)


def test_of_several_models_of_one_name_the_latest_counts(catalog: Catalog) -> None:
    add(catalog, "r1", "ffff1111", "net")
    add(catalog, "r2", "00002222", "net")
    assert find_model(catalog, "net").model_id == "00002222"


def test_what_is_no_model_is_said_with_the_nearest(catalog: Catalog) -> None:
    with pytest.raises(DataError, match=r"there is no model in .* yet: mekiki train"):
        find_model(catalog, "net")
    add(catalog, "r1", "abcd1111", "resnet50")
    add(catalog, "r2", "abcd2222", "effnet")
    with pytest.raises(UsageError, match=r"no model is called 'resnet5'. Did you mean 'resnet50'"):
        find_model(catalog, "resnet5")
    with pytest.raises(UsageError, match="several models' ids begin with 'abcd'"):
        find_model(catalog, "abcd")


def test_scores_come_back_as_they_were_run_by_run_the_latest_finished_first(catalog: Catalog) -> None:
    predict(catalog, "p1", "s1 torch fp32", {"i1": [0.1, 0.9], "i2": [0.3, 0.4]})
    predict(catalog, "p2", "s1 onnx fp32", {"i2": [0.5, 0.6]})
    predict(catalog, "p3", "s10 torch fp32", {"i1": [0.0, 0.0]})
    begin(catalog, "predict", "p4", "s1 openvino fp32", is_finished=False)
    assert predict_runs(catalog, "s1") == ["p2", "p1"]
    first, second = (read_predictions(catalog, run_id, ("b", "a")) for run_id in ("p1", "p2"))
    assert first["i1"].tolist() == np.array([0.9, 0.1], np.float32).tolist()
    assert first["i2"].tolist() == np.array([0.4, 0.3], np.float32).tolist()
    assert {item_id: row.tolist() for item_id, row in second.items()} == {
        "i2": np.array([0.6, 0.5], np.float32).tolist()
    }


def test_only_predict_writes_predictions_and_only_trainers_write_models(catalog: Catalog) -> None:
    with catalog.transaction("tune", "r") as transaction, pytest.raises(PermissionError):
        write_predictions(transaction, ("a",), [("i", np.array([0.5], np.float32))])
    with catalog.transaction("predict", "r") as transaction, pytest.raises(PermissionError):
        write_models(transaction, [ModelRow("m", "r", "n", Path("x"))])
