"""Which classes a file speaks of, which of them are wanted, and what a fully annotated picture says of each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

from mekiki.dataset.formats.base import BoxClaim, LabelClaim, Problem
from mekiki.dataset.formats.label_text import clean_name
from mekiki.errors import unknown_name
from mekiki.records import UNKNOWN


def is_unknown(name: str) -> bool:
    """Return whether a class name says that something is there and nobody knows what; it is never a class."""
    return name.strip().casefold() == UNKNOWN


@dataclass(slots=True)
class Seen:
    """What the annotations of one picture say.

    Attributes:
        found: Classes that were seen.
        boxes: Their boxes, in the file's order.
        crowds: Class of each region that is drawn around a crowd.
        is_sure: False if an annotation could not be understood or names nothing known, so that nothing follows from
            a class not being in ``found``.
    """

    found: set[str] = field(default_factory=set)
    boxes: list[BoxClaim] = field(default_factory=list)
    crowds: list[str] = field(default_factory=list)
    is_sure: bool = True


@dataclass(frozen=True, slots=True)
class ClassList:
    """The classes of one file and those that are wanted of it.

    Attributes:
        asked: Classes that every annotated picture of the file was searched for, in the file's order.
        wanted: The user's closed list if there is one, else ``asked``; what `Sheet.classes` becomes.
    """

    asked: tuple[str, ...]
    wanted: tuple[str, ...]
    _position: Mapping[str, int] = field(init=False, repr=False)
    _outside: frozenset[str] = field(init=False, repr=False)
    _present: Mapping[str, LabelClaim] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_position", {name: position for position, name in enumerate(self.wanted)})
        object.__setattr__(self, "_outside", frozenset(self.asked).difference(self.wanted))
        object.__setattr__(self, "_present", {name: LabelClaim(name) for name in self.wanted})

    @classmethod
    def of(cls, names: Iterable[str], closed: tuple[str, ...] | None) -> ClassList:
        """Return the list for a file's class names; a name that occurs twice counts once, and ``unknown`` never."""
        asked = tuple(name for name in dict.fromkeys(names) if not is_unknown(name))
        return cls(asked, asked if closed is None else tuple(map(clean_name, closed)))

    def excludes(self, name: str) -> bool:
        """Return whether a class is the file's and not in the user's closed list."""
        return name in self._outside

    def claims(self, found: Collection[str], *, is_exhaustive: bool = True) -> tuple[tuple[LabelClaim, ...], bool]:
        """Return what is claimed of a picture in which these classes were found, and whether the rest is absent.

        Where the user's list has classes that the file was never annotated with, nothing is said of those: the absent
        ones of the others are spelled out, and the second value is False.

        Args:
            found: Class names in any order; names that are not wanted are passed over.
            is_exhaustive: All of ``asked`` were looked for in this picture and all that was seen is in ``found``.

        Example:
            >>> ClassList.of(["cat", "dog"], None).claims({"dog"})
            ((LabelClaim(class_name='dog', state='present', confidence=1.0),), True)
        """
        names = sorted((name for name in found if name in self._position), key=self._position.__getitem__)
        present = tuple(self._present[name] for name in names)
        if not is_exhaustive:
            return present, False
        if self._position.keys() <= set(self.asked):
            return present, True
        absent = (LabelClaim(name, "absent") for name in self.asked if name in self._position and name not in found)
        return (*present, *absent), False

    def keep(self, labels: tuple[LabelClaim, ...], outside: Counter[str]) -> tuple[LabelClaim, ...]:
        """Return the claims of wanted classes; the others are counted in ``outside``."""
        if all(claim.class_name in self._position for claim in labels):
            return labels
        outside.update(claim.class_name for claim in labels if claim.class_name not in self._position)
        return tuple(claim for claim in labels if claim.class_name in self._position)


def outside_problems(counts: Counter[str], lines: Mapping[str, int], wanted: Iterable[str]) -> list[Problem]:
    """Return one problem per class that is not in the list, with how often it is said and not read.

    Args:
        counts: Class to number of claims and boxes left out.
        lines: Class to where it is declared; classes that are missing stand at 1.
        wanted: The class list.
    """
    known = tuple(wanted)
    return [
        Problem(lines.get(name, 1), f"{unknown_name('class', name, known)} Claims left out: {n}.")
        for name, n in counts.items()
    ]
