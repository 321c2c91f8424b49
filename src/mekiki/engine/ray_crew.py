"""Workers on Ray and who leads them: items are dealt out, batches come back, and who dies is replaced."""

from __future__ import annotations

import math
import re
import time
from collections import Counter, deque
from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Generic

from mekiki.engine.batches import Batch
from mekiki.engine.ray_session import RaySession
from mekiki.engine.ray_worker import RayWorker
from mekiki.engine.reading import BusyWork
from mekiki.engine.run import ItemT, PlacedWork, Progress, Work
from mekiki.errors import BackendError, UnreadableError, UsageError
from mekiki.records import Result
from mekiki.settings import PerItemSettings

MAX_DEATHS = 3
"""Workers that may die over the same items before these are taken apart, and over one item before it has failed."""

POLL_S = 0.1
PATIENCE_S = 30.0
"""After so long without a worker the user is told."""


@dataclass(slots=True)
class _Suspects(Generic[ItemT]):
    """Items that a worker had in hand when it died; they go to a worker that has no others."""

    items: list[ItemT]
    n_deaths: int


@dataclass(slots=True, eq=False)
class _Hand(Generic[ItemT]):
    """One worker.

    Attributes:
        actor: Its handle.
        call: What it is doing; None if nothing.
        is_open: Whether it has loaded its model.
        given: Items that it has and that have not ended.
        n_deaths: Of workers that had the same items before; None if these are no suspects.
        n_known: Item to outcomes that an earlier worker has sent; these come again, first and in order.
    """

    actor: Any
    call: Any
    is_open: bool = False
    given: dict[str, ItemT] = field(default_factory=dict)
    n_deaths: int | None = None
    n_known: dict[str, int] = field(default_factory=dict)


class RayCrew(Generic[ItemT]):
    """Workers on Ray; see `mekiki.engine.batches.Crew`.

    A worker that dies is replaced. What it had in hand goes to another, alone, and outcomes that have come already are
    dropped when they come again. After `MAX_DEATHS` deaths the items are tried one by one, and one that kills as many
    workers again has failed.

    Args:
        session: The connection.
        settings: How large a batch is, and how many threads load in each worker.
        work: What to do; workers get copies.
        progress: Where to say that no worker comes.
        n_workers: How many; None for as many as have a place.
    """

    def __init__(
        self,
        session: RaySession,
        settings: PerItemSettings,
        work: Work[ItemT],
        progress: Progress,
        n_workers: int | None = None,
    ) -> None:
        self._session = session
        self._work = work
        self._progress = progress
        self._n_workers = n_workers
        self._n_threads, self._size = settings.workers, settings.batch_size
        self._ray: Any = None
        self._actor_class: Any = None
        self._work_ref: Any = None
        self._hands: list[_Hand[ItemT]] = []
        self._suspects: deque[_Suspects[ItemT]] = deque()
        self._n_received: Counter[str] = Counter()
        self._n_outcomes = self._n_ended = 0
        self._n_stillborn = 0

    def open(self) -> None:
        """Connect, and let workers load the model; this process loads none.

        Raises:
            MissingExtraError: If Ray is not installed.
            BackendError: If Ray cannot be had, or has no GPU for work that needs one.
            UsageError: If the work asks for one GPU by its number.
        """
        device = self._work.device if isinstance(self._work, PlacedWork) else "cpu"
        gpu = re.match(r"cuda(?::(\d+))?\b", device)
        on_gpu = gpu is not None
        if gpu is not None and gpu[1] not in (None, "0"):
            raise UsageError(
                f"Ray gives each worker a GPU of its own, so {gpu[0]} cannot be asked for. Type: --device cuda"
            )
        self._ray = self._session.connect()
        n_workers = self._n_workers or self._session.n_workers(on_gpu=on_gpu)
        n_cpus = self._session.n_cpus_each(n_workers)
        if isinstance(self._work, BusyWork):
            self._n_threads = math.ceil(self._work.n_in_all / n_workers)
        self._actor_class = self._ray.remote(RayWorker).options(
            num_cpus=n_cpus,
            num_gpus=int(on_gpu),
            max_restarts=0,  # a new one is hired: it begins with what we give it, and not with calls that were queued
            scheduling_strategy="SPREAD",
            runtime_env={"env_vars": self._session.environment(n_cpus)},
        )
        self._work_ref = self._ray.put(self._work)
        self._progress.say(f"{n_workers} workers on Ray, {self._session.place}")
        self._hands = [self._hire() for _ in range(n_workers)]

    def batches(self, items: Iterator[ItemT], should_stop: Callable[[], bool]) -> Generator[Batch, None, None]:
        """Yield what workers send; when told to stop, what they have in hand is left to the next run."""
        told_at = time.monotonic() + PATIENCE_S
        while not should_stop():
            self._deal(items)
            has_worker = any(hand.is_open for hand in self._hands)
            if has_worker and not self._suspects and not any(hand.given for hand in self._hands):
                return  # one that waits would have been given what is left
            if not has_worker and time.monotonic() > told_at:
                self._progress.say("waiting for Ray: no worker has found a place or is ready yet")
                told_at = math.inf
            calls = {hand.call: hand for hand in self._hands if hand.call is not None}
            ready, _ = self._ray.wait(list(calls), timeout=POLL_S)
            for call in ready:
                batch = self._receive(calls[call])
                self._deal(items)  # before the catalog is written, so that nobody waits for it
                if batch is not None:
                    yield batch

    def close(self) -> None:
        """End the workers; Ray itself stays for the next stage."""
        for hand in self._hands:
            self._ray.kill(hand.actor)
        self._hands.clear()
        self._work_ref = None

    def _hire(self) -> _Hand[ItemT]:
        actor = self._actor_class.remote(self._work_ref, self._n_threads, self._size)
        return _Hand(actor, actor.open.remote())

    def _deal(self, items: Iterator[ItemT]) -> None:
        """Give everybody who waits something to do."""
        for hand in self._hands:
            if hand.call is None:
                more = self._portion(hand, items)
                hand.given.update((item.item_id, item) for item in more)
                if hand.given:
                    hand.call = hand.actor.step.remote(more)

    def _portion(self, hand: _Hand[ItemT], items: Iterator[ItemT]) -> list[ItemT]:
        """Return what a worker gets beside what it has: as much again as it computes on, to load meanwhile."""
        if not hand.given and self._suspects:
            suspects = self._suspects.popleft()
            hand.n_deaths = suspects.n_deaths
            hand.n_known = {one.item_id: self._n_received[one.item_id] for one in suspects.items}
            return suspects.items
        if hand.given and (self._suspects or hand.n_deaths is not None):
            return []
        hand.n_deaths = None
        pieces_per_item = max(1.0, self._n_outcomes / max(1, self._n_ended))
        n_full = math.ceil(2 * self._size / pieces_per_item) if self._n_outcomes else 0  # 0: an item may be a long clip
        n_wanted = max(self._n_threads, n_full)
        return list(islice(items, max(0, n_wanted - len(hand.given))))

    def _receive(self, hand: _Hand[ItemT]) -> Batch | None:
        """Return what a worker sends, less what came before; None if there is nothing.

        Raises:
            BaseException: What the work raised, which is a bug or says that there is no point in going on.
        """
        call, hand.call = hand.call, None
        errors = self._ray.exceptions
        try:
            batch = self._ray.get(call)
        except errors.RayTaskError as error:
            raise error.cause from error
        except (
            errors.RayActorError,
            errors.WorkerCrashedError,
            errors.OutOfMemoryError,
            errors.ObjectLostError,
        ) as error:
            if getattr(error, "actor_init_failed", False):
                reason = str(error).strip().splitlines()[-1]
                raise BackendError(
                    f"workers on Ray cannot take the work ({reason}): install the same mekiki, and what else the work "
                    "needs, on every machine of the cluster"
                ) from error
            return self._replace(hand)
        self._n_stillborn = 0
        if not hand.is_open:
            hand.is_open = True
            return None
        return self._settle(hand, batch.outcomes, batch.ended)

    def _settle(
        self,
        hand: _Hand[ItemT],
        outcomes: list[tuple[str, Result | UnreadableError]],
        ended: Mapping[str, UnreadableError | None],
    ) -> Batch:
        """Return what is new of a batch, and count it."""
        new = []
        for item_id, outcome in outcomes:
            if hand.n_known.get(item_id, 0):
                hand.n_known[item_id] -= 1
            else:
                new.append((item_id, outcome))
                self._n_received[item_id] += 1
        for item_id in ended:
            del hand.given[item_id]
            self._n_received.pop(item_id, None)
        self._n_outcomes += len(new)
        self._n_ended += len(ended)
        return Batch(new, dict(ended))

    def _replace(self, hand: _Hand[ItemT]) -> Batch | None:
        """Hire another worker for one that died, and decide what becomes of its items."""
        self._ray.kill(hand.actor)  # one that only cannot be reached must not go on either
        self._hands.remove(hand)
        if hand.is_open:
            self._hands.append(self._hire())
            return self._suspect(hand)
        self._n_stillborn += 1
        if self._n_stillborn < MAX_DEATHS:
            self._hands.append(self._hire())
        elif not self._hands:
            raise BackendError(
                f"{MAX_DEATHS} workers died on Ray before they were ready, as they do when the model needs more "
                "memory than there is: run it with fewer workers, or without --engine ray"
            )
        return None

    def _suspect(self, hand: _Hand[ItemT]) -> Batch | None:
        """Put back what a dead worker had in hand; return the item that has failed, if it has come to that."""
        items = list(hand.given.values())
        n_deaths = (hand.n_deaths or 0) + 1
        if n_deaths < MAX_DEATHS:
            self._suspects.append(_Suspects(items, n_deaths))
            return None
        if len(items) > 1:
            self._suspects.extend(_Suspects([one], 0) for one in items)
            return None
        item = items[0]
        reason = f"the worker died {n_deaths} times on it"
        return self._settle(hand, [], {item.item_id: UnreadableError(item.path or item.item_id, reason)})
