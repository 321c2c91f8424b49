"""The examples run on small made-up pictures and say what they should."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as PillowImage

from videos import RECIPES, make_video
from workspaces import scene, write_photo, write_text

EXAMPLES = Path(__file__).parents[1] / "examples"


def run_example(name: str, *words: Path | str) -> tuple[int, str, str]:
    """Return exit code, stdout and stderr of an example."""
    done = subprocess.run(
        [sys.executable, EXAMPLES / name, *map(str, words)], capture_output=True, text=True, timeout=120, check=False
    )
    return done.returncode, done.stdout, done.stderr


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Eight pictures that have nothing in common, and a mirrored copy of the third."""
    folder = tmp_path / "photos"
    for number in range(8):
        write_photo(folder / f"{number}.jpg", number)
    PillowImage.fromarray(np.ascontiguousarray(scene(2)[:, ::-1])).save(folder / "mirrored.jpg", quality=70)
    return folder


def test_every_example_is_tested_here() -> None:
    tested = Path(__file__).read_text()

    for path in EXAMPLES.glob("*.py"):
        assert f'"{path.name}"' in tested


def test_a_folder_is_split(photos: Path, tmp_path: Path) -> None:
    make_video(photos / "clip.mp4", RECIPES["h264-mp4"])
    write_text(photos / "broken.jpg", "no picture")
    rows = [f"{number}.jpg,{'fox' if number % 2 else 'hare'}" for number in range(8)]
    write_text(photos / "labels.csv", "\n".join(["filepath,labels", *rows, ""]))

    code, out, _ = run_example("split_a_folder.py", photos, tmp_path / "ws")

    assert code == 0
    assert "broken.jpg: wrongly named" in out
    assert "2 of them near-duplicates" in out
    assert "leak-free: True" in out
    assert (tmp_path / "ws/exports/csv/labels.csv").is_file()
    assert (tmp_path / "ws/reports/report.html").is_file()


def test_a_folder_with_too_little_says_what_to_do(tmp_path: Path) -> None:
    write_photo(tmp_path / "photos/one.jpg", 1)

    code, out, _ = run_example("split_a_folder.py", tmp_path / "photos", tmp_path / "ws")

    assert code == 4
    assert "2 parts need 2 atoms or more" in out


@pytest.mark.parametrize(
    ("part", "expected"), [pytest.param("train", 0, id="clean"), pytest.param("test", 1, id="mirrored on both sides")]
)
def test_a_split_is_checked(photos: Path, part: str, expected: int) -> None:
    rows = [f"{number}.jpg,{'train' if number < 6 else 'test'}" for number in range(8)]
    write_text(photos / "split.csv", "\n".join(["filepath,part", *rows, f"mirrored.jpg,{part}", ""]))

    code, out, _ = run_example("check_my_split.py", photos)

    assert code == expected
    assert f"near-duplicate: {expected} groups in more than one part" in out
    assert not (photos / "mekiki.db").exists()


def test_duplicates_are_found(photos: Path) -> None:
    write_text(photos / "broken.jpg", "no picture")

    code, out, err = run_example("find_duplicates.py", photos)

    assert (code, out.split()) == (0, ["2.jpg", "mirrored.jpg"])
    assert "broken.jpg" in err


def test_an_empty_folder_has_no_duplicates(tmp_path: Path) -> None:
    assert run_example("find_duplicates.py", tmp_path) == (0, "", "")


@pytest.mark.parametrize("name", ["split_a_folder.py", "check_my_split.py", "find_duplicates.py"])
def test_without_a_folder_an_example_says_how_to_use_it(name: str) -> None:
    code, _, err = run_example(name)

    assert code == 1
    assert f"Usage: python examples/{name} FOLDER" in err
