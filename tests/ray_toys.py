"""Toy work for engines: in a module that a worker in another process can import."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from mekiki.catalog.db import Transaction
from mekiki.errors import UnreadableError
from mekiki.records import Loaded, Result
from mekiki.settings import Field, PerItemSettings


class SquareSettings(PerItemSettings):
    """How to square."""

    step: int = Field(1, description="what to add")


@dataclass(frozen=True)
class Task:
    """What is special about an item."""

    number: int
    n_pieces: int = 1
    is_bad: bool = False
    bad_piece: int | None = None
    is_bug: bool = False
    kills: bool = False

    @property
    def item_id(self) -> str:
        return f"{self.number:05d}"

    @property
    def path(self) -> Path:
        return Path(f"/photos/{self.item_id}")


@dataclass
class Squaring:
    """Writes one rarity row for each piece, and leaves a note of each worker and each write.

    Attributes:
        notes: A folder; workers leave ``worker-PID``, and the driver a line in ``written`` for each row.
        seconds: That computing a piece takes.
    """

    notes: Path
    seconds: float = 0.0

    def identity(self) -> str:
        return ""

    def open(self) -> None:
        (self.notes / f"worker-{os.getpid()}").touch()

    def load(self, task: Task) -> Iterator[Loaded]:
        if task.is_bad:
            raise UnreadableError(task.path, "broken")
        for number in range(task.n_pieces):
            yield Loaded(task.item_id, (task, number))

    def compute(self, loaded: list[Loaded]) -> list[Result | UnreadableError]:
        time.sleep(self.seconds * len(loaded))
        return [self._one(*one.content) for one in loaded]

    def _one(self, task: Task, number: int) -> Result | UnreadableError:
        if task.kills:
            os.kill(os.getpid(), signal.SIGKILL)
        if task.is_bug:
            raise ZeroDivisionError(f"a bug at {task.number}")
        if task.bad_piece == number:
            return UnreadableError(task.path, "piece broken")
        return Result(task.item_id, (number, task.number**2))

    def write(self, transaction: Transaction, results: list[Result]) -> int:
        rows = [(transaction.run_id, one.item_id, str(one.content[0]), float(one.content[1])) for one in results]
        with (self.notes / "written").open("a") as file:
            file.writelines(f"{item_id} {number}\n" for _, item_id, number, _ in rows)
        return transaction.upsert("rarity", ("run_id", "item_id", "scorer", "score"), rows)


def workers_seen(notes: Path) -> list[int]:
    """Return the process ids of all workers that have opened the work."""
    return [int(path.name.partition("-")[2]) for path in notes.glob("worker-*")]


@dataclass
class Waiting(Squaring):
    """Waits for a server."""

    n_threads: int = 2

    def stop(self) -> None:
        (self.notes / "stopped").touch()


@dataclass
class Stillborn(Squaring):
    """Cannot be opened: raises ``error``, or kills its worker if there is none."""

    error: Exception | None = None

    def open(self) -> None:
        if self.error is not None:
            raise self.error
        os.kill(os.getpid(), signal.SIGKILL)


@dataclass
class OnGpu(Squaring):
    """Notes which GPU its worker has been given, and how many threads."""

    number: int = 0

    @property
    def device(self) -> str:
        return f"cuda:{self.number} (torch bf16)"

    def open(self) -> None:
        super().open()
        seen = f"GPU {os.environ['CUDA_VISIBLE_DEVICES']}, {os.environ['OMP_NUM_THREADS']} threads"
        (self.notes / "seen").write_text(seen)
