"""What a call costs: prices per million tokens, how many tokens a picture is, and a budget that calls are drawn on.

Prices and counting rules are OpenAI's, as published at the beginning of 2026
(https://platform.openai.com/docs/pricing and
https://platform.openai.com/docs/guides/images-vision#calculating-costs). They change: ``--price-in`` and
``--price-out`` always win.
"""

from __future__ import annotations

import math
import re
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from mekiki.errors import DataError, UsageError
from mekiki.models.prompts import Prompt
from mekiki.models.retries import StoppedError

Detail = Literal["low", "high", "auto"]

MESSAGE_TOKENS = 64
"""More than the tokens around a system and a user message."""

UNKNOWN_PICTURE_TOKENS = 8192
"""Above what open models make of one picture (LLaVA-OneVision: 7,290); larger ones count by patches of 14 px."""

TYPICAL_PICTURE_TOKENS = 1000
TYPICAL_OUTPUT_TOKENS = 60
BYTES_PER_TOKEN: Mapping[bool, float] = {True: 4.0, False: 2.5}
"""Of plain ASCII text, and of other text, about."""


@dataclass(frozen=True, slots=True)
class Tiles:
    """Pictures as ``base`` tokens, and in high detail ``tile`` more for each 512 px square."""

    base: int
    tile: int


@dataclass(frozen=True, slots=True)
class Patches:
    """Pictures as patches of 32 px, at most 1,536, times a factor; detail makes no difference."""

    factor: float


@dataclass(frozen=True, slots=True)
class Price:
    """US dollars per million tokens, and how pictures are counted; None where that is not known."""

    usd_in: float
    usd_out: float
    pictures: Tiles | Patches | None = None

    def cost(self, input_tokens: float, output_tokens: float) -> float:
        """Return US dollars."""
        return (input_tokens * self.usd_in + output_tokens * self.usd_out) / 1e6


GREEDIEST = Patches(2.46)
"""The rule with the largest factor that is published."""

PRICES: Mapping[str, Price] = {
    "gpt-4o": Price(2.5, 10.0, Tiles(85, 170)),
    "gpt-4o-mini": Price(0.15, 0.6, Tiles(2833, 5667)),
    "gpt-4.1": Price(2.0, 8.0, Tiles(85, 170)),
    "gpt-4.1-mini": Price(0.4, 1.6, Patches(1.62)),
    "gpt-4.1-nano": Price(0.1, 0.4, Patches(2.46)),
    "gpt-5": Price(1.25, 10.0, Tiles(70, 140)),
    "gpt-5.1": Price(1.25, 10.0, Tiles(70, 140)),
    "gpt-5.2": Price(1.75, 14.0, Tiles(70, 140)),
    "gpt-5-mini": Price(0.25, 2.0, Patches(1.62)),
    "gpt-5-nano": Price(0.05, 0.4, Patches(2.46)),
    "o3": Price(2.0, 8.0, Tiles(75, 150)),
    "o4-mini": Price(1.1, 4.4, Patches(1.72)),
}


def no_price(name: str) -> str:
    """Return what to say where nobody knows what a model costs."""
    return (
        f"no price is known for {name}: give --price-in and --price-out in dollars per million tokens (0 and 0 for a "
        "server of your own)"
    )


def find_price(model: str, usd_in: float | None, usd_out: float | None) -> Price | None:
    """Return the price of a model; None if nobody knows it.

    A model of a known name is taken to cost what OpenAI asks, whoever serves it: so a cap also holds behind a proxy.

    Args:
        model: Its name; a date at its end does not count.
        usd_in: What the user says of questions, per million tokens.
        usd_out: The same of answers; both or neither.

    Raises:
        UsageError: If only one of the two is given.
    """
    known = PRICES.get(re.sub(r"-\d{4}-\d{2}-\d{2}$", "", model))
    if usd_in is None and usd_out is None:
        return known
    if usd_in is None or usd_out is None:
        raise UsageError("a price has two parts: give both --price-in and --price-out, in dollars per million tokens")
    return Price(usd_in, usd_out, known.pictures if known else None)


def picture_tokens(rule: Tiles | Patches | None, width_px: int, height_px: int, detail: Detail) -> int:
    """Return at most how many tokens a picture is; ``auto`` counts as high detail.

    Example:
        >>> picture_tokens(Tiles(85, 170), 1024, 1024, "high"), picture_tokens(Tiles(85, 170), 1024, 1024, "low")
        (765, 85)
    """
    if rule is None:
        return max(UNKNOWN_PICTURE_TOKENS, math.ceil(width_px / 14) * math.ceil(height_px / 14))
    if isinstance(rule, Patches):
        return math.ceil(min(1536, math.ceil(width_px / 32) * math.ceil(height_px / 32)) * rule.factor)
    if detail == "low":
        return rule.base
    scale = min(1.0, 2048 / max(width_px, height_px))
    scale *= min(1.0, 768 / (min(width_px, height_px) * scale))
    tiles = math.ceil(width_px * scale / 512) * math.ceil(height_px * scale / 512)
    return rule.base + rule.tile * tiles


@dataclass(frozen=True, slots=True)
class Sizes:
    """How large a call is at most, or on average.

    Attributes:
        input_tokens: Question and picture.
        output_tokens: Answer.
    """

    input_tokens: float
    output_tokens: float


def worst_sizes(
    prompt: Prompt, rule: Tiles | Patches | None, picture_wh: tuple[int, int], detail: Detail, max_output_tokens: int
) -> Sizes:
    """Return what a call cannot exceed: no token is shorter than a byte, and the server cuts long answers.

    A picture counts by the greediest rule of any model where that is more, since rules change with models.
    """
    text = len(_words_of(prompt).encode())
    picture = max(picture_tokens(one, *picture_wh, detail) for one in (rule, GREEDIEST))
    return Sizes(text + MESSAGE_TOKENS + picture, max_output_tokens)


def typical_sizes(prompt: Prompt, rule: Tiles | Patches | None, picture_wh: tuple[int, int], detail: Detail) -> Sizes:
    """Return what a call comes to, about."""
    text = _words_of(prompt)
    words = len(text.encode()) / BYTES_PER_TOKEN[text.isascii()]
    picture = TYPICAL_PICTURE_TOKENS if rule is None else picture_tokens(rule, *picture_wh, detail)
    return Sizes(round(words) + MESSAGE_TOKENS + picture, TYPICAL_OUTPUT_TOKENS)


def _words_of(prompt: Prompt) -> str:
    """Return all that a server counts of a question, the schema among it where there is one."""
    return f"{prompt.system}{prompt.user}{'' if prompt.schema is None else prompt.schema}"


class CostCapReachedError(DataError):
    """The next call could cost more than what is left; nothing is lost, and a higher cap goes on."""


class Budget:
    """Money that calls are drawn on. A call begins only if all that may become of it, and of those in flight, is there.

    Args:
        limit_usd: What may be spent in all; None for no limit.
        spent_usd: What has been spent before.
    """

    def __init__(self, limit_usd: float | None, spent_usd: float = 0.0) -> None:
        self._limit_usd = limit_usd
        self._spent_usd = spent_usd
        self._reserved_usd = 0.0
        self._n_in_flight = 0
        self._changed = threading.Condition()
        self._is_closed = False

    def reserve(self, worst_usd: float) -> None:
        """Set money aside for a call, waiting for calls in flight if they may leave enough.

        Raises:
            CostCapReachedError: If there is not enough, and nothing in flight that could leave more.
            StoppedError: If the run was stopped.
        """
        if self._limit_usd is None:
            return
        with self._changed:
            while self._spent_usd + self._reserved_usd + worst_usd > self._limit_usd:
                if self._is_closed:
                    raise StoppedError
                if not self._n_in_flight:
                    raise CostCapReachedError(
                        f"the next call may cost ${worst_usd:.4f}, and ${self._spent_usd:.4f} of --max-cost "
                        f"{self._limit_usd:g} are spent"
                    )
                self._changed.wait()
            self._reserved_usd += worst_usd
            self._n_in_flight += 1

    def settle(self, worst_usd: float, actual_usd: float) -> None:
        """Say what a call that money was set aside for has cost."""
        if self._limit_usd is None:
            return
        with self._changed:
            self._reserved_usd -= worst_usd
            self._spent_usd += actual_usd
            self._n_in_flight -= 1
            self._changed.notify_all()

    def close(self) -> None:
        """Wake all that wait."""
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()
