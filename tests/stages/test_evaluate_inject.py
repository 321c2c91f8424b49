"""``evaluate --rarity --inject``: odd pictures hidden in a pile come back, ordinary ones do not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image as PillowImage

from mekiki.catalog.db import Catalog
from mekiki.catalog.rarity_metrics import find_rarity_metrics
from mekiki.catalog.vectors import StoredVectors, require_vectors
from mekiki.cli.main import main
from mekiki.engine.hiding import find_pictures, over_draws
from mekiki.errors import BackendError, DataError, UsageError
from mekiki.records import RunSummary
from pictures import jpeg
from piles import blob_with_outliers, plant_crops, plant_pictures
from workspaces import counts, dump, reasons, run, write_text

N, N_FILES = 60, 12
FAST: dict[str, Any] = {"rarity": True, "repeats": 20, "scorers": ["knn"]}


def write_sky(path: Path, seed: int) -> Path:
    """Write a picture that is blue above and grey below, as all of its kind are."""
    rng = np.random.default_rng(seed)
    pixels = np.full((64, 96, 3), 120, np.uint8)
    pixels[:32] = (90, 140, 220)
    pixels = np.clip(pixels + rng.normal(0, 6, pixels.shape) + rng.normal(0, 10, 3), 0, 255).astype(np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(jpeg(pixels))
    return path


def write_odd(path: Path, seed: int) -> Path:
    """Write a picture of wild squares, each unlike the others."""
    coarse = np.random.default_rng(seed).integers(0, 256, (4, 6, 3), dtype=np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(jpeg(np.asarray(PillowImage.fromarray(coarse).resize((96, 64), PillowImage.Resampling.NEAREST))))
    return path


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a workspace ``ws`` that was mined, odd pictures in two class folders, and ordinary ones."""
    folder = tmp_path_factory.mktemp("inject")
    for number in range(N):
        write_sky(folder / "in" / f"{number:02d}.jpg", number)
    for number in range(N_FILES):
        write_odd(folder / "odd" / ("bear" if number % 2 else "sofa") / f"{number}.jpg", 100 + number)
        write_sky(folder / "plain" / f"{number}.jpg", 900 + number)
    run("ingest", folder / "ws", paths=[str(folder / "in")])
    run("embed", folder / "ws", embedder="colour-layout")
    run("mine", folder / "ws", kind=["image"])
    return folder


def content_of(summary: RunSummary, workspace: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((workspace / summary.outputs["rarity_metrics.json"]).read_text())
    return found


def test_odd_pictures_come_back_and_ordinary_ones_do_not(folders: Path) -> None:
    both = {**FAST, "scorers": ["knn", "lof"]}

    odd = run("evaluate", folders / "ws", inject=[folders / "odd"], **both)
    plain = run("evaluate", folders / "ws", inject=[folders / "plain"], **FAST)

    n = round(0.05 * N)
    for scorer in ("knn", "lof", "combined"):
        figure = odd.extra["metrics"][scorer]["recall_at_2n"]
        assert figure["value"] > 0.9
        assert figure["chance"] == pytest.approx(2 * n / (N + n), abs=1e-6)
        assert figure["verdict"] == "above chance"
    assert plain.extra["metrics"]["knn"]["recall_at_2n"]["verdict"] == "not above chance"
    assert counts(odd) == (N_FILES, N_FILES, 0, 0)
    assert (odd.extra["n_items"], odd.extra["n_rare"], odd.extra["repeats"]) == (N, n, 20)


def test_nothing_is_written_but_the_run(folders: Path) -> None:
    before = dump(folders / "ws")

    summary = run("evaluate", folders / "ws", inject=[folders / "odd"], **FAST, seed=7)

    after = dump(folders / "ws")
    assert {name for name in after if after[name] != before[name]} == {"runs"}
    assert list(summary.outputs) == ["rarity_metrics.json"]


def test_the_same_draws_give_the_same_and_a_seed_gives_others(folders: Path) -> None:
    first = run("evaluate", folders / "ws", inject=[folders / "odd"], inject_count=5, **FAST)
    again = run("evaluate", folders / "ws", inject=[folders / "odd"], inject_count=5, **FAST)
    other = run("evaluate", folders / "ws", inject=[folders / "odd"], inject_count=5, **FAST, seed=3)

    assert again.run_id == first.run_id
    assert other.run_id != first.run_id
    assert len(content_of(first, folders / "ws")["draws"]["knn"]["recall_at_n"]) == 20


def test_a_broken_picture_is_a_failure_and_shifts_nothing(folders: Path, tmp_path: Path) -> None:
    for number in range(6):
        write_odd(tmp_path / "odd" / f"{number}.jpg", 300 + number)
    whole = run("evaluate", folders / "ws", inject=[tmp_path / "odd"], inject_count=2, **FAST)
    (tmp_path / "odd" / "2b.jpg").write_bytes(b"\xff\xd8 no picture")

    summary = run("evaluate", folders / "ws", inject=[tmp_path / "odd"], inject_count=2, **FAST)

    assert counts(summary) == (7, 6, 0, 1)
    assert list(reasons(summary)) == ["2b.jpg"]
    assert summary.extra["metrics"] == whole.extra["metrics"]
    words = ["evaluate", "--rarity", "--inject", str(tmp_path / "odd"), "--scorers", "knn", "--repeats", "2"]
    assert main([*words, "-w", str(folders / "ws")]) == 3


def test_scorers_by_class_are_left_out_unless_a_class_is_given(folders: Path, workspace: Path) -> None:
    boxes = [[(0.0, 0.0, 20.0, 20.0), (50.0, 50.0, 90.0, 90.0)] for _ in range(40)]
    with Catalog(folders / "ws") as catalog:
        stored = StoredVectors(catalog, require_vectors(catalog))
        vectors = stored.read(stored.item_ids())
    vectors = np.concatenate([vectors, vectors[:20] * np.float32(0.99)])
    plant_crops(workspace, boxes, vectors, classes=["car", "person"] * 40, space=stored.run.space)
    run("mine", workspace, scorers=["knn", "frequency"])

    without = run("evaluate", workspace, inject=[folders / "odd"], rarity=True, repeats=1, inject_count=3)
    named = run(
        "evaluate",
        workspace,
        inject=[folders / "odd"],
        rarity=True,
        repeats=1,
        inject_count=3,
        scorers=["frequency", "knn"],
        inject_class="bulldozer",
    )

    assert "--inject-class" in without.extra["left_out"]["frequency"]
    assert "combined" in without.extra["left_out"]
    assert "--scorers map" in without.extra["left_out"]["map"]
    assert "map" not in without.extra["metrics"]
    assert "frequency" not in without.extra["metrics"]
    assert any(note.startswith("not measured: frequency: compares classes") for note in without.notes)
    assert named.extra["metrics"]["frequency"]["recall_at_n"]["value"] == 1
    assert set(named.extra["metrics"]) == {"frequency", "knn", "combined"}
    with pytest.raises(UsageError, match="scorer frequency compares classes"):
        run("evaluate", workspace, inject=[folders / "odd"], rarity=True, scorers=["frequency"])


def test_a_scorer_that_was_named_and_cannot_be_is_refused(folders: Path) -> None:
    with pytest.raises(DataError, match="nothing in the pile has one"):
        run("evaluate", folders / "ws", inject=[folders / "odd"], rarity=True, scorers=["frequency"], inject_class="x")
    with pytest.raises(UsageError, match="Did you mean 'knn'"):
        run("evaluate", folders / "ws", inject=[folders / "odd"], rarity=True, scorers=["knnn"])


def test_what_cannot_be_hidden_is_refused(folders: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()

    with pytest.raises(UsageError, match="there is no folder"):
        run("evaluate", folders / "ws", inject=[tmp_path / "none"], **FAST)
    with pytest.raises(DataError, match="no picture lies in"):
        run("evaluate", folders / "ws", inject=[tmp_path / "empty"], **FAST)
    with pytest.raises(UsageError, match="--inject-count 13 is more than the 12 pictures"):
        run("evaluate", folders / "ws", inject=[folders / "odd"], inject_count=13, **FAST)


def test_intervals_that_draws_cannot_give_are_said_not_to_be_reliable(folders: Path) -> None:
    all_of_them = run("evaluate", folders / "ws", inject=[folders / "odd"], inject_count=12, **FAST)
    few = run("evaluate", folders / "ws", inject=[folders / "odd"], **{**FAST, "repeats": 3})

    assert all_of_them.extra["metrics"]["knn"]["recall_at_n"]["reliable"] is False
    assert all_of_them.extra["metrics"]["knn"]["recall_at_n"]["verdict"] == "too little to tell"
    assert any("so that draws are alike" in note for note in all_of_them.notes)
    assert any("3 draws are too few" in note for note in few.notes)


def test_a_gate_on_what_comes_back(folders: Path) -> None:
    passed = run("evaluate", folders / "ws", inject=[folders / "odd"], gate={"knn:recall_at_2n": 0.5}, **FAST)
    failed = run("evaluate", folders / "ws", inject=[folders / "plain"], gate={"knn:recall_at_2n": 0.5}, **FAST)

    few = run("evaluate", folders / "ws", inject=[folders / "odd"], gate={"recall_at_2n": 0}, **FAST | {"repeats": 3})

    assert "refusal" not in passed.extra
    assert "rests on too few draws that differ to be believed" in few.extra["refusal"]
    assert "recall_at_2n of knn" in failed.extra["refusal"]


def test_the_class_map_of_the_mining_counts_wherever_it_is_measured(
    folders: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_text(tmp_path / "here" / "map.yaml", "blob: thing\n")
    (tmp_path / "there").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    mining = run("mine", folders / "ws", kind=["image"], class_map="map.yaml")
    monkeypatch.chdir(tmp_path / "there")

    summary = run("evaluate", folders / "ws", inject=[str(folders / "odd")], mining=mining.run_id, **FAST)

    assert summary.extra["mining"] == mining.run_id
    run("mine", folders / "ws", kind=["image"])


def test_a_pile_of_another_embedder_is_refused(workspace: Path, folders: Path) -> None:
    plant_pictures(workspace, blob_with_outliers(30, 2))
    run("mine", workspace, kind=["image"])

    with pytest.raises(BackendError, match="cannot embed pictures"):
        run("evaluate", workspace, inject=[folders / "odd"], **FAST)


def test_the_report_finds_what_was_measured(folders: Path) -> None:
    summary = run("evaluate", folders / "ws", inject=[folders / "odd"], **FAST, at=[5])

    with Catalog(folders / "ws") as catalog:
        found = find_rarity_metrics(catalog, "inject")
        assert find_rarity_metrics(catalog) is None

    assert found is not None
    assert (found.run_id, found.kind, found.n_items) == (summary.run_id, "inject", N)
    assert found.scorers["knn"]["recall_at_5"].to_json() == summary.extra["metrics"]["knn"]["recall_at_5"]


def test_equal_files_are_hidden_once(tmp_path: Path) -> None:
    first = write_odd(tmp_path / "a" / "1.jpg", 1)
    write_text(tmp_path / "a" / "notes.txt", "no picture")
    (tmp_path / "b.jpg").write_bytes(first.read_bytes())

    files, n_copies = find_pictures([tmp_path])

    assert ([path.name for path in files], n_copies) == (["1.jpg"], 1)


def test_copies_are_counted_and_hidden_once(folders: Path, tmp_path: Path) -> None:
    for number in range(4):
        write_odd(tmp_path / "odd" / f"{number}.jpg", 500 + number)
    once = run("evaluate", folders / "ws", inject=[tmp_path / "odd"], inject_count=2, **FAST)
    (tmp_path / "odd" / "again.jpg").write_bytes((tmp_path / "odd" / "3.jpg").read_bytes())

    summary = run("evaluate", folders / "ws", inject=[tmp_path / "odd"], inject_count=2, **FAST)

    assert "hiding: 5 pictures = 4 kept + 1 dropped + 0 failed (copies of other files)" in summary.notes
    assert counts(summary) == counts(once) == (4, 4, 0, 0)


def test_the_interval_is_where_most_draws_lie_and_never_surer_than_so_many_files_allow() -> None:
    figure = over_draws([0.2] * 50 + [0.4] * 50, 0.1, 100, is_reliable=True)
    never = over_draws([0.0] * 100, 0.1, 12, is_reliable=True)

    assert (figure.found.value, figure.found.low, figure.found.high) == pytest.approx((0.3, 0.2, 0.4))
    assert figure.verdict == "above chance"
    assert never.verdict == "not above chance"
    assert over_draws([0.0] * 100, 0.1, 1000, is_reliable=True).verdict == "below chance"
    assert over_draws([0.05, 0.4], 0.1, 100, is_reliable=True).verdict == "not above chance"
