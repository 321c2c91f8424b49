"""Fixtures that more than one folder needs."""

from __future__ import annotations

from pathlib import Path

import pytest

from mekiki.demo.world import World, WorldSettings, make_world

SMALL_WORLD = WorldSettings(n_clips=8, n_stills=12, n_sites=2, n_planted=1, width_px=128, fps=4)
"""Two sites, a planted copy of each sort, one truncated photo."""


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder with real photos, clips and weights; the test is skipped where it does not exist."""
    folder = Path(__file__).parents[2] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("the real pictures of ../shared/data are not here")
    return folder


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    """A small demo world; tests that change it copy it first."""
    return make_world(tmp_path_factory.mktemp("world") / "world", SMALL_WORLD)


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    """A folder for a workspace, which does not exist yet."""
    return tmp_path / "ws"
