"""What one worker on Ray does: items come in, batches go out, and threads read ahead in between."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from typing import Generic

from mekiki.engine.batches import Batch, Gathered
from mekiki.engine.reading import Piece, ReadAhead
from mekiki.engine.run import ItemT, Work


class _Inbox(Generic[ItemT]):
    """Items that have come and are not begun; iterating it ends when it is empty, and goes on when more have come."""

    def __init__(self) -> None:
        self._waiting: deque[ItemT] = deque()

    def put(self, items: Sequence[ItemT]) -> None:
        self._waiting.extend(items)

    def __iter__(self) -> Iterator[ItemT]:
        return self

    def __next__(self) -> ItemT:
        if not self._waiting:
            raise StopIteration
        return self._waiting.popleft()


class RayWorker(Generic[ItemT]):
    """Loads and computes in a process of its own; knows nothing of Ray.

    Args:
        work: What to do; a copy of the driver's.
        n_threads: Threads that load.
        size: Pieces in a batch.
    """

    def __init__(self, work: Work[ItemT], n_threads: int, size: int) -> None:
        self._work = work
        self._size = size
        self._inbox: _Inbox[ItemT] = _Inbox()
        self._reader = ReadAhead(work.load, n_threads, size)
        self._pieces: Iterator[Piece[ItemT]] = iter(())

    def open(self) -> None:
        """Load the model."""
        self._work.open()

    def step(self, items: Sequence[ItemT]) -> Batch:
        """Take more items, and return the next batch; a smaller one if everything that has come is done.

        Args:
            items: To be begun after those that came before. Give so many that threads can load while this computes.
        """
        self._inbox.put(items)
        gathered = Gathered()
        is_new = False
        while not gathered.is_full(self._size):
            piece = next(self._pieces, None)
            if piece is not None:
                gathered.add(piece)
            elif is_new:
                break
            else:
                self._pieces, is_new = self._reader.pieces(self._inbox, lambda: False), True
        return gathered.compute(self._work)
