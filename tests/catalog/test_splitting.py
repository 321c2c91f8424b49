"""What a split reads from the catalog, and what of it is written; on rows made in code, without a picture."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from mekiki.catalog.atoms import all_item_ids, hashed_pictures, label_states, memberships, require_compared
from mekiki.catalog.attributes import write_attributes
from mekiki.catalog.db import Catalog
from mekiki.catalog.importing import Entry
from mekiki.catalog.items import GroupRow, HashRow, NewItem, write_classes, write_groups, write_hashes, write_items
from mekiki.catalog.results import LabelRow, SplitRow, read_split, write_labels, write_split
from mekiki.catalog.runs import finish_run, start_run
from mekiki.catalog.sources import write_sources
from mekiki.catalog.splitting import (
    Splittable,
    certify_split,
    find_leaks,
    given_parts,
    named_groups,
    parts_to_keep,
    read_splittable,
)
from mekiki.dataset.certificate import CertificateFacts
from mekiki.dataset.formats.base import Record
from mekiki.errors import DataError, UsageError


@pytest.fixture
def catalog(tmp_path: Path) -> Iterator[Catalog]:
    with Catalog(tmp_path / "ws") as opened:
        yield opened


def add_photos(catalog: Catalog, *item_ids: str) -> None:
    """Add photos of unrelated hashes, called ``/in/ID.jpg``."""
    with catalog.transaction("ingest", "in") as transaction:
        write_items(transaction, (NewItem(item_id, "image", 96, 64) for item_id in item_ids))
        write_sources(transaction, ((f"/in/{item_id}.jpg", item_id, 1, 1) for item_id in item_ids))
        write_hashes(transaction, (random_hash(item_id) for item_id in item_ids))


def random_hash(item_id: str) -> HashRow:
    rng = np.random.default_rng(list(item_id.encode()))
    bits, mirrored = (int(number) for number in rng.integers(0, 1 << 64, 2, dtype=np.uint64))
    return HashRow(item_id, bits, mirrored, False, bytes(1024))


def add_clip(catalog: Catalog, clip_id: str, *frame_ids: str) -> None:
    with catalog.transaction("frames", "fr") as transaction:
        frames = [
            NewItem(one, "frame", 96, 64, clip_id, f"media/{one}.jpg", frame_index=45 * number, time_s=1.5 * number)
            for number, one in enumerate(frame_ids)
        ]
        write_items(transaction, [NewItem(clip_id, "video", 96, 64), *frames])
        write_hashes(transaction, map(random_hash, frame_ids))
    with catalog.transaction("ingest", "in") as transaction:
        write_sources(transaction, [(f"/in/{clip_id}.mp4", clip_id, 1, 1)])


def add_groups(catalog: Catalog, kind: str, key: str, *item_ids: str, run_id: str = "in") -> None:
    with catalog.transaction("dedupe" if kind == "near-duplicate" else "ingest", run_id) as transaction:
        write_groups(transaction, (GroupRow(kind, key, item_id) for item_id in item_ids))


def add_run(
    catalog: Catalog, stage: str, run_id: str, *, reads: dict[str, str] | None = None, **settings: object
) -> None:
    """Record a run that is finished."""
    run = {"run_id": run_id, "stage": stage, "settings": settings, "identity": "", "reads": reads or {}}
    with catalog.transaction(stage, run_id) as transaction:
        start_run(transaction, run)
        finish_run(catalog, transaction, run_id, {})


def compare(catalog: Catalog, run_id: str = "dd") -> None:
    """Record that all pictures have been compared."""
    add_run(catalog, "dedupe", run_id, reads={"pictures": hashed_pictures(catalog).fingerprint()})


def read(catalog: Catalog, *group_by: str) -> Splittable:
    compare(catalog)
    return read_splittable(catalog, group_by)


def together(whole: Splittable) -> set[frozenset[str]]:
    """Return the ids in each atom of two items or more."""
    atoms: dict[int, set[str]] = {}
    for item_id, atom in zip(whole.all_ids, whole.all_atoms.tolist(), strict=True):
        atoms.setdefault(atom, set()).add(item_id)
    return {frozenset(inside) for inside in atoms.values() if len(inside) > 1}


# ---- what is joined ------------------------------------------------------------------------------------------------


def test_pictures_come_first_and_all_other_items_after_them(catalog: Catalog) -> None:
    add_photos(catalog, "p1", "p2")
    add_clip(catalog, "c1", "f1", "f2")

    whole = read(catalog)

    assert whole.items.item_ids == ("f1", "f2", "p1", "p2")
    assert whole.all_ids == ("f1", "f2", "p1", "p2", "c1")
    assert together(whole) == {frozenset({"c1", "f1", "f2"})}


@pytest.mark.parametrize("kind", ["source", "near-duplicate", "burst", "identity"])
def test_these_kinds_always_join(kind: str, catalog: Catalog) -> None:
    add_photos(catalog, "p1", "p2", "p3")
    add_groups(catalog, kind, "k", "p1", "p3", run_id="dd")

    assert together(read(catalog)) == {frozenset({"p1", "p3"})}


@pytest.mark.parametrize("kind", ["site", "camera"])
def test_these_kinds_join_only_when_asked(kind: str, catalog: Catalog) -> None:
    add_photos(catalog, "p1", "p2", "p3")
    add_groups(catalog, kind, "k", "p1", "p3")

    without, asked = read(catalog), read(catalog, kind)

    assert together(without) == set()
    assert together(asked) == {frozenset({"p1", "p3"})}
    assert (kind, "k", 0) in without.groups
    assert kind not in without.enforced
    assert kind in asked.enforced


def test_chains_join_over_kinds_and_over_clips(catalog: Catalog) -> None:
    add_photos(catalog, "p1", "p2", "p3", "p4")
    add_clip(catalog, "c1", "f1")
    add_clip(catalog, "c2", "f2")
    add_groups(catalog, "burst", "b", "p1", "p2")
    add_groups(catalog, "near-duplicate", "n", "p2", "f1", run_id="dd")
    add_groups(catalog, "identity", "rex", "c1", "c2")

    assert together(read(catalog)) == {frozenset({"p1", "p2", "f1", "c1", "c2", "f2"})}


def test_a_site_of_clips_is_a_site_of_their_frames(catalog: Catalog) -> None:
    add_clip(catalog, "c1", "f1")
    add_clip(catalog, "c2", "f2")
    add_groups(catalog, "site", "north", "c1", "c2")

    whole = read(catalog)

    assert {("site", "north", 0), ("site", "north", 1)} <= set(whole.groups)
    assert together(read(catalog, "site")) == {frozenset({"c1", "c2", "f1", "f2"})}


def test_only_one_run_of_dedupe_counts(catalog: Catalog) -> None:
    add_photos(catalog, "p1", "p2", "p3")
    add_groups(catalog, "near-duplicate", "p1", "p1", "p2", run_id="d1")
    add_groups(catalog, "near-duplicate", "p1", "p1", "p3", run_id="d2")
    compare(catalog, "d1")
    first = read_splittable(catalog, ())
    compare(catalog, "d2")
    second = read_splittable(catalog, ())

    assert together(first) == {frozenset({"p1", "p2"})}
    assert together(second) == {frozenset({"p1", "p3"})}
    assert first.reads["dedupe"] == "d1"
    assert second.reads["dedupe"] == "d2"


def test_memberships_have_a_fixed_order(catalog: Catalog) -> None:
    add_photos(catalog, "p1", "p2")
    add_groups(catalog, "site", "b", "p2", "p1")
    add_groups(catalog, "burst", "a", "p2")
    rows = {"p1": 0, "p2": 1}

    found = memberships(catalog, rows, "dd")

    assert found == [("burst", "a", 1), ("site", "b", 0), ("site", "b", 1)]
    assert memberships(catalog, {"p2": 0}, "dd") == [("burst", "a", 0), ("site", "b", 0)]


def test_all_item_ids_keeps_the_first_ones_first(catalog: Catalog) -> None:
    add_photos(catalog, "a", "b", "c")

    assert all_item_ids(catalog, ["c", "a"]) == ["c", "a", "b"]


def test_groups_are_named_by_files_where_their_keys_are_ids(catalog: Catalog) -> None:
    add_photos(catalog, "p1")
    add_clip(catalog, "c1", "f1")
    groups = [("near-duplicate", "p1", 0), ("near-duplicate", "f1", 1), ("derived", "c1", 1), ("identity", "rex", 0)]

    found = named_groups(catalog, groups)

    assert [key for _, key, _ in found] == ["/in/p1.jpg", "media/f1.jpg", "/in/c1.mp4", "rex"]


# ---- what it depends on --------------------------------------------------------------------------------------------


def test_pictures_have_to_be_compared(catalog: Catalog) -> None:
    add_photos(catalog, "p1")
    with pytest.raises(DataError, match=r"no pictures have been compared yet: mekiki dedupe"):
        require_compared(catalog, hashed_pictures(catalog))

    compare(catalog, "d1")
    add_photos(catalog, "p2")

    with pytest.raises(DataError, match=r"come or gone since the last time: mekiki dedupe"):
        require_compared(catalog, hashed_pictures(catalog))


def test_an_older_comparison_counts_if_it_was_of_these_pictures(catalog: Catalog) -> None:
    add_photos(catalog, "p1")
    compare(catalog, "d1")
    pictures = hashed_pictures(catalog)
    add_photos(catalog, "p2")
    compare(catalog, "d2")

    assert require_compared(catalog, pictures) == "d1"
    assert require_compared(catalog, hashed_pictures(catalog)) == "d2"


def test_a_comparison_that_was_not_finished_does_not_count(catalog: Catalog) -> None:
    add_photos(catalog, "p1")
    reads = {"pictures": hashed_pictures(catalog).fingerprint()}
    run = {"run_id": "d1", "stage": "dedupe", "settings": {}, "identity": "", "reads": reads}
    with catalog.transaction("dedupe", "d1") as transaction:
        start_run(transaction, run)

    with pytest.raises(DataError, match="no pictures have been compared yet"):
        require_compared(catalog, hashed_pictures(catalog))


def test_what_is_read_changes_with_groups_and_labels_and_with_nothing_else(catalog: Catalog) -> None:
    add_photos(catalog, "p1", "p2")
    before = read(catalog).reads
    assert read(catalog).reads == before

    add_groups(catalog, "site", "north", "p1")
    with_site = read(catalog).reads
    say(catalog, "in", ("p1", "fox", "import", "present"))
    with_label = read(catalog).reads

    assert with_site["groups"] != before["groups"]
    assert with_site["labels"] == before["labels"] != with_label["labels"]


def say(catalog: Catalog, run_id: str, *words: tuple[str, str, str, str]) -> None:
    """Write labels: item, class, annotator, state."""
    with catalog.transaction("ingest", run_id) as transaction:
        write_classes(transaction, dict.fromkeys(word[1] for word in words))
        write_labels(transaction, (LabelRow(item, name, who, state, 1.0) for item, name, who, state in words))  # type: ignore[arg-type]


def test_label_states_are_resolved_over_annotators(catalog: Catalog) -> None:
    add_photos(catalog, "p1", "p2", "p3")
    say(catalog, "in", ("p1", "fox", "import", "present"), ("p2", "fox", "import", "absent"))
    say(catalog, "hu", ("p1", "fox", "human:ana", "absent"), ("p2", "cat", "human:ana", "unsure"))

    names, states = label_states(catalog, ["p1", "p2", "p3"])

    assert names == ("fox", "cat")
    assert states.tolist() == [[0, -1], [0, -1], [-1, -1]]


def test_without_classes_there_are_no_states(catalog: Catalog) -> None:
    add_photos(catalog, "p1")

    assert label_states(catalog, ["p1"])[1].shape == (1, 0)


# ---- what is written -----------------------------------------------------------------------------------------------


def test_other_items_follow_their_atom_and_pictures_keep_their_own_part(catalog: Catalog) -> None:
    add_photos(catalog, "p1", "p2")
    add_clip(catalog, "c1", "f1", "f2")
    add_clip(catalog, "c2", "f3")
    whole = read(catalog)

    rows = list(whole.spread(["train", None, None, "test", None]))

    # f1, f2, f3, p1, p2 are the pictures; of clip c1 only f1 has a part, and p1 has one.
    assert rows == [("f1", "train", "c1"), ("p1", "test", "p1"), ("c1", "train", "c1")]


def test_nothing_is_spread_where_nothing_has_a_part(catalog: Catalog) -> None:
    add_photos(catalog, "p1")

    assert list(read(catalog).spread([None])) == []


# ---- certifying ----------------------------------------------------------------------------------------------------


def test_leaks_are_told_by_path(catalog: Catalog) -> None:
    add_photos(catalog, "p1", "p2", "p3")
    add_groups(catalog, "identity", "rex", "p1", "p3")
    whole = read(catalog)

    leaks = find_leaks(catalog, whole, ["train", "train", "test"])

    assert len(leaks) == 1
    assert "'rex'" in leaks[0]
    assert "/in/p1.jpg in train" in leaks[0]
    assert "/in/p3.jpg in test" in leaks[0]
    assert find_leaks(catalog, whole, ["train", "test", "train"]) == ()


def test_pictures_without_a_part_are_not_certified(catalog: Catalog) -> None:
    add_photos(catalog, "p1", "p2", "p3")
    whole = read(catalog)

    certificate = certify_split(catalog, whole, ["a", None, "b"], CertificateFacts("x"))

    assert certificate.n_items == 2
    assert certificate.nearest is not None
    assert {certificate.nearest["first"], certificate.nearest["second"]} == {"/in/p1.jpg", "/in/p3.jpg"}
    assert certificate.to_json()["overlaps"]["site"]["enforced"] is False


# ---- parts that there are already ----------------------------------------------------------------------------------


def deal(catalog: Catalog, name: str, run_id: str, group_by: list[str] | None = None, **parts: str) -> None:
    with catalog.transaction("split", run_id) as transaction:
        write_split(transaction, (SplitRow(item_id, part, item_id) for item_id, part in parts.items()))
    add_run(catalog, "split", run_id, name=name, group_by=group_by or [])


def test_old_parts_are_those_of_the_latest_split_of_the_name(catalog: Catalog) -> None:
    add_photos(catalog, "p1", "p2", "p3")
    deal(catalog, "default", "s1", p1="test", p2="train")
    deal(catalog, "default", "s2", p1="train", p2="test")
    deal(catalog, "other", "s3", p1="val")

    assert parts_to_keep(catalog, read(catalog), "default", ("train", "test")) == ["train", "test", None]
    assert read_split(catalog, "s2")["p1"].part == "train"


def test_old_parts_are_refused_with_what_to_type(catalog: Catalog) -> None:
    add_photos(catalog, "p1", "p2")
    whole = read(catalog)
    with pytest.raises(DataError, match=r"there is no split to extend: mekiki split -w "):
        parts_to_keep(catalog, whole, "default", ("a", "b"))

    deal(catalog, "by site", "s1", ["site"], p1="a", p2="b")

    with pytest.raises(UsageError, match=r"no split is called 'by siet'\. Did you mean 'by site'"):
        parts_to_keep(catalog, whole, "by siet", ("a", "b"))
    with pytest.raises(UsageError, match="--group-by site too"):
        parts_to_keep(catalog, whole, "by site", ("a", "b"))


def test_old_parts_that_belong_together_by_now_are_refused(catalog: Catalog) -> None:
    add_photos(catalog, "p1", "p2", "p3")
    deal(catalog, "default", "s1", p1="a", p3="b")
    add_groups(catalog, "burst", "b1", "p1", "p2")
    add_groups(catalog, "identity", "rex", "p2", "p3")

    with pytest.raises(DataError, match=r"/in/p1\.jpg in a, /in/p3\.jpg in b.*--name ANOTHER"):
        parts_to_keep(catalog, read(catalog), "default", ("a", "b"))


def state_part(catalog: Catalog, run_id: str, **parts: str) -> None:
    """Write the parts that label files gave."""
    with catalog.transaction("ingest", run_id) as transaction:
        write_attributes(transaction, ((item_id, "part", part) for item_id, part in parts.items()))


def test_given_parts_are_those_of_all_runs(catalog: Catalog) -> None:
    add_photos(catalog, "p1", "p2", "p3")
    state_part(catalog, "r1", p1="train")
    state_part(catalog, "r2", p2="test")

    assert given_parts(catalog, None, ["p1", "p2", "p3"]) == (["train", "test", None], 0)


@pytest.mark.parametrize("is_one_run", [True, False], ids=["one run", "two runs"])
def test_given_parts_that_contradict_each_other_are_refused(is_one_run: bool, catalog: Catalog) -> None:
    add_photos(catalog, "p1", "p2")
    if is_one_run:
        state_part(catalog, "r1", p1="test|train")
    else:
        state_part(catalog, "r1", p1="train")
        state_part(catalog, "r2", p1="test")

    with pytest.raises(DataError, match=r"same bytes are in test and train: /in/p1\.jpg\.") as refused:
        given_parts(catalog, None, ["p1", "p2"])
    assert str(refused.value).endswith("mekiki forget r1 or r2") is not is_one_run


def test_frames_have_the_part_of_their_clip(catalog: Catalog) -> None:
    add_clip(catalog, "c1", "f1", "f2")
    add_clip(catalog, "c2", "f3")
    state_part(catalog, "r1", c1="train", f3="test")

    assert given_parts(catalog, None, ["f1", "f2", "f3"]).parts == ["train", "train", "test"]


def test_entries_of_a_file_mean_files_frames_and_clips(catalog: Catalog) -> None:
    add_photos(catalog, "p1")
    add_clip(catalog, "c1", "f1", "f2")
    add_clip(catalog, "c2", "f3", "f4")
    entries = [
        Entry("/in/p1.jpg", Record("p1.jpg", 1, part="val")),
        Entry("/in/c1.mp4", Record("c1.mp4", 2, part="train")),
        Entry("/in/c2.mp4", Record("c2.mp4", 3, part="test", frame_index=45)),
        Entry(str(catalog.workspace / "media/f3.jpg"), Record("f3.jpg", 4, part="test")),
        Entry("/in/c2.mp4", Record("c2.mp4", 5, part="test", frame_index=46)),
        Entry("/in/gone.jpg", Record("gone.jpg", 6, part="test")),
        Entry("/in/also gone.jpg", Record("also gone.jpg", 7)),
    ]

    found = given_parts(catalog, entries, ["f1", "f2", "f3", "f4", "p1"])

    assert found.parts == ["train", "train", "test", "test", "val"]
    assert found.n_elsewhere == 2


def test_no_part_at_all_is_refused(catalog: Catalog) -> None:
    add_photos(catalog, "p1")

    with pytest.raises(DataError, match="has a part in the label files that were ingested: give a column 'part'"):
        given_parts(catalog, None, ["p1"])
    with pytest.raises(DataError, match="has a part in the file: give a column 'part'"):
        given_parts(catalog, [Entry("/in/p1.jpg", Record("p1.jpg", 1))], ["p1"])
