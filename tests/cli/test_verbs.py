"""What the command line adds to the settings of a verb."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from mekiki.cli import verbs
from mekiki.records import RunSummary


@pytest.mark.parametrize(
    ("words", "allowed"),
    [
        pytest.param(["train", "--arch", "python:net.py:Net"], "True", id="typed"),
        pytest.param(["train", "--arch", "resnet18"], None, id="no program"),
        pytest.param(["train", "--arch", "python:net.py:Net", "--no-allow-code"], "False", id="taken back"),
        pytest.param(["predict", "m.pt", "in", "--arch", "python:net.py:Net"], "True", id="predict"),
        pytest.param(["predict", "m.safetensors", "in"], None, id="a file may name one"),
    ],
)
def test_who_types_a_programs_name_lets_it_run(
    words: list[str], allowed: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: dict[str, Any] = {}

    def keep(verb: str, workspace: str, values: dict[str, Any], **_: Any) -> RunSummary:
        given.update(values)
        return RunSummary(verb, "")

    monkeypatch.setattr(verbs, "run_stage", keep)
    verbs.run_verb(words[0], [*words[1:], "-w", str(tmp_path), "-q"])

    assert str(given.get("allow_code")) == str(allowed)
