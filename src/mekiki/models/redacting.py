"""Text of a server as it may be kept and shown: no keys, no pictures that it repeats, nothing that is no Unicode."""

from __future__ import annotations

import re
from collections.abc import Iterable

MIN_SECRET = 8
"""Shorter keys, such as ``none``, are words, and would be cut out of answers."""

MIN_PICTURE = 200
"""Characters of base64 that are no word any more."""

_BASE64 = r"(?:[A-Za-z0-9+/_-]|\\+/){16,}=*"
_BREAK = r"(?:\s|\\+[nrt]|\\+u000[9ad])+"
_PICTURE = re.compile(rf"(?:data:image\\*/\w+;base64,)?{_BASE64}(?:{_BREAK}{_BASE64})*", re.IGNORECASE)
_CREDENTIALS = re.compile(r"\b(?:bearer|basic)\s+[\w.~+/=-]{20,}", re.IGNORECASE)


class Redactor:
    """Leaves out what a server repeats of our keys and pictures.

    Args:
        secrets: What must never be kept or shown, however JSON writes it.
    """

    def __init__(self, secrets: Iterable[str]) -> None:
        found = sorted({one for one in secrets if len(one) >= MIN_SECRET}, key=len, reverse=True)
        self._secrets = re.compile("|".join(map(_as_json_writes, found))) if found else None

    def clean(self, text: str) -> str:
        r"""Return text without them; half a surrogate pair becomes U+FFFD.

        Example:
            >>> Redactor(["sk-12345"]).clean("my sk-12345, my \\u0073k-12345, \ud800")
            'my [key], my [key], \ufffd'
        """
        text = whole_text(text)
        if self._secrets is not None:
            text = self._secrets.sub("[key]", text)
        return _PICTURE.sub(_unless_short, _CREDENTIALS.sub("[key]", text))


def whole_text(text: str) -> str:
    r"""Return text that is Unicode: JSON can hold half a surrogate pair, which no file and no database takes.

    Example:
        >>> whole_text("fox \ud83e\udd8a and half of one: \ud83e")
        'fox 🦊 and half of one: \ufffd'
    """
    if text.isascii():
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def _as_json_writes(secret: str) -> str:
    r"""Return a pattern for a secret in which any character may be written as ``\u0073`` or, in JSON in JSON, more."""
    return "".join(rf"(?:\\*{re.escape(one)}|\\+u(?i:{ord(one):04x}))" for one in secret)


def _unless_short(found: re.Match[str]) -> str:
    return "[picture]" if len(found[0]) >= MIN_PICTURE else found[0]
