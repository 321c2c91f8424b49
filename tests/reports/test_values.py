"""Numbers are written so that nobody reads more into them than is there."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mekiki.records import Estimate
from mekiki.reports.values import (
    Value,
    ValueKind,
    format_bytes,
    format_percent,
    format_seconds,
    format_share,
    format_value,
)


@given(st.floats(0, 1))
def test_only_none_and_all_look_like_none_and_all(share: float) -> None:
    assert (format_share(share) == "0.00") == (share == 0)
    assert (format_share(share) == "1.00") == (share == 1)
    assert (format_percent(share) == "0 %") == (share == 0)
    assert (format_percent(share) == "100 %") == (share == 1)


def test_an_estimate_carries_its_interval_and_its_doubt() -> None:
    sure, unsure = Estimate(0.91, 0.88, 0.94), Estimate(0.5, 0.1, 0.9, is_reliable=False)

    assert format_share(sure) == "0.91 (0.88 to 0.94)"
    assert format_share(unsure) == "0.50 (0.10 to 0.90) †"


@pytest.mark.parametrize(
    ("value", "kind", "written"),
    [
        pytest.param(None, "count", "–", id="missing"),
        pytest.param(True, "count", "yes", id="boolean"),
        pytest.param(1234567, "count", "1,234,567", id="count"),
        pytest.param(1234567, "code", "1234567", id="a number that is an id"),
        pytest.param(0.704, "percent", "70 %", id="percent"),
        pytest.param(0.704, "share", "0.70", id="share"),
        pytest.param(0.704, "score", "0.70", id="score"),
        pytest.param(0.9978, "score", "0.998", id="score near 1"),
        pytest.param(0.0021, "score", "0.002", id="score near 0"),
        pytest.param(1.0, "score", "1.00", id="score of 1"),
        pytest.param("12 s", "number", "12 s", id="word among numbers"),
        pytest.param(math.nan, "share", "–", id="nothing measured"),
        pytest.param(math.nan, "number", "–", id="not a number"),
        pytest.param(Estimate(math.nan, math.nan, math.nan), "share", "–", id="no estimate"),
        pytest.param(0.0312, "difference", "+0.031", id="more"),
        pytest.param(-0.0312, "difference", "−0.031", id="less"),
        pytest.param(-0.0001, "difference", "−0.000", id="hardly less"),
        pytest.param(0.0, "difference", "0.000", id="no difference"),
        pytest.param(Estimate(0.1, -0.1, 0.3, False), "difference", "+0.100 (−0.100 to +0.300) †", id="difference"),
        pytest.param(Estimate(math.nan, 0, 0), "difference", "–", id="no comparison"),
    ],
)
def test_values_are_written_as_their_column_says(value: Value, kind: ValueKind, written: str) -> None:
    assert format_value(value, kind) == written


def test_sizes_and_durations_pass_to_the_next_unit_at_the_right_place() -> None:
    assert [format_bytes(n) for n in (0, 999, 1000, 999_499, 999_600)] == ["0 B", "999 B", "1 kB", "999 kB", "1.0 MB"]
    assert [format_seconds(s) for s in (59.9, 59.99, 3600)] == ["59.9 s", "1 min 0 s", "1 h 0 min"]
