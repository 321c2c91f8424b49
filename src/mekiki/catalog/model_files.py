"""Which file the user means by MODEL: a path, or the name or id of a model of a workspace."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from mekiki.catalog.db import Catalog, has_catalog
from mekiki.catalog.models import find_model, list_models
from mekiki.catalog.runs import runs_of
from mekiki.errors import UnreadableError, UsageError
from mekiki.training.card import ModelCard, read_card
from mekiki.training.user_code import code_place, is_user_code

TRAINED_NAME = "training.json"
"""What came of a training, in the folder of its run."""

CODE_PLACE = "code_place"
"""Key in it: where the program lay that was the backbone, see `mekiki.training.user_code.code_place`."""

MODEL_SUFFIXES = (".safetensors", ".onnx", ".pt", ".pth", ".th", ".keras")
"""Endings of model files; anything else without a slash is a name or an id."""


@dataclass(frozen=True, slots=True)
class ModelFile:
    """A model's file.

    Attributes:
        path: Absolute.
        is_own: Whether it is one of the workspace's models.
        is_trusted: Whether the programs that its backbones may be can be run without asking: those of a model of the
            workspace that lie where they lay when they were trained with here. A workspace may come from anybody.
    """

    path: Path
    is_own: bool
    is_trusted: bool


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
        return _model_file(catalog, given, is_own=given.absolute() in own)
    return _model_file(catalog, find_model(catalog, model).path, is_own=True)


def _model_file(catalog: Catalog, path: Path, *, is_own: bool) -> ModelFile:
    return ModelFile(path, is_own, is_own and _is_trusted(catalog, path))


def _is_trusted(catalog: Catalog, path: Path) -> bool:
    """Return whether each program that a model names lies where a training of the workspace ran it."""
    try:
        card = read_card(path)
        places = {code_place(name) for one in (card, *card.members) for name in _programs(one)}
    except (UnreadableError, UsageError, ValueError):  # whoever opens it says what is wrong
        return False
    return not places or places <= _trained_places(catalog)


def _programs(card: ModelCard) -> list[str]:
    """Return the ``python:FILE:CLASS`` that a model names: its backbone, and a head's embedder."""
    names = (card.arch, "" if card.vectors is None else card.vectors.embedder)
    return [name for name in names if is_user_code(name)]


def _trained_places(catalog: Catalog) -> set[str]:
    """Return the places of the programs that trainings of a workspace ran."""
    places = set()
    for run in runs_of(catalog, "train"):
        try:
            said = json.loads((catalog.workspace / "runs" / run.run_id / TRAINED_NAME).read_text(encoding="utf-8"))
            places.add(str(said.get(CODE_PLACE)))
        except (OSError, ValueError, AttributeError):  # gone or damaged: it vouches for nothing
            continue
    return places


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
        return ModelFile(given, is_own=False, is_trusted=False)
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
