"""The models of a workspace: immutable files in ``models/``, each with a row."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from mekiki.catalog.db import Catalog, Transaction
from mekiki.errors import DataError, UsageError, unknown_name

MODEL_SUFFIX = ".safetensors"


@dataclass(frozen=True, slots=True)
class ModelRow:
    """One model: its id, the run that made it, its name, its file, and the models it was made from."""

    model_id: str
    run_id: str
    name: str
    path: Path
    parents: tuple[str, ...] = ()


def model_path(catalog: Catalog, model_id: str) -> Path:
    """Return where a model of this id lies, or will."""
    return catalog.workspace / "models" / f"{model_id}{MODEL_SUFFIX}"


def write_models(transaction: Transaction, models: Iterable[ModelRow]) -> int:
    """Write rows of models and return how many."""
    relative = transaction.catalog.relative
    rows = ((one.model_id, one.run_id, one.name, relative(one.path), json.dumps(one.parents)) for one in models)
    return transaction.upsert("models", ("model_id", "run_id", "name", "path", "parents"), rows)


def list_models(catalog: Catalog) -> list[ModelRow]:
    """Return all models, the oldest run first."""
    sql = (
        "SELECT model_id, m.run_id, name, path, parents FROM models m LEFT JOIN runs r ON r.run_id = m.run_id "
        "ORDER BY coalesce(r.finished_at, '9'), model_id"
    )
    return [
        ModelRow(model_id, run_id, name, catalog.locate(path), tuple(json.loads(parents)))
        for model_id, run_id, name, path, parents in catalog.rows(sql)
    ]


def find_model(catalog: Catalog, name: str) -> ModelRow:
    """Return a model by name, or by the beginning of its id; of several with one name, the latest.

    Raises:
        DataError: If there is no model at all.
        UsageError: If none has this name, with the nearest, or an id's beginning fits several.
    """
    known = list_models(catalog)
    named = [one for one in known if one.name == name]
    if named:
        return named[-1]
    begun = [one for one in known if len(name) >= 4 and one.model_id.startswith(name)]
    if len(begun) == 1:
        return begun[0]
    if len(begun) > 1:
        raise UsageError(f"several models' ids begin with {name!r}: {', '.join(one.model_id for one in begun)}")
    if not known:
        raise DataError(f"there is no model in {catalog.workspace} yet: mekiki train -w {catalog.workspace}")
    raise unknown_name("model", name, {one.name for one in known})
