"""Runs, what they have done, and what failed."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from mekiki.catalog.db import Catalog, Transaction
from mekiki.errors import BackendError, InterruptedRunError, UsageError
from mekiki.records import Failure

RUN_COLUMNS = ("run_id", "stage", "settings", "identity", "reads", "status", "started_at", "device", "version")
CHUNK = 500
"""Ids in one statement; SQLite allows 32,766."""

SECONDS_IN_ALL = "seconds_in_all"
"""Among what a run keeps of its summary; see `Run.seconds_in_all`."""


@dataclass(frozen=True, slots=True)
class Run:
    """One run, as the catalog knows it."""

    run_id: str
    stage: str
    status: str
    settings: Mapping[str, Any]
    identity: str
    reads: Mapping[str, str]
    started_at: str
    finished_at: str | None
    device: str
    version: str
    summary: Mapping[str, Any]

    @property
    def seconds_in_all(self) -> float:
        """What all its commands took that came to their end and wrote something."""
        return float(self.summary.get(SECONDS_IN_ALL, self.summary.get("seconds", 0.0)))


def now() -> str:
    """Return the time of day as it is stored: ISO 8601 in UTC, with microseconds."""
    return datetime.now(UTC).isoformat(timespec="microseconds")


def mekiki_version() -> str:
    """Return the installed version of mekiki."""
    try:
        return version("mekiki")
    except PackageNotFoundError:
        return "unknown"


def find_run(catalog: Catalog, run_id: str) -> Run | None:
    """Return a run by its whole id, or None."""
    found = list_runs(catalog, "run_id = ?", (run_id,))
    return found[0] if found else None


def list_runs(catalog: Catalog, where: str = "1", parameters: Sequence[Any] = ()) -> list[Run]:
    """Return runs, oldest first."""
    sql = (
        "SELECT run_id, stage, status, settings, identity, reads, started_at, finished_at, device, version, summary "
        f"FROM runs WHERE {where} ORDER BY sequence"
    )
    return [
        Run(
            run_id=row[0],
            stage=row[1],
            status=row[2],
            settings=json.loads(row[3]),
            identity=row[4],
            reads=json.loads(row[5]),
            started_at=row[6],
            finished_at=row[7],
            device=row[8],
            version=row[9],
            summary=json.loads(row[10] or "{}"),
        )
        for row in catalog.rows(sql, parameters)
    ]


def runs_of(catalog: Catalog, stage: str) -> list[Run]:
    """Return a stage's runs, oldest first."""
    return list_runs(catalog, "stage = ?", (stage,))


def run_times(catalog: Catalog) -> dict[str, str]:
    """Return run id to when it counts from: when its command was last done, or given if it is not finished."""
    return dict(catalog.rows("SELECT run_id, coalesce(finished_at, started_at) FROM runs"))


def latest_run(catalog: Catalog, stage: str) -> Run | None:
    """Return the stage's run that finished last, or None."""
    finished = [run for run in runs_of(catalog, stage) if run.finished_at]
    return max(finished, key=lambda run: run.finished_at or "", default=None)


def start_run(transaction: Transaction, run: Mapping[str, Any]) -> None:
    """Record that a run is under way; one that was recorded before keeps its place and its first start."""
    columns = ("settings", "reads")
    values = [json.dumps(run[name], ensure_ascii=False) if name in columns else run[name] for name in RUN_COLUMNS[:5]]
    row = (*values, "running", now(), run.get("device", "cpu"), mekiki_version())
    transaction.insert_new("runs", RUN_COLUMNS, [row])


def finish_run(catalog: Catalog, transaction: Transaction, run_id: str, summary: Mapping[str, Any]) -> None:
    """Record that a run has done all there is to do."""
    _update(catalog, transaction, run_id, "finished", now(), json.dumps(summary, ensure_ascii=False))


def make_latest(catalog: Catalog, run_id: str) -> None:
    """Let a finished run count as its stage's latest again, since its command was given again."""
    run = find_run(catalog, run_id)
    if run is None or run.status != "finished":
        return
    later = "stage = ? AND finished_at > ?"
    if list_runs(catalog, later, (run.stage, run.finished_at)):
        with catalog.transaction(run.stage, run_id) as transaction:
            finish_run(catalog, transaction, run_id, run.summary)


def mark_stale(catalog: Catalog, transaction: Transaction, run_id: str) -> None:
    """Record that a finished run has lost rows, so that its command computes again; till then the others count."""
    run = find_run(catalog, run_id)
    if run is not None and run.status == "finished":
        _update(catalog, transaction, run_id, "stale", run.finished_at, json.dumps(run.summary, ensure_ascii=False))


def stop_run(catalog: Catalog, transaction: Transaction, run_id: str) -> None:
    """Record that a run was given up: for too many failures, or for want of what it works with."""
    _update(catalog, transaction, run_id, "stopped", None, None)


@contextmanager
def stopping(catalog: Catalog, stage: str, run_id: str) -> Iterator[None]:
    """Record that a run is stopped if it ends inside; one that was finished stays.

    Raises:
        BackendError: If a model, its weights or a server is missing.
        UsageError: If what was asked for does not go with them.
        InterruptedRunError: If the user stopped it.
        KeyboardInterrupt: If the user did so before anything was done, or twice.
    """
    known = find_run(catalog, run_id)
    try:
        yield
    except (BackendError, UsageError, InterruptedRunError, KeyboardInterrupt):
        if (known is None or known.status != "finished") and find_run(catalog, run_id) is not None:
            with catalog.transaction(stage) as transaction:
                stop_run(catalog, transaction, run_id)
        raise


def _update(
    catalog: Catalog, transaction: Transaction, run_id: str, status: str, finished_at: str | None, summary: str | None
) -> None:
    sql = (
        "SELECT sequence, run_id, stage, settings, identity, reads, started_at, device, version FROM runs "
        "WHERE run_id = ?"
    )
    row = next(catalog.rows(sql, (run_id,)))
    names = ("sequence", "run_id", "stage", "settings", "identity", "reads", "started_at", "device", "version")
    transaction.upsert("runs", (*names, "status", "finished_at", "summary"), [(*row, status, finished_at, summary)])


def done_among(catalog: Catalog, run_id: str, item_ids: Sequence[str]) -> set[str]:
    """Return which of these items a run has done."""
    found: set[str] = set()
    for start in range(0, len(item_ids), CHUNK):
        chunk = item_ids[start : start + CHUNK]
        marks = ", ".join("?" * len(chunk))
        sql = f"SELECT item_id FROM done WHERE run_id = ? AND item_id IN ({marks})"
        found.update(row[0] for row in catalog.rows(sql, (run_id, *chunk)))
    return found


def count_done(catalog: Catalog, run_id: str) -> int:
    """Return how many items a run has done; 0 for one over a whole set."""
    return int(catalog.value("SELECT count(*) FROM done WHERE run_id = ?", (run_id,)))


def write_done(transaction: Transaction, run_id: str, item_ids: Iterable[str]) -> None:
    """Record items as done."""
    transaction.insert_new("done", ("run_id", "item_id"), ((run_id, item_id) for item_id in item_ids))


def undo_readers(transaction: Transaction, name: str, item_ids: Sequence[str]) -> None:
    """Let runs over items that read what this run stores do these again, since it is about to be something else.

    Args:
        transaction: Of the run that stores it.
        name: By which others have this run among what they read.
        item_ids: What is stored anew.
    """
    sql = "SELECT run_id FROM runs WHERE json_extract(reads, '$.' || ?) = ?"
    for (run_id,) in list(transaction.catalog.rows(sql, (name, transaction.run_id))):
        for item_id in item_ids:
            transaction.delete("done", "run_id = ? AND item_id = ?", (run_id, item_id))


def failures_of(catalog: Catalog, run_id: str | None = None) -> dict[str, Failure]:
    """Return item id to failure, of one run or of all."""
    where, parameters = ("run_id = ?", (run_id,)) if run_id else ("1", ())
    sql = f"SELECT item_id, path, reason, stage FROM failures WHERE {where} ORDER BY path, reason"
    return {row[0]: Failure(row[1], row[2], row[3]) for row in catalog.rows(sql, parameters)}


def all_failures(catalog: Catalog) -> list[Failure]:
    """Return every failure row, by stage and path."""
    sql = "SELECT path, reason, stage FROM failures ORDER BY stage, path, reason"
    return [Failure(*row) for row in catalog.rows(sql)]


def write_failures(transaction: Transaction, run_id: str, failures: Mapping[str, Failure]) -> None:
    """Record failed items."""
    rows = ((run_id, item_id, one.stage, one.path, one.reason) for item_id, one in failures.items())
    transaction.upsert("failures", ("run_id", "item_id", "stage", "path", "reason"), rows)


def clear_failures(transaction: Transaction, run_id: str, item_ids: Iterable[str]) -> None:
    """Forget failures of items that succeeded."""
    for item_id in item_ids:
        transaction.delete("failures", "run_id = ? AND item_id = ?", (run_id, item_id))
