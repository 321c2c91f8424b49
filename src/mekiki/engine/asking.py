"""Asking about pictures, many at once: what the stages ``annotate`` and ``caption`` hand to the engine."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Generic

from mekiki.catalog.attributes import write_attributes
from mekiki.catalog.db import Transaction
from mekiki.catalog.items import write_classes
from mekiki.catalog.results import LabelRow, write_labels
from mekiki.engine.answers import Answers
from mekiki.errors import UnreadableError
from mekiki.intake.pictures import open_picture
from mekiki.media.images import shrink_image
from mekiki.models.annotators import Annotator, Asker, NoAnswerError, SaidT_co
from mekiki.models.base import Answer, Question
from mekiki.models.prompts import UnreadableAnswerError
from mekiki.records import Item, LabelState, Loaded, Result

FACTS = ("reason", "model", "response_id", "response_text", "confidence", "labels_left_out")
"""Attributes that an answer leaves; names of no class are ``labels_left_out``."""


@dataclass
class Asking(ABC, Generic[SaidT_co]):
    """What is done to each picture: look for an answer that came before, else read the picture and ask.

    Reading and asking happen in `load`, in the engine's reader threads, so that a slow call holds up no other: as many
    calls as ``concurrency`` are in flight, whatever the batch.

    Attributes:
        asker: Who is asked.
        answers: The cache.
        concurrency: Calls in flight at once.
        n_readers: Threads that read pictures ahead of the calls.
        asked, cached: Pictures answered by a call, and without one, in this invocation.
        failed: Pictures that failed in this invocation.
    """

    asker: Asker[SaidT_co]
    answers: Answers
    concurrency: int
    n_readers: int
    asked: set[str] = field(default_factory=set)
    cached: set[str] = field(default_factory=set)
    failed: dict[str, UnreadableError] = field(default_factory=dict)

    @property
    def n_threads(self) -> int:
        """How many pictures may be in hand at once."""
        return self.concurrency + self.n_readers

    @property
    def device(self) -> str:
        """Where calls go."""
        return self.asker.host

    def identity(self) -> str:
        """Return what decides the answers."""
        return self.asker.identity()

    def open(self) -> None:
        """Make room for calls. The annotator gets ready when it is first asked: all may have been asked before."""
        self._slots = threading.BoundedSemaphore(self.concurrency)
        self._opening = threading.Lock()
        self._is_open = False

    def stop(self) -> None:
        """Let no new call begin, and wake those that wait; the calls in flight go on."""
        self.asker.stop()
        self.answers.stop()

    def load(self, item: Item) -> Iterator[Loaded]:
        """Answer for one picture; runs in several threads at once.

        Raises:
            UnreadableError: If the picture cannot be read, or no answer could be had.
            BackendError, CostCapReachedError: If there is no point in going on.
        """
        answer = self._known(item)
        if answer is None and item.item_id in self.failed:
            raise self.failed[item.item_id]
        if answer is None:
            try:
                answer = self._ask(item)
            except UnreadableError as error:
                self.failed[item.item_id] = error
                raise
        yield Loaded(item.item_id, answer)

    def has_answer(self, item: Item) -> bool:
        """Return whether an answer for a picture has come, now or before."""
        return self._known(item) is not None

    def compute(self, loaded: list[Loaded]) -> list[Result | UnreadableError]:
        """Pass on what was answered."""
        return [Result(one.item_id, one.content) for one in loaded]

    @abstractmethod
    def write(self, transaction: Transaction, results: list[Result]) -> int:
        """Write what was answered, and return how many rows."""

    def _known(self, item: Item) -> SaidT_co | None:
        """Return what came for a picture before, if it can be read."""
        for stored in self.answers.get(self.asker.key(item.item_id)):
            try:
                answer = self.asker.read(item.item_id, stored)
            except UnreadableAnswerError:
                continue
            if item.item_id not in self.asked:
                self.cached.add(item.item_id)
            return answer
        return None

    def _ask(self, item: Item) -> SaidT_co:
        side_px = self.asker.long_side_px
        image = shrink_image(open_picture(item)(2 * side_px), side_px)
        with self._opening:
            if not self._is_open:
                self.asker.open()
                self._is_open = True
        with self._slots:
            try:
                answer = self.asker.ask(Question(item.item_id, image), self.answers)
            except NoAnswerError as error:
                raise UnreadableError(item.path or item.item_id, str(error)) from error
        self.asked.add(item.item_id)
        return answer


@dataclass
class AskWork(Asking[Answer]):
    """Asks which classes pictures show, and writes labels."""

    asker: Annotator

    def write(self, transaction: Transaction, results: list[Result]) -> int:
        """Write a label for every class, and what else the answers say."""
        answers: list[Answer] = [one.content for one in results]
        write_classes(transaction, self.asker.class_names)
        n_rows = write_labels(transaction, (row for answer in answers for row in self._labels(answer)))
        return n_rows + write_attributes(transaction, (row for answer in answers for row in _facts(answer)))

    def _labels(self, answer: Answer) -> Iterator[LabelRow]:
        for name in self.asker.class_names:
            state: LabelState = "present" if name in answer.labels else "absent"
            confidence = answer.scores.get(name, answer.confidence)
            yield LabelRow(answer.item_id, name, self.asker.name, state, confidence)


def _facts(answer: Answer) -> Iterator[tuple[str, str, str]]:
    said = {"reason": answer.reason, "confidence": f"{answer.confidence:g}", **answer.facts}
    yield from ((answer.item_id, name, str(said[name])) for name in FACTS if said.get(name))
