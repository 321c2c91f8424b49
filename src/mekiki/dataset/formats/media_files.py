"""Pictures on their way out: which names they get in an export, and how they get there."""

from __future__ import annotations

import os
import shutil
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path, PurePath

from mekiki.dataset.formats.base import OutItem, WriteOptions
from mekiki.dataset.ids import safe_name
from mekiki.errors import UnreadableError, UsageError
from mekiki.records import IMAGE_SUFFIXES, VECTOR_SUFFIXES, VIDEO_SUFFIXES
from mekiki.wholefiles import write_whole

MEDIA_MODES = ("reference", "copy", "link")
"""What ``WriteOptions.media`` may be."""


def is_media_name(name: str) -> bool:
    """Return whether a file name is that of a picture, video or vector, going by its suffix; hidden files are not.

    Example:
        >>> is_media_name("cat.JPG"), is_media_name("._cat.jpg"), is_media_name("labels.csv")
        (True, False, False)
    """
    suffix = PurePath(name).suffix.lower()
    return not name.startswith(".") and suffix in IMAGE_SUFFIXES | VIDEO_SUFFIXES | VECTOR_SUFFIXES


def in_images(item: OutItem) -> str:
    """Return ``images``: where pictures go if a format has no rule of its own."""
    return "images"


def place_media(
    items: Sequence[OutItem],
    folder: Path,
    options: WriteOptions,
    *,
    subfolder: Callable[[OutItem], str] = in_images,
    must_place: bool = False,
) -> dict[str, str]:
    """Put the files of all items where ``options.media`` says and return how each is written down.

    Crops have no file: they are always cut out as JPEG. The stem of the original file stays readable. Files of one
    folder whose names are equal but for case all get the beginning of their id, so the order of items never matters.
    A file appears under its final name only when it is complete.

    Args:
        items: Each with the file it is now; an item that occurs twice is placed once.
        folder: The export's folder.
        options: ``media`` is ``reference`` (nothing is placed), ``copy`` or ``link`` (hard link, else copy).
        subfolder: Item to folder inside ``folder``, with slashes; every part of it made by `safe_name`, or empty.
        must_place: The format is a folder of pictures: ``reference`` then acts as ``link``.

    Returns:
        Item id to path with slashes, relative to ``folder``; absolute where no relative path exists (another drive).

    Raises:
        UsageError: If ``options.media`` is no such word.
        UnreadableError: If a file is gone or cannot be read.
        ValueError: If there are crops and no ``options.cut``.
    """
    if options.media not in MEDIA_MODES:
        raise UsageError(f"media cannot be {options.media!r}. Known: {', '.join(MEDIA_MODES)}.")
    by_id = {item.item_id: item for item in items}
    stay = {} if must_place or options.media != "reference" else {key: one for key, one in by_id.items() if not one.box}
    placed = {key: one for key, one in by_id.items() if key not in stay}
    written = _choose_names(placed, subfolder)
    for item in sorted(placed.values(), key=lambda one: (one.path, one.item_id)):  # a picture's crops one by one
        target = folder / written[item.item_id]
        if item.box is None:
            _place(item.path, target, is_link=options.media != "copy")
        elif options.cut is None:
            raise ValueError(f"options.cut must be given to write crops, got None for {item.item_id}")
        else:
            write_whole(target, options.cut(item))
    return written | {key: relative_path(one.path, folder) for key, one in stay.items()}


def relative_path(path: Path, folder: Path) -> str:
    """Return ``path`` as seen from ``folder``, with slashes; absolute if it is on another drive."""
    try:
        return PurePath(os.path.relpath(path, folder)).as_posix()
    except ValueError:
        return path.absolute().as_posix()


def _choose_names(items: dict[str, OutItem], subfolder: Callable[[OutItem], str]) -> dict[str, str]:
    """Return item id to a path inside the export that is unique even where case does not count."""
    plain: dict[str, str] = {}
    for item_id, item in items.items():
        place = subfolder(item)
        plain[item_id] = f"{place}/{safe_name(item.file_name)}" if place else safe_name(item.file_name)
    chosen = dict(plain)
    for n_digits in (8, None):
        uses = Counter(path.casefold() for path in chosen.values())
        for item_id, path in plain.items():
            if uses[chosen[item_id].casefold()] > 1:
                pure = PurePath(path)
                chosen[item_id] = pure.with_stem(f"{pure.stem}_{item_id[:n_digits]}").as_posix()
    return chosen


def _place(source: Path, target: Path, *, is_link: bool) -> None:
    """Link or copy one file, under a temporary name until it is complete."""
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f"{target.name}.part")
    part.unlink(missing_ok=True)
    if is_link:
        try:
            part.hardlink_to(source.resolve())
        except OSError:  # another disk, a file system without links, too many links: a copy is as good
            is_link = False
    if not is_link:
        try:
            shutil.copyfile(source, part)
        except OSError as error:
            part.unlink(missing_ok=True)
            raise UnreadableError(source, f"cannot be copied to {target}: {error.strerror or error}") from error
    part.replace(target)
    part.unlink(missing_ok=True)  # renaming does nothing where both are links to one file already
