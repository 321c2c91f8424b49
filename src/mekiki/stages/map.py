"""Stage ``map``: vectors in a plane. Reads ``vectors`` and all that tells its points apart; writes files, no table."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator

from mekiki.catalog.db import Catalog
from mekiki.catalog.results import find_split, hash_rows
from mekiki.catalog.runs import make_latest
from mekiki.engine.mapping import MAP_NAME, choose_mapped, lay_out, map_text, mapped_detections, small_pictures
from mekiki.engine.outputs import check_output
from mekiki.engine.run import Engine, Outcome
from mekiki.errors import UsageError
from mekiki.rarity.maps import MapMethod
from mekiki.records import Failure, RunSummary, Tally
from mekiki.reports.figure_files import scatter_file
from mekiki.reports.figures_map import scatter_groups
from mekiki.reports.gathering_map import map_points
from mekiki.reports.map_page import METHOD_NAMES, SIGN, render_map, write_map
from mekiki.reports.map_points import DrawnMap
from mekiki.reports.pictures import Look
from mekiki.reports.sprites import Sheets, make_tile, pack_tiles, tile_side
from mekiki.reports.values import format_bytes
from mekiki.settings import Field, Input, Settings, SpeedOnly
from mekiki.wholefiles import write_whole

MapKind = Literal["crop", "image", "frame", "vector"]


def _each_once(kinds: tuple[MapKind, ...]) -> tuple[MapKind, ...]:
    return tuple(dict.fromkeys(kinds))


class MapSettings(Settings):
    """Lay out vectors in a plane, so that what is alike lies together: as a picture, and as a page to explore."""

    method: MapMethod = Field(
        "auto", description="auto is t-SNE where openTSNE is installed, else PCA, and the output says which"
    )
    vectors: str | None = Input(None, min_length=1, description="embedder or run of embed (default: the latest)")
    kind: Annotated[tuple[MapKind, ...], AfterValidator(_each_once)] = Field(
        (), description="what is laid out (default: all that has a vector)"
    )
    detections: str | None = Input(
        None, min_length=4, description="run of detect whose crops are shown (default: the one mined, or the latest)"
    )
    normalise: bool = Field(True, description="scale vectors to length 1 first")
    max_points: int = Field(20_000, ge=1, le=100_000, description="draw at most so many, chosen at random")
    seed: int = Field(42, ge=0, description="which points are chosen, and what the method leaves to chance")
    color_by: Literal["class", "part", "rarity"] = Field(
        "class", description="what colours the points when the page opens; it can be switched there"
    )
    pictures: Look = Field(
        "shown", description="your pictures in the page: shown, blurred beyond recognition, or none but their names"
    )
    split: str | None = Field(None, description="whose parts to tell apart (default: the latest split)")
    mining: str | None = Input(None, min_length=4, description="run of mine whose rarity to show (default: the latest)")
    title: str = Field("Map", description="heading of the page")
    output: Path | None = Input(None, description="page to write (default: reports/map.html in the workspace)")
    workers: int = SpeedOnly(2, ge=1, description="threads that read pictures")


def map(catalog: Catalog, settings: MapSettings, engine: Engine) -> RunSummary:  # noqa: A001 - the stage's name
    """Lay out the vectors and write page, picture and places, unless nothing has changed since they were written."""
    path = check_output(settings.output or catalog.workspace / "reports" / "map.html", SIGN, "--output map.html")
    detected = _detections(catalog, settings)
    mappable = choose_mapped(catalog, settings.vectors, settings.kind, settings.max_points, settings.seed, detected)
    points = map_points(catalog, mappable.items, find_split(catalog, settings.split), settings.mining, detected)

    def compute(_run_id: str) -> Outcome:
        engine.progress.say(f"laying out {len(points):,} vectors")
        plane, method = lay_out(catalog, mappable, settings.method, settings.normalise, settings.seed)
        what = f"the vectors of {mappable.run.space.embedder}"
        drawn = DrawnMap(points, plane, method, what, mappable.n_all)
        failures: dict[str, Failure] = {}
        sheets = Sheets()
        if settings.pictures != "none":
            side = tile_side(len(points), settings.pictures)
            pictures = small_pictures(
                mappable.items, lambda image: make_tile(image, side), side, settings.workers, failures
            )
            sheets = pack_tiles(pictures, side)
        page = write_map(render_map(drawn, sheets, settings.title, settings.color_by, settings.pictures), path)
        title = f"{settings.title}: {METHOD_NAMES[method]} of {len(points):,} vectors"
        picture = write_whole(path.with_suffix(".png"), scatter_file(title, scatter_groups(drawn)))
        tallies = list(mappable.tallies)
        if sheets.sizes:
            n_shown = sum(1 for size in sheets.sizes if size != (0, 0))
            n_bare = len(points) - n_shown - len(failures)
            why = "vectors that came without a picture" if n_bare else ""
            tallies.append(Tally("pictures of the map", "points", len(points), n_shown, n_bare, len(failures), why))
        return Outcome(
            n_selected=len(points),
            files={MAP_NAME: map_text(mappable, plane, method, settings.seed)},
            outputs={"page": catalog.relative(page), "picture": catalog.relative(picture)},
            extra={
                "method": method,
                "n_points": len(points),
                "n_vectors": mappable.n_all,
                "vectors": mappable.run.run_id,
                "page_bytes": page.stat().st_size,
                "counts": [tally.to_json() for tally in tallies],
            },
            notes=[
                *(tally.line() for tally in tallies),
                *(_nothing_to_colour_by(settings, drawn) if points else _nothing_to_show(settings)),
                f"{METHOD_NAMES[method]} of {what}; the page is {format_bytes(page.stat().st_size)}",
            ],
            failures=failures,
        )

    reads = {
        "vectors": mappable.run.run_id,
        "detections": detected or "",
        "items": mappable.fingerprint,
        "points": hash_rows((one.item_id, one) for one in points),
        "n_all": str(mappable.n_all),
        "path": str(path),
    }
    summary = engine.once(catalog, "map", settings, reads, compute)
    if not engine.dry_run:
        make_latest(catalog, summary.run_id)
    return summary


def _detections(catalog: Catalog, settings: MapSettings) -> str | None:
    """Return whose crops are shown; None where no crops are.

    Raises:
        UsageError: If a run is named and no crops are wanted.
    """
    if settings.kind and "crop" not in settings.kind:
        if settings.detections is not None:
            raise UsageError("--detections says whose crops are shown: leave it out, or add --kind crop")
        return None
    return mapped_detections(catalog, settings.detections, settings.mining)


def _nothing_to_colour_by(settings: MapSettings, drawn: DrawnMap) -> list[str]:
    """Return a line where what was asked for tells no points apart, so that the page opens with their classes."""
    if settings.color_by in drawn.color_choices():
        return []
    cure = "mekiki split" if settings.color_by == "part" else "mekiki mine"
    return [f"no point has a {settings.color_by}, so the page opens coloured by class: {cure} first"]


def _nothing_to_show(settings: MapSettings) -> list[str]:
    """Return why the map is empty: nothing of these kinds is there, or the run of ``detect`` found nothing."""
    return [f"the map is empty: there is no {' and no '.join(settings.kind) or 'picture'} to show"]
