"""Which crops the last ``embed --kind crop`` was told to take, so that ``mine`` ranks those. Only ``embed`` writes it.

It stands in ``runs/<run_id>/crops.json`` of the run of ``embed``, for each run of ``detect``: vectors of crops that an
earlier command took stay, and count again once a command takes them.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from mekiki.catalog.db import Catalog
from mekiki.catalog.runs import runs_of
from mekiki.wholefiles import write_whole

CROPS_NAME = "crops.json"


def write_taken(
    catalog: Catalog, run_id: str, detect_run_id: str, rule: Mapping[str, Any], kept: Collection[str] | None
) -> None:
    """Record the crops of a run of ``detect`` that a run of ``embed`` has been told to take last.

    Args:
        catalog: The workspace.
        run_id: Of ``embed``.
        detect_run_id: Whose crops.
        rule: What chose them, as JSON has it.
        kept: Their ids; None for all, also those that are found later.
    """
    told = {**_read(catalog, run_id)}
    told[detect_run_id] = {"rule": dict(rule), "kept": None if kept is None else sorted(kept)}
    write_whole(_path(catalog, run_id), json.dumps(told, ensure_ascii=False).encode())


def read_taken(catalog: Catalog, run_id: str, detect_run_id: str) -> frozenset[str] | None:
    """Return the ids of the crops that were taken last, or None for all; ids of crops that are gone may be there."""
    kept = _read(catalog, run_id).get(detect_run_id, {}).get("kept")
    return None if kept is None else frozenset(kept)


def taken_before(catalog: Catalog, detect_run_id: str, rule: Mapping[str, Any]) -> frozenset[str]:
    """Return what the same rule has chosen among a run's crops last, for whatever embedder; else nothing."""
    for run in sorted(runs_of(catalog, "embed"), key=lambda run: run.finished_at or "", reverse=True):
        told = _read(catalog, run.run_id).get(detect_run_id, {})
        if told.get("rule") == dict(rule):
            return frozenset(told["kept"] or ())
    return frozenset()


def without_taken(content: Mapping[str, Any], gone: Collection[str]) -> dict[str, Any]:
    """Return ``crops.json`` without some ids."""
    return {
        name: {**one, "kept": one["kept"] and [item_id for item_id in one["kept"] if item_id not in gone]}
        for name, one in content.items()
    }


def _read(catalog: Catalog, run_id: str) -> dict[str, dict[str, Any]]:
    path = _path(catalog, run_id)
    found: dict[str, dict[str, Any]] = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    return found


def _path(catalog: Catalog, run_id: str) -> Path:
    return catalog.workspace / "runs" / run_id / CROPS_NAME
