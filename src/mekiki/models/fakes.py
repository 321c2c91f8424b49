"""Backends without a network and without weights, for tests and demos: deterministic, and right where they can be."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from mekiki.models.annotators import Ledger, NoAnswerError, Usage
from mekiki.models.base import Answer, Question
from mekiki.models.prompts import UnreadableAnswerError


class FakeAnnotator:
    """Answers from what it was given, and refuses otherwise; enters its calls and keeps its answers as a real one does.

    Args:
        answers: Item id to the classes that are present.
        class_names: All classes that are asked for.
        cost_usd: What a call costs.
    """

    name = "vlm:fake"
    long_side_px = 64
    host = "nowhere"

    def __init__(self, answers: Mapping[str, Sequence[str]], class_names: Sequence[str], cost_usd: float = 0.0) -> None:
        self.class_names = tuple(class_names)
        self.asked: list[str] = []
        self._answers = answers
        self._cost_usd = cost_usd

    def identity(self) -> str:
        """Return what it was given, in short."""
        text = json.dumps([self.class_names, sorted((key, list(said)) for key, said in self._answers.items())])
        return f"fake {hashlib.sha256(text.encode()).hexdigest()[:16]}"

    def open(self) -> None:
        """Do nothing."""

    def stop(self) -> None:
        """Do nothing: its calls take no time."""

    def key(self, item_id: str) -> str:
        """Return the hash of the item."""
        return hashlib.sha256(f"fake {item_id}".encode()).hexdigest()

    def read(self, item_id: str, stored: Mapping[str, Any]) -> Answer:
        """Return a kept answer; see `Annotator.read`."""
        if "labels" not in stored:
            raise UnreadableAnswerError("the answer has no labels")
        return Answer(item_id, tuple(stored["labels"]), 1.0)

    def ask(self, question: Question, ledger: Ledger) -> Answer:
        """Return the answer that it was given; see `Annotator.ask`."""
        key = self.key(question.item_id)
        with ledger.begin(key, self._cost_usd) as call:
            self.asked.append(question.item_id)
            if question.item_id not in self._answers:
                call.unpaid()
                raise NoAnswerError("nobody said what this picture shows")
            stored = {"item_id": question.item_id, "labels": list(self._answers[question.item_id])}
            call.arrived(stored, Usage(1, 1, self._cost_usd))
        return self.read(question.item_id, stored)
