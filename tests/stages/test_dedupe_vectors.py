"""Stage ``dedupe --by vectors``: groups of stored vectors, what it refuses, and how a split takes them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from clouds import clusters, directions, turned
from mekiki.errors import DataError, UsageError
from vectors import space_of, store_vectors
from workspaces import counts, dump, groups, ingest, make_photos, query, run, write_photo


def item_ids(workspace: Path) -> list[str]:
    """Ids of the photos in the order of their names."""
    return [row[0] for row in query(workspace, "SELECT item_id FROM sources ORDER BY path")]


def store(workspace: Path, vectors, **space) -> str:
    ids = item_ids(workspace)
    return store_vectors(workspace, dict(zip(ids, vectors, strict=False)), space_of(vectors.shape[1], **space))


def grouped(workspace: Path) -> list[set[str]]:
    return sorted(groups(workspace, "near-duplicate").values(), key=sorted)


@pytest.fixture
def photos(workspace: Path) -> Path:
    """Twelve photos that look nothing like each other; by their vectors, 00 and 05, and 01, 02 and 11 are the same."""
    make_photos(workspace, 12)
    vectors = directions(0, 12, 32)
    vectors[5] = turned(vectors[:1], 0.98)[0] * 7
    vectors[2], vectors[11] = turned(vectors[1:2], 0.985, 6)[0], turned(vectors[1:2], 0.99, 7)[0]
    store(workspace, vectors)
    return workspace


def test_near_vectors_are_grouped_and_hashes_do_not_count(photos: Path) -> None:
    summary = run("dedupe", photos, by="vectors")

    assert grouped(photos) == [{"00.jpg", "05.jpg"}, {"01.jpg", "02.jpg", "11.jpg"}]
    assert counts(summary) == (12, 12, 0, 0)
    assert (summary.extra["n_groups"], summary.extra["n_in_groups"], summary.extra["largest_group"]) == (2, 5, 3)
    assert summary.extra["embedder"] == "toy"
    assert "5 pictures are near-duplicates, in 2 groups" in summary.notes
    assert "the largest group has 3 members" in summary.notes


def test_pairs_stand_in_a_file_with_their_cosines(photos: Path) -> None:
    summary = run("dedupe", photos, by="vectors")

    found = json.loads((photos / summary.outputs["pairs.json"]).read_text())
    assert len(found["pairs"]) == 3
    assert all(0.97 <= pair["cosine"] <= 1 and not pair["is_torn"] for pair in found["pairs"])
    assert {found["vectors"]} == {row[0] for row in query(photos, "SELECT run_id FROM runs WHERE stage = 'embed'")}


def test_a_higher_cosine_is_another_run_with_fewer_pairs(photos: Path) -> None:
    first = run("dedupe", photos, by="vectors")

    second = run("dedupe", photos, by="vectors", min_cosine=0.983)

    assert second.run_id != first.run_id
    assert second.extra["n_in_groups"] == 3


def test_running_it_again_writes_nothing(photos: Path) -> None:
    first = run("dedupe", photos, by="vectors")
    before = dump(photos)

    second = run("dedupe", photos, by="vectors")

    assert counts(second) == (12, 0, 12, 0)
    assert (second.run_id, second.extra, second.notes) == (first.run_id, first.extra, first.notes)
    assert dump(photos) == before


def test_pictures_without_vectors_are_counted_and_said_and_asked_about_again_when_they_have_one(photos: Path) -> None:
    write_photo(photos / "in" / "new.jpg", 77)
    ingest(photos, photos / "in")

    first = run("dedupe", photos, by="vectors")

    assert counts(first) == (13, 13, 0, 0)
    assert first.extra["n_without_vectors"] == 1
    assert "1 pictures have no vector and were not compared: mekiki embed" in first.notes
    new = query(photos, "SELECT item_id FROM sources WHERE path LIKE '%new.jpg'")[0][0]
    store_vectors(photos, {new: directions(9, 1, 32)[0]}, space_of(32))
    second = run("dedupe", photos, by="vectors")
    assert second.run_id != first.run_id
    assert second.extra["n_without_vectors"] == 0


def test_which_vectors_count_can_be_said(photos: Path) -> None:
    other = store(photos, np.tile(directions(3, 1, 16), (12, 1)), embedder="all-alike")

    assert run("dedupe", photos, by="vectors", vectors="toy").extra["n_groups"] == 2
    assert run("dedupe", photos, by="vectors", vectors=other[:8]).extra["largest_group"] == 12
    assert run("dedupe", photos, by="vectors").extra["embedder"] == "all-alike"  # the latest
    with pytest.raises(UsageError, match=r"no embedder with vectors is called 'tou'. Did you mean 'toy'\?"):
        run("dedupe", photos, by="vectors", vectors="tou")


def test_vectors_of_zeros_are_in_no_group_and_said(workspace: Path) -> None:
    make_photos(workspace, 4)
    vectors = directions(0, 4, 8)
    vectors[:3] = 0
    store(workspace, vectors)

    summary = run("dedupe", workspace, by="vectors")

    assert grouped(workspace) == []
    assert summary.extra["n_zero_vectors"] == 3
    assert any(note.startswith("3 vectors are all zeros") for note in summary.notes)


def test_a_chain_is_kept_and_said_unless_it_is_to_be_cut(workspace: Path) -> None:
    make_photos(workspace, 12)
    angles = np.radians(np.arange(12) * 10.0)  # the cosine of neighbours is 0.985, of the next but one 0.94
    store(workspace, np.column_stack([np.cos(angles), np.sin(angles)]).astype(np.float32))

    keep = run("dedupe", workspace, by="vectors")
    kept = grouped(workspace)
    cut = run("dedupe", workspace, by="vectors", chains="cut")

    assert list(map(len, kept)) == [12]
    assert {name: keep.extra[name] for name in ("n_chains", "longest_chain", "n_torn_pairs")} == {
        "n_chains": 1, "longest_chain": 12, "n_torn_pairs": 0
    }  # fmt: skip
    assert any("1 groups are chains, the longest of 12" in note for note in keep.notes)
    assert (cut.extra["n_chains"], cut.extra["largest_group"]) == (1, 3)
    assert cut.extra["n_torn_pairs"] >= 3
    assert any("1 chains were cut, the longest of 12" in note for note in cut.notes)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        pytest.param({"by": "vectors", "max_distance": 3}, "--max-distance does nothing with --by vectors", id="bits"),
        pytest.param({"by": "vectors", "max_difference": 0.1}, "--max-difference does nothing", id="thumbnails"),
        pytest.param({"min_cosine": 0.9}, "--min-cosine does nothing with --by hashes", id="cosine"),
        pytest.param({"vectors": "toy"}, "--vectors does nothing with --by hashes", id="vectors"),
        pytest.param({"chains": "cut"}, "--chains does nothing with --by hashes", id="chains"),
        pytest.param({"by": "vectors", "min_cosine": 0}, "min_cosine: input should be greater than 0", id="zero"),
        pytest.param({"by": "names"}, "by: ", id="another way"),
    ],
)
def test_what_does_nothing_is_refused(photos: Path, settings, message) -> None:
    with pytest.raises(UsageError, match=message):
        run("dedupe", photos, **settings)


def test_without_vectors_it_says_what_to_type(workspace: Path) -> None:
    make_photos(workspace, 2)

    with pytest.raises(DataError, match=f"there are no vectors in .*: mekiki embed -w {workspace}"):
        run("dedupe", workspace, by="vectors")


def test_vectors_of_other_items_are_no_vectors_of_the_pictures(workspace: Path) -> None:
    make_photos(workspace, 2)
    store_vectors(workspace, {"f" * 32: directions(0, 1, 4)[0]})

    with pytest.raises(DataError, match="has no vector of any picture: mekiki embed"):
        run("dedupe", workspace, by="vectors")


def test_a_split_keeps_these_groups_together_and_certifies_it(workspace: Path) -> None:
    make_photos(workspace, 40)
    vectors = clusters(40, 40, n_dims=64)
    vectors[20:] = turned(vectors[:20], 0.98)
    store(workspace, vectors)
    run("dedupe", workspace, by="vectors")

    summary = run("split", workspace, shares={"train": 0.5, "test": 0.5}, seed=1)

    parts = dict(query(workspace, "SELECT item_id, part FROM splits"))
    ids = item_ids(workspace)
    assert [parts[one] for one in ids[:20]] == [parts[one] for one in ids[20:]]
    certificate = summary.extra["certificate"]
    assert certificate["overlaps"]["near-duplicate"] == {"enforced": True, "overlap": 0}
    assert (certificate["is_leak_free"], certificate["n_atoms"]) == (True, 20)
    assert certificate["nearest"]["distance_bits"] > 0


def test_a_split_is_refused_where_pictures_were_not_compared(workspace: Path) -> None:
    """A near-duplicate without a vector could lie in another part than its twin."""
    make_photos(workspace, 12)
    vectors = directions(0, 12, 32)
    store(workspace, vectors[:9])
    run("dedupe", workspace)
    run("dedupe", workspace, by="vectors")
    shares = {"a": 0.5, "b": 0.5}

    with pytest.raises(DataError, match="3 of 12 have no vector and were not compared: embed the rest, or dedupe by"):
        run("split", workspace, shares=shares)

    run("dedupe", workspace, by="hashes")
    by_hashes = run("split", workspace, shares=shares)
    store(workspace, vectors)
    run("dedupe", workspace, by="vectors")
    assert run("split", workspace, shares=shares).run_id != by_hashes.run_id


def test_imported_vectors_that_have_changed_are_compared_anew(workspace: Path) -> None:
    make_photos(workspace, 3)
    vectors = directions(0, 3, 32)
    store(workspace, vectors, embedder_id="")
    before = run("dedupe", workspace, by="vectors")
    vectors[1] = vectors[0]
    store(workspace, vectors, embedder_id="")

    assert (before.extra["n_groups"], run("dedupe", workspace, by="vectors").extra["n_groups"]) == (0, 1)


def test_of_two_ways_the_one_that_was_asked_for_last_counts(photos: Path) -> None:
    run("dedupe", photos, by="vectors")
    run("dedupe", photos)
    assert run("split", photos, shares={"a": 0.5, "b": 0.5}).extra["certificate"]["n_atoms"] == 12

    run("dedupe", photos, by="vectors")

    assert run("split", photos, shares={"a": 0.5, "b": 0.5}).extra["certificate"]["n_atoms"] == 9
