"""When to ask again: exponential back-off with jitter, ``Retry-After``, and a limit on calls per minute."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

MAX_BACKOFF_S = 8.0
MAX_RETRY_AFTER_S = 300.0
"""A server that wants a longer pause gets this one; the call then fails, and is made again at the next invocation."""


class StoppedError(Exception):
    """Somebody stopped the run while a call was waiting for its turn."""


def backoff_s(attempt: int, jitter: float) -> float:
    """Return how long to wait after a failed attempt, in seconds: ``min(8, 2^(attempt - 1))``, less up to a half.

    Args:
        attempt: The one that failed, from 1.
        jitter: In [0, 1); spreads calls that failed together.

    Example:
        >>> [backoff_s(attempt, 0.0) for attempt in (1, 2, 3, 4, 5)]
        [1.0, 2.0, 4.0, 8.0, 8.0]
    """
    return float(min(MAX_BACKOFF_S, 2.0 ** (attempt - 1)) * (1 - jitter / 2))


def retry_after_s(headers: Mapping[str, str], now: datetime | None = None) -> float | None:
    """Return the pause that a server asks for in seconds; None without one.

    Args:
        headers: Of its answer, in lower case.
        now: The time of day, in UTC.

    Example:
        >>> retry_after_s({"retry-after": "2"}), retry_after_s({"retry-after-ms": "50"}), retry_after_s({})
        (2.0, 0.05, None)
    """
    for name, unit_s in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        try:
            return min(max(0.0, float(headers[name]) * unit_s), MAX_RETRY_AFTER_S)
        except (KeyError, ValueError):
            continue
    try:
        until = parsedate_to_datetime(headers["retry-after"])
    except (KeyError, ValueError):
        return None
    left = until - (now or datetime.now(UTC)) if until.tzinfo else until - datetime.now()
    return min(max(0.0, left.total_seconds()), MAX_RETRY_AFTER_S)


class Pacer:
    """Makes threads wait: for their turn, for a server that wants a pause, and after a failure.

    Args:
        per_minute: Calls that may begin in a minute, evenly spaced; None for no limit.
        scale: All waits after failures are this many times as long, but those that a server asks for.
    """

    def __init__(self, per_minute: float | None = None, scale: float = 1.0) -> None:
        self._per_minute = per_minute
        self._scale = scale
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._next_at = 0.0
        self._random = random.Random()

    def stop(self) -> None:
        """Let nothing new begin, and wake all that wait."""
        self._stop.set()

    def wait_turn(self) -> None:
        """Wait until a call may begin.

        Raises:
            StoppedError: If the run was stopped.
        """
        while not self._stop.is_set():
            with self._lock:
                now = time.monotonic()
                wait_s = self._next_at - now
                if wait_s <= 0:
                    self._next_at = now + (60 / self._per_minute if self._per_minute else 0.0)
                    return
            self._stop.wait(wait_s)
        raise StoppedError

    def back_off(self, attempt: int, wanted_s: float | None) -> None:
        """Wait after a failed attempt; a pause that the server wants holds for all threads.

        Raises:
            StoppedError: If the run was stopped.
        """
        if wanted_s is not None:
            with self._lock:
                self._next_at = max(self._next_at, time.monotonic() + wanted_s)
            wait_s = wanted_s
        else:
            wait_s = self._scale * backoff_s(attempt, self._random.random())
        if self._stop.wait(wait_s):
            raise StoppedError
