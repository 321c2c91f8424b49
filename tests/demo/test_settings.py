"""What a world may be asked to be."""

from __future__ import annotations

from typing import Any

import pytest

from mekiki.demo.layout import plan_files
from mekiki.demo.settings import WorldSettings
from mekiki.errors import UsageError


def test_stills_are_half_as_large_again_as_clips() -> None:
    settings = WorldSettings(width_px=128)

    assert settings.clip_size == (128, 96)
    assert settings.still_size == (192, 144)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        pytest.param({"seed": -1}, "seed must be 0 or more, got -1", id="seed"),
        pytest.param({"n_sites": 0}, r"n_sites must lie in 1..5, got 0", id="no sites"),
        pytest.param({"n_sites": 6}, r"n_sites must lie in 1..5, got 6", id="too many sites"),
        pytest.param({"width_px": 100}, "width_px must be a multiple of 8", id="odd width"),
        pytest.param({"fps": 0}, r"fps must lie in 1..30, got 0", id="no frames"),
        pytest.param({"n_planted": -1}, "n_planted must be 0 or more", id="negative copies"),
        pytest.param({"n_clips": 24}, "n_planted=4 needs at least 25 clips and 31 stills, got 24", id="few clips"),
        pytest.param({"n_stills": 30}, "got 360 and 30. Ask for more of them", id="few stills"),
        pytest.param(
            {"confined_kind": "タヌキー"}, "no kind of animal is called 'タヌキー'. Did you mean 'タヌキ'", id="kind"
        ),
    ],
)
def test_what_cannot_be_is_refused_with_what_could(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        WorldSettings(**wrong)


@pytest.mark.parametrize("n_planted", [0, 1, 2, 4, 9])
def test_the_smallest_numbers_that_are_allowed_are_enough(n_planted: int) -> None:
    settings = WorldSettings(n_clips=6 * n_planted + 1, n_stills=7 * n_planted + 3, n_planted=n_planted)

    planned = plan_files(settings)

    assert len(planned) == settings.n_clips + settings.n_stills
