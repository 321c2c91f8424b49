"""``mekiki demo``: a small world, a recipe run on it, and where the report is."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from mekiki.cli.main import main
from workspaces import write_text

SMALL = ["--clips", "31", "--stills", "31"]


@pytest.mark.slow
def test_the_demo_draws_runs_and_says_where_the_report_is(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["demo", "--folder", str(tmp_path / "demo"), "-q", *SMALL]) == 0

    *_, last = capsys.readouterr().out.splitlines()
    assert last == f"the report: {tmp_path / 'demo' / 'workspace' / 'reports' / 'report.html'}"
    assert Path(last.removeprefix("the report: ")).read_text(encoding="utf-8").startswith("<!doctype html>")

    assert main(["demo", "--folder", str(tmp_path / "demo"), "--json", *SMALL]) == 0

    again = json.loads(capsys.readouterr().out)
    assert [step["n_rows"] for step in again] == [0] * len(again)
    assert [step["n_failed"] for step in again if step["n_failed"]] == [1]  # broken on purpose, so the code is 0


@pytest.mark.slow
def test_the_safety_demo_sorts_photos_into_two_folders_and_compares_heads(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["demo", "safety", "--folder", str(tmp_path / "demo"), "--json", "--stills", "120"]

    assert main(words) == 0

    steps = json.loads(capsys.readouterr().out)
    measured = next(step for step in steps if step["stage"] == "evaluate")["metrics"]
    assert {"safety", "safety-pca", "safety-orthogonal", "safety-tuned"} <= set(measured)
    assert measured["safety"]["macro_pr_auc"]["value"] > 0.5

    assert main(words) == 0

    again = json.loads(capsys.readouterr().out)
    assert [step["n_rows"] for step in again] == [0] * len(again)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        pytest.param(["--clips", "1"], "needs at least 25 clips", id="too few"),
        pytest.param(["--seed", "-1"], "seed must be 0 or more, got -1", id="seed"),
        pytest.param(["--clips", "many"], "argument --clips: invalid int value: 'many'", id="no number"),
        pytest.param(["--folder", "notes"], "cannot make a demo in notes (File exists)", id="a file"),
        pytest.param(["-w", "ws"], "there is no flag '-w'", id="no workspace to choose"),
    ],
)
def test_a_demo_that_cannot_be_is_refused(
    words: list[str], message: str, in_folder: Path, refused: Callable[..., str]
) -> None:
    write_text(in_folder / "notes", "mine")

    assert message in refused("demo", *words)
    assert [path.name for path in in_folder.iterdir()] == ["notes"]
