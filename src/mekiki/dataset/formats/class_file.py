"""The class list beside a table, for what rows alone cannot say: order, and classes that no picture has."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from mekiki.dataset.formats.class_lists import is_unknown
from mekiki.dataset.formats.label_text import clean_name
from mekiki.errors import UsageError


def classes_path(table: Path) -> Path:
    """Return where the class list of a table stands.

    Example:
        >>> classes_path(Path("labels.csv")).name
        'labels.classes.json'
    """
    return table.with_suffix(".classes.json")


def write_classes(table: Path, classes: Sequence[str]) -> Path:
    """Write a table's class list and return its path."""
    path = classes_path(table)
    path.write_text(json.dumps(list(classes), ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    return path


def read_classes(table: Path) -> tuple[str, ...]:
    """Return the class list of a table; none if it has none.

    Raises:
        UsageError: If there is one and it is no JSON list of names.
    """
    path = classes_path(table)
    if not path.is_file():
        return ()
    try:
        names = json.loads(path.read_text(encoding="utf-8-sig"))
        if isinstance(names, list) and all(isinstance(name, str) for name in names):
            names = [clean_name(name) for name in names]
    except (OSError, ValueError, RecursionError) as error:
        raise UsageError(f"cannot read {path}: {error}. A JSON list of class names was expected.") from error
    if not isinstance(names, list) or not all(isinstance(name, str) and name for name in names):
        raise UsageError(f'{path} is no JSON list of class names such as ["cat", "dog"]. Mend or remove it.')
    return tuple(dict.fromkeys(name for name in names if not is_unknown(name)))
