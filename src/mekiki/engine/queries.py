"""What a search is for: an item, a picture's file or words, each turned into a vector of the same space."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from mekiki.catalog.db import Catalog
from mekiki.catalog.forget import match_item
from mekiki.catalog.runs import find_run
from mekiki.catalog.vector_search import VectorSearch
from mekiki.catalog.vectors import VectorRun
from mekiki.dataset.formats.base import plain_path
from mekiki.dataset.ids import hash_file
from mekiki.errors import DataError, UnreadableError, UsageError
from mekiki.media.images import decode_image, read_picture_bytes
from mekiki.models.base import Embedder, TextEmbedder
from mekiki.models.embed import EMBEDDERS, EmbedderOpening, open_embedder, open_text_embedder
from mekiki.neighbours.tables import to_unit_length
from mekiki.records import IMAGE_SUFFIXES
from mekiki.training.vector_space import check_same_space

_ITEM_ID, _SHORT_ID = re.compile(r"[0-9a-f]{8,32}"), re.compile(r"(?=.*\d)[0-9a-f]{4,7}")
Kind = Literal["item", "image", "text"]

_LASTING = ("weights", "image_size", "resize", "resize_px", "interpolation", "mean", "std")
"""Settings of ``embed`` without which an embedder may be another one; the rest its name says."""


@dataclass(frozen=True, slots=True)
class Query:
    """One thing to search for.

    Attributes:
        given: As the user wrote it.
        kind: What it is.
        item_id: Of an item.
        path: Of an image.
    """

    given: str
    kind: Kind
    item_id: str = ""
    path: Path | None = None


def read_query(catalog: Catalog, given: str) -> Query:
    """Return what a query is: an item's id or its beginning, a file, or else words.

    Raises:
        UsageError: If it is empty, a folder, a file of vectors, the path of a picture that does not exist, or looks
            like an id that no item or more than one has, or begins one and is too short.
    """
    if not given.strip():
        raise UsageError("a query is empty: give an item's id, the path of a picture, or words")
    path = plain_path(Path(given).expanduser())
    what = _what_is_there(path)
    if what == "folder":
        raise UsageError(f"{given} is a folder: search takes pictures, give its files")
    suffix = path.suffix.lower()
    if suffix == ".npy":
        raise UsageError(f"{given} holds vectors, which are no queries: give an item's id, a picture's path, or words")
    if what == "file":
        return Query(given, "image", path=path)
    if suffix in IMAGE_SUFFIXES:
        raise UsageError(f"there is no file {given}: check the path")
    if _SHORT_ID.fullmatch(given) and match_item(catalog, given):
        raise UsageError(
            f"{given!r} begins an item's id, of which 8 digits or more are needed: give more of it, or more words"
        )
    if not _ITEM_ID.fullmatch(given):
        return Query(given, "text")
    items = match_item(catalog, given)
    if len(items) != 1:
        many = "more than one item begins" if items else "no item begins"
        raise UsageError(f"{many} with {given!r}: give more of its id, or the path of its file")
    return Query(given, "item", item_id=items[0])


def _what_is_there(path: Path) -> Literal["file", "folder", "nothing"]:
    """Return what a path leads to; words may be too long for a path, or hold what none may hold."""
    try:
        return "folder" if path.is_dir() else "file" if path.is_file() else "nothing"
    except (OSError, ValueError):
        return "nothing"


class QueryVectors:
    """Turns queries into vectors of a run's space; an embedder is opened when the first query needs it.

    Args:
        catalog: Where from.
        run: Whose vectors are searched.
        search: They.
        opening: How its embedder is opened.
        open_words: Opens the text side of one.
    """

    def __init__(
        self,
        catalog: Catalog,
        run: VectorRun,
        search: VectorSearch,
        opening: EmbedderOpening,
        open_words: Callable[[EmbedderOpening], TextEmbedder] = open_text_embedder,
    ) -> None:
        self._catalog, self._run, self._search, self._opening = catalog, run, search, opening
        self._open_words = open_words
        self._embedder: Embedder | None = None
        self._words: TextEmbedder | None = None

    def of(self, query: Query) -> NDArray[np.float32]:
        """Return the vector ``(D,)`` of unit length that stands for a query.

        A picture whose bytes are those of an item with a vector is not embedded again.

        Raises:
            UnreadableError: If a file holds no picture, or its vector is all zeros.
            DataError: If the item has no vector in the run, or the embedder is not the one that made the vectors.
            BackendError: If the embedder cannot be opened, or takes no words.
        """
        if query.kind == "item":
            stored = self._search.vector_of(query.item_id)
            if stored is None:
                again = f"mekiki embed -w {self._catalog.workspace}"
                raise DataError(f"item {query.item_id} has no vector of {self._run.space}: {again}")
            vector = stored
        elif query.path is None:
            vector = self._of_words(query.given)
        else:
            stored = self._search.vector_of(hash_file(query.path))
            vector = self._of_picture(query.path) if stored is None else stored
        if not (np.isfinite(vector).all() and vector.any()):
            raise UnreadableError(query.given, "its vector is all zeros or no numbers, so nothing is near it")
        return vector

    def _of_picture(self, path: Path) -> NDArray[np.float32]:
        content = read_picture_bytes(path)
        if self._embedder is None:
            self._embedder = open_embedder(self._opening)
            check_same_space(self._run.space, self._embedder.space, f"run {self._run.run_id}")
        image = self._embedder.prepare(lambda px: decode_image(content, path, at_least_px=px).pixels)
        return np.asarray(to_unit_length(self._embedder.embed([image]))[0])

    def _of_words(self, words: str) -> NDArray[np.float32]:
        if self._words is None:
            self._words = self._open_words(self._opening)
            check_same_space(self._run.space, self._words.space, f"run {self._run.run_id}")
        return np.asarray(to_unit_length(self._words.embed_texts([words]))[0])


def opening_of(catalog: Catalog, run: VectorRun, changes: Mapping[str, Any]) -> EmbedderOpening:
    """Return how the embedder of a run is opened: with the weights and the preprocessing that ``embed`` was told.

    Args:
        catalog: Where the run is.
        run: Whose.
        changes: What this machine or this command does otherwise: device, runtime, weights, whether code may be run.
    """
    stored = find_run(catalog, run.run_id)
    told = {} if stored is None else {name: stored.settings.get(name) for name in _LASTING}
    known: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in told.items() if value
    }
    if "weights" in known:
        known["weights"] = catalog.locate(known["weights"])
    name = run.space.embedder
    if name.partition(":")[0] not in EMBEDDERS.names():
        name = f"vectors:{name}"  # whoever imported them called them so
    return EmbedderOpening(**{**known, "name": name, "precision": "fp32", **changes})
