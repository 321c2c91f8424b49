"""One OpenAI-compatible server: how it is reached, what it refuses, and what its answers hold."""

from __future__ import annotations

import base64
import os
import re
import threading
from dataclasses import replace
from functools import partial
from typing import Any, Literal
from urllib.parse import SplitResult, unquote, urlsplit

from mekiki.errors import BackendError, UsageError
from mekiki.models.openai_client import GRACE_S, make_client, within
from mekiki.models.openai_replies import Reply, read_error, read_reply
from mekiki.models.openai_requests import Sampling, Shape, degraded, request_body
from mekiki.models.prompts import Prompt
from mekiki.models.redacting import Redactor
from mekiki.models.retries import retry_after_s

DEFAULT_URL = "https://api.openai.com/v1"
OPENAI_HOST = "api.openai.com"
MAX_MESSAGE = 200
Api = Literal["auto", "responses", "chat"]
UNKNOWN_PATH = (404, 405, 501)
"""Statuses of a server that does not speak a protocol; once it has, they are the trouble of one call."""


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


TURNED_AWAY = (409, 425, 429, 503, *UNKNOWN_PATH)
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
        parts = _parts_of(self.url)
        self.host = parts.netloc.rpartition("@")[2].lower()
        self.address = f"{self.host}{parts.path.rstrip('/')}"
        """Host and path, without user and password: two servers behind one gateway are two."""
        self._is_openai = parts.hostname == OPENAI_HOST
        self._is_auto = api == "auto"
        first: Literal["responses", "chat"] = "responses" if self._is_openai else "chat"
        limit: Literal["max_tokens", "max_completion_tokens"] = (
            "max_completion_tokens" if first == "responses" else "max_tokens"
        )
        self._shape = Shape(first if api == "auto" else api, limit=limit)
        self._timeout_s = timeout_s
        self._lock = threading.Lock()
        self._key = os.environ.get("OPENAI_API_KEY", "").strip()
        if not all("!" <= one <= "~" for one in self._key):
            raise UsageError(
                "OPENAI_API_KEY is no key: it holds blanks, or characters that are not ASCII. Copy it anew"
            )
        self._redactor = Redactor([self._key, *_secrets_of(parts)])
        self._answered: set[str] = set()
        self._client: Any = None

    def open(self) -> None:
        """Make the client; nothing is sent.

        Raises:
            BackendError: If the package or the key is missing, or no connection can be made that way.
        """
        if not self._key and self._is_openai:
            raise BackendError(
                f"OPENAI_API_KEY is not set, and {self.host} wants a key: export OPENAI_API_KEY=..., or name a server "
                "of your own with export OPENAI_BASE_URL=http://127.0.0.1:8000/v1"
            )
        self._client = make_client(self.url, self._key, self._timeout_s)

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
        import openai

        url = f"data:image/jpeg;base64,{base64.b64encode(jpeg).decode('ascii')}"
        before = shape = self._shape
        while True:
            body = request_body(shape, prompt, url, sampling)
            try:
                raw = within(self._timeout_s + GRACE_S, partial(self._post, shape.api, body))
            except TimeoutError as error:
                raise self._too_late() from error
            except openai.APIStatusError as error:
                shape = self._adapted(shape, error)
                continue
            except openai.APIConnectionError as error:
                raise self._no_connection(error) from error
            reply = read_reply(shape.api, raw, self.clean)
            if reply.trouble != "broken":
                self._remember(before, shape)
            return reply

    def clean(self, text: str) -> str:
        """Return text of a server without our key, and without pictures that it may repeat."""
        return self._redactor.clean(text)

    def _post(self, api: Literal["responses", "chat"], body: dict[str, Any]) -> bytes:
        endpoint = self._client.responses if api == "responses" else self._client.chat.completions
        content: bytes = endpoint.with_raw_response.create(**body).content
        return content

    def _adapted(self, shape: Shape, error: Any) -> Shape:
        """Return how to go on without what the server refused, or raise what its status means."""
        status, said = error.status_code, read_error(error)
        message = self._shortened(said.message)
        if 300 <= status < 400:
            raise BackendError(self._redirected(status, error.response.headers.get("location", "")))
        if status in (401, 403):
            raise BackendError(
                f"{self.host} refuses the key ({status}: {message}): check OPENAI_API_KEY and OPENAI_BASE_URL"
            )
        if status == 402 or "insufficient_quota" in (said.code, said.kind):
            raise BackendError(f"{self.host} wants to be paid first ({status}: {message}): look at your account there")
        if status in UNKNOWN_PATH and shape.api not in self._answered:
            if status == 404 and "model" in f"{said.code} {said.message}".lower():
                raise BackendError(f"{self.host} has no such model ({message}): choose another with --model NAME")
            return self._other_protocol(shape, message)
        if status in (408, *TURNED_AWAY) or status >= 500:
            raise TryAgainError(
                f"status {status}: {message}",
                wait_s=retry_after_s(error.response.headers),
                is_unpaid=status in TURNED_AWAY,
            )
        following = degraded(shape, said.complaint) if status in (400, 422) else None
        if following is None:
            raise RejectedError(f"refused with status {status}: {message}")
        return following

    def _redirected(self, status: int, location: str) -> str:
        """Return what to do about a redirect; pictures and key go to no server that the user has not named."""
        to = self._shortened(re.sub(r"[?#].*|(?<=//)[^/@]*@", "", location)) or "nowhere"
        return (
            f"{self.host} redirects ({status}) to {to}, and nothing is sent there unasked: set OPENAI_BASE_URL to the "
            "address that answers itself, if you trust it"
        )

    def _other_protocol(self, shape: Shape, message: str) -> Shape:
        other: Literal["responses", "chat"] = "chat" if shape.api == "responses" else "responses"
        if not self._is_auto or other in shape.tried:
            ways = "neither Responses nor Chat Completions" if self._is_auto else f"no {shape.api} protocol"
            raise BackendError(f"{self.host} knows {ways} ({message}): check OPENAI_BASE_URL, which often ends in /v1")
        return replace(shape, api=other, tried=(*shape.tried, shape.api))

    def _remember(self, before: Shape, used: Shape) -> None:
        """Ask like this from now on, since it was answered, unless another call has found out something meanwhile."""
        with self._lock:
            self._answered.add(used.api)
            if self._shape == before:
                self._shape = used

    def _too_late(self) -> TryAgainError:
        return TryAgainError(f"no answer within {self._timeout_s:g} s (--timeout)", is_unpaid=False)

    def _no_connection(self, error: Any) -> TryAgainError:
        cause = error.__cause__
        name = type(cause).__name__
        if name in ("ConnectError", "ConnectTimeout", "ProxyError", "UnsupportedProtocol"):
            return TryAgainError(self._shortened(str(cause)) or name, is_unreachable=True)
        if "Timeout" in name:
            return self._too_late()
        return TryAgainError(f"the connection broke off: {name}", is_unpaid=False)

    def _shortened(self, message: str) -> str:
        plain = " ".join(self.clean(message).split()).rstrip(".")
        return plain if len(plain) <= MAX_MESSAGE else f"{plain[:MAX_MESSAGE]}…"


def _parts_of(url: str) -> SplitResult:
    """Return the parts of an address.

    Raises:
        UsageError: If it is none.
    """
    should = "write it as https://HOST:PORT/v1"
    if not all("!" <= one <= "~" for one in url):
        raise UsageError(f"OPENAI_BASE_URL is no address: it holds blanks, or characters that are not ASCII: {should}")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise UsageError(f"OPENAI_BASE_URL is no address: its host or port is none: {should}") from error
    if parts.scheme not in ("http", "https"):
        raise UsageError(f"OPENAI_BASE_URL is no address: it begins with {url[:8]!r}, not http:// or https://")
    if not re.fullmatch(r"[\w.-]+|[\da-f.:]+", parts.hostname or "", re.IGNORECASE) or port == 0:
        raise UsageError(f"OPENAI_BASE_URL is no address: its host or port is none: {should}")
    if parts.query or parts.fragment:
        raise UsageError(f"OPENAI_BASE_URL holds a query (? or #), which no server here is asked with: {should}")
    return parts


def _secrets_of(parts: SplitResult) -> list[str]:
    """Return what must not be shown of an address with a user and a password."""
    user, password = parts.username or "", parts.password or ""
    pairs = [f"{user}:{password}", f"{unquote(user)}:{unquote(password)}"]
    tokens = [base64.b64encode(pair.encode()).decode("ascii") for pair in pairs if pair != ":"]
    return [password, unquote(password), *tokens]
