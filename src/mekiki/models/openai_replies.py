"""What the replies of an OpenAI-compatible server hold: answers, token counts, and complaints."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from mekiki.models.openai_requests import Complaint, Protocol

MAX_TEXT = 100_000
"""Characters of an answer that are kept; none is read that has more, since a part may say something else."""

MAX_NAME = 200
"""Characters of an id, or of the name of a model, that are kept."""

MAX_TOKENS = 100_000_000
"""What a server counts beyond this is no count."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What a server sent back for one picture.

    Attributes:
        text: What the model said; the beginning of the whole body where that is broken.
        trouble: ``refused``, ``incomplete``, ``long`` or ``broken``; empty for an answer.
        response_id, model: As the server has them.
        input_tokens, output_tokens: What it counted; None where it does not say.
    """

    text: str
    trouble: str = ""
    response_id: str = ""
    model: str = ""
    input_tokens: int | None = None
    output_tokens: int | None = None


def read_reply(api: Protocol, raw: bytes, clean: Callable[[str], str]) -> Reply:
    """Return what a body says; one of another shape is ``broken``.

    Args:
        api: The protocol that it should be of.
        raw: The body.
        clean: Leaves out what must not be kept; done before anything is cut.
    """
    words = raw.decode("utf-8-sig", "replace")
    try:
        body = json.loads(words)
    except (ValueError, RecursionError):
        body = None
    if not isinstance(body, dict):
        return Reply(clean(words)[:MAX_TEXT], "broken")
    found = (_responses_text if api == "responses" else _chat_text)(body)
    text, trouble = (words, "broken") if found is None else found
    text = clean(text)
    if len(text) > MAX_TEXT and not trouble:
        trouble = "long"
    usage = body.get("usage")
    usage = usage if isinstance(usage, dict) else {}
    return Reply(
        text[:MAX_TEXT],
        trouble,
        clean(_text(body.get("id")))[:MAX_NAME],
        clean(_text(body.get("model")))[:MAX_NAME],
        _count(usage, "input_tokens", "prompt_tokens"),
        _count(usage, "output_tokens", "completion_tokens"),
    )


@dataclass(frozen=True, slots=True)
class Said:
    """What a reply with an error says.

    Attributes:
        message: In the server's words.
        code, kind: What it calls the error.
        complaint: Which parameter is at fault, where it says so.
    """

    message: str
    code: str
    kind: str
    complaint: Complaint


def read_error(error: Any) -> Said:
    """Return what an ``openai.APIStatusError`` says, whatever its body."""
    body = error.body if isinstance(error.body, dict) else {}
    inner = body.get("error", body)
    inner = inner if isinstance(inner, dict) else {"message": _text(inner)}
    details = inner.get("detail")
    listed = [one for one in details if isinstance(one, dict)] if isinstance(details, list) else []
    places = " ".join(".".join(map(str, one["loc"])) for one in listed if isinstance(one.get("loc"), list))
    said = _text(inner.get("message")) or _text(details) or " ".join(_text(one.get("msg")) for one in listed)
    param = _text(inner.get("param")) or places
    return Said(
        said or places or _bare(error), _text(inner.get("code")), _text(inner.get("type")), Complaint(param, said[:400])
    )


def _bare(error: Any) -> str:
    """Return the text of an error whose body says nothing, without the status, which messages name anyway."""
    return re.sub(r"^Error code: \d+(?: - )?", "", str(error)).strip() or "it does not say why"


def _responses_text(body: Mapping[str, Any]) -> tuple[str, str] | None:
    """Return the text of a Responses body, and what is the matter with it; None for another shape."""
    messages = [one for one in _dicts(body.get("output")) if one.get("type") == "message"]
    if not messages:
        return ("", "incomplete") if body.get("status") == "incomplete" else None
    parts = [part for one in messages for part in _dicts(one.get("content"))]
    refusal = "".join(_text(part.get("refusal")) for part in parts if part.get("type") == "refusal")
    if refusal:
        return refusal, "refused"
    text = "".join(_text(part.get("text")) for part in parts)
    return text, "incomplete" if body.get("status") == "incomplete" else ""


def _chat_text(body: Mapping[str, Any]) -> tuple[str, str] | None:
    """Return the text of a Chat Completions body, and what is the matter with it; None for another shape."""
    first = next(iter(_dicts(body.get("choices"))), {})
    message = first.get("message")
    if not isinstance(message, dict):
        return None
    content = message.get("content")
    if not isinstance(content, str | list | None):
        return None
    text = content if isinstance(content, str) else "".join(_text(part.get("text")) for part in _dicts(content))
    refusal = _text(message.get("refusal"))
    if refusal or first.get("finish_reason") == "content_filter":
        return refusal or text, "refused"
    return text, "incomplete" if first.get("finish_reason") == "length" else ""


def _dicts(given: Any) -> list[dict[str, Any]]:
    return [one for one in given if isinstance(one, dict)] if isinstance(given, list) else []


def _text(given: Any) -> str:
    return given if isinstance(given, str) else ""


def _count(usage: Mapping[str, Any], *names: str) -> int | None:
    counts = [usage.get(name) for name in names]
    return next((one for one in counts if type(one) is int and 0 <= one <= MAX_TOKENS), None)
