"""What a model is asked, and how its answers are read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from mekiki.dataset.formats.seed1_files import CLASSES
from mekiki.errors import UsageError
from mekiki.models.prompts import UnreadableAnswerError, parse_answer, render_prompt
from mekiki.models.vocabulary import Vocabulary, class_files, plain_vocabulary, read_class_file

ANIMALS = read_class_file("japanese-mammals")


def said(labels: Any, **more: Any) -> str:
    return json.dumps({"labels": labels, "confidence": 0.5, "reason": "so", **more}, ensure_ascii=False)


@pytest.mark.parametrize(
    ("labels", "found"),
    [
        pytest.param([], (), id="nothing"),
        pytest.param(["unknown"], (), id="unknown"),
        pytest.param(["None", "others"], (), id="words for unknown"),
        pytest.param(["タヌキ"], ("タヌキ",), id="a name"),
        pytest.param(["テン", "アナグマ"], ("アナグマ", "テン"), id="the order of the list"),
        pytest.param(["Raccoon  Dog", "CAT"], ("タヌキ", "ネコ"), id="aliases, however spelled"),
        pytest.param(["タヌキ", "unknown"], ("タヌキ",), id="unknown beside a class"),
        pytest.param(["タヌキ", "タヌキ", "tanuki"], ("タヌキ",), id="twice"),
        pytest.param("タヌキ, cat|テン/hare", ("タヌキ", "ネコ", "ノウサギ", "テン"), id="one text"),
        pytest.param("タヌキ、ネコ", ("タヌキ", "ネコ"), id="a Japanese comma"),
        pytest.param("raccoon dog", ("タヌキ",), id="an alias with a blank"),
        pytest.param("unknown", (), id="unknown as text"),
        pytest.param(None, (), id="null"),
    ],
)
def test_labels_are_read(labels: Any, found: tuple[str, ...]) -> None:
    assert parse_answer(said(labels), ANIMALS).labels == found


@pytest.mark.parametrize(
    ("text", "why"),
    [
        pytest.param("", "no JSON object", id="nothing"),
        pytest.param("a fox", "no JSON object: 'a fox'", id="words"),
        pytest.param('["タヌキ"]', "no JSON object", id="a list"),
        pytest.param('{"labels": ["タヌキ"', "no JSON object", id="cut off"),
        pytest.param('{"label": "タヌキ"}', "has no labels", id="another key"),
        pytest.param(said(7), "no list of names", id="a number"),
        pytest.param(said([["タヌキ"]]), "no list of names", id="lists in a list"),
        pytest.param(said(["wolf", "bear"]), "no class is called 'wolf', 'bear'", id="other names"),
        pytest.param("[" * 100_000, "no JSON object", id="deep"),
    ],
)
def test_what_says_nothing_is_unreadable_and_never_unknown(text: str, why: str) -> None:
    with pytest.raises(UnreadableAnswerError, match=why):
        parse_answer(text, ANIMALS)


def test_other_names_beside_a_class_are_left_out_and_listed() -> None:
    found = parse_answer(said(["wolf", "タヌキ"]), ANIMALS)

    assert (found.labels, found.left_out) == (("タヌキ",), ("wolf",))
    assert parse_answer(said(["wolf", "unknown"]), ANIMALS).left_out == ("wolf",)


@pytest.mark.parametrize(
    ("given", "share"),
    [(0.25, 0.25), (1.5, 1.0), (-1, 0.0), ("0.5", 0.5), ("high", 0.0), (None, 0.0), (True, 0.0), ([1], 0.0)],
)
def test_a_confidence_is_clipped_and_0_if_it_is_no_number(given: Any, share: float) -> None:
    assert parse_answer(said([], confidence=given), ANIMALS).confidence == share


def test_json_between_words_is_found() -> None:
    found = parse_answer(f"```json\n{said(['cat'])}\n```", ANIMALS)

    assert (found.labels, found.reason) == (("ネコ",), "so")
    assert parse_answer('{"labels": [], "confidence": NaN, "reason": 3}', ANIMALS).reason == ""


def test_a_class_with_a_separator_in_its_name_is_one_class() -> None:
    words = plain_vocabulary(["car/truck", "bus"])

    assert parse_answer(said("car/truck"), words).labels == ("car/truck",)


@pytest.mark.parametrize("language", ["en", "ja"])
def test_a_prompt_names_every_class_the_hint_and_the_keys(language: Any) -> None:
    prompt = render_prompt(Vocabulary(("fox", "タヌキ"), hint="Look {closely}."), language)

    for words in ("- fox", "- タヌキ", "Look {closely}.", '"labels"', '"confidence"', '"reason"', '["unknown"]'):
        assert words in prompt.user
    assert "JSON" in prompt.system
    assert prompt.schema["properties"]["labels"]["items"]["enum"] == ["fox", "タヌキ", "unknown"]
    assert set(prompt.schema["required"]) == set(prompt.schema["properties"])


def test_the_shipped_list_is_seed_1s() -> None:
    assert ANIMALS.classes == CLASSES
    assert ANIMALS.language == "ja"
    assert set(class_files()) == {"japanese-mammals"}
    for word, name in {"masked palm civet": "ハクビシン", "japanese marten": "テン", "others": "unknown"}.items():
        assert ANIMALS.meaning(word) == name


def write(path: Path, text: str) -> str:
    path.write_text(text, encoding="utf-8")
    return str(path)


def test_a_class_file_may_be_a_plain_list(tmp_path: Path) -> None:
    words = read_class_file(write(tmp_path / "a.yaml", "classes: [fox, cat]\nlanguage: ja\n"))

    assert (words.classes, words.language, words.meaning("Others")) == (("fox", "cat"), "ja", "unknown")


def test_an_alias_may_be_no_list(tmp_path: Path) -> None:
    words = read_class_file(write(tmp_path / "a.yml", "classes:\n  fox: red fox\n  cat:\nunknown: []\n"))

    assert (words.meaning("Red Fox"), words.meaning("unknown"), words.meaning("none")) == ("fox", "unknown", None)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("", "classes: Field required", id="empty"),
        pytest.param("classes: {}", "at least 1", id="no classes"),
        pytest.param("classes: [fox, fox]", "named twice", id="twice"),
        pytest.param("classes: {fox: [cat], cat: []}", "'cat' stands for 'fox' and for 'cat'", id="an alias twice"),
        pytest.param("classes: [Unknown]", "is no class", id="unknown"),
        pytest.param("clases: [fox]", "no key is called 'clases'. Did you mean 'classes'", id="misspelt"),
        pytest.param("classes: [fox]\nlanguage: fr", "language: Input should be 'en' or 'ja'", id="language"),
        pytest.param("classes: [fox", "is no YAML", id="no YAML"),
        pytest.param("- fox", "the file: ", id="no mapping"),
    ],
)
def test_a_wrong_class_file_is_refused_in_one_line(text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=message) as refused:
        read_class_file(write(tmp_path / "a.yaml", text))

    assert "\n" not in str(refused.value)


def test_a_class_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no class file is called 'japanese-mamals'\. Did you mean"):
        read_class_file("japanese-mamals")
    with pytest.raises(UsageError, match="there is no class file"):
        read_class_file(str(tmp_path / "no.yaml"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("classes: {fox: [none]}", "'none' is no class", id="an alias that means unknown"),
        pytest.param("classes: {fox: [Unknown]}", "'Unknown' is no class", id="an alias that is unknown"),
        pytest.param("classes: {fox: [nix]}\nunknown: [NIX]", "'nix' is no class", id="a word of the file's own"),
        pytest.param("classes: [fox, other]", "'other' is no class", id="a class that means unknown"),
        pytest.param("classes: {fox: [a], fox: [b]}", "'fox' stands twice", id="a key twice"),
        pytest.param("classes: [fox]\nclasses: [cat]", "'classes' stands twice", id="a heading twice"),
        pytest.param('classes: {"fox": [], " fox": []}', "named twice", id="equal but for blanks"),
        pytest.param('classes: ["が", "か\\u3099"]', "named twice", id="equal but for composition"),
        pytest.param('classes: ["fo\\u200bx"]', "no word for a class", id="invisible"),
        pytest.param('classes: {fox: ["a\\x01"]}', "no word for a class", id="a control character"),
        pytest.param('classes: {fox: [""]}', "no word for a class", id="an empty alias"),
        pytest.param('classes: ["\\ud800"]', "no Unicode text", id="half a surrogate pair"),
        pytest.param('classes: [fox]\nprompt: "\\ud800"', "no Unicode text", id="in the prompt"),
        pytest.param("classes: &a {fox: *a}", "is no YAML", id="a loop"),
        pytest.param("classes: &a [*a]", "is no YAML", id="a loop of lists"),
        pytest.param("classes: " + "[" * 3000, "is no YAML", id="deep"),
        pytest.param("classes: [[fox]]", "something that is no name", id="a list in the list"),
    ],
)
def test_a_class_file_in_which_a_word_may_mean_two_things_is_refused(text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=message) as refused:
        read_class_file(write(tmp_path / "a.yaml", text))

    assert "\n" not in str(refused.value)


def test_what_is_written_in_a_class_file_stays_text(tmp_path: Path) -> None:
    words = read_class_file(write(tmp_path / "a.yaml", "classes: {no: [off, 007], 2001-99-99: 1.50}\nlanguage:\n"))

    assert words.classes == ("no", "2001-99-99")
    assert words.aliases == {"off": "no", "007": "no", "1.50": "2001-99-99"}
    assert words.language is None


def test_a_class_may_be_called_other_where_another_word_means_unknown(tmp_path: Path) -> None:
    words = read_class_file(write(tmp_path / "a.yaml", "classes: [fox, other]\nunknown: [none]\n"))

    assert (words.meaning("Other"), words.meaning("none")) == ("other", "unknown")
    with pytest.raises(UsageError, match=r"classes: 'other' is no class.*unknown: \[none\]"):
        plain_vocabulary(["fox", "other"])


def test_half_a_surrogate_pair_in_an_answer_is_replaced() -> None:
    words = plain_vocabulary(["fox"])

    found = parse_answer('{"labels": ["fox", "\\ud800"], "reason": "\\udc00"}', words)

    assert (found.labels, found.left_out, found.reason) == (("fox",), ("\ufffd",), "\ufffd")
    for text in ('{"labels": ["\\ud800"]}', '{"labels": [["\\ud800"]]}', '{"labels": 7, "a": "\\ud800"}'):
        with pytest.raises(UnreadableAnswerError) as unreadable:
            parse_answer(text, words)
        str(unreadable.value).encode()


def test_what_changes_the_reading_changes_the_fingerprint() -> None:
    plain = plain_vocabulary(["fox"])

    assert plain.fingerprint() == plain_vocabulary(["fox"]).fingerprint()
    assert Vocabulary(("fox",), {"red fox": "fox"}).fingerprint() != plain.fingerprint()
