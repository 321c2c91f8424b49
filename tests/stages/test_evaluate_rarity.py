"""``evaluate --rarity``: rankings of planted outliers against truth files, shuffled truth, and what is missing."""

from __future__ import annotations

import json
from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mekiki.catalog.db import Catalog
from mekiki.catalog.evaluations import evaluations_of_models
from mekiki.catalog.rarity_metrics import find_rarity_metrics
from mekiki.cli.main import main
from mekiki.errors import DataError, UsageError
from mekiki.records import RunSummary
from piles import PlantedPile, blob_with_outliers, plant_crops, plant_pictures
from workspaces import counts, dump, query, run, write_text

N, N_RARE = 200, 25
FAST: dict[str, Any] = {"rarity": True, "resamples": 200}
SCORERS = ["knn", "isolation", "lof"]


@pytest.fixture
def pile(workspace: Path) -> PlantedPile:
    planted = plant_pictures(workspace, blob_with_outliers(N, N_RARE))
    run("mine", workspace, kind=["image"], scorers=SCORERS)
    return planted


def write_truth(pile: PlantedPile, rare: Collection[int], name: str = "truth.csv") -> Path:
    rows = (f"{one},{int(place in rare)}\n" for place, one in enumerate(pile.names))
    return write_text(pile.workspace.parent / name, "image,rare\n" + "".join(rows))


def content_of(summary: RunSummary, workspace: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((workspace / summary.outputs["rarity_metrics.json"]).read_text())
    return found


def test_planted_outliers_come_first_in_every_ranking(pile: PlantedPile) -> None:
    summary = run("evaluate", pile.workspace, truth=write_truth(pile, range(N_RARE)), **FAST)

    assert list(summary.extra["metrics"]) == [*SCORERS, "combined"]
    for scorer, figures in summary.extra["metrics"].items():
        assert figures["average_precision"]["value"] > (0.97 if scorer == "knn" else 0.9)
        assert figures["average_precision"]["verdict"] == "above chance"
        assert figures["average_precision"]["reliable"] is True
        assert figures["recall_at_2n"]["value"] >= (1 if scorer == "knn" else 0.8)
        assert figures["precision_at_2n"]["value"] == figures["recall_at_2n"]["value"] / 2
        assert figures["recall_at_n"]["chance"] == pytest.approx(N_RARE / N)
    assert counts(summary) == (N, N, 0, 0)
    assert summary.extra["n_rare"] == N_RARE


def test_shuffled_truth_is_at_chance_and_said_to_be(pile: PlantedPile) -> None:
    shuffled = np.random.default_rng(1).permutation(N)[:N_RARE].tolist()

    summary = run("evaluate", pile.workspace, truth=write_truth(pile, shuffled), **FAST)

    figure = summary.extra["metrics"]["knn"]["average_precision"]
    assert figure["low"] < figure["chance"] < figure["high"]
    assert figure["verdict"] == "not above chance"
    (line,) = (note for note in summary.notes if note.startswith("knn:"))
    assert "chance 0.15: not above chance" in line


def test_a_list_of_rare_ones_says_that_all_others_are_common(pile: PlantedPile) -> None:
    listed = write_text(pile.workspace.parent / "rare.txt", "\n".join(pile.names[:N_RARE]))

    by_list = run("evaluate", pile.workspace, truth=listed, **FAST)
    by_table = run("evaluate", pile.workspace, truth=write_truth(pile, range(N_RARE)), **FAST)

    assert by_list.extra["metrics"] == by_table.extra["metrics"]
    assert (by_list.n_selected, by_list.extra["n_items"]) == (N_RARE, N)


def test_what_the_file_does_not_name_is_left_out_and_what_it_leaves_open_is_counted(pile: PlantedPile) -> None:
    rows = "".join(f"{one},{int(place < 5)}\n" for place, one in enumerate(pile.names[:50]))
    rows += "".join(f"{one},\n" for one in pile.names[50:60])
    truth = write_text(pile.workspace.parent / "t.csv", "image,rare\n" + rows)

    summary = run("evaluate", pile.workspace, truth=truth, **FAST)

    assert (summary.extra["n_items"], summary.extra["n_rare"]) == (50, 5)
    assert summary.extra["counts"] == [
        {
            **{"step": "truth", "unit": "pictures", "n_in": 60, "n_kept": 50, "n_dropped": 10, "n_failed": 0},
            "why": "nothing is said of them",
        }
    ]
    assert any("no interval is reliable" in note for note in summary.notes)


def test_an_unknown_path_is_a_failure_and_the_others_are_measured(
    pile: PlantedPile, capsys: pytest.CaptureFixture[str]
) -> None:
    truth = write_truth(pile, range(N_RARE))
    truth.write_text(truth.read_text() + "nobody,1\n0000,0\n")

    code = main(["evaluate", "--rarity", "--truth", str(truth), "--resamples", "100", "-w", str(pile.workspace)])

    assert code == 3
    reasons = [row[0] for row in query(pile.workspace, "SELECT reason FROM failures WHERE stage = 'evaluate'")]
    assert sorted(reason.split(":")[0] for reason in reasons) == ["0000", "nobody"]
    assert "knn: AP" in capsys.readouterr().out
    with Catalog(pile.workspace) as catalog:
        found = find_rarity_metrics(catalog)
    assert found is not None
    assert (found.n_items, found.n_rare) == (N - 1, N_RARE - 1)  # the one on which lines disagree is left out


@pytest.mark.parametrize(
    ("rare", "message"),
    [
        pytest.param((), "none of 200 pictures is rare", id="nothing"),
        pytest.param(range(N), "all of 200 pictures are rare", id="everything"),
    ],
)
def test_a_truth_without_two_sides_is_refused(pile: PlantedPile, rare: Collection[int], message: str) -> None:
    with pytest.raises(DataError, match=message):
        run("evaluate", pile.workspace, truth=write_truth(pile, rare), **FAST)


def test_a_truth_about_other_pictures_says_which_line_was_not_understood(pile: PlantedPile) -> None:
    truth = write_text(pile.workspace.parent / "t.csv", "image,rare\nnobody,1\nno_one,0\n")

    with pytest.raises(DataError, match=r"nothing that mine has ranked.*t\.csv:2: nobody: no picture"):
        run("evaluate", pile.workspace, truth=truth, **FAST)


def test_the_same_question_is_answered_once_and_another_anew(pile: PlantedPile) -> None:
    truth = write_truth(pile, range(N_RARE))

    first = run("evaluate", pile.workspace, truth=truth, **FAST)
    before = dump(pile.workspace)
    again = run("evaluate", pile.workspace, truth=truth, **FAST)
    after = dump(pile.workspace)
    other = run("evaluate", pile.workspace, truth=write_truth(pile, range(N_RARE - 1)), **FAST)

    assert again.run_id == first.run_id
    assert again.extra["metrics"] == first.extra["metrics"]
    assert after == before
    assert other.run_id != first.run_id
    assert {name for name in before if before[name] != dump(pile.workspace)[name]} <= {"runs"}


def test_at_adds_places_to_look_at(pile: PlantedPile) -> None:
    summary = run("evaluate", pile.workspace, truth=write_truth(pile, range(N_RARE)), at=[5, 100], **FAST)

    figures = summary.extra["metrics"]["knn"]
    assert figures["precision_at_5"]["value"] == 1
    assert figures["recall_at_5"]["value"] == pytest.approx(5 / N_RARE)
    assert figures["recall_at_100"]["chance"] == pytest.approx(0.5)


def test_a_gate_takes_the_lower_bound_and_only_a_reliable_one(pile: PlantedPile) -> None:
    truth, few = write_truth(pile, range(N_RARE)), write_truth(pile, range(5), "few.csv")

    passed = run("evaluate", pile.workspace, truth=truth, gate={"average_precision": 0.8}, **FAST)
    failed = run("evaluate", pile.workspace, truth=truth, gate={"knn:recall_at_n": 0.999}, **FAST)
    unsure = run("evaluate", pile.workspace, truth=few, gate={"average_precision": 0.01}, **FAST)

    assert "refusal" not in passed.extra
    assert "recall_at_n of knn is" in failed.extra["refusal"]
    assert "too few groups" in unsure.extra["refusal"]
    words = ["evaluate", "--rarity", "--truth", str(truth), "--gate", "knn:recall_at_n=0.999", "--resamples", "200"]
    assert main([*words, "-w", str(pile.workspace)]) == 4


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        pytest.param({"truth": "t.csv"}, "--truth goes with --rarity", id="truth alone"),
        pytest.param({"rarity": True}, "one of --truth FILE and --inject FOLDER", id="nothing known"),
        pytest.param({"rarity": True, "truth": "t.csv", "inject": ["x"]}, "one of --truth", id="both"),
        pytest.param({"rarity": True, "truth": "t.csv", "part": "test"}, "--part is about models", id="part"),
        pytest.param({"rarity": True, "truth": "t.csv", "repeats": 3}, "--repeats goes with --inject", id="repeats"),
        pytest.param({"rarity": True, "inject": ["x"], "root": "y"}, "--root goes with --truth", id="root"),
        pytest.param({"rarity": True, "inject": ["x"], "resamples": 500}, "--resamples goes with --truth", id="draws"),
        pytest.param({"rarity": True, "truth": "t.csv", "at": [0]}, "--at takes numbers from 1", id="at 0"),
        pytest.param(
            {"rarity": True, "truth": "t.csv", "gate": {"average_precison": 0.1}},
            "Did you mean 'average_precision'",
            id="gate",
        ),
        pytest.param({"rarity": True, "truth": "none.csv"}, "there is no truth file", id="no file"),
    ],
)
def test_what_does_not_go_together_is_refused(pile: PlantedPile, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        run("evaluate", pile.workspace, **settings)


def test_a_scorer_that_was_not_mined_cannot_gate(pile: PlantedPile) -> None:
    with pytest.raises(UsageError, match="Did you mean 'isolation'"):
        run(
            "evaluate",
            pile.workspace,
            truth=write_truth(pile, range(N_RARE)),
            gate={"isolaton:average_precision": 0.1},
            **FAST,
        )


def test_nothing_mined_says_what_to_type(workspace: Path) -> None:
    plant_pictures(workspace, blob_with_outliers(20, 2))

    with pytest.raises(DataError, match="mekiki mine"):
        run("evaluate", workspace, truth=write_text(workspace.parent / "t.csv", "image,rare\n0000,1\n"), **FAST)


def test_figures_of_rankings_are_not_taken_for_those_of_models(pile: PlantedPile) -> None:
    run("evaluate", pile.workspace, truth=write_truth(pile, range(N_RARE)), **FAST)

    summary = run("report", pile.workspace)

    page = (pile.workspace / summary.outputs["report"]).read_text()
    assert "metrics.json" not in page.replace("rarity_metrics.json", "")
    with Catalog(pile.workspace) as catalog:
        assert evaluations_of_models(catalog) == []


def test_crops_of_one_picture_are_drawn_together(workspace: Path) -> None:
    boxes = [[(0.0, 0.0, 20.0, 20.0), (50.0, 50.0, 90.0, 90.0)] for _ in range(60)]
    pile = plant_crops(workspace, boxes, blob_with_outliers(120, 20))
    run("mine", workspace)
    objects = "".join(f"{name},{a},{b},{c},{d}\n" for name in pile.names[:10] for a, b, c, d in boxes[0])
    named = "".join(f"{name},,,,\n" for name in pile.names[10:])
    truth = write_text(workspace.parent / "boxes.csv", f"image,x_min,y_min,x_max,y_max\n{objects}{named}")

    summary = run("evaluate", workspace, truth=truth, **FAST)

    assert (summary.extra["unit"], summary.extra["n_items"], summary.extra["n_rare"]) == ("crops", 120, 20)
    assert (summary.extra["n_groups"], summary.extra["n_rare_groups"]) == (60, 10)
    assert summary.extra["metrics"]["knn"]["average_precision"]["value"] > 0.97
    assert summary.extra["metrics"]["knn"]["average_precision"]["reliable"] is False


def test_objects_that_are_not_detected_or_not_ranked_lower_what_can_be_recalled(workspace: Path) -> None:
    here, there, elsewhere = (0.0, 0.0, 40.0, 40.0), (100.0, 100.0, 140.0, 140.0), (60.0, 60.0, 90.0, 90.0)
    boxes = [[here]] * 20 + [[here, (2.0, 0.0, 42.0, 40.0)]] + [[here]]
    pile = plant_crops(workspace, boxes, blob_with_outliers(22, 3))  # the crop of the last picture has no vector
    run("mine", workspace)
    rows = [(0, here), (1, here), (2, (1.0, 1.0, 41.0, 39.0)), (3, there), (4, elsewhere), (20, here), (21, here)]
    text = "".join(f"{pile.names[place]},{','.join(map(str, box))}\n" for place, box in rows)
    text += "".join(f"{name},,,,\n" for name in pile.names[5:20])
    truth = write_text(workspace.parent / "boxes.csv", f"image,x_min,y_min,x_max,y_max\n{text}")

    summary = run("evaluate", workspace, truth=truth, **FAST)

    extra = summary.extra
    assert (extra["n_rare"], extra["n_not_ranked"], extra["n_second"]) == (7, 3, 1)
    assert extra["n_items"] == 21  # 22 with a vector, less the one that shows what another shows better
    assert extra["metrics"]["knn"]["recall_at_2n"]["value"] <= 4 / 7
    assert any(
        "2 not detected, 1 detected and not ranked" in note and "more than 0.57" in note for note in summary.notes
    )


def test_a_picture_is_as_rare_as_its_rarest_crop_and_last_without_one(workspace: Path) -> None:
    box = (0.0, 0.0, 20.0, 20.0)
    boxes = [[box, (30.0, 30.0, 60.0, 60.0)] for _ in range(30)] + [[], [], []]
    vectors = blob_with_outliers(60, 0)
    odd = [0, 3, 4]  # the first crop of picture 0, the second of 1, the first of 2
    vectors[odd] = np.random.default_rng(3).normal(0, 4, (3, vectors.shape[1]))
    pile = plant_crops(workspace, boxes, vectors, not_looked_at=[32])
    run("mine", workspace)

    summary = run("evaluate", workspace, truth=write_truth(pile, [0, 1, 2]), **FAST)
    missed = run("evaluate", workspace, truth=write_truth(pile, [0, 1, 2, 30], "second.csv"), **FAST)

    assert summary.extra["metrics"]["knn"]["average_precision"]["value"] == 1
    assert (summary.extra["n_items"], summary.extra["n_last"]) == (32, 2)
    assert summary.extra["counts"][0]["why"] == "never looked at by detect or mine"
    assert missed.extra["metrics"]["knn"]["recall_at_n"]["value"] == 0.75
    assert any("2 pictures have no crop" in note for note in summary.notes)


def test_boxes_need_crops(pile: PlantedPile) -> None:
    truth = write_text(pile.workspace.parent / "b.csv", "image,x_min,y_min,x_max,y_max\n0000,1,1,9,9\n0001,,,,\n")

    with pytest.raises(UsageError, match="--kind crop"):
        run("evaluate", pile.workspace, truth=truth, **FAST)


def test_pictures_of_which_no_two_are_tied_are_told(pile: PlantedPile) -> None:
    truth = write_truth(pile, range(N_RARE))
    untied = "no two pictures are tied; if they are frames of a drive, intervals are too narrow: mekiki ingest --labels"

    assert any(note.startswith(untied) for note in run("evaluate", pile.workspace, truth=truth, **FAST).notes)

    with Catalog(pile.workspace) as catalog, catalog.transaction("ingest") as transaction:
        tie = (("burst", one, "drive1", "r") for one in pile.item_ids[:2])
        transaction.upsert("groups", ("kind", "item_id", "key", "run_id"), tie)
    assert not any("tied" in note for note in run("evaluate", pile.workspace, truth=truth, **FAST).notes)
