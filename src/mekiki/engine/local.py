"""The local engine: threads read ahead, the model runs in batches, one writer."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from typing import Generic

from mekiki.engine.batches import Batch, Crew, Gathered
from mekiki.engine.reading import ReadAhead, WaitingWork
from mekiki.engine.run import ItemT, Work
from mekiki.engine.shared import SharedEngine
from mekiki.settings import PerItemSettings


class LocalEngine(SharedEngine):
    """Runs work in this process.

    Args:
        progress: Where to say how far it is.
        dry_run: Only count what would be done.
    """

    def crew(self, settings: PerItemSettings, work: Work[ItemT]) -> Crew[ItemT]:
        """Return this process with its threads."""
        return LocalCrew(settings, work)

    def close(self) -> None:
        """Nothing outlives a stage here."""


class LocalCrew(Generic[ItemT]):
    """Threads that load, and the calling thread, which computes.

    Args:
        settings: How large a batch is, and how many threads load.
        work: What to do.
    """

    def __init__(self, settings: PerItemSettings, work: Work[ItemT]) -> None:
        self._work = work
        self._size = settings.batch_size
        n_threads = work.n_threads if isinstance(work, WaitingWork) else settings.workers
        self._reader = ReadAhead(work.load, n_threads, self._size)

    def open(self) -> None:
        """Load the model."""
        self._work.open()

    def batches(self, items: Iterator[ItemT], should_stop: Callable[[], bool]) -> Generator[Batch, None, None]:
        """See `mekiki.engine.batches.Crew.batches`; what has been gathered when it is told to stop is the last."""
        gathered = Gathered()
        for piece in self._reader.pieces(items, should_stop):
            gathered.add(piece)
            if gathered.is_full(self._size):
                yield gathered.compute(self._work)
        yield gathered.compute(self._work)

    def close(self) -> None:
        """Stop the threads, and wait for what they have begun."""
        if isinstance(self._work, WaitingWork):
            self._work.stop()
        self._reader.close()
