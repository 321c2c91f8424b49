"""Which file MODEL means: a path, a name, the beginning of an id."""

from __future__ import annotations

from pathlib import Path

import pytest

from mekiki.catalog.db import Catalog
from mekiki.catalog.model_files import locate_model, locate_model_beside
from mekiki.catalog.models import ModelRow, write_models
from mekiki.errors import DataError, UsageError
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


def test_a_file_needs_no_workspace(tmp_path: Path) -> None:
    file = write_text(tmp_path / "m.pt", "")

    found = locate_model_beside(tmp_path / "nowhere", str(file))

    assert (found.path, found.is_own) == (file, False)
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
