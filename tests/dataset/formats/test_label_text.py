"""Class names in one cell."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mekiki.dataset.formats.label_text import clean_name, labels_from_text, labels_to_text


@pytest.mark.parametrize(
    ("text", "names"),
    [
        pytest.param("", (), id="empty"),
        pytest.param("  ", (), id="blank"),
        pytest.param("[]", (), id="empty list"),
        ("cat", ("cat",)),
        ("cat;dog", ("cat", "dog")),
        (" cat ; dog ;; ", ("cat", "dog")),
        ("cat|dog", ("cat", "dog")),
        ("fox, red", ("fox, red",)),
        ("a|b;c", ("a|b", "c")),
        ("cat;cat", ("cat",)),
        ('["タヌキ", "ネコ"]', ("タヌキ", "ネコ")),
        ('["a;b", null, 3, true]', ("a;b", "3", "True")),
        ("['cat', 'dog']", ("cat", "dog")),
        ("('cat',)", ("cat",)),
        ("{'dog', 'cat'}", ("cat", "dog")),
        ('"a;b"', ("a;b",)),
        ("(old) cat", ("(old) cat",)),
        ("[cat", ("[cat",)),
    ],
)
def test_every_usual_spelling_is_read(text: str, names: tuple[str, ...]) -> None:
    assert labels_from_text(text) == names


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[cat, dog]", r"cannot read the labels '\[cat, dog\]': write a;b or a JSON list"),
        ("['cat' 'dog']", "cannot read the labels"),
        ("[__import__('os').system('x')]", "cannot read the labels"),
        ("[" * 50_000 + "]", "cannot read the labels"),
        ('[["cat"]]', "hold more than names"),
        ('[{"name": "cat"}]', "hold more than names"),
        ('["\\ud800"]', "is no Unicode text"),
        ("x" * 100_001, "100,001 characters: is a quote left open"),
    ],
    ids=lambda value: value[:20],
)
def test_what_only_looks_like_a_list_is_refused(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        labels_from_text(text)


def test_two_spellings_of_one_letter_are_one_class() -> None:
    assert clean_name(unicodedata.normalize("NFD", "ガン")) == "ガン"


NAMES = st.text(st.characters(codec="utf-8"), min_size=1, max_size=6).map(clean_name).filter(bool)


@given(st.lists(NAMES, unique=True, max_size=4))
def test_names_survive_being_written_into_a_cell(names: list[str]) -> None:
    assert labels_from_text(labels_to_text(names)) == tuple(names)
