"""Who says which classes a picture shows: the Protocol, the names, and what paid answers are written down with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Protocol, TypeVar

from mekiki.models.base import Answer, Question
from mekiki.models.pricing import Sizes
from mekiki.models.prompts import Prompt
from mekiki.registry import Registry

SaidT_co = TypeVar("SaidT_co", covariant=True)
"""What an answer is once it has been read: labels, or a description."""


@dataclass(frozen=True, slots=True)
class Usage:
    """What one call used; None where the server does not say, or nobody knows the price.

    Attributes:
        input_tokens, output_tokens: As the server counts them.
        cost_usd: At the price of that day; a cost cap goes by tokens and the price of today.
    """

    input_tokens: int | None = None
    output_tokens: int | None = None
    cost_usd: float | None = None


class Call(Protocol):
    """One call that is about to be made, and may be paid for. Unless said otherwise at its end, its answer is lost."""

    def __enter__(self) -> Call: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def arrived(self, answer: Mapping[str, Any], usage: Usage) -> None:
        """Keep an answer; it is on the disk when this returns."""
        ...

    def unpaid(self) -> None:
        """Say that the server has not worked on it."""
        ...


class Ledger(Protocol):
    """Where calls are entered before they are made, and answers as they arrive."""

    def begin(self, key: str, worst_usd: float | None, most: Sizes | None = None) -> Call:
        """Enter a call.

        Args:
            key: Of the question.
            worst_usd: The most that it can cost; None if nobody knows.
            most: The tokens that it cannot exceed, from which its cost follows at any price; None if nobody knows.

        Raises:
            CostCapReachedError: If that is more than what is left.
            StoppedError: If the run was stopped.
        """
        ...


class NoAnswerError(Exception):
    """One question that got no answer which can be used; it will be asked again. The message says why."""


class Topic(Protocol[SaidT_co]):
    """What is asked about items, and how the answers are read; whom is another's business."""

    def prompt(self, item_id: str) -> Prompt:
        """Return the question about an item; of an item that it knows nothing of, the one about any."""
        ...

    def reading(self) -> Mapping[str, str]:
        """Return what decides how answers are read, beside the question; part of a run's fingerprint."""
        ...

    def read(self, item_id: str, stored: Mapping[str, Any]) -> SaidT_co:
        """Return what an answer says.

        Args:
            item_id: Whom it is about.
            stored: ``text``, and ``model`` and ``response_id`` where the server gave them.

        Raises:
            UnreadableAnswerError: If it says nothing that can be used.
        """
        ...


class Asker(Protocol[SaidT_co]):
    """Somebody who is shown one picture after another, and says something of each."""

    name: str
    """As labels and captions have it: ``vlm:gpt-5.2``."""

    long_side_px: int
    """Pictures are shrunk to this before they are shown."""

    host: str
    """Where it answers, as a user is told."""

    def identity(self) -> str:
        """Return all that decides its answers, for the fingerprint of a run."""
        ...

    def open(self) -> None:
        """Get ready to answer; called once.

        Raises:
            BackendError: If something is missing that it needs.
        """
        ...

    def key(self, item_id: str) -> str:
        """Return what two questions have in common that are the same: then one answer does for both."""
        ...

    def read(self, item_id: str, stored: Mapping[str, Any]) -> SaidT_co:
        """Return an answer that came before.

        Raises:
            UnreadableAnswerError: If it says nothing that can be used.
        """
        ...

    def ask(self, question: Question, ledger: Ledger) -> SaidT_co:
        """Return what it says of a picture. Runs in several threads at once.

        Raises:
            NoAnswerError: If nothing can be made of this picture.
            BackendError: If there is no point in going on.
            CostCapReachedError, StoppedError: See `Ledger.begin`.
        """
        ...

    def stop(self) -> None:
        """Let no new call begin, and wake those that wait."""
        ...


class Annotator(Asker[Answer], Protocol):
    """An asker that says which classes each picture shows."""

    class_names: tuple[str, ...]
    """All classes that are asked for; those that an answer does not name are absent."""


class LabelFiles:
    """Somebody whose labels stand in files: a person, or whoever wrote them. Is shown nothing."""


class Words:
    """Nobody: stored vectors of pictures are compared with the names of the classes; see `mekiki.models.zero_shot`."""


ANNOTATORS: Registry[Any] = Registry(
    "annotator",
    {
        "vlm": "mekiki.models.vlm_openai:VlmAnnotator",
        "zero-shot": "mekiki.models.annotators:Words",
        "import": "mekiki.models.annotators:LabelFiles",
        "human": "mekiki.models.annotators:LabelFiles",
    },
)
"""``vlm:MODEL``, ``zero-shot:EMBEDDER``, ``import:NAME`` and ``human:NAME`` say more.

Whom to believe first stands in `mekiki.catalog.results.ANNOTATOR_ORDER`.
"""
