"""Stage ``mine``: what is rare comes first, all counts add up, and what it cannot do it says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from detections import cloud_with_strangers, mined_street, store_detections, street
from mekiki.api.recipes import run_recipe
from mekiki.catalog.db import Catalog
from mekiki.catalog.mining import COMBINED, Mining, find_mining, read_rarity, require_mining
from mekiki.cli.main import main
from mekiki.errors import BackendError, DataError, UsageError
from mekiki.rarity.base import SCORERS
from mekiki.records import RunSummary, Tally
from vectors import space_of, store_vectors
from workspaces import counts, ingest, make_photos, query, run, write_text

N = 40
CARS = ["car"] * N


def found_by(workspace: Path) -> Mining:
    with Catalog(workspace) as catalog:
        return require_mining(catalog)


def chosen(workspace: Path) -> list[str]:
    return [one.item_id for one in found_by(workspace).selected]


def tallies(summary: RunSummary) -> dict[str, Tally]:
    return {one["step"]: Tally.from_json(one) for one in summary.extra["counts"]}


def test_what_is_unlike_the_rest_is_chosen_first_and_says_why(workspace: Path) -> None:
    crops = mined_street(workspace, CARS, strangers=[7, 23])

    summary = run("mine", workspace, keep="count:2", n_neighbours=3)

    assert set(chosen(workspace)) == {crops[7], crops[23]}
    first = found_by(workspace).selected[0]
    assert (first.rank, first.kept_by, first.why[0][:4]) == (1, ("knn",), "knn:")
    assert counts(summary) == (N, N, 0, 0)
    assert summary.n_rows == 2 * N


def test_a_share_is_kept_and_every_rank_is_told(workspace: Path) -> None:
    crops = mined_street(workspace, CARS, strangers=[5])

    run("mine", workspace)

    mining = found_by(workspace)
    assert [one.rank for one in mining.selected] == [1, 2, 3, 4]
    assert mining.selected[0].item_id == crops[5]
    assert [one.why for one in mining.selected] == [(f"knn: {place} of 40",) for place in ("1st", "2nd", "3rd", "4th")]
    assert mining.class_of == dict.fromkeys(crops, "car")


def test_counts_add_up_at_every_step(workspace: Path) -> None:
    mined_street(workspace, CARS, strangers=[5, 6, 7], missing=range(30, 40))

    summary = run("mine", workspace, keep="count:6", at_most_alike=1, scorers=["knn", "isolation"])

    found = tallies(summary)
    assert list(found) == ["vectors", "rule of knn", "rule of isolation", "selection", "diversity"]
    assert (found["vectors"].n_in, found["vectors"].n_kept, found["vectors"].n_dropped) == (40, 30, 10)
    assert found["rule of knn"].n_in == found["selection"].n_in == found["vectors"].n_kept
    assert found["diversity"].n_in == found["selection"].n_kept
    assert found["diversity"].n_kept == summary.extra["n_chosen"] == len(chosen(workspace))
    assert all(one.line() in summary.notes for one in found.values())


def test_near_copies_are_thinned_out(workspace: Path) -> None:
    crops = street(workspace, CARS)
    vectors = cloud_with_strangers(N, [3, 3, 9])
    vectors[4] = vectors[5] = vectors[3]
    store_vectors(workspace, dict(zip(crops, vectors, strict=True)))

    summary = run("mine", workspace, keep="count:4", n_neighbours=5, at_most_alike=1)

    n_left = len(chosen(workspace))
    together = f"knn kept 4 of 40; together 4 crops, {n_left} of them after near-copies were left out"
    assert together in summary.notes
    alike = {crops[3], crops[4], crops[5]}
    assert len(alike & set(chosen(workspace))) == 1
    assert crops[9] in chosen(workspace)


def test_a_picture_without_a_vector_in_the_middle_shifts_nothing(workspace: Path, tmp_path: Path) -> None:
    names = ["car"] * 20 + ["bus"] + ["car"] * 19
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    crops = mined_street(whole, names, strangers=[20])
    assert mined_street(broken, names, strangers=[20], missing=[13]) == crops

    for one in (whole, broken):
        run("mine", one, keep="count:1", scorers=["knn", "frequency"], combine="intersection")

    assert chosen(whole) == chosen(broken) == [crops[20]]
    assert found_by(broken).class_of[crops[20]] == "bus"
    assert crops[13] not in found_by(broken).class_of
    with Catalog(broken) as catalog:
        scores = read_rarity(catalog, found_by(broken).run_id)
    assert scores["knn"].keys() == scores[COMBINED].keys() == set(crops) - {crops[13]}
    assert scores["knn"][crops[20]] == 1


def test_a_broken_photo_in_the_middle_fails_its_own_crops_and_nobody_elses(workspace: Path, tmp_path: Path) -> None:
    names = ["car", "bus", "truck", "person"] * 5
    whole, broken_photo = tmp_path / "whole", tmp_path / "broken"
    crops = street(whole, names)
    assert street(broken_photo, names) == crops
    (broken_photo / "in" / "01.jpg").write_bytes(b"no picture")
    for one in (whole, broken_photo):
        run("embed", one, embedder="colour-layout", kind="crop")

    summaries = [run("mine", one, n_neighbours=2) for one in (whole, broken_photo)]

    vectors = tallies(summaries[1])["vectors"]
    assert (vectors.n_in, vectors.n_kept, vectors.n_dropped, vectors.n_failed) == (20, 15, 0, 5)
    lost = set(crops[1::4])
    assert found_by(broken_photo).class_of == {
        item_id: name for item_id, name in found_by(whole).class_of.items() if item_id not in lost
    }
    with Catalog(broken_photo) as catalog:
        assert lost.isdisjoint(read_rarity(catalog, summaries[1].run_id)["knn"])


def test_observed_counts_decide_what_is_seldom(workspace: Path) -> None:
    names = ["car"] * 100 + ["person"] * 60 + ["truck"] * 30 + ["bicycle"] * 3
    crops = mined_street(workspace, names)

    summary = run("mine", workspace, preset="seed2", scorers="frequency", rule={"frequency": "count:33"})

    with Catalog(workspace) as catalog:
        scores = read_rarity(catalog, summary.run_id)["frequency"]
    by_class = {name: {scores[crop] for crop, one in zip(crops, names, strict=True) if one == name} for name in names}
    assert all(len(values) == 1 for values in by_class.values())
    bicycle, truck, car, person = (max(by_class[name]) for name in ("bicycle", "truck", "car", "person"))
    assert bicycle > truck > car == person
    told = {one.item_id: one.why for one in found_by(workspace).selected}
    assert told[crops[-1]] == ("frequency: 3 of 193 are bicycle, keyword 'bicycle'",)
    assert set(chosen(workspace)) == set(crops[160:])


def test_the_preset_is_seed_2s_and_what_is_given_wins(workspace: Path) -> None:
    mined_street(workspace, CARS, strangers=[1])

    plain = run("mine", workspace, preset="seed2")
    own = run("mine", workspace, preset="seed2", combine="intersection", rule={"isolation": "count:1"})

    settings = json.loads((workspace / "runs" / plain.run_id / "run.json").read_text())["settings"]
    assert settings["scorers"] == ["isolation", "frequency"]
    assert settings["rule"] == {"isolation": "share:0.1", "frequency": "share:0.3,at-least:50"}
    assert (settings["normalise"], settings["combine"], settings["seed"]) == (False, "union", 42)
    assert "bulldozer" in settings["keywords"]
    assert plain.extra["kept_by"] == {"isolation": 4, "frequency": 40}
    changed = json.loads((workspace / "runs" / own.run_id / "run.json").read_text())["settings"]
    assert changed["combine"] == "intersection"
    assert changed["rule"] == {"isolation": "count:1", "frequency": "share:0.3,at-least:50"}
    assert own.extra["kept_by"]["isolation"] == 1


def test_a_rule_that_keeps_all_says_that_it_chose_nothing(workspace: Path) -> None:
    mined_street(workspace, CARS)

    summary = run("mine", workspace, preset="seed2")

    assert "the rule of frequency, share:0.3,at-least:50, kept all 40: it chose nothing" in summary.notes
    assert not any("isolation, share" in note and "kept all" in note for note in summary.notes)


def test_a_rule_among_things_that_are_equally_rare_says_so(workspace: Path) -> None:
    mined_street(workspace, [*CARS[:30], *["bus"] * 5])

    frequency = run("mine", workspace, scorers="frequency", keep="count:3")
    assert "frequency finds 5 equally rare, and its rule kept 3 of them: their ids decided" in frequency.notes
    alike = run("mine", workspace, scorers=["frequency", "knn"], keep="count:3", class_map="none", kind="crop")
    assert any("5 equally rare" in note and "other scorers and their ids decided" in note for note in alike.notes)
    assert not any("equally rare" in note for note in run("mine", workspace, scorers="knn", keep="count:3").notes)


def test_a_rule_among_equal_scores_says_that_it_chose_nothing(workspace: Path) -> None:
    mined_street(workspace, CARS)

    notes = run("mine", workspace, scorers="frequency", keep="count:3").notes

    assert "all scores of frequency are equal: it chose nothing that means anything" in notes


def test_names_that_count_as_one_are_told(workspace: Path, tmp_path: Path) -> None:
    mined_street(workspace, ["Dirt bike", "dirt_bike", "की", "का"])
    concepts = write_text(tmp_path / "own.txt", "car\nCar\nbus\n")

    notes = run("mine", workspace, scorers="frequency", concepts=str(concepts)).notes

    assert "classes that count as one: Dirt bike, dirt_bike" in notes
    assert "concepts left out as other spellings of one that counts: Car (car)" in notes
    assert set(found_by(workspace).class_of.values()) == {"dirt_bike", "की", "का"}


def test_a_mean_of_ranks_says_so_and_every_scorers_place(workspace: Path) -> None:
    crops = mined_street(workspace, CARS, strangers=[11])

    run("mine", workspace, scorers=["knn", "isolation"], combine="mean-rank", keep="count:1")

    (only,) = found_by(workspace).selected
    assert only.item_id == crops[11]
    assert only.why[:2] == ("mean rank of 2 scorers: 1st of 40", "knn: 1st of 40")
    assert only.why[2].startswith("isolation: ")
    assert only.kept_by == ()


def test_a_second_run_does_nothing_and_counts_as_the_latest(workspace: Path) -> None:
    mined_street(workspace, CARS, strangers=[1])
    first = run("mine", workspace)
    run("mine", workspace, n_neighbours=3)

    again = run("mine", workspace)

    assert (again.run_id, counts(again)) == (first.run_id, (N, 0, N, 0))
    assert found_by(workspace).run_id == first.run_id


def test_new_words_in_a_file_make_a_new_run_and_a_moved_file_does_not(workspace: Path, tmp_path: Path) -> None:
    mined_street(workspace, CARS)
    one = write_text(tmp_path / "one.txt", "car\nbus\n")
    first = run("mine", workspace, concepts=str(one))

    moved = run("mine", workspace, concepts=str(write_text(tmp_path / "two.txt", "car\nbus\n")))
    changed = run("mine", workspace, concepts=str(write_text(one, "car\ntram\n")))

    assert moved.run_id == first.run_id
    assert changed.run_id != first.run_id
    assert found_by(workspace).concepts == ("car", "tram")


def test_a_table_with_the_names_of_a_shipped_one_is_another_since_it_knows_no_phrases(
    workspace: Path, tmp_path: Path
) -> None:
    mined_street(workspace, CARS[:4])
    shipped = run("mine", workspace)
    lines = "".join(f"{name}: {mapped}\n" for name, mapped in found_by(workspace).class_map.table.items())

    own = run("mine", workspace, class_map=str(write_text(tmp_path / "own.yaml", lines)))

    assert own.run_id != shipped.run_id
    assert found_by(workspace).class_map.said_for == {}


def test_the_presets_keywords_are_for_its_scorer_of_frequencies(workspace: Path) -> None:
    mined_street(workspace, CARS, strangers=[1])

    run("mine", workspace, preset="seed2", scorers="isolation")

    assert found_by(workspace).settings["keywords"] == []


def test_other_vectors_under_the_same_run_make_a_new_run(workspace: Path) -> None:
    crops = mined_street(workspace, CARS)
    first = run("mine", workspace)
    again = cloud_with_strangers(N, [4], seed=1)
    store_vectors(workspace, dict(zip(crops, again, strict=True)))

    second = run("mine", workspace)

    assert second.run_id != first.run_id
    assert chosen(workspace)[0] == crops[4]


def test_nothing_detected_is_an_empty_result(workspace: Path) -> None:
    make_photos(workspace, 2)
    photo = query(workspace, "SELECT item_id FROM sources")[0][0]
    store_detections(workspace, {photo: []})

    for scorers in SCORERS.names():
        summary = run("mine", workspace, scorers=scorers)

        assert counts(summary) == (0, 0, 0, 0)
        assert found_by(workspace).selected == ()
        assert summary.extra["counts"][0]["n_in"] == 0
        assert "there is nothing to rank: no crop in the workspace" in summary.notes


def test_frames_that_are_not_there_are_told(workspace: Path) -> None:
    make_photos(workspace, 2)

    assert "there is nothing to rank: no frame in the workspace" in run("mine", workspace, kind="frame").notes


@pytest.mark.parametrize("scorer", sorted(set(SCORERS.names()) - {"unlike-common"}))
@pytest.mark.parametrize("n", [1, 2])
def test_one_or_two_crops_can_be_ranked(workspace: Path, scorer: str, n: int) -> None:
    mined_street(workspace, ["car"] * n)

    summary = run("mine", workspace, scorers=scorer)

    assert counts(summary) == (n, n, 0, 0)
    assert len(chosen(workspace)) == 1


def test_nothing_chosen_is_an_empty_result(workspace: Path) -> None:
    mined_street(workspace, CARS, strangers=[3])

    summary = run("mine", workspace, scorers=["knn", "frequency"], rule={"frequency": "score:1"})
    none = run("mine", workspace, scorers=["frequency"], keep="score:1")

    assert len(found_by(workspace).selected) == none.extra["n_chosen"] == 0
    assert summary.extra["n_chosen"] == 4
    assert any(note.startswith("nothing was chosen") for note in none.notes)


def test_it_says_which_step_is_missing(workspace: Path) -> None:
    make_photos(workspace, 2)
    with pytest.raises(DataError, match=r"nothing has been detected.*mekiki detect"):
        run("mine", workspace)
    photo = query(workspace, "SELECT item_id FROM sources")[0][0]
    store_detections(workspace, {photo: [("car", (0, 0, 9, 9))]})
    with pytest.raises(DataError, match=r"no vectors.*mekiki embed"):
        run("mine", workspace)
    store_vectors(workspace, {photo: np.ones(3, np.float32)})
    with pytest.raises(DataError, match=r"none of 1 items has a vector.*mekiki embed --kind crop"):
        run("mine", workspace)
    run("mine", workspace, kind="image")
    with pytest.raises(DataError, match=r"scorer frequency compares classes.*annotate"):
        run("mine", workspace, kind="image", scorers="frequency")


def test_vectors_of_crops_are_found_behind_later_ones_of_pictures(workspace: Path) -> None:
    crops = mined_street(workspace, CARS, strangers=[2])
    photos = [row[0] for row in query(workspace, "SELECT item_id FROM sources")]
    store_vectors(workspace, dict.fromkeys(photos, np.ones(5, np.float32)), space_of(5, "other", "ff" * 8))

    run("mine", workspace, keep="count:1")

    assert chosen(workspace) == [crops[2]]
    with pytest.raises(DataError, match="has a vector of other"):
        run("mine", workspace, vectors="other")


def test_labels_say_the_classes_of_pictures(workspace: Path, tmp_path: Path) -> None:
    make_photos(workspace, 6)
    rows = "".join(f"{number:02d}.jpg,{'fox' if number == 4 else 'hare'}\n" for number in range(6))
    ingest(workspace, labels=[str(write_text(workspace / "in" / "labels.csv", f"filepath,label\n{rows}"))])
    photos = [row[0] for row in query(workspace, "SELECT item_id FROM sources WHERE path LIKE '%jpg' ORDER BY path")]
    store_vectors(workspace, dict(zip(photos, cloud_with_strangers(6, []), strict=True)))

    run("mine", workspace, kind="image", scorers="frequency", keep="count:1", class_map="none")

    assert set(found_by(workspace).class_of.values()) == {"fox", "hare"}
    assert found_by(workspace).detect_run_id is None


def test_vectors_of_zeros_are_counted_and_not_ranked(workspace: Path) -> None:
    crops = street(workspace, CARS)
    vectors = cloud_with_strangers(N, [1])
    vectors[8] = 0
    store_vectors(workspace, dict(zip(crops, vectors, strict=True)))

    summary = run("mine", workspace)

    assert tallies(summary)["vectors"].n_dropped == 1
    assert "1 are all zeros" in summary.notes[0]
    assert crops[8] not in found_by(workspace).class_of


def test_classes_that_coco_lacks_are_told_and_names_meet(workspace: Path) -> None:
    mined_street(workspace, ["person"] * 20 + ["traffic light"] * 20)

    summary = run("mine", workspace, target_classes=["construction_vehicle", "Traffic Light", "trailer"])

    assert set(found_by(workspace).class_of.values()) == {"pedestrian", "traffic_light"}
    assert set(found_by(workspace).named.values()) == {"person", "traffic light"}
    assert found_by(workspace).target_classes == ("construction_vehicle", "traffic_light", "trailer")
    assert any(
        note.startswith("construction_vehicle, trailer: found nowhere. COCO has no such class")
        for note in summary.notes
    )


def test_a_forgotten_item_is_no_longer_in_the_result(workspace: Path) -> None:
    crops = mined_street(workspace, CARS, strangers=[5])
    run("mine", workspace, keep="count:1")

    assert main(["forget", crops[5], "-w", str(workspace), "-q"]) == 0

    assert chosen(workspace) == []
    assert crops[5] not in found_by(workspace).class_of
    summary = run("mine", workspace, keep="count:1")
    assert tallies(summary)["vectors"].n_in == N - 1
    assert len(chosen(workspace)) == 1


def test_words_need_an_embedder_that_has_them(workspace: Path) -> None:
    crops = street(workspace, CARS)
    space = space_of(16, "colour-layout")
    store_vectors(workspace, dict(zip(crops, cloud_with_strangers(N, []), strict=True)), space)

    with pytest.raises(
        BackendError, match=r"scorer unlike-common compares with words.*mekiki embed --kind crop --embedder clip"
    ):
        run("mine", workspace, scorers="unlike-common")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"scorers": "knnn"}, "no scorer is called 'knnn'. Did you mean 'knn'"),
        ({"kind": "video"}, "kind: input should be 'crop', 'image', 'frame' or 'vector'"),
        ({"kind": []}, "kind names nothing"),
        ({"keep": "some"}, "no rule"),
        ({"keep": "share:0"}, "share"),
        ({"keep": "count:-1"}, "no rule"),
        ({"rule": "knnn=count:1"}, "no scorer is called 'knnn'"),
        ({"rule": "lof=count:1"}, "--rule lof=count:1 does nothing"),
        ({"rule": "isolation=count:1", "preset": "seed2", "scorers": "frequency"}, "--rule isolation=count:1 does"),
        ({"rule": "knn=count:1", "combine": "mean-rank"}, "mean-rank"),
        ({"concepts": "drivin"}, "Did you mean 'driving'"),
        ({"class_map": "gone.csv"}, "there is no class map"),
        ({"preset": "seed3"}, "seed2"),
        ({"scorers": "lof", "n_neighbours": 5}, "--n-neighbours does nothing without --scorers knn"),
        ({"alike_cosine": 0.9}, "--alike-cosine does nothing"),
        ({"keywords": ["zebra"]}, "--keywords does nothing without --scorers frequency"),
        ({"rule": "knn=count:1", "keep": "count:2"}, "--keep does nothing where every scorer has a --rule"),
        ({"kind": "image", "detections": "abcd"}, "--detections says whose crops"),
        ({"detections": "abcdef"}, "no run of detect"),
        ({"vectors": "nobody"}, "no embedder with vectors is called 'nobody'"),
        ({"common_classes": ["!!!"]}, "'!!!' is no name of a class"),
        ({"target_classes": [""]}, "'' is no name of a class"),
        ({"keywords": ["-"], "scorers": "frequency"}, "'-' is no name of a class or keyword"),
        ({"common_classes": [], "scorers": "unlike-common"}, "--common-classes"),
        ({"template": "a photo", "scorers": "unlike-common"}, "template"),
    ],
)
def test_what_cannot_be_done_is_refused_in_one_line(workspace: Path, settings: dict[str, Any], message: str) -> None:
    mined_street(workspace, CARS[:3])

    with pytest.raises(UsageError, match=message) as raised:
        run("mine", workspace, **settings)

    assert "\n" not in str(raised.value)
    with Catalog(workspace) as catalog:
        assert find_mining(catalog) is None


def test_a_recipe_and_the_command_line_say_the_same(workspace: Path, tmp_path: Path) -> None:
    mined_street(workspace, CARS, strangers=[5, 6])
    words = ["mine", "-w", str(workspace), "--scorers", "knn", "--scorers", "isolation", "--rule", "knn=count:1"]

    assert main([*words, "--target-classes", "truck", "--target-classes", "bus", "-q"]) == 0

    recipe = write_text(
        tmp_path / "r.yaml",
        "steps:\n- stage: mine\n  scorers: [knn, isolation]\n  rule: {knn: 'count:1'}\n"
        "  target_classes: [truck, bus]\n",
    )
    (step,) = run_recipe(recipe, workspace)
    assert step.run_id == found_by(workspace).run_id
    assert counts(step) == (N, 0, N, 0)


def test_a_scorer_that_needs_no_vectors_ranks_without_any(workspace: Path) -> None:
    crops = street(workspace, [*["car"] * (N - 1), "bus"])

    summary = run("mine", workspace, scorers="frequency", keep="count:1")

    assert chosen(workspace) == [crops[-1]]
    kept = f"vectors: {N} crops = {N} kept + 0 dropped + 0 failed"
    assert f"{kept} (there are none, and no scorer needs one)" in summary.notes
    assert f"frequency kept 1 of {N}; together 1 crop" in summary.notes
    for settings in ({"scorers": ["frequency", "knn"]}, {"at_most_alike": 3}, {"vectors": "colour-layout"}):
        with pytest.raises(DataError, match=r"no vectors.*mekiki embed"):
            run("mine", workspace, **{"scorers": "frequency", **settings})
    with pytest.raises(DataError, match=r"ranked nothing by vectors.*mekiki embed, then mekiki mine"):
        run("evaluate", workspace, rarity=True, inject=[workspace])


def test_a_name_that_nothing_has_is_told_with_the_nearest(workspace: Path) -> None:
    mined_street(workspace, ["person"] * 20 + ["bicycle"] * 20)

    summary = run(
        "mine", workspace, target_classes=["bicycl", "person", "trailer"], common_classes=["pedestrain", "qqq"]
    )

    said = [note for note in summary.notes if "is of this class" in note]
    assert said == [
        "bicycl: no crop is of this class; did you mean bicycle?",
        "pedestrain: no crop is of this class; did you mean pedestrian?",
        "qqq: no crop is of this class",
    ]


def test_names_that_nobody_gave_are_not_told(workspace: Path) -> None:
    mined_street(workspace, ["zebra"] * N)

    assert not any("is of this class" in note for note in run("mine", workspace, concepts="none").notes)
