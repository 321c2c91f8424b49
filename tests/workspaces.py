"""Workspaces in tests: pictures to fill them with, stages to run on them, and all they hold in a form to compare."""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PillowImage

from mekiki.api.verbs import run_stage
from mekiki.records import RunSummary
from pictures import exif_block, jpeg

LOCK_NAMES = frozenset({"mekiki.db", "mekiki.db-wal", "mekiki.db-shm", "mekiki.lock"})
"""Files of the catalog itself, which no two workspaces share byte by byte."""

TIMES = ("started_at", "finished_at", "received_at")


def scene(seed: int, width_px: int = 96, height_px: int = 64) -> NDArray[np.uint8]:
    """Return a picture of soft blobs; two seeds look nothing like each other."""
    coarse = np.random.default_rng(seed).integers(0, 256, (5, 7, 3), dtype=np.uint8)
    smooth = PillowImage.fromarray(coarse).resize((width_px, height_px), PillowImage.Resampling.BICUBIC)
    return np.asarray(smooth, dtype=np.uint8)


def write_photo(path: Path, seed: int, taken_at: str | None = None, **exif: str) -> Path:
    """Write a JPEG of `scene`; ``exif`` may be make, model and serial."""
    path.parent.mkdir(parents=True, exist_ok=True)
    options = {"exif": exif_block(taken_at=taken_at, **exif)} if taken_at or exif else {}
    path.write_bytes(jpeg(scene(seed), **options))
    return path


def write_text(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def write_json(path: Path, content: object) -> Path:
    return write_text(path, json.dumps(content))


def ingest(workspace: Path, *paths: Path | str, **settings: Any) -> RunSummary:
    return run_stage("ingest", workspace, {"paths": [str(path) for path in paths], **settings})


def make_photos(workspace: Path, n_photos: int, **exif: str) -> Path:
    """Ingest photos that lie inside the workspace, so that it can be copied; see `write_photo`."""
    for number in range(n_photos):
        write_photo(workspace / "in" / f"{number:02d}.jpg", number, **exif)
    ingest(workspace, workspace / "in")
    return workspace


def run(stage: str, workspace: Path, **settings: Any) -> RunSummary:
    return run_stage(stage, workspace, settings)


def counts(summary: RunSummary) -> tuple[int, int, int, int]:
    """Return how many items were selected, written, skipped and failed."""
    return summary.n_selected, summary.n_written, summary.n_skipped, summary.n_failed


def reasons(summary: RunSummary) -> dict[str, str]:
    """Return the name of each failed file with its reason."""
    return {Path(failure.path).name: failure.reason for failure in summary.failures}


@contextmanager
def _connection(workspace: Path) -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(workspace / "mekiki.db")
    try:
        yield connection
    finally:
        connection.close()


def query(workspace: Path, sql: str, *parameters: object) -> list[tuple[Any, ...]]:
    """Return the rows of a statement on a workspace's catalog."""
    with _connection(workspace) as connection:
        return connection.execute(sql, parameters).fetchall()


def table_names(workspace: Path) -> list[str]:
    found = query(workspace, "SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name")
    return [name for (name,) in found if not name.startswith("sqlite_")]


def dump(workspace: Path) -> dict[str, list[tuple[Any, ...]]]:
    """Return every row of every table as it is, times included."""
    return {name: sorted(query(workspace, f"SELECT * FROM {name}"), key=repr) for name in table_names(workspace)}


def tables(workspace: Path) -> dict[str, list[dict[str, Any]]]:
    """Return every row of every table, but for what may differ between two ways to the same end.

    Left out are times, the sequence of runs, and how many items the last invocation of a run found done already.
    """
    found: dict[str, list[dict[str, Any]]] = {}
    with _connection(workspace) as connection:
        connection.row_factory = sqlite3.Row
        for name in table_names(workspace):
            rows = [dict(row) for row in connection.execute(f"SELECT * FROM {name}")]
            found[name] = sorted((_lasting(row) for row in rows), key=repr)
    return found


def _lasting(row: dict[str, Any]) -> dict[str, Any]:
    kept = {name: value for name, value in row.items() if name not in (*TIMES, "sequence", "summary")}
    if row.get("summary"):
        summary = json.loads(row["summary"])
        passing = ("seconds", "seconds_in_all", "n_written", "n_skipped", "n_rows")
        kept["summary"] = {name: value for name, value in summary.items() if name not in passing}
    return kept


def file_hashes(workspace: Path) -> dict[str, str]:
    """Return path to hash of every file in a workspace but the catalog's own."""
    return {
        path.relative_to(workspace).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(workspace.rglob("*"))
        if path.is_file() and path.name not in LOCK_NAMES
    }


def labels(workspace: Path) -> dict[str, dict[str, str]]:
    """Return name of each ingested file to class to state, as the latest run has it."""
    sql = (
        "SELECT s.path, l.class_name, l.state FROM labels l JOIN sources s ON s.item_id = l.item_id "
        "JOIN runs r ON r.run_id = l.run_id ORDER BY r.sequence"
    )
    found: dict[str, dict[str, str]] = {}
    for path, class_name, state in query(workspace, sql):
        found.setdefault(Path(path).name, {})[class_name] = state
    return found


def groups(workspace: Path, kind: str) -> dict[str, set[str]]:
    """Return key to the names of the files in each group of a kind."""
    sql = "SELECT g.key, s.path FROM groups g JOIN sources s ON s.item_id = g.item_id WHERE g.kind = ?"
    found: dict[str, set[str]] = {}
    for key, path in query(workspace, sql, kind):
        found.setdefault(key, set()).add(Path(path).name)
    return found


def attributes(workspace: Path, name: str) -> dict[str, str]:
    """Return name of each ingested file to the value of one attribute."""
    sql = "SELECT s.path, a.value FROM attributes a JOIN sources s ON s.item_id = a.item_id WHERE a.name = ?"
    return {Path(path).name: value for path, value in query(workspace, sql, name)}


def start_mekiki(
    *words: object, env: Mapping[str, str] | None = None, cwd: Path | None = None
) -> subprocess.Popen[str]:
    """Start the command line as a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "mekiki.cli.main", *map(str, words)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **(env or {})},
        cwd=cwd,
    )


def mekiki(*words: object, env: Mapping[str, str] | None = None, cwd: Path | None = None) -> tuple[int, str, str]:
    """Run the command line as a process of its own; return exit code, stdout and stderr."""
    process = start_mekiki(*words, env=env, cwd=cwd)
    out, err = process.communicate(timeout=300)
    return process.returncode, out, err
