"""Where the pictures of a JSON label file are: one small rule for the few folders that people use."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath

from mekiki.dataset.formats.looking import has_file

N_TRIED = 50
"""How many pictures are looked for in each folder."""


def find_base(path: Path, names: Iterable[str]) -> Path:
    """Return the folder in which most of the named pictures are, of the few where they usually are.

    Tried in this order: the folder of the JSON file; in it, ``images``, the last word of the file's name (such as
    ``train2017`` of ``instances_train2017.json``), and that word in ``images``; the same four in the folder above if
    the JSON file is in a folder called ``annotations``. At most `N_TRIED` names spread over the list are looked for;
    of equally good folders the first counts, and the JSON file's own if nothing is found. Names that leave their
    folder are not looked for, so what a file says never chooses a folder outside.

    Args:
        path: The JSON file.
        names: Pictures as it spells them.
    """
    inside = [name for name in (name.replace("\\", "/") for name in names) if _stays_inside(name)]
    tried = inside[:: max(1, -(-len(inside) // N_TRIED))]
    best, best_found = path.parent, 0
    for folder in _usual_folders(path):
        n_found = sum(has_file(folder / name) for name in tried)
        if n_found > best_found:
            best, best_found = folder, n_found
    return best


def _stays_inside(name: str) -> bool:
    pure = PurePosixPath(name)
    return not pure.is_absolute() and ".." not in pure.parts and "\0" not in name


def _usual_folders(path: Path) -> Iterator[Path]:
    word = path.stem.rpartition("_")[2]
    is_in_annotations = path.absolute().parent.name == "annotations"
    for root in (path.parent, path.parent.parent) if is_in_annotations else (path.parent,):
        yield root
        yield root / "images"
        yield root / word
        yield root / "images" / word
