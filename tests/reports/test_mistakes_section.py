"""The worst mistakes are pictures with what was decided, at which score, and where they come from."""

from __future__ import annotations

from mekiki.reports.blocks import Block, Details, Group, Page, Paragraph, Section, iter_blocks
from mekiki.reports.pictures import Gallery, Picture
from mekiki.reports.sections.mistakes import Mistake, MistakeKind, mistakes_section


def mistake(name: str, kind: MistakeKind, caption: str = "a.jpg", score: float = 0.02) -> Mistake:
    return Mistake(Picture(None, caption), name, kind, score, 0.31)


def blocks_of(section: Section) -> list[Block]:
    return list(iter_blocks(Page("p", (section,))))


def galleries_of(section: Section) -> list[Gallery]:
    return [block for block in blocks_of(section) if isinstance(block, Gallery)]


def test_a_mistake_shows_class_decision_score_and_place() -> None:
    section = mistakes_section([mistake("タヌキ", "missed", "clips/night.mp4 at 3.20 s")], "both", "test")

    ((picture,),) = (gallery.pictures for gallery in galleries_of(section))
    assert picture.labels == ("タヌキ",)
    assert picture.badges[0].text == "missed"
    assert picture.caption == "score 0.02, threshold 0.31\nclips/night.mp4 at 3.20 s"
    assert picture.spoken == "タヌキ, missed: score 0.02, threshold 0.31. clips/night.mp4 at 3.20 s"
    assert section.lead.startswith("both on test.")


def test_what_the_picture_shows_is_told_where_it_is_known() -> None:
    pictures = [
        Mistake(Picture(None, "a.jpg"), "cat", "false alarm", 0.9, 0.5, shown)
        for shown in (("タヌキ", "テン"), (), None)
    ]

    (gallery,) = galleries_of(mistakes_section(pictures, "both", "test"))

    captions = [picture.caption.split("\n")[1] for picture in gallery.pictures]
    assert captions == ["shows タヌキ, テン", "shows none of the classes", "a.jpg"]
    assert gallery.pictures[0].spoken == "cat, false alarm: score 0.90, threshold 0.50, shows タヌキ, テン. a.jpg"


def test_missed_and_false_alarms_are_told_apart_each_in_its_order() -> None:
    kinds: list[MistakeKind] = ["missed", "false alarm", "missed", "false alarm"]

    section = mistakes_section([mistake(f"c{n}", kind) for n, kind in enumerate(kinds)], "m", "test")

    titles = [(block.title, block.note) for block in blocks_of(section) if isinstance(block, Group)]
    assert titles == [("Missed", "2"), ("False alarms", "2")]
    shown = [[picture.labels[0] for picture in gallery.pictures] for gallery in galleries_of(section)]
    assert shown == [["c0", "c2"], ["c1", "c3"]]


def test_later_ones_fold_and_none_is_lost() -> None:
    section = mistakes_section([mistake(f"c{n}", "missed") for n in range(9)], "m", "test", max_open=4)

    first, rest = galleries_of(section)
    assert [len(first.pictures), len(rest.pictures)] == [4, 5]
    assert [block.summary for block in blocks_of(section) if isinstance(block, Details)] == ["The other 5"]


def test_a_model_without_mistakes_is_told_so() -> None:
    (block,) = mistakes_section([], "both", "test").blocks

    assert isinstance(block, Paragraph)
    assert block.text == "both decided every picture of test as its labels say."
