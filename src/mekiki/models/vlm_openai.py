"""A vision-language model behind an OpenAI-compatible server: asked, asked again, and read; as an annotator too."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Generic

from mekiki.errors import BackendError
from mekiki.media.images import encode_jpeg
from mekiki.models.annotators import Ledger, NoAnswerError, SaidT_co, Topic, Usage
from mekiki.models.base import Answer, Question
from mekiki.models.openai_replies import MAX_TEXT, Reply
from mekiki.models.openai_requests import Sampling
from mekiki.models.openai_server import OpenAiServer, RejectedError, TryAgainError
from mekiki.models.pricing import Price, Sizes, typical_sizes, worst_sizes
from mekiki.models.prompts import MAX_SHOWN, Prompt, UnreadableAnswerError, parse_answer, render_prompt
from mekiki.models.retries import Pacer
from mekiki.models.vocabulary import Vocabulary

TROUBLES: Mapping[str, str] = {
    "refused": "the model refused",
    "incomplete": "the answer was cut off: raise --max-output-tokens, or lower --reasoning-effort",
    "long": f"the answer has more than {MAX_TEXT:,} characters",
    "broken": "the server's answer is no JSON of its protocol",
}
FINAL_TROUBLES = ("refused", "incomplete")
"""Asking again at once would only repeat them, and be paid for."""


@dataclass(frozen=True, slots=True)
class Showing:
    """How a picture is sent: as a JPEG without any metadata.

    Attributes:
        long_side_px: Larger ones are shrunk to this.
        quality: Of the JPEG, 1 to 100.
    """

    long_side_px: int = 1024
    quality: int = 85


class VlmAsker(Generic[SaidT_co]):
    """Whom to ask, how often, at what cost, and by which key an answer is known again.

    Args:
        server: Where.
        topic: What is asked about each picture, and how the answer is read.
        sampling: Model, detail and the like.
        showing: How pictures are sent.
        price: Of the model; None if unknown.
        pacer: When calls may begin.
        n_retries: How often a failed call is made again, for one picture in one invocation.
    """

    def __init__(
        self,
        server: OpenAiServer,
        topic: Topic[SaidT_co],
        sampling: Sampling,
        showing: Showing = Showing(),
        price: Price | None = None,
        pacer: Pacer | None = None,
        n_retries: int = 3,
    ) -> None:
        self.name = f"vlm:{sampling.model}"
        self.long_side_px = showing.long_side_px
        self.host = server.host
        self.price = price
        self._server = server
        self._topic = topic
        self._sampling = sampling
        self._showing = showing
        self._pacer = pacer or Pacer()
        self._n_retries = n_retries
        self._most = Sizes(0, 0)

    def identity(self) -> str:
        """Return host, prompt, sampling and words, which decide every answer and how it is read."""
        return json.dumps({**self._what_is_asked(), **self._topic.reading()}, ensure_ascii=False)

    def open(self) -> None:
        """Make the client; see `OpenAiServer.open`."""
        self._server.open()

    def close(self) -> None:
        """Give back the connections."""
        self._server.close()

    def stop(self) -> None:
        """Let no new call begin."""
        self._pacer.stop()

    def key(self, item_id: str) -> str:
        """Return the hash of item, picture side, quality, detail, prompt, schema, model, sampling and host."""
        content = json.dumps({"item": item_id, **self._what_is_asked(item_id)}, sort_keys=True, ensure_ascii=False)
        return hashlib.sha256(content.encode()).hexdigest()

    def read(self, item_id: str, stored: Mapping[str, Any]) -> SaidT_co:
        """Return a kept answer; see `Asker.read`."""
        trouble = stored.get("trouble")
        if trouble:
            words = f": {stored['text'][:MAX_SHOWN]}" if trouble == "refused" else ""
            raise UnreadableAnswerError(f"{TROUBLES[trouble]}{words}", is_final=trouble in FINAL_TROUBLES)
        return self._topic.read(item_id, {**stored, "model": stored.get("model") or self._sampling.model})

    def ask(self, question: Question, ledger: Ledger) -> SaidT_co:
        """Send a picture until it is answered, or the retries are used up; see `Asker.ask`."""
        jpeg = encode_jpeg(question.image, self._showing.quality)
        height_px, width_px = question.image.shape[:2]
        key, most = self.key(question.item_id), self.most_sizes(question.item_id, width_px, height_px)
        for attempt in range(1, self._n_retries + 2):
            self._pacer.wait_turn()
            wait_s = None
            try:
                stored = self._call(jpeg, key, question.item_id, most, ledger)
                return self.read(question.item_id, stored)
            except TryAgainError as error:
                reason, wait_s = str(error), error.wait_s
                if error.is_unreachable and attempt > self._n_retries:
                    raise BackendError(
                        f"{self._server.host} cannot be reached ({reason}): start the server, or set OPENAI_BASE_URL"
                    ) from error
            except UnreadableAnswerError as error:
                reason = str(error)
                if error.is_final:
                    raise NoAnswerError(reason) from error
            if attempt <= self._n_retries:
                self._pacer.back_off(attempt, wait_s)
        raise NoAnswerError(f"{reason} (asked {attempt} times)" if attempt > 1 else reason)

    def worst_usd(self, item_id: str, width_px: int, height_px: int) -> float | None:
        """Return the most that a call about a picture of this size can cost; None if nobody knows the price."""
        return self._cost(self.most_sizes(item_id, width_px, height_px))

    def most_sizes(self, item_id: str, width_px: int, height_px: int) -> Sizes:
        """Return the most tokens that a call about a picture of this size can be.

        They are no fewer than the largest that any call so far has come to.
        """
        sampling, rule = self._sampling, self.price.pictures if self.price else None
        prompt = self._topic.prompt(item_id)
        worst = worst_sizes(prompt, rule, (width_px, height_px), sampling.detail, sampling.max_output_tokens)
        most = self._most
        return Sizes(max(worst.input_tokens, most.input_tokens), max(worst.output_tokens, most.output_tokens))

    def shown_size(self, width_px: int, height_px: int) -> tuple[int, int]:
        """Return width and height of a picture as it is sent."""
        scale = min(1.0, self.long_side_px / max(width_px, height_px))
        return max(1, round(width_px * scale)), max(1, round(height_px * scale))

    def expected(self, item_id: str, width_px: int, height_px: int) -> Sizes:
        """Return about how many tokens a call about a picture of this size is."""
        rule = self.price.pictures if self.price else None
        return typical_sizes(self._topic.prompt(item_id), rule, (width_px, height_px), self._sampling.detail)

    def _cost(self, sizes: Sizes) -> float | None:
        return None if self.price is None else self.price.cost(sizes.input_tokens, sizes.output_tokens)

    def _call(self, jpeg: bytes, key: str, item_id: str, most: Sizes, ledger: Ledger) -> Mapping[str, Any]:
        """Make one call and return its answer, which is on the disk by then."""
        with ledger.begin(key, self._cost(most), most) as call:
            try:
                reply = self._server.send(self._topic.prompt(item_id), jpeg, self._sampling)
            except RejectedError as error:
                call.unpaid()
                raise NoAnswerError(str(error)) from error
            except BackendError:
                call.unpaid()
                raise
            except TryAgainError as error:
                if error.is_unpaid:
                    call.unpaid()
                raise
            stored = {
                "item_id": item_id,
                "text": reply.text,
                "trouble": reply.trouble,
                "response_id": reply.response_id,
                "model": reply.model,
            }
            call.arrived(stored, self._usage(reply, most))
            return stored

    def _usage(self, reply: Reply, limit: Sizes) -> Usage:
        """Return what a call has used; what the server does not count, at most."""
        n_in, n_out, most = reply.input_tokens, reply.output_tokens, self._most
        self._most = Sizes(max(most.input_tokens, n_in or 0), max(most.output_tokens, n_out or 0))
        charged = Sizes(limit.input_tokens if n_in is None else n_in, limit.output_tokens if n_out is None else n_out)
        return Usage(n_in, n_out, self._cost(charged))

    def _what_is_asked(self, item_id: str = "") -> dict[str, Any]:
        prompt = self._topic.prompt(item_id)
        return {
            **asdict(self._sampling),
            **asdict(self._showing),
            "system": prompt.system,
            "user": prompt.user,
            "schema": prompt.schema,
            "host": self._server.address,
        }


class LabelTopic:
    """Which classes of a closed list a picture shows.

    Args:
        vocabulary: What may be said, and in which language it is asked.
    """

    def __init__(self, vocabulary: Vocabulary) -> None:
        self._vocabulary = vocabulary
        self._prompt = render_prompt(vocabulary, vocabulary.language or "en")

    def prompt(self, item_id: str) -> Prompt:
        """Return the question, the same about all items."""
        return self._prompt

    def reading(self) -> Mapping[str, str]:
        """Return what stands for names, aliases and words for unknown."""
        return {"words": self._vocabulary.fingerprint()}

    def read(self, item_id: str, stored: Mapping[str, Any]) -> Answer:
        """Return the labels of an answer; see `Topic.read`."""
        said = parse_answer(stored["text"], self._vocabulary)
        facts = {
            "model": stored["model"],
            "response_id": stored.get("response_id", ""),
            "response_text": stored["text"],
            "labels_left_out": ", ".join(said.left_out),
        }
        return Answer(item_id, said.labels, said.confidence, said.reason, facts=facts)


class VlmAnnotator(VlmAsker[Answer]):
    """An asker whose topic is which classes of a vocabulary pictures show; the other arguments are `VlmAsker`'s."""

    def __init__(
        self,
        server: OpenAiServer,
        vocabulary: Vocabulary,
        sampling: Sampling,
        showing: Showing = Showing(),
        price: Price | None = None,
        pacer: Pacer | None = None,
        n_retries: int = 3,
    ) -> None:
        super().__init__(server, LabelTopic(vocabulary), sampling, showing, price, pacer, n_retries)
        self.class_names = vocabulary.classes
