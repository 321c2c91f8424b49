"""Stage ``dedupe``: planted copies are found, different pictures stay apart, new pictures are a new question."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as PillowImage

from mekiki.dataset.ids import hash_file
from mekiki.demo.world import World, read_truth
from mekiki.errors import UsageError
from pictures import encode, jpeg
from videos import RECIPES, make_video
from workspaces import counts, dump, groups, ingest, query, run, scene, tables, write_photo


def grouped(workspace: Path) -> list[set[str]]:
    return sorted(groups(workspace, "near-duplicate").values(), key=sorted)


def write_versions(folder: Path, seed: int) -> Path:
    """Write one picture as it is, poorly encoded, smaller, mirrored, as PNG and darker."""
    folder.mkdir(parents=True, exist_ok=True)
    pixels = scene(seed, 192, 128)
    small = PillowImage.fromarray(pixels).resize((120, 80), PillowImage.Resampling.LANCZOS)
    (folder / f"{seed} original.jpg").write_bytes(jpeg(pixels))
    (folder / f"{seed} poor.jpg").write_bytes(jpeg(pixels, quality=40))
    (folder / f"{seed} small.jpg").write_bytes(jpeg(np.asarray(small)))
    (folder / f"{seed} mirrored.jpg").write_bytes(jpeg(np.ascontiguousarray(pixels[:, ::-1])))
    (folder / f"{seed} lossless.png").write_bytes(encode(pixels, "PNG"))
    (folder / f"{seed} darker.jpg").write_bytes(jpeg((pixels * 0.93).astype(np.uint8)))
    return folder


def test_versions_of_one_picture_are_one_group_and_other_pictures_none(workspace: Path, tmp_path: Path) -> None:
    for seed in range(4):
        write_versions(tmp_path / "in", seed)
    for seed in range(10, 30):
        write_photo(tmp_path / f"in/{seed} alone.jpg", seed)
    ingest(workspace, tmp_path / "in")

    summary = run("dedupe", workspace)

    assert counts(summary) == (44, 44, 0, 0)
    versions = ("original.jpg", "poor.jpg", "small.jpg", "mirrored.jpg", "lossless.png", "darker.jpg")
    assert grouped(workspace) == [{f"{seed} {name}" for name in versions} for seed in range(4)]
    assert {name: summary.extra[name] for name in ("n_groups", "n_in_groups", "n_flat", "n_repeated_files")} == {
        "n_groups": 4,
        "n_in_groups": 24,
        "n_flat": 0,
        "n_repeated_files": 0,
    }
    assert summary.extra["n_mirrored_pairs"] >= 4


def test_a_groups_key_is_its_smallest_id(workspace: Path, tmp_path: Path) -> None:
    folder = write_versions(tmp_path / "in", 1)
    ingest(workspace, folder)

    run("dedupe", workspace)

    assert list(groups(workspace, "near-duplicate")) == [min(hash_file(path) for path in folder.iterdir())]


def test_the_copies_planted_in_the_demo_world_are_found(workspace: Path, world: World) -> None:
    ingest(workspace, world.folder)
    run("frames", workspace, every_n_frames=2)
    truth = read_truth(world.folder)

    summary = run("dedupe", workspace)

    tied = _tied_files(workspace, world.folder)
    planted = {one.filepath: one for one in truth.files if one.duplicate_of}
    found = {path for path, one in planted.items() if one.duplicate_of in tied.get(path, set())}
    assert {one.transformation for one in planted.values()} == {"copied", "reencoded", "mirrored", "resized"}
    assert found == planted.keys()
    assert summary.extra["n_repeated_files"] == 1


def _tied_files(workspace: Path, folder: Path) -> dict[str, set[str]]:
    """Return each file to those that share an item or a near-duplicate group with it, through their frames too."""
    sql = (
        "SELECT g.key, s.path FROM groups g JOIN items i ON i.item_id = g.item_id "
        "JOIN sources s ON s.item_id = coalesce(i.parent_id, i.item_id) WHERE g.kind = 'near-duplicate' "
        "UNION SELECT item_id, path FROM sources"
    )
    files: dict[str, set[str]] = {}
    for key, path in query(workspace, sql):
        files.setdefault(key, set()).add(Path(path).relative_to(folder).as_posix())
    tied: dict[str, set[str]] = {}
    for together in files.values():
        for path in together:
            tied.setdefault(path, set()).update(together)
    return tied


def test_pairs_are_written_for_people_to_look_at(workspace: Path, tmp_path: Path) -> None:
    ingest(workspace, write_versions(tmp_path / "in", 1))

    summary = run("dedupe", workspace)

    found = json.loads((workspace / summary.outputs["pairs.json"]).read_text())
    ids = {item_id for (item_id,) in query(workspace, "SELECT item_id FROM items")}
    assert {pair[side] for pair in found["pairs"] for side in ("first", "second")} == ids
    assert all(0 <= pair["distance_bits"] <= 16 for pair in found["pairs"])


def test_the_same_bytes_under_two_names_are_counted_and_no_group(workspace: Path, tmp_path: Path) -> None:
    for name in ("a.jpg", "b.jpg", "c.jpg"):
        write_photo(tmp_path / "in" / name, 1)
    ingest(workspace, tmp_path / "in")

    summary = run("dedupe", workspace)

    assert summary.n_selected == 1
    assert summary.extra["n_repeated_files"] == 2
    assert grouped(workspace) == []


def test_flat_pictures_are_not_compared(workspace: Path, tmp_path: Path) -> None:
    for level in (0, 8, 120, 255):
        path = tmp_path / f"{level}.jpg"
        path.write_bytes(jpeg(np.full((64, 96, 3), level, np.uint8)))
    ingest(workspace, tmp_path)

    summary = run("dedupe", workspace)

    assert grouped(workspace) == []
    assert summary.extra["n_flat"] == 4
    assert "4 pictures have next to no structure and were not compared" in summary.notes


def test_running_it_again_writes_nothing(workspace: Path, tmp_path: Path) -> None:
    ingest(workspace, write_versions(tmp_path / "in", 1))
    first = run("dedupe", workspace)
    before = dump(workspace)

    second = run("dedupe", workspace)

    assert counts(second) == (6, 0, 6, 0)
    assert (second.run_id, second.extra) == (first.run_id, first.extra)
    assert dump(workspace) == before


def test_new_pictures_are_a_new_question(workspace: Path, tmp_path: Path) -> None:
    ingest(workspace, write_versions(tmp_path / "in", 1))
    first = run("dedupe", workspace)
    write_versions(tmp_path / "in", 2)
    ingest(workspace, tmp_path / "in")

    second = run("dedupe", workspace)

    assert second.run_id != first.run_id
    assert (first.extra["n_groups"], second.extra["n_groups"]) == (1, 2)


def test_the_order_of_arrival_changes_nothing(tmp_path: Path) -> None:
    write_versions(tmp_path / "a", 1)
    write_versions(tmp_path / "b", 2)
    found = []
    for order in (("a", "b"), ("b", "a")):
        workspace = tmp_path / f"ws{order[0]}"
        for folder in order:
            ingest(workspace, tmp_path / folder)
        run("dedupe", workspace)
        found.append([row for row in tables(workspace)["groups"] if row["kind"] == "near-duplicate"])

    assert found[0] == found[1]
    assert len(found[0]) == 12


def test_stricter_settings_are_another_run_with_fewer_pairs(workspace: Path, tmp_path: Path) -> None:
    ingest(workspace, write_versions(tmp_path / "in", 1))
    first = run("dedupe", workspace)

    second = run("dedupe", workspace, max_distance=0, max_difference=0.0)

    assert second.run_id != first.run_id
    assert second.extra["n_in_groups"] < first.extra["n_in_groups"]


@pytest.mark.parametrize("value", [-1, 17])
def test_a_distance_outside_its_bounds_is_refused(value: int, workspace: Path, tmp_path: Path) -> None:
    ingest(workspace, write_photo(tmp_path / "a.jpg", 1))

    with pytest.raises(UsageError, match=f"max_distance: input should be .*, got {value}"):
        run("dedupe", workspace, max_distance=value)


def test_clips_without_frames_are_nothing_to_compare(workspace: Path, tmp_path: Path) -> None:
    ingest(workspace, make_video(tmp_path / "a.mp4", RECIPES["h264-mp4"]))

    assert counts(run("dedupe", workspace)) == (0, 0, 0, 0)


def test_a_single_picture_is_nothing_to_compare(workspace: Path, tmp_path: Path) -> None:
    ingest(workspace, write_photo(tmp_path / "a.jpg", 1))

    assert counts(run("dedupe", workspace)) == (1, 1, 0, 0)


@pytest.mark.slow
def test_the_natural_exact_duplicates_of_monkeys10_are_found(workspace: Path, shared_data: Path) -> None:
    folder = shared_data / "wildlife" / "monkeys10"
    files = [path for path in folder.rglob("*") if path.suffix.lower() in (".jpg", ".jpeg", ".png")]
    by_content: dict[str, list[Path]] = {}
    for path in files:
        by_content.setdefault(hash_file(path), []).append(path)
    n_repeated = len(files) - len(by_content)

    read = ingest(workspace, folder)
    summary = run("dedupe", workspace)

    assert n_repeated > 0
    assert (read.n_failed, summary.n_selected) == (0, len(by_content))
    assert summary.extra["n_repeated_files"] == n_repeated


def test_a_picture_and_its_copy_inside_another_format_are_found_without_names(workspace: Path, tmp_path: Path) -> None:
    picture = PillowImage.fromarray(scene(5, 192, 128))
    for name, format_name, options in (("x", "WEBP", {"quality": 80}), ("y", "GIF", {}), ("z.bin", "BMP", {})):
        file = io.BytesIO()
        picture.save(file, format_name, **options)
        (tmp_path / name).write_bytes(file.getvalue())
    ingest(workspace, *(tmp_path / name for name in ("x", "y", "z.bin")))

    run("dedupe", workspace)

    assert grouped(workspace) == [{"x", "y", "z.bin"}]
