"""Two thousand pictures, twenty of them broken, embedded here and on Ray: the same vectors, the same failures."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image as PillowImage

from mekiki.api.verbs import run_stage
from mekiki.api.workspace import failures
from mekiki.catalog.db import Catalog
from mekiki.catalog.vectors import StoredVectors, vector_runs
from mekiki.engine.local import LocalEngine
from mekiki.engine.ray import RayEngine
from mekiki.engine.run import Engine
from mekiki.records import Failure, RunSummary
from workspaces import ingest, query

pytestmark = pytest.mark.slow

N_PICTURES, N_BROKEN = 2000, 20

NETWORK = """
import os
import time
from pathlib import Path

import torch
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.mix = nn.Conv2d(3, 16, 5, stride=4)

    def forward(self, pictures):
        (Path(__file__).parent / f"worker-{os.getpid()}").touch()
        time.sleep(0.0005 * len(pictures))
        return torch.tanh(self.mix(pictures)).mean(dim=(2, 3))
"""


@pytest.fixture(scope="module")
def engine() -> Iterator[RayEngine]:
    """One Ray with two workers."""
    if find_spec("ray") is None:
        pytest.skip("Ray is not installed")
    with RayEngine(n_workers=2) as made:
        yield made


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of tiny pictures and the network that embeds them."""
    folder = tmp_path_factory.mktemp("many")
    drawn = np.random.default_rng(0).integers(0, 256, (N_PICTURES, 24, 32, 3), dtype=np.uint8)
    (folder / "in").mkdir()
    for number, one in enumerate(drawn):
        PillowImage.fromarray(one).save(folder / "in" / f"{number:04d}.png", compress_level=1)
    (folder / "net.py").write_text(NETWORK)
    return folder


@pytest.fixture
def ready(pictures: Path, tmp_path: Path) -> Iterator[Path]:
    """A workspace that knows all of them; then twenty are broken."""
    ingest(tmp_path, pictures / "in")
    broken = {path: path.read_bytes() for path in sorted((pictures / "in").iterdir())[:: N_PICTURES // N_BROKEN]}
    for number, path in enumerate(broken):
        path.unlink() if number % 2 else path.write_bytes(b"no picture")
    for note in pictures.glob("worker-*"):
        note.unlink()
    yield tmp_path
    for path, content in broken.items():
        path.write_bytes(content)


def embed(workspace: Path, pictures: Path, engine: Engine) -> RunSummary:
    settings = {
        **{"embedder": f"python:{pictures / 'net.py'}:Net", "allow_code": True, "image_size": 24},
        **{"runtime": "torch", "device": "cpu", "batch_size": 25},
    }
    return run_stage("embed", workspace, settings, engine=engine)


def vectors(workspace: Path) -> dict[str, NDArray[np.float32]]:
    with Catalog(workspace) as catalog:
        stored = StoredVectors(catalog, vector_runs(catalog)[0])
        ids = stored.item_ids()
        return dict(zip(ids, stored.read(ids), strict=True))


def forget_vectors(workspace: Path) -> None:
    with Catalog(workspace) as catalog, catalog.transaction("forget") as transaction:
        for table in ("vectors", "done", "failures", "runs"):
            transaction.delete(table, "run_id = ?", (vector_runs(catalog)[0].run_id,))


def workers(pictures: Path) -> list[int]:
    """Return who has computed, but for this process, which looks once at what the network gives."""
    found = [int(note.name.removeprefix("worker-")) for note in pictures.glob("worker-*")]
    return [pid for pid in found if pid != os.getpid()]


def when(is_time: Callable[[], bool], act: Callable[[], None]) -> threading.Thread:
    def wait() -> None:
        ends = time.monotonic() + 60
        while not is_time() and time.monotonic() < ends:
            time.sleep(0.02)
        act()

    thread = threading.Thread(target=wait, daemon=True)
    thread.start()
    return thread


def test_vectors_and_failures_are_those_of_this_process_also_when_a_worker_is_killed(
    ready: Path, pictures: Path, engine: RayEngine
) -> None:
    local = embed(ready, pictures, LocalEngine())
    expected, failed = vectors(ready), failures(ready)
    forget_vectors(ready)
    for note in pictures.glob("worker-*"):
        note.unlink()
    killed: list[int] = []

    def kill() -> None:
        killed.append(workers(pictures)[0])
        os.kill(killed[0], signal.SIGKILL)

    sql = "SELECT count(*) FROM vectors"
    killer = when(lambda: query(ready, sql)[0][0] >= 400, kill)
    remote = embed(ready, pictures, engine)
    killer.join()

    assert (local.n_written, local.n_failed) == (remote.n_written, remote.n_failed)
    assert (remote.n_written, remote.n_failed) == (N_PICTURES - N_BROKEN, N_BROKEN)
    assert killed
    assert len(workers(pictures)) >= 2
    found = vectors(ready)
    assert found.keys() == expected.keys()
    assert max(float(np.abs(found[one] - expected[one]).max()) for one in expected) < 1e-5
    assert set(failures(ready)) == set(failed)
    assert all(isinstance(one, Failure) and one.stage == "embed" for one in failed)
    assert remote.seconds < 180


def test_a_killed_command_is_finished_by_the_same_command(ready: Path, pictures: Path, engine: RayEngine) -> None:
    code = (
        "import sys; from pathlib import Path; from mekiki.cli.main import main; sys.exit(main(['embed', '-q', "
        "'--engine', 'ray', '--embedder', f'python:{sys.argv[2]}/net.py:Net', '--image-size', '24', '--runtime', "
        "'torch', '--device', 'cpu', '--batch-size', '25', '-w', sys.argv[1]]))"
    )
    driver = subprocess.Popen([sys.executable, "-c", code, str(ready), str(pictures)], stdout=subprocess.DEVNULL)
    when(lambda: query(ready, "SELECT count(*) FROM vectors")[0][0] >= 300, driver.kill).join()
    assert driver.wait(20) == -signal.SIGKILL
    # The end of an item may come a batch after its vector: then it is done once more, to the same row.
    n_before = query(ready, "SELECT count(*) FROM done JOIN runs USING (run_id) WHERE stage = 'embed'")[0][0]

    summary = embed(ready, pictures, engine)

    assert 200 <= n_before < N_PICTURES - N_BROKEN
    assert (summary.n_skipped, summary.n_written) == (n_before, N_PICTURES - N_BROKEN - n_before)
    assert summary.n_failed == N_BROKEN
    assert len(vectors(ready)) == N_PICTURES - N_BROKEN
