"""One OpenAI-compatible server: how it is reached, what it refuses, and what its answers hold."""

from __future__ import annotations

import base64
import json
import os
import re
import threading
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal
from urllib.parse import urlsplit

from mekiki.errors import BackendError, MissingExtraError, UsageError
from mekiki.models.openai_requests import Sampling, Shape, degraded, request_body
from mekiki.models.prompts import Prompt
from mekiki.models.retries import retry_after_s

DEFAULT_URL = "https://api.openai.com/v1"
MAX_TEXT = 20_000
"""Characters of an answer that are kept."""

MAX_MESSAGE = 200
Api = Literal["auto", "responses", "chat"]


@dataclass(frozen=True, slots=True)
class Reply:
    """What a server sent back for one picture.

    Attributes:
        text: What the model said; the beginning of the whole body where that is broken.
        trouble: ``refused``, ``incomplete`` or ``broken``; empty for an answer.
        response_id, model: As the server has them.
        input_tokens, output_tokens: What it counted; None where it does not say.
    """

    text: str
    trouble: str = ""
    response_id: str = ""
    model: str = ""
    input_tokens: int | None = None
    output_tokens: int | None = None


class TryAgainError(Exception):
    """A call that failed and may succeed later.

    Attributes:
        wait_s: How long the server wants to be left alone; None if it does not say.
        is_unpaid: The server has surely not worked on it.
        is_unreachable: There is no server to be reached.
    """

    def __init__(
        self, reason: str, *, wait_s: float | None = None, is_unpaid: bool = True, is_unreachable: bool = False
    ) -> None:
        super().__init__(reason)
        self.wait_s = wait_s
        self.is_unpaid = is_unpaid
        self.is_unreachable = is_unreachable


TURNED_AWAY = (409, 425, 429, 503)
"""Statuses that a server gives before it works; a gateway's 502 or 504, or a 500, may come after it has worked."""


class RejectedError(Exception):
    """A call that this server will never answer, while it may answer others."""


class OpenAiServer:
    """Speaks to a server in the protocol, and with the parameters, that it takes; found out once and remembered.

    ``OPENAI_BASE_URL`` and ``OPENAI_API_KEY`` say which and as whom; a server of one's own needs no key.

    Args:
        api: ``auto`` speaks Responses to OpenAI and Chat Completions to others, or what the server knows of the two.
        timeout_s: How long a call may take.
    """

    def __init__(self, api: Api, timeout_s: float) -> None:
        self.url = os.environ.get("OPENAI_BASE_URL") or DEFAULT_URL
        parts = urlsplit(self.url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise UsageError(f"OPENAI_BASE_URL is no address: it begins with {self.url[:8]!r}, not http:// or https://")
        self.host = parts.hostname if parts.port is None else f"{parts.hostname}:{parts.port}"
        self.address = f"{self.host}{parts.path.rstrip('/')}"
        """Host and path, without user, password and query: two servers behind one gateway are two."""
        self._is_openai = parts.hostname == urlsplit(DEFAULT_URL).hostname
        self._is_auto = api == "auto"
        first: Literal["responses", "chat"] = "responses" if self._is_openai else "chat"
        limit: Literal["max_tokens", "max_completion_tokens"] = (
            "max_completion_tokens" if first == "responses" else "max_tokens"
        )
        self._shape = Shape(first if api == "auto" else api, limit=limit)
        self._timeout_s = timeout_s
        self._lock = threading.Lock()
        self._key = os.environ.get("OPENAI_API_KEY", "").strip()
        self._client: Any = None

    def open(self) -> None:
        """Make the client; nothing is sent.

        Raises:
            BackendError: If the package or the key is missing.
        """
        try:
            import openai
        except ImportError as error:
            raise MissingExtraError("openai", "vlm") from error
        if not self._key and self._is_openai:
            raise BackendError(
                f"OPENAI_API_KEY is not set, and {self.host} wants a key: export OPENAI_API_KEY=..., or name a server "
                "of your own with export OPENAI_BASE_URL=http://127.0.0.1:8000/v1"
            )
        self._openai = openai
        self._client = openai.OpenAI(
            api_key=self._key or "none", base_url=self.url, max_retries=0, timeout=self._timeout_s
        )

    def close(self) -> None:
        """Give back the connections."""
        if self._client is not None:
            self._client.close()

    def send(self, prompt: Prompt, jpeg: bytes, sampling: Sampling) -> Reply:
        """Ask about one picture, once; again at most where the server refuses a parameter.

        Raises:
            TryAgainError: If it failed in a way that passes.
            RejectedError: If it will always fail for this picture.
            BackendError: If it will fail for all pictures.
        """
        url = f"data:image/jpeg;base64,{base64.b64encode(jpeg).decode('ascii')}"
        while True:
            shape = self._shape
            endpoint = self._client.responses if shape.api == "responses" else self._client.chat.completions
            body = request_body(shape, prompt, url, sampling)
            try:
                response = endpoint.with_raw_response.create(**body)
            except self._openai.APIStatusError as error:
                self._adapt(shape, error)
                continue
            except self._openai.APIConnectionError as error:
                raise self._no_connection(error) from error
            return self._reply(shape, response.text)

    def clean(self, text: str) -> str:
        """Return text of a server without our key, and without pictures that it may repeat."""
        if self._key:
            text = text.replace(self._key, "[key]")
        text = re.sub(r"(?i)\b(bearer|basic)\s+[\w.~+/=-]+", "[key]", text)
        return re.sub(r"(data:image/\w+;base64,)?[A-Za-z0-9+/]{200,}={0,2}", "[picture]", text)

    def _adapt(self, shape: Shape, error: Any) -> None:
        """Go on without what the server refused, or raise what its status means."""
        status, said = error.status_code, _said(error)
        message = self._shortened(said.message)
        if status in (401, 403):
            raise BackendError(
                f"{self.host} refuses the key ({status}: {message}): check OPENAI_API_KEY and OPENAI_BASE_URL"
            )
        if status == 402 or "insufficient_quota" in (said.code, said.kind):
            raise BackendError(f"{self.host} wants to be paid first ({status}: {message}): look at your account there")
        if status == 404 and "model" in f"{said.code} {said.message}".lower():
            raise BackendError(f"{self.host} has no such model ({message}): choose another with --model NAME")
        if status in (404, 405, 501):
            self._other_protocol(shape, message)
            return
        if status in (408, 409, 425, 429) or status >= 500:
            raise TryAgainError(
                f"status {status}: {message}",
                wait_s=retry_after_s(error.response.headers),
                is_unpaid=status in TURNED_AWAY,
            )
        following = degraded(shape, said.blame) if status in (400, 422) else None
        if following is None:
            raise RejectedError(f"refused with status {status}: {message}")
        self._change(shape, following)

    def _other_protocol(self, shape: Shape, message: str) -> None:
        other: Literal["responses", "chat"] = "chat" if shape.api == "responses" else "responses"
        if not self._is_auto or other in shape.tried:
            ways = "neither Responses nor Chat Completions" if self._is_auto else f"no {shape.api} protocol"
            raise BackendError(f"{self.host} knows {ways} ({message}): check OPENAI_BASE_URL, which often ends in /v1")
        self._change(shape, replace(shape, api=other, tried=(*shape.tried, shape.api)))

    def _change(self, used: Shape, following: Shape) -> None:
        """Remember what to do without, unless another call has found it out meanwhile."""
        with self._lock:
            if self._shape == used:
                self._shape = following

    def _no_connection(self, error: Any) -> TryAgainError:
        if isinstance(error, self._openai.APITimeoutError) and "Connect" not in type(error.__cause__).__name__:
            return TryAgainError(f"no answer within {self._timeout_s:g} s (--timeout)", is_unpaid=False)
        if "Connect" in type(error.__cause__).__name__:
            return TryAgainError(self._shortened(str(error.__cause__)), is_unreachable=True)
        return TryAgainError(f"the connection broke off: {type(error.__cause__).__name__}", is_unpaid=False)

    def _reply(self, shape: Shape, raw: str) -> Reply:
        try:
            body = json.loads(raw)
        except (ValueError, RecursionError):
            return Reply(self.clean(raw[:MAX_TEXT]), "broken")
        if not isinstance(body, dict):
            return Reply(self.clean(raw[:MAX_TEXT]), "broken")
        text, trouble = (_responses_text if shape.api == "responses" else _chat_text)(body)
        usage = body.get("usage")
        usage = usage if isinstance(usage, dict) else {}
        return Reply(
            self.clean(text[:MAX_TEXT]),
            trouble,
            str(body.get("id") or ""),
            str(body.get("model") or ""),
            _count(usage, "input_tokens", "prompt_tokens"),
            _count(usage, "output_tokens", "completion_tokens"),
        )

    def _shortened(self, message: str) -> str:
        plain = " ".join(self.clean(message).split()).rstrip(".")
        return plain if len(plain) <= MAX_MESSAGE else f"{plain[:MAX_MESSAGE]}…"


@dataclass(frozen=True, slots=True)
class _Said:
    message: str
    code: str
    kind: str
    blame: str


def _said(error: Any) -> _Said:
    """Return what an error says; ``blame`` names the parameter at fault where the server does."""
    body = error.body if isinstance(error.body, dict) else {}
    inner = body.get("error", body)
    inner = inner if isinstance(inner, dict) else {"message": str(inner)}
    details = inner.get("detail")
    places = [str(one.get("loc")) for one in details if isinstance(one, dict)] if isinstance(details, list) else []
    message = str(inner.get("message") or (details if isinstance(details, str) else "") or " ".join(places) or error)
    param = str(inner.get("param") or " ".join(places))
    return _Said(message, str(inner.get("code") or ""), str(inner.get("type") or ""), param or message[:400])


def _responses_text(body: Mapping[str, Any]) -> tuple[str, str]:
    """Return the text of a Responses body, and what is the matter with it."""
    messages = [one for one in body.get("output") or () if isinstance(one, dict) and one.get("type") == "message"]
    parts = [part for one in messages for part in one.get("content") or () if isinstance(part, dict)]
    refusal = "".join(str(part.get("refusal")) for part in parts if part.get("type") == "refusal")
    if refusal:
        return refusal, "refused"
    text = "".join(str(part.get("text") or "") for part in parts)
    if body.get("status") == "incomplete":
        return text, "incomplete"
    return (text, "") if messages else (json.dumps(body, ensure_ascii=False), "broken")


def _chat_text(body: Mapping[str, Any]) -> tuple[str, str]:
    """Return the text of a Chat Completions body, and what is the matter with it."""
    choices = body.get("choices")
    first = choices[0] if isinstance(choices, list) and choices and isinstance(choices[0], dict) else {}
    message = first.get("message")
    if not isinstance(message, dict):
        return json.dumps(body, ensure_ascii=False), "broken"
    content = message.get("content") or ""
    if isinstance(content, list):
        content = "".join(str(part.get("text") or "") for part in content if isinstance(part, dict))
    if message.get("refusal") or first.get("finish_reason") == "content_filter":
        return str(message.get("refusal") or content), "refused"
    return str(content), "incomplete" if first.get("finish_reason") == "length" else ""


def _count(usage: Mapping[str, Any], *names: str) -> int | None:
    found = [usage[name] for name in names if isinstance(usage.get(name), int) and usage[name] >= 0]
    return found[0] if found else None
