"""Vectors one in a file, in one folder per class: seed 5's ``embeddings/<class>/<stem>.npy``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from mekiki.dataset.formats.base import OutItem, ReadOptions, Sheet, WriteOptions
from mekiki.dataset.formats.class_file import write_classes
from mekiki.dataset.formats.imagefolder import CLASS_FILE_OF, ImageFolder, check_single
from mekiki.dataset.formats.npy import is_vector_name
from mekiki.dataset.formats.out_rows import all_classes
from mekiki.dataset.formats.vectors_matrix import BLOCK_ROWS, stem_of, vectors_of
from mekiki.dataset.ids import safe_name, safe_names
from mekiki.errors import UsageError
from mekiki.records import UNKNOWN

FOLDER = "embeddings"


class NpyFolders:
    """One vector a file, float32 ``(D,)``; the folder's name is the label."""

    name = "npy-folders"

    @staticmethod
    def matches(path: Path) -> bool:
        """Return whether a folder is an ImageFolder of nothing but vectors."""
        if not ImageFolder.matches(path):
            return False
        try:
            records = ImageFolder.read(path, ReadOptions()).records
        except (UsageError, OSError):
            return False
        return all(is_vector_name(Path(record.path).name) for record in records)

    @staticmethod
    def read(path: Path, options: ReadOptions) -> Sheet:
        """Return every vector that is directly in a class's folder.

        Raises:
            UsageError: If it is no folder, or has no folders of classes.
        """
        return replace(ImageFolder.read(path, options), format_name=NpyFolders.name)

    @staticmethod
    def write(items: Sequence[OutItem], folder: Path, options: WriteOptions) -> list[Path]:
        """Write ``embeddings/CLASS/STEM.npy``, and the class list beside the classes; return that and the vectors.

        Files of one class whose stems are equal but for case all get the beginning of their id, so that none replaces
        another; ``options.notes`` says how many.

        Raises:
            UsageError: If the options have no vectors.
            DataError: If an item has several classes, or none that is sure.
        """
        source = vectors_of(options, NpyFolders.name)
        check_single(items)
        classes = all_classes(items, options)
        folder_of = safe_names(classes) | {UNKNOWN: UNKNOWN}
        for name in classes:
            (folder / FOLDER / folder_of[name]).mkdir(parents=True, exist_ok=True)
        places = _places(items, folder_of, options)
        written = [write_classes(folder / FOLDER / CLASS_FILE_OF, classes)]
        for start in range(0, len(items), BLOCK_ROWS):
            block = items[start : start + BLOCK_ROWS]
            vectors = source.read([item.item_id for item in block])
            for item, vector in zip(block, vectors, strict=True):
                path = folder / FOLDER / places[item.item_id]
                path.parent.mkdir(parents=True, exist_ok=True)
                np.save(path, vector, allow_pickle=False)
                written.append(path)
        return written


def _places(items: Sequence[OutItem], folder_of: dict[str, str], options: WriteOptions) -> dict[str, str]:
    """Return item id to a path that no other item has, not even where upper and lower case are the same."""
    plain = {
        item.item_id: f"{folder_of[item.present[0] if item.present else UNKNOWN]}/{safe_name(stem_of(item))}"
        for item in items
    }
    chosen = dict(plain)
    for n_digits in (8, None):
        uses = Counter(place.casefold() for place in chosen.values())
        doubled = [item_id for item_id, place in chosen.items() if uses[place.casefold()] > 1]
        chosen |= {item_id: f"{plain[item_id]}_{item_id[:n_digits]}" for item_id in doubled}
    if n_renamed := sum(chosen[item_id] != plain[item_id] for item_id in plain):
        options.notes.append(f"{n_renamed} vectors share a name with another of their class: their ids stand behind it")
    return {item_id: f"{place}.npy" for item_id, place in chosen.items()}
