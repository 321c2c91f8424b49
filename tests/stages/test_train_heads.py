"""Stage ``train --head``: planted classes in stored vectors are found; what is kept, told, resumed and refused."""

from __future__ import annotations

import csv
import json
import os
import shutil
import signal
import sqlite3
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from mekiki.catalog.db import Catalog
from mekiki.catalog.items import write_classes
from mekiki.catalog.scored import Examples
from mekiki.cli.main import main
from mekiki.engine.head_inputs import describe_search
from mekiki.errors import DataError, MekikiError, UsageError
from mekiki.records import Item
from mekiki.settings import result_values
from mekiki.stages.train import TrainSettings
from mekiki.training.card import ModelCard, read_card
from vectors import space_of, store_vectors
from workspaces import counts, dump, query, reasons, run, start_mekiki, tables

torch = pytest.importorskip("torch")
pytest.importorskip("tensorboard")
from mekiki.training.checkpoint import load_network, read_tensors  # noqa: E402
from mekiki.training.head_fit import rank_figures, scores_of  # noqa: E402
from planted import CLASSES, Planted, plant, relabel  # noqa: E402

D, N_ITEMS = 64, 360
SHARES = {"train": 0.6, "val": 0.2, "test": 0.2}
QUICK: dict[str, Any] = {"head": "mlp", "units": 64, "epochs": 15, "lr": 0.005, "device": "cpu"}


def truth_of(kind: str) -> NDArray[np.int8]:
    """Return ``(N, 3)``, twice each row: items of one atom show the same."""
    chance = np.random.default_rng(3)
    if kind == "one":
        return np.repeat(np.eye(3, dtype=np.int8)[chance.integers(0, 3, N_ITEMS // 2)], 2, axis=0)
    return np.repeat((chance.random((N_ITEMS // 2, 3)) < 0.4).astype(np.int8), 2, axis=0)


def vectors_of(planted: Planted) -> NDArray[np.float32]:
    """Return one direction per class in noise."""
    chance = np.random.default_rng(4)
    directions = chance.normal(0, 1.3, (3, D))
    return (chance.normal(size=(len(planted.truth), D)) + planted.truth @ directions).astype(np.float32)


def fill(folder: Path, kind: str = "several", lacking: int = 0) -> Planted:
    planted = plant(folder, truth_of(kind), SHARES)
    vectors = dict(list(zip(planted.item_ids, vectors_of(planted), strict=True))[lacking:])
    store_vectors(folder, vectors, space_of(D))
    return planted


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Planted:
    return fill(tmp_path_factory.mktemp("filled") / "ws")


@pytest.fixture
def ready(filled: Planted, workspace: Path) -> Planted:
    shutil.copytree(filled.workspace, workspace)
    return Planted(workspace, filled.item_ids, filled.truth, filled.parts, filled.atoms)


def train(planted: Planted, **settings: Any) -> Any:
    return run("train", planted.workspace, **{**QUICK, **settings})


def model_of(planted: Planted, summary: Any) -> tuple[ModelCard, Any]:
    path = planted.workspace / summary.outputs["model"]
    card = read_card(path)
    return card, load_network(card, read_tensors(path), allow_code=False)


def scores(planted: Planted, summary: Any) -> NDArray[np.float32]:
    card, network = model_of(planted, summary)
    with torch.no_grad():
        return scores_of(network(torch.from_numpy(vectors_of(planted))), card.activation)


def on_test(planted: Planted, summary: Any, truth: NDArray[np.int8] | None = None) -> float:
    rows = planted.rows("test")
    return rank_figures(scores(planted, summary)[rows], (planted.truth if truth is None else truth)[rows])["pr_auc"]


# ---- what is learned ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("head", ["mlp", "linear"])
def test_planted_classes_are_found_in_the_test_part(ready: Planted, head: str) -> None:
    settings = {"head": "linear", "lr": 0.03, "epochs": 30, "device": "cpu"} if head == "linear" else QUICK

    summary = run("train", ready.workspace, **settings)

    assert on_test(ready, summary) > 0.99
    assert counts(summary) == (288, 288, 0, 0)  # of training and validation; the test part is not touched


def test_predict_stores_the_scores_of_the_head(ready: Planted) -> None:
    summary = train(ready, projection="orthogonal:32", name="mine")

    run("predict", ready.workspace, model="mine", device="cpu")

    found = dict(query(ready.workspace, "SELECT item_id, score FROM predictions WHERE class_name = 'fox'"))
    wanted = dict(zip(ready.item_ids, scores(ready, summary)[:, 0], strict=True))
    assert found == pytest.approx(wanted, abs=1e-5)
    assert len(found) == N_ITEMS


def test_one_class_each_by_softmax(workspace: Path) -> None:
    planted = fill(workspace, "one")

    summary = train(planted, activation="softmax")

    assert on_test(planted, summary) > 0.99
    np.testing.assert_allclose(scores(planted, summary).sum(axis=1), 1, atol=1e-5)


def test_the_positive_class_alone_has_a_score(workspace: Path) -> None:
    planted = fill_two(workspace, "safe", "unsafe")

    card, _ = model_of(planted, train(planted, positive="unsafe"))

    assert card.class_names == ("unsafe",)
    assert card.settings["negative"] == "safe"


TWO_CLASSES = np.eye(2, dtype=np.int8)[np.repeat(np.random.default_rng(0).integers(0, 2, N_ITEMS // 2), 2)]


def fill_two(folder: Path, *classes: str) -> Planted:
    planted = plant(folder, TWO_CLASSES, SHARES, classes)
    chance = np.random.default_rng(1)
    vectors = (chance.normal(size=(N_ITEMS, D)) + TWO_CLASSES[:, 1:] * chance.normal(size=D)).astype(np.float32)
    store_vectors(folder, dict(zip(planted.item_ids, vectors, strict=True)))
    return planted


@pytest.mark.parametrize(
    ("classes", "settings", "scored"),
    [
        pytest.param(("safe", "unsafe"), {}, ("unsafe",), id="seed 5's"),
        pytest.param(("Art", "NSFW"), {}, ("NSFW",), id="in capitals"),
        pytest.param(("fox", "hare"), {}, ("fox", "hare"), id="neither"),
        pytest.param(("nsfw", "unsafe"), {}, ("nsfw", "unsafe"), id="both"),
        pytest.param(("safe", "unsafe"), {"activation": "softmax"}, ("safe", "unsafe"), id="softmax"),
        pytest.param(("safe", "unsafe"), {"classes": ["unsafe", "safe"]}, ("unsafe", "safe"), id="classes"),
        pytest.param(("auto", "bike"), {"classes": ["auto"]}, ("auto",), id="one called auto"),
    ],
)
def test_positive_auto_is_unsafe_where_it_is_one_of_two(
    workspace: Path, classes: tuple[str, ...], settings: Mapping[str, Any], scored: tuple[str, ...]
) -> None:
    planted = fill_two(workspace, *classes)

    summary = train(planted, positive="auto", epochs=1, **settings)

    card, _ = model_of(planted, summary)
    assert card.class_names == scored
    plain = {"positive": scored[0]} if len(scored) == 1 and not settings else settings
    assert train(planted, epochs=1, **plain).run_id == summary.run_id  # what was meant counts, not how it was said


def test_positive_auto_beside_a_class_of_that_name_is_refused(workspace: Path) -> None:
    planted = fill_two(workspace, "auto", "bike")

    with pytest.raises(UsageError, match=r"a class is called 'auto' too: --classes auto gives its score alone"):
        train(planted, positive="auto")


def test_a_third_class_leaves_no_card_that_says_there_are_two(workspace: Path) -> None:
    planted = fill_two(workspace, "safe", "unsafe")
    first = train(planted, positive="unsafe", epochs=1)

    with Catalog(workspace) as catalog, catalog.transaction("ingest", "ingest0") as transaction:
        write_classes(transaction, ["safe", "unsafe", "unclear"])
    later = train(planted, positive="unsafe", epochs=1)

    assert model_of(planted, first)[0].settings["negative"] == "safe"
    assert "negative" not in model_of(planted, later)[0].settings


def test_what_a_card_says(ready: Planted) -> None:
    summary = train(ready, projection="pca:16", hidden="gelu", layers=2, name="mine")

    card, _ = model_of(ready, summary)
    assert (card.name, card.arch, card.class_names, card.activation) == ("mine", "head:mlp", CLASSES, "sigmoid")
    assert card.arch_options["layers"] == [64, 64]
    assert card.arch_options["hidden"] == "gelu"
    assert card.vectors is not None
    assert card.vectors.model_copy(update={"projection": None}) == space_of(D)
    assert (card.vectors.projection.kind, card.vectors.projection.n_dims) == ("pca", 16)
    assert card.split["run_id"] == ready.split_run_id
    assert card.settings["units"] == 64
    assert not {"augment", "image_size", "best_by", "loss"} & card.settings.keys()
    assert (card.settings["vectors"], card.settings["vectors_precision"]) == (summary.extra["vectors"], "fp32")
    said = {"activation": "sigmoid", "vectors": summary.extra["vectors"], "patience": 5, "last_patience": 10}
    assert {name: card.settings[name] for name in said} == said
    assert card.metrics["best_by"] == "val_pr_auc"
    assert all(name.startswith(("train_", "val_", "best_")) for name in card.metrics)
    assert card.metrics["val_pr_auc"] == summary.extra["metrics"]["val_pr_auc"]


def test_what_a_run_leaves(ready: Planted) -> None:
    before = dump(ready.workspace)

    summary = train(ready)

    with (ready.workspace / summary.outputs["history.csv"]).open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 15
    assert {"train_loss", "val_loss", "val_micro_f1", "val_macro_ap", "val_pr_auc", "val_roc_auc"} <= rows[0].keys()
    assert "PR-AUC" in (ready.workspace / summary.outputs["train.log"]).read_text()
    assert list((ready.workspace / summary.outputs["tensorboard"]).glob("events*"))
    after = dump(ready.workspace)
    assert {name for name in after if after[name] != before[name]} == {"models", "runs"}


# ---- one run --------------------------------------------------------------------------------------------------------


def test_the_same_again_does_nothing_and_other_facts_are_another_run(ready: Planted) -> None:
    first = train(ready)
    tables_before = tables(ready.workspace)

    assert counts(train(ready)) == (288, 0, 288, 0)
    assert tables(ready.workspace) == tables_before
    assert train(ready, seed=1).run_id != first.run_id
    changed = ready.truth.copy()
    changed[0] = 1 - changed[0]
    relabel(ready, changed)
    relabelled = train(ready)
    assert relabelled.run_id != first.run_id
    others = zip(ready.item_ids, vectors_of(ready) + 0.01, strict=True)
    store_vectors(ready.workspace, dict(others), space_of(D, "other", "ff" * 8))
    assert train(ready).run_id not in (first.run_id, relabelled.run_id)
    assert train(ready, vectors="toy").extra["vectors"] == relabelled.extra["vectors"]


@pytest.mark.parametrize("name", ["vectors by name", "vectors by run", "activation"])
def test_a_default_that_is_said_is_the_same_run(ready: Planted, name: str) -> None:
    plain = train(ready)
    said = {
        "vectors by name": {"vectors": "toy"},
        "vectors by run": {"vectors": plain.extra["vectors"]},
        "activation": {"activation": "sigmoid"},
    }[name]

    again = train(ready, **said)

    assert (again.run_id, again.extra["model_id"], counts(again)) == (
        plain.run_id,
        plain.extra["model_id"],
        (288, 0, 288, 0),
    )


def test_the_last_fit_waits_as_long_as_its_card_says(ready: Planted) -> None:
    summary = train(ready, patience=1, epochs=40, lr=0.1)

    card, _ = model_of(ready, summary)
    n_epochs = len((ready.workspace / summary.outputs["history.csv"]).read_text().splitlines()) - 1
    assert n_epochs - summary.extra["best_epoch"] == card.settings["last_patience"] == 2


def test_the_same_seed_gives_the_same_file(ready: Planted, tmp_path: Path) -> None:
    shutil.copytree(ready.workspace, tmp_path / "copy")
    copy = Planted(tmp_path / "copy", ready.item_ids, ready.truth, ready.parts, ready.atoms)

    assert train(ready, dropout=0.2).extra["model_id"] == train(copy, dropout=0.2).extra["model_id"]


def test_defaults_are_seed_5s_and_stand_in_the_fingerprint() -> None:
    bare = TrainSettings(head="mlp")

    assert (bare.epochs, bare.batch_size, bare.lr, bare.patience) == (40, 64, 1e-3, 5)
    assert (bare.units, bare.layers, bare.hidden, bare.dropout, bare.init) == (256, 1, "tanh", 0.0, "he")
    assert not bare.class_weight
    said = TrainSettings(head="mlp", epochs=40, batch_size=64, lr=1e-3, patience=5)
    assert result_values(bare) == result_values(said)
    assert TrainSettings().epochs == 12


def test_a_dry_run_changes_nothing(ready: Planted, capsys: pytest.CaptureFixture[str]) -> None:
    before = dump(ready.workspace)

    code = main(["train", "-w", str(ready.workspace), "--head", "mlp", "--dry-run", "--json"])

    assert code == 0
    assert json.loads(capsys.readouterr().out)["dry_run"]
    assert dump(ready.workspace) == before


# ---- projections ----------------------------------------------------------------------------------------------------


def test_a_projection_from_a_file_gives_the_scores_of_the_one_that_was_made(ready: Planted, tmp_path: Path) -> None:
    made = train(ready, projection="orthogonal:16")
    tensors = read_tensors(ready.workspace / made.outputs["model"])
    np.save(tmp_path / "p.npy", tensors["projection.weight"].numpy())
    torch.save({"weight": tensors["projection.weight"]}, tmp_path / "clip_projection.pt")

    read = [train(ready, projection=str(tmp_path / name)) for name in ("p.npy", "clip_projection.pt")]

    assert read[0].run_id == read[1].run_id  # what is in a file counts, and not where it is
    assert np.array_equal(scores(ready, made), scores(ready, read[0]))
    cards = [model_of(ready, one)[0].vectors for one in (made, read[0])]
    assert cards[0].projection.fingerprint == cards[1].projection.fingerprint
    assert (cards[0].projection.kind, cards[1].projection.kind) == ("orthogonal", "file")


def test_pca_is_found_on_the_training_part_only(workspace: Path, tmp_path: Path) -> None:
    planted = plant(workspace, truth_of("several"), SHARES)
    vectors = vectors_of(planted)
    found = []
    for number, part in enumerate((None, "val", "test", "train")):
        own = vectors.copy()
        own[planted.rows(part) if part else []] *= np.linspace(0.1, 9, D, dtype=np.float32)
        space = space_of(D, f"toy{number}", f"{number:016x}")
        store_vectors(workspace, dict(zip(planted.item_ids, own, strict=True)), space)
        summary = train(planted, projection="pca:8", vectors=f"toy{number}", epochs=1)
        found.append(model_of(planted, summary)[0].vectors.projection.fingerprint)

    assert found[0] == found[1] == found[2] != found[3]


def test_pca_is_found_whatever_the_lengths_of_vectors(ready: Planted) -> None:
    found = []
    for name, length in (("usual", 1.0), ("long", 2.0**80)):  # squares of the second have no place in float32
        vectors = dict(zip(ready.item_ids, vectors_of(ready) * np.float32(length), strict=True))
        store_vectors(ready.workspace, vectors, space_of(D, name))
        found.append(model_of(ready, train(ready, projection="pca:8", vectors=name, epochs=1))[1].projection.weight)

    torch.testing.assert_close(found[0], found[1], atol=1e-3, rtol=0)


def test_a_projection_of_other_vectors_is_refused(ready: Planted, tmp_path: Path) -> None:
    np.save(tmp_path / "p.npy", np.eye(4, 32, dtype=np.float32))

    with pytest.raises(UsageError, match=r"for vectors of 32 dimensions, and those of toy \(00112233, 64 dimensions\)"):
        train(ready, projection=str(tmp_path / "p.npy"))


# ---- what is missing ------------------------------------------------------------------------------------------------


def test_items_without_a_vector_are_named(workspace: Path) -> None:
    planted = fill(workspace, lacking=3)

    summary = train(planted)

    assert counts(summary) == (288, 285, 0, 3)
    assert set(reasons(summary)) == {"0000.jpg", "0001.jpg", "0002.jpg"}
    assert "it has no vector of toy: mekiki embed" in reasons(summary)["0000.jpg"]
    again = train(planted)
    assert again.extra["model_id"] == summary.extra["model_id"]
    assert counts(again) == (288, 285, 0, 3)


def test_too_many_without_a_vector_stop_it(workspace: Path) -> None:
    planted = fill(workspace, lacking=160)

    with pytest.raises(DataError, match=r"160 of 288 labelled items have no vector.* --max-failed-share 0\.7"):
        train(planted)

    assert counts(train(planted, max_failed_share=0.7)) == (288, 128, 0, 160)


def test_a_workspace_without_vectors_says_what_to_type(workspace: Path) -> None:
    planted = plant(workspace, truth_of("several"), SHARES)

    with pytest.raises(DataError, match=r"there are no vectors.*mekiki embed"):
        train(planted)


def test_validation_that_ranks_nothing_is_refused(workspace: Path) -> None:
    truth = truth_of("several")
    planted = plant(workspace, truth, SHARES)
    truth[planted.rows("val")] = 1
    relabel(planted, truth)
    store_vectors(workspace, dict(zip(planted.item_ids, vectors_of(planted), strict=True)))

    with pytest.raises(DataError, match="no class is present in one item with a vector and absent in another"):
        train(planted)


def test_softmax_needs_one_class_each(ready: Planted) -> None:
    with pytest.raises(UsageError, match=r"needs one class for each item, and .* have none and .* several"):
        train(ready, activation="softmax")
    with pytest.raises(UsageError, match="needs two classes or more"):
        train(ready, activation="softmax", positive="fox")


def test_softmax_leaves_out_what_nobody_is_sure_of(workspace: Path) -> None:
    truth = truth_of("one")
    truth[:4] = np.where(truth[:4] == 1, -1, 0)
    planted = plant(workspace, truth, SHARES)
    store_vectors(workspace, dict(zip(planted.item_ids, vectors_of(planted), strict=True)))

    assert counts(train(planted, activation="softmax")) == (284, 284, 0, 0)


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        pytest.param({"augment": "none"}, "augment does nothing with head", id="augment"),
        pytest.param({"image_size": 64}, "image_size does nothing with head", id="pixels"),
        pytest.param({"arch": "resnet18"}, "arch does nothing with head", id="backbone"),
        pytest.param({"best_by": "val_loss"}, "best_by does nothing with head", id="best by"),
        pytest.param({"processes": 2}, "processes does nothing with head", id="processes"),
        pytest.param({"epochs": 0}, "epochs must be 1 or more with head", id="epochs"),
        pytest.param({"head": "linear", "units": 4}, "units does nothing with head linear", id="linear"),
        pytest.param({"search": 3, "lr": 0.1}, "lr does nothing with search", id="search"),
        pytest.param(
            {"projection": "pca"}, "train: projection: pca wants its number of dimensions", id="size of projection"
        ),
        pytest.param({"projection": "pca:0"}, "such as pca:256, got 'pca:0'", id="no size of projection"),
        pytest.param({"projection": "pca:65"}, "give 64 or less", id="too large a projection"),
        pytest.param({"projection": "nowhere.npy"}, "nowhere.npy", id="no such projection"),
        pytest.param({"vectors": "clip"}, "no embedder with vectors is called 'clip'", id="vectors"),
        pytest.param({"positive": "wolf"}, "no class is called 'wolf'", id="class"),
        pytest.param({"positive": "fox", "classes": ["fox"]}, "classes does nothing with positive", id="classes"),
    ],
)
def test_settings_that_make_no_sense_are_refused_by_name(
    ready: Planted, settings: Mapping[str, Any], told: str
) -> None:
    base = {"head": "mlp", "device": "cpu"}

    with pytest.raises(MekikiError) as caught:
        run("train", ready.workspace, **{**base, **settings})

    assert told in str(caught.value)
    assert str(caught.value).count(", got ") <= 1


@pytest.mark.parametrize("name", ["units", "layers", "vectors", "projection", "positive", "search", "class_weight"])
def test_a_heads_settings_do_nothing_without_one(ready: Planted, name: str) -> None:
    value = {"vectors": "toy", "projection": "pca:4", "positive": "fox", "class_weight": True}.get(name, 2)

    with pytest.raises(UsageError, match=f"{name} does nothing without head: add --head mlp"):
        run("train", ready.workspace, **{name: value})


# ---- search ---------------------------------------------------------------------------------------------------------


def test_a_search_trains_the_best_design_last(ready: Planted) -> None:
    pytest.importorskip("optuna")

    summary = run("train", ready.workspace, head="mlp", search=4, epochs=8, device="cpu")

    content = json.loads((ready.workspace / summary.outputs["search.json"]).read_text())
    best = content["trials"][content["best"]]["parameters"]
    card, _ = model_of(ready, summary)
    assert len(content["trials"]) == 4
    assert {name: card.settings[name] for name in best} == best
    assert card.arch_options["layers"] == [best["units"]] * best["layers"]
    assert summary.extra["search"]["parameters"] == best
    events = ready.workspace / summary.outputs["tensorboard"]
    assert sorted(path.name for path in events.iterdir()) == ["final", *(f"trial-{n:03d}" for n in range(1, 5))]
    assert on_test(ready, summary) > 0.95
    (told,) = [note for note in summary.notes if note.startswith("a search over 4 designs")]
    n_present = (ready.truth[ready.rows("val")] == 1).sum(axis=0)
    listed = ", ".join(f"{n} of {name}" for name, n in zip(CLASSES, n_present, strict=True))
    assert told == (
        f"a search over 4 designs on 72 validation pictures ({listed}) finds what suits these by chance: compare with "
        "--search 0"
    )


def test_only_a_search_over_few_is_warned_of() -> None:
    def note(n_items: int, n_present: int) -> list[str]:
        items = tuple(Item(f"{row:032x}", "image", None, 8, 8) for row in range(n_items))
        truth = (np.arange(n_items) < n_present).astype(np.int8)[:, None]
        return describe_search(20, Examples(items, ("fox",), truth, ("val",) * n_items, np.arange(n_items), "split0"))

    assert note(200, 50) == []
    assert "on 199 validation pictures finds" in note(199, 50)[0]
    assert "on 200 validation pictures (49 of fox) finds" in note(200, 49)[0]


@pytest.mark.slow
def test_a_killed_search_ends_as_an_undisturbed_one(ready: Planted, tmp_path: Path) -> None:
    pytest.importorskip("optuna")
    shutil.copytree(ready.workspace, tmp_path / "copy")
    settings = {"head": "mlp", "search": 9, "epochs": 15, "device": "cpu"}
    words = ("train", "--head", "mlp", "--search", "9", "--epochs", "15", "--device", "cpu", "-q", "-w")

    process = start_mekiki(*words, ready.workspace)
    deadline = time.monotonic() + 60
    while n_complete(ready.workspace) < 3 and time.monotonic() < deadline and process.poll() is None:
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    n_before = n_complete(ready.workspace)
    killed = run("train", ready.workspace, **settings)
    whole = run("train", tmp_path / "copy", **settings)

    assert 3 <= n_before < 9
    assert killed.extra["model_id"] == whole.extra["model_id"]
    trials = tried(ready.workspace, killed)
    assert trials == tried(tmp_path / "copy", whole)
    assert len(trials) == 9


def tried(workspace: Path, summary: Any) -> list[Any]:
    trials = json.loads((workspace / summary.outputs["search.json"]).read_text())["trials"]
    return [(one["state"], one["value"], one["parameters"]) for one in trials if one["state"] != "failed"]


def n_complete(workspace: Path) -> int:
    for path in workspace.glob("runs/*/search.db"):
        try:
            with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as database:
                return int(database.execute("SELECT count(*) FROM trials WHERE state = 'COMPLETE'").fetchone()[0])
        except sqlite3.OperationalError:
            return 0
    return 0
