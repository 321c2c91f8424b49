"""Truth, parts, atoms and scores, row by row."""

from __future__ import annotations

from pathlib import Path

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
        with catalog.transaction("predict", "p1") as transaction:
            start_run(
                transaction,
                {"run_id": "p1", "stage": "predict", "settings": {}, "identity": "s1 torch fp32", "reads": {}},
            )
            write_predictions(transaction, ("fox", "cat"), list(scores.items())[::-1])
            finish_run(catalog, transaction, "p1", {})
        got = read_scores(catalog, "s1", "net", found.take([4, 2]))
    assert got.tolist() == [scores[ids[4]].tolist(), scores[ids[2]].tolist()]
