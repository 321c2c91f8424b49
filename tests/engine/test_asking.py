"""Asking many pictures at once through the engine: what it writes, skips, and never takes for bad data."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from mekiki.catalog.answers import AnswerStore
from mekiki.catalog.db import Catalog
from mekiki.catalog.items import select_items
from mekiki.engine.answers import Answers
from mekiki.engine.asking import AskWork
from mekiki.engine.local import LocalEngine
from mekiki.engine.reading import WaitingWork
from mekiki.models.annotators import Ledger
from mekiki.models.base import Answer, Question
from mekiki.models.fakes import FakeAnnotator
from mekiki.models.pricing import Budget, CostCapReachedError
from mekiki.records import RunSummary
from mekiki.settings import PerItemSettings
from workspaces import counts, ingest, query, write_photo

CLASSES = ("fox", "cat")


@pytest.fixture
def catalog(workspace: Path, tmp_path: Path) -> Iterator[Catalog]:
    for number in range(6):
        write_photo(tmp_path / "in" / f"{number}.jpg", number)
    ingest(workspace, tmp_path / "in")
    with Catalog(workspace) as made:
        yield made


def item_ids(catalog: Catalog) -> list[str]:
    return [item.item_id for item in select_items(catalog, ["image"])]


def work_on(catalog: Catalog, annotator: FakeAnnotator, budget: Budget | None = None) -> tuple[RunSummary, AskWork]:
    store = AnswerStore(catalog, "annotate")
    try:
        work = AskWork(annotator, Answers(store, "run", budget), concurrency=2, n_readers=1)
        items = select_items(catalog, ["image"])
        return LocalEngine().map(catalog, "annotate", PerItemSettings(batch_size=2), work, items), work
    finally:
        store.close()


def test_it_wants_threads_of_its_own_number(catalog: Catalog) -> None:
    store = AnswerStore(catalog, "annotate")
    work = AskWork(FakeAnnotator({}, CLASSES), Answers(store, "run"), concurrency=7, n_readers=2)
    store.close()

    assert isinstance(work, WaitingWork)
    assert work.n_threads == 9


def test_answers_become_labels_and_refusals_failures(catalog: Catalog, workspace: Path) -> None:
    ids = item_ids(catalog)

    summary, work = work_on(catalog, FakeAnnotator({ids[0]: ["fox"], ids[1]: []}, CLASSES))

    assert counts(summary) == (6, 2, 0, 4)
    assert {one.reason for one in summary.failures} == {"nobody said what this picture shows"}
    told = query(workspace, "SELECT item_id, class_name, state FROM labels ORDER BY 1, 2")
    assert told == sorted(
        [
            *((ids[0], "fox", "present"), (ids[0], "cat", "absent")),
            *((ids[1], "fox", "absent"), (ids[1], "cat", "absent")),
        ]
    )
    assert work.asked == set(ids[:2])
    assert set(work.failed) == set(ids[2:])


def test_what_was_answered_in_another_run_is_not_asked_again(catalog: Catalog) -> None:
    ids = item_ids(catalog)
    work_on(catalog, FakeAnnotator({key: ["fox"] for key in ids}, CLASSES))
    second = FakeAnnotator({key: ["fox"] for key in ids}, (*CLASSES, "dog"))

    summary, work = work_on(catalog, second)

    assert counts(summary) == (6, 6, 0, 0)
    assert second.asked == []
    assert work.cached == set(ids)


def test_the_cap_stops_everything_and_loses_nothing(catalog: Catalog, workspace: Path) -> None:
    ids = item_ids(catalog)
    annotator = FakeAnnotator({key: ["fox"] for key in ids}, CLASSES, cost_usd=0.3)

    with pytest.raises(CostCapReachedError):
        work_on(catalog, annotator, Budget(1.0))

    assert len(annotator.asked) == 3
    assert len(query(workspace, "SELECT answer FROM answers WHERE answer <> 'null'")) == 3


def test_a_bug_is_not_filed_as_bad_data(catalog: Catalog, workspace: Path) -> None:
    class Broken(FakeAnnotator):
        def ask(self, question: Question, ledger: Ledger) -> Answer:
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        work_on(catalog, Broken({}, CLASSES))

    assert query(workspace, "SELECT count(*) FROM failures") == [(0,)]
