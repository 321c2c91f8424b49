"""Stage ``predict`` with files of vectors: row by row, nothing shifts, and others than the head's are refused."""

from __future__ import annotations

import csv
import json
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from classifiers import Saved, make_model
from head_files import N_DIMS, laion_scores, laion_tensors, make_head_file
from mekiki.api.verbs import run_stage
from mekiki.engine.run import Silent
from mekiki.errors import DataError, InterruptedRunError, UsageError
from mekiki.records import RunSummary
from mekiki.training.checkpoint import load_network, read_tensors, save_model
from workspaces import counts, mekiki, reasons, run, write_photo

torch.set_num_threads(1)


@pytest.fixture
def head(tmp_path: Path) -> Saved:
    return make_head_file(tmp_path / "models")


@pytest.fixture
def laion(tmp_path: Path) -> Path:
    torch.save(laion_tensors(), tmp_path / "laion.pth")
    return tmp_path / "laion.pth"


def matrix(n: int = 10, n_dims: int = N_DIMS, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n, n_dims)).astype(np.float32)


def written(folder: Path, name: str, vectors: np.ndarray) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    np.save(folder / name, vectors)
    return folder / name


def predict(tmp_path: Path, model: Path, *paths: Path | str, name: str = "p.csv", **settings: Any) -> RunSummary:
    given = [str(path) for path in paths]
    return run("predict", tmp_path / "none", model=str(model), paths=given, output=tmp_path / name, **settings)


def rows(tmp_path: Path, name: str = "p.csv") -> list[dict[str, str]]:
    with (tmp_path / name).open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


def by_hand(head: Saved, vectors: np.ndarray) -> np.ndarray:
    network = load_network(head.card, read_tensors(head.path), allow_code=False)
    with torch.inference_mode():
        return network(torch.from_numpy(vectors.astype(np.float32))).sigmoid().numpy()


def test_a_matrix_gives_a_row_each_under_its_number(tmp_path: Path, head: Saved) -> None:
    vectors = matrix()

    summary = predict(tmp_path, head.path, written(tmp_path, "v.npy", vectors))

    assert counts(summary) == (10, 10, 0, 0)
    found = rows(tmp_path)
    assert list(found[0]) == [
        *("row", "predicted_labels_json", "predicted_labels_text", "is_unknown", "prob_fox", "prob_cat")
    ]
    assert [one["row"] for one in found] == [str(row) for row in range(10)]
    scores = np.array([[float(one["prob_fox"]), float(one["prob_cat"])] for one in found])
    assert np.abs(scores - by_hand(head, vectors)).max() < 1e-6
    for one, own in zip(found, scores, strict=True):
        names = [name for name, score in zip(("fox", "cat"), own, strict=True) if score >= 0.5]
        assert json.loads(one["predicted_labels_json"]) == (names or ["unknown"])


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", ">f4"])
def test_any_float_and_any_order_of_memory_will_do(tmp_path: Path, head: Saved, dtype: str) -> None:
    vectors = matrix().astype(dtype)

    predict(tmp_path, head.path, written(tmp_path, "v.npy", vectors))
    predict(tmp_path, head.path, written(tmp_path, "f.npy", np.asfortranarray(vectors)), name="f.csv")

    expected = by_hand(head, vectors)
    for name in ("p.csv", "f.csv"):
        assert (
            max(abs(float(one["prob_fox"]) - expected[row, 0]) for row, one in enumerate(rows(tmp_path, name))) < 1e-6
        )


def test_how_vectors_are_batched_changes_nothing(tmp_path: Path, head: Saved) -> None:
    path = written(tmp_path, "v.npy", matrix(50))

    predict(tmp_path, head.path, path)
    predict(tmp_path, head.path, path, name="small.csv", batch_size=7)

    one, other = rows(tmp_path), rows(tmp_path, "small.csv")
    assert [row["row"] for row in one] == [row["row"] for row in other]
    assert max(abs(float(a["prob_cat"]) - float(b["prob_cat"])) for a, b in zip(one, other, strict=True)) < 2e-6


def test_rows_that_cannot_be_used_are_failures_and_shift_nothing(tmp_path: Path, head: Saved) -> None:
    vectors = matrix()
    vectors[3, 2], vectors[5], vectors[9, 0] = np.nan, 0, np.inf

    summary = predict(tmp_path, head.path, written(tmp_path, "v.npy", vectors), batch_size=4)

    assert counts(summary) == (10, 7, 0, 3)
    assert set(reasons(summary)) == {"v.npy#3", "v.npy#5", "v.npy#9"}
    assert "points nowhere" in reasons(summary)["v.npy#5"]
    good = [0, 1, 2, 4, 6, 7, 8]
    assert [int(one["row"]) for one in rows(tmp_path)] == good
    expected = by_hand(head, vectors[good])
    assert max(abs(float(one["prob_fox"]) - expected[n, 0]) for n, one in enumerate(rows(tmp_path))) < 1e-6


def test_a_folder_of_single_vectors_says_which_file_each_is(tmp_path: Path, head: Saved) -> None:
    vectors = matrix(4)
    for number, vector in enumerate(vectors):
        written(tmp_path / "in" / "sub", f"{number}.npy", vector if number % 2 else vector[None])
    written(tmp_path / "in", "bad.npy", matrix(1, 3)[0])
    (tmp_path / "in" / "broken.npy").write_bytes(b"\x93NUMPY")
    (tmp_path / "in" / "notes.md").write_text("x")

    summary = predict(tmp_path, head.path, tmp_path / "in")

    assert counts(summary) == (6, 4, 0, 2)
    assert "8 dimensions, and these have 3" in reasons(summary)["bad.npy"]
    found = rows(tmp_path)
    assert [Path(one["vector_path"]).name for one in found] == ["0.npy", "1.npy", "2.npy", "3.npy"]
    assert np.abs([float(one["prob_fox"]) for one in found] - by_hand(head, vectors)[:, 0]).max() < 1e-6
    assert any("ignored: 1" in note for note in summary.notes)


def test_several_matrices_follow_each_other(tmp_path: Path, head: Saved) -> None:
    first, second = written(tmp_path, "a.npy", matrix(3)), written(tmp_path, "b.npy", matrix(2, seed=1))

    predict(tmp_path, head.path, second, first)

    found = [(Path(one["vector_path"]).name, one["row"]) for one in rows(tmp_path)]
    assert found == [("b.npy", "0"), ("b.npy", "1"), ("a.npy", "0"), ("a.npy", "1"), ("a.npy", "2")]


def test_one_row_of_a_matrix_can_be_asked_for(tmp_path: Path, head: Saved) -> None:
    vectors = matrix()
    path = written(tmp_path, "v.npy", vectors)

    summary = predict(tmp_path, head.path, f"{path}#7")

    (only,) = rows(tmp_path)
    assert only["row"] == "7"
    assert abs(float(only["prob_fox"]) - by_hand(head, vectors)[7, 0]) < 1e-6
    assert summary.extra["answer"]["row"] == 7
    assert counts(predict(tmp_path, head.path, f"{path}#10", name="q.csv")) == (1, 0, 0, 1)


def test_of_one_vector_the_answer_is_shown_and_of_a_matrix_a_file_is_written(
    tmp_path: Path, head: Saved, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path, alone = written(tmp_path, "v.npy", matrix()), written(tmp_path, "one.npy", matrix()[3])

    for given in (f"{path}#3", f"{path}#3", alone, alone):
        summary = run("predict", tmp_path / "none", model=str(head.path), paths=[str(given)])
        assert (summary.outputs, Path(str(summary.extra["answer"]["vector_path"]).partition("#")[0]).parent) == (
            {},
            tmp_path,
        )
    assert not Path("predict.csv").exists()
    run("predict", tmp_path / "none", model=str(head.path), paths=[str(path)])
    assert Path("predict.csv").exists()


def test_a_wrong_number_of_dimensions_is_one_line_that_names_both(tmp_path: Path, head: Saved) -> None:
    path = written(tmp_path, "v.npy", matrix(5, 12))

    with pytest.raises(DataError, match="'head-0' was made for vectors of 8 dimensions, and these have 12"):
        predict(tmp_path, head.path, path)

    assert not list(tmp_path.glob("p.csv*"))


def test_a_single_vector_is_answered_in_words(tmp_path: Path, laion: Path) -> None:
    vectors = matrix(40)
    expected = laion_scores(laion_tensors(), vectors)[:, 0]
    low, high = int(expected.argmin()), int(expected.argmax())
    assert expected[low] < 0.3 < 0.7 < expected[high]

    safe = predict(tmp_path, laion, written(tmp_path, "low.npy", vectors[low]))
    unsafe = predict(tmp_path, laion, written(tmp_path, "high.npy", vectors[high]), name="q.csv", threshold=0.7)
    strict = predict(tmp_path, laion, tmp_path / "low.npy", name="r.csv", threshold=0.0)

    assert f"low.npy#0: safe (probability of unsafe {expected[low]:.4f}, threshold 0.5)" in safe.notes[0]
    assert f"high.npy#0: unsafe (probability of unsafe {expected[high]:.4f}, threshold 0.7)" in unsafe.notes[0]
    assert ": unsafe (" in strict.notes[0]


def test_a_head_of_laions_needs_nothing_but_itself(tmp_path: Path, laion: Path) -> None:
    vectors = matrix(30)

    summary = predict(tmp_path, laion, written(tmp_path, "v.npy", vectors))

    assert summary.extra["class_names"] == ["unsafe"]
    found = [float(one["prob_unsafe"]) for one in rows(tmp_path)]
    assert np.abs(found - laion_scores(laion_tensors(), vectors)[:, 0]).max() < 1e-5


def test_its_class_can_be_named_on_the_command_line(tmp_path: Path, laion: Path) -> None:
    predict(tmp_path, laion, written(tmp_path, "v.npy", matrix(3)), classes=("violent",))

    assert "prob_violent" in rows(tmp_path)[0]


def test_vectors_and_pictures_together_are_refused(tmp_path: Path, head: Saved) -> None:
    path = written(tmp_path / "in", "v.npy", matrix(3))
    photo = write_photo(tmp_path / "in" / "a.jpg", 0)

    with pytest.raises(UsageError, match="give one sort only"):
        predict(tmp_path, head.path, path, photo)
    with pytest.raises(UsageError, match="give one sort only"):
        predict(tmp_path, head.path, tmp_path / "in")


def test_a_network_that_looks_at_pixels_takes_no_vectors(tmp_path: Path) -> None:
    network = make_model(tmp_path / "models")

    with pytest.raises(UsageError, match="looks at pictures, not at vectors"):
        predict(tmp_path, network.path, written(tmp_path, "v.npy", matrix(3)))


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        pytest.param({"runtime": "openvino"}, "leave out --runtime", id="runtime"),
        pytest.param({"clip_score": "mean"}, "--clip-score does nothing with vectors", id="clips"),
        pytest.param({"embedder": "colour-layout"}, "--embedder goes with pictures", id="embedder"),
        pytest.param({"vectors": "toy"}, "--vectors names vectors of the workspace", id="stored vectors"),
        pytest.param({"layout": "seed5"}, "--layout seed5 is that of a .json file", id="seed 5 as a table"),
    ],
)
def test_settings_that_do_nothing_are_refused(
    tmp_path: Path, laion: Path, settings: dict[str, Any], words: str
) -> None:
    with pytest.raises(UsageError, match=words):
        predict(tmp_path, laion, written(tmp_path, "v.npy", matrix(3)), **settings)


def test_the_input_is_not_overwritten_and_what_is_there_stays(tmp_path: Path, head: Saved) -> None:
    path = written(tmp_path, "v.npy", matrix(3))
    (tmp_path / "p.csv").write_text("mine")

    with pytest.raises(UsageError, match="--overwrite"):
        predict(tmp_path, head.path, path)
    predict(tmp_path, head.path, path, overwrite=True)

    assert len(rows(tmp_path)) == 3
    assert not list(tmp_path.glob("*.part"))


def test_limit_and_dry_run(tmp_path: Path, head: Saved) -> None:
    path = written(tmp_path, "v.npy", matrix(10))

    assert counts(predict(tmp_path, head.path, path, limit=4, batch_size=3)) == (4, 4, 0, 0)
    assert len(rows(tmp_path)) == 4
    settings = {"model": str(head.path), "paths": [str(path)], "output": tmp_path / "dry.csv"}
    assert run_stage("predict", tmp_path / "none", settings, dry_run=True).extra["n_todo"] == 10
    assert not (tmp_path / "dry.csv").exists()


def test_where_most_fail_it_stops_and_leaves_nothing(tmp_path: Path, head: Saved) -> None:
    path = written(tmp_path, "v.npy", np.zeros((40, N_DIMS), np.float32))

    with pytest.raises(DataError, match=r"40 of 40 vectors failed.*--max-failed-share"):
        predict(tmp_path, head.path, path)

    assert not list(tmp_path.glob("p.csv*"))
    assert counts(predict(tmp_path, head.path, path, max_failed_share=1.0)) == (40, 0, 0, 40)


class Impatient(Silent):
    """Presses Ctrl-C when the first block is done."""

    def advance(self, n_items: int, n_failed: int) -> None:
        signal.raise_signal(signal.SIGINT)


def test_interrupted_it_leaves_nothing(tmp_path: Path, head: Saved) -> None:
    path = written(tmp_path, "v.npy", matrix(10))
    settings = {"model": str(head.path), "paths": [str(path)], "output": tmp_path / "p.csv", "batch_size": 4}

    with pytest.raises(InterruptedRunError, match="nothing is written"):
        run_stage("predict", tmp_path / "none", settings, progress=Impatient())

    assert not list(tmp_path.glob("p.csv*"))


def test_a_head_with_a_projection_carries_it(tmp_path: Path) -> None:
    head = make_head_file(tmp_path / "models", projection_dims=4)
    vectors = matrix()
    np.save(tmp_path / "own.npy", read_tensors(head.path)["projection.weight"].numpy())
    np.save(tmp_path / "other.npy", np.eye(4, N_DIMS, dtype=np.float32))
    path = written(tmp_path, "v.npy", vectors)

    predict(tmp_path, head.path, path)
    predict(tmp_path, head.path, path, name="same.csv", projection=tmp_path / "own.npy")

    assert rows(tmp_path) == rows(tmp_path, "same.csv")
    scores = np.array([[float(one["prob_fox"]), float(one["prob_cat"])] for one in rows(tmp_path)])
    assert np.abs(scores - by_hand(head, vectors)).max() < 1e-6
    own = head.card.vectors.projection.fingerprint  # type: ignore[union-attr]
    with pytest.raises(DataError, match=f"made with the orthogonal projection {own} .*other.npy is [0-9a-f]{{16}}"):
        predict(tmp_path, head.path, path, name="x.csv", projection=tmp_path / "other.npy")


def test_a_projection_for_a_head_that_was_made_without_one_is_refused(tmp_path: Path, head: Saved) -> None:
    np.save(tmp_path / "other.npy", np.eye(4, N_DIMS, dtype=np.float32))

    with pytest.raises(UsageError, match="made without a projection"):
        predict(tmp_path, head.path, written(tmp_path, "v.npy", matrix()), projection=tmp_path / "other.npy")


def test_a_projection_that_was_changed_in_the_file_is_found(tmp_path: Path) -> None:
    """Even by somebody who writes a whole file again, with an id that fits."""
    head = make_head_file(tmp_path / "models", projection_dims=4)
    tensors = read_tensors(head.path)
    tensors["projection.weight"] = tensors["projection.weight"].flip(0)
    _, path, _ = save_model(tmp_path / "changed", head.card, tensors)
    vectors = written(tmp_path, "v.npy", matrix())

    own = head.card.vectors.projection.fingerprint  # type: ignore[union-attr]
    with pytest.raises(Exception, match=f"made with projection {own} .*, and in the file is projection") as caught:
        predict(tmp_path, path, vectors)
    assert getattr(caught.value, "exit_code", None) == 5


def test_a_foreign_head_can_be_given_the_projection_that_it_was_trained_behind(tmp_path: Path, laion: Path) -> None:
    """As seed 5's: vectors of the embedder, its projection, unit length, then the head."""
    projection = np.random.default_rng(1).normal(size=(N_DIMS, 20)).astype(np.float32)
    torch.save({"weight": torch.from_numpy(projection)}, tmp_path / "clip_projection.pt")
    np.save(tmp_path / "narrow.npy", projection[:3])
    vectors = matrix(10, 20)
    path = written(tmp_path, "v.npy", vectors)

    predict(tmp_path, laion, path, projection=tmp_path / "clip_projection.pt")

    expected = laion_scores(laion_tensors(), vectors @ projection.T)[:, 0]
    assert np.abs([float(one["prob_unsafe"]) for one in rows(tmp_path)] - expected).max() < 1e-5
    with pytest.raises(DataError, match="8 dimensions, and these have 20"):
        predict(tmp_path, laion, path, name="x.csv")
    with pytest.raises(DataError, match=r"head on 8 dimensions, and the projection in .*narrow\.npy gives 3"):
        predict(tmp_path, laion, path, name="x.csv", projection=tmp_path / "narrow.npy")


def test_it_can_be_written_as_seed_5_does(tmp_path: Path, laion: Path) -> None:
    vectors = matrix(30)
    path = written(tmp_path, "v.npy", vectors)

    predict(tmp_path, laion, path, name="p.json", layout="seed5", threshold=0.4)
    predict(tmp_path, laion, f"{path}#0", name="one.json", layout="seed5")

    expected = laion_scores(laion_tensors(), vectors)[:, 0]
    found = json.loads((tmp_path / "p.json").read_text())
    assert list(found) == ["summary", "predictions"]
    n_nsfw = int((expected >= 0.4).sum())
    assert found["summary"] == {
        "total": 30,
        "nsfw": n_nsfw,
        "sfw": 30 - n_nsfw,
        "avg_probability": pytest.approx(expected.mean(), abs=1e-5),
        "threshold": 0.4,
    }
    assert found["predictions"][3] == {
        "file": "v.npy#3",
        "name": "v#3",
        "nsfw_probability": pytest.approx(expected[3], abs=1e-5),
        "is_nsfw": bool(expected[3] >= 0.4),
        "classification": "nsfw" if expected[3] >= 0.4 else "sfw",
    }
    assert set(json.loads((tmp_path / "one.json").read_text())) == {
        *("nsfw_probability", "is_nsfw", "classification", "embedding_path", "threshold")
    }


def test_the_real_head_gives_laions_scores_of_real_vectors(tmp_path: Path, shared_data: Path) -> None:
    head = shared_data / "nsfw" / "clip_heads" / "clip_ViT-B-32_openai_binary_nsfw_head.pth"
    vectors = shared_data / "captions" / "flickr8k_clip_vitb32" / "image_embeddings.npy"
    with (shared_data / "nsfw" / "expected_scores_flickr8k_clip_vitb32.csv").open() as file:
        expected = [(row["row"], float(row["nsfw_probability"])) for row in csv.DictReader(file)]

    code, _, _ = mekiki("predict", head, vectors, "-o", tmp_path / "scores.csv")

    assert code == 0
    found = rows(tmp_path, "scores.csv")
    assert [one["row"] for one in found] == [row for row, _ in expected]
    assert max(abs(float(one["prob_unsafe"]) - score) for one, (_, score) in zip(found, expected, strict=True)) < 1e-5
    large = head.with_name("clip_ViT-L-14_openai_binary_nsfw_head.pth")
    with pytest.raises(DataError, match="768 dimensions, and these have 512"):
        predict(tmp_path, large, vectors, name="large.csv")
