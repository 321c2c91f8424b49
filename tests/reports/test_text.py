"""Strings from outside become visible and harmless; what is real writing stays."""

from __future__ import annotations

import pytest

from mekiki.reports.text import language_of, one_line, plain_text, shorten


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        pytest.param("", "", id="empty"),
        pytest.param("タヌキ & cat – é\n\t", "タヌキ & cat – é\n\t", id="real writing"),
        pytest.param("a\0b", "a‹U+0000›b", id="NUL"),
        pytest.param("a\x1b[31mred", "a‹U+001B›[31mred", id="terminal escape"),
        pytest.param("\u202egpj.exe", "‹U+202E›gpj.exe", id="direction override"),
        pytest.param("\u2066x\u2069", "‹U+2066›x‹U+2069›", id="direction isolate"),
        pytest.param("caf\udce9.jpg", "caf‹U+DCE9›.jpg", id="file name that is no UTF-8"),
        pytest.param("a\u200bb\u2028c", "a‹U+200B›b‹U+2028›c", id="invisible"),
        pytest.param("👩‍🔬", "👩‍🔬", id="joined emoji"),
    ],
)
def test_control_characters_become_visible(text: str, shown: str) -> None:
    assert plain_text(text) == shown


def test_what_is_shown_can_always_be_written_as_utf8() -> None:
    everything = "".join(map(chr, range(0x11000)))

    plain_text(everything).encode("utf-8")


def test_one_line_has_no_line_breaks() -> None:
    assert one_line(" a\n b\t\tc ") == "a b c"


@pytest.mark.parametrize(
    ("text", "language"),
    [
        pytest.param("", None, id="empty"),
        pytest.param("badger é Ж", None, id="no script that tells"),
        pytest.param("洞熊", None, id="han alone"),
        pytest.param("アナグマ", "ja", id="katakana"),
        pytest.param("너구리", "ko", id="hangul"),
        pytest.param("แมว", "th", id="thai"),
    ],
)
def test_the_script_tells_the_language(text: str, language: str | None) -> None:
    assert language_of(text) == language


def test_shortening_refuses_no_room() -> None:
    with pytest.raises(ValueError, match="max_characters must be at least 1, got 0"):
        shorten("badger", 0)
