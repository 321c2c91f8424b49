"""The Ray engine: as the local one, whatever dies."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from mekiki.catalog.db import Catalog
from mekiki.catalog.runs import all_failures, find_run
from mekiki.engine.local import LocalEngine
from mekiki.engine.ray import RayEngine
from mekiki.engine.run import Engine
from mekiki.errors import BackendError, DataError, InterruptedRunError, MissingExtraError, UsageError
from mekiki.records import Failure, RunSummary
from mekiki.settings import PerItemSettings
from ray_toys import OnGpu, SquareSettings, Squaring, Stillborn, Task, Waiting, workers_seen
from workspaces import mekiki, write_photo

TESTS = Path(__file__).parent.parent
MIXED = [
    Task(number, n_pieces=10 if number % 7 == 0 else 1, is_bad=number % 20 == 3, bad_piece=0 if number == 57 else None)
    for number in range(200)
]


@pytest.fixture(scope="module")
def engine() -> Iterator[RayEngine]:
    """One Ray with two workers for all tests of this file."""
    if find_spec("ray") is None:  # importing it here would be too early: the engine says first what it may print
        pytest.skip("Ray is not installed")
    with RayEngine(n_workers=2) as made:
        yield made


@pytest.fixture
def catalog(workspace: Path) -> Iterator[Catalog]:
    with Catalog(workspace) as made:
        yield made


def square(catalog: Catalog, engine: Engine, tasks: list[Task], seconds: float = 0.0, **settings: object) -> RunSummary:
    work = Squaring(catalog.workspace, seconds)
    return engine.map(catalog, "mine", SquareSettings(**settings), work, tasks)  # type: ignore[arg-type]


def rows(catalog: Catalog) -> list[tuple[object, ...]]:
    return list(catalog.rows("SELECT item_id, scorer, score FROM rarity ORDER BY 1, 2"))


def written(catalog: Catalog) -> list[str]:
    return sorted((catalog.workspace / "written").read_text().splitlines())


def counts(summary: RunSummary) -> tuple[int, int, int, int]:
    return summary.n_selected, summary.n_written, summary.n_skipped, summary.n_failed


def when(is_time: Callable[[], bool], act: Callable[[], None]) -> threading.Thread:
    """Do something in a thread as soon as it is time."""

    def wait() -> None:
        ends = time.monotonic() + 60
        while not is_time() and time.monotonic() < ends:
            time.sleep(0.01)
        act()

    thread = threading.Thread(target=wait, daemon=True)
    thread.start()
    return thread


def has_written(folder: Path, n_rows: int) -> bool:
    path = folder / "written"
    return path.exists() and len(path.read_text().splitlines()) >= n_rows


def is_alive(pid: int) -> bool:
    """Return whether a process runs; one that has ended and that nobody has asked about does not."""
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except FileNotFoundError:
        return False


@pytest.mark.slow
def test_rows_and_failures_are_those_of_the_local_engine(catalog: Catalog, engine: RayEngine, tmp_path: Path) -> None:
    with Catalog(tmp_path / "other") as other:
        local = square(other, LocalEngine(), MIXED)
        expected = rows(other)

    summary = square(catalog, engine, MIXED, batch_size=8)

    assert counts(summary) == counts(local) == (200, 189, 0, 11)
    assert rows(catalog) == expected
    assert summary.n_rows == local.n_rows == len(expected)
    assert set(summary.failures) == set(local.failures)
    assert set(all_failures(catalog)) == set(local.failures)
    assert Failure("/photos/00057", "piece broken", "mine") in summary.failures
    assert summary.run_id == local.run_id, "either engine goes on with the other's run"
    assert os.getpid() not in workers_seen(catalog.workspace)
    assert counts(square(catalog, LocalEngine(), MIXED)) == (200, 0, 189, 11)


@pytest.mark.slow
def test_a_session_elsewhere_is_not_taken_for_the_one_that_was_asked_for(catalog: Catalog, engine: RayEngine) -> None:
    square(catalog, engine, [Task(0)])

    with pytest.raises(UsageError, match=r"not at ray\.example:6379"):
        square(catalog, RayEngine(address="ray.example:6379"), [Task(0), Task(1)])


@pytest.mark.slow
def test_a_killed_worker_costs_time_and_no_rows(catalog: Catalog, engine: RayEngine) -> None:
    tasks = [Task(number, n_pieces=10 if number % 7 == 0 else 1) for number in range(300)]
    folder = catalog.workspace

    def kill() -> None:
        victim = workers_seen(folder)[0]
        os.kill(victim, signal.SIGKILL)
        (folder / "killed").touch()

    killer = when(lambda: has_written(folder, 80), kill)
    summary = square(catalog, engine, tasks, seconds=0.005, batch_size=8)
    killer.join()

    assert (folder / "killed").exists()
    assert counts(summary) == (300, 300, 0, 0)
    assert summary.n_rows == len(rows(catalog)) == sum(one.n_pieces for one in tasks)
    assert len(written(catalog)) == len(set(written(catalog))), "nothing was written twice"
    assert len(workers_seen(folder)) == 3, "another was hired"
    assert summary.seconds < 60


@pytest.mark.slow
def test_an_item_that_kills_every_worker_is_a_failure_and_takes_no_other_with_it(
    catalog: Catalog, engine: RayEngine
) -> None:
    summary = square(catalog, engine, [Task(number, kills=number == 57) for number in range(120)])

    assert counts(summary) == (120, 119, 0, 1)
    assert summary.failures == [Failure("/photos/00057", "the worker died 3 times on it", "mine")]
    assert len(written(catalog)) == len(set(written(catalog))) == 119


@pytest.mark.slow
def test_a_bug_in_a_worker_is_raised_here_with_the_place_where_it_is(catalog: Catalog, engine: RayEngine) -> None:
    with pytest.raises(ZeroDivisionError, match="a bug at 57") as caught:
        square(catalog, engine, [Task(number, is_bug=number == 57) for number in range(100)])

    assert "ray_toys.py" in str(caught.value.__cause__)
    assert all_failures(catalog) == []


@pytest.mark.slow
def test_an_error_of_ours_keeps_its_type_and_its_exit_code(catalog: Catalog, engine: RayEngine) -> None:
    error = MissingExtraError("ghost", "ghosts")

    with pytest.raises(MissingExtraError, match=r"mekiki\[ghosts\]"):
        engine.map(catalog, "mine", PerItemSettings(), Stillborn(catalog.workspace, error=error), [Task(0)])


@pytest.mark.slow
def test_workers_that_die_while_they_open_stop_the_stage(catalog: Catalog, engine: RayEngine) -> None:
    with pytest.raises(BackendError, match="died on Ray before they were ready"):
        engine.map(catalog, "mine", PerItemSettings(), Stillborn(catalog.workspace), [Task(0)])

    assert all_failures(catalog) == []


@pytest.mark.slow
def test_too_many_failures_stop_the_stage(catalog: Catalog, engine: RayEngine) -> None:
    with pytest.raises(DataError, match="--max-failed-share"):
        square(catalog, engine, [Task(number, is_bad=number % 4 != 0) for number in range(200)], batch_size=8)

    assert find_run(catalog, str(catalog.value("SELECT run_id FROM runs"))).status == "stopped"


@pytest.mark.slow
def test_interrupting_leaves_no_worker_and_the_same_command_goes_on(catalog: Catalog, engine: RayEngine) -> None:
    tasks = [Task(number) for number in range(200)]
    folder = catalog.workspace
    when(lambda: has_written(folder, 20), lambda: os.kill(os.getpid(), signal.SIGINT))

    with pytest.raises(InterruptedRunError, match="items done now"):
        square(catalog, engine, tasks, seconds=0.01, batch_size=4)
    first = workers_seen(folder)
    summary = square(catalog, engine, tasks)

    assert summary.n_skipped >= 20
    assert summary.n_written == 200 - summary.n_skipped
    assert len(rows(catalog)) == len(set(written(catalog))) == 200
    assert not any(is_alive(pid) for pid in first)


@pytest.mark.slow
def test_a_killed_driver_takes_ray_with_it_and_the_same_call_finishes(catalog: Catalog, engine: RayEngine) -> None:
    folder = catalog.workspace
    code = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from pathlib import Path\n"
        "from mekiki.catalog.db import Catalog\n"
        "from mekiki.engine.ray import RayEngine\n"
        "from ray_toys import *\n"
        "folder = Path(sys.argv[2])\n"
        "with Catalog(folder) as catalog, RayEngine(n_workers=2) as engine:\n"
        "    tasks = [Task(number) for number in range(400)]\n"
        "    engine.map(catalog, 'mine', SquareSettings(batch_size=4), Squaring(folder, 0.02), tasks)\n"
    )
    driver = subprocess.Popen([sys.executable, "-c", code, str(TESTS), str(folder)])
    when(lambda: has_written(folder, 30), driver.kill).join()
    assert driver.wait(10) == -signal.SIGKILL
    orphans = workers_seen(folder)
    n_done = catalog.value("SELECT count(*) FROM done")

    summary = square(catalog, engine, [Task(number) for number in range(400)])

    assert 0 < n_done < 400
    assert counts(summary) == (400, 400 - n_done, n_done, 0)
    assert len(rows(catalog)) == 400
    assert len(set(written(catalog))) == 400
    ends = time.monotonic() + 20
    while any(is_alive(pid) for pid in orphans) and time.monotonic() < ends:
        time.sleep(0.1)
    assert orphans
    assert not any(is_alive(pid) for pid in orphans)


@pytest.mark.slow
def test_work_on_gpus_gets_one_per_worker_and_a_ray_that_is_there_already_stays(tmp_path: Path) -> None:
    if find_spec("ray") is None:
        pytest.skip("Ray is not installed")
    code = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from pathlib import Path\n"
        "from mekiki.catalog.db import Catalog\n"
        "from mekiki.engine.ray import RayEngine\n"
        "from mekiki.training.optional import import_ray\n"
        "from ray_toys import *\n"
        "folder = Path(sys.argv[2])\n"
        "ray = import_ray()\n"
        "ray.init(address='local', num_cpus=3, num_gpus=1, include_dashboard=False, log_to_driver=False)\n"
        "with Catalog(folder) as catalog, RayEngine() as engine:\n"
        "    engine.map(catalog, 'mine', SquareSettings(), OnGpu(folder), [Task(1), Task(2), Task(3)])\n"
        "assert ray.is_initialized()\n"
        "ray.shutdown()\n"
    )
    env = {**os.environ, "RAY_AUTH_TOKEN": "0" * 64}
    env.pop("OMP_NUM_THREADS", None)

    subprocess.run([sys.executable, "-c", code, str(TESTS), str(tmp_path)], check=True, timeout=100, env=env)

    assert len(workers_seen(tmp_path)) == 1
    assert (tmp_path / "seen").read_text() == "GPU 0, 3 threads"


def test_a_gpu_by_its_number_is_refused(catalog: Catalog) -> None:
    with pytest.raises(UsageError, match="cuda:1 cannot be asked for"):
        RayEngine().map(catalog, "mine", PerItemSettings(), OnGpu(catalog.workspace, number=1), [Task(0)])


def test_work_that_waits_for_a_server_stays_in_this_process(catalog: Catalog) -> None:
    summary = RayEngine().map(catalog, "mine", PerItemSettings(), Waiting(catalog.workspace), [Task(0), Task(1)])

    assert counts(summary) == (2, 2, 0, 0)
    assert workers_seen(catalog.workspace) == [os.getpid()]
    assert "not on Ray" in " ".join(summary.notes)


def test_nothing_to_do_and_a_dry_run_start_nothing(catalog: Catalog) -> None:
    square(catalog, LocalEngine(), [Task(0)])
    here = RayEngine(address="nowhere.example:6379")

    assert counts(square(catalog, here, [Task(0)])) == (1, 0, 1, 0)
    here.dry_run = True
    assert square(catalog, here, [Task(0), Task(1)]).extra["n_todo"] == 1


def test_ray_is_not_imported_before_there_is_work_for_it(tmp_path: Path) -> None:
    code = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from pathlib import Path\n"
        "from mekiki.catalog.db import Catalog\n"
        "from mekiki.engine.local import LocalEngine\n"
        "from mekiki.engine.ray import RayEngine\n"
        "from ray_toys import *\n"
        "with Catalog(sys.argv[2]) as catalog, RayEngine() as engine:\n"
        "    LocalEngine().map(catalog, 'mine', SquareSettings(), Squaring(Path(sys.argv[2])), [Task(1)])\n"
        "assert 'ray' not in sys.modules\n"
    )

    subprocess.run([sys.executable, "-c", code, str(TESTS), str(tmp_path)], check=True, timeout=60)


def test_an_engine_that_does_not_exist_is_refused_with_the_nearest(tmp_path: Path) -> None:
    photo = write_photo(tmp_path / "in" / "a.jpg", 1)

    code, _, err = mekiki("ingest", photo, "-w", tmp_path / "ws", "--engine", "rey")

    assert code == UsageError.exit_code
    assert "no engine is called 'rey'. Did you mean 'ray'? Known: local, ray." in err
    assert not (tmp_path / "ws").exists()


def test_a_cluster_that_is_not_there_is_refused_at_once(tmp_path: Path) -> None:
    photo = write_photo(tmp_path / "in" / "a.jpg", 1)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # nobody listens
        address = f"127.0.0.1:{taken.getsockname()[1]}"

        code, _, err = mekiki("ingest", photo, "-w", tmp_path / "ws", "--engine", "ray", env={"RAY_ADDRESS": address})

    assert code == BackendError.exit_code
    assert f"no Ray cluster answers at {address}" in err
    assert len(err.splitlines()) == 2
