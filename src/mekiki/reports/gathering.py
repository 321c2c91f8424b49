"""What a workspace holds, as the sections of its page want it."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from mekiki.catalog.db import Catalog
from mekiki.catalog.detected import count_found
from mekiki.catalog.items import count_kinds, read_groups
from mekiki.catalog.mining import find_mining
from mekiki.catalog.outgoing import Outgoing
from mekiki.catalog.results import split_runs
from mekiki.catalog.runs import Run, count_done, latest_run, list_runs, mekiki_version
from mekiki.catalog.sources import repeated_files
from mekiki.dataset.formats.base import OutItem
from mekiki.errors import UnreadableError
from mekiki.media.images import read_image
from mekiki.records import UNKNOWN
from mekiki.reports.pictures import Badge, Look, Picture, make_thumbnail
from mekiki.reports.sections.counts import Counts
from mekiki.reports.sections.duplicates import MAX_FILES, MIRRORED, DuplicateGroup
from mekiki.reports.sections.runs import RunFacts
from mekiki.settings import without_places

PER_CLASS = 8
THUMBNAIL_PX = 180
VERSIONS = ("av", "numpy", "pillow", "scikit-learn", "simplejpeg")
VERSIONS_OF = {
    "onnx": ("onnxruntime",),
    "hf": ("torch", "transformers"),
    "yolo": ("torch", "ultralytics"),
    "tsne": ("openTSNE",),
    "umap": ("umap-learn",),
}
"""Packages behind kinds of detectors, and ways to make a map."""


def count_items(catalog: Catalog, going: Outgoing) -> Counts:
    """Return the counts of all pictures, by class, part, site and hour."""
    by_class: Counter[str] = Counter(dict.fromkeys(going.classes, 0))
    by_part: Counter[str] = Counter()
    by_site: Counter[str] = Counter()
    by_both: dict[str, Counter[str]] = {name: Counter() for name in going.classes}
    by_hour: dict[str, list[int]] = {}
    n_unknown = n_unlabelled = 0
    for item in going.items:
        n_unknown += item.is_unknown
        n_unlabelled += not item.states
        by_class.update(item.present)
        if item.part:
            by_part[item.part] += 1
        if "site" in item.groups:
            by_site[item.groups["site"]] += 1
        for name in item.present:
            if item.part:
                by_both.setdefault(name, Counter())[item.part] += 1
            if item.captured_at:
                by_hour.setdefault(name, [0] * 24)[_hour(item.captured_at)] += 1
    return Counts(
        by_kind={f"{kind}s": n for kind, n in count_kinds(catalog).items()},
        by_class=by_class,
        by_part=dict(sorted(by_part.items(), key=lambda pair: -pair[1])),
        by_class_and_part={name: both for name, both in by_both.items() if both},
        by_site=dict(by_site.most_common()),
        by_hour={name: by_hour[name] for name in going.classes if name in by_hour},
        n_unknown=n_unknown,
        n_unlabelled=n_unlabelled,
        by_object=count_objects(catalog),
    )


def count_objects(catalog: Catalog) -> dict[str, int]:
    """Return class to boxes of what `detect` found: the run that the latest mining took, else the latest run."""
    mining = find_mining(catalog)
    run = latest_run(catalog, "detect")
    run_id = (mining.detect_run_id if mining else None) or (run.run_id if run else None)
    return count_found(catalog, run_id).classes if run_id else {}


def choose_samples(going: Outgoing, seed: int, look: Look = "shown") -> tuple[dict[str, list[Picture]], dict[str, int]]:
    """Return class to a few of its pictures, drawn at random, and class to how many it has.

    Without any class, one heading holds pictures of all kinds.
    """
    of_class: dict[str, list[OutItem]] = {name: [] for name in going.classes}
    for item in going.items:
        names: Iterable[str] = item.present or ([UNKNOWN] if item.is_unknown else [])
        for name in names if going.classes else ["pictures"]:
            of_class.setdefault(name, []).append(item)
    draw = random.Random(seed)
    chosen = {name: draw.sample(found, min(PER_CLASS, len(found))) for name, found in of_class.items()}
    shown = {
        name: [show(item.path, caption_of(item), look, labels=_labels(item)) for item in found]
        for name, found in chosen.items()
    }
    return shown, {name: len(found) for name, found in of_class.items()}


def find_identical(catalog: Catalog, going: Outgoing, max_shown: int, look: Look = "shown") -> list[DuplicateGroup]:
    """Return groups of files with the same bytes, the largest first; only the first have a picture."""
    by_id = {item.item_id: item.path for item in going.items}
    for item in going.items:
        by_id.setdefault(str(item.parent_id), item.path)  # a clip is shown by one of its frames
    groups: list[DuplicateGroup] = []
    for item_id, paths in sorted(repeated_files(catalog), key=lambda pair: -len(pair[1])):
        names = [shorten(path) for path in paths]
        is_shown = len(groups) < max_shown and item_id in by_id
        first = show(by_id[item_id], names[0], look) if is_shown else Picture(None, names[0])
        groups.append(DuplicateGroup("exact", (first, *(Picture(None, name) for name in names[1:]))))
    return groups


def find_near(
    catalog: Catalog, going: Outgoing, max_shown: int, look: Look = "shown"
) -> tuple[list[DuplicateGroup], int]:
    """Return groups of near-duplicates from different files, the largest first; only the first have pictures.

    Of each file one picture stands for all that are in the group.

    Returns:
        The groups, and how many more there are of frames of one clip that resemble each other.
    """
    run = latest_run(catalog, "dedupe")
    if run is None:
        return [], 0
    by_id = {item.item_id: item for item in going.items}
    members: dict[str, dict[str, OutItem]] = {}
    for row in read_groups(catalog, {"near-duplicate": run.run_id}):
        if row.kind == "near-duplicate" and row.item_id in by_id:
            item = by_id[row.item_id]
            members.setdefault(row.key, {}).setdefault(item.parent_id or item.item_id, item)
    across = sorted((list(group.values()) for group in members.values() if len(group) > 1), key=lambda one: -len(one))
    mirrored = _mirrored(catalog, run)
    groups = []
    for number, items in enumerate(across):
        n_shown = MAX_FILES if number < max_shown else 0
        pictures = [
            show(item.path, caption_of(item), look, badges=(MIRRORED,) if item.item_id in mirrored else ())
            for item in items[:n_shown]
        ]
        groups.append(
            DuplicateGroup("near", (*pictures, *(Picture(None, caption_of(item)) for item in items[n_shown:])))
        )
    return groups, len(members) - len(across)


def read_certificates(catalog: Catalog) -> dict[str, dict[str, Any]]:
    """Return split name to its certificate, the latest split first."""
    found = {}
    for name, run_id in reversed(list(split_runs(catalog).items())):
        path = catalog.workspace / "runs" / run_id / "certificate.json"
        if path.exists():
            found[name] = json.loads(path.read_text(encoding="utf-8"))
    return found


def show_nearest(certificate: Mapping[str, Any], look: Look = "shown") -> tuple[Picture, ...]:
    """Return the two most alike pictures of different parts, as a certificate names them; none if it names none."""
    nearest = certificate.get("nearest")
    if not nearest:
        return ()
    return tuple(
        show(Path(nearest[which]), f"{part}: {Path(nearest[which]).name}", look)
        for which, part in zip(("first", "second"), nearest["parts"], strict=True)
    )


def without_folders(certificate: Mapping[str, Any]) -> dict[str, Any]:
    """Return a certificate as a page shows it: its two nearest pictures named as captions name them."""
    nearest = certificate.get("nearest")
    short = nearest and {**nearest, **{which: shorten(Path(nearest[which])) for which in ("first", "second")}}
    return {**certificate, "nearest": short}


def describe_runs(catalog: Catalog) -> list[RunFacts]:
    """Return all runs but those of the report itself, in the order of the work."""
    return [_run_facts(run, count_done(catalog, run.run_id)) for run in list_runs(catalog) if run.stage != "report"]


def list_versions(catalog: Catalog) -> dict[str, str]:
    """Return what the results were made with: what is installed now of what always works, and of what runs used."""
    runs = list_runs(catalog)
    kinds = {str(run.settings.get("detector", "")).partition(":")[0] for run in runs if run.stage == "detect"}
    kinds |= {str(run.summary.get("method", "")) for run in runs if run.stage == "map" and run.summary}
    used = [name for kind in sorted(kinds) for name in VERSIONS_OF.get(kind, ())]
    found = {"mekiki": mekiki_version(), **{name: version(name) for name in VERSIONS}}
    for name in used:
        with suppress(PackageNotFoundError):
            found[name] = version(name)
    return found


def show(
    path: Path, caption: str, look: Look, *, labels: Sequence[str] = (), badges: tuple[Badge, ...] = ()
) -> Picture:
    """Return a small picture of a file, or its name alone if it cannot be read any more or is not to be shown."""
    if look == "none":
        return Picture(None, caption, labels=tuple(labels), badges=badges, is_hidden=True)
    try:
        pixels = read_image(path, at_least_px=2 * THUMBNAIL_PX, allow_truncated=True)
    except UnreadableError:
        return Picture(None, caption, labels=tuple(labels), badges=badges)
    thumbnail = make_thumbnail(pixels, THUMBNAIL_PX, is_blurred=look == "blurred")
    return Picture(thumbnail, caption, labels=tuple(labels), badges=badges)


def caption_of(item: OutItem) -> str:
    """Return what stands under a picture: where it comes from, as short as it can be said."""
    if item.video_path is not None and item.time_s is not None:
        return f"{shorten(item.video_path)} at {item.time_s:.2f} s"
    return shorten(item.path)


def shorten(path: Path) -> str:
    """Return a file's name with the two folders above it: enough to tell files of one data set apart."""
    return "/".join(part for part in path.parts[-3:] if part != path.anchor)


def _labels(item: OutItem) -> tuple[str, ...]:
    unsure = [f"{name}?" for name, state in item.states.items() if state == "unsure"]
    return (*item.present, *unsure)


def _mirrored(catalog: Catalog, run: Run) -> set[str]:
    path = catalog.workspace / "runs" / run.run_id / "pairs.json"
    if not path.exists():
        return set()
    pairs: Mapping[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return {pair["second"] for pair in pairs["pairs"] if pair.get("is_mirrored")}


def _run_facts(run: Run, n_done: int) -> RunFacts:
    summary = run.summary
    if not n_done and summary:  # over a whole set: nothing is done item by item
        n_done = summary.get("n_selected", 0) - summary.get("n_failed", 0)
    return RunFacts(
        stage=run.stage,
        run_id=run.run_id,
        started=run.started_at[:19].replace("T", " ") + " UTC",
        seconds=run.seconds_in_all if run.summary else None,
        n_written=n_done if summary else None,
        n_failed=run.summary.get("n_failed"),
        settings=without_places(run.settings),
    )


def _hour(captured_at: str) -> int:
    try:
        return int(captured_at[11:13]) % 24
    except ValueError:
        return 0
