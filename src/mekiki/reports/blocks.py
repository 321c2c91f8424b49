"""What a page is made of: frozen records, each drawn by the template it names.

To add a kind of block, write its record here and its template in ``templates/``.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Protocol
from urllib.parse import quote

from mekiki.records import Estimate
from mekiki.reports.values import UNRELIABLE_NOTE, Value, ValueKind

VerdictState = Literal["ok", "warning", "failed"]

_ID = re.compile(r"[a-z][a-z0-9-]*")


class Block(Protocol):
    """Anything that a section can hold."""

    @property
    def template(self) -> str:
        """The file in ``templates/`` that draws it."""
        ...


@dataclass(frozen=True, slots=True)
class Paragraph:
    """One paragraph of plain sentences; ``is_muted`` sets it back as a remark."""

    template: ClassVar[str] = "paragraph.html"
    text: str
    is_muted: bool = False


@dataclass(frozen=True, slots=True)
class Link:
    """A link to another file of ours that lies beside this page or near it.

    Raises:
        ValueError: If ``path`` is absolute, or has a scheme as addresses on the network have.
    """

    template: ClassVar[str] = "link.html"
    path: str
    text: str

    def __post_init__(self) -> None:
        if self.path.startswith(("/", "\\")) or ":" in self.path.split("/")[0]:
            raise ValueError(f"path must be relative, got {self.path!r}")

    @property
    def address(self) -> str:
        """The path as an address."""
        return quote(self.path)


@dataclass(frozen=True, slots=True)
class Fact:
    """One value with its name, and a remark under it where it needs one."""

    label: str
    value: Value
    note: str = ""
    kind: ValueKind = "text"


@dataclass(frozen=True, slots=True)
class Facts:
    """A short list of names and values."""

    template: ClassVar[str] = "facts.html"
    facts: tuple[Fact, ...]


@dataclass(frozen=True, slots=True)
class Column:
    """A table's column: its heading, how its values are written, and their unit."""

    name: str
    kind: ValueKind = "text"
    unit: str = ""


@dataclass(frozen=True, slots=True)
class Table:
    """Rows under columns. The first column names the row; rows after ``n_open`` are folded.

    Raises:
        ValueError: If a row does not have one value per column.
    """

    template: ClassVar[str] = "table.html"
    columns: tuple[Column, ...]
    rows: tuple[tuple[Value, ...], ...]
    caption: str = ""
    n_open: int = 20

    def __post_init__(self) -> None:
        for row in self.rows:
            if len(row) != len(self.columns):
                raise ValueError(f"a row must have {len(self.columns)} values, got {len(row)}: {row!r}")

    @property
    def footnote(self) -> str:
        """What the unreliable mark means, where a cell carries it."""
        cells = (cell for row in self.rows for cell in row)
        marked = any(
            isinstance(cell, Estimate) and not cell.is_reliable and not math.isnan(cell.value) for cell in cells
        )
        return UNRELIABLE_NOTE if marked else ""


@dataclass(frozen=True, slots=True)
class Matrix:
    """Counts with the same names down and across, shaded by their share of their row; the diagonal is what is right.

    ``corner`` says what the rows and what the columns are.

    Raises:
        ValueError: If ``counts`` has not one row and one column per name.
    """

    template: ClassVar[str] = "matrix.html"
    names: tuple[str, ...]
    counts: tuple[tuple[int, ...], ...]
    caption: str
    corner: str = ""

    def __post_init__(self) -> None:
        n = len(self.names)
        if len(self.counts) != n or any(len(row) != n for row in self.counts):
            raise ValueError(f"counts must be {n} rows of {n}, got {[len(row) for row in self.counts]}")

    def share(self, row: int, column: int) -> float:
        """Return a count's share of its row; 0 in a row without any."""
        return self.counts[row][column] / (sum(self.counts[row]) or 1)


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar: its name, its count, and a remark beside it."""

    name: str
    n: int
    note: str = ""


@dataclass(frozen=True, slots=True)
class Bars:
    """Counts as a table whose rows are bars: real text, so that it is its own alternative."""

    template: ClassVar[str] = "bars.html"
    bars: tuple[Bar, ...]
    caption: str
    n_open: int = 20

    @property
    def longest(self) -> int:
        """The largest count, at least 1."""
        return max((bar.n for bar in self.bars), default=1) or 1


@dataclass(frozen=True, slots=True)
class Drawing:
    """An SVG that `mekiki.reports.figures` drew and `mekiki.reports.svg` cleaned: it holds shapes, no text."""

    svg: str
    width_px: int
    height_px: int

    def __post_init__(self) -> None:
        if not self.svg.startswith("<svg ") or "<script" in self.svg.lower():
            raise ValueError(f"svg must be a cleaned drawing, got {self.svg[:40]!r}")


@dataclass(frozen=True, slots=True)
class Figure:
    """A drawing with the sentence that replaces it for those who cannot see it, and its numbers as a table."""

    template: ClassVar[str] = "figure.html"
    drawing: Drawing
    alt: str
    caption: str
    table: Table | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """A judgement: its state, one sentence, and the sentences that support it."""

    template: ClassVar[str] = "verdict.html"
    state: VerdictState
    headline: str
    sentences: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Code:
    """Text exactly as it is, such as JSON."""

    template: ClassVar[str] = "code.html"
    text: str

    @classmethod
    def from_json(cls, content: Any) -> Code:
        """Return the block that shows a JSON value, indented, letters as they are."""
        return cls(json.dumps(content, ensure_ascii=False, indent=2, sort_keys=True, default=str))


@dataclass(frozen=True, slots=True)
class Details:
    """Blocks that are folded away until a reader asks for them."""

    template: ClassVar[str] = "details.html"
    summary: str
    blocks: tuple[Block, ...]
    is_open: bool = False


@dataclass(frozen=True, slots=True)
class Group:
    """Blocks under a smaller heading, with a remark beside it where it needs one."""

    template: ClassVar[str] = "group.html"
    title: str
    blocks: tuple[Block, ...]
    note: str = ""


@dataclass(frozen=True, slots=True)
class Columns:
    """Blocks side by side where the screen is wide enough, else one under the other."""

    template: ClassVar[str] = "columns.html"
    blocks: tuple[Block, ...]


@dataclass(frozen=True, slots=True)
class Section:
    """A part of the page with a heading. ``id`` is what a link to it ends with.

    Raises:
        ValueError: If ``id`` is not lower-case letters, digits and hyphens, beginning with a letter.
    """

    id: str
    title: str
    blocks: tuple[Block, ...]
    lead: str = ""

    def __post_init__(self) -> None:
        if not _ID.fullmatch(self.id):
            raise ValueError(f"a section's id must be like 'counts' or 'part-2', got {self.id!r}")


@dataclass(frozen=True, slots=True)
class Page:
    """One page: what it is about, its main figures, its sections, and small print.

    Raises:
        ValueError: If two sections have the same id.
    """

    title: str
    sections: tuple[Section, ...]
    lang: str = "en"
    lead: str = ""
    facts: tuple[Fact, ...] = ()
    small_print: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        ids = [section.id for section in self.sections]
        twice = sorted({name for name in ids if ids.count(name) > 1})
        if twice:
            raise ValueError(f"section ids must differ, got {twice[0]!r} twice")


def iter_blocks(page: Page) -> Iterator[Block]:
    """Yield every block of the page, those inside others too."""
    waiting: list[Block] = [block for section in reversed(page.sections) for block in reversed(section.blocks)]
    while waiting:
        block = waiting.pop()
        yield block
        waiting.extend(reversed(getattr(block, "blocks", ())))


def facts_from(values: Mapping[str, Value]) -> Facts:
    """Return the facts that a mapping of names to values tells, in its order."""
    return Facts(tuple(Fact(name, value) for name, value in values.items()))
