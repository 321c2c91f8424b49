"""Stage ``embed``: one vector per picture, its own; resumed, killed, refused."""

from __future__ import annotations

import os
import shutil
import signal
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from mekiki.api.verbs import run_stage
from mekiki.api.workspace import forget
from mekiki.catalog.db import Catalog
from mekiki.catalog.vectors import StoredVectors, require_vectors, vector_runs
from mekiki.engine.embedding import read_sample, spread
from mekiki.engine.local import LocalEngine
from mekiki.errors import DataError, UsageError
from mekiki.media.colour_layout import PREPROCESSING, describe
from mekiki.media.images import read_image
from mekiki.media.preprocessing import prepare, seen_by
from mekiki.models import precision
from mekiki.records import Item, RunSummary
from towers import pixels
from workspaces import (
    counts,
    dump,
    file_hashes,
    ingest,
    make_photos,
    query,
    reasons,
    run,
    start_mekiki,
    tables,
    write_photo,
    write_text,
)

N_PHOTOS = 24
LAYOUT = {"embedder": "colour-layout"}

MODULE = """
import time

import torch
from torch import nn


class Grid(nn.Module):
    def __init__(self):
        super().__init__()
        self.mix = nn.Conv2d(3, 6, 1)
        with torch.no_grad():
            self.mix.weight.copy_(torch.arange(18.0).reshape(6, 3, 1, 1).sin())
            self.mix.bias.copy_(torch.arange(6.0).cos())

    def forward(self, pictures):
        return nn.functional.adaptive_avg_pool2d(self.mix(pictures), 4).flatten(1)


class Slow(Grid):
    def forward(self, pictures):
        time.sleep(0.05)
        return super().forward(pictures)


class Odd(Grid):
    def forward(self, pictures):
        found = super().forward(pictures)
        is_bright = pictures.mean(dim=(1, 2, 3)) > 1.0
        is_dark = pictures.mean(dim=(1, 2, 3)) < -1.0
        return torch.where(is_bright[:, None], torch.nan, torch.where(is_dark[:, None], 0.0, found))
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace whose photos lie inside it, so that it can be copied."""
    return make_photos(tmp_path_factory.mktemp("made") / "ws", N_PHOTOS)


@pytest.fixture
def ready(made: Path, tmp_path: Path) -> Path:
    return shutil.copytree(made, tmp_path / "ws")


@pytest.fixture
def network(tmp_path: Path) -> dict[str, Any]:
    """Settings of an embedder that is a network."""
    torch = pytest.importorskip("torch")
    torch.set_num_threads(1)
    return network_settings(tmp_path, "Grid")


def network_settings(folder: Path, name: str) -> dict[str, Any]:
    path = write_text(folder / "nets.py", MODULE)
    facts = {"image_size": 32, "mean": (0.5, 0.5, 0.5), "std": (0.25, 0.25, 0.25)}
    return {"embedder": f"python:{path}:{name}", "allow_code": True, "runtime": "torch", **facts}


def stored(workspace: Path, wanted: str | None = None) -> dict[str, NDArray[np.float32]]:
    """Return name of each photo to its vector."""
    with Catalog(workspace) as catalog:
        vectors = StoredVectors(catalog, require_vectors(catalog, wanted))
        ids = vectors.item_ids()
        matrix = vectors.read(ids)
    names = dict(query(workspace, "SELECT item_id, path FROM sources"))
    return {Path(names[item_id]).name: vector for item_id, vector in zip(ids, matrix, strict=True)}


def is_own(workspace: Path, name: str, vector: NDArray[np.float32]) -> bool:
    image = read_image(workspace / "in" / name, at_least_px=PREPROCESSING.at_least_px)
    return bool(np.allclose(vector, describe(seen_by(image, PREPROCESSING)), atol=1e-5))


def test_every_picture_gets_its_own_vector(ready: Path) -> None:
    summary = run("embed", ready, **LAYOUT, batch_size=5)

    vectors = stored(ready)
    assert counts(summary) == (N_PHOTOS, N_PHOTOS, 0, 0)
    assert summary.n_rows == len(vectors) == N_PHOTOS
    assert [name for name, vector in vectors.items() if not is_own(ready, name, vector)] == []


def test_a_networks_vectors_are_those_that_it_gives(ready: Path, network: dict[str, Any]) -> None:
    import torch

    summary = run("embed", ready, **network)
    with Catalog(ready) as catalog:
        how = require_vectors(catalog).space.preprocessing
    assert how is not None
    space: dict[str, Any] = {}
    exec(MODULE, space)  # noqa: S102 - the text above
    module = space["Grid"]().eval()

    for name, vector in stored(ready).items():
        image = read_image(ready / "in" / name, at_least_px=how.at_least_px)
        with torch.inference_mode():
            expected = module(torch.from_numpy(prepare(image, how)[None])).numpy()[0]
        np.testing.assert_allclose(vector, expected, atol=1e-4)
    facts = {name: summary.extra[name] for name in ("n_dims", "precision", "runtime", "device", "cosine_to_fp32")}
    assert facts == {
        "n_dims": 96,
        "precision": "fp32",
        "runtime": "torch",
        "device": "cpu",
        "cosine_to_fp32": None,
    }


def test_again_nothing_is_done_and_a_new_picture_continues_the_run(ready: Path) -> None:
    first = run("embed", ready, **LAYOUT)
    again = run("embed", ready, **LAYOUT, batch_size=3, workers=1)
    write_photo(ready / "in" / "new.jpg", 100)
    ingest(ready, ready / "in")
    third = run("embed", ready, **LAYOUT)

    assert counts(again) == (N_PHOTOS, 0, N_PHOTOS, 0)
    assert counts(third) == (N_PHOTOS + 1, 1, N_PHOTOS, 0)
    assert first.run_id == again.run_id == third.run_id
    vectors = stored(ready)
    assert is_own(ready, "new.jpg", vectors["new.jpg"])
    assert all(is_own(ready, name, vector) for name, vector in vectors.items())


def test_a_limit_takes_so_many_and_the_next_call_the_rest(ready: Path) -> None:
    first = run("embed", ready, **LAYOUT, limit=7)
    second = run("embed", ready, **LAYOUT)

    assert counts(first)[:2] == (7, 7)
    assert counts(second) == (N_PHOTOS, N_PHOTOS - 7, 7, 0)


@pytest.mark.parametrize("batch_size", [1, 4, 64])
def test_a_broken_file_is_a_failure_and_its_neighbours_keep_their_own(ready: Path, batch_size: int) -> None:
    (ready / "in" / "03.jpg").unlink()
    (ready / "in" / "07.jpg").write_text("no picture any more")
    cut = ready / "in" / "11.jpg"
    cut.write_bytes(cut.read_bytes()[:-200])

    summary = run("embed", ready, **LAYOUT, batch_size=batch_size, workers=3)

    assert counts(summary) == (N_PHOTOS, N_PHOTOS - 3, 0, 3)
    assert {name: text.split(":")[0] for name, text in reasons(summary).items()} == {
        "03.jpg": "gone since ingest",
        "07.jpg": "changed since ingest",
        "11.jpg": "changed since ingest",
    }
    vectors = stored(ready)
    assert len(vectors) == N_PHOTOS - 3
    assert [name for name, vector in vectors.items() if not is_own(ready, name, vector)] == []


def test_what_was_truncated_when_it_was_ingested_is_embedded_as_far_as_it_goes(tmp_path: Path) -> None:
    path = write_photo(tmp_path / "ws" / "in" / "0.jpg", 0)
    path.write_bytes(path.read_bytes()[:-200])
    ingest(tmp_path / "ws", path, allow_truncated=True)

    assert counts(run("embed", tmp_path / "ws", **LAYOUT)) == (1, 1, 0, 0)


def test_vectors_that_are_no_numbers_or_zero_are_failures_of_their_pictures_alone(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    torch.set_num_threads(1)
    workspace = make_photos(tmp_path / "ws", 4)
    for name, value in (("white.png", 255), ("black.png", 0)):
        from PIL import Image as PillowImage

        PillowImage.new("RGB", (48, 48), (value,) * 3).save(workspace / "in" / name)
    ingest(workspace, workspace / "in")

    summary = run("embed", workspace, **network_settings(tmp_path, "Odd"))

    assert counts(summary) == (6, 4, 0, 2)
    said = reasons(summary)
    assert "gives a vector with values that are no numbers" in said["white.png"]
    assert "gives a vector of zeros" in said["black.png"]


@pytest.mark.slow
def test_killed_it_goes_on_and_ends_as_if_nothing_had_been(ready: Path, tmp_path: Path) -> None:
    pytest.importorskip("torch")
    settings = network_settings(tmp_path, "Slow")
    words = ["--embedder", settings["embedder"], "--allow-code", "--runtime", "torch", "--image-size", "32"]
    whole = shutil.copytree(ready, tmp_path / "whole")
    process = start_mekiki("embed", "-w", ready, *words, "--batch-size", 1)
    try:
        _wait_for(lambda: query(ready, "SELECT count(*) FROM vectors")[0][0] >= 3, process)
        os.kill(process.pid, signal.SIGKILL)
    finally:
        process.communicate()
    n_before = query(ready, "SELECT count(*) FROM done d JOIN runs r USING (run_id) WHERE r.stage = 'embed'")[0][0]

    plain = {name: settings[name] for name in ("embedder", "allow_code", "runtime", "image_size")}
    summary = run("embed", ready, **plain)
    run("embed", whole, **plain)

    assert 2 <= n_before < N_PHOTOS
    assert counts(summary) == (N_PHOTOS, N_PHOTOS - n_before, n_before, 0)
    first, second = stored(ready), stored(whole)
    assert first.keys() == second.keys()
    assert query(ready, "SELECT count(*) FROM vectors WHERE run_id = ?", summary.run_id) == [(N_PHOTOS,)]
    for name, vector in first.items():
        np.testing.assert_allclose(vector, second[name], atol=1e-5)


def _wait_for(is_so: Any, process: Any) -> None:
    for _ in range(1200):
        if is_so():
            return
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)
    raise AssertionError("waited in vain")


# ---- precision ------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_precision_makes_another_run_and_a_batch_size_does_not(
    ready: Path, network: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("openvino")
    network |= {"runtime": "openvino"}
    _plant_precision(monkeypatch)
    exact = run("embed", ready, **network, precision="fp32")
    batched = run("embed", ready, **network, precision="fp32", batch_size=5)
    by_torch = run("embed", ready, **{**network, "runtime": "torch"}, precision="fp32")
    half = run("embed", ready, **network, precision="bf16")

    assert exact.run_id == batched.run_id == by_torch.run_id != half.run_id
    assert (batched.n_written, half.n_written) == (0, N_PHOTOS)
    assert half.extra["cosine_to_fp32"]["n_checked"] == N_PHOTOS // 2
    with Catalog(ready) as catalog:
        runs = vector_runs(catalog)
        assert {one.precision for one in runs} == {"fp32", "bf16"}
        assert len({one.space.embedder_id for one in runs}) == 1


def _plant_precision(monkeypatch: pytest.MonkeyPatch, off: float = 0.0) -> None:
    """Let every runner compute in fp32 whatever it is called, and turn the vectors of other precisions."""
    from mekiki.models import runners

    real = runners.open_runner

    def planted(tower: Any, runtime: str, device: str, wanted: str, graph: Path | None = None) -> Any:
        runner = real(tower, runtime, device, "fp32", None)
        straight = runner.run
        chance = np.random.default_rng(0)
        if wanted != "fp32" and off:
            runner.run = lambda pictures: straight(pictures) + off * chance.standard_normal((len(pictures), 96))  # type: ignore[method-assign]
        return runner

    monkeypatch.setattr("mekiki.models.runners.has_bf16", lambda: True)
    monkeypatch.setattr("mekiki.models.precision.open_runner", planted)
    monkeypatch.setattr("mekiki.models.embed_source.open_runner", planted)


def test_a_precision_that_spoils_the_vectors_is_refused(
    ready: Path, network: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("openvino")
    _plant_precision(monkeypatch, off=0.5)

    with pytest.raises(DataError, match=r"bf16 vectors of 12 of your pictures have a mean cosine of 0\.\d+") as caught:
        run("embed", ready, **{**network, "runtime": "openvino"}, precision="bf16")

    assert "\n" not in str(caught.value)
    assert query(ready, "SELECT count(*) FROM vectors") == [(0,)]


def test_int8_cannot_be_checked_on_few_pictures(tmp_path: Path, network: dict[str, Any]) -> None:
    pytest.importorskip("openvino")
    workspace = make_photos(tmp_path / "few", 19)

    with pytest.raises(DataError, match="int8 is checked on 20 pictures or more, and 19 can be read"):
        run("embed", workspace, **{**network, "runtime": "openvino"}, precision="int8")
    summary = run("embed", workspace, **{**network, "runtime": "openvino"})

    assert summary.extra["precision"] == "fp32"
    assert any("from 300 pictures on" in note for note in summary.notes)


def test_auto_goes_on_in_the_precision_of_what_is_there(
    ready: Path, network: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("openvino")
    _plant_precision(monkeypatch)
    monkeypatch.setattr(precision, "AUTO_FROM", {"int8": 1000, "bf16": N_PHOTOS + 1})
    network |= {"runtime": "openvino"}
    first = run("embed", ready, **network)
    for number in range(2):
        write_photo(ready / "in" / f"new{number}.jpg", 100 + number)
    ingest(ready, ready / "in")

    planned = run_stage("embed", ready, network, engine=LocalEngine(dry_run=True))
    second = run("embed", ready, **network)

    assert planned.extra["n_todo"] == 2
    assert first.run_id == second.run_id
    assert (counts(second), second.extra["precision"]) == ((N_PHOTOS + 2, 2, N_PHOTOS, 0), "fp32")
    assert [note for note in second.notes if "as the vectors that are there" in note]


def test_vectors_that_are_asked_for_again_are_the_latest(ready: Path, network: dict[str, Any]) -> None:
    for settings in (LAYOUT, network, LAYOUT):
        run("embed", ready, **settings)

    with Catalog(ready) as catalog:
        assert require_vectors(catalog).space.embedder == "colour-layout"


def test_graphs_and_checks_go_with_the_last_run_of_their_embedder(
    ready: Path, network: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("openvino")
    _plant_precision(monkeypatch)
    settings = {**network, "runtime": "openvino"}
    runs = [run("embed", ready, **settings, precision=precision).run_id for precision in ("fp32", "bf16")]
    (kept,) = (ready / "models/embedders").iterdir()
    (torn := kept.with_name(f"{kept.name}.part")).mkdir()
    write_text(torn / "graph.xml", "torn")
    other = write_text(kept.with_name("0123456789abcdef-bf16") / "check.json", "{}")

    forget(ready, runs[0])
    assert (kept / "check.json").is_file()
    forget(ready, runs[1])

    assert not kept.exists()
    assert not torn.exists()
    assert other.is_file()


@pytest.mark.slow
def test_int8_is_made_once_and_serves_pictures_that_come_later(
    ready: Path, network: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("nncf")
    monkeypatch.setattr(precision, "MIN_COSINE", 0.99)
    network |= {"runtime": "openvino", "precision": "int8"}
    first = run("embed", ready, **network)
    kept = {name: one for name, one in file_hashes(ready).items() if "embedders" in name}
    write_photo(ready / "in" / "new.jpg", 100)
    ingest(ready, ready / "in")
    monkeypatch.setattr(precision, "write_int8", None)

    second = run("embed", ready, **network)
    by_itself = run("embed", ready, **{**network, "precision": "auto"})

    assert first.run_id == second.run_id == by_itself.run_id
    assert counts(second) == (N_PHOTOS + 1, 1, N_PHOTOS, 0)
    assert second.extra["cosine_to_fp32"] == first.extra["cosine_to_fp32"]
    assert 0.99 <= first.extra["cosine_to_fp32"]["lowest"] <= first.extra["cosine_to_fp32"]["mean"] <= 1
    assert {name: one for name, one in file_hashes(ready).items() if "embedders" in name} == kept
    assert {Path(name).name for name in kept} == {"graph.xml", "graph.bin", "check.json"}


def test_a_dry_run_makes_no_graph_and_writes_nothing(ready: Path, network: dict[str, Any]) -> None:
    pytest.importorskip("openvino")
    rows, files = dump(ready), file_hashes(ready)
    for wanted in ("auto", "int8", "fp32"):
        settings = {**network, "runtime": "openvino", "precision": wanted}

        summary = run_stage("embed", ready, settings, engine=LocalEngine(dry_run=True))

        assert summary.extra["n_todo"] == N_PHOTOS
    assert (dump(ready), file_hashes(ready)) == (rows, files)


@pytest.mark.parametrize("wanted", [{"precision": "int8"}, {"runtime": "onnx"}, {"device": "cuda"}])
def test_what_needs_no_network_takes_no_flags_of_one(ready: Path, wanted: dict[str, str]) -> None:
    with pytest.raises(UsageError, match="colour-layout"):
        run("embed", ready, **LAYOUT, **wanted)


def test_an_unknown_embedder_is_refused_with_the_nearest(ready: Path) -> None:
    with pytest.raises(UsageError, match=r"no embedder is called 'colour-layuot'.*Did you mean 'colour-layout'"):
        run("embed", ready, embedder="colour-layuot")


# ---- the sample ------------------------------------------------------------------------------------------------------


def items(n_items: int) -> list[Item]:
    return [Item(f"{number:04d}", "image", None, 32, 32) for number in range(n_items)]


def test_a_sample_is_spread_over_all_and_always_the_same() -> None:
    chosen = [int(one.item_id) for one in spread(items(10_000), 400)]

    assert len(set(chosen)) == 400
    assert (min(chosen), max(chosen)) == (0, 9_999)
    assert max(np.diff(sorted(chosen))) < 30
    assert abs(np.mean(chosen[:100]) - 5_000) < 1_000  # any beginning of it is a sample too
    assert [int(one.item_id) for one in spread(items(10_000), 400)] == chosen
    assert len(spread(items(3), 400)) == 3
    assert spread([], 400) == []


def test_pictures_that_cannot_be_read_are_left_out_of_a_sample(ready: Path) -> None:
    (ready / "in" / "03.jpg").unlink()
    with Catalog(ready) as catalog:
        from mekiki.catalog.items import select_items

        chosen = spread(select_items(catalog, ("image",)), 400)
    ids, given = read_sample(chosen, PREPROCESSING)

    assert len(ids) == len(given) == N_PHOTOS - 1
    assert [one.item_id for one in chosen if one.item_id in ids] == ids


def test_of_no_pictures_a_sample_is_empty() -> None:
    ids, given = read_sample([], PREPROCESSING)

    assert (ids, given.shape) == ([], (0, 128, 128, 3))
    assert pixels(0).shape == (0, 32, 32, 3)


def summary_of(one: RunSummary) -> tuple[str, int]:
    return one.run_id, one.n_rows


def test_two_embedders_stand_beside_each_other(ready: Path, network: dict[str, Any]) -> None:
    first = run("embed", ready, **LAYOUT)
    rows = tables(ready)["vectors"]

    second = run("embed", ready, **network)

    assert summary_of(first) != summary_of(second)
    assert [row for row in tables(ready)["vectors"] if row["run_id"] == first.run_id] == rows
    assert len(stored(ready, "colour-layout")) == len(stored(ready, second.run_id)) == N_PHOTOS
