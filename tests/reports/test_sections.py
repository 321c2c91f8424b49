"""Each section says what it was told: counts, pictures, duplicates, failures, runs."""

from __future__ import annotations

import json
from html import unescape

from mekiki.records import Failure
from mekiki.reports.blocks import Bars, Block, Code, Details, Figure, Group, Page, Section, Table, Verdict, iter_blocks
from mekiki.reports.page import render_page
from mekiki.reports.pictures import Badge, Gallery, Picture
from mekiki.reports.sections.counts import Counts, counts_section
from mekiki.reports.sections.duplicates import MIRRORED, DuplicateGroup, duplicates_section
from mekiki.reports.sections.failures import failures_section
from mekiki.reports.sections.runs import RunFacts, runs_section
from mekiki.reports.sections.samples import samples_section

ANIMALS = ("アナグマ", "アライグマ", "ハクビシン", "タヌキ", "ネコ", "ノウサギ", "テン")


def blocks_of(section: Section) -> list[Block]:
    return list(iter_blocks(Page("p", (section,))))


def html_of(section: Section) -> str:
    html = unescape(render_page(Page("p", (section,))))
    return html.replace("<wbr>", "").replace("<bdi>", "").replace("</bdi>", "").replace('<bdi lang="ja">', "")


def titles_of(section: Section) -> list[str]:
    return [block.title for block in blocks_of(section) if isinstance(block, Group)]


def pictures(*captions: str) -> tuple[Picture, ...]:
    return tuple(Picture(None, caption) for caption in captions)


def test_counts_show_every_class_site_and_part_in_the_order_given() -> None:
    by_class = {name: n for n, name in enumerate(ANIMALS, start=1)}
    by_site = {f"site-{n}": n for n in range(30)}
    counts = Counts(
        by_kind={"photos": 20, "frames": 8},
        by_class=by_class,
        by_part={"train": 20, "val": 4, "test": 4},
        by_class_and_part={name: {"train": n} for name, n in by_class.items()},
        by_site=by_site,
        n_unknown=3,
        n_unlabelled=1200,
    )

    section = counts_section(counts)

    bars = [[bar.name for bar in block.bars] for block in blocks_of(section) if isinstance(block, Bars)]
    assert bars == [list(ANIMALS), ["train", "val", "test"], list(by_site)]
    html = html_of(section)
    assert "None of these classes: 3 pictures. No label yet: 1,200 pictures." in html
    assert "71 %" in html
    assert titles_of(section) == ["By class", "By part", "By site"]


def test_the_hours_of_the_day_appear_when_they_are_known() -> None:
    section = counts_section(Counts(by_class={"テン": 2}, by_hour={"テン": [2] + [0] * 23}))

    (figure,) = (block for block in blocks_of(section) if isinstance(block, Figure))
    assert "テン at 0:00" in figure.alt


def test_figures_keep_the_largest_of_many_classes_and_the_bars_keep_all() -> None:
    names = {f"class-{n}": n for n in range(100)}
    counts = Counts(
        by_class=names, by_part={"train": 9}, by_class_and_part={name: {"train": n} for name, n in names.items()}
    )

    blocks = blocks_of(counts_section(counts))

    (figure,) = (block for block in blocks if isinstance(block, Figure))
    assert figure.table is not None
    assert [row[0] for row in figure.table.rows] == [f"class-{n}" for n in range(76, 100)]
    assert "the 24 largest of 100 classes" in figure.caption
    assert len(next(block for block in blocks if isinstance(block, Bars)).bars) == 100


def test_no_labels_say_how_to_bring_some() -> None:
    assert "mekiki ingest PATH --labels FILE" in html_of(counts_section(Counts()))


def test_samples_stand_under_their_class_with_their_other_labels() -> None:
    both = Picture(None, "a.jpg", labels=("ネコ", "テン"))

    section = samples_section({"ネコ": [both], "テン": [], "タヌキ": [both]}, {"ネコ": 1200})

    groups = [block for block in section.blocks if isinstance(block, Group)]
    assert [(group.title, group.note) for group in groups] == [
        ("ネコ", "1 of 1,200"),
        ("テン", "no picture"),
        ("タヌキ", ""),
    ]
    shown = [block for block in blocks_of(section) if isinstance(block, Gallery)]
    assert [gallery.pictures[0].labels for gallery in shown] == [("also テン",), ("also ネコ", "also テン")]
    assert shown[0].pictures[0].alt == "ネコ, テン: a.jpg"


def test_pictures_that_are_not_shown_as_they_are_say_so() -> None:
    picture = Picture(None, "a.jpg")

    for look, word in (
        ("shown", "has a chance to be seen"),
        ("blurred", "Blurred as asked for"),
        ("none", "Not shown"),
    ):
        assert word in samples_section({"fox": [picture]}, {}, look).lead


def test_no_samples_say_how_to_bring_some() -> None:
    assert "mekiki ingest PATH" in html_of(samples_section({}, {}))


def test_an_exact_group_is_one_picture_with_all_its_names() -> None:
    section = duplicates_section([DuplicateGroup("exact", pictures("a.jpg", "b/a.jpg", "c.jpg"))])

    (gallery,) = (block for block in blocks_of(section) if isinstance(block, Gallery))
    (picture,) = gallery.pictures
    assert picture.caption.split("\n") == ["a.jpg", "b/a.jpg", "c.jpg"]
    assert picture.badges == (Badge("3 files"),)
    assert "1 group, 3 files" in html_of(section)


def test_near_groups_stand_side_by_side_and_mirrored_ones_are_marked() -> None:
    flipped = Picture(None, "b.jpg", badges=(MIRRORED,))
    groups = [DuplicateGroup("near", (*pictures("a.jpg"), flipped)), DuplicateGroup("near", pictures("c.jpg", "d.jpg"))]

    section = duplicates_section(groups)

    galleries = [block for block in blocks_of(section) if isinstance(block, Gallery)]
    assert [[picture.caption for picture in gallery.pictures] for gallery in galleries] == [
        ["a.jpg", "b.jpg"],
        ["c.jpg", "d.jpg"],
    ]
    html = html_of(section)
    assert ">mirrored<" in html
    assert "flipped left to right: 1." in html


def test_groups_beyond_the_first_are_listed_file_by_file() -> None:
    groups = [DuplicateGroup("near", pictures(f"{n}-a.jpg", f"{n}-b.jpg")) for n in range(20)]

    section = duplicates_section(groups, max_groups=2)

    blocks = blocks_of(section)
    assert len([block for block in blocks if isinstance(block, Gallery)]) == 2
    (table,) = (block for block in blocks if isinstance(block, Table))
    assert table.rows[0] == (3, "2-a.jpg")
    assert len(table.rows) == 36


def test_no_duplicates_are_said_in_a_sentence() -> None:
    assert "No duplicates were found." in html_of(duplicates_section([]))


def test_failures_are_counted_by_reason_and_every_file_is_listed() -> None:
    failures = [Failure(f"写真/{n}.jpg", "truncated", "ingest") for n in range(30)] + [
        Failure("x.mp4", "empty", "frames")
    ]

    section = failures_section(failures)

    summary, *details = section.blocks
    assert isinstance(summary, Table)
    assert summary.rows == (("truncated", "ingest", 30), ("empty", "frames", 1))
    assert [block.summary for block in details if isinstance(block, Details)] == ["truncated (30)", "empty (1)"]
    html = html_of(section)
    assert all(f"写真/{n}.jpg" in html for n in range(30))
    assert "Left out: 31 files." in html


def test_very_many_failures_are_cut_and_say_so() -> None:
    section = failures_section([Failure(str(n), "bad") for n in range(12)], max_paths=10)

    assert "2 more are not listed." in html_of(section)


def test_no_failures_are_good_news() -> None:
    (verdict,) = failures_section([]).blocks

    assert isinstance(verdict, Verdict)
    assert verdict.state == "ok"


def test_runs_show_their_settings_as_they_were() -> None:
    settings = {"seed": 42, "shares": {"train": 0.7}, "root": "</pre><script>", "classes": ["タヌキ"]}

    section = runs_section(
        [RunFacts("split", "0123456789abcdef", "2025-01-02 03:04", 61.0, 10, 0, settings)], {"mekiki": "0.1.0"}
    )

    (code,) = (block for block in blocks_of(section) if isinstance(block, Code))
    assert json.loads(code.text) == settings
    html = html_of(section)
    assert "0123456789abcdef" in html
    assert "1 min 1 s" in html
    assert "0.1.0" in html
    assert "</pre><script>" not in render_page(Page("p", (section,)))


def test_no_runs_are_said_in_a_sentence() -> None:
    assert "Nothing has been run yet." in html_of(runs_section([], {}))
