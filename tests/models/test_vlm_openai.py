"""A model behind an OpenAI-compatible server: both protocols, what servers refuse, and what their errors mean."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import TracebackType
from typing import Any

import numpy as np
import pytest

from mekiki.errors import BackendError, UsageError
from mekiki.models.annotators import NoAnswerError, Usage
from mekiki.models.base import Question
from mekiki.models.openai_requests import Sampling
from mekiki.models.openai_server import OpenAiServer
from mekiki.models.pricing import Price, Sizes, Tiles
from mekiki.models.retries import Pacer, StoppedError
from mekiki.models.vlm_openai import Showing, VlmAnnotator
from mekiki.models.vocabulary import Language, Vocabulary, plain_vocabulary
from vlm_server import VlmServer, every

QUESTION = Question("item", np.full((40, 60, 3), 99, np.uint8))


class Book:
    """A ledger in memory."""

    def __init__(self) -> None:
        self.ends: list[str] = []
        self.answers: list[Mapping[str, Any]] = []
        self.usages: list[Usage] = []
        self.worst: list[float | None] = []

    def begin(self, key: str, worst_usd: float | None, most: Sizes | None = None) -> Book:
        self.worst.append(worst_usd)
        self.ends.append("lost")
        return self

    def __enter__(self) -> Book:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        """Nothing is left to do."""

    def arrived(self, answer: Mapping[str, Any], usage: Usage) -> None:
        self.ends[-1] = "arrived"
        self.answers.append(answer)
        self.usages.append(usage)

    def unpaid(self) -> None:
        self.ends[-1] = "unpaid"


@pytest.fixture(autouse=True)
def _no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)


@contextmanager
def asking(monkeypatch: pytest.MonkeyPatch, server: VlmServer, **options: Any) -> Iterator[VlmAnnotator]:
    """Give an annotator for a server, whose waits after failures are a hundredth as long."""
    with server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.url)
        made = OpenAiServer(options.pop("api", "auto"), options.pop("timeout_s", 5.0))
        more = {"pacer": Pacer(scale=0.01), **options}
        sampling = more.pop("sampling", Sampling("m"))
        annotator = VlmAnnotator(made, plain_vocabulary(["fox", "cat"]), sampling, **more)
        annotator.open()
        yield annotator


@pytest.mark.parametrize("api", ["responses", "chat"])
def test_both_protocols_ask_the_same(api: str, monkeypatch: pytest.MonkeyPatch) -> None:
    book = Book()
    sampling = Sampling("m", "high", 99, 0.5, "low")
    with asking(monkeypatch, VlmServer(), api=api, sampling=sampling) as annotator:
        answer = annotator.ask(QUESTION, book)
        server = annotator._server

    assert (answer.labels, answer.confidence, answer.reason) == (("fox",), 0.9, "it looks so")
    assert (answer.facts["model"], answer.facts["response_text"]) == ("m", book.answers[0]["text"])
    assert book.ends == ["arrived"]
    assert book.usages == [Usage(300, 40, None)]
    assert server.host.startswith("127.0.0.1:")


@pytest.mark.parametrize(
    ("api", "wanted"),
    [
        (
            "responses",
            {"max_output_tokens": 99, "temperature": 0.5, "reasoning": {"effort": "low"}, "store": False},
        ),
        ("chat", {"max_tokens": 99, "temperature": 0.5, "reasoning_effort": "low"}),
    ],
)
def test_every_setting_reaches_the_server(api: str, wanted: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    server = VlmServer()
    with asking(monkeypatch, server, api=api, sampling=Sampling("m", "high", 99, 0.5, "low")) as annotator:
        annotator.ask(QUESTION, Book())

    body = server.asked[0].body
    assert {name: body[name] for name in wanted} == wanted
    assert "json_schema" in str(body)
    assert "'detail': 'high'" in str(body)
    assert server.asked[0].picture[:2] == b"\xff\xd8"


def test_what_is_not_set_is_left_to_the_server(monkeypatch: pytest.MonkeyPatch) -> None:
    server = VlmServer()
    with asking(monkeypatch, server) as annotator:
        annotator.ask(QUESTION, Book())

    assert not {"temperature", "reasoning_effort", "reasoning"} & server.asked[0].body.keys()


@pytest.mark.parametrize("api", ["responses", "chat"])
@pytest.mark.parametrize("refused", ["json_schema", "reasoning", "temperature", "detail", "store"])
def test_a_parameter_that_is_refused_is_left_out_from_then_on(
    refused: str, api: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if (api, refused) == ("chat", "store"):
        pytest.skip("Chat Completions keeps nothing unless it is asked to")
    name = "reasoning_effort" if (api, refused) == ("chat", "reasoning") else refused
    server = VlmServer(refuses=[name])
    with asking(monkeypatch, server, api=api, sampling=Sampling("m", "low", 220, 0.0, "low")) as annotator:
        for _ in range(3):
            annotator.ask(QUESTION, Book())

    assert [one.status for one in server.asked] == [400, 200, 200, 200]
    assert name not in str(server.asked[-1].body)


def test_output_falls_back_from_schema_to_object_to_plain_text(monkeypatch: pytest.MonkeyPatch) -> None:
    server = VlmServer(refuses=["json_schema", "json_object"])
    with asking(monkeypatch, server) as annotator:
        annotator.ask(QUESTION, Book())

    assert [one.body.get("response_format", {}).get("type") for one in server.asked] == [
        "json_schema",
        "json_object",
        None,
    ]


@pytest.mark.parametrize(("refused", "used"), [("max_tokens", "max_completion_tokens"), ("nothing", "max_tokens")])
def test_the_limit_on_answers_is_never_dropped(refused: str, used: str, monkeypatch: pytest.MonkeyPatch) -> None:
    server = VlmServer(refuses=[refused])
    with asking(monkeypatch, server) as annotator:
        annotator.ask(QUESTION, Book())

    assert server.asked[-1].body[used] == 220


def test_a_server_that_takes_no_limit_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    server = VlmServer(refuses=["max_tokens", "max_completion_tokens"])
    with asking(monkeypatch, server) as annotator, pytest.raises(NoAnswerError, match="status 400"):
        annotator.ask(QUESTION, Book())


@pytest.mark.parametrize("spoken", ["responses", "chat"])
def test_auto_finds_the_protocol_that_the_server_speaks(spoken: str, monkeypatch: pytest.MonkeyPatch) -> None:
    server = VlmServer(speaks=[spoken])
    with asking(monkeypatch, server) as annotator:
        annotator.ask(QUESTION, Book())
        annotator.ask(QUESTION, Book())

    assert len(server.asked) == (2 if spoken == "chat" else 3)


@pytest.mark.parametrize(("api", "speaks"), [("auto", []), ("chat", ["responses"])])
def test_a_server_of_another_protocol_stops_everything(
    api: str, speaks: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    book = Book()
    with (
        asking(monkeypatch, VlmServer(speaks=speaks), api=api) as annotator,
        pytest.raises(BackendError, match="OPENAI_BASE_URL, which often ends in /v1"),
    ):
        annotator.ask(QUESTION, book)

    assert book.ends == ["unpaid"]


@pytest.mark.parametrize(
    ("fault", "end"),
    [
        pytest.param("500", "lost", id="a 500 may come after the model has worked"),
        pytest.param("429", "unpaid", id="429"),
        pytest.param("hang", "lost", id="a time-out may have been paid for"),
        pytest.param("drop", "lost", id="so may a broken connection"),
        pytest.param("broken", "arrived", id="broken JSON is kept"),
        pytest.param("wrong", "arrived", id="wrong classes are kept"),
    ],
)
def test_a_failed_call_is_made_again_and_entered_as_what_it_was(
    fault: str, end: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    book = Book()
    server = VlmServer(fault=lambda asked: fault if asked.number < 3 else None)
    with asking(monkeypatch, server, timeout_s=0.3) as annotator:
        answer = annotator.ask(QUESTION, book)

    assert answer.labels == ("fox",)
    assert book.ends == [end, end, "arrived"]


def test_retries_come_to_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    server = VlmServer(fault=lambda _asked: "500")
    with (
        asking(monkeypatch, server, n_retries=2) as annotator,
        pytest.raises(NoAnswerError, match=r"status 500: planned 500 \(asked 3 times\)"),
    ):
        annotator.ask(QUESTION, Book())

    assert len(server.asked) == 3


@pytest.mark.parametrize("fault", ["refusal", "incomplete"])
@pytest.mark.parametrize("api", ["responses", "chat"])
def test_refusals_and_cut_answers_are_not_paid_for_again_at_once(
    fault: str, api: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = VlmServer(fault=lambda _asked: fault)
    with (
        asking(monkeypatch, server, api=api) as annotator,
        pytest.raises(NoAnswerError, match=r"the model refused|--max-output-tokens"),
    ):
        annotator.ask(QUESTION, Book())

    assert len(server.asked) == 1


def test_a_call_is_entered_with_the_most_that_it_can_cost(monkeypatch: pytest.MonkeyPatch) -> None:
    book = Book()
    with asking(monkeypatch, VlmServer(), price=Price(1.0, 10.0, Tiles(85, 170))) as annotator:
        annotator.ask(QUESTION, book)

    assert book.worst[0] is not None
    assert book.worst[0] > (book.usages[0].cost_usd or 0) == pytest.approx((300 + 40 * 10) / 1e6)
    assert book.worst[0] > 220 * 10 / 1e6


def test_the_worst_grows_with_what_the_server_really_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    book = Book()
    tiny = Sampling("m", max_output_tokens=16)
    with asking(monkeypatch, VlmServer(), price=Price(0.0, 1.0), sampling=tiny) as annotator:
        annotator.ask(QUESTION, book)
        annotator.ask(QUESTION, book)

    assert book.worst == [16 / 1e6, 40 / 1e6], "it was told 16 and took 40"


def test_nothing_begins_after_a_stop(monkeypatch: pytest.MonkeyPatch) -> None:
    server = VlmServer()
    with asking(monkeypatch, server) as annotator:
        annotator.stop()
        with pytest.raises(StoppedError):
            annotator.ask(QUESTION, Book())

    assert server.asked == []


def test_a_key_stands_for_the_question_and_the_server(monkeypatch: pytest.MonkeyPatch) -> None:
    keys = set()
    with VlmServer() as server:
        for url in (server.url, server.url.replace("127.0.0.1", "localhost")):
            monkeypatch.setenv("OPENAI_BASE_URL", url)
            for sampling in (Sampling("m"), Sampling("m", reasoning_effort="low"), Sampling("m", max_output_tokens=99)):
                for showing in (Showing(), Showing(quality=90), Showing(long_side_px=512)):
                    words = plain_vocabulary(["fox"])
                    made = [VlmAnnotator(OpenAiServer(api, 9), words, sampling, showing) for api in ("auto", "chat")]
                    assert made[0].key("a") == made[1].key("a") != made[0].key("b")
                    keys.add(made[0].key("a"))

    assert len(keys) == 2 * 3 * 3


def test_the_host_holds_no_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", "https://me:secret@models.example.org:8443/v1")

    assert OpenAiServer("auto", 9).host == "models.example.org:8443"


def test_an_address_that_is_none_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", "localhost:8000")

    with pytest.raises(UsageError, match="OPENAI_BASE_URL is no address"):
        OpenAiServer("auto", 9)


def test_what_a_server_repeats_of_key_and_picture_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    server = VlmServer(fault=every(1, "echo"))
    with asking(monkeypatch, server) as annotator, pytest.raises(NoAnswerError) as refused:
        annotator.ask(QUESTION, Book())

    assert "sk-secret" not in str(refused.value)
    assert "base64" not in annotator._server.clean(f"x data:image/jpeg;base64,{'A' * 500} y")
    assert len(str(refused.value)) < 300


def test_two_servers_behind_one_gateway_do_not_share_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    found = []
    for path in ("/a/v1", "/b/v1", "/a/v1/"):
        monkeypatch.setenv("OPENAI_BASE_URL", f"http://user:secret@127.0.0.1:9{path}")
        found.append(OpenAiServer("chat", 1.0).address)

    assert found == ["127.0.0.1:9/a/v1", "127.0.0.1:9/b/v1", "127.0.0.1:9/a/v1"]


@pytest.mark.parametrize(
    ("language", "key"),
    [
        ("en", "faa49e103ca8f82b0e49facc37b32a480c4a421ef672af3f7083ffa7bbca309d"),
        ("ja", "200b5ecdbc53f07ce28320d246f3a9740e20bab0e845b32da716211a4a793698"),
    ],
)
def test_answers_that_users_have_paid_for_keep_their_frozen_keys(
    language: Language, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:8000/v1")
    words = Vocabulary(("fox", "タヌキ"), {"raccoon dog": "タヌキ"}, hint="Look.", language=language)

    annotator = VlmAnnotator(OpenAiServer("auto", 9), words, Sampling("m", "high", 99, 0.5, "low"), Showing(512, 90))

    assert annotator.key("0123456789abcdef0123456789abcdef") == key, "as computed before other topics came"
