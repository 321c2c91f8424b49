"""Groups are what must not be torn apart; items that share any group, directly or by a chain, form one atom.

N is the number of items and an item is named by its row, 0 to N - 1. Atoms are numbered from 0 in the order of their
first item, so that neither the order of the groups nor their keys matter.
"""

from __future__ import annotations

import hashlib
import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from mekiki.errors import UsageError

PLACEHOLDER = re.compile(r"\{([^\W\d]\w*)\}|\*")


class Membership(NamedTuple):
    """One item stands in one group: what kind of group, which one, and the item's row. A plain tuple does as well."""

    kind: str
    key: str
    row: int


def join_atoms(n_items: int, memberships: Iterable[tuple[str, str, int]]) -> NDArray[np.int64]:
    """Return the atom of every item: items that share a group are in the same atom.

    Connected components of the graph that ties each group's first item to its others. Time and memory grow in
    proportion to items plus memberships.

    Args:
        n_items: N; may be 0.
        memberships: Kind, key and row, in any order; repeats do no harm. Groups of different kinds are different
            groups even if their keys are equal. An item in no group is an atom of its own.

    Returns:
        ``(N,)`` int64 atom numbers, counted from 0 in the order of each atom's first item.

    Raises:
        ValueError: If ``n_items`` is negative or a row is outside 0 to N - 1.

    Example:
        >>> join_atoms(4, [("source", "a.mp4", 0), ("source", "a.mp4", 3), ("burst", "7", 3), ("burst", "7", 1)])
        array([0, 0, 1, 0])
    """
    if n_items < 0:
        raise ValueError(f"n_items must not be negative, got {n_items}")
    firsts: dict[tuple[str, str], int] = {}
    heads: list[int] = []
    tails: list[int] = []
    for kind, key, row in memberships:
        heads.append(firsts.setdefault((kind, key), row))
        tails.append(row)
    if not n_items and not tails:
        return np.zeros(0, np.int64)
    if not 0 <= min(tails, default=0) <= max(tails, default=0) < n_items:
        raise ValueError(f"rows must lie in 0 to {n_items - 1}, got {min(tails)} to {max(tails)}")
    ties = coo_array((np.ones(len(tails), np.int8), (heads, tails)), shape=(n_items, n_items))
    _, components = connected_components(ties, directed=False)
    _, first_rows, inverse = np.unique(components, return_index=True, return_inverse=True)
    ranks = np.empty(len(first_rows), np.int64)
    ranks[np.argsort(first_rows)] = np.arange(len(first_rows))
    return ranks[inverse]


def hash_atoms(atoms: NDArray[np.int64], item_ids: Sequence[str]) -> str:
    """Return 64 hex digits that name this set of atoms, whatever the order of items and the numbers of atoms.

    SHA-256 over one line per atom, its member ids sorted and joined by blanks, the lines sorted. No items give the
    digest of nothing. An id that occurs twice in an atom counts once.

    Args:
        atoms: ``(N,)`` int64 atom of each item.
        item_ids: N ids.

    Raises:
        ValueError: If the two differ in length.

    Example:
        >>> hash_atoms(np.array([0, 0, 1]), ["a", "b", "c"]) == hash_atoms(np.array([5, 2, 2]), ["c", "b", "a"])
        True
    """
    members: defaultdict[int, set[str]] = defaultdict(set)
    for atom, item_id in zip(atoms.tolist(), item_ids, strict=True):
        members[atom].add(item_id)
    lines = sorted(" ".join(sorted(ids)) for ids in members.values())
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def describe_atom(atom: int, atoms: NDArray[np.int64], memberships: Iterable[tuple[str, str, int]]) -> str:
    """Return in words how many items an atom has and which groups join them, the three largest by name.

    Groups of equal size are named in the order of kind and key.

    Args:
        atom: Its number.
        atoms: ``(N,)`` int64 atom of each item.
        memberships: The groups that `join_atoms` was given; those outside the atom do not matter.

    Example:
        >>> describe_atom(0, np.array([0, 0, 1]), [("source", "a.mp4", 0), ("source", "a.mp4", 1)])
        "2 items joined by source 'a.mp4' (2 items)"
    """
    inside = set(np.flatnonzero(atoms == atom).tolist())
    rows: defaultdict[tuple[str, str], set[int]] = defaultdict(set)
    for kind, key, row in memberships:
        if row in inside:
            rows[kind, key].add(row)
    sizes = sorted((-len(found), kind, key) for (kind, key), found in rows.items() if len(found) > 1)
    if not sizes:
        return f"{len(inside)} item{'s' * (len(inside) != 1)}"
    named = ", ".join(f"{kind} {key!r} ({-size} items)" for size, kind, key in sizes[:3])
    more = f" and {len(sizes) - 3} more groups" if len(sizes) > 3 else ""
    return f"{len(inside)} items joined by {named}{more}"


def captured_at_to_s(captured_at: Sequence[str | None]) -> NDArray[np.float64]:
    """Return local times as seconds since 1970, NaN where there is none or where the text is no date.

    Args:
        captured_at: ``YYYY-MM-DD HH:MM:SS``, with a fraction of a second or without. Cameras know no time zone, so
            only differences between two times of one camera mean something.

    Returns:
        ``(N,)`` float64 seconds.

    Example:
        >>> captured_at_to_s(["1970-01-01 00:01:00", None, "0000-00-00 00:00:00"])
        array([60., nan, nan])
    """

    def seconds(text: str | None) -> float:
        try:
            return datetime.fromisoformat(text or "").replace(tzinfo=UTC).timestamp()
        except ValueError:
            return np.nan

    return np.array([seconds(text) for text in captured_at], np.float64)


def find_bursts(
    times_s: NDArray[np.float64], cameras: Sequence[str | None], gap_s: float
) -> list[tuple[str, list[int]]]:
    """Return the stills that one camera took in quick succession: a key and the rows of each burst.

    Sorted by time, two neighbours of one camera belong together if they are at most ``gap_s`` apart; so a burst may be
    longer than the gap. Stills alone, without a time or without a camera stand in no burst. Equal times are 0 apart.

    Args:
        times_s: ``(N,)`` float64 seconds since 1970, NaN where unknown, as `captured_at_to_s` gives them.
        cameras: N names, None where unknown. Where several sites have cameras of one name, put the site in front.
        gap_s: Largest gap in seconds, at least 0. A time-lapse series with shorter steps becomes one burst.

    Returns:
        Key (the camera and the time of its first still) and rows in order of time, for every burst of two stills or
        more, by camera and time.

    Raises:
        ValueError: If the lengths differ, or ``gap_s`` is negative or NaN.

    Example:
        >>> find_bursts(np.array([0.0, 90.0, 1.0, 2.5]), ["north"] * 4, gap_s=2.0)
        [('north 1970-01-01 00:00:00', [0, 2, 3])]
    """
    if len(times_s) != len(cameras):
        raise ValueError(f"times_s and cameras must be of one length, got {len(times_s)} and {len(cameras)}")
    if not gap_s >= 0:
        raise ValueError(f"gap_s must be at least 0, got {gap_s}")
    known = [row for row, camera in enumerate(cameras) if camera is not None and np.isfinite(times_s[row])]
    order = sorted(known, key=lambda row: (str(cameras[row]), times_s[row], row))
    bursts: list[list[int]] = []
    for row in order:
        last = bursts[-1][-1] if bursts else None
        if last is not None and cameras[last] == cameras[row] and times_s[row] - times_s[last] <= gap_s:
            bursts[-1].append(row)
        else:
            bursts.append([row])
    return [(f"{cameras[rows[0]]} {_date(times_s[rows[0]])}", rows) for rows in bursts if len(rows) > 1]


def compile_path_pattern(pattern: str) -> re.Pattern[str]:
    r"""Return the search that `parse_path` makes, from a regular expression or from a template.

    A pattern with ``(?P<name>`` is a regular expression. Any other is a template of the end of the path: ``{name}`` is
    one or more characters other than ``/``, as few as will do, ``*`` is any number of them, everything else is itself.

    Args:
        pattern: Such as ``(?P<site>S\d+)_(?P<camera>C\d+)`` or ``{site}/{camera}/*.jpg``.

    Raises:
        UsageError: If the expression is broken, names nothing, or names one thing twice.

    Example:
        >>> compile_path_pattern("{site}/*.jpg").search("/photos/north/1.jpg")["site"]
        'north'
    """
    is_template = "(?P<" not in pattern
    expression = _template_to_expression(pattern) if is_template else pattern
    try:
        compiled = re.compile(expression)
    except re.error as error:
        raise UsageError(f"the path pattern {pattern!r} is broken: {error}. {_HOW}") from error
    if not compiled.groupindex:
        raise UsageError(f"the path pattern {pattern!r} names nothing. {_HOW}")
    return compiled


def parse_path(pattern: re.Pattern[str] | str, path: str) -> dict[str, str]:
    """Return what a path says of its picture: name of each group of the pattern to the text found.

    The names source, burst, identity, site and camera are kinds of group; others are attributes. Names that found
    nothing are left out; a path that the pattern does not fit gives an empty dictionary.

    Args:
        pattern: From `compile_path_pattern`, or the text that it takes.
        path: With ``/`` between folders.

    Raises:
        UsageError: If ``pattern`` is text and broken.

    Example:
        >>> parse_path("{site}/{camera}/*.jpg", "trip/north/cam1/IMG_1.jpg")
        {'site': 'north', 'camera': 'cam1'}
    """
    compiled = compile_path_pattern(pattern) if isinstance(pattern, str) else pattern
    found = compiled.search(path)
    return {name: text for name, text in found.groupdict().items() if text} if found else {}


_HOW = "Name what it finds, as in '{site}/{camera}/*.jpg' or '(?P<site>[^/]+)/[^/]+$'."


def _template_to_expression(template: str) -> str:
    """Spell a template out; it must fit the end of the path from the beginning of a name."""
    pieces: list[str] = []
    position = 0
    for match in PLACEHOLDER.finditer(template):
        pieces.append(re.escape(template[position : match.start()]))
        pieces.append(f"(?P<{match[1]}>[^/]+?)" if match[1] else "[^/]*")
        position = match.end()
    pieces.append(re.escape(template[position:]))
    return f"(?:^|/){''.join(pieces).lstrip('/')}$"


def _date(time_s: float) -> str:
    return datetime.fromtimestamp(time_s, UTC).replace(tzinfo=None).isoformat(" ")
