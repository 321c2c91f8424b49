"""Vectors that must not outlive what they were made of: zeros in their place, and files that are deleted."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mekiki.catalog.db import ONE_OF, Catalog
from mekiki.catalog.vectors import FOLDER, INDEX_PATTERN, vector_runs
from mekiki.dataset.formats.npy import open_vector_file
from mekiki.errors import DataError, UnreadableError

EMBEDDERS_FOLDER = Path("models") / "embedders"
"""Inside the workspace: graphs in fewer bits, and what was measured of them, in folders ``EMBEDDER_ID-PRECISION``."""

_BLOCK_ROWS = 4096


def wipe_vectors(catalog: Catalog, item_ids: Sequence[str]) -> None:
    """Overwrite vectors of items with zeros in their files, of all runs; the rows of the table are the caller's."""
    places: dict[Path, list[int]] = {}
    sql = f"SELECT run_id, segment, row FROM vectors WHERE item_id IN {ONE_OF}"
    for run_id, segment, row in catalog.rows(sql, (json.dumps(item_ids),)):
        path = catalog.locate(segment)
        if path.parent != catalog.workspace / FOLDER / run_id:
            raise DataError(f"{path} is no file of vectors of ours: mekiki forget {run_id} first")
        places.setdefault(path, []).append(row)
    for path, rows in places.items():
        if path.exists():
            _wipe_rows(path, np.array(rows))


def wipe_unused(catalog: Catalog) -> None:
    """Overwrite with zeros what lies in segments and is nobody's vector: of runs that were killed, or replaced since.

    A segment in which no vector is left is deleted. To be called where nobody else writes.
    """
    for folder in sorted((catalog.workspace / FOLDER).glob("*/")):
        for path in sorted(folder.glob("*.npy")):
            sql = "SELECT row FROM vectors WHERE run_id = ? AND segment = ?"
            used = [row[0] for row in catalog.rows(sql, (folder.name, catalog.relative(path)))]
            if used:
                _wipe_rows(path, np.setdiff1d(np.arange(len(_open(path))), used))
            else:
                path.unlink()


def files_of_embedder(catalog: Catalog, run_id: str) -> list[Path]:
    """Return the graphs and checks of a run's embedder, unless another run has the same; whole ones and torn ones."""
    spaces = {one.run_id: one.space for one in vector_runs(catalog)}
    own = spaces.pop(run_id, None)
    if own is None or not own.embedder_id or own.embedder_id in {one.embedder_id for one in spaces.values()}:
        return []
    found = (catalog.workspace / EMBEDDERS_FOLDER).glob(f"{own.embedder_id}-*/**/*")
    return sorted(path for path in found if path.is_file())


def _open(path: Path) -> np.memmap[Any, np.dtype[np.float32]]:
    """Return a segment's rows, mapped to be written.

    Raises:
        DataError: If it is broken.
    """
    try:
        open_vector_file(path)  # a pipe would be waited for
        return np.lib.format.open_memmap(path, mode="r+")
    except (UnreadableError, ValueError) as error:
        raise DataError(f"the vectors in {path} are broken: mekiki forget {path.parent.name} first") from error


def _wipe_rows(path: Path, wanted: NDArray[np.int64]) -> None:
    """Make zeros of these rows of a segment, where they are none.

    Indexes that were made of them go too; the next search makes them anew.
    """
    rows = _open(path)
    wanted = wanted[(wanted >= 0) & (wanted < len(rows))]
    is_wiped = False
    for start in range(0, len(wanted), _BLOCK_ROWS):
        block = wanted[start : start + _BLOCK_ROWS]
        block = block[rows[block].any(axis=1)]  # zeros that were never written take no place on most disks
        if len(block):
            rows[block], is_wiped = 0, True
    if is_wiped:
        rows.flush()
        for index in path.parent.glob(f"{INDEX_PATTERN}*"):
            index.unlink()
