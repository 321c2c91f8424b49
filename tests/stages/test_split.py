"""Stage ``split``: parts share nothing, whatever the seed and the shares; what it refuses, and its certificate."""

from __future__ import annotations

import csv
import json
import shlex
import shutil
from collections import Counter, defaultdict
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mekiki.api.recipes import parse_change
from mekiki.api.verbs import run_stage
from mekiki.cli.main import main
from mekiki.dataset.groups import hash_atoms
from mekiki.demo.world import World, read_truth
from mekiki.engine.local import LocalEngine
from mekiki.errors import DataError, UsageError
from split_files import (
    copy_file,
    mirror_clip,
    mirrored,
    parts_by_file,
    parts_by_frame,
    parts_by_id,
    read_certificate,
    reencode_clip,
    resized,
    texture,
    write_clip_file,
    write_csv,
    write_picture,
    write_pictures,
)
from workspaces import dump, ingest, query, run

SITES = tuple(f"s{number}" for number in range(8))
CLASSES = ("badger", "fox", "marten")

PHOTO_COPIES = ("s0/cam1/photo.jpg", "s0/cam2/flipped.jpg", "s0/cam2/poor.jpg", "s0/cam1/small.jpg")
PHOTO_COPY = "s0/cam2/same bytes.jpg"
CLIP_COPIES = ("s1/cam1/clip.mp4", "s1/cam2/same bytes.mp4", "s1/cam2/poor.mp4", "s1/cam1/flipped.mp4")
BURST = tuple(f"s2/cam1/burst{number}.jpg" for number in range(3))
INDIVIDUAL = ("s2/cam1/rex1.jpg", "s2/cam2/rex2.jpg", "s2/cam2/rex3.jpg")
CHAIN = tuple(f"s3/cam{1 + number // 2 % 2}/chain{number}.jpg" for number in range(6))
LONE_CLIP = ("s4/cam1/pan.mp4",)
VIDEO_FRAMES = tuple(f"s5/cam1/v7_{number}.jpg" for number in range(4))
FAMILIES = ((*PHOTO_COPIES, PHOTO_COPY), CLIP_COPIES, BURST, INDIVIDUAL, CHAIN, LONE_CLIP, VIDEO_FRAMES)
"""Files that must not be torn apart, whoever asks for what."""

ODD_SHARES = (
    {"a": 0.5, "b": 0.5},
    {"train": 0.9, "test": 0.1},
    {"train": 0.97, "test": 0.03},
    {"a": 1 / 3, "b": 1 / 3, "c": 1 / 3},
    {"a": 0.2, "b": 0.2, "c": 0.2, "d": 0.2, "e": 0.2},
    {"train": 0.6, "val": 0.25, "test": 0.1, "holdout": 0.05},
)


def plant(folder: Path) -> Path:
    """Write photos and clips with planted relations of every kind, and a table that states some of them."""
    for number in range(48):
        write_picture(folder / SITES[number % 8] / f"cam{1 + number // 8 % 2}" / f"{number:02d}.jpg", texture(number))
    photo = texture(500)
    write_picture(folder / PHOTO_COPIES[0], photo)
    write_picture(folder / PHOTO_COPIES[1], mirrored(photo), quality=80)
    write_picture(folder / PHOTO_COPIES[2], photo, quality=35)
    write_picture(folder / PHOTO_COPIES[3], resized(photo, 0.7))
    copy_file(folder / PHOTO_COPIES[0], folder / PHOTO_COPY)
    clip = write_clip_file(folder / CLIP_COPIES[0], 501)
    copy_file(clip, folder / CLIP_COPIES[1])
    reencode_clip(clip, folder / CLIP_COPIES[2])
    mirror_clip(clip, folder / CLIP_COPIES[3])
    for second, name in enumerate(BURST):
        write_picture(folder / name, texture(510 + second), taken_at=f"2024:05:01 06:07:0{second}", model="T1")
    for number, name in enumerate((*INDIVIDUAL, *VIDEO_FRAMES)):
        write_picture(folder / name, texture(520 + number))
    plant_chain(folder)
    write_clip_file(folder / LONE_CLIP[0], 502)
    return write_truth(folder)


def plant_chain(folder: Path) -> None:
    """Write six photos of which only neighbours have something in common, each time something else."""
    chained = [texture(530 + number) for number in range(6)]
    chained[2] = mirrored(chained[1])  # near-duplicates; 2 and 3 are one animal, 3 and 4 of one video, 4 and 5 alike
    chained[5] = resized(chained[4], 0.8)
    for number, name in enumerate(CHAIN):
        taken_at = f"2024:06:01 06:07:0{number}" if number < 2 else None  # 0 and 1 are a burst
        write_picture(folder / name, chained[number], taken_at=taken_at, model="T1")


def write_truth(folder: Path) -> Path:
    """Write labels of all files, and whom and which video they show where that joins them."""
    identity = {**dict.fromkeys(INDIVIDUAL, "rex"), CHAIN[2]: "bo", CHAIN[3]: "bo"}
    video = {**dict.fromkeys(VIDEO_FRAMES, "v7"), CHAIN[3]: "v9", CHAIN[4]: "v9"}
    files = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.*"))
    rng = np.random.default_rng(1)
    rows = [
        (name, ";".join(rng.permutation(CLASSES)[: rng.integers(0, 3)]) or "unknown", identity.get(name, ""), "")
        for name in files
    ]
    rows = [(name, labels, individual, video.get(name, "")) for name, labels, individual, _ in rows]
    return write_csv(folder / "truth.csv", ("filepath", "labels", "identity", "video_id"), rows)


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace that is ready to be split, beside the folder ``in`` with its files; splits may be added to it."""
    folder = tmp_path_factory.mktemp("planted")
    truth = plant(folder / "in")
    workspace = folder / "ws"
    ingest(workspace, folder / "in", labels=[truth], path_pattern="{site}/{camera}/*")
    run("frames", workspace, sampling="n-frames", n_frames=4)
    ingest(workspace, folder / "in", labels=[truth], path_pattern="{site}/{camera}/*")
    run("dedupe", workspace)
    return workspace


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """A workspace with twelve unrelated photos, compared, not yet split, beside the folder ``in`` with its files."""
    write_pictures(tmp_path / "in", range(12))
    ingest(tmp_path / "ws", tmp_path / "in")
    run("dedupe", tmp_path / "ws")
    return tmp_path / "ws"


def parts_of(workspace: Path, **settings: Any) -> dict[str, str]:
    """Split and return each file's part."""
    summary = run("split", workspace, **settings)
    return parts_by_file(workspace, summary.run_id, workspace.parent / "in")


def torn(parts: dict[str, str], families: Any = FAMILIES) -> list[dict[str, str]]:
    """Return the parts of every family of files that is in more than one."""
    found = [{name: parts[name] for name in family} for family in families]
    return [of_family for of_family in found if len(set(of_family.values())) > 1]


# ---- what cannot be torn -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(20))
def test_nothing_that_belongs_together_is_torn_whatever_the_seed(seed: int, planted: Path) -> None:
    summary = run("split", planted, seed=seed)

    parts = parts_by_file(planted, summary.run_id, planted.parent / "in")
    frames = parts_by_frame(planted, summary.run_id, planted.parent / "in")

    assert set(parts.values()) == {"train", "val", "test"}
    assert torn(parts) == []
    # The frames of a copy are the frames of its original: one of the two files stands for both.
    assert all(found == {parts[name]} for name, found in frames.items())
    assert set(LONE_CLIP) | {CLIP_COPIES[2], CLIP_COPIES[3]} <= set(frames)


@pytest.mark.parametrize("shares", ODD_SHARES, ids=lambda shares: "/".join(f"{share:.2f}" for share in shares.values()))
def test_nothing_that_belongs_together_is_torn_whatever_the_shares(shares: dict[str, float], planted: Path) -> None:
    for seed in range(3):
        summary = run("split", planted, seed=seed, shares=shares, allow_missing=CLASSES)

        parts = parts_by_file(planted, summary.run_id, planted.parent / "in")
        counts = Counter(parts_by_id(planted, summary.run_id)[item_id] for item_id in picture_ids(planted))

        assert set(parts.values()) == set(shares)
        assert torn(parts) == []
        assert all(abs(counts[part] / sum(counts.values()) - share) <= 0.1 for part, share in shares.items())


@pytest.mark.parametrize("seed", range(20))
def test_with_group_by_site_no_site_is_torn(seed: int, planted: Path) -> None:
    parts = parts_of(planted, seed=seed, group_by=["site"], shares={"train": 0.75, "test": 0.25})

    assert torn(parts, [[name for name in parts if name.startswith(site)] for site in SITES]) == []
    assert set(parts.values()) == {"train", "test"}


@pytest.mark.parametrize("seed", range(20))
def test_with_group_by_camera_no_camera_is_torn(seed: int, planted: Path) -> None:
    parts = parts_of(planted, seed=seed, group_by=["camera"])

    cameras = [
        [name for name in parts if name.startswith(f"{site}/{cam}/")] for site in SITES for cam in ("cam1", "cam2")
    ]
    assert torn(parts, cameras) == []
    assert torn(parts) == []


def test_cameras_of_the_same_name_at_two_sites_are_two_cameras(planted: Path) -> None:
    parts = parts_of(planted, group_by=["camera"])

    assert len({part for name, part in parts.items() if "/cam1/" in name}) > 1
    assert len({part for name, part in parts.items() if "/cam2/" in name}) > 1


def test_without_group_by_a_site_may_be_torn_and_the_certificate_says_so(planted: Path) -> None:
    summary = run("split", planted, seed=100)

    parts = parts_by_file(planted, summary.run_id, planted.parent / "in")
    n_torn = len(torn(parts, [[name for name in parts if name.startswith(site)] for site in SITES]))
    site = summary.extra["certificate"]["overlaps"]["site"]
    assert n_torn > 0
    assert site == {"enforced": False, "overlap": n_torn}
    assert any("not enforced" in note and "--group-by site" in note for note in summary.notes)


def test_a_torn_site_of_which_there_are_only_clips_is_counted_too(tmp_path: Path) -> None:
    for number in range(9):
        write_clip_file(tmp_path / f"in/north/{number}.mp4", 600 + number, n_frames=3)
    ingest(tmp_path / "ws", tmp_path / "in", path_pattern="{site}/*")
    run("frames", tmp_path / "ws", sampling="n-frames", n_frames=2)
    run("dedupe", tmp_path / "ws")

    summary = run("split", tmp_path / "ws")

    assert summary.extra["certificate"]["overlaps"]["site"] == {"enforced": False, "overlap": 1}


def test_clips_of_one_individual_are_kept_together_by_what_is_said_of_the_clips(tmp_path: Path) -> None:
    names = [f"{number}.mp4" for number in range(8)]
    for number, name in enumerate(names):
        write_clip_file(tmp_path / "in" / name, 620 + number, n_frames=3)
    rows = [(name, "rex" if number < 3 else "") for number, name in enumerate(names)]
    labels = write_csv(tmp_path / "in/who.csv", ("filepath", "individual"), rows)
    ingest(tmp_path / "ws", tmp_path / "in", labels=[labels])
    run("frames", tmp_path / "ws", sampling="n-frames", n_frames=2)
    run("dedupe", tmp_path / "ws")

    for seed in range(5):
        assert torn(parts_of(tmp_path / "ws", seed=seed, shares={"a": 0.5, "b": 0.5}), [names[:3]]) == []


@pytest.fixture(scope="module")
def filmed(tmp_path_factory: pytest.TempPathFactory, world: World) -> Path:
    """A workspace with the demo world, ready to be split; no label file told which copies it has."""
    workspace = tmp_path_factory.mktemp("filmed") / "ws"
    ingest(workspace, world.folder, path_pattern="{site}/{camera}/*")
    run("frames", workspace, sampling="n-frames", n_frames=4)
    run("dedupe", workspace)
    return workspace


@pytest.mark.parametrize("seed", range(20))
def test_copies_and_bursts_of_the_demo_world_stay_together(seed: int, filmed: Path, world: World) -> None:
    summary = run("split", filmed, seed=seed, shares={"train": 0.6, "test": 0.4})

    parts = parts_by_file(filmed, summary.run_id, world.folder)
    events: dict[str, list[str]] = defaultdict(list)
    for one in read_truth(world.folder).files:
        if one.is_readable:
            events[one.event_id].append(one.filepath)
    assert torn(parts, events.values()) == []
    assert sum(len(files) > 1 for files in events.values()) >= 6  # a planted copy of each sort, and a burst


@pytest.mark.slow
def test_real_clips_and_photos_are_split_without_overlap(shared_data: Path, workspace: Path) -> None:
    ingest(workspace, shared_data / "wildlife")
    run("frames", workspace)
    run("dedupe", workspace)

    for seed in range(5):
        certificate = run("split", workspace, seed=seed).extra["certificate"]

        enforced = [one["overlap"] for one in certificate["overlaps"].values() if one["enforced"]]
        assert enforced == [0] * 6
        assert certificate["is_leak_free"] is True


# ---- the certificate -----------------------------------------------------------------------------------------------


def picture_ids(workspace: Path) -> list[str]:
    return [row[0] for row in query(workspace, "SELECT item_id FROM items WHERE kind IN ('image', 'frame')")]


def states_of(workspace: Path) -> dict[tuple[str, str], str]:
    """Return item and class to state; for workspaces with one annotator and one run of labels."""
    rows = query(workspace, "SELECT item_id, class_name, state FROM labels")
    return {(item_id, name): state for item_id, name, state in rows}


def test_the_certificate_has_these_keys_and_no_others(planted: Path) -> None:
    summary = run("split", planted, seed=101)

    certificate = read_certificate(planted, summary.run_id)

    assert certificate == json.loads(json.dumps(summary.extra["certificate"]))
    assert set(certificate) == {
        *("name", "seed", "created_at", "version", "shares", "parts", "classes", "drift", "overlaps", "nearest"),
        *("n_items", "n_atoms", "largest_atom", "atoms_sha256", "leaks", "is_leak_free"),
    }
    overlaps: Any = certificate["overlaps"]
    assert set(overlaps) == {"content", "source", "derived", "near-duplicate", "burst", "identity", "site", "camera"}
    assert (certificate["name"], certificate["seed"], certificate["is_leak_free"]) == ("default", 101, True)
    assert certificate["leaks"] == []


def test_counts_prevalence_and_drift_are_those_of_the_rows(planted: Path) -> None:
    summary = run("split", planted, seed=102)
    certificate: Any = read_certificate(planted, summary.run_id)
    part_of, states = parts_by_id(planted, summary.run_id), states_of(planted)
    pictures = picture_ids(planted)

    assert certificate["n_items"] == len(pictures)
    prevalence: dict[tuple[str, str], float] = {}
    for part, inside in group_by_part(pictures, part_of).items():
        assert certificate["parts"][part]["items"] == len(inside)
        assert certificate["shares"][part]["reached"] == pytest.approx(len(inside) / len(pictures))
        for name in CLASSES:
            asked = [states[one, name] for one in inside if states.get((one, name)) in ("present", "absent")]
            told = certificate["classes"][name][part]
            assert (told["present"], told["asked"]) == (asked.count("present"), len(asked))
            assert told["prevalence"] == pytest.approx(asked.count("present") / len(asked))
            prevalence[name, part] = told["prevalence"]
    overall = {name: mean_present([states.get((one, name)) for one in pictures]) for name in CLASSES}
    drift = {(name, part): abs(share - overall[name]) for (name, part), share in prevalence.items()}
    assert certificate["drift"]["max_abs"] == pytest.approx(max(drift.values()))
    assert drift[certificate["drift"]["class"], certificate["drift"]["part"]] == pytest.approx(max(drift.values()))


def group_by_part(item_ids: list[str], part_of: dict[str, str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = defaultdict(list)
    for item_id in item_ids:
        found[part_of[item_id]].append(item_id)
    return found


def mean_present(states: list[str | None]) -> float:
    asked = [state == "present" for state in states if state in ("present", "absent")]
    return sum(asked) / len(asked)


@pytest.mark.parametrize("group_by", [[], ["site"]], ids=["nothing asked", "by site"])
def test_overlaps_are_those_of_the_rows(group_by: list[str], planted: Path) -> None:
    summary = run("split", planted, seed=103, group_by=group_by, shares={"train": 0.7, "test": 0.3})
    certificate: Any = read_certificate(planted, summary.run_id)
    part_of = parts_by_id(planted, summary.run_id)

    found: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    for kind, key, item_id in query(planted, "SELECT kind, key, item_id FROM groups"):
        found[kind][key].add(part_of[item_id])
    for item_id, parent_id in query(planted, "SELECT item_id, parent_id FROM items WHERE parent_id IS NOT NULL"):
        found["derived"][parent_id].add(part_of[item_id])

    torn_of = {kind: sum(len(parts) > 1 for parts in by_key.values()) for kind, by_key in found.items()}
    enforced = {"content", "source", "derived", "near-duplicate", "burst", "identity", *group_by}
    for kind, told in certificate["overlaps"].items():
        assert told == {"enforced": kind in enforced, "overlap": torn_of.get(kind, 0)}
        assert kind not in enforced or told["overlap"] == 0
    assert {"near-duplicate", "burst", "identity", "source", "site", "camera", "derived"} <= set(found)


def test_atoms_are_those_of_the_rows_and_named_by_their_smallest_id(planted: Path) -> None:
    summary = run("split", planted, seed=104)
    certificate: Any = read_certificate(planted, summary.run_id)

    rows = query(planted, "SELECT item_id, atom FROM splits WHERE run_id = ?", summary.run_id)
    members: dict[str, set[str]] = defaultdict(set)
    for item_id, atom in rows:
        members[atom].add(item_id)
    pictures = set(picture_ids(planted))
    with_pictures = {atom: inside & pictures for atom, inside in members.items()}
    numbers = {atom: number for number, atom in enumerate(with_pictures)}
    ids = [item_id for item_id, _ in rows if item_id in pictures]
    atoms = np.array([numbers[atom] for item_id, atom in rows if item_id in pictures])

    assert all(atom == min(inside) for atom, inside in members.items())
    assert certificate["n_atoms"] == len(with_pictures)
    assert certificate["largest_atom"] == max(map(len, with_pictures.values()))
    assert certificate["atoms_sha256"] == hash_atoms(atoms, ids)
    assert {item_id for item_id, _ in rows} == {row[0] for row in query(planted, "SELECT item_id FROM items")}


def test_the_atom_list_has_one_name_whatever_is_dealt_and_another_where_more_is_joined(planted: Path) -> None:
    first = run("split", planted, seed=105).extra["certificate"]["atoms_sha256"]
    second = run("split", planted, seed=106, shares={"a": 0.5, "b": 0.5}).extra["certificate"]["atoms_sha256"]
    by_site = run("split", planted, seed=105, group_by=["site"], shares={"a": 0.5, "b": 0.5})

    assert first == second != by_site.extra["certificate"]["atoms_sha256"]


@pytest.mark.parametrize("seed", range(4))
def test_the_nearest_pair_is_really_the_nearest(seed: int, planted: Path) -> None:
    summary = run("split", planted, seed=seed, shares={"a": 0.5, "b": 0.3, "c": 0.2})
    told = summary.extra["certificate"]["nearest"]
    part_of = parts_by_id(planted, summary.run_id)
    mask = (1 << 64) - 1
    hashes = {
        item_id: (phash & mask, mirror & mask)
        for item_id, phash, mirror in query(planted, "SELECT item_id, phash, mirrored FROM hashes WHERE NOT is_flat")
    }

    distances = {
        (one, other): min(
            (a ^ b).bit_count() for a, b in ((first[0], second[0]), (first[0], second[1]), (first[1], second[0]))
        )
        for (one, first), (other, second) in combinations(sorted(hashes.items()), 2)
        if part_of[one] != part_of[other]
    }
    nearest = min(distances.values())

    assert told["distance_bits"] == nearest
    names = [{path_name(planted, item_id) for item_id in pair} for pair, bits in distances.items() if bits == nearest]
    assert {Path(told["first"]).name, Path(told["second"]).name} in names
    assert len(set(told["parts"])) == 2


def path_name(workspace: Path, item_id: str) -> str:
    sql = "SELECT coalesce((SELECT min(path) FROM sources s WHERE s.item_id = i.item_id), path) FROM items i "
    return Path(query(workspace, sql + "WHERE item_id = ?", item_id)[0][0]).name


# ---- runs side by side ---------------------------------------------------------------------------------------------


def test_the_same_command_twice_writes_nothing(small: Path) -> None:
    first = run("split", small)
    before = dump(small)

    second = run("split", small)

    assert dump(small) == before
    assert (second.run_id, second.n_written, second.n_skipped) == (first.run_id, 0, 12)
    assert second.extra["parts"] == first.extra["parts"]


def test_the_threads_make_no_new_run(small: Path) -> None:
    assert run("split", small, workers=3).run_id == run("split", small).run_id


def test_a_dry_run_writes_nothing(small: Path) -> None:
    before = dump(small)

    summary = run_stage("split", small, {}, engine=LocalEngine(dry_run=True))

    assert dump(small) == before
    assert "would compute it anew" in summary.notes
    assert not (small / "runs" / summary.run_id).exists()


def test_another_seed_gives_another_split(small: Path) -> None:
    runs = [run("split", small, seed=seed).run_id for seed in range(4)]

    assert len({tuple(sorted(parts_by_id(small, run_id).items())) for run_id in runs}) > 1


def test_the_same_seed_gives_the_same_split_in_another_workspace(small: Path, tmp_path: Path) -> None:
    shutil.copytree(tmp_path / "in", tmp_path / "moved")
    ingest(tmp_path / "ws2", *sorted((tmp_path / "moved").iterdir(), reverse=True))
    run("dedupe", tmp_path / "ws2")

    first, second = run("split", small), run("split", tmp_path / "ws2")

    assert parts_by_id(small, first.run_id) == parts_by_id(tmp_path / "ws2", second.run_id)
    assert first.extra["certificate"]["atoms_sha256"] == second.extra["certificate"]["atoms_sha256"]


def test_named_splits_stand_side_by_side_and_are_exported_by_name(small: Path) -> None:
    half = run("split", small, name="half", shares={"a": 0.5, "b": 0.5})
    folds = run("split", small, name="cv", folds=5)

    for name, summary in (("half", half), ("cv", folds)):
        run("export", small, split=name, output=small.parent / name)
        assert exported_parts(small.parent / name) == parts_by_file(small, summary.run_id, small.parent / "in")
    assert set(folds.extra["parts"]) == {f"fold-{number}" for number in range(5)}
    assert sum(folds.extra["parts"].values()) == 12
    assert max(folds.extra["parts"].values()) - min(folds.extra["parts"].values()) <= 1


def exported_parts(folder: Path) -> dict[str, str]:
    """Return name of each file to part, as an exported CSV has them."""
    with (folder / "labels.csv").open(encoding="utf-8-sig", newline="") as file:
        return {Path(row["filepath"]).name: row["part"] for row in csv.DictReader(file)}


def test_export_takes_the_latest_split_and_refuses_one_that_does_not_exist(small: Path) -> None:
    run("split", small, name="half", shares={"a": 0.5, "b": 0.5})
    run("split", small, name="third", shares={"c": 0.7, "d": 0.3})

    run("export", small, output=small.parent / "out")

    assert set(exported_parts(small.parent / "out").values()) == {"c", "d"}
    with pytest.raises(UsageError, match=r"split.*'haf'.*Did you mean 'half'"):
        run("export", small, split="haf")


def test_labels_that_changed_make_a_new_run(small: Path, tmp_path: Path) -> None:
    first = run("split", small)
    rows = [(f"{number:03d}.jpg", "fox" if number % 2 else "badger") for number in range(12)]
    ingest(small, tmp_path / "in", labels=[write_csv(tmp_path / "in/labels.csv", ("filepath", "label"), rows)])

    second = run("split", small)

    assert second.run_id != first.run_id
    for name in ("badger", "fox"):
        assert all(told["present"] for told in second.extra["certificate"]["classes"][name].values())


def test_where_two_annotators_disagree_the_human_counts(small: Path, tmp_path: Path) -> None:
    names = [f"{number:03d}.jpg" for number in range(12)]
    said = write_csv(tmp_path / "in/import.csv", ("filepath", "label"), [(name, "fox") for name in names])
    seen = write_csv(tmp_path / "in/human.csv", ("filepath", "label"), [(name, "badger") for name in names[:6]])
    ingest(small, tmp_path / "in", labels=[seen], annotator="human:ana")
    ingest(small, tmp_path / "in", labels=[said])

    summary = run("split", small, shares={"a": 0.5, "b": 0.5})

    classes = summary.extra["certificate"]["classes"]
    assert sum(part["present"] for part in classes["badger"].values()) == 6
    assert sum(part["present"] for part in classes["fox"].values()) == 12  # nobody said that a badger is no fox
    assert sum(part["asked"] for part in classes["badger"].values()) == 6


def test_the_command_that_was_given_last_counts_even_if_it_was_given_before(small: Path) -> None:
    first = run("split", small, shares={"a": 0.5, "b": 0.5})
    run("split", small, shares={"c": 0.5, "d": 0.5})
    assert run("split", small, shares={"a": 0.5, "b": 0.5}).run_id == first.run_id

    run("export", small, output=small.parent / "out")

    assert set(exported_parts(small.parent / "out").values()) == {"a", "b"}


def test_pictures_that_came_and_went_again_leave_the_older_comparison_valid(small: Path, tmp_path: Path) -> None:
    first = run("split", small)
    extra = write_picture(tmp_path / "more/extra.jpg", texture(99))
    ingest(small, extra)
    run("dedupe", small)
    assert main(["forget", str(extra), "-w", str(small)]) == 0
    assert run("dedupe", small).n_written == 0

    again = run("split", small)

    assert again.run_id == first.run_id


# ---- refusals ------------------------------------------------------------------------------------------------------


def refusal(capsys: pytest.CaptureFixture[str], *words: object) -> tuple[int, str]:
    """Return exit code and message of a command that is refused; the message is one line."""
    code = main([str(word) for word in words])
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.startswith("mekiki: ")
    assert told.err.count("\n") == 1
    return code, told.err


def test_an_empty_workspace_says_what_to_do(
    workspace: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "in").mkdir()
    ingest(workspace, tmp_path / "in")

    code, message = refusal(capsys, "split", "-w", workspace, "-q")

    assert code == 4
    assert "empty" in message
    assert f"mekiki ingest PATH -w {workspace}" in message


def test_no_workspace_at_all_is_a_wrong_option(workspace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, message = refusal(capsys, "split", "-w", workspace, "-q")

    assert code == 2
    assert "there is no workspace" in message
    assert not workspace.exists()


def test_videos_without_frames_say_so(workspace: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ingest(workspace, write_clip_file(tmp_path / "a.mp4", 1, n_frames=2))

    code, message = refusal(capsys, "split", "-w", workspace, "-q")

    assert code == 4
    assert f"mekiki frames -w {workspace}" in message


def test_pictures_must_have_been_compared(workspace: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_pictures(tmp_path / "in", range(6))
    ingest(workspace, tmp_path / "in")

    never, since = refusal(capsys, "split", "-w", workspace, "-q"), None
    run("dedupe", workspace)
    ingest(workspace, write_picture(tmp_path / "more.jpg", texture(9)))
    since = refusal(capsys, "split", "-w", workspace, "-q")

    assert never[0] == since[0] == 4
    assert "no pictures have been compared yet" in never[1]
    assert "pictures have come or gone since" in since[1]
    assert f"mekiki dedupe -w {workspace}" in never[1]
    assert f"mekiki dedupe -w {workspace}" in since[1]


def test_fewer_atoms_than_parts(workspace: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_pictures(tmp_path / "in", range(2))
    ingest(workspace, tmp_path / "in")
    run("dedupe", workspace)

    code, message = refusal(capsys, "split", "-w", workspace, "-q")

    assert code == 4
    assert "3 parts need 3 atoms or more" in message
    assert "ask for fewer parts" in message
    assert query(workspace, "SELECT count(*) FROM splits") == [(0,)]
    assert query(workspace, "SELECT count(*) FROM runs WHERE stage = 'split'") == [(0,)]


def test_one_giant_atom_is_named_by_what_joins_it_and_how_many(
    workspace: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    photo = texture(1)
    for number in range(10):
        write_picture(tmp_path / f"in/copy{number}.jpg", photo, quality=50 + number)
    write_pictures(tmp_path / "in", range(10, 13))
    ingest(workspace, tmp_path / "in")
    run("dedupe", workspace)

    code, message = refusal(capsys, "split", "-w", workspace, "-q", "--shares", "a=0.5", "--shares", "b=0.5")

    assert code == 4
    assert "10 items joined by near-duplicate" in message
    assert "copy" in message  # the group is named by a file and not by an id
    assert "near-duplicates" in message.rpartition("loosen")[2]


def test_a_giant_clip_is_named_by_its_file(workspace: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ingest(workspace, write_clip_file(tmp_path / "long walk.mp4", 3, n_frames=8))
    run("frames", workspace, sampling="n-frames", n_frames=8)
    run("dedupe", workspace)

    code, message = refusal(capsys, "split", "-w", workspace, "-q")

    assert code == 4
    assert f"derived '{tmp_path / 'long walk.mp4'}'" in message


@pytest.fixture
def rare(small: Path, tmp_path: Path) -> Path:
    """Twelve photos of which eleven show a fox and two a badger."""
    rows = [(f"{number:03d}.jpg", "badger;fox" if number < 2 else "fox" if number < 11 else "") for number in range(12)]
    ingest(small, tmp_path / "in", labels=[write_csv(tmp_path / "in/labels.csv", ("filepath", "labels"), rows)])
    return small


def test_a_class_in_fewer_atoms_than_parts_is_refused_with_the_flag_that_allows_it(
    rare: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, message = refusal(capsys, "split", "-w", rare, "-q")

    assert code == 4
    assert "'badger' (2 atoms, 2 items)" in message
    assert "--allow-missing badger" in message
    assert "fox" not in message
    (change,) = (word for word in shlex.split(message.partition("mekiki run: ")[2]) if word.startswith("split."))
    assert parse_change(change) == ("split.allow_missing", ["badger"])
    assert main(["split", "-w", str(rare), "-q", "--allow-missing", "badger"]) == 0


def test_a_misspelt_class_is_a_wrong_option_with_the_nearest(rare: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, message = refusal(capsys, "split", "-w", rare, "-q", "--allow-missing", "bagder")

    assert code == 2
    assert "no class is called 'bagder'. Did you mean 'badger'?" in message


def test_group_by_site_where_nothing_has_one(small: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, message = refusal(capsys, "split", "-w", small, "-q", "--group-by", "site")

    assert code == 4
    assert "no item has a site" in message
    assert "--path-pattern" in message
    assert "--labels" in message


@pytest.mark.parametrize(
    ("words", "told"),
    [
        pytest.param(["--shares", "a=0.5", "--shares", "b=0.4"], "sum to 1", id="sum below 1"),
        pytest.param(["--shares", "a=0.8", "--shares", "b=0.4"], "sum to 1", id="sum above 1"),
        pytest.param(["--shares", "a=1.5", "--shares", "b=-0.5"], "above 0", id="negative"),
        pytest.param(["--shares", "a=1", "--shares", "b=0"], "above 0", id="nothing"),
        pytest.param(["--shares", "a=nan", "--shares", "b=1"], "shares", id="no number"),
        pytest.param(["--shares", "a=half", "--shares", "b=0.5"], "shares.a", id="a word"),
        pytest.param(["--shares", "all=1"], "two parts or more", id="one part"),
        pytest.param(["--shares", "a"], "--shares takes NAME=VALUE", id="no share"),
        pytest.param(["--folds", "1"], "folds", id="one fold"),
        pytest.param(["--folds", "3", "--extend"], "--folds, --extend", id="folds and extend"),
        pytest.param(["--folds", "3", "--adopt"], "exclude each other", id="folds and adopt"),
        pytest.param(["--extend", "--check", "x.csv"], "exclude each other", id="extend and check"),
        pytest.param(["--seed", "-1"], "seed", id="negative seed"),
        pytest.param(["--name", ""], "name", id="no name"),
        pytest.param(["--group-by", "sight"], "group_by", id="unknown kind"),
        pytest.param(["--folsd", "3"], "Did you mean --folds?", id="misspelt flag"),
        pytest.param(["--output", "cert.json"], "--check alone", id="output without check"),
        pytest.param(["--adopt", "--check", "x.csv", "--output", "c.json"], "--check alone", id="output and adopt"),
    ],
)
def test_wrong_options_exit_2_and_say_why(
    words: list[str], told: str, small: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, message = refusal(capsys, "split", "-w", small, "-q", *words)

    assert code == 2
    assert told in message
    assert query(small, "SELECT count(*) FROM splits") == [(0,)]


def test_what_is_refused_on_the_command_line_is_refused_in_python(small: Path) -> None:
    with pytest.raises(DataError, match="no item has a camera"):
        run("split", small, group_by=["camera"])
    with pytest.raises(UsageError, match=r"split: no setting is called .share.\. Did you mean .shares."):
        run("split", small, share={"a": 1})
