"""Vectors that somebody else made, taken into the store; and all that follows from them without a picture."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from classifiers import register
from head_files import make_head_file
from mekiki.api.workspace import forget
from mekiki.catalog.db import Catalog
from mekiki.catalog.vector_rows import vector_places
from mekiki.catalog.vectors import StoredVectors, require_vectors
from mekiki.dataset.formats.npy import VectorFile
from mekiki.dataset.ids import vector_id
from mekiki.engine import ingesting_vectors
from mekiki.errors import DataError, UsageError
from mekiki.records import RunSummary
from vectors import space_of
from workspaces import counts, ingest, query, reasons, run, write_photo, write_text


def clustered(n_rows: int, n_dims: int = 16, seed: int = 0) -> NDArray[np.float32]:
    return np.random.default_rng(seed).normal(size=(n_rows, n_dims)).astype(np.float32)


def save(path: Path, array: NDArray[np.generic]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    np.save(path, array)
    return path


def take_in(workspace: Path, embedder: str = "vectors", **settings: object) -> RunSummary:
    return run("embed", workspace, embedder=embedder, **settings)


def stored(workspace: Path, item_ids: Sequence[str], embedder: str = "vectors") -> NDArray[np.float32]:
    with Catalog(workspace) as catalog:
        return StoredVectors(catalog, require_vectors(catalog, embedder)).read(item_ids)


def test_vectors_are_stored_as_they_are_and_only_once(workspace: Path, tmp_path: Path) -> None:
    made = clustered(30)
    save(tmp_path / "m.npy", made[:20].astype(np.float64))
    for row in range(20, 30):
        save(tmp_path / f"single/{row}.npy", made[row])
    ingest(workspace, tmp_path)

    first, second = take_in(workspace), take_in(workspace)

    assert counts(first) == (30, 30, 0, 0)
    assert counts(second) == (30, 0, 30, 0)
    np.testing.assert_array_equal(stored(workspace, [vector_id(one) for one in made]), made)


def test_new_vectors_go_on_with_the_run(workspace: Path, tmp_path: Path) -> None:
    save(tmp_path / "a.npy", clustered(3))
    ingest(workspace, tmp_path)
    first = take_in(workspace)
    save(tmp_path / "b.npy", clustered(3, seed=1))
    ingest(workspace, tmp_path)

    second = take_in(workspace)

    assert second.run_id == first.run_id
    assert counts(second) == (6, 3, 3, 0)


def test_a_photo_gets_the_vector_that_an_index_names(workspace: Path, tmp_path: Path) -> None:
    made = clustered(3)
    photo = write_photo(tmp_path / "photos/a.jpg", 1)
    write_photo(tmp_path / "photos/bare.jpg", 2)
    save(tmp_path / "m.npy", made)
    write_text(tmp_path / "m.csv", "image\nx.jpg\na.jpg\ny.jpg\n")
    ingest(workspace, tmp_path)

    summary = take_in(workspace, "vectors:clip:ViT-B-32/openai")

    assert summary.n_written == 3
    ((photo_id,),) = query(workspace, "SELECT item_id FROM sources WHERE path = ?", str(photo))
    np.testing.assert_array_equal(stored(workspace, [photo_id], "clip:ViT-B-32/openai")[0], made[1])
    assert summary.extra["embedder"] == "clip:ViT-B-32/openai"
    assert any("1 pictures have no vector" in note for note in summary.notes)


def test_vectors_of_another_length_are_failures_that_name_both(workspace: Path, tmp_path: Path) -> None:
    save(tmp_path / "m.npy", clustered(3, 16))
    save(tmp_path / "odd.npy", clustered(1, 12)[0])
    ingest(workspace, tmp_path)

    summary = take_in(workspace)

    assert counts(summary) == (4, 3, 0, 1)
    assert reasons(summary) == {"odd.npy": "a vector of length 12, and most of the workspace have 16"}


def test_a_photo_with_two_different_vectors_is_a_failure_that_names_both(workspace: Path, tmp_path: Path) -> None:
    write_photo(tmp_path / "a.jpg", 1)
    made = clustered(4)
    for number, name in enumerate(("one", "two")):
        save(tmp_path / f"{name}.npy", made[2 * number : 2 * number + 2])
        write_text(tmp_path / f"{name}.csv", f"image\na.jpg\nx{number}.jpg\n")
    ingest(workspace, tmp_path)

    summary = take_in(workspace)

    assert counts(summary) == (3, 2, 0, 1)
    (failure,) = summary.failures
    assert {Path(failure.path).name} == {"one.npy#0"}
    assert "two.npy#0" in failure.reason


def test_two_files_with_the_same_vector_of_a_photo_agree(workspace: Path, tmp_path: Path) -> None:
    write_photo(tmp_path / "a.jpg", 1)
    for name, dtype in (("one", "<f4"), ("two", "<f8")):
        save(tmp_path / f"{name}.npy", clustered(2).astype(dtype))
        write_text(tmp_path / f"{name}.csv", "image\na.jpg\nb.jpg\n")
    ingest(workspace, tmp_path)

    assert counts(take_in(workspace)) == (2, 2, 0, 0)


@pytest.mark.parametrize("form", ["single", "matrix"])
def test_a_file_that_holds_something_else_now_is_a_failure(form: str, workspace: Path, tmp_path: Path) -> None:
    made = clustered(2)
    path = save(tmp_path / "a.npy", made if form == "matrix" else made[0])
    ingest(workspace, path)
    status = path.stat()
    save(path, -made if form == "matrix" else -made[0])
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))  # not even its time tells

    summary = take_in(workspace, max_failed_share=1)

    assert summary.n_written == 0
    assert all("changed since ingest" in failure.reason for failure in summary.failures)

    path.unlink()
    assert all("gone since ingest" in one.reason for one in take_in(workspace, max_failed_share=1).failures)


def test_a_touched_file_is_trusted_for_its_content(workspace: Path, tmp_path: Path) -> None:
    path = save(tmp_path / "a.npy", clustered(2))
    ingest(workspace, path)
    os.utime(path, ns=(1, 1))

    assert take_in(workspace).n_written == 2


def test_columns_behind_one_another_are_read_as_rows(workspace: Path, tmp_path: Path) -> None:
    made = clustered(50)
    save(tmp_path / "m.npy", np.asfortranarray(made))
    ingest(workspace, tmp_path)
    take_in(workspace)

    np.testing.assert_array_equal(stored(workspace, [vector_id(one) for one in made]), made)


def photos_with_vectors(folder: Path, made: NDArray[np.float32]) -> Path:
    """Write photos, a matrix with a row for each, and its index; return the matrix."""
    for number in range(len(made)):
        write_photo(folder / f"{number}.jpg", number)
    write_text(folder / "m.csv", "image\n" + "".join(f"{number}.jpg\n" for number in range(len(made))))
    return save(folder / "m.npy", made)


def ids_of(workspace: Path) -> list[str]:
    """Ids of the photos in the order of their names."""
    return [row[0] for row in query(workspace, "SELECT item_id FROM sources WHERE path LIKE '%.jpg' ORDER BY path")]


def test_vectors_that_have_changed_take_the_place_of_the_old(workspace: Path, tmp_path: Path) -> None:
    """And of them alone; nothing of the old ones stays, and what was made of them is made again."""
    made = clustered(6)
    matrix = photos_with_vectors(tmp_path / "in", made)
    ingest(workspace, tmp_path / "in")
    first = take_in(workspace)
    ids = ids_of(workspace)
    head = register(workspace, make_head_file(workspace / "models", space_of(16, "vectors", "")))
    scores = run("predict", workspace, model=head.card.name)
    groups = run("dedupe", workspace, by="vectors")

    made[1], old = made[0] * 2, made[1].copy()
    save(matrix, made)
    ingest(workspace, tmp_path / "in")
    second = take_in(workspace)

    assert second.run_id == first.run_id
    assert counts(second) == (6, 1, 5, 0)
    np.testing.assert_array_equal(stored(workspace, ids), made)
    (segment,) = (workspace / "vectors" / first.run_id).iterdir()
    assert old.tobytes() not in segment.read_bytes()
    assert counts(take_in(workspace)) == (6, 0, 6, 0)
    assert groups.extra["n_groups"] == 0
    assert run("dedupe", workspace, by="vectors").extra["n_groups"] == 1
    again = run("predict", workspace, model=head.card.name)
    assert (again.run_id, counts(again)) == (scores.run_id, (6, 1, 5, 0))
    found = dict(query(workspace, "SELECT item_id, score FROM predictions WHERE class_name = 'fox'"))
    assert found[ids[1]] == pytest.approx(found[ids[0]], abs=1e-6)  # its direction alone counts


def test_a_run_that_was_forgotten_brings_other_vectors_to_all_who_read_it(workspace: Path, tmp_path: Path) -> None:
    matrix = photos_with_vectors(tmp_path / "in", clustered(4))
    ingest(workspace, tmp_path / "in")
    first = take_in(workspace)
    head = register(workspace, make_head_file(workspace / "models", space_of(16, "vectors", "")))
    run("predict", workspace, model=head.card.name)
    forget(workspace, first.run_id)
    save(matrix, clustered(4, seed=1))
    ingest(workspace, tmp_path / "in")
    take_in(workspace)

    assert counts(run("predict", workspace, model=head.card.name)) == (4, 4, 0, 0)


@pytest.mark.parametrize("order", ["C", "F"])
def test_a_matrix_is_read_in_blocks_whatever_the_names_of_its_rows(
    order: str, workspace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows come in the order of their names, 0, 1, 10, 100, 1000, 1001, ..., and each block is read once."""
    made = clustered(3000, 8)
    save(tmp_path / "m.npy", np.asarray(made, order=order))
    ingest(workspace, tmp_path / "m.npy")
    monkeypatch.setattr(ingesting_vectors, "BLOCK_BYTES", 300 * 8 * 4)
    starts: list[int] = []
    read = VectorFile.read

    def counted(self: VectorFile, start: int = 0, stop: int | None = None) -> NDArray[np.float32]:
        starts.append(start)
        return read(self, start, stop)

    monkeypatch.setattr(VectorFile, "read", counted)
    take_in(workspace, workers=1)

    assert set(starts) == set(range(0, 3000, 300))
    assert len(starts) <= 20
    np.testing.assert_array_equal(stored(workspace, [vector_id(one) for one in made]), made)


def test_files_of_several_vectors_of_one_item_give_it_once(workspace: Path, tmp_path: Path) -> None:
    made = clustered(3)
    for name in ("a", "b", "c"):
        save(tmp_path / f"{name}.npy", made)
    save(tmp_path / "single.npy", made[1])
    ingest(workspace, tmp_path)

    with Catalog(workspace) as catalog:
        places = list(vector_places(catalog))

    assert sorted(place.item_id for place in places) == sorted(vector_id(one) for one in made)
    (tmp_path / "a.npy").unlink()
    assert counts(take_in(workspace)) == (3, 3, 0, 0)


def test_vectors_imported_last_are_the_latest(workspace: Path, tmp_path: Path) -> None:
    photos_with_vectors(tmp_path / "in", clustered(3))
    ingest(workspace, tmp_path / "in")
    for embedder in ("vectors:a", "vectors:b", "vectors:a"):
        take_in(workspace, embedder)

    with Catalog(workspace) as catalog:
        assert require_vectors(catalog).space.embedder == "a"


def test_auto_takes_vectors_where_there_is_nothing_else(workspace: Path, tmp_path: Path) -> None:
    save(tmp_path / "m.npy", clustered(3))
    ingest(workspace, tmp_path)

    assert take_in(workspace, "auto").extra["embedder"] == "vectors"


def test_what_means_nothing_here_is_refused(workspace: Path, tmp_path: Path) -> None:
    write_photo(tmp_path / "in/a.jpg", 1)
    ingest(workspace, tmp_path / "in")

    with pytest.raises(DataError, match=r"no vectors to import .* mekiki ingest VECTORS.npy"):
        take_in(workspace)
    with pytest.raises(UsageError, match="--precision does nothing with vectors that are imported"):
        take_in(workspace, precision="int8")


def test_vectors_without_pictures_are_compared_split_and_reported(workspace: Path, tmp_path: Path) -> None:
    """Near-duplicates by their vectors stay together; the certificate holds; no thumbnail is needed."""
    made = clustered(40)
    made[20:25] = made[:5] * 2 + np.float32(0.01)  # near-duplicates of the first
    for row, vector in enumerate(made):
        save(tmp_path / "in" / ("safe" if row % 2 else "unsafe") / f"{row}.npy", vector)
    ingest(workspace, tmp_path / "in", labels=[str(tmp_path / "in")])
    run("dedupe", workspace, by="hashes")
    with pytest.raises(DataError, match="mekiki dedupe --by vectors"):
        run("split", workspace)  # comparing hashes says nothing of them

    take_in(workspace)
    assert run("dedupe", workspace).extra["n_in_groups"] == 10, "there is nothing else to compare"
    summary = run("split", workspace)
    run("report", workspace)

    assert summary.n_written == 40
    parts = dict(query(workspace, "SELECT item_id, part FROM splits WHERE run_id = ?", summary.run_id))
    assert len(parts) == 40
    for row in range(5):
        assert parts[vector_id(made[row])] == parts[vector_id(made[20 + row])]
    page = (workspace / "reports/report.html").read_text()
    assert "vectors" in page


def test_real_clip_vectors_are_stored_bit_by_bit(workspace: Path, tmp_path: Path, shared_data: Path) -> None:
    clip = shared_data / "captions/flickr8k_clip_vitb32"
    for name in ("image_embeddings.npy", "index.csv"):
        shutil.copy(clip / name, tmp_path / name)
    ingest(workspace, tmp_path)

    take_in(workspace, "vectors:clip:ViT-B-32/openai")

    wanted = np.load(clip / "image_embeddings.npy").astype(np.float32)
    np.testing.assert_array_equal(stored(workspace, [vector_id(one) for one in wanted], "clip:ViT-B-32/openai"), wanted)


def test_what_looks_at_pixels_refuses_a_workspace_of_vectors_in_one_line(workspace: Path, tmp_path: Path) -> None:
    made = clustered(40)
    for row, vector in enumerate(made):
        save(tmp_path / "in" / ("safe" if row % 2 else "unsafe") / f"{row}.npy", vector)
    ingest(workspace, tmp_path / "in", labels=[str(tmp_path / "in")])
    take_in(workspace)
    run("dedupe", workspace, by="vectors")
    run("split", workspace)

    with pytest.raises(DataError, match="40 vectors and no picture, so that there are no pixels"):
        run("train", workspace, arch="small-cnn", epochs=1)
    with pytest.raises(DataError, match="40 vectors and no picture to look at: mekiki embed --embedder vectors"):
        run("embed", workspace, embedder="colour-layout")
    with pytest.raises(UsageError, match="--kind vector: a model is shown pictures"):
        run("annotate", workspace, annotator="vlm:some", kind=["vector"])
    assert run("dedupe", workspace, by="hashes").extra["n_flat"] == 0


def test_a_network_learns_from_the_photos_among_vectors_and_says_so(workspace: Path, tmp_path: Path) -> None:
    for number in range(12):
        write_photo(tmp_path / "in" / ("a" if number % 2 else "b") / f"{number}.jpg", number)
        save(tmp_path / "in" / ("a" if number % 2 else "b") / f"{number}.npy", clustered(1, seed=number)[0])
    ingest(workspace, tmp_path / "in", labels=[str(tmp_path / "in")])
    run("dedupe", workspace)
    run("split", workspace)

    summary = run("train", workspace, arch="small-cnn", pretrained=False, epochs=1, name="net", workers=0)
    run("predict", workspace, model="net")
    run("evaluate", workspace)

    assert any("vectors of the split have no pixels and were left out" in note for note in summary.notes)
    scored = query(workspace, "SELECT DISTINCT i.kind FROM predictions p JOIN items i ON i.item_id = p.item_id")
    assert scored == [("image",)]
