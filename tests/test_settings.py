"""Settings: one declaration makes flags, checks and fingerprints."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import pytest

from mekiki.errors import UsageError
from mekiki.settings import (
    Field,
    Input,
    PerItemSettings,
    Positional,
    fingerprint,
    flags_of,
    parse_settings,
    result_values,
)


class ColourSettings(PerItemSettings):
    """How to colour."""

    paths: tuple[str, ...] = Positional((), description="what")
    palette: Literal["warm", "cold"] = Field("warm", description="which colours")
    strength: float = Field(0.5, gt=0, le=1, description="how much")
    names: tuple[str, ...] = Field((), description="for whom")
    shares: dict[str, float] = Field({"a": 0.5, "b": 0.5}, description="of each")
    source: Path | None = Input(None, description="where from")
    is_bold: bool = Field(False, description="more")


def parse(**values: Any) -> ColourSettings:
    return parse_settings(ColourSettings, values, "colour")


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        pytest.param("a=1", {"a": 1.0}, id="one"),
        pytest.param(["a=0.25", "b=0.75"], {"a": 0.25, "b": 0.75}, id="list"),
        pytest.param("x=y=1", {"x=y": 1.0}, id="a name with ="),
        pytest.param({"a": 1}, {"a": 1.0}, id="mapping"),
    ],
)
def test_a_mapping_may_be_written_as_on_the_command_line(given: Any, expected: dict[str, float]) -> None:
    assert parse(shares=given).shares == expected


@pytest.mark.parametrize(
    ("given", "message"),
    [
        pytest.param("0.5", r"colour: shares takes NAME=VALUE, got '0\.5'", id="no name"),
        pytest.param(0.5, r"colour: shares takes NAME=VALUE, got '0\.5'", id="number"),
        pytest.param(["a=1", "a=2"], "colour: shares names one thing twice: a=1 a=2", id="twice"),
        pytest.param("a=many", "colour: shares.a: .*number.*, got 'many'", id="no number"),
    ],
)
def test_what_is_no_mapping_says_how_one_is_written(given: Any, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        parse(shares=given)


def test_text_becomes_numbers_switches_and_paths() -> None:
    settings = parse(strength="0.25", is_bold="true", source="a/b", shares={"a": "0.25", "b": "0.75"}, limit="3")

    assert (settings.strength, settings.is_bold, settings.source, settings.limit) == (0.25, True, Path("a/b"), 3)
    assert settings.shares == {"a": 0.25, "b": 0.75}


def test_one_value_where_several_are_allowed_is_a_list_of_one() -> None:
    assert parse(names="tanuki").names == ("tanuki",)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        pytest.param({"strenght": 1}, r"colour: no setting is called 'strenght'. Did you mean 'strength'\?", id="name"),
        pytest.param({"strength": 2}, r"colour: strength: .*less than or equal to 1, got 2", id="too much"),
        pytest.param({"strength": "much"}, r"colour: strength: .*valid number.*, got 'much'", id="no number"),
        pytest.param({"palette": "hot"}, r"colour: palette: .*'warm' or 'cold', got 'hot'", id="no such word"),
        pytest.param({"batch_size": 0}, r"colour: batch_size: .*greater than or equal to 1, got 0", id="common"),
    ],
)
def test_a_wrong_value_says_which_what_would_be_right_and_what_it_was(values: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        parse(**values)


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(ValueError, match="frozen"):
        parse().strength = 1.0  # type: ignore[misc]


def test_every_setting_has_a_flag_and_the_common_ones_come_last() -> None:
    flags = flags_of(ColourSettings)

    assert [flag.name for flag in flags[:7]] == [
        "--paths",
        "--palette",
        "--strength",
        "--names",
        "--shares",
        "--source",
        "--is-bold",
    ]
    assert [flag.shape for flag in flags[:7]] == ["many", "one", "one", "many", "pairs", "one", "switch"]
    assert {flag.field for flag in flags[7:]} == set(PerItemSettings.model_fields)
    assert flags[1].choices == ("warm", "cold")
    assert flags[0].is_positional


def test_speed_and_places_stay_out_of_the_fingerprint_and_results_do_not() -> None:
    def id_of(settings: ColourSettings, **reads: str) -> str:
        return fingerprint("colour", settings, "model-1", reads)

    plain = id_of(parse())

    assert id_of(parse(batch_size=1, workers=9, limit=2, source="x", paths=["y"])) == plain
    assert id_of(parse(strength=0.6)) != plain
    assert id_of(parse(), labels="other") != plain
    assert fingerprint("colour", parse(), "model-2", {}) != plain
    assert len(plain) == 16
    assert set(result_values(parse())) == {"palette", "strength", "names", "shares", "is_bold"}
