"""``split --extend`` keeps what was dealt, ``--adopt`` stores what somebody else dealt; neither lets a leak in."""

from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from mekiki.cli.main import main
from mekiki.errors import DataError, UsageError
from split_files import (
    copy_file,
    mirrored,
    parts_by_file,
    parts_by_frame,
    read_certificate,
    resized,
    split_run,
    texture,
    write_clip_file,
    write_csv,
    write_parts,
    write_picture,
    write_pictures,
)
from workspaces import dump, ingest, query, run, write_text


def add(workspace: Path, *paths: Path, **settings: Any) -> None:
    """Ingest and compare."""
    ingest(workspace, *paths, **settings)
    run("dedupe", workspace)


def parts_now(workspace: Path, name: str = "default") -> dict[str, str]:
    """Return the part of each file below ``in`` in the latest split of a name."""
    return parts_by_file(workspace, split_run(workspace, name), workspace.parent / "in")


@pytest.fixture
def dealt(workspace: Path, tmp_path: Path) -> Path:
    """A workspace with twenty photos that are split, beside the folder ``in`` with its files."""
    write_pictures(tmp_path / "in", range(20))
    add(workspace, tmp_path / "in")
    run("split", workspace)
    return workspace


# ---- extend --------------------------------------------------------------------------------------------------------


def test_old_parts_are_kept_and_new_pictures_are_dealt_to_reach_the_shares(dealt: Path, tmp_path: Path) -> None:
    old = parts_now(dealt)
    write_pictures(tmp_path / "in", range(20, 60))
    add(dealt, tmp_path / "in")

    summary = run("split", dealt, extend=True)

    parts = parts_now(dealt)
    counts = Counter(parts.values())
    assert {name: parts[name] for name in old} == old
    assert len(parts) == 60
    assert (counts["train"], counts["val"], counts["test"]) == (42, 9, 9)
    assert summary.extra["certificate"]["is_leak_free"] is True
    assert summary.extra["certificate"]["n_items"] == 60


@pytest.mark.parametrize("change", [mirrored, lambda pixels: resized(pixels, 0.7)], ids=["mirrored", "smaller"])
def test_new_near_duplicates_follow_the_old_picture(change: Any, dealt: Path, tmp_path: Path) -> None:
    old = parts_now(dealt)
    for number in range(20):
        write_picture(tmp_path / f"in/again/{number:03d}.jpg", change(texture(number)), quality=60)
    add(dealt, tmp_path / "in")

    run("split", dealt, extend=True, seed=3)

    parts = parts_now(dealt)
    assert all(parts[f"again/{name}"] == part for name, part in old.items())


def test_the_same_bytes_under_a_new_name_change_nothing(dealt: Path, tmp_path: Path) -> None:
    copy_file(tmp_path / "in/000.jpg", tmp_path / "in/copy.jpg")
    add(dealt, tmp_path / "in")

    summary = run("split", dealt, extend=True)

    assert "nothing is new since this split was made" in summary.notes
    assert parts_now(dealt)["copy.jpg"] == parts_now(dealt)["000.jpg"]


def test_extending_twice_changes_nothing(dealt: Path, tmp_path: Path) -> None:
    write_pictures(tmp_path / "in", range(20, 30))
    add(dealt, tmp_path / "in")
    first = run("split", dealt, extend=True)
    before = dump(dealt)

    second = run("split", dealt, extend=True)

    assert dump(dealt) == before
    assert (second.run_id, second.n_written, second.n_skipped) == (first.run_id, 0, 30)


def test_extending_again_and_again_keeps_all_that_was_dealt(workspace: Path, tmp_path: Path) -> None:
    write_pictures(tmp_path / "in", range(6))
    add(workspace, tmp_path / "in")
    run("split", workspace)
    for last in (13, 25, 40):
        old = parts_now(workspace)
        write_pictures(tmp_path / "in", range(last))
        add(workspace, tmp_path / "in")

        run("split", workspace, extend=True)

        parts = parts_now(workspace)
        assert {name: parts[name] for name in old} == old
    counts = Counter(parts_now(workspace).values())
    assert all(
        abs(counts[part] / 40 - share) <= 0.03 for part, share in (("train", 0.7), ("val", 0.15), ("test", 0.15))
    )


def test_new_frames_of_an_old_clip_follow_it(workspace: Path, tmp_path: Path) -> None:
    for number in range(6):
        write_clip_file(tmp_path / f"in/{number}.mp4", 200 + number, n_frames=6)
    ingest(workspace, tmp_path / "in")
    run("frames", workspace, sampling="n-frames", n_frames=2)
    run("dedupe", workspace)
    run("split", workspace)
    old = parts_now(workspace)
    run("frames", workspace, sampling="n-frames", n_frames=6)
    run("dedupe", workspace)

    run("split", workspace, extend=True)

    assert parts_now(workspace) == old
    assert parts_by_frame(workspace, split_run(workspace), tmp_path / "in") == {
        name: {part} for name, part in old.items()
    }


def two_of_different_parts(parts: Mapping[str, str]) -> tuple[str, str]:
    names = sorted(parts)
    return names[0], next(name for name in names if parts[name] != parts[names[0]])


def test_a_new_picture_that_joins_two_old_parts_is_refused_and_both_are_named(dealt: Path, tmp_path: Path) -> None:
    one, other = two_of_different_parts(parts_now(dealt))
    # In one burst with the first, and the mirror image of the second.
    write_picture(tmp_path / "in/bridge.jpg", mirrored(texture(int(other[:3]))))
    rows = [(one, "b1"), ("bridge.jpg", "b1")]
    labels = write_csv(tmp_path / "in/bursts.csv", ("filepath", "burst"), rows)
    add(dealt, tmp_path / "in", labels=[labels])
    before = query(dealt, "SELECT * FROM splits")

    with pytest.raises(DataError) as refused:
        run("split", dealt, extend=True)

    message = str(refused.value)
    old = parts_now(dealt)
    assert f"{one} in {old[one]}" in message
    assert f"{other} in {old[other]}" in message
    assert "--name ANOTHER" in message
    assert query(dealt, "SELECT * FROM splits") == before
    assert run("split", dealt, name="afresh").n_written == 21


def test_news_that_join_two_old_parts_are_refused_even_without_new_pictures(dealt: Path, tmp_path: Path) -> None:
    one, other = two_of_different_parts(parts_now(dealt))
    labels = write_csv(tmp_path / "in/who.csv", ("filepath", "individual"), [(one, "rex"), (other, "rex")])
    add(dealt, tmp_path / "in", labels=[labels])

    with pytest.raises(DataError, match=rf"individual.*'rex'.*{one}.*{other}|individual.*'rex'.*{other}.*{one}"):
        run("split", dealt, extend=True)


@pytest.mark.parametrize("words", [["--extend"], ["--extend", "--name", "other"]], ids=["by default", "by name"])
def test_without_a_split_there_is_nothing_to_extend(
    words: list[str], workspace: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_pictures(tmp_path / "in", range(6))
    add(workspace, tmp_path / "in")

    code = main(["split", "-w", str(workspace), "-q", *words])

    assert code == 4
    assert f"there is no split to extend: mekiki split -w {workspace}" in capsys.readouterr().err


def test_a_name_that_no_split_has_is_a_wrong_option(dealt: Path) -> None:
    with pytest.raises(UsageError, match=r"no split is called 'defualt'\. Did you mean 'default'"):
        run("split", dealt, extend=True, name="defualt")


def test_a_split_that_keeps_sites_together_goes_on_doing_so(workspace: Path, tmp_path: Path) -> None:
    for number in range(24):
        write_picture(tmp_path / f"in/s{number % 8}/{number}.jpg", texture(number))
    add(workspace, tmp_path / "in", path_pattern="{site}/*")
    run("split", workspace, group_by=["site"])
    old = parts_now(workspace)
    for number in range(24, 40):
        write_picture(tmp_path / f"in/s{number % 8}/{number}.jpg", texture(number))
    add(workspace, tmp_path / "in", path_pattern="{site}/*")

    with pytest.raises(UsageError, match="keeps what is of one site together: extend it with --group-by site too"):
        run("split", workspace, extend=True)
    run("split", workspace, extend=True, group_by=["site"])

    parts = parts_now(workspace)
    assert {name: parts[name] for name in old} == old
    assert all(len({part for name, part in parts.items() if name.startswith(f"s{site}/")}) == 1 for site in range(8))


def test_a_split_with_other_parts_wants_their_shares(workspace: Path, tmp_path: Path) -> None:
    write_pictures(tmp_path / "in", range(10))
    add(workspace, tmp_path / "in")
    run("split", workspace, name="cv", folds=2)
    write_pictures(tmp_path / "in", range(16))
    add(workspace, tmp_path / "in")

    with pytest.raises(UsageError, match=r"'fold-0'.*--shares fold-0=SHARE --shares fold-1=SHARE"):
        run("split", workspace, name="cv", extend=True)
    summary = run("split", workspace, name="cv", extend=True, shares={"fold-0": 0.5, "fold-1": 0.5})

    assert summary.extra["parts"] == {"fold-0": 8, "fold-1": 8}


def test_a_part_may_be_added(dealt: Path, tmp_path: Path) -> None:
    old = parts_now(dealt)
    write_pictures(tmp_path / "in", range(20, 50))
    add(dealt, tmp_path / "in")

    run("split", dealt, extend=True, shares={"train": 0.5, "val": 0.15, "test": 0.15, "holdout": 0.2})

    parts = parts_now(dealt)
    assert {name: parts[name] for name in old} == old
    assert Counter(parts.values())["holdout"] == pytest.approx(10, abs=2)


# ---- adopt: what label files said at ingest ------------------------------------------------------------------------


GIVEN = {f"{number:03d}.jpg": part for number, part in enumerate(("train",) * 5 + ("val",) * 2 + ("test",) * 3)}


@pytest.fixture
def given(workspace: Path, tmp_path: Path) -> Path:
    """A workspace with ten photos whose parts a table states, and two that are in none."""
    write_pictures(tmp_path / "in", range(12))
    rows = [(name, ("badger", "fox")[number % 2], part) for number, (name, part) in enumerate(GIVEN.items())]
    labels = write_csv(tmp_path / "in/labels.csv", ("filepath", "label", "part"), rows)
    add(workspace, tmp_path / "in", labels=[labels])
    return workspace


def test_clean_parts_from_ingest_are_stored_and_exported(given: Path, tmp_path: Path) -> None:
    summary = run("split", given, adopt=True)

    assert parts_now(given) == GIVEN
    assert summary.extra["parts"] == {"train": 5, "val": 2, "test": 3}
    certificate: Any = read_certificate(given, summary.run_id)
    assert (certificate["n_items"], certificate["seed"], certificate["is_leak_free"]) == (10, None, True)
    assert {part: sizes["items"] for part, sizes in certificate["parts"].items()} == summary.extra["parts"]
    assert all(share["wanted"] is None for share in certificate["shares"].values())
    run("export", given, output=tmp_path / "out")
    with (tmp_path / "out/labels.csv").open(encoding="utf-8-sig", newline="") as file:
        exported = {Path(row["filepath"]).name: row["part"] for row in csv.DictReader(file)}
    assert exported == {**GIVEN, "010.jpg": "", "011.jpg": ""}


def test_adopting_twice_writes_nothing(given: Path) -> None:
    first = run("split", given, adopt=True)
    before = dump(given)

    second = run("split", given, adopt=True)

    assert dump(given) == before
    assert second.run_id == first.run_id


def test_what_was_adopted_can_be_extended(given: Path) -> None:
    run("split", given, adopt=True)

    run("split", given, extend=True, shares={"train": 0.5, "val": 0.2, "test": 0.3})

    parts = parts_now(given)
    assert {name: parts[name] for name in GIVEN} == GIVEN
    assert {"010.jpg", "011.jpg"} <= set(parts)


def test_pictures_without_a_part_stay_without_even_beside_one_that_has_one(given: Path, tmp_path: Path) -> None:
    write_picture(tmp_path / "in/twin.jpg", mirrored(texture(0)))
    add(given, tmp_path / "in")

    summary = run("split", given, adopt=True)

    assert parts_now(given) == GIVEN
    assert query(given, "SELECT count(*) FROM splits WHERE run_id = ?", summary.run_id) == [(10,)]


def assert_nothing_stored(workspace: Path) -> None:
    assert query(workspace, "SELECT count(*) FROM splits") == [(0,)]
    assert query(workspace, "SELECT count(*) FROM runs WHERE stage = 'split'") == [(0,)]


def test_leaking_parts_are_refused_and_nothing_is_stored(
    workspace: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_pictures(tmp_path / "in", range(4))
    write_picture(tmp_path / "in/twin.jpg", mirrored(texture(0)))
    parts = {"000.jpg": "train", "001.jpg": "train", "002.jpg": "test", "003.jpg": "test", "twin.jpg": "test"}
    add(workspace, tmp_path / "in", labels=[write_parts(tmp_path / "in/parts.csv", parts)])

    code = main(["split", "--adopt", "-w", str(workspace), "-q"])

    message = capsys.readouterr().err
    assert code == 4
    assert "000.jpg in train" in message
    assert "twin.jpg in test" in message
    assert_nothing_stored(workspace)


def test_parts_that_a_chain_joins_over_a_picture_without_a_part_are_refused(workspace: Path, tmp_path: Path) -> None:
    write_pictures(tmp_path / "in", range(6))
    rows = [
        *[("000.jpg", "train", "rex", ""), ("001.jpg", "", "rex", "b"), ("002.jpg", "test", "", "b")],
        *[("003.jpg", "train", "", ""), ("004.jpg", "test", "", "")],
    ]
    labels = write_csv(tmp_path / "in/parts.csv", ("filepath", "part", "individual", "burst"), rows)
    add(workspace, tmp_path / "in", labels=[labels])

    with pytest.raises(DataError, match=r"chain.*000\.jpg.*002\.jpg|chain.*002\.jpg.*000\.jpg"):
        run("split", workspace, adopt=True)
    assert_nothing_stored(workspace)


@pytest.mark.parametrize("way", ["one table", "two calls", "path pattern"])
def test_the_same_bytes_in_two_parts_are_refused_with_both_paths(way: str, workspace: Path, tmp_path: Path) -> None:
    write_pictures(tmp_path / "in/train", range(4))
    write_pictures(tmp_path / "in/test", range(4, 6))
    copy_file(tmp_path / "in/train/000.jpg", tmp_path / "in/test/IMG_9.jpg")
    if way == "path pattern":
        ingest(workspace, tmp_path / "in", path_pattern="{part}/*")
    elif way == "one table":
        files = sorted((tmp_path / "in").rglob("*.jpg"))
        parts = {path.relative_to(tmp_path / "in").as_posix(): path.parent.name for path in files}
        ingest(workspace, labels=[write_parts(tmp_path / "in/parts.csv", parts)])
    else:
        for part in ("train", "test"):
            ingest(workspace, tmp_path / "in" / part, part=part)
    run("dedupe", workspace)

    with pytest.raises(DataError) as refused:
        run("split", workspace, adopt=True)

    message = str(refused.value)
    assert "the same bytes are in test and train" in message
    assert str(tmp_path / "in/train/000.jpg") in message
    assert str(tmp_path / "in/test/IMG_9.jpg") in message
    assert ("mekiki forget" in message) is (way == "two calls")
    assert_nothing_stored(workspace)


def test_the_part_of_a_clip_is_that_of_its_frames(workspace: Path, tmp_path: Path) -> None:
    parts = {"a.mp4": "train", "b.mp4": "train", "c.mp4": "test"}
    for number, name in enumerate(parts):
        write_clip_file(tmp_path / "in" / name, 210 + number, n_frames=4)
    ingest(workspace, tmp_path / "in", labels=[write_parts(tmp_path / "in/parts.csv", parts)])
    run("frames", workspace, sampling="n-frames", n_frames=2)
    run("dedupe", workspace)

    summary = run("split", workspace, adopt=True)

    assert summary.extra["parts"] == {"train": 4, "test": 2}
    assert parts_now(workspace) == parts
    assert parts_by_frame(workspace, summary.run_id, tmp_path / "in") == {name: {part} for name, part in parts.items()}


def test_a_frame_that_was_put_elsewhere_than_its_clip_is_refused(workspace: Path, tmp_path: Path) -> None:
    for number, name in enumerate(("a.mp4", "b.mp4")):
        write_clip_file(tmp_path / "in" / name, 214 + number, n_frames=4)
    ingest(workspace, tmp_path / "in")
    run("frames", workspace, sampling="n-frames", n_frames=2)
    frame_index = query(workspace, "SELECT frame_index FROM items WHERE kind = 'frame'")[0][0]
    rows = [(name, "train", "") for name in ("a.mp4", "b.mp4")]
    rows += [(name, "test", str(frame_index)) for name in ("a.mp4", "b.mp4")]
    labels = write_csv(tmp_path / "in/parts.csv", ("filepath", "part", "frame_index"), rows)
    add(workspace, tmp_path / "in", labels=[labels])

    with pytest.raises(DataError, match=r"frames of one clip are in test and train: .*[ab]\.mp4"):
        run("split", workspace, adopt=True)


def test_a_workspace_in_which_nothing_has_a_part(dealt: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code = main(["split", "--adopt", "-w", str(dealt), "-q"])

    assert code == 4
    assert "no picture of the workspace has a part in the label files" in capsys.readouterr().err


def test_a_torn_site_is_adopted_unless_sites_are_to_be_kept_together(workspace: Path, tmp_path: Path) -> None:
    for number in range(8):
        write_picture(tmp_path / f"in/s{number % 2}/{number}.jpg", texture(number))
    parts = {f"s{number % 2}/{number}.jpg": "train" if number < 5 else "test" for number in range(8)}
    labels = write_parts(tmp_path / "in/parts.csv", parts)
    add(workspace, tmp_path / "in", labels=[labels], path_pattern="{site}/*")

    with pytest.raises(DataError, match="2 sites are in more than one part"):
        run("split", workspace, adopt=True, group_by=["site"])
    assert run("split", workspace, adopt=True).extra["certificate"]["overlaps"]["site"]["overlap"] == 2


# ---- adopt: a file -------------------------------------------------------------------------------------------------


@pytest.fixture
def plain(workspace: Path, tmp_path: Path) -> Path:
    """A workspace with twelve photos of which nothing is known."""
    write_pictures(tmp_path / "in", range(12))
    add(workspace, tmp_path / "in")
    return workspace


def test_the_parts_of_a_clean_file_are_stored(plain: Path, tmp_path: Path) -> None:
    table = write_parts(tmp_path / "in/parts.csv", GIVEN)

    summary = run("split", plain, check=table, adopt=True, name="theirs")

    assert parts_now(plain, "theirs") == GIVEN
    assert read_certificate(plain, summary.run_id)["name"] == "theirs"
    assert "given" not in json.dumps(summary.notes)


def test_a_file_that_leaks_is_refused_and_nothing_is_stored(plain: Path, tmp_path: Path) -> None:
    write_picture(tmp_path / "in/twin.jpg", mirrored(texture(0)))
    add(plain, tmp_path / "in")
    table = write_parts(tmp_path / "in/parts.csv", {**GIVEN, "twin.jpg": "test"})

    with pytest.raises(DataError, match=r"leaks.*000\.jpg in train"):
        run("split", plain, check=table, adopt=True)
    assert_nothing_stored(plain)


@pytest.mark.parametrize("column", [pytest.param("individual", id="individual"), pytest.param("video_id", id="video")])
def test_what_only_the_file_says_counts_too(column: str, plain: Path, tmp_path: Path) -> None:
    rows = [(name, part, "x" if name in ("000.jpg", "009.jpg") else "") for name, part in GIVEN.items()]
    table = write_csv(tmp_path / "in/parts.csv", ("filepath", "part", column), rows)

    with pytest.raises(DataError, match=r"leaks.*000\.jpg in train|leaks.*009\.jpg in test"):
        run("split", plain, check=table, adopt=True)
    assert_nothing_stored(plain)


def test_a_leak_over_a_file_that_is_not_in_the_workspace_counts_too(plain: Path, tmp_path: Path) -> None:
    write_picture(tmp_path / "in/elsewhere.jpg", mirrored(texture(0)))
    table = write_parts(tmp_path / "in/parts.csv", {**GIVEN, "elsewhere.jpg": "test"})

    with pytest.raises(DataError, match=r"elsewhere\.jpg in test"):
        run("split", plain, check=table, adopt=True)


def test_files_that_are_not_in_the_workspace_are_told(plain: Path, tmp_path: Path) -> None:
    write_picture(tmp_path / "in/elsewhere.jpg", texture(300))
    table = write_parts(tmp_path / "in/parts.csv", {**GIVEN, "elsewhere.jpg": "test"})

    summary = run("split", plain, check=table, adopt=True)

    assert parts_now(plain) == GIVEN
    assert any(note.startswith("1 entry is about files that are not in the workspace") for note in summary.notes)


def test_entries_that_cannot_be_read_are_failures(
    plain: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = write_parts(tmp_path / "in/parts.csv", {**GIVEN, "gone.jpg": "test", "../outside.jpg": "val"})

    code = main(["split", "--check", str(table), "--adopt", "-w", str(plain), "-q"])

    told = capsys.readouterr()
    assert (code, told.err) == (3, "")
    assert "gone.jpg: no such file" in told.out
    assert "../outside.jpg: points outside" in told.out
    assert parts_now(plain) == GIVEN


def test_a_file_about_other_pictures_is_refused(plain: Path, tmp_path: Path) -> None:
    write_pictures(tmp_path / "other", range(100, 104))
    parts = {f"{number}.jpg": "train" if number % 2 else "test" for number in range(100, 104)}

    with pytest.raises(DataError, match="no picture of the workspace has a part in the file"):
        run("split", plain, check=write_parts(tmp_path / "other/parts.csv", parts), adopt=True)


def test_a_file_without_parts_is_refused(plain: Path, tmp_path: Path) -> None:
    table = write_csv(tmp_path / "in/files.csv", ("filepath", "label"), [(name, "fox") for name in GIVEN])

    with pytest.raises(DataError, match="part"):
        run("split", plain, check=table, adopt=True)


def test_another_file_with_the_same_parts_is_checked_anew(plain: Path, tmp_path: Path) -> None:
    run("split", plain, check=write_parts(tmp_path / "in/parts.csv", GIVEN), adopt=True)
    rows = [(name, part, "x" if name in ("000.jpg", "009.jpg") else "") for name, part in GIVEN.items()]
    table = write_csv(tmp_path / "in/parts.csv", ("filepath", "part", "individual"), rows)

    with pytest.raises(DataError, match="leaks"):
        run("split", plain, check=table, adopt=True)


def test_an_image_folder_that_was_split_by_hand_is_adopted(workspace: Path, tmp_path: Path) -> None:
    for number, (name, part) in enumerate(GIVEN.items()):
        write_picture(tmp_path / "in" / part / ("badger", "fox")[number % 2] / name, texture(number))
    add(workspace, tmp_path / "in")

    run("split", workspace, check=tmp_path / "in", adopt=True)

    assert {Path(name).name: part for name, part in parts_now(workspace).items()} == GIVEN


# ---- seed 1 --------------------------------------------------------------------------------------------------------


@pytest.fixture
def seed1(tmp_path: Path) -> Path:
    """A folder with seed 1's six tables, as our own export writes them, about photos and frames of clips."""
    for number in range(8):
        write_clip_file(tmp_path / f"in/clip{number}.mp4", 220 + number, n_frames=4)
    write_pictures(tmp_path / "in", range(10))
    made = tmp_path / "made"
    ingest(made, tmp_path / "in")
    run("frames", made, sampling="n-frames", n_frames=3)
    rows = [(f"clip{number}.mp4", index, ("ネコ", "テン")[number % 2]) for number in range(8) for index in range(4)]
    rows += [(f"{number:03d}.jpg", "", ("ネコ", "テン", "unknown")[number % 3]) for number in range(10)]
    labels = write_csv(tmp_path / "in/labels.csv", ("filepath", "frame_index", "label"), rows)
    add(made, tmp_path / "in", labels=[labels])
    run("split", made)
    run("export", made, format="seed1", output=tmp_path / "seed1")
    return tmp_path / "seed1"


def seed1_parts(folder: Path) -> dict[str, str]:
    """Return each picture's path to its part, as the three files have them."""
    found = {}
    for part in ("train", "val", "test"):
        with (folder / f"{part}_known.csv").open(encoding="utf-8-sig", newline="") as file:
            found |= {row["frame_source_path"]: part for row in csv.DictReader(file)}
    return found


def test_the_parts_of_seed_1_are_adopted_after_checking(
    seed1: Path, workspace: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    outside = ["--allow-outside"]
    add(workspace, labels=[seed1], allow_outside=True)

    assert main(["split", "--check", str(seed1), *outside, "-q"]) == 0
    assert main(["split", "--check", str(seed1), "--adopt", *outside, "-w", str(workspace), "-q"]) == 0

    parts = parts_by_file(workspace, split_run(workspace), tmp_path)
    wanted = {Path(path).relative_to(tmp_path).as_posix(): part for path, part in seed1_parts(seed1).items()}
    assert {name: parts[name] for name in wanted} == wanted
    assert Counter(wanted.values()).keys() == {"train", "val", "test"}
    # Its unknown samples are in no part, and stay there, though they may be of a clip that is.
    unknown = {name for name in parts if name not in wanted and not name.endswith(".mp4")}
    assert unknown == set()
    assert capsys.readouterr().err == ""


def test_the_parts_of_seed_1_that_ingest_read_are_adopted(seed1: Path, workspace: Path, tmp_path: Path) -> None:
    add(workspace, labels=[seed1], allow_outside=True)

    run("split", workspace, adopt=True)

    parts = parts_by_file(workspace, split_run(workspace), tmp_path)
    wanted = {Path(path).relative_to(tmp_path).as_posix(): part for path, part in seed1_parts(seed1).items()}
    assert {name: parts[name] for name in wanted} == wanted


def test_a_split_of_seed_1_by_rows_is_refused(seed1: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What the seed does with too few videos: rows of one video go to several parts."""
    tables = {part: (seed1 / f"{part}_known.csv") for part in ("train", "val", "test")}
    lines = [path.read_text(encoding="utf-8-sig").splitlines() for path in tables.values()]
    header, rows = lines[0][0], sorted(line for table in lines for line in table[1:])
    for number, path in enumerate(tables.values()):
        write_text(path, "\n".join([header, *rows[number::3]]) + "\n")

    code = main(["split", "--check", str(seed1), "--allow-outside", "-q"])

    message = capsys.readouterr().err
    assert code == 4
    assert "clip" in message
    assert "in train" in message
