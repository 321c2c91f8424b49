"""Ids come from content; file names come from `safe_name`."""

from __future__ import annotations

import hashlib
import unicodedata
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mekiki.dataset.ids import content_id, crop_id, frame_id, hash_file, safe_name, safe_names, variant_id
from mekiki.errors import UnreadableError


def test_the_id_of_bytes_is_the_beginning_of_their_sha256() -> None:
    assert content_id(b"abc") == hashlib.sha256(b"abc").hexdigest()[:32]
    assert content_id(hashlib.sha256(b"abc")) == content_id(b"abc")


@pytest.mark.parametrize("size", [pytest.param(0, id="empty"), 1, (1 << 20) + 1])
def test_a_file_has_the_id_of_its_bytes_wherever_it_is(tmp_path: Path, size: int) -> None:
    content = b"x" * size
    (tmp_path / "a").write_bytes(content)
    (tmp_path / "b.jpg").write_bytes(content)

    assert hash_file(tmp_path / "a") == hash_file(tmp_path / "b.jpg") == content_id(content)


def test_a_file_that_is_gone_is_unreadable(tmp_path: Path) -> None:
    with pytest.raises(UnreadableError, match="No such file"):
        hash_file(tmp_path / "gone.jpg")


def test_derived_ids_tell_everything_apart_that_differs() -> None:
    ids = [
        frame_id("v", 1, Fraction(1, 25)),
        frame_id("v", 11, Fraction(1, 25)),
        frame_id("v", 1, Fraction(1, 30)),
        frame_id("w", 1, Fraction(1, 25)),
        crop_id("v", (0, 0, 1, 1)),
        crop_id("v", (0, 0, 1, 1.0625)),
        variant_id("v", "flip", {}),
        variant_id("v", "blur", {"sigma_px": 2}),
        variant_id("v", "blur", {"sigma_px": 3}),
    ]

    assert len(set(ids)) == len(ids)
    assert all(len(one) == 32 and set(one) <= set("0123456789abcdef") for one in ids)


def test_equal_time_bases_and_orders_of_parameters_are_one_id() -> None:
    assert frame_id("v", 1, Fraction(2, 50)) == frame_id("v", 1, Fraction(1, 25))
    assert variant_id("v", "cut", {"a": 1, "b": 2}) == variant_id("v", "cut", {"b": 2, "a": 1})


def test_a_crop_is_the_same_within_a_thirty_second_of_a_pixel() -> None:
    assert crop_id("p", (10.0, 10.0, 20.0, 20.0)) == crop_id("p", (10.03, 9.97, 20.0, 20.0))


@pytest.mark.parametrize("box", [(), (1, 2, 3), (0, 0, 1, float("nan")), (0, 0, 1, float("inf"))])
def test_a_broken_box_is_refused(box: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="box must be four finite numbers"):
        crop_id("p", box)


def test_parameters_that_are_no_numbers_are_refused() -> None:
    with pytest.raises(ValueError, match="JSON compliant"):
        variant_id("p", "blur", {"sigma_px": float("nan")})


@pytest.mark.parametrize("name", ["タヌキ", "cat", "Fox, red (old)", "写真 2.png", "a.b.c", "ノウサギ🐇", "~x", "-x"])
def test_a_harmless_name_stays_as_it_is(name: str) -> None:
    assert safe_name(name) == name


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="empty"),
        *(
            ".",
            "..",
            "...",
            "../../etc/passwd",
            "/etc/passwd",
            "..\\..\\x",
            "C:\\x",
            "a/b",
            "a\\b",
            ".hidden",
            "x.",
            "x ",
        ),
        *(
            " x",
            "\t",
            "a\nb",
            "a\0b",
            "a\x7fb",
            "a\u202eb",
            "a\u200bb",
            "a\u2028b",
            "CON",
            "con.jpg",
            "Nul",
            "COM1.txt",
        ),
        *(
            "LPT9",
            "com¹",
            "CONIN$",
            "aux .txt",
            "a:b",
            "a*b",
            "a?b",
            'a"b',
            "a<b>",
            "a|b",
            "\ud800",
            "x" * 300,
            "タ" * 100,
        ),
    ],
)
def test_a_dangerous_name_becomes_a_harmless_one_of_its_own(text: str) -> None:
    name = safe_name(text)

    assert name != text
    assert_harmless(name)
    assert name == safe_name(text)


def test_a_suffix_stays_at_the_end() -> None:
    assert safe_name("a/b.jpg").endswith(".jpg")
    assert safe_name("x" * 300 + ".jpeg").endswith(".jpeg")
    assert safe_name("con.jpg").endswith(".jpg")


def test_names_that_would_become_equal_stay_apart() -> None:
    texts = ["a/b", "a\\b", "a:b", "a_b", "../a_b", "x" * 300, "x" * 301, ".", "..", "", "con", "CON"]

    names = [safe_name(text) for text in texts]

    assert len(set(names)) == len(texts)


def test_a_name_made_to_look_like_anothers_gets_its_own() -> None:
    made = safe_name("a/b")

    assert safe_name(made) != made


def test_two_spellings_of_one_letter_are_one_name() -> None:
    composed = "ガ"

    assert safe_name(unicodedata.normalize("NFD", composed)) == composed


def test_names_that_differ_in_case_are_apart_on_every_system() -> None:
    names = safe_names(["Cat", "cat", "dog"])

    assert len({name.casefold() for name in names.values()}) == 3
    assert names["dog"] == "dog"


def test_a_limit_that_leaves_no_room_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 32, got 8"):
        safe_name("x", max_bytes=8)


@given(st.text(st.characters(), max_size=200), st.integers(32, 200))
def test_any_text_gives_a_harmless_name(text: str, max_bytes: int) -> None:
    name = safe_name(text, max_bytes=max_bytes)

    assert_harmless(name)
    assert len(name.encode()) <= max_bytes


def assert_harmless(name: str) -> None:
    assert name
    assert name == unicodedata.normalize("NFC", name)
    assert not set(name) & set('/\\:*?"<>|\0\n\r\t')
    assert name[0] not in ". "
    assert name[-1] not in ". "
    assert name.partition(".")[0].strip().casefold() not in {
        "con",
        "prn",
        "aux",
        "nul",
        "com1",
        "lpt9",
        "com¹",
        "conin$",
    }
    assert len(name.encode()) <= 255
