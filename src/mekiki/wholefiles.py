"""Writing a file so that whoever looks sees all of it or what was there before."""

from __future__ import annotations

from pathlib import Path


def write_whole(path: Path, content: bytes) -> Path:
    """Write a file under a temporary name beside it, then give it its own; its folder is made.

    The temporary name depends on the file's name only, so that a killed program leaves nothing that its next run does
    not take over.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder:
        ...     write_whole(Path(folder) / "new" / "a.txt", b"hello").read_text()
        'hello'
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.part")
    part.write_bytes(content)
    return part.replace(path)
