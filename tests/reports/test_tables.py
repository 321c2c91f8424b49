"""The terminal shows the same tables, and names in them give no orders to it."""

from __future__ import annotations

from mekiki.records import Estimate
from mekiki.reports.blocks import Column, Table
from mekiki.reports.tables import table_text

COLUMNS = (Column("class"), Column("pictures", "count"), Column("F1", "share"))


def test_numbers_stand_right_and_wide_letters_keep_columns_straight() -> None:
    table = Table(COLUMNS, (("タヌキ", 1200, 0.5), ("cat", 7, Estimate(0.91, 0.88, 0.94))), "By class")

    lines = table_text(table).splitlines()

    assert lines[0].strip() == "By class"
    badger, cat = (next(line for line in lines if name in line) for name in ("タヌキ", "cat"))
    assert badger.index("1,200") + 5 + 3 == cat.index("7") + 1  # three wide letters take three more columns
    assert "0.91 (0.88 to 0.94)" in cat


def test_an_unreliable_number_brings_its_note() -> None:
    text = table_text(Table(COLUMNS, (("cat", 7, Estimate(0.5, 0.1, 0.9, is_reliable=False)),)))

    assert "†" in text
    assert "too few independent groups" in " ".join(text.split())


def test_names_give_no_orders_to_the_terminal() -> None:
    text = table_text(Table(COLUMNS, (("[red]x[/red]\x1b[2J\u202e", 1, None),)))

    assert "[red]x[/red]‹U+001B›[2J‹U+202E›" in text
    assert "\x1b" not in text


def test_no_rows_are_a_heading() -> None:
    assert "pictures" in table_text(Table(COLUMNS, ()))


def test_a_long_path_is_never_cut() -> None:
    path = "cameras/" + "very-long-folder/" * 12 + "IMG_0001.JPG"

    text = table_text(Table((Column("file", "code"), Column("n", "count")), ((path, 1),)), width=60)

    assert "".join(line.split("  ")[0].strip() for line in text.splitlines()[2:]) == path
    assert max(map(len, text.splitlines())) <= 60
