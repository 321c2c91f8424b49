"""Stage ``evaluate``: figures of planted scores, the best chosen on validation only, gates, leaks, what is missing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.metrics import auc, precision_recall_curve

from mekiki.catalog.db import Catalog
from mekiki.cli.main import main
from mekiki.errors import BackendError, DataError, UsageError
from mekiki.records import RunSummary
from mekiki.training.card import Calibration
from planted import Planted, plant, plant_model, relabel, some_truth, write_parts, write_scores
from workspaces import dump, file_hashes, query, run

FAST: dict[str, Any] = {"resamples": 200}


def noisy(truth: NDArray[np.int8], share: float, seed: int = 1) -> NDArray[np.float64]:
    """Return sure scores of which a share is wrong; pairs of pictures share their mistakes."""
    rng = np.random.default_rng(seed)
    wrong = np.repeat(rng.random((len(truth) // 2, truth.shape[1])) < share, 2, axis=0)
    right = np.where(truth == 1, 0.9, 0.1)
    return np.where(wrong, 1 - right, right) + np.repeat(rng.uniform(-0.05, 0.05, (len(truth) // 2, 1)), 2, axis=0)


@pytest.fixture
def planted(workspace: Path) -> Planted:
    return plant(workspace, some_truth(240))


def content_of(planted: Planted, summary: RunSummary, name: str = "metrics.json") -> dict[str, Any]:
    found: dict[str, Any] = json.loads((planted.workspace / summary.outputs[name]).read_text())
    return found


def test_figures_are_those_of_the_part_and_each_has_its_interval(planted: Planted) -> None:
    scores = noisy(planted.truth, 0.0)
    scores[planted.rows("test")[:4]] = 0.5 - 0.1 * planted.truth[planted.rows("test")[:4]]  # 2 of 40 pairs all wrong
    plant_model(planted, "a", scores)

    summary = run("evaluate", planted.workspace, models=["a"], **FAST)

    content = content_of(planted, summary)
    rows = planted.rows("test")
    decided, truth = scores[rows] >= 0.5, planted.truth[rows] == 1
    micro = 2 * (decided & truth).sum() / (decided.sum() + truth.sum())
    (model,) = content["models"]
    figure = model["parts"]["test"]["micro_f1"]
    assert figure["value"] == pytest.approx(micro, abs=1e-6)
    assert figure["low"] < figure["value"] <= figure["high"]
    assert figure["reliable"] is True
    assert model["parts"]["val"]["micro_f1"]["value"] == 1
    assert content["parts"] == {"test": 80, "val": 80}
    assert (model["parts"]["test"]["n_items"], model["parts"]["test"]["n_atoms"]) == (80, 40)
    assert summary.extra["metrics"]["a"]["micro_f1"] == figure
    assert summary.n_selected == 80


def test_areas_calibration_and_histograms_are_measured_and_pr_auc_is_named(planted: Planted) -> None:
    plant_model(planted, "a", noisy(planted.truth, 0.1))

    summary = run("evaluate", planted.workspace, models=["a"], **FAST)

    (model,) = content_of(planted, summary)["models"]
    measured = model["parts"]["test"]
    rows = planted.rows("test")
    for column, name in enumerate(planted.classes):
        figures = measured["per_class"][name]
        precision, recall, _ = precision_recall_curve(
            planted.truth[rows, column], noisy(planted.truth, 0.1)[rows, column].astype(np.float32)
        )
        assert figures["pr_auc"]["value"] == pytest.approx(auc(recall, precision), abs=1e-6)
        assert figures["precision_at_recall_90"]["value"] == pytest.approx(precision[recall >= 0.9].max(), abs=1e-6)
        assert 0 <= figures["calibration_error"]["low"] <= figures["calibration_error"]["value"]
        assert sum(measured["histograms"][name]["present"]) == figures["support_pos"]
        assert sum(measured["calibration"][name]["n"]) == figures["n_known"]
        assert measured["roc_curves"][name]["recall"][-1] == 1
    assert model["vectors"] is None
    (told,) = (note for note in summary.notes if note.startswith("PR-AUC"))
    assert told.startswith(f"PR-AUC (trapezoid) of a, mean over classes: {measured['macro_pr_auc']['value']:.3f} [")


def test_pr_auc_can_gate(workspace: Path) -> None:
    planted = plant(workspace, some_truth(480))
    plant_model(planted, "a", noisy(planted.truth, 0.0))

    passed = run("evaluate", planted.workspace, gate={"macro_pr_auc": 0.8}, **FAST)
    failed = run("evaluate", planted.workspace, gate={"macro_pr_auc": 0.99999}, **FAST)

    assert "refusal" not in passed.extra
    assert "macro_pr_auc is 1.000" in failed.extra["refusal"]


def test_masked_cells_never_count(workspace: Path) -> None:
    truth = some_truth(240)
    hidden = np.random.default_rng(5).random(truth.shape) < 0.3
    planted = plant(workspace, np.where(hidden, -1, truth).astype(np.int8))
    plant_model(planted, "a", np.where(hidden, 1 - truth, truth))  # wrong wherever nobody was asked

    summary = run("evaluate", workspace, models=["a"], **FAST)

    assert summary.extra["metrics"]["a"]["micro_f1"]["value"] == 1
    assert content_of(planted, summary, "mistakes.json")["mistakes"] == []


def test_the_best_models_are_chosen_on_validation_though_another_is_better_on_test(planted: Planted) -> None:
    good_on_val, good_on_test = noisy(planted.truth, 0.3, 1), noisy(planted.truth, 0.3, 2)
    good_on_val[planted.rows("val")] = planted.truth[planted.rows("val")]
    good_on_test[planted.rows("test")] = planted.truth[planted.rows("test")]
    plant_model(planted, "val-star", good_on_val)
    plant_model(planted, "test-star", good_on_test)

    summary = run("evaluate", planted.workspace, **FAST)

    content = content_of(planted, summary)
    assert (content["best_single"], content["best_overall"]) == ("val-star", "val-star")
    assert content["chosen_on"] == {"part": "val", "metric": "micro_f1"}
    (comparison,) = content["comparisons"]
    assert (comparison["first"], comparison["second"], comparison["part"]) == ("val-star", "test-star", "test")
    assert comparison["difference"]["low"] > 0


def test_against_compares_all_with_one_model(planted: Planted) -> None:
    for name, share in (("a", 0.1), ("b", 0.2), ("c", 0.3)):
        plant_model(planted, name, noisy(planted.truth, share))

    summary = run("evaluate", planted.workspace, models=["a", "b"], against="c", metric="macro_f1", **FAST)

    pairs = {(one["first"], one["second"]) for one in content_of(planted, summary)["comparisons"]}
    assert pairs == {("c", "a"), ("c", "b")}
    assert any("a against c: macro-F1 +" in note for note in summary.notes)


def test_the_table_names_every_model_with_intervals(planted: Planted) -> None:
    plant_model(planted, "a", noisy(planted.truth, 0.1))
    plant_model(planted, "b", noisy(planted.truth, 0.2))

    summary = run("evaluate", planted.workspace, **FAST)

    assert summary.notes[0] == "test: 80 pictures in 40 groups; 95 % intervals"
    assert summary.notes[1].split()[:4] == ["model", "micro-F1", "macro-F1", "macro-AP"]
    assert summary.notes[2].startswith("a")
    assert summary.notes[2].endswith("best single and overall")
    assert "[" in summary.notes[3]


def test_mistakes_are_the_worst_of_both_kinds_and_name_their_pictures(planted: Planted) -> None:
    scores = planted.truth * 0.8 + 0.1
    row = int(planted.rows("test")[7])
    column = 0
    scores[row, column] = 0.01 if planted.truth[row, column] else 0.99
    other = int(planted.rows("test")[11])
    scores[other, 1] = 0.4 if planted.truth[other, 1] else 0.6
    plant_model(planted, "a", scores)

    summary = run("evaluate", planted.workspace, **FAST)

    found = content_of(planted, summary, "mistakes.json")
    assert (found["model"], found["part"]) == ("a", "test")
    assert [(one["item_id"], one["class_name"]) for one in found["mistakes"]] == [
        (planted.item_ids[row], planted.classes[0]),
        (planted.item_ids[other], planted.classes[1]),
    ]
    worst = found["mistakes"][0]
    assert worst["kind"] == ("missed" if planted.truth[row, column] else "false alarm")
    assert (worst["path"], worst["threshold"]) == (f"/photos/{row:04d}.jpg", 0.5)


def test_the_same_again_computes_nothing_and_writes_nothing(planted: Planted) -> None:
    plant_model(planted, "a", noisy(planted.truth, 0.1))
    first = run("evaluate", planted.workspace, **FAST)
    rows, files = dump(planted.workspace), file_hashes(planted.workspace)

    second = run("evaluate", planted.workspace, **FAST)

    assert (second.run_id, second.n_written, second.n_skipped) == (first.run_id, 0, first.n_selected)
    assert second.extra == first.extra
    assert (dump(planted.workspace), file_hashes(planted.workspace)) == (rows, files)


@pytest.mark.parametrize("what", ["labels", "scores", "split"])
def test_whatever_it_reads_makes_a_new_run(what: str, planted: Planted) -> None:
    plant_model(planted, "a", noisy(planted.truth, 0.1))
    first = run("evaluate", planted.workspace, **FAST)

    if what == "labels":
        relabel(planted, (1 - planted.truth).astype(np.int8))
    with Catalog(planted.workspace) as catalog:
        if what == "scores":
            write_scores(catalog, planted, _scores_id(planted, "a"), noisy(planted.truth, 0.5, 3), "predict again")
        if what == "split":
            turned = ["val" if part == "test" else "test" if part == "val" else part for part in planted.parts]
            write_parts(catalog, planted, "split1", turned, name="turned")
    second = run("evaluate", planted.workspace, split="turned" if what == "split" else None, **FAST)

    assert second.run_id != first.run_id
    assert second.extra["metrics"] != first.extra["metrics"]


def _scores_id(planted: Planted, name: str) -> str:
    from mekiki.catalog.decided import read_model

    with Catalog(planted.workspace) as catalog:
        return read_model(catalog, name).card.scores_id


def test_without_scores_it_says_what_to_type(planted: Planted) -> None:
    plant_model(planted, "a", None)

    for models in (["a"], []):
        with pytest.raises(DataError, match=rf"mekiki predict a -w {planted.workspace}$"):
            run("evaluate", planted.workspace, models=models)


def test_models_without_scores_are_left_out_unless_named(planted: Planted) -> None:
    plant_model(planted, "a", noisy(planted.truth, 0.1))
    plant_model(planted, "b", None)

    assert list(run("evaluate", planted.workspace, **FAST).extra["metrics"]) == ["a"]
    with pytest.raises(DataError, match="mekiki predict b"):
        run("evaluate", planted.workspace, models=["a", "b"], **FAST)


def test_wrong_names_are_refused_with_the_nearest(planted: Planted) -> None:
    plant_model(planted, "resnet", noisy(planted.truth, 0.1))

    for settings, message in (
        ({"models": ["resnt"]}, "no model is called 'resnt'. Did you mean 'resnet'"),
        ({"against": "resnt"}, "no model is called 'resnt'. Did you mean 'resnet'"),
        ({"models": ["resnet", "resnet"]}, "'resnet' is given twice"),
        ({"part": "tset"}, "no part is called 'tset'. Did you mean 'test'"),
        ({"choose_on": "vall"}, "no part .* is called 'vall'. Did you mean 'val'"),
        ({"choose_on": "test"}, "never on test"),
        ({"split": "defalt"}, "no split is called 'defalt'. Did you mean 'default'"),
        ({"metric": "micro_f"}, "Did you mean 'micro_f1'"),
        ({"gate": {"micro-f1": 0.5}}, "no metric is called 'micro-f1'. Did you mean 'micro_f1'"),
    ):
        with pytest.raises(UsageError, match=message):
            run("evaluate", planted.workspace, **settings)


def test_a_part_without_labels_is_refused(workspace: Path) -> None:
    truth = some_truth(60)
    truth[40:] = -1
    planted = plant(workspace, truth)
    plant_model(planted, "a", noisy(some_truth(60), 0.1))

    with pytest.raises(DataError, match=r"no picture of part 'test' is labelled.*mekiki annotate"):
        run("evaluate", workspace)


def test_a_gate_passes_only_if_the_lower_bound_lies_above_it(planted: Planted) -> None:
    plant_model(planted, "a", noisy(planted.truth, 0.1))
    figure = run("evaluate", planted.workspace, **FAST).extra["metrics"]["a"]["micro_f1"]
    between = (figure["low"] + figure["value"]) / 2

    passed = run("evaluate", planted.workspace, gate={"micro_f1": figure["low"] - 0.01}, **FAST)
    refused = run("evaluate", planted.workspace, gate={"micro_f1": between}, **FAST)

    assert "refusal" not in passed.extra
    assert "'a' does not pass: micro_f1 is " in refused.extra["refusal"]
    assert f"lower end must lie above {between:g}" in refused.extra["refusal"]


@pytest.mark.parametrize("metric", ["micro_precision", "micro_f1", "macro_recall", "macro_ap"])
def test_no_gate_passes_on_a_class_in_few_of_many_groups(metric: str, workspace: Path) -> None:
    planted = plant(workspace, (np.arange(480) % 20 == 0).astype(np.int8)[:, None], classes=("fox",))
    plant_model(planted, "a", noisy(planted.truth, 0.0))

    summary = run("evaluate", workspace, gate={metric: 0.1}, **FAST)

    assert "rests on too few groups to be believed" in summary.extra["refusal"]


def test_no_gate_passes_on_few_groups(workspace: Path) -> None:
    planted = plant(workspace, some_truth(60))
    plant_model(planted, "a", planted.truth)

    summary = run("evaluate", workspace, gate={"micro_f1": 0.1}, **FAST)

    assert "too few groups" in summary.extra["refusal"]


def test_a_refused_gate_is_exit_4_also_the_second_time(planted: Planted, capsys: pytest.CaptureFixture[str]) -> None:
    plant_model(planted, "a", noisy(planted.truth, 0.3))
    words = ["evaluate", "a", "-w", str(planted.workspace), "--gate", "micro_f1=0.99", "--resamples", "200", "--json"]

    codes = [main([*words, "-q"]) for _ in range(2)]

    assert codes == [4, 4]
    out, err = capsys.readouterr()
    assert json.loads(out.splitlines()[0])["metrics"]["a"]["micro_f1"]["value"] < 0.99
    assert err.count("mekiki: 'a' does not pass") == 2


def test_no_gate_passes_on_pictures_that_were_trained_on(planted: Planted) -> None:
    plant_model(planted, "a", planted.truth)

    summary = run("evaluate", planted.workspace, part="train", gate={"micro_f1": 0.1}, **FAST)

    assert "trained on part 'train'" in summary.extra["refusal"]
    assert any("its figures there flatter it" in note for note in summary.notes)


def test_no_gate_passes_where_thresholds_or_weights_were_found(planted: Planted) -> None:
    plant_model(planted, "a", noisy(planted.truth, 0.05, 1))
    plant_model(planted, "b", noisy(planted.truth, 0.05, 2))
    run("tune", planted.workspace, model="a", **FAST)
    run("ensemble", planted.workspace, models=["a", "b"], method="greedy")

    for name, word in (("a-tuned", "thresholds were tuned"), ("ensemble", "weights were searched")):
        summary = run("evaluate", planted.workspace, models=[name], part="val", gate={"micro_f1": 0.1}, **FAST)

        assert f"its {word} on part 'val'" in summary.extra["refusal"]


def test_a_gate_passes_where_another_split_has_a_part_of_that_name(planted: Planted) -> None:
    """What was tuned on is told by the pictures, and not by what their part is called."""
    plant_model(planted, "a", noisy(planted.truth, 0.02))
    turned = [{"val": "test", "test": "val"}.get(part, part) for part in planted.parts]
    with Catalog(planted.workspace) as catalog:
        write_parts(catalog, planted, "split1", turned, name="turned")
    run("tune", planted.workspace, model="a", **FAST)

    ours = run("evaluate", planted.workspace, models=["a-tuned"], gate={"micro_f1": 0.1}, **FAST)
    on_val = run(
        "evaluate", planted.workspace, models=["a-tuned"], split="turned", part="val", gate={"micro_f1": 0.1}, **FAST
    )
    on_test = run("evaluate", planted.workspace, models=["a-tuned"], split="turned", gate={"micro_f1": 0.1}, **FAST)

    assert "refusal" not in ours.extra
    assert "refusal" not in on_val.extra
    assert "its thresholds were tuned on 80 of its 80 pictures" in on_test.extra["refusal"]


def test_no_gate_passes_on_what_a_member_was_calibrated_on(planted: Planted) -> None:
    for number, name in enumerate(("a", "b")):
        plant_model(planted, name, noisy(planted.truth, 0.05, number))
    run("tune", planted.workspace, model="a", calibrate="temperature", **FAST)
    run("ensemble", planted.workspace, models=["a-tuned", "b"])

    summary = run("evaluate", planted.workspace, models=["ensemble"], part="val", gate={"micro_f1": 0.1}, **FAST)

    assert "members of it were calibrated on part 'val'" in summary.extra["refusal"]


def test_no_gate_passes_where_nobody_knows_what_was_trained_on(planted: Planted) -> None:
    plant_model(planted, "a", planted.truth, split={})

    summary = run("evaluate", planted.workspace, models=["a"], gate={"micro_f1": 0.1}, **FAST)

    assert "nobody knows what it was trained on" in summary.extra["refusal"]


def test_weights_bring_what_they_were_trained_on(planted: Planted) -> None:
    """Trained on a split, from weights that saw that split's test pictures: it must not be measured there."""
    origins = {"origins": [{"split": "split1", "part": "train"}]}
    turned = [{"train": "test", "test": "train"}.get(part, part) for part in planted.parts]
    with Catalog(planted.workspace) as catalog:
        write_parts(catalog, planted, "split1", turned, name="turned")
    plant_model(planted, "child", noisy(planted.truth, 0.1), settings=origins)

    with pytest.raises(DataError, match=r"'child' was trained on 80 of 80 pictures of part 'test'.*started from"):
        run("evaluate", planted.workspace, models=["child"], split="default", **FAST)


def test_a_model_that_nobody_named_is_left_out_if_its_figures_would_lie(planted: Planted) -> None:
    turned = [{"train": "test", "test": "train"}.get(part, part) for part in planted.parts]
    with Catalog(planted.workspace) as catalog:
        write_parts(catalog, planted, "split1", turned, name="turned")
    plant_model(planted, "child", planted.truth, settings={"origins": [{"split": "split1", "part": "train"}]})
    plant_model(planted, "a", noisy(planted.truth, 0.1))

    summary = run("evaluate", planted.workspace, split="default", **FAST)

    assert summary.extra["metrics"].keys() == {"a"}
    assert any(note.startswith("left out: 'child' was trained on 80 of 80") for note in summary.notes)
    with pytest.raises(DataError, match="'child' was trained on 80 of 80"):
        run("evaluate", planted.workspace, models=["a", "child"], split="default", **FAST)


def test_what_is_known_of_one_member_counts_though_nobody_knows_of_another(planted: Planted) -> None:
    plant_model(planted, "known", noisy(planted.truth, 0.1, 1))
    plant_model(planted, "foreign", noisy(planted.truth, 0.1, 2), split={})
    run("ensemble", planted.workspace, models=["foreign", "known"])

    summary = run("evaluate", planted.workspace, models=["ensemble"], part="train", gate={"micro_f1": 0.1}, **FAST)

    assert "it was trained on part 'train'; nobody knows" in summary.extra["refusal"]
    note = next(note for note in summary.notes if "flatter it" in note)
    assert "'ensemble' was trained on the pictures of part 'train'" in note
    assert "nobody knows what 'ensemble' was trained on" in note


def test_a_picture_counts_as_seen_if_one_that_belongs_with_it_was_trained_on(planted: Planted) -> None:
    """By an earlier split, the first picture of each pair of the test part was trained on."""
    plant_model(planted, "a", noisy(planted.truth, 0.1), split={"run_id": "split1"})
    halved = ["later" if part == "test" and row % 2 else part for row, part in enumerate(planted.parts)]
    halved = [{"train": "test", "test": "train"}.get(part, part) for part in halved]
    with Catalog(planted.workspace) as catalog:
        write_parts(catalog, planted, "split1", halved, name="halved")

    with pytest.raises(DataError, match="'a' was trained on 80 of 80 pictures of part 'test'"):
        run("evaluate", planted.workspace, models=["a"], split="default", **FAST)


def test_another_split_is_refused_if_the_model_was_trained_on_its_test_pictures(planted: Planted) -> None:
    plant_model(planted, "a", noisy(planted.truth, 0.1))
    mixed = list(np.roll(np.asarray(planted.parts), 8))
    with Catalog(planted.workspace) as catalog:
        write_parts(catalog, planted, "split1", mixed, name="other")

    with pytest.raises(DataError, match=r"'a' was trained on \d+ of 80 pictures of part 'test'.*figures would lie"):
        run("evaluate", planted.workspace, models=["a"], split="other", **FAST)


def test_a_split_that_only_adds_pictures_to_test_is_allowed(workspace: Path) -> None:
    planted = plant(workspace, some_truth(240), {"train": 0.3, "val": 0.3, "test": 0.2, "later": 0.2})
    plant_model(planted, "a", noisy(planted.truth, 0.1))
    with Catalog(workspace) as catalog:
        write_parts(catalog, planted, "split1", [part.replace("later", "test") for part in planted.parts])

    summary = run("evaluate", workspace, models=["a"], split="default", **FAST)

    assert summary.n_selected == 240 * 0.4


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param({"split": {}}, id="no split"),
        pytest.param({"settings": {"epochs": 0, "head_epochs": 0}}, id="weights taken over as they are"),
    ],
)
def test_a_model_of_unknown_training_is_measured_and_that_is_said(fields: dict[str, Any], planted: Planted) -> None:
    plant_model(planted, "a", noisy(planted.truth, 0.1), **fields)

    summary = run("evaluate", planted.workspace, models=["a"], **FAST)

    assert any("nobody knows what 'a' was trained on" in note for note in summary.notes)


def test_a_model_whose_split_is_gone_needs_another(planted: Planted) -> None:
    plant_model(planted, "a", noisy(planted.truth, 0.1), split={"run_id": "gone"})

    with pytest.raises(DataError, match=r"run gone.*--split NAME"):
        run("evaluate", planted.workspace, models=["a"], **FAST)
    assert run("evaluate", planted.workspace, models=["a"], split="default", **FAST).n_selected == 80


def test_models_of_different_splits_need_a_word_from_the_user(planted: Planted) -> None:
    with Catalog(planted.workspace) as catalog:
        write_parts(catalog, planted, "split1", planted.parts, name="other")
    plant_model(planted, "a", noisy(planted.truth, 0.1))
    plant_model(planted, "b", noisy(planted.truth, 0.1), split={"run_id": "split1"})

    with pytest.raises(DataError, match=r"different splits.*--split NAME.*default, other"):
        run("evaluate", planted.workspace, models=["a", "b"], **FAST)
    assert run("evaluate", planted.workspace, models=["a", "b"], split="other", **FAST).n_selected == 80


def test_models_with_other_classes_are_not_compared(planted: Planted) -> None:
    plant_model(planted, "a", noisy(planted.truth, 0.1))
    plant_model(planted, "b", None, class_names=planted.classes[::-1])

    with pytest.raises(DataError, match="'a' and 'b' have other classes"):
        run("evaluate", planted.workspace, models=["a", "b"], **FAST)


def test_models_that_share_a_name_are_told_apart_by_id(planted: Planted) -> None:
    first = plant_model(planted, "a", noisy(planted.truth, 0.1), metrics={"best_epoch": 1})
    second = plant_model(planted, "a", None, metrics={"best_epoch": 2})

    summary = run("evaluate", planted.workspace, models=[first.model_id, second.model_id], **FAST)

    assert set(summary.extra["metrics"]) == {f"a ({one.model_id[:8]})" for one in (first, second)}


def test_a_softmax_network_is_judged_by_its_highest_score(workspace: Path) -> None:
    truth = np.zeros((120, 3), np.int8)
    truth[np.arange(120), np.arange(120) // 2 % 3] = 1
    planted = plant(workspace, truth)
    scores = np.where(truth == 1, 0.4, 0.3)  # all below 0.5, the right one highest
    scores[planted.rows("test")[0]] = np.roll(scores[planted.rows("test")[0]], 1)
    plant_model(planted, "a", scores, activation="softmax")

    summary = run("evaluate", workspace, **FAST)

    content = content_of(planted, summary)
    assert summary.extra["metrics"]["a"]["accuracy"]["value"] == pytest.approx(39 / 40, abs=1e-6)
    assert content["models"][0]["decides_by"] == "highest score"
    mistakes = content_of(planted, summary, "mistakes.json")["mistakes"]
    assert sorted(one["kind"] for one in mistakes) == ["false alarm", "missed"]
    assert all(one["threshold"] == pytest.approx(0.3 if one["kind"] == "false alarm" else 0.4) for one in mistakes)


def test_tuned_thresholds_of_a_softmax_network_are_compared_with_its_highest_score(workspace: Path) -> None:
    truth = np.zeros((240, 3), np.int8)
    truth[np.arange(240), np.arange(240) // 2 % 3] = 1
    planted = plant(workspace, truth)
    plant_model(planted, "a", np.where(truth == 1, 0.4, 0.3), activation="softmax")
    tuned = run("tune", workspace, model="a", **FAST)

    summary = run("evaluate", workspace, models=["a-tuned"], **FAST)

    half = content_of(planted, summary)["models"][0]["half"]["test"]
    assert half["metrics"]["micro_f1"]["value"] == 1  # at 0.5 it would be 0
    assert half["gain"]["micro_f1"]["value"] == 0
    assert any(note.startswith("against the highest score, cross-fitted: micro-F1 +0.000") for note in tuned.notes)


def test_models_tuned_on_the_choosing_part_are_chosen_by_their_cross_fitted_figures(workspace: Path) -> None:
    planted = plant(workspace, some_truth(240))
    plant_model(planted, "a", np.random.default_rng(3).random(planted.truth.shape))  # thresholds can only flatter it
    tuning = run("tune", workspace, model="a", **FAST)
    honest = json.loads((workspace / tuning.outputs["tuning.json"]).read_text())["cross_fitted"]["micro_f1"]["value"]

    content = content_of(planted, run("evaluate", workspace, **FAST))

    plain, tuned = content["models"]
    in_sample = plain["parts"]["val"]["micro_f1"]["value"]
    assert plain["choice"] == {"value": in_sample, "is_cross_fitted": False, "flattered_by": []}
    assert tuned["choice"] == {"value": honest, "is_cross_fitted": True, "flattered_by": []}
    assert tuned["parts"]["val"]["micro_f1"]["value"] != honest


def test_it_writes_no_row_but_its_run(planted: Planted) -> None:
    plant_model(planted, "a", noisy(planted.truth, 0.1))
    before = dump(planted.workspace)

    run("evaluate", planted.workspace, **FAST)

    after = dump(planted.workspace)
    assert [name for name in after if after[name] != before[name] and name != "sqlite_sequence"] == ["runs"]
    assert query(planted.workspace, "SELECT count(*) FROM runs WHERE stage = 'evaluate'") == [(1,)]


def test_a_model_that_nobody_asked_about_anything_stands_in_nobodys_way(planted: Planted) -> None:
    plant_model(planted, "a", noisy(planted.truth, 0.1))
    plant_model(planted, "one-class", None, class_names=planted.classes[:1])

    summary = run("evaluate", planted.workspace, **FAST)

    assert list(summary.extra["metrics"]) == ["a"]


def test_a_calibration_is_compared_with_the_scores_before_it(planted: Planted) -> None:
    """Calibrated scores at 0.5 would be a bad model that nobody has, and tuning would seem to gain over it."""
    scores = np.where(planted.truth == 1, 0.8, 0.2)
    plant_model(planted, "a", scores)
    hot = Calibration(method="temperature", temperatures=(1.0,) * len(planted.classes))
    flat = Calibration(method="isotonic", knots=(((0.0, 1.0), (0.0, 0.1)),) * len(planted.classes))
    for name, calibration in (("hot", hot), ("flat", flat)):
        plant_model(planted, name, scores, calibration=calibration, thresholds=(0.05,) * len(planted.classes))

    summary = run("evaluate", planted.workspace, **FAST)

    for one in content_of(planted, summary)["models"]:
        if one["half"] is not None:
            assert one["half"]["test"]["metrics"]["micro_f1"]["value"] == 1.0, one["name"]


def test_a_models_damaged_file_is_said_with_what_to_do(planted: Planted) -> None:
    row = plant_model(planted, "a", noisy(planted.truth, 0.1))
    row.path.write_bytes(b"no model")

    with pytest.raises(BackendError, match=r"the file of model 'a' cannot be used: .* mekiki forget"):
        run("evaluate", planted.workspace, models=["a"], **FAST)
