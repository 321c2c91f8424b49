"""Single cells of a label table: parts, times, numbers, confidences. An empty cell never comes here."""

from __future__ import annotations

import json
import re
from datetime import datetime

from mekiki.dataset.formats.label_text import clean_name, parse_list

_PARTS = {"training": "train", "validation": "val", "valid": "val", "dev": "val", "testing": "test"}
_TIME = re.compile(
    r"(\d{4})[-/:.](\d{1,2})[-/:.](\d{1,2})[ T](\d{1,2}):(\d{2})(?::(\d{2}))?(?:\.\d+)?\s*(?:Z|[+-]\d{2}:?\d{2})?"
)


def part_name(text: str) -> str | None:
    """Return a part as we spell it: ``validation``, ``valid`` and ``dev`` are ``val``, ``training`` is ``train``.

    Example:
        >>> part_name("Validation"), part_name("Testing"), part_name("fold3"), part_name("")
        ('val', 'test', 'fold3', None)
    """
    text = text.strip()
    lower = text.casefold()
    return (_PARTS.get(lower) or (lower if lower in ("train", "val", "test") else text)) or None


def local_time(text: str) -> str | None:
    """Return a time as ``YYYY-MM-DD HH:MM:SS``; None if it is none, or its order of day and month is a guess.

    Fractions of seconds are cut off and a time zone is left out: cameras write local time.

    Example:
        >>> local_time("2024:05:01 06:07:08"), local_time("2024-05-01T06:07+09:00"), local_time("1/5/2024 6:07")
        ('2024-05-01 06:07:08', '2024-05-01 06:07:00', None)
    """
    match = _TIME.fullmatch(text.strip())
    if match is None:
        return None
    year, month, day, hour, minute, second = (int(number or 0) for number in match.groups())
    try:
        return datetime(year, month, day, hour, minute, second).isoformat(" ")
    except ValueError:
        return None


def caption_list(text: str) -> tuple[str, ...]:
    """Return the captions in one cell: a JSON list of them, or one.

    Raises:
        ValueError: If the list holds more than text.

    Example:
        >>> caption_list('["A cat.", "It sleeps."]'), caption_list("A cat; a dog.")
        (('A cat.', 'It sleeps.'), ('A cat; a dog.',))
    """
    listed = parse_list(text) if text.startswith("[") else None
    return (text,) if listed is None else tuple(clean_name(caption) for caption in listed)


def confidence_of(text: str) -> float | dict[str, float]:
    """Return the confidence of a whole row, or of each class that a JSON object names.

    Raises:
        ValueError: If it is no number from 0 to 1.

    Example:
        >>> confidence_of("0.5"), confidence_of('{"cat": 1}')
        (0.5, {'cat': 1.0})
    """
    try:
        value = json.loads(text)
        if isinstance(value, dict):
            return {clean_name(name): _share(share) for name, share in value.items()}
        return _share(value)
    except (ValueError, TypeError, RecursionError) as error:
        raise ValueError(f"its confidence {text[:40]!r} is no number from 0 to 1") from error


def frame_index_of(text: str) -> int | None:
    """Return a frame's index; None for the negative ones that say: a still.

    Raises:
        ValueError: If it is no whole number.

    Example:
        >>> frame_index_of("45"), frame_index_of("90.0"), frame_index_of("-1")
        (45, 90, None)
    """
    try:
        number = int(text.removesuffix(".0"))
    except ValueError as error:
        raise ValueError(f"its frame index {text[:40]!r} is no whole number") from error
    return number if number >= 0 else None


def seconds_of(text: str) -> float | None:
    """Return a time in seconds; None for the negative ones that say: a still.

    Raises:
        ValueError: If it is no number, or infinite.
    """
    try:
        number = float(text)
    except ValueError as error:
        raise ValueError(f"its time {text[:40]!r} is no number of seconds") from error
    if not number < float("inf"):
        raise ValueError(f"its time {text[:40]!r} is no number of seconds")
    return number if number >= 0 else None


def _share(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= 1:
        raise ValueError(value)
    return float(value)
