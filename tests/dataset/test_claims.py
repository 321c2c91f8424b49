"""What several entries say of one item, put together."""

from __future__ import annotations

import itertools

import pytest

from mekiki.dataset.claims import Claims, box_in_px, placed_groups
from mekiki.dataset.formats.base import BoxClaim, LabelClaim, Record
from mekiki.records import LabelState

CLASSES = ("fox", "car", "cat")


def entry(*present: str, is_complete: bool = True, **fields: object) -> Record:
    return Record("a.jpg", 1, labels=tuple(LabelClaim(name) for name in present), is_complete=is_complete, **fields)  # type: ignore[arg-type]


def said(name: str, state: LabelState, confidence: float = 1.0) -> Record:
    return Record("a.jpg", 1, labels=(LabelClaim(name, state, confidence),))


def states(*records: Record) -> dict[str, tuple[str, float]]:
    claims = Claims()
    for record in records:
        claims.add(record)
    return {name: (state, confidence) for name, state, confidence in claims.states(CLASSES)}


def plain(*records: Record) -> dict[str, str]:
    return {name: state for name, (state, _) in states(*records).items()}


def test_nothing_said_is_nothing_known() -> None:
    assert states() == {}
    assert states(entry(is_complete=False)) == {}


def test_a_complete_entry_says_that_all_others_are_absent() -> None:
    assert plain(entry("fox")) == {"fox": "present", "car": "absent", "cat": "absent"}


def test_a_complete_entry_that_names_nothing_is_unknown_and_all_are_absent() -> None:
    assert plain(entry()) == dict.fromkeys(CLASSES, "absent")


def test_an_incomplete_entry_says_nothing_of_the_others() -> None:
    assert plain(entry("fox", is_complete=False)) == {"fox": "present"}


def test_two_entries_that_agree_are_one() -> None:
    assert plain(entry("fox"), entry("fox")) == plain(entry("fox"))


def test_one_item_under_two_single_classes_is_unsure_in_both() -> None:
    assert plain(entry("fox"), entry("car")) == {"fox": "unsure", "car": "unsure", "cat": "absent"}


def test_present_here_and_unknown_there_is_unsure() -> None:
    assert plain(entry("fox"), entry()) == {"fox": "unsure", "car": "absent", "cat": "absent"}


def test_incomplete_entries_add_up_without_contradiction() -> None:
    assert plain(entry("fox", is_complete=False), entry("car", is_complete=False)) == {
        "fox": "present",
        "car": "present",
    }


@pytest.mark.parametrize(
    ("first", "second", "together"),
    [
        ("present", "absent", "unsure"),
        ("present", "unsure", "unsure"),
        ("absent", "unsure", "unsure"),
        ("absent", "absent", "absent"),
        ("unsure", "unsure", "unsure"),
    ],
)
def test_words_on_one_class_that_differ_are_unsure(first: LabelState, second: LabelState, together: str) -> None:
    assert plain(said("fox", first), said("fox", second)) == {"fox": together}


def test_the_highest_confidence_stays() -> None:
    assert states(said("fox", "present", 0.25), said("fox", "present", 0.75)) == {"fox": ("present", 0.75)}


def test_the_order_of_entries_changes_no_state() -> None:
    records = [entry("fox"), entry("car", "cat"), entry("fox", is_complete=False), said("cat", "absent")]

    found = {tuple(sorted(plain(*order).items())) for order in itertools.permutations(records)}

    assert len(found) == 1


def test_conflicts_are_named_in_order() -> None:
    claims = Claims()
    for record in (entry("fox"), entry("car")):
        claims.add(record)

    assert claims.conflicts() == ["car", "fox"]


def test_agreement_is_no_conflict() -> None:
    claims = Claims()
    for record in (entry("fox"), entry("fox"), said("car", "absent")):
        claims.add(record)

    assert claims.conflicts() == []


def test_boxes_and_captions_stay_in_order_each_once() -> None:
    boxes = (BoxClaim("fox", (0, 0, 1, 1)), BoxClaim("car", (0, 0, 2, 2)))
    claims = Claims()
    claims.add(entry(boxes=boxes, captions=("b", "a")))
    claims.add(entry(boxes=boxes[::-1], captions=("a", "c")))

    assert tuple(claims.boxes) == boxes
    assert tuple(claims.captions) == ("b", "a", "c")


def test_parts_groups_and_attributes_are_gathered() -> None:
    claims = Claims()
    claims.add(entry(part="train", groups={"site": "north", "camera": "c1"}, attributes={"note": "x", "age": "3"}))
    claims.add(entry(part="val", groups={"site": "north"}, attributes={"note": "y"}, captured_at="2024-05-01 06:07:08"))

    assert claims.parts == {"train", "val"}
    assert claims.groups == {("site", "north"), ("camera", "north/c1")}
    assert claims.attributes == {"note": "y", "age": "3", "captured_at": "2024-05-01 06:07:08"}


@pytest.mark.parametrize(
    ("groups", "placed"),
    [
        pytest.param({}, {}, id="none"),
        pytest.param({"camera": "c1"}, {"camera": "c1"}, id="no site"),
        pytest.param({"site": "n", "camera": "c1"}, {"site": "n", "camera": "n/c1"}, id="site in front"),
        pytest.param({"site": "n", "camera": "n/c1"}, {"site": "n", "camera": "n/c1"}, id="already in front"),
        pytest.param({"site": "n", "camera": "north"}, {"site": "n", "camera": "n/north"}, id="only looks like it"),
    ],
)
def test_a_cameras_site_stands_in_front_of_it(groups: dict[str, str], placed: dict[str, str]) -> None:
    before = dict(groups)

    assert placed_groups(groups) == placed
    assert groups == before


def test_boxes_in_pixels_stay_as_they_are() -> None:
    assert box_in_px(BoxClaim("fox", (1.5, 2.0, 3.0, 4.0)), 100, 50) == (1.5, 2.0, 3.0, 4.0)
