"""Strings from outside made safe to show: nothing invisible, nothing that reorders or hides other text.

Class names, file names and failure reasons come from other people's files. HTML escaping is the template's work;
here are the characters that escaping leaves alone.
"""

from __future__ import annotations

import unicodedata

# Joiners that real writing needs: emoji families, Persian, Indic scripts.
_KEPT_FORMAT_CHARACTERS = frozenset("\u200c\u200d")

_SCRIPT_LANGUAGES = (
    ("ja", 0x3040, 0x30FF),
    ("ja", 0x31F0, 0x31FF),
    ("ja", 0xFF66, 0xFF9F),
    ("ko", 0xAC00, 0xD7AF),
    ("ko", 0x1100, 0x11FF),
    ("th", 0x0E00, 0x0E7F),
)


def plain_text(text: str) -> str:
    r"""Return the text with every control and direction character replaced by a visible mark.

    Control characters, direction overrides, lone surrogates (file names that are no UTF-8) and invisible format
    characters become ``‹U+202E›``; line breaks and tabs stay. The result can always be written as UTF-8.

    Example:
        >>> plain_text("cat\u202egpj.exe")
        'cat‹U+202E›gpj.exe'
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(_visible(character) for character in text)


def one_line(text: str) -> str:
    """Return `plain_text` with every run of white space as one space, for titles and labels."""
    return plain_text(" ".join(text.split()))


def shorten(text: str, max_characters: int) -> str:
    """Return the text, or its beginning with an ellipsis where it is longer than ``max_characters``.

    Raises:
        ValueError: If ``max_characters`` is below 1.

    Example:
        >>> shorten("ホンドタヌキ", 4)
        'ホンド…'
    """
    if max_characters < 1:
        raise ValueError(f"max_characters must be at least 1, got {max_characters}")
    return text if len(text) <= max_characters else text[: max_characters - 1].rstrip() + "…"


def language_of(text: str) -> str | None:
    """Return the language that the text's script tells (``ja``, ``ko``, ``th``), or None where it tells none.

    Han characters alone tell none: they may be Japanese or Chinese.
    """
    for character in text:
        code = ord(character)
        if code < 0x0E00:
            continue
        for language, first, last in _SCRIPT_LANGUAGES:
            if first <= code <= last:
                return language
    return None


def _visible(character: str) -> str:
    if character in "\n\t" or character in _KEPT_FORMAT_CHARACTERS:
        return character
    if unicodedata.category(character) in ("Cc", "Cf", "Cs", "Zl", "Zp"):
        return f"‹U+{ord(character):04X}›"
    return character
