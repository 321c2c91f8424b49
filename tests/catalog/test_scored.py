"""Truth, parts, atoms and scores, row by row."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mekiki.catalog.db import Catalog
from mekiki.catalog.predictions import write_predictions
from mekiki.catalog.results import require_split
from mekiki.catalog.runs import finish_run, start_run
from mekiki.catalog.scored import read_examples, read_scores
from mekiki.errors import DataError, UsageError
from workspaces import ingest, run, write_photo, write_text

ROWS = ["fox", "fox;cat", "cat", "unknown", "fox", "", "cat", "fox", "cat", "unknown", "fox;cat", "cat"]


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("scored")
    lines = ["filepath,label"]
    for number, label in enumerate(ROWS):
        write_photo(folder / "in" / f"{number}.jpg", number)
        lines.append(f"{number}.jpg,{label}")
    table = write_text(folder / "in" / "labels.csv", "\n".join(lines))
    ingest(folder / "ws", folder / "in", labels=[str(table)], classes=["fox", "cat"])
    run("dedupe", folder / "ws")
    run("split", folder / "ws", shares={"train": 0.5, "val": 0.25, "test": 0.25}, allow_missing=["fox", "cat"])
    return folder / "ws"


def test_rows_are_the_labelled_pictures_and_unknown_is_all_absent(workspace: Path) -> None:
    with Catalog(workspace) as catalog:
        found = read_examples(catalog, require_split(catalog, None))
    by_name = {Path(str(item.path)).name: row for item, row in zip(found.items, found.truth.tolist(), strict=True)}
    assert found.class_names == ("fox", "cat")
    assert by_name["1.jpg"] == [1, 1]
    assert by_name["3.jpg"] == [0, 0]
    assert "5.jpg" not in by_name
    assert found.n_unlabelled == 1
    assert len(found) == len(found.parts) == len(found.atoms) == 11


def test_parts_are_taken_apart_and_the_columns_can_be_chosen(workspace: Path) -> None:
    with Catalog(workspace) as catalog:
        split_run_id = require_split(catalog, None)
        whole, cats = read_examples(catalog, split_run_id), read_examples(catalog, split_run_id, ("cat",))
        with pytest.raises(UsageError, match=r"no class is called 'fxo'. Did you mean 'fox'"):
            read_examples(catalog, split_run_id, ("fxo",))
        with pytest.raises(UsageError, match="a class is named twice"):
            read_examples(catalog, split_run_id, ("fox", "fox"))
    assert cats.truth.shape[1] == 1
    parts = [whole.of_part(part) for part in ("train", "val", "test")]
    assert sum(len(part) for part in parts) == len(whole)
    assert len(whole.of_part("train", "val")) == len(parts[0]) + len(parts[1])
    assert whole.fingerprint() != cats.fingerprint() != parts[0].fingerprint()


def test_scores_are_in_the_rows_of_the_examples_and_a_missing_one_is_no_silence(workspace: Path) -> None:
    with Catalog(workspace) as catalog:
        found = read_examples(catalog, require_split(catalog, None))
        ids = [item.item_id for item in found.items]
        with pytest.raises(DataError, match=r"11 of 11 pictures have no scores of model 'net', .*: mekiki predict net"):
            read_scores(catalog, "s1", "net", found)
        scores = {item_id: np.array([row / 100, 0.5], np.float32) for row, item_id in enumerate(ids)}
        store(catalog, "p1", "s1 torch fp32", scores)
        got = read_scores(catalog, "s1", "net", found.take([4, 2]))
        assert read_scores(catalog, "s1", "net", found.take([])).shape == (0, 2)
    assert got.tolist() == [scores[ids[4]].tolist(), scores[ids[2]].tolist()]


def store(catalog: Catalog, run_id: str, identity: str, scores: dict[str, Any], *, is_finished: bool = True) -> None:
    """Leave what a run of ``predict`` leaves."""
    with catalog.transaction("predict", run_id) as transaction:
        run = {"run_id": run_id, "stage": "predict", "settings": {}, "identity": identity, "reads": {}}
        start_run(transaction, run)
        write_predictions(transaction, ("fox", "cat"), list(scores.items())[::-1])
        if is_finished:
            finish_run(catalog, transaction, run_id, {})


def test_scores_are_all_of_one_run_the_latest_finished_that_has_every_picture(workspace: Path, tmp_path: Path) -> None:
    with Catalog(shutil.copytree(workspace, tmp_path / "ws")) as catalog:
        found = read_examples(catalog, require_split(catalog, None))
        ids = [item.item_id for item in found.items]

        def say(run_id: str, runtime: str, score: float, n: int, *, is_finished: bool = True) -> None:
            scores = {item_id: np.array([score, score], np.float32) for item_id in ids[:n]}
            store(catalog, run_id, f"s2 {runtime} fp32", scores, is_finished=is_finished)

        say("a", "torch", 0.25, 4)
        say("b", "onnx", 0.5, 8)
        with pytest.raises(DataError, match=r"3 of 11 pictures have no scores of model 'net', .*: mekiki predict net"):
            read_scores(catalog, "s2", "net", found)
        say("c", "openvino", 0.75, 11, is_finished=False)
        with pytest.raises(DataError, match="3 of 11 pictures"):
            read_scores(catalog, "s2", "net", found)
        say("d", "torch", 1, 11)
        say("e", "torch", 0, 3)

        assert set(read_scores(catalog, "s2", "net", found).ravel().tolist()) == {1}
        assert set(read_scores(catalog, "s2", "net", found.take([0, 2])).ravel().tolist()) == {0}
        assert set(read_scores(catalog, "s2", "net", found.take([0, 3])).ravel().tolist()) == {1}
