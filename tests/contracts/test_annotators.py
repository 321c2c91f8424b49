"""What every annotator keeps to that is shown pictures."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mekiki.catalog.answers import AnswerStore
from mekiki.catalog.db import Catalog
from mekiki.catalog.results import ANNOTATOR_ORDER
from mekiki.engine.answers import Answers
from mekiki.errors import UsageError
from mekiki.models.annotators import ANNOTATORS, Annotator, LabelFiles, NoAnswerError, Words
from mekiki.models.base import Question
from mekiki.models.fakes import FakeAnnotator
from mekiki.models.openai_requests import Sampling
from mekiki.models.openai_server import OpenAiServer
from mekiki.models.prompts import UnreadableAnswerError
from mekiki.models.vlm_openai import VlmAnnotator
from mekiki.models.vocabulary import plain_vocabulary
from vlm_server import VlmServer

CLASSES = ("cat", "fox")
PICTURE = np.full((20, 30, 3), 128, np.uint8)


def _vlm() -> Annotator:
    return VlmAnnotator(OpenAiServer("auto", 5.0), plain_vocabulary(CLASSES), Sampling("m"), n_retries=0)


def _fake() -> Annotator:
    return FakeAnnotator({"a": ["fox"], "b": ["fox"]}, CLASSES)


SHOWN_PICTURES = {"vlm": _vlm, "fake": _fake}


@pytest.fixture(params=SHOWN_PICTURES)
def annotator(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Annotator]:
    with VlmServer() as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.url)
        made = SHOWN_PICTURES[request.param]()
        made.open()
        yield made
        made.stop()


@pytest.fixture
def answers(workspace: Path) -> Iterator[Answers]:
    with Catalog(workspace) as catalog:
        store = AnswerStore(catalog, "annotate")
        yield Answers(store, "run")
        store.close()


def test_every_name_is_tried_here_or_is_shown_no_pictures() -> None:
    others = {name for name in ANNOTATORS.names() if ANNOTATORS.load(name) in (LabelFiles, Words)}

    assert set(ANNOTATORS.names()) == (set(SHOWN_PICTURES) - {"fake"}) | others
    assert set(ANNOTATOR_ORDER) == set(ANNOTATORS.names()), "whom to believe first is decided for all"


def test_its_name_says_what_sort_it_is(annotator: Annotator) -> None:
    assert annotator.name.partition(":")[0] in ANNOTATORS.names()
    assert annotator.class_names == CLASSES
    assert annotator.long_side_px > 0


def test_it_names_classes_of_its_list(annotator: Annotator, answers: Answers) -> None:
    answer = annotator.ask(Question("a", PICTURE), answers)

    assert answer.item_id == "a"
    assert answer.labels == ("fox",)
    assert 0 <= answer.confidence <= 1


def test_what_it_said_is_kept_and_reads_the_same(annotator: Annotator, answers: Answers) -> None:
    said = annotator.ask(Question("a", PICTURE), answers)

    (stored,) = answers.get(annotator.key("a"))

    assert annotator.read("a", stored) == said
    assert stored["item_id"] == "a"
    assert answers.get(annotator.key("b")) == []


def test_two_pictures_are_two_questions(annotator: Annotator) -> None:
    assert annotator.key("a") == annotator.key("a") != annotator.key("b")


def test_a_stored_answer_that_says_nothing_is_unreadable(annotator: Annotator) -> None:
    with pytest.raises(UnreadableAnswerError):
        annotator.read("a", {"text": "no"})


def test_the_same_options_have_the_same_identity(annotator: Annotator) -> None:
    again = SHOWN_PICTURES["fake" if isinstance(annotator, FakeAnnotator) else "vlm"]()

    assert again.identity() == annotator.identity() != ""


def test_the_fake_refuses_what_it_was_not_given(answers: Answers) -> None:
    with pytest.raises(NoAnswerError):
        FakeAnnotator({}, CLASSES).ask(Question("a", PICTURE), answers)


def test_a_wrong_name_is_refused_with_the_nearest() -> None:
    def create(name: str) -> Any:
        return ANNOTATORS.create(name)

    with pytest.raises(UsageError, match="Did you mean 'zero-shot'"):
        create("zeroshot")
