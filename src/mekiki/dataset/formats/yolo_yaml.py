"""A YOLO ``data.yaml``: the class names by index, and the pictures of each part.

``path`` is the folder that the parts are in, itself relative to the file; if there is no such folder (it often is one
of another machine), the file's own folder takes its place. A part is a folder, a text file with one picture per line,
or a list of these. A part that begins with ``../`` and is not there is looked for beside the file, as Roboflow writes
it. Parts have the keys ``train``, ``val`` (or ``valid``, ``validation``) and ``test``; ours may have more under
``mekiki_parts``.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any

import yaml

from mekiki.dataset.formats.json_files import is_text, show
from mekiki.dataset.formats.looking import has_file, has_folder
from mekiki.errors import UsageError
from mekiki.records import IMAGE_SUFFIXES

MAX_YAML_BYTES = 1_000_000
"""Largest ``data.yaml`` that is read; those with thousands of names have a tenth of it."""

MORE_PARTS = "mekiki_parts"
"""Key for parts with other names than YOLO's."""

_PART_KEYS = {"train": "train", "val": "val", "valid": "val", "validation": "val", "test": "test"}
_USUAL_NAMES = ("data.yaml", "data.yml", "dataset.yaml", "dataset.yml")
_NAMES = re.compile(r"^['\"]?names['\"]?\s*:", re.MULTILINE)
_PART = re.compile(r"^['\"]?(train|val|valid|validation|test|mekiki_parts)['\"]?\s*:", re.MULTILINE)
_BROKEN_YAML = (yaml.YAMLError, ValueError, TypeError, LookupError, AttributeError, RecursionError)
"""What PyYAML raises on broken files; the last five on values that do not fit the type they are marked with."""


@dataclass(frozen=True, slots=True)
class YoloYaml:
    """What a ``data.yaml`` says.

    Attributes:
        path: The file.
        names: Class index to name, in the order of indices.
        root: The folder that parts are relative to.
        parts: Part to the folders and list files of its pictures, as they are spelled.
        n_keypoint_numbers: How many numbers follow each box of a pose data set; 0 for others.
    """

    path: Path
    names: Mapping[int, str]
    root: Path
    parts: Mapping[str, tuple[str, ...]]
    n_keypoint_numbers: int


def is_yolo_yaml(path: Path) -> bool:
    """Return whether the beginning of a ``.yaml`` file has class names and a part."""
    if path.suffix.lower() not in (".yaml", ".yml") or not has_file(path):
        return False
    try:
        with path.open("rb") as file:
            text = file.read(MAX_YAML_BYTES).decode("utf-8-sig", "replace")
    except OSError:
        return False
    return bool(_NAMES.search(text) and _PART.search(text))


def find_yaml(path: Path) -> Path | None:
    """Return the ``data.yaml`` that a path is or that a folder has; of several the usual name, else None."""
    if not has_folder(path):
        return path if is_yolo_yaml(path) else None
    found = sorted(one for pattern in ("*.yaml", "*.yml") for one in path.glob(pattern) if is_yolo_yaml(one))
    usual = [one for one in found if one.name in _USUAL_NAMES]
    return usual[0] if usual else found[0] if len(found) == 1 else None


def read_yaml(path: Path) -> YoloYaml:
    """Return what a ``data.yaml`` says.

    Raises:
        UsageError: If it cannot be read, is no YAML, or has no names or no part; names that YAML does not take for
            text, such as ``no``, must be quoted.
    """
    fields = _load(path)
    root = path.parent
    if is_text(fields.get("path")) and has_folder(root / fields["path"]):
        root = root / fields["path"]
    parts: dict[str, tuple[str, ...]] = {}
    for key, part in _PART_KEYS.items():
        if fields.get(key):
            parts[part] = parts.get(part, ()) + _places(path, key, fields[key])
    more = fields.get(MORE_PARTS)
    for part, places in more.items() if isinstance(more, dict) else ():
        if is_text(part):
            parts[part] = parts.get(part, ()) + _places(path, part, places)
    if not parts:
        raise UsageError(f"{path} names no pictures: it should have 'train', 'val' or 'test'")
    return YoloYaml(path, _names(path, fields.get("names")), root, parts, _keypoint_numbers(fields.get("kpt_shape")))


def _load(path: Path) -> dict[Any, Any]:
    """Return the mapping that a YAML file holds."""
    try:
        size = path.stat().st_size
        if size > MAX_YAML_BYTES:
            raise UsageError(f"{path} has {size:,} bytes; a data.yaml of at most {MAX_YAML_BYTES:,} is read")
        fields = yaml.safe_load(path.read_bytes().removeprefix(b"\xef\xbb\xbf"))
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror or error}") from error
    except _BROKEN_YAML as error:
        mark = getattr(error, "problem_mark", None)
        where = f" at line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        what = (str(getattr(error, "problem", None) or error) or type(error).__name__).splitlines()[0]
        raise UsageError(f"{path} is broken YAML{where}: {what}") from error
    if not isinstance(fields, dict):
        raise UsageError(f"{path} is no data.yaml: it should have 'names' and 'train', not {show(fields)}")
    return fields


def _names(path: Path, names: object) -> dict[int, str]:
    """Return class index to name."""
    pairs = (
        list(enumerate(names)) if isinstance(names, list) else list(names.items()) if isinstance(names, dict) else []
    )
    if not pairs:
        raise UsageError(f"{path} has no class names: 'names' should be a list, or a mapping from 0 on")
    found: dict[int, str] = {}
    for key, name in pairs:
        if isinstance(key, str) and key.isdecimal() and len(key) < 10:
            key = int(key)
        if isinstance(key, bool) or not isinstance(key, int) or key < 0:
            raise UsageError(f"{path}: {show(key)} in 'names' is no class index: they count from 0")
        if isinstance(name, int) and not isinstance(name, bool):
            name = str(name)
        if not isinstance(name, str) or not is_text(name):
            raise UsageError(f"{path}: name {key} is {show(name)} to YAML and no text: put it in quotes")
        found[key] = name
    return dict(sorted(found.items()))


def _places(path: Path, key: str, value: object) -> tuple[str, ...]:
    """Return the folders and list files of one part."""
    places = value if isinstance(value, list) else [value]
    if wrong := [place for place in places if not is_text(place)]:
        raise UsageError(f"{path}: {key!r} should be a folder, a list file or a list of these, not {show(wrong[0])}")
    return tuple(places)


def _keypoint_numbers(shape: object) -> int:
    """Return how many numbers the keypoints of one object take."""
    is_shape = (
        isinstance(shape, list) and len(shape) == 2 and all(type(one) is int and 0 < one < 10_000 for one in shape)
    )
    return shape[0] * shape[1] if is_shape and isinstance(shape, list) else 0


def find_place(place: str, data: YoloYaml) -> Path | None:
    """Return the folder or list file that a part names; None if there is none.

    A folder above ``data.yaml`` is none: ``train: /`` would walk through the whole disk.
    """
    tried = [data.root / place]
    if place.startswith("../"):
        tried.append(data.path.parent / place.removeprefix("../"))
    for path in tried:
        if has_folder(path):
            if path.resolve() not in data.path.parent.resolve().parents:
                return path
        elif path.suffix.lower() == ".txt" and has_file(path):
            return path
    return None


def _is_picture(name: str) -> bool:
    return PurePath(name).suffix.lower() in IMAGE_SUFFIXES and not name.startswith(".")


def iter_pictures(place: Path, data: YoloYaml) -> Iterator[Path]:
    """Yield the pictures of a folder and the folders in it, sorted, or of a list file in its order.

    Videos in a folder are passed over: a label file is about one picture. Links to folders are not followed. Lines are
    relative to the list file's folder, or to the root if the picture is only there; it need not exist.

    Raises:
        UsageError: If the list file cannot be read or is no text.
    """
    if has_folder(place):
        for folder, subfolders, files in os.walk(place):
            subfolders.sort()
            yield from (Path(folder, name) for name in sorted(files) if _is_picture(name))
        return
    try:
        lines = place.read_text("utf-8-sig").split("\n")
    except OSError as error:
        raise UsageError(f"{place} cannot be read: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{place} is no UTF-8 text at byte {error.start}") from error
    for line in lines:
        if written := line.strip():
            beside, below_root = place.parent / written, data.root / written
            yield below_root if not has_file(beside) and has_file(below_root) else beside
