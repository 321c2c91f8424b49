"""Items of a workspace with their stored vectors, for work that reads no pixel. D is the number of dimensions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mekiki.catalog.db import PAGE_ROWS, Catalog
from mekiki.catalog.items import select_items
from mekiki.catalog.vectors import StoredVectors, VectorRun
from mekiki.records import LABELLED_KINDS, Item, ItemKind


@dataclass(frozen=True, slots=True, eq=False)
class VectorItem:
    """An item with its vector, ``(D,)`` float32; None where it has none."""

    item: Item
    vector: NDArray[np.float32] | None

    @property
    def item_id(self) -> str:
        """The item's."""
        return self.item.item_id

    @property
    def path(self) -> Path | None:
        """The item's."""
        return self.item.path


class VectorItems:
    """Items of some kinds with their vectors, in the order of ids, read a page at a time.

    Args:
        catalog: The workspace.
        run: Whose vectors.
        kinds: Which items; all that can have a vector, if nothing is said.
    """

    def __init__(self, catalog: Catalog, run: VectorRun, kinds: Sequence[ItemKind] = LABELLED_KINDS) -> None:
        self._items = select_items(catalog, kinds)
        self._stored = StoredVectors(catalog, run)

    def __len__(self) -> int:
        return len(self._items)

    def __iter__(self) -> Iterator[VectorItem]:
        items = iter(self._items)
        while page := list(islice(items, PAGE_ROWS)):
            having = self._stored.having([item.item_id for item in page])
            found = [item.item_id for item in page if item.item_id in having]
            vectors = dict(zip(found, self._stored.read(found), strict=True))
            for item in page:
                yield VectorItem(item, vectors.get(item.item_id))
