"""What a detector calls things, in the user's names: whole names map to whole names, and nothing is guessed.

A name is compared in its plain form: one blank, hyphen and underscore is like another, and case does not count.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

COCO_NUSCENES = "coco-to-nuscenes"
NO_MAP = "none"

_COCO_TO_NUSCENES = {
    "person": "pedestrian",
    "bicycle": "bicycle",
    "car": "car",
    "motorcycle": "motorcycle",
    "motorbike": "motorcycle",  # so in the darknet list of the same 80 classes
    "bus": "bus",
    "truck": "truck",
    "traffic light": "traffic_light",
    "stop sign": "traffic_sign",
}
_NOT_IN_COCO = ("barrier", "construction_vehicle", "traffic_cone", "trailer")
_SAID_FOR = {
    "barrier": ("barricade", "crash barrier", "guard rail", "jersey barrier", "road barrier"),
    "bicycle": ("bike", "cycle", "push bike"),
    "bus": ("city bus", "coach", "minibus", "school bus"),
    "car": ("hatchback", "passenger car", "police car", "sedan", "suv", "taxi"),
    "construction_vehicle": (
        "backhoe",
        "backhoe loader",
        "bulldozer",
        "construction machine",
        "construction truck",
        "digger",
        "excavator",
        "front loader",
        "road roller",
        "steam roller",
        "wheel loader",
    ),
    "motorcycle": ("dirt bike", "moped", "motor bike", "motor cycle", "motorbike", "motor scooter", "quad bike"),
    "pedestrian": ("child", "children", "man", "men", "people", "person", "walker", "woman", "women"),
    "traffic_cone": ("pylon", "road cone", "safety cone"),
    "traffic_light": ("stop light", "traffic signal"),
    "traffic_sign": ("road sign", "speed limit sign", "stop sign", "street sign"),
    "trailer": ("caravan", "semi trailer"),
    "truck": ("box truck", "dump truck", "fire truck", "garbage truck", "lorry", "pickup truck", "tow truck"),
}


_WORD = re.compile(r"[^\s+#]+(?:[+#]+(?!\S))?")


class _Parted(dict[int, str]):
    """What stands for a character while words are parted, by its number: itself, blanks, or nothing."""

    def __missing__(self, code: int) -> str:
        character = chr(code)
        kind = unicodedata.category(character)
        if character in "+#" or kind[0] in "LMN":
            is_selector = 0xFE00 <= code <= 0xFE0F  # says whether a symbol is drawn in colour
            self[code] = "" if is_selector else character
        else:
            self[code] = f" {character} " if kind[0] == "S" and code > 127 else " "
        return self[code]


_PARTED = _Parted()


def plain_name(name: str) -> str:
    """Return a class name as names are compared and written: lower case, words joined by one underscore.

    A name without any word, such as ``!!!``, is what is left of it in lower case.

    Example:
        >>> plain_name(" Traffic-Light "), plain_name("traffic  light"), plain_name("タヌキ"), plain_name("?")
        ('traffic_light', 'traffic_light', 'タヌキ', '?')
    """
    return "_".join(words_of(name) or unicodedata.normalize("NFKC", name).casefold().replace("_", " ").split())


def plain_names(names: Iterable[str]) -> tuple[str, ...]:
    """Return names in their plain form, each once, in the order of their first place; blank ones are left out."""
    return tuple(name for name in dict.fromkeys(map(plain_name, names)) if name)


def words_of(text: str) -> tuple[str, ...]:
    """Return the words of a name or a sentence in lower case.

    Words are made of letters with their marks, which tell Hindi's and Thai's words apart, and digits; ``+`` and ``#``
    count at their end. Other symbols beyond ASCII are words of their own. All else parts words.

    Example:
        >>> words_of("A dirt_bike, parked."), words_of("C++🚗")
        (('a', 'dirt', 'bike', 'parked'), ('c++', '🚗'))
    """
    folded = unicodedata.normalize("NFKC", text).casefold()
    return tuple(_WORD.findall(folded.translate(_PARTED)))


def holds_phrase(text: str, phrase: str) -> bool:
    """Return whether the words of a phrase stand in a text, one behind the other; parts of words do not count.

    Example:
        >>> holds_phrase("construction_vehicle", "construction"), holds_phrase("carpet", "car"), holds_phrase("car", "")
        (True, False, False)
    """
    words, wanted = words_of(text), words_of(phrase)
    starts = range(len(words) - len(wanted) + 1)
    return bool(wanted) and any(words[at : at + len(wanted)] == wanted for at in starts)


@dataclass(frozen=True, slots=True)
class ClassMap:
    """Names of one vocabulary in those of another.

    Attributes:
        name: What it is called: a shipped one's name, or the user's file.
        table: Plain name to plain name.
        said_for: Plain name of a class to phrases by which sentences mean it, beside the name itself.
        missing: Classes of the vocabulary that it leads to which nothing leads to.
    """

    name: str
    table: Mapping[str, str] = field(default_factory=dict)
    said_for: Mapping[str, Sequence[str]] = field(default_factory=dict)
    missing: tuple[str, ...] = ()

    def mapped(self, name: str) -> str:
        """Return what a class is called, in its plain form; a name that is not in the table as a whole stays itself.

        Example:
            >>> coco_to_nuscenes().mapped("Traffic light"), coco_to_nuscenes().mapped("dirt_bike")
            ('traffic_light', 'dirt_bike')
        """
        plain = plain_name(name)
        return self.table.get(plain, plain)

    def unreachable(self, wanted: Iterable[str], seen: Collection[str]) -> list[str]:
        """Return which wanted classes no detector of the table's vocabulary can name, unless they were seen.

        Args:
            wanted: Names.
            seen: Names that a detector did give, mapped.
        """
        return [name for name in plain_names(wanted) if name in self.missing and name not in seen]

    def meanings(self, targets: Sequence[str] = ()) -> dict[tuple[str, ...], str]:
        """Return phrases, as words, with the class that each means; ``targets`` are classes too.

        A phrase that is itself the name of a target means that target and nothing else.
        """
        found = {words_of(phrase): name for name, phrases in self.said_for.items() for phrase in phrases}
        found |= {words_of(name): name for name in self.said_for}
        found |= {words_of(name): mapped for name, mapped in self.table.items()}
        return found | {words_of(name): plain_name(name) for name in targets}

    def to_json(self) -> dict[str, Any]:
        """Return all of it as plain JSON values, so that it can be used without its file."""
        said_for = {name: list(phrases) for name, phrases in self.said_for.items()}
        return {"name": self.name, "table": dict(self.table), "said_for": said_for, "missing": list(self.missing)}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> ClassMap:
        """Return what `to_json` wrote."""
        said_for = {name: tuple(phrases) for name, phrases in content["said_for"].items()}
        return cls(content["name"], content["table"], said_for, tuple(content["missing"]))


def coco_to_nuscenes() -> ClassMap:
    """Return COCO's names in nuScenes' and in those of street scenes in general.

    COCO has no construction vehicle, trailer, barrier or traffic cone: a detector of its classes calls them something
    else or nothing, and no table can tell. They are in ``missing``.
    """
    table = {plain_name(name): mapped for name, mapped in _COCO_TO_NUSCENES.items()}
    return ClassMap(COCO_NUSCENES, table, _SAID_FOR, _NOT_IN_COCO)


def mentioned(text: str, meanings: Mapping[tuple[str, ...], str]) -> list[str]:
    """Return the classes that a sentence names, in its order, each once.

    Of phrases that begin at the same word the longest counts, and its words belong to no other: ``dirt bike`` is not a
    bike beside. A plural in -s or -es counts as its singular. That a sentence says what is *not* there is not seen.

    Args:
        text: A sentence or a name.
        meanings: Of `ClassMap.meanings`.

    Example:
        >>> mentioned("Two dirt bikes beside a bus", {("dirt", "bike"): "motorcycle", ("bike",): "bicycle"})
        ['motorcycle']
    """
    words = words_of(text)
    longest = max((len(phrase) for phrase in meanings), default=0)
    found: dict[str, None] = {}
    at = 0
    while at < len(words):
        step = 1
        for length in range(min(longest, len(words) - at), 0, -1):
            name = _meaning(words[at : at + length], meanings)
            if name is not None:
                found[name] = None
                step = length
                break
        at += step
    return list(found)


def target_matches(
    class_name: str, answer: str | None, targets: Sequence[str], class_map: ClassMap | None = None
) -> tuple[str, ...]:
    """Return which targets an object belongs to, by its class or by what was said of it, sorted.

    The order of ``targets`` changes nothing. The class must be a target as a whole; an answer names one when it holds
    its name or a phrase for it, whole words, the longest first.

    Args:
        class_name: The detector's or the labels'; may be empty.
        answer: What was said of it; None where nobody was asked.
        targets: Names.
        class_map: How names meet; None compares them as they are.

    Example:
        >>> target_matches("truck", None, ["construction_vehicle", "truck"], coco_to_nuscenes())
        ('truck',)
        >>> target_matches("truck", "an excavator", ["truck", "construction vehicle"], coco_to_nuscenes())
        ('construction_vehicle', 'truck')
    """
    used = class_map or ClassMap(NO_MAP)
    wanted = set(plain_names(targets))
    named = {plain_name(class_name), used.mapped(class_name)}
    if answer:
        named |= set(mentioned(answer, used.meanings(targets)))
    return tuple(sorted(named & wanted))


def _meaning(words: tuple[str, ...], meanings: Mapping[tuple[str, ...], str]) -> str | None:
    last = words[-1]
    endings = [last, last.removesuffix("s"), last.removesuffix("es")]
    for ending in endings:
        found = meanings.get((*words[:-1], ending))
        if found is not None and ending:
            return found
    return None
