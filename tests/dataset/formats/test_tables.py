"""Tables are read in any usual encoding, row by row, and written so that no spreadsheet runs them."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mekiki.dataset.formats.tables import Table, guard_text, path_cell, peek_columns, unguard_text, write_table
from mekiki.errors import DataError, UsageError

JAPANESE = "ファイル,ラベル\n写真1.jpg,タヌキ\n写真2.jpg,アナグマ\n"


def write(tmp_path: Path, content: bytes | str, name: str = "t.csv") -> Path:
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def rows_of(path: Path) -> list[list[str]]:
    return [cells for _, cells in Table(path).rows()]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp932"])
def test_japanese_is_read_in_each_usual_encoding(tmp_path: Path, encoding: str) -> None:
    table = Table(write(tmp_path, JAPANESE.encode(encoding)))

    rows = list(table.rows())

    assert table.columns == ("ファイル", "ラベル")
    assert rows == [(2, ["写真1.jpg", "タヌキ"]), (3, ["写真2.jpg", "アナグマ"])]
    assert table.problems == []


def test_western_text_is_never_taken_for_japanese(tmp_path: Path) -> None:
    content = "file,label\na.jpg,Félin\nb.jpg,Bär mit Öl\nc.jpg,dog\n".encode("latin-1")
    table = Table(write(tmp_path, content))

    rows = list(table.rows())

    assert rows == [(4, ["c.jpg", "dog"])]
    assert [problem.line for problem in table.problems] == [2, 3]
    assert table.problems[0].reason == "it holds bytes that are no UTF-8; save the file as 'CSV UTF-8'"


def test_one_broken_line_leaves_the_others(tmp_path: Path) -> None:
    lines = JAPANESE.encode().splitlines(keepends=True)
    table = Table(write(tmp_path, b"".join([*lines, b"x\xff.jpg,\xe3\n", *lines[1:]])))

    assert len(list(table.rows())) == 4
    assert [problem.line for problem in table.problems] == [4]


def test_a_byte_cut_off_at_the_end_of_utf_16_is_one_problem(tmp_path: Path) -> None:
    table = Table(write(tmp_path, JAPANESE.encode("utf-16")[:-3]))

    assert len(list(table.rows())) == 1
    assert [problem.line for problem in table.problems] == [3]


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_the_delimiter_is_found(tmp_path: Path, delimiter: str) -> None:
    path = write(
        tmp_path, delimiter.join(["file", "label", "note"]) + "\n" + delimiter.join(["a.jpg", "x", "y"]) + "\n"
    )

    table = Table(path)

    assert (table.delimiter, len(table.columns)) == (delimiter, 3)


def test_separators_inside_cells_are_no_delimiters(tmp_path: Path) -> None:
    path = write(tmp_path, "file,labels\na.jpg,cat;dog;fox\nb.jpg,cat|dog\n")

    assert rows_of(path) == [["a.jpg", "cat;dog;fox"], ["b.jpg", "cat|dog"]]


def test_what_excel_declares_as_separator_counts(tmp_path: Path) -> None:
    path = write(tmp_path, "sep=;\nfile;label\na,b.jpg;cat\n")

    assert list(Table(path).rows()) == [(3, ["a,b.jpg", "cat"])]


def test_blank_lines_blank_rows_and_empty_cells_at_the_end_do_not_count(tmp_path: Path) -> None:
    table = Table(write(tmp_path, "\n\nfile,label\n\na.jpg,cat,,\n,\r\nb.jpg,\n"))

    assert list(table.rows()) == [(5, ["a.jpg", "cat"]), (7, ["b.jpg", ""])]
    assert table.problems == []


def test_a_header_alone_is_a_table_without_rows(tmp_path: Path) -> None:
    assert rows_of(write(tmp_path, "file,label")) == []


def test_rows_with_too_many_or_too_few_cells_are_problems(tmp_path: Path) -> None:
    table = Table(write(tmp_path, "file,label\na.jpg,cat,dog\nb.jpg\nc.jpg,fox\n"))

    assert list(table.rows()) == [(4, ["c.jpg", "fox"])]
    assert [(problem.line, problem.reason) for problem in table.problems] == [
        (2, "it has 3 cells where the header has 2"),
        (3, "it has 1 cells where the header has 2"),
    ]


@pytest.mark.parametrize("bad", ['b.jpg,"dog', 'b.jpg,"dog"s', '"b.jpg,dog'])
def test_a_quote_that_is_wrong_spoils_its_own_row_only(tmp_path: Path, bad: str) -> None:
    table = Table(write(tmp_path, f'file,label\na.jpg,cat\n{bad}\nc.jpg,"fox, red"\nd.jpg,hen\n'))

    assert [cells[0] for _, cells in table.rows()] == ["a.jpg", "c.jpg", "d.jpg"]
    assert [problem.line for problem in table.problems] == [3]
    assert "quotes" in table.problems[0].reason


def test_a_cell_too_long_for_any_table_is_one_problem(tmp_path: Path) -> None:
    table = Table(write(tmp_path, f"file,label\na.jpg,{'x' * 200_000}\nb.jpg,cat\n"))

    assert list(table.rows()) == [(3, ["b.jpg", "cat"])]
    assert "field larger than field limit" in table.problems[0].reason


def test_a_nul_byte_spoils_its_row(tmp_path: Path) -> None:
    table = Table(write(tmp_path, b"file,label\nb\0.jpg,cat\na.jpg,cat\n"))

    assert list(table.rows()) == [(3, ["a.jpg", "cat"])]
    assert [problem.reason for problem in table.problems] == ["it holds a NUL byte"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param(b"", "t.csv is empty. A header line such as filepath,label was expected", id="empty"),
        pytest.param(b"\n \n", "is empty", id="blank"),
        pytest.param(b"\xff\xd8\xff\xe0\0\x10JFIF\0", "NUL bytes: it is no text file. Save it as 'CSV", id="binary"),
        pytest.param("file,label".encode("utf-16-le"), "holds NUL bytes", id="utf-16 without a mark"),
        pytest.param(b"file,label,label\n", "more than one column 'label'. Rename or remove one", id="doubled"),
        pytest.param(b"file,l\xff\n", "cannot read the header .* no UTF-8", id="undecodable header"),
        pytest.param(b'file,"label\n', "cannot read the header .* quotes", id="quote in header"),
    ],
)
def test_a_file_that_is_no_table_is_refused_with_the_reason(tmp_path: Path, content: bytes, message: str) -> None:
    path = write(tmp_path, content)

    assert peek_columns(path, ".csv") is None
    with pytest.raises(UsageError, match=message):
        Table(path)


def test_a_file_that_cannot_be_opened_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"cannot read .*gone\.csv: No such file"):
        Table(tmp_path / "gone.csv")


def test_an_index_column_without_a_name_is_allowed(tmp_path: Path) -> None:
    assert Table(write(tmp_path, ",file,\n0,a.jpg,x\n")).columns == ("", "file", "")


@pytest.mark.parametrize("text", ["=1+1", "+1+1", "-x", "@SUM(A1)", "\tx", "\rx", "'=1", "''@x"])
def test_what_a_spreadsheet_would_run_is_guarded(text: str) -> None:
    assert guard_text(text) == f"'{text}"
    assert unguard_text(guard_text(text)) == text


@pytest.mark.parametrize("text", ["", "x", "-1.000", "+5", "a=b", "'tis", "タヌキ"])
def test_harmless_text_is_left_alone(text: str) -> None:
    assert guard_text(text) == text
    assert unguard_text(text) == text


@given(st.text("'=+-@\t\r1x.", max_size=6))
def test_guarding_loses_nothing(text: str) -> None:
    assert unguard_text(guard_text(text)) == text


def test_a_path_is_guarded_so_that_it_still_opens(tmp_path: Path) -> None:
    (tmp_path / "=1.jpg").write_text("x")

    assert (tmp_path / path_cell("=1.jpg")).read_text() == "x"
    assert guard_text(path_cell("=1.jpg")) == "./=1.jpg"


@given(
    st.lists(
        st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=8).map(str.strip),
        min_size=2,
        max_size=2,
    )
)
def test_what_is_written_is_read_back(tmp_path_factory: pytest.TempPathFactory, cells: list[str]) -> None:
    path = tmp_path_factory.mktemp("t") / "t.csv"

    write_table(path, ["a", "b", "c"], [["first", *cells]])

    assert rows_of(path) == [["first", *cells]]


@pytest.mark.parametrize(("encoding", "start"), [("utf-8", b"a,"), ("utf-8-sig", b"\xef\xbb\xbfa,")])
def test_a_byte_order_mark_is_written_where_asked_for(tmp_path: Path, encoding: str, start: bytes) -> None:
    path = write_table(tmp_path / "t.csv", ["a", "b"], [], encoding=encoding)

    assert path.read_bytes().startswith(start)


def test_text_that_is_no_unicode_is_refused_and_leaves_no_file(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"t\.csv cannot hold 'x\\udcff', which is no Unicode: rename"):
        write_table(tmp_path / "t.csv", ["a"], [["x\udcff"]])

    assert list(tmp_path.iterdir()) == []
