"""From entries of label files to rows: which item an entry means, and what is written of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from mekiki.catalog.db import Catalog
from mekiki.catalog.importing import FRAME_TOLERANCE_S, Entry, ImportPlan, plan_import, write_import
from mekiki.catalog.items import NewItem, write_items
from mekiki.catalog.sources import write_sources
from mekiki.dataset.formats.base import BoxClaim, LabelClaim, Record

CLASSES = ("fox", "car")
FOX = (LabelClaim("fox"),)


@pytest.fixture
def catalog(tmp_path: Path) -> Iterator[Catalog]:
    """A catalog with a photo ``p``, a clip ``v``, and its frames 0 and 45 at 0 s and 1.5015 s."""
    with Catalog(tmp_path / "ws") as opened:
        with opened.transaction("ingest", "r0") as transaction:
            write_items(transaction, [NewItem("p", "image", 200, 100), NewItem("v", "video", 64, 48)])
            write_sources(transaction, [("/in/p.jpg", "p", 1, 1), ("/in/v.mp4", "v", 1, 1)])
        with opened.transaction("frames", "r1") as transaction:
            frames = ((0, 0.0), (45, 1.5015))
            write_items(
                transaction,
                [
                    NewItem(f"f{n}", "frame", 64, 48, "v", f"media/frames/f{n}.jpg", time_s=time_s, frame_index=n)
                    for n, time_s in frames
                ],
            )
        yield opened


def plan(catalog: Catalog, *entries: Entry) -> ImportPlan:
    return plan_import(catalog, entries, CLASSES)


def written(
    catalog: Catalog, *entries: Entry, table: str = "labels", columns: str = "item_id, class_name, state"
) -> list:
    with catalog.transaction("ingest", "run") as transaction:
        write_import(transaction, plan(catalog, *entries), "import")
    return sorted(catalog.rows(f"SELECT {columns} FROM {table}"))


def photo(**fields: object) -> Entry:
    return Entry(Path("/in/p.jpg"), Record("p.jpg", 1, **fields))  # type: ignore[arg-type]


def clip(**fields: object) -> Entry:
    return Entry(Path("/in/v.mp4"), Record("v.mp4", 1, **fields))  # type: ignore[arg-type]


def test_no_entries_are_an_empty_plan(catalog: Catalog) -> None:
    empty = plan(catalog)

    assert (empty.claims, empty.conflicts(), empty.attributes(), empty.n_waiting, empty.n_not_taken) == (
        {},
        {},
        {},
        0,
        0,
    )
    assert written(catalog) == []


def test_an_entry_means_the_item_that_its_file_is(catalog: Catalog) -> None:
    rows = written(catalog, photo(labels=FOX, is_complete=True), clip(labels=FOX))

    assert rows == [("p", "car", "absent"), ("p", "fox", "present"), ("v", "fox", "present")]


def test_an_entry_about_a_file_that_is_not_there_waits(catalog: Catalog) -> None:
    waiting = plan(catalog, Entry(Path("/in/gone.jpg"), Record("gone.jpg", 1, labels=FOX)))

    assert (waiting.n_waiting, waiting.claims) == (1, {})


@pytest.mark.parametrize(
    ("fields", "frame"),
    [
        pytest.param({"frame_index": 0}, "f0", id="first by number"),
        pytest.param({"frame_index": 45}, "f45", id="by number"),
        pytest.param({"frame_index": 45, "time_s": 99.0}, "f45", id="the number counts before the time"),
        pytest.param({"time_s": 1.502}, "f45", id="by a time that was rounded"),
        pytest.param({"time_s": 1.5015 + FRAME_TOLERANCE_S / 2}, "f45", id="by a time nearby"),
        pytest.param({"frame_index": 44}, None, id="a number that was not taken"),
        pytest.param({"time_s": 1.49}, None, id="a time that was not taken"),
    ],
)
def test_an_entry_with_a_number_or_time_means_that_frame(
    fields: dict[str, float], frame: str | None, catalog: Catalog
) -> None:
    found = plan(catalog, clip(labels=FOX, **fields))

    assert list(found.claims) == ([frame] if frame else [])
    assert found.n_not_taken == (frame is None)


def test_a_number_says_nothing_where_the_file_is_a_still(catalog: Catalog) -> None:
    assert list(plan(catalog, photo(labels=FOX, frame_index=45, time_s=1.5)).claims) == ["p"]


def test_a_file_of_ours_means_its_frame(catalog: Catalog) -> None:
    path = catalog.workspace / "media/frames/f45.jpg"

    assert list(plan(catalog, Entry(path, Record("f45.jpg", 1, labels=FOX))).claims) == ["f45"]


def test_entries_for_one_item_are_put_together(catalog: Catalog) -> None:
    rows = written(
        catalog,
        photo(labels=FOX, is_complete=True),
        photo(labels=(LabelClaim("car"),), is_complete=True),
    )

    assert rows == [("p", "car", "unsure"), ("p", "fox", "unsure")]


def test_relative_boxes_become_pixels_of_their_own_picture(catalog: Catalog) -> None:
    rows = written(
        catalog,
        photo(boxes=(BoxClaim("fox", (0.0, 0.5, 0.5, 1.0), 0.5, is_relative=True), BoxClaim("car", (1, 2, 3, 4)))),
        clip(frame_index=45, boxes=(BoxClaim("fox", (0.5, 0.0, 1.0, 0.25), is_relative=True),)),
        table="boxes",
        columns="item_id, position, class_name, score, x_min, y_min, x_max, y_max",
    )

    assert rows == [
        ("f45", 0, "fox", 1.0, 32.0, 0.0, 64.0, 12.0),
        ("p", 0, "fox", 0.5, 0.0, 50.0, 100.0, 100.0),
        ("p", 1, "car", 1.0, 1.0, 2.0, 3.0, 4.0),
    ]


def test_captions_keep_their_order_and_repeats_go(catalog: Catalog) -> None:
    rows = written(
        catalog,
        photo(captions=("b", "a", "b")),
        photo(captions=("c",)),
        table="captions",
        columns="item_id, position, text, annotator",
    )

    assert rows == [("p", 0, "b", "import"), ("p", 1, "a", "import"), ("p", 2, "c", "import")]


def test_groups_parts_and_attributes_are_written(catalog: Catalog) -> None:
    entry = photo(
        groups={"site": "north", "camera": "c1", "burst": "7"},
        part="train",
        attributes={"note": "x"},
        captured_at="2024-05-01 06:07:08",
    )

    groups = written(catalog, entry, table="groups", columns="kind, key, item_id")
    attributes = dict(catalog.rows("SELECT name, value FROM attributes"))

    assert groups == [("burst", "7", "p"), ("camera", "north/c1", "p"), ("site", "north", "p")]
    assert attributes == {
        "note": "x",
        "captured_at": "2024-05-01 06:07:08",
        "part": "train",
        "site": "north",
        "camera": "north/c1",
    }
    assert plan(catalog, entry).attributes() == {"p": attributes}


def test_two_parts_for_one_item_are_both_kept_to_be_seen(catalog: Catalog) -> None:
    written(catalog, photo(part="train"), photo(part="test"))

    assert catalog.value("SELECT value FROM attributes WHERE name = 'part'") == "test|train"


def test_a_frames_video_joins_the_frames_source_group(catalog: Catalog) -> None:
    record = Record("p.jpg", 1, labels=FOX, groups={"source": "0123456789"}, parent_path="v.mp4", frame_index=45)

    rows = written(
        catalog, Entry(Path("/in/p.jpg"), record, Path("/in/v.mp4")), table="groups", columns="kind, key, item_id"
    )

    assert rows == [("source", "0123456789", "p"), ("source", "0123456789", "v")]


def test_classes_keep_their_order_and_later_files_add_theirs(catalog: Catalog) -> None:
    written(catalog, photo(labels=FOX))
    with catalog.transaction("ingest", "run2") as transaction:
        write_import(transaction, ImportPlan(("bear", "car")), "import")

    assert [row[0] for row in catalog.rows("SELECT name FROM classes ORDER BY position")] == ["fox", "car", "bear"]


def test_writing_twice_adds_nothing(catalog: Catalog) -> None:
    entries = (photo(labels=FOX, is_complete=True, groups={"site": "north"}, boxes=(BoxClaim("fox", (1, 2, 3, 4)),)),)

    assert written(catalog, *entries) == written(catalog, *entries)
    assert catalog.value("SELECT count(*) FROM boxes") == 1


def test_the_fingerprint_says_which_items_are_spoken_of_in_any_order(catalog: Catalog) -> None:
    forwards, backwards = plan(catalog, photo(), clip()), plan(catalog, clip(), photo())

    assert forwards.fingerprint() == backwards.fingerprint() != plan(catalog, photo()).fingerprint()


def test_thousands_of_entries_about_frames_are_planned_quickly(tmp_path: Path) -> None:
    n_frames = 3000
    with Catalog(tmp_path / "many") as catalog:
        with catalog.transaction("frames", "r") as transaction:
            frames = (
                NewItem(f"{n:08d}", "frame", 64, 48, "v", f"media/frames/{n}.jpg", frame_index=n)
                for n in range(n_frames)
            )
            write_items(transaction, frames)
        entries = (
            Entry(catalog.workspace / f"media/frames/{n}.jpg", Record(f"{n}.jpg", n, labels=FOX))
            for n in range(n_frames)
        )

        found = plan_import(catalog, entries, CLASSES)
        steps = " ".join(
            row[3] for row in catalog.rows("EXPLAIN QUERY PLAN SELECT item_id FROM items WHERE path = '?'")
        )

    assert len(found.claims) == n_frames
    assert "SEARCH items USING" in steps, "a search by path reads no whole table"
