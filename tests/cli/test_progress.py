"""Progress: a bar in a terminal, plain lines elsewhere, always on stderr."""

from __future__ import annotations

import io
from contextlib import redirect_stderr

import pytest
from rich.console import Console

from mekiki.cli.progress import BarProgress, PlainProgress, choose_progress
from mekiki.engine.run import Progress, Silent


class Terminal(io.StringIO):
    """Text that says it is a terminal."""

    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


def work(progress: Progress, n_items: int | None = 10) -> None:
    progress.begin("ingest", n_items, "cpu")
    progress.advance(4, 1)
    progress.say("[waiting] for :fox: " + "x" * 200)
    progress.advance(6, 0)
    progress.end()


def bar_text(monkeypatch: pytest.MonkeyPatch, *, no_color: bool) -> str:
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    if no_color:
        monkeypatch.setenv("NO_COLOR", "1")
    terminal = Terminal()
    work(BarProgress(Console(file=terminal, width=100, markup=False, emoji=False, highlight=False)))
    return terminal.getvalue()


def test_plain_progress_is_lines_on_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    work(PlainProgress(every_s=0))

    out, err = capsys.readouterr()
    assert out == ""
    lines = err.splitlines()
    assert lines[0] == "mekiki: ingest on cpu, 10 items"
    assert lines[1].startswith("mekiki: ingest: 4 of 10, ")
    assert lines[1].endswith(" s left, 1 failed")
    assert lines[2] == "mekiki: [waiting] for :fox: " + "x" * 200
    assert lines[3].startswith("mekiki: ingest: 10 of 10, ")
    assert lines[3].endswith("/s, 0 s left, 1 failed")


def test_plain_progress_without_a_number_of_items_promises_no_time(capsys: pytest.CaptureFixture[str]) -> None:
    work(PlainProgress(every_s=0), None)

    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "mekiki: ingest on cpu"
    assert lines[1].startswith("mekiki: ingest: 4, ")
    assert " left" not in lines[1]


def test_plain_progress_does_not_flood_a_log(capsys: pytest.CaptureFixture[str]) -> None:
    progress = PlainProgress()
    progress.begin("ingest", 1000, "cpu")
    for _ in range(1000):
        progress.advance(1, 0)

    assert len(capsys.readouterr().err.splitlines()) == 1


def test_a_second_stage_counts_from_the_start(capsys: pytest.CaptureFixture[str]) -> None:
    progress = PlainProgress(every_s=0)
    work(progress)
    capsys.readouterr()

    progress.begin("frames", 2, "cpu")
    progress.advance(1, 0)

    assert "frames: 1 of 2, " in capsys.readouterr().err


def test_a_bar_has_items_rate_time_left_and_failures(monkeypatch: pytest.MonkeyPatch) -> None:
    text = bar_text(monkeypatch, no_color=False)

    for part in ("ingest on cpu", "10/10", "/s", "1 failed", "\x1b[3"):
        assert part in text
    assert "[waiting] for :fox: " + "x" * 200 in text


def test_no_color_leaves_the_bar_without_colours(monkeypatch: pytest.MonkeyPatch) -> None:
    text = bar_text(monkeypatch, no_color=True)

    assert "ingest on cpu" in text
    assert "\x1b[3" not in text  # colours; the cursor still moves


def test_a_bar_can_be_ended_twice_and_advanced_before_it_begins() -> None:
    progress = BarProgress(Console(file=Terminal()))

    progress.advance(1, 0)
    progress.end()
    progress.begin("dedupe", None, "cpu")
    progress.end()
    progress.end()


def test_a_terminal_gets_a_bar_and_anything_else_lines() -> None:
    assert isinstance(choose_progress(is_quiet=True), Silent)
    with redirect_stderr(io.StringIO()):
        assert isinstance(choose_progress(is_quiet=False), PlainProgress)
    with redirect_stderr(Terminal()):
        assert isinstance(choose_progress(is_quiet=False), BarProgress)
