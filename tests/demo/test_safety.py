"""The two folders of the safety demo hold every photo of a world, each where it belongs."""

from __future__ import annotations

from pathlib import Path

from mekiki.api.recipes import read_recipe
from mekiki.demo.recipes import adapt_safety_steps
from mekiki.demo.safety import DANGER, SafetyWorld, make_safety_world
from mekiki.demo.settings import WorldSettings
from mekiki.demo.world import read_truth

SMALL = WorldSettings(n_clips=1, n_stills=20, n_planted=0, width_px=64)


def test_photos_with_snow_are_in_the_unsafe_folder(tmp_path: Path) -> None:
    made = make_safety_world(tmp_path, SMALL)

    photos = [file for file in read_truth(tmp_path / "drawn").files if not file.filepath.endswith(".MP4")]
    unsafe = {file.filepath.replace("/", "_") for file in photos if file.season == DANGER}
    assert {path.name for path in (made.folder / "unsafe").iterdir()} == unsafe
    assert len(list((made.folder / "safe").iterdir())) == made.n_safe == 20 - len(unsafe)
    assert made.n_unsafe == len(unsafe) > 0


def test_making_it_again_changes_nothing(tmp_path: Path) -> None:
    made = make_safety_world(tmp_path, SMALL)
    before = {path: path.read_bytes() for path in made.folder.rglob("*") if path.is_file()}

    again = make_safety_world(tmp_path, SMALL)

    assert again == made
    assert {path: path.read_bytes() for path in made.folder.rglob("*") if path.is_file()} == before


def test_the_recipe_blurs_pictures_and_the_demo_shows_its_harmless_ones(tmp_path: Path) -> None:
    steps = read_recipe("safety")

    adapted = adapt_safety_steps(steps, SafetyWorld(tmp_path, 1, 1, 0))

    assert [dict(one[-1].values) for one in (steps, adapted)] == [{"pictures": "blurred"}, {"pictures": "shown"}]
