"""A vision-language model behind a server, asked for words about pictures; see `mekiki.models.vlm_openai`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mekiki.models.describe_prompts import Wording
from mekiki.models.prompts import Prompt


@dataclass(frozen=True, slots=True)
class Description:
    """What was said of one picture.

    Attributes:
        item_id: The picture.
        text: A description, or a name of a list.
        source: Who said it, as captions have it: ``vlm:MODEL``.
    """

    item_id: str
    text: str
    source: str


class DescribeTopic:
    """What a picture shows, in words.

    Args:
        wording: How it is asked.
        guesses: Item to what a detector took it for; told as something that nobody has checked.
        source: Who is asked, as captions have it.
    """

    def __init__(self, wording: Wording, guesses: Mapping[str, str], source: str) -> None:
        self._wording = wording
        self._guesses = guesses
        self._source = source

    def prompt(self, item_id: str) -> Prompt:
        """Return the question about an item."""
        return self._wording.prompt(self._guesses.get(item_id, ""))

    def reading(self) -> Mapping[str, str]:
        """Return what decides how answers are read: whether they are names, and of which list."""
        return {"reads": json.dumps([self._wording.kind, self._wording.names], ensure_ascii=False)}

    def read(self, item_id: str, stored: Mapping[str, Any]) -> Description:
        """Return what an answer says; see `mekiki.models.annotators.Topic.read`."""
        return Description(item_id, self._wording.read(stored["text"]), self._source)
