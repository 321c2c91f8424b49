"""Writing files that have been read: their items, hashes, places and what their paths say."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mekiki.catalog.attributes import write_attributes
from mekiki.catalog.db import Transaction
from mekiki.catalog.items import GroupRow, HashRow, NewItem, write_classes, write_groups, write_hashes, write_items
from mekiki.catalog.results import LabelRow, write_labels
from mekiki.catalog.sources import write_sources
from mekiki.dataset.claims import placed_groups
from mekiki.dataset.formats.base import GROUP_KINDS
from mekiki.dataset.hashes import PictureHash
from mekiki.intake.files import FileFacts
from mekiki.records import LabelState


@dataclass(frozen=True, slots=True)
class IngestedFile:
    """One file on its way into the catalog.

    Attributes:
        path: Where it is.
        known_id: Its item, if it was read before; then there are no facts.
        facts: What reading it told.
        said: What its path says, by name.
    """

    path: Path
    known_id: str | None
    facts: FileFacts | None
    said: Mapping[str, str]

    @property
    def item_id(self) -> str:
        """The item that it is."""
        return self.facts.item_id if self.facts else str(self.known_id)


@dataclass(frozen=True, slots=True)
class SaidOfAll:
    """What the user says of every file of one call.

    Attributes:
        annotator: Whose word it is.
        present: Classes that every file shows.
        absent: Classes that none shows.
        part: The part of a split that they are meant for.
    """

    annotator: str
    present: Sequence[str] = ()
    absent: Sequence[str] = ()
    part: str | None = None


def write_ingested(transaction: Transaction, files: Sequence[IngestedFile], said: SaidOfAll) -> int:
    """Write files and return how many rows are new.

    Args:
        transaction: Of stage ``ingest``.
        files: What was read.
        said: What holds for all of them.
    """
    read = [(one, one.facts) for one in files if one.facts is not None]
    n_rows = write_items(transaction, (_item(facts) for _, facts in read))
    write_hashes(transaction, (hash_row(facts.item_id, facts.picture_hash) for _, facts in read if facts.picture_hash))
    places = ((transaction.catalog.relative(one.path), f.item_id, f.size_bytes, f.mtime_ns) for one, f in read)
    write_sources(transaction, places)
    write_groups(transaction, _groups(files))
    write_attributes(transaction, _lowest(transaction, _attributes(files, said.part)))
    states: dict[str, LabelState] = {**dict.fromkeys(said.absent, "absent"), **dict.fromkeys(said.present, "present")}
    if states:
        write_classes(transaction, states)
        rows = (
            LabelRow(one.item_id, name, said.annotator, state, 1.0) for one in files for name, state in states.items()
        )
        n_rows += write_labels(transaction, rows)
    return n_rows


def hash_row(item_id: str, picture_hash: PictureHash) -> HashRow:
    """Return the row of a picture's hash."""
    return HashRow(
        item_id,
        picture_hash.bits,
        picture_hash.mirrored_bits,
        picture_hash.is_flat,
        picture_hash.thumb.tobytes(),
    )


def _item(facts: FileFacts) -> NewItem:
    return NewItem(
        item_id=facts.item_id,
        kind=facts.kind,
        width_px=facts.width_px,
        height_px=facts.height_px,
        format=facts.format,
        captured_at=facts.captured_at,
        duration_s=facts.duration_s,
        fps=facts.fps,
        n_frames=facts.n_frames,
    )


def _groups(files: Sequence[IngestedFile]) -> Iterator[GroupRow]:
    for one in files:
        said = {kind: key for kind, key in one.said.items() if kind in GROUP_KINDS}
        yield from (GroupRow(kind, key, one.item_id) for kind, key in placed_groups(said).items())


def _attributes(files: Sequence[IngestedFile], part: str | None) -> Iterator[tuple[str, str, str]]:
    for one in files:
        yield from ((one.item_id, name, text) for name, text in one.said.items() if _is_attribute(name))
        if one.facts and one.facts.camera_model:
            yield one.item_id, "camera_model", one.facts.camera_model
        if part:
            yield one.item_id, "part", part


def _lowest(transaction: Transaction, rows: Iterable[tuple[str, str, str]]) -> Iterator[tuple[str, str, str]]:
    """Yield each attribute once: the lowest of its values in this run, and all of them if it is the part.

    The paths of one item may say different things; which of them is read first must not matter. The same bytes in two
    parts are a leak, which has to stay visible.
    """
    values: dict[tuple[str, str], set[str]] = {}
    for item_id, name, value in rows:
        values.setdefault((item_id, name), set()).add(value)
    sql = "SELECT value FROM attributes WHERE item_id = ? AND name = ? AND run_id = ?"
    for (item_id, name), said in values.items():
        known = transaction.catalog.value(sql, (item_id, name, transaction.run_id))
        if name == "part":
            yield item_id, name, "|".join(sorted(said.union(known.split("|") if known else ())))
        else:
            yield item_id, name, min(said if known is None else {*said, known})


def _is_attribute(name: str) -> bool:
    return name not in GROUP_KINDS or name in ("site", "camera")
