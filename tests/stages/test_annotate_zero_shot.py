"""``annotate --annotator zero-shot``: stored vectors are compared with words; no picture is opened."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from embedders import hf_folder, unit
from mekiki.catalog.db import Catalog
from mekiki.catalog.vectors import StoredVectors, require_vectors
from mekiki.errors import BackendError, DataError, UsageError
from mekiki.models.embed import EmbedderOpening, open_text_embedder
from mekiki.models.zero_shot import NEUTRAL
from mekiki.training.vector_space import VectorSpace
from vectors import store_vectors
from workspaces import counts, ingest, make_photos, query, reasons, run, write_photo

CLASSES = ("cat", "dog", "red")
TEMPLATES = ("a photo of {}", "the {}")
WORDS = {"annotator": "zero-shot", "classes": CLASSES, "templates": TEMPLATES, "scale": 20.0}


@pytest.fixture
def ready(tmp_path: Path) -> Path:
    """A workspace with the vectors of six photos, by a tiny CLIP."""
    workspace = make_photos(tmp_path / "ws", 6)
    run("embed", workspace, embedder=f"hf:{hf_folder(tmp_path / 'clip')}", device="cpu")
    return workspace


def states(workspace: Path) -> dict[tuple[str, str], str]:
    return {
        (item, name): state for item, name, state in query(workspace, "SELECT item_id, class_name, state FROM labels")
    }


def logits(workspace: Path, tmp_path: Path) -> tuple[list[str], np.ndarray]:
    """Return ids and ``(N, C + 1)`` scaled cosines with each class and with `NEUTRAL`, from first principles."""
    texts = open_text_embedder(EmbedderOpening(f"hf:{tmp_path / 'clip'}"))
    sentences = [[template.replace("{}", name) for template in TEMPLATES] for name in CLASSES]
    means = [unit(unit(texts.embed_texts(said)).mean(axis=0, keepdims=True))[0] for said in (*sentences, NEUTRAL)]
    with Catalog(workspace) as catalog:
        stored = StoredVectors(catalog, require_vectors(catalog))
        ids = stored.item_ids()
        return ids, 20.0 * unit(stored.read(ids)) @ np.stack(means).T


def test_the_nearest_class_is_present_if_it_is_sure_enough(ready: Path, tmp_path: Path) -> None:
    ids, scaled = logits(ready, tmp_path)
    likely = np.exp(scaled[:, :-1])
    likely /= likely.sum(axis=1, keepdims=True)
    limit = float(np.median(likely.max(axis=1)))

    summary = run("annotate", ready, **WORDS, min_confidence=limit)

    assert counts(summary) == (6, 6, 0, 0)
    told = summary.extra["annotation"]
    shown = query(ready, "SELECT class_name, count(*) FROM labels WHERE state = 'present' GROUP BY class_name")
    assert {name: n for name, n in told["classes"].items() if n} == dict(shown)
    assert sum(told["classes"].values()) + told["n_unknown"] == told["n_pictures"] == 6
    assert f"none of them in {told['n_unknown']}" in summary.notes[-1]
    found = states(ready)
    for item_id, row in zip(ids, likely, strict=True):
        for name, score in zip(CLASSES, row, strict=True):
            expected = "present" if score == row.max() and score >= limit - 1e-6 else "absent"
            assert found[item_id, name] == expected
    assert {one for (one,) in query(ready, "SELECT DISTINCT annotator FROM labels")} == {
        f"zero-shot:hf:{tmp_path / 'clip'}"
    }


def test_each_class_is_weighed_against_nothing_in_particular(ready: Path, tmp_path: Path) -> None:
    ids, scaled = logits(ready, tmp_path)

    run("annotate", ready, **WORDS, decide="each")

    expected = {
        (item_id, name): "present" if logit >= row[-1] else "absent"
        for item_id, row in zip(ids, scaled, strict=True)
        for name, logit in zip(CLASSES, row[:-1], strict=True)
    }
    assert states(ready) == expected
    assert len(set(expected.values())) == 2


def test_new_pictures_continue_the_run_once_they_have_vectors(ready: Path, tmp_path: Path) -> None:
    first = run("annotate", ready, **WORDS)
    ingest(ready, write_photo(ready / "in" / "new.jpg", 99))

    without = run("annotate", ready, **WORDS)
    run("embed", ready, embedder=f"hf:{tmp_path / 'clip'}", device="cpu")
    after = run("annotate", ready, **WORDS)

    assert without.run_id == after.run_id == first.run_id
    assert counts(without) == (7, 0, 6, 1)
    assert "mekiki embed" in reasons(without)["new.jpg"]
    assert counts(after) == (7, 1, 6, 0)


def test_the_best_of_a_single_class_is_refused(ready: Path) -> None:
    with pytest.raises(UsageError, match=r"best needs two classes or more: add --classes, or --decide each"):
        run("annotate", ready, **{**WORDS, "classes": ("cat",)})

    run("annotate", ready, **{**WORDS, "classes": ("cat",), "decide": "each"})


def test_other_words_are_another_run(ready: Path) -> None:
    first = run("annotate", ready, **WORDS)

    for change in ({"templates": ("a {}",)}, {"scale": 10.0}, {"decide": "each"}, {"classes": ("cat", "dog")}):
        assert run("annotate", ready, **{**WORDS, **change}).run_id != first.run_id


def test_words_of_other_weights_are_refused_with_both_names(ready: Path, tmp_path: Path) -> None:
    (tmp_path / "clip").rename(tmp_path / "old")
    hf_folder(tmp_path / "clip", seed=1)

    with pytest.raises(DataError, match=r"made for vectors of hf:.*and these are of hf:.*of other weights"):
        run("annotate", ready, **WORDS)


def test_an_embedder_without_words_is_refused(tmp_path: Path) -> None:
    workspace = make_photos(tmp_path / "ws", 2)
    run("embed", workspace, embedder="colour-layout")

    with pytest.raises(BackendError, match=r"colour-layout has no text side.*clip:.*hf:.*embed --embedder clip:"):
        run("annotate", workspace, **WORDS)


def test_vectors_that_nobody_named_an_embedder_of_are_refused_with_how_to_name_it(tmp_path: Path) -> None:
    workspace = make_photos(tmp_path / "ws", 2)
    ids = [item_id for (item_id,) in query(workspace, "SELECT item_id FROM items")]
    store_vectors(workspace, dict.fromkeys(ids, np.ones(4, np.float32)), VectorSpace(embedder="mine", n_dims=4))

    with pytest.raises(BackendError, match=r"imported, called 'mine'.*mekiki embed --embedder vectors:clip:"):
        run("annotate", workspace, **WORDS)


def test_words_of_other_weights_are_another_run_also_among_vectors_without_an_id(tmp_path: Path) -> None:
    workspace = make_photos(tmp_path / "ws", 2)
    ids = [item_id for (item_id,) in query(workspace, "SELECT item_id FROM items")]
    clip = hf_folder(tmp_path / "clip")
    space = VectorSpace(embedder=f"hf:{clip}", n_dims=16)  # as of imported vectors
    store_vectors(workspace, dict(zip(ids, np.eye(16, dtype=np.float32), strict=False)), space)
    first = run("annotate", workspace, **WORDS)
    again = run("annotate", workspace, **WORDS)
    clip.rename(tmp_path / "old")
    hf_folder(clip, seed=1)

    other = run("annotate", workspace, **WORDS)

    assert first.run_id == again.run_id != other.run_id


def test_weights_are_found_from_every_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    workspace = make_photos(tmp_path / "ws", 2)
    hf_folder(tmp_path / "clip")
    monkeypatch.chdir(tmp_path)
    run("embed", workspace, embedder="hf:clip", device="cpu")
    named = run("annotate", workspace, **{**WORDS, "annotator": "zero-shot:hf:clip"})
    monkeypatch.chdir("/")
    elsewhere = run("annotate", workspace, **WORDS)

    assert counts(named) == counts(elsewhere) == (2, 2, 0, 0)
    assert {one for (one,) in query(workspace, "SELECT DISTINCT annotator FROM labels")} == {
        f"zero-shot:hf:{tmp_path / 'clip'}"
    }


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        pytest.param({**WORDS, "templates": ("a photo",)}, r"a template needs \{\}", id="template"),
        pytest.param({**WORDS, "max_cost": 1.0}, "--max-cost is for --annotator vlm, not for zero-shot", id="cost"),
        pytest.param({"annotator": "import", "scale": 9.0}, "--scale is for --annotator zero-shot", id="scale"),
        pytest.param(
            {"annotator": "zero-shot:hf:elsewhere", "classes": CLASSES}, "embedder with vectors", id="embedder"
        ),
    ],
)
def test_what_means_nothing_is_refused(settings: dict[str, object], message: str, ready: Path) -> None:
    with pytest.raises(UsageError, match=message):
        run("annotate", ready, **settings)


def test_without_vectors_it_says_what_to_type(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="mekiki embed"):
        run("annotate", make_photos(tmp_path / "ws", 1), **WORDS)
