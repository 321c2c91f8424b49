"""A server that redirects, drips, changes its mind, or whose address or key is none."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import replace

import pytest

from mekiki.errors import BackendError, UsageError
from mekiki.models.openai_client import MAX_REPLY_BYTES
from mekiki.models.openai_requests import Sampling
from mekiki.models.openai_server import OpenAiServer, RejectedError, TryAgainError
from mekiki.models.prompts import Prompt
from vlm_server import VlmServer

PROMPT = Prompt("system", "user", {"type": "object"})


@pytest.fixture
def far(monkeypatch: pytest.MonkeyPatch) -> Iterator[VlmServer]:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with VlmServer() as made:
        monkeypatch.setenv("OPENAI_BASE_URL", made.url)
        yield made


def opened(timeout_s: float = 5.0, api: str = "auto") -> OpenAiServer:
    server = OpenAiServer(api, timeout_s)  # type: ignore[arg-type]
    server.open()
    return server


def send(server: OpenAiServer) -> str:
    return server.send(PROMPT, b"\xff\xd8picture", Sampling("m", temperature=0.0)).text


@pytest.mark.parametrize("status", ["301", "302", "303", "307", "308"])
def test_a_redirect_takes_no_picture_to_another_server(status: str, far: VlmServer) -> None:
    with VlmServer() as other:
        far.location = f"{other.url}/chat/completions?token=abc".replace("//", "//user:abc@")
        far.fault = lambda _asked: status

        with pytest.raises(BackendError, match=rf"redirects \({status}\) to {other.url}.*OPENAI_BASE_URL") as refused:
            send(opened())

        assert other.asked == []
        assert "abc" not in str(refused.value)


@pytest.mark.parametrize("fault", ["drip", "drip-head", "hang"])
def test_a_call_ends_in_time_whatever_the_server_does(fault: str, far: VlmServer) -> None:
    far.fault = lambda _asked: fault
    started = time.monotonic()

    with pytest.raises(TryAgainError, match=r"no answer within 0\.3 s") as late:
        send(opened(timeout_s=0.3))

    assert time.monotonic() - started < 1.5
    assert not late.value.is_unpaid
    far.released.set()
    time.sleep(0.1)
    assert not [one for one in threading.enumerate() if one.name == "mekiki-call"]


def test_an_endless_reply_is_cut_and_is_no_answer(far: VlmServer) -> None:
    far.raw = b'{"choices": "' + b"x" * (MAX_REPLY_BYTES + 1) + b'"}'
    far.fault = lambda _asked: "raw"

    reply = opened().send(PROMPT, b"", Sampling("m"))

    assert reply.trouble == "broken"
    assert len(reply.text) <= 100_000


@pytest.mark.parametrize("status", ["404", "405", "501"])
def test_a_path_that_is_gone_later_is_the_trouble_of_one_call(status: str, far: VlmServer) -> None:
    server = opened()
    send(server)
    far.fault = lambda asked: status if asked.number == 2 else None

    with pytest.raises(TryAgainError, match=f"status {status}"):
        send(server)

    assert send(server)
    assert {one.path for one in far.asked} == {"/v1/chat/completions"}


def test_a_call_that_finds_the_protocol_late_goes_on_in_the_other(far: VlmServer) -> None:
    far.speaks = ["chat"]
    server = opened(api="auto")
    unaware = replace(server._shape, api="responses")
    server._shape = unaware
    send(server)
    server._shape = unaware

    assert send(server)
    assert [one.status for one in far.asked] == [404, 200, 404, 200]


def test_a_request_without_a_part_is_remembered_only_once_it_was_answered(far: VlmServer) -> None:
    far.refuses = ["temperature"]
    server = opened()
    far.fault = lambda asked: "413" if "temperature" not in asked.body else None
    with pytest.raises(RejectedError):
        send(server)
    far.fault = lambda _asked: None

    send(server)
    send(server)

    assert ["temperature" in one.body for one in far.asked] == [True, False, True, False, False]


def test_a_complaint_about_something_else_leaves_the_request_alone(far: VlmServer) -> None:
    server = opened()
    far.fault = lambda asked: "400" if asked.number == 1 else None

    with pytest.raises(RejectedError, match="planned 400"):
        send(server)
    send(server)

    assert len(far.asked) == 2
    assert far.asked[1].body.keys() == far.asked[0].body.keys()


@pytest.mark.parametrize(
    "url",
    [
        *("http://127.0.0.1:port/v1", "http://127.0.0.1:99999/v1", "http://[::1/v1", "http://::1]/v1", "http:///v1"),
        *("http://a b/v1", "http://a\n/v1", "http://狸/v1", "ftp://a/v1", "a/v1", "http://a<b>/v1", "http://a:0/v1"),
        *("http://a/v1?api-version=1", "http://a/v1#x"),
    ],
)
def test_an_address_that_is_none_is_refused_in_one_line(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", url)

    with pytest.raises(UsageError, match=r"^OPENAI_BASE_URL") as refused:
        OpenAiServer("auto", 1.0)

    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("key", ["sk-狸secret", "sk\x01secret", "sk secret", "sk\nsecret"])
def test_a_key_that_is_none_is_refused_and_not_shown(key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", key)

    with pytest.raises(UsageError, match="OPENAI_API_KEY is no key") as refused:
        OpenAiServer("auto", 1.0)

    assert "secret" not in str(refused.value)


@pytest.mark.parametrize("proxy", ["socks5://127.0.0.1:1", "ftp://127.0.0.1:1", "http://[::1", "http://a:port"])
def test_a_proxy_that_cannot_be_used_is_named_in_one_line(
    proxy: str, far: VlmServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, proxy)
    monkeypatch.setenv("NO_PROXY", "")
    monkeypatch.setenv("no_proxy", "")

    with pytest.raises(BackendError, match="ALL_PROXY") as refused:
        opened()

    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("name", "value"), [("OPENAI_ORG_ID", "狸"), ("OPENAI_PROJECT_ID", "a\nb"), ("SSL_CERT_FILE", "/nowhere/certs.pem")]
)
def test_an_environment_that_cannot_be_used_is_named_in_one_line(
    name: str, value: str, far: VlmServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)

    with pytest.raises(BackendError, match="no connection can be made"):
        opened()


def test_a_proxy_that_is_not_there_is_no_lost_call(far: VlmServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("no_proxy", "")

    with pytest.raises(TryAgainError) as failed:
        send(opened())

    assert failed.value.is_unreachable
