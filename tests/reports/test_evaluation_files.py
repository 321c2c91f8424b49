"""Seed 5's files: a text with every figure, and curves as PNG and PDF that are the same each time."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import matplotlib
import pytest
from PIL import Image

from mekiki.reports.evaluation_files import evaluation_text, write_evaluation_files
from mekiki.reports.figure_files import Line, histogram_files, history_files, line_files
from model_runs import NOTHING, evaluated, metrics

FIGURES = ("pr_curve", "roc_curve", "prediction_histogram")
EPOCHS = [
    {"epoch": float(n), "train_loss": 1 / n, "val_loss": 1.2 / n, "val_pr_auc": 1 - 1 / n, "lr": 1e-3, "seconds": 2.0}
    for n in (1, 2, 3)
]


def entry(*names: str) -> dict[str, Any]:
    names = names or ("unsafe", "タヌキ")
    one = evaluated("mine", 0.9)
    return {**one, "parts": {"test": metrics(0.9, names)}, "thresholds": dict.fromkeys(names, 0.25)}


def test_the_files_are_those_of_seed_5_and_each_is_what_its_name_says(tmp_path: Path) -> None:
    written = write_evaluation_files(tmp_path, entry(), "test", EPOCHS)

    stems = (*FIGURES, "training_history")
    assert {path.name for path in written} == {
        "evaluation_metrics.txt",
        *(f"{stem}.{suffix}" for stem in stems for suffix in ("png", "pdf")),
    }
    assert {path.name for path in tmp_path.iterdir()} == {path.name for path in written}
    for stem in stems:
        with Image.open(tmp_path / f"{stem}.png") as picture:
            assert min(picture.size) > 400
        assert (tmp_path / f"{stem}.pdf").read_bytes().startswith(b"%PDF")


def test_without_epochs_there_is_no_history(tmp_path: Path) -> None:
    assert len(write_evaluation_files(tmp_path, entry(), "test", ())) == 1 + 2 * len(FIGURES)


def test_the_same_numbers_give_the_same_bytes_in_another_process(tmp_path: Path) -> None:
    here = Path(__file__)
    program = (
        f"import sys; sys.path[:0] = {[str(here.parent), str(here.parent.parent)]!r}\n"
        "from pathlib import Path\nimport test_evaluation_files as t\n"
        "t.write_evaluation_files(Path(sys.argv[1]), t.entry(), 'test', t.EPOCHS)\n"
    )
    for name, seed in (("a", "1"), ("b", "2")):
        (tmp_path / name).mkdir()
        environment = {**os.environ, "PYTHONHASHSEED": seed, "SOURCE_DATE_EPOCH": ""}
        environment.pop("SOURCE_DATE_EPOCH")
        subprocess.run([sys.executable, "-c", program, str(tmp_path / name)], check=True, env=environment)

    first, second = ({p.name: p.read_bytes() for p in (tmp_path / name).iterdir()} for name in ("a", "b"))
    assert first == second
    assert not [name for name, content in first.items() if b"CreationDate" in content or b"matplotlib" in content]


def test_the_users_own_settings_change_nothing_and_stay() -> None:
    line = Line("cat", (0, 1), (1, 0))
    plain = line_files("t", ("x", "y"), [line])

    with matplotlib.rc_context({"lines.linewidth": 9, "savefig.transparent": True, "font.size": 30}):
        changed = line_files("t", ("x", "y"), [line])
        assert matplotlib.rcParams["lines.linewidth"] == 9

    assert changed == plain


def test_names_are_no_formulas_and_none_is_left_out() -> None:
    names = ("_hidden", "$\\frac{1}{$", "タヌキ", "x" * 200, "\u202e<b>", "\U0003fff0")

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        drawn = line_files("$t_{", ("x", "y"), [Line(name, (0, 1), (1, 0), "AP $") for name in names])
        bars = histogram_files("t", dict.fromkeys(names, ((1, 2), (0, 0))))

    for files in (drawn, bars):
        with Image.open(io.BytesIO(files["png"])) as picture:
            assert picture.size[0] == 960


def test_more_classes_make_a_taller_picture() -> None:
    few, many = (line_files("t", ("x", "y"), [Line(str(k), (0, 1), (1, 0)) for k in range(n)]) for n in (1, 20))

    heights = [Image.open(io.BytesIO(files["png"])).size[1] for files in (few, many)]
    assert heights[1] > heights[0] + 19 * 30


def test_history_of_one_epoch_and_with_gaps_is_drawn() -> None:
    gap = {"epoch": 1.0, "val_pr_auc": float("nan"), "train_loss": 0.5}

    assert history_files("t", [gap])["png"] != history_files("t", [gap, {"epoch": 2.0, "train_loss": 0.1}])["png"]


def test_the_text_names_both_areas_and_every_class_with_intervals() -> None:
    text = evaluation_text(entry(), "test")

    for line in (
        "  PR-AUC (trapezoid): 0.8700 (0.8400 to 0.9000)",
        "  average precision: 0.8800 (0.8500 to 0.9100)",
        "  precision at recall 0.95: 0.8050 (0.7750 to 0.8350)",
        "class: タヌキ",
        "  threshold: 0.25",
        "part: test, 200 pictures in 60 groups that belong together",
    ):
        assert line in text.splitlines()
    assert "per million" not in text


def test_the_text_says_what_was_not_measured_what_is_doubtful_and_what_a_million_pictures_hold() -> None:
    one = entry("a\nb")
    figures = one["parts"]["test"]["per_class"]["a\nb"]
    figures["pr_auc"], figures["ap"]["reliable"] = NOTHING, False
    count = {"value": 1234.4, "low": 0.0, "high": 5000.0, "reliable": True}
    one["per_million"] = {"test": {"a\nb": {"prevalence": 0.001, "n_present": 1000.0, "false_alarms": count}}}

    lines = evaluation_text(one, "test").splitlines()

    assert "class: a b" in lines
    assert "  PR-AUC (trapezoid): nothing to measure" in lines
    assert any(line.startswith("  average precision: 0.8800") and line.endswith("(!)") for line in lines)
    assert "  false alarms per million pictures of which 1,000 show it: 1,234 (0 to 5,000)" in lines


@pytest.mark.parametrize("n_classes", [1, 2, 3, 30])
def test_any_number_of_classes_can_be_drawn(n_classes: int, tmp_path: Path) -> None:
    names = tuple(f"class {number}" for number in range(n_classes))

    assert len(write_evaluation_files(tmp_path, entry(*names), "test", ())) == 1 + 2 * len(FIGURES)
