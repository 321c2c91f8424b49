"""Truth files: what their columns and lines say of what is rare, and files that were not written for us."""

from __future__ import annotations

from pathlib import Path

import pytest

from mekiki.dataset.rare_truth import Matched, RareTruth, match_entries, read_truth
from mekiki.errors import DataError, UsageError
from workspaces import write_text


def table(folder: Path, text: str, name: str = "truth.csv") -> Path:
    return write_text(folder / name, text)


def said(truth: RareTruth) -> list[tuple[str, bool | None]]:
    return [(entry.path, entry.is_rare) for entry in truth.entries]


def match(truth: RareTruth, *places: Path, allow_outside: bool = False) -> Matched:
    known = {str(place): place.stem for place in places}
    return match_entries(truth, known, None, allow_outside=allow_outside)


@pytest.mark.parametrize("name", ["filepath", "image", "file_name", "path", "Image Path"])
@pytest.mark.parametrize("judge", ["rare", "is_rare", "Outlier"])
def test_usual_columns_are_found_by_their_names(tmp_path: Path, name: str, judge: str) -> None:
    truth = read_truth(table(tmp_path, f"x,{name},{judge}\n7,a.jpg,1\n7,b.jpg,0\n"))

    assert said(truth) == [("a.jpg", True), ("b.jpg", False)]
    assert not truth.is_list
    assert not truth.has_boxes


@pytest.mark.parametrize(
    ("cell", "wanted"),
    [("1", True), ("0", False), ("true", True), ("No", False), ("0.002", True), ("-1", False), ("", None)],
)
def test_words_and_numbers_say_what_is_rare_and_an_empty_cell_nothing(
    tmp_path: Path, cell: str, wanted: bool | None
) -> None:
    assert said(read_truth(table(tmp_path, f"path,rare\na.jpg,{cell}\nb.jpg,1\n")))[0] == ("a.jpg", wanted)


def test_a_number_is_rare_above_the_limit_and_not_at_it(tmp_path: Path) -> None:
    path = table(tmp_path, "image,Car,Bicyclist\na,0.5,0.00200\nb,0.5,0.00201\nc,0.5,0\n")

    truth = read_truth(path, "Bicyclist", 0.002)

    assert said(truth) == [("a", False), ("b", True), ("c", False)]
    assert truth.told == "column Bicyclist above 0.002"


def test_lines_that_say_nothing_sensible_are_problems_and_the_others_are_read(tmp_path: Path) -> None:
    path = table(tmp_path, "path,rare\na.jpg,1\nb.jpg,perhaps\nc.jpg\nd.jpg,nan\ne.jpg,0\n")

    truth = read_truth(path)

    assert said(truth) == [("a.jpg", True), ("e.jpg", False)]
    assert sorted(problem.line for problem in truth.problems) == [3, 4, 5]
    assert "'perhaps' says nothing of what is rare" in str(truth.problems)


def test_a_word_is_no_number(tmp_path: Path) -> None:
    truth = read_truth(table(tmp_path, "path,rare\na.jpg,true\nb.jpg,0.3\n"), "rare", 0.2)

    assert said(truth) == [("b.jpg", True)]
    assert "a number is expected" in truth.problems[0].reason


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "cp932"])
def test_a_byte_order_mark_or_another_encoding_changes_nothing(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "truth.csv"
    path.write_bytes("filepath;rare\r\n写真.jpg;1\r\nb.jpg;0\r\n".encode(encoding))
    listed = tmp_path / "rare.txt"
    listed.write_bytes("写真.jpg\r\n# c.jpg\r\n\r\n".encode(encoding))

    assert said(read_truth(path)) == [("写真.jpg", True), ("b.jpg", False)]
    assert said(read_truth(listed)) == [("写真.jpg", True)]


def test_a_list_names_the_rare_ones(tmp_path: Path) -> None:
    truth = read_truth(write_text(tmp_path / "rare.txt", "a.jpg\n\n# not this\n sub/b.jpg \n"))

    assert said(truth) == [("a.jpg", True), ("sub/b.jpg", True)]
    assert truth.is_list


def test_rows_with_a_box_are_single_objects_and_rare_if_nothing_else_is_said(tmp_path: Path) -> None:
    text = "image,x_min,y_min,x_max,y_max\na.jpg,1,2,30.5,40\nb.jpg,,,,\nc.jpg,5,5,1,9\nd.jpg,1,2,x,4\n"

    truth = read_truth(table(tmp_path, text))

    assert truth.has_boxes
    assert truth.entries[0].box == (1.0, 2.0, 30.5, 40.0)
    assert said(truth) == [("a.jpg", True), ("b.jpg", False)]
    assert [problem.line for problem in truth.problems] == [4, 5]


def test_rows_with_a_box_may_say_that_it_is_common(tmp_path: Path) -> None:
    text = "image,rare,x_min,y_min,x_max,y_max\na.jpg,0,1,2,3,4\na.jpg,1,5,5,9,9\nb.jpg,1,,,,\n"

    truth = read_truth(table(tmp_path, text))

    assert said(truth) == [("a.jpg", False), ("a.jpg", True)]
    assert "has no box" in truth.problems[0].reason


@pytest.mark.parametrize(
    ("text", "column", "above", "message"),
    [
        pytest.param("image,Bicyclist\na,1\n", "Bycyclist", None, "Did you mean 'Bicyclist'", id="near name"),
        pytest.param("image,Bicyclist\na,1\n", None, None, "--truth-column NAME", id="nobody says which"),
        pytest.param("what,rare\na,1\n", None, None, "holds paths", id="no paths"),
        pytest.param("", None, None, "is empty", id="empty"),
        pytest.param("image,rare,rare\na,1,1\n", None, None, "more than one column", id="doubled column"),
        pytest.param("image,x_min,y_min,x_max,y_max\na,1,2,3,4\n", None, 0.5, "--truth-above needs", id="no numbers"),
    ],
)
def test_a_wrong_table_says_what_would_be_right(
    tmp_path: Path, text: str, column: str | None, above: float | None, message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        read_truth(table(tmp_path, text), column, above)


def test_files_of_another_kind_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no truth file"):
        read_truth(tmp_path / "none.csv")
    with pytest.raises(UsageError, match=r"give a \.csv or \.tsv table, or a \.txt list"):
        read_truth(write_text(tmp_path / "truth.json", "[]"))
    with pytest.raises(UsageError, match="plain list"):
        read_truth(write_text(tmp_path / "rare.txt", "a.jpg"), "rare")


@pytest.mark.parametrize("name", ["truth.csv", "rare.txt"])
def test_a_file_that_names_nothing_is_no_truth(tmp_path: Path, name: str) -> None:
    with pytest.raises(DataError, match="names no picture"):
        read_truth(write_text(tmp_path / name, "path,rare\n" if name == "truth.csv" else "# nothing\n"))


def test_an_entry_means_a_file_by_its_path_or_by_the_end_of_it(tmp_path: Path) -> None:
    places = [tmp_path / "images" / name for name in ("0001TP_1.jpg", "b.v2.jpg", "night/c.jpg", "day/c.jpg")]
    known = {str(place): place.relative_to(tmp_path).as_posix() for place in places}
    path = table(tmp_path, "image,rare\n0001TP_1,1\nb.v2,0\nnight/c.jpg,1\nimages/day/c,0\n./images/b.v2.jpg,0\n")

    found = match_entries(read_truth(path), known, None, allow_outside=False)

    assert not found.refused
    assert set(found.entries) == set(known.values())
    assert len(found.entries["images/b.v2.jpg"]) == 2


def test_names_that_fit_several_files_or_none_are_refused(tmp_path: Path) -> None:
    path = table(tmp_path, "image,rare\nc.jpg,1\nd.jpg,1\nc.png,1\nother/c.jpg,1\n")

    found = match(read_truth(path), tmp_path / "night" / "c.jpg", tmp_path / "day" / "c2.jpg", tmp_path / "e.jpg")
    twice = match_entries(read_truth(path), {"/x/a/c.jpg": "one", "/x/b/c.jpg": "two"}, Path("/x"), allow_outside=False)

    assert set(found.entries) == {"c"}
    assert [place for place, _ in found.refused] == [f"{path}:3", f"{path}:4", f"{path}:5"]
    assert all("no picture of the workspace" in reason for _, reason in found.refused)
    assert "2 pictures are called so" in twice.refused[0][1]


def test_a_file_that_is_there_and_was_not_ingested_is_not_taken_for_another(tmp_path: Path) -> None:
    write_text(tmp_path / "a.jpg", "another picture")

    found = match(read_truth(table(tmp_path, "image,rare\na.jpg,1\n")), tmp_path / "deep" / "a.jpg")

    assert not found.entries
    assert "no picture of the workspace" in found.refused[0][1]


def test_paths_that_leave_the_folder_are_refused_unless_they_are_meant(tmp_path: Path) -> None:
    outside = tmp_path / "out" / "a.jpg"
    path = table(tmp_path / "in", f"image,rare\n../out/a.jpg,1\n{outside},1\nb.jpg,0\n")
    truth = read_truth(path)

    refused, meant = match(truth, outside), match(truth, outside, allow_outside=True)

    assert [place for place, _ in refused.refused[:2]] == [f"{path}:2", f"{path}:3"]
    assert "--allow-outside" in refused.refused[0][1]
    assert set(meant.entries) == {"a"}


def test_lines_that_disagree_speak_of_nothing_and_those_that_agree_count_once(tmp_path: Path) -> None:
    path = table(tmp_path, "image,rare\na.jpg,1\nb.jpg,0\na.jpg,0\nb.jpg,0\nb.jpg,\n")

    found = match(read_truth(path), tmp_path / "a.jpg", tmp_path / "b.jpg")

    assert set(found.entries) == {"b"}
    assert found.refused == ((f"{path}:4", "a.jpg: another line says otherwise of it"),)


def test_two_boxes_of_one_picture_do_not_disagree(tmp_path: Path) -> None:
    text = "image,rare,x_min,y_min,x_max,y_max\na.jpg,0,1,2,3,4\na.jpg,1,5,5,9,9\na.jpg,1,5,5,9,9\n"

    found = match(read_truth(table(tmp_path, text)), tmp_path / "a.jpg")

    assert len(found.entries["a"]) == 3


def test_the_fingerprint_stands_for_what_is_said_and_not_for_where(tmp_path: Path) -> None:
    first = table(tmp_path, "image,rare\na,1\n")
    moved, other = table(tmp_path / "b", "image,rare\na,1\n"), table(tmp_path / "c", "image,rare\na,0\n")

    assert read_truth(first).fingerprint() == read_truth(moved).fingerprint()
    assert read_truth(first).fingerprint() != read_truth(other).fingerprint()


def test_camvids_shares_of_pixels_are_read_as_they_are(shared_data: Path) -> None:
    folder = shared_data / "street" / "camvid"
    truth = read_truth(folder / "class_fractions.csv", "Bicyclist", 0.002)
    places = {str(path): path.stem for path in (folder / "images").iterdir()}

    found = match_entries(truth, places, None, allow_outside=False)

    assert not found.refused
    assert len(found.entries) == 120
    assert sum(bool(entries[0].is_rare) for entries in found.entries.values()) == 29
