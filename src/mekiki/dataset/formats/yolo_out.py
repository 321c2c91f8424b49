"""Writing a YOLO data set: ``images/<part>``, ``labels/<part>``, ``data.yaml``, and ``mekiki.json`` for the rest."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import yaml

from mekiki.dataset.formats.base import BoxClaim, OutItem, Record, WriteOptions
from mekiki.dataset.formats.box_fields import to_relative
from mekiki.dataset.formats.class_lists import ClassList
from mekiki.dataset.formats.coco_out import category_names
from mekiki.dataset.formats.extras import extras_of, own_header, without_answers
from mekiki.dataset.formats.json_files import write_json
from mekiki.dataset.formats.media_files import place_media
from mekiki.dataset.formats.out_rows import all_classes
from mekiki.dataset.formats.yolo_yaml import MORE_PARTS
from mekiki.dataset.ids import safe_name, safe_names
from mekiki.errors import DataError

EXTRAS_NAME = "mekiki.json"
"""Beside ``data.yaml``: what YOLO's own files have no room for."""

_OWN_PARTS = ("train", "val", "test")


def write_yolo(items: Sequence[OutItem], folder: Path, options: WriteOptions) -> list[Path]:
    """Write a data set and return ``data.yaml`` first, then ``mekiki.json`` if there is anything to keep.

    Pictures are copied or linked into ``images/<part>``; without a part into ``images/all``, which stands as ``train``
    in ``data.yaml``. If pictures of several suffixes go out there is a folder for each, because ``a.jpg`` and
    ``a.png`` would share one label file. Boxes are clipped to the picture. Parts with other names than train, val and
    test stand under ``mekiki_parts``, where only we look.

    Raises:
        DataError: If there is no class.
    """
    bare = [without_answers(item) for item in items] if options.skeleton else list(items)
    classes = all_classes(bare, options)
    names = category_names(bare, classes)
    if not names:
        raise DataError("there is no class, and YOLO needs one: label some pictures first, or use another --format")
    folders = _folders(item.part for item in bare)
    suffixes = {item.path.suffix.lower() for item in bare}

    def subfolder(item: OutItem) -> str:
        place = f"images/{folders[item.part]}"
        return place if len(suffixes) == 1 else f"{place}/{safe_name(item.path.suffix.lower().lstrip('.'))}"

    written = place_media(bare, folder, options, subfolder=subfolder, must_place=True)
    class_list = ClassList.of(classes, None)
    kept: dict[str, Any] = {}
    for item in bare:
        path = written[item.item_id]
        boxes = _write_labels(item, folder / _label_path(path), names)
        labels, is_complete = class_list.claims({box.class_name for box in boxes})
        native = Record(path, 1, labels, is_complete, boxes, part="train" if item.part is None else item.part)
        if extras := extras_of(item, native, classes, folder):
            kept[path] = extras
    main = folder / "data.yaml"
    text = yaml.safe_dump(_fields(folders, names), allow_unicode=True, sort_keys=False, width=120)
    main.write_text(text, encoding="utf-8")
    if not kept and tuple(names) == classes:
        return [main]
    return [main, write_json(folder / EXTRAS_NAME, own_header("yolo", classes) | {"pictures": kept})]


def _folders(parts: Iterable[str | None]) -> dict[str | None, str]:
    """Return part to the name of its folder; ``images`` is taken, because label files are found by that word."""
    known = dict.fromkeys(parts)
    safe = safe_names(part for part in known if part is not None)
    names: dict[str | None, str] = {}
    taken = {"images"}
    for part in [*safe, *([None] if None in known or not known else [])]:
        name = "all" if part is None else safe[part]
        while name.casefold() in taken:
            name += "_"
        taken.add(name.casefold())
        names[part] = name
    return names


def _label_path(written: str) -> PurePosixPath:
    """Return where the label file of a picture is written.

    Example:
        >>> _label_path("images/train/a.jpg")
        PurePosixPath('labels/train/a.txt')
    """
    return PurePosixPath("labels", *PurePosixPath(written).parts[1:]).with_suffix(".txt")


def _write_labels(item: OutItem, path: Path, names: Sequence[str]) -> tuple[BoxClaim, ...]:
    """Write the label file of one picture and return the boxes as our reader finds them: without scores."""
    path.parent.mkdir(parents=True, exist_ok=True)
    index_of = {name: index for index, name in enumerate(names)}
    lines = []
    for box in item.boxes:
        x_min, y_min, x_max, y_max = to_relative(box, item)
        numbers = ((x_min + x_max) / 2, (y_min + y_max) / 2, x_max - x_min, y_max - y_min)
        lines.append(" ".join([str(index_of[box.class_name]), *(f"{number:.8f}" for number in numbers)]) + "\n")
    path.write_text("".join(lines), encoding="ascii", newline="\n")
    return tuple(BoxClaim(box.class_name, box.xyxy) for box in item.boxes)


def _fields(folders: dict[str | None, str], names: Sequence[str]) -> dict[str, Any]:
    """Return what stands in ``data.yaml``: without ``path``, which would be taken from the current folder."""
    places = {part: f"images/{name}" for part, name in folders.items()}
    fields: dict[str, Any] = {part: places[part] for part in _OWN_PARTS if part in places}
    if None in places:
        fields = {"train": [places["train"], places[None]] if "train" in places else places[None]} | (
            {part: place for part, place in fields.items() if part != "train"}
        )
    if more := {part: place for part, place in places.items() if part is not None and part not in _OWN_PARTS}:
        fields[MORE_PARTS] = more
    return fields | {"nc": len(names), "names": list(names)}
