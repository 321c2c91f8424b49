"""Stage ``map``: every vector has its place, a bad picture costs its picture only, and the page is ours."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mekiki.api.workspace import forget
from mekiki.catalog.crops import new_crop, write_crops
from mekiki.catalog.db import Catalog
from mekiki.catalog.items import select_items
from mekiki.catalog.mining import COMBINED, Mining, write_rarity
from mekiki.catalog.results import BoxRow, write_boxes
from mekiki.engine.run import begin_run, describe_run, end_run
from mekiki.errors import DataError, UsageError
from mekiki.records import RunSummary
from mekiki.reports.gathering_rare import read_drawn_map
from mekiki.settings import Settings
from vectors import store_vectors
from workspaces import counts, dump, ingest, make_photos, query, reasons, run, write_photo, write_text

PCA = {"method": "pca"}


def ids(workspace: Path, kind: str = "image") -> list[str]:
    return [row[0] for row in query(workspace, "SELECT item_id FROM items WHERE kind = ? ORDER BY item_id", kind)]


def page_of(workspace: Path) -> str:
    return (workspace / "reports" / "map.html").read_text(encoding="utf-8")


def points_of(text: str) -> dict[str, list[object]]:
    """Return what the page's script reads."""
    start = text.index('id="points">') + len('id="points">')
    points: dict[str, list[object]] = json.loads(text[start : text.index("</script>", start)])
    return points


def embedded(workspace: Path, n_photos: int = 12, kind: str = "image") -> Path:
    make_photos(workspace, n_photos)
    generator = np.random.default_rng(0)
    store_vectors(workspace, {one: generator.normal(size=8).astype(np.float32) for one in ids(workspace, kind)})
    return workspace


def detected(workspace: Path, names: tuple[str, ...] = ("car", "truck"), by: str = "toy") -> list[str]:
    """Store one crop per picture and name as a finished ``detect`` run of a detector and return the crops' ids."""
    made: list[str] = []
    with Catalog(workspace) as catalog, catalog.writing("detect"):
        pictures = list(select_items(catalog, ["image"]))
        known = describe_run("detect", Settings(), by, {})
        begin_run(catalog, known)
        with catalog.transaction("detect", known["run_id"]) as transaction:
            for picture in pictures:
                boxes = [(4.0 + 30 * k, 6.0, 24.0 + 30 * k, 40.0) for k in range(len(names))]
                crops = [new_crop(picture, box) for box in boxes]
                write_crops(transaction, crops)
                rows = zip(crops, names, boxes, strict=True)
                write_boxes(
                    transaction,
                    [
                        BoxRow(picture.item_id, k, name, 0.75, box, crop.item_id)
                        for k, (crop, name, box) in enumerate(rows)
                    ],
                )
                made += [crop.item_id for crop in crops]
        end_run(catalog, RunSummary("detect", known["run_id"], n_selected=len(pictures), n_written=len(pictures)))
    return made


def mined(workspace: Path, item_ids: list[str], detect_run_id: str | None = None) -> str:
    """Store rarities as a finished ``mine`` run, the first the rarest, and return its id."""
    scores = [(one, 1 - number / max(1, len(item_ids) - 1)) for number, one in enumerate(item_ids)]
    with Catalog(workspace) as catalog, catalog.writing("mine"):
        known = describe_run("mine", Settings(), "toy", {})
        begin_run(catalog, known)
        name = f"runs/{known['run_id']}/mining.json"
        write_text(workspace / name, Mining(known["run_id"], scorers=("knn",), detect_run_id=detect_run_id).text())
        with catalog.transaction("mine", known["run_id"]) as transaction:
            write_rarity(transaction, {COMBINED: scores})
        summary = RunSummary("mine", known["run_id"], n_selected=len(scores), n_written=len(scores))
        summary.outputs = {"mining.json": name}
        end_run(catalog, summary)
    return str(known["run_id"])


def test_every_vector_gets_a_place_and_its_picture(workspace: Path) -> None:
    embedded(workspace)

    summary = run("map", workspace, **PCA)

    assert counts(summary) == (12, 12, 0, 0)
    places = json.loads((workspace / "runs" / summary.run_id / "map.json").read_text())
    assert sorted(place[0] for place in places["points"]) == ids(workspace)
    assert places["method"] == "pca"
    found = points_of(page_of(workspace))
    assert sorted(found["id"]) == ids(workspace)
    assert all(max(size) == 96 for size in found["tile"]["sizes"])  # type: ignore[call-overload]
    assert (workspace / "reports" / "map.png").read_bytes().startswith(b"\x89PNG")
    assert summary.extra["counts"][0] == {
        "step": "map", "unit": "vectors", "n_in": 12, "n_kept": 12, "n_dropped": 0, "n_failed": 0, "why": "",
    }  # fmt: skip


def test_tsne_is_what_auto_means_here(workspace: Path) -> None:
    pytest.importorskip("openTSNE")
    embedded(workspace)

    summary = run("map", workspace)

    assert summary.extra["method"] == "tsne"
    assert "t-SNE" in page_of(workspace)


def test_twice_writes_nothing_and_a_new_vector_is_seen(workspace: Path, tmp_path: Path) -> None:
    embedded(workspace)
    first = run("map", workspace, **PCA)
    rows = dump(workspace)

    second = run("map", workspace, **PCA)

    assert (second.n_written, second.run_id) == (0, first.run_id)
    assert dump(workspace) == rows
    ingest(workspace, write_photo(tmp_path / "new.jpg", 99))
    generator = np.random.default_rng(0)
    store_vectors(workspace, {one: generator.normal(size=9).astype(np.float32) for one in ids(workspace)})
    assert run("map", workspace, **PCA).n_written == 13


def test_one_broken_picture_in_the_middle_shifts_nothing(workspace: Path) -> None:
    embedded(workspace)
    whole = points_of(page_of_run(workspace))
    gone = workspace / "in" / "05.jpg"
    gone.unlink()

    summary = run("map", workspace, **PCA, title="again")

    assert reasons(summary).keys() == {"05.jpg"}
    assert (summary.n_selected, summary.n_failed) == (12, 1)
    found = points_of(page_of(workspace))
    at = found["name"].index(next(name for name in found["name"] if name[1] == "05.jpg"))  # type: ignore[index]
    assert found["tile"]["sizes"][at] == [0, 0]  # type: ignore[call-overload]
    assert [size for row, size in enumerate(found["tile"]["sizes"]) if row != at and size == [0, 0]] == []  # type: ignore[call-overload]
    for fact in ("id", "name", "x", "y"):
        assert found[fact] == whole[fact]


def page_of_run(workspace: Path) -> str:
    run("map", workspace, **PCA)
    return page_of(workspace)


def test_a_crop_shows_its_cut_its_class_and_its_rarity(workspace: Path) -> None:
    make_photos(workspace, 5)
    crops = detected(workspace)
    store_vectors(workspace, {one: np.eye(10, dtype=np.float32)[k] for k, one in enumerate(crops)})
    mined(workspace, crops)

    run("map", workspace, **PCA, color_by="rarity")

    found = points_of(page_of(workspace))
    assert found["colorBy"] == "rarity"
    assert found["classes"] == ["car", "truck"]
    assert set(found["score"]) == {0.75}
    rarity = dict(zip(found["id"], found["rarity"], strict=True))
    assert rarity[crops[0]] == 1
    assert rarity[crops[-1]] == 0
    assert found["tile"]["sizes"] == [[20, 34]] * 10  # type: ignore[call-overload]


def test_at_most_so_many_points_are_drawn_the_same_for_a_seed(workspace: Path) -> None:
    embedded(workspace)

    first = run("map", workspace, **PCA, max_points=5)
    once = points_of(page_of(workspace))["id"]
    run("map", workspace, **PCA, max_points=5, seed=1)

    assert (first.n_selected, first.extra["n_vectors"]) == (5, 12)
    assert "map: 12 vectors = 5 kept + 7 dropped + 0 failed (at most 5 points)" in first.notes
    assert len(once) == 5
    assert points_of(page_of(workspace))["id"] != once


def test_parts_and_labels_colour_the_points(workspace: Path) -> None:
    embedded(workspace)
    table = write_text(
        workspace / "in" / "labels.csv",
        "filepath,label\n" + "".join(f"{n:02d}.jpg,{'fox' if n % 2 else 'car'}\n" for n in range(12)),
    )
    ingest(workspace, workspace / "in", labels=[str(table)])
    run("dedupe", workspace)
    run("split", workspace, shares={"train": 0.5, "val": 0.5})

    run("map", workspace, **PCA)

    found = points_of(page_of(workspace))
    assert found["choices"] == ["class", "part"]
    assert sorted(found["classes"]) == ["car", "fox"]
    assert sorted(found["parts"]) == ["train", "val"]


@pytest.mark.parametrize(("look", "side"), [("blurred", 8), ("none", 0)])
def test_pictures_are_blurred_or_left_out_as_asked(workspace: Path, look: str, side: int) -> None:
    embedded(workspace)

    run("map", workspace, **PCA, pictures=look)

    text = page_of(workspace)
    assert points_of(text)["tile"]["side"] == side  # type: ignore[call-overload]
    assert ("base64" in text.split("<script>")[0]) is False
    assert ('id="sheet-0"' in text) is (look == "blurred")


def test_nothing_embedded_says_what_to_type(workspace: Path) -> None:
    make_photos(workspace, 2)

    with pytest.raises(DataError, match="mekiki embed"):
        run("map", workspace)


def test_kinds_without_vectors_say_what_to_type(workspace: Path) -> None:
    embedded(workspace, 3)

    with pytest.raises(DataError, match=r"has no vector of any crop: mekiki embed --kind crop"):
        run("map", workspace, kind=("crop",))
    with pytest.raises(UsageError, match="map: kind"):
        run("map", workspace, kind=("video",))


def test_somebody_elses_file_is_not_written_over(workspace: Path, tmp_path: Path) -> None:
    embedded(workspace, 3)
    theirs = write_text(tmp_path / "page.html", "<p>mine</p>")

    with pytest.raises(UsageError, match="would be lost"):
        run("map", workspace, **PCA, output=str(theirs))

    assert theirs.read_text() == "<p>mine</p>"


@pytest.mark.parametrize("n_photos", [1, 2, 3])
def test_a_handful_of_vectors_is_a_map_too(workspace: Path, n_photos: int) -> None:
    embedded(workspace, n_photos)

    summary = run("map", workspace, method="tsne")

    assert counts(summary) == (n_photos, n_photos, 0, 0)
    assert summary.extra["method"] == "pca"


def test_a_colour_that_nothing_has_is_told(workspace: Path) -> None:
    embedded(workspace, 4)

    notes = run("map", workspace, **PCA, color_by="rarity").notes

    assert "no point has a rarity, so the page opens coloured by class: mekiki mine first" in notes


def test_a_map_of_crops_where_nothing_was_found_is_empty_and_no_error(workspace: Path) -> None:
    embedded(workspace, 2)
    detected(workspace, ())

    summary = run("map", workspace, **PCA, kind=["crop"])

    assert counts(summary) == (0, 0, 0, 0)
    assert "the map is empty: there is no crop to show" in summary.notes
    assert points_of(page_of(workspace))["id"] == []
    report = run("report", workspace)
    assert "There was nothing to lay out" in (workspace / report.outputs["report"]).read_text(encoding="utf-8")


def test_a_map_of_crops_of_which_none_has_a_vector_is_refused(workspace: Path) -> None:
    embedded(workspace, 2)
    detected(workspace, ("car",))

    with pytest.raises(DataError, match="has no vector of any crop"):
        run("map", workspace, **PCA, kind=["crop"])


def test_crops_of_one_run_are_drawn_with_the_classes_that_it_gave_them(workspace: Path) -> None:
    """Two detectors find the same five places, and the second one five more: of the same vectors, two maps."""
    make_photos(workspace, 5)
    old = detected(workspace, ("car",), by="old")
    new = detected(workspace, ("van", "bus"), by="new")
    old_run, new_run = (row[0] for row in query(workspace, "SELECT run_id FROM runs WHERE stage = 'detect'"))
    assert set(old) < set(new)
    store_vectors(workspace, {one: np.eye(10, dtype=np.float32)[k] for k, one in enumerate(new)})

    def drawn(**settings: Any) -> tuple[set[str], list[str], list[str]]:
        summary = run("map", workspace, **PCA, **settings)
        found = points_of(page_of(workspace))
        report = read_report_map(workspace)
        assert report == dict(zip(found["id"], (found["classes"][k] for k in found["class"]), strict=True))
        return set(found["id"]), sorted(found["classes"]), [one["step"] for one in summary.extra["counts"]]

    pictures = "pictures of the map"
    assert drawn() == (set(new), ["bus", "van"], ["map", pictures])
    assert drawn(detections=old_run[:8]) == (set(old), ["car"], ["detections", "map", pictures])
    mined(workspace, old, old_run)
    assert drawn() == (set(old), ["car"], ["detections", "map", pictures])
    assert drawn(detections=new_run) == (set(new), ["bus", "van"], ["map", pictures])
    forget(workspace, old_run)
    assert drawn() == (set(new), ["bus", "van"], ["map", pictures])


def read_report_map(workspace: Path) -> dict[str, str]:
    """Return item to class, as a report shows the latest map."""
    with Catalog(workspace) as catalog:
        found = read_drawn_map(catalog)
    assert found is not None
    return {point.item_id: point.class_name for point in found[0].points}


def test_a_latest_run_that_found_nothing_leaves_the_map_empty(workspace: Path) -> None:
    make_photos(workspace, 3)
    old = detected(workspace, ("car",), by="old")
    store_vectors(workspace, {one: np.eye(3, dtype=np.float32)[k] for k, one in enumerate(old)})
    detected(workspace, (), by="new")

    summary = run("map", workspace, **PCA)

    assert [(one["n_in"], one["n_kept"]) for one in summary.extra["counts"]] == [(3, 0), (0, 0)]
    assert points_of(page_of(workspace))["id"] == []


def test_crops_of_a_run_that_have_no_vectors_say_what_to_type(workspace: Path) -> None:
    make_photos(workspace, 3)
    old = detected(workspace, ("car",), by="old")
    store_vectors(workspace, {one: np.eye(3, dtype=np.float32)[k] for k, one in enumerate(old)})
    ((run_id,),) = query(workspace, "SELECT run_id FROM runs WHERE stage = 'detect'")
    run("detect", workspace, detector="blobs", long_side=64)
    (other,) = (
        row[0] for row in query(workspace, "SELECT run_id FROM runs WHERE stage = 'detect'") if row[0] != run_id
    )

    with pytest.raises(DataError, match=rf"of any crop that run {other} found: mekiki embed --kind crop --detections"):
        run("map", workspace)
    with pytest.raises(UsageError, match="--detections says whose crops are shown: leave it out"):
        run("map", workspace, kind=("image",), detections=run_id)
    with pytest.raises(UsageError, match="no run of detect is called 'feed'"):
        run("map", workspace, detections="feed")
