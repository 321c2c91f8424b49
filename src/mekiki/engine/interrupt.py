"""Ctrl-C: the first asks the engine to stop after the batch in flight, the second stops at once."""

from __future__ import annotations

import signal
import threading
from types import FrameType, TracebackType
from typing import Any


class InterruptFlag:
    """While entered, the first SIGINT or SIGTERM only sets ``is_set``; another raises KeyboardInterrupt.

    Outside the main thread, where Python allows no signal handlers, it never becomes set.
    """

    def __init__(self) -> None:
        self.is_set = False
        self._old: dict[signal.Signals, Any] = {}

    def __enter__(self) -> InterruptFlag:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._old[number] = signal.signal(number, self._handle)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        for number, handler in self._old.items():
            signal.signal(number, handler)

    def _handle(self, _number: int, _frame: FrameType | None) -> None:
        if self.is_set:
            raise KeyboardInterrupt
        self.is_set = True
