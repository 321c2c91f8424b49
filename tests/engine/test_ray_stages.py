"""Stages on Ray write what they write in this process."""

from __future__ import annotations

import csv
import shutil
from collections.abc import Iterable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from classifiers import make_ensemble, make_model, register
from mekiki.api.verbs import run_stage
from mekiki.engine.local import LocalEngine
from mekiki.engine.ray import RayEngine
from mekiki.engine.run import Engine
from mekiki.records import RunSummary
from videos import Recipe, make_video
from workspaces import counts, file_hashes, mekiki, tables, write_photo, write_text

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def engine() -> Iterator[RayEngine]:
    """One Ray with two workers for all tests of this file."""
    if find_spec("ray") is None:
        pytest.skip("Ray is not installed")
    with RayEngine(n_workers=2) as made:
        yield made


@pytest.fixture
def made(tmp_path: Path) -> Path:
    """Photos and a clip, with a broken file among them and one that will be gone."""
    photos = tmp_path / "made"
    for number in range(20):
        write_photo(photos / f"{number}.jpg", number)
    write_text(photos / "broken.jpg", "no picture")
    make_video(photos / "clip.mp4", Recipe(n_frames=21))
    write_photo(photos / "gone.jpg", 99)
    return photos


def stages(workspace: Path, made: Path, engine: Engine) -> list[RunSummary]:
    """Ingest files, take frames, and score all pictures with two networks and what joins them."""
    photos = shutil.copytree(made, workspace / "in")
    done = [run_stage("ingest", workspace, {"paths": [str(photos)]}, engine=engine)]
    (photos / "gone.jpg").unlink()
    done.append(run_stage("frames", workspace, {"every_n_frames": 5}, engine=engine))
    models = [register(workspace, make_model(workspace / "models", name=f"m{seed}", seed=seed)) for seed in (1, 2)]
    register(workspace, make_ensemble(workspace / "models", models, (0.5, 0.5)))
    for model in ("m1", "m2", "both"):
        settings = {"model": model, "device": "cpu", "batch_size": 4}
        where = LocalEngine() if model == "m2" else engine
        done.append(run_stage("predict", workspace, settings, engine=where))
    return done


def rounded(rows: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return rows without the last digits of scores, which depend on what else was in the batch."""
    return [{name: round(one, 4) if name == "score" else one for name, one in row.items()} for row in rows]


def scored(path: Path) -> list[dict[str, Any]]:
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    return [{name: round(float(one), 4) if "prob_" in name else one for name, one in row.items()} for row in rows]


def test_ingest_frames_and_predict_write_the_same(engine: RayEngine, made: Path, tmp_path: Path) -> None:
    workspace = tmp_path / "ws"
    local = stages(workspace, made, LocalEngine())
    there = (tables(workspace), file_hashes(workspace))
    shutil.move(workspace, tmp_path / "local")

    on_ray = stages(workspace, made, engine)

    assert [counts(one) for one in on_ray] == [counts(one) for one in local]
    assert [one.n_rows for one in on_ray] == [one.n_rows for one in local]
    assert [set(one.failures) for one in on_ray] == [set(one.failures) for one in local]
    assert [one.notes for one in on_ray] == [one.notes for one in local]
    assert any("were not read: the scores of all members are stored" in note for note in on_ray[-1].notes)
    for name, rows in tables(workspace).items():
        assert rounded(rows) == rounded(there[0][name]), name
    assert file_hashes(workspace) == there[1]


def test_files_are_scored_on_ray_and_the_command_line_prints_one_object(tmp_path: Path) -> None:
    for number in range(6):
        write_photo(tmp_path / "in" / f"{number}.jpg", number)
    model = make_model(tmp_path / "models", name="tiny").path
    words = ("predict", model, tmp_path / "in", "--device", "cpu", "-w", tmp_path / "ws")
    assert mekiki(*words, "-o", tmp_path / "local.csv")[0] == 0

    code, out, err = mekiki(*words, "-o", tmp_path / "ray.csv", "--engine", "ray", "--json")

    assert code == 0, err
    assert out.startswith("{")
    assert len(out.splitlines()) == 1
    assert "workers on Ray, on this machine" in err
    assert scored(tmp_path / "ray.csv") == scored(tmp_path / "local.csv")
    assert len(scored(tmp_path / "ray.csv")) == 6
