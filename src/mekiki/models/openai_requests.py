"""The body of a request in both OpenAI protocols, and what is left of it when a server refuses a part."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from mekiki.models.pricing import Detail
from mekiki.models.prompts import SCHEMA_NAME, Prompt

Protocol = Literal["responses", "chat"]
Output = Literal["schema", "object", "plain"]
Limit = Literal["max_tokens", "max_completion_tokens"]


@dataclass(frozen=True, slots=True)
class Sampling:
    """What decides an answer besides the picture and the prompt.

    Attributes:
        model: Its name on the server.
        detail: How closely it looks at the picture.
        max_output_tokens: Where the server cuts the answer.
        temperature: 0 for always the same; None leaves it to the server.
        reasoning_effort: How long it thinks first; None leaves it to the server.
    """

    model: str
    detail: Detail = "low"
    max_output_tokens: int = 220
    temperature: float | None = None
    reasoning_effort: str | None = None


@dataclass(frozen=True, slots=True)
class Shape:
    """How requests are built for one server.

    Attributes:
        api: The protocol.
        limit: What Chat Completions calls the limit on the answer.
        output: The answer is held to the JSON schema, to be any JSON object, or to nothing.
        without: Parameters that the server does not take.
        tried: Protocols that it does not speak.
        is_limit_swapped: Whether it has refused one name of the limit already.
    """

    api: Protocol
    limit: Limit = "max_tokens"
    output: Output = "schema"
    without: frozenset[str] = frozenset()
    tried: tuple[Protocol, ...] = ()
    is_limit_swapped: bool = False


def request_body(shape: Shape, prompt: Prompt, picture_url: str, sampling: Sampling) -> dict[str, Any]:
    """Return the arguments of one call.

    Args:
        shape: What the server takes.
        prompt: The question.
        picture_url: The picture as a data URL.
        sampling: What else decides the answer.
    """
    make = _responses_body if shape.api == "responses" else _chat_body
    body: dict[str, Any] = {"model": sampling.model, **make(shape, prompt, picture_url, sampling)}
    if sampling.temperature is not None and "temperature" not in shape.without:
        body["temperature"] = sampling.temperature
    return body


@dataclass(frozen=True, slots=True)
class Complaint:
    """What a server says is wrong with a request.

    Attributes:
        param: Path of the parameter at fault, such as ``response_format`` or ``input[1].content[1].detail``; may be
            empty.
        message: What it says of it.
    """

    param: str = ""
    message: str = ""

    def is_about(self, param: str, words: str) -> bool:
        """Return whether it says that a parameter is not taken; a message that only has its name in it does not.

        Args:
            param: Pattern of its path.
            words: Pattern of its name in a message.
        """
        if re.search(param, self.param, re.IGNORECASE):
            return True
        return bool(_NOT_TAKEN.search(self.message) and re.search(words, self.message, re.IGNORECASE))


def degraded(shape: Shape, complaint: Complaint) -> Shape | None:
    """Return how to ask without what a server complains about; None if the complaint is about nothing we can change.

    Args:
        shape: How it was asked.
        complaint: The parameter at fault, or the server's message.

    Example:
        >>> degraded(Shape("chat"), Complaint(message="response_format.type must be json_object")).output
        'object'
        >>> degraded(Shape("chat"), Complaint(message="the temperature of the picture is not supported")) is None
        True
    """
    for param, words, change in _CHANGES:
        if complaint.is_about(param, words):
            following = change(shape)
            if following is not None:
                return following
    return None


def _less_output(shape: Shape) -> Shape | None:
    steps: Mapping[Output, Output] = {"schema": "object", "object": "plain"}
    return replace(shape, output=steps[shape.output]) if shape.output in steps else None


def _swap_limit(shape: Shape) -> Shape | None:
    if shape.api != "chat" or shape.is_limit_swapped:
        return None
    other: Limit = "max_tokens" if shape.limit == "max_completion_tokens" else "max_completion_tokens"
    return replace(shape, limit=other, is_limit_swapped=True)


def _without(name: str) -> Callable[[Shape], Shape | None]:
    return lambda shape: None if name in shape.without else replace(shape, without=shape.without | {name})


def _named(words: str) -> str:
    """Return a pattern for a parameter whose name is a word like others: it is quoted, or called a parameter."""
    kinds = r"(?:parameters?|arguments?|fields?|options?|keys?|inputs?)(?: supplied)?"
    path = rf"(?:[\w.\[\]]*[.\]])?(?:{words})"
    return rf"""['"`]{path}['"`]|\b{kinds}:? {path}\b|\b{path} {kinds}\b|^{path} is\b"""


_NOT_TAKEN = re.compile(
    r"(?:un|not |n't |not be )support|unknown|unrecogni[sz]ed|unexpected|unavailable|extra (?:inputs|fields)|deprecated"
    r"|not (?:allowed|permitted|implemented|accepted|available)|invalid (?:request )?(?:param|arg|field|option|key)"
    r"|response_format\S* must be|use '?max_completion_tokens|use '?max_tokens",
    re.IGNORECASE,
)
_LIMITS = r"max_tokens|max_completion_tokens"
_FORMATS = r"response_format|json_?schema|json_?object|text\.?format|structured.?output|guided_"
_CHANGES: tuple[tuple[str, str, Callable[[Shape], Shape | None]], ...] = (
    (_LIMITS, _LIMITS, _swap_limit),
    (r"\breasoning", rf"reasoning_effort|reasoning\.effort|{_named('reasoning')}", _without("reasoning")),
    (r"\btemperature\b", _named("temperature"), _without("temperature")),
    (r"\bstore\b", _named("store"), _without("store")),
    (r"\bdetail\b", _named("detail"), _without("detail")),
    (rf"^(?:body\.)?text$|{_FORMATS}", rf"{_FORMATS}|grammar|{_named('text')}", _less_output),
)


def _responses_body(shape: Shape, prompt: Prompt, picture_url: str, sampling: Sampling) -> dict[str, Any]:
    picture = {"type": "input_image", "image_url": picture_url}
    if "detail" not in shape.without:
        picture["detail"] = sampling.detail
    question = [{"type": "input_text", "text": prompt.user}, picture]
    body: dict[str, Any] = {
        "input": [{"role": "system", "content": prompt.system}, {"role": "user", "content": question}],
        "max_output_tokens": sampling.max_output_tokens,
    }
    if "store" not in shape.without:
        body["store"] = False  # the server is to forget the picture
    formats: Mapping[str, Any] = {
        "schema": {"type": "json_schema", "name": SCHEMA_NAME, "strict": True, "schema": prompt.schema},
        "object": {"type": "json_object"},
    }
    if prompt.schema is not None and shape.output in formats:
        body["text"] = {"format": formats[shape.output]}
    if sampling.reasoning_effort is not None and "reasoning" not in shape.without:
        body["reasoning"] = {"effort": sampling.reasoning_effort}
    return body


def _chat_body(shape: Shape, prompt: Prompt, picture_url: str, sampling: Sampling) -> dict[str, Any]:
    picture = {"url": picture_url}
    if "detail" not in shape.without:
        picture["detail"] = sampling.detail
    question = [{"type": "text", "text": prompt.user}, {"type": "image_url", "image_url": picture}]
    body: dict[str, Any] = {
        "messages": [{"role": "system", "content": prompt.system}, {"role": "user", "content": question}],
        shape.limit: sampling.max_output_tokens,
    }
    formats: Mapping[str, Any] = {
        "schema": {
            "type": "json_schema",
            "json_schema": {"name": SCHEMA_NAME, "strict": True, "schema": prompt.schema},
        },
        "object": {"type": "json_object"},
    }
    if prompt.schema is not None and shape.output in formats:
        body["response_format"] = formats[shape.output]
    if sampling.reasoning_effort is not None and "reasoning" not in shape.without:
        body["reasoning_effort"] = sampling.reasoning_effort
    return body
