"""A real browser in tests, driven over a pipe: what a page does, and what it complains of."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

CHROMIUM = next(
    (found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))), None
)

FLAGS = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--hide-scrollbars")


class Browser:
    """One page of Chromium, which speaks the DevTools protocol on descriptors 3 and 4."""

    def __init__(self, width_px: int = 1280, height_px: int = 900) -> None:
        assert CHROMIUM is not None
        self._folder = tempfile.mkdtemp(prefix="mekiki-browser-")
        (their_in, self._out), (self._in, their_out) = _high_pipe(), _high_pipe()

        def place() -> None:
            os.dup2(their_in, 3)
            os.dup2(their_out, 4)

        words = [CHROMIUM, *FLAGS, f"--user-data-dir={self._folder}", "--remote-debugging-pipe", "about:blank"]
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        self._process = subprocess.Popen(words, preexec_fn=place, close_fds=False, **quiet)
        os.close(their_in)
        os.close(their_out)
        self._rest, self._number, self._session = b"", 0, ""
        self.events: list[dict[str, Any]] = []
        target = next(one for one in self.call("Target.getTargets")["targetInfos"] if one["type"] == "page")
        self._session = self.call("Target.attachToTarget", targetId=target["targetId"], flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")
        size = {"width": width_px, "height": height_px, "deviceScaleFactor": 1, "mobile": width_px < 600}
        self.call("Emulation.setDeviceMetricsOverride", **size)

    def __enter__(self) -> Browser:
        return self

    def __exit__(self, *_error: object) -> None:
        self._process.terminate()
        self._process.wait()
        os.close(self._in)
        os.close(self._out)
        shutil.rmtree(self._folder, ignore_errors=True)

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._out, json.dumps(message).encode() + b"\0")
        while True:
            while b"\0" not in self._rest:
                self._rest += os.read(self._in, 1 << 20)
            one, _, self._rest = self._rest.partition(b"\0")
            answer: dict[str, Any] = json.loads(one)
            if answer.get("id") == self._number:
                assert "error" not in answer, answer
                return dict(answer["result"])
            self.events.append(answer)

    def open(self, path: Path) -> None:
        self.call("Page.navigate", url=path.as_uri())
        self.wait("document.readyState === 'complete'")

    def js(self, code: str) -> Any:
        answer = self.call("Runtime.evaluate", expression=code, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def wait(self, code: str, seconds: float = 20) -> None:
        end = time.monotonic() + seconds
        while not self.js(code):
            assert time.monotonic() < end, f"never true: {code}"
            time.sleep(0.02)

    def key(self, key: str) -> None:
        for kind in ("keyDown", "keyUp"):
            self.call("Input.dispatchKeyEvent", type=kind, key=key)

    def move(self, x: float, y: float) -> None:
        self.call("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)

    def click(self, x: float, y: float) -> None:
        for kind in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def problems(self) -> list[str]:
        """Return errors, what the policy refused, and what was asked of anything but this machine's files."""
        found = [
            json.dumps(one) for one in self.events if one.get("method") in ("Log.entryAdded", "Runtime.exceptionThrown")
        ]
        asked = [
            one["params"]["request"]["url"] for one in self.events if one.get("method") == "Network.requestWillBeSent"
        ]
        return found + [url for url in asked if url.split(":")[0] not in ("file", "data", "about")]


def _high_pipe() -> tuple[int, int]:
    """Return a pipe whose descriptors are not those that the browser wants."""
    raise_up: Callable[[int], int] = lambda number: fcntl.fcntl(number, fcntl.F_DUPFD_CLOEXEC, 50)  # noqa: E731
    ends = os.pipe()
    high = raise_up(ends[0]), raise_up(ends[1])
    for end in ends:
        os.close(end)
    return high
