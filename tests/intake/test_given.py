"""A split of someone else's as a pure function: what is read of its files, and what joins them."""

from __future__ import annotations

from collections import Counter, defaultdict
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mekiki.dataset.certificate import CertificateFacts
from mekiki.dataset.formats.base import LabelClaim, Record
from mekiki.dataset.hashes import PictureHash
from mekiki.dataset.ids import hash_file
from mekiki.intake.given import GivenFile, GivenSplit, certify_given, read_given_split
from pictures import truncated_jpeg
from split_files import (
    copy_file,
    mirrored,
    texture,
    write_clip_file,
    write_picture,
    write_pictures,
)

Entry = tuple[Path, Record, Path | None]


def entry(path: Path, part: str | None = "train", video_path: Path | None = None, **fields: Any) -> Entry:
    return path, Record(path.name, 1, part=part, **fields), video_path


def rows_together(given: GivenSplit, kind: str) -> list[set[int]]:
    """Return the rows of each group of a kind that has two or more."""
    groups: dict[str, set[int]] = defaultdict(set)
    for one, key, row in given.memberships():
        if one == kind:
            groups[key].add(row)
    return sorted((rows for rows in groups.values() if len(rows) > 1), key=min)


# ---- reading -------------------------------------------------------------------------------------------------------


def test_nothing_gives_nothing() -> None:
    given = read_given_split([])

    assert given == GivenSplit((), ())
    assert given.memberships() == []
    assert given.nearest() is None
    assert given.states(["fox"]).shape == (0, 1)
    with pytest.raises(ValueError, match="no item has a part"):
        certify_given(given, [], CertificateFacts("empty"))


def test_files_stand_in_the_order_of_the_entries_whatever_the_threads(tmp_path: Path) -> None:
    paths = write_pictures(tmp_path, range(9))
    entries = [entry(path, part) for path, part in zip(paths[::-1], ("b", "a", "c") * 3, strict=True)]

    found = [read_given_split(entries, n_threads) for n_threads in (1, 4)]

    for given in found:
        assert [one.path for one in given.files] == paths[::-1]
        assert given.parts == ["b", "a", "c"] * 3
        assert [one.item_id for one in given.files] == [hash_file(path) for path in paths[::-1]]


def test_entries_without_a_part_are_passed_over_and_not_even_read(tmp_path: Path) -> None:
    path = write_picture(tmp_path / "a.jpg", texture(1))

    given = read_given_split([entry(path), entry(tmp_path / "gone.jpg", None), entry(tmp_path / "no.jpg", "")])

    assert [one.path for one in given.files] == [path]
    assert given.failures == ()


def test_what_cannot_be_read_is_a_failure_with_its_reason(tmp_path: Path) -> None:
    good = write_picture(tmp_path / "good.jpg", texture(1))
    (tmp_path / "half.jpg").write_bytes(truncated_jpeg())

    given = read_given_split([entry(tmp_path / "half.jpg"), entry(good), entry(tmp_path / "gone.jpg")])
    lenient = read_given_split([entry(tmp_path / "half.jpg")], allow_truncated=True)

    assert [one.path for one in given.files] == [good]
    assert [(Path(one.path).name, one.stage) for one in given.failures] == [
        ("half.jpg", "split"),
        ("gone.jpg", "split"),
    ]
    assert given.failures[1].reason == "no such file"
    assert len(lenient.files) == 1


def test_a_file_that_many_entries_speak_of_is_read_and_fails_once(tmp_path: Path) -> None:
    clip = write_clip_file(tmp_path / "a.mp4", 1)
    entries = [entry(clip, "train", frame_index=number) for number in range(20)]
    gone = [entry(tmp_path / "gone.mp4", "train", frame_index=number) for number in range(20)]

    given = read_given_split([*entries, *gone])

    assert len(given.files) == 20
    assert len({id(one.pictures) for one in given.files}) == 1
    assert len(given.failures) == 1


def test_a_photo_has_one_picture_and_a_clip_several(tmp_path: Path) -> None:
    photo = write_picture(tmp_path / "a.jpg", texture(1))
    clip = write_clip_file(tmp_path / "a.mp4", 1, n_frames=12)

    given = read_given_split([entry(photo), entry(clip)])

    assert [len(one.pictures) for one in given.files] == [1, 8]


# ---- what joins files ----------------------------------------------------------------------------------------------


def test_near_duplicates_are_found_in_the_pixels_also_between_clips_and_photos(tmp_path: Path) -> None:
    photos = write_pictures(tmp_path, range(4))
    flipped = write_picture(tmp_path / "flipped.jpg", mirrored(texture(2)), quality=60)
    clip = write_clip_file(tmp_path / "a.mp4", 3)
    copy = copy_file(clip, tmp_path / "b.mp4")

    given = read_given_split([entry(path) for path in (*photos, flipped, clip, copy)])

    assert rows_together(given, "near-duplicate") == [{2, 4}, {5, 6}]


def test_stated_groups_are_taken_as_they_are_but_for_cameras_which_belong_to_their_site(tmp_path: Path) -> None:
    paths = write_pictures(tmp_path, range(4))
    said = [
        {"site": "north", "camera": "cam1", "burst": "1"},
        {"site": "north", "camera": "cam1", "identity": "rex"},
        {"site": "south", "camera": "cam1", "burst": "1"},
        {"identity": "rex"},
    ]

    given = read_given_split([entry(path, groups=groups) for path, groups in zip(paths, said, strict=True)])

    assert rows_together(given, "site") == [{0, 1}]
    assert rows_together(given, "camera") == [{0, 1}]
    assert rows_together(given, "burst") == [{0, 2}]
    assert rows_together(given, "identity") == [{1, 3}]


@pytest.mark.parametrize(
    ("one", "other", "is_same"),
    [
        pytest.param("clips/a.mp4", "clips/a.mp4", True, id="same"),
        pytest.param("clips/a.mp4", "./clips//b/../a.mp4", True, id="spelled otherwise"),
        pytest.param("clips/a.mp4", "clips\\a.mp4", True, id="backslash"),
        pytest.param("clips/a.mp4", "clips/b.mp4", False, id="another clip"),
        pytest.param("a/1.mp4", "b/1.mp4", False, id="same name elsewhere"),
    ],
)
def test_frames_of_a_clip_that_is_not_there_go_by_its_spelling(
    one: str, other: str, is_same: bool, tmp_path: Path
) -> None:
    paths = write_pictures(tmp_path, range(2))

    given = read_given_split([entry(path, parent_path=clip) for path, clip in zip(paths, (one, other), strict=True)])

    assert rows_together(given, "derived") == ([{0, 1}] if is_same else [])


def test_a_clip_and_its_frames_belong_together(tmp_path: Path) -> None:
    clip = write_clip_file(tmp_path / "clips/a.mp4", 1)
    frames = write_pictures(tmp_path, range(2))
    (tmp_path / "link.mp4").symlink_to(clip)
    entries = [
        entry(clip),
        entry(frames[0], video_path=clip, parent_path="clips/a.mp4"),
        entry(frames[1], video_path=tmp_path / "link.mp4", parent_path="link.mp4"),
    ]

    assert rows_together(read_given_split(entries), "derived") == [{0, 1, 2}]


# ---- the certificate -----------------------------------------------------------------------------------------------


def test_labels_are_spelled_out_where_an_entry_is_complete(tmp_path: Path) -> None:
    paths = write_pictures(tmp_path, range(3))
    claims = (LabelClaim("fox"), LabelClaim("cat", "unsure"))
    entries = [
        entry(paths[0], labels=claims, is_complete=True),
        entry(paths[1], labels=claims),
        entry(paths[2], is_complete=True),
    ]

    states = read_given_split(entries).states(["cat", "dog", "fox"])

    assert states.tolist() == [[-1, 0, 1], [-1, -1, 1], [0, 0, 0]]


def made_of(*hashes: tuple[int, int, bool], parts: str) -> GivenSplit:
    """Return a split of files with these hashes, mirrored hashes and flatness."""
    files = []
    for number, ((bits, mirrored_bits, is_flat), part) in enumerate(zip(hashes, parts, strict=True)):
        thumb = np.random.default_rng(number).integers(0, 256, (32, 32), dtype=np.uint8)
        picture = PictureHash(bits, mirrored_bits, thumb, contrast=0.0 if is_flat else 50.0)
        path = Path(f"/{number}.jpg")
        files.append(GivenFile(path, Record(path.name, 1, part=part), f"{number:032x}", (picture,), str(path)))
    return GivenSplit(tuple(files), ())


def test_the_nearest_pair_is_that_of_brute_force() -> None:
    rng = np.random.default_rng(0)
    hashes = [
        (int(one), int(other), bool(flat))
        for one, other, flat in zip(
            rng.integers(0, 1 << 63, 60, dtype=np.uint64),
            rng.integers(0, 1 << 63, 60, dtype=np.uint64),
            rng.random(60) < 0.1,
            strict=True,
        )
    ]
    parts = "".join(rng.choice(list("abc"), 60))
    given = made_of(*hashes, parts=parts)

    nearest = given.nearest()

    distances = {}
    for (i, one), (j, other) in combinations(enumerate(hashes), 2):
        if parts[i] != parts[j] and not one[2] and not other[2]:
            pairs = ((one[0], other[0]), (one[0], other[1]), (one[1], other[0]))
            distances[i, j] = min((a ^ b).bit_count() for a, b in pairs)
    assert nearest is not None
    assert nearest.distance_bits == min(distances.values())
    assert distances[nearest.rows] == nearest.distance_bits


def test_flat_pictures_are_near_to_nothing() -> None:
    given = made_of((0, 0, True), (0, 0, True), (7, 7, False), parts="aab")

    assert given.nearest() is None
    assert rows_together(given, "near-duplicate") == []


def test_a_chain_over_kinds_is_one_leak_even_where_no_group_is_torn(tmp_path: Path) -> None:
    """Row 1 has the individual of row 0 and the bytes of row 2."""
    paths = write_pictures(tmp_path, range(2))
    same = copy_file(paths[1], tmp_path / "same.jpg")
    rex = {"identity": "rex"}
    entries = [entry(paths[0], "train", groups=rex), entry(paths[1], "train", groups=rex), entry(same, "test")]

    certificate = certify_given(read_given_split(entries), [], CertificateFacts("chain"))

    assert certificate.n_atoms == 1
    assert certificate.largest_atom == 3
    assert not certificate.is_leak_free
    assert "same.jpg in test" in " ".join(certificate.leaks)


@pytest.mark.parametrize("enforced", [(), ("site",), ("camera",)], ids=["nothing", "site", "camera"])
def test_sites_and_cameras_join_only_when_asked(enforced: tuple[str, ...], tmp_path: Path) -> None:
    paths = write_pictures(tmp_path, range(4))
    groups = [{"site": site, "camera": "cam1"} for site in ("n", "n", "s", "s")]
    parts = ("train", "test", "train", "test")
    entries = [entry(path, part, groups=said) for path, part, said in zip(paths, parts, groups, strict=True)]

    certificate = certify_given(read_given_split(entries), [], CertificateFacts("x", enforced=enforced))

    assert certificate.is_leak_free is not bool(enforced)
    assert certificate.overlaps["site"] == {"enforced": "site" in enforced, "overlap": 2}
    assert certificate.overlaps["camera"] == {"enforced": "camera" in enforced, "overlap": 2}
    assert certificate.n_atoms == (2 if enforced else 4)


def test_the_order_of_entries_changes_nothing_that_is_certified(tmp_path: Path) -> None:
    paths = write_pictures(tmp_path, range(8))
    copy = copy_file(paths[0], tmp_path / "copy.jpg")
    entries = [entry(path, part) for path, part in zip([*paths, copy], "aaabbbccb", strict=True)]

    one, other = (
        certify_given(read_given_split(found), [], CertificateFacts("x")) for found in (entries, entries[::-1])
    )

    assert one.leaks == other.leaks
    assert one.atoms_sha256 == other.atoms_sha256
    assert one.nearest is not None
    assert other.nearest is not None
    assert one.nearest["distance_bits"] == other.nearest["distance_bits"] == 0
    assert {part: sizes["items"] for part, sizes in one.parts.items()} == Counter("aaabbbccb")


def test_the_same_bytes_belong_together_even_where_they_show_nothing(tmp_path: Path) -> None:
    black = write_picture(tmp_path / "black.jpg", np.zeros((72, 96, 3), np.uint8))
    same = copy_file(black, tmp_path / "same.jpg")
    alike = write_picture(tmp_path / "alike.jpg", np.ones((72, 96, 3), np.uint8), quality=50)
    entries = [entry(black, "train"), entry(same, "test"), entry(alike, "test")]

    certificate = certify_given(read_given_split(entries), [], CertificateFacts("dark"))

    assert certificate.n_atoms == 2
    assert certificate.overlaps["content"]["overlap"] == 1
    assert "same.jpg in test" in certificate.leaks[0]
    assert "alike.jpg" not in certificate.leaks[0]
