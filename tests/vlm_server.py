"""A server on 127.0.0.1 that speaks the two OpenAI protocols, as badly as a test wants it to."""

from __future__ import annotations

import base64
import hashlib
import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any

INPUT_TOKENS, OUTPUT_TOKENS = 300, 40


@dataclass
class Asked:
    """One request as the server saw it; ``status`` is 0 while it is in flight, or if it was never answered."""

    number: int
    path: str
    body: Mapping[str, Any]
    picture: bytes
    headers: Mapping[str, str]
    status: int = 0
    is_paid: bool = False

    @property
    def picture_hash(self) -> str:
        return hashlib.sha256(self.picture).hexdigest()


Fault = Callable[[Asked], str | None]


def no_fault(_asked: Asked) -> str | None:
    return None


def every(n: int, fault: str) -> Fault:
    """Return a fault that strikes each n-th request."""
    return lambda asked: fault if asked.number % n == 0 else None


@dataclass
class VlmServer:
    """Answers each picture with ``labels(picture)``, or, where ``says`` is given, with the plain text ``says(asked)``.

    ``fault`` says what goes wrong with a request: a status such as ``"500"``, or ``broken`` (no JSON), ``text`` (JSON
    around words), ``wrong`` (a class of no list), ``hang``, ``drip`` (one byte after another, for ever), ``drip-head``
    (already before the content), ``drop`` (the connection), ``refusal``, ``incomplete``, ``echo`` (a 400 that repeats
    all that was sent), or ``raw`` (the answer is what ``raw`` holds). ``location`` is where a redirect leads.
    """

    labels: Callable[[bytes], Any] = lambda _picture: ["fox"]
    says: Callable[[Asked], str] | None = None
    fault: Fault = no_fault
    delay_s: float = 0.0
    retry_after: str | None = "0"
    refuses: Iterable[str] = ()
    speaks: Iterable[str] = ("responses", "chat")
    has_usage: bool = True
    raw: bytes = b""
    location: str = ""
    asked: list[Asked] = field(default_factory=list)
    n_in_flight: int = 0
    most_in_flight: int = 0

    def __post_init__(self) -> None:
        self.lock = threading.Lock()
        self.released = threading.Event()

    def __enter__(self) -> VlmServer:
        handler = type("BoundHandler", (_Handler,), {"owner": self})
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._http.daemon_threads = True
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self.released.set()
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._http.server_address[1]}/v1"

    @property
    def n_paid(self) -> int:
        """Calls that were answered with tokens on the bill."""
        return sum(one.is_paid for one in self.asked)

    def paid_by_picture(self) -> Counter[str]:
        return Counter(one.picture_hash for one in self.asked if one.is_paid)

    def cost_usd(self, price_in: float, price_out: float) -> float:
        """What the server would charge, at prices per million tokens."""
        return self.n_paid * (INPUT_TOKENS * price_in + OUTPUT_TOKENS * price_out) / 1e6


class _Handler(BaseHTTPRequestHandler):
    owner: VlmServer
    protocol_version = "HTTP/1.1"
    timeout = 10

    def log_message(self, *_: Any) -> None:
        """Say nothing."""

    def do_POST(self) -> None:
        owner = self.owner
        raw = self.rfile.read(int(self.headers["Content-Length"]))
        body = json.loads(raw)
        with owner.lock:
            asked = Asked(
                len(owner.asked) + 1,
                self.path,
                body,
                _picture_of(body),
                {k.lower(): v for k, v in self.headers.items()},
            )
            owner.asked.append(asked)
            owner.n_in_flight += 1
            owner.most_in_flight = max(owner.most_in_flight, owner.n_in_flight)
        try:
            self._answer(asked, raw)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True
        finally:
            with owner.lock:
                owner.n_in_flight -= 1

    def _answer(self, asked: Asked, raw: bytes) -> None:
        owner = self.owner
        fault = owner.fault(asked)
        time.sleep(owner.delay_s)
        kind = "responses" if self.path.endswith("/responses") else "chat"
        if kind not in owner.speaks:
            return self._send(asked, 404, {"error": {"message": f"no such path {self.path}"}})
        if fault == "hang":
            owner.released.wait(30)
            self.close_connection = True
            return None
        if fault in ("drip", "drip-head"):
            return self._drip(asked, b"" if fault == "drip" else b"HTTP/1.1 200 OK\r\nX-Slow: ")
        if fault == "raw":
            return self._send(asked, 200, owner.raw, is_paid=True)
        if fault == "drop":
            self.close_connection = True
            self.connection.shutdown(2)
            return None
        if fault == "echo":
            said = f"bad request: {self.headers['Authorization']} {raw.decode()} {dict(self.headers)}"
            return self._send(asked, 400, {"error": {"message": said}})
        if fault and fault.isdigit():
            return self._send(asked, int(fault), {"error": {"message": f"planned {fault}", "type": "planned"}})
        refused = next((name for name in owner.refuses if _has(asked.body, name)), None)
        if refused:
            said = f"Unsupported parameter: '{refused}' is not supported with this model."
            return self._send(asked, 400, {"error": {"message": said, "param": refused}})
        if fault == "broken":
            return self._send(asked, 200, b'{"id": "x", "output": [', is_paid=True)
        return self._send(asked, 200, self._content(asked, kind, fault), is_paid=True)

    def _drip(self, asked: Asked, head: bytes) -> None:
        asked.status = 200
        self.close_connection = True
        self.wfile.write(head or b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
        while not self.owner.released.wait(0.02):
            self.wfile.write(b" ")

    def _content(self, asked: Asked, kind: str, fault: str | None) -> dict[str, Any]:
        labels = ["purple wombat"] if fault == "wrong" else self.owner.labels(asked.picture)
        said = json.dumps({"labels": labels, "confidence": 0.9, "reason": "it looks so"}, ensure_ascii=False)
        if self.owner.says is not None:
            said = self.owner.says(asked)
        text = f"Here you are: {said} Bye." if fault == "text" else "I see a fox" if fault == "prose" else said
        if fault == "incomplete":
            text = text[:12]
        tokens = (INPUT_TOKENS, OUTPUT_TOKENS) if self.owner.has_usage else (None, None)
        if kind == "responses":
            part = {"type": "refusal", "refusal": "no"} if fault == "refusal" else {"type": "output_text", "text": text}
            found: dict[str, Any] = {
                "id": f"resp_{asked.number}",
                "object": "response",
                "model": asked.body["model"],
                "status": "incomplete" if fault == "incomplete" else "completed",
                "output": [{"type": "reasoning", "summary": []}, {"type": "message", "content": [part]}],
            }
            usage = dict(zip(("input_tokens", "output_tokens"), tokens, strict=True))
        else:
            message = {"role": "assistant", "content": text}
            if fault == "refusal":
                message = {"role": "assistant", "content": None, "refusal": "no"}
            found = {
                "id": f"chat_{asked.number}",
                "model": asked.body["model"],
                "choices": [{"message": message, "finish_reason": "length" if fault == "incomplete" else "stop"}],
            }
            usage = dict(zip(("prompt_tokens", "completion_tokens"), tokens, strict=True))
        return {**found, "usage": usage} if self.owner.has_usage else found

    def _send(self, asked: Asked, status: int, content: dict[str, Any] | bytes, *, is_paid: bool = False) -> None:
        raw = content if isinstance(content, bytes) else json.dumps(content, ensure_ascii=False).encode()
        asked.status, asked.is_paid = status, is_paid
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(raw)))
        if status in (429, 500, 503) and self.owner.retry_after is not None:
            self.send_header("Retry-After", self.owner.retry_after)
        if status // 100 == 3:
            self.send_header("Location", self.owner.location)
        self.end_headers()
        self.wfile.write(raw)


def question_of(asked: Asked) -> str:
    """Return the words of the user's part of a request of either protocol."""
    for message in asked.body.get("input") or asked.body.get("messages") or ():
        if message["role"] == "user":
            return str(next(part["text"] for part in message["content"] if "text" in part))
    return ""


def _picture_of(body: Mapping[str, Any]) -> bytes:
    """Return the picture in a request of either protocol."""
    for message in body.get("input") or body.get("messages") or ():
        content = message["content"] if isinstance(message["content"], list) else []
        for part in content:
            url = part.get("image_url", "")
            url = url["url"] if isinstance(url, dict) else url
            if url:
                return base64.b64decode(url.partition("base64,")[2])
    return b""


def _has(body: Mapping[str, Any], name: str) -> bool:
    """Return whether a request uses a parameter, however deep."""
    if isinstance(body, Mapping):
        return any(key == name or value == name or _has(value, name) for key, value in body.items())
    return isinstance(body, list) and any(_has(one, name) for one in body)
