"""Photos, a filled workspace, and what must be refused."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from mekiki.cli.main import main
from workspaces import write_photo, write_text

N_PHOTOS = 8


@pytest.fixture(scope="session")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with photos and a table of their labels."""
    folder = tmp_path_factory.mktemp("photos")
    rows = [f"p{n}.jpg,{('fox', 'deer')[n % 2]}" for n in range(N_PHOTOS)]
    for number in range(N_PHOTOS):
        write_photo(folder / f"p{number}.jpg", number)
    write_text(folder / "labels.csv", "\n".join(["filepath,label", *rows]))
    return folder


@pytest.fixture(scope="session")
def filled(tmp_path_factory: pytest.TempPathFactory, photos: Path) -> Path:
    """A workspace with labelled and compared photos; not to be changed."""
    folder = tmp_path_factory.mktemp("filled") / "ws"
    assert main(["ingest", str(photos), "--labels", str(photos / "labels.csv"), "-w", str(folder), "-q"]) == 0
    assert main(["dedupe", "-w", str(folder), "-q"]) == 0
    return folder


@pytest.fixture
def in_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder, which is the current one."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MEKIKI_WORKSPACE", raising=False)
    return tmp_path


@pytest.fixture
def refused(capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Runs what must be refused and returns its message, which must be all that it printed, on one line of stderr."""

    def run(*words: object, code: int = 2) -> str:
        capsys.readouterr()
        assert main([str(word) for word in words]) == code
        out, err = capsys.readouterr()
        lines = [line for line in err.splitlines() if not re.match(r"mekiki: \w+ on cpu", line)]
        assert out == ""
        assert len(lines) == 1, err
        assert lines[0].startswith("mekiki: ")
        return lines[0]

    return run
