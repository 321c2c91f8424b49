"""What an engine is, and the book-keeping that all engines share."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, TypeVar, runtime_checkable

from mekiki.catalog.db import Catalog, Transaction
from mekiki.catalog.runs import SECONDS_IN_ALL, Run, find_run, finish_run, mekiki_version, runs_of, start_run
from mekiki.errors import UnreadableError
from mekiki.records import Failure, Loaded, Result, RunSummary
from mekiki.settings import PerItemSettings, Settings, fingerprint
from mekiki.wholefiles import write_whole


class Workable(Protocol):
    """Anything with an id and a path that a user knows it by: an item, or a file that is no item yet."""

    @property
    def item_id(self) -> str:
        """Unique within a stage's input."""
        ...

    @property
    def path(self) -> Path | None:
        """For messages."""
        ...


ItemT = TypeVar("ItemT", bound=Workable)
ItemT_co = TypeVar("ItemT_co", bound=Workable, covariant=True)
ItemT_contra = TypeVar("ItemT_contra", bound=Workable, contravariant=True)


class Selection(Protocol[ItemT_co]):
    """Items in a fixed order; iterating twice gives the same."""

    def __len__(self) -> int: ...

    def __iter__(self) -> Iterator[ItemT_co]: ...


class Work(Protocol[ItemT_contra]):
    """What one worker does to items; picklable, so that it runs here or on a cluster."""

    def identity(self) -> str:
        """Return what the fingerprint needs of the backend; empty without one."""
        ...

    def open(self) -> None:
        """Load the model; called once per worker."""
        ...

    def load(self, item: ItemT_contra) -> Iterator[Loaded]:
        """Read and decode; a video yields many. Runs in several threads at once. Raises `UnreadableError`."""
        ...

    def compute(self, loaded: list[Loaded]) -> Sequence[Result | UnreadableError]:
        """Return one result per input, in the same order."""
        ...

    def write(self, transaction: Transaction, results: list[Result]) -> int:
        """Write results, replacing rows with the same key, and return how many rows. Runs on the driver."""
        ...


@runtime_checkable
class PlacedWork(Protocol):
    """Work that names what it computes on; other work is done by the processor."""

    @property
    def device(self) -> str:
        """In words: ``cuda:0``, ``cpu (onnxruntime)``, a server's name."""
        ...


class Progress(Protocol):
    """Where an engine says how far it is."""

    def begin(self, stage: str, n_items: int | None, device: str) -> None:
        """Start a stage."""
        ...

    def advance(self, n_items: int, n_failed: int) -> None:
        """Say how many more items are finished, and how many of those failed."""
        ...

    def say(self, line: str) -> None:
        """Show a line of text."""
        ...

    def end(self) -> None:
        """Finish the stage."""
        ...


class Silent:
    """Says nothing."""

    def begin(self, stage: str, n_items: int | None, device: str) -> None:
        """Say nothing."""

    def advance(self, n_items: int, n_failed: int) -> None:
        """Say nothing."""

    def say(self, line: str) -> None:
        """Say nothing."""

    def end(self) -> None:
        """Say nothing."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a whole-set stage computed.

    Attributes:
        n_selected: Items it looked at.
        write: Writes the rows and returns how many.
        files: Name to text of files for ``runs/<run_id>/``.
        outputs: Name to path of other files it made.
        extra: The stage's own part of the summary.
        notes: Lines for the user.
        failures: Item id to failure.
    """

    n_selected: int
    write: Callable[[Transaction], int] = lambda _transaction: 0
    files: Mapping[str, str] = field(default_factory=dict)
    outputs: Mapping[str, str] = field(default_factory=dict)
    extra: Mapping[str, Any] = field(default_factory=dict)
    notes: Sequence[str] = ()
    failures: Mapping[str, Failure] = field(default_factory=dict)


class Engine(Protocol):
    """Where work runs. Both methods resume, and do nothing when there is nothing left to do."""

    progress: Progress
    """Where to say how far it is."""

    dry_run: bool
    """Only count what would be done."""

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
        """Do ``work`` on every item that this run has not done.

        Args:
            catalog: Where results go.
            stage: The stage's name.
            settings: Its settings.
            work: What to do.
            items: What to do it to.
            reads: What else the result depends on, by name.
            redo: Says of a done item whether it must be done again.

        Raises:
            DataError: If more than ``settings.max_failed_share`` of the items fail.
            InterruptedRunError: If the user stopped it.
        """
        ...

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
        """Compute something from the whole set, unless the same was computed before.

        Args:
            catalog: Where results go.
            stage: The stage's name.
            settings: Its settings.
            reads: All that the result depends on: names to run ids or hashes.
            function: Gets the run id and computes; it is called with no transaction open.
            identity: What the result depends on beside data and settings: a backend's name and weights.
            device: What it computes on, in words.
        """
        ...


def describe_run(
    stage: str, settings: Settings, identity: str, reads: Mapping[str, str], device: str = "cpu"
) -> dict[str, Any]:
    """Return the row of a run, with its id."""
    return {
        "run_id": fingerprint(stage, settings, identity, reads),
        "stage": stage,
        "settings": settings.model_dump(mode="json"),
        "identity": identity,
        "reads": dict(reads),
        "device": device,
    }


def begin_run(catalog: Catalog, run: Mapping[str, Any]) -> None:
    """Record the run and write its resolved settings beside its results, unless that has been done."""
    if find_run(catalog, run["run_id"]) is not None:
        return
    description = {**run, "version": mekiki_version()}
    write_text(run_folder(catalog, run["run_id"]) / "run.json", json.dumps(description, ensure_ascii=False, indent=2))
    with catalog.transaction(run["stage"]) as transaction:
        start_run(transaction, run)


def end_run(catalog: Catalog, summary: RunSummary, seconds_in_all: float | None = None) -> None:
    """Record that the run is finished, with what its last invocation did.

    Args:
        catalog: Where to.
        summary: Of that invocation.
        seconds_in_all: What the run took with all before it; None if its result is all this one's.
    """
    seconds = summary.seconds if seconds_in_all is None else seconds_in_all
    told = {**summary.to_json(), SECONDS_IN_ALL: round(seconds, 3), "notes": summary.notes}
    with catalog.transaction(summary.stage) as transaction:
        finish_run(catalog, transaction, summary.run_id, told)


def keep_counts(catalog: Catalog, summary: RunSummary) -> None:
    """Add what a stage has counted after its work (``counts`` and what else is its own) to what the run keeps of it."""
    run = find_run(catalog, summary.run_id)
    if run is not None and run.status == "finished" and run.summary.get("counts") != summary.extra["counts"]:
        end_run(catalog, summary, run.seconds_in_all)


def run_folder(catalog: Catalog, run_id: str) -> Path:
    """Return ``runs/<run_id>/``, which need not exist yet."""
    return catalog.workspace / "runs" / run_id


def write_text(path: Path, text: str) -> Path:
    """Write a file so that a reader sees all of it or nothing."""
    return write_whole(path, text.encode())


def stored_summary(catalog: Catalog, run: Run) -> RunSummary | None:
    """Return what a finished run reported, as a summary of doing nothing; None if there is something left to do.

    Failed items are tried again, and files that have been deleted, or written by another run since, are made again.
    """
    if run.status != "finished" or not run.summary or run.summary["n_failed"]:
        return None
    known = dict(run.summary)
    names = ("stage", "run_id", "n_selected", "n_written", "n_skipped", "n_failed", "n_rows", "seconds")
    notes = known.pop("notes", [])
    plain = {name: known.pop(name) for name in names}
    outputs = known.pop("outputs")
    known.pop("failures")
    known.pop(SECONDS_IN_ALL, None)
    if not all(Path(catalog.workspace / path).exists() for path in outputs.values()) or _is_overwritten(catalog, run):
        return None
    return RunSummary(
        stage=plain["stage"],
        run_id=plain["run_id"],
        n_selected=plain["n_selected"],
        n_skipped=plain["n_selected"],
        outputs=outputs,
        extra=known,
        notes=notes,
    )


def runs_with_outputs(catalog: Catalog, stage: str, paths: Iterable[str]) -> list[Run]:
    """Return the runs of a stage that have written any of these files or folders."""
    wanted = set(paths)
    return [run for run in runs_of(catalog, stage) if not wanted.isdisjoint(run.summary.get("outputs", {}).values())]


def _is_overwritten(catalog: Catalog, run: Run) -> bool:
    """Return whether another run of the stage has put its own files where this one put some."""
    others = runs_with_outputs(catalog, run.stage, run.summary["outputs"].values())
    return any((other.finished_at or "") > (run.finished_at or "") for other in others)
