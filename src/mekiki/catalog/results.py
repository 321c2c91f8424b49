"""What runs say about items: labels, boxes, captions, splits."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from typing import cast

from mekiki.catalog.db import Catalog, Transaction
from mekiki.catalog.runs import run_times
from mekiki.errors import DataError, unknown_name
from mekiki.records import LabelState

ANNOTATOR_ORDER = ("human", "import", "vlm", "zero-shot")
"""Whom to believe first where annotators disagree; the part of the name before the colon counts."""


@dataclass(frozen=True, slots=True)
class LabelRow:
    """One annotator's word on one class of one item."""

    item_id: str
    class_name: str
    annotator: str
    state: LabelState
    confidence: float


@dataclass(frozen=True, slots=True)
class BoxRow:
    """One box in pixels of the full picture; ``crop_id`` is the item that was cut there, None where none was."""

    item_id: str
    position: int
    class_name: str
    score: float
    xyxy: tuple[float, float, float, float]
    crop_id: str | None = None


@dataclass(frozen=True, slots=True)
class CaptionRow:
    """One sentence; times only for parts of a video."""

    item_id: str
    position: int
    annotator: str
    text: str
    start_s: float | None = None
    end_s: float | None = None


@dataclass(frozen=True, slots=True)
class SplitRow:
    """The part that an item was dealt to, with the atom it belongs to."""

    item_id: str
    part: str
    atom: str


def write_labels(transaction: Transaction, labels: Iterable[LabelRow]) -> int:
    """Write labels of one run and return how many."""
    rows = (
        (transaction.run_id, one.item_id, one.class_name, one.annotator, one.state, one.confidence) for one in labels
    )
    return transaction.upsert("labels", ("run_id", "item_id", "class_name", "annotator", "state", "confidence"), rows)


def write_boxes(transaction: Transaction, boxes: Iterable[BoxRow]) -> int:
    """Write boxes of one run and return how many."""
    columns = ("run_id", "item_id", "position", "class_name", "score", "x_min", "y_min", "x_max", "y_max", "crop_id")
    rows = (
        (transaction.run_id, one.item_id, one.position, one.class_name, one.score, *one.xyxy, one.crop_id)
        for one in boxes
    )
    return transaction.upsert("boxes", columns, rows)


def write_captions(transaction: Transaction, captions: Iterable[CaptionRow]) -> int:
    """Write captions of one run and return how many."""
    columns = ("run_id", "item_id", "position", "annotator", "text", "start_s", "end_s")
    rows = ((transaction.run_id, c.item_id, c.position, c.annotator, c.text, c.start_s, c.end_s) for c in captions)
    return transaction.upsert("captions", columns, rows)


def write_split(transaction: Transaction, rows: Iterable[SplitRow]) -> int:
    """Write a split and return how many items it has."""
    values = ((transaction.run_id, one.item_id, one.part, one.atom) for one in rows)
    return transaction.upsert("splits", ("run_id", "item_id", "part", "atom"), values)


def iter_labels(
    catalog: Catalog, annotator: str | None = None
) -> Iterator[tuple[str, dict[str, tuple[LabelState, float]]]]:
    """Yield each labelled item with class to ``(state, confidence)``, one word per class, in the order of ids.

    Of one annotator's words on a class the latest run's counts; between annotators, `ANNOTATOR_ORDER`, then the
    latest run's.

    Args:
        catalog: Where from.
        annotator: Only what this one said.
    """
    ranks = {name: rank for rank, name in enumerate(reversed(ANNOTATOR_ORDER), start=1)}
    times = run_times(catalog)
    where, parameters = ("WHERE annotator = ?", (annotator,)) if annotator else ("", ())
    sql = (
        f"SELECT item_id, class_name, annotator, state, confidence, run_id FROM labels {where} "
        "ORDER BY item_id, annotator, class_name, run_id"
    )
    for item_id, rows in groupby(catalog.rows(sql, parameters), key=itemgetter(0)):
        best: dict[str, tuple[int, str]] = {}
        words: dict[str, tuple[LabelState, float]] = {}
        for _, name, who, state, confidence, run_id in rows:
            rank = (ranks.get(who.partition(":")[0], 0), times.get(run_id, ""))
            if rank >= best.get(name, rank):
                best[name] = rank
                words[name] = (cast(LabelState, state), confidence)
        yield item_id, words


def read_labels(catalog: Catalog, annotator: str | None = None) -> dict[str, dict[str, tuple[LabelState, float]]]:
    """Return item id to class to ``(state, confidence)``; see `iter_labels`."""
    return dict(iter_labels(catalog, annotator))


def read_boxes(catalog: Catalog) -> dict[str, list[BoxRow]]:
    """Return item id to boxes in their order; of several runs, the latest that has any for the item."""
    found: dict[str, list[BoxRow]] = {}
    run_of: dict[str, str] = {}
    sql = (
        "SELECT b.run_id, item_id, position, class_name, score, crop_id, x_min, y_min, x_max, y_max FROM boxes b "
        "LEFT JOIN runs r ON r.run_id = b.run_id ORDER BY r.sequence, item_id, position"
    )
    for run_id, item_id, position, class_name, score, crop, *xyxy in catalog.rows(sql):
        if run_of.get(item_id) != run_id:
            run_of[item_id] = run_id
            found[item_id] = []
        box = cast("tuple[float, float, float, float]", tuple(xyxy))
        found[item_id].append(BoxRow(item_id, position, class_name, score, box, crop))
    return found


def read_captions(catalog: Catalog) -> dict[str, list[CaptionRow]]:
    """Return item id to captions in their order; of each annotator's, the latest run's that has any for the item."""
    found: dict[str, dict[str, list[CaptionRow]]] = {}
    run_of: dict[tuple[str, str], str] = {}
    sql = (
        "SELECT c.run_id, item_id, position, annotator, text, start_s, end_s FROM captions c LEFT JOIN runs r "
        "ON r.run_id = c.run_id ORDER BY coalesce(r.finished_at, r.started_at), r.sequence, item_id, position"
    )
    for run_id, item_id, position, annotator, *said in catalog.rows(sql):
        of_item = found.setdefault(item_id, {})
        if run_of.get((item_id, annotator)) != run_id:
            run_of[item_id, annotator] = run_id
            of_item[annotator] = []
        of_item[annotator].append(CaptionRow(item_id, position, annotator, *said))
    return {item_id: [row for rows in of.values() for row in rows] for item_id, of in found.items()}


def split_runs(catalog: Catalog) -> dict[str, str]:
    """Return split name to the id of its latest finished run, the latest split last."""
    sql = (
        "SELECT json_extract(settings, '$.name'), run_id FROM runs "
        "WHERE stage = 'split' AND finished_at IS NOT NULL ORDER BY finished_at"
    )
    found: dict[str, str] = {}
    for name, run_id in catalog.rows(sql):
        if catalog.value("SELECT 1 FROM splits WHERE run_id = ? LIMIT 1", (run_id,)):
            found.pop(name, None)
            found[name] = run_id
    return found


def find_split(catalog: Catalog, name: str | None) -> str | None:
    """Return the run id of a split by name; the latest for None, and None if there is no split at all.

    Raises:
        UsageError: If a name is given that no split has.
    """
    known = split_runs(catalog)
    if name is None:
        return list(known.values())[-1] if known else None
    if name not in known:
        raise unknown_name("split", name, known)
    return known[name]


def require_split(catalog: Catalog, name: str | None) -> str:
    """Return the run id of a split, or raise `DataError` if nothing has been split yet."""
    run_id = find_split(catalog, name)
    if run_id is None:
        raise DataError(f"there is no split in {catalog.workspace}: mekiki split -w {catalog.workspace}")
    return run_id


def read_split(catalog: Catalog, run_id: str) -> dict[str, SplitRow]:
    """Return item id to its part."""
    rows = catalog.rows("SELECT item_id, part, atom FROM splits WHERE run_id = ? ORDER BY item_id", (run_id,))
    return {row[0]: SplitRow(*row) for row in rows}


def hash_rows(rows: Iterable[Sequence[object]]) -> str:
    """Return 16 hex digits that stand for rows in this order; whole-set stages put them into their fingerprint."""
    digest = hashlib.sha256()
    for row in rows:
        digest.update(repr(tuple(row)).encode())
    return digest.hexdigest()[:16]
