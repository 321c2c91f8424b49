"""Figures in lines of text."""

from __future__ import annotations

import pytest

from mekiki.records import Estimate
from mekiki.training.telling import describe

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
