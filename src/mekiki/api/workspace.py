"""Looking at a workspace and deleting from it."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mekiki.catalog.db import Catalog
from mekiki.catalog.forget import forget_item, forget_run, match_item
from mekiki.catalog.items import find_item_by_path
from mekiki.catalog.overview import overview
from mekiki.catalog.runs import all_failures, list_runs
from mekiki.engine.run import run_folder
from mekiki.errors import UsageError
from mekiki.records import Failure

MIN_PREFIX = 4
"""Digits of an id that name what is to be forgotten; fewer are a slip of the hand."""


def status(workspace: Path | str) -> Mapping[str, Any]:
    """Return counts of all that is in a workspace; the keys are those of ``mekiki status --json``.

    Raises:
        UsageError: If there is no workspace.
    """
    with Catalog(workspace, create=False) as catalog:
        return overview(catalog)


def failures(workspace: Path | str) -> list[Failure]:
    """Return every failure that is still open, by stage and path."""
    with Catalog(workspace, create=False) as catalog:
        return all_failures(catalog)


def forget(workspace: Path | str, name: str) -> tuple[int, int]:
    """Delete a run or an item with all that was derived from it; the user's own files are never touched.

    Where pictures are forgotten, the workspace's reports and exports go too, since they may show them; they are made
    again by the same commands. What was written elsewhere, with ``--output``, is the user's to delete.

    Args:
        workspace: The folder.
        name: The beginning of a run's or an item's id, or the path of a file that was ingested.

    Returns:
        How many rows and how many files were deleted.

    Raises:
        UsageError: If nothing or more than one thing has that name; an id needs its first `MIN_PREFIX` digits.
    """
    with Catalog(workspace, create=False) as catalog, catalog.writing("forget"):
        is_id = len(name) >= MIN_PREFIX
        runs = [run for run in list_runs(catalog) if run.run_id.startswith(name)] if is_id else []
        items = match_item(catalog, name) if is_id else []
        if not runs and not items:
            item_id = find_item_by_path(catalog, Path(name).absolute())
            items = [item_id] if item_id else []
        if len(runs) + len(items) != 1:
            many = "more than one run or item begins" if runs or items else "no run or item begins"
            short = "" if is_id else f" (an id needs {MIN_PREFIX} digits)"
            raise UsageError(f"{many} with {name!r}{short}: mekiki status -v lists runs; items may be given by path")
        if runs:
            n_rows, paths = forget_run(catalog, runs[0])
            folder = run_folder(catalog, runs[0].run_id)
        else:
            n_rows, paths = forget_item(catalog, items[0])
            folder = None
        copies = [catalog.workspace / name for name in ("reports", "exports")] if paths or items else []
        folders = [one for one in (folder, *copies) if one is not None and one.is_dir()]
        paths += [path for one in folders for path in one.rglob("*") if path.is_file()]
        n_files = _delete(paths)
        for one in folders:
            shutil.rmtree(one, ignore_errors=True)
        return n_rows, n_files


def _delete(paths: list[Path]) -> int:
    n_deleted = 0
    for path in dict.fromkeys(paths):
        if path.is_file():
            path.unlink()
            n_deleted += 1
    for folder in {path.parent for path in paths}:
        if folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()
    return n_deleted
