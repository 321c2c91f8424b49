"""What all engines share: what is left to do, which run it belongs to, when it is finished, and interrupts."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from itertools import islice
from types import TracebackType
from typing import Self

from mekiki.catalog.db import Catalog
from mekiki.catalog.runs import done_among, failures_of, find_run, stopping, write_failures
from mekiki.engine.batches import Books, Crew
from mekiki.engine.interrupt import InterruptFlag
from mekiki.engine.run import (
    ItemT,
    Outcome,
    PlacedWork,
    Progress,
    Selection,
    Silent,
    Work,
    begin_run,
    describe_run,
    end_run,
    run_folder,
    runs_with_outputs,
    stored_summary,
    write_text,
)
from mekiki.errors import InterruptedRunError
from mekiki.records import RunSummary
from mekiki.settings import PerItemSettings, Settings

PAGE_ITEMS = 500


class SharedEngine(ABC):
    """Keeps the books; who loads and computes is another's business. This process alone writes the catalog.

    Args:
        progress: Where to say how far it is.
        dry_run: Only count what would be done.
    """

    def __init__(self, progress: Progress | None = None, *, dry_run: bool = False) -> None:
        self.progress = progress or Silent()
        self.dry_run = dry_run

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self.close()

    @abstractmethod
    def close(self) -> None:
        """End what was started for the work and outlives a stage."""

    @abstractmethod
    def crew(self, settings: PerItemSettings, work: Work[ItemT]) -> Crew[ItemT]:
        """Return who does the work; nothing is opened yet."""

    def map(
        self,
        catalog: Catalog,
        stage: str,
        settings: PerItemSettings,
        work: Work[ItemT],
        items: Selection[ItemT],
        *,
        reads: Mapping[str, str] | None = None,
        redo: Callable[[ItemT], bool] | None = None,
    ) -> RunSummary:
        """See `mekiki.engine.run.Engine.map`."""
        started = time.monotonic()
        device = work.device if isinstance(work, PlacedWork) else "cpu"
        run = describe_run(stage, settings, work.identity(), reads or {}, device)
        summary = RunSummary(stage, run["run_id"])
        todo = _todo(catalog, summary, items, redo)
        if settings.limit is not None:
            todo = islice(todo, settings.limit)
        if self.dry_run:
            n_todo = sum(1 for _ in todo)
            summary.extra = {"dry_run": True, "n_todo": n_todo}
            summary.notes.append(f"would work on {n_todo} items")
            return summary
        with catalog.writing(stage):
            first = next(todo, None)
            is_new = False
            if first is not None:
                begin_run(catalog, run)
                self.progress.begin(stage, len(items), run["device"])
                books = Books(catalog, settings, work, summary, self.progress)
                try:
                    with stopping(catalog, stage, run["run_id"]):
                        _do(self.crew(settings, work), _chain(first, todo), books, summary)
                finally:
                    self.progress.end()
                is_new = books.has_written
            summary.seconds = time.monotonic() - started
            known = find_run(catalog, summary.run_id)
            if is_new or known is None or known.status != "finished":
                begin_run(catalog, run)
                end_run(catalog, summary, summary.seconds + (known.seconds_in_all if known else 0))
        return summary

    def once(
        self,
        catalog: Catalog,
        stage: str,
        settings: Settings,
        reads: Mapping[str, str],
        function: Callable[[str], Outcome],
        *,
        identity: str = "",
        device: str = "cpu",
    ) -> RunSummary:
        """See `mekiki.engine.run.Engine.once`."""
        started = time.monotonic()
        run = describe_run(stage, settings, identity, reads, device)
        run_id = run["run_id"]
        with catalog.writing(stage):
            known = find_run(catalog, run_id)
            stored = stored_summary(catalog, known) if known else None
            if stored is not None:
                return stored
            if self.dry_run:
                return RunSummary(stage, run_id, extra={"dry_run": True}, notes=["would compute it anew"])
            self.progress.begin(stage, None, run["device"])
            try:
                outcome = function(run_id)
            finally:
                self.progress.end()
            summary = RunSummary(stage, run_id, outcome.n_selected)
            summary.failures = sorted(outcome.failures.values(), key=lambda one: (one.path, one.reason))
            summary.n_failed = len(summary.failures)
            summary.n_written = summary.n_selected - summary.n_failed
            summary.outputs = dict(outcome.outputs)
            summary.extra = dict(outcome.extra)
            summary.notes = list(outcome.notes)
            for name, text in outcome.files.items():
                path = write_text(run_folder(catalog, run_id) / name, text)
                summary.outputs[name] = catalog.relative(path)
            begin_run(catalog, run)
            with catalog.transaction(stage, run_id) as transaction:
                replaced = (one.run_id for one in runs_with_outputs(catalog, stage, summary.outputs.values()))
                for one in {run_id, *replaced}:
                    transaction.delete("failures", "run_id = ?", (one,))
                summary.n_rows = outcome.write(transaction)
                write_failures(transaction, run_id, outcome.failures)
            summary.seconds = time.monotonic() - started
            end_run(catalog, summary)
        return summary


def _chain(first: ItemT, rest: Iterator[ItemT]) -> Iterator[ItemT]:
    yield first
    yield from rest


def _todo(
    catalog: Catalog, summary: RunSummary, items: Selection[ItemT], redo: Callable[[ItemT], bool] | None
) -> Iterator[ItemT]:
    """Yield the items that are left to do, counting the others as they pass.

    One that was done and failed when it was done again is left to do.
    """
    failed = failures_of(catalog, summary.run_id).keys()
    stream = iter(items)
    while page := list(islice(stream, PAGE_ITEMS)):
        done = done_among(catalog, summary.run_id, [item.item_id for item in page]) - failed
        for item in page:
            if item.item_id in done and not (redo and redo(item)):
                summary.n_selected += 1
                summary.n_skipped += 1
            else:
                yield item


def _do(crew: Crew[ItemT], items: Iterator[ItemT], books: Books[ItemT], summary: RunSummary) -> None:
    """Let a crew work on all items, or on as many as the user waits for."""
    try:
        crew.open()
    except BaseException:  # raised again: Ctrl-C while a model loads leaves nobody behind
        crew.close()
        raise
    with InterruptFlag() as interrupt:
        try:
            with closing(crew.batches(items, lambda: interrupt.is_set)) as batches:
                for batch in batches:
                    books.enter(batch)
        finally:  # inside: a second Ctrl-C ends the waiting for what is in flight
            crew.close()
        if interrupt.is_set:
            raise InterruptedRunError(
                f"{summary.stage} interrupted: {summary.n_written} items done now, "
                f"{summary.n_skipped} before. The same command goes on"
            )
