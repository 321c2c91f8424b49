"""What everybody keeps to who puts pictures into words."""

from __future__ import annotations

import inspect
from collections.abc import Sequence

import numpy as np
import pytest

from mekiki.errors import UsageError
from mekiki.models.base import Question
from mekiki.models.captioners import (
    ABOUT_CAPTIONERS,
    CAPTIONERS,
    CLASS_NAME,
    LOCAL,
    VLM,
    ClassName,
    Describer,
    check_captioner,
    resolve_captioner,
)
from mekiki.models.describe_prompts import Wording
from mekiki.models.describe_vlm import DescribeTopic, Description
from mekiki.models.openai_requests import Sampling
from mekiki.models.openai_server import OpenAiServer
from mekiki.models.vlm_openai import VlmAsker
from mekiki.records import Image
from vlm_server import VlmServer

PICTURE = np.full((20, 30, 3), 128, np.uint8)


class FakeDescriber:
    """Says how bright a picture is, and how long the question was."""

    identity, device = "fake", "cpu"

    def describe(self, images: Sequence[Image], prompts: Sequence[str]) -> list[str]:
        return [f"{image.mean():.0f}, {len(one)}" for image, one in zip(images, prompts, strict=True)]


def test_every_name_is_described_and_stands_for_something() -> None:
    assert {name.partition(":")[0] for name in ABOUT_CAPTIONERS} == set(CAPTIONERS.names())
    assert CAPTIONERS.load(VLM) is DescribeTopic
    assert CAPTIONERS.load(CLASS_NAME) is CAPTIONERS.load("auto") is ClassName


def test_a_local_model_has_what_a_describer_has() -> None:
    made = CAPTIONERS.load(LOCAL)

    wanted = list(inspect.signature(Describer.describe).parameters)
    assert list(inspect.signature(made.describe).parameters)[: len(wanted)] == wanted


def test_a_describer_gives_one_text_per_picture_in_order() -> None:
    describer: Describer = FakeDescriber()

    assert describer.describe([PICTURE, PICTURE // 2], ["a", "bc"]) == ["128, 1", "64, 2"]
    assert describer.describe([], []) == []


def test_a_server_is_asked_about_each_item_in_its_own_words(monkeypatch: pytest.MonkeyPatch) -> None:
    with VlmServer(says=lambda _asked: " A cow.\n") as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.url)
        topic = DescribeTopic(Wording(), {"a": "truck"}, "vlm:m")
        asker: VlmAsker[Description] = VlmAsker(OpenAiServer("chat", 5.0), topic, Sampling("m"))
        plain = VlmAsker(OpenAiServer("chat", 5.0), DescribeTopic(Wording(), {}, "vlm:m"), Sampling("m"))

        assert asker.key("a") != plain.key("a"), "the guess is part of the question"
        assert asker.key("b") == plain.key("b") != asker.key("a")
        assert asker.identity() == plain.identity(), "guesses come from what the run has read"
        assert asker.worst_usd("a", 30, 20) is None
        assert asker.expected("a", 30, 20).input_tokens > asker.expected("b", 30, 20).input_tokens
        assert asker.read("a", {"text": " A cow.\n"}) == Description("a", "A cow.", "vlm:m")
        assert Question("a", PICTURE).item_id == "a"


@pytest.mark.parametrize(
    ("env", "has_cap", "name"),
    [
        pytest.param({}, False, CLASS_NAME, id="nobody to ask"),
        pytest.param({"OPENAI_BASE_URL": "http://127.0.0.1:9/v1"}, False, VLM, id="a server is named"),
        pytest.param({"OPENAI_API_KEY": "sk-x"}, False, CLASS_NAME, id="a key alone spends nothing"),
        pytest.param({"OPENAI_API_KEY": "sk-x"}, True, VLM, id="a key and a cap"),
    ],
)
def test_auto_asks_nobody_whom_the_user_has_not_named(
    env: dict[str, str], has_cap: bool, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable in ("OPENAI_BASE_URL", "OPENAI_API_KEY"):
        monkeypatch.delenv(variable, raising=False)
    for variable, value in env.items():
        monkeypatch.setenv(variable, value)

    found, why = resolve_captioner("auto", has_cap=has_cap)

    assert found == name
    assert name in why


def test_a_name_that_was_given_is_kept() -> None:
    assert resolve_captioner("class-name", has_cap=False) == ("class-name", "")


@pytest.mark.parametrize("name", ["class-name:x", "auto:x", "qwen-vl", "qwen-vl: ", "vml"])
def test_a_wrong_name_is_refused(name: str) -> None:
    with pytest.raises(UsageError):
        check_captioner(name)
