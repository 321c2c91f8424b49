"""Vocabularies of concepts and tables of class names: what the user's files, and ours, say.

A vocabulary is YAML, a list of names or groups of them, or plain text with a name on each line. A table of class names
is YAML, name to name, or CSV with two columns.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Hashable
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

import yaml

from mekiki.errors import UsageError, nearest_name, printable, unknown_name
from mekiki.rarity.class_names import COCO_NUSCENES, NO_MAP, ClassMap, coco_to_nuscenes, plain_name, words_of

MAX_BYTES = 1_000_000
MAX_CONCEPTS = 10_000
MAX_NAME = 200
"""Letters of a name."""

_HEADERS = {("from", "to"), ("class", "name"), ("detector", "name"), ("name", "mapped")}


def shipped_concepts() -> dict[str, Traversable]:
    """Return our own vocabularies by name."""
    folder = files("mekiki.rarity").joinpath("vocabularies")
    return {one.name.removesuffix(".yaml"): one for one in folder.iterdir() if one.name.endswith(".yaml")}


def read_concepts(wanted: str) -> dict[str, tuple[str, ...]]:
    """Return a vocabulary: group to names, each name once.

    Names that differ only in case, blanks, hyphens and underscores are one; the first counts. Names in no group are in
    the group "".

    Args:
        wanted: A file, the name of a shipped one, or ``none`` for an empty one.

    Raises:
        UsageError: If there is no such file, or it is none; the message says what is wrong with it.
    """
    if wanted == NO_MAP:
        return {}
    return _as_groups(_written(wanted), wanted)[0]


def repeated_concepts(wanted: str) -> dict[str, str]:
    """Return the names of a vocabulary that are left out as another spelling, each with the one that counts.

    Raises:
        UsageError: As `read_concepts`.
    """
    if wanted == NO_MAP:
        return {}
    return _as_groups(_written(wanted), wanted)[1]


def concept_names(groups: dict[str, tuple[str, ...]]) -> tuple[str, ...]:
    """Return all names of a vocabulary in their order."""
    return tuple(name for names in groups.values() for name in names)


def read_class_map(wanted: str) -> ClassMap:
    """Return a table of class names.

    Args:
        wanted: A file, ``coco-to-nuscenes``, or ``none`` for one that changes nothing.

    Raises:
        UsageError: If there is no such file, it is none, or it says two things of one name.
    """
    if wanted == NO_MAP:
        return ClassMap(NO_MAP)
    if wanted == COCO_NUSCENES:
        return coco_to_nuscenes()
    path = _existing(wanted, "class map", [COCO_NUSCENES, NO_MAP])
    text = _read(path, "class map")
    if path.suffix.lower() in (".yaml", ".yml"):
        content = _parse(text, wanted)
        if not isinstance(content, dict):
            raise UsageError(f"class map {wanted} should map names to names, such as 'person: pedestrian'")
        pairs = list(content.items())
    else:
        pairs = _rows(text, wanted)
    table: dict[str, str] = {}
    for number, (name, mapped) in enumerate(pairs, start=1):
        before, after = (plain_name(_checked(one, f"class map {wanted}, entry {number}")) for one in (name, mapped))
        if table.setdefault(before, after) != after:
            raise UsageError(f"class map {wanted} maps {before!r} to {table[before]!r} and to {after!r}")
    if not table:
        raise UsageError(f"class map {wanted} is empty: write pairs such as 'person: pedestrian', or give none")
    return ClassMap(wanted, table)


def _written(wanted: str) -> Any:
    """Return what stands in a vocabulary, unchecked."""
    shipped = shipped_concepts()
    if wanted in shipped:
        return _parse(shipped[wanted].read_text(encoding="utf-8"), wanted)
    path = _existing(wanted, "concept list", [*shipped, NO_MAP])
    text = _read(path, "concept list")
    if path.suffix.lower() in (".yaml", ".yml"):
        return _parse(text, wanted)
    lines = [line.strip() for line in text.splitlines()]
    return [line for line in lines if line and not line.startswith("#")]


def _existing(wanted: str, what: str, known: list[str]) -> Path:
    path = Path(wanted).expanduser()
    try:
        is_there, is_folder = path.is_file(), path.is_dir()
    except (OSError, ValueError):
        is_there = is_folder = False
    if is_there:
        return path
    if is_folder:
        raise UsageError(f"{what} {printable(wanted)} is a folder: give a file")
    if path.suffix or len(path.parts) > 1 or nearest_name(wanted, known) is None:
        shown = printable(wanted)[:MAX_NAME]
        raise UsageError(f"there is no {what} {shown!r}: give a file, or one of {', '.join(sorted(known))}")
    raise unknown_name(what, wanted, known)


def _read(path: Path, what: str) -> str:
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
        if len(content) > MAX_BYTES:
            raise UsageError(f"{what} {path} is larger than {MAX_BYTES:,} bytes: give a list of names")
        return content.decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{what} {path} cannot be read as UTF-8 text: {printable(str(error))}") from error


class _TextLoader(yaml.BaseLoader):
    """Keeps every scalar as it is written; refuses a key twice, and references, which can grow without end."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            mark = self.get_mark()
            raise yaml.constructor.ConstructorError(None, None, "references (*name) are not taken", mark)
        return super().compose_node(parent, index)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        found: set[Hashable] = set()
        for key_node, _ in node.value:
            key = key_node.value if isinstance(key_node, yaml.ScalarNode) else None
            if key is not None and key in found:
                raise yaml.constructor.ConstructorError(None, None, f"{key!r} stands twice", key_node.start_mark)
            found.add(key)
        return super().construct_mapping(node, deep=deep)


def _parse(text: str, name: str) -> Any:
    try:
        return yaml.load(text, _TextLoader)  # noqa: S506 - it makes nothing but text, lists and dicts
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise UsageError(f"{printable(name)} is no YAML: {printable(' '.join(str(error).split()))}") from error


def _as_groups(content: Any, wanted: str) -> tuple[dict[str, tuple[str, ...]], dict[str, str]]:
    """Return a list, or groups of lists, with every name checked and none twice, and what is another's spelling."""
    what = f"concept list {printable(wanted)}"
    groups = content if isinstance(content, dict) else {"": content}
    found: dict[str, tuple[str, ...]] = {}
    seen: dict[str, str] = {}
    repeated: dict[str, str] = {}
    for group, names in groups.items():
        if not isinstance(names, list):
            where = f" in group {printable(str(group))[:MAX_NAME]!r}" if group else ""
            raise UsageError(f"{what} should be a list of names, or groups of them: there is no list{where}")
        fresh: list[str] = []
        for name in names:
            checked = _checked(name, what)
            if plain_name(checked) not in seen:
                seen[plain_name(checked)] = checked
                fresh.append(checked)
            elif checked != seen[plain_name(checked)]:
                repeated[checked] = seen[plain_name(checked)]
        found[str(group)] = tuple(fresh)
    if not seen:
        raise UsageError(f"{what} is empty: write a name on each line, or give none")
    if len(seen) > MAX_CONCEPTS:
        raise UsageError(f"{what} has {len(seen):,} names, and {MAX_CONCEPTS:,} are the most")
    return found, repeated


def _checked(name: Any, what: str) -> str:
    if not isinstance(name, str):
        raise UsageError(f"{what}: {printable(repr(name))[:MAX_NAME]} is no name")
    text = " ".join(name.split())
    if len(text) > MAX_NAME or printable(text) != text or not words_of(text):
        raise UsageError(
            f"{what}: {printable(text)[:MAX_NAME]!r} is no name: it is empty, has no letter, is longer than {MAX_NAME} "
            "letters, or has characters that show nothing"
        )
    return text


def _rows(text: str, wanted: str) -> list[tuple[str, str]]:
    """Return the pairs of a CSV, its heading left out."""
    try:
        rows = [[cell.strip() for cell in row] for row in csv.reader(io.StringIO(text, newline=""), strict=True)]
    except csv.Error as error:
        raise UsageError(f"class map {wanted} is no CSV: {error}") from error
    pairs: list[tuple[str, str]] = []
    for number, row in enumerate(rows, start=1):
        if not any(row) or row[0].startswith("#"):
            continue
        if len(row) != 2:
            raise UsageError(
                f"class map {wanted}, line {number}: two columns are needed, name and name, not {len(row)}"
            )
        pairs.append((row[0].removeprefix("'"), row[1].removeprefix("'")))
    is_heading = bool(pairs) and tuple(cell.casefold() for cell in pairs[0]) in _HEADERS
    return pairs[1:] if is_heading else pairs
