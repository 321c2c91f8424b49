"""Items to write in every format, and what a sheet says of each file in a form that can be compared."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mekiki.dataset.formats.base import OutItem, Sheet, complete_claims, resolve_path
from mekiki.dataset.ids import hash_file


def make_item(path: Path, content: str | None = None, **fields: Any) -> OutItem:
    """Return an item whose file holds a few bytes; formats never decode it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content or str(path))
    return OutItem(
        item_id=hash_file(path), kind=fields.pop("kind", "image"), path=path, width_px=64, height_px=48, **fields
    )


def single_label_items(folder: Path) -> list[OutItem]:
    """Return items with one class or none, in two parts, with names that are hard on file systems."""
    return [
        make_item(folder / "a/1.jpg", states=states(present="タヌキ"), part="train"),
        make_item(folder / "b/1.jpg", states=states(present="fox, red"), part="train"),
        make_item(folder / "b/写真 2.png", states=states(present="a/b"), part="val"),
        make_item(folder / "=cmd.jpg", states=states(), part="val", attributes={"reason": "=SUM(A1)"}),
    ]


CLASSES = ("タヌキ", "fox, red", "a/b", "never seen")
"""Not sorted, with a separator, and with one that no item has."""


def states(present: str = "", unsure: str = "", without: str = "") -> dict[str, Any]:
    """Return the states of all classes but one."""
    found = dict.fromkeys(CLASSES, "absent") | ({present: "present"} if present else {})
    found |= {unsure: "unsure"} if unsure else {}
    return {name: state for name, state in found.items() if name != without}


def hard_items(folder: Path) -> list[OutItem]:
    """Return items in every state of being labelled."""
    several = states(present="タヌキ") | {"fox, red": "present"}
    video = folder / "clips/c 1.mp4"
    video.parent.mkdir(parents=True, exist_ok=True)
    video.write_text("clip")
    return [
        *single_label_items(folder),
        make_item(folder / "c/two.jpg", states=several, part="train", confidence={"タヌキ": 0.5, "fox, red": 0.75}),
        make_item(folder / "c/unsure.jpg", states=states(present="タヌキ", unsure="a/b")),
        make_item(folder / "c/only unsure.jpg", states=states(unsure="a/b")),
        make_item(folder / "c/partly.jpg", states=states(without="never seen"), part="test"),
        make_item(folder / "c/not asked.jpg", attributes={"reason": '-- \', "x"\nnext', "label": "kept"}),
        make_item(
            folder / "frames/c_45.jpg",
            kind="frame",
            states=states(present="タヌキ"),
            part="test",
            groups={"site": "A", "camera": "@7", "source": "clip-1"},
            captured_at="2024-05-01 06:07:08",
            video_path=video,
            frame_index=45,
            time_s=1.5015,
        ),
    ]


def said(sheet: Sheet) -> dict[str, tuple[Mapping[str, str], str | None]]:
    """Return what a sheet says: content id of the file to its states and part."""
    return {
        hash_file(resolve_path(record.path, sheet.base, allow_outside=True)): (
            {claim.class_name: claim.state for claim in complete_claims(record, sheet.classes)},
            record.part,
        )
        for record in sheet.records
    }


def meant(items: list[OutItem]) -> dict[str, tuple[Mapping[str, str], str | None]]:
    """Return the same of the items that were written."""
    return {item.item_id: (dict(item.states), item.part) for item in items}
