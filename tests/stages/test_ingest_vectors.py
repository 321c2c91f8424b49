"""Stage ``ingest``: vectors, one in a file or many in a matrix, and what folders, indexes and tables say of them."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from mekiki.dataset.ids import vector_id
from mekiki.errors import UsageError
from workspaces import counts, dump, groups, ingest, labels, query, reasons, run, write_photo, write_text


def vectors(n_rows: int, n_dims: int = 8, seed: int = 0) -> NDArray[np.float32]:
    return np.random.default_rng(seed).normal(size=(n_rows, n_dims)).astype(np.float32)


def save(path: Path, array: NDArray[np.generic]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    np.save(path, array)
    return path


def class_folders(folder: Path, n_each: int = 3) -> NDArray[np.float32]:
    """Write seed 5's layout, ``sfw`` and ``nsfw`` with one vector a file, and return the vectors."""
    made = vectors(2 * n_each, 256)
    for row, vector in enumerate(made):
        save(folder / ("sfw" if row < n_each else "nsfw") / f"p{row % n_each}.npy", vector)
    return made


def items(workspace: Path) -> dict[str, str]:
    """Return the name of each source to its item."""
    return {Path(path).name: item for path, item in query(workspace, "SELECT path, item_id FROM sources")}


def test_class_folders_of_single_vectors_are_labelled_by_their_folders(workspace: Path, tmp_path: Path) -> None:
    made = class_folders(tmp_path / "embeddings")

    summary = ingest(workspace, tmp_path / "embeddings", labels=[str(tmp_path / "embeddings")])

    assert summary.n_failed == 0
    rows = query(workspace, "SELECT item_id, kind, width_px, height_px FROM items ORDER BY item_id")
    assert rows == sorted((vector_id(vector), "vector", 0, 0) for vector in made)
    found = query(
        workspace,
        "SELECT s.path, l.class_name FROM labels l JOIN sources s ON s.item_id = l.item_id WHERE state = 'present'",
    )
    assert len(found) == 6
    assert all(Path(path).parent.name == name for path, name in found)


def test_a_name_that_is_no_text_fails_alone(workspace: Path, tmp_path: Path) -> None:
    for row, name in enumerate(("a.npy", "b.npy", os.fsdecode(b"bad\xff.npy"))):
        save(tmp_path / "in" / name, vectors(1, seed=row))

    summary = ingest(workspace, tmp_path / "in")

    assert (summary.n_written, summary.n_failed) == (2, 1)
    assert reasons(summary) == {r"bad\udcff.npy": "its name is no UTF-8 text: rename it"}


def test_ingesting_again_does_nothing(workspace: Path, tmp_path: Path) -> None:
    class_folders(tmp_path / "in/single")
    save(tmp_path / "in/matrix.npy", vectors(5, seed=1))
    write_text(tmp_path / "in/matrix.csv", "image\n" + "".join(f"{row}.jpg\n" for row in range(5)))
    ingest(workspace, tmp_path / "in")
    before = dump(workspace)

    summary = ingest(workspace, tmp_path / "in")

    assert counts(summary) == (11, 0, 11, 0)
    assert dump(workspace) == before


def test_rows_of_a_matrix_are_items_named_by_number(workspace: Path, tmp_path: Path) -> None:
    made = vectors(4)
    save(tmp_path / "m.npy", made)

    summary = ingest(workspace, tmp_path / "m.npy")

    assert counts(summary) == (4, 4, 0, 0)
    assert items(workspace) == {f"m.npy#{row}": vector_id(made[row]) for row in range(4)}
    assert any("named by their numbers" in note for note in summary.notes)


@pytest.mark.parametrize("dtype", ["<f2", ">f4", "<f8", ">f8"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_the_same_numbers_are_the_same_items_in_whatever_form_they_are_stored(
    dtype: str, order: str, workspace: Path, tmp_path: Path
) -> None:
    made = vectors(6).astype(np.float16).astype(np.float32)  # so that nothing is lost
    save(tmp_path / "plain.npy", made)
    save(tmp_path / "other.npy", np.asarray(made, dtype, order=order))

    ingest(workspace, tmp_path / "plain.npy", tmp_path / "other.npy")

    assert query(workspace, "SELECT count(*) FROM items") == [(6,)]
    assert query(workspace, "SELECT count(*) FROM sources") == [(12,)]


def test_the_same_vector_in_two_class_folders_is_unsure_of_both(workspace: Path, tmp_path: Path) -> None:
    same = vectors(1)[0]
    for place in ("sfw/a.npy", "nsfw/b.npy"):
        save(tmp_path / "in" / place, same)
    save(tmp_path / "in/sfw/c.npy", same + 1)

    summary = ingest(workspace, tmp_path / "in", labels=[str(tmp_path / "in")])

    assert labels(workspace)["a.npy"] == {"sfw": "unsure", "nsfw": "unsure"}
    assert summary.extra["n_conflicts"] == 1
    assert query(workspace, "SELECT count(*) FROM items") == [(2,)]


def test_what_is_no_vector_is_a_failure_and_the_others_are_taken(workspace: Path, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    save(folder / "good.npy", vectors(1)[0])
    np.save(folder / "pickled.npy", np.array([{"a": 1}], object), allow_pickle=True)
    save(folder / "zero.npy", np.zeros(8, np.float32))
    save(folder / "nan.npy", np.array([1, np.nan], np.float32))
    save(folder / "too_large.npy", np.array([1e300, 1.0]))
    save(folder / "cube.npy", np.zeros((2, 2, 2), np.float32))
    save(folder / "number.npy", np.float32(1))
    save(folder / "integers.npy", np.arange(4))
    write_text(folder / "text.npy", "hello")

    summary = ingest(workspace, folder)

    assert summary.n_written == 1
    told = reasons(summary)
    assert "pickled" in told["pickled.npy"]
    assert "all its numbers are 0" in told["zero.npy"]
    assert "infinite or no numbers" in told["nan.npy"]
    assert "infinite or no numbers" in told["too_large.npy"]
    assert "shape (2, 2, 2)" in told["cube.npy"]
    assert "shape ()" in told["number.npy"]
    assert "int64" in told["integers.npy"]
    assert "no .npy file" in told["text.npy"]


def test_a_bad_row_is_a_failure_of_its_own_until_it_is_mended(workspace: Path, tmp_path: Path) -> None:
    made = vectors(5)
    bad = made.copy()
    bad[2] = np.inf
    save(tmp_path / "m.npy", bad)
    summary = ingest(workspace, tmp_path / "m.npy")
    assert counts(summary) == (5, 4, 0, 1)
    assert list(reasons(summary)) == ["m.npy#2"]
    assert set(items(workspace)) == {"m.npy#0", "m.npy#1", "m.npy#3", "m.npy#4"}

    save(tmp_path / "m.npy", made)
    summary = ingest(workspace, tmp_path / "m.npy")

    assert summary.n_failed == 0
    assert query(workspace, "SELECT count(*) FROM failures") == [(0,)]
    assert set(items(workspace).values()) == {vector_id(vector) for vector in made}


def test_a_broken_file_that_becomes_a_matrix_is_no_failure_any_more(workspace: Path, tmp_path: Path) -> None:
    path = save(tmp_path / "m.npy", vectors(5))
    whole = path.read_bytes()
    path.write_bytes(whole[:-1])
    assert "broken" in reasons(ingest(workspace, path))["m.npy"]

    path.write_bytes(whole)
    assert ingest(workspace, path).n_failed == 0

    assert query(workspace, "SELECT count(*) FROM failures") == [(0,)]


def test_a_matrix_that_became_shorter_has_fewer_sources(workspace: Path, tmp_path: Path) -> None:
    path = save(tmp_path / "m.npy", vectors(12))
    ingest(workspace, path)

    save(path, vectors(12)[:10])
    ingest(workspace, path)

    assert set(items(workspace)) == {f"m.npy#{row}" for row in range(10)}


def test_a_vector_of_a_photo_of_the_workspace_makes_no_item(workspace: Path, tmp_path: Path) -> None:
    made = vectors(3)
    photo = write_photo(tmp_path / "photos/a.jpg", 1)
    save(tmp_path / "clip/m.npy", made)
    write_text(tmp_path / "clip/index.csv", "row,image\n2,a.jpg\n0,elsewhere.jpg\n")

    summary = ingest(workspace, tmp_path)  # both in one call

    assert summary.n_failed == 0
    assert query(workspace, "SELECT kind, count(*) FROM items GROUP BY kind") == [("image", 1), ("vector", 2)]
    (photo_id,) = query(workspace, "SELECT item_id FROM sources WHERE path = ?", str(photo))[0]
    rows = query(workspace, "SELECT name, item_id, vector_id FROM vector_rows ORDER BY name")
    assert rows == [
        ("a.jpg", photo_id, vector_id(made[2])),
        ("elsewhere.jpg", vector_id(made[0]), vector_id(made[0])),
    ]
    assert set(items(workspace)) == {"a.jpg", "m.npy#0", "m.npy#1"}


def test_a_photo_that_comes_later_gets_its_vector_when_the_matrix_is_ingested_again(
    workspace: Path, tmp_path: Path
) -> None:
    matrix = save(tmp_path / "clip/m.npy", vectors(2))
    write_text(tmp_path / "clip/index.csv", "image\na.jpg\nb.jpg\n")
    ingest(workspace, matrix)
    write_photo(tmp_path / "photos/a.jpg", 1)
    ingest(workspace, tmp_path / "photos")

    summary = ingest(workspace, matrix)

    assert counts(summary)[:3] == (2, 1, 1)
    assert set(items(workspace)) == {"a.jpg", "m.npy#1"}
    assert any("mekiki forget" in note for note in summary.notes)  # of the item that the row was before


def test_a_name_that_fits_two_photos_is_nobodys(workspace: Path, tmp_path: Path) -> None:
    write_photo(tmp_path / "photos/x/a.jpg", 1)
    write_photo(tmp_path / "photos/y/a.jpg", 2)
    save(tmp_path / "m.npy", vectors(2))
    write_text(tmp_path / "m.csv", "image\na.jpg\ny/a.jpg\n")

    ingest(workspace, tmp_path)

    kinds = query(
        workspace,
        "SELECT r.name, i.kind FROM vector_rows r JOIN items i ON i.item_id = r.item_id ORDER BY r.name",
    )
    assert kinds == [("a.jpg", "vector"), ("y/a.jpg", "image")]


def test_labels_find_rows_by_the_names_of_the_index_also_later(workspace: Path, tmp_path: Path) -> None:
    save(tmp_path / "in/m.npy", vectors(3))
    write_text(tmp_path / "in/index.csv", "row,image\n0,a.jpg\n1,b.jpg\n2,c.jpg\n")
    table = write_text(tmp_path / "labels/some.csv", "image,label\na.jpg,cat\nc.jpg,dog\n")

    now = ingest(workspace, tmp_path / "in", labels=[str(table)])
    later = ingest(tmp_path / "w2", tmp_path / "in")
    later = ingest(tmp_path / "w2", labels=[str(table)])

    assert now.n_failed == later.n_failed == 0
    for one in (workspace, tmp_path / "w2"):
        assert labels(one) == {
            "m.npy#0": {"cat": "present", "dog": "absent"},
            "m.npy#2": {"cat": "absent", "dog": "present"},
        }


def test_labels_find_rows_by_number_and_by_their_place(workspace: Path, tmp_path: Path) -> None:
    save(tmp_path / "m.npy", vectors(3))
    by_number = write_text(tmp_path / "number.csv", "row,label\n0,cat\n1,dog\n")
    by_place = write_text(tmp_path / "place.csv", "path,label\nm.npy#2,cat\n")

    first = ingest(workspace, tmp_path / "m.npy", labels=[str(by_number)], path_column="row")
    second = ingest(workspace, labels=[str(by_place)])

    assert first.n_failed == second.n_failed == 0
    found = {
        name: next(one for one, state in said.items() if state == "present") for name, said in labels(workspace).items()
    }
    assert found == {"m.npy#0": "cat", "m.npy#1": "dog", "m.npy#2": "cat"}


def test_an_entry_that_names_no_row_is_a_failure(workspace: Path, tmp_path: Path) -> None:
    save(tmp_path / "in/m.npy", vectors(2))
    write_text(tmp_path / "in/index.csv", "image\na.jpg\nb.jpg\n")
    table = write_text(tmp_path / "labels.csv", "image,label\nnot_there.jpg,cat\n")

    summary = ingest(workspace, tmp_path / "in", labels=[str(table)])

    assert "no such file" in reasons(summary)["not_there.jpg"]


def test_a_person_labels_rows_by_their_names_too(workspace: Path, tmp_path: Path) -> None:
    save(tmp_path / "in/m.npy", vectors(2))
    write_text(tmp_path / "in/index.csv", "image\na.jpg\nb.jpg\n")
    ingest(workspace, tmp_path / "in")
    table = write_text(tmp_path / "labels.csv", "image,label\nphotos/b.jpg,cat\n")

    run("annotate", workspace, annotator="human:ALICE", labels=[str(table)])

    assert labels(workspace) == {"m.npy#1": {"cat": "present"}}


@pytest.mark.parametrize("path", ["gone.npy", "gone.npy#3", "m.npy#2", "m.npy"])
def test_an_entry_about_a_vector_that_is_not_there_is_a_failure(path: str, workspace: Path, tmp_path: Path) -> None:
    save(tmp_path / "m.npy", vectors(2))
    table = write_text(tmp_path / "labels.csv", f"path,label\n{path},cat\nm.npy#1,cat\n")

    summary = ingest(workspace, tmp_path / "m.npy", labels=[str(table)])

    assert list(reasons(summary)) == [path]
    assert set(labels(workspace)) == {"m.npy#1"}


def test_rows_of_one_name_share_their_labels_and_belong_together(workspace: Path, tmp_path: Path) -> None:
    save(tmp_path / "in/m.npy", vectors(3))
    write_text(tmp_path / "in/index.csv", "image\na.jpg\nb.jpg\na.jpg\n")
    table = write_text(tmp_path / "labels.csv", "image,label\na.jpg,cat\n")

    ingest(workspace, tmp_path / "in", labels=[str(table)])

    assert set(labels(workspace)) == {"m.npy#0", "m.npy#2"}
    assert groups(workspace, "source") == {"m.npy:a.jpg": {"m.npy#0", "m.npy#2"}}


@pytest.mark.parametrize(
    ("table", "reason"),
    [
        ("image\na.jpg\n", "it has 1 rows and no column 'row', and the matrix has 2 rows"),
        ("row,image\n2,a.jpg\n", "speaks of row '2'"),
        ("row,image\n-1,a.jpg\n", "speaks of row '-1'"),
        ("row,image\n0,a.jpg\n0,b.jpg\n", "names row 0 once more"),
        ("row,image\n0,a.jpg\n1\n", "it has 1 cells"),
    ],
)
def test_an_index_that_does_not_fit_is_a_failure_of_its_matrix(
    table: str, reason: str, workspace: Path, tmp_path: Path
) -> None:
    save(tmp_path / "m.npy", vectors(2))
    write_text(tmp_path / "index.csv", table)

    summary = ingest(workspace, tmp_path / "m.npy")

    assert "its index index.csv does not fit" in reasons(summary)["m.npy"]
    assert reason in reasons(summary)["m.npy"]
    assert query(workspace, "SELECT count(*) FROM items") == [(0,)]


def test_the_index_may_lie_elsewhere_but_is_of_one_matrix(workspace: Path, tmp_path: Path) -> None:
    save(tmp_path / "in/m.npy", vectors(2))
    index = write_text(tmp_path / "names.csv", "image,row\na.jpg,1\n")
    ingest(workspace, tmp_path / "in", index=index)
    assert query(workspace, "SELECT name FROM vector_rows") == [("a.jpg",)]

    save(tmp_path / "in/n.npy", vectors(2, seed=1))
    with pytest.raises(UsageError, match="is of one matrix of vectors, and 2 are given"):
        ingest(workspace, tmp_path / "in", index=index)


def test_vectors_and_photos_of_one_folder_are_one_call_with_one_summary(workspace: Path, tmp_path: Path) -> None:
    write_photo(tmp_path / "in/a.jpg", 1)
    save(tmp_path / "in/b.npy", vectors(1)[0])

    assert counts(ingest(workspace, tmp_path / "in", limit=1)) == (1, 1, 0, 0)
    assert counts(ingest(workspace, tmp_path / "in")) == (2, 1, 1, 0)


def test_a_file_that_was_only_touched_is_not_taken_for_another(workspace: Path, tmp_path: Path) -> None:
    path = save(tmp_path / "m.npy", vectors(2))
    ingest(workspace, path)
    before = items(workspace)
    os.utime(path, ns=(1, 1))

    assert counts(ingest(workspace, path)) == (2, 2, 0, 0)

    assert items(workspace) == before
    assert query(workspace, "SELECT count(*) FROM items") == [(2,)]


def test_real_clip_vectors_with_their_index(workspace: Path, tmp_path: Path, shared_data: Path) -> None:
    clip = shared_data / "captions/flickr8k_clip_vitb32"
    for name in ("image_embeddings.npy", "index.csv"):
        shutil.copy(clip / name, tmp_path / name)
    pictures = sorted((shared_data / "captions/flickr8k/images").glob("*.jpg"))[:40]

    summary = ingest(workspace, tmp_path, *pictures)

    stored = np.load(clip / "image_embeddings.npy")
    named = [line.split(",")[1] for line in (clip / "index.csv").read_text().splitlines()[1:]]
    shared = {path.name for path in pictures} & set(named)
    assert summary.n_failed == 0
    assert shared
    kinds = dict(query(workspace, "SELECT kind, count(*) FROM items GROUP BY kind"))
    assert kinds["image"] == 40
    assert kinds["vector"] == len(
        {row.tobytes() for row, name in zip(stored, named, strict=True) if name not in shared}
    )
    assert query(workspace, "SELECT count(*) FROM vector_rows") == [(len(stored),)]
