"""What every stage keeps to, whatever it does."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from mekiki.api.verbs import STAGES, run_stage, settings_class
from mekiki.catalog.db import Catalog
from mekiki.catalog.writers import ENGINE_TABLES, WRITERS
from mekiki.cli.main import main
from mekiki.engine.local import LocalEngine
from mekiki.errors import DataError, UsageError
from mekiki.settings import is_marked
from videos import Recipe, make_video
from workspaces import dump, file_hashes, query, run, tables, write_photo, write_text

N_PHOTOS = 24


@dataclass(frozen=True)
class Case:
    """How a stage is tried.

    Attributes:
        before: Stages that come before it, with their settings.
        settings: Its own settings.
        spoiled: A file of the user's, inside the workspace, that is broken or gone in the test of bad files; None if
            the stage reads no file.
    """

    before: tuple[tuple[str, Mapping[str, Any]], ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)
    spoiled: str | None = None


INGEST = ("ingest", {"paths": ["in"], "labels": ["in/labels.csv"]})
FRAMES = ("frames", {"every_n_frames": 10})
DEDUPE = ("dedupe", {})
SPLIT = ("split", {"shares": {"train": 0.5, "val": 0.25, "test": 0.25}})
HALVES = ("split", {"shares": {"train": 0.5, "val": 0.5}})
SMALL = {"arch": "small-cnn", "arch_options": {"width": 4}, "pretrained": False, "image_size": 32, "epochs": 1}
TRAINED = (INGEST, FRAMES, DEDUPE, SPLIT, ("train", {**SMALL, "name": "one"}))
PREDICTED = (*TRAINED, ("predict", {"model": "one"}))

CASES = {
    "annotate": Case((INGEST, FRAMES), {"annotator": "human:ANN", "labels": ["in/labels.csv"]}),
    "train": Case((INGEST, FRAMES, DEDUPE, HALVES), SMALL, "in/00.jpg"),
    "predict": Case(TRAINED, {"model": "one"}, "in/00.jpg"),
    "ensemble": Case(
        (*PREDICTED, ("train", {**SMALL, "name": "two", "seed": 7}), ("predict", {"model": "two"})),
        {"models": ["one", "two"]},
    ),
    "tune": Case(PREDICTED, {"model": "one", "cross_fit": 2, "resamples": 100}),
    "evaluate": Case(PREDICTED, {"models": ["one"], "resamples": 100}),
    "ingest": Case((), INGEST[1], "in/00.jpg"),
    "frames": Case((INGEST,), FRAMES[1], "in/clip0.mp4"),
    "dedupe": Case((INGEST, FRAMES)),
    "embed": Case((INGEST, FRAMES), {"embedder": "colour-layout"}, "in/00.jpg"),
    "caption": Case(
        (
            INGEST,
            ("detect", {"detector": "blobs"}),
            ("embed", {"embedder": "colour-layout", "kind": ["crop"]}),
            ("mine", {}),
        ),
        {"captioner": "class-name"},
    ),
    "mine": Case((INGEST, FRAMES, ("embed", {"embedder": "colour-layout"})), {"kind": ["image", "frame"]}),
    "detect": Case((INGEST, FRAMES), {"detector": "blobs"}, "in/00.jpg"),
    "map": Case((INGEST, FRAMES, ("embed", {"embedder": "colour-layout"})), {"method": "pca"}, "in/00.jpg"),
    "split": Case((INGEST, FRAMES, DEDUPE), SPLIT[1]),
    "export": Case((INGEST, FRAMES, DEDUPE, SPLIT), {"media": "copy"}, "in/00.jpg"),
    "report": Case((INGEST, FRAMES, DEDUPE, SPLIT), {}, "in/00.jpg"),
}


QUESTIONS = {"search"}
"""Stages that answer a question and record no run."""

RUNS = [name for name in STAGES.names() if name not in QUESTIONS]

EMBEDDER = """
from torch import nn


class Mean(nn.Module):
    def forward(self, pictures):
        return pictures.mean(dim=(2, 3))
"""


@pytest.fixture(params=RUNS)
def stage(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="session")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with photos of two classes, two clips and a table of labels."""
    folder = tmp_path_factory.mktemp("contract") / "in"
    rows = ["filepath,label,site"]
    for number in range(N_PHOTOS):
        write_photo(folder / f"{number:02d}.jpg", number)
        rows.append(f"{number:02d}.jpg,{'fox' if number % 2 else 'car'},site{number % 6}")
    for number in range(2):
        make_video(folder / f"clip{number}.mp4", Recipe(n_frames=20 + number))
        rows.append(f"clip{number}.mp4,fox,site{number}")
    write_text(folder / "labels.csv", "\n".join(rows) + "\n")
    return folder


@pytest.fixture(scope="session")
def made(inputs: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Stage to a workspace in which everything before it has run; its inputs lie inside, so that it can be copied."""
    root = tmp_path_factory.mktemp("made")
    found: dict[str, Path] = {}
    for name in RUNS:
        workspace = root / name
        shutil.copytree(inputs, workspace / "in")
        for before, settings in CASES[name].before:
            run(before, workspace, **_placed(settings, workspace))
        found[name] = workspace
    return found


@pytest.fixture
def ready(stage: str, made: dict[str, Path], tmp_path: Path) -> Path:
    """A workspace in which everything before the stage has run."""
    shutil.copytree(made[stage], tmp_path / "ready")
    return tmp_path / "ready"


def _placed(settings: Mapping[str, Any], workspace: Path) -> dict[str, Any]:
    """Return settings with their paths inside a workspace."""
    places = {name: [str(workspace / path) for path in settings.get(name, ())] for name in ("paths", "labels")}
    return {**settings, **{name: paths for name, paths in places.items() if paths}}


def settings_of(stage: str, workspace: Path) -> dict[str, Any]:
    return _placed(CASES[stage].settings, workspace)


def words_of(stage: str, workspace: Path) -> list[str]:
    """Return the same as words of a command line."""
    words = [stage, "-w", str(workspace)]
    for name, value in settings_of(stage, workspace).items():
        if name in ("paths", "model", "models"):
            words[1:1] = [value] if isinstance(value, str) else value
            continue
        if isinstance(value, bool):
            words.append(f"--{'' if value else 'no-'}{name.replace('_', '-')}")
            continue
        many = [f"{key}={part}" for key, part in value.items()] if isinstance(value, dict) else value
        for one in many if isinstance(many, list) else [many]:
            words += ["--" + name.replace("_", "-"), str(one)]
    return words


NEEDING_OTHERS = {"detect": ("allow_outside",), "embed": ("top_up_below", "top_up_share", "seed")}
"""Settings that are refused unless another is given, beside which they do something."""


def test_every_stage_has_a_case() -> None:
    assert CASES.keys() == set(RUNS)


def test_it_counts_what_it_selected_wrote_and_skipped(stage: str, ready: Path) -> None:
    first = run(stage, ready, **settings_of(stage, ready))
    second = run(stage, ready, **settings_of(stage, ready))

    assert first.n_selected == first.n_written + first.n_skipped + first.n_failed > 0
    assert (second.n_selected, second.n_skipped) == (first.n_selected, first.n_selected)
    assert (first.stage, second.run_id) == (stage, first.run_id)


def test_twice_writes_nothing_new(stage: str, ready: Path) -> None:
    run(stage, ready, **settings_of(stage, ready))
    rows, files = dump(ready), file_hashes(ready)

    summary = run(stage, ready, **settings_of(stage, ready))

    assert (summary.n_written, summary.n_failed) == (0, 0)
    assert dump(ready) == rows
    assert file_hashes(ready) == files


def test_a_speed_setting_makes_no_new_run(stage: str, ready: Path) -> None:
    first = run(stage, ready, **settings_of(stage, ready))
    rows = tables(ready)
    fields = settings_class(stage).model_fields
    changed = {
        name: _another(field.default)
        for name, field in fields.items()
        if is_marked(field, "speed_only")
        and isinstance(field.default, bool | int | float)
        and name not in NEEDING_OTHERS.get(stage, ())
    }

    for name, value in changed.items():
        summary = run(stage, ready, **settings_of(stage, ready), **{name: value})

        assert summary.run_id == first.run_id, name
        assert tables(ready) == rows, name


def _another(value: Any) -> Any:
    if isinstance(value, bool):
        return not value
    return value + 1 if isinstance(value, int) else value / 2


def test_a_setting_that_changes_results_makes_a_new_run(stage: str, ready: Path) -> None:
    changed: dict[str, dict[str, Any]] = {
        "ingest": {"part": "train"},
        "frames": {"every_n_frames": 5},
        "dedupe": {"max_distance": 3},
        "detect": {"padding": 0.05},
        "map": {"color_by": "part"},
        "mine": {"n_neighbours": 5},
        "caption": {"final_rule": "keywords"},
        "split": {"seed": 7},
        "export": {"format": "coco"},
        "report": {"title": "another"},
        "annotate": {"annotator": "import:x"},
        "train": {"seed": 7},
        "predict": {"model": "two"},
        "ensemble": {"name": "another"},
        "tune": {"objective": "micro-f1"},
        "evaluate": {"seed": 7},
        "embed": {"embedder": f"python:{ready.parent / 'mean.py'}:Mean", "allow_code": True, "runtime": "torch"},
    }
    write_text(ready.parent / "mean.py", EMBEDDER)
    if stage == "predict":
        run("train", ready, **SMALL, name="two", seed=7)
    first = run(stage, ready, **settings_of(stage, ready))

    second = run(stage, ready, **{**settings_of(stage, ready), **changed[stage]})

    assert second.run_id != first.run_id
    assert second.n_written > 0


def test_it_writes_only_tables_of_its_own(stage: str, ready: Path) -> None:
    before = dump(ready) if (ready / "mekiki.db").exists() else {}

    run(stage, ready, **settings_of(stage, ready))

    after = dump(ready)
    changed = {name for name, rows in after.items() if rows != before.get(name, [])}
    assert changed <= {name for name, writers in WRITERS.items() if stage in writers} | ENGINE_TABLES
    assert "runs" in changed


def test_it_changes_no_file_of_the_users(stage: str, ready: Path) -> None:
    before = {name: one for name, one in file_hashes(ready).items() if name.startswith("in/")}

    run(stage, ready, **settings_of(stage, ready))

    assert {name: one for name, one in file_hashes(ready).items() if name.startswith("in/")} == before


def test_its_settings_stand_beside_its_results(stage: str, ready: Path) -> None:
    summary = run(stage, ready, **settings_of(stage, ready))

    written = json.loads((ready / "runs" / summary.run_id / "run.json").read_text())
    assert (written["stage"], written["run_id"]) == (stage, summary.run_id)
    assert written["settings"].keys() == settings_class(stage).model_fields.keys()


def test_no_half_written_file_is_left(stage: str, ready: Path) -> None:
    run(stage, ready, **settings_of(stage, ready))

    assert [name for name in file_hashes(ready) if ".part" in name or "mekiki-" in Path(name).parent.name] == []
    assert not (ready / "mekiki.writer").exists()


def test_a_bad_file_becomes_a_row(stage: str, ready: Path) -> None:
    spoiled = CASES[stage].spoiled
    if spoiled is None:
        pytest.skip(f"{stage} reads the catalog and no file")
    path = ready / spoiled
    if stage == "ingest":
        path.write_text("no picture")
    else:
        path.unlink()

    summary = run(stage, ready, **settings_of(stage, ready))

    assert [one.path for one in summary.failures] == [str(path)]
    assert (summary.n_failed, summary.n_written) == (1, summary.n_selected - 1)
    assert query(ready, "SELECT stage, path FROM failures") == [(stage, str(path))]


def test_the_command_line_exits_with_three_while_a_failure_remains(
    stage: str, ready: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spoiled = CASES[stage].spoiled
    if spoiled is None:
        pytest.skip(f"{stage} reads the catalog and no file")
    away = (ready / spoiled).rename(ready / "away")
    if stage == "ingest":
        (ready / spoiled).write_text("no picture")

    codes = [main([*words_of(stage, ready), "-q"]) for _ in range(2)]
    (ready / spoiled).unlink(missing_ok=True)
    away.rename(ready / spoiled)
    codes.append(main([*words_of(stage, ready), "-q", "--json"]))

    assert codes == [3, 3, 0]
    last = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (last["stage"], last["n_failed"], last["failures"]) == (stage, 0, [])
    assert query(ready, "SELECT count(*) FROM failures") == [(0,)]


def test_an_empty_catalog_says_what_to_do_first(stage: str, workspace: Path) -> None:
    Catalog(workspace).close()

    with pytest.raises((DataError, UsageError), match="mekiki ingest"):
        run(stage, workspace)


def test_a_workspace_that_does_not_exist_is_not_made_but_by_ingest(stage: str, workspace: Path) -> None:
    with pytest.raises(UsageError, match="mekiki ingest"):
        run(stage, workspace)

    assert stage == "ingest" or not workspace.exists()


def test_a_dry_run_writes_nothing(stage: str, ready: Path) -> None:
    Catalog(ready).close()
    rows, files = dump(ready), file_hashes(ready)

    summary = run_stage(stage, ready, settings_of(stage, ready), engine=LocalEngine(dry_run=True))

    assert summary.extra["dry_run"] is True
    assert summary.notes
    assert dump(ready) == rows
    assert file_hashes(ready) == files


def test_a_misspelt_setting_is_refused_with_the_nearest(stage: str, workspace: Path) -> None:
    name = next(name for name in settings_class(stage).model_fields if len(name) > 5)

    with pytest.raises(UsageError, match=f"{stage}: no setting is called.*Did you mean {name!r}"):
        run_stage(stage, workspace, {f"{name}x": "1"})


def test_settings_of_another_stage_are_refused(stage: str, workspace: Path) -> None:
    other = "dedupe" if stage != "dedupe" else "frames"

    with pytest.raises(UsageError, match=f"{stage} takes {stage.title()}Settings, got {other.title()}Settings"):
        run_stage(stage, workspace, settings_class(other)())
