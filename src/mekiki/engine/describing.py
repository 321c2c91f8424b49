"""Putting pictures into words, as work for an engine: asked of a server, told by a model here, or the class's name."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from mekiki.catalog.crops import CropSelection
from mekiki.catalog.db import Catalog, Transaction
from mekiki.catalog.describing import CLASS_NAME
from mekiki.catalog.items import select_items
from mekiki.catalog.mining import COMBINED, Mining, read_rarity
from mekiki.catalog.results import CaptionRow, write_captions
from mekiki.engine.asking import Asking
from mekiki.engine.run import Selection
from mekiki.errors import DataError, UnreadableError
from mekiki.intake.pictures import open_picture
from mekiki.media.images import shrink_image
from mekiki.models.captioners import Describer
from mekiki.models.describe_prompts import Wording
from mekiki.models.describe_vlm import Description
from mekiki.models.prompts import UnreadableAnswerError
from mekiki.records import LABELLED_KINDS, Image, Item, Loaded, Result


@dataclass
class CaptionWork(Asking[Description]):
    """Asks a server what pictures show, and writes captions."""

    def write(self, transaction: Transaction, results: list[Result]) -> int:
        """Write a caption for each."""
        return _write(transaction, [one.content for one in results])


@dataclass(frozen=True, slots=True)
class ClassNameWork:
    """Gives things the name of their class; nothing is read and nobody asked.

    Attributes:
        names: Item to its class, mapped; one of no class gets no caption.
        told_identity: Of the captioner of the run that these belong to.
        device: The same's.
    """

    names: Mapping[str, str]
    told_identity: str
    device: str = "cpu"

    def identity(self) -> str:
        """Return that of the captioner."""
        return self.told_identity

    def open(self) -> None:
        """Open nothing."""

    def load(self, item: Item) -> Iterator[Loaded]:
        """Look up the name."""
        yield Loaded(item.item_id, Description(item.item_id, self.names.get(item.item_id, ""), CLASS_NAME))

    def compute(self, loaded: list[Loaded]) -> list[Result | UnreadableError]:
        """Pass on what was looked up."""
        return [Result(one.item_id, one.content) for one in loaded]

    def write(self, transaction: Transaction, results: list[Result]) -> int:
        """Write a caption for each that has a class."""
        return _write(transaction, [one.content for one in results if one.content.text])


@dataclass(frozen=True, slots=True, eq=False)
class _Shown:
    """A picture on its way to a model: its item's path is for messages."""

    name: str
    image: Image
    question: str


@dataclass
class LocalWork:
    """Lets a model on this machine describe pictures, a batch at a time.

    Attributes:
        make: Loads the model.
        told_identity: All that decides its texts.
        device: What it runs on, in words.
        source: As captions have it.
        wording: What is asked.
        guesses: Item to what a detector took it for.
        long_side_px: Larger pictures are shrunk to this.
    """

    make: Callable[[], Describer]
    told_identity: str
    device: str
    source: str
    wording: Wording
    guesses: Mapping[str, str] = field(default_factory=dict)
    long_side_px: int = 1024

    def identity(self) -> str:
        """Return what decides the texts."""
        asked = self.wording.prompt()
        parts = [self.told_identity, self.long_side_px, asked.system, asked.user, self.wording.kind, self.wording.names]
        return json.dumps(parts, ensure_ascii=False)

    def open(self) -> None:
        """Load the model."""
        self._describer = self.make()

    def load(self, item: Item) -> Iterator[Loaded]:
        """Read a picture."""
        image = shrink_image(open_picture(item)(2 * self.long_side_px), self.long_side_px)
        question = self.wording.prompt(self.guesses.get(item.item_id, ""))
        yield Loaded(item.item_id, _Shown(str(item.path or item.item_id), image, f"{question.system}\n{question.user}"))

    def compute(self, loaded: list[Loaded]) -> list[Result | UnreadableError]:
        """Describe a batch; an answer that is none is the failure of its picture."""
        shown: list[_Shown] = [one.content for one in loaded]
        texts = self._describer.describe([one.image for one in shown], [one.question for one in shown])
        return [
            self._read(one.item_id, picture.name, text) for one, picture, text in zip(loaded, shown, texts, strict=True)
        ]

    def write(self, transaction: Transaction, results: list[Result]) -> int:
        """Write a caption for each."""
        return _write(transaction, [one.content for one in results])

    def _read(self, item_id: str, name: str, text: str) -> Result | UnreadableError:
        try:
            return Result(item_id, Description(item_id, self.wording.read(text), self.source))
        except UnreadableAnswerError as error:
            return UnreadableError(name, str(error))


@dataclass(frozen=True, slots=True)
class Among:
    """Those of a selection that have one of some ids, in its order."""

    items: Selection[Item]
    ids: Collection[str]

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __iter__(self) -> Iterator[Item]:
        return (item for item in self.items if item.item_id in self.ids)


@dataclass(frozen=True, slots=True)
class Pile:
    """What is to get words.

    Attributes:
        chosen: Those that somebody is asked about.
        others: Those that get the name of their class.
        names: Item to its class, mapped.
        guesses: Item to its class, as the detector spells it.
        reads: What this rests on, by name.
    """

    chosen: Selection[Item]
    others: Selection[Item]
    names: Mapping[str, str] = field(default_factory=dict)
    guesses: Mapping[str, str] = field(default_factory=dict)
    reads: Mapping[str, str] = field(default_factory=dict)


def mined_pile(catalog: Catalog, mining: Mining) -> Pile:
    """Return everything that was mined: the selection, and the rest.

    Whose file has gone from the catalog is not among them.
    """
    chosen = frozenset(one.item_id for one in mining.selected)
    others = frozenset(read_rarity(catalog, mining.run_id).get(COMBINED, {})) - chosen
    return Pile(
        _items_of(catalog, mining, chosen),
        _items_of(catalog, mining, others),
        mining.class_of,
        mining.named or mining.class_of,
        {"mining": mining.run_id},
    )


def refuse_vectors(items: Selection[Item]) -> None:
    """Refuse to show a model what has no picture.

    Raises:
        DataError: If a vector that came without its picture is among the items.
    """
    if any(item.kind == "vector" for item in items):
        raise DataError(
            "vectors that came without pictures are in the selection, and a model has nothing to look at: "
            "--captioner class-name"
        )


def _items_of(catalog: Catalog, mining: Mining, ids: Collection[str]) -> Selection[Item]:
    if mining.detect_run_id is not None:
        return CropSelection(catalog, mining.detect_run_id, ids)
    return Among(select_items(catalog, LABELLED_KINDS), ids)


def _write(transaction: Transaction, told: Sequence[Description]) -> int:
    return write_captions(transaction, (CaptionRow(one.item_id, 0, one.source, one.text) for one in told))
