"""Settings of every stage that may ask a vision-language model behind a server: which, how, and at what cost."""

from __future__ import annotations

from typing import Any, Literal

from mekiki.errors import UsageError
from mekiki.models.openai_requests import Sampling
from mekiki.models.openai_server import Api, OpenAiServer
from mekiki.models.pricing import Detail, Price, find_price, no_price
from mekiki.models.retries import Pacer
from mekiki.models.vlm_openai import Showing
from mekiki.models.vocabulary import Language
from mekiki.settings import Field, PerItemSettings, SpeedOnly

VLM_ONLY = frozenset(
    {"model", "language", "long_side", "quality", "detail", "max_output_tokens", "temperature"}
    | {"reasoning_effort", "max_cost", "price_in", "price_out"}
)
"""Settings that mean nothing to whoever asks no such model."""


class AskingSettings(PerItemSettings):
    """Which model is asked, how pictures are shown to it, and what that may cost."""

    model: str = Field("gpt-5.2", min_length=1, description="vlm: the model's name on the server")
    language: Language | None = Field(None, description="vlm: of the prompt (default: the class file's, else en)")
    long_side: int = Field(1024, ge=16, description="vlm: pictures are shrunk to this many pixels on their long side")
    quality: int = Field(85, ge=1, le=100, description="vlm: JPEG quality of what is sent")
    detail: Detail = Field("low", description="vlm: how closely the model looks, which decides what a picture costs")
    max_output_tokens: int = Field(220, ge=16, description="vlm: where the server cuts an answer, thinking included")
    temperature: float | None = Field(
        None, ge=0, le=2, description="vlm: 0 for always the same (default: the server's)"
    )
    reasoning_effort: Literal["none", "minimal", "low", "medium", "high", "xhigh"] | None = Field(
        None, description="vlm: how long the model thinks first (default: the server's)"
    )
    api: Api = SpeedOnly("auto", description="vlm: the protocol; auto finds out which the server speaks")
    concurrency: int = SpeedOnly(4, ge=1, description="vlm: calls in flight at once")
    rate_limit: float | None = SpeedOnly(None, gt=0, description="vlm: at most this many calls a minute")
    timeout: float = SpeedOnly(60.0, gt=0, description="vlm: seconds that a call may take")
    retries: int = SpeedOnly(3, ge=0, description="vlm: how often a failed call is made again")
    max_cost: float | None = SpeedOnly(
        None, ge=0, description="vlm: dollars that all invocations of this run together may cost, at the very most"
    )
    price_in: float | None = SpeedOnly(None, ge=0, description="vlm: dollars per million tokens of questions")
    price_out: float | None = SpeedOnly(None, ge=0, description="vlm: dollars per million tokens of answers")
    batch_size: int = SpeedOnly(1, ge=1, description="answers in one batch, which is one transaction")
    workers: int = SpeedOnly(2, ge=1, description="threads that read pictures ahead of the calls")

    def sampling(self) -> Sampling:
        """Return what decides an answer besides picture and question."""
        return Sampling(self.model, self.detail, self.max_output_tokens, self.temperature, self.reasoning_effort)

    def known_price(self) -> Price | None:
        """Return the price of the model; None if nobody knows it.

        Raises:
            UsageError: If a cost cap is set and nobody knows it, or half of a price is given.
        """
        price = find_price(self.model, self.price_in, self.price_out)
        if self.max_cost is not None and price is None:
            raise UsageError(f"--max-cost needs a price, and {no_price(f'vlm:{self.model}')}")
        return price

    def whom(self) -> dict[str, Any]:
        """Return the arguments of `mekiki.models.vlm_openai.VlmAsker`, all but the topic; nothing is sent.

        Raises:
            UsageError: As `known_price`, and if the server's address or the key is none.
        """
        return {
            "price": self.known_price(),
            "server": OpenAiServer(self.api, self.timeout),
            "sampling": self.sampling(),
            "showing": Showing(self.long_side, self.quality),
            "pacer": Pacer(self.rate_limit),
            "n_retries": self.retries,
        }


def split_model(given: Any, field: str) -> Any:
    """Return settings in which ``vlm:MODEL`` stands for what it is, so that both ways of naming a model are one run.

    Args:
        given: As they came.
        field: The setting that names who is asked.

    Raises:
        ValueError: If it names no model, or another than ``model`` does.
    """
    name, colon, model = str(given.get(field, "")).partition(":")
    if name != "vlm" or not colon:
        return given
    if not model.strip():
        raise ValueError(f"vlm: names no model: --{field} vlm:MODEL, or vlm alone with --model MODEL")
    if given.get("model", model) != model:
        raise ValueError(f"two models are named, {model!r} and {given['model']!r}: leave out --model")
    return {**given, field: name, "model": model}
