"""What a format has no field for, kept in an object called ``mekiki`` beside each picture's own fields.

Other programs pass over it; our readers take what it says before what the format says. All its fields are optional:

``labels`` (class to ``present``, ``absent`` or ``unsure``), ``is_complete`` (classes that are not named are absent),
``confidence`` (class to [0, 1], where it is not 1), ``boxes`` (``class``, ``xyxy`` in pixels, ``score``),
``captions``, ``part`` (null says that there is none), ``groups``, ``attributes``, ``captured_at``, ``parent_path``,
``frame_index``, ``time_s``. At the top of a file the same object has ``format``, the format's name, and ``classes``,
the class list in order.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast, get_args

from mekiki.dataset.formats.base import GROUP_KINDS, BoxClaim, LabelClaim, OutItem, Record, complete_claims
from mekiki.dataset.formats.box_fields import corners
from mekiki.dataset.formats.json_files import frame_index, is_text, kind_of, number, share, show
from mekiki.dataset.formats.label_text import clean_name
from mekiki.dataset.formats.media_files import relative_path
from mekiki.errors import UsageError
from mekiki.records import LabelState

KEY = "mekiki"
"""The field's name."""

_OWN_FORMAT = re.compile(rf'"{KEY}"\s*:\s*\{{\s*"format"\s*:\s*"([a-z-]+)"')
_STATES = get_args(LabelState)
_TEXTS = ("captured_at", "parent_path")


def extras_of(item: OutItem, native: Record, classes: Sequence[str], folder: Path) -> dict[str, Any]:
    """Return what an item has and its format's own fields do not say; empty if they say everything.

    Groups of a kind that no file states (near-duplicates, derivation) are found again and not kept. The source of a
    frame that has none is its video.

    Args:
        item: The item that is written.
        native: What our reader would make of the format's own fields alone.
        classes: All classes that are written.
        folder: Where the file is written, for relative paths.
    """
    kept: dict[str, Any] = _labels_of(item, native, classes)
    if [(box.class_name, box.score) for box in item.boxes] != [(box.class_name, box.score) for box in native.boxes]:
        kept["boxes"] = [
            {"class": box.class_name, "xyxy": list(box.xyxy), "score": box.score}
            | ({"is_relative": True} if box.is_relative else {})
            for box in item.boxes
        ]
    if (captions := [caption for caption in item.captions if caption.strip()]) != list(native.captions):
        kept["captions"] = captions
    if item.part != native.part:
        kept["part"] = item.part
    stated = {kind: key for kind, key in item.groups.items() if kind in GROUP_KINDS and key.strip()}
    if item.video_id is not None:
        stated.setdefault("source", item.video_id)
    if groups := {kind: key for kind, key in stated.items() if native.groups.get(kind) != key}:
        kept["groups"] = groups
    if attributes := {name: text for name, text in item.attributes.items() if native.attributes.get(name) != text}:
        kept["attributes"] = attributes
    if item.captured_at and item.captured_at != native.captured_at:
        kept["captured_at"] = item.captured_at
    if item.video_path is not None:
        kept["parent_path"] = relative_path(item.video_path, folder)
    if item.frame_index is not None:
        kept["frame_index"] = item.frame_index
    if item.time_s is not None:
        kept["time_s"] = item.time_s
    return kept


def _labels_of(item: OutItem, native: Record, classes: Sequence[str]) -> dict[str, Any]:
    """Return the fields for labels, empty where the format's own fields already say the same."""
    derived = {claim.class_name: claim.state for claim in complete_claims(native, classes)}
    confidence = {name: value for name, value in item.confidence.items() if name in item.states and value != 1.0}
    if derived == dict(item.states) and not confidence:
        return {}
    is_complete = set(classes) <= item.states.keys()
    kept: dict[str, Any] = {
        "labels": {
            name: state
            for name, state in item.states.items()
            if not (is_complete and name in classes and state == "absent" and name not in confidence)
        }
    }
    if is_complete:
        kept["is_complete"] = True
    if confidence:
        kept["confidence"] = confidence
    return kept


def with_extras(record: Record, entry: Mapping[str, Any]) -> Record:
    """Return a record with what the ``mekiki`` object of its entry says put over it.

    Groups and attributes are joined with the record's own; everything else takes the place of the record's.

    Raises:
        ValueError: If the object is broken; the message names the field.
    """
    if KEY not in entry:
        return record
    kept = entry[KEY]
    if not isinstance(kept, dict):
        raise ValueError(f"its field {KEY!r} should be an object, and is {kind_of(kept)}")
    try:
        return replace(record, **_read(record, kept))
    except ValueError as error:
        raise ValueError(f"its field {KEY!r} is broken: {error}") from error


def _read(record: Record, kept: Mapping[str, Any]) -> dict[str, Any]:
    """Return the record's fields that change."""
    changed: dict[str, Any] = {}
    if "labels" in kept:
        confidence = {name: share(value) for name, value in _object(kept, "confidence").items()}
        changed["labels"] = tuple(
            LabelClaim(_class(name), _state(name, state), confidence.get(name, 1.0))
            for name, state in _object(kept, "labels").items()
        )
        changed["is_complete"] = kept.get("is_complete") is True
    if "boxes" in kept:
        changed["boxes"] = tuple(_box(one) for one in _list(kept, "boxes"))
    if "captions" in kept:
        changed["captions"] = tuple(_text(one, "captions") for one in _list(kept, "captions"))
    if "part" in kept:
        changed["part"] = None if kept["part"] is None else _text(kept["part"], "part")
    if "groups" in kept:
        groups = _object(kept, "groups")
        if wrong := sorted(groups.keys() - set(GROUP_KINDS)):
            raise ValueError(f"no kind of group is called {show(wrong[0])}. Known: {', '.join(GROUP_KINDS)}")
        changed["groups"] = {**record.groups, **{kind: _text(key, "groups") for kind, key in groups.items()}}
    if "attributes" in kept:
        own = {_text(name, "attributes"): str(text) for name, text in _object(kept, "attributes").items()}
        if not all(text.isascii() or is_text(text) for text in own.values()):
            raise ValueError("attributes hold text that cannot be stored")
        changed["attributes"] = {**record.attributes, **own}
    for name in _TEXTS:
        if name in kept:
            changed[name] = _text(kept[name], name)
    if "frame_index" in kept:
        changed["frame_index"] = frame_index(kept["frame_index"])
    if "time_s" in kept:
        changed["time_s"] = number(kept["time_s"])
    return changed


def own_header(format_name: str, classes: Sequence[str]) -> dict[str, Any]:
    """Return what stands at the top of a file of ours."""
    return {KEY: {"format": format_name, "classes": list(classes)}}


def own_format(text: str) -> str | None:
    """Return the format that a file of ours names in its beginning; None for files of others."""
    found = _OWN_FORMAT.search(text)
    return found[1] if found else None


def classes_of(document: Mapping[str, Any], path: Path) -> list[str] | None:
    """Return the class list that one of our own files keeps at its top; None in files of others.

    Raises:
        UsageError: If it is there and no list of names.
    """
    kept = document.get(KEY)
    if not isinstance(kept, dict) or "classes" not in kept:
        return None
    try:
        return [_class(name) for name in _list(kept, "classes")]
    except ValueError as error:
        raise UsageError(f"{path}: its field {KEY!r} is broken: {error}") from error


def without_answers(item: OutItem) -> OutItem:
    """Return an item without labels, boxes and captions: what a skeleton that people fill in starts from."""
    return replace(item, states={}, confidence={}, boxes=(), captions=())


def _state(name: str, state: object) -> LabelState:
    if not isinstance(state, str) or state not in _STATES:
        raise ValueError(f"class {show(name)} cannot be {show(state)}. Known: {', '.join(_STATES)}")
    return cast(LabelState, state)


def _box(value: object) -> BoxClaim:
    if not isinstance(value, dict):
        raise ValueError(f"boxes should hold objects, not {show(value)}")
    return BoxClaim(
        _class(value.get("class")),
        corners(value.get("xyxy")),
        share(value.get("score", 1.0)),
        value.get("is_relative") is True,
    )


def _object(kept: Mapping[str, Any], key: str) -> dict[str, Any]:
    value = kept.get(key, {})
    if not isinstance(value, dict):
        raise ValueError(f"{key!r} should be an object, and is {kind_of(value)}")
    return value


def _list(kept: Mapping[str, Any], key: str) -> list[Any]:
    if not isinstance(kept[key], list):
        raise ValueError(f"{key!r} should be a list, and is {kind_of(kept[key])}")
    return cast(list[Any], kept[key])


def _class(value: object) -> str:
    return clean_name(_text(value, "class"))


def _text(value: object, key: str) -> str:
    if not is_text(value):
        raise ValueError(f"{key!r} should hold text, not {show(value)}")
    return cast(str, value)
