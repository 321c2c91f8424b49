"""The cache of paid answers: on the disk at once, found again, and counted even where they never came."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from mekiki.catalog.answers import AnswerStore, Spent, iter_answers, spent_by
from mekiki.catalog.db import Catalog
from mekiki.engine.answers import Answers
from mekiki.models.annotators import Usage
from mekiki.models.pricing import Budget, CostCapReachedError, Sizes
from mekiki.models.retries import StoppedError


@pytest.fixture
def catalog(workspace: Path) -> Iterator[Catalog]:
    with Catalog(workspace) as made:
        yield made


@pytest.fixture
def store(catalog: Catalog) -> Iterator[AnswerStore]:
    made = AnswerStore(catalog, "annotate")
    yield made
    made.close()


def test_nothing_is_known_of_a_new_question(store: AnswerStore, catalog: Catalog) -> None:
    assert Answers(store, "run").get("key") == []
    assert spent_by(catalog, "run") == Spent(0, 0, 0, 0, 0, 0, 0, 0)
    assert {key for key, _ in iter_answers(catalog)} == set()


def test_an_answer_is_found_by_its_key_the_newest_first(store: AnswerStore, catalog: Catalog) -> None:
    answers = Answers(store, "run")
    answers.put("key", {"text": "まず"}, Usage(3, 4, 0.5))
    answers.put("key", {"text": "next"})
    answers.put("keys", {"text": "another"})

    assert [one["text"] for one in answers.get("key")] == ["next", "まず"]
    assert {key for key, _ in iter_answers(catalog)} == {"key", "keys"}
    assert [key for key, _ in iter_answers(catalog)] == ["key", "key", "keys"]


def test_what_was_kept_is_on_the_disk_for_everybody(store: AnswerStore, workspace: Path) -> None:
    Answers(store, "run").put("key", {"text": "kept"})

    with sqlite3.connect(workspace / "mekiki.db") as other:
        rows = other.execute("SELECT answer FROM answers").fetchall()
    other.close()

    assert rows == [('{"text": "kept"}',)]
    assert store._connection.execute("PRAGMA synchronous").fetchone() == (2,), "FULL"


def test_calls_are_counted_by_run_and_lost_ones_with_the_most_they_can_cost(
    store: AnswerStore, catalog: Catalog
) -> None:
    answers = Answers(store, "run", Budget(1.0))
    with answers.begin("a", 0.3, Sizes(1000, 200)) as call:
        call.arrived({"text": "x"}, Usage(10, 5, 0.1))
    with pytest.raises(KeyboardInterrupt), answers.begin("b", 0.3, Sizes(1000, 200)):
        raise KeyboardInterrupt
    with answers.begin("c", 0.3, Sizes(1000, 200)) as call:
        call.unpaid()
    Answers(store, "other").put("d", {"text": "y"}, Usage(1, 1, 9.0))

    spent = spent_by(catalog, "run")

    assert (spent.n_calls, spent.n_lost, spent.n_keys) == (2, 1, 1)
    assert (spent.input_tokens, spent.output_tokens) == (10, 5)
    assert (spent.charged_in, spent.charged_out, spent.n_unsized) == (1010, 205, 0)
    assert answers.get("b") == answers.get("c") == []


def test_a_call_is_entered_before_it_is_made(store: AnswerStore, catalog: Catalog) -> None:
    with Answers(store, "run").begin("a", None, Sizes(7, 8)):
        killed_now = spent_by(catalog, "run")

    assert (killed_now.n_lost, killed_now.charged_in, killed_now.charged_out) == (1, 7, 8), "also without a price"


def test_what_a_server_does_not_count_is_charged_at_most(store: AnswerStore, catalog: Catalog) -> None:
    answers = Answers(store, "run")
    with answers.begin("a", None, Sizes(100, 20)) as call:
        call.arrived({"text": "x"}, Usage(10, None))
    answers.put("b", {"text": "y"})

    spent = spent_by(catalog, "run")

    assert (spent.input_tokens, spent.output_tokens) == (10, 0)
    assert (spent.charged_in, spent.charged_out, spent.n_unsized) == (10, 20, 1)


def test_half_a_surrogate_pair_can_be_kept(store: AnswerStore, catalog: Catalog) -> None:
    answers = Answers(store, "run")

    answers.put("a", {"text": "\ud800"})

    assert answers.get("a") == [{"text": "\ud800"}]


def test_the_budget_waits_for_calls_in_flight_that_may_leave_enough(store: AnswerStore) -> None:
    answers = Answers(store, "run", Budget(1.0))
    first = answers.begin("a", 0.9)
    started = threading.Event()

    def second() -> str:
        started.set()
        with answers.begin("b", 0.9) as call:
            call.unpaid()
        return "made"

    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(second)
        started.wait(5)
        assert not waiting.done()
        with first:
            first.arrived({"text": "cheap"}, Usage(1, 1, 0.05))
        assert waiting.result(5) == "made"
    with pytest.raises(CostCapReachedError, match=r"--max-cost 1 "):
        answers.begin("c", 1.0)


def test_many_threads_never_overdraw(store: AnswerStore, catalog: Catalog) -> None:
    answers = Answers(store, "run", Budget(1.0))

    def call(number: int) -> bool:
        try:
            with answers.begin(f"k{number}", 0.1) as one:
                one.arrived({"text": str(number)}, Usage(1, 1, 0.04))
        except CostCapReachedError:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        n_made = sum(pool.map(call, range(60)))

    assert n_made == 23, "0.92 are spent, and 0.1 more would be too much"
    assert spent_by(catalog, "run").charged_in == 23


def test_stopping_wakes_a_call_that_waits_for_money(store: AnswerStore) -> None:
    answers = Answers(store, "run", Budget(1.0))
    answers.begin("a", 0.9)

    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(answers.begin, "b", 0.9)
        answers.stop()

        with pytest.raises(StoppedError):
            waiting.result(5)


def test_a_stage_that_asks_nobody_may_not_write_answers(catalog: Catalog) -> None:
    with pytest.raises(PermissionError, match="'split' may not write 'answers'"):
        AnswerStore(catalog, "split")
