"""What a map is made of: which vectors are drawn, where they lie, and the small pictures of what they stand for."""

from __future__ import annotations

import hashlib
import json
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mekiki.catalog.crops import crops_of, require_detections
from mekiki.catalog.db import Catalog
from mekiki.catalog.items import select_items
from mekiki.catalog.mining import find_mining
from mekiki.catalog.runs import find_run, latest_run
from mekiki.catalog.vectors import StoredVectors, VectorRun, require_vectors
from mekiki.engine.head_inputs import hash_vectors
from mekiki.errors import DataError, UnreadableError
from mekiki.intake.crop_reading import CropReading
from mekiki.neighbours.tables import to_unit_length
from mekiki.rarity.maps import MapMethod, make_map
from mekiki.records import Failure, Image, Item, ItemKind, Tally

MAPPED_KINDS: tuple[ItemKind, ...] = ("crop", "image", "frame", "vector")
MAP_NAME = "map.json"
_AHEAD = 4
"""Pictures under way for each thread; what is read is small, but its file may not be."""


@dataclass(frozen=True, slots=True)
class Mappable:
    """What is drawn, before it is.

    Attributes:
        items: N of them; those of one file stand behind each other.
        run: Whose vectors.
        n_all: Vectors of which these were drawn.
        tallies: The same as counts.
        detect_run_id: Whose crops are among them; None where nobody has looked for any.
        fingerprint: Stands for the items and their vectors.
    """

    items: tuple[Item, ...]
    run: VectorRun
    n_all: int
    tallies: tuple[Tally, ...]
    detect_run_id: str | None
    fingerprint: str

    @property
    def item_ids(self) -> list[str]:
        """Ids of the items, in their order."""
        return [item.item_id for item in self.items]


def choose_mapped(
    catalog: Catalog,
    vectors: str | None,
    kinds: Sequence[ItemKind],
    max_points: int,
    seed: int,
    detect_run_id: str | None = None,
) -> Mappable:
    """Return the items that a map shows: all of these kinds that have a vector, or so many of them, drawn by their ids.

    Args:
        catalog: The workspace.
        vectors: Embedder or run; None for the latest.
        kinds: Kinds of item; empty for all that have a vector.
        max_points: At most so many.
        seed: Decides which; the same items are drawn whatever else there is.
        detect_run_id: Only its crops are shown, beside other kinds; None for those of all runs.

    Raises:
        DataError: If nothing was ingested or embedded, or there are items of these kinds and none has a vector, or
            nobody has looked for crops.
        UsageError: If there is no such run.
    """
    selection = select_items(catalog, kinds or MAPPED_KINDS)
    run = require_vectors(catalog, vectors)
    stored = StoredVectors(catalog, run)
    known = set(stored.item_ids())
    found = [item for item in selection if item.item_id in known]
    has_looked = "crop" not in kinds or latest_run(catalog, "detect") is not None
    if not found and (len(selection) or not has_looked):
        which = " ".join(f"--kind {kind}" for kind in kinds)
        raise DataError(
            f"run {run.run_id} of {run.space.embedder} has no vector of any {' or '.join(kinds) or 'item'}: "
            f"mekiki embed {which} -w {catalog.workspace}"
        )
    tallies = []
    if detect_run_id is not None and any(item.kind == "crop" for item in found):
        crops = {one.item_id for one in crops_of(catalog, detect_run_id)}
        n_in, found = len(found), [item for item in found if item.kind != "crop" or item.item_id in crops]
        if crops and not found:
            raise DataError(
                f"run {run.run_id} of {run.space.embedder} has no vector of any crop that run {detect_run_id} found: "
                f"mekiki embed --kind crop --detections {detect_run_id} -w {catalog.workspace}"
            )
        if len(found) < n_in:
            why = f"crops that run {detect_run_id} of detect did not find"
            tallies.append(Tally("detections", "vectors", n_in, len(found), n_in - len(found), why=why))
    drawn = sorted(found, key=lambda item: hashlib.sha256(f"{seed}:{item.item_id}".encode()).digest())[:max_points]
    drawn.sort(key=lambda item: (str(item.path), item.item_id))
    why = f"at most {max_points:,} points" if len(drawn) < len(found) else ""
    tallies.append(Tally("map", "vectors", len(found), len(drawn), len(found) - len(drawn), why=why))
    ids = [item.item_id for item in drawn]
    return Mappable(tuple(drawn), run, len(found), tuple(tallies), detect_run_id, hash_vectors(stored, ids))


def mapped_detections(catalog: Catalog, wanted: str | None, mining: str | None = None) -> str | None:
    """Return the run of ``detect`` whose crops a map shows: the one that is named, that was mined, or is the latest.

    Args:
        catalog: The workspace.
        wanted: The beginning of a run's id; None for whichever it is.
        mining: The beginning of the id of a run of ``mine``; None for the latest.

    Returns:
        None where none is named and nothing has been detected.

    Raises:
        DataError: If one is named and nothing has been detected.
        UsageError: If there is no such run.
    """
    if wanted is None:
        mined = find_mining(catalog, mining)
        if mined is not None and mined.detect_run_id is not None and find_run(catalog, mined.detect_run_id) is not None:
            return mined.detect_run_id
        if latest_run(catalog, "detect") is None:
            return None
    return require_detections(catalog, wanted).run_id


def lay_out(
    catalog: Catalog, mappable: Mappable, method: MapMethod, normalise: bool, seed: int
) -> tuple[NDArray[np.float32], str]:
    """Return ``(N, 2)`` places, row i for item i, and the method that gave them; see `mekiki.rarity.maps.make_map`."""
    vectors = StoredVectors(catalog, mappable.run).read(mappable.item_ids)
    return make_map(to_unit_length(vectors) if normalise else vectors, method, seed)


def map_text(mappable: Mappable, plane: NDArray[np.float32], method: str, seed: int) -> str:
    """Return the content of ``map.json``: each item with its place."""
    places = [
        [item_id, round(float(x), 4), round(float(y), 4)]
        for item_id, (x, y) in zip(mappable.item_ids, plane, strict=True)
    ]
    content = {
        "method": method,
        "seed": seed,
        "vectors": mappable.run.run_id,
        "embedder": mappable.run.space.embedder,
        "n_all": mappable.n_all,
        "points": places,
    }
    return json.dumps(content, ensure_ascii=False, allow_nan=False)


def small_pictures(
    items: Sequence[Item],
    shrink: Callable[[Image], Image],
    at_least_px: int,
    n_threads: int,
    failures: dict[str, Failure],
    advance: Callable[[int, int], None] = lambda _n, _failed: None,
) -> Iterator[Image | None]:
    """Yield the small picture of each item, in their order; few are in memory at a time.

    Args:
        items: Those of one file behind each other, so that it is decoded once. A vector has no picture.
        shrink: Makes a picture small.
        at_least_px: How large the short side must be for that.
        n_threads: How many read at once.
        failures: Gets what could not be read, by item.
        advance: Told how many are finished, and how many of these failed.

    Yields:
        ``(H, W, 3)``, or None where there is no picture or it cannot be read.
    """
    reading = CropReading()

    def read(item: Item) -> Image | None:
        return None if item.kind == "vector" else shrink(reading.open(item)(at_least_px))

    waiting: deque[tuple[Item, Future[Image | None]]] = deque()
    with ThreadPoolExecutor(n_threads) as pool:
        coming = iter(items)
        while True:
            while len(waiting) < _AHEAD * n_threads and (item := next(coming, None)) is not None:
                waiting.append((item, pool.submit(read, item)))
            if not waiting:
                return
            item, future = waiting.popleft()
            try:
                picture = future.result()
            except UnreadableError as error:
                failures[item.item_id] = Failure(error.path, error.reason, "map")
                picture = None
            advance(1, int(item.item_id in failures))
            yield picture
