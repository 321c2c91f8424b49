"""Stage ``embed``: one vector per picture. Reads pictures; writes ``vectors``."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

from mekiki.catalog.db import Catalog
from mekiki.catalog.items import ItemSelection, select_pictures
from mekiki.catalog.runs import make_latest
from mekiki.catalog.vector_wiping import EMBEDDERS_FOLDER
from mekiki.catalog.vectors import vector_runs
from mekiki.engine.embedding import EmbedWork, located, read_sample, spread
from mekiki.engine.importing_vectors import import_vectors, wants_import
from mekiki.engine.run import Engine
from mekiki.media.preprocessing import Interpolation
from mekiki.models.embed import has_network, open_space, open_tower, resolve_embedder
from mekiki.models.embed_opening import EmbedderOpening, Output, Precision, ResizeMode, RuntimeName
from mekiki.models.precision import Precisions, Settled
from mekiki.models.precision_sample import Sample
from mekiki.models.runners import place, preprocessing_of
from mekiki.records import RunSummary
from mekiki.settings import Input, PerItemSettings, SpeedOnly
from mekiki.training.embedder_names import lasting_name

UNSETTLED = Settled("auto", "the precision is settled when pictures are embedded")


class EmbedSettings(PerItemSettings):
    """Which vectors, and what computes them.

    All of it stays outside the fingerprint: what decides vectors is in the run's identity, as it was resolved.
    """

    embedder: str = Input(
        "auto",
        description="clip:ARCH/TAG, hf:REPO, timm:NAME, onnx:FILE, python:FILE:CLASS, torch:MODEL, colour-layout; auto",
    )
    weights: Path | None = Input(None, description="weights of a python:, clip: or timm: embedder, from a file")
    output: Output = Input(
        "auto", description="projected: in the space of the texts, if it has any; pooler: before the last layer"
    )
    precision: Precision = Input(
        "auto", description="of the arithmetic; fewer bits are checked on your own pictures first"
    )
    runtime: RuntimeName = Input(
        "auto", description="what computes; auto: torch on a GPU, openvino on a CPU if it is installed"
    )
    device: str = SpeedOnly("auto", description="auto, cpu, cuda, cuda:N or mps")
    allow_code: bool = Input(False, description="run the program that a python:FILE:CLASS embedder is")
    image_size: int | None = Input(None, ge=1, description="of python: and onnx: the side in pixels of what it sees")
    resize: ResizeMode | None = Input(
        None, description="of python: and onnx: to a square, by the short side, or not at all before the middle is cut"
    )
    resize_px: int | None = Input(None, ge=1, description="of python: and onnx: to this side")
    interpolation: Interpolation | None = Input(None, description="of python: and onnx: how pictures are resized")
    mean: tuple[float, float, float] | None = Input(None, description="of python: and onnx: subtracted, per channel")
    std: tuple[float, float, float] | None = Input(None, description="of python: and onnx: divided by, per channel")

    def to_opening(self) -> EmbedderOpening:
        """Return how the embedder is opened."""
        names = set(EmbedSettings.model_fields) - set(PerItemSettings.model_fields) - {"embedder"}
        return EmbedderOpening(name=self.embedder, **{name: getattr(self, name) for name in sorted(names)})


def embed(catalog: Catalog, settings: EmbedSettings, engine: Engine) -> RunSummary:
    """Embed every picture that has no vector of this embedder yet."""
    if wants_import(catalog, settings.embedder):
        return import_vectors(catalog, settings, engine, lasting_name(settings.embedder))
    items = select_pictures(catalog, "mekiki embed --embedder vectors")
    given = located(catalog, settings.to_opening())
    opening, why = resolve_embedder(given)
    with nullcontext() if engine.dry_run else catalog.writing("embed"):
        if has_network(opening):
            work, settled = _with_network(catalog, items, opening, engine)
        else:
            plain = replace(opening, device="cpu", precision="fp32")
            work, settled = EmbedWork(plain, open_space(opening)), Settled("fp32", "")
        summary = engine.map(catalog, "embed", _told(catalog, settings, given), work, items)
    summary.notes += [note for note in (why, settled.why) if note]
    if not engine.dry_run:
        make_latest(catalog, summary.run_id)
        summary.extra |= _facts(work, settled)
    return summary


def _told(catalog: Catalog, settings: EmbedSettings, given: EmbedderOpening) -> EmbedSettings:
    """Return the settings as the run keeps them: whoever opens the embedder again may be in another folder."""
    weights = {"weights": Path(catalog.relative(given.weights))} if given.weights else {}
    return settings.model_copy(update={"embedder": given.name, **weights})


def _with_network(
    catalog: Catalog, items: ItemSelection, opening: EmbedderOpening, engine: Engine
) -> tuple[EmbedWork, Settled]:
    """Return the work of a network on a real runtime and device in a real precision, and how that was settled.

    Raises:
        UsageError: If these do not go together.
        DataError: If the precision that is wanted changes the vectors too much, or cannot be checked.
    """
    tower = open_tower(opening)
    how = preprocessing_of(tower)
    runtime, device = place(opening.runtime, opening.device, is_graph=opening.kind == "onnx")
    precisions = Precisions(
        *(tower, runtime, device, catalog.workspace / EMBEDDERS_FOLDER),
        sample=lambda n_wanted: Sample(*read_sample(spread(items, n_wanted), how)),
        say=engine.progress.say,
    )
    earlier = next(
        (one.precision for one in vector_runs(catalog) if one.space.embedder_id == tower.space.embedder_id), None
    )
    settled = (
        precisions.settle(opening.precision, len(items), may_check=not engine.dry_run, earlier=earlier) or UNSETTLED
    )
    known = replace(opening, runtime=runtime, device=device, precision=settled.precision, graph=settled.graph)
    return EmbedWork(known, tower.space, settled.check.graph_id if settled.check else "", tower), settled


def _facts(work: EmbedWork, settled: Settled) -> dict[str, Any]:
    """Return what the summary says of the embedder."""
    space, check = work.space, settled.check
    cosine = check and {"mean": check.mean_cosine, "lowest": check.lowest_cosine, "n_checked": check.n_checked}
    return {
        "embedder": space.embedder,
        "embedder_id": space.embedder_id,
        "n_dims": space.n_dims,
        "precision": settled.precision,
        "runtime": work.runtime,
        "device": work.opening.device,
        "cosine_to_fp32": cosine,
    }
