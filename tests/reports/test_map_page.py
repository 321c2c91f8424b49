"""The map's page stands alone, cannot be broken out of, and moves 20,000 points fluently."""

from __future__ import annotations

import base64
import hashlib
import html
import io
import json
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as PillowImage

from browser import CHROMIUM, Browser
from mekiki.reports.figure_files import scatter_file
from mekiki.reports.figures_map import class_figure, rarity_figure, scatter_groups
from mekiki.reports.map_page import SIGN, render_map, script_json, write_map
from mekiki.reports.map_points import NO_CLASS, DrawnMap, MapPoint, names_by_count, scaled
from mekiki.reports.sprites import Sheets, pack_tiles, tile_side

HOSTILE = [
    pytest.param("</script><script>alert(1)</script>", id="end of script"),
    pytest.param("<!--<script>", id="comment and script"),
    pytest.param("]]>--><img src=x onerror=alert(1)>", id="tag"),
    pytest.param("\" onmouseover='alert(1)", id="quotes"),
    pytest.param("\u2028alert(1)\u2029", id="line separators"),
    pytest.param("\\u003c/script\\u003e", id="our own escapes"),
    pytest.param("\u202egpj.exe", id="direction"),
    pytest.param("a\0b\x1b[2J", id="control"),
    pytest.param("caf\udce9", id="no UTF-8"),
    pytest.param("__proto__", id="prototype"),
    pytest.param("{{ 7 * 7 }}", id="template"),
]


def drawn(n: int = 30, name: str = "car", **facts: object) -> DrawnMap:
    generator = np.random.default_rng(0)
    points = tuple(
        MapPoint(f"{k:032x}", f"in/{k:03d}.jpg", name if k % 2 else "truck", rarity=k / n, **facts)  # type: ignore[arg-type]
        for k in range(n)
    )
    return DrawnMap(points, generator.normal(size=(n, 2)).astype(np.float32), "tsne", "crops", n)


def tiles(n: int, side: int = 16) -> Sheets:
    return pack_tiles((np.full((8, side, 3), k % 256, np.uint8) for k in range(n)), side)


def blocks(text: str, opening: str) -> list[str]:
    return re.findall(rf"{opening}(.*?)</(?:script|style)>", text, flags=re.DOTALL)


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_stay_text(name: str) -> None:
    one = drawn(4, name)
    points = tuple(MapPoint(point.item_id, f"{name}/{name}.jpg", point.class_name, part=name) for point in one.points)
    quiet = render_map(drawn(4), Sheets(), "Map")
    text = render_map(DrawnMap(points, one.plane, "pca", name, 4), Sheets(), name)

    text.encode()
    assert len(re.findall("<script", text)) == len(re.findall("<script", quiet))
    assert len(re.findall("</script>", text)) == len(re.findall("</script>", quiet))
    assert "onerror=alert(1)>" not in text
    assert not re.search("[\0\x1b\u202e\u2028\u2029]", text)
    found = json.loads(blocks(text, 'id="points">')[0])
    assert len(found["x"]) == 4


def test_the_policy_allows_this_script_and_style_and_pictures_inside_only() -> None:
    text = render_map(drawn(), tiles(30), "Map")

    policy = html.unescape(re.findall(r'http-equiv="Content-Security-Policy" content="([^"]+)"', text)[0])
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    assert rules["default-src"] == "'none'"
    assert rules["img-src"] == "data:"
    for rule, opening in (("script-src", "<script>"), ("style-src", "<style>")):
        inside = blocks(text, opening)
        assert len(inside) == 1
        digest = base64.b64encode(hashlib.sha256(inside[0].encode()).digest()).decode()
        assert rules[rule] == f"'sha256-{digest}'"


def test_nothing_is_asked_of_the_network_and_no_handler_is_in_the_markup() -> None:
    text = render_map(drawn(), tiles(30), "Map")

    assert not re.search(r"""(src|href|action)\s*=\s*["'](?!data:)""", text)
    assert not re.search(r"""\s(on\w+|style)\s*=\s*["']""", text)
    for word in ("http:", "https:", "fetch(", "XMLHttpRequest", "innerHTML", "eval(", "document.write", "import("):
        assert word not in text
    assert SIGN in text[:1500]


def test_the_points_are_what_was_given() -> None:
    text = render_map(drawn(5), Sheets(), "Map", "rarity")

    found = json.loads(blocks(text, 'id="points">')[0])
    assert found["colorBy"] == "rarity"
    assert [found["classes"][number] for number in found["class"]] == ["truck", "car", "truck", "car", "truck"]
    assert found["rarity"] == [0.0, 0.2, 0.4, 0.6, 0.8]
    assert [found["folders"][folder] + name for folder, name in found["name"]] == [f"in/{k:03d}.jpg" for k in range(5)]


def test_a_colour_that_tells_nothing_apart_falls_to_class() -> None:
    text = render_map(drawn(5), Sheets(), "Map", "part")

    assert json.loads(blocks(text, 'id="points">')[0])["colorBy"] == "class"


def test_sheets_must_have_a_tile_for_each_point() -> None:
    with pytest.raises(ValueError, match="sheets must have 30 tiles or none, got 29"):
        render_map(drawn(), tiles(29), "Map")


def test_tiles_keep_their_order_over_sheets_and_gaps() -> None:
    pictures = [None if k % 7 == 3 else np.full((4, 8, 3), k, np.uint8) for k in range(205)]

    packed = pack_tiles(pictures, 8)

    assert len(packed.sheets) == 3
    sheets = [np.asarray(PillowImage.open(io.BytesIO(base64.b64decode(one)))) for one in packed.sheets]
    for k, picture in enumerate(pictures):
        assert packed.sizes[k] == ((0, 0) if picture is None else (8, 4))
        row, column = divmod(k % 100, 10)
        if picture is not None:
            assert abs(int(sheets[k // 100][row * 8 + 2, column * 8 + 4, 0]) - k) < 24  # JPEG, beside grey


def test_no_tiles_make_no_sheet() -> None:
    assert pack_tiles([], 8).sheets == ()


def test_many_pictures_are_smaller_so_that_the_page_stays_small() -> None:
    sides = [tile_side(n) for n in (1, 2_000, 6_000, 20_000, 100_000)]

    assert sides == sorted(sides, reverse=True)
    assert sides[0] >= 96
    assert sides[3] >= 48


def test_scaling_keeps_both_axes_alike_and_turns_up_to_down() -> None:
    places = scaled(np.array([[0, 0], [10, 0], [0, 5]], np.float32), 1000)

    assert places.tolist() == [[0, 750], [1000, 750], [0, 250]]
    assert scaled(np.ones((3, 2), np.float32), 1000).tolist() == [[500, 500]] * 3
    assert scaled(np.zeros((0, 2), np.float32), 1000).shape == (0, 2)


def test_names_stand_by_count_and_nothing_last() -> None:
    assert list(names_by_count([NO_CLASS, NO_CLASS, "b", "a", "a"], NO_CLASS)) == ["a", "b", NO_CLASS]


def test_script_json_says_the_same_as_json() -> None:
    content = {"a": ["</script>", "\u2028", "&amp;", 1.5, None]}

    assert json.loads(script_json(content)) == content


def test_a_map_has_one_place_per_point() -> None:
    with pytest.raises(ValueError, match=r"plane must be \(1, 2\)"):
        DrawnMap((MapPoint("a"),), np.zeros((2, 2), np.float32), "pca", "x", 2)


def test_the_still_figures_say_what_they_show() -> None:
    by_class, by_rarity = class_figure(drawn(), "By class"), rarity_figure(drawn(), "By rarity")

    assert by_class.table is not None
    assert dict(by_class.table.rows) == {"car": 15, "truck": 15}
    assert by_rarity is not None
    assert by_rarity.table is not None
    assert sum(int(str(row[1])) for row in by_rarity.table.rows) == 30
    assert "<path" in by_class.drawing.svg


def test_many_classes_share_one_grey_called_others() -> None:
    points = tuple(MapPoint(str(k), class_name=f"class {k:02d}") for k in range(20))
    figure = class_figure(DrawnMap(points, np.eye(20, 2, dtype=np.float32), "pca", "x", 20), "By class")

    assert figure.table is not None
    assert len(figure.table.rows) == 20


def test_without_rarity_there_is_no_figure_of_it() -> None:
    points = (MapPoint("a"), MapPoint("b"))

    assert rarity_figure(DrawnMap(points, np.eye(2, dtype=np.float32), "pca", "x", 2), "By rarity") is None


def test_the_still_picture_is_the_same_for_the_same_map() -> None:
    assert scatter_file("Map", scatter_groups(drawn())) == scatter_file("Map", scatter_groups(drawn()))


WHEEL = """new Promise((done) => {
  const map = document.getElementById("map"), box = map.getBoundingClientRect(), took = [];
  let turns = 0;
  const turn = () => {
    if (turns > 1) took.push(Number(map.dataset.redrawMs));
    if (turns++ > 40) return done(took.sort((a, b) => a - b));
    const place = { clientX: box.left + box.width / 2, clientY: box.top + box.height / 2 };
    map.dispatchEvent(new WheelEvent("wheel", { deltaY: turns % 20 < 10 ? -40 : 40, cancelable: true, ...place }));
    requestAnimationFrame(turn);
  };
  requestAnimationFrame(turn);
})"""


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")
def test_in_a_browser_hovering_holding_filtering_and_zooming_work(tmp_path: Path) -> None:
    points = tuple(
        MapPoint(str(k), f"in/{k}.jpg", name, 0.5, ("train", "val")[k % 2], rarity=k / 4)
        for k, name in enumerate(
            ["</script><script>document.title='broken'</script>", "car", "car", "bus", "__proto__"]
        )
    )
    plane = np.array([[0, 0], [1, 1], [-1, 1], [1, -1], [-1, -1]], np.float32)
    path = write_map(render_map(DrawnMap(points, plane, "pca", "x", 5), tiles(5), "Map"), tmp_path / "map.html")

    with Browser() as page:
        page.open(path)
        page.wait("document.getElementById('map').dataset.redraws > 0")
        x, y = page.js("(b => [b.left + b.width / 2, b.top + b.height / 2])(map.getBoundingClientRect())")
        page.move(x, y)
        page.wait("!document.getElementById('card').hidden")
        hovered = page.js("document.getElementById('card-class').textContent")
        page.move(x + 80, y + 10)
        gone = page.js("document.getElementById('card').hidden")
        page.click(x, y)
        page.move(x + 80, y + 10)
        page.wait("document.getElementById('card').classList.contains('pinned')")
        page.wait("document.getElementById('picture').width > 1")
        page.js("document.getElementById('search').value = 'car'")
        page.js("document.getElementById('search').dispatchEvent(new Event('input'))")
        shown = page.js("document.getElementById('shown').textContent")
        page.js("document.getElementById('map').focus()")
        page.key("n")
        stepped = page.js("document.getElementById('card-class').textContent")
        page.key("Escape")
        title, problems = page.js("document.title"), page.problems()

    assert hovered == "</script><script>document.title='broken'</script> (0.50)"
    assert gone
    assert shown == "2 of 5 points are shown."
    assert stepped == "car (0.50)"
    assert (title, problems) == ("Map", [])


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")
@pytest.mark.parametrize("width_px", [1280, 390])
def test_twenty_thousand_points_stay_fluid(tmp_path: Path, width_px: int) -> None:
    path = write_map(render_map(drawn(20_000), tiles(20_000), "Map"), tmp_path / "map.html")

    with Browser(width_px, 844) as page:
        page.open(path)
        took = page.js(WHEEL)
        overflow = page.js("document.documentElement.scrollWidth - innerWidth")
        problems = page.problems()

    assert took[len(took) // 2] < 40, "ms a redraw, in the middle; without a graphics card, on cores that others use"
    assert overflow <= 0
    assert problems == []
