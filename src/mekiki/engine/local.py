"""The local engine: threads read ahead, the model runs in batches, one writer."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from typing import Generic

from mekiki.catalog.db import Catalog
from mekiki.catalog.runs import (
    clear_failures,
    done_among,
    failures_of,
    find_run,
    stop_run,
    write_done,
    write_failures,
)
from mekiki.engine.interrupt import InterruptFlag
from mekiki.engine.reading import Piece, ReadAhead, WaitingWork
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
from mekiki.errors import DataError, InterruptedRunError, UnreadableError
from mekiki.records import Failure, Loaded, Result, RunSummary
from mekiki.settings import PerItemSettings, Settings

N_BEFORE_SHARE = 20
"""Items to see before the share of failures can stop a stage."""

PAGE_ITEMS = 500


class LocalEngine:
    """Runs work in this process.

    Args:
        progress: Where to say how far it is.
        dry_run: Only count what would be done.
    """

    def __init__(self, progress: Progress | None = None, *, dry_run: bool = False) -> None:
        self.progress = progress or Silent()
        self.dry_run = dry_run

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
                try:
                    is_new = _Batches(catalog, settings, work, summary, self.progress).do(_chain(first, todo))
                finally:
                    self.progress.end()
            summary.seconds = time.monotonic() - started
            known = find_run(catalog, summary.run_id)
            if is_new or known is None or known.status != "finished":
                begin_run(catalog, run)
                end_run(catalog, summary)
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


class _Batches(Generic[ItemT]):
    """Gathers pieces into batches; each batch is one transaction."""

    def __init__(
        self,
        catalog: Catalog,
        settings: PerItemSettings,
        work: Work[ItemT],
        summary: RunSummary,
        progress: Progress,
    ) -> None:
        self._catalog = catalog
        self._settings = settings
        self._work = work
        self._summary = summary
        self._progress = progress
        self._loaded: list[Loaded] = []
        self._ended: dict[str, ItemT] = {}
        self._failed: dict[str, Failure] = {}
        self._known_failures = failures_of(catalog, summary.run_id)
        self._has_written = False

    def do(self, items: Iterator[ItemT]) -> bool:
        """Work on all items, or as many as the user waits for; return whether anything came of it that is new."""
        size = self._settings.batch_size
        self._work.open()
        n_threads = self._work.n_threads if isinstance(self._work, WaitingWork) else self._settings.workers
        reader = ReadAhead(self._work.load, n_threads, size)
        with InterruptFlag() as interrupt:
            try:
                for piece in reader.pieces(items, lambda: interrupt.is_set):
                    self._add(piece)
                    if len(self._loaded) >= size or len(self._ended) >= size:
                        self._flush()
                self._flush()
            finally:
                if isinstance(self._work, WaitingWork):
                    self._work.stop()
                reader.close()
            if interrupt.is_set:
                raise InterruptedRunError(
                    f"{self._summary.stage} interrupted: {self._summary.n_written} items done now, "
                    f"{self._summary.n_skipped} before. The same command goes on"
                )
        return self._has_written

    def _add(self, piece: Piece[ItemT]) -> None:
        if piece.loaded is not None:
            self._loaded.append(piece.loaded)
            return
        item = piece.item
        self._ended[item.item_id] = item
        if piece.error is not None:
            self._failed[item.item_id] = Failure(piece.error.path, piece.error.reason, self._summary.stage)

    def _flush(self) -> None:
        """Compute and commit what has been gathered, and finish the items that have ended."""
        results = self._compute()
        ended = [item_id for item_id in self._ended if item_id not in self._failed]
        failed = {item_id: one for item_id, one in self._failed.items() if item_id in self._ended}
        summary, run_id = self._summary, self._summary.run_id
        news = {key: one for key, one in failed.items() if self._known_failures.get(key) != one}
        mended = [item_id for item_id in ended if item_id in self._known_failures]
        if results or ended or news:
            self._has_written = True
            with self._catalog.transaction(summary.stage, run_id) as transaction:
                summary.n_rows += self._work.write(transaction, results) if results else 0
                write_done(transaction, run_id, ended)
                write_failures(transaction, run_id, news)
                clear_failures(transaction, run_id, mended)
        summary.n_selected += len(self._ended)
        summary.n_written += len(ended)
        summary.n_failed += len(failed)
        summary.failures.extend(failed.values())
        self._progress.advance(len(self._ended), len(failed))
        for item_id in self._ended:
            self._failed.pop(item_id, None)
        self._loaded.clear()
        self._ended.clear()
        self._check_share()

    def _compute(self) -> list[Result]:
        if not self._loaded:
            return []
        answers = self._work.compute(self._loaded)
        if len(answers) != len(self._loaded):
            raise RuntimeError(f"compute gave {len(answers)} results for {len(self._loaded)} inputs")
        results = []
        for loaded, answer in zip(self._loaded, answers, strict=True):
            if isinstance(answer, UnreadableError):
                self._failed[loaded.item_id] = Failure(answer.path, answer.reason, self._summary.stage)
            else:
                results.append(answer)
        return results

    def _check_share(self) -> None:
        summary = self._summary
        if summary.n_selected <= N_BEFORE_SHARE or not summary.n_failed:
            return
        share = summary.n_failed / summary.n_selected
        if share > self._settings.max_failed_share:
            with self._catalog.transaction(summary.stage) as transaction:
                stop_run(self._catalog, transaction, summary.run_id)
            first = summary.failures[0]
            raise DataError(
                f"{summary.stage} stopped: {summary.n_failed} of {summary.n_selected} items failed, the first is "
                f"{first.path}: {first.reason}. Mend them (mekiki status lists them), or go on with "
                f"--max-failed-share {min(1.0, share + 0.1):.1f}"
            )
