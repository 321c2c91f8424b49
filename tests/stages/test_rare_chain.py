"""The counts of the recipe rare-objects: what one step keeps comes into the next, down to the rows in the database."""

from __future__ import annotations

from pathlib import Path

import pytest

from mekiki.api.recipes import RecipeOptions, plan_recipe, read_recipe, run_recipe
from mekiki.catalog.db import Catalog
from mekiki.catalog.mining import require_mining
from mekiki.records import RunSummary, Tally
from objects import boxes_of, write_scene
from workspaces import query, run

N_PICTURES = 30
CHANGES = {
    "detect.detector": "blobs",
    "detect.padding": 10,
    "detect.keep": 2,
    "embed.embedder": "colour-layout",
    "embed.keywords": ["truck"],
    "embed.top_up_share": 0.7,
    "mine.keep": "share:0.6",
    "mine.at_most_alike": 1,
    "map.method": "pca",
    "caption.captioner": "class-name",
}
BREAKS_BEFORE = {"detect": "00.png", "embed": "01.png"}
"""Step to the picture that goes bad before it."""


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, RunSummary]]:
    """The workspace, and step to its summary."""
    folder = tmp_path_factory.mktemp("chain")
    for number in range(N_PICTURES):
        write_scene(folder / "in" / f"{number:02d}.png", boxes_of(number), tint=number)
    summaries = {}
    for step in plan_recipe(
        read_recipe("rare-objects"), RecipeOptions(paths=[folder / "in"], changes=CHANGES, skip=["report"])
    ):
        if step.stage in BREAKS_BEFORE:
            (folder / "in" / BREAKS_BEFORE[step.stage]).write_bytes(b"gone bad")
        summaries[step.stage] = run(step.stage, folder / "ws", **step.values)
    return folder / "ws", summaries


def tallies(chain: tuple[Path, dict[str, RunSummary]]) -> dict[str, Tally]:
    return {
        one["step"]: Tally.from_json(one) for summary in chain[1].values() for one in summary.extra.get("counts", [])
    }


STEPS = [
    ("sampling", "pictures", "detection"),
    ("keep best", "boxes", "crops"),
    ("crops", "crops", "early filter"),
    ("crops", "crops", "vectors"),
    ("vectors", "crops", "rule of knn"),
    ("vectors", "crops", "selection"),
    ("selection", "crops", "diversity"),
    ("vectors", "vectors", "map"),
    ("map", "points", "pictures of the map"),
    ("vectors", "objects", "describing"),
    ("diversity", "objects", "final outliers"),
    ("vectors", "objects", "pictures written"),
]
"""A step, what it keeps, and a step that begins with that."""


@pytest.mark.parametrize(("before", "unit", "after"), STEPS)
def test_what_a_step_keeps_comes_into_the_next(
    chain: tuple[Path, dict[str, RunSummary]], before: str, unit: str, after: str
) -> None:
    found = tallies(chain)

    assert found[after].n_in == found[before].n_kept > 0
    assert found[after].unit == unit


def test_every_step_of_the_recipe_is_in_the_chain_and_some_lose_and_fail(
    chain: tuple[Path, dict[str, RunSummary]],
) -> None:
    found = tallies(chain)

    assert found.keys() == {step for before, _, after in STEPS for step in (before, after)}
    losing = {step for step, one in found.items() if one.n_dropped}
    assert losing >= {"keep best", "crops", "early filter", "vectors", "selection", "diversity", "describing"}
    assert (found["detection"].n_failed, found["vectors"].n_failed) == (1, 1)


def test_what_is_kept_stands_in_the_database(chain: tuple[Path, dict[str, RunSummary]]) -> None:
    workspace, summaries = chain
    found = tallies(chain)

    def rows(sql: str, stage: str) -> int:
        return int(query(workspace, sql, summaries[stage].run_id)[0][0])

    assert found["sampling"].n_in == query(workspace, "SELECT count(*) FROM items WHERE kind = 'image'")[0][0]
    assert found["detection"].n_kept == rows("SELECT count(*) FROM done WHERE run_id = ?", "detect")
    assert found["detection"].n_failed == rows("SELECT count(*) FROM failures WHERE run_id = ?", "detect")
    assert found["keep best"].n_kept == rows("SELECT count(*) FROM boxes WHERE run_id = ?", "detect")
    assert found["crops"].n_kept == rows("SELECT count(*) FROM made WHERE run_id = ?", "detect")
    assert found["crops"].n_kept == query(workspace, "SELECT count(*) FROM items WHERE kind = 'crop'")[0][0]
    assert found["early filter"].n_kept == summaries["embed"].n_selected
    assert found["vectors"].n_kept == rows("SELECT count(*) FROM vectors WHERE run_id = ?", "embed")
    assert found["vectors"].n_failed == rows("SELECT count(*) FROM failures WHERE run_id = ?", "embed")
    assert found["selection"].n_in == rows(
        "SELECT count(*) FROM rarity WHERE run_id = ? AND scorer = 'combined'", "mine"
    )
    with Catalog(workspace) as catalog:
        assert found["diversity"].n_kept == len(require_mining(catalog).selected)
    described = found["describing"]
    captions = rows("SELECT count(*) FROM captions WHERE run_id = ?", "caption")
    assert described.n_kept + described.n_dropped == captions


def test_photos_without_any_object_go_through_the_whole_recipe(tmp_path: Path) -> None:
    for number in range(3):
        write_scene(tmp_path / "in" / f"{number}.png", [], tint=number)
    changes = {name: CHANGES[name] for name in ("detect.detector", "embed.embedder", "map.method", "caption.captioner")}

    summaries = run_recipe("rare-objects", tmp_path / "ws", RecipeOptions(paths=[tmp_path / "in"], changes=changes))

    assert [one.stage for one in summaries] == [step.stage for step in read_recipe("rare-objects")]
    notes = {one.stage: one.notes for one in summaries}
    assert any(note.startswith("the map is empty") for note in notes["map"])
