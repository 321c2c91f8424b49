"""Looking whether a file is there by a name that may be anything: too long, with a zero byte, behind a locked door."""

from __future__ import annotations

from pathlib import Path


def has_file(path: Path) -> bool:
    """Return whether a path is a file; False too if the system refuses to say."""
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


def has_folder(path: Path) -> bool:
    """Return whether a path is a folder; False too if the system refuses to say."""
    try:
        return path.is_dir()
    except (OSError, ValueError):
        return False
