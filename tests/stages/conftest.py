"""Fixtures of the stages' tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from vlm_server import VlmServer


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[VlmServer]:
    """A server on this machine that is asked instead of the real one; it wants no key."""
    with VlmServer() as made:
        monkeypatch.setenv("OPENAI_BASE_URL", made.url)
        monkeypatch.delenv("OPENAI_API_KEY", raising=False)
        yield made
