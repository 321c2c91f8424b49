"""Promises that only hold if the whole does: killed, interrupted, run twice at once, on many files."""

from __future__ import annotations

import copy
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mekiki.api.workspace import status
from mekiki.cli.main import main
from mekiki.demo.world import World
from pictures import encode, jpeg
from workspaces import LOCK_NAMES, file_hashes, mekiki, query, run, scene, start_mekiki, tables, write_photo

pytestmark = pytest.mark.slow

Tables = dict[str, list[dict[str, Any]]]

SEED = 20260101
VERBS = ("ingest", "frames", "dedupe", "predict")
N_EARLY, N_LATER = 3, 7
"""Moments at which a stage is killed: before it begins to write, and after."""

DONE = 0
SOME_FAILED = 3
"""What the demo world, with its truncated photo, ends with."""


@dataclass(frozen=True)
class Undisturbed:
    """How a stage goes if nobody disturbs it.

    Attributes:
        before: A workspace as the stage finds it.
        after: One as the stage leaves it.
        begins_s: Seconds from the start of the process until it writes.
        n_log_bytes: The largest size of the database's log: how far a process has come can be told by it.
    """

    before: Path
    after: Path
    begins_s: float
    n_log_bytes: int


def words_of(verb: str, world: World, workspace: Path) -> list[str]:
    """Return a command with small batches, so that there are many moments between two transactions."""
    own = {
        "ingest": [
            *(str(world.folder), "--labels", str(world.truth_path), "--path-pattern", "{site}/{camera}/*"),
            *("--batch-size", "1"),
        ],
        "frames": ["--every-n-frames", "2", "--batch-size", "3"],
        "dedupe": [],
        "predict": ["tiny", "--batch-size", "2"],
    }
    return [verb, *own[verb], "-w", str(workspace), "-q"]


def log_bytes(workspace: Path) -> int:
    """Return the size of the write-ahead log, without opening the database."""
    try:
        return (workspace / "mekiki.db-wal").stat().st_size
    except OSError:
        return 0


def n_rows(workspace: Path, table: str) -> int:
    """Return how many rows of a table have been committed; 0 where there is no table yet."""
    try:
        connection = sqlite3.connect(f"{(workspace / 'mekiki.db').as_uri()}?mode=ro", uri=True)
    except sqlite3.OperationalError:
        return 0
    try:
        return int(connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0])
    except sqlite3.OperationalError:
        return 0
    finally:
        connection.close()


def watch(process: subprocess.Popen[str], is_reached: Callable[[], bool]) -> bool:
    """Wait until something is reached; False if the process ends before."""
    while process.poll() is None:
        if is_reached():
            return True
        time.sleep(0.0005)
    return False


@pytest.fixture(scope="module")
def undisturbed(world: World, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Undisturbed]:
    """Each stage run to its end, after the ones before it."""
    root = tmp_path_factory.mktemp("undisturbed")
    found: dict[str, Undisturbed] = {}
    before = root / "nothing"
    before.mkdir()
    for verb in VERBS:
        after = root / verb
        shutil.copytree(before, after)
        if verb == "predict":
            train_tiny(after)
            before = root / "trained"
            shutil.copytree(after, before)
        started, most = time.monotonic(), 0
        process = start_mekiki(*words_of(verb, world, after))
        watch(process, lambda after=after: (after / "mekiki.writer").exists())
        begins_s = time.monotonic() - started
        while process.poll() is None:
            most = max(most, log_bytes(after))
            time.sleep(0.0005)
        process.communicate()
        assert process.returncode == (SOME_FAILED if verb == "ingest" else DONE)
        found[verb] = Undisturbed(before, after, begins_s, most)
        before = after
    return found


def check_same(found: Tables, wanted: Tables, place: str) -> None:
    """Refuse tables that differ; scores may in their last digits, which depend on what shares a batch."""
    scores = [[row.pop("score") for row in rows["predictions"]] for rows in (found, copy.deepcopy(wanted))]
    unscored = {**wanted, "predictions": [{**row, "score": 0} for row in wanted["predictions"]]}
    assert {**found, "predictions": [{**row, "score": 0} for row in found["predictions"]]} == unscored, place
    np.testing.assert_allclose(*scores, atol=1e-5, err_msg=place)


def train_tiny(workspace: Path) -> None:
    """Split a workspace and train a network on it that is only there to be asked."""
    missing = [name for name in status(workspace)["labels"] if name != "unknown"]
    run("split", workspace, shares={"train": 0.5, "val": 0.5}, allow_missing=missing)
    small = {"arch": "small-cnn", "arch_options": {"width": 4}, "pretrained": False, "image_size": 32}
    run("train", workspace, **small, name="tiny", epochs=1)


@pytest.mark.parametrize("verb", VERBS)
def test_killed_at_any_moment_the_same_command_gives_the_same_rows_and_files(
    verb: str, undisturbed: dict[str, Undisturbed], world: World, tmp_path: Path
) -> None:
    one = undisturbed[verb]
    rows, files = tables(one.after), file_hashes(one.after)
    chance = random.Random(f"{SEED} {verb}")
    n_early, n_later = (1, 3) if verb == "predict" else (N_EARLY, N_LATER)  # each start loads PyTorch
    moments = [("s", chance.uniform(0, one.begins_s)) for _ in range(n_early)]
    moments += [("log", chance.uniform(0, one.n_log_bytes)) for _ in range(n_later)]
    n_killed = n_half_done = 0

    for number, (unit, moment) in enumerate(moments):
        workspace = tmp_path / f"ws{number}"
        shutil.copytree(one.before, workspace)
        process = start_mekiki(*words_of(verb, world, workspace))
        if unit == "s":
            time.sleep(moment)
        else:
            watch(process, lambda moment=moment, workspace=workspace: log_bytes(workspace) >= moment)
            time.sleep(chance.choice((0, 0, 0.001, 0.004)))
        process.kill()
        process.communicate()
        n_killed += process.returncode == -signal.SIGKILL
        n_half_done += process.returncode == -signal.SIGKILL and (workspace / "mekiki.db-wal").exists()

        code = main(words_of(verb, world, workspace))

        place = f"killed at {moment:.3f} {unit}"
        assert code == (SOME_FAILED if verb == "ingest" else DONE), place
        check_same(tables(workspace), rows, place)
        assert file_hashes(workspace) == files, place
        assert {path.name for path in workspace.iterdir() if path.is_file()} <= LOCK_NAMES, place
        shutil.rmtree(workspace)
    assert n_killed > n_early, "most moments are before the end"
    assert n_half_done > 0, "some are in the middle of it"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("verb", ["ingest", "frames"])
def test_interrupted_it_exits_with_130_and_the_same_command_goes_on(
    verb: str, number: signal.Signals, undisturbed: dict[str, Undisturbed], world: World, workspace: Path
) -> None:
    one = undisturbed[verb]
    shutil.copytree(one.before, workspace)
    process = start_mekiki(*words_of(verb, world, workspace))
    table = {"ingest": "sources", "frames": "made"}[verb]
    assert watch(process, lambda: n_rows(workspace, table) >= 3)

    process.send_signal(number)
    _, err = process.communicate(timeout=60)

    assert process.returncode == 130, err
    assert "Traceback" not in err
    assert err.count("\n") == 1
    assert "the same command goes on" in err.lower()
    assert query(workspace, "SELECT status FROM runs WHERE stage = ?", verb) == [("stopped",)]
    main(words_of(verb, world, workspace))
    assert tables(workspace) == tables(one.after)
    assert file_hashes(workspace) == file_hashes(one.after)


def write_slow_photos(folder: Path, n_files: int) -> None:
    """Write photos of 12 megapixels, which take a while to read."""
    folder.mkdir(parents=True)
    content = encode(scene(1, 4000, 3000), "PNG", compress_level=1)
    for number in range(n_files):
        (folder / f"{number:02d}.png").write_bytes(content + bytes(number))


def test_two_processes_take_turns_and_both_finish(workspace: Path, tmp_path: Path) -> None:
    write_slow_photos(tmp_path / "one", 16)
    write_photo(tmp_path / "two/a.jpg", 1)
    first = start_mekiki("ingest", tmp_path / "one", "-w", workspace, "--workers", 1, "--batch-size", 1)
    assert watch(first, lambda: log_bytes(workspace) > 0 and (workspace / "mekiki.writer").exists())

    code, _, err = mekiki("ingest", tmp_path / "two", "-w", workspace)
    _, first_err = first.communicate(timeout=120)

    assert (first.returncode, code) == (0, 0)
    assert f"mekiki: waiting for mekiki ingest, process {first.pid} on " in err
    assert "waiting" not in first_err
    assert query(workspace, "SELECT count(*) FROM sources") == [(17,)]
    assert not (workspace / "mekiki.writer").exists()


def test_processes_that_start_at_once_in_a_new_workspace_all_finish(workspace: Path, tmp_path: Path) -> None:
    for number in range(12):
        write_photo(tmp_path / f"in{number % 3}/{number}.jpg", number)

    processes = [start_mekiki("ingest", tmp_path / f"in{number}", "-w", workspace) for number in range(3)]
    said = [process.communicate(timeout=120)[1] for process in processes]

    assert [process.returncode for process in processes] == [0, 0, 0], said
    assert query(workspace, "SELECT count(*) FROM sources") == [(12,)]
    assert query(workspace, "SELECT count(*) FROM runs WHERE status = 'finished'") == [(1,)]


MEASURE = """
import resource, sys
from mekiki.api.workspace import status
from mekiki.cli.main import main
code = main(["ingest", sys.argv[1], "-w", sys.argv[2], "-q"])
assert code == 0
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def test_ten_times_as_many_files_need_no_more_memory(tmp_path: Path) -> None:
    peaks_mb = []
    for n_files in (300, 3000):
        folder = tmp_path / f"in{n_files}"
        folder.mkdir()
        content = jpeg(scene(1, 64, 48))
        for number in range(n_files):
            (folder / f"{number:04d}.jpg").write_bytes(content + number.to_bytes(2, "big"))
        words = [sys.executable, "-c", MEASURE, str(folder), str(tmp_path / f"ws{n_files}")]
        said = subprocess.run(words, capture_output=True, text=True, check=True, timeout=300)
        peaks_mb.append(int(said.stdout.split()[-1]) / 1024)

    assert query(tmp_path / "ws3000", "SELECT count(*) FROM items") == [(3000,)]
    assert peaks_mb[1] - peaks_mb[0] < 15, peaks_mb
