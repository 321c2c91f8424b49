"""Seed 1's CSVs: both dialects of its answers, its data set, its doubles and its failures."""

from __future__ import annotations

import csv
import hashlib
import json
import shutil
from pathlib import Path

import pytest

from format_items import CLASSES, hard_items, make_item, meant, said, states
from mekiki.dataset.formats.base import LabelClaim, OutItem, ReadOptions, Sheet, WriteOptions
from mekiki.dataset.formats.seed1 import Seed1, Seed1Annotations
from mekiki.dataset.formats.seed1_files import ANNOTATION_COLUMNS
from mekiki.dataset.formats.seed1_files import CLASSES as SEVEN
from mekiki.dataset.formats.seed1_write import Seed1AnnotationsOut, Seed1Out
from mekiki.dataset.ids import safe_names
from mekiki.errors import DataError, UsageError

ANSWER = json.dumps({"labels": ["unknown"], "reason": "dark"})


def row(**cells: str) -> dict[str, str]:
    """Return the cells of a frame, changed where asked."""
    frame = {
        "video_path": "/v/clip.mp4",
        "video_id": "0123456789",
        "frame_index": "45",
        "timestamp_sec": "1.500",
        "frame_source_path": "f/45.jpg",
        "assigned_labels_json": '["タヌキ"]',
        "confidence": "0.9000",
        "reason": "striped",
        "model": "gpt",
        "response_id": "r1",
        "response_text": "{}",
        "copied_paths_json": "[]",
    }
    return frame | cells


def write(path: Path, rows: list[dict[str, str]], encoding: str = "utf-8") -> Path:
    with path.open("w", encoding=encoding, newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def read(tmp_path: Path, *rows: dict[str, str], **options: object) -> Sheet:
    path = write(tmp_path / "openai_video_annotations.csv", list(rows))
    assert Seed1Annotations.matches(path)
    return Seed1Annotations.read(path, ReadOptions(**options))  # type: ignore[arg-type]


STILL = {"frame_index": "-1", "timestamp_sec": "-1.000", "video_path": "raw/a.jpg"}


def test_a_frame_is_read_with_its_video(tmp_path: Path) -> None:
    sheet = read(tmp_path, row())
    record = sheet.records[0]

    assert (sheet.classes, sheet.is_single_label, sheet.notes) == (SEVEN, False, ())
    assert (record.path, record.parent_path, record.frame_index, record.time_s) == ("f/45.jpg", "/v/clip.mp4", 45, 1.5)
    assert record.labels == (LabelClaim("タヌキ", "present", 0.9),)
    assert record.is_complete
    assert record.groups == {"source": "0123456789"}
    assert record.attributes == {"reason": "striped", "model": "gpt", "response_id": "r1", "response_text": "{}"}


def test_a_still_is_no_video_of_one_frame(tmp_path: Path) -> None:
    record = read(tmp_path, row(**STILL)).records[0]

    assert (record.path, record.parent_path, record.frame_index, record.time_s) == ("f/45.jpg", None, None, None)
    assert record.groups == {}
    assert record.attributes["original_path"] == "raw/a.jpg"


def test_a_still_without_a_copy_of_its_own_is_where_it_was(tmp_path: Path) -> None:
    assert read(tmp_path, row(**STILL, frame_source_path="")).records[0].path == "raw/a.jpg"


def test_the_other_dialect_says_the_same(tmp_path: Path) -> None:
    names = {"video_path": "source_path", "video_id": "source_id", "frame_index": "item_index"}
    other = {names.get(name, name): cell for name, cell in row().items() if name != "copied_paths_json"}

    assert read(tmp_path, other).records == read(tmp_path, row()).records


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ('["タヌキ", "ネコ"]', ["タヌキ", "ネコ"]),
        ("['タヌキ', 'ネコ']", ["タヌキ", "ネコ"]),
        ("タヌキ", ["タヌキ"]),
        ('["Raccoon  Dog", "HARE", "others"]', ["タヌキ", "ノウサギ"]),
        ('["タヌキ", "unknown", "tanuki"]', ["タヌキ"]),
        ('["unknown"]', []),
        ("[]", []),
        ('["none", "uncertain"]', []),
    ],
)
def test_labels_are_json_or_python_or_one_name_and_aliases_are_known(
    tmp_path: Path, text: str, names: list[str]
) -> None:
    sheet = read(tmp_path, row(assigned_labels_json=text))

    assert sheet.classes == SEVEN
    assert [claim.class_name for claim in sheet.records[0].labels] == names
    assert sheet.records[0].is_complete


def test_other_classes_are_added_to_the_seven(tmp_path: Path) -> None:
    sheet = read(tmp_path, row(), row(frame_source_path="b.jpg", assigned_labels_json='["シカ"]'))

    assert sheet.classes == (*SEVEN, "シカ")


def test_a_file_about_other_animals_has_only_those(tmp_path: Path) -> None:
    sheet = read(
        tmp_path, row(assigned_labels_json='["fox"]'), row(frame_source_path="b", assigned_labels_json='["elk"]')
    )

    assert sheet.classes == ("elk", "fox")


def test_an_alias_that_is_a_class_of_the_users_is_that_class(tmp_path: Path) -> None:
    sheet = read(tmp_path, row(assigned_labels_json='["cat"]'), classes=("cat", "dog"))

    assert (sheet.classes, sheet.records[0].labels[0].class_name) == (("cat", "dog"), "cat")


def test_a_label_outside_the_users_classes_is_a_problem(tmp_path: Path) -> None:
    sheet = read(tmp_path, row(assigned_labels_json='["タヌギ"]'), classes=("タヌキ", "ネコ"))

    assert sheet.records == ()
    assert sheet.problems[0].reason == "no class is called 'タヌギ'. Did you mean 'タヌキ'? Known: タヌキ, ネコ."


def test_of_two_rows_for_a_frame_the_surer_one_stays(tmp_path: Path) -> None:
    sheet = read(
        tmp_path,
        row(confidence="0.5", reason="first"),
        row(confidence="0.8", reason="surer"),
        row(confidence="0.8", reason="as sure, and later"),
    )

    assert [record.attributes["reason"] for record in sheet.records] == ["surer"]
    assert sheet.notes == (
        "2 rows repeat a frame (by frame_source_path): the one with the highest confidence was kept",
    )


def test_the_key_decides_what_is_the_same_frame(tmp_path: Path) -> None:
    rows = [
        row(frame_source_path="a.jpg"),
        row(frame_source_path="b.jpg"),
        row(frame_source_path="a.jpg", frame_index="90"),
    ]

    assert len(read(tmp_path, *rows).records) == 2
    by_video = read(tmp_path, *rows, dedupe_key="video_path_frame_index")
    assert [(record.path, record.frame_index) for record in by_video.records] == [("a.jpg", 45), ("a.jpg", 90)]


def test_stills_are_told_apart_by_their_own_paths(tmp_path: Path) -> None:
    rows = [row(**STILL, frame_source_path=""), row(**(STILL | {"video_path": "raw/b.jpg"}), frame_source_path="")]

    assert len(read(tmp_path, *rows, dedupe_key="video_path_frame_index").records) == 2


def test_a_misspelt_key_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        UsageError, match=r"no dedupe key is called 'frame'.* Known: frame_source_path, video_path_frame"
    ):
        read(tmp_path, row(), dedupe_key="frame")


@pytest.mark.parametrize(
    ("cells", "what"),
    [
        ({"reason": "api_error: 500"}, "an API error"),
        ({"response_text": "I cannot tell."}, "an answer that the seed could not read"),
        ({"response_text": ""}, "an answer that the seed could not read"),
    ],
)
def test_a_failure_is_not_unknown(tmp_path: Path, cells: dict[str, str], what: str) -> None:
    sheet = read(tmp_path, row(assigned_labels_json='["unknown"]', confidence="0.0000", **cells))

    assert (sheet.records[0].labels, sheet.records[0].is_complete) == ((), False)
    assert sheet.notes == (f"1 rows hold {what} and not an answer: they were read as not asked, not as unknown",)


@pytest.mark.parametrize("text", [ANSWER, f"Sure: {ANSWER} done"])
def test_an_unknown_that_somebody_said_is_one(tmp_path: Path, text: str) -> None:
    sheet = read(tmp_path, row(assigned_labels_json='["unknown"]', confidence="0", response_text=text))

    assert (sheet.records[0].labels, sheet.records[0].is_complete, sheet.notes) == ((), True, ())


def test_an_answer_wins_over_a_failure_for_the_same_frame(tmp_path: Path) -> None:
    failed = row(assigned_labels_json='["unknown"]', confidence="0", reason="api_error: 500")

    sheet = read(tmp_path, failed, row(confidence="0"))

    assert sheet.records[0].labels == (LabelClaim("タヌキ", "present", 0.0),)


@pytest.mark.parametrize(("text", "confidence"), [("1.7", 1.0), ("-1", 0.0), ("high", 0.0), ("nan", 0.0), ("", 1.0)])
def test_confidence_is_clipped(tmp_path: Path, text: str, confidence: float) -> None:
    assert read(tmp_path, row(confidence=text)).records[0].labels[0].confidence == confidence


@pytest.mark.parametrize(
    ("cells", "reason"),
    [
        ({"frame_source_path": ""}, "it names no picture: frame_source_path is empty"),
        ({"frame_index": "x"}, "its frame index 'x' is no whole number"),
        ({"timestamp_sec": "nan"}, "its time 'nan' is no number of seconds"),
        ({"assigned_labels_json": '[["タヌキ"]]'}, "the labels '[[\"タヌキ\"]]' hold more than names"),
    ],
)
def test_a_row_that_cannot_be_understood_is_a_problem(tmp_path: Path, cells: dict[str, str], reason: str) -> None:
    sheet = read(tmp_path, row(**cells), row())

    assert [(problem.line, problem.reason) for problem in sheet.problems] == [(2, reason)]
    assert len(sheet.records) == 1


def dataset_row(sample: str, labels: list[str], **cells: str) -> dict[str, str]:
    base = row(frame_source_path=f"{sample}.jpg")
    kept = {name: base[name] for name in ANNOTATION_COLUMNS[:5]}
    named = {
        "labels_json": json.dumps(labels, ensure_ascii=False),
        "labels_text": "|".join(labels),
        "confidence": "0.9",
    }
    flags = {f"label_{name}": str(int(name in labels)) for name in (*SEVEN, "unknown")}
    return {"sample_id": sample, "source_type": "video", **kept, **named, **flags, **cells}


def test_the_folder_of_a_data_set_is_read_with_its_parts(tmp_path: Path) -> None:
    rows = [dataset_row("a", ["テン"]), dataset_row("b", ["ネコ", "テン"]), dataset_row("c", ["unknown"])]
    main = write(tmp_path / "final_multilabel_dataset.csv", rows, "utf-8-sig")
    write(tmp_path / "train_known.csv", rows[:1], "utf-8-sig")
    test = write(tmp_path / "test_known.csv", rows[1:2], "utf-8-sig")

    for path in (tmp_path, main):
        sheet = Seed1.read(path, ReadOptions())
        assert [(one.path, one.part) for one in sheet.records] == [
            ("a.jpg", "train"),
            ("b.jpg", "test"),
            ("c.jpg", None),
        ]
        assert [len(one.labels) for one in sheet.records] == [1, 2, 0]
        assert (sheet.classes, sheet.base) == (SEVEN, tmp_path)
    assert {one.part for one in Seed1.read(test, ReadOptions()).records} == {"test"}
    assert Seed1.matches(tmp_path)
    assert Seed1.matches(test)


def test_a_sample_in_two_parts_is_refused(tmp_path: Path) -> None:
    rows = [dataset_row("a", ["テン"])]
    for name in ("final_multilabel_dataset", "train_known", "test_known"):
        write(tmp_path / f"{name}.csv", rows)

    with pytest.raises(UsageError, match=r"sample 'a' is in train_known\.csv and in test_known\.csv.* one by one"):
        Seed1.read(tmp_path, ReadOptions())


def test_labels_may_stand_in_the_text_or_the_columns_alone(tmp_path: Path) -> None:
    rows = [
        dataset_row("a", ["ネコ", "テン"], labels_json=""),
        dataset_row("b", ["テン"], labels_json="", labels_text=""),
        dataset_row("c", ["テン"], labels_json="", labels_text="", **{f"label_{name}": "" for name in SEVEN}),
    ]

    records = Seed1.read(write(tmp_path / "x.csv", rows), ReadOptions()).records

    present = [[claim.class_name for claim in one.labels if claim.state == "present"] for one in records]
    assert present == [["ネコ", "テン"], ["テン"], []]
    assert not records[2].is_complete


@pytest.mark.parametrize("reader", [Seed1, Seed1Annotations])
def test_other_tables_are_refused(tmp_path: Path, reader: type[Seed1] | type[Seed1Annotations]) -> None:
    (tmp_path / "t.csv").write_text("file,label\n")

    assert not reader.matches(tmp_path / "t.csv")
    assert not reader.matches(tmp_path)
    with pytest.raises(UsageError, match=r"t\.csv is no (data set|annotation CSV) of seed 1: "):
        reader.read(tmp_path / "t.csv", ReadOptions())


def known_items(folder: Path) -> list[OutItem]:
    return [
        one for one in hard_items(folder) if len(one.states) == len(CLASSES) and "unsure" not in one.states.values()
    ]


@pytest.mark.parametrize("media", ["reference", "copy"])
def test_the_data_set_survives_being_written(tmp_path: Path, media: str) -> None:
    items = hard_items(tmp_path / "in")
    out = tmp_path / "out"
    out.mkdir()

    paths = Seed1Out.write(items, out, WriteOptions(CLASSES, media=media))
    sheet = Seed1.read(paths[0], ReadOptions())

    assert sheet.classes == CLASSES
    told, wanted = said(sheet), meant(items)
    assert {key: one for key, (one, _) in told.items()} == {key: one for key, (one, _) in wanted.items()}
    with_class = [item.item_id for item in known_items(tmp_path / "in") if item.present]
    assert {key: told[key][1] for key in with_class} == {key: wanted[key][1] for key in with_class}


def test_the_six_tables_have_the_seeds_names_columns_and_ids(tmp_path: Path) -> None:
    video = tmp_path / "clip.mp4"
    frame = make_item(
        tmp_path / "f.jpg",
        kind="frame",
        states=dict.fromkeys(SEVEN, "absent") | {"タヌキ": "present", "ネコ": "present"},
        confidence={"タヌキ": 0.87654, "ネコ": 0.9},
        part="train",
        attributes={"reason": "=1", "model": "m"},
        video_path=video,
        frame_index=45,
        time_s=1.50049,
    )
    nothing = make_item(tmp_path / "u.jpg", states=dict.fromkeys(SEVEN, "absent"), part="val")
    out = tmp_path / "out"

    paths = Seed1Out.write([frame, nothing], out, WriteOptions(SEVEN))

    assert [path.name for path in paths] == [
        "final_multilabel_dataset.csv",
        "final_multilabel_dataset_known_only.csv",
        "unknown_samples.csv",
        "train_known.csv",
        "val_known.csv",
        "test_known.csv",
        "openai_video_annotations.csv",
        "openai_video_annotations.classes.json",
    ]
    assert paths[0].read_bytes().startswith(b"\xef\xbb\xbfsample_id,")
    rows = [list(csv.DictReader(path.open(encoding="utf-8-sig", newline=""))) for path in paths[:7]]
    assert [len(one) for one in rows] == [2, 1, 1, 1, 0, 0, 2]
    assert len(rows[0][0]) == 22
    key = f"{video}::45::{frame.path}"
    assert rows[3][0] == {
        "sample_id": hashlib.md5(key.encode()).hexdigest()[:16],
        "source_type": "video",
        "video_path": str(video),
        "video_id": hashlib.md5(str(video.resolve()).encode()).hexdigest()[:10],
        "frame_index": "45",
        "timestamp_sec": "1.500",
        "frame_source_path": str(frame.path),
        "confidence": "0.8765",
        "reason": "'=1",
        "model": "m",
        "labels_json": '["タヌキ", "ネコ"]',
        "labels_text": "タヌキ|ネコ",
        "num_labels": "2",
        "is_unknown": "0",
        **{f"label_{name}": str(int(name in ("タヌキ", "ネコ"))) for name in SEVEN},
        "label_unknown": "0",
    }
    still = rows[2][0]
    assert (still["source_type"], still["frame_index"], still["timestamp_sec"]) == ("image", "-1", "-1.000")
    assert (still["labels_json"], still["is_unknown"], still["label_unknown"]) == ('["unknown"]', "1", "1")


def test_another_part_than_the_three_is_refused(tmp_path: Path) -> None:
    item = make_item(tmp_path / "a.jpg", states=states(), part="fold0")

    with pytest.raises(DataError, match=r"files for train, val, test, and this split has a part 'fold0'.*--format csv"):
        Seed1Out.write([item], tmp_path / "out", WriteOptions(CLASSES))


@pytest.mark.parametrize("media", ["reference", "copy"])
def test_answers_survive_being_written(tmp_path: Path, media: str) -> None:
    items = known_items(tmp_path / "in")
    out = tmp_path / "out"

    table, _ = Seed1AnnotationsOut.write(items, out, WriteOptions(CLASSES, media=media))
    sheet = Seed1Annotations.read(table, ReadOptions())

    assert sheet.classes == CLASSES
    assert said(sheet) == {key: (one, None) for key, (one, _) in meant(items).items()}
    assert not table.read_bytes().startswith(b"\xef\xbb\xbf")
    assert table.read_text(encoding="utf-8").splitlines()[0] == ",".join(ANNOTATION_COLUMNS)


def test_what_is_not_fully_answered_has_no_row(tmp_path: Path) -> None:
    items = hard_items(tmp_path / "in")

    table, _ = Seed1AnnotationsOut.write(items, tmp_path, WriteOptions(CLASSES))

    assert len(Seed1Annotations.read(table, ReadOptions()).records) == len(known_items(tmp_path / "in")) < len(items)


def test_nothing_fully_answered_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="none of 1 pictures has a sure answer for each of 4 classes"):
        Seed1AnnotationsOut.write([make_item(tmp_path / "a.jpg")], tmp_path, WriteOptions(CLASSES))


def test_the_confidence_of_an_unknown_survives_there_and_back(tmp_path: Path) -> None:
    record = read(tmp_path, row(assigned_labels_json='["unknown"]', confidence="0.75")).records[0]
    item = make_item(tmp_path / "a.jpg", states=states(), attributes=dict(record.attributes))

    table, _ = Seed1AnnotationsOut.write([item], tmp_path / "out", WriteOptions(CLASSES))

    assert ",0.7500," in table.read_text(encoding="utf-8")


def test_an_unknown_that_nobody_was_sure_of_is_not_taken_for_a_failure(tmp_path: Path) -> None:
    item = make_item(tmp_path / "a.jpg", states=states(), confidence=dict.fromkeys(CLASSES, 0.0))

    table, _ = Seed1AnnotationsOut.write([item], tmp_path / "out", WriteOptions(CLASSES))

    assert said(Seed1Annotations.read(table, ReadOptions())) == meant([item])


@pytest.mark.parametrize("media", ["reference", "copy"])
def test_every_answered_picture_lies_in_a_folder_of_each_of_its_labels(tmp_path: Path, media: str) -> None:
    two = make_item(tmp_path / "in" / "a.jpg", states=states() | {CLASSES[0]: "present", CLASSES[1]: "present"})
    none = make_item(tmp_path / "in2" / "a.jpg", states=states())
    unsure = make_item(tmp_path / "in3" / "a.jpg", states=states() | {CLASSES[0]: "unsure"})
    out = tmp_path / "out"

    for writer in (Seed1Out, Seed1AnnotationsOut):
        paths = writer.write([two, none, unsure], out, WriteOptions(CLASSES, media=media))
        table = next(path for path in paths if path.name == "openai_video_annotations.csv")
        rows = list(csv.DictReader(table.open(encoding="utf-8", newline="")))

        assert list(rows[0]) == list(ANNOTATION_COLUMNS)
        copies = [json.loads(one["copied_paths_json"]) for one in rows]
        names = safe_names([*CLASSES, "unknown"])
        assert copies == [
            [f"ai_annotated_frames/{names[name]}/a.jpg" for name in CLASSES[:2]],
            ["ai_annotated_frames/unknown/a.jpg"],
        ]
        for item, own in zip((two, none), copies, strict=True):
            assert all((out / path).read_bytes() == item.path.read_bytes() for path in own)
        assert len(list((out / "ai_annotated_frames").rglob("*.jpg"))) == 3
        shutil.rmtree(out)
