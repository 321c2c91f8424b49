"""Files that a user asks for outside the workspace: whose they are, before they are written over."""

from __future__ import annotations

from pathlib import Path

from mekiki.errors import UsageError


def check_output(path: Path, sign: str, flag: str) -> Path:
    """Return the absolute path of a file that is about to be written, unless something else would be lost.

    Args:
        path: As the user gave it.
        sign: Text near the beginning of every file of this kind that we write: only such a file is replaced.
        flag: What the user would type to give another file.

    Raises:
        UsageError: If it is a folder or somebody's file, or its folder cannot be made.
    """
    path = path.expanduser().absolute()
    try:
        if path.is_dir():
            raise UsageError(f"{path} is a folder: give a file with {flag}")
        if not path.name:
            raise UsageError(f"{path} is no file: give one with {flag}")
        if path.exists() and sign.encode() not in path.read_bytes()[:100_000]:
            raise UsageError(f"{path} is another file and would be lost: give a new one with {flag}")
        above = next(folder for folder in path.parents if folder.exists())
        if not above.is_dir():
            raise UsageError(f"cannot write {path}: {above} is no folder. Give another file with {flag}")
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error.strerror or error}. Give another file with {flag}") from error
    return path
