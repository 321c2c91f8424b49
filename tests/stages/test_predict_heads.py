"""Stage ``predict`` with heads: stored vectors of a workspace without a pixel, and pictures through their embedder."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from classifiers import Saved, make_ensemble, make_model, register
from head_files import laion_scores, laion_tensors, make_head_file
from mekiki.catalog.db import Catalog
from mekiki.catalog.decided import read_model
from mekiki.catalog.predictions import predict_runs, read_predictions
from mekiki.errors import DataError, UsageError
from mekiki.media.images import read_image
from mekiki.media.preprocessing import Preprocessing, at_hand
from mekiki.models.embed import EmbedderOpening, open_embedder, open_space
from mekiki.training.checkpoint import load_network, read_tensors
from mekiki.training.vector_space import VectorSpace
from planted import Planted, plant, some_truth
from vectors import space_of, store_vectors
from workspaces import counts, dump, make_photos, query, reasons, run, write_photo

torch.set_num_threads(1)

CLASSES = ("fox", "cat")
N_PHOTOS = 8
LAYOUT = EmbedderOpening("colour-layout")

NETWORK = """
import torch
from torch import nn


class Mean(nn.Module):
    def __init__(self, scale=1.0):
        super().__init__()
        self.map = nn.Linear(12, 6, bias=False)

    def forward(self, pictures):
        return self.map(nn.functional.adaptive_avg_pool2d(pictures, 2).flatten(1))
"""


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    return make_photos(tmp_path / "ws", N_PHOTOS)


def item_ids(workspace: Path) -> list[str]:
    return [row[0] for row in query(workspace, "SELECT item_id FROM items ORDER BY item_id")]


def random_vectors(ids: list[str], n_dims: int = 8, seed: int = 0) -> dict[str, np.ndarray]:
    chance = np.random.default_rng(seed)
    return {item_id: chance.normal(size=n_dims).astype(np.float32) for item_id in ids}


def by_hand(head: Saved, vectors: np.ndarray) -> np.ndarray:
    network = load_network(head.card, read_tensors(head.path), allow_code=False)
    with torch.inference_mode():
        return network(torch.from_numpy(vectors.astype(np.float32))).sigmoid().numpy()


def stored(workspace: Path, model: Saved) -> dict[str, np.ndarray]:
    with Catalog(workspace) as catalog:
        run_id = predict_runs(catalog, model.card.scores_id)[0]
        return read_predictions(catalog, run_id, model.card.class_names)


def predict(workspace: Path, model: Saved, **settings: Any) -> Any:
    return run("predict", workspace, model=model.card.name, **settings)


def test_stored_vectors_are_scored_and_no_pixel_is_read(workspace: Path) -> None:
    vectors = random_vectors(item_ids(workspace))
    run_id = store_vectors(workspace, vectors)
    head = register(workspace, make_head_file(workspace / "models"))
    shutil.rmtree(workspace / "in")

    summary = predict(workspace, head)

    assert counts(summary) == (N_PHOTOS, N_PHOTOS, 0, 0)
    assert summary.extra["vectors"] == run_id
    found = stored(workspace, head)
    for item_id, vector in vectors.items():
        assert np.abs(found[item_id] - by_hand(head, vector[None])[0]).max() < 1e-6


def test_a_second_time_nothing_is_done_and_no_other_table_is_touched(workspace: Path) -> None:
    store_vectors(workspace, random_vectors(item_ids(workspace)))
    head = register(workspace, make_head_file(workspace / "models"))
    before = dump(workspace)
    first = predict(workspace, head)
    rows = dump(workspace)

    second = predict(workspace, head)

    assert second.run_id == first.run_id
    assert counts(second) == (N_PHOTOS, 0, N_PHOTOS, 0)
    assert dump(workspace) == rows
    assert {name for name in rows if rows[name] != before[name]} <= {"predictions", "runs", "done"}


def test_pictures_without_a_vector_are_failures_that_say_what_to_type(workspace: Path) -> None:
    ids = item_ids(workspace)
    vectors = random_vectors(ids)
    store_vectors(workspace, {item_id: vectors[item_id] for item_id in ids[2:]})
    head = register(workspace, make_head_file(workspace / "models"))

    summary = predict(workspace, head)

    assert counts(summary) == (N_PHOTOS, N_PHOTOS - 2, 0, 2)
    assert set(reasons(summary).values()) == {"it has no vector yet: mekiki embed --embedder toy"}
    assert set(stored(workspace, head)) == set(ids[2:])


def test_vectors_of_its_own_embedder_are_taken_though_others_are_newer(workspace: Path) -> None:
    ids = item_ids(workspace)
    own = store_vectors(workspace, random_vectors(ids))
    store_vectors(workspace, random_vectors(ids, seed=1), space_of(8, "other", "ffffffffffffffff"))
    head = register(workspace, make_head_file(workspace / "models"))

    assert predict(workspace, head).extra["vectors"] == own


def test_a_head_scores_vectors_of_the_run_that_it_was_trained_on_else_of_its_precision(workspace: Path) -> None:
    ids = item_ids(workspace)
    exact, coarse, other = (
        store_vectors(workspace, random_vectors(ids, seed=seed), precision=precision)
        for seed, precision in enumerate(("fp32", "int8", "bf16"))
    )
    settings = ({"vectors": exact}, {"vectors": "forgotten", "vectors_precision": "int8"}, {"vectors_precision": "x"})
    heads = [
        register(workspace, make_head_file(workspace / "models", seed=seed, name=f"head-{seed}", settings=own))
        for seed, own in enumerate(settings)
    ]

    summaries = [predict(workspace, head) for head in heads]

    assert [summary.extra["vectors"] for summary in summaries] == [exact, coarse, other]  # the last: the latest
    warned = [[note for note in summary.notes if "was trained on those in" in note] for summary in summaries]
    assert warned == [[], [], ["these vectors are in bf16, and model 'head-2' was trained on those in x"]]
    assert any("in fp32" in note for note in predict(workspace, heads[1], vectors=exact).notes)


def test_scores_that_are_asked_for_again_are_the_latest(workspace: Path) -> None:
    ids = item_ids(workspace)
    runs = [
        store_vectors(workspace, random_vectors(ids, seed=seed), precision=precision)
        for seed, precision in enumerate(("fp32", "int8"))
    ]
    head = register(workspace, make_head_file(workspace / "models"))
    first, _, again = (predict(workspace, head, vectors=runs[which]) for which in (0, 1, 0))

    assert (again.run_id, again.n_written) == (first.run_id, 0)
    with Catalog(workspace) as catalog:
        assert predict_runs(catalog, head.card.scores_id)[0] == first.run_id


@pytest.mark.parametrize(
    ("space", "words"),
    [
        pytest.param(space_of(8, "other", "ffff0000ffff0000"), "of another embedder", id="another embedder"),
        pytest.param(space_of(8, "toy", "ffff0000ffff0000"), "of other weights", id="other weights"),
        pytest.param(space_of(5, "toy", "ffff0000ffff0000"), "of another length", id="another length"),
        pytest.param(
            VectorSpace(embedder="toy", embedder_id="ffff0000ffff0000", n_dims=8, preprocessing=Preprocessing()),
            "of the same embedder with other preprocessing",
            id="other preprocessing",
        ),
    ],
)
def test_others_are_refused_naming_both(workspace: Path, space: VectorSpace, words: str) -> None:
    ids = item_ids(workspace)
    run_id = store_vectors(workspace, random_vectors(ids, space.n_dims), space)
    head = register(workspace, make_head_file(workspace / "models"))

    for settings in ({}, {"vectors": run_id[:6]}, {"vectors": space.embedder}):
        with pytest.raises(DataError, match=words) as caught:
            predict(workspace, head, **settings)
        assert str(head.card.vectors) in str(caught.value)
        assert str(space) in str(caught.value)


def test_without_any_vectors_it_says_what_to_type(workspace: Path) -> None:
    head = register(workspace, make_head_file(workspace / "models"))

    with pytest.raises(DataError, match=r"there are no vectors.*mekiki embed"):
        predict(workspace, head)


def test_a_head_whose_embedder_nobody_knows_has_to_be_told_which_vectors(workspace: Path, tmp_path: Path) -> None:
    store_vectors(workspace, random_vectors(item_ids(workspace)))
    torch.save(laion_tensors(), tmp_path / "laion.pth")

    with pytest.raises(UsageError, match=r"nobody knows which embedder .* --vectors toy"):
        run("predict", workspace, model=str(tmp_path / "laion.pth"))
    summary = run("predict", workspace, model=str(tmp_path / "laion.pth"), vectors="toy")

    assert counts(summary) == (N_PHOTOS, N_PHOTOS, 0, 0)


def test_vectors_go_with_a_head_only(workspace: Path) -> None:
    network = register(workspace, make_model(workspace / "models"))

    with pytest.raises(UsageError, match="--vectors goes with a head"):
        predict(workspace, network, vectors="toy")


def test_an_ensemble_of_heads_looks_at_the_vectors_once(workspace: Path) -> None:
    vectors = random_vectors(item_ids(workspace))
    store_vectors(workspace, vectors)
    heads = [register(workspace, make_head_file(workspace / "models", seed=seed)) for seed in (0, 1)]
    both = register(workspace, make_ensemble(workspace / "models", heads, [1, 3]))

    summary = predict(workspace, both)

    assert counts(summary) == (N_PHOTOS, N_PHOTOS, 0, 0)
    for item_id, row in stored(workspace, both).items():
        first, second = (by_hand(head, vectors[item_id][None])[0] for head in heads)
        assert np.abs(row - (first + 3 * second) / 4).max() < 1e-6


def test_an_ensemble_of_a_head_and_a_network_joins_what_is_stored(workspace: Path) -> None:
    store_vectors(workspace, random_vectors(item_ids(workspace)))
    head = register(workspace, make_head_file(workspace / "models"))
    network = register(workspace, make_model(workspace / "models", class_names=CLASSES, name="pixels"))
    both = register(workspace, make_ensemble(workspace / "models", [head, network], [1, 1]))

    with pytest.raises(DataError, match="mekiki predict each of head-0, pixels first"):
        predict(workspace, both)
    predict(workspace, head)
    predict(workspace, network, device="cpu")
    summary = predict(workspace, both, device="cpu")

    assert counts(summary) == (N_PHOTOS, N_PHOTOS, 0, 0)
    first, second = stored(workspace, head), stored(workspace, network)
    for item_id, row in stored(workspace, both).items():
        assert np.abs(row - (first[item_id] + second[item_id]) / 2).max() < 1e-6


def test_heads_are_joined_tuned_and_measured_as_networks_are(tmp_path: Path) -> None:
    planted = plant(tmp_path / "ws", some_truth(120)[:, :2], classes=CLASSES)
    noise = np.random.default_rng(0).normal(size=(120, 8)) / 4
    noise[:, :2] += planted.truth
    store_vectors(planted.workspace, dict(zip(planted.item_ids, noise, strict=True)))
    heads = [
        register(planted.workspace, make_head_file(planted.workspace / "models", seed=seed, split={"run_id": "split0"}))
        for seed in (0, 1)
    ]
    for head in heads:
        predict(planted.workspace, head)

    run("ensemble", planted.workspace, models=["head-0", "head-1"], name="both", method="weighted")
    run("predict", planted.workspace, model="both")
    run("tune", planted.workspace, model="both")
    tuned = run("predict", planted.workspace, model="both-tuned")
    measured = run("evaluate", planted.workspace, models=["head-0", "both-tuned"])

    assert counts(tuned)[1] == 0  # its parent's scores are its own
    assert measured.extra["best_single"] == "head-0"


@pytest.fixture
def labelled(tmp_path: Path) -> Planted:
    """A workspace with one class, and vectors that a head of LAION's layout can be taken over for."""
    planted = plant(tmp_path / "ws", some_truth(60)[:, :1], classes=("unsafe",))
    store_vectors(planted.workspace, random_vectors(list(planted.item_ids)))
    torch.save(laion_tensors(), tmp_path / "laion.pth")
    return planted


def test_a_head_of_others_is_taken_over_with_the_vectors_that_are_named(labelled: Planted, tmp_path: Path) -> None:
    weights = tmp_path / "laion.pth"
    with pytest.raises(UsageError, match="nobody knows which embedder"):
        run("train", labelled.workspace, epochs=0, weights=weights)

    taken = run("train", labelled.workspace, epochs=0, weights=weights, vectors="toy", name="laion")
    predicted = run("predict", labelled.workspace, model="laion")

    with Catalog(labelled.workspace) as catalog:
        card = read_model(catalog, "laion").card
        found = read_predictions(catalog, predicted.run_id, ("unsafe",))
    assert taken.extra["metrics"].keys() == {"val_micro_f1", "val_macro_f1", "val_macro_ap"}
    assert card.vectors == space_of(8)
    assert card.settings["origins"] == [{"split": None, "part": ""}]  # nobody knows what it was trained on
    vectors = random_vectors(list(labelled.item_ids))
    expected = laion_scores(laion_tensors(), np.stack(list(vectors.values())))
    assert np.abs(np.stack([found[item_id] for item_id in vectors]) - expected).max() < 1e-5
    assert run("train", labelled.workspace, epochs=0, weights=weights, vectors="toy", name="laion").n_written == 0


def test_a_head_of_others_is_the_same_run_whatever_is_said_that_it_says_itself(
    labelled: Planted, tmp_path: Path
) -> None:
    settings = {"epochs": 0, "weights": tmp_path / "laion.pth"}
    plain = run("train", labelled.workspace, **settings, vectors="toy")

    for said in ({"vectors": plain.extra["vectors"]}, {"vectors": "toy", "activation": "sigmoid"}):
        assert run("train", labelled.workspace, **settings, **said).run_id == plain.run_id


def test_a_head_of_others_is_refused_where_too_few_items_have_a_vector(tmp_path: Path) -> None:
    planted = plant(tmp_path / "ws", some_truth(90)[:, :1], classes=("unsafe",))
    store_vectors(planted.workspace, random_vectors([planted.item_ids[row] for row in planted.rows("val")[:10]]))
    torch.save(laion_tensors(), tmp_path / "laion.pth")

    with pytest.raises(DataError, match=r"20 of 30 labelled items have no vector.* of toy\. Type: mekiki embed"):
        run("train", planted.workspace, epochs=0, weights=tmp_path / "laion.pth", vectors="toy")


def test_a_head_of_others_is_measured_anew_on_imported_vectors_that_have_changed(
    labelled: Planted, tmp_path: Path
) -> None:
    space = space_of(8, "theirs", "")
    store_vectors(labelled.workspace, random_vectors(labelled.item_ids), space)
    settings = {"epochs": 0, "weights": tmp_path / "laion.pth", "vectors": "theirs"}
    before = run("train", labelled.workspace, **settings)
    store_vectors(labelled.workspace, random_vectors(labelled.item_ids, seed=1), space)

    assert run("train", labelled.workspace, **settings).extra["metrics"] != before.extra["metrics"]


def test_a_network_on_pixels_is_not_taken_over_with_vectors(labelled: Planted, tmp_path: Path) -> None:
    network = make_model(tmp_path / "models", class_names=("unsafe",))

    with pytest.raises(UsageError, match="looks at pixels"):
        run("train", labelled.workspace, epochs=0, weights=network.path, vectors="toy")


def test_stored_scores_go_out_as_seed_5_writes_them(labelled: Planted) -> None:
    head = register(labelled.workspace, make_head_file(labelled.workspace / "models", class_names=("unsafe",)))
    with pytest.raises(DataError, match="has no scores here: mekiki predict head-0"):
        run("export", labelled.workspace, format="seed5", model="head-0")
    predict(labelled.workspace, head)

    summary = run("export", labelled.workspace, format="seed5", model="head-0")

    content = json.loads((labelled.workspace / summary.outputs["model"]).read_text())
    scores = stored(labelled.workspace, head)
    assert content["summary"]["total"] == 60
    assert content["summary"]["nsfw"] == sum(float(row[0]) >= 0.5 for row in scores.values())
    assert content["summary"]["avg_probability"] == pytest.approx(np.mean(list(scores.values())), abs=1e-5)
    first = content["predictions"][0]
    assert (first["file"], first["name"]) == ("0000.jpg", "0000")
    assert first["image_path"] == "/photos/0000.jpg"
    assert first["nsfw_probability"] == pytest.approx(scores[min(scores)][0], abs=1e-5)
    assert run("export", labelled.workspace, format="seed5", model="head-0").n_written == 0


def test_a_model_without_such_a_class_does_not_go_out_as_seed_5(workspace: Path) -> None:
    register(workspace, make_head_file(workspace / "models"))

    with pytest.raises(UsageError, match="seed 5's files are of one class, and the model has fox, cat"):
        run("export", workspace, format="seed5", model="head-0")


def layout_head(folder: Path, **settings: Any) -> Saved:
    return make_head_file(folder, open_space(LAYOUT), **settings)


def layout_vectors(paths: list[Path]) -> np.ndarray:
    embedder = open_embedder(LAYOUT)
    return embedder.embed([embedder.prepare(at_hand(read_image(path))) for path in paths])


def read_scores(path: Path) -> np.ndarray:
    with path.open(encoding="utf-8-sig", newline="") as file:
        return np.array([[float(row["prob_fox"]), float(row["prob_cat"])] for row in csv.DictReader(file)])


def given(tmp_path: Path, model: Path, *paths: Path, **settings: Any) -> Any:
    settings = {"output": tmp_path / "p.csv", "overwrite": True, **settings}
    return run("predict", tmp_path / "none", model=str(model), paths=[str(path) for path in paths], **settings)


def test_pictures_go_through_the_heads_own_embedder(tmp_path: Path) -> None:
    head = layout_head(tmp_path / "models")
    photos = [write_photo(tmp_path / "in" / f"{seed}.jpg", seed) for seed in range(5)]
    (tmp_path / "in" / "broken.jpg").write_bytes(b"\xff\xd8\xff")

    summary = given(tmp_path, head.path, tmp_path / "in")

    assert counts(summary) == (6, 5, 0, 1)
    assert np.abs(read_scores(tmp_path / "p.csv") - by_hand(head, layout_vectors(photos))).max() < 1e-4


def test_pictures_get_the_same_scores_as_their_stored_vectors(tmp_path: Path, workspace: Path) -> None:
    head = register(workspace, layout_head(workspace / "models"))
    ids = {Path(path).name: item_id for path, item_id in query(workspace, "SELECT path, item_id FROM sources")}
    photos = sorted((workspace / "in").iterdir())
    vectors = layout_vectors(photos)
    store_vectors(
        workspace, {ids[path.name]: vector for path, vector in zip(photos, vectors, strict=True)}, open_space(LAYOUT)
    )

    predict(workspace, head)
    given(tmp_path, head.path, *photos)

    found = stored(workspace, head)
    assert np.abs(read_scores(tmp_path / "p.csv") - np.stack([found[ids[path.name]] for path in photos])).max() < 1e-4


def test_a_single_picture_is_answered_in_words_also_as_seed_5(tmp_path: Path) -> None:
    head = layout_head(tmp_path / "models", class_names=("unsafe",), settings={"negative": "safe"})
    photo = write_photo(tmp_path / "a.jpg", 3)
    score = by_hand(head, layout_vectors([photo]))[0, 0]

    notes = given(tmp_path, head.path, photo, threshold=0.0).notes
    other = given(tmp_path, head.path, photo, threshold=1.0, layout="seed5", output=tmp_path / "p.json").notes

    assert notes == [f"{photo}: unsafe (probability of unsafe {score:.4f}, threshold 0)"]
    assert other == [f"{photo}: safe (probability of unsafe {score:.4f}, threshold 1)"]
    assert '"image_path"' in (tmp_path / "p.json").read_text()


def test_another_embedder_is_refused_naming_both(tmp_path: Path) -> None:
    head = make_head_file(tmp_path / "models", space_of(open_space(LAYOUT).n_dims, "clip:ViT-B-32/openai"))
    photo = write_photo(tmp_path / "a.jpg", 3)

    with pytest.raises(DataError, match=r"clip:ViT-B-32/openai \(.*colour-layout \(.*of another embedder"):
        given(tmp_path, head.path, photo, embedder="colour-layout")


def test_a_head_whose_embedder_nobody_knows_has_to_be_told_it(tmp_path: Path) -> None:
    n_dims = open_space(LAYOUT).n_dims
    torch.save(laion_tensors(n_dims), tmp_path / "laion.pth")
    photo = write_photo(tmp_path / "a.jpg", 3)

    with pytest.raises(UsageError, match=f"nobody knows .* {n_dims} dimensions: say it, as with --embedder"):
        given(tmp_path, tmp_path / "laion.pth", photo)
    summary = given(tmp_path, tmp_path / "laion.pth", photo, embedder="colour-layout")

    assert counts(summary) == (1, 1, 0, 0)
    torch.save(laion_tensors(8), tmp_path / "short.pth")
    with pytest.raises(DataError, match=f"8 dimensions.*{n_dims} dimensions.*of another length"):
        given(tmp_path, tmp_path / "short.pth", photo, embedder="colour-layout")


@pytest.fixture
def own(tmp_path: Path) -> tuple[Saved, Path]:
    """A head on vectors of a network of the user's, and that network's weights."""
    (tmp_path / "net.py").write_text(NETWORK)
    torch.manual_seed(0)
    torch.save({"map.weight": torch.randn(6, 12)}, tmp_path / "net.pt")
    opening = EmbedderOpening(
        f"python:{tmp_path / 'net.py'}:Mean", weights=tmp_path / "net.pt", allow_code=True, image_size=32
    )
    return make_head_file(tmp_path / "models", open_space(opening)), tmp_path / "net.pt"


def test_a_network_of_the_users_is_opened_as_the_head_knows_it(tmp_path: Path, own: tuple[Saved, Path]) -> None:
    head, weights = own
    photo = write_photo(tmp_path / "a.jpg", 3)

    with pytest.raises(UsageError, match="allow-code"):
        given(tmp_path, head.path, photo, weights=weights)
    summary = given(tmp_path, head.path, photo, weights=weights, allow_code=True)

    assert counts(summary) == (1, 1, 0, 0)


def test_other_weights_and_other_preprocessing_are_refused(tmp_path: Path, own: tuple[Saved, Path]) -> None:
    head, weights = own
    photo = write_photo(tmp_path / "a.jpg", 3)
    torch.save({"map.weight": torch.randn(6, 12)}, tmp_path / "other.pt")

    with pytest.raises(DataError, match="of other weights"):
        given(tmp_path, head.path, photo, weights=tmp_path / "other.pt", allow_code=True)
    with pytest.raises(DataError, match="with other preprocessing"):
        given(tmp_path, head.path, photo, weights=weights, allow_code=True, image_size=48)


def test_an_ensemble_of_a_head_and_a_network_scores_pictures(tmp_path: Path) -> None:
    head = layout_head(tmp_path / "models")
    network = make_model(tmp_path / "models", class_names=CLASSES)
    both = make_ensemble(tmp_path / "models", [head, network], [3, 1])
    photos = [write_photo(tmp_path / "in" / f"{seed}.jpg", seed) for seed in range(3)]

    found = []
    for model in (head, network, both):
        given(tmp_path, model.path, *photos, device="cpu")
        found.append(read_scores(tmp_path / "p.csv"))

    assert np.abs(found[2] - (3 * found[0] + found[1]) / 4).max() < 2e-6


def test_an_embedder_goes_with_a_head_only(tmp_path: Path) -> None:
    network = make_model(tmp_path / "models")

    with pytest.raises(UsageError, match="--embedder goes with a head"):
        given(tmp_path, network.path, write_photo(tmp_path / "a.jpg", 3), embedder="colour-layout")


def test_a_clip_is_summed_up_from_its_frames(tmp_path: Path) -> None:
    from videos import Recipe, make_video

    head = layout_head(tmp_path / "models")
    clip = make_video(tmp_path / "clip.mp4", Recipe(n_frames=21))

    summary = given(tmp_path, head.path, clip, every_n_frames=10)

    assert counts(summary) == (1, 1, 0, 0)
    scores = read_scores(tmp_path / "p.csv")
    assert np.allclose(scores[-1], scores[:-1].max(axis=0))
