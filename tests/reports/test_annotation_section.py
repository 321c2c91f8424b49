"""The section on annotation tells what answers cost, who said what, and how far annotators agree."""

from __future__ import annotations

from html import unescape

from mekiki.records import Estimate
from mekiki.reports.blocks import Bars, Block, Facts, Group, Page, Paragraph, Section, Table, iter_blocks
from mekiki.reports.page import render_page
from mekiki.reports.sections.annotation import Annotation, annotation_section
from model_runs import ANIMALS, agreement


def blocks_of(section: Section) -> list[Block]:
    return list(iter_blocks(Page("p", (section,))))


def texts_of(section: Section) -> str:
    return " ".join(block.text for block in blocks_of(section) if isinstance(block, Paragraph))


def test_totals_and_classes_of_every_annotator_are_shown() -> None:
    vlm = Annotation("vlm:gpt", {"calls": 1200, "cost": 1.234}, {"タヌキ": 7, "cat": 0})

    section = annotation_section([vlm, Annotation("human:理恵", by_class={"cat": 2})])

    assert [block.title for block in blocks_of(section) if isinstance(block, Group)] == ["vlm:gpt", "human:理恵"]
    facts = next(block for block in blocks_of(section) if isinstance(block, Facts))
    assert [(fact.label, fact.value) for fact in facts.facts] == [("calls", 1200), ("cost", 1.234)]
    bars = [[(bar.name, bar.n) for bar in block.bars] for block in blocks_of(section) if isinstance(block, Bars)]
    assert bars == [[("タヌキ", 7), ("cat", 0)], [("cat", 2)]]
    assert "1,200" in unescape(render_page(Page("p", (section,))))


def test_failures_are_told_and_will_be_tried_again() -> None:
    assert "Without a label: 3." in texts_of(annotation_section([Annotation("vlm", {"calls": 3}, n_failed=3)]))
    assert "Without a label" not in texts_of(annotation_section([Annotation("vlm", {"calls": 3})]))


def test_names_that_are_no_class_are_told() -> None:
    section = annotation_section([Annotation("vlm", left_out={"鳥": 12, "deer": 1})])

    assert "so left out: 鳥 (12), deer (1)." in texts_of(section)


def test_agreement_is_a_table_of_kappa_with_intervals() -> None:
    section = annotation_section([], agreement())

    (table,) = (block for block in blocks_of(section) if isinstance(block, Table))
    assert [row[0] for row in table.rows] == [*ANIMALS, "none"]
    assert isinstance(table.rows[0][1], Estimate)
    assert table.rows[0][1].value == 0.8
    assert table.rows[0][2:] == (120, 0.9)
    assert "vlm:gpt against human:rie" in table.caption


def test_nothing_done_and_files_gone_are_said() -> None:
    gone = Annotation("b", problem="runs/1/annotation.json is missing.")

    section = annotation_section([Annotation("a"), gone], None, "runs/2/agreement.json is missing.")

    assert texts_of(section) == (
        "Nothing was annotated. runs/1/annotation.json is missing. runs/2/agreement.json is missing."
    )


def test_annotators_with_no_picture_in_common_are_told_so() -> None:
    assert "No two annotators have labelled the same picture" in texts_of(annotation_section([], {"pairs": []}))
