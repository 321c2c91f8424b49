"""Names to classes: listed without importing, refused with the nearest."""

from __future__ import annotations

import sys

import pytest

from mekiki.errors import MissingExtraError, UsageError, unknown_name
from mekiki.registry import Registry, import_extra

SHAPES: Registry[object] = Registry("shape", {"fraction": "fractions:Fraction", "path": "pathlib:PurePosixPath"})


def test_names_are_listed_without_importing_what_they_name() -> None:
    registry: Registry[object] = Registry("oddity", {"antigravity": "antigravity:geohash"})

    assert registry.names() == ["antigravity"]
    assert "antigravity" not in sys.modules


def test_a_variant_is_the_first_argument() -> None:
    assert str(SHAPES.create("fraction:3/4")) == "3/4"
    assert str(SHAPES.create("fraction")) == "0"


def test_an_unknown_name_is_refused_with_the_nearest_and_all() -> None:
    with pytest.raises(
        UsageError, match=r"no shape is called 'fractoin'. Did you mean 'fraction'\? Known: fraction, path"
    ):
        SHAPES.create("fractoin:1")


def test_a_package_that_is_not_installed_says_which_extra_brings_it() -> None:
    assert import_extra("xml.dom", "any").__name__ == "xml.dom"
    with pytest.raises(MissingExtraError, match=r'nowhere-py is not installed. Type: pip install "mekiki\[odd\]"'):
        import_extra("nowhere.at_all", "odd", "nowhere-py")


def test_nothing_is_guessed_where_nothing_is_near() -> None:
    assert "Did you mean" not in str(unknown_name("class", "excavator", ["car", "cat", "truck"]))
