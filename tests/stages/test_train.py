"""Stage ``train``: what it learns, leaves and tells; the same weights after any kill; what it refuses."""

from __future__ import annotations

import csv
import hashlib
import json
import os
import shutil
import signal
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mekiki.api.verbs import run_stage
from mekiki.catalog.db import Catalog
from mekiki.catalog.models import find_model
from mekiki.cli.main import main
from mekiki.errors import BackendError, DataError, InterruptedRunError, UsageError
from mekiki.settings import result_values
from mekiki.stages.train import TrainSettings
from mekiki.torchvision_ops import declare_torchvision_ops
from mekiki.training.card import ModelCard, read_card
from mekiki.training.origins import Source, trained_on
from mekiki.training.resume import RESUME_NAME
from networks import USER_MODULE
from pictures import jpeg
from split_files import write_csv
from workspaces import counts, dump, ingest, mekiki, query, reasons, run, scene, start_mekiki, tables

torch = pytest.importorskip("torch")
declare_torchvision_ops()
pytest.importorskip("accelerate")
pytest.importorskip("tensorboard")
from mekiki.training.checkpoint import read_tensors  # noqa: E402

torch.set_num_threads(1)

CLASSES = ("badger", "fox")
COLOURS = {"badger": (250, 20, 20), "fox": (20, 20, 250)}
N_PICTURES = 66
TINY: dict[str, Any] = {
    "arch": "small-cnn",
    "arch_options": {"width": 4},
    "pretrained": False,
    "image_size": 32,
    "batch_size": 8,
    "lr": 0.01,
    "epochs": 3,
    "device": "cpu",
}
AS_IT_IS = {**{name: value for name, value in TINY.items() if name != "lr"}, "epochs": 0}
WORDS = (
    *("--arch", "small-cnn", "--arch-options", "width=4", "--no-pretrained", "--image-size", "32"),
    *("--batch-size", "8", "--lr", "0.01", "--device", "cpu"),
)
ONE_THREAD = {"OMP_NUM_THREADS": "1"}


def photo(number: int) -> np.ndarray:
    """Return a picture with a block of colour per class: red for a badger, blue for a fox."""
    image = scene(number, 64, 48).copy() // 2
    for place, name in enumerate(labels_of(number)):
        image[4 + 20 * place : 20 + 20 * place, 10:50] = COLOURS[name]
    return image


def labels_of(number: int) -> list[str]:
    return [name for bit, name in enumerate(CLASSES) if number >> bit & 1]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with pictures in ``in`` and a workspace in ``ws``: labelled, compared, split."""
    folder = tmp_path_factory.mktemp("made")
    rows = []
    (folder / "in").mkdir()
    for number in range(N_PICTURES):
        (folder / "in" / f"{number:03d}.jpg").write_bytes(jpeg(photo(number)))
        rows.append((f"{number:03d}.jpg", ";".join(labels_of(number)) or "unknown"))
    labels = write_csv(folder / "in/labels.csv", ("filepath", "labels"), rows)
    ingest(folder / "ws", folder / "in", labels=[labels])
    run("dedupe", folder / "ws")
    run("split", folder / "ws", shares={"train": 0.6, "val": 0.25, "test": 0.15})
    return folder


@pytest.fixture
def ready(made: Path, workspace: Path) -> Path:
    """A copy of the workspace; its pictures stay where they are."""
    shutil.copytree(made / "ws", workspace)
    return workspace


@pytest.fixture
def movable(made: Path, tmp_path: Path) -> Path:
    """A workspace with pictures of its own, to be broken."""
    shutil.copytree(made / "in", tmp_path / "in")
    ingest(tmp_path / "ws", tmp_path / "in", labels=[tmp_path / "in/labels.csv"])
    run("dedupe", tmp_path / "ws")
    run("split", tmp_path / "ws", shares={"train": 0.6, "val": 0.25, "test": 0.15})
    return tmp_path / "ws"


def train(workspace: Path, **settings: Any) -> Any:
    return run("train", workspace, **{**TINY, **settings})


def card_of(workspace: Path, summary: Any) -> ModelCard:
    return read_card(workspace / summary.outputs["model"])


def history_of(workspace: Path, summary: Any) -> list[dict[str, str]]:
    with (workspace / summary.outputs["history.csv"]).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


# ---- settings -------------------------------------------------------------------------------------------------------


def test_the_defaults_are_seed_1s() -> None:
    settings = TrainSettings()

    assert (settings.epochs, settings.batch_size, settings.lr, settings.weight_decay) == (12, 32, 1e-4, 1e-4)
    assert (settings.image_size, settings.seed, settings.arch, settings.pretrained) == (224, 42, "resnet18", True)
    assert (settings.loss, settings.max_positive_weight, settings.augment) == ("bce", 20.0, "seed1")
    assert (settings.schedule, settings.best_by, settings.precision) == ("plateau", "val_micro_f1", "fp32")
    assert (settings.max_train, settings.max_val, settings.workers) == (0, 0, 2)
    off = (settings.head_epochs, settings.warmup_epochs, settings.ema, settings.patience, settings.clip_norm)
    assert off == (0, 0, 0, None, None)
    assert not settings.known_only  # our one departure: unknown pictures are negatives
    how = settings.to_preprocessing()
    assert (how.resize, how.resize_hw, how.crop_hw) == ("squash", (256, 256), (224, 224))
    assert (how.mean, how.std) == ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


def test_speed_is_not_in_the_fingerprint_and_batch_size_is() -> None:
    outside = {"device", "workers", "cache_gb", "wandb", "allow_code", "weights", "max_failed_share"}

    assert outside.isdisjoint(result_values(TrainSettings()))
    assert {"batch_size", "precision", "seed", "epochs"} <= result_values(TrainSettings()).keys()


@pytest.mark.parametrize(
    ("given", "told"),
    [
        pytest.param({"normalise": "half"}, ((0.5, 0.5, 0.5), (256, 256), (224, 224), "squash"), id="half"),
        pytest.param(
            {"mean": (0.1, 0.2, 0.3), "std": (1.0, 1.0, 1.0), "resize": "none", "image_size": 32},
            ((0.1, 0.2, 0.3), (37, 37), (32, 32), "none"),
            id="cifar",
        ),
        pytest.param(
            {"resize": "short-side", "resize_px": 100, "image_size": 96},
            ((0.485, 0.456, 0.406), (100, 100), (96, 96), "short-side"),
            id="short side",
        ),
    ],
)
def test_pixels_are_as_they_are_set(given: dict[str, Any], told: tuple[Any, ...]) -> None:
    how = TrainSettings(**given).to_preprocessing()

    assert (how.mean, how.resize_hw, how.crop_hw, how.resize) == told


@pytest.mark.parametrize(
    ("words", "told"),
    [
        pytest.param(["--mean", "0.5", "--mean", "0.5", "--mean", "0.5"], "mean and std go together", id="mean alone"),
        pytest.param(["--activation", "softmax"], "--activation goes with --head, or --epochs 0", id="softmax"),
        pytest.param(["--val-part", "train"], "train_part and val_part are both 'train'", id="same part"),
        pytest.param(["--val-part", "vla"], "Did you mean 'val'?", id="no such part"),
        pytest.param(["--split", "defalt"], "Did you mean 'default'?", id="no such split"),
        pytest.param(["--classes", "foxx"], "Did you mean 'fox'?", id="no such class"),
        pytest.param(["--loss", "bc"], "Did you mean 'bce'?", id="no such loss"),
        pytest.param(["--device", "gpu"], "no device is called 'gpu'", id="no such device"),
        pytest.param(["--precision", "fp16", "--epochs", "1"], "fp16 needs a GPU", id="fp16 on a CPU"),
        pytest.param(["--batch-size", "1"], "batch_size", id="batch of one"),
        pytest.param(["--loss", "focal", "--max-positive-weight", "3"], "only with bce", id="weights of no bce"),
        pytest.param(["--head-lr", "0.1"], "head_lr does nothing with head_epochs 0", id="rate of no head epochs"),
        pytest.param(["--weights", "a.pt", "--pretrained"], "pretrained does nothing with weights", id="two starts"),
        pytest.param(["--weights", "a.pt", "--epochs", "0"], "lr does nothing with epochs 0", id="no learning"),
        pytest.param(
            ["--epochs", "0", "--head-epochs", "1", "--patience", "2"], "lr does nothing with epochs 0", id="head only"
        ),
        pytest.param(["--resize-px", "16"], "must not be below image_size", id="crop above resize"),
        pytest.param(["--resize", "none", "--resize-px", "40"], "does nothing", id="resize to nothing"),
        pytest.param(["--epoch", "3"], "Did you mean --epochs?", id="misspelt flag"),
    ],
)
def test_wrong_settings_exit_2_in_one_line(
    words: list[str], told: str, ready: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = main(["train", "-w", str(ready), "-q", *WORDS, *words])

    error = capsys.readouterr().err
    assert code == 2, error
    assert told in error
    assert error.count("\n") == 1
    assert query(ready, "SELECT count(*) FROM models") == [(0,)]


# ---- what it makes --------------------------------------------------------------------------------------------------


def test_it_learns_colours_and_leaves_a_model_with_all_that_is_known_of_it(ready: Path) -> None:
    before = dump(ready)

    summary = train(ready, epochs=8, name="tiny")

    card = card_of(ready, summary)
    assert summary.extra["metrics"]["val_micro_f1"] > 0.9
    assert (card.name, card.arch, card.class_names, card.activation) == ("tiny", "small-cnn", CLASSES, "sigmoid")
    assert card.preprocessing.crop_hw == (32, 32)
    assert card.settings["epochs"] == 8
    assert card.split["atoms_sha256"]
    (split_run,) = query(ready, "SELECT run_id FROM runs WHERE stage = 'split'")[0]
    assert card.split["run_id"] == split_run
    assert "in/0" not in card.to_json()  # no names of the user's files
    assert card.metrics["best_epoch"] == summary.extra["best_epoch"]
    assert card.metrics["val_micro_f1"] == summary.extra["metrics"]["val_micro_f1"]
    assert len(card.scores_id) == 16
    assert summary.extra["model_id"] == Path(summary.outputs["model"]).stem
    rows = query(ready, "SELECT model_id, run_id, name FROM models")
    assert rows == [(summary.extra["model_id"], summary.run_id, "tiny")]
    assert (
        summary.n_selected
        == summary.n_written
        == sum(n for (n,) in query(ready, "SELECT count(*) FROM splits WHERE part <> 'test'"))
    )
    untouched = set(before) - {"models", "runs"}
    assert {name: dump(ready)[name] for name in untouched} == {name: before[name] for name in untouched}


def test_history_log_and_events_lie_in_the_runs_folder(ready: Path) -> None:
    summary = train(ready)

    rows = history_of(ready, summary)
    assert [row["epoch"] for row in rows] == ["1", "2", "3"]
    best = rows[summary.extra["best_epoch"] - 1]
    assert float(best["val_micro_f1"]) == pytest.approx(summary.extra["metrics"]["val_micro_f1"], abs=1e-5)
    folder = ready / "runs" / summary.run_id
    assert len((folder / "train.log").read_text(encoding="utf-8").splitlines()) == 3
    assert list((folder / "tensorboard").glob("events*"))
    assert not (folder / "resume.safetensors").exists()


def test_the_same_again_does_nothing(ready: Path) -> None:
    first = train(ready)
    before = tables(ready)

    again = train(ready, workers=0, cache_gb=0)  # these only change speed

    assert again.run_id == first.run_id
    assert again.n_written == 0
    assert again.extra == first.extra
    assert tables(ready) == before


def test_of_two_models_with_a_name_the_later_has_it(ready: Path) -> None:
    from mekiki.catalog.db import Catalog
    from mekiki.catalog.models import find_model

    first, second = train(ready, name="a"), train(ready, name="a", seed=1)

    def named() -> str:
        with Catalog(ready) as catalog:
            return find_model(catalog, "a").model_id

    assert first.extra["model_id"] != second.extra["model_id"]
    assert named() == second.extra["model_id"]
    train(ready, name="a")
    assert named() == first.extra["model_id"]


def test_a_dry_run_makes_nothing(ready: Path) -> None:
    before = dump(ready)

    summary = run_stage("train", ready, TINY, dry_run=True)

    assert summary.extra["dry_run"] is True
    assert dump(ready) == before
    assert not (ready / "models").exists()


def test_classes_can_be_chosen_and_ordered(ready: Path) -> None:
    summary = train(ready, classes=["fox"], epochs=1)

    assert card_of(ready, summary).class_names == ("fox",)


def test_unknown_pictures_are_negatives_unless_known_only(ready: Path) -> None:
    whole, known = train(ready, epochs=1), train(ready, epochs=1, known_only=True)

    n_unknown = sum(not labels_of(number) for number in range(N_PICTURES))
    in_test = len(query(ready, "SELECT item_id FROM splits WHERE part = 'test'"))
    assert whole.n_selected == N_PICTURES - in_test
    assert N_PICTURES - in_test - n_unknown <= known.n_selected < whole.n_selected
    assert any("of them without any class" in note and " 0 of them" not in note for note in whole.notes)
    assert all(" 0 of them without" in note for note in known.notes if "of them without" in note)


def test_limits_take_some_and_the_seed_says_which(ready: Path) -> None:
    small = train(ready, max_train=12, max_val=5, epochs=1)

    assert small.n_selected == 17
    assert small.run_id != train(ready, max_train=12, max_val=5, epochs=1, seed=1).run_id


def test_every_setting_of_the_loop_reaches_it(ready: Path) -> None:
    plain = train(ready, epochs=2).extra["model_id"]
    changes: list[dict[str, Any]] = [
        *({"loss": name} for name in ("asymmetric", "focal")),
        *({"augment": name} for name in ("none", "strong")),
        {"sampling": "class-balanced"},
        {"schedule": "cosine", "warmup_epochs": 0.5},
        {"head_epochs": 1},
        {"layer_decay": 0.5},
        {"weight_decay": 0.5},
        {"clip_norm": 1e-3},
        {"ema": 0.9},
        {"max_positive_weight": 1.0},
        {"precision": "bf16"},
        {"batch_size": 16},
        {"normalise": "imagenet"},
        {"interpolation": "nearest"},
        {"resize_px": 40},
    ]

    found = [train(ready, **{"epochs": 2, **one}) for one in changes]

    weights = [one.extra["metrics"]["train_loss"] for one in found]
    assert len({plain, *(one.extra["model_id"] for one in found)}) == len(changes) + 1
    assert len(set(weights)) == len(changes)


def test_foreign_code_needs_leave_and_is_kept_for_the_record(ready: Path, tmp_path: Path) -> None:
    file = tmp_path / "net.py"
    file.write_text(USER_MODULE)

    with pytest.raises(UsageError, match="--allow-code"):
        train(ready, arch=f"python:{file}:Tiny", arch_options={})
    summary = train(ready, arch=f"python:{file}:Tiny", arch_options={}, allow_code=True, epochs=1)

    assert card_of(ready, summary).source_code == USER_MODULE


def test_foreign_code_is_trusted_where_it_was_trained_and_asked_for_elsewhere(
    ready: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    Path("net.py").write_text(USER_MODULE)
    made = train(ready, arch="python:net.py:Tiny", arch_options={}, allow_code=True, epochs=1, name="coded")
    picture = str(query(ready, "SELECT path FROM sources ORDER BY path LIMIT 1")[0][0])
    wanted = {"model": "coded", "device": "cpu"}
    one_shot = {**wanted, "paths": [str(ready / picture)], "output": str(tmp_path / "p.csv"), "overwrite": True}
    onnx = {"format": "onnx", "model": "coded"}

    said = json.loads((ready / made.outputs["training.json"]).read_text())
    assert said["code_place"] == hashlib.sha256(str((tmp_path / "here/net.py").resolve()).encode()).hexdigest()
    assert "code_place" not in made.extra
    for stage, settings in (("predict", one_shot), ("export", onnx), ("predict", wanted)):
        assert run_stage(stage, ready, settings).n_written > 0

    moved = shutil.copytree(ready, tmp_path / "there" / "ws")
    shutil.copy("net.py", tmp_path / "there")
    monkeypatch.chdir(tmp_path / "there")
    for stage, settings in (("predict", one_shot), ("export", onnx), ("predict", {**wanted, "runtime": "onnx"})):
        with pytest.raises(UsageError, match=r"python:net\.py:Tiny is a program that would be run.*--allow-code"):
            run_stage(stage, moved, {**settings, **({"output": "onnx"} if stage == "export" else {})})
    assert run_stage("predict", moved, {**one_shot, "allow_code": True}).n_written == 1


def test_training_goes_on_from_a_model_of_ours(ready: Path) -> None:
    first = train(ready, epochs=6)
    weights = ready / first.outputs["model"]

    second = train(ready, epochs=1, lr=1e-6, weights=str(weights), name="more")

    assert second.extra["metrics"]["val_micro_f1"] >= first.extra["metrics"]["val_micro_f1"] - 0.1
    other = train(ready, epochs=1, lr=1e-6, name="more")
    assert other.run_id != second.run_id  # what is in the file is in the fingerprint, and not where it lies


def test_a_model_knows_what_its_weights_were_trained_on(ready: Path, tmp_path: Path) -> None:
    first = train(ready, epochs=1)
    run("split", ready, name="other", seed=7)
    weights = ready / first.outputs["model"]
    torch.save(read_tensors(weights), tmp_path / "foreign.pt")

    child = train(ready, epochs=1, weights=str(weights), name="child")
    grandchild = train(ready, epochs=1, weights=str(ready / child.outputs["model"]), name="grandchild")
    stranger = train(ready, epochs=1, weights=str(tmp_path / "foreign.pt"), name="stranger")
    taken = run("train", ready, epochs=0, weights=str(ready / child.outputs["model"]), name="taken", device="cpu")

    here, before = (str(card_of(ready, one).split["run_id"]) for one in (child, first))
    own, its = Source(here, "train"), Source(before, "train")
    assert here != before
    assert card_of(ready, child).parents == (first.extra["model_id"],)
    assert query(ready, "SELECT parents FROM models WHERE name = 'child'") == [(json.dumps([first.extra["model_id"]]),)]
    assert trained_on(card_of(ready, first)) == (its,)
    assert trained_on(card_of(ready, child)) == (own, its)
    assert trained_on(card_of(ready, grandchild)) == (own, its)
    assert trained_on(card_of(ready, taken)) == (own, its)
    assert trained_on(card_of(ready, stranger)) == (own, Source(None, ""))
    assert card_of(ready, stranger).parents == ()


# ---- weights as they are --------------------------------------------------------------------------------------------


def test_foreign_weights_are_taken_as_they_are(ready: Path, tmp_path: Path) -> None:
    trained = train(ready, epochs=6)
    tensors = read_tensors(ready / trained.outputs["model"])
    torch.save(tensors, tmp_path / "foreign.pt")
    said = {**AS_IT_IS, "weights": str(tmp_path / "foreign.pt"), "classes": CLASSES, "name": "taken"}

    summary = run("train", ready, **{**said, "activation": "sigmoid"})
    soft = run("train", ready, **{**said, "activation": "softmax", "name": "soft"})

    assert summary.extra["best_epoch"] == 0
    for name in ("val_micro_f1", "val_macro_f1", "val_macro_ap"):
        assert summary.extra["metrics"][name] == pytest.approx(trained.extra["metrics"][name])
    taken = read_tensors(ready / summary.outputs["model"])
    assert all(torch.equal(taken[name], tensors[name]) for name in tensors)
    assert card_of(ready, summary).scores_id == card_of(ready, trained).scores_id
    assert card_of(ready, soft).activation == "softmax"
    assert soft.extra["metrics"] != summary.extra["metrics"]
    assert "history.csv" not in summary.outputs


def test_without_epochs_there_must_be_weights(ready: Path) -> None:
    with pytest.raises(UsageError, match="add --weights FILE"):
        run("train", ready, **AS_IT_IS)


def test_foreign_weights_do_not_guess_the_order_of_classes(ready: Path, tmp_path: Path) -> None:
    trained = train(ready, epochs=1)
    torch.save(read_tensors(ready / trained.outputs["model"]), tmp_path / "foreign.pt")
    said = {**AS_IT_IS, "weights": str(tmp_path / "foreign.pt")}

    with pytest.raises(UsageError, match="--classes"):
        run("train", ready, **said)
    with pytest.raises(UsageError, match="--activation"):
        run("train", ready, **said, classes=CLASSES)


def test_weights_that_are_none_are_a_missing_backend(ready: Path, tmp_path: Path) -> None:
    (tmp_path / "bad.pt").write_bytes(b"no weights")

    said = {**AS_IT_IS, "weights": str(tmp_path / "bad.pt"), "classes": CLASSES}
    with pytest.raises(BackendError, match=r"bad\.pt"):
        run("train", ready, **said, activation="sigmoid")


# ---- data that breaks a rule ----------------------------------------------------------------------------------------


def test_without_a_split_it_says_what_to_do(made: Path, workspace: Path) -> None:
    ingest(workspace, made / "in", labels=[made / "in/labels.csv"])

    with pytest.raises(DataError, match=rf"no split.*mekiki split -w {workspace}"):
        train(workspace)


def test_without_labels_it_says_what_to_do(made: Path, workspace: Path) -> None:
    ingest(workspace, *sorted((made / "in").glob("*.jpg")))
    run("dedupe", workspace)
    run("split", workspace)

    with pytest.raises(DataError, match=r"mekiki annotate|--labels"):
        train(workspace)


def test_a_class_without_a_picture_to_learn_from_is_told(ready: Path, made: Path, tmp_path: Path) -> None:
    rows = [(f"{number:03d}.jpg", ";".join(labels_of(number))) for number in range(N_PICTURES)]
    rows += [("000.jpg", "lynx")]
    ingest(ready, made / "in", labels=[write_csv(made / "in/more.csv", ("filepath", "labels"), rows)])
    (made / "in/more.csv").unlink()
    in_test = {path for (path,) in query(ready, "SELECT path FROM sources")}
    assert in_test
    run("split", ready, shares={"train": 0.6, "val": 0.25, "test": 0.15}, allow_missing=["lynx"])

    summary = train(ready, epochs=1)

    assert any("lynx" in note and ("cannot be learned" in note or "count as 0" in note) for note in summary.notes)


def test_pictures_that_cannot_be_read_are_failures_and_the_others_train(movable: Path) -> None:
    pictures = sorted((movable.parent / "in").glob("*.jpg"))
    (train_path,) = query(
        movable,
        "SELECT s.path FROM sources s JOIN splits p ON p.item_id = s.item_id WHERE p.part = 'train' ORDER BY 1 LIMIT 1",
    )[0]
    broken = movable / train_path if not Path(train_path).is_absolute() else Path(train_path)
    assert broken in pictures
    whole = broken.read_bytes()
    broken.unlink()

    first = train(movable)

    assert counts(first)[3] == 1
    assert "gone since ingest" in reasons(first)[broken.name]
    assert len(query(movable, "SELECT path FROM failures WHERE run_id = ?", first.run_id)) == 1
    assert main(["train", "-w", str(movable), "-q", *WORDS, "--epochs", "3"]) == 3

    # The same pictures fail again: nothing is trained anew, and the failure is told again.
    log = movable / "runs" / first.run_id / "train.log"
    written = log.read_text(encoding="utf-8")
    again = train(movable)
    assert again.extra == first.extra
    assert counts(again)[3] == 1
    assert log.read_text(encoding="utf-8") == written

    broken.write_bytes(whole)
    mended = train(movable)
    assert counts(mended)[3] == 0
    assert mended.run_id == first.run_id
    assert mended.extra["model_id"] != first.extra["model_id"]
    assert query(movable, "SELECT * FROM failures WHERE run_id = ?", first.run_id) == []


def test_too_many_unreadable_pictures_stop_it(movable: Path) -> None:
    for path in sorted((movable.parent / "in").glob("*.jpg"))[:50]:
        path.unlink()

    with pytest.raises(DataError, match=r"train stopped: \d+ of \d+ pictures cannot be read.*--max-failed-share"):
        train(movable)


# ---- killed, interrupted, damaged -----------------------------------------------------------------------------------


def wait_for(path: Path, n_rows: int) -> None:
    """Wait until a history has so many epochs."""
    for _ in range(6000):
        if path.exists() and len(path.read_text(encoding="utf-8").splitlines()) > n_rows:
            return
        time.sleep(0.01)
    pytest.fail(f"{path} did not get {n_rows} rows")


@pytest.mark.slow
def test_killed_at_several_epochs_it_ends_with_the_same_bytes(ready: Path, made: Path, tmp_path: Path) -> None:
    shutil.copytree(made / "ws", tmp_path / "other")
    words = (*WORDS, "--epochs", "4", "--head-epochs", "2", "--schedule", "cosine", "--ema", "0.9")
    home = tmp_path / "home"
    home.mkdir()
    code, out, err = mekiki("train", "-w", tmp_path / "other", "--json", *words, env={**ONE_THREAD, "HOME": str(home)})
    assert code == 0, err
    assert list(home.rglob("*")) == []  # neither we nor what we use writes there
    undisturbed = json.loads(out)
    history = ready / "runs" / undisturbed["run_id"] / "history.csv"

    for n_epochs in (1, 3, 5):
        process = start_mekiki("train", "-w", ready, *words, env=ONE_THREAD)
        wait_for(history, n_epochs)
        os.kill(process.pid, signal.SIGKILL)
        process.communicate()
        assert query(ready, "SELECT count(*) FROM models") == [(0,)]
    code, out, err = mekiki("train", "-w", ready, "--json", "--workers", "0", *words, env=ONE_THREAD)

    assert code == 0, err
    assert "training goes on after epoch" in err
    finished = json.loads(out)
    assert finished["model_id"] == undisturbed["model_id"]
    ours, theirs = (folder / finished["outputs"]["model"] for folder in (ready, tmp_path / "other"))
    assert ours.read_bytes() == theirs.read_bytes()
    columns = [name for name in history_of(ready, run_of(finished))[0] if name != "seconds"]
    for row, other in zip(
        history_of(ready, run_of(finished)), history_of(tmp_path / "other", run_of(finished)), strict=True
    ):
        assert [row[name] for name in columns] == [other[name] for name in columns]


def run_of(printed: dict[str, Any]) -> Any:
    """Return a summary that was printed, as far as `history_of` looks at it."""
    from mekiki.records import RunSummary

    return RunSummary("train", printed["run_id"], outputs=printed["outputs"])


@pytest.mark.slow
def test_ctrl_c_stops_after_the_batch_and_the_same_command_goes_on(ready: Path, made: Path, tmp_path: Path) -> None:
    shutil.copytree(made / "ws", tmp_path / "other")
    whole = train(tmp_path / "other", epochs=6)
    history = ready / "runs" / whole.run_id / "history.csv"

    process = start_mekiki("train", "-w", ready, *WORDS, "--epochs", "6", env=ONE_THREAD)
    wait_for(history, 1)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)

    assert process.returncode == 130, err
    assert "The same command goes on" in err
    assert "Traceback" not in err
    assert query(ready, "SELECT count(*) FROM models") == [(0,)]
    assert train(ready, epochs=6).extra == whole.extra


class StopsAt:
    """Progress that presses Ctrl-C when a number of pictures is done."""

    def __init__(self, n_pictures: int) -> None:
        self.left = n_pictures
        self.lines: list[str] = []

    def begin(self, stage: str, n_items: int | None, device: str) -> None:
        self.is_training = stage == "train" and n_items is not None

    def advance(self, n_items: int, n_failed: int) -> None:
        if self.is_training:
            self.left -= n_items
            if -n_items < self.left <= 0:
                signal.raise_signal(signal.SIGINT)

    def say(self, line: str) -> None:
        self.lines.append(line)

    def end(self) -> None:
        pass


def test_stopped_in_any_epoch_it_ends_with_the_same_model(ready: Path, made: Path, tmp_path: Path) -> None:
    shutil.copytree(made / "ws", tmp_path / "other")
    whole = train(tmp_path / "other", epochs=4, ema=0.9)

    for n_pictures in (5, 60, 60):
        with pytest.raises(InterruptedRunError, match="same command goes on"):
            run_stage("train", ready, {**TINY, "epochs": 4, "ema": 0.9}, progress=StopsAt(n_pictures))

    assert train(ready, epochs=4, ema=0.9).extra == whole.extra


def test_a_damaged_state_is_told_and_begun_anew(ready: Path) -> None:
    with pytest.raises(InterruptedRunError):
        run_stage("train", ready, TINY, progress=StopsAt(60))
    (resume,) = ready.glob("runs/*/resume.safetensors")
    content = bytearray(resume.read_bytes())
    content[len(content) // 2] ^= 255
    resume.write_bytes(bytes(content))
    told = StopsAt(10**9)

    damaged = run_stage("train", ready, TINY, progress=told)

    assert "training starts anew: resume.safetensors is damaged" in told.lines
    assert [row["epoch"] for row in history_of(ready, damaged)] == ["1", "2", "3"]


def test_progress_is_told_line_by_line_and_names_the_device(ready: Path) -> None:
    told = StopsAt(10**9)

    run_stage("train", ready, {**TINY, "epochs": 2}, progress=told)

    assert [line.split(":")[0] for line in told.lines] == ["epoch 1", "epoch 2"]
    assert query(ready, "SELECT device FROM runs WHERE stage = 'train'") == [("cpu",)]


# ---- several processes ----------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_two_processes_train_what_one_does(ready: Path, tmp_path: Path) -> None:
    """A network without batch normalisation, which would normalise each process's share by itself."""
    file = tmp_path / "net.py"
    file.write_text(USER_MODULE)
    tiny = {"arch": f"python:{file}:Tiny", "arch_options": {}, "allow_code": True, "epochs": 2, "batch_size": 16}
    told = StopsAt(10**9)

    one = train(ready, **tiny)
    two = run_stage("train", ready, {**TINY, **tiny, "processes": 2}, progress=told)

    ours, theirs = (read_tensors(ready / summary.outputs["model"]) for summary in (one, two))
    for name in ours:
        torch.testing.assert_close(ours[name], theirs[name], atol=1e-4, rtol=1e-3)
    for name in ("train_loss", "val_loss", "train_micro_f1", "val_micro_f1", "val_macro_ap"):
        assert two.extra["metrics"][name] == pytest.approx(one.extra["metrics"][name], abs=1e-3)
    n_train = len(query(ready, "SELECT item_id FROM splits WHERE part = 'train'"))
    assert 10**9 - told.left == 2 * n_train
    assert [line.split(":")[0] for line in told.lines] == ["epoch 1", "epoch 2"]


@pytest.mark.slow
def test_two_processes_share_one_picture_of_validation(ready: Path) -> None:
    one = train(ready, epochs=1, max_val=1, lr=1e-6)
    two = train(ready, epochs=1, max_val=1, lr=1e-6, processes=2)

    assert two.extra["metrics"]["val_loss"] == pytest.approx(one.extra["metrics"]["val_loss"], rel=0.05)


def test_processes_without_a_picture_each_are_refused(ready: Path) -> None:
    with pytest.raises(DataError, match=r"part 'train' has 3 pictures, and training needs 4 .*fewer --processes"):
        train(ready, epochs=1, max_train=3, processes=2)


@pytest.mark.slow
def test_two_processes_stop_at_one_batch_and_go_on(ready: Path) -> None:
    settings = {**TINY, "processes": 2, "epochs": 4}
    told = StopsAt(60)

    with pytest.raises(InterruptedRunError, match="same command goes on"):
        run_stage("train", ready, settings, progress=told)
    n_before = len(told.lines)
    summary = run_stage("train", ready, settings, progress=told)

    assert n_before in (1, 2)
    assert f"training goes on after epoch {n_before}" in told.lines
    assert [row["epoch"] for row in history_of(ready, summary)] == ["1", "2", "3", "4"]


@pytest.mark.slow
def test_killed_the_processes_that_it_started_end_too(ready: Path) -> None:
    psutil = pytest.importorskip("psutil")
    words = ("train", "-w", ready, "-q", *WORDS, "--epochs", "300", "--processes", "2")
    process = start_mekiki(*words, env=ONE_THREAD)
    while not (found := list(ready.glob("runs/*/history.csv"))):
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.05)
    wait_for(found[0], 1)
    started = psutil.Process(process.pid).children(recursive=True)

    os.kill(process.pid, signal.SIGKILL)
    process.communicate()

    assert len(started) >= 2
    _, alive = psutil.wait_procs(started, timeout=30)
    assert alive == []


@pytest.mark.slow
def test_what_is_wrong_in_a_process_is_told_as_it_is(ready: Path, tmp_path: Path) -> None:
    file = tmp_path / "net.py"
    file.write_text(USER_MODULE.replace("num_classes)", "5)"))

    with pytest.raises(UsageError, match=r"gives \(2, 5\)"):
        train(ready, arch=f"python:{file}:Tiny", arch_options={}, allow_code=True, processes=2)


def test_a_launcher_is_refused(ready: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")

    with pytest.raises(UsageError, match="without a launcher, and with --processes N"):
        train(ready)


# ---- real pictures --------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_real_photos_train(shared_data: Path, workspace: Path) -> None:
    folder = shared_data / "wildlife" / "monkeys10"
    rows = [
        (path.relative_to(folder).as_posix(), path.parent.name)
        for species in ("n0_alouatta_palliata", "n1_erythrocebus_patas", "n2_cacajao_calvus")
        for path in sorted((folder / species).glob("*.jpg"))[:25]
    ]
    labels = write_csv(workspace.parent / "labels.csv", ("filepath", "label"), rows)
    ingest(workspace, *[folder / path for path, _ in rows], labels=[labels], root=folder)
    run("dedupe", workspace)
    run("split", workspace)

    summary = train(workspace, image_size=48, epochs=4, arch_options={"width": 8})

    assert summary.n_failed == 0
    assert len(card_of(workspace, summary).class_names) == 3
    losses = [float(row["train_loss"]) for row in history_of(workspace, summary)]
    assert losses[-1] < losses[0]


def test_a_dry_run_keeps_what_an_interrupted_training_goes_on_from(ready: Path) -> None:
    first = train(ready, name="m", epochs=1)
    second = train(ready, name="m", epochs=2)
    kept = ready / "runs" / first.run_id / RESUME_NAME
    kept.write_bytes(b"of an interrupted training")
    before = dump(ready)

    run_stage("train", ready, {**TINY, "name": "m", "epochs": 1}, dry_run=True)

    assert kept.exists()
    assert dump(ready) == before
    with Catalog(ready) as catalog:
        assert find_model(catalog, "m").model_id == second.extra["model_id"]
