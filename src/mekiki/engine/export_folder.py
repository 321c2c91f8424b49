"""The folder that an export fills: a user's own files are never replaced unasked, and nobody sees half of it."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from mekiki.dataset.formats.base import plain_path
from mekiki.errors import UsageError

MARKER = ".mekiki-export"
"""Says that a folder was written by us, so that it may be replaced."""


def output_folder(given: Path | None, usual: Path, used: Iterable[Path], *, overwrite: bool) -> Path:
    """Return where to write; a folder of the user's is not replaced unless asked, one with what we read never.

    Args:
        given: What the user said; None takes the usual one.
        usual: In the workspace.
        used: The workspace and all files that go out.
        overwrite: Whether a folder that holds something may be replaced.

    Raises:
        UsageError: If it may not be written to.
    """
    if given is None:
        return usual
    folder = plain_path(given.expanduser())
    inside = next((path for path in used if path.is_relative_to(folder)), None)
    if inside is not None:
        raise UsageError(f"{folder} would be replaced, and {inside} is in it: give another folder with --output FOLDER")
    blocking = next((path for path in (folder, *folder.parents) if path.exists() and not path.is_dir()), None)
    if blocking is not None:
        raise UsageError(f"{blocking} is a file: give a folder with --output FOLDER")
    is_ours = (folder / MARKER).exists()
    if folder.is_dir() and any(folder.iterdir()) and not is_ours and not overwrite:
        raise UsageError(f"{folder} is not empty: give another with --output FOLDER, or --overwrite to replace it")
    return folder


@contextmanager
def replaced(folder: Path) -> Iterator[Path]:
    """Give a new folder to write to, and put it in the place of another as nearly at once as a file system can.

    It lies beside the other, so that relative paths mean the same; if writing fails, nothing is left of it.
    """
    part, old = (folder.with_name(f".{folder.name}.mekiki-{what}") for what in ("part", "old"))
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    try:
        yield part
        (part / MARKER).write_text("This folder was written by mekiki export, which replaces it when run again.\n")
        shutil.rmtree(old, ignore_errors=True)
        if folder.exists():
            folder.rename(old)
        part.rename(folder)
    finally:
        shutil.rmtree(part, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)
