"""Ctrl-C while a server keeps everybody waiting: the first ends after the calls in flight, the second at once."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import pytest

from vlm_server import VlmServer
from workspaces import make_photos, start_mekiki

pytestmark = pytest.mark.slow

WORDS = ("--classes", "fox", "-q", "--concurrency", "2")
SOON_S = 20
"""Far more than it takes, and far less than what it would wait for."""


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    return make_photos(tmp_path / "ws", 8)


def wait_for_calls(server: VlmServer, n_calls: int) -> None:
    until = time.monotonic() + 60
    while len(server.asked) < n_calls:
        assert time.monotonic() < until, "it never asked"
        time.sleep(0.02)


def test_one_ends_a_pause_that_a_server_asked_for(photos: Path, server: VlmServer) -> None:
    server.fault, server.retry_after = lambda _asked: "429", "300"
    process = start_mekiki("annotate", "-w", photos, *WORDS)
    wait_for_calls(server, 2)
    time.sleep(0.3)

    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=SOON_S)

    assert process.returncode == 130, err
    assert "Traceback" not in err


def test_two_end_a_call_that_hangs(photos: Path, server: VlmServer) -> None:
    server.fault = lambda _asked: "hang"
    process = start_mekiki("annotate", "-w", photos, *WORDS, "--timeout", "200")
    wait_for_calls(server, 2)

    process.send_signal(signal.SIGINT)
    time.sleep(1)
    is_waiting = process.poll() is None
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=SOON_S)

    assert is_waiting, "the call in flight may still be answered"
    assert process.returncode == 130, err
    assert "Traceback" not in err
