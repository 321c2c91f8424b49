"""What one row of a label table says of classes: in a column with names, or in a column for each class.

An empty cell says that nobody was asked; ``unknown`` says that every class is absent.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from mekiki.dataset.formats.base import LabelClaim
from mekiki.dataset.formats.cells import confidence_of
from mekiki.dataset.formats.class_lists import is_unknown
from mekiki.dataset.formats.columns import FLAGS, Columns
from mekiki.dataset.formats.label_text import labels_from_text
from mekiki.errors import unknown_name
from mekiki.records import LabelState


@dataclass(frozen=True, slots=True)
class RowLabels:
    """What one row says: claims, whether all other classes are absent, and which are excepted from that."""

    claims: tuple[LabelClaim, ...] = ()
    is_complete: bool = False
    not_asked: frozenset[str] = frozenset()

    @property
    def is_uncertain(self) -> bool:
        """Whether the row says more than that classes are there."""
        return bool(self.not_asked) or any(claim.state == "unsure" for claim in self.claims)


class LabelCells:
    """Reads the labels of row after row; cells are repeated, so each is parsed once.

    Args:
        columns: What the columns mean.
        closed: The only class names allowed; None allows any.

    Attributes:
        class_names: All class names seen so far.
    """

    def __init__(self, columns: Columns, closed: tuple[str, ...] | None) -> None:
        self.class_names: set[str] = set()
        self._columns = columns
        self._closed = None if closed is None else frozenset(closed)
        self._parsed: dict[str, tuple[str, ...]] = {}
        self._rows: dict[tuple[str, str], RowLabels] = {}

    def read(self, cells: list[str], field: Mapping[str, str]) -> RowLabels:
        """Return what a row says.

        Args:
            cells: All cells of the row.
            field: Filled cells by their meaning.

        Raises:
            ValueError: If it cannot be understood or contradicts itself.
        """
        confidence = field.get("confidence", "")
        if self._columns.label is None:
            return self._read_flags(cells, confidence)
        text = cells[self._columns.label]
        if "unsure" in field or "not_asked" in field:
            return self._read_names(text, confidence, field)
        key = (text, confidence)
        if key not in self._rows:
            self._rows[key] = self._read_names(text, confidence, field)
        return self._rows[key]

    def _read_names(self, text: str, confidence: str, field: Mapping[str, str]) -> RowLabels:
        present = self._parse(text)
        unsure = self._parse(field.get("unsure", ""))
        if both := set(present) & set(unsure):
            raise ValueError(f"it says that {min(both)!r} is present, and that it is unsure")
        states: dict[str, LabelState] = dict.fromkeys(present, "present")
        states |= dict.fromkeys(unsure, "unsure")
        share = confidence_of(confidence) if confidence else 1.0
        if isinstance(share, dict):
            states |= dict.fromkeys([self._known(name) for name in share if name not in states], "absent")
        return RowLabels(_claims(states, share), bool(text), frozenset(self._parse(field.get("not_asked", ""))))

    def _read_flags(self, cells: list[str], confidence: str) -> RowLabels:
        states: dict[str, LabelState] = {}
        for column, name in self._columns.flags:
            cell = cells[column].casefold()
            if cell and cell not in FLAGS:
                raise ValueError(f"class {name!r} cannot be {cells[column]!r}: write 1, 0, unsure, or nothing")
            if cell:
                states[name] = FLAGS[cell]
        is_nothing = any(is_unknown(name) and state == "present" for name, state in states.items())
        states = {self._known(name): state for name, state in states.items() if not is_unknown(name)}
        share = confidence_of(confidence) if confidence else 1.0
        return RowLabels(_claims(states, share), is_nothing and "present" not in states.values())

    def _parse(self, text: str) -> tuple[str, ...]:
        """Return the class names in a cell, without ``unknown``."""
        if text not in self._parsed:
            names = (name for name in labels_from_text(text) if not is_unknown(name))
            self._parsed[text] = tuple(self._known(name) for name in names)
        return self._parsed[text]

    def _known(self, name: str) -> str:
        if self._closed is not None and name not in self._closed:
            raise ValueError(str(unknown_name("class", name, self._closed)))
        self.class_names.add(name)
        return name


def _claims(states: Mapping[str, LabelState], share: float | Mapping[str, float]) -> tuple[LabelClaim, ...]:
    if isinstance(share, float):
        return tuple(LabelClaim(name, state, share) for name, state in states.items())
    return tuple(LabelClaim(name, state, share.get(name, 1.0)) for name, state in states.items())
