"""Which file the user means by MODEL: a path, or the name or id of a model of a workspace."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from mekiki.catalog.db import Catalog, has_catalog
from mekiki.catalog.models import find_model, list_models
from mekiki.errors import UsageError

MODEL_SUFFIXES = (".safetensors", ".onnx", ".pt", ".pth", ".th")
"""Endings of model files; anything else without a slash is a name or an id."""


@dataclass(frozen=True, slots=True)
class ModelFile:
    """A model's file, and whether it is one of the workspace's own models."""

    path: Path
    is_own: bool


def locate_model(catalog: Catalog, model: str) -> ModelFile:
    """Return the file of a model.

    Args:
        catalog: Whose models count.
        model: A file, or else a model's name or the beginning of its id.

    Raises:
        UsageError: If it is neither, with the nearest name.
        DataError: If it is no file, and the workspace has no model yet.
    """
    given = find_model_file(model)
    if given is not None:
        own = {one.path for one in list_models(catalog)}
        return ModelFile(given, given.absolute() in own)
    return ModelFile(find_model(catalog, model).path, is_own=True)


def locate_model_beside(workspace: Path, model: str) -> ModelFile:
    """Return the file of a model for a command that may do without a workspace; nothing is written to one.

    Raises:
        UsageError: If it is no file, and there is no such workspace or no such model in it.
        DataError: If it is no file, and the workspace has no model yet.
    """
    given = find_model_file(model)
    if not has_catalog(workspace):
        if given is None:
            raise UsageError(
                f"there is no model file {model!r}, and no workspace in {workspace} that could have a model of this "
                "name: check the path, or give the workspace with -w FOLDER"
            )
        return ModelFile(given, is_own=False)
    with Catalog(workspace, create=False) as catalog:
        return locate_model(catalog, model)


def find_model_file(model: str) -> Path | None:
    """Return the file that is meant, or None for a name or an id.

    Raises:
        UsageError: If nothing is given, or it looks like a path and there is no such file.
    """
    if not model:
        raise UsageError("no model is given: type a model file, or a model's name or id")
    path = Path(model).expanduser()
    if path.is_file():
        return path.absolute()
    if path.suffix.lower() in MODEL_SUFFIXES or "/" in model:
        raise UsageError(f"there is no model file {model!r}: check the path, relative to {Path.cwd()}")
    return None
