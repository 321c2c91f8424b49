"""Threads that read and decode ahead of the computation, never further than a bounded queue."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Generic, Protocol, runtime_checkable

from mekiki.engine.run import ItemT
from mekiki.errors import UnreadableError
from mekiki.records import Loaded

POLL_S = 0.1


@runtime_checkable
class WaitingWork(Protocol):
    """Work whose `load` mostly waits for somebody else, as for a server: it wants threads of its own number."""

    @property
    def n_threads(self) -> int:
        """How many items may be loaded at once."""
        ...

    def stop(self) -> None:
        """Begin nothing more; called when the run ends, also early."""
        ...


@runtime_checkable
class BusyWork(Protocol):
    """Work whose `load` computes, in as many threads as there are processors to spare: workers on Ray share them."""

    @property
    def n_in_all(self) -> int:
        """How many items may be loaded at once by all workers together."""
        ...


@dataclass(frozen=True, slots=True)
class Piece(Generic[ItemT]):
    """One thing that a reader hands over: something loaded, or the end of an item.

    ``loaded`` is None at the end of an item; ``error`` says why it ended early. ``bug`` is any other exception.
    """

    item: ItemT
    loaded: Loaded | None = None
    error: UnreadableError | None = None
    bug: BaseException | None = None


class ReadAhead(Generic[ItemT]):
    """Loads items in threads and hands the pieces over in the order in which they become ready.

    Pieces of one item come in order and end with its end. At most ``n_threads`` + ``n_ahead`` pieces are in memory
    and ``n_threads`` items are open, however many there are. The items are drawn from in the calling thread, so that
    they may come from the catalog; so many ahead that threads have enough to do while that thread computes.

    Args:
        load: Reads one item.
        n_threads: How many read at once.
        n_ahead: How many pieces may wait.
    """

    def __init__(self, load: Callable[[ItemT], Iterator[Loaded]], n_threads: int, n_ahead: int) -> None:
        self._load = load
        self._tasks: queue.Queue[ItemT | None] = queue.Queue()
        self._pieces: queue.Queue[Piece[ItemT]] = queue.Queue(maxsize=max(1, n_ahead))
        self._stop = threading.Event()
        self._max_begun = 2 * n_threads + n_ahead
        self._threads = [threading.Thread(target=self._read, daemon=True) for _ in range(n_threads)]

    def pieces(self, items: Iterator[ItemT], should_stop: Callable[[], bool]) -> Iterator[Piece[ItemT]]:
        """Yield the pieces of all items, or fewer when told to stop, also while nothing comes.

        After the end, it may be called again with more items. Call `close` then.
        """
        for thread in self._threads:
            if thread.ident is None:
                thread.start()
        n_begun = 0
        while not should_stop():
            while n_begun < self._max_begun:
                item = next(items, None)
                if item is None:
                    break
                self._tasks.put(item)
                n_begun += 1
            if n_begun == 0:
                return
            try:
                piece = self._pieces.get(timeout=POLL_S)
            except queue.Empty:
                continue
            if piece.bug is not None:
                raise piece.bug
            n_begun -= piece.loaded is None
            yield piece

    def close(self) -> None:
        """Let threads begin nothing more, and wait for what they have begun."""
        self._stop.set()
        for _ in self._threads:
            self._tasks.put(None)
        for thread in self._threads:
            if thread.ident is not None:
                thread.join()

    def _read(self) -> None:
        while (item := self._tasks.get()) is not None and not self._stop.is_set():
            try:
                for loaded in self._load(item):
                    if not self._hand_over(Piece(item, loaded)):
                        return
                self._hand_over(Piece(item))
            except UnreadableError as error:
                self._hand_over(Piece(item, error=error))
            except BaseException as bug:  # noqa: BLE001 - raised again in the main thread: a bug is never bad data
                self._hand_over(Piece(item, bug=bug))

    def _hand_over(self, piece: Piece[ItemT]) -> bool:
        while not self._stop.is_set():
            try:
                self._pieces.put(piece, timeout=POLL_S)
            except queue.Full:
                continue
            return True
        return False
