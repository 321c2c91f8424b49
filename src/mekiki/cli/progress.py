"""Progress on stderr: a bar in a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)

from mekiki.engine.run import Progress as Told
from mekiki.engine.run import Silent

PLAIN_EVERY_S = 10.0


def choose_progress(*, is_quiet: bool) -> Told:
    """Return how to show progress here."""
    if is_quiet:
        return Silent()
    return BarProgress() if sys.stderr.isatty() else PlainProgress()


class BarProgress:
    """A bar with rate, time left and failures. rich honours ``NO_COLOR``.

    Args:
        console: Where it is drawn; stderr by default.
    """

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(stderr=True, markup=False, emoji=False, highlight=False)
        self._bar: Progress | None = None
        self._task = TaskID(0)
        self._n_failed = 0
        self._started = 0.0

    def begin(self, stage: str, n_items: int | None, device: str) -> None:
        """Start a stage."""
        self.end()
        self._n_failed, self._started = 0, time.monotonic()
        self._bar = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[failed]}"),
            console=self._console,
            transient=True,
        )
        self._task = self._bar.add_task(f"{stage} on {device}", total=n_items, rate="", failed="")
        self._bar.start()

    def advance(self, n_items: int, n_failed: int) -> None:
        """Move the bar."""
        if self._bar is None:
            return
        self._n_failed += n_failed
        failed = f"{self._n_failed} failed" if self._n_failed else ""
        self._bar.advance(self._task, n_items)
        seconds = time.monotonic() - self._started
        rate = f"{self._bar.tasks[0].completed / seconds:.0f}/s" if seconds > 0 else ""
        self._bar.update(self._task, failed=failed, rate=rate)

    def say(self, line: str) -> None:
        """Show a line above the bar."""
        self._console.print(f"mekiki: {line}", soft_wrap=True)

    def end(self) -> None:
        """Remove the bar."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None


class PlainProgress:
    """A line now and then, for logs and pipes.

    Args:
        every_s: Seconds between two lines.
    """

    def __init__(self, every_s: float = PLAIN_EVERY_S) -> None:
        self._every_s = every_s
        self._stage = ""
        self._n_items: int | None = None
        self._n_done = 0
        self._n_failed = 0
        self._started = 0.0
        self._last = 0.0

    def begin(self, stage: str, n_items: int | None, device: str) -> None:
        """Start a stage."""
        self._stage, self._n_items, self._n_done, self._n_failed = stage, n_items, 0, 0
        self._started = self._last = time.monotonic()
        many = "" if n_items is None else f", {n_items} items"
        self.say(f"{stage} on {device}{many}")

    def advance(self, n_items: int, n_failed: int) -> None:
        """Show a line if the last one is a while ago."""
        self._n_done += n_items
        self._n_failed += n_failed
        now = time.monotonic()
        if now - self._last >= self._every_s:
            self._last = now
            self.say(self._line(self._n_done / max(now - self._started, 1e-9)))

    def _line(self, rate: float) -> str:
        """Return how far it is: items, rate, time left, failures."""
        of_all, left = "", ""
        if self._n_items is not None:
            of_all = f" of {self._n_items}"
            left = f", {max(0, self._n_items - self._n_done) / rate:.0f} s left" if rate > 0 else ""
        return f"{self._stage}: {self._n_done}{of_all}, {rate:.0f}/s{left}, {self._n_failed} failed"

    def say(self, line: str) -> None:
        """Show a line."""
        print(f"mekiki: {line}", file=sys.stderr, flush=True)

    def end(self) -> None:
        """Finish the stage."""
