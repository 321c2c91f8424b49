"""Which file MODEL means: a path, a name, the beginning of an id."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mekiki.catalog.db import Catalog
from mekiki.catalog.model_files import CODE_PLACE, TRAINED_NAME, locate_model, locate_model_beside
from mekiki.catalog.models import ModelRow, write_models
from mekiki.catalog.runs import start_run
from mekiki.errors import DataError, UsageError
from mekiki.media.preprocessing import Preprocessing
from mekiki.training.card import CARD_KEY, ModelCard
from mekiki.training.user_code import code_place
from workspaces import dump, write_text


@pytest.fixture
def own(workspace: Path) -> Path:
    """The file of a model of a workspace."""
    path = write_text(workspace / "models" / "abcdef0123456789.safetensors", "")
    with Catalog(workspace) as catalog, catalog.transaction("train", "run") as transaction:
        write_models(transaction, [ModelRow("abcdef0123456789", "run", "resnet18", path)])
    return path


@pytest.mark.parametrize("model", ["resnet18", "abcd", "abcdef0123456789"])
def test_names_and_ids_are_the_workspaces(workspace: Path, own: Path, model: str) -> None:
    with Catalog(workspace) as catalog:
        found = locate_model(catalog, model)

    assert (found.path, found.is_own) == (own, True)
    assert locate_model_beside(workspace, model) == found


def test_a_path_is_the_workspaces_own_only_if_its_model_is_known_there(workspace: Path, own: Path) -> None:
    other = write_text(workspace / "models" / "planted.safetensors", "")

    with Catalog(workspace) as catalog:
        assert locate_model(catalog, str(own)).is_own
        assert not locate_model(catalog, str(other)).is_own


def save(workspace: Path, name: str, *archs: str) -> Path:
    """Write a model of the workspace's own: a network, or an ensemble where there are several backbones."""
    how = Preprocessing(resize_hw=(8, 8), crop_hw=(8, 8))
    networks = tuple(ModelCard(name=arch, arch=arch, class_names=("fox",), preprocessing=how) for arch in archs)
    joined = {"kind": "ensemble", "members": networks, "weights": (1 / len(archs),) * len(archs)}
    card = ModelCard(name=name, class_names=("fox",), **joined) if len(archs) > 1 else networks[0]
    header = json.dumps({"__metadata__": {CARD_KEY: card.to_json()}}).encode()
    path = workspace / "models" / f"{name}.safetensors"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(len(header).to_bytes(8, "little") + header)
    with Catalog(workspace) as catalog, catalog.transaction("train", name) as transaction:
        write_models(transaction, [ModelRow(name, name, name, path)])
    return path


def leave_training(workspace: Path, run_id: str, content: str) -> None:
    write_text(workspace / "runs" / run_id / TRAINED_NAME, content)
    with Catalog(workspace) as catalog, catalog.transaction("train", run_id) as transaction:
        start_run(transaction, {"run_id": run_id, "stage": "train", "settings": {}, "identity": "", "reads": {}})


def test_programs_are_trusted_where_a_training_of_the_workspace_ran_them(
    workspace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    ours, theirs = f"python:{tmp_path}/ours.py:Net", "python:theirs.py:Net"
    known = {"plain": ("resnet18",), "mine": (ours,), "same": ("python:ours.py:Other",), "theirs": (theirs,)}
    known |= {"both": (ours, theirs), "safe": ("resnet18", ours)}
    paths = {name: save(workspace, name, *archs) for name, archs in known.items()}

    def trusted() -> set[str]:
        with Catalog(workspace) as catalog:
            found = {name: locate_model(catalog, name) for name in paths}
            assert all(one.is_own and one == locate_model(catalog, str(one.path)) for one in found.values())
        return {name for name, one in found.items() if one.is_trusted}

    assert trusted() == {"plain"}
    leave_training(workspace, "damaged", "no JSON")
    leave_training(workspace, "list", "[]")
    leave_training(workspace, "plain-run", "{}")
    assert trusted() == {"plain"}
    leave_training(workspace, "run", json.dumps({CODE_PLACE: code_place(ours)}))
    assert trusted() == {"plain", "mine", "same", "safe"}
    (tmp_path / "else").mkdir()
    monkeypatch.chdir(tmp_path / "else")
    assert trusted() == {"plain", "mine", "safe"}
    copied = tmp_path / "copy.safetensors"
    copied.write_bytes(paths["mine"].read_bytes())
    with Catalog(workspace) as catalog:
        assert not locate_model(catalog, str(copied)).is_trusted


def test_a_file_that_is_no_card_or_names_no_file_is_not_trusted(workspace: Path, own: Path) -> None:
    save(workspace, "odd", "python:nothing")
    save(workspace, "zero", "python:a\0b.py:Net")

    with Catalog(workspace) as catalog:
        assert not any(locate_model(catalog, name).is_trusted for name in ("resnet18", "odd", "zero"))


def test_a_file_needs_no_workspace(tmp_path: Path) -> None:
    file = write_text(tmp_path / "m.pt", "")

    found = locate_model_beside(tmp_path / "nowhere", str(file))

    assert (found.path, found.is_own, found.is_trusted) == (file, False, False)
    assert not (tmp_path / "nowhere").exists()


def test_looking_up_a_name_writes_nothing(workspace: Path, own: Path) -> None:
    rows = dump(workspace)

    locate_model_beside(workspace, "resnet18")

    assert dump(workspace) == rows


@pytest.mark.parametrize(
    ("model", "message"),
    [
        pytest.param("", "no model is given", id="none"),
        pytest.param("resnet81", r"no model is called 'resnet81'\. Did you mean 'resnet18'", id="misspelt"),
        pytest.param("gone.onnx", "there is no model file 'gone.onnx'", id="ending"),
        pytest.param("some/where", "there is no model file 'some/where'", id="slash"),
    ],
)
def test_what_is_nothing_is_refused(workspace: Path, own: Path, model: str, message: str) -> None:
    with Catalog(workspace) as catalog, pytest.raises(UsageError, match=message):
        locate_model(catalog, model)
    with pytest.raises(UsageError, match=message):
        locate_model_beside(workspace, model)


def test_a_name_without_a_workspace_or_a_model_in_it_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no workspace in .* give the workspace with -w FOLDER"):
        locate_model_beside(tmp_path / "nowhere", "resnet18")
    with Catalog(tmp_path / "ws") as catalog, pytest.raises(DataError, match=r"there is no model in .* mekiki train"):
        locate_model(catalog, "resnet18")
