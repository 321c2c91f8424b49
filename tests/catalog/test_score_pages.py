"""Stored scores, a page at a time: all of them, in order, with the columns asked for."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mekiki.catalog.db import PAGE_ROWS, Catalog
from mekiki.catalog.predictions import write_predictions
from mekiki.catalog.runs import finish_run, start_run
from mekiki.catalog.score_pages import iter_scores, run_of_identity, scores_of

CLASSES = ("fox", "cat")
N_ITEMS = PAGE_ROWS + 7


@pytest.fixture
def catalog(workspace: Path) -> Catalog:
    catalog = Catalog(workspace)
    rows = [(f"{number:05d}", np.array([number, -number], np.float32)) for number in range(N_ITEMS)]
    for run_id in ("one", "two"):
        with catalog.transaction("predict", run_id) as transaction:
            write_predictions(transaction, CLASSES, rows[:: -1 if run_id == "one" else 2])
    return catalog


def test_a_run_without_scores_has_no_page(catalog: Catalog) -> None:
    assert list(iter_scores(catalog, "three", CLASSES)) == []


def test_pages_hold_everything_once_in_the_order_of_ids(catalog: Catalog) -> None:
    pages = list(iter_scores(catalog, "one", CLASSES))

    assert [len(ids) for ids, _ in pages] == [PAGE_ROWS, 7]
    assert [item_id for ids, _ in pages for item_id in ids] == [f"{number:05d}" for number in range(N_ITEMS)]
    scores = np.concatenate([scores for _, scores in pages])
    assert (scores == np.arange(N_ITEMS)[:, None] * [1, -1]).all()
    assert scores.dtype == np.float32


def test_columns_come_in_the_order_asked_for(catalog: Catalog) -> None:
    _, scores = next(iter_scores(catalog, "one", ("cat", "fox")))

    assert scores[3].tolist() == [-3, 3]


def test_only_items_that_have_scores_are_found(catalog: Catalog) -> None:
    found = scores_of(catalog, "two", ["00004", "00005", "nobody"], CLASSES)

    assert {item_id: row.tolist() for item_id, row in found.items()} == {"00004": [4, -4]}
    assert scores_of(catalog, "two", [], CLASSES) == {}


def test_a_run_is_found_by_its_whole_identity(catalog: Catalog) -> None:
    assert run_of_identity(catalog, "abc torch fp32") is None
    for run_id, is_finished in (("first", True), ("last", True), ("killed", False)):
        run = {"run_id": run_id, "stage": "predict", "settings": {}, "identity": "abc torch fp32", "reads": {}}
        with catalog.transaction("predict") as transaction:
            start_run(transaction, run)
            if is_finished:
                finish_run(catalog, transaction, run_id, {})

    assert run_of_identity(catalog, "abc torch fp32") == "last"
    assert run_of_identity(catalog, "abc onnx fp32") is None
