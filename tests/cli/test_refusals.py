"""What is wrong is refused in one line that names the nearest right thing, before anything is written."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mekiki.cli.main import main
from workspaces import write_text

Refused = Callable[..., str]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        pytest.param(["ingets"], "no verb is called 'ingets'. Did you mean 'ingest'?", id="verb"),
        pytest.param(["statsu"], "no verb is called 'statsu'. Did you mean 'status'?", id="command"),
        pytest.param(["--verison"], "no flag '--verison' before a verb. Did you mean --version?", id="first flag"),
        pytest.param(["ingest", "--labls", "x"], "no flag '--labls'. Did you mean --labels?", id="flag"),
        pytest.param(["run", "--sikp", "x"], "no flag '--sikp'. Did you mean --skip?", id="flag of a command"),
        pytest.param(["run", "wildlif"], "no recipe is called 'wildlif'. Did you mean 'wildlife'?", id="recipe"),
        pytest.param(["demo", "wildlif"], "no recipe is called 'wildlif'. Did you mean 'wildlife'?", id="demo"),
        pytest.param(["list", "format"], "no topic is called 'format'. Did you mean 'formats'?", id="topic"),
        pytest.param(
            ["frames", "--sampling", "keyframe"],
            "frames: sampling: input should be 'every-n-frames', 'fps', 'n-frames', 'keyframes' or 'scene', got "
            "'keyframe'. Did you mean 'keyframes'?",
            id="sampling word",
        ),
        pytest.param(["split", "--group-by", "stie"], "got 'stie'. Did you mean 'site'?", id="kind of group"),
        pytest.param(["export", "--kind", "frmae"], "got 'frmae'. Did you mean 'frame'?", id="kind of item"),
        pytest.param(["export", "--format", "yoloo"], "'yoloo'. Did you mean 'yolo'?", id="format to write"),
        pytest.param(["ingest", "x", "--labels-format", "cocoo"], "'cocoo'. Did you mean 'coco'?", id="to read"),
        pytest.param(["run", "wildlife", "--skip", "splitt"], "'splitt'. Did you mean 'split'?", id="--skip"),
        pytest.param(["run", "wildlife", "--from", "dedup"], "'dedup'. Did you mean 'dedupe'?", id="--from"),
        pytest.param(["run", "wildlife", "--set", "splt.seed=1"], "'splt'. Did you mean 'split'?", id="--set step"),
        pytest.param(["run", "wildlife", "--set", "split.sed=1"], "'sed'. Did you mean 'seed'?", id="--set setting"),
        pytest.param(["run", "wildlife", "--set", "split.seed"], "STEP.SETTING=VALUE, got 'split.seed'", id="--set"),
    ],
)
def test_a_misspelt_word_is_refused_in_one_line_with_the_nearest(
    words: list[str], message: str, in_folder: Path, refused: Refused
) -> None:
    assert message in refused(*words)
    assert list(in_folder.iterdir()) == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("steps:\n- stage: ingset\n", "'ingset'. Did you mean 'ingest'?", id="stage"),
        pytest.param("steps:\n- stage: ingest\n  pahts: [x]\n", "'pahts'. Did you mean 'paths'?", id="setting"),
        pytest.param("step:\n- stage: ingest\n", "no key is called 'step'. Did you mean 'steps'?", id="key"),
        pytest.param("steps:\n- stage: export\n  format: yoloo\n", "'yoloo'. Did you mean 'yolo'?", id="format"),
    ],
)
@pytest.mark.parametrize("flags", [pytest.param([], id="plain"), pytest.param(["--json"], id="json")])
def test_a_misspelt_word_in_a_recipe_is_refused_before_anything_runs(
    text: str, message: str, flags: list[str], in_folder: Path, refused: Refused
) -> None:
    recipe = write_text(in_folder / "mine.yaml", text)

    assert message in refused("run", recipe, *flags)
    assert not (in_folder / "workspace").exists()


def test_a_misspelt_class_is_refused_with_the_nearest(filled: Path, refused: Refused) -> None:
    assert "no class is called 'foxx'. Did you mean 'fox'?" in refused("split", "--allow-missing", "foxx", "-w", filled)


def test_a_wrong_value_says_what_would_be_right(in_folder: Path, refused: Refused) -> None:
    assert "limit: input should be greater than or equal to 1, got '0'" in refused("ingest", "x", "--limit", 0)
    assert "split: seed: input should be a valid integer" in refused("split", "--seed", "many")
    assert "path pattern '{site' names nothing" in refused("ingest", "x", "--path-pattern", "{site")
    assert list(in_folder.iterdir()) == []


def test_a_message_stays_readable_however_long_the_value_is(in_folder: Path, refused: Refused) -> None:
    assert len(refused("split", "--seed", "x" * 9000)) < 400
    assert len(refused("x" * 9000)) < 400


@pytest.mark.parametrize("verb", ["frames", "dedupe", "split", "export", "report", "status"])
def test_without_a_workspace_nothing_is_made_and_the_first_step_is_named(
    verb: str, in_folder: Path, refused: Refused
) -> None:
    message = refused(verb)

    assert "there is no workspace in" in message
    assert "mekiki ingest PATH -w FOLDER" in message
    assert list(in_folder.iterdir()) == []


def test_a_workspace_that_is_a_file_is_refused(in_folder: Path, refused: Refused) -> None:
    path = write_text(in_folder / "notes.txt", "no workspace")

    for words in (["status"], ["ingest", "x"], ["ingest", "x", "--dry-run"]):
        assert "is a file: give a folder with -w FOLDER" in refused(*words, "-w", path)
    assert "Give a folder you may write to" in refused("ingest", "x", "-w", path / "deeper")


@pytest.fixture
def read_only(filled: Path) -> Iterator[Path]:
    """A copy of the filled workspace in which this process may write nothing, not even where it is root."""
    folder = Path(tempfile.mkdtemp(prefix="mekiki-test-"))
    (folder / "ws").mkdir()
    (folder / "ws" / "mekiki.db").write_bytes((filled / "mekiki.db").read_bytes())
    (folder / "ws").chmod(0o555)
    folder.chmod(0o755)
    is_root = os.geteuid() == 0
    if is_root:
        os.seteuid(65534)
    yield folder / "ws"
    if is_root:
        os.seteuid(0)
    (folder / "ws").chmod(0o755)
    shutil.rmtree(folder)


def test_a_read_only_workspace_can_be_looked_at_and_not_written(
    read_only: Path, capsys: pytest.CaptureFixture[str], refused: Refused
) -> None:
    assert main(["status", "--json", "-w", str(read_only)]) == 0

    assert json.loads(capsys.readouterr().out)["items"] == {"image": 8}
    assert f"{read_only} may only be read: give a folder you may write to with -w FOLDER" in refused(
        "dedupe", "-w", read_only, "--max-distance", 2
    )
    assert "Give a folder you may write to with -w FOLDER" in refused("ingest", "x.jpg", "-w", read_only / "deeper")
