"""Stage ``predict`` without PATHS: raw scores of all pictures of a workspace, once."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from classifiers import CLASSES, Saved, make_derived, make_ensemble, make_model, register
from mekiki.catalog.db import Catalog
from mekiki.catalog.predictions import predict_runs, read_predictions
from mekiki.engine.local import LocalEngine
from mekiki.errors import BackendError, DataError, UsageError
from mekiki.media.images import read_image
from mekiki.media.preprocessing import at_hand
from mekiki.models.classify import open_classifier
from mekiki.models.opening import Opening
from mekiki.training.card import Calibration
from mekiki.training.checkpoint import read_tensors
from mekiki.training.onnx_export import export_onnx
from networks import changed_graph
from pictures import jpeg
from videos import Recipe, make_video
from workspaces import counts, dump, file_hashes, ingest, mekiki, query, reasons, run, write_photo, write_text

N_PHOTOS = 10

torch.set_num_threads(1)


@dataclass(frozen=True)
class Place:
    """A workspace with ten photos and three frames of a clip, and a model."""

    workspace: Path
    photos: Path
    model: Saved


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Saved:
    """A workspace whose photos lie inside it, so that it can be copied."""
    workspace = tmp_path_factory.mktemp("made") / "ws"
    for number in range(N_PHOTOS):
        write_photo(workspace / "in" / f"{number}.jpg", number)
    make_video(workspace / "in" / "clip.mp4", Recipe(n_frames=21))
    ingest(workspace, workspace / "in")
    run("frames", workspace, every_n_frames=10)
    return register(workspace, make_model(workspace / "models", name="tiny"))


@pytest.fixture
def place(made: Saved, tmp_path: Path) -> Place:
    workspace = shutil.copytree(made.path.parents[1], tmp_path / "ws")
    model = made._replace(path=workspace / "models" / made.path.name)
    return Place(workspace, workspace / "in", model)


def predict(place: Place, model: str = "tiny", **settings: Any) -> Any:
    return run("predict", place.workspace, model=model, device="cpu", **settings)


def stored(place: Place, model: Saved) -> dict[str, Any]:
    """Return item id to raw scores, of the latest run."""
    with Catalog(place.workspace) as catalog:
        return read_predictions(catalog, predict_runs(catalog, model.card.scores_id)[0], CLASSES)


def test_it_stores_the_raw_scores_of_every_picture(place: Place) -> None:
    summary = predict(place)

    assert counts(summary) == (13, 13, 0, 0)
    assert summary.n_rows == 13 * len(CLASSES)
    scores = stored(place, place.model)
    classifier = open_classifier(Opening(place.model.path, device="cpu"))
    for path, item_id in query(place.workspace, "SELECT path, item_id FROM sources WHERE path LIKE '%.jpg'"):
        image = read_image(place.workspace / path, at_least_px=2 * 32)
        assert np.abs(scores[item_id] - classifier.score([classifier.prepare(at_hand(image))])[0]).max() < 1e-5


def test_the_summary_says_model_device_thresholds_and_how_often_each_class(place: Place) -> None:
    extra = predict(place).extra

    assert (extra["model"], extra["model_id"]) == ("tiny", place.model.model_id)
    assert (extra["runtime"], extra["device"], extra["precision"]) == ("torch", "cpu", "fp32")
    assert extra["thresholds"] == dict.fromkeys(CLASSES, 0.5)
    decided = np.stack(list(stored(place, place.model).values())) >= 0.5
    assert extra["n_per_class"] == {
        **dict(zip(CLASSES, decided.sum(axis=0).tolist(), strict=True)),
        "unknown": int((~decided.any(axis=1)).sum()),
    }


def test_new_pictures_continue_the_run(place: Place) -> None:
    first = predict(place)
    write_photo(place.photos / "later.jpg", 99)
    ingest(place.workspace, place.photos)

    second = predict(place)

    assert second.run_id == first.run_id
    assert counts(second) == (14, 1, 13, 0)


def test_stopped_half_way_it_goes_on_and_ends_the_same(place: Place, tmp_path: Path) -> None:
    predict(place, limit=4, batch_size=2)
    assert len(stored(place, place.model)) == 4

    summary = predict(place)

    assert counts(summary) == (13, 9, 4, 0)
    assert len(stored(place, place.model)) == 13


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"thresholds": (0.1, 0.2, 0.3)}, id="tuned"),
        pytest.param({"calibration": Calibration(method="temperature", temperatures=(2, 2, 2))}, id="calibrated"),
    ],
)
def test_a_model_that_only_decides_otherwise_shares_its_parents_scores(place: Place, changes: dict[str, Any]) -> None:
    first = predict(place)
    register(place.workspace, make_derived(place.workspace / "models", place.model, "tuned", **changes))

    second = predict(place, "tuned")

    assert second.run_id == first.run_id
    assert counts(second) == (13, 0, 13, 0)
    assert any("nothing to do" in note for note in second.notes)
    assert second.extra["model"] == "tuned"


def test_thresholds_decide_what_is_counted_and_not_what_is_stored(place: Place) -> None:
    first = predict(place)
    rows = dump(place.workspace)

    all_of_them, none_of_them = predict(place, threshold=0), predict(place, thresholds="1")

    assert all_of_them.run_id == none_of_them.run_id == first.run_id
    assert all_of_them.extra["n_per_class"] == {**dict.fromkeys(CLASSES, 13), "unknown": 0}
    assert none_of_them.extra["n_per_class"]["unknown"] == 13
    assert dump(place.workspace) == rows


def test_another_runtime_is_another_run_with_the_same_scores(place: Place) -> None:
    first = predict(place)
    scores = stored(place, place.model)

    second = predict(place, runtime="onnx")

    assert second.run_id != first.run_id
    assert counts(second) == (13, 13, 0, 0)
    again = stored(place, place.model)
    assert max(np.abs(again[item_id] - row).max() for item_id, row in scores.items()) < 1e-4
    assert predict(place, runtime="torch").run_id == first.run_id


def test_an_ensemble_of_scored_members_reads_no_picture(place: Place) -> None:
    other = register(place.workspace, make_model(place.workspace / "models", seed=1, image_size=48, name="other"))
    both = register(place.workspace, make_ensemble(place.workspace / "models", [place.model, other], [1, 3]))
    predict(place)
    predict(place, "other")
    shutil.rmtree(place.photos)

    summary = predict(place, "both")

    assert counts(summary) == (13, 13, 0, 0)
    assert any("13 pictures were not read" in note for note in summary.notes)
    ours, first, second = stored(place, both), stored(place, place.model), stored(place, other)
    for item_id, row in ours.items():
        assert np.abs(row - (first[item_id] + 3 * second[item_id]) / 4).max() < 1e-6


def test_an_ensemble_gives_the_same_from_pixels_and_from_its_members_scores(place: Place) -> None:
    calibration = Calibration(method="temperature", temperatures=(2, 0.5, 1))
    other = make_derived(
        place.workspace / "models",
        make_model(place.workspace / "models", seed=1, name="x"),
        "other",
        calibration=calibration,
    )
    register(place.workspace, other)
    both = register(place.workspace, make_ensemble(place.workspace / "models", [place.model, other], [1, 1]))
    from_pixels = predict(place, "both")
    pixels = stored(place, both)
    run_id = from_pixels.run_id
    predict(place)
    predict(place, "other")
    with Catalog(place.workspace) as catalog, catalog.transaction("forget") as transaction:
        for table in ("predictions", "done", "runs"):
            transaction.delete(table, "run_id = ?", (run_id,))

    joined = predict(place, "both")

    assert not any("not read" in note for note in from_pixels.notes)
    assert any("13 pictures were not read" in note for note in joined.notes)
    assert max(np.abs(row - pixels[item_id]).max() for item_id, row in stored(place, both).items()) < 1e-5


def test_members_that_want_other_sizes_see_in_an_ensemble_what_they_see_alone(tmp_path: Path) -> None:
    """Decoded for 128 px, a photo of 1600 x 1200 gives a network of 32 px other pixels than decoded for 32."""
    workspace = tmp_path / "ws"
    for number in range(3):
        sharp = np.random.default_rng(number).integers(0, 256, (1200 // 8, 1600 // 8, 3), np.uint8)
        (tmp_path / "in").mkdir(exist_ok=True)
        (tmp_path / "in" / f"{number}.jpg").write_bytes(jpeg(np.kron(sharp, np.ones((8, 8, 1), np.uint8))))
    ingest(workspace, tmp_path / "in")
    small = register(workspace, make_model(workspace / "models", name="small"))
    large = register(workspace, make_model(workspace / "models", seed=1, image_size=128, name="large"))
    both = register(workspace, make_ensemble(workspace / "models", [small, large], [1, 1]))
    here = Place(workspace, tmp_path / "in", small)

    from_pixels = predict(here, "both")
    computed = stored(here, both)
    predict(here, "small")
    predict(here, "large")
    first, second = stored(here, small), stored(here, large)

    assert not any("not read" in note for note in from_pixels.notes)
    assert len(computed) == 3
    for item_id, row in computed.items():
        assert np.abs(row - (first[item_id] + second[item_id]) / 2).max() < 1e-6


def test_a_changed_graph_shares_no_scores_with_what_it_was_exported_from(place: Place, tmp_path: Path) -> None:
    first = predict(place)
    graph = export_onnx(place.model.card, read_tensors(place.model.path), tmp_path / "m.onnx")
    scores = stored(place, place.model)

    ours = predict(place, str(graph))
    theirs = predict(place, str(changed_graph(graph, tmp_path / "changed.onnx")))

    assert len({first.run_id, ours.run_id, theirs.run_id}) == 3
    assert ours.n_written == theirs.n_written == 13
    assert ours.extra["n_per_class"] != theirs.extra["n_per_class"]
    again = stored(place, place.model)
    assert all((again[item_id] == row).all() for item_id, row in scores.items())


def test_a_graph_of_an_ensemble_is_not_taken_to_be_its_members(place: Place, tmp_path: Path) -> None:
    other = register(place.workspace, make_model(place.workspace / "models", seed=1, name="other"))
    both = make_ensemble(tmp_path, [place.model, other], [1, 1])
    graph = export_onnx(both.card, read_tensors(both.path), tmp_path / "both.onnx")
    predict(place, runtime="onnx")
    predict(place, "other", runtime="onnx")

    summary = predict(place, str(graph))

    assert summary.n_written == 13
    assert not any("not read" in note for note in summary.notes)


def test_a_picture_that_was_ingested_although_its_end_is_missing_is_scored(place: Place, tmp_path: Path) -> None:
    cut = write_photo(tmp_path / "cut" / "cut.jpg", 77)
    cut.write_bytes(cut.read_bytes()[:-200])
    ingest(place.workspace, cut, allow_truncated=True)

    summary = predict(place)

    assert counts(summary) == (14, 14, 0, 0)


def test_members_scored_by_another_runtime_do_not_count(place: Place) -> None:
    other = register(place.workspace, make_model(place.workspace / "models", seed=1, name="other"))
    register(place.workspace, make_ensemble(place.workspace / "models", [place.model, other], [1, 1]))
    predict(place, runtime="onnx")
    predict(place, "other")

    summary = predict(place, "both")

    assert not any("not read" in note for note in summary.notes)
    assert summary.n_written == 13


def test_a_picture_that_only_some_members_have_seen_is_read(place: Place) -> None:
    other = register(place.workspace, make_model(place.workspace / "models", seed=1, name="other"))
    register(place.workspace, make_ensemble(place.workspace / "models", [place.model, other], [1, 1]))
    predict(place)
    predict(place, "other", limit=5)

    summary = predict(place, "both")

    assert counts(summary) == (13, 13, 0, 0)
    assert any("5 pictures were not read" in note for note in summary.notes)


def test_a_picture_that_is_gone_is_a_failure_and_is_tried_again(place: Place) -> None:
    gone = (place.photos / "3.jpg").rename(place.workspace.parent / "away.jpg")

    first = predict(place)
    gone.rename(place.photos / "3.jpg")
    second = predict(place)

    assert counts(first) == (13, 12, 0, 1)
    assert "gone since ingest" in reasons(first)["3.jpg"]
    assert counts(second) == (13, 1, 12, 0)


def test_a_score_that_is_no_number_is_a_failure(place: Place) -> None:
    from mekiki.training.checkpoint import save_model

    tensors = {
        name: tensor * float("nan") if tensor.is_floating_point() else tensor
        for name, tensor in read_tensors(place.model.path).items()
    }
    _, path, _ = save_model(place.workspace, place.model.card, tensors)

    summary = predict(place, str(path))

    assert summary.n_failed == 13
    assert set(reasons(summary).values()) == {"model 'tiny' gives scores that are no numbers"}


def test_a_dry_run_only_counts(place: Place) -> None:
    rows, files = dump(place.workspace), file_hashes(place.workspace)

    from mekiki.api.verbs import run_stage

    summary = run_stage("predict", place.workspace, {"model": "tiny"}, engine=LocalEngine(dry_run=True))

    assert summary.extra == {"dry_run": True, "n_todo": 13}
    assert dump(place.workspace) == rows
    assert file_hashes(place.workspace) == files


def test_the_beginning_of_an_id_and_a_path_name_the_model_too(place: Place) -> None:
    first = predict(place)

    assert predict(place, place.model.model_id[:6]).run_id == first.run_id
    assert predict(place, str(place.model.path)).run_id == first.run_id


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        pytest.param({"model": ""}, "no model is given", id="no model"),
        pytest.param({"model": "tyni"}, "no model is called 'tyni'. Did you mean 'tiny'", id="misspelt"),
        pytest.param({"model": "tiny.safetensors"}, "there is no model file 'tiny.safetensors'", id="no such file"),
        pytest.param({"threshold": 0.5, "thresholds": "0.5"}, "give one of them", id="two thresholds"),
        pytest.param({"thresholds": '{"foks": 0.5}'}, "no class is called 'foks'. Did you mean 'fox'", id="class"),
        pytest.param({"threshold": 1.5}, "threshold: input should be less than or equal to 1", id="above 1"),
        pytest.param({"output": "x.csv"}, "--output goes with PATHS", id="output"),
        pytest.param({"every_n_frames": 3}, "--every-n-frames goes with PATHS", id="sampling"),
        pytest.param({"arch": "resnet18"}, "says itself what it is. Leave out --arch", id="facts of our own"),
        pytest.param({"runtime": "onyx"}, "runtime: .*Did you mean 'onnx'", id="runtime"),
        pytest.param({"precision": "bf16", "runtime": "onnx"}, "runtime onnx computes in fp32", id="precision"),
    ],
)
def test_what_makes_no_sense_is_refused(place: Place, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        run("predict", place.workspace, **{"model": "tiny", "device": "cpu", **settings})


def test_a_workspace_without_models_says_what_to_do(tmp_path: Path) -> None:
    ingest(tmp_path / "ws", write_photo(tmp_path / "a.jpg", 1))

    with pytest.raises(DataError, match=r"there is no model in .*: mekiki train -w"):
        run("predict", tmp_path / "ws", model="tiny")


def test_a_model_file_that_is_none_is_a_missing_backend(place: Place, tmp_path: Path) -> None:
    with pytest.raises(BackendError, match=r"no model can be read from .*no .*safetensors file"):
        predict(place, str(write_text(tmp_path / "x.safetensors", "nothing")))


@pytest.mark.slow
def test_the_command_line_takes_the_model_first(place: Place) -> None:
    code, out, _ = mekiki("predict", "tiny", "-w", place.workspace, "--device", "cpu", "--json", "-q")

    summary = json.loads(out)
    assert code == 0
    assert (summary["stage"], summary["n_written"], summary["model"]) == ("predict", 13, "tiny")
    code, _, err = mekiki("predict", "-w", place.workspace)
    assert (code, err.startswith("mekiki: the following arguments are required: MODEL")) == (2, True)
