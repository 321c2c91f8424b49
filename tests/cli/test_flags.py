"""Flags: made from settings, one for each; wrong ones are refused in one line with the nearest."""

from __future__ import annotations

from typing import Any, Literal

import pytest

from mekiki.api.verbs import settings_class
from mekiki.cli.flags import DEFAULT_WORKSPACE, Parser, add_common_flags, add_setting_flags, setting_values
from mekiki.cli.help import VERBS
from mekiki.errors import UsageError
from mekiki.settings import Field, Flag, PerItemSettings, Positional, Settings, flags_of


class ColourSettings(PerItemSettings):
    """How to colour."""

    paths: tuple[str, ...] = Positional((), description="what to colour")
    palette: Literal["warm", "cold"] = Field("warm", description="which colours, 100 % of them")
    extra_names: tuple[str, ...] = Field((), description="for whom")
    shares: dict[str, float] = Field({"a": 0.5, "b": 0.5}, description="of each")
    is_bold: bool = Field(True, description="more")


def parser_of(settings: type[Settings]) -> Parser:
    parser = Parser("mekiki colour", "How to colour.")
    add_setting_flags(parser, settings)
    add_common_flags(parser)
    return parser


def parse(*words: str) -> dict[str, Any]:
    return setting_values(parser_of(ColourSettings).parse(words), ColourSettings)


def test_flags_that_are_not_given_leave_no_trace() -> None:
    assert parse() == {}


@pytest.mark.parametrize(
    ("words", "values"),
    [
        pytest.param(["--palette", "cold"], {"palette": "cold"}, id="one"),
        pytest.param(["--palette=cold"], {"palette": "cold"}, id="with ="),
        pytest.param(["--extra-names", "a", "--extra-names", "b"], {"extra_names": ["a", "b"]}, id="many"),
        pytest.param(["--shares", "a=0.1", "--shares", "b=0.9"], {"shares": {"a": "0.1", "b": "0.9"}}, id="pairs"),
        pytest.param(["--is-bold"], {"is_bold": True}, id="on"),
        pytest.param(["--no-is-bold"], {"is_bold": False}, id="off"),
        pytest.param(["x", "y"], {"paths": ["x", "y"]}, id="inputs"),
        pytest.param(["x", "--palette", "cold", "y"], {"paths": ["x", "y"], "palette": "cold"}, id="inputs around"),
        pytest.param(["--palette", "cold", "x", "-q", "y"], {"paths": ["x", "y"], "palette": "cold"}, id="behind"),
        pytest.param(["--", "-x.jpg"], {"paths": ["-x.jpg"]}, id="a dash in front"),
    ],
)
def test_words_become_values(words: list[str], values: dict[str, Any]) -> None:
    assert parse(*words) == values


@pytest.mark.parametrize(
    ("words", "message"),
    [
        pytest.param(["--pallete", "cold"], r"no flag '--pallete'. Did you mean --palette\? See mekiki colour --help"),
        pytest.param(["--pallete=cold"], r"no flag '--pallete'. Did you mean --palette\?", id="with ="),
        pytest.param(["--pal", "cold"], r"no flag '--pal'", id="no abbreviations"),
        pytest.param(["x", "--isbold", "y"], r"no flag '--isbold'. Did you mean --is-bold\?", id="between inputs"),
        pytest.param(["--quite"], r"no flag '--quite'. Did you mean --quiet\?", id="a common one"),
        pytest.param(["--palette"], r"argument --palette: expected one argument. See mekiki colour", id="no value"),
        pytest.param(["--shares", "a"], r"--shares takes NAME=VALUE, got 'a'", id="no ="),
        pytest.param(["--is-bold=yes"], r"--is-bold.*ignored explicit argument 'yes'", id="a value for a switch"),
    ],
)
def test_a_wrong_flag_is_refused_with_the_nearest(words: list[str], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        parse(*words)


def test_a_word_too_many_is_refused_where_there_are_no_inputs() -> None:
    parser = Parser("mekiki dedupe", "")
    add_setting_flags(parser, settings_class("dedupe"))

    with pytest.raises(UsageError, match=r"nothing takes the word 'x'. See mekiki dedupe --help"):
        parser.parse(["x"])


def test_the_workspace_is_the_flag_then_the_environment_then_a_folder_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MEKIKI_WORKSPACE", raising=False)
    assert parser_of(ColourSettings).parse([]).workspace == DEFAULT_WORKSPACE

    monkeypatch.setenv("MEKIKI_WORKSPACE", "")
    assert parser_of(ColourSettings).parse([]).workspace == DEFAULT_WORKSPACE

    monkeypatch.setenv("MEKIKI_WORKSPACE", "there")
    assert parser_of(ColourSettings).parse([]).workspace == "there"
    assert parser_of(ColourSettings).parse(["-w", "here"]).workspace == "here"


EVERY_FLAG = [
    pytest.param(verb, flag, id=f"{verb} {flag.name}") for verb in VERBS for flag in flags_of(settings_class(verb))
]


@pytest.mark.parametrize(("verb", "flag"), EVERY_FLAG)
def test_every_setting_of_every_verb_has_its_flag(verb: str, flag: Flag) -> None:
    settings = settings_class(verb)
    words, expected = _example(flag)
    first = {one.field: "m" for one in flags_of(settings) if one.is_positional and one.shape == "one"}
    first.pop(flag.field, None)

    values = setting_values(parser_of(settings).parse([*first.values(), *words]), settings)

    assert values == {**first, flag.field: expected}
    assert flag.name == flag.name.lower().replace("_", "-")


def _example(flag: Flag) -> tuple[list[str], object]:
    """Return words that give a flag, and what they mean."""
    if flag.is_positional:
        return ["x"], "x" if flag.shape == "one" else ["x"]
    match flag.shape:
        case "switch":
            return [flag.name.replace("--", "--no-", 1)], False
        case "many":
            return [flag.name, "x"], ["x"]
        case "pairs":
            return [flag.name, "x=1"], {"x": "1"}
        case _:
            return [flag.name, "x"], "x"


class PaintSettings(Settings):
    """What to paint with, and where."""

    brush: str = Positional("", description="what to paint with")
    paths: tuple[str, ...] = Positional((), description="what to paint")
    output: str = Field("", description="where to")


@pytest.mark.parametrize(
    ("words", "values"),
    [
        pytest.param(["fine"], {"brush": "fine"}, id="one alone"),
        pytest.param(["fine", "x", "y"], {"brush": "fine", "paths": ["x", "y"]}, id="one and many"),
        pytest.param(["fine", "-o", "z", "x"], {"brush": "fine", "paths": ["x"], "output": "z"}, id="flag between"),
        pytest.param(["-o", "z", "fine", "x"], {"brush": "fine", "paths": ["x"], "output": "z"}, id="flag first"),
        pytest.param(["fine", "x", "--output=z"], {"brush": "fine", "paths": ["x"], "output": "z"}, id="long form"),
    ],
)
def test_a_single_input_comes_before_many(words: list[str], values: dict[str, Any]) -> None:
    assert setting_values(parser_of(PaintSettings).parse(words), PaintSettings) == values


def test_a_single_input_without_a_default_cannot_be_left_out() -> None:
    with pytest.raises(UsageError, match=r"the following arguments are required: BRUSH"):
        parser_of(PaintSettings).parse(["-o", "z"])
