"""COCO Camera Traps JSON: species per picture, with a box or without, from cameras at places that fire in bursts.

It is told from plain COCO by a picture's ``location`` or sequence, or by ``info`` speaking of camera traps (see
`mekiki.dataset.formats.coco.sniff_coco`). ``location`` becomes the group ``site``, ``seq_id`` the group ``burst``,
``camera`` the group of that name; ``datetime`` (or ``date_captured``) the local time of capture; an image's other
fields that are text or numbers become attributes.

The category ``empty`` (by that name in any case, or the id 0 with a name such as ``blank``) is no class: it says that
every class is absent. An annotated picture shows the classes that it names and no other; a picture without any
annotation was not looked at, and nothing is said of it. Of a picture that is called empty and something else at once,
that something is unsure, and it is a problem. A label that was given to a whole sequence counts for each of its
pictures; they have the attribute ``sequence_level_annotation``, since some of them may be empty.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from mekiki.dataset.formats.base import OutItem, Problem, ReadOptions, Record, Sheet, WriteOptions
from mekiki.dataset.formats.cells import local_time
from mekiki.dataset.formats.class_lists import ClassList
from mekiki.dataset.formats.coco import NOT_ATTRIBUTES, sniff_coco
from mekiki.dataset.formats.coco_file import CocoFile, Picture
from mekiki.dataset.formats.coco_out import Entry, box_entry, category_names, head, picture_entry, write_with_parts
from mekiki.dataset.formats.extras import KEY, extras_of
from mekiki.dataset.formats.json_files import key_of, scalars
from mekiki.dataset.formats.out_rows import all_classes
from mekiki.errors import DataError

EMPTY = "empty"
"""The category that says that nothing is there; its id is 0."""

_EXPECTED = "a COCO Camera Traps file with the lists 'images', 'annotations' and 'categories'"
_OTHER_WORDS_FOR_EMPTY = frozenset(("blank", "none", "nothing", "false trigger", "misfire"))
_GROUPS = {"location": "site", "seq_id": "burst", "camera": "camera"}
_SEQUENCE_LEVEL = "sequence_level_annotation"
_TIMES = ("datetime", "date_captured")
_COUNTS = ("seq_num_frames", "frame_num")


class CocoCameraTraps:
    """COCO Camera Traps files."""

    name = "coco-camera-traps"

    @staticmethod
    def matches(path: Path) -> bool:
        """Return whether a ``.json`` file of the COCO family is about camera traps."""
        return sniff_coco(path) == CocoCameraTraps.name

    @staticmethod
    def read(path: Path, options: ReadOptions) -> Sheet:
        """Return every picture with its labels, boxes, place, burst and time.

        Raises:
            UsageError: If the file is no JSON or lacks one of the lists.
        """
        file = CocoFile(path, _EXPECTED, options.classes, lambda category_id, name: not _is_empty(category_id, name))
        empty_names = {name for category_id, name in file.names.items() if _is_empty(category_id, name)}
        for picture in file.take_pictures():
            file.add(_read_picture(file, picture, empty_names), picture.entry)
        return file.sheet(CocoCameraTraps.name)

    @staticmethod
    def write(items: Sequence[OutItem], folder: Path, options: WriteOptions) -> list[Path]:
        """Write ``annotations.json``, and ``annotations_<part>.json`` for each part.

        A class that is present stands once per box, or once without a box; a picture in which every class is absent
        is ``empty``. Ids of pictures are item ids.

        Raises:
            DataError: If a class is called ``empty``.
        """
        classes = all_classes(items, options)
        names = category_names([] if options.skeleton else items, classes)
        if clash := [name for name in names if _is_empty("", name)]:
            raise DataError(
                f"the class {clash[0]!r} cannot be written as {CocoCameraTraps.name}: there it says that no class is "
                "present. Call the class something else, or use another --format, such as csv."
            )
        category_ids = {name: number for number, name in enumerate([EMPTY, *names])}
        build = partial(_build, category_ids, folder, classes)
        return write_with_parts(build, items, folder, options, "annotations")


def _is_empty(category_id: str, name: str) -> bool:
    word = name.strip().casefold()
    return word == EMPTY or (category_id == "0" and word in _OTHER_WORDS_FOR_EMPTY)


def _read_picture(file: CocoFile, picture: Picture, empty_names: set[str]) -> Record:
    """Return what the native fields of one picture and its annotations say."""
    seen = file.see(picture)
    found = seen.found - empty_names
    labels, is_complete = file.classes.claims(found, is_exhaustive=seen.is_sure and bool(picture.annotations))
    if found and found != seen.found:
        names = ", ".join(sorted(found))
        file.problems.append(Problem(picture.line, f"image {picture.line}: it is called empty and {names}: unsure"))
        labels = tuple(replace(claim, state="unsure") if claim.state == "present" else claim for claim in labels)
    boxes = tuple(box for box in seen.boxes if box.class_name not in empty_names)
    record = _with_fields(Record(picture.path, picture.line, labels, is_complete, boxes, part=picture.part), picture)
    if any(entry.get(_SEQUENCE_LEVEL) is True for _, entry in picture.annotations):
        return replace(record, attributes={**record.attributes, _SEQUENCE_LEVEL: "true"})
    return record


def _with_fields(record: Record, picture: Picture) -> Record:
    """Return the record with what the fields of its image say: groups, time and attributes."""
    entry = picture.entry
    groups = {kind: key for name, kind in _GROUPS.items() if (key := _key(entry, name))}
    written = {name: entry[name] for name in _TIMES if isinstance(entry.get(name), str)}
    times = {name: time for name, text in written.items() if (time := local_time(text))}
    used = NOT_ATTRIBUTES | _GROUPS.keys() | times.keys()
    captured_at = next(iter(times.values()), None)
    return replace(record, groups=groups, captured_at=captured_at, attributes=scalars(entry, without=used))


def _key(entry: Mapping[str, Any], name: str) -> str | None:
    try:
        return key_of(entry.get(name))
    except ValueError:
        return None


def _build(
    category_ids: dict[str, int], folder: Path, classes: Sequence[str], items: Sequence[OutItem], paths: dict[str, str]
) -> Entry:
    """Return a whole file of some items."""
    class_list = ClassList.of(classes, None)
    images: list[Entry] = []
    annotations: list[Entry] = []
    for item in items:
        entry = picture_entry(item.item_id, paths[item.item_id], item) | _fields_of(item)
        own = _annotations_of(item, classes)
        found = {name for name, _ in own if name != EMPTY}
        labels, is_complete = class_list.claims(found, is_exhaustive=bool(own))
        native = Record(paths[item.item_id], 1, labels, is_complete, item.boxes)
        kept = extras_of(item, _with_fields(native, Picture(1, native.path, entry)), classes, folder)
        images.append(entry | ({KEY: kept} if kept else {}))
        annotations += [
            {"id": f"{item.item_id}-{position}", "image_id": item.item_id, "category_id": category_ids[name]} | box
            for position, (name, box) in enumerate(own, start=1)
        ]
    categories = [{"id": category_id, "name": name} for name, category_id in category_ids.items()]
    lists = {"images": images, "annotations": annotations, "categories": categories}
    return head(CocoCameraTraps.name, "COCO Camera Traps, written by mekiki", classes) | lists


def _fields_of(item: OutItem) -> Entry:
    """Return the fields of an image that this format has beyond COCO's."""
    entry: Entry = {name: key for name, kind in _GROUPS.items() if (key := item.groups.get(kind, "")).strip()}
    if item.captured_at and local_time(item.captured_at) == item.captured_at:
        entry["datetime"] = item.captured_at
    for name in _COUNTS:
        text = item.attributes.get(name, "")
        if text.isdecimal() and text == str(int(text[:18])):
            entry[name] = int(text)
    return entry


def _annotations_of(item: OutItem, classes: Sequence[str]) -> list[tuple[str, Entry]]:
    """Return the class and the other fields of each annotation; nothing if nothing can be said."""
    common: Entry = {_SEQUENCE_LEVEL: True} if item.attributes.get(_SEQUENCE_LEVEL) == "true" else {}
    boxed = {box.class_name for box in item.boxes}
    found = [(box.class_name, common | box_entry(box, item)) for box in item.boxes]
    found += [(name, common) for name in item.present if name in classes and name not in boxed]
    if not found and item.is_unknown and set(classes) <= item.states.keys():
        return [(EMPTY, common)]
    return found
