"""What stands between loading and the catalog: pieces become a batch, and a batch becomes one transaction."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, field
from typing import Generic, Protocol

from mekiki.catalog.db import Catalog
from mekiki.catalog.runs import clear_failures, failures_of, stop_run, write_done, write_failures
from mekiki.engine.reading import Piece
from mekiki.engine.run import ItemT, ItemT_contra, Progress, Work
from mekiki.errors import DataError, UnreadableError
from mekiki.records import Failure, Loaded, Result, RunSummary
from mekiki.settings import PerItemSettings

N_BEFORE_SHARE = 20
"""Items to see before the share of failures can stop a stage."""


@dataclass(frozen=True, slots=True)
class Batch:
    """What came of some pieces, on its way to the catalog.

    Attributes:
        outcomes: The item that was read, and what computing one of its pieces gave; pieces of one item in order.
        ended: Ids of items of which nothing more comes, with why they ended early, if they did.
    """

    outcomes: list[tuple[str, Result | UnreadableError]]
    ended: dict[str, UnreadableError | None]


@dataclass(slots=True)
class Gathered:
    """Pieces that wait until there are enough of them for a batch."""

    loaded: list[Loaded] = field(default_factory=list)
    ended: dict[str, UnreadableError | None] = field(default_factory=dict)

    def add(self, piece: Piece[ItemT]) -> None:
        """Take what a reader handed over."""
        if piece.loaded is not None:
            self.loaded.append(piece.loaded)
        else:
            self.ended[piece.item.item_id] = piece.error

    def is_full(self, size: int) -> bool:
        """Return whether there are ``size`` pieces, or as many ends of items."""
        return len(self.loaded) >= size or len(self.ended) >= size

    def compute(self, work: Work[ItemT]) -> Batch:
        """Compute on what has been gathered, and begin anew."""
        loaded, ended = self.loaded, self.ended
        self.loaded, self.ended = [], {}
        answers = work.compute(loaded) if loaded else []
        if len(answers) != len(loaded):
            raise RuntimeError(f"compute gave {len(answers)} results for {len(loaded)} inputs")
        return Batch([(one.item_id, answer) for one, answer in zip(loaded, answers, strict=True)], ended)


class Crew(Protocol[ItemT_contra]):
    """Who loads and computes. Used once: `open`, then `batches`, then `close`, also after an error."""

    def open(self) -> None:
        """Get ready; called before the user can stop the run."""
        ...

    def batches(self, items: Iterator[ItemT_contra], should_stop: Callable[[], bool]) -> Generator[Batch, None, None]:
        """Yield what comes of all items, or of fewer when told to stop. Items are drawn a few ahead, in this thread.

        Every item ends once, in the batch with its last piece or in a later one.
        """
        ...

    def close(self) -> None:
        """Begin nothing more, and let go of all that was opened."""
        ...


class Books(Generic[ItemT]):
    """Writes batches to the catalog, each in one transaction, and counts them in the summary."""

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
        self._failed: dict[str, Failure] = {}
        self._known_failures = failures_of(catalog, summary.run_id)
        self.has_written = False

    def enter(self, batch: Batch) -> None:
        """Commit what came of some pieces, and finish the items that have ended.

        Raises:
            DataError: If more than ``settings.max_failed_share`` of the items so far have failed.
        """
        results = self._sort(batch)
        ended = [item_id for item_id in batch.ended if item_id not in self._failed]
        failed = {item_id: one for item_id, one in self._failed.items() if item_id in batch.ended}
        summary, run_id = self._summary, self._summary.run_id
        news = {key: one for key, one in failed.items() if self._known_failures.get(key) != one}
        mended = [item_id for item_id in ended if item_id in self._known_failures]
        if results or ended or news:
            self.has_written = True
            with self._catalog.transaction(summary.stage, run_id) as transaction:
                summary.n_rows += self._work.write(transaction, results) if results else 0
                write_done(transaction, run_id, ended)
                write_failures(transaction, run_id, news)
                clear_failures(transaction, run_id, mended)
        summary.n_selected += len(batch.ended)
        summary.n_written += len(ended)
        summary.n_failed += len(failed)
        summary.failures.extend(failed.values())
        self._progress.advance(len(batch.ended), len(failed))
        for item_id in batch.ended:
            self._failed.pop(item_id, None)
        self._check_share()

    def _sort(self, batch: Batch) -> list[Result]:
        """Return the results; failures are remembered until their item ends."""
        results = []
        ends = ((item_id, error) for item_id, error in batch.ended.items() if error is not None)
        for item_id, answer in (*ends, *batch.outcomes):
            if isinstance(answer, UnreadableError):
                self._failed[item_id] = Failure(answer.path, answer.reason, self._summary.stage)
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
