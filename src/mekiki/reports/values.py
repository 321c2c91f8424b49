"""How numbers are written, the same on pages and in the terminal."""

from __future__ import annotations

import math
from typing import Literal

from mekiki.records import Estimate

UNRELIABLE_MARK = "†"
UNRELIABLE_NOTE = f"{UNRELIABLE_MARK} not reliable: it rests on too few independent groups"
MISSING = "–"

ValueKind = Literal["text", "code", "count", "share", "score", "percent", "number", "difference"]
"""How a value is written: ``code`` is for paths and ids, ``share`` is 0.91, ``score`` 0.91 but 0.998, ``percent`` 91 %,
``difference`` +0.031."""

NUMBER_KINDS: frozenset[ValueKind] = frozenset({"count", "share", "score", "percent", "number", "difference"})


Value = str | int | float | bool | Estimate | None
"""What a table's cell may hold."""


def format_count(n: int) -> str:
    """Return a whole number with a comma between thousands.

    Example:
        >>> format_count(12345)
        '12,345'
    """
    return f"{n:,}"


def format_counted(n: int, singular: str, plural: str = "") -> str:
    """Return a count with its noun; the plural is the singular with an s where none is given.

    Example:
        >>> format_counted(1, "picture"), format_counted(1200, "class", "classes")
        ('1 picture', '1,200 classes')
    """
    return f"{format_count(n)} {singular if n == 1 else plural or singular + 's'}"


def format_share(value: float | Estimate) -> str:
    """Return a share with two decimals, with its interval where it has one.

    Only 0 is written 0.00 and only 1 is written 1.00: what lies between shows that it does. NaN is a dash.

    Example:
        >>> format_share(Estimate(0.912, 0.876, 0.94))
        '0.91 (0.88 to 0.94)'
        >>> format_share(0.9996)
        '>0.99'
    """
    if not isinstance(value, Estimate):
        return _two_decimals(value)
    if math.isnan(value.value):
        return MISSING
    mark = "" if value.is_reliable else f" {UNRELIABLE_MARK}"
    return f"{_two_decimals(value.value)} ({_two_decimals(value.low)} to {_two_decimals(value.high)}){mark}"


def format_score(score: float) -> str:
    """Return a score from 0 to 1 with two decimals, and with three where two would not tell it from 0 or 1.

    Example:
        >>> format_score(0.912), format_score(0.9978), format_score(0.99996), format_score(1.0)
        ('0.91', '0.998', '>0.999', '1.00')
    """
    if 0.0 < score < 0.005:
        return f"{score:.3f}" if score >= 0.0005 else "<0.001"
    if 0.995 <= score < 1.0:
        return f"{score:.3f}" if score < 0.9995 else ">0.999"
    return _two_decimals(score)


def format_difference(value: float | Estimate) -> str:
    """Return a difference of two shares with its sign and three decimals, with its interval where it has one.

    Only 0 has no sign, so that the side of 0 on which an end lies is always seen. NaN is a dash.

    Example:
        >>> format_difference(Estimate(0.0312, -0.0004, 0.0655))
        '+0.031 (−0.000 to +0.066)'
        >>> format_difference(0.0)
        '0.000'
    """
    if not isinstance(value, Estimate):
        return _signed(value)
    if math.isnan(value.value):
        return MISSING
    mark = "" if value.is_reliable else f" {UNRELIABLE_MARK}"
    return f"{_signed(value.value)} ({_signed(value.low)} to {_signed(value.high)}){mark}"


def format_percent(share: float) -> str:
    """Return a share as a whole percentage; what is not exactly none or all never looks so.

    Example:
        >>> format_percent(0.704), format_percent(0.001), format_percent(0.999)
        ('70 %', '<1 %', '>99 %')
    """
    if math.isnan(share):
        return MISSING
    if 0.0 < share < 0.01:
        return "<1 %"
    if 0.99 < share < 1.0:
        return ">99 %"
    return f"{share * 100:.0f} %"


def format_number(value: float) -> str:
    """Return a number with at most four significant digits; NaN is a dash.

    Example:
        >>> format_number(0.000123456), format_number(1234.5678), format_number(2.0)
        ('0.0001235', '1,235', '2')
    """
    if math.isnan(value):
        return MISSING
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.4g}"


def format_bytes(n_bytes: int) -> str:
    """Return a size in the unit that reads best, in powers of 1,000.

    Example:
        >>> format_bytes(512), format_bytes(20_480), format_bytes(3_400_000)
        ('512 B', '20 kB', '3.4 MB')
    """
    if n_bytes < 1000:
        return f"{n_bytes} B"
    for unit, size in (("kB", 10**3), ("MB", 10**6)):
        if n_bytes < 999.5 * size:
            amount = n_bytes / size
            return f"{amount:.1f} {unit}" if amount < 10 and unit != "kB" else f"{amount:.0f} {unit}"
    return f"{n_bytes / 10**9:.1f} GB"


def format_seconds(seconds: float) -> str:
    """Return a duration as a person would say it.

    Example:
        >>> format_seconds(0.04), format_seconds(12.3), format_seconds(200), format_seconds(7500)
        ('<0.1 s', '12.3 s', '3 min 20 s', '2 h 5 min')
    """
    if seconds < 0.1:
        return "<0.1 s"
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"


def format_value(value: Value, kind: ValueKind = "text") -> str:
    """Return a cell's value as its column's kind says; None is a dash, booleans are yes and no.

    A string stays as it is whatever the kind, so that a column of numbers can hold a word.
    """
    if value is None:
        return MISSING
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, str):
        return value
    if kind == "difference":
        return format_difference(value)
    if isinstance(value, Estimate):
        return format_share(value)
    if kind == "share":
        return format_share(float(value))
    if kind == "score":
        return format_score(float(value))
    if kind == "percent":
        return format_percent(float(value))
    if isinstance(value, int):
        return str(value) if kind == "code" else format_count(value)
    return format_number(value)


def _two_decimals(share: float) -> str:
    if math.isnan(share):
        return MISSING
    if 0.0 < share < 0.005:
        return "<0.01"
    if 0.995 <= share < 1.0:
        return ">0.99"
    return f"{share:.2f}"


def _signed(difference: float) -> str:
    if math.isnan(difference):
        return MISSING
    sign = "+" if difference > 0 else "−" if difference < 0 else ""
    return f"{sign}{abs(difference):.3f}"
