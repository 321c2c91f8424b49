"""The field ``mekiki``: what is kept in it, what is read from it, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from mekiki.dataset.formats.base import BoxClaim, LabelClaim, OutItem, Record
from mekiki.dataset.formats.extras import extras_of, with_extras


def item(**fields: Any) -> OutItem:
    return OutItem("1", "image", Path("a.jpg"), 10, 10, **fields)


def test_nothing_is_kept_of_what_the_format_says_itself() -> None:
    native = Record("a.jpg", 1, (LabelClaim("fox"),), is_complete=True, part="train")

    kept = extras_of(item(states={"fox": "present", "car": "absent"}, part="train"), native, ["fox", "car"], Path())

    assert kept == {}


def test_absent_classes_are_not_spelled_out_when_all_were_asked() -> None:
    kept = extras_of(item(states={"fox": "unsure", "car": "absent"}), Record("a.jpg", 1), ["fox", "car"], Path())

    assert kept == {"labels": {"fox": "unsure"}, "is_complete": True}


def test_an_item_that_nobody_was_asked_about_says_so_where_the_format_would_say_absent() -> None:
    kept = extras_of(item(), Record("a.jpg", 1, is_complete=True), ["fox"], Path())

    assert kept == {"labels": {}}


def test_the_source_of_a_frame_is_its_video() -> None:
    kept = extras_of(item(video_id="v", groups={"near": "7", "site": ""}), Record("a.jpg", 1), [], Path())

    assert kept == {"groups": {"source": "v"}}


def test_what_is_kept_is_put_over_what_the_format_says() -> None:
    record = Record("a.jpg", 1, part="train", groups={"site": "n"}, attributes={"a": "1"}, captions=("x",))
    kept = {
        "part": None,
        "groups": {"burst": "b"},
        "attributes": {"b": ""},
        "captions": [],
        "labels": {"fox": "absent"},
    }

    whole = with_extras(record, {"mekiki": kept})

    assert whole.part is None
    assert whole.groups == {"site": "n", "burst": "b"}
    assert whole.attributes == {"a": "1", "b": ""}
    assert whole.captions == ()
    assert whole.labels == (LabelClaim("fox", "absent"),)
    assert not whole.is_complete


def test_boxes_keep_their_unit_and_score() -> None:
    boxes = (BoxClaim("fox", (0.1, 0.2, 0.3, 0.4), 0.5, is_relative=True), BoxClaim("car", (1.0, 2.0, 3.0, 4.0)))

    kept = extras_of(item(boxes=boxes), Record("a.jpg", 1), [], Path())

    assert with_extras(Record("a.jpg", 1), {"mekiki": kept}).boxes == boxes


def test_a_record_without_the_field_is_the_same_record() -> None:
    record = Record("a.jpg", 1)

    assert with_extras(record, {"id": 1}) is record


@pytest.mark.parametrize(
    ("kept", "message"),
    [
        pytest.param([], "its field 'mekiki' should be an object, and is a list", id="no object"),
        pytest.param({"labels": ["fox"]}, "'labels' should be an object, and is a list", id="labels"),
        pytest.param(
            {"labels": {"fox": None}}, "class 'fox' cannot be None. Known: present, absent, unsure", id="state"
        ),
        pytest.param({"labels": {" ": "absent"}}, "'class' should hold text, not ' '", id="class"),
        pytest.param({"labels": {}, "confidence": {"fox": 2}}, "2 is not between 0 and 1", id="confidence"),
        pytest.param({"boxes": {}}, "'boxes' should be a list, and is an object", id="boxes"),
        pytest.param({"boxes": [7]}, "boxes should hold objects, not 7", id="box"),
        pytest.param({"boxes": [{"class": "fox", "xyxy": [1]}]}, "its box should be four numbers", id="corners"),
        pytest.param({"boxes": [{"class": "fox", "xyxy": [1, 2, 3, 1e9]}]}, "reaches beyond 10000000 pixels", id="far"),
        pytest.param({"captions": [7]}, "'captions' should hold text, not 7", id="captions"),
        pytest.param({"part": ""}, "'part' should hold text, not ''", id="part"),
        pytest.param({"groups": {"near": "x"}}, "no kind of group is called 'near'. Known: source, burst", id="kind"),
        pytest.param({"groups": {"site": 7}}, "'groups' should hold text, not 7", id="key"),
        pytest.param({"attributes": {"a": "\ud800"}}, "attributes hold text that cannot be stored", id="attributes"),
        pytest.param({"captured_at": 7}, "'captured_at' should hold text, not 7", id="time of capture"),
        pytest.param({"frame_index": "7"}, "'7' is no index of a frame", id="frame"),
        pytest.param({"time_s": float("nan")}, "nan is no finite number", id="time"),
    ],
)
def test_a_broken_field_is_refused_by_name(kept: object, message: str) -> None:
    with pytest.raises(ValueError) as caught:
        with_extras(Record("a.jpg", 1), {"mekiki": kept})

    assert message in str(caught.value)
