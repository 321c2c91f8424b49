"""What a workspace knows of rare things, as the sections of its page want it."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np

from mekiki.catalog.crops import Crop, crops_of
from mekiki.catalog.db import Catalog
from mekiki.catalog.describing import CLASS_NAME, Described, Descriptions, find_descriptions
from mekiki.catalog.items import ItemSelection
from mekiki.catalog.mining import Chosen, Mining, find_mining
from mekiki.catalog.rarity_metrics import find_rarity_metrics
from mekiki.catalog.results import find_split
from mekiki.catalog.runs import Run, find_run, latest_run
from mekiki.catalog.vector_search import names_of_items
from mekiki.errors import UnreadableError
from mekiki.intake.files import unchanged_path
from mekiki.intake.pictures import open_picture
from mekiki.media.cropping import crop_reader
from mekiki.media.images import decode_image, read_picture_bytes
from mekiki.media.preprocessing import at_hand
from mekiki.records import Image, Item, ItemKind, Tally
from mekiki.reports.blocks import Fact, Section
from mekiki.reports.finds import SCENE_PX, Find, make_scene
from mekiki.reports.gathering import THUMBNAIL_PX, shorten
from mekiki.reports.gathering_map import map_points
from mekiki.reports.map_points import DrawnMap
from mekiki.reports.pictures import Look, Picture, make_thumbnail
from mekiki.reports.sections.funnel import Counted, funnel_section
from mekiki.reports.sections.map import map_section
from mekiki.reports.sections.rare import MAX_SHOWN, RareFinds, rare_section
from mekiki.reports.sections.scorers import scorers_section
from mekiki.reports.values import Value, format_count

INTAKE = {"ingest": "files", "frames": "videos"}
"""Stages by which pictures come in, whatever is mined of them, and what they count where they have no counts."""

BY_EMBED = "vectors"
"""The step of ``mine`` that counts what ``embed`` gave it."""

THINGS: tuple[ItemKind, ...] = ("crop", "image", "frame", "vector")
"""Kinds of what can be rare, or lie on a map."""


def rare_sections(catalog: Catalog, page: Path, look: Look = "shown") -> list[Section]:
    """Return what there is to say of rare things and of maps; a workspace without either has none of these sections.

    Args:
        catalog: Where from.
        page: Where the page will be, from which others are linked.
        look: How pictures are shown.
    """
    mining, sections = find_mining(catalog), []
    if mining is not None or latest_run(catalog, "detect") is not None:
        sections.append(funnel_section(read_funnel(catalog, mining)))
    if mining is not None:
        sections.append(rare_section(read_finds(catalog, mining, look), look))
    measured = [one for kind in ("truth", "inject") if (one := find_rarity_metrics(catalog, kind))]
    if measured:
        sections.append(scorers_section(measured))
    if (drawn := read_drawn_map(catalog)) is not None:
        is_earlier = mining is not None and not _is_of(catalog, mining)
        sections.append(map_section(drawn[0], _from(page, drawn[1]), is_earlier=is_earlier))
    return sections


def read_funnel(catalog: Catalog, mining: Mining | None) -> list[Counted]:
    """Return the counts of the runs that a mining rests on and of those that rest on it, in the order of the work.

    Other runs of these stages are left out, however late they were: their counts are of something else.

    Args:
        catalog: Where from.
        mining: It; None where nothing is mined, so that the latest detections count.
    """
    intake = {stage: latest_run(catalog, stage) for stage in INTAKE}
    steps = [one for stage, run in intake.items() if run for one in _counted(run, INTAKE[stage])]
    if mining is None:
        detected = latest_run(catalog, "detect")
        return [*steps, *(_counted(detected) if detected else [])]
    detected = find_run(catalog, mining.detect_run_id) if mining.detect_run_id else None
    steps += _counted(detected) if detected else []
    steps += [_by_embed(one) if one.step == BY_EMBED else Counted("mine", one) for one in mining.tallies]
    told = find_descriptions(catalog, mining)
    steps += [Counted("caption", one) for one in (told.tallies if told else ())]
    drawn = latest_run(catalog, "map")
    return [*steps, *(_counted(drawn) if drawn and _is_of(catalog, mining) else [])]


def _is_of(catalog: Catalog, mining: Mining) -> bool:
    """Return whether the latest map lays out the vectors and the objects that a mining has ranked."""
    drawn = latest_run(catalog, "map")
    if drawn is None or drawn.reads.get("detections", "") != (mining.detect_run_id or ""):
        return False
    return mining.vector_run_id in ("", drawn.reads.get("vectors"))  # classes alone may be ranked, without vectors


def _by_embed(one: Tally) -> Counted:
    """Return what got a vector, under the name that ``embed`` itself gives it where its early filter chose."""
    return Counted("embed", replace(one, step="early filter") if "early filter" in one.why else one)


def read_finds(catalog: Catalog, mining: Mining, look: Look = "shown") -> RareFinds:
    """Return the selection of a mining: the first `MAX_SHOWN` with their pictures, the others as rows."""
    told = find_descriptions(catalog, mining)
    described = told.described if told else {}
    crops = {one.item_id: one for one in crops_of(catalog, mining.detect_run_id)} if mining.detect_run_id else {}
    shown = mining.selected[:MAX_SHOWN]
    ids = [one.item_id for one in shown]
    wanted = set(ids)
    items = {one.item_id: one for one in ItemSelection(catalog, THINGS) if one.item_id in wanted}
    names = names_of_items(catalog, ids)
    finds = tuple(
        _find(
            one,
            mining.named.get(one.item_id, "no class"),
            len(mining.selected),
            crops.get(one.item_id),
            described.get(one.item_id),
            _pictures(items.get(one.item_id), crops.get(one.item_id), shorten(Path(names[one.item_id])), look),
        )
        for one in shown
    )
    selection = next((one for one in mining.tallies if one.step == "vectors"), None)
    return RareFinds(
        finds=finds,
        rest=tuple(_row(one, mining, described.get(one.item_id)) for one in mining.selected[MAX_SHOWN:]),
        n_ranked=selection.n_kept if selection else len(mining.selected),
        unit=selection.unit if selection else "items",
        kept_by={name: (mining.kept_by.get(name, 0), _rule(mining, name)) for name in mining.scorers},
        combine=str(mining.settings.get("combine", "")),
        words=_words(told),
    )


def read_drawn_map(catalog: Catalog) -> tuple[DrawnMap, Path | None] | None:
    """Return the latest map with what is known of its points now, and its page; None where there is no map.

    Points whose items have been forgotten are left out.
    """
    run = latest_run(catalog, "map")
    path = catalog.workspace / "runs" / run.run_id / "map.json" if run else None
    if run is None or path is None or not path.is_file():
        return None
    content = json.loads(path.read_text(encoding="utf-8"))
    places = {item_id: (x, y) for item_id, x, y in content["points"]}
    items = [one for one in ItemSelection(catalog, THINGS) if one.item_id in places]
    plane = np.array([places[one.item_id] for one in items], np.float32).reshape(len(items), 2)
    split, mining = find_split(catalog, run.settings.get("split")), run.settings.get("mining")
    points = map_points(catalog, items, split, mining, run.reads.get("detections"))
    drawn = DrawnMap(points, plane, content["method"], f"vectors of {content['embedder']}", content["n_all"])
    page = catalog.locate(run.summary["outputs"]["page"])
    return drawn, page if page.is_file() else None


def _counted(run: Run, unit: str = "") -> list[Counted]:
    """Return the counts of a run: of its steps, or else what it was given, and what of that failed."""
    steps = [Tally.from_json(one) for one in run.summary.get("counts") or []]
    if not steps and unit:
        n_in, n_failed = int(run.summary.get("n_selected", 0)), int(run.summary.get("n_failed", 0))
        steps = [Tally("reading", unit, n_in, n_in - n_failed, 0, n_failed)]
    return [Counted(run.stage, one) for one in steps]


def _find(
    one: Chosen,
    name: str,
    n_chosen: int,
    crop: Crop | None,
    described: Described | None,
    pictures: tuple[Picture, Picture | None],
) -> Find:
    facts = [Fact("rank", f"{one.rank} of {format_count(n_chosen)} chosen"), Fact("rarity", one.score, kind="score")]
    facts += [Fact(scorer, score, kind="score") for scorer, score in one.scores.items() if len(one.scores) > 1]
    if described and described.top_concept and (described.concepts or described.top_concept != name):
        best = next(iter(described.concepts.values()), None)
        facts.append(Fact("concept", described.top_concept, "" if best is None else f"{best:.2f}"))
    if described and described.targets:
        facts.append(Fact("looked for", ", ".join(described.targets)))
    is_class_name = described is not None and described.source == CLASS_NAME
    return Find(
        rank=one.rank,
        title=name,
        note=f"detector {crop.score:.2f}" if crop else "",
        thing=pictures[0],
        scene=pictures[1],
        words="" if described is None or (is_class_name and described.text == name) else described.text,
        words_by=_words_by(described),
        verdict=_verdict(described),
        tone="plain" if described is None or not described.is_final_outlier else "accent",
        facts=tuple(facts),
        why=one.why,
    )


def _verdict(described: Described | None) -> str:
    if described is None:
        return ""
    return "final outlier" if described.is_final_outlier else "common after all"


def _words_by(described: Described | None) -> str:
    if described is None:
        return ""
    if described.source == CLASS_NAME:
        return f"class name, no model's words{f' ({described.trouble})' if described.trouble else ''}"
    return f"by {described.source}"


def _words(told: Descriptions | None) -> list[str]:
    """Return whose words there are, and what decided."""
    if told is None:
        return ["Nobody has described them yet. Type: mekiki caption"]
    deciders = sorted({one.decided_by for one in told.described.values()})
    n_class = sum(1 for one in told.described.values() if one.source == CLASS_NAME)
    if n_class == len(told.described):
        whose = "No model was asked for words: each class name stands in for them"
    else:
        whose = f"Described by {told.captioner}" + (f"; for {n_class} the class name stands in" if n_class else "")
    decided = f"; final outliers are decided by {' and '.join(deciders)}" if deciders else ""
    return [f"{whose}{decided}."]


def _row(one: Chosen, mining: Mining, described: Described | None) -> tuple[Value, ...]:
    name = mining.named.get(one.item_id, "no class")
    return (one.rank, name, one.score, described.text if described else "", _verdict(described), "; ".join(one.why))


def _rule(mining: Mining, scorer: str) -> str:
    rules = mining.settings.get("rule") or {}
    return str(rules.get(scorer, mining.settings.get("keep", "")))


def _pictures(item: Item | None, crop: Crop | None, name: str, look: Look) -> tuple[Picture, Picture | None]:
    """Return a thing's picture, and the scene with its box where it was cut from one."""
    is_cut = item is not None and item.box is not None and item.whole_hw is not None
    if item is None or look == "none" or item.kind == "vector":
        gone = Picture(None, name, is_hidden=look == "none" or (item is not None and item.kind == "vector"))
        return gone, gone if is_cut else None
    try:
        if item.box is None or item.whole_hw is None:
            image = open_picture(item)(SCENE_PX)
            return Picture(make_thumbnail(image, SCENE_PX, 16_000, is_blurred=look == "blurred"), name), None
        whole = _whole_picture(item)
    except UnreadableError:
        return Picture(None, name), Picture(None, name) if is_cut else None
    cut = crop_reader(at_hand(whole), item.box, item.whole_hw)(None)
    scene = make_scene(whole, crop.box if crop else item.box, item.whole_hw, SCENE_PX, is_blurred=look == "blurred")
    thing = make_thumbnail(cut, THUMBNAIL_PX, is_blurred=look == "blurred")
    return Picture(thing, name, alt=f"The object: {name}"), Picture(scene, name, alt=f"Its scene: {name}")


def _whole_picture(item: Item) -> Image:
    path = unchanged_path(item)
    return decode_image(read_picture_bytes(path), path, allow_truncated=True).pixels


def _from(page: Path, other: Path | None) -> str:
    """Return the path from one page to another; empty where there is none."""
    return "" if other is None else Path(os.path.relpath(other, page.parent)).as_posix()
