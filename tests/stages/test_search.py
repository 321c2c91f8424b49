"""Stage ``search``: items, pictures and words as queries; what it shows, writes, refuses, and leaves alone."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from clouds import clusters, directions, turned
from embedders import own_model, python_opening
from mekiki.catalog.db import Catalog
from mekiki.catalog.vector_search import VectorSearch, names_of_items
from mekiki.catalog.vectors import require_vectors
from mekiki.engine.queries import QueryVectors, opening_of, read_query
from mekiki.errors import BackendError, DataError, UsageError
from mekiki.models.embed import EmbedderOpening, open_embedder
from vectors import space_of, store_vectors
from workspaces import counts, dump, file_hashes, ingest, make_photos, query, run, scene, write_photo


def item_ids(workspace: Path) -> list[str]:
    """Ids of the photos in the order of their names."""
    return [row[0] for row in query(workspace, "SELECT item_id FROM sources ORDER BY path")]


def found_files(summary, number: int = 0) -> list[str]:
    return [Path(one["path"]).name for one in summary.extra["results"][number]["nearest"]]


@pytest.fixture
def photos(workspace: Path) -> Path:
    """Eight photos with vectors; 03 is near 00, and 05 points away from it."""
    make_photos(workspace, 8)
    vectors = directions(0, 8, 32)
    vectors[3], vectors[5] = turned(vectors[:1], 0.98)[0] * 9, -vectors[0]
    store_vectors(workspace, dict(zip(item_ids(workspace), vectors, strict=True)))
    return workspace


@pytest.fixture
def embedded(workspace: Path) -> Path:
    """Six photos with the vectors that a real embedder without weights gives them."""
    make_photos(workspace, 6)
    embedder = open_embedder(EmbedderOpening("colour-layout"))
    given = embedder.embed([embedder.prepare(lambda _px, n=n: scene(n)) for n in range(6)])
    store_vectors(workspace, dict(zip(item_ids(workspace), given, strict=True)), embedder.space)
    return workspace


def test_an_item_finds_itself_then_what_is_near_it(photos: Path) -> None:
    first = item_ids(photos)[0]

    summary = run("search", photos, queries=[first], k=3)

    nearest = summary.extra["results"][0]["nearest"]
    assert found_files(summary)[:2] == ["00.jpg", "03.jpg"]
    assert [one["rank"] for one in nearest] == [1, 2, 3]
    assert nearest[0]["item_id"] == first
    np.testing.assert_allclose([one["cosine"] for one in nearest[:2]], [1, 0.98], atol=1e-5)
    assert counts(summary) == (1, 1, 0, 0)
    assert summary.n_rows == 3
    assert (summary.extra["embedder"], summary.extra["k"], summary.outputs) == ("toy", 3, {})


def test_one_query_is_shown_as_a_table(photos: Path) -> None:
    first = item_ids(photos)[0]

    notes = run("search", photos, queries=[first[:8]], k=2).notes

    assert notes[0] == f"nearest to {first[:8]}:"
    assert notes[1].split() == ["1", "1.0000", first, str(photos / "in" / "00.jpg")]
    assert notes[2].split()[:2] == ["2", "0.9800"]
    assert notes[3] == "compared with all 8 vectors"


def test_more_than_there_are_gives_all_in_order(photos: Path) -> None:
    summary = run("search", photos, queries=[item_ids(photos)[0]], k=50)

    cosines = [one["cosine"] for one in summary.extra["results"][0]["nearest"]]
    assert len(cosines) == 8
    assert cosines == sorted(cosines, reverse=True)
    assert found_files(summary)[-1] == "05.jpg"
    assert cosines[-1] == pytest.approx(-1, abs=1e-5)


def test_equal_cosines_stand_in_the_order_of_ids(workspace: Path) -> None:
    make_photos(workspace, 6)
    ids = item_ids(workspace)
    store_vectors(workspace, dict.fromkeys(ids, directions(0, 1, 16)[0]))

    summary = run("search", workspace, queries=[ids[4]], k=4)

    assert [one["item_id"] for one in summary.extra["results"][0]["nearest"]] == sorted(ids)[:4]


def test_vectors_of_zeros_are_never_found_even_where_the_rest_is_far(workspace: Path) -> None:
    make_photos(workspace, 12)
    ids = item_ids(workspace)
    vectors = np.zeros((12, 8), np.float32)
    vectors[0], vectors[1], vectors[2] = np.eye(8)[0], np.eye(8)[1], -np.eye(8)[0]
    store_vectors(workspace, dict(zip(ids, vectors, strict=True)))

    summary = run("search", workspace, queries=[ids[0]], k=3)

    assert found_files(summary) == ["00.jpg", "01.jpg", "02.jpg"]
    failed = run("search", workspace, queries=[ids[5]])
    assert counts(failed) == (1, 0, 0, 1)
    assert "all zeros" in failed.failures[0].reason


def test_several_queries_go_to_a_file_in_the_current_folder(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    ids = item_ids(photos)

    summary = run("search", photos, queries=[ids[0], ids[5][:10]], k=2)

    with (tmp_path / "search.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["query", "rank", "item_id", "path", "cosine"]
    assert [(row["query"], row["rank"]) for row in rows] == [
        (ids[0], "1"), (ids[0], "2"), (ids[5][:10], "1"), (ids[5][:10], "2")
    ]  # fmt: skip
    assert rows[0]["path"] == str(photos / "in" / "00.jpg")
    assert float(rows[1]["cosine"]) == pytest.approx(0.98, abs=1e-5)
    assert summary.outputs == {"results": str(tmp_path / "search.csv")}
    with pytest.raises(UsageError, match=r"search\.csv exists: give another file with -o FILE, or --overwrite"):
        run("search", photos, queries=ids[:2])
    run("search", photos, queries=ids[:3], overwrite=True)


def test_a_json_file_has_all_that_the_summary_has(photos: Path, tmp_path: Path) -> None:
    ids = item_ids(photos)

    summary = run("search", photos, queries=[ids[0]], output=tmp_path / "found.json")

    content = json.loads((tmp_path / "found.json").read_text())
    assert content["results"] == summary.extra["results"]
    assert (content["embedder"], content["k"]) == ("toy", 10)


def test_searching_writes_nothing_into_the_workspace(photos: Path, tmp_path: Path) -> None:
    before = dump(photos), file_hashes(photos)

    run("search", photos, queries=item_ids(photos)[:2], output=tmp_path / "a.csv")
    planned = run("search", photos, queries=item_ids(photos)[:1])

    assert (dump(photos), file_hashes(photos)) == before
    assert planned.run_id == ""


def test_a_picture_of_the_workspace_needs_no_embedder_wherever_its_file_lies(photos: Path, tmp_path: Path) -> None:
    copy = tmp_path / "elsewhere.bin"
    copy.write_bytes((photos / "in" / "00.jpg").read_bytes())

    summary = run("search", photos, queries=[str(copy)], k=2)

    assert found_files(summary) == ["00.jpg", "03.jpg"]
    assert summary.extra["results"][0]["kind"] == "image"


def test_a_new_picture_is_embedded_by_the_runs_own_embedder(embedded: Path, tmp_path: Path) -> None:
    picture = scene(4).astype(int) + 3
    from PIL import Image as PillowImage

    path = tmp_path / "new.png"
    PillowImage.fromarray(np.clip(picture, 0, 255).astype(np.uint8)).save(path)

    summary = run("search", embedded, queries=[str(path)], k=3)

    assert found_files(summary)[0] == "04.jpg"
    assert 0.9 < summary.extra["results"][0]["nearest"][0]["cosine"] < 1.0


def test_a_broken_picture_is_a_failure_and_the_others_are_found(embedded: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"\xff\xd8\xff\xe0 no picture")
    queries = [str(broken), item_ids(embedded)[0]]

    summary = run("search", embedded, queries=queries, output=tmp_path / "out.csv")

    assert counts(summary) == (2, 1, 0, 1)
    assert {Path(one.path).name for one in summary.failures} == {"broken.jpg"}
    assert [one["query"] for one in summary.extra["results"]] == [item_ids(embedded)[0]]


def test_another_embedder_under_the_same_name_is_refused_naming_both(workspace: Path, tmp_path: Path) -> None:
    make_photos(workspace, 2)
    real = open_embedder(EmbedderOpening("colour-layout")).space
    other = real.model_copy(update={"embedder_id": "feedfeedfeedfeed"})
    vectors = directions(0, 2, real.n_dims)
    run_id = store_vectors(workspace, dict(zip(item_ids(workspace), vectors, strict=True)), other)

    with pytest.raises(DataError) as refused:
        run("search", workspace, queries=[str(write_photo(tmp_path / "new.jpg", 99))])

    assert "feedfeed" in str(refused.value)
    assert real.embedder_id[:8] in str(refused.value)
    assert run_id in str(refused.value)


def test_words_need_an_embedder_with_a_text_side(embedded: Path) -> None:
    with pytest.raises(BackendError, match=r"has no text side.*All clip:.*hf:.*Type: mekiki embed --embedder clip:"):
        run("search", embedded, queries=["a red fox"])


@pytest.mark.parametrize("what", ["words", "a picture"])
def test_vectors_that_somebody_else_made_answer_only_with_themselves(photos: Path, tmp_path: Path, what: str) -> None:
    given = "a red fox" if what == "words" else str(write_photo(tmp_path / "new.jpg", 99))

    with pytest.raises(BackendError, match=r"vectors .*imported.*embed"):
        run("search", photos, queries=[given])


@pytest.fixture
def network(tmp_path: Path) -> dict[str, Any]:
    """A workspace whose pictures were embedded with files that were named as the folder of the user's has them."""
    pytest.importorskip("torch")
    opening = python_opening(tmp_path / "code", name="Embeds")
    assert opening.weights is not None
    names = {"embedder": "python:code/nets.py:Embeds", "weights": Path("code") / opening.weights.name}
    return {**names, "allow_code": True, "image_size": 32, "runtime": "torch", "device": "cpu"}


def test_what_was_embedded_with_relative_paths_is_searched_from_every_folder(
    workspace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, network: dict[str, Any]
) -> None:
    make_photos(workspace, 6)
    monkeypatch.chdir(tmp_path)
    embedded = run("embed", workspace, **network)
    path = str(write_photo(tmp_path / "new.jpg", 99))
    here = run("search", workspace, queries=[path], allow_code=True, vectors=network["embedder"])
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    there = run("search", workspace, queries=[path], allow_code=True)
    absolute = {"embedder": f"python:{tmp_path}/code/nets.py:Embeds", "weights": tmp_path / network["weights"]}

    assert found_files(here) == found_files(there)
    assert run("embed", workspace, **{**network, **absolute}).run_id == embedded.run_id


def test_weights_that_were_moved_are_found_if_the_user_says_where(
    workspace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, network: dict[str, Any]
) -> None:
    make_photos(workspace, 3)
    monkeypatch.chdir(tmp_path)
    run("embed", workspace, **network)
    moved = network["weights"].rename(tmp_path / "moved.pth")
    given = {"queries": [str(write_photo(tmp_path / "new.jpg", 99))], "allow_code": True}

    with pytest.raises(BackendError, match=r"no weights can be read from .*Embeds0\.pth.*--weights FILE"):
        run("search", workspace, **given)
    assert counts(run("search", workspace, **given, weights=moved)) == (1, 1, 0, 0)


def test_the_vectors_of_a_model_of_the_workspace_are_searched_with_its_file(workspace: Path, tmp_path: Path) -> None:
    pytest.importorskip("torch")
    make_photos(workspace, 3)
    model = own_model(workspace / "models")
    run("embed", workspace, embedder=f"torch:{model}", device="cpu")
    stored = json.loads(query(workspace, "SELECT settings FROM runs WHERE stage = 'embed'")[0][0])

    found = run("search", workspace, queries=[str(write_photo(tmp_path / "new.jpg", 99))])

    assert stored["weights"] == str(model.relative_to(workspace))
    assert counts(found) == (1, 1, 0, 0)


class Words:
    """Places every text at the vector of one picture."""

    def __init__(self, vector) -> None:
        self.space = space_of(32)
        self._vector = vector

    def embed_texts(self, texts):
        return np.stack([self._vector * 5] * len(texts))


def test_words_are_searched_where_their_embedder_places_them(photos: Path) -> None:
    with Catalog(photos) as catalog:
        stored = require_vectors(catalog)
        looked_in = VectorSearch(catalog, stored)
        seventh = looked_in.vector_of(item_ids(photos)[7])
        opening = opening_of(catalog, stored, {})
        vectors = QueryVectors(catalog, stored, looked_in, opening, open_words=lambda _opening: Words(seventh))

        found = looked_in.nearest(vectors.of(read_query(catalog, "a red fox"))[None], 2)[0]
        names = names_of_items(catalog, [item_id for item_id, _ in found])

    assert opening.name == "vectors:toy"
    assert Path(names[found[0][0]]).name == "07.jpg"
    assert found[0][1] == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize(
    ("queries", "error", "message"),
    [
        pytest.param([], UsageError, "there is no query: give an item's id", id="none"),
        pytest.param([" "], UsageError, "a query is empty", id="empty"),
        pytest.param(["0123456789abcdef"], UsageError, "no item begins with '0123456789abcdef'", id="no such item"),
        pytest.param(["."], UsageError, r"\. is a folder: search takes pictures", id="folder"),
        pytest.param(["nofile.jpg"], UsageError, r"there is no file nofile\.jpg: check the path", id="no such file"),
        pytest.param(["mine.npy"], UsageError, r"mine\.npy holds vectors, which are no queries", id="vectors"),
    ],
)
def test_a_bad_query_says_what_would_be_right(photos: Path, queries, error, message) -> None:
    with pytest.raises(error, match=message):
        run("search", photos, queries=queries)


def test_a_beginning_of_an_id_that_is_too_short_says_so_and_words_stay_words(photos: Path) -> None:
    short = next(one[:n] for one in item_ids(photos) for n in (4, 5, 6, 7) if any(map(str.isdigit, one[:n])))

    with pytest.raises(UsageError, match=f"{short!r} begins an item's id, of which 8 digits or more"):
        run("search", photos, queries=[short])
    with Catalog(photos) as catalog:
        assert [read_query(catalog, words).kind for words in ("face", "a 1234", "2024")] == ["text"] * 3


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        pytest.param({"output": "found.txt"}, r"\.csv or a \.json file, got found.txt", id="ending"),
        pytest.param({"overwrite": True}, "--overwrite goes with -o FILE", id="nothing to overwrite"),
        pytest.param({"k": 0}, "k: input should be greater than or equal to 1", id="no neighbours"),
        pytest.param({"vectors": "tou"}, "no embedder with vectors is called 'tou'. Did you mean 'toy'", id="run"),
    ],
)
def test_a_wrong_setting_says_what_would_be_right(photos: Path, settings, message) -> None:
    with pytest.raises(UsageError, match=message):
        run("search", photos, queries=[item_ids(photos)[0]], **settings)


def test_an_item_without_a_vector_says_what_to_type(photos: Path) -> None:
    ingest(photos, write_photo(photos / "in" / "new.jpg", 50))
    new = query(photos, "SELECT item_id FROM sources WHERE path LIKE '%new.jpg'")[0][0]

    with pytest.raises(DataError, match=f"item {new} has no vector of toy .*: mekiki embed -w {photos}"):
        run("search", photos, queries=[new])


def test_a_workspace_without_vectors_says_what_to_type(workspace: Path) -> None:
    make_photos(workspace, 1)

    with pytest.raises(DataError, match=r"there are no vectors in .*: mekiki embed"):
        run("search", workspace, queries=[item_ids(workspace)[0]])


def test_formulas_are_not_run_by_a_spreadsheet(photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "=1+1.jpg").write_bytes((photos / "in" / "00.jpg").read_bytes())

    run("search", photos, queries=["=1+1.jpg", item_ids(photos)[0]], k=1)

    text = (tmp_path / "search.csv").read_text()
    assert "\n./=1+1.jpg,1," in text.replace("\r", "")


class Said:
    def __init__(self) -> None:
        self.lines: list[str] = []

    def __call__(self, line: str) -> None:
        self.lines.append(line)


def test_many_vectors_are_searched_through_an_index_that_is_built_once(workspace: Path) -> None:
    pytest.importorskip("faiss", reason="faiss-cpu is not installed")
    vectors = clusters(3000, 30, n_dims=32)
    ids = [f"{number:032x}" for number in range(3000)]
    run_id = store_vectors(workspace, dict(zip(ids, vectors, strict=True)))
    said = Said()

    def look(say) -> tuple[list, str, list[str]]:
        with Catalog(workspace) as catalog:
            looked_in = VectorSearch(catalog, require_vectors(catalog), index_from=1000)
            index, note = looked_in.open_index(say)
            exact, indexed = (looked_in.nearest(vectors[:50], 5, one) for one in (None, index))
            shared = [len({one[0] for one in a} & {one[0] for one in b}) for a, b in zip(exact, indexed, strict=True)]
        return shared, note, sorted(path.name for path in (workspace / "vectors" / run_id).glob("index-*"))

    shared, note, files = look(said)
    again = look(said)

    assert np.mean(shared) >= 0.95 * 5
    assert "through an index of 3,000 vectors" in note
    assert said.lines == ["building an index of 3,000 vectors, once"]
    assert again == (shared, note, files)
    assert len(files) == 2
    store_vectors(workspace, {"f" * 32: vectors[0]})
    assert look(said)[2] != files
    assert (len(said.lines), len(look(said)[2])) == (2, 2)  # the old one is gone
    with Catalog(workspace) as catalog:
        looked_in = VectorSearch(catalog, require_vectors(catalog), index_from=1000)
        assert looked_in.open_index(said, is_wanted=False) == (None, "compared with all 3,001 vectors")


def test_a_damaged_index_is_built_again_with_a_note(workspace: Path) -> None:
    pytest.importorskip("faiss", reason="faiss-cpu is not installed")
    ids = [f"{number:032x}" for number in range(300)]
    run_id = store_vectors(workspace, dict(zip(ids, clusters(300, 5, n_dims=8), strict=True)))

    def look() -> tuple[list[str], list[list[tuple[str, float]]]]:
        said = Said()
        with Catalog(workspace) as catalog:
            looked_in = VectorSearch(catalog, require_vectors(catalog), index_from=100)
            index, _ = looked_in.open_index(said)
            assert index is not None
            return said.lines, looked_in.nearest(clusters(300, 5, n_dims=8)[:5], 5, index)

    _, answers = look()
    (path,) = (workspace / "vectors" / run_id).glob("index-*.faiss")
    path.write_bytes(b"\xff" * path.stat().st_size)

    said, again = look()

    assert "the index is left unused" in said[0]
    assert said[1] == "building an index of 300 vectors, once"
    assert again == answers
    assert look()[0] == []


def test_what_is_forgotten_does_not_stay_in_an_index(workspace: Path) -> None:
    pytest.importorskip("faiss", reason="faiss-cpu is not installed")
    from mekiki.api.workspace import forget

    make_photos(workspace, 5)
    run_id = store_vectors(workspace, dict(zip(item_ids(workspace), directions(0, 5, 8), strict=True)))
    with Catalog(workspace) as catalog:
        VectorSearch(catalog, require_vectors(catalog), index_from=1).open_index(Said())
    assert list((workspace / "vectors" / run_id).glob("index-*"))

    forget(workspace, item_ids(workspace)[0])

    assert not list((workspace / "vectors" / run_id).glob("index-*"))


def test_real_pictures_find_themselves(workspace: Path, shared_data: Path) -> None:
    folder = shared_data / "captions" / "flickr8k_clip_vitb32"
    vectors = np.load(folder / "image_embeddings.npy").astype(np.float32)
    ids = [f"{number:032x}" for number in range(len(vectors))]
    store_vectors(workspace, dict(zip(ids, vectors, strict=True)))

    with Catalog(workspace) as catalog:
        looked_in = VectorSearch(catalog, require_vectors(catalog))
        found = looked_in.nearest(np.stack([looked_in.vector_of(one) for one in ids]), 1)

    assert all(one[0][0] == item_id or one[0][1] > 0.999 for item_id, one in zip(ids, found, strict=True))
