"""Thresholds as people give them: a number, JSON text, a file of either, or the metrics JSON of a training."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mekiki.dataset.formats.json_files import read_json
from mekiki.errors import UsageError, unknown_name

PER_CLASS, JOINT = "thresholds", "threshold"
"""Keys of a metrics JSON; the first counts where both are there, as in seed 1."""

HIGHEST = float(np.nextafter(np.float32(1), np.float32(2)))
"""What decides nothing, not even a score of 1: tuning finds it where that is best."""

_FORMS = "a number from 0 to 1, a JSON object such as '{\"fox\": 0.4}', or a file with either or with metrics"


def read_thresholds(written: str, class_names: Sequence[str]) -> dict[str, float]:
    """Return class to threshold, for the classes that are given one.

    Args:
        written: A number for all classes; a JSON object from classes to numbers; or the path of a JSON file with
            either of them, or with metrics: an object that has ``thresholds`` (an object) or ``threshold`` (a number).
        class_names: The classes of the model.

    Raises:
        UsageError: If it is none of these, a class is unknown, or a number lies outside [0, 1] (but for `HIGHEST`).

    Example:
        >>> read_thresholds("0.3", ["fox", "cat"])
        {'fox': 0.3, 'cat': 0.3}
        >>> read_thresholds('{"cat": 0.25}', ["fox", "cat"])
        {'cat': 0.25}
    """
    text = written.strip()
    try:
        content = json.loads(text)
    except (ValueError, RecursionError):
        if text.startswith("{"):
            raise UsageError(f"thresholds {_short(text)} are broken JSON: give {_FORMS}") from None
        content, text = _read_file(Path(text).expanduser()), f"in {text}"
    if isinstance(content, dict) and (PER_CLASS in content or JOINT in content):
        content = content[PER_CLASS] if isinstance(content.get(PER_CLASS), dict) else content.get(JOINT)
    if isinstance(content, dict) and "models" in content and "models" not in class_names:
        raise UsageError(
            "these are the figures of several models, as mekiki evaluate writes them. A tuned model has its thresholds "
            "in it: leave out --thresholds"
        )
    if isinstance(content, dict):
        for name in content:
            if name not in class_names:
                raise unknown_name("class", name, class_names)
        return {name: _checked(value, text) for name, value in content.items()}
    return dict.fromkeys(class_names, _checked(content, text))


def merge_thresholds(
    given: Mapping[str, float], own: Sequence[float] | None, class_names: Sequence[str], default: float
) -> tuple[float, ...]:
    """Return one threshold per class: what was given, else the model's own, else the default."""
    fallback = own or (default,) * len(class_names)
    return tuple(given.get(name, value) for name, value in zip(class_names, fallback, strict=True))


def _read_file(path: Path) -> Any:
    try:
        number = path.read_text(encoding="utf-8-sig").strip() if path.is_file() and path.stat().st_size < 100 else ""
        return float(number)
    except (ValueError, OSError):
        pass
    if not path.is_file():
        raise UsageError(f"there are no thresholds {_short(str(path))}: give {_FORMS}")
    return read_json(path, "a file of thresholds")


def _checked(value: Any, where: str) -> float:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not math.isfinite(value) or not 0 <= value <= HIGHEST:
        raise UsageError(f"a threshold must lie in [0, 1], got {_short(repr(value))} ({_short(where)}): give {_FORMS}")
    return float(value)


def _short(text: str) -> str:
    return text if len(text) <= 100 else f"{text[:100]}…"
