"""The local engine: what is left to do, batches, failures, resume, bounded memory, interruption."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from mekiki.catalog.db import Catalog, Transaction
from mekiki.catalog.runs import all_failures, done_among, find_run
from mekiki.engine.local import LocalEngine
from mekiki.engine.run import Outcome
from mekiki.errors import DataError, InterruptedRunError, UnreadableError
from mekiki.records import Failure, Loaded, Result, RunSummary
from mekiki.settings import Field, PerItemSettings, Settings


class CountSettings(PerItemSettings):
    """How to count."""

    step: int = Field(1, description="what to add")


@dataclass(frozen=True)
class Thing:
    item_id: str
    n_pieces: int = 1
    is_bad: bool = False
    is_bug: bool = False
    bad_piece: int | None = None

    @property
    def path(self) -> Path:
        return Path(f"/photos/{self.item_id}")


@dataclass
class Counting:
    """Writes one rarity row for each piece, and remembers what it was asked."""

    n_loaded: int = 0
    n_open_pieces: int = 0
    most_open: int = 0
    batches: list[int] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)
    after_batch: int | None = None

    def identity(self) -> str:
        return ""

    def open(self) -> None:
        pass

    def load(self, item: Thing) -> Iterator[Loaded]:
        if item.is_bad:
            raise UnreadableError(item.path, "broken")
        if item.is_bug:
            raise ZeroDivisionError("a bug")
        for number in range(item.n_pieces):
            with self.lock:
                self.n_loaded += 1
                self.n_open_pieces += 1
                self.most_open = max(self.most_open, self.n_open_pieces)
            yield Loaded(item.item_id, (number, number == item.bad_piece))

    def compute(self, loaded: list[Loaded]) -> list[Result | UnreadableError]:
        self.batches.append(len(loaded))
        with self.lock:
            self.n_open_pieces -= len(loaded)
        if self.after_batch is not None and len(self.batches) == self.after_batch:
            os.kill(os.getpid(), signal.SIGINT)
        return [
            UnreadableError(f"/photos/{one.item_id}", "piece broken")
            if one.content[1]
            else Result(one.item_id, one.content[0])
            for one in loaded
        ]

    def write(self, transaction: Transaction, results: list[Result]) -> int:
        rows = [(transaction.run_id, one.item_id, str(one.content), 1.0) for one in results]
        return transaction.upsert("rarity", ("run_id", "item_id", "scorer", "score"), rows)


@pytest.fixture
def catalog(tmp_path: Path) -> Iterator[Catalog]:
    with Catalog(tmp_path / "ws") as opened:
        yield opened


def things(n: int, **options: object) -> list[Thing]:
    return [Thing(f"{number:04d}", **options) for number in range(n)]  # type: ignore[arg-type]


def run(catalog: Catalog, items: list[Thing], work: Counting | None = None, **settings: object) -> RunSummary:
    return LocalEngine().map(catalog, "mine", CountSettings(**settings), work or Counting(), items)  # type: ignore[arg-type]


def rows(catalog: Catalog) -> list[tuple[object, ...]]:
    return list(catalog.rows("SELECT item_id, scorer FROM rarity ORDER BY 1, 2"))


def counts(summary: RunSummary) -> tuple[int, int, int, int]:
    return summary.n_selected, summary.n_written, summary.n_skipped, summary.n_failed


def test_no_items_are_a_finished_run_of_nothing(catalog: Catalog) -> None:
    summary = run(catalog, [])

    assert counts(summary) == (0, 0, 0, 0)
    assert find_run(catalog, summary.run_id).status == "finished"


def test_every_item_is_done_once_and_a_second_run_writes_nothing(catalog: Catalog) -> None:
    first = run(catalog, things(50, n_pieces=2))
    before = list(catalog.rows("SELECT * FROM runs"))

    second = run(catalog, things(50, n_pieces=2))

    assert counts(first) == (50, 50, 0, 0)
    assert first.n_rows == len(rows(catalog)) == 100
    assert counts(second) == (50, 0, 50, 0)
    assert list(catalog.rows("SELECT * FROM runs")) == before


def test_an_item_with_nothing_in_it_is_done_too(catalog: Catalog) -> None:
    summary = run(catalog, things(3, n_pieces=0))

    assert counts(summary) == (3, 3, 0, 0)
    assert done_among(catalog, summary.run_id, ["0000", "0001", "0002"]) == {"0000", "0001", "0002"}


def test_new_items_continue_the_run(catalog: Catalog) -> None:
    first = run(catalog, things(3))

    second = run(catalog, things(5))

    assert second.run_id == first.run_id
    assert counts(second) == (5, 2, 3, 0)


def test_a_speed_setting_does_not_make_a_new_run_and_another_setting_does(catalog: Catalog) -> None:
    first = run(catalog, things(3))

    assert counts(run(catalog, things(3), batch_size=1, workers=3)) == (3, 0, 3, 0)
    assert run(catalog, things(3), step=2).run_id != first.run_id


def test_a_bad_item_is_a_row_and_shifts_nothing(catalog: Catalog) -> None:
    items = [*things(4), Thing("0004", is_bad=True), *[Thing(f"{n:04d}") for n in range(5, 9)]]

    summary = run(catalog, items, batch_size=3)

    assert counts(summary) == (9, 8, 0, 1)
    assert summary.failures == [Failure("/photos/0004", "broken", "mine")]
    assert [row[0] for row in rows(catalog)] == [f"{n:04d}" for n in range(9) if n != 4]


def test_a_bad_piece_fails_its_item_and_no_other(catalog: Catalog) -> None:
    items = [Thing("0000", n_pieces=3), Thing("0001", n_pieces=3, bad_piece=1), Thing("0002", n_pieces=3)]

    summary = run(catalog, items, batch_size=2)

    assert counts(summary) == (3, 2, 0, 1)
    assert done_among(catalog, summary.run_id, ["0000", "0001", "0002"]) == {"0000", "0002"}


def test_failures_are_tried_again_and_success_deletes_the_row(catalog: Catalog) -> None:
    run(catalog, [Thing("a", is_bad=True), Thing("b")])
    again = run(catalog, [Thing("a", is_bad=True), Thing("b")])
    assert counts(again) == (2, 0, 1, 1)
    assert len(all_failures(catalog)) == 1

    mended = run(catalog, [Thing("a"), Thing("b")])

    assert counts(mended) == (2, 1, 1, 0)
    assert all_failures(catalog) == []


def test_a_bug_in_the_code_is_not_recorded_as_bad_data(catalog: Catalog) -> None:
    with pytest.raises(ZeroDivisionError):
        run(catalog, [*things(3), Thing("0003", is_bug=True)])

    assert all_failures(catalog) == []


def test_too_many_bad_files_stop_the_stage_and_say_where_to_look(catalog: Catalog) -> None:
    items = [Thing(f"{n:04d}", is_bad=n % 4 != 0) for n in range(200)]

    with pytest.raises(DataError, match=r"/photos/\d+: broken.*--max-failed-share"):
        run(catalog, items, batch_size=8)

    assert find_run(catalog, run_id_of(catalog)).status == "stopped"
    assert len(all_failures(catalog)) < 60


def run_id_of(catalog: Catalog) -> str:
    return str(catalog.value("SELECT run_id FROM runs"))


def test_few_bad_files_among_few_do_not_stop_it(catalog: Catalog) -> None:
    assert counts(run(catalog, things(19, is_bad=True))) == (19, 0, 0, 19)


def test_a_higher_share_lets_the_same_run_go_on(catalog: Catalog) -> None:
    items = [Thing(f"{n:04d}", is_bad=n % 4 != 0) for n in range(100)]
    with pytest.raises(DataError):
        run(catalog, items)

    summary = run(catalog, items, max_failed_share=1.0)

    assert (summary.n_selected, summary.n_failed) == (100, 75)


def test_limit_does_so_many_and_the_next_call_goes_on(catalog: Catalog) -> None:
    assert counts(run(catalog, things(10), limit=4)) == (4, 4, 0, 0)
    assert counts(run(catalog, things(10), limit=4)) == (8, 4, 4, 0)


def test_a_dry_run_counts_and_writes_nothing(catalog: Catalog) -> None:
    run(catalog, things(2))
    before = list(catalog.rows("SELECT * FROM done"))

    summary = LocalEngine(dry_run=True).map(catalog, "mine", CountSettings(), Counting(), things(5))

    assert summary.extra["n_todo"] == 3
    assert list(catalog.rows("SELECT * FROM done")) == before


def test_what_is_in_memory_is_bounded_by_the_read_ahead_and_not_by_the_number_of_items(catalog: Catalog) -> None:
    work = Counting()

    run(catalog, things(400, n_pieces=5), work, batch_size=4, workers=2)

    assert work.n_loaded == 2000
    assert work.most_open <= 4 + 4 + 2 + 1


def test_interrupting_finishes_the_batch_in_flight_and_the_same_command_goes_on(catalog: Catalog) -> None:
    work = Counting(after_batch=2)
    with pytest.raises(InterruptedRunError, match=r"interrupted: \d+ items done now"):
        run(catalog, things(100), work, batch_size=5)
    n_done = catalog.value("SELECT count(*) FROM done")

    summary = run(catalog, things(100))

    assert 5 <= n_done < 100  # ended items wait for their batch
    assert counts(summary) == (100, 100 - n_done, n_done, 0)
    assert len(rows(catalog)) == 100


def test_redo_does_a_done_item_again(catalog: Catalog) -> None:
    run(catalog, things(3))

    summary = LocalEngine().map(
        catalog, "mine", CountSettings(), Counting(), things(3), redo=lambda thing: thing.item_id == "0001"
    )

    assert counts(summary) == (3, 1, 2, 0)


def test_a_run_writes_its_resolved_settings_beside_its_results(catalog: Catalog) -> None:
    summary = run(catalog, things(1), step=7)

    assert '"step": 7' in (catalog.workspace / "runs" / summary.run_id / "run.json").read_text()


class WholeSettings(Settings):
    """Of the whole set."""


def once(catalog: Catalog, reads: dict[str, str], outcome: Outcome, calls: list[str]) -> RunSummary:
    def compute(run_id: str) -> Outcome:
        calls.append(run_id)
        return outcome

    return LocalEngine().once(catalog, "mine", WholeSettings(), reads, compute)


def test_a_whole_set_stage_computes_once_for_what_it_reads(catalog: Catalog) -> None:
    calls: list[str] = []
    outcome = Outcome(5, files={"metrics.json": "{}"})

    first = once(catalog, {"items": "a"}, outcome, calls)
    second = once(catalog, {"items": "a"}, outcome, calls)
    third = once(catalog, {"items": "b"}, outcome, calls)

    assert (counts(first), counts(second), counts(third)) == ((5, 5, 0, 0), (5, 0, 5, 0), (5, 5, 0, 0))
    assert calls == [first.run_id, third.run_id]
    assert (catalog.workspace / first.outputs["metrics.json"]).read_text() == "{}"


def test_a_whole_set_stage_makes_deleted_files_again(catalog: Catalog) -> None:
    calls: list[str] = []
    outcome = Outcome(1, files={"metrics.json": "{}"})
    path = catalog.workspace / once(catalog, {}, outcome, calls).outputs["metrics.json"]
    path.unlink()

    once(catalog, {}, outcome, calls)

    assert path.exists()
    assert len(calls) == 2


def test_a_whole_set_stage_that_fails_to_write_leaves_no_run_finished(catalog: Catalog) -> None:
    def write(transaction: Transaction) -> int:
        transaction.upsert("rarity", ("run_id", "item_id", "scorer", "score"), [("r", "i", "s", 1.0)])
        raise RuntimeError("disk full")

    with pytest.raises(RuntimeError, match="disk full"):
        once(catalog, {}, Outcome(1, write), [])

    assert rows(catalog) == []
    assert catalog.value("SELECT count(*) FROM runs WHERE status = 'finished'") == 0
