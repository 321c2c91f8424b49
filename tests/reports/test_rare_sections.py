"""Sections about rare things: counts that add up, finds beside their scenes, scorers beside chance, the map."""

from __future__ import annotations

import base64
import io
import re

import numpy as np
import pytest
from PIL import Image as PillowImage

from mekiki.catalog.rarity_metrics import RarityMetrics
from mekiki.metrics.beside_chance import Figure
from mekiki.records import Estimate, Tally
from mekiki.reports.blocks import Fact, Link, Page, Section
from mekiki.reports.finds import Find, FindList, make_scene
from mekiki.reports.map_points import DrawnMap, MapPoint
from mekiki.reports.page import render_page
from mekiki.reports.pictures import Picture, make_thumbnail
from mekiki.reports.sections.funnel import Counted, funnel_section
from mekiki.reports.sections.map import map_section
from mekiki.reports.sections.rare import MAX_OPEN, RareFinds, rare_section
from mekiki.reports.sections.scorers import scorers_section

HOSTILE = "\"><script>alert('1')</script>{{ 7 * 7 }}\u202e"


def html(section: Section) -> str:
    return render_page(Page("t", (section,)))


def text_of(page: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page.split("<main")[1]))


def thumbnail(value: int = 90) -> Picture:
    return Picture(make_thumbnail(np.full((40, 60, 3), value, np.uint8)), f"in/{value}.jpg#xywh=1,2,3,4")


def find(rank: int = 1, **known: object) -> Find:
    return Find(**{"rank": rank, "title": "truck", "note": "detector 0.81", "thing": thumbnail(), **known})  # type: ignore[arg-type]


def figure(found: float, low: float, high: float, chance: float) -> Figure:
    return Figure(Estimate(found, low, high), chance, Estimate(found - chance, low - chance, high - chance))


def metrics(**scorers: Figure) -> RarityMetrics:
    return RarityMetrics(
        run_id="r", mining_run_id="m", kind="truth", told="bicyclist above 0", unit="pictures", n_items=100, n_rare=7,
        scorers={name: {"average_precision": one} for name, one in scorers.items()},
        left_out={"unlike-common": "no words"}, notes=(), content={},
    )  # fmt: skip


def test_each_row_of_the_funnel_adds_up() -> None:
    steps = [Counted("detect", Tally("sampling", "pictures", 10, 2, 8, why="share 0.2"))]
    steps += [Counted("detect", Tally("detection", "pictures", 2, 1, 0, 1))]

    section = funnel_section(steps)

    for _, n_in, n_kept, n_dropped, n_failed, *_ in section.blocks[0].rows:  # type: ignore[attr-defined]
        assert n_in == n_kept + n_dropped + n_failed
    told = text_of(html(section))
    assert "sampling 10 2 8 0 pictures detect share 0.2" in told
    assert "detection 2 1 0 1 pictures detect" in told


def test_a_find_says_all_that_is_known_of_it() -> None:
    one = find(
        scene=thumbnail(30), words="a forklift", words_by="by vlm:x", verdict="final outlier", tone="accent",
        facts=(Fact("knn", 0.97, kind="share"), Fact("concept", "forklift")), why=("knn: 3rd of 231",),
    )  # fmt: skip

    told = text_of(html(rare_section(RareFinds((one,), n_ranked=231, unit="crops"))))

    assert "1 of 231 crops were chosen" in told
    for words in ("truck", "detector 0.81", "final outlier", "a forklift", "by vlm:x", "knn 0.97", "knn: 3rd of 231"):
        assert words in told


def test_hostile_words_stay_text() -> None:
    one = find(
        title=HOSTILE, words=HOSTILE, words_by=HOSTILE, verdict=HOSTILE, note=HOSTILE, why=(HOSTILE,),
        thing=Picture(None, HOSTILE), facts=(Fact(HOSTILE, HOSTILE, HOSTILE),),
    )  # fmt: skip
    rest = ((2, HOSTILE, 0.5, HOSTILE, HOSTILE, HOSTILE),)

    page = html(rare_section(RareFinds((one,), rest, 2, HOSTILE, {HOSTILE: (1, HOSTILE)}, HOSTILE, [HOSTILE])))

    assert "<script" not in page
    assert "\u202e" not in page
    assert "49" not in text_of(page)


def test_many_finds_are_folded_and_none_is_lost() -> None:
    finds = tuple(find(rank) for rank in range(1, MAX_OPEN + 5))
    rest = tuple((rank, "bus", 0.5, "", "", "") for rank in range(50, 55))

    page = html(rare_section(RareFinds(finds, rest, 400, "crops")))

    assert page.count("<li value=") == len(finds)
    assert page.index("<summary>") > page.index(f'<li value="{MAX_OPEN}"')
    assert "The next 4" in page
    assert "The other 5, without pictures" in text_of(page)


def test_nothing_chosen_is_said() -> None:
    assert "No rule kept any of 40 crops" in text_of(html(rare_section(RareFinds((), n_ranked=40, unit="crops"))))


def test_the_page_counts_the_bytes_of_finds_pictures() -> None:
    page = html(Section("rare", "Rare", (FindList((find(scene=thumbnail(30)),)),)))

    assert re.search(r"In it, 2 pictures: \d", page)


def test_the_box_is_drawn_where_the_object_is() -> None:
    ground = np.full((200, 400, 3), 60, np.uint8)

    scene = make_scene(ground, (100, 50, 200, 150), (200, 400), 400)

    drawn = np.asarray(PillowImage.open(io.BytesIO(base64.b64decode(scene.uri.split(",")[1]))), int)
    assert drawn.shape == (200, 400, 3)
    is_bright = drawn[..., 0] > 150
    rows, columns = np.flatnonzero(is_bright.any(axis=1)), np.flatnonzero(is_bright.any(axis=0))
    assert np.abs([rows[0] - 50, rows[-1] - 149, columns[0] - 100, columns[-1] - 199]).max() <= 3
    assert np.abs(drawn[60:140, 110:190] - 60).max() < 16
    assert (ground == 60).all()


@pytest.mark.parametrize("box", [(0, 0, 400, 200), (399, 199, 400, 200), (0, 0, 1, 1)])
def test_a_box_at_the_rim_can_be_drawn(box: tuple[float, float, float, float]) -> None:
    assert make_scene(np.zeros((200, 400, 3), np.uint8), box, (200, 400), 100).width_px == 100


def test_a_blurred_scene_keeps_nothing_but_its_colours() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (200, 400, 3), dtype=np.uint8)

    scene = make_scene(noise, (100, 50, 200, 150), (200, 400), is_blurred=True)

    drawn = np.asarray(PillowImage.open(io.BytesIO(base64.b64decode(scene.uri.split(",")[1]))), float)
    assert drawn[120:, 200:].std() < 12


def test_scorers_stand_beside_chance_and_none_is_called_better_than_it_is() -> None:
    measured = metrics(knn=figure(0.5, 0.3, 0.7, 0.07), lof=figure(0.1, 0.02, 0.2, 0.07))

    told = text_of(html(scorers_section([measured])))

    assert "7 of 100 pictures are known to be rare" in told
    assert "By average precision, above chance: knn; not above chance: lof." in told
    assert "0.07" in told
    assert "unlike-common was not measured: no words." in told


def test_where_intervals_are_not_reliable_no_scorer_is_called_above_or_below() -> None:
    unsure = Estimate(0.4, 0.3, 0.5, is_reliable=False)

    told = text_of(html(scorers_section([metrics(knn=Figure(unsure, 0.07, unsure))])))

    assert "By average precision, too little to tell: knn." in told
    assert "above chance:" not in told


def test_the_map_links_to_its_page() -> None:
    points = (MapPoint("a", class_name="car", rarity=0.5), MapPoint("b", class_name="bus", rarity=1.0))
    drawn = DrawnMap(points, np.eye(2, dtype=np.float32), "umap", "vectors of x", 9)

    page = html(map_section(drawn, "sub folder/map.html"))

    assert 'href="sub%20folder/map.html"' in page
    assert "2 of 9 points: vectors of x, laid out by UMAP" in text_of(page)
    assert page.count("<svg") == 2
    assert "map.html" not in html(map_section(drawn))


@pytest.mark.parametrize("path", ["https://a.b/c", "javascript:alert(1)", "//a.b", "/etc/passwd", "data:text/html,x"])
def test_a_link_leads_to_our_own_files_only(path: str) -> None:
    with pytest.raises(ValueError, match="path must be relative"):
        Link(path, "x")


def test_a_forgotten_map_is_said() -> None:
    empty = DrawnMap((), np.zeros((0, 2), np.float32), "pca", "x", 3)

    assert "has been forgotten" in text_of(html(map_section(empty)))
