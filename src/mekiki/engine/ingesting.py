"""Photos and videos becoming items, as work for an engine, and one summary for all that an ingest did."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from mekiki.catalog.db import Transaction
from mekiki.catalog.found import NAMED, FoundFile
from mekiki.catalog.ingested import IngestedFile, SaidOfAll, write_ingested
from mekiki.dataset.formats.npy import is_vector_name
from mekiki.dataset.groups import compile_path_pattern, parse_path
from mekiki.errors import UnreadableError
from mekiki.intake.files import examine_file
from mekiki.records import Loaded, Result, RunSummary


@dataclass
class IngestFilesWork:
    """What one worker does to files: read each once, unless it is known.

    Attributes:
        said: What holds for all of them.
        path_pattern: What paths say.
        allow_truncated: Take JPEGs whose end is missing as far as they go.
    """

    said: SaidOfAll
    path_pattern: str | None = None
    allow_truncated: bool = False

    def identity(self) -> str:
        """No backend is involved."""
        return ""

    def open(self) -> None:
        """Prepare the path pattern."""
        self._pattern = compile_path_pattern(self.path_pattern) if self.path_pattern else None

    def load(self, item: FoundFile) -> Iterator[Loaded]:
        """Read a file, unless it is known; decoding and hashing happen here, where there are several threads."""
        if item.folder == NAMED and not item.path.exists():
            raise UnreadableError(
                item.path, "no such file; if the paths in the label file start elsewhere: --root FOLDER"
            )
        if is_vector_name(item.path.name):
            raise UnreadableError(item.path, f"a matrix of vectors, and one is meant: {item.path.name}#0 is its first")
        facts = None if item.known_id else examine_file(item.path, allow_truncated=self.allow_truncated)
        said = parse_path(self._pattern, Path(item.path).as_posix()) if self._pattern else {}
        yield Loaded(item.item_id, IngestedFile(item.path, item.known_id, facts, said))

    def compute(self, loaded: list[Loaded]) -> list[Result | UnreadableError]:
        """Pass on what was read."""
        return [Result(one.item_id, one.content) for one in loaded]

    def write(self, transaction: Transaction, results: list[Result]) -> int:
        """Write items with all that is known of them."""
        return write_ingested(transaction, [one.content for one in results], self.said)


def joined(summaries: Sequence[RunSummary], notes: Sequence[str], n_ignored: int) -> RunSummary:
    """Return one summary for all runs of the stage, with the id of the first."""
    whole = summaries[0]
    for one in summaries[1:]:
        whole.n_selected += one.n_selected
        whole.n_written += one.n_written
        whole.n_skipped += one.n_skipped
        whole.n_failed += one.n_failed
        whole.n_rows += one.n_rows
        whole.seconds += one.seconds
        whole.failures += one.failures
        whole.notes += one.notes
        n_todo = whole.extra.get("n_todo", 0) + one.extra.get("n_todo", 0)
        whole.extra = {**whole.extra, **one.extra} | ({"n_todo": n_todo} if "n_todo" in one.extra else {})
    whole.notes += notes
    whole.extra["n_ignored"] = n_ignored
    return whole
