"""Streams: readers that go away, names that cannot be shown, keys that must not be."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import simplejpeg

from mekiki.cli.main import INTERRUPTED, main
from workspaces import mekiki, query, scene, write_text


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_reader_that_has_gone_is_no_traceback(unbuffered: str) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    words = [sys.executable, "-m", "mekiki.cli.main", "list"]
    env = {**os.environ, "PYTHONUNBUFFERED": unbuffered}

    done = subprocess.run(words, stdout=writing, stderr=subprocess.PIPE, text=True, env=env, check=False)
    os.close(writing)

    assert (done.returncode, done.stderr) == (INTERRUPTED, "")


def test_a_head_that_reads_one_line_is_no_traceback() -> None:
    command = f"{sys.executable} -m mekiki.cli.main list | head -n 1"

    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=True)

    assert (done.stdout, done.stderr) == ("recipes:\n", "")


@pytest.mark.parametrize("encoding", ["ascii", "utf-8"])
@pytest.mark.parametrize("flag", ["-v", "--json"])
def test_names_that_a_terminal_cannot_show_are_no_crash(
    encoding: str, flag: str, workspace: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "été 猫"
    write_text(folder / "broken 猫.jpg", "no picture")
    bad = os.path.join(os.fsencode(folder), b"caf\xe9.jpg")  # noqa: PTH118 - bytes that are no text
    try:
        with open(bad, "wb") as file:  # noqa: PTH123
            file.write(simplejpeg.encode_jpeg(np.ascontiguousarray(scene(1))))
    except OSError:
        pytest.skip("this file system takes only names that are UTF-8 text")

    code, out, err = mekiki("ingest", folder, "-w", workspace, flag, env={"PYTHONIOENCODING": encoding})

    assert (code, "Traceback" in err) == (3, False)
    assert "its name is no UTF-8 text: rename it" in out
    if flag == "--json":
        paths = [failure["path"] for failure in json.loads(out)["failures"]]
        assert str(folder / "broken 猫.jpg") in paths
    assert query(workspace, "SELECT count(*) FROM failures") == [(2,)]


def test_no_key_is_ever_printed_or_stored(
    workspace: Path, photos: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-SECRET")
    monkeypatch.setenv("HF_TOKEN", "hf_SECRET")
    monkeypatch.setenv("HF_ENDPOINT", "https://me:SECRET@hub.example/x")

    for words in (["doctor"], ["doctor", "--json"], ["ingest", str(photos), "-w", str(workspace), "--json"]):
        assert main(words) == 0

    out, err = capsys.readouterr()
    assert "SECRET" not in out + err
    assert "https://***@hub.example/x" in out
    assert not [path for path in workspace.rglob("*") if path.is_file() and b"SECRET" in path.read_bytes()]
