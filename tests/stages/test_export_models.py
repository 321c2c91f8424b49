"""Stage ``export``, of models: ONNX with the same scores, and seed 1's metrics JSON with thresholds in it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from mekiki.catalog.db import Catalog
from mekiki.catalog.decided import read_model
from mekiki.catalog.models import ModelRow, write_models
from mekiki.catalog.runs import finish_run, start_run
from mekiki.dataset.formats.thresholds_in import read_thresholds
from mekiki.errors import DataError, UsageError
from mekiki.media.preprocessing import prepare
from mekiki.training.backbones import BackboneSpec, default_preprocessing, make_network
from mekiki.training.card import CARD_KEY, ModelCard
from mekiki.training.checkpoint import load_network, read_tensors, save_model
from mekiki.training.members import split_members
from model_runs import history, leave
from planted import CLASSES, Planted, plant, plant_model, some_truth
from workspaces import dump, file_hashes, ingest, mekiki, run, scene, write_photo, write_text

SIZE_PX = 32
METRICS_FILE = "exports/seed1/multilabel_test_metrics.json"
METRICS_KEYS = (
    *("created_at_utc", "device", "num_train", "num_val", "num_test", "class_names", "threshold"),
    *("arch", "best_val_micro_f1", "test", "per_class"),
)
"""Those of seed 1, as systems.md 1.3 lists them."""


@pytest.fixture
def networks(workspace: Path) -> Planted:
    """A workspace with two real networks, ``a`` and ``b``."""
    torch.set_num_threads(1)
    planted = plant(workspace, some_truth(60))
    for seed, name in enumerate(("a", "b")):
        torch.manual_seed(seed)
        network = make_network(
            BackboneSpec("small-cnn", len(CLASSES)), pretrained=False, weights=None, allow_code=False
        )
        card = ModelCard(
            name=name,
            arch="small-cnn",
            class_names=CLASSES,
            preprocessing=default_preprocessing("small-cnn", SIZE_PX),
            split={"run_id": planted.split_run_id},
        )
        _add(planted, card, network.state_dict())
    return planted


def _add(planted: Planted, card: ModelCard, tensors: dict[str, torch.Tensor]) -> None:
    model_id, path, _ = save_model(planted.workspace / "models", card, tensors)
    run_id = f"train {card.name}"
    row = ModelRow(model_id, run_id, card.name, path)
    with Catalog(planted.workspace) as catalog, catalog.transaction("train", run_id) as transaction:
        start_run(transaction, {"run_id": run_id, "stage": "train", "settings": {}, "identity": "", "reads": {}})
        finish_run(catalog, transaction, run_id, {"n_failed": 0})
        write_models(transaction, [row])


def torch_scores(planted: Planted, name: str, pictures: np.ndarray) -> np.ndarray:
    """Return the raw scores of a model, from its file."""
    with Catalog(planted.workspace) as catalog:
        model = read_model(catalog, name)
    total = torch.zeros(len(pictures), len(CLASSES))
    weights = model.card.weights or (1.0,)
    for (card, tensors), weight in zip(split_members(model.card, read_tensors(model.path)), weights, strict=True):
        with torch.inference_mode():
            logits = load_network(card, tensors, allow_code=False)(torch.from_numpy(pictures))
        total += weight * torch.sigmoid(logits)
    return total.numpy()


@pytest.mark.parametrize("name", ["a", "ensemble"])
def test_onnx_gives_the_same_scores_and_carries_the_card(name: str, networks: Planted) -> None:
    import onnx
    import onnxruntime

    run("ensemble", networks.workspace, models=["a", "b"])

    summary = run("export", networks.workspace, format="onnx", model=name)

    path = networks.workspace / summary.outputs["model"]
    assert path == networks.workspace / f"exports/onnx/{name}/{name}.onnx"
    how = default_preprocessing("small-cnn", SIZE_PX)
    pictures = np.stack([prepare(scene(seed), how) for seed in range(5)])
    session = onnxruntime.InferenceSession(path.read_bytes(), providers=["CPUExecutionProvider"])
    (scores,) = session.run(None, {session.get_inputs()[0].name: pictures})
    np.testing.assert_allclose(scores, torch_scores(networks, name, pictures), atol=1e-4)
    props = {one.key: one.value for one in onnx.load(path).metadata_props}
    card = ModelCard.model_validate_json(props[CARD_KEY])
    assert (card.name, card.class_names, card.split) == (name, CLASSES, {"run_id": networks.split_run_id})


def test_models_lie_beside_each_other_and_the_same_again_writes_nothing(networks: Planted) -> None:
    first = run("export", networks.workspace, format="onnx", model="a")
    run("export", networks.workspace, format="onnx", model="b")
    rows, files = dump(networks.workspace), file_hashes(networks.workspace)

    second = run("export", networks.workspace, format="onnx", model="a")

    assert (second.run_id, second.n_written) == (first.run_id, 0)
    assert (dump(networks.workspace), file_hashes(networks.workspace)) == (rows, files)
    assert {path.name for path in (networks.workspace / "exports").rglob("*.onnx")} == {"a.onnx", "b.onnx"}


def test_a_folder_of_the_users_is_not_replaced(networks: Planted, tmp_path: Path) -> None:
    write_text(tmp_path / "mine/notes.txt", "keep")

    with pytest.raises(UsageError, match=r"not empty.*--overwrite"):
        run("export", networks.workspace, format="onnx", model="a", output=str(tmp_path / "mine"))
    with pytest.raises(UsageError, match="would be replaced"):
        run("export", networks.workspace, format="onnx", model="a", output=str(networks.workspace / "models"))
    assert (tmp_path / "mine/notes.txt").read_text() == "keep"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        pytest.param({"format": "onnx"}, "say which with --model NAME", id="no model"),
        pytest.param({"format": "onnx", "model": "c"}, "no model is called 'c'", id="name"),
        pytest.param({"format": "onnx", "model": "a", "media": "copy"}, "--media does nothing", id="media"),
        pytest.param(
            {"format": "csv", "model": "a"},
            "--model goes with --format onnx, seed1, seed5 or evaluation",
            id="of items",
        ),
        pytest.param({"format": "onxx"}, "no export format is called 'onxx'. Did you mean 'onnx'", id="format"),
    ],
)
def test_what_does_not_fit_is_refused(settings: dict[str, Any], message: str, networks: Planted) -> None:
    with pytest.raises(UsageError, match=message):
        run("export", networks.workspace, **settings)


@pytest.fixture
def evaluated(workspace: Path, tmp_path: Path) -> Planted:
    """A workspace with real photos, split, with a tuned model that was evaluated."""
    rows, truth = ["filepath,label"], some_truth(72)
    for number, states in enumerate(truth.tolist()):
        names = [name for name, state in zip(CLASSES, states, strict=True) if state]
        write_photo(tmp_path / f"in/{number:02d}.jpg", number)
        rows.append(f"{number:02d}.jpg,{'|'.join(names) or 'unknown'}")
    ingest(workspace, labels=[write_text(tmp_path / "in/labels.csv", "\n".join(rows) + "\n")])
    run("dedupe", workspace)
    split = run("split", workspace, shares={"train": 0.4, "val": 0.3, "test": 0.3})
    planted = _as_planted(workspace, split.run_id)
    scores = np.where(planted.truth == 1, 0.45, 0.2)
    plant_model(planted, "a", scores, arch="resnet18")
    run("tune", workspace, model="a", resamples=200)
    run("evaluate", workspace, resamples=200)
    return planted


def _as_planted(workspace: Path, split_run_id: str) -> Planted:
    from mekiki.catalog.scored import read_examples

    with Catalog(workspace) as catalog:
        examples = read_examples(catalog, split_run_id)
    ids = tuple(item.item_id for item in examples.items)
    return Planted(workspace, ids, examples.truth, examples.parts, examples.atoms, split_run_id, examples.class_names)


def test_seed1_gets_the_metrics_of_the_best_model_with_its_thresholds(evaluated: Planted) -> None:
    run("export", evaluated.workspace, format="seed1")

    path = evaluated.workspace / METRICS_FILE
    content = json.loads(path.read_text(encoding="utf-8"))
    assert tuple(key for key in content if key != "thresholds") == METRICS_KEYS
    assert (content["num_train"], content["num_val"], content["num_test"]) == tuple(
        evaluated.parts.count(part) for part in ("train", "val", "test")
    )
    assert content["test"].keys() == {"loss", "micro_f1", "macro_f1"}
    assert content["per_class"].keys() == set(evaluated.classes)
    assert content["per_class"]["fox"].keys() == {"precision", "recall", "f1", "support_pos"}
    assert (content["test"]["micro_f1"], content["best_val_micro_f1"], content["arch"]) == (1.0, 1.0, "resnet18")
    assert content["test"]["loss"] == pytest.approx(_cross_entropy(evaluated), abs=1e-6)
    assert read_thresholds(str(path), evaluated.classes) == content["thresholds"]
    assert all(0.2 < threshold <= 0.45 for threshold in content["thresholds"].values())


def _cross_entropy(planted: Planted) -> float:
    truth = planted.truth[planted.rows("test")]
    return float(-np.log(np.where(truth == 1, np.float32(0.45), 1 - np.float32(0.2))).mean())


def test_seed1_gets_the_metrics_of_the_model_that_is_named(evaluated: Planted) -> None:
    run("export", evaluated.workspace, format="seed1", model="a")

    content = json.loads((evaluated.workspace / METRICS_FILE).read_text(encoding="utf-8"))
    assert set(content["thresholds"].values()) == {content["threshold"]} == {0.5}
    assert content["test"]["micro_f1"] == 0
    with pytest.raises(UsageError, match="no evaluated model is called 'b'"):
        run("export", evaluated.workspace, format="seed1", model="b")


def test_without_an_evaluation_there_are_no_metrics(evaluated: Planted, tmp_path: Path) -> None:
    other = tmp_path / "other"
    ingest(other, labels=[tmp_path / "in/labels.csv"])

    run("export", other, format="seed1")

    assert not (other / METRICS_FILE).exists()
    assert (other / "exports/seed1/final_multilabel_dataset.csv").exists()
    with pytest.raises(DataError, match=r"no model has been measured on part 'test'.*mekiki evaluate"):
        run("export", other, format="seed1", model="a")


def test_a_new_evaluation_is_exported_anew(evaluated: Planted) -> None:
    first = run("export", evaluated.workspace, format="seed1")
    run("evaluate", evaluated.workspace, models=["a"], resamples=200)

    second = run("export", evaluated.workspace, format="seed1")

    assert second.run_id != first.run_id
    assert json.loads((evaluated.workspace / METRICS_FILE).read_text(encoding="utf-8"))["threshold"] == 0.5


def test_an_evaluation_leaves_as_seed_5_does_and_twice_writes_nothing_new(evaluated: Planted) -> None:
    first = run("export", evaluated.workspace, format="evaluation", model="a-tuned")

    folder = evaluated.workspace / "exports" / "evaluation" / "a-tuned"
    names = {path.name for path in folder.iterdir() if not path.name.startswith(".")}
    stems = ("pr_curve", "roc_curve", "prediction_histogram")
    assert names == {"evaluation_metrics.txt", *(f"{stem}.{suffix}" for stem in stems for suffix in ("png", "pdf"))}
    text = (folder / "evaluation_metrics.txt").read_text(encoding="utf-8")
    assert text.startswith("model: a-tuned (")
    assert "PR-AUC (trapezoid): 1.0000 (" in text
    assert set(first.outputs) == {"folder", *names}
    assert first.notes == ["no training_history: 'a-tuned' has no training in this workspace"]
    before = file_hashes(folder)
    again = run("export", evaluated.workspace, format="evaluation", model="a-tuned")
    assert (again.n_written, file_hashes(folder)) == (0, before)


def test_a_tuned_model_has_the_history_of_the_one_that_was_trained(evaluated: Planted) -> None:
    leave(evaluated.workspace, "train", "a", {"history.csv": history(4)}, model="a")

    summary = run("export", evaluated.workspace, format="evaluation", model="a-tuned")

    assert {"training_history.png", "training_history.pdf"} <= set(summary.outputs)
    assert not summary.notes


@pytest.mark.parametrize("format_name", ["csv", "evaluation"])
def test_nothing_is_written_to_the_home_folder(evaluated: Planted, tmp_path: Path, format_name: str) -> None:
    (tmp_path / "home").mkdir()
    unset = dict.fromkeys(("MPLCONFIGDIR", "XDG_CACHE_HOME", "XDG_CONFIG_HOME"), "")
    env = {**unset, "HOME": str(tmp_path / "home"), "TMPDIR": str(tmp_path)}

    code, _, err = mekiki("export", "--format", format_name, "-w", evaluated.workspace, env=env)

    assert code == 0, err
    assert not list((tmp_path / "home").iterdir())
    assert not list(tmp_path.glob("mekiki-matplotlib-*"))


def test_seed_5s_scores_are_of_one_class(networks: Planted) -> None:
    with pytest.raises(UsageError, match=r"called nsfw or unsafe\. Take another --format, or train with --positive"):
        run("export", networks.workspace, format="seed5", model="a")


def test_an_evaluation_that_is_not_there_or_too_old_is_refused(evaluated: Planted) -> None:
    for path in evaluated.workspace.glob("runs/*/metrics.json"):
        content = json.loads(path.read_text(encoding="utf-8"))
        for model in content["models"]:
            del model["parts"]["test"]["histograms"]
        path.write_text(json.dumps(content), encoding="utf-8")

    with pytest.raises(DataError, match=r"of an older mekiki.*mekiki forget \w+ -w .*, then mekiki evaluate"):
        run("export", evaluated.workspace, format="evaluation")
    with pytest.raises(UsageError, match="--media does nothing with --format evaluation"):
        run("export", evaluated.workspace, format="evaluation", media="copy")
    with pytest.raises(UsageError, match="no evaluated model is called 'b'"):
        run("export", evaluated.workspace, format="evaluation", model="b")
