"""Generic label tables: columns by name, states, joined rows, and what is wrong with a row."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from format_items import CLASSES, hard_items, make_item, meant, said, states
from mekiki.dataset.formats.base import LabelClaim, OutItem, ReadOptions, Record, Sheet, WriteOptions, complete_claims
from mekiki.dataset.formats.csv_labels import CsvLabels
from mekiki.errors import UsageError


def read(tmp_path: Path, text: str, **options: object) -> Sheet:
    path = tmp_path / "t.csv"
    path.write_text(text, encoding="utf-8")
    return CsvLabels.read(path, ReadOptions(**options))  # type: ignore[arg-type]


def states_of(sheet: Sheet) -> list[dict[str, str]]:
    return [{claim.class_name: claim.state for claim in complete_claims(one, sheet.classes)} for one in sheet.records]


def reasons(sheet: Sheet) -> list[tuple[int, str]]:
    return [(problem.line, problem.reason) for problem in sheet.problems]


def test_a_header_alone_gives_no_records(tmp_path: Path) -> None:
    sheet = read(tmp_path, "filepath,label\n")

    assert (sheet.records, sheet.classes, sheet.problems, sheet.is_single_label) == ((), (), (), False)


def test_one_label_per_row_marks_the_others_absent(tmp_path: Path) -> None:
    sheet = read(tmp_path, "filepath,label\na.jpg,タヌキ\nb.jpg,cat\nc.jpg,unknown\nd.jpg,\n")

    assert sheet.classes == ("cat", "タヌキ")
    assert sheet.is_single_label
    assert sheet.base == tmp_path
    assert states_of(sheet) == [
        {"タヌキ": "present", "cat": "absent"},
        {"cat": "present", "タヌキ": "absent"},
        {"cat": "absent", "タヌキ": "absent"},
        {},
    ]


@pytest.mark.parametrize("cell", ["cat;dog", "cat|dog", '"[""cat"", ""dog""]"', "\"['cat', 'dog']\""])
def test_several_labels_in_one_cell_make_a_multi_label_sheet(tmp_path: Path, cell: str) -> None:
    sheet = read(tmp_path, f"image,labels\na.jpg,{cell}\nb.jpg,unknown\n")

    assert not sheet.is_single_label
    assert states_of(sheet) == [{"cat": "present", "dog": "present"}, {"cat": "absent", "dog": "absent"}]


def test_unknown_beside_a_class_is_dropped_and_never_a_class(tmp_path: Path) -> None:
    sheet = read(tmp_path, "image,labels\na.jpg,cat;Unknown\n")

    assert sheet.classes == ("cat",)
    assert states_of(sheet) == [{"cat": "present"}]


@pytest.mark.parametrize("column", ["filepath", "File Path", "PATH", "file", "filename", "file-name", "image", "img"])
def test_the_usual_names_of_path_columns_are_known(tmp_path: Path, column: str) -> None:
    assert read(tmp_path, f"x,{column},label\n1,a.jpg,cat\n").records[0].path == "a.jpg"


def test_a_missing_path_column_says_what_there_is_and_what_to_type(tmp_path: Path) -> None:
    message = r"no column of .*t\.csv is called filepath or the like; it has foto, label\. .*--path-column NAME"
    with pytest.raises(UsageError, match=message):
        read(tmp_path, "foto,label\na.jpg,cat\n")

    assert read(tmp_path, "foto,label\na.jpg,cat\n", path_column="foto").records[0].path == "a.jpg"


def test_a_misspelt_column_is_refused_with_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no column of t\.csv is called 'speceis'. Did you mean 'species'\?"):
        read(tmp_path, "file,species\na.jpg,cat\n", label_column="speceis")


def test_one_column_per_class_is_read_as_states(tmp_path: Path) -> None:
    sheet = read(tmp_path, "filename,dog,cat\na.jpg,1,0\nb.jpg,True,\nc.jpg,unsure,absent\nd.jpg,,\n")

    assert sheet.classes == ("dog", "cat")
    assert not sheet.is_single_label
    assert states_of(sheet) == [
        {"dog": "present", "cat": "absent"},
        {"dog": "present"},
        {"dog": "unsure", "cat": "absent"},
        {},
    ]


def test_a_prefix_marks_the_columns_of_classes(tmp_path: Path) -> None:
    sheet = read(tmp_path, "file,night,label_タヌキ,label_unknown\na.jpg,1,1,0\nb.jpg,0,,1\n")

    assert sheet.classes == ("タヌキ",)
    assert states_of(sheet) == [{"タヌキ": "present"}, {"タヌキ": "absent"}]
    assert sheet.records[0].attributes == {"night": "1"}


def test_a_single_column_of_flags_is_no_class(tmp_path: Path) -> None:
    sheet = read(tmp_path, "file,downscaled\na.jpg,0\n")

    assert sheet.classes == ()
    assert sheet.records[0].attributes == {"downscaled": "0"}
    assert sheet.notes == (
        "t.csv: paths from file; no labels. If one of the others (downscaled) holds them: --label-column NAME",
    )


def test_what_was_taken_in_place_of_labels_is_said(tmp_path: Path) -> None:
    sheet = read(tmp_path, "image,burst,person,split\na.jpg,drive1,p,train\n")

    assert sheet.records[0].groups == {"burst": "drive1", "identity": "p"}
    assert sheet.notes == (
        "t.csv: paths from image, bursts from burst, identities from person, part from split; no labels",
    )


def test_the_users_classes_name_the_columns_of_flags(tmp_path: Path) -> None:
    sheet = read(tmp_path, "file,night,cat,dog\na.jpg,1,1,0\n", classes=("cat", "dog"))

    assert sheet.classes == ("cat", "dog")
    assert sheet.records[0].attributes == {"night": "1"}


def test_a_cell_that_is_no_state_is_a_problem(tmp_path: Path) -> None:
    sheet = read(tmp_path, "file,cat,dog\na.jpg,1,maybe\nb.jpg,0,1\n", classes=("cat", "dog"))

    assert states_of(sheet) == [{"cat": "absent", "dog": "present"}]
    assert reasons(sheet) == [(2, "class 'dog' cannot be 'maybe': write 1, 0, unsure, or nothing")]


def test_other_columns_become_part_groups_time_and_attributes(tmp_path: Path) -> None:
    header = "file,label,confidence,split,station,camera,seq_id,individual,video_id,datetime,note,attribute_site"
    row = "a.jpg,cat,0.25,validation,S1,C2,q3,Momo,v4,2024:05:01 06:07:08,'=hi,x"

    record = read(tmp_path, f"{header}\n{row}\n").records[0]

    assert record == Record(
        "a.jpg",
        2,
        labels=(LabelClaim("cat", "present", 0.25),),
        is_complete=True,
        part="val",
        groups={"source": "v4", "burst": "q3", "identity": "Momo", "site": "S1", "camera": "C2"},
        attributes={"note": "=hi", "site": "x"},
        captured_at="2024-05-01 06:07:08",
    )


def test_a_time_whose_order_is_a_guess_stays_text(tmp_path: Path) -> None:
    record = read(tmp_path, "file,label,datetime\na.jpg,cat,3/4/2024 6:07\n").records[0]

    assert (record.captured_at, record.attributes) == (None, {"captured_at": "3/4/2024 6:07"})


def test_rows_for_one_picture_are_joined(tmp_path: Path) -> None:
    sheet = read(tmp_path, "file,label,site\na.jpg,cat,S\nb.jpg,dog,S\n./a.jpg,dog,\na.jpg,unknown,S\n")

    assert [record.path for record in sheet.records] == ["a.jpg", "b.jpg"]
    assert states_of(sheet)[0] == {"cat": "present", "dog": "present"}
    assert not sheet.is_single_label


@pytest.mark.parametrize(
    ("header", "first", "second", "reason"),
    [
        ("cat,dog", "1,0", "0,0", "it says of 'cat': 'absent', but line 2 says 'present' of the same file"),
        ("label,site", "x,A", "x,B", "it says site: 'B', but line 2 says 'A' of the same file"),
    ],
)
def test_rows_that_contradict_each_other_are_a_problem(
    tmp_path: Path, header: str, first: str, second: str, reason: str
) -> None:
    sheet = read(tmp_path, f"file,{header}\na.jpg,{first}\na.jpg,{second}\n")

    assert len(sheet.records) == 1
    assert reasons(sheet) == [(3, reason)]


def test_a_label_outside_the_users_classes_is_a_problem_that_names_the_nearest(tmp_path: Path) -> None:
    sheet = read(tmp_path, "file,label\na.jpg,racoon\nb.jpg,cat\n", classes=("raccoon", "cat"))

    assert sheet.classes == ("raccoon", "cat")
    assert [record.path for record in sheet.records] == ["b.jpg"]
    assert reasons(sheet) == [(2, "no class is called 'racoon'. Did you mean 'raccoon'? Known: cat, raccoon.")]


def test_a_column_of_a_class_outside_the_users_list_is_a_problem(tmp_path: Path) -> None:
    sheet = read(tmp_path, "file,cat,dgo\na.jpg,1,0\n", classes=("cat", "dog"))

    assert reasons(sheet) == [(1, "no class is called 'dgo'. Did you mean 'dog'? Known: cat, dog.")]
    assert states_of(sheet) == [{"cat": "present"}]


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (",cat,,,", "it names no file"),
        ("a.jpg,[cat],,,", "cannot read the labels '[cat]': write a;b or a JSON list"),
        ("a.jpg,cat,cat,,", "it says that 'cat' is present, and that it is unsure"),
        ("a.jpg,cat,,85,", "its confidence '85' is no number from 0 to 1"),
        ("a.jpg,cat,,high,", "its confidence 'high' is no number from 0 to 1"),
        ("a.jpg,cat,,,x", "its frame index 'x' is no whole number"),
    ],
)
def test_a_row_that_cannot_be_understood_is_a_problem_and_the_rest_is_read(
    tmp_path: Path, row: str, reason: str
) -> None:
    sheet = read(tmp_path, f"file,label,unsure,confidence,frame_index\n{row}\nb.jpg,cat,,,\n")

    assert [record.path for record in sheet.records] == ["b.jpg"]
    assert reasons(sheet) == [(2, reason)]


def test_a_broken_class_list_beside_the_table_is_refused(tmp_path: Path) -> None:
    (tmp_path / "t.classes.json").write_text('{"cat": 1}')

    with pytest.raises(UsageError, match=r't\.classes\.json is no JSON list of class names such as \["cat", "dog"\]'):
        read(tmp_path, "file,label\na.jpg,cat\n")


def test_a_hundred_thousand_rows_take_seconds(tmp_path: Path) -> None:
    rows = (f"site{n % 50}/{n:06}.jpg,{('cat', 'dog;cat', 'unknown')[n % 3]},site{n % 50}\n" for n in range(100_000))
    start = time.perf_counter()

    sheet = read(tmp_path, "filepath,label,site\n" + "".join(rows))

    assert len(sheet.records) == 100_000
    assert time.perf_counter() - start < 10
    assert sheet.records[0].labels[0] is sheet.records[3].labels[0], "equal claims are one object"


@pytest.mark.parametrize("media", ["reference", "copy", "link"])
def test_every_state_survives_being_written(tmp_path: Path, media: str) -> None:
    items = hard_items(tmp_path / "in")
    out = tmp_path / "out"
    out.mkdir()

    table, _ = CsvLabels.write(items, out, WriteOptions(CLASSES, media=media))
    sheet = CsvLabels.read(table, ReadOptions())

    assert sheet.classes == CLASSES
    assert said(sheet) == meant(items)
    assert sheet.problems == ()


def test_everything_else_survives_being_written_too(tmp_path: Path) -> None:
    items = hard_items(tmp_path / "in")

    table, _ = CsvLabels.write(items, tmp_path, WriteOptions(CLASSES))
    records = {
        item.item_id: record for item, record in zip(items, CsvLabels.read(table, ReadOptions()).records, strict=True)
    }

    for item in items:
        record = records[item.item_id]
        assert record.attributes == item.attributes
        assert record.groups == item.groups
        assert (record.captured_at, record.frame_index, record.time_s) == (
            item.captured_at,
            item.frame_index,
            item.time_s,
        )
        shares = {claim.class_name: claim.confidence for claim in record.labels}
        assert all(shares[name] == share for name, share in item.confidence.items())


def test_a_skeleton_leaves_the_labels_to_be_filled_in(tmp_path: Path) -> None:
    item = make_item(tmp_path / "a.jpg", states=states(present="タヌキ"), part="train")

    table, _ = CsvLabels.write([item], tmp_path, WriteOptions(CLASSES, skeleton=True))

    assert table.read_text(encoding="utf-8").splitlines() == ["filepath,labels,part", "a.jpg,,train"]


def test_no_items_make_a_table_with_a_header(tmp_path: Path) -> None:
    items: list[OutItem] = []

    table, classes = CsvLabels.write(items, tmp_path, WriteOptions(CLASSES))

    assert table.read_text() == "filepath,labels\n"
    assert CsvLabels.read(table, ReadOptions()).classes == CLASSES
    assert classes.name == "labels.classes.json"


def test_one_file_in_two_parts_stays_in_both_so_that_the_leak_is_seen(tmp_path: Path) -> None:
    path = tmp_path / "labels.csv"
    path.write_text("filepath,label,part\na.jpg,x,train\na.jpg,x,test\na.jpg,x,train\n")

    sheet = CsvLabels.read(path, ReadOptions())

    assert [(record.path, record.part) for record in sheet.records] == [("a.jpg", "train"), ("a.jpg", "test")]
    assert sheet.problems == ()
