"""The examples run on small made-up pictures and say what they should."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as PillowImage

import mekiki
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


def test_what_is_unlike_the_others_comes_first(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    for number in range(30):
        pixels = np.full((48, 48, 3), 96, np.uint8) + rng.integers(0, 24, (48, 48, 1), dtype=np.uint8)
        pixels[12:36, 12:36] = (220, 60, 40) if number == 17 else (120, 120, 130)
        (tmp_path / "crops").mkdir(exist_ok=True)
        PillowImage.fromarray(pixels).save(tmp_path / f"crops/{number}.png")
    write_text(tmp_path / "crops/broken.png", "no picture")

    code, out, err = run_example("rank_crops.py", tmp_path / "crops", "3")

    assert code == 0
    assert out.splitlines()[0] == "1. 1.00 (knn 1.00, isolation 1.00)  17.png"
    assert len(out.splitlines()) == 3
    assert "broken.png" in err


def test_an_empty_folder_has_nothing_rare(tmp_path: Path) -> None:
    assert run_example("rank_crops.py", tmp_path) == (0, "", "")


@pytest.fixture
def labelled(tmp_path: Path) -> Path:
    """Forty pictures that have nothing in common but a bright square in the foxes' and a dark one in the hares'."""
    folder = tmp_path / "labelled"
    folder.mkdir()
    rows = ["filepath,labels"]
    for number in range(40):
        pixels = scene(100 + number, 64, 64).copy()
        names = [name for name, is_there in (("fox", number % 2), ("hare", number % 3 == 0)) if is_there]
        pixels[:24, :24] = 255 if "fox" in names else 128
        pixels[-24:, -24:] = 0 if "hare" in names else 128
        PillowImage.fromarray(pixels).save(folder / f"{number}.png")
        rows.append(f"{number}.png,{';'.join(names) or 'unknown'}")
    write_text(folder / "labels.csv", "\n".join([*rows, ""]))
    return folder


@pytest.mark.slow
def test_a_network_is_trained_tuned_and_used_without_its_workspace(labelled: Path, tmp_path: Path) -> None:
    code, out, _ = run_example("train_and_tune.py", labelled, tmp_path / "ws")

    assert code == 0, out
    assert "trained first, best epoch " in out
    assert "fox is decided at " in out
    assert "decided: micro-F1 " in out
    assert "from too few groups to rely on" in out
    assert (tmp_path / "ws/reports/report.html").is_file()

    exported = mekiki.export(tmp_path / "ws", mekiki.ExportSettings(format="onnx", model="decided"))
    write_text(labelled / "broken.png", "no picture")
    graph = tmp_path / "ws" / exported.outputs["model"]
    code, out, err = run_example("score_with_onnx.py", graph, labelled / "1.png", labelled / "broken.png")

    assert code == 0
    assert out.startswith("1.png: ")
    assert "fox 0." in out
    assert "hare 0." in out
    assert "broken.png" in err


def test_too_few_pictures_to_train_on_say_what_to_do(tmp_path: Path) -> None:
    write_photo(tmp_path / "photos/one.jpg", 1)
    write_text(tmp_path / "photos/labels.csv", "filepath,labels\none.jpg,fox\n")

    code, out, _ = run_example("train_and_tune.py", tmp_path / "photos", tmp_path / "ws")

    assert code == 4
    assert "3 parts need 3 atoms or more" in out


def write_scores(path: Path, shift: float) -> Path:
    """Write scores of 120 clips of 3 frames; those of foxes are too high, and those of hares too low, by ``shift``."""
    rng = np.random.default_rng(2)
    rows = ["group,score_fox,score_hare,score_marten,true_fox,true_hare,true_marten"]
    for group in range(120):
        truth = [int(rng.random() < share) for share in (0.5, 0.5, 0.06)]
        for _ in range(3):
            logits = [6 * (one - 0.5) + noise * rng.normal() for one, noise in zip(truth, (1.6, 1.6, 0.8), strict=True)]
            scores = 1 / (1 + np.exp(-np.add(logits, [shift, -shift, 0])))
            known = [*map(str, truth[:2]), "" if group % 5 == 0 else str(truth[2])]
            rows.append(",".join([f"clip{group}", *(f"{one:.5f}" for one in scores), *known]))
    return write_text(path, "\n".join([*rows, ""]))


def gain(out: str) -> tuple[float, float]:
    """Return the ends of the interval of what tuning gained."""
    interval = out.splitlines()[-1].partition("[")[2].partition("]")[0]
    low, high = (float(one) for one in interval.split(", "))
    return low, high


def test_thresholds_gain_where_classes_need_different_ones_and_only_there(tmp_path: Path) -> None:
    apart = run_example("thresholds_for_my_scores.py", write_scores(tmp_path / "apart.csv", 2.5))
    alike = run_example("thresholds_for_my_scores.py", write_scores(tmp_path / "alike.csv", 0.0))

    assert (apart[0], alike[0]) == (0, 0)
    assert "are too few for one of its own" in apart[1]
    assert gain(apart[1])[0] > 0.03
    low, high = gain(alike[1])
    assert low < 0.03
    assert high < 0.1


def test_a_promised_recall_is_said_to_be_kept_or_not(tmp_path: Path) -> None:
    code, out, _ = run_example("thresholds_for_my_scores.py", write_scores(tmp_path / "scores.csv", 0.0), "0.9")

    assert code == 0
    assert "recall is promised" in out.splitlines()[0]
    assert "recall is NOT promised" in out.splitlines()[2]


NAMES = [
    *("split_a_folder.py", "check_my_split.py", "find_duplicates.py", "rank_crops.py"),
    *("train_and_tune.py", "thresholds_for_my_scores.py", "score_with_onnx.py"),
]


@pytest.mark.parametrize("name", NAMES)
def test_without_arguments_an_example_says_how_to_use_it(name: str) -> None:
    code, _, err = run_example(name)

    assert code == 1
    assert f"Usage: python examples/{name} " in err
