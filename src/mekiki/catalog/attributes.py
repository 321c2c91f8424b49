"""What is known of items by name: site, camera, part, damage, whatever a label file says."""

from __future__ import annotations

from collections.abc import Iterable

from mekiki.catalog.db import Catalog, Transaction


def write_attributes(transaction: Transaction, rows: Iterable[tuple[str, str, str]]) -> int:
    """Add ``(item_id, name, value)`` rows; the same name given twice in one run keeps the last."""
    named = ((item_id, name, value, transaction.run_id) for item_id, name, value in rows)
    return transaction.upsert("attributes", ("item_id", "name", "value", "run_id"), named)


def read_attributes(catalog: Catalog) -> dict[str, dict[str, str]]:
    """Return item id to name to value; where runs disagree, the latest run wins. What ``detect`` counts is its own."""
    found: dict[str, dict[str, str]] = {}
    sql = (
        "SELECT item_id, name, value FROM attributes a LEFT JOIN runs r ON r.run_id = a.run_id "
        "WHERE r.stage IS NOT 'detect' ORDER BY r.sequence"
    )
    for item_id, name, value in catalog.rows(sql):
        found.setdefault(item_id, {})[name] = value
    return found


def count_attribute(catalog: Catalog, name: str, run_id: str) -> int:
    """Return how many items one run has given an attribute."""
    sql = "SELECT count(*) FROM attributes WHERE name = ? AND run_id = ?"
    return int(catalog.value(sql, (name, run_id)))
