"""Ids made from content, and the only way from any text to a file name.

Every id is the first 32 hex digits of a SHA-256. Nothing here depends on a path, a time or an order.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping
from fractions import Fraction
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from mekiki.errors import UnreadableError

ID_LENGTH = 32
"""Hex digits of an id."""

MODEL_ID_LENGTH = 16
"""Hex digits of the id of a model's file, and of what stands for scores."""

MAX_NAME_BYTES = 120
"""Longest file name that `safe_name` makes, in UTF-8 bytes; file systems take 255, and callers add to it."""

_BLOCK_BYTES = 1 << 20
_CROP_STEPS_PER_PX = 16
_MARK_LENGTH = 8

_FORBIDDEN = frozenset('\\/:*?"<>|')
_WINDOWS_DEVICE = re.compile(r"(con|prn|aux|nul|conin\$|conout\$|(com|lpt)[0-9¹²³])\s*(\.|$)", re.IGNORECASE)
_MARKED = re.compile(r"~[0-9a-f]{8}(\.[0-9A-Za-z]{1,8})?$")


class Hasher(Protocol):
    """What `hashlib.sha256` returns."""

    def hexdigest(self) -> str:
        """Return the digest of what was fed so far, as hex."""
        ...


def content_id(content: bytes | Hasher) -> str:
    """Return the id of a file's bytes, or of the SHA-256 hasher that has seen them.

    Example:
        >>> content_id(b"")
        'e3b0c44298fc1c149afbf4c8996fb924'
    """
    hasher = hashlib.sha256(content) if isinstance(content, bytes) else content
    return hasher.hexdigest()[:ID_LENGTH]


def hash_file(path: Path) -> str:
    """Return the id of a file's content, read block by block.

    Raises:
        UnreadableError: If the file cannot be read.
    """
    hasher = hashlib.sha256()
    try:
        with path.open("rb") as file:
            while block := file.read(_BLOCK_BYTES):
                hasher.update(block)
    except OSError as error:
        raise UnreadableError(path, error.strerror or str(error)) from error
    return content_id(hasher)


def vector_id(vector: NDArray[np.float32]) -> str:
    """Return the id of a vector ``(D,)``: of its numbers as float32, whatever file they came in.

    0.0 and -0.0 are different here; what `mekiki.dataset.formats.npy` reads has none of the latter.
    """
    return content_id(b"vector\0float32\0" + np.ascontiguousarray(vector, "<f4").tobytes())


def frame_id(video_id: str, pts: int, time_base: Fraction) -> str:
    """Return the id of a frame: its video, its integer presentation stamp and the stamp's unit in seconds."""
    return _derived_id("frame", video_id, pts, time_base.numerator, time_base.denominator)


def crop_id(parent_id: str, box: Iterable[float]) -> str:
    """Return the id of a crop: its parent and its box in pixels, rounded to 1/16 px.

    Args:
        parent_id: The picture that it is cut from.
        box: ``x_min, y_min, x_max, y_max`` in pixels; halves of a step round up.

    Raises:
        ValueError: If the box has not four finite numbers.

    Example:
        >>> crop_id("a", (0, 0, 10, 10)) == crop_id("a", (0.01, -0.01, 10, 10))
        True
    """
    numbers = [float(number) for number in box]
    if len(numbers) != 4 or not all(math.isfinite(number) for number in numbers):
        raise ValueError(f"box must be four finite numbers x_min, y_min, x_max, y_max, got {numbers}")
    return _derived_id("crop", parent_id, *(math.floor(number * _CROP_STEPS_PER_PX + 0.5) for number in numbers))


def variant_id(parent_id: str, operation: str, parameters: Mapping[str, object]) -> str:
    """Return the id of a changed picture: its parent, what was done, and with which settings.

    Args:
        parent_id: The picture that was changed.
        operation: What was done, such as ``flip``.
        parameters: What JSON can hold; the order of keys does not matter.

    Raises:
        ValueError: If a parameter is NaN or infinite.
        TypeError: If a parameter is nothing that JSON can hold.
    """
    return _derived_id("variant", parent_id, operation, dict(parameters))


def draw_lot(seed: int, item_id: str) -> str:
    """Return the lot that an item draws: those with the smallest are taken by chance, whatever other items there are.

    Example:
        >>> draw_lot(1, "a") == draw_lot(1, "a"), draw_lot(1, "a") == draw_lot(2, "a")
        (True, False)
    """
    return hashlib.sha256(f"{seed}:{item_id}".encode()).hexdigest()


def _derived_id(*what: object) -> str:
    """Return the id of a list of values, told apart by type and position."""
    text = json.dumps(what, sort_keys=True, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return content_id(text.encode())


def safe_name(text: str, *, max_bytes: int = MAX_NAME_BYTES) -> str:
    r"""Return a file or folder name for any text, on any system; Japanese and other letters stay.

    The name is in Unicode's composed form (NFC). Separators, characters that a system forbids, control and invisible
    characters become ``_``; blanks and dots at the ends go. A name that had to be changed, that is a Windows device,
    that is too long or that looks like such a name ends in ``~`` and the beginning of the text's hash, so that two
    texts do not share a name. (Names that differ in case only are one name on some systems: see `safe_names`.)

    Args:
        text: Anything, such as a class name or a file name; a suffix stays at the end.
        max_bytes: Longest name in UTF-8 bytes; at least 32.

    Raises:
        ValueError: If ``max_bytes`` is below 32.

    Example:
        >>> safe_name("タヌキ"), safe_name("Fox, red.jpg"), safe_name("../etc")
        ('タヌキ', 'Fox, red.jpg', '_etc~f7f9121f')
    """
    if max_bytes < 32:
        raise ValueError(f"max_bytes must be at least 32, got {max_bytes}")
    wanted = unicodedata.normalize("NFC", text)
    name = "".join("_" if _is_forbidden(character) else character for character in wanted)
    name = name.strip().lstrip(".").rstrip(". ").strip()
    is_good = name == wanted and not _WINDOWS_DEVICE.match(name) and not _MARKED.search(name)
    return name if name and is_good and len(name.encode()) <= max_bytes else _marked(name, wanted, max_bytes)


def safe_names(texts: Iterable[str]) -> dict[str, str]:
    """Return each text with a name that no other has, not even where upper and lower case are the same.

    Example:
        >>> safe_names(["Cat", "dog"])
        {'Cat': 'Cat', 'dog': 'dog'}
    """
    names = {text: safe_name(text) for text in texts}
    uses = Counter(name.casefold() for name in names.values())
    return {
        text: name if uses[name.casefold()] == 1 else _marked(name, text, MAX_NAME_BYTES)
        for text, name in names.items()
    }


def _is_forbidden(character: str) -> bool:
    """Whether a character is a separator, forbidden on some system, or a control, format or surrogate character."""
    return character in _FORBIDDEN or unicodedata.category(character) in ("Cc", "Cf", "Cs", "Zl", "Zp")


def _marked(name: str, text: str, max_bytes: int) -> str:
    """Return the name with the beginning of the text's hash before its suffix, cut to fit."""
    mark = "~" + hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:_MARK_LENGTH]
    found = re.search(r"(?<=.)\.[0-9A-Za-z]{1,8}$", name)
    suffix = found.group() if found else ""
    stem = name.removesuffix(suffix)
    if not stem or _WINDOWS_DEVICE.match(stem):
        stem = f"_{stem}"
    room = max_bytes - len(mark) - len(suffix)
    return f"{stem.encode()[:room].decode(errors='ignore')}{mark}{suffix}"
