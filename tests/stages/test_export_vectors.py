"""Stage ``export``: vectors as a matrix with its index, and one a file in class folders; reading both back."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from mekiki.catalog.db import Catalog
from mekiki.catalog.vectors import StoredVectors, require_vectors
from mekiki.dataset.ids import vector_id
from mekiki.errors import DataError, UsageError
from vectors import store_vectors
from workspaces import attributes, counts, ingest, query, run, write_photo, write_text


def made(n_rows: int, n_dims: int = 8, seed: int = 0) -> NDArray[np.float32]:
    return np.random.default_rng(seed).normal(size=(n_rows, n_dims)).astype(np.float32)


def save(path: Path, array: NDArray[np.generic]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    np.save(path, array)
    return path


def labels_of(workspace: Path) -> dict[str, dict[str, str]]:
    """Return item to class to state."""
    found: dict[str, dict[str, str]] = {}
    for item_id, name, state in query(workspace, "SELECT item_id, class_name, state FROM labels"):
        found.setdefault(item_id, {})[name] = state
    return found


def stored(workspace: Path) -> dict[str, NDArray[np.float32]]:
    with Catalog(workspace) as catalog:
        vectors = StoredVectors(catalog, require_vectors(catalog))
        return {item_id: vectors.read([item_id])[0] for item_id in vectors.item_ids()}


def read_rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture
def two_folders(workspace: Path, tmp_path: Path) -> Path:
    """A workspace with seed 5's layout, its vectors stored; two files of ``sfw`` share a stem."""
    vectors = made(8, 256)
    for row, name in enumerate(("a", "b", "c", "x/c", "a", "b", "d", "e")):
        save(tmp_path / "embeddings" / ("sfw" if row < 4 else "nsfw") / f"{name}.npy", vectors[row])
    table = "filepath,label\nembeddings/sfw/x/c.npy,sfw\n"
    ingest(workspace, tmp_path / "embeddings", labels=[str(tmp_path / "embeddings")])
    ingest(workspace, labels=[str(write_text(tmp_path / "more.csv", table))], classes=["nsfw", "sfw"])
    run("embed", workspace, embedder="vectors")
    return workspace


@pytest.mark.parametrize("format_name", ["npy", "npy-folders"])
def test_what_is_read_back_has_the_same_vectors_and_labels(format_name: str, two_folders: Path, tmp_path: Path) -> None:
    run("export", two_folders, format=format_name, output=tmp_path / "out")
    source = tmp_path / "out" / ("embeddings" if format_name == "npy-folders" else "vectors.npy")
    table = source if format_name == "npy-folders" else tmp_path / "out/index.csv"

    summary = ingest(tmp_path / "w2", source, labels=[str(table)])
    run("embed", tmp_path / "w2", embedder="vectors")

    assert summary.n_failed == 0
    before, after = stored(two_folders), stored(tmp_path / "w2")
    assert before.keys() == after.keys()
    assert all(np.array_equal(before[one], after[one]) for one in before)
    assert labels_of(tmp_path / "w2") == labels_of(two_folders)


def test_class_folders_are_seed_5s_and_equal_stems_are_both_kept_and_told(two_folders: Path) -> None:
    summary = run("export", two_folders, format="npy-folders")

    folder = two_folders / "exports/npy-folders/embeddings"
    names = {place: sorted(path.name for path in (folder / place).iterdir()) for place in ("sfw", "nsfw")}
    doubled = [vector_id(made(8, 256)[row])[:8] for row in (2, 3)]
    assert names["nsfw"] == ["a.npy", "b.npy", "d.npy", "e.npy"]
    assert names["sfw"] == sorted(["a.npy", "b.npy", *(f"c_{one}.npy" for one in doubled)])
    one = np.load(folder / "nsfw/a.npy", allow_pickle=False)
    assert (one.shape, one.dtype) == ((256,), np.float32)
    np.testing.assert_array_equal(one, made(8, 256)[4])
    assert any("2 vectors share a name" in note for note in summary.notes)
    assert "sfw/a.npy" not in json.dumps(summary.outputs)  # a million vectors are no million outputs


def test_a_matrix_has_a_row_for_each_item_and_says_what_is_known(two_folders: Path) -> None:
    summary = run("export", two_folders, format="npy")

    folder = two_folders / "exports/npy"
    rows = read_rows(folder / "index.csv")
    matrix = np.load(folder / "vectors.npy", allow_pickle=False)
    assert summary.outputs.keys() >= {"index.csv", "vectors.npy"}
    assert [row["row"] for row in rows] == [str(number) for number in range(8)]
    for row in rows:
        assert vector_id(matrix[int(row["row"])]) == row["item_id"]
        assert Path(row["filepath"]).parts[0] == row["labels"]
    assert len({row["filepath"] for row in rows}) == 8


def test_the_same_export_again_does_nothing(two_folders: Path) -> None:
    first, second = run("export", two_folders, format="npy"), run("export", two_folders, format="npy")

    assert first.run_id == second.run_id
    assert counts(second) == (8, 0, 8, 0)


def test_photos_find_their_vectors_again_in_another_workspace(workspace: Path, tmp_path: Path) -> None:
    """Paths from the folder that all share, so that equal names in two folders stay two."""
    for number, name in enumerate(("x/a.jpg", "y/a.jpg", "y/b.jpg")):
        write_photo(tmp_path / "photos" / name, number)
    ingest(workspace, tmp_path / "photos")
    ids = {Path(path).name: one for path, one in query(workspace, "SELECT path, item_id FROM sources")}
    vectors = dict(zip(sorted({one for (one,) in query(workspace, "SELECT item_id FROM items")}), made(3), strict=True))
    store_vectors(workspace, vectors)
    run("export", workspace, format="npy", output=tmp_path / "out")
    shutil.move(tmp_path / "photos", tmp_path / "moved")

    ingest(tmp_path / "w2", tmp_path / "moved", tmp_path / "out/vectors.npy")
    summary = run("embed", tmp_path / "w2", embedder="vectors:toy")

    assert {row["filepath"] for row in read_rows(tmp_path / "out/index.csv")} == {"x/a.jpg", "y/a.jpg", "y/b.jpg"}
    assert (summary.n_written, ids.keys()) == (3, {"a.jpg", "b.jpg"})
    found = stored(tmp_path / "w2")
    assert all(np.array_equal(found[item_id], vector) for item_id, vector in vectors.items())


def test_a_name_in_an_index_leads_to_no_other_folder(workspace: Path, tmp_path: Path) -> None:
    names = ["../../../../escaped.png", "..", f"{tmp_path}/absolute.png", "..\\..\\back.png"]
    save(tmp_path / "m.npy", made(len(names)))
    write_text(tmp_path / "m.csv", "image\n" + "".join(f"{name}\n" for name in names))
    table = write_text(tmp_path / "labels.csv", "image,label\n0,a\n1,a\n2,a\n3,a\n")
    ingest(workspace, tmp_path / "m.npy", labels=[str(table)])
    run("embed", workspace, embedder="vectors")
    before = {path for path in tmp_path.rglob("*") if "deep" not in path.parts}

    run("export", workspace, format="npy-folders", output=tmp_path / "deep/er/folders")
    run("export", workspace, format="npy", output=tmp_path / "deep/er/matrix")

    assert {
        path for path in tmp_path.rglob("*") if "deep" not in path.parts and workspace not in path.parents
    } <= before
    assert len(list((tmp_path / "deep/er/folders/embeddings/a").glob("*.npy"))) == len(names)
    assert {row["filepath"] for row in read_rows(tmp_path / "deep/er/matrix/index.csv")} == set(names)


def test_the_names_of_an_index_go_out_again(workspace: Path, tmp_path: Path) -> None:
    save(tmp_path / "m.npy", made(3))
    write_text(tmp_path / "m.csv", "image\nfox.jpg\nhen.jpg\nowl.jpg\n")
    table = write_text(tmp_path / "labels.csv", "image,label,part\nfox.jpg,a,train\nhen.jpg,b,val\nowl.jpg,b,test\n")
    ingest(workspace, tmp_path / "m.npy", labels=[str(table)])
    run("embed", workspace, embedder="vectors")

    run("export", workspace, format="npy", output=tmp_path / "out")
    run("export", workspace, format="npy-folders", output=tmp_path / "folders")

    rows = {row["filepath"]: row for row in read_rows(tmp_path / "out/index.csv")}
    assert {name: (row["labels"], row["part"]) for name, row in rows.items()} == {
        "fox.jpg": ("a", "train"),
        "hen.jpg": ("b", "val"),
        "owl.jpg": ("b", "test"),
    }
    files = {
        path.relative_to(tmp_path / "folders/embeddings").as_posix() for path in (tmp_path / "folders").rglob("*.npy")
    }
    assert files == {"a/fox.npy", "b/hen.npy", "b/owl.npy"}
    ingest(tmp_path / "w2", labels=[str(tmp_path / "out/index.csv")])  # the table names its matrix
    assert sorted(attributes(tmp_path / "w2", "part").values()) == ["test", "train", "val"]
    assert labels_of(tmp_path / "w2") == labels_of(workspace)


def test_what_has_no_vector_is_left_out_and_counted(workspace: Path, tmp_path: Path) -> None:
    for number in range(3):
        write_photo(tmp_path / f"in/{number}.jpg", number)
    ingest(workspace, tmp_path / "in")
    ids = sorted(one for (one,) in query(workspace, "SELECT item_id FROM items"))
    store_vectors(workspace, dict(zip(ids[:2], made(2), strict=True)))

    summary = run("export", workspace, format="npy")

    assert counts(summary) == (2, 2, 0, 0)
    assert any("1 items have no vector" in note for note in summary.notes)
    np.testing.assert_array_equal(np.load(workspace / "exports/npy/vectors.npy"), made(2))


def test_which_vectors_are_written_can_be_said(workspace: Path, tmp_path: Path) -> None:
    write_photo(tmp_path / "in/a.jpg", 1)
    ingest(workspace, tmp_path / "in")
    ((item_id,),) = query(workspace, "SELECT item_id FROM items")
    first = store_vectors(workspace, {item_id: made(1, 4)[0]})
    store_vectors(workspace, {item_id: made(1, 6)[0]})

    run("export", workspace, format="npy")
    latest = np.load(workspace / "exports/npy/vectors.npy")
    run("export", workspace, format="npy", vectors=first)

    assert latest.shape == (1, 6)
    assert np.load(workspace / "exports/npy/vectors.npy").shape == (1, 4)


def test_formats_of_pictures_leave_vectors_out_or_refuse_them(two_folders: Path, tmp_path: Path) -> None:
    write_photo(tmp_path / "photos/a.jpg", 1)
    with pytest.raises(DataError, match="no items of kind image, frame"):
        run("export", two_folders, format="coco")
    ingest(two_folders, tmp_path / "photos")

    assert run("export", two_folders, format="coco").n_selected == 1
    assert run("export", two_folders, format="csv").n_selected == 9
    with pytest.raises(UsageError, match="format coco is of pictures, and a vector has none: --format csv, npy"):
        run("export", two_folders, format="coco", kind=["vector"])


@pytest.mark.parametrize(("name", "value"), [("media", "copy"), ("skeleton", True)])
def test_settings_that_do_nothing_are_refused(name: str, value: object, two_folders: Path) -> None:
    with pytest.raises(UsageError, match=f"--{name} does nothing with --format npy"):
        run("export", two_folders, format="npy", **{name: value})
    with pytest.raises(UsageError, match="--vectors does nothing with --format csv"):
        run("export", two_folders, format="csv", vectors="vectors")


def test_an_item_of_several_classes_fits_no_single_folder(two_folders: Path, tmp_path: Path) -> None:
    table = write_text(tmp_path / "several.csv", "filepath,label\nembeddings/sfw/a.npy,sfw;nsfw\n")
    ingest(two_folders, labels=[str(table)], annotator="human:A")

    with pytest.raises(DataError, match="several classes"):
        run("export", two_folders, format="npy-folders")
    assert run("export", two_folders, format="npy").n_failed == 0
