"""The command line from outside: exit codes, one-line errors, what goes to which stream."""

from __future__ import annotations

import errno
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import simplejpeg

from mekiki.api.recipes import read_recipe
from mekiki.cli.main import INTERRUPTED, main
from pictures import truncated_jpeg
from workspaces import dump, mekiki, query, start_mekiki, write_photo, write_text

Refused = Callable[..., str]

N_PHOTOS = 8  # as in conftest.py
N_MANY = 1500
STAGE_KEYS = {
    *("stage", "run_id", "n_selected", "n_written", "n_skipped", "n_failed", "n_rows"),
    *("failures", "outputs", "seconds"),
}
STATUS_KEYS = {"items", "sources", "groups", "labels", "splits", "models", "failures", "runs"}


def test_json_of_a_stage_is_one_object_with_the_documented_keys(
    filled: Path, photos: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["ingest", str(photos), "-w", str(filled), "--json"]) == 0

    out, _ = capsys.readouterr()
    assert len(out.splitlines()) == 1
    summary = json.loads(out)
    assert set(summary) == {*STAGE_KEYS, "n_ignored"}
    assert (summary["stage"], summary["n_selected"], summary["n_skipped"]) == ("ingest", N_PHOTOS, N_PHOTOS)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EFBIG])
@pytest.mark.parametrize(("words", "named"), [(["-w", "there"], "there"), ([], "./workspace")])
def test_a_full_disk_is_one_line_that_says_where(
    in_folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    number: int,
    words: list[str],
    named: str,
) -> None:
    def fail(_words: list[str]) -> int:
        raise OSError(number, os.strerror(number))  # as file.write() does, without a name

    monkeypatch.setattr("mekiki.cli.commands.status_command", fail)

    assert main(["status", *words, "-v"]) == 2
    assert capsys.readouterr().err == f"mekiki: cannot use workspace {named}: {os.strerror(number)}\n"


def test_json_lists_every_failure(workspace: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for number in range(15):
        write_text(tmp_path / "bad" / f"{number}.jpg", "no picture")

    assert main(["ingest", str(tmp_path / "bad"), "-w", str(workspace), "--json"]) == 3

    failures = json.loads(capsys.readouterr().out)["failures"]
    assert len(failures) == 15
    assert set(failures[0]) == {"path", "reason"}


def test_json_of_status_has_the_documented_keys(filled: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["status", "-w", str(filled), "--json"]) == 0

    counts = json.loads(capsys.readouterr().out)
    assert set(counts) == STATUS_KEYS
    assert counts["items"] == {"image": N_PHOTOS}
    assert counts["labels"] == {"deer": 4, "fox": 4, "unknown": 0}
    assert {"run_id", "stage", "status", "started_at"} == set(counts["runs"][0])


def test_json_of_a_recipe_is_a_list_of_its_steps(
    photos: Path, workspace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["run", "wildlife", str(photos), "-w", str(workspace), "--json", "--from", "ingest"]
    others = [step.step_id for step in read_recipe("wildlife") if step.stage not in ("ingest", "frames", "dedupe")]
    skipped = [word for step in others for word in ("--skip", step)]

    assert main([*words, *skipped]) == 0

    assert [one["stage"] for one in json.loads(capsys.readouterr().out)] == ["ingest", "frames", "dedupe"]


@pytest.mark.parametrize("command", ["list", "doctor"])
def test_json_of_other_commands_is_one_object(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([command, "--json"]) == 0

    assert isinstance(json.loads(capsys.readouterr().out), dict)


def test_progress_goes_to_stderr_and_quiet_silences_it(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["ingest", str(photos), "-w", str(tmp_path / "loud")])
    loud = capsys.readouterr()
    main(["ingest", str(photos), "-w", str(tmp_path / "quiet"), "--quiet"])
    quiet = capsys.readouterr()

    assert loud.err == f"mekiki: ingest on cpu, {N_PHOTOS} items\n"
    assert quiet.err == ""
    assert quiet.out.startswith(f"ingest: {N_PHOTOS} written, 0 done before, 0 failed; ")


def test_verbose_lists_all_failures_and_without_it_the_first_ten(
    workspace: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in range(12):
        write_text(tmp_path / "bad" / f"{number:02d}.jpg", "no picture")
    words = ["ingest", str(tmp_path / "bad"), "-w", str(workspace), "-q"]

    assert main(words) == 3
    short = capsys.readouterr().out
    assert main([*words, "-v"]) == 3
    long = capsys.readouterr().out

    assert (short.count("  failed: "), long.count("  failed: ")) == (10, 12)
    assert "and 2 more: add -v to list them all" in short
    assert main(["status", "-v", "-w", str(workspace)]) == 0
    assert capsys.readouterr().out.count("failed in ingest: ") == 12


@pytest.mark.parametrize("verb", ["ingest", "frames", "dedupe", "split", "export", "report"])
def test_a_dry_run_says_what_it_would_do_and_writes_nothing(
    verb: str, photos: Path, filled: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    inputs = [str(write_photo(tmp_path / "new.jpg", 99))] if verb == "ingest" else []
    inputs += ["--max-distance", "3"] if verb == "dedupe" else []
    before, content = dump(filled), (filled / "mekiki.db").read_bytes()
    files = sorted(filled.rglob("*"))

    assert main([verb, *inputs, "-w", str(filled), "--dry-run"]) == 0

    assert f"{verb} (dry run): would " in capsys.readouterr().out
    assert dump(filled) == before
    assert (filled / "mekiki.db").read_bytes() == content
    assert sorted(filled.rglob("*")) == files


def test_a_dry_run_makes_no_workspace(photos: Path, workspace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ingest", str(photos), "-w", str(workspace), "--dry-run"]) == 0
    assert main(["run", "wildlife", str(photos), "-w", str(workspace), "--dry-run", "--json"]) == 0

    out = capsys.readouterr().out
    assert out.startswith(f"ingest (dry run): would work on {N_PHOTOS} items, 0 done before\n")
    steps = json.loads(out.splitlines()[-1])
    assert [step["dry_run"] for step in steps] == [True] * len(read_recipe("wildlife"))
    assert steps[0]["n_todo"] == N_PHOTOS
    assert not workspace.exists()


def test_limit_does_so_many_and_the_next_call_goes_on(
    photos: Path, workspace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["ingest", str(photos), "-w", str(workspace), "-q"]

    main([*words, "--limit", "3"])
    main(words)

    out = capsys.readouterr().out.splitlines()
    assert out[0].startswith("ingest: 3 written, 0 done before")
    assert any(line.startswith(f"ingest: {N_PHOTOS - 3} written, 3 done before") for line in out)


def test_the_workspace_comes_from_the_environment(
    filled: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MEKIKI_WORKSPACE", str(filled))

    assert main(["status"]) == 0

    assert f"workspace {filled}" in capsys.readouterr().out


def test_exit_3_says_that_items_failed_and_what_could_be_done_is_done(
    photos: Path, workspace: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "half.jpg").write_bytes(truncated_jpeg())

    code = main(["ingest", str(photos), str(tmp_path / "half.jpg"), "-w", str(workspace), "-q"])

    assert code == 3
    assert f"failed: {tmp_path / 'half.jpg'}: truncated" in capsys.readouterr().out
    assert query(workspace, "SELECT count(*) FROM items") == [(N_PHOTOS,)]


def test_exit_4_says_which_rule_and_what_to_do(photos: Path, workspace: Path, refused: Refused) -> None:
    main(["ingest", str(photos), "-w", str(workspace), "-q"])

    assert f"mekiki dedupe -w {workspace}" in refused("split", "-w", workspace, code=4)


def test_exit_5_says_that_a_server_is_missing(
    workspace: Path, monkeypatch: pytest.MonkeyPatch, refused: Refused
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")

    message = refused("ingest", "hf://datasets/someone/something", "-w", workspace, code=5)

    assert "hf://datasets/someone/something" in message or "huggingface_hub" in message


@pytest.mark.slow
def test_exit_130_after_ctrl_c_and_the_same_command_goes_on(workspace: Path, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    (tmp_path / "many").mkdir()
    for number in range(N_MANY):
        pixels = rng.integers(0, 255, (16, 16, 3), dtype=np.uint8)
        (tmp_path / "many" / f"{number}.jpg").write_bytes(simplejpeg.encode_jpeg(pixels))
    words = ("ingest", tmp_path / "many", "-w", workspace)
    process = start_mekiki(*words)
    while not (workspace / "mekiki.db").exists() or not _n_done(workspace):
        assert process.poll() is None
        time.sleep(0.01)

    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)

    assert (process.returncode, out) == (INTERRUPTED, "")
    assert re.search(r"mekiki: ingest interrupted: \d+ items done now, 0 before. The same command goes on\n", err)
    code, out, _ = mekiki(*words, "-q")
    assert code == 0
    assert re.match(r"ingest: \d+ written, \d+ done before, 0 failed", out)
    assert query(workspace, "SELECT count(*) FROM items") == [(N_MANY,)]


def _n_done(workspace: Path) -> int:
    if not query(workspace, "SELECT 1 FROM sqlite_master WHERE name = 'done'"):
        return 0
    return int(query(workspace, "SELECT count(*) FROM done")[0][0])


def test_a_bug_is_a_traceback_and_exit_1(filled: Path, tmp_path: Path) -> None:
    copy = tmp_path / "broken"
    copy.mkdir()
    (copy / "mekiki.db").write_bytes((filled / "mekiki.db").read_bytes())
    subprocess.run(
        [sys.executable, "-c", f"import sqlite3; c = sqlite3.connect({str(copy / 'mekiki.db')!r}); "
         "c.execute(\"UPDATE runs SET settings = '{'\"); c.commit()"],
        check=True,
    )  # fmt: skip

    code, out, err = mekiki("status", "-w", copy)

    assert (code, out) == (1, "")
    assert "Traceback (most recent call last)" in err
    assert "JSONDecodeError" in err
