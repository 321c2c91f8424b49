"""When to ask again."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pytest

from mekiki.models.retries import Pacer, StoppedError, backoff_s, retry_after_s

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize("attempt", [1, 2, 3, 4, 9])
def test_waits_double_up_to_eight_seconds_and_jitter_takes_at_most_half(attempt: int) -> None:
    whole = min(8.0, 2.0 ** (attempt - 1))

    assert backoff_s(attempt, 0.0) == whole
    assert backoff_s(attempt, 0.999) == pytest.approx(whole / 2, rel=0.01)


@pytest.mark.parametrize(
    ("headers", "wait_s"),
    [
        pytest.param({}, None, id="none"),
        pytest.param({"retry-after": "1.5"}, 1.5, id="seconds"),
        pytest.param({"retry-after-ms": "20", "retry-after": "9"}, 0.02, id="milliseconds"),
        pytest.param({"retry-after": "Thu, 01 Jan 2026 12:00:07 GMT"}, 7.0, id="a date"),
        pytest.param({"retry-after": "Thu, 01 Jan 2026 11:00:00 GMT"}, 0.0, id="a date that has passed"),
        pytest.param({"retry-after": "-3"}, 0.0, id="negative"),
        pytest.param({"retry-after": "99999"}, 300.0, id="too long"),
        pytest.param({"retry-after": "soon"}, None, id="words"),
    ],
)
def test_the_servers_wish_is_read(headers: dict[str, str], wait_s: float | None) -> None:
    assert retry_after_s(headers, NOON) == wait_s


def test_turns_are_spaced_evenly() -> None:
    pacer = Pacer(per_minute=1200)
    started = time.monotonic()

    for _ in range(4):
        pacer.wait_turn()

    assert 0.15 <= time.monotonic() - started < 1


def test_a_pause_holds_for_everybody() -> None:
    pacer = Pacer()
    started = time.monotonic()

    with ThreadPoolExecutor(2) as pool:
        pool.submit(pacer.back_off, 1, 0.2)
        time.sleep(0.05)
        pool.submit(pacer.wait_turn).result()

    assert time.monotonic() - started >= 0.2


def test_stopping_wakes_all_that_wait() -> None:
    pacer = Pacer(per_minute=1)
    pacer.wait_turn()

    with ThreadPoolExecutor(2) as pool:
        waiting = [pool.submit(pacer.wait_turn), pool.submit(pacer.back_off, 9, None)]
        pacer.stop()

        for one in waiting:
            with pytest.raises(StoppedError):
                one.result(5)
