"""The report on rare things: from the pictures to the ranked finds, every count in sight."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as PillowImage

from mekiki.api.verbs import run_stage
from mekiki.catalog.db import Catalog
from mekiki.demo.street import StreetSettings, make_street_world
from mekiki.reports.gathering import describe_runs
from workspaces import ingest, query, run

EARLIER = "This map is of other vectors or objects"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pictures with bright squares, and one with a square of its own colour; all stages up to the map."""
    workspace = tmp_path_factory.mktemp("rare") / "ws"
    folder = workspace / "in"
    folder.mkdir(parents=True)
    generator = np.random.default_rng(0)
    for number in range(8):
        pixels = generator.integers(40, 60, (120, 160, 3), dtype=np.uint8)
        pixels[20:60, 30:70] = (240, 240, 40)
        pixels[70:100, 100:140] = (40, 40, 250) if number == 5 else (240, 230, 30)
        PillowImage.fromarray(pixels).save(folder / f"{number}.png")
    ingest(workspace, folder)
    run("detect", workspace, detector="blobs")
    run("embed", workspace, embedder="colour-layout", kind=["crop"])
    run("mine", workspace, scorers=["knn", "frequency"], keep="count:3")
    run("caption", workspace, captioner="class-name")
    run("map", workspace, method="pca")
    return workspace


@pytest.fixture
def world(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "ws"))


def page(workspace: Path) -> str:
    return (workspace / "reports" / "report.html").read_text(encoding="utf-8")


def section(text: str, name: str) -> str:
    found = re.search(rf'<section id="{name}".*?</section>', text, flags=re.DOTALL)
    assert found, name
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", found[0]))


def test_the_report_tells_every_step_the_finds_and_the_map(world: Path) -> None:
    run("report", world)

    text = page(world)
    assert EARLIER not in text
    assert "<script" not in text
    assert re.findall(r"<a href=\"(?!#)([^\"]+)", text) == ["map.html"]
    assert (world / "reports" / "map.html").is_file()
    steps = re.findall(
        r'<th scope="row">.*?</tr>', re.search(r'id="funnel".*?</section>', text, re.DOTALL)[0], re.DOTALL
    )  # type: ignore[index]
    for step in steps:
        n_in, n_kept, n_dropped, n_failed = (
            int(n.replace(",", "")) for n in re.findall(r'<td class="n">([\d,]+)', step)
        )
        assert n_in == n_kept + n_dropped + n_failed
    for stage in ("ingest", "detect", "embed", "mine", "caption", "map"):
        assert f" {stage} " in section(text, "funnel")
    rare = section(text, "rare")
    assert "crops were chosen" in rare
    assert "No model was asked for words" in rare
    assert "laid out by PCA" in section(text, "map")


def test_the_rarest_find_comes_first_beside_its_scene(world: Path) -> None:
    run("report", world)

    first = re.search(r'<li value="1">.*?</li>', page(world), re.DOTALL)
    assert first
    rarest = query(world, "SELECT item_id FROM rarity WHERE scorer = 'combined' ORDER BY score DESC, item_id LIMIT 1")
    (name,) = query(
        world, "SELECT s.path FROM items i JOIN sources s ON s.item_id = i.parent_id WHERE i.item_id = ?", *rarest[0]
    )[0]
    assert Path(name).name in re.sub(r"<[^>]+>", "", first[0])
    assert first[0].count("data:image/jpeg") == 2


def test_nothing_is_written_again_until_something_is_mined(world: Path) -> None:
    run("report", world)

    assert run("report", world).n_written == 0
    run("mine", world, scorers=["knn"], keep="count:1")
    assert run("report", world).n_written > 0
    assert "1 of 16 crops were chosen" in section(page(world), "rare")


def test_pictures_can_be_left_out(world: Path) -> None:
    run_stage("report", world, {"pictures": "none"})

    assert "data:image" not in page(world)
    assert "picture not shown" in section(page(world), "rare")


def test_a_picture_that_is_gone_stays_as_its_name(world: Path) -> None:
    for number in range(8):
        (world / "in" / f"{number}.png").unlink()

    run("report", world)

    assert "picture not readable" in section(page(world), "rare")


def test_without_detection_or_mining_there_is_no_word_of_it(workspace: Path, tmp_path: Path) -> None:
    PillowImage.fromarray(np.full((40, 40, 3), 90, np.uint8)).save(tmp_path / "a.png")
    ingest(workspace, tmp_path / "a.png")

    run("report", workspace)

    assert not re.search(r'id="(funnel|rare|scorers|map)"', page(workspace))


def funnel(workspace: Path) -> list[tuple[str, ...]]:
    """Return the rows of the funnel: step, the four counts, unit, stage and reason."""
    found = re.search(r'id="funnel".*?</section>', page(workspace), re.DOTALL)
    assert found
    cells = [
        re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row, re.DOTALL)
        for row in re.findall(r"<tr>.*?</tr>", found[0], re.DOTALL)
    ]
    return [tuple(re.sub(r"<[^>]+>", "", cell).strip() for cell in row) for row in cells[1:]]


def test_the_funnel_is_of_the_mining_that_is_shown_and_of_no_later_run(world: Path) -> None:
    first = query(world, "SELECT run_id FROM runs WHERE stage = 'detect'")[0][0]
    run("report", world)
    whole = funnel(world)
    later = run("detect", world, detector="blobs", keep=1)
    run("embed", world, embedder="colour-layout", kind=["crop"], keywords=["nothing"], top_up_share=0.25)
    other = run("mine", world, scorers=["knn"], keep="count:1")
    run("caption", world, captioner="class-name")
    run("mine", world, detections=first, keep="count:4")

    run("report", world)

    rows = funnel(world)
    n_crops = query(world, "SELECT count(DISTINCT crop_id) FROM boxes WHERE run_id = ?", first)[0][0]
    assert later.extra["n_crops"] < n_crops
    assert other.run_id != first
    assert [row for row in rows if row[6] in ("ingest", "detect", "map")] == [
        row for row in whole if row[6] in ("ingest", "detect", "map")
    ]
    assert {row[6] for row in rows} == {"ingest", "detect", "embed", "mine", "map"}, "nobody described this selection"
    assert [row[:5] for row in rows if row[6] == "embed"] == [("vectors", str(n_crops), str(n_crops), "0", "0")]
    assert [row[2] for row in rows if row[0] == "rule of knn"] == ["4"]
    assert "Nobody has described them yet" in section(page(world), "rare")

    run("mine", world, scorers=["knn", "frequency"], keep="count:3", detections=first)
    run("report", world)

    assert funnel(world) == whole, "the first mining again, with its own words"

    run("map", world, method="pca", detections=later.run_id)
    run("report", world)

    assert "map" not in {row[6] for row in funnel(world)}, "a map of other crops"
    assert EARLIER in page(world)


def test_before_anything_is_mined_the_latest_detections_are_counted(workspace: Path) -> None:
    (workspace / "in").mkdir(parents=True)
    pixels = np.full((120, 160, 3), 50, np.uint8)
    pixels[20:60, 30:70] = 240
    PillowImage.fromarray(pixels).save(workspace / "in" / "a.png")
    ingest(workspace, workspace / "in")
    run("detect", workspace, detector="blobs")

    run("report", workspace)

    assert {row[6] for row in funnel(workspace)} == {"ingest", "detect"}


def test_a_find_says_its_rank_and_scores_that_tell_near_ones_apart(world: Path) -> None:
    run("report", world)

    first = section(page(world), "rare")
    assert "rank 1 of 3 chosen" in first
    assert "rarity 1.00" in first
    assert "&gt;0.99" not in page(world).split('id="rare"')[1].split("</section>")[0]


def test_the_page_names_objects_and_no_folder_of_this_machine(tmp_path: Path) -> None:
    world = make_street_world(tmp_path / "streets", StreetSettings(n_scenes=5, n_rare=1))
    workspace = tmp_path / "ws"
    run("ingest", workspace, paths=[str(world.photos)])  # one photo is broken
    run("detect", workspace, detector="blobs")
    n_crops = run("embed", workspace, embedder="colour-layout", kind=["crop"]).n_written
    run("embed", workspace, embedder="colour-layout", kind=["crop"])  # has nothing to do
    run("mine", workspace)

    run("report", workspace)

    text = page(workspace)
    assert str(tmp_path) not in text
    assert "street_0004.jpg" in re.sub("<wbr>", "", text)  # which failed
    assert "classes of objects" in text
    assert "No picture has a label yet" not in text
    with Catalog(workspace) as catalog:
        runs = {one.stage: one.n_written for one in describe_runs(catalog)}
    assert (runs["embed"], runs["mine"]) == (n_crops, n_crops)
