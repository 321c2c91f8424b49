"""Boxes that are there already: in a file of MegaDetector's, or in the workspace. Nobody looks at a picture."""

from __future__ import annotations

from pathlib import Path
from typing import NoReturn

from mekiki.dataset.formats.base import ReadOptions
from mekiki.dataset.formats.reading import LabelFiles, PathRules, read_label_files
from mekiki.errors import UsageError
from mekiki.models.detect import DetectorOpening, hash_weights

BOX_KINDS = frozenset({"import", "megadetector"})
"""Kinds of detectors that look at no pixel."""


class StoredBoxes:
    """Boxes that came with label files: `mekiki detect --detector import` reads them from the workspace.

    Raises:
        UsageError: Always: there is nothing to open.
    """

    def __init__(self, opening: DetectorOpening) -> NoReturn:
        raise UsageError(
            f"{opening.name} looks at no picture: its boxes are there already. Type: mekiki detect --detector "
            f"{opening.name}"
        )

    @staticmethod
    def weights_id(_opening: DetectorOpening) -> str:
        """Return what stands for its weights, of which it has none."""
        return "no weights"


class BoxFile(StoredBoxes):
    """Boxes that stand in a MegaDetector batch file; see `read_box_file`."""

    @staticmethod
    def weights_id(opening: DetectorOpening) -> str:
        """Return the hash of the file."""
        return hash_weights([Path(opening.what)], opening.name)


def read_box_file(opening: DetectorOpening, rules: PathRules) -> LabelFiles:
    """Return what a ``megadetector:FILE`` says.

    Args:
        opening: With the file.
        rules: Where the paths in it start.

    Raises:
        UsageError: If there is no file, or it is none of MegaDetector's.
    """
    if not opening.what:
        raise UsageError("megadetector names no file: --detector megadetector:FILE")
    return read_label_files([Path(opening.what)], "megadetector", ReadOptions(), rules)
