"""What a server repeats of keys and pictures is left out, however it is written; other words are left alone."""

from __future__ import annotations

import base64
import json

import pytest

from mekiki.models.redacting import Redactor, whole_text

KEY = "sk-proj/very+secret"
PICTURE = base64.b64encode(bytes(range(256)) * 4).decode()


@pytest.mark.parametrize(
    "written",
    [
        pytest.param(KEY, id="as it is"),
        pytest.param(json.dumps(KEY).replace("/", "\\/"), id="with an escaped slash"),
        pytest.param("".join(f"\\u{ord(one):04x}" for one in KEY), id="in escapes"),
        pytest.param("".join(f"\\\\u{ord(one):04X}" for one in KEY), id="in escapes of escapes"),
        pytest.param(f"Bearer {KEY}", id="in a header"),
    ],
)
def test_the_key_is_left_out_however_it_is_written(written: str) -> None:
    said = Redactor([KEY]).clean(f"you sent {written}.")

    assert said.replace('"', "").replace("Bearer ", "") == "you sent [key]."


@pytest.mark.parametrize("separator", ["", "\n", "\r\n", "\\n", "\\\\n", " "])
def test_a_picture_is_left_out_also_in_lines(separator: str) -> None:
    lines = separator.join(PICTURE[start : start + 76] for start in range(0, len(PICTURE), 76))

    said = Redactor([]).clean(f"seen: data:image/jpeg;base64,{lines}")

    assert said == "seen: [picture]"
    assert Redactor([]).clean(lines.replace("/", "\\/")) == "[picture]"


@pytest.mark.parametrize(
    "words",
    [
        "a basic identification of an animal",
        "the bearer of a torch",
        "antidisestablishmentarianism " * 3,
        "狸" * 300,
        "",
    ],
)
def test_other_words_are_left_alone(words: str) -> None:
    assert Redactor(["none", KEY]).clean(words) == words
    assert Redactor(["none"]).clean('{"labels": ["none"]}') == '{"labels": ["none"]}'


def test_half_a_surrogate_pair_is_replaced_and_a_whole_one_is_joined() -> None:
    assert whole_text("a\ud800b \ud83e\udd8a \udc00") == "a\ufffdb 🦊 \ufffd"
    assert Redactor([]).clean("\ud800") == "\ufffd"
