"""What a server's replies hold: any JSON is taken for what it is, and nothing else is believed."""

from __future__ import annotations

import json
from typing import Any

import pytest

from mekiki.models.openai_replies import MAX_NAME, MAX_TEXT, read_error, read_reply


def plain(text: str) -> str:
    return text


def chat(content: Any, **more: Any) -> dict[str, Any]:
    return {"choices": [{"message": {"content": content}, "finish_reason": "stop"}], **more}


def reading(body: Any, api: Any = "chat") -> Any:
    return read_reply(api, body if isinstance(body, bytes) else json.dumps(body).encode(), plain)


@pytest.mark.parametrize("api", ["responses", "chat"])
@pytest.mark.parametrize(
    "body",
    [
        *(None, 1, "x", [], {}, b"", b"\xff\xfe\x00", b"[" * 5000, b'{"a":' * 5000),
        *({"output": 5}, {"output": {"a": 1}}, {"output": [5]}, {"output": "text"}),
        *({"choices": 5}, {"choices": {"0": 1}}, {"choices": [5]}, {"choices": [{"message": 5}]}),
        chat(5),
        chat({"a": 1}),
    ],
)
def test_a_body_of_another_shape_is_broken(body: Any, api: str) -> None:
    assert reading(body, api).trouble == "broken"


@pytest.mark.parametrize(
    "content",
    [
        5,
        "x",
        [5],
        {"type": "output_text", "text": "x"},
        [{"type": "output_text", "text": 5}],
        [{"refusal": ["a"]}],
        None,
    ],
)
def test_a_message_of_another_shape_says_nothing(content: Any) -> None:
    body = {"output": [{"type": "message", "content": content}]}

    assert reading(body, "responses").text == ""


@pytest.mark.parametrize(
    ("given", "count"),
    [(7, 7), (0, 0), (-1, None), (True, None), (10**9, None), (1.5, None), ("7", None), (None, None), ([7], None)],
)
def test_a_count_of_tokens_is_a_whole_number_that_can_be_one(given: Any, count: int | None) -> None:
    reply = reading(chat("x", usage={"prompt_tokens": given, "completion_tokens": 3}))

    assert (reply.input_tokens, reply.output_tokens) == (count, 3)


@pytest.mark.parametrize("usage", [None, 5, [], "x"])
def test_a_usage_of_another_shape_counts_nothing(usage: Any) -> None:
    assert reading(chat("x", usage=usage)).input_tokens is None


def test_ids_and_names_are_cleaned_and_short() -> None:
    body = chat("x", id="key " * 1000, model=["m"])

    reply = read_reply("chat", json.dumps(body).encode(), lambda text: text.replace("key", "[key]"))

    assert reply.response_id.startswith("[key] [key]")
    assert len(reply.response_id) == MAX_NAME
    assert reply.model == ""


def test_a_long_answer_is_kept_whole_and_one_too_long_is_none() -> None:
    answer = json.dumps({"labels": [], "reason": "x" * 50_000})

    assert (reading(chat(answer)).text, reading(chat(answer)).trouble) == (answer, "")
    assert reading(chat("x" * (MAX_TEXT + 1))).trouble == "long"


def test_text_is_cleaned_before_it_is_cut() -> None:
    text = "x" * (MAX_TEXT - 3) + "secret"

    reply = read_reply("chat", json.dumps(chat(text)).encode(), lambda words: words.replace("secret", "[key]"))

    assert reply.text.endswith("x[ke")


def test_an_error_whose_body_says_nothing_does_not_name_its_status_twice() -> None:
    class EmptyError(Exception):
        body = None

    assert read_error(EmptyError("Error code: 400")).message == "it does not say why"
    assert read_error(EmptyError("Error code: 400 - <html>")).message == "<html>"
