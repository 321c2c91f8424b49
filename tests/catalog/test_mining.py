"""What ``mine`` stores and others read: records, the latest run, and items that have been forgotten."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mekiki.catalog.db import Catalog
from mekiki.catalog.forget import forget_item
from mekiki.catalog.mining import (
    COMBINED,
    MINING_NAME,
    Chosen,
    Mining,
    box_positions,
    find_mining,
    read_rarity,
    require_mining,
    write_rarity,
)
from mekiki.engine.local import LocalEngine
from mekiki.engine.run import Outcome
from mekiki.errors import DataError, UsageError
from mekiki.records import Tally
from mekiki.settings import Settings

FULL = Mining(
    run_id="r",
    selected=(
        Chosen("b", 1, 1.0, {"knn": 1.0}, ("knn: 1st of 3",), ("knn",)),
        Chosen("a", 2, 0.5, {"knn": 0.5}, ("knn: 2nd of 3",), ("knn",)),
    ),
    tallies=(Tally("vectors", "crops", 4, 3, 1), Tally("selection", "crops", 3, 2, 1, why="knn")),
    kept_by={"knn": 2},
    scorers=("knn",),
    vector_run_id="v",
    detect_run_id=None,
    class_of={"a": "car", "b": "タヌキ", "c": "car"},
    named={"a": "Car", "b": "タヌキ", "c": "Car"},
    common_classes=("car",),
    target_classes=("bus",),
    concepts=("car", "tram"),
    settings={"keep": "count:2"},
)


def store(workspace: Path, mining: Mining, name: str = "one") -> str:
    """Store a mining as ``mine`` does and return its run's id."""
    with Catalog(workspace) as catalog:
        scores = {"knn": [("a", 0.5), ("b", 1.0), ("c", 0.0)], COMBINED: [("a", 0.5), ("b", 1.0), ("c", 0.0)]}
        outcome = Outcome(3, lambda transaction: write_rarity(transaction, scores), files={MINING_NAME: mining.text()})
        return LocalEngine().once(catalog, "mine", Settings(), {"vectors": name}, lambda _run_id: outcome).run_id


def test_nothing_is_lost_on_the_way_through_the_file() -> None:
    again = Mining.from_json("r", {"keep": "count:2"}, json.loads(FULL.text()))

    assert again == FULL
    assert list(again.chosen()) == ["b", "a"]


def test_nothing_mined_is_none_or_an_error_that_says_what_to_type(workspace: Path) -> None:
    with Catalog(workspace) as catalog:
        assert find_mining(catalog) is None
        with pytest.raises(DataError, match=f"mekiki mine -w {workspace}"):
            require_mining(catalog)
        with pytest.raises(UsageError, match="no run of mine is called 'abcd'"):
            find_mining(catalog, "abcd")


def test_the_run_that_finished_last_counts_unless_another_is_named(workspace: Path) -> None:
    first = store(workspace, FULL, "one")
    second = store(workspace, FULL, "two")

    with Catalog(workspace) as catalog:
        assert require_mining(catalog).run_id == second
        assert require_mining(catalog, first[:6]).run_id == first
        with pytest.raises(UsageError, match="no run of mine"):
            require_mining(catalog, first[:3])


def test_a_run_whose_file_is_gone_does_not_count(workspace: Path) -> None:
    first = store(workspace, FULL, "one")
    second = store(workspace, FULL, "two")
    (workspace / "runs" / second / MINING_NAME).unlink()

    with Catalog(workspace) as catalog:
        assert require_mining(catalog).run_id == first


def test_forgetting_takes_an_item_out_of_the_file_and_the_run_is_stale_and_still_counts(workspace: Path) -> None:
    run_id = store(workspace, FULL)
    path = workspace / "runs" / run_id / MINING_NAME
    before = json.loads(path.read_text(encoding="utf-8"))
    with Catalog(workspace) as catalog:
        forget_item(catalog, "b")

        mining = require_mining(catalog)

        left = json.loads(path.read_text(encoding="utf-8"))
        assert {name for name in before if left[name] != before[name]} == {"selected", "class_of", "named"}
        assert list(catalog.rows("SELECT run_id, status FROM runs")) == [(run_id, "stale")]

        assert [one.item_id for one in mining.selected] == ["a"]
        assert mining.class_of == {"a": "car", "c": "car"}
        assert mining.named == {"a": "Car", "c": "Car"}
        assert read_rarity(catalog, run_id) == {"knn": {"a": 0.5, "c": 0.0}, COMBINED: {"a": 0.5, "c": 0.0}}


def test_scores_of_a_run_that_is_not_there_are_none(workspace: Path) -> None:
    with Catalog(workspace) as catalog:
        assert read_rarity(catalog, "nothing") == {}
        assert box_positions(catalog, "nothing") == {}
