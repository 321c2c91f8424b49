"""What one file is: its id, its kind, its size and time, and the hash by which near-duplicates are found."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from stat import S_ISDIR, S_ISREG

from mekiki.dataset.formats.npy import read_vector, split_row
from mekiki.dataset.hashes import PictureHash, hash_picture
from mekiki.dataset.ids import content_id, hash_file, vector_id
from mekiki.errors import UnreadableError, shown_path
from mekiki.media.images import decode_image, read_exif, read_picture_bytes
from mekiki.media.kinds import HEAD_BYTES, sniff_kind
from mekiki.media.video import probe_video
from mekiki.records import Item, ItemKind

HASH_SIDE_PX = 128
"""Short side to which a JPEG may be decoded for its hash: four times the thumbnail's."""


@dataclass(frozen=True, slots=True)
class FileFacts:
    """What reading a whole file once tells. Videos and vectors have no hash; pictures have no duration."""

    item_id: str
    kind: ItemKind
    width_px: int
    height_px: int
    format: str
    size_bytes: int
    mtime_ns: int
    captured_at: str | None = None
    camera_model: str | None = None
    duration_s: float | None = None
    fps: float | None = None
    n_frames: int | None = None
    picture_hash: PictureHash | None = None


def examine_file(path: Path, *, allow_truncated: bool = False) -> FileFacts:
    """Read a file once and say what it is.

    Args:
        path: A photo or a video; its content decides which, not its name.
        allow_truncated: Take a JPEG whose end is missing as far as it goes.

    Raises:
        UnreadableError: If it is neither, or broken.
    """
    size_bytes, mtime_ns, kind = look_at(path)
    if kind == "video":
        return _examine_video(path, size_bytes, mtime_ns)
    content = read_picture_bytes(path)
    decoded = decode_image(content, path, at_least_px=HASH_SIDE_PX, allow_truncated=allow_truncated)
    exif = read_exif(content)
    return FileFacts(
        item_id=content_id(content),
        kind="image",
        width_px=decoded.width_px,
        height_px=decoded.height_px,
        format=decoded.format_name,
        size_bytes=len(content),
        mtime_ns=mtime_ns,
        captured_at=exif.captured_at,
        camera_model=exif.camera,
        picture_hash=hash_picture(decoded.pixels),
    )


def unchanged_path(item: Item) -> Path:
    """Return where an item's bytes are, if they are still those that were ingested; of a row of a matrix, its place.

    Those of a crop are its parent's.

    A file whose size and time are as they were is trusted; one that was only touched is read and compared.

    Raises:
        UnreadableError: If the file is gone or holds something else now.
    """
    if item.path is None:
        raise UnreadableError(item.item_id, "its picture is cut from its parent; it has no file")
    try:
        now = split_row(item.path)[0].stat()
    except OSError as error:
        is_ours = item.size_bytes is None
        cure = (
            "mekiki forget the run that made it, and run that again"
            if is_ours
            else "bring it back, or ingest its new place"
        )
        raise UnreadableError(item.path, f"gone since ingest: {cure}") from error
    if item.size_bytes is None or (now.st_size, now.st_mtime_ns) == (item.size_bytes, item.mtime_ns):
        return item.path
    owner = item.parent_id if item.kind == "crop" else item.item_id
    if now.st_size != item.size_bytes or _content_id(item) != owner:
        raise UnreadableError(item.path, "changed since ingest: mekiki ingest it again")
    return item.path


def look_at(path: Path) -> tuple[int, int, str]:
    """Return size, time and kind of a file, which is told from its first bytes.

    Raises:
        UnreadableError: If it is no file, empty, or neither a photo nor a video.
    """
    if shown_path(path) != str(path):
        raise UnreadableError(shown_path(path), "its name is no UTF-8 text: rename it")
    try:
        status = path.stat()
        if not (S_ISREG(status.st_mode) or S_ISDIR(status.st_mode)):
            raise UnreadableError(path, "neither a file nor a folder, but a pipe or a device")
        with path.open("rb") as file:
            head = file.read(HEAD_BYTES)
    except FileNotFoundError as error:
        raise UnreadableError(path, "no such file") from error
    except OSError as error:
        raise UnreadableError(path, error.strerror or str(error)) from error
    if not head:
        raise UnreadableError(path, "empty file (0 bytes)")
    kind = sniff_kind(head)
    if kind is None:
        raise UnreadableError(path, "wrongly named: its content is no known format of photo or video")
    return status.st_size, status.st_mtime_ns, kind


def _content_id(item: Item) -> str:
    """Return the id that an item's file gives now."""
    path, row = split_row(item.path or "")
    return vector_id(read_vector(path, row)) if item.kind == "vector" else hash_file(path)


def _examine_video(path: Path, size_bytes: int, mtime_ns: int) -> FileFacts:
    facts = probe_video(path)
    return FileFacts(
        item_id=hash_file(path),
        kind="video",
        width_px=facts.width_px,
        height_px=facts.height_px,
        format=facts.codec,
        size_bytes=size_bytes,
        mtime_ns=mtime_ns,
        captured_at=facts.captured_at,
        duration_s=facts.duration_s,
        fps=facts.fps,
        n_frames=facts.n_frames,
    )
