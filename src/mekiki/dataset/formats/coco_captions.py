"""COCO captions JSON: several sentences per picture, in the order of the annotations.

A picture without a sentence is kept. Nothing is said of classes, except in files of our own, where what captions have
no field for stands as `mekiki.dataset.formats.extras` describes.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from mekiki.dataset.formats.base import OutItem, Problem, ReadOptions, Record, Sheet, WriteOptions
from mekiki.dataset.formats.coco import NOT_ATTRIBUTES, sniff_coco
from mekiki.dataset.formats.coco_file import CocoFile
from mekiki.dataset.formats.coco_out import Entry, head, picture_entry, picture_numbers, write_with_parts
from mekiki.dataset.formats.extras import KEY, extras_of
from mekiki.dataset.formats.json_files import is_text, scalars, show
from mekiki.dataset.formats.out_rows import all_classes

_EXPECTED = "a COCO captions file with the lists 'images' and 'annotations'"


class CocoCaptions:
    """COCO caption files."""

    name = "coco-captions"

    @staticmethod
    def matches(path: Path) -> bool:
        """Return whether a ``.json`` file has pictures and captions, and no categories."""
        return sniff_coco(path) == CocoCaptions.name

    @staticmethod
    def read(path: Path, options: ReadOptions) -> Sheet:
        """Return every picture with its captions, blanks at their ends taken off.

        Raises:
            UsageError: If the file is no JSON or lacks one of the lists.
        """
        file = CocoFile(path, _EXPECTED, options.classes)
        for picture in file.take_pictures():
            captions = []
            for line, entry in picture.annotations:
                if is_text(entry.get("caption")):
                    captions.append(entry["caption"].strip())
                else:
                    reason = f"its caption should be text, not {show(entry.get('caption'))}"
                    file.problems.append(Problem(line, f"annotation {line} of {show(picture.path)}: {reason}"))
            attributes = scalars(picture.entry, without=NOT_ATTRIBUTES)
            record = Record(
                picture.path, picture.line, captions=tuple(captions), part=picture.part, attributes=attributes
            )
            file.add(record, picture.entry)
        return file.sheet(CocoCaptions.name)

    @staticmethod
    def write(items: Sequence[OutItem], folder: Path, options: WriteOptions) -> list[Path]:
        """Write ``captions.json``, and ``captions_<part>.json`` for each part; ids as in `Coco.write`."""
        build = partial(_build, picture_numbers(items), folder, all_classes(items, options))
        return write_with_parts(build, items, folder, options, "captions")


def _build(
    numbers: dict[str, int], folder: Path, classes: Sequence[str], items: Sequence[OutItem], paths: dict[str, str]
) -> Entry:
    """Return a whole file of some items."""
    images: list[Entry] = []
    annotations: list[Entry] = []
    for item in items:
        written, number = paths[item.item_id], numbers[item.item_id]
        captions = tuple(caption.strip() for caption in item.captions if caption.strip())
        kept = extras_of(item, Record(written, 1, captions=captions), classes, folder)
        images.append(picture_entry(number, written, item) | ({KEY: kept} if kept else {}))
        annotations += [
            {"id": len(annotations) + position, "image_id": number, "caption": caption}
            for position, caption in enumerate(captions, start=1)
        ]
    lists = {"type": "captions", "images": images, "annotations": annotations}
    return head(CocoCaptions.name, "Captions in the COCO format, written by mekiki", classes) | lists
