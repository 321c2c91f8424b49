"""Stage ``search``: what lies nearest to a picture, an item or words. Reads ``vectors``; writes a file or nothing."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mekiki.catalog.db import Catalog
from mekiki.catalog.vector_search import VectorSearch, names_of_items
from mekiki.catalog.vectors import require_vectors
from mekiki.dataset.formats.predictions_out import check_predictions_path
from mekiki.dataset.formats.tables import path_cell, write_table
from mekiki.engine.queries import Query, QueryVectors, opening_of, read_query
from mekiki.engine.run import Engine, write_text
from mekiki.errors import UnreadableError, UsageError, shown_path
from mekiki.models.opening import RuntimeName
from mekiki.records import LABELLED_KINDS, Failure, ItemKind, RunSummary
from mekiki.settings import Field, Input, Positional, Settings, SpeedOnly

DEFAULT_OUTPUT = Path("search.csv")
COLUMNS = ("query", "rank", "item_id", "path", "cosine")
DIGITS = 6


class SearchSettings(Settings):
    """Find the items whose vectors are nearest to those of pictures, of other items, or of words."""

    queries: tuple[str, ...] = Positional(
        (), description="item id (8 digits of it or more), path of a picture, or words; one or several"
    )
    k: int = Field(10, ge=1, description="nearest items for each query")
    kind: tuple[ItemKind, ...] = Field(
        LABELLED_KINDS, description="kinds of item that may be found; crop: what detect cut"
    )
    vectors: str | None = Input(None, description="embedder or run of embed to look in (default: the latest)")
    output: Path | None = Field(
        None, description="write a .csv or .json file (default: one query is shown, several go to ./search.csv)"
    )
    overwrite: bool = Field(False, description="replace the output file if it is there")
    exact: bool = Field(False, description="compare with all vectors, however many; words are always compared with all")
    weights: Path | None = Input(None, description="file of the embedder's weights, where embed was given one")
    runtime: RuntimeName = Input("auto", description="what computes the vector of a picture: torch, onnx or openvino")
    device: str = SpeedOnly("auto", description="auto, cpu, cuda, cuda:N or mps")
    allow_code: bool = Input(False, description="run the program that a python:FILE:CLASS embedder is")


def search(catalog: Catalog, settings: SearchSettings, engine: Engine) -> RunSummary:
    """Compare the vector of each query with those of a run of ``embed``, and show or write the nearest."""
    started = time.monotonic()
    if not settings.queries:
        raise UsageError("there is no query: give an item's id, the path of a picture, or words to search for")
    queries = [read_query(catalog, given) for given in settings.queries]
    output = _output_of(settings, queries)
    run = require_vectors(catalog, settings.vectors)
    looked_in = VectorSearch(catalog, run, kinds=settings.kind)
    if engine.dry_run:
        note = f"{len(queries)} queries among {len(looked_in.item_ids)} vectors of {run.space}"
        return RunSummary("search", "", len(queries), extra={"dry_run": True}, notes=[note])
    told = {name: getattr(settings, name) for name in ("device", "runtime", "allow_code")}
    weights = {"weights": settings.weights} if settings.weights else {}
    opening = opening_of(catalog, run, {**told, **weights})
    index, how = looked_in.open_index(engine.progress.say, is_wanted=not settings.exact)
    with_vectors, failures = _vectors_of(queries, QueryVectors(catalog, run, looked_in, opening))
    answers = _answer(catalog, with_vectors, looked_in, settings.k, index)
    notes = [how] if answers else []
    facts = {"embedder": run.space.embedder, "vectors": run.run_id, "k": settings.k}
    if output is not None:
        _write(output, facts, answers)
    elif answers:
        notes = [f"nearest to {answers[0]['query']}:", *_lines(answers[0]["nearest"]), *notes]
    return RunSummary(
        "search",
        "",
        n_selected=len(queries),
        n_written=len(answers),
        n_failed=len(failures),
        n_rows=sum(len(answer["nearest"]) for answer in answers),
        failures=failures,
        outputs={} if output is None else {"results": str(output)},
        seconds=time.monotonic() - started,
        extra={**facts, "results": answers},
        notes=notes,
    )


def _output_of(settings: SearchSettings, queries: Sequence[Query]) -> Path | None:
    """Return the file to write; none for a single query unless one is given."""
    if settings.output is None and len(queries) == 1:
        if settings.overwrite:
            raise UsageError(
                "--overwrite goes with -o FILE, or with several queries: one alone is shown and not written"
            )
        return None
    read = {query.path for query in queries}
    return check_predictions_path(
        settings.output or DEFAULT_OUTPUT, overwrite=settings.overwrite, is_input=lambda path: path in read
    )


def _vectors_of(
    queries: Sequence[Query], vectors: QueryVectors
) -> tuple[list[tuple[Query, NDArray[np.float32]]], list[Failure]]:
    """Return the queries that have a vector, with it, and those whose file has none."""
    found, failures = [], []
    for query in queries:
        try:
            found.append((query, vectors.of(query)))
        except UnreadableError as error:
            failures.append(Failure(error.path, error.reason, "search"))
    return found, failures


def _answer(
    catalog: Catalog, queries: Sequence[tuple[Query, NDArray[np.float32]]], looked_in: VectorSearch, k: int, index: Any
) -> list[dict[str, Any]]:
    """Return what is nearest to each query, in their order.

    Words lie far from all pictures, so the recall that an index was measured with does not hold for them.
    """
    nearest: dict[int, list[tuple[str, float]]] = {}
    for through in (None, index) if index is not None else (None,):
        places = [
            n for n, (query, _) in enumerate(queries) if (index is None or query.kind == "text") == (through is None)
        ]
        if places:
            matrix = np.stack([queries[n][1] for n in places])
            nearest |= dict(zip(places, looked_in.nearest(matrix, k, through), strict=True))
    names = names_of_items(catalog, [item_id for found in nearest.values() for item_id, _ in found])
    return [
        {
            "query": shown_path(query.given),
            "kind": query.kind,
            "nearest": [
                {"rank": rank, "item_id": one, "path": shown_path(names.get(one, one)), "cosine": round(cosine, DIGITS)}
                for rank, (one, cosine) in enumerate(nearest[place], start=1)
            ],
        }
        for place, (query, _) in enumerate(queries)
    ]


def _lines(nearest: Sequence[dict[str, Any]]) -> Iterator[str]:
    for one in nearest:
        yield f"{one['rank']:>4}  {one['cosine']:.4f}  {one['item_id']}  {one['path']}"


def _write(output: Path, facts: dict[str, Any], answers: Sequence[dict[str, Any]]) -> None:
    if output.suffix.lower() == ".json":
        write_text(output, json.dumps({**facts, "results": list(answers)}, ensure_ascii=False, indent=1) + "\n")
        return
    rows = (
        [
            path_cell(answer["query"]) if answer["kind"] == "image" else answer["query"],
            str(one["rank"]),
            one["item_id"],
            path_cell(one["path"]),
            f"{one['cosine']:.{DIGITS}f}",
        ]
        for answer in answers
        for one in answer["nearest"]
    )
    write_table(output, COLUMNS, rows)
