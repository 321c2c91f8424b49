"""The connection to a server: no redirects, no endless replies, and no call that outlasts its time."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar

from mekiki.errors import BackendError, MissingExtraError

MAX_REPLY_BYTES = 2_000_000
"""Of a reply that are read; what is cut is no JSON any more."""

GRACE_S = 0.5
"""A call that outlasts its time by this is left to itself; usually the connection has ended it before."""

_DROPPED_HEADERS = ("content-encoding", "content-length", "content-type", "transfer-encoding")

Value = TypeVar("Value")


def make_client(url: str, key: str, timeout_s: float) -> Any:
    """Return a client of the package ``openai``; nothing is sent.

    Args:
        url: Of the server.
        key: Sent to it.
        timeout_s: How long a reply may take, from its first to its last byte too.

    Raises:
        BackendError: If the package is missing, or cannot use the address or a proxy in the environment.
    """
    try:
        import openai
    except ImportError as error:
        raise MissingExtraError("openai", "vlm") from error

    class BoundedClient(openai.DefaultHttpxClient):  # type: ignore[misc]  # openai's types are not read
        """Reads replies, also those with an error, within a time and a size."""

        def send(self, request: Any, **options: Any) -> Any:
            end = time.monotonic() + timeout_s
            response = super().send(request, **{**options, "stream": True})
            try:
                content = _read(response, end)
            finally:
                response.close()
            headers = [(name, value) for name, value in response.headers.items() if name not in _DROPPED_HEADERS]
            return type(response)(response.status_code, headers=headers, content=content, request=request)

    # ImportError: a SOCKS proxy without its package. OSError: certificates that are not there.
    invalid_url = _invalid_url(openai.DefaultHttpxClient)
    try:
        http = BoundedClient(timeout=timeout_s, follow_redirects=False)
        client = openai.OpenAI(api_key=key or "none", base_url=url, max_retries=0, timeout=timeout_s, http_client=http)
        for name, value in client.default_headers.items():
            if isinstance(value, str) and not (value.isascii() and value.isprintable()):
                raise ValueError(f"the header {name} from your environment is no ASCII text")
        return client
    except (ImportError, OSError, ValueError, invalid_url) as error:
        reason = str(error).split(". Make sure")[0]
        raise BackendError(
            f"no connection can be made ({reason}): check OPENAI_BASE_URL, HTTPS_PROXY, HTTP_PROXY, ALL_PROXY, "
            "SSL_CERT_FILE and OPENAI_ORG_ID"
        ) from error


def within(limit_s: float, call: Callable[[], Value]) -> Value:
    """Return what a call returns, or raises, and wait no longer than a limit.

    It runs in a thread of its own, which a server that never comes to an end keeps busy without anybody waiting.

    Raises:
        TimeoutError: If it took longer.
    """
    outcome: Future[Value] = Future()

    def run() -> None:
        try:
            outcome.set_result(call())
        except BaseException as error:  # noqa: BLE001 - whoever waits raises it
            outcome.set_exception(error)

    threading.Thread(target=run, name="mekiki-call", daemon=True).start()
    return outcome.result(limit_s)


def _read(response: Any, end: float) -> bytes:
    """Return the beginning of a reply.

    Raises:
        TimeoutError: If it takes too long.
    """
    content = bytearray()
    for chunk in response.iter_bytes():
        content += chunk
        if time.monotonic() > end:
            raise TimeoutError
        if len(content) > MAX_REPLY_BYTES:
            break
    return bytes(content[:MAX_REPLY_BYTES])


def _invalid_url(client: type) -> type[Exception]:
    """Return the error for an address that is none, of httpx or its successor, whichever ``openai`` uses."""
    import importlib

    package = next(one.__module__ for one in client.__mro__ if one.__module__.startswith("httpx")).partition(".")[0]
    found: type[Exception] = importlib.import_module(package).InvalidURL
    return found
