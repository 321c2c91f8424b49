"""Items on their way out as rows of a table: the counterpart of `mekiki.dataset.formats.row_records`.

``labels`` has what is present, ``unsure`` what is unsure and ``not_asked`` what nobody was asked about; every other
class is absent. ``unknown`` stands where nothing is present, nothing at all where nobody was asked.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path

from mekiki.dataset.formats.base import GROUP_KINDS, OutItem, WriteOptions
from mekiki.dataset.formats.columns import GROUP_NAMES, attribute_column
from mekiki.dataset.formats.label_text import labels_to_text
from mekiki.dataset.formats.media_files import relative_path
from mekiki.dataset.formats.tables import path_cell
from mekiki.records import UNKNOWN

Cells = Mapping[str, Callable[[OutItem], str]]
"""Column to what makes its cells, in the order of the columns."""


def columns_and_rows(
    items: Sequence[OutItem], cells: Cells, always: Collection[str]
) -> tuple[list[str], Iterator[list[str]]]:
    """Return the header and the rows of a table, one per item.

    Args:
        items: What to write.
        cells: All columns there may be.
        always: Columns that are written even if no item fills them.
    """
    used = [name for name, make in cells.items() if name in always or any(make(item) for item in items)]
    makers = [cells[name] for name in used]
    return used, ([make(item) for make in makers] for item in items)


def all_classes(items: Sequence[OutItem], options: WriteOptions) -> tuple[str, ...]:
    """Return the class names in order, with those that only items name at the end."""
    return tuple(dict.fromkeys([*options.classes, *(name for item in items for name in item.states)]))


def path_cells(column: str, written: Mapping[str, str]) -> Cells:
    """Return the column with paths, from item id to path."""
    return {column: lambda item: path_cell(written[item.item_id])}


def label_cells(items: Sequence[OutItem], options: WriteOptions) -> Cells:
    """Return the columns with labels; in a skeleton only the empty one to be filled in."""
    if options.skeleton:
        return {"labels": lambda item: ""}
    classes = all_classes(items, options)
    return {
        "labels": lambda item: (labels_to_text(item.present) or UNKNOWN) if item.states else "",
        "unsure": lambda item: labels_to_text([name for name, state in item.states.items() if state == "unsure"]),
        "not_asked": lambda item: _not_asked(item, classes),
        "confidence": _confidence,
    }


def other_cells(folder: Path) -> Cells:
    """Return the columns for part, groups, time, video and captions.

    Args:
        folder: Where the table is written, for the paths of videos.
    """
    return {
        "part": lambda item: item.part or "",
        **{GROUP_NAMES[kind][0]: _group(kind) for kind in GROUP_KINDS},
        "captured_at": lambda item: item.captured_at or "",
        "video_path": lambda item: path_cell(relative_path(item.video_path, folder)) if item.video_path else "",
        "frame_index": lambda item: "" if item.frame_index is None else str(item.frame_index),
        "time_s": lambda item: "" if item.time_s is None else repr(float(item.time_s)),
        "captions": _captions,
    }


def attribute_cells(items: Sequence[OutItem]) -> Cells:
    """Return one column for each attribute that any item has, sorted."""
    names = sorted({name for item in items for name in item.attributes})
    return {attribute_column(name): attribute_cell(name) for name in names}


def attribute_cell(name: str) -> Callable[[OutItem], str]:
    """Return what makes the cells of an attribute."""
    return lambda item: item.attributes.get(name, "")


def _not_asked(item: OutItem, classes: tuple[str, ...]) -> str:
    if not item.states or len(item.states) == len(classes):
        return ""
    return labels_to_text([name for name in classes if name not in item.states])


def _confidence(item: OutItem) -> str:
    """Return one number if it holds for all that is not absent, else an object with those that are not 1."""
    differing = {name: float(item.confidence.get(name, 1.0)) for name in item.states}
    said = {share for name, share in differing.items() if item.states[name] != "absent"}
    differing = {name: share for name, share in differing.items() if share != 1.0}
    if len(said) == 1 and all(item.states[name] != "absent" for name in differing):
        return repr(said.pop()) if differing else ""
    return json.dumps(differing, ensure_ascii=False) if differing else ""


def _captions(item: OutItem) -> str:
    if len(item.captions) == 1 and not item.captions[0].startswith("["):
        return item.captions[0]
    return json.dumps(item.captions, ensure_ascii=False) if item.captions else ""


def _group(kind: str) -> Callable[[OutItem], str]:
    def key(item: OutItem) -> str:
        return item.groups.get(kind) or (item.video_id if kind == "source" else None) or ""

    return key
