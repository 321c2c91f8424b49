"""Words can be read on their ground by people who see little contrast, by day and by night."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from mekiki.reports import page
from mekiki.reports.canvas import SERIES

STYLE = (Path(page.__file__).parent / "templates" / "style.css").read_text(encoding="utf-8")


def colors_of(mode: str) -> dict[str, str]:
    light, dark = (block for block in re.findall(r":root \{([^}]*)\}", STYLE) if "--page" in block)
    colors = dict(re.findall(r"--([a-z0-9-]+): (#[0-9a-f]{6})", light))
    return colors | (dict(re.findall(r"--([a-z0-9-]+): (#[0-9a-f]{6})", dark)) if mode == "dark" else {})


def luminance(color: str) -> float:
    channels = (int(color[n : n + 2], 16) / 255 for n in (1, 3, 5))
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("mode", ["light", "dark"])
@pytest.mark.parametrize(
    ("words", "ground"),
    [
        *((words, ground) for words in ("ink", "muted", "accent") for ground in ("page", "paper", "tint")),
        *((tone, f"{tone}-tint") for tone in ("ok", "warning", "failed")),
        *(("ink", f"{tone}-tint") for tone in ("ok", "warning", "failed")),
        *(("page", badge) for badge in ("accent", "warning", "failed")),
    ],
)
def test_words_stand_out_from_their_ground(mode: str, words: str, ground: str) -> None:
    colors = colors_of(mode)

    assert contrast(colors[words], colors[ground]) >= 4.5


def test_the_figures_colours_are_the_pages() -> None:
    colors = colors_of("light")

    assert [colors[f"series-{n}"] for n in range(1, len(SERIES) + 1)] == list(SERIES)


@pytest.mark.parametrize("mode", ["light", "dark"])
@pytest.mark.parametrize("tone", ["ok", "failed"])
def test_numbers_stand_out_from_the_darkest_shade_of_a_matrix(mode: str, tone: str) -> None:
    colors = colors_of(mode)
    (strongest,) = set(re.findall(r"var\(--share\) \* (\d+)%", STYLE))
    share = int(strongest) / 100
    shade = "#" + "".join(
        f"{round(share * int(colors[tone][n : n + 2], 16) + (1 - share) * int(colors['page'][n : n + 2], 16)):02x}"
        for n in (1, 3, 5)
    )

    assert contrast(colors["ink"], shade) >= 4.5
