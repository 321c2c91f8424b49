"""Fixtures that more than one folder needs."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder with real photos, clips and weights; the test is skipped where it does not exist."""
    folder = Path(__file__).parents[2] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("the real pictures of ../shared/data are not here")
    return folder
