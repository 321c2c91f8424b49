"""What annotators have said: counts of one run, and one annotator beside another."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mekiki.catalog.atoms import ALWAYS_JOINED, memberships
from mekiki.catalog.db import Catalog
from mekiki.catalog.items import class_names
from mekiki.catalog.results import hash_rows, iter_labels
from mekiki.catalog.runs import latest_run
from mekiki.dataset.groups import join_atoms
from mekiki.metrics.agreement import cohen_kappa
from mekiki.records import STATE_CODES


@dataclass(frozen=True, slots=True)
class Opinions:
    """What several annotators say of the items that at least two of them were asked about.

    Attributes:
        item_ids: N of them, in order.
        class_names: C of them, in order.
        states: Annotator to ``(N, C)`` int8: 1 present, 0 absent, -1 unsure or not asked.
        atoms: ``(N,)`` int64: items with the same number belong together.
    """

    item_ids: tuple[str, ...]
    class_names: tuple[str, ...]
    states: dict[str, NDArray[np.int8]]
    atoms: NDArray[np.int64]

    def fingerprint(self) -> str:
        """Return what stands for all of it in a run's fingerprint."""
        said = [(name, states.tobytes()) for name, states in self.states.items()]
        return hash_rows([self.item_ids, self.class_names, (self.atoms.tobytes(),), *said])


def annotators_of(catalog: Catalog) -> list[str]:
    """Return everybody whose labels are in the catalog, sorted."""
    return [row[0] for row in catalog.rows("SELECT DISTINCT annotator FROM labels ORDER BY annotator")]


def read_opinions(catalog: Catalog, annotators: Sequence[str]) -> Opinions:
    """Return what these annotators say, each by their latest word on a class.

    Items belong together as in a split: by source, derivation, burst and identity, and by near-duplicates if they have
    been looked for.
    """
    said = {name: dict(iter_labels(catalog, name)) for name in annotators}
    asked = Counter(item_id for labels in said.values() for item_id in labels)
    item_ids = tuple(sorted(item_id for item_id, n in asked.items() if n > 1))
    names = tuple(class_names(catalog))
    rows = {item_id: row for row, item_id in enumerate(item_ids)}
    columns = {name: column for column, name in enumerate(names)}
    states = {}
    for annotator, labels in said.items():
        found = np.full((len(item_ids), len(names)), -1, np.int8)
        for item_id in labels.keys() & rows.keys():
            for name, (state, _) in labels[item_id].items():
                found[rows[item_id], columns[name]] = STATE_CODES[state]
        states[annotator] = found
    compared = latest_run(catalog, "dedupe")
    ties = memberships(catalog, rows, compared.run_id if compared else "")
    atoms = join_atoms(len(item_ids), [one for one in ties if one[0] in ALWAYS_JOINED])
    return Opinions(item_ids, names, states, atoms)


def measure_agreement(opinions: Opinions) -> list[dict[str, Any]]:
    """Return each two annotators with their agreement per class, as ``agreement.json`` has it.

    Two who have no item in common are left out, and classes that not both were asked about.
    """
    pairs = []
    for first, second in combinations(opinions.states, 2):
        a, b = opinions.states[first], opinions.states[second]
        shared = ((a >= 0) & (b >= 0)).any(axis=1)
        if not shared.any():
            continue
        found = cohen_kappa(a, b, opinions.atoms)
        classes = {name: one.to_json() for name, one in zip(opinions.class_names, found, strict=True) if one.n_both}
        pairs.append({"first": first, "second": second, "n_items": int(shared.sum()), "classes": classes})
    return pairs


def agreement_lines(pair: Mapping[str, Any]) -> list[str]:
    """Return a table of one pair's agreement, line by line."""
    lines = [f"{pair['first']} and {pair['second']}, on {pair['n_items']} items: Cohen's kappa with 95 % interval"]
    width = max((len(name) for name in pair["classes"]), default=0)
    for name, one in pair["classes"].items():
        kappa = one["kappa"]
        if kappa["value"] is None:
            words = "not defined (one of them always says the same)"
        else:
            low, high = (f"{kappa[end]:.2f}" if kappa[end] is not None else "?" for end in ("low", "high"))
            words = f"{kappa['value']:.2f} ({low} to {high}{'' if kappa['reliable'] else ', too few groups'})"
        lines.append(f"  {name:<{width}}  {words}, the same in {one['agreement']:.0%} of {one['n']}")
    return lines


def count_labels(catalog: Catalog, run_id: str) -> dict[str, Any]:
    """Return how many pictures one run has labelled, how many of them show nothing, and how many each class."""
    present = dict(
        catalog.rows(
            "SELECT class_name, count(*) FROM labels WHERE run_id = ? AND state = 'present' GROUP BY class_name",
            (run_id,),
        )
    )
    n_pictures = catalog.value("SELECT count(DISTINCT item_id) FROM labels WHERE run_id = ?", (run_id,))
    n_known = catalog.value(
        "SELECT count(DISTINCT item_id) FROM labels WHERE run_id = ? AND state <> 'absent'", (run_id,)
    )
    asked = {row[0] for row in catalog.rows("SELECT DISTINCT class_name FROM labels WHERE run_id = ?", (run_id,))}
    counts = {name: present.get(name, 0) for name in class_names(catalog) if name in asked}
    return {"n_pictures": n_pictures, "n_unknown": n_pictures - n_known, "classes": counts}


def count_rows(catalog: Catalog, run_id: str) -> int:
    """Return how many labels, attributes and captions one run has written."""
    counts = [f"(SELECT count(*) FROM {table} WHERE run_id = ?)" for table in ("labels", "attributes", "captions")]
    return int(catalog.value(f"SELECT {' + '.join(counts)}", (run_id,) * len(counts)))


def count_left_out(catalog: Catalog, run_id: str, attribute: str) -> dict[str, int]:
    """Return each name of no class that answers of one run contained, with how often, the commonest first."""
    sql = "SELECT value FROM attributes WHERE run_id = ? AND name = ?"
    found = Counter(name for row in catalog.rows(sql, (run_id, attribute)) for name in row[0].split(", "))
    return dict(sorted(found.items(), key=lambda pair: (-pair[1], pair[0])))
