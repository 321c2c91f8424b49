"""Stage ``embed``: one vector per picture. Reads pictures; writes ``vectors``."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

from mekiki.catalog.db import Catalog
from mekiki.catalog.items import ItemSelection, select_pictures
from mekiki.catalog.model_files import locate_model
from mekiki.engine.embedding import EmbedWork, read_sample, spread
from mekiki.engine.importing_vectors import import_vectors, wants_import
from mekiki.engine.run import Engine
from mekiki.media.preprocessing import Interpolation
from mekiki.models.embed import has_network, open_space, open_tower, resolve_embedder
from mekiki.models.embed_opening import EmbedderOpening, Output, Precision, ResizeMode, RuntimeName
from mekiki.models.precision import Precisions, Sample, Settled
from mekiki.models.runners import place, preprocessing_of
from mekiki.records import RunSummary
from mekiki.settings import Input, PerItemSettings, SpeedOnly

FOLDER = Path("models") / "embedders"
"""Inside the workspace: graphs in fewer bits, and what was measured of them."""

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
        return import_vectors(catalog, settings, engine, settings.embedder)
    items = select_pictures(catalog, "mekiki embed --embedder vectors")
    opening, why = resolve_embedder(_located(catalog, settings.to_opening()))
    with nullcontext() if engine.dry_run else catalog.writing("embed"):
        if has_network(opening):
            work, settled = _with_network(catalog, items, opening, engine)
        else:
            plain = replace(opening, device="cpu", precision="fp32")
            work, settled = EmbedWork(plain, open_space(opening)), Settled("fp32", "")
        summary = engine.map(catalog, "embed", settings, work, items)
    summary.notes += [note for note in (why, settled.why) if note]
    if not engine.dry_run:
        summary.extra |= _facts(work, settled)
    return summary


def _located(catalog: Catalog, opening: EmbedderOpening) -> EmbedderOpening:
    """Return the opening with the file that a model's name or id in ``torch:MODEL`` stands for."""
    if opening.kind != "torch" or opening.weights is not None:
        return opening
    return replace(opening, weights=locate_model(catalog, opening.what).path)


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
        *(tower, runtime, device, catalog.workspace / FOLDER),
        sample=lambda n_wanted: Sample(*read_sample(spread(items, n_wanted), how)),
        say=engine.progress.say,
    )
    settled = precisions.settle(opening.precision, len(items), may_check=not engine.dry_run) or UNSETTLED
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
