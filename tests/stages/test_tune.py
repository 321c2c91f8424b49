"""Stage ``tune``: planted thresholds are found, gains are told honestly, promises are kept or their breach is told."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from mekiki.api.verbs import run_stage
from mekiki.catalog.db import Catalog
from mekiki.catalog.decided import KnownModel, read_model
from mekiki.cli.main import main
from mekiki.engine.local import LocalEngine
from mekiki.errors import DataError, UsageError
from mekiki.metrics.calibration import calibration_error
from mekiki.records import RunSummary
from mekiki.training.checkpoint import read_tensors
from planted import Planted, plant, plant_model, relabel, some_truth, write_scores
from workspaces import dump, file_hashes, query, run

FAST: dict[str, Any] = {"resamples": 200}
N_ITEMS = 720
CENTRES = (0.2, 0.5, 0.8)
"""Where the best threshold of each class lies in the first set; in the second all lie at 0.5."""


def spread_around(
    truth: NDArray[np.int8], centres: tuple[float, ...], noise_share: float = 0.07
) -> NDArray[np.float64]:
    """Return scores of present cells mostly above each class's centre, and of absent ones mostly below."""
    noise = np.random.default_rng(3).normal(0, noise_share, truth.shape)
    return np.clip(np.asarray(centres) + np.where(truth == 1, 0.1, -0.1) + noise, 0.001, 0.999)


@pytest.fixture
def shifted(workspace: Path) -> Planted:
    """Each class has a best threshold of its own."""
    planted = plant(workspace, some_truth(N_ITEMS))
    plant_model(planted, "a", spread_around(planted.truth, CENTRES))
    return planted


@pytest.fixture
def centred(workspace: Path) -> Planted:
    """All best thresholds are 0.5."""
    planted = plant(workspace, some_truth(N_ITEMS))
    plant_model(planted, "a", spread_around(planted.truth, (0.5, 0.5, 0.5)))
    return planted


def tuning_of(planted: Planted, summary: RunSummary) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((planted.workspace / summary.outputs["tuning.json"]).read_text(encoding="utf-8"))
    return found


def model_of(planted: Planted, name: str) -> KnownModel:
    with Catalog(planted.workspace) as catalog:
        return read_model(catalog, name)


def gain_on_test(planted: Planted, name: str, metric: str = "micro_f1") -> dict[str, Any]:
    summary = run("evaluate", planted.workspace, models=[name], **FAST)
    content = json.loads((planted.workspace / summary.outputs["metrics.json"]).read_text(encoding="utf-8"))
    (model,) = content["models"]
    gain: dict[str, Any] = model["half"]["test"]["gain"][metric]
    return gain


@pytest.mark.parametrize("objective", ["macro-f1", "micro-f1"])
def test_thresholds_that_differ_by_class_gain_on_test(objective: str, shifted: Planted) -> None:
    summary = run("tune", shifted.workspace, model="a", objective=objective, **FAST)

    content = tuning_of(shifted, summary)
    assert list(content["thresholds"]) == list(shifted.classes)
    assert list(content["thresholds"].values()) == pytest.approx(CENTRES, abs=0.06)
    for metric in ("micro_f1", "macro_f1"):
        assert content["gain_cross_fitted"][metric]["low"] > 0.1
        assert gain_on_test(shifted, "a-tuned", metric)["low"] > 0.1


def test_where_tuning_gains_nothing_the_intervals_say_so(centred: Planted) -> None:
    summary = run("tune", centred.workspace, model="a", **FAST)

    for gain in (*tuning_of(centred, summary)["gain_cross_fitted"].values(), gain_on_test(centred, "a-tuned")):
        assert gain["low"] <= 0 <= gain["high"]
        assert gain["high"] - gain["low"] < 0.1


def test_cross_fitted_figures_do_not_flatter_as_those_in_sample_do(workspace: Path) -> None:
    planted = plant(workspace, some_truth(150))
    rng = np.random.default_rng(7)
    plant_model(planted, "a", rng.random((150, 3)))  # scores that know nothing

    content = tuning_of(planted, run("tune", workspace, model="a", objective="macro-f1", **FAST))

    assert content["in_sample"]["macro_f1"]["value"] > content["cross_fitted"]["macro_f1"]["value"]


def test_the_new_model_has_its_parents_weights_and_scores_and_names_it(shifted: Planted) -> None:
    parent = model_of(shifted, "a")

    summary = run("tune", shifted.workspace, model="a", **FAST)

    model = model_of(shifted, "a-tuned")
    assert model.model_id == summary.extra["model_id"] != parent.model_id
    assert model.card.parents == (parent.model_id,)
    assert model.card.scores_id == parent.card.scores_id
    assert read_tensors(model.path)["weight"].tolist() == read_tensors(parent.path)["weight"].tolist()
    assert dict(zip(shifted.classes, model.card.thresholds or (), strict=True)) == summary.extra["thresholds"]
    assert model.card.decisions is not None
    assert (model.card.decisions.objective, model.card.decisions.is_joint) == ("macro-f1", False)
    assert model.card.decisions.facts["parts"] == ["val"]
    assert summary.outputs["model"] == f"models/{model.model_id}.safetensors"
    assert (parent.card.thresholds, parent.path.exists()) == (None, True)
    assert query(shifted.workspace, "SELECT parents FROM models WHERE name = 'a-tuned'") == [
        (json.dumps([parent.model_id]),)
    ]


def test_only_the_part_decides(shifted: Planted) -> None:
    first = run("tune", shifted.workspace, model="a", **FAST)
    rows = np.concatenate([shifted.rows("train"), shifted.rows("test")])
    truth, scores = shifted.truth.copy(), spread_around(shifted.truth, CENTRES)
    truth[rows], scores[rows] = 1 - truth[rows], 0.5
    relabel(shifted, truth)
    with Catalog(shifted.workspace) as catalog:
        write_scores(catalog, shifted, model_of(shifted, "a").card.scores_id, scores, "predict again")

    second = run("tune", shifted.workspace, model="a", **FAST)

    assert (second.run_id, second.n_written) == (first.run_id, 0)


def test_the_same_again_does_nothing_and_writes_nothing(shifted: Planted) -> None:
    first = run("tune", shifted.workspace, model="a", **FAST)
    rows, files = dump(shifted.workspace), file_hashes(shifted.workspace)

    second = run("tune", shifted.workspace, model="a", **FAST)

    assert (second.run_id, second.n_written, second.extra) == (first.run_id, 0, first.extra)
    assert (dump(shifted.workspace), file_hashes(shifted.workspace)) == (rows, files)


@pytest.mark.parametrize("what", ["labels", "scores", "settings"])
def test_whatever_decides_makes_a_new_run_and_a_new_model(what: str, shifted: Planted) -> None:
    first = run("tune", shifted.workspace, model="a", **FAST)

    if what == "labels":
        truth = shifted.truth.copy()
        truth[shifted.rows("val")[:40]] = 0
        relabel(shifted, truth)
    if what == "scores":
        with Catalog(shifted.workspace) as catalog:
            scores = spread_around(shifted.truth, (0.4, 0.4, 0.4))
            write_scores(catalog, shifted, model_of(shifted, "a").card.scores_id, scores, "predict again")
    second = run("tune", shifted.workspace, model="a", joint=what == "settings", **FAST)

    assert second.run_id != first.run_id
    assert second.extra["model_id"] != first.extra["model_id"]
    assert model_of(shifted, "a-tuned").model_id == second.extra["model_id"]


def test_a_command_given_again_makes_its_model_the_one_that_the_name_means(shifted: Planted) -> None:
    first = run("tune", shifted.workspace, model="a", **FAST)
    run("tune", shifted.workspace, model="a", joint=True, **FAST)

    run("tune", shifted.workspace, model="a", **FAST)

    assert model_of(shifted, "a-tuned").model_id == first.extra["model_id"]


def test_a_dry_run_writes_nothing_even_if_the_same_was_tuned_before(shifted: Planted) -> None:
    run("tune", shifted.workspace, model="a", **FAST)
    run("tune", shifted.workspace, model="a", joint=True, **FAST)
    rows, files = dump(shifted.workspace), file_hashes(shifted.workspace)

    for name in ("a-tuned", "another"):
        settings = {"model": "a", "name": None if name == "a-tuned" else name, **FAST}
        run_stage("tune", shifted.workspace, settings, engine=LocalEngine(dry_run=True))

    assert (dump(shifted.workspace), file_hashes(shifted.workspace)) == (rows, files)


def test_joint_gives_one_threshold_for_all_classes(shifted: Planted) -> None:
    summary = run("tune", shifted.workspace, model="a", joint=True, **FAST)

    content = tuning_of(shifted, summary)
    assert list(content["thresholds"].values()) == pytest.approx([content["joint"]] * 3)
    assert all(facts["used_joint"] for facts in content["classes"].values())


def test_a_rare_class_uses_the_joint_threshold_and_that_is_said(workspace: Path) -> None:
    truth = some_truth(N_ITEMS)
    truth[:, 2] = 0
    truth[::60, 2] = 1
    planted = plant(workspace, truth)
    plant_model(planted, "a", spread_around(truth, CENTRES))

    summary = run("tune", workspace, model="a", **FAST)

    content = tuning_of(planted, summary)
    assert [facts["used_joint"] for facts in content["classes"].values()] == [False, False, True]
    assert content["thresholds"]["タヌキ"] == pytest.approx(content["joint"])
    assert any(note.endswith("the joint one is used: タヌキ") for note in summary.notes)


def test_a_promise_that_holds_on_validation_holds_on_test(shifted: Planted) -> None:
    summary = run("tune", shifted.workspace, model="a", objective="precision-at-recall", at_least=0.8, **FAST)

    content = tuning_of(shifted, summary)
    assert all(facts["is_met"] and facts["bound"] >= 0.8 for facts in content["classes"].values())
    assert not any("is not promised" in note for note in summary.notes)
    evaluated = run("evaluate", shifted.workspace, models=["a-tuned"], **FAST)
    model = json.loads((shifted.workspace / evaluated.outputs["metrics.json"]).read_text())["models"][0]
    assert all(figures["recall"]["value"] >= 0.8 for figures in model["parts"]["test"]["per_class"].values())


def test_a_promise_that_cannot_be_kept_is_told_and_is_no_error(
    centred: Planted, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["tune", "a", "--objective", "recall-at-precision", "--at-least", "0.999", "--resamples", "200"]

    code = main([*words, "-w", str(centred.workspace), "-q"])

    assert code == 0
    out = capsys.readouterr().out
    assert "precision of fox is not promised: at its threshold the 95 % bound is 0." in out
    assert "0.999 was asked for" in out
    facts = json.loads(next((centred.workspace / "runs").glob("*/tuning.json")).read_text(encoding="utf-8"))["classes"]
    assert [one["is_met"] for one in facts.values()] == [False] * 3


def test_costs_move_thresholds(workspace: Path) -> None:
    planted = plant(workspace, some_truth(N_ITEMS))
    plant_model(planted, "a", spread_around(planted.truth, (0.5, 0.5, 0.5), 0.15))

    thresholds = {
        costs: run(
            "tune",
            workspace,
            model="a",
            objective="cost",
            false_alarm_cost=costs[0],
            miss_cost=costs[1],
            **FAST,
        ).extra["thresholds"]["fox"]
        for costs in ((10.0, 1.0), (1.0, 1.0), (1.0, 10.0))
    }

    assert thresholds[10.0, 1.0] > thresholds[1.0, 1.0] > thresholds[1.0, 10.0]


def test_false_alarms_per_million_are_told_of_a_class_whose_prevalence_is_stated(centred: Planted) -> None:
    summary = run("tune", centred.workspace, model="a", prevalence={"fox": 0.001}, **FAST)

    content = tuning_of(centred, summary)
    assert list(content["per_million"]) == ["fox"]
    one = content["per_million"]["fox"]
    cross_fitted = content["cross_fitted"]["per_class"]["fox"]
    assert one["n_present"] == 1000
    assert one["found"]["value"] == pytest.approx(1000 * cross_fitted["recall"]["value"], abs=0.01)
    assert one["missed"]["value"] == pytest.approx(1000 - one["found"]["value"], abs=0.01)
    assert one["false_alarms"]["value"] == pytest.approx(999_000 * one["false_alarm_rate"]["value"], abs=1)
    assert one["false_alarms"]["low"] <= one["false_alarms"]["value"] < one["false_alarms"]["high"]
    assert summary.extra["per_million"] == content["per_million"]
    (told,) = (note for note in summary.notes if "per million" in note)
    assert told.startswith("fox (cross-fitted), per million pictures of which 1,000 show it: ")


def test_evaluate_says_on_test_what_a_stated_prevalence_means_and_nothing_without_one(centred: Planted) -> None:
    run("tune", centred.workspace, model="a", prevalence={"fox": 0.02}, **FAST)

    summary = run("evaluate", centred.workspace, models=["a", "a-tuned"], **FAST)

    assert summary.extra["per_million"]["a"] == {}
    one = summary.extra["per_million"]["a-tuned"]["fox"]
    rows, model = centred.rows("test"), model_of(centred, "a-tuned")
    is_absent = centred.truth[rows, 0] == 0
    with Catalog(centred.workspace) as catalog:
        scores = dict(catalog.rows("SELECT item_id, score FROM predictions WHERE class_name = 'fox'"))
    limit = np.float32((model.card.thresholds or ())[0])
    decided = np.array([np.float32(scores[centred.item_ids[row]]) >= limit for row in rows])
    assert one["false_alarms"]["value"] == pytest.approx(980_000 * decided[is_absent].mean(), abs=1)
    assert any(note.startswith("fox (a-tuned), per million pictures of which 20,000") for note in summary.notes)


def test_a_lower_prevalence_where_it_is_used_raises_the_threshold_of_that_class(centred: Planted) -> None:
    plain = run("tune", centred.workspace, model="a", **FAST).extra["thresholds"]

    rare = run("tune", centred.workspace, model="a", prevalence={"fox": 0.02}, **FAST).extra["thresholds"]

    assert rare["fox"] > plain["fox"]
    assert rare["hare"] == plain["hare"]


@pytest.mark.parametrize("method", ["temperature", "isotonic"])
def test_calibration_brings_scores_nearer_to_probabilities_and_comes_before_thresholds(
    method: str, workspace: Path
) -> None:
    truth = some_truth(N_ITEMS, share=0.5)
    rng = np.random.default_rng(11)
    margin = np.where(truth == 1, 1.0, -1.0) + rng.normal(0, 1.4, truth.shape)
    planted = plant(workspace, truth)
    plant_model(planted, "a", 1 / (1 + np.exp(-6 * margin)))  # far too sure

    summary = run("tune", workspace, model="a", calibrate=method, **FAST)

    card = model_of(planted, "a-tuned").card
    assert card.calibration is not None
    assert card.calibration.method == method
    rows = planted.rows("test")
    raw = (1 / (1 + np.exp(-6 * margin)))[rows].astype(np.float32)
    finished = card.finish(raw)
    assert calibration_error(finished, truth[rows]) < calibration_error(raw, truth[rows]) / 2
    content = tuning_of(planted, summary)
    before, after = content["calibration"]["before"], content["calibration"]["after"]
    of_val = (1 / (1 + np.exp(-6 * margin)))[planted.rows("val")].astype(np.float32)
    assert before["expected_error"] == pytest.approx(calibration_error(of_val, truth[planted.rows("val")]), abs=1e-5)
    assert after["expected_error"] < before["expected_error"] / 2
    assert after["brier"] < before["brier"]
    assert any(f"Brier score {before['brier']:.3f} to {after['brier']:.3f}" in note for note in summary.notes)
    evaluated = run("evaluate", workspace, models=["a-tuned"], part="val", **FAST).extra["metrics"]["a-tuned"]
    assert evaluated["micro_f1"] == content["in_sample"]["micro_f1"]
    assert content["cross_fitted"]["macro_ap"]["value"] != content["in_sample"]["macro_ap"]["value"] or (
        method == "temperature"
    )


def test_tuning_a_tuned_model_starts_from_its_raw_scores(shifted: Planted) -> None:
    first = run("tune", shifted.workspace, model="a", calibrate="temperature", **FAST)

    again = run("tune", shifted.workspace, model="a-tuned", name="again", **FAST)

    card = model_of(shifted, "again").card
    assert (card.calibration, card.parents) == (None, (first.extra["model_id"],))
    assert again.extra["thresholds"] == run("tune", shifted.workspace, model="a", **FAST).extra["thresholds"]


def test_tuning_on_test_is_refused(shifted: Planted) -> None:
    with pytest.raises(DataError, match=r"not tuned on part 'test'.*would lie.*mekiki evaluate"):
        run("tune", shifted.workspace, model="a", part=["val", "test"])


def test_tuning_on_what_was_trained_on_is_refused_whatever_its_name(shifted: Planted) -> None:
    for part in (["train"], ["val", "train"]):
        with pytest.raises(DataError, match=r"not tuned on part 'train', since 'a' was trained on \d+ of its"):
            run("tune", shifted.workspace, model="a", part=part, **FAST)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        pytest.param({"model": "b"}, "no model is called 'b'. Did you mean 'a'|Known: a", id="model"),
        pytest.param({"model": ""}, "no model is given", id="no model"),
        pytest.param({"part": ["vall"]}, "no part is called 'vall'. Did you mean 'val'", id="part"),
        pytest.param({"split": "defalt"}, "no split is called 'defalt'", id="split"),
        pytest.param({"prevalence": {"fxo": 0.1}}, "no class is called 'fxo'. Did you mean 'fox'", id="class"),
        pytest.param({"prevalence": {"fox": 1.5}}, r"'fox' must lie between 0 and 1, got \{[^}]*\}$", id="prevalence"),
        pytest.param({"objective": "macro-f2"}, "Did you mean 'macro-f1'", id="objective"),
        pytest.param({"objective": "precision-at-recall"}, "needs a level.*--at-least", id="no level"),
        pytest.param({"at_least": 0.9}, "--at-least goes with --objective precision-at-recall", id="level of F1"),
        pytest.param({"miss_cost": 2.0}, "--miss-cost go with --objective cost", id="cost of F1"),
    ],
)
def test_what_does_not_fit_is_refused(settings: dict[str, Any], message: str, shifted: Planted) -> None:
    with pytest.raises(UsageError, match=message):
        run("tune", shifted.workspace, **{"model": "a", **settings})


def test_without_scores_it_says_what_to_type(workspace: Path) -> None:
    planted = plant(workspace, some_truth(60))
    plant_model(planted, "a", None)

    with pytest.raises(DataError, match=f"mekiki predict a -w {workspace}$"):
        run("tune", workspace, model="a")


def test_too_few_groups_to_cross_fit_are_refused_with_what_is_possible(workspace: Path) -> None:
    planted = plant(workspace, some_truth(24))  # 4 groups in each part
    plant_model(planted, "a", spread_around(planted.truth, CENTRES))

    with pytest.raises(DataError, match=r"8 labelled pictures of part val are in 4 groups.*--cross-fit 4"):
        run("tune", workspace, model="a")
    assert run("tune", workspace, model="a", cross_fit=4, **FAST).n_written == 8


def test_without_any_present_class_there_is_nothing_to_tune_on(workspace: Path) -> None:
    planted = plant(workspace, np.zeros((60, 3), np.int8))
    plant_model(planted, "a", spread_around(planted.truth, CENTRES))

    with pytest.raises(DataError, match="no class is present in any of 20 pictures"):
        run("tune", workspace, model="a")


def test_a_class_that_is_never_present_has_plain_json_all_the_same(workspace: Path) -> None:
    truth = some_truth(N_ITEMS)
    truth[:, 1] = 0
    truth[::5, 0] = -1
    planted = plant(workspace, truth)
    plant_model(planted, "a", spread_around(truth, CENTRES))

    summary = run("tune", workspace, model="a", **FAST)

    text = (workspace / summary.outputs["tuning.json"]).read_text(encoding="utf-8")
    json.loads(text, parse_constant=lambda word: pytest.fail(f"{word} is no JSON"))
    assert model_of(planted, "a-tuned").card.decisions is not None
    with pytest.raises(DataError, match="'hare' is present in none of 240 pictures"):
        run("tune", workspace, model="a", prevalence={"hare": 0.1}, **FAST)


def test_a_model_file_from_elsewhere_can_be_tuned(shifted: Planted, tmp_path: Path) -> None:
    away = tmp_path / "copy.safetensors"
    away.write_bytes(model_of(shifted, "a").path.read_bytes())

    summary = run("tune", shifted.workspace, model=str(away), **FAST)

    assert model_of(shifted, "a-tuned").card.parents == (model_of(shifted, "a").model_id,)
    assert summary.extra["model"] == "a-tuned"
