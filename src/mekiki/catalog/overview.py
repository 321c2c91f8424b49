"""Counts over the whole catalog, fast enough to ask at any time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from mekiki.catalog.db import Catalog
from mekiki.catalog.results import iter_labels, split_runs
from mekiki.catalog.runs import list_runs


def overview(catalog: Catalog) -> dict[str, Any]:
    """Return the object that ``mekiki status --json`` prints; its keys are stable.

    ``labels`` counts the items where a class is present, for classes in their order; ``unknown`` counts items all of
    whose labels are absent. Where several said something of an item, the word counts that counts everywhere else.
    """
    items = dict(catalog.rows("SELECT kind, count(*) FROM items GROUP BY kind ORDER BY kind"))
    groups = dict(
        catalog.rows("SELECT kind, count(*) FROM (SELECT DISTINCT kind, key FROM groups) GROUP BY kind ORDER BY kind")
    )
    present, n_unknown = _count_resolved(catalog) if _is_told_twice(catalog) else _count_told(catalog)
    labels = {row[0]: present.get(row[0], 0) for row in catalog.rows("SELECT name FROM classes ORDER BY position")}
    labels.update({name: n for name, n in sorted(present.items()) if name not in labels})
    if labels:
        labels["unknown"] = n_unknown
    splits = {
        name: dict(
            catalog.rows(
                "SELECT part, count(*) FROM splits s JOIN items i ON i.item_id = s.item_id "
                "WHERE s.run_id = ? AND i.kind IN ('image', 'frame', 'vector') GROUP BY part ORDER BY part",
                (run_id,),
            )
        )
        for name, run_id in split_runs(catalog).items()
    }
    models = [
        {"model_id": row[0], "name": row[1], "path": row[2]}
        for row in catalog.rows("SELECT model_id, name, path FROM models ORDER BY model_id")
    ]
    runs = [
        {"run_id": run.run_id, "stage": run.stage, "status": run.status, "started_at": run.started_at}
        for run in list_runs(catalog)
    ]
    return {
        "items": items,
        "sources": int(catalog.value("SELECT count(*) FROM sources")),
        "groups": groups,
        "labels": labels,
        "splits": splits,
        "models": models,
        "failures": int(catalog.value("SELECT count(*) FROM failures")),
        "runs": runs,
    }


def _is_told_twice(catalog: Catalog) -> bool:
    """Return whether there is an item of which two annotators, or two runs of one, have said something."""
    sql = (
        "SELECT 1 FROM labels GROUP BY item_id "
        "HAVING min(run_id) <> max(run_id) OR min(annotator) <> max(annotator) LIMIT 1"
    )
    return bool(catalog.value(f"SELECT EXISTS ({sql})"))


def _count_told(catalog: Catalog) -> tuple[Mapping[str, int], int]:
    """Return class to items where it is present, and how many have no class; SQLite does it several times faster."""
    present = dict(
        catalog.rows(
            "SELECT class_name, count(DISTINCT item_id) FROM labels "
            "WHERE state = 'present' AND state <> 'absent' GROUP BY class_name"  # the second makes it use labels_told
        )
    )
    n_unknown = catalog.value(
        "SELECT (SELECT count(*) FROM (SELECT DISTINCT item_id FROM labels)) - "
        "(SELECT count(*) FROM (SELECT DISTINCT item_id FROM labels WHERE state <> 'absent'))"
    )
    return present, n_unknown


def _count_resolved(catalog: Catalog) -> tuple[Mapping[str, int], int]:
    """Return the same where several have said something."""
    present: Counter[str] = Counter()
    n_unknown = 0
    for _, words in iter_labels(catalog):
        states = {name: state for name, (state, _) in words.items()}
        present.update(name for name, state in states.items() if state == "present")
        n_unknown += all(state == "absent" for state in states.values())
    return present, n_unknown
