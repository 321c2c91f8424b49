"""Stage ``ensemble``: members that complement each other are found on validation, and one file contains them all."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from mekiki.catalog.db import Catalog
from mekiki.catalog.decided import KnownModel, ScoreTable, read_model
from mekiki.catalog.scored import read_examples
from mekiki.errors import DataError, UsageError
from mekiki.records import RunSummary
from mekiki.training.checkpoint import read_tensors
from planted import Planted, plant, plant_model, relabel, some_truth, write_parts, write_scores
from workspaces import dump, file_hashes, query, run


def seen_through(truth: NDArray[np.int8], columns: tuple[int, ...], seed: int) -> NDArray[np.float64]:
    """Return scores that know some classes well and of the others say nothing."""
    noise = np.random.default_rng(seed).random(truth.shape)
    scores = 0.45 + 0.1 * noise
    for column in columns:
        scores[:, column] = np.where(truth[:, column] == 1, 0.7, 0.3) + 0.2 * (noise[:, column] - 0.5)
    return scores


@pytest.fixture
def planted(workspace: Path) -> Planted:
    """Model ``left`` knows the first class, ``right`` the others, ``wrong`` the opposite of everything."""
    planted = plant(workspace, some_truth(240))
    plant_model(planted, "left", seen_through(planted.truth, (0,), 1))
    plant_model(planted, "right", seen_through(planted.truth, (1, 2), 2))
    plant_model(planted, "wrong", 1 - planted.truth)
    return planted


def content_of(planted: Planted, summary: RunSummary) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((planted.workspace / summary.outputs["ensemble.json"]).read_text())
    return found


def model_of(planted: Planted, name: str) -> KnownModel:
    with Catalog(planted.workspace) as catalog:
        return read_model(catalog, name)


def scores_of(planted: Planted, name: str) -> NDArray[np.float32]:
    with Catalog(planted.workspace) as catalog:
        model = read_model(catalog, name)
        examples = read_examples(catalog, planted.split_run_id, planted.classes)
        return model.card.finish(ScoreTable(catalog, examples).raw(model))


def test_a_mean_has_equal_weights_and_needs_no_scores(workspace: Path) -> None:
    planted = plant(workspace, some_truth(60))
    for name in ("a", "b", "c"):
        plant_model(planted, name, None)

    summary = run("ensemble", workspace, models=["a", "b", "c"])

    card = model_of(planted, "ensemble").card
    assert (card.kind, card.class_names, card.thresholds) == ("ensemble", planted.classes, None)
    assert card.weights == pytest.approx([1 / 3] * 3)
    assert [member.name for member in card.members] == ["a", "b", "c"]
    assert card.split == {"run_id": planted.split_run_id}
    assert content_of(planted, summary)["search"] is None


def test_its_file_contains_its_members_and_names_its_parents(planted: Planted) -> None:
    summary = run("ensemble", planted.workspace, models=["left", "right"], name="both")

    model, parents = model_of(planted, "both"), [model_of(planted, name) for name in ("left", "right")]
    tensors = read_tensors(model.path)
    assert tensors.keys() == {"0.weight", "1.weight"}
    for number, parent in enumerate(parents):
        assert tensors[f"{number}.weight"].tolist() == read_tensors(parent.path)["weight"].tolist()
    assert model.card.parents == tuple(parent.model_id for parent in parents)
    assert model.card.scores_id not in {parent.card.scores_id for parent in parents}
    assert query(planted.workspace, "SELECT model_id, parents FROM models WHERE name = 'both'") == [
        (summary.extra["model_id"], json.dumps([parent.model_id for parent in parents]))
    ]


def test_its_scores_are_the_mean_of_its_members_stored_ones(planted: Planted) -> None:
    run("ensemble", planted.workspace, models=["left", "right"])

    expected = (scores_of(planted, "left") + scores_of(planted, "right")) / 2
    np.testing.assert_allclose(scores_of(planted, "ensemble"), expected, atol=1e-6)
    evaluated = run("evaluate", planted.workspace, resamples=200)
    assert evaluated.extra["best_overall"] == "ensemble"
    assert evaluated.extra["best_single"] == "right"


def test_scores_that_were_predicted_with_the_ensemble_itself_come_first(planted: Planted) -> None:
    run("ensemble", planted.workspace, models=["left", "right"])
    own = np.full(planted.truth.shape, 0.25)
    with Catalog(planted.workspace) as catalog:
        write_scores(catalog, planted, model_of(planted, "ensemble").card.scores_id, own)

    assert (scores_of(planted, "ensemble") == 0.25).all()


@pytest.mark.parametrize("method", ["weighted", "greedy"])
def test_searched_weights_use_what_helps_and_drop_what_harms(method: str, planted: Planted) -> None:
    summary = run("ensemble", planted.workspace, models=["left", "right", "wrong"], method=method)

    content = content_of(planted, summary)
    assert {one["name"] for one in content["members"]} == {"left", "right"}
    assert sum(one["weight"] for one in content["members"]) == pytest.approx(1)
    assert content["dropped"] == ["wrong"]
    assert any("'wrong' got no weight and is left out" in note for note in summary.notes)
    assert [member.name for member in model_of(planted, "ensemble").card.members] == ["left", "right"]
    search = content["search"]
    assert search["found"]["value"] >= max(
        search["mean"]["value"], *(one["value"] for one in search["members"].values())
    )
    assert search["found"]["low"] <= search["found"]["value"] <= search["found"]["high"]
    assert (content["part"], content["objective"], search["n_items"]) == ("val", "micro-f1", 80)


def test_weights_are_searched_on_validation_only(planted: Planted) -> None:
    settings = {"models": ["left", "right", "wrong"], "method": "weighted"}
    first = run("ensemble", planted.workspace, **settings)
    rows = planted.rows("test")
    turned, scores = planted.truth.copy(), seen_through(planted.truth, (0,), 1)
    turned[rows], scores[rows] = 1 - turned[rows], 0.5
    relabel(planted, turned)
    with Catalog(planted.workspace) as catalog:
        write_scores(catalog, planted, model_of(planted, "left").card.scores_id, scores, "predict again")

    second = run("ensemble", planted.workspace, **settings)

    assert (second.run_id, second.n_written) == (first.run_id, 0)


def test_new_labels_of_validation_make_a_new_run(planted: Planted) -> None:
    settings = {"models": ["left", "wrong"], "method": "greedy"}
    first = run("ensemble", planted.workspace, **settings)
    relabel(planted, (1 - planted.truth).astype(np.int8))

    second = run("ensemble", planted.workspace, **settings)

    assert second.run_id != first.run_id
    assert [one["name"] for one in second.extra["members"]] == ["wrong"]
    assert any("the ensemble says what 'wrong' says" in note for note in second.notes)


def test_the_same_again_does_nothing_and_writes_nothing(planted: Planted) -> None:
    settings = {"models": ["left", "right"], "method": "weighted"}
    first = run("ensemble", planted.workspace, **settings)
    rows, files = dump(planted.workspace), file_hashes(planted.workspace)

    second = run("ensemble", planted.workspace, **settings)

    assert (second.run_id, second.n_written, second.extra) == (first.run_id, 0, first.extra)
    assert (dump(planted.workspace), file_hashes(planted.workspace)) == (rows, files)


def test_an_ensemble_of_ensembles_is_flat_with_multiplied_weights(planted: Planted) -> None:
    run("ensemble", planted.workspace, models=["left", "right"], name="inner")

    run("ensemble", planted.workspace, models=["inner", "wrong"], name="outer")

    card = model_of(planted, "outer").card
    assert [(one.name, one.kind) for one in card.members] == [
        ("left", "network"),
        ("right", "network"),
        ("wrong", "network"),
    ]
    assert card.weights == pytest.approx([0.25, 0.25, 0.5])
    expected = (scores_of(planted, "inner") + scores_of(planted, "wrong")) / 2
    np.testing.assert_allclose(scores_of(planted, "outer"), expected, atol=1e-6)


def test_a_network_that_comes_in_twice_is_one_member_with_both_weights(planted: Planted) -> None:
    run("ensemble", planted.workspace, models=["left", "right"], name="inner")

    run("ensemble", planted.workspace, models=["inner", "left"], name="outer")

    card = model_of(planted, "outer").card
    assert dict(zip([one.name for one in card.members], card.weights, strict=True)) == pytest.approx(
        {"left": 0.75, "right": 0.25}
    )


def test_a_calibrated_member_counts_with_its_calibrated_scores(planted: Planted) -> None:
    run("tune", planted.workspace, model="left", calibrate="temperature", resamples=200)

    run("ensemble", planted.workspace, models=["left-tuned", "right"])

    expected = (scores_of(planted, "left-tuned") + scores_of(planted, "right")) / 2
    np.testing.assert_allclose(scores_of(planted, "ensemble"), expected, atol=1e-6)
    assert not np.allclose(scores_of(planted, "left-tuned"), scores_of(planted, "left"))


def test_an_ensemble_that_is_calibrated_as_a_whole_is_not_taken_apart(planted: Planted) -> None:
    run("ensemble", planted.workspace, models=["left", "right"], name="inner")
    run("tune", planted.workspace, model="inner", calibrate="temperature", resamples=200)

    with pytest.raises(DataError, match=r"'inner-tuned' is an ensemble that is calibrated.*members left, right"):
        run("ensemble", planted.workspace, models=["inner-tuned", "wrong"])


def test_an_ensemble_can_be_tuned_as_any_model(planted: Planted) -> None:
    run("ensemble", planted.workspace, models=["left", "right"])

    summary = run("tune", planted.workspace, model="ensemble", resamples=200)

    tuned = model_of(planted, "ensemble-tuned")
    assert tuned.card.scores_id == model_of(planted, "ensemble").card.scores_id
    assert (tuned.card.kind, tuned.card.thresholds is None) == ("ensemble", False)
    assert run("evaluate", planted.workspace, models=["ensemble-tuned"], resamples=200).n_selected == 80
    assert summary.extra["model"] == "ensemble-tuned"


def test_members_with_other_classes_are_refused(planted: Planted) -> None:
    plant_model(planted, "other", None, class_names=planted.classes[::-1])

    with pytest.raises(DataError, match="'left' and 'other' have other classes, or in another order"):
        run("ensemble", planted.workspace, models=["left", "other"])


def test_a_model_and_its_tuned_child_are_no_ensemble(planted: Planted) -> None:
    run("tune", planted.workspace, model="left", resamples=200)

    with pytest.raises(DataError, match="left and left-tuned differ in thresholds only"):
        run("ensemble", planted.workspace, models=["left", "left-tuned"])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        pytest.param({"models": []}, "two models or more, got 0", id="none"),
        pytest.param({"models": ["left"]}, "two models or more, got 1", id="one"),
        pytest.param({"models": ["left", "left"]}, "'left' is given twice", id="twice"),
        pytest.param({"models": ["left", "rihgt"]}, "no model is called 'rihgt'. Did you mean 'right'", id="name"),
        pytest.param({"objective": "macro-f1"}, "--objective does nothing with --method mean", id="objective"),
        pytest.param({"method": "greedy", "seed": 3}, "--seed does nothing with --method greedy", id="seed"),
        pytest.param({"method": "weighted", "part": "vla"}, "no part is called 'vla'. Did you mean 'val'", id="part"),
    ],
)
def test_what_does_not_fit_is_refused(settings: dict[str, Any], message: str, planted: Planted) -> None:
    with pytest.raises(UsageError, match=message):
        run("ensemble", planted.workspace, **{"models": ["left", "right"], **settings})


def test_searching_on_test_is_refused(planted: Planted) -> None:
    with pytest.raises(DataError, match=r"not searched on part 'test'.*would lie"):
        run("ensemble", planted.workspace, models=["left", "right"], method="weighted", part="test")


def test_searching_where_a_member_was_trained_is_refused_whatever_the_name(planted: Planted) -> None:
    with pytest.raises(DataError, match="not searched on part 'train', since 'left' was trained on 80 of its 80"):
        run("ensemble", planted.workspace, models=["left", "right"], method="weighted", part="train")


def test_what_a_search_is_worth_is_cross_fitted_and_remembered(workspace: Path) -> None:
    """Of members that know nothing the search finds some that seem to."""
    planted = plant(workspace, some_truth(120))
    names = [f"chance{number}" for number in range(5)]
    for number, name in enumerate(names):
        plant_model(planted, name, np.random.default_rng(number).random(planted.truth.shape))

    summary = run("ensemble", workspace, models=names, method="weighted")

    content, card = content_of(planted, summary), model_of(planted, "ensemble").card
    found, honest = content["search"]["found"]["value"], content["cross_fitted"]["micro_f1"]["value"]
    assert honest < found - 0.03
    assert card.metrics["cross_fitted"] == content["cross_fitted"]
    assert content["cross_fitted"].keys() >= {"micro_f1", "macro_f1", "macro_ap"}
    assert card.settings["searched_on"] == [{"split": "split0", "part": "val"}]
    assert any(f"cross-fitted {honest:.3f}" in note for note in summary.notes)
    judged = run("evaluate", workspace, models=["ensemble", *names], resamples=100)
    entry = json.loads((workspace / judged.outputs["metrics.json"]).read_text())["models"][0]
    assert entry["choice"] == {"value": honest, "is_cross_fitted": True, "flattered_by": []}


def test_an_ensemble_of_a_searched_one_remembers_the_search(planted: Planted) -> None:
    run("ensemble", planted.workspace, models=["left", "right"], method="greedy", name="inner")
    run("ensemble", planted.workspace, models=["inner", "wrong"], name="outer")

    summary = run("evaluate", planted.workspace, models=["outer"], part="val", gate={"micro_f1": 0.01}, resamples=100)

    assert "its weights were searched on part 'val'" in summary.extra["refusal"]


def test_a_search_over_a_searched_one_is_not_taken_for_honest(planted: Planted) -> None:
    """Its cross-fitted figure knows nothing of the search within it, which saw all of the pictures."""
    run("ensemble", planted.workspace, models=["left", "right"], method="greedy", name="inner")
    run("ensemble", planted.workspace, models=["inner", "wrong"], method="greedy", name="outer")

    judged = run("evaluate", planted.workspace, models=["outer", "left"], resamples=100)

    entry = json.loads((planted.workspace / judged.outputs["metrics.json"]).read_text())["models"][0]
    assert (entry["choice"]["is_cross_fitted"], entry["choice"]["flattered_by"]) == (False, ["weights"])
    assert any("outer is flattered there: its weights were found on part 'val'" in note for note in judged.notes)


def test_without_any_present_class_there_is_nothing_to_search_by(workspace: Path) -> None:
    planted = plant(workspace, np.zeros((60, 3), np.int8))
    for name in ("a", "b"):
        plant_model(planted, name, np.full((60, 3), 0.4))

    with pytest.raises(DataError, match="no class is present in any of 20 pictures of part 'val'"):
        run("ensemble", workspace, models=["a", "b"], method="weighted")


def test_searching_where_a_member_was_trained_is_refused_across_splits(planted: Planted) -> None:
    with Catalog(planted.workspace) as catalog:
        turned = ["val" if part == "train" else "train" if part == "val" else part for part in planted.parts]
        write_parts(catalog, planted, "split1", turned, name="turned")

    with pytest.raises(DataError, match="'left' was trained on 80 of 80 pictures of part 'val'"):
        run("ensemble", planted.workspace, models=["left", "right"], method="weighted", split="turned")


def test_without_scores_a_search_says_what_to_type(planted: Planted) -> None:
    plant_model(planted, "new", None)

    with pytest.raises(DataError, match=f"mekiki predict new -w {planted.workspace}$"):
        run("ensemble", planted.workspace, models=["left", "new"], method="greedy")
