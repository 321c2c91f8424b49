"""``split --check``: a split that someone else made is certified, every planted leak is found, and nothing is kept."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import chdir
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from PIL import Image as PillowImage

from mekiki.cli.main import main
from mekiki.demo.clips import read_clip, write_clip
from mekiki.demo.world import World, read_truth
from pictures import encode, truncated_jpeg
from split_files import (
    copy_file,
    mirror_clip,
    mirrored,
    parts_by_file,
    reencode_clip,
    resized,
    texture,
    write_clip_file,
    write_csv,
    write_parts,
    write_picture,
    write_pictures,
)
from workspaces import ingest, mekiki, run, write_json, write_text


class Told(NamedTuple):
    """What a command said and how it ended."""

    code: int
    out: str
    err: str


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Path]:
    """An empty folder that is the current one."""
    folder = tmp_path / "here"
    folder.mkdir()
    with chdir(folder):
        yield folder


@pytest.fixture
def check(capsys: pytest.CaptureFixture[str]) -> Callable[..., Told]:
    """Run ``mekiki split --check FILE`` with more words."""

    def run_check(path: Path | str, *words: object) -> Told:
        code = main(["split", "--check", str(path), *map(str, words), "--quiet"])
        told = capsys.readouterr()
        return Told(code, told.out, told.err)

    return run_check


def files_below(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*")}


CLEAN = {f"{seed:03d}.jpg": part for seed, part in enumerate(("train",) * 4 + ("val",) * 2 + ("test",) * 2)}


def write_clean(folder: Path) -> dict[str, str]:
    """Write eight unrelated photos and return their parts."""
    write_pictures(folder, range(8))
    return dict(CLEAN)


# ---- planted leaks -------------------------------------------------------------------------------------------------


class Planted(NamedTuple):
    """More entries of a split, of which all leak; and columns that say so, if pixels do not."""

    parts: Mapping[str, str]
    columns: Mapping[str, Mapping[str, str]] = {}


PHOTO = texture(40)


def same_bytes(folder: Path) -> Planted:
    write_picture(folder / "a.jpg", PHOTO)
    copy_file(folder / "a.jpg", folder / "holiday/IMG_1.jpg")
    return Planted({"a.jpg": "train", "holiday/IMG_1.jpg": "test"})


def changed(change: Callable[[Any], Any], name: str = "b.jpg", quality: int = 90) -> Callable[[Path], Planted]:
    """Return what plants a photo in train and a changed copy of it in test."""

    def plant(folder: Path) -> Planted:
        write_picture(folder / "a.jpg", PHOTO)
        if name.endswith(".png"):
            (folder / name).write_bytes(encode(change(PHOTO), "PNG"))
        else:
            write_picture(folder / name, change(PHOTO), quality=quality)
        return Planted({"a.jpg": "train", name: "test"})

    return plant


def grey(pixels: Any) -> Any:
    return np.asarray(PillowImage.fromarray(pixels).convert("L").convert("RGB"))


def copied_clip(folder: Path) -> Planted:
    write_clip_file(folder / "a.mp4", 50)
    copy_file(folder / "a.mp4", folder / "b.mp4")
    return Planted({"a.mp4": "val", "b.mp4": "test"})


def changed_clip(change: Callable[[Path, Path], Path]) -> Callable[[Path], Planted]:
    def plant(folder: Path) -> Planted:
        change(write_clip_file(folder / "a.mp4", 51), folder / "b.mp4")
        return Planted({"a.mp4": "train", "b.mp4": "val"})

    return plant


def frames_of_a_clip(folder: Path) -> Planted:
    """Two frames that look nothing like each other, and the clip is not even there."""
    write_pictures(folder / "frames", (60, 61))
    names = ("frames/060.jpg", "frames/061.jpg")
    spelled = dict(zip(names, ("clips/gone.mp4", "./clips//gone.mp4"), strict=True))
    return Planted(dict(zip(names, ("train", "test"), strict=True)), {"video_path": spelled})


def clip_and_its_frame(folder: Path) -> Planted:
    """The clip's own entry says nothing; the frame is said to be of it, and looks like none of it."""
    write_clip_file(folder / "clips/a.mp4", 52)
    write_pictures(folder / "frames", (62,))
    parts = {"clips/a.mp4": "train", "frames/062.jpg": "test"}
    return Planted(parts, {"video_path": {"frames/062.jpg": "clips/a.mp4"}})


def cut_clip(source: Path, target: Path) -> Path:
    """Leave out every second picture."""
    write_clip(target, read_clip(source)[::2], fps=2)
    return target


def clip_and_a_still_of_it(folder: Path) -> Planted:
    """Nothing says that the photo was taken from the clip but its pixels."""
    clip = write_clip_file(folder / "a.mp4", 53)
    write_picture(folder / "still.jpg", read_clip(clip)[3], quality=70)
    return Planted({"a.mp4": "test", "still.jpg": "train"})


def frames_of_two_copies(folder: Path) -> Planted:
    """Different frames of a clip and of a copy of it under another name; both clips are in train."""
    copy_file(write_clip_file(folder / "a.mp4", 54), folder / "b.mp4")
    write_pictures(folder / "frames", (63, 64))
    parts = {"a.mp4": "train", "b.mp4": "train", "frames/063.jpg": "train", "frames/064.jpg": "test"}
    return Planted(parts, {"video_path": {"frames/063.jpg": "a.mp4", "frames/064.jpg": "b.mp4"}})


def stated(column: str, *keys: str) -> Callable[[Path], Planted]:
    """Return what plants two unrelated photos of which a column says that they belong together."""

    def plant(folder: Path) -> Planted:
        write_pictures(folder, (70, 71))
        said = dict(zip(("070.jpg", "071.jpg"), keys, strict=True))
        return Planted({"070.jpg": "train", "071.jpg": "test"}, {column: said})

    return plant


LEAKS = [
    pytest.param(same_bytes, id="same bytes under two names"),
    pytest.param(changed(lambda pixels: pixels, quality=35), id="re-encoded"),
    pytest.param(changed(lambda pixels: pixels, "b.png"), id="as PNG"),
    pytest.param(changed(mirrored), id="mirrored"),
    pytest.param(changed(lambda pixels: resized(mirrored(pixels), 0.8), quality=50), id="mirrored, resized, poorer"),
    pytest.param(changed(lambda pixels: resized(pixels, 0.7)), id="smaller"),
    pytest.param(changed(lambda pixels: resized(pixels, 2.5)), id="larger"),
    pytest.param(changed(grey), id="grey"),
    pytest.param(copied_clip, id="a clip twice"),
    pytest.param(changed_clip(reencode_clip), id="a clip re-encoded"),
    pytest.param(changed_clip(mirror_clip), id="a clip mirrored"),
    pytest.param(changed_clip(cut_clip), id="a clip at half its rate"),
    pytest.param(frames_of_a_clip, id="frames of one clip"),
    pytest.param(clip_and_its_frame, id="a clip and its frame"),
    pytest.param(clip_and_a_still_of_it, id="a clip and a still of it"),
    pytest.param(frames_of_two_copies, id="frames of two copies of a clip"),
    pytest.param(stated("identity", "rex", "rex"), id="one individual"),
    pytest.param(stated("burst", "7", "7"), id="one burst"),
    pytest.param(stated("video_id", "v1", "v1"), id="one source"),
]


def write_table(folder: Path, parts: Mapping[str, str], columns: Mapping[str, Mapping[str, str]]) -> Path:
    rows = [(name, part, *(said.get(name, "") for said in columns.values())) for name, part in parts.items()]
    return write_csv(folder / "split.csv", ("filepath", "part", *columns), rows)


@pytest.mark.parametrize("plant", LEAKS)
def test_a_planted_leak_is_found_and_named(
    plant: Callable[[Path], Planted], here: Path, check: Callable[..., Told]
) -> None:
    clean = write_clean(here)
    planted = plant(here)
    table = write_table(here, {**clean, **planted.parts}, planted.columns)

    told = check(table, "--json")

    guilty = {name for name in planted.parts if f"/{name} in " in told.err}
    certificate = json.loads(told.out)["certificate"]
    assert told.code == 4
    assert told.err.startswith(f"mekiki: {table} leaks: 1 ")
    assert told.err.count("\n") == 1
    assert len(guilty) == 2
    assert len({planted.parts[name] for name in guilty}) == 2
    assert not any(name in told.err for name in clean)
    assert certificate["is_leak_free"] is False
    assert any(one["enforced"] and one["overlap"] == 1 for one in certificate["overlaps"].values())


@pytest.mark.parametrize("plant", LEAKS)
def test_the_same_files_on_one_side_are_no_leak(
    plant: Callable[[Path], Planted], here: Path, check: Callable[..., Told]
) -> None:
    clean = write_clean(here)
    planted = plant(here)
    parts = {**clean, **dict.fromkeys(planted.parts, "train")}

    told = check(write_table(here, parts, planted.columns))

    assert (told.code, told.err) == (0, "")


@pytest.mark.slow
def test_every_planted_copy_of_the_demo_world_is_found_and_nothing_else(
    world: World, here: Path, check: Callable[..., Told]
) -> None:
    files = [one for one in read_truth(world.folder).files if one.is_readable]
    events = sorted({one.event_id for one in files})
    parts = {one.filepath: ("train", "test")[events.index(one.event_id) % 2] for one in files}
    copies = {one.filepath: one.duplicate_of for one in files if one.duplicate_of}

    clean = check(write_parts(here / "split.csv", parts), "--root", world.folder)
    found = {}
    for copy, original in copies.items():
        moved = {**parts, copy: "train" if parts[copy] == "test" else "test"}
        told = check(write_parts(here / "split.csv", moved), "--root", world.folder)
        found[copy] = told.code == 4 and f"{copy} in " in told.err and f"{original} in " in told.err

    assert clean.code == 0
    assert len(copies) == 5
    assert found == dict.fromkeys(copies, True)


def test_several_leaks_are_told_in_one_message(here: Path, check: Callable[..., Told]) -> None:
    parts = write_clean(here)
    for number in range(5):
        write_picture(here / f"a{number}.jpg", texture(80 + number))
        copy_file(here / f"a{number}.jpg", here / f"b{number}.jpg")
        parts |= {f"a{number}.jpg": "train", f"b{number}.jpg": "test"}

    told = check(write_parts(here / "split.csv", parts), "--json")

    assert told.code == 4
    assert "5 pictures under several names" in told.err
    assert "and 2 more" in told.err
    assert json.loads(told.out)["certificate"]["overlaps"]["content"]["overlap"] == 5


def test_one_file_in_two_parts_is_a_leak(here: Path, check: Callable[..., Told]) -> None:
    clean = write_clean(here)
    rows = [*clean.items(), ("000.jpg", "test")]

    told = check(write_csv(here / "split.csv", ("filepath", "part"), rows))

    assert told.code == 4
    assert "000.jpg" in told.err


# ---- sites and cameras ---------------------------------------------------------------------------------------------


@pytest.fixture
def torn_site(here: Path) -> Path:
    """A split of eight photos from two sites, both in train and in test, each with a camera called cam1."""
    write_clean(here)
    rows = [
        (name, "train" if number < 4 else "test", ("north", "south")[number % 2], "cam1")
        for number, name in enumerate(CLEAN)
    ]
    return write_csv(here / "split.csv", ("filepath", "part", "site", "camera"), rows)


def test_a_torn_site_is_a_leak_where_sites_are_to_be_kept_together(torn_site: Path, check: Callable[..., Told]) -> None:
    told = check(torn_site, "--group-by", "site")

    assert told.code == 4
    assert "2 sites are in more than one part" in told.err
    assert "'north'" in told.err
    assert "'south'" in told.err


def test_a_torn_site_is_only_told_where_nobody_asked(torn_site: Path, check: Callable[..., Told]) -> None:
    told = check(torn_site)

    assert told.code == 0
    assert "sites not enforced: 2 sites are in more than one part" in told.out


def test_cameras_of_the_same_name_at_two_sites_are_two_cameras(here: Path, check: Callable[..., Told]) -> None:
    write_clean(here)
    rows = [(name, ("a", "b")[number % 2], ("north", "south")[number % 2], "cam1") for number, name in enumerate(CLEAN)]
    table = write_csv(here / "split.csv", ("filepath", "part", "site", "camera"), rows)

    told = check(table, "--group-by", "camera", "--group-by", "site")

    assert (told.code, told.err) == (0, "")


def test_keeping_sites_together_of_which_the_file_says_nothing_is_refused(
    here: Path, check: Callable[..., Told]
) -> None:
    told = check(write_parts(here / "split.csv", write_clean(here)), "--group-by", "site")

    assert told.code == 4
    assert "gives no file a site" in told.err
    assert "add a column 'site'" in told.err


# ---- what it prints and leaves behind ------------------------------------------------------------------------------


def test_a_clean_split_is_certified_and_nothing_is_written(here: Path, check: Callable[..., Told]) -> None:
    table = write_parts(here / "split.csv", write_clean(here))
    before = files_below(here)

    told = check(table)

    assert (told.code, told.err) == (0, "")
    assert "the parts share nothing that they must not share" in told.out
    assert "train 4" in told.out
    assert files_below(here) == before


@pytest.mark.slow
def test_a_process_of_its_own_leaves_nothing_behind_in_the_temporary_folder_either(here: Path, tmp_path: Path) -> None:
    parts = write_clean(here)
    copy_file(here / "000.jpg", here / "copy.jpg")
    table = write_parts(here / "split.csv", {**parts, "copy.jpg": "test"})
    (tmp_path / "temporary").mkdir()
    before = files_below(here)

    code, _, err = mekiki("split", "--check", table, cwd=here, env={"TMPDIR": str(tmp_path / "temporary")})

    assert code == 4
    assert "000.jpg in train" in err
    assert "1 picture under several names is in more than one part" in err
    assert files_below(tmp_path / "temporary") == set()
    assert files_below(here) == before


def test_an_existing_workspace_is_not_touched(here: Path, check: Callable[..., Told]) -> None:
    parts = write_clean(here)
    ingest(here / "workspace", here)
    table = write_parts(here / "split.csv", parts)
    before = {path: path.stat().st_mtime_ns for path in (here / "workspace").rglob("*")}

    told = check(table, "-w", here / "workspace")

    assert told.code == 0
    assert {path: path.stat().st_mtime_ns for path in (here / "workspace").rglob("*")} == before


@pytest.mark.parametrize("is_leaking", [False, True], ids=["clean", "leaking"])
def test_json_is_one_object_with_the_certificate(is_leaking: bool, here: Path, check: Callable[..., Told]) -> None:
    parts = write_clean(here)
    if is_leaking:
        copy_file(here / "000.jpg", here / "copy.jpg")
        parts["copy.jpg"] = "test"

    told = check(write_parts(here / "split.csv", parts), "--json", "--output", "certs/cert.json")

    summary = json.loads(told.out)
    assert told.code == (4 if is_leaking else 0)
    assert (summary["stage"], summary["n_selected"], summary["n_failed"], summary["n_rows"]) == (
        "split",
        len(parts),
        0,
        0,
    )
    assert summary["certificate"]["is_leak_free"] is not is_leaking
    assert ("refusal" in summary) is is_leaking
    assert json.loads((here / "certs/cert.json").read_text(encoding="utf-8")) == summary["certificate"]


def test_the_certificate_tells_what_is_in_the_file(here: Path, check: Callable[..., Told]) -> None:
    write_clean(here)
    rows = [
        (name, part, "fox" if number % 2 else "badger;fox", "") for number, (name, part) in enumerate(CLEAN.items())
    ]
    rows += [("000.jpg", "train", "", "said twice")]
    table = write_csv(here / "split.csv", ("filepath", "part", "labels", "remark"), rows)

    certificate = json.loads(check(table, "--json").out)["certificate"]

    assert (certificate["name"], certificate["seed"]) == ("split.csv", None)
    assert certificate["parts"]["train"] == {"items": 4, "atoms": 4}
    assert certificate["shares"]["test"] == {"wanted": None, "reached": 0.25}
    assert certificate["classes"]["badger"]["train"] == {"present": 2, "atoms": 2, "asked": 4, "prevalence": 0.5}
    assert certificate["classes"]["fox"]["val"]["prevalence"] == 1.0
    assert certificate["nearest"]["distance_bits"] > 10
    assert len(set(certificate["nearest"]["parts"])) == 2


@pytest.mark.parametrize("where", ["", "taken"], ids=["a folder", "below a file"])
def test_a_certificate_that_cannot_be_written_is_a_wrong_option(
    where: str, here: Path, check: Callable[..., Told]
) -> None:
    table = write_parts(here / "split.csv", write_clean(here))
    (here / "folder").mkdir()
    write_text(here / "taken", "a file")

    told = check(table, "--output", here / where / "cert.json" if where else here / "folder")

    assert told.code == 2
    assert "--output" in told.err


# ---- files that cannot be read -------------------------------------------------------------------------------------


def test_unreadable_files_of_a_clean_split_are_failures(here: Path, check: Callable[..., Told]) -> None:
    parts = write_clean(here)
    (here / "half.jpg").write_bytes(truncated_jpeg())
    write_text(here / "text.jpg", "no picture")
    parts |= {"half.jpg": "train", "text.jpg": "val", "gone.jpg": "test"}

    told = check(write_parts(here / "split.csv", parts), "--json")

    summary = json.loads(told.out)
    assert (told.code, told.err) == (3, "")
    assert (summary["n_selected"], summary["n_written"], summary["n_failed"]) == (11, 8, 3)
    assert {Path(one["path"]).name for one in summary["failures"]} == {"half.jpg", "text.jpg", "gone.jpg"}
    assert all(one["reason"] for one in summary["failures"])
    assert summary["certificate"]["n_items"] == 8


def test_a_leak_counts_more_than_unreadable_files(here: Path, check: Callable[..., Told]) -> None:
    parts = write_clean(here)
    copy_file(here / "000.jpg", here / "copy.jpg")
    parts |= {"copy.jpg": "test", "gone.jpg": "test"}

    told = check(write_parts(here / "split.csv", parts), "--json")

    assert told.code == 4
    assert "copy.jpg in test" in told.err
    assert [Path(one["path"]).name for one in json.loads(told.out)["failures"]] == ["gone.jpg"]


def test_paths_outside_the_files_folder_are_refused_unless_they_are_meant(
    here: Path, check: Callable[..., Told]
) -> None:
    parts = write_clean(here / "photos")
    table = write_parts(here / "tables/split.csv", {f"../photos/{name}": part for name, part in parts.items()})

    refused, allowed = check(table), check(table, "--allow-outside")

    assert refused.code == 4
    assert "points outside" in refused.err
    assert "--root FOLDER" in refused.err
    assert "--allow-outside" in refused.err
    assert (allowed.code, allowed.err) == (0, "")


def test_one_path_outside_is_a_failure_and_the_rest_is_certified(here: Path, check: Callable[..., Told]) -> None:
    parts = write_clean(here / "photos")
    write_picture(here / "secret.jpg", texture(30))
    table = write_parts(here / "photos/split.csv", {**parts, "../secret.jpg": "test"})

    told = check(table)

    assert told.code == 3
    assert "../secret.jpg: points outside" in told.out


def test_root_says_where_paths_start(here: Path, check: Callable[..., Told]) -> None:
    table = write_parts(here / "tables/split.csv", write_clean(here / "photos"))

    without, given, relative = check(table), check(table, "--root", here / "photos"), check(table, "--root", "photos")

    assert without.code == 4
    assert "could be read" in without.err
    assert "--root" in without.err
    assert given.code == relative.code == 0


# ---- files that are no split ---------------------------------------------------------------------------------------


def test_a_file_that_is_not_there(here: Path, check: Callable[..., Told]) -> None:
    told = check("nothing.csv")

    assert told.code == 2
    assert "nothing.csv" in told.err


def test_a_file_without_parts(here: Path, check: Callable[..., Told]) -> None:
    write_clean(here)

    told = check(write_csv(here / "files.csv", ("filepath", "label"), [(name, "fox") for name in CLEAN]))

    assert told.code == 4
    assert "puts no file into a part" in told.err
    assert "'part'" in told.err


@pytest.mark.parametrize(
    ("text", "code"),
    [
        pytest.param("", 2, id="nothing at all"),
        pytest.param("filepath,part\n", 4, id="only the header"),
        pytest.param("filepath,part\n,train\n,test\n", 4, id="parts of nothing"),
        pytest.param("a,b\n1,2\n", 2, id="another table"),
    ],
)
def test_a_file_that_names_nothing(text: str, code: int, here: Path, check: Callable[..., Told]) -> None:
    told = check(write_text(here / "split.csv", text))

    assert told.code == code
    assert "split.csv" in told.err
    assert told.err.count("\n") == 1


def test_a_file_of_which_no_picture_can_be_read(here: Path, check: Callable[..., Told]) -> None:
    told = check(write_parts(here / "split.csv", {"a.jpg": "train", "b.jpg": "test"}))

    assert told.code == 4
    assert "a.jpg" in told.err
    assert "no such file" in told.err


def test_one_part_is_no_split(here: Path, check: Callable[..., Told]) -> None:
    write_clean(here)

    told = check(write_parts(here / "train.csv", dict.fromkeys(CLEAN, "train")))

    assert told.code == 4
    assert "all files of" in told.err
    assert "'train'" in told.err


def test_a_split_of_which_only_one_part_can_be_read_is_not_called_clean(here: Path, check: Callable[..., Told]) -> None:
    write_clean(here)
    parts = {name: part if part == "train" else "test" for name, part in CLEAN.items()}
    for name, part in parts.items():
        if part == "test":
            (here / name).unlink()

    told = check(write_parts(here / "split.csv", parts))

    assert told.code == 4
    assert "4 files could not be read" in told.err


# ---- forms of files ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("is_leaking", [False, True], ids=["clean", "leaking"])
def test_an_image_folder_is_checked(is_leaking: bool, here: Path, check: Callable[..., Told]) -> None:
    for number, (name, part) in enumerate(CLEAN.items()):
        write_picture(here / "set" / part / ("fox" if number % 2 else "badger") / name, texture(number))
    if is_leaking:
        write_picture(here / "set/test/fox/again.jpg", mirrored(texture(0)))

    told = check(here / "set")

    assert told.code == (4 if is_leaking else 0)
    if is_leaking:
        assert "set/train/badger/000.jpg in train" in told.err
        assert "set/test/fox/again.jpg in test" in told.err


@pytest.mark.parametrize("is_leaking", [False, True], ids=["clean", "leaking"])
def test_a_hugging_face_folder_is_checked(is_leaking: bool, here: Path, check: Callable[..., Told]) -> None:
    folder_of = {"train": "train", "val": "validation", "test": "test"}
    for part, folder in folder_of.items():
        names = [name for name, of in CLEAN.items() if of == part]
        write_pictures(here / "hub" / folder, [int(name[:3]) for name in names])
        if is_leaking and part == "test":
            names.append("again.jpg")
            copy_file(here / "hub/train/001.jpg", here / "hub/test/again.jpg")
        write_csv(here / "hub" / folder / "metadata.csv", ("file_name", "label"), [(name, "fox") for name in names])

    told = check(here / "hub", "--json")

    certificate = json.loads(told.out)["certificate"]
    assert told.code == (4 if is_leaking else 0)
    assert set(certificate["parts"]) == {"train", "val", "test"}
    if is_leaking:
        assert "hub/test/again.jpg in test" in told.err


def test_coco_has_no_parts(here: Path, check: Callable[..., Told]) -> None:
    write_clean(here)
    images = [{"id": number, "file_name": name, "width": 96, "height": 72} for number, name in enumerate(CLEAN)]
    coco = {"images": images, "annotations": [], "categories": [{"id": 1, "name": "fox"}]}

    told = check(write_json(here / "coco.json", coco))

    assert told.code == 4
    assert "puts no file into a part" in told.err


@pytest.fixture
def exported(here: Path) -> Path:
    """A workspace with photos and clips that has been split; ``here / "in"`` has its files."""
    write_pictures(here / "in", range(10))
    write_picture(here / "in/flipped.jpg", mirrored(texture(0)))
    for number in range(4):
        write_clip_file(here / f"in/{number}.mp4", 90 + number, n_frames=4)
    names = [path.name for path in sorted((here / "in").iterdir())]
    rows = [(name, ("badger", "fox")[number % 2]) for number, name in enumerate(names) if name.endswith(".jpg")]
    labels = write_csv(here / "in/labels.csv", ("filepath", "label"), rows)
    workspace = here / "ws"
    ingest(workspace, here / "in", labels=[labels])
    run("frames", workspace, sampling="n-frames", n_frames=2)
    run("dedupe", workspace)
    run("split", workspace)
    return workspace


@pytest.mark.parametrize("media", ["reference", "copy"])
@pytest.mark.parametrize("format_name", ["csv", "hf"])
def test_what_we_export_is_clean_and_has_the_same_parts(
    format_name: str, media: str, exported: Path, here: Path, check: Callable[..., Told]
) -> None:
    ours = json.loads((exported / run("split", exported).outputs["certificate.json"]).read_text())
    run("export", exported, format=format_name, media=media, output=here / "out")

    told = check(here / "out/labels.csv" if format_name == "csv" else here / "out", "--json", "--allow-outside")

    theirs = json.loads(told.out)["certificate"]
    assert (told.code, told.err) == (0, "")
    assert {part: sizes["items"] for part, sizes in theirs["parts"].items()} == {
        part: sizes["items"] for part, sizes in ours["parts"].items()
    }
    assert theirs["n_items"] == ours["n_items"] == 19
    assert theirs["n_atoms"] == ours["n_atoms"]
    assert theirs["classes"] == ours["classes"]
    assert theirs["nearest"]["distance_bits"] == ours["nearest"]["distance_bits"]


def test_an_export_that_somebody_dealt_anew_by_frames_leaks(
    exported: Path, here: Path, check: Callable[..., Told]
) -> None:
    run("export", exported, format="csv", media="copy", output=here / "out")
    text = (here / "out/labels.csv").read_text(encoding="utf-8-sig").splitlines()
    place = text[0].split(",").index("part")
    rows = [line.split(",") for line in text[1:]]
    for number, row in enumerate(rows):
        row[place] = ("train", "test")[number % 2]
    table = write_csv(here / "out/by frame.csv", text[0].split(","), rows)

    told = check(table, "--json")

    assert told.code == 4
    assert json.loads(told.out)["certificate"]["overlaps"]["derived"]["overlap"] > 0


def test_the_parts_of_an_image_folder_that_we_export_are_kept(here: Path, check: Callable[..., Told]) -> None:
    write_pictures(here / "in", range(8))
    rows = [(name, ("badger", "fox")[number % 2]) for number, name in enumerate(CLEAN)]
    ingest(here / "ws", here / "in", labels=[write_csv(here / "in/labels.csv", ("filepath", "label"), rows)])
    run("dedupe", here / "ws")
    split = run("split", here / "ws", shares={"train": 0.5, "test": 0.5})
    run("export", here / "ws", format="imagefolder", output=here / "out")

    told = check(here / "out", "--json")

    parts = parts_by_file(here / "ws", split.run_id, here / "in")
    assert told.code == 0
    assert all(any((here / "out" / part).rglob(name)) for name, part in parts.items())
    assert json.loads(told.out)["certificate"]["parts"]["train"]["items"] == split.extra["parts"]["train"]
