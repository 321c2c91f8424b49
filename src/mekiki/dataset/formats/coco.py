"""COCO detection JSON: boxes over a closed list of categories, every picture searched for all of them.

So a class with a box is present and every other is absent; a picture without annotations is kept, with every class
absent. Only a file without the field ``annotations`` (COCO's test sets) says nothing of its pictures. Keypoint files
read as boxes. Fields of an image that are text or numbers become attributes; ``date_captured`` is one of them, because
in COCO it is the time of the download.

On the way out everything that detection COCO has no field for (labels that do not follow from the boxes, part,
captions, groups) is kept as `mekiki.dataset.formats.extras` describes, so that other programs see ordinary boxes only.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from mekiki.dataset.formats.base import OutItem, ReadOptions, Record, Sheet, WriteOptions
from mekiki.dataset.formats.class_lists import ClassList
from mekiki.dataset.formats.coco_file import CocoFile
from mekiki.dataset.formats.coco_out import (
    Entry,
    box_entry,
    category_names,
    head,
    picture_entry,
    picture_numbers,
    write_with_parts,
)
from mekiki.dataset.formats.extras import KEY, extras_of, own_format
from mekiki.dataset.formats.json_files import scalars, sniff_json
from mekiki.dataset.formats.out_rows import all_classes

EXPECTED = "a COCO detection file with the lists 'images', 'annotations' and 'categories'"

NOT_ATTRIBUTES = frozenset(("id", "file_name", "width", "height", "part", "split"))
_CAMERA_TRAP_KEYS = frozenset(("location", "seq_id", "seq_num_frames", "sequence_level_annotation"))
_CAMERA_TRAP_INFO = re.compile(r'"info"\s*:\s*\{[^{}]*camera[ _-]?trap', re.IGNORECASE)


class Coco:
    """COCO detection and keypoint files."""

    name = "coco"

    @staticmethod
    def matches(path: Path) -> bool:
        """Return whether a ``.json`` file has pictures and categories, and nothing of a camera trap."""
        return sniff_coco(path) == Coco.name

    @staticmethod
    def read(path: Path, options: ReadOptions) -> Sheet:
        """Return every picture with its boxes and the labels that follow from them.

        Classes of crowd regions are kept as the attribute ``crowd``, a JSON list, since the regions are no boxes.

        Raises:
            UsageError: If the file is no JSON or lacks one of the lists.
        """
        file = CocoFile(path, EXPECTED, options.classes, lambda category_id, name: True)
        for picture in file.take_pictures():
            seen = file.see(picture)
            labels, is_complete = file.classes.claims(seen.found, is_exhaustive=seen.is_sure and file.has_annotations)
            attributes = scalars(picture.entry, without=NOT_ATTRIBUTES)
            if seen.crowds:
                attributes["crowd"] = json.dumps(seen.crowds, ensure_ascii=False)
            record = Record(
                picture.path,
                picture.line,
                labels,
                is_complete,
                tuple(seen.boxes),
                part=picture.part,
                attributes=attributes,
            )
            file.add(record, picture.entry)
        return file.sheet(Coco.name)

    @staticmethod
    def write(items: Sequence[OutItem], folder: Path, options: WriteOptions) -> list[Path]:
        """Write ``annotations.json``, and ``annotations_<part>.json`` for each part.

        Categories are the classes in order, numbered from 1, then box classes that are no classes. A picture's id is
        made from its item id; annotations are numbered from 1 in each file.
        """
        classes = all_classes(items, options)
        names = category_names([] if options.skeleton else items, classes)
        category_ids = {name: number for number, name in enumerate(names, start=1)}
        build = partial(_build, category_ids, picture_numbers(items), folder, classes)
        return write_with_parts(build, items, folder, options, "annotations")


def _build(
    category_ids: dict[str, int],
    numbers: dict[str, int],
    folder: Path,
    classes: Sequence[str],
    items: Sequence[OutItem],
    paths: dict[str, str],
) -> Entry:
    """Return a whole file of some items."""
    images: list[Entry] = []
    annotations: list[Entry] = []
    class_list = ClassList.of(classes, None)
    for item in items:
        written, number = paths[item.item_id], numbers[item.item_id]
        labels, is_complete = class_list.claims({box.class_name for box in item.boxes})
        kept = extras_of(item, Record(written, 1, labels, is_complete, item.boxes), classes, folder)
        images.append(picture_entry(number, written, item) | ({KEY: kept} if kept else {}))
        for box in item.boxes:
            link = {"id": len(annotations) + 1, "image_id": number, "category_id": category_ids[box.class_name]}
            annotations.append(link | box_entry(box, item))
    categories = [{"id": category_id, "name": name} for name, category_id in category_ids.items()]
    lists = {"images": images, "annotations": annotations, "categories": categories}
    return head(Coco.name, "Boxes in the COCO format, written by mekiki", classes) | lists


def sniff_coco(path: Path) -> str | None:
    """Return which format of the COCO family a file is of, by its beginning and end; None if of none.

    A file of ours says so itself. Of the others:

    ``coco-camera-traps``: a picture has a ``location`` or a sequence, or ``info`` speaks of camera traps.
    ``coco-captions``: a caption and no category. ``coco``: categories. Otherwise it is not sure, and None.
    """
    keys, text = sniff_json(path)
    if (own := own_format(text)) is not None:
        return own
    if not {"images", "file_name"} & keys or not {"annotations", "image_id", "categories"} & keys:
        return None
    if "categories" in keys and (_CAMERA_TRAP_KEYS & keys or _CAMERA_TRAP_INFO.search(text)):
        return "coco-camera-traps"
    if "categories" in keys:
        return "coco"
    is_captions = "caption" in keys or '"type": "captions"' in text
    return "coco-captions" if is_captions and "category_id" not in keys else None
