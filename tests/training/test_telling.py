"""Figures in lines of text."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mekiki.records import Estimate
from mekiki.training.telling import describe, tell_tuning, write_threshold

NAN = float("nan")


@pytest.mark.parametrize(
    ("estimate", "sign", "shown"),
    [
        pytest.param(Estimate(NAN, NAN, NAN, is_reliable=False), "", "–", id="nothing"),
        pytest.param(Estimate(0.8514, 0.8, 0.9), "", "0.851 [0.800, 0.900]", id="share"),
        pytest.param(Estimate(0.8514, 0.8, 0.9, is_reliable=False), "", "0.851 [0.800, 0.900]†", id="unreliable"),
        pytest.param(Estimate(0.02, -0.01, 0.05), "+", "+0.020 [-0.010, +0.050]", id="difference"),
        pytest.param(Estimate(-0.0001, -0.01, 0.0001), "+", "+0.000 [-0.010, +0.000]", id="no minus before zero"),
    ],
)
def test_a_figure_is_shown_with_its_interval(estimate: Estimate, sign: str, shown: str) -> None:
    assert describe(estimate, sign) == shown


def tuning(thresholds: dict[str, float]) -> dict[str, Any]:
    """``tuning.json`` of classes that are too rare for thresholds of their own."""
    facts = {"used_joint": True, "promised": None}
    return {
        "thresholds": thresholds,
        "classes": dict.fromkeys(thresholds, facts),
        "joint": min(thresholds.values()),
        "is_joint": False,
        "untuned": "0.5",
        "gain_cross_fitted": {},
        "per_million": {},
        "calibration": None,
    }


def test_of_a_single_rare_class_nothing_is_said_of_a_joint_threshold() -> None:
    assert not any("joint" in line for line in tell_tuning(tuning({"cat": 0.25})))
    assert any("joint" in line for line in tell_tuning(tuning({"cat": 0.25, "dog": 0.25})))


@given(st.floats(0, 1, width=32))
def test_a_threshold_typed_as_it_is_told_decides_the_same(threshold: float) -> None:
    told = tell_tuning(tuning({"cat": threshold}))[0].removeprefix("thresholds: cat ")

    assert np.float32(float(told)) == np.float32(threshold)
    assert "e" not in told


def test_a_low_threshold_is_not_told_as_zero() -> None:
    assert write_threshold(float(np.float32(0.00003922))) == "0.00003922"
    assert write_threshold(0.5) == "0.5"
