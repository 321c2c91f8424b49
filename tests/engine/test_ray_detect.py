"""Detecting on Ray: several workers take part, and what they write is what one process writes."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from mekiki.api.verbs import run_stage
from mekiki.catalog.db import Catalog
from mekiki.catalog.items import select_pictures
from mekiki.engine.detecting import DetectWork, Keeping
from mekiki.engine.local import LocalEngine
from mekiki.engine.ray import RayEngine
from mekiki.models.detect import DetectorOpening
from mekiki.stages.detect import DetectSettings
from objects import make_scenes, open_noting
from workspaces import counts, tables

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def engine() -> Iterator[RayEngine]:
    """One Ray with two workers."""
    if find_spec("ray") is None:
        pytest.skip("Ray is not installed")
    with RayEngine(n_workers=2) as made:
        yield made


@pytest.mark.parametrize("n_workers", [1, 4])
def test_two_workers_take_part(engine: RayEngine, tmp_path: Path, n_workers: int) -> None:
    workspace, notes = make_scenes(tmp_path / "ws", 40), tmp_path / "notes"
    notes.mkdir()
    opening = DetectorOpening(f"toy:{notes}", n_workers=n_workers)  # of 1, the pictures come in batches to `compute`
    work = DetectWork(opening, "noting", "cpu", 1280, Keeping(), open_noting)

    with Catalog(workspace) as catalog:
        settings = DetectSettings(workers=n_workers, batch_size=4)
        summary = engine.map(catalog, "detect", settings, work, select_pictures(catalog, ""))

    workers = {path.name for path in notes.iterdir()}
    assert counts(summary) == (40, 40, 0, 0)
    assert len(workers) == 2
    assert f"detected-{os.getpid()}" not in workers


def test_the_stage_writes_on_ray_what_it_writes_here(engine: RayEngine, tmp_path: Path) -> None:
    here = make_scenes(tmp_path / "here", 25)
    (here / "in" / "07.png").write_bytes(b"broken")
    there = Path(shutil.copytree(here, tmp_path / "there"))
    settings = {"detector": "blobs", "share": 0.8, "keep": 2, "batch_size": 3}

    local = run_stage("detect", here, settings, engine=LocalEngine())
    on_ray = run_stage("detect", there, settings, engine=engine)

    assert counts(on_ray) == counts(local)
    assert on_ray.extra["counts"] == local.extra["counts"]
    here_rows, there_rows = tables(here), tables(there)
    for name in here_rows:
        if name not in ("failures", "runs"):  # these name the folder
            assert there_rows[name] == here_rows[name], name
