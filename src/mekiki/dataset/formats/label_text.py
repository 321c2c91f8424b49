"""Class names in one cell of a table: ``cat;dog``, ``cat|dog``, a JSON list or a Python list."""

from __future__ import annotations

import ast
import json
import re
import unicodedata
from collections.abc import Iterable, Sequence

_MAX_CELL_LENGTH = 100_000
_UNSEPARATED = re.compile(r"""(['"])\s+(['"])""")


def clean_name(text: str) -> str:
    """Return a class name as we keep it: composed (NFC), without blanks at its ends.

    Raises:
        ValueError: If it is no Unicode text, as half a surrogate pair that JSON can hold.

    Example:
        >>> clean_name(" タヌキ ")
        'タヌキ'
    """
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise ValueError(f"{_shown(text)} is no Unicode text") from error
    return unicodedata.normalize("NFC", text).strip()


def labels_from_text(text: str) -> tuple[str, ...]:
    """Return the class names in one cell, each once, in the cell's order.

    A cell that begins with a bracket is a JSON list or, failing that, a Python list, tuple or set of plain values. A
    cell in double quotes is one JSON string. In any other, ``;`` separates; without one, ``|`` does; a comma never,
    since names hold commas.

    Raises:
        ValueError: If the cell begins and ends like a list and is none, or a list holds more than names.

    Example:
        >>> labels_from_text("cat; dog"), labels_from_text('["fox, red"]'), labels_from_text("('cat',)")
        (('cat', 'dog'), ('fox, red',), ('cat',))
        >>> labels_from_text(" ")
        ()
    """
    text = text.strip()
    if len(text) > _MAX_CELL_LENGTH:
        raise ValueError(f"a cell with labels has {len(text):,} characters: is a quote left open?")
    if text[:1] in ("[", "(", "{", '"'):
        parsed = parse_list(text)
        if parsed is not None:
            return _each_once(parsed)
        if text[-1] in "])}":
            raise ValueError(f"cannot read the labels {_shown(text)}: write a;b or a JSON list")
    separator = ";" if ";" in text else "|"
    return _each_once(text.split(separator))


def labels_to_text(names: Sequence[str]) -> str:
    """Return names as one cell that `labels_from_text` reads back: ``a;b``, or JSON where a name would not survive.

    Example:
        >>> labels_to_text(["cat", "dog"]), labels_to_text(["a;b"]), labels_to_text([])
        ('cat;dog', '["a;b"]', '')
    """
    text = ";".join(names)
    try:
        if labels_from_text(text) == tuple(names):
            return text
    except ValueError:
        pass
    return json.dumps(list(names), ensure_ascii=False)


def parse_list(text: str) -> list[str] | None:
    """Return the plain values of a JSON or Python list (or one quoted string) as text; None if it is neither.

    Raises:
        ValueError: If it is a list that holds lists or objects.
    """
    parsed = _parse(text)
    if isinstance(parsed, str):
        return [parsed]
    if not isinstance(parsed, (list, tuple, set)):
        return None
    values = sorted(parsed, key=str) if isinstance(parsed, set) else parsed
    names = [value for value in values if value is not None]
    if not all(isinstance(value, (str, int, float)) for value in names):
        raise ValueError(f"the labels {_shown(text)} hold more than names")
    return [str(value) for value in names]


def _parse(text: str) -> object:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        pass
    if _UNSEPARATED.search(text):  # Python would join ['cat' 'dog'] into one name
        return None
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return None


def _each_once(names: Iterable[str]) -> tuple[str, ...]:
    """Return the names cleaned, without empty and repeated ones."""
    return tuple(dict.fromkeys(name for name in map(clean_name, names) if name))


def _shown(text: str) -> str:
    return ascii(text) if not text.isprintable() else repr(text if len(text) <= 60 else f"{text[:57]}...")
