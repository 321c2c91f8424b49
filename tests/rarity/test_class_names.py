"""Class names that meet, vocabularies, and the user's own tables of them."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from mekiki.errors import UsageError
from mekiki.rarity.class_names import (
    ClassMap,
    coco_to_nuscenes,
    holds_phrase,
    mentioned,
    plain_name,
    plain_names,
    target_matches,
)
from mekiki.rarity.concept_files import (
    MAX_BYTES,
    concept_names,
    read_class_map,
    read_concepts,
    repeated_concepts,
    shipped_concepts,
)

TARGETS = ["construction_vehicle", "bicycle", "motorcycle", "trailer", "truck"]


def write(path: Path, text: str | bytes) -> str:
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return str(path)


@pytest.mark.parametrize(
    "name", ["traffic light", "Traffic-Light", "TRAFFIC_LIGHT", " traffic  light ", "ｔraffic light"]
)
def test_case_blanks_hyphens_and_underscores_do_not_count(name: str) -> None:
    assert plain_name(name) == "traffic_light"


@pytest.mark.parametrize(
    "names",
    [("की", "का"), ("กี่", "กา"), ("C++", "C#", "C"), ("🚗", "🚌", "!!!", "?"), ("é", "e", "x̌", "x")],
    ids=["Hindi", "Thai", "languages", "symbols", "accents"],
)
def test_names_that_differ_in_marks_or_symbols_stay_apart(names: tuple[str, ...]) -> None:
    plain = [plain_name(name) for name in names]

    assert len(set(plain)) == len(names)
    assert all(plain)
    assert [plain_name(name) for name in plain] == plain


def test_symbols_in_sentences_do_not_stick_to_words() -> None:
    assert mentioned(
        "bus+car, `truck` 🚗taxi #van", {(name,): name for name in ("bus", "car", "truck", "taxi", "van")}
    ) == [
        "bus",
        "car",
        "truck",
        "taxi",
        "van",
    ]
    assert plain_name("🚗\ufe0f") == plain_name("🚗")  # drawn in colour, or as the font has it


def test_another_spelling_of_a_concept_is_told(tmp_path: Path) -> None:
    file = write(tmp_path / "own.yaml", "a: [car, C++]\nb: [Car, C#, car]\n")

    assert read_concepts(file) == {"a": ("car", "C++"), "b": ("C#",)}
    assert repeated_concepts(file) == {"Car": "car"}
    assert repeated_concepts("none") == repeated_concepts("driving") == {}


def test_names_are_listed_once_and_blank_ones_not_at_all() -> None:
    assert plain_names(["Car", "car", " ", "__", "タヌキ"]) == ("car", "タヌキ")


@pytest.mark.parametrize(
    ("coco", "ours"),
    [("person", "pedestrian"), ("traffic light", "traffic_light"), ("stop sign", "traffic_sign"), ("truck", "truck")],
)
def test_names_of_coco_meet_those_of_street_scenes(coco: str, ours: str) -> None:
    assert coco_to_nuscenes().mapped(coco) == ours


@pytest.mark.parametrize("name", ["dirt_bike", "bike rack", "toy truck", "train", "construction truck"])
def test_a_name_that_only_contains_another_stays_itself(name: str) -> None:
    assert coco_to_nuscenes().mapped(name) == plain_name(name)


def test_what_coco_does_not_have_is_said_and_not_guessed() -> None:
    names = coco_to_nuscenes()

    assert names.missing == ("barrier", "construction_vehicle", "traffic_cone", "trailer")
    assert not set(names.table.values()) & set(names.missing)
    assert names.unreachable(TARGETS, seen={"truck"}) == ["construction_vehicle", "trailer"]
    assert names.unreachable(TARGETS, seen={"trailer"}) == ["construction_vehicle"]
    assert ClassMap("none").unreachable(TARGETS, seen=()) == []


def test_a_truck_is_no_construction_vehicle_wherever_that_stands_in_the_list() -> None:
    for order in itertools.permutations(TARGETS):
        assert target_matches("truck", None, order, coco_to_nuscenes()) == ("truck",)


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ("A dirt bike leans on a wall.", ("motorcycle",)),
        ("A bike leans on a wall.", ("bicycle",)),
        ("Two dirt_bikes and a bicycle", ("bicycle", "motorcycle")),
        ("an excavator on a truck", ("construction_vehicle", "truck")),
        ("A construction vehicle.", ("construction_vehicle",)),
        ("a construction truck", ("construction_vehicle",)),
        ("a garbage truck", ("truck",)),
        ("a motorbiker in a truckstop", ()),
        ("buses", ()),
        ("", ()),
        (None, ()),
    ],
)
def test_answers_name_targets_by_whole_words_the_longest_first(answer: str | None, expected: tuple[str, ...]) -> None:
    for order in (TARGETS, TARGETS[::-1]):
        assert target_matches("car", answer, order, coco_to_nuscenes()) == expected


def test_a_target_of_the_users_own_means_itself() -> None:
    targets = ["Police Car", "car"]

    assert target_matches("", "a police car", targets, coco_to_nuscenes()) == ("police_car",)
    assert target_matches("", "a police car", ["car"], coco_to_nuscenes()) == ("car",)
    assert target_matches("person", None, ["person"], coco_to_nuscenes()) == ("person",)


def test_plurals_count_as_their_singular_and_words_that_end_in_s_as_themselves() -> None:
    meanings = {("bus",): "bus", ("box",): "box", ("traffic", "cone"): "cone"}

    assert mentioned("Buses, boxes and traffic cones", meanings) == ["bus", "box", "cone"]
    assert mentioned("s es bu", meanings) == []


def test_a_phrase_is_found_as_whole_words() -> None:
    assert holds_phrase("Construction-Vehicle", "construction")
    assert not holds_phrase("reconstruction", "construction")
    assert not holds_phrase("", "construction")


def test_the_shipped_vocabularies_have_each_name_once() -> None:
    sizes = {name: len(concept_names(read_concepts(name))) for name in shipped_concepts()}

    assert sizes == {"driving": 15, "driving-long": 65}
    long = read_concepts("driving-long")
    assert {group: len(names) for group, names in long.items()} == {
        "construction": 16,
        "cycle": 11,
        "trailer": 10,
        "truck": 11,
        "common": 4,
        "situations": 13,
    }
    assert read_concepts("none") == {}


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("a.yaml", "- car\n- Traffic Light\n- traffic_light\n", {"": ("car", "Traffic Light")}),
        ("b.yml", "rare: [no, 12]\ncommon: [car, no]\n", {"rare": ("no", "12"), "common": ("car",)}),
        ("c.txt", "\ufeff# ours\ncar\n\n  road  works \n", {"": ("car", "road works")}),
        ("d", "タヌキ\n", {"": ("タヌキ",)}),
    ],
)
def test_a_vocabulary_of_the_users_is_a_list_groups_or_lines(
    tmp_path: Path, name: str, text: str, expected: dict[str, tuple[str, ...]]
) -> None:
    assert read_concepts(write(tmp_path / name, text)) == expected


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.yaml", "", "should be a list of names"),
        ("a.yaml", "[]", "is empty"),
        ("a.txt", "\n# nothing\n", "is empty"),
        ("a.yaml", "just words", "should be a list of names"),
        ("a.yaml", "rare: car", "no list in group 'rare'"),
        ("a.yaml", "- [car]", "is no name"),
        ("a.yaml", "- car\n- ''", "is no name"),
        ("a.txt", "car\x1b[31m", r"\\x1b"),
        ("a.txt", "_-_\n", "has no letter"),
        ("a.txt", "x" * 300, "longer than 200"),
        ("a.yaml", "rare: [a]\nrare: [b]", "stands twice"),
        ("a.yaml", "a: &x [b, c]\nd: *x", "references"),
        ("a.yaml", "a: [", "no YAML"),
        ("a.yaml", "[" * 3000, "no YAML"),
        ("a.txt", b"\xff\xfe\x00", "UTF-8"),
        ("a.txt", b"x\n" * (MAX_BYTES // 2 + 1), "larger than"),
    ],
)
def test_a_vocabulary_that_is_none_is_refused_in_one_line(
    tmp_path: Path, name: str, text: str | bytes, message: str
) -> None:
    with pytest.raises(UsageError, match=message) as raised:
        read_concepts(write(tmp_path / name, text))

    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("wanted", ["drivin", "missing.yaml", "x" * 5000, "a\0b", "."])
def test_a_vocabulary_that_is_not_there_is_a_usage_error(wanted: str) -> None:
    with pytest.raises(UsageError, match=r"driving|folder"):
        read_concepts(wanted)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("m.yaml", "Person: walker\n'traffic light': signal\n"),
        ("m.csv", "from,to\nperson,Walker\ntraffic_light,signal\n\n# note\n"),
        ("m.csv", "\ufeffperson,walker\r\n'traffic-light,signal\r\n"),
    ],
)
def test_a_table_of_the_users_is_yaml_or_csv(tmp_path: Path, name: str, text: str) -> None:
    table = read_class_map(write(tmp_path / name, text))

    assert (table.mapped("PERSON"), table.mapped("Traffic Light"), table.mapped("Car")) == ("walker", "signal", "car")


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("m.yaml", "[a, b]", "map names to names"),
        ("m.yaml", "a: [b]", "is no name"),
        ("m.yaml", "a:", "is no name"),
        ("m.csv", "a,b,c\n", "line 1: two columns"),
        ("m.csv", "a;b\n", "line 1: two columns"),
        ("m.csv", "a,b\nA,c\n", "maps 'a' to 'b' and to 'c'"),
        ("m.csv", "from,to\n", "is empty"),
        ("m.csv", 'a,"b\n', "no CSV"),
        ("m.yaml", "{}", "is empty"),
    ],
)
def test_a_table_that_is_none_is_refused(tmp_path: Path, name: str, text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        read_class_map(write(tmp_path / name, text))


def test_no_table_changes_nothing_but_the_form() -> None:
    assert read_class_map("none").mapped("Person") == "person"
    assert read_class_map("coco-to-nuscenes") == coco_to_nuscenes()
