"""What is printed for people: nothing is cut off in a pipe, and no name is taken for markup."""

from __future__ import annotations

import io
import json
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import pytest

from mekiki.cli.show import N_FAILURES_SHOWN, print_json, print_status, summary_lines
from mekiki.records import Failure, RunSummary

EMPTY: dict[str, Any] = {
    "items": {},
    "sources": 0,
    "groups": {},
    "labels": {},
    "splits": {},
    "models": [],
    "failures": 0,
    "runs": [],
}


def lines_of(summary: RunSummary, *, is_verbose: bool = False) -> list[str]:
    return summary_lines(summary, Path("ws"), is_verbose=is_verbose)


def shown(capsys: pytest.CaptureFixture[str], *, is_verbose: bool = False, **counts: Any) -> str:
    print_status({**EMPTY, **counts}, Path("ws"), is_verbose=is_verbose)
    return capsys.readouterr().out


def test_a_summary_is_one_line_with_notes_outputs_and_failures_below() -> None:
    summary = RunSummary("frames", "r1", 3, 1, 1, 1, n_rows=9, seconds=1.25)
    summary.notes, summary.outputs = ["a note"], {"folder": "media/frames"}
    summary.failures = [Failure("a.mp4", "broken")]

    assert lines_of(summary) == [
        "frames: 1 written, 1 done before, 1 failed; 9 rows in 1.2 s",
        "  a note",
        "  folder: ws/media/frames",
        "  failed: a.mp4: broken",
    ]


def test_an_output_outside_the_workspace_keeps_its_path() -> None:
    assert lines_of(RunSummary("report", "r1", outputs={"report": "/tmp/r.html"}))[1] == "  report: /tmp/r.html"


def test_many_failures_are_cut_short_unless_asked_for() -> None:
    n_failed = N_FAILURES_SHOWN + 2
    summary = RunSummary(
        "ingest", "r1", n_failed=n_failed, failures=[Failure(f"{n}.jpg", "x") for n in range(n_failed)]
    )

    assert len(lines_of(summary, is_verbose=True)) == 1 + n_failed
    assert lines_of(summary)[-1] == "  and 2 more: add -v to list them all"


def test_what_else_a_dry_run_knows_stands_on_lines_of_its_own() -> None:
    notes = ["files of unknown type ignored: 1", "would work on 3 items", "the path pattern fits 2 of 3 paths"]

    lines = lines_of(RunSummary("ingest", "r1", n_skipped=2, extra={"dry_run": True}, notes=notes))

    assert lines == ["ingest (dry run): would work on 3 items, 2 done before", f"  {notes[0]}", f"  {notes[2]}"]


def test_a_dry_run_is_one_line() -> None:
    summary = RunSummary("ingest", "r1", n_skipped=2, extra={"dry_run": True}, notes=["would work on 3 items"])

    assert lines_of(summary) == ["ingest (dry run): would work on 3 items, 2 done before"]


def test_an_empty_workspace_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    assert shown(capsys) == "workspace ws\nitems: nothing yet, from 0 files\n"


def test_all_counts_are_shown(capsys: pytest.CaptureFixture[str]) -> None:
    runs = [{"run_id": f"{n:016x}", "stage": "ingest", "status": "finished", "started_at": "x" * 30} for n in range(7)]

    text = shown(
        capsys,
        items={"image": 2, "video": 1},
        sources=3,
        groups={"near-duplicate": 4},
        labels={"fox": 5, "unknown": 0},
        splits={"default": {"train": 1, "test": 1}},
        failures=6,
        runs=runs,
    )

    squeezed = [" ".join(line.split()) for line in text.splitlines()]
    for line in ("items: 2 images, 1 videos, from 3 files", "near-duplicate 4", "fox 5", "split 'default'", "train 1"):
        assert line in squeezed
    assert "6 failed items: mekiki status -v lists them" in squeezed
    assert text.count("finished") == 5
    assert shown(capsys, runs=runs, is_verbose=True).count("finished") == 7


@pytest.mark.parametrize(
    "name",
    [
        pytest.param("[bold]fox[/bold]", id="markup"),
        pytest.param("[/]", id="closing nothing"),
        pytest.param(":fox:", id="emoji"),
        pytest.param("タヌキ", id="Japanese"),
        pytest.param("a" * 300, id="long"),
    ],
)
def test_a_class_is_shown_as_it_is_called(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    text = shown(capsys, labels={name: 12345}, splits={name: {name: 1}}, models=[{"name": name, "path": name}])

    assert [line.split() for line in text.splitlines() if "12345" in line] == [[name, "12345"]]
    assert f"split {name!r}" in text
    assert f"model {name}: {name}" in text


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_json_can_be_read_back_whatever_the_terminal_shows(encoding: str) -> None:
    content = {"é": "猫", "path": "caf\udce9.jpg"}
    written = io.BytesIO()
    terminal = io.TextIOWrapper(written, encoding=encoding, write_through=True)

    with redirect_stdout(terminal):
        print_json(content)
        print_json({"é": "ü"})

    first, second = written.getvalue().splitlines()
    assert json.loads(first.decode(encoding)) == content
    assert json.loads(second.decode(encoding)) == {"é": "ü"}
    assert (b"\\u" in second) == (encoding == "ascii")
