"""What all files of the COCO family share when they are written: ids that last, entries, one more file per part."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

from mekiki.dataset.formats.base import BoxClaim, OutItem, WriteOptions
from mekiki.dataset.formats.box_fields import to_xywh_px
from mekiki.dataset.formats.extras import own_header, without_answers
from mekiki.dataset.formats.json_files import write_json
from mekiki.dataset.formats.media_files import place_media
from mekiki.dataset.ids import safe_names

Entry = dict[str, Any]

_ID_BITS = 52
"""Numbers below 2**53 are exact in every program that reads JSON numbers as floats."""


class Build(Protocol):
    """How one format makes a whole file of some items; ``paths`` is item id to what is written for its file."""

    def __call__(self, items: Sequence[OutItem], paths: dict[str, str]) -> Entry:
        """Return the file's object."""
        ...


def write_with_parts(
    build: Build, items: Sequence[OutItem], folder: Path, options: WriteOptions, stem: str
) -> list[Path]:
    """Place the pictures; write all items into ``<stem>.json`` and those of each part into ``<stem>_<part>.json``.

    The first file is the whole; training programs want one per part. What ``build`` makes of an item must not depend
    on the others, so that ids are the same in all files.
    """
    paths = place_media(items, folder, options)
    bare = [without_answers(item) for item in items] if options.skeleton else list(items)
    written = [write_json(folder / f"{stem}.json", build(bare, paths))]
    names = safe_names(dict.fromkeys(item.part for item in bare if item.part is not None))
    for part, name in names.items():
        some = [item for item in bare if item.part == part]
        written.append(write_json(folder / f"{stem}_{name}.json", build(some, paths)))
    return written


def picture_numbers(items: Sequence[OutItem]) -> dict[str, int]:
    """Return item id to a whole number above 0 that is made from it, so that it lasts from export to export.

    Two items whose numbers are equal, one case in millions of millions, get neighbours in the order of their ids.
    """
    numbers: dict[str, int] = {}
    taken: set[int] = set()
    for item_id in sorted({item.item_id for item in items}):
        number = int.from_bytes(hashlib.sha256(item_id.encode()).digest()[:8], "big") >> (64 - _ID_BITS)
        while number in taken or number == 0:
            number += 1
        taken.add(number)
        numbers[item_id] = number
    return numbers


def category_names(items: Sequence[OutItem], classes: Sequence[str]) -> list[str]:
    """Return the classes, then the classes of boxes that are not among them, sorted."""
    others = {box.class_name for item in items for box in item.boxes}.difference(classes)
    return [*classes, *sorted(others)]


def picture_entry(picture_id: int | str, written: str, item: OutItem) -> Entry:
    """Return an entry of ``images`` with the fields that every file of the family has."""
    entry: Entry = {"id": picture_id, "file_name": written}
    if item.width_px > 0 and item.height_px > 0:
        entry |= {"width": item.width_px, "height": item.height_px}
    return entry


def box_entry(box: BoxClaim, item: OutItem) -> Entry:
    """Return the fields of an annotation that say where; ``score`` only if it is not 1."""
    bbox = to_xywh_px(box, item)
    entry: Entry = {"bbox": bbox, "area": round(bbox[2] * bbox[3], 4), "iscrowd": 0}
    return entry if box.score == 1.0 else entry | {"score": box.score}


def head(format_name: str, description: str, classes: Sequence[str]) -> Entry:
    """Return the beginning of a file: what it is, for people and for us."""
    return {"info": {"description": description, "version": "1.0"}, **own_header(format_name, classes)}
