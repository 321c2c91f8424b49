"""Looking at a workspace and deleting from it."""

from __future__ import annotations

from pathlib import Path

import pytest

from mekiki.api.verbs import run_stage
from mekiki.api.workspace import MIN_PREFIX, failures, forget, status
from mekiki.catalog.db import Catalog
from mekiki.errors import DataError, UsageError
from mekiki.stages.dedupe import DedupeSettings
from pictures import truncated_jpeg
from workspaces import ingest, query, run, tables, write_photo, write_text


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Three photos, of which two are the same picture, and a table of labels."""
    folder = tmp_path / "photos"
    for name, seed in (("a.jpg", 1), ("b.jpg", 1), ("c.jpg", 2)):
        write_photo(folder / name, seed)
    write_text(folder / "labels.csv", "filepath,label,site\na.jpg,fox,n\nc.jpg,unknown,s\n")
    return folder


def test_status_of_nothing_is_refused_and_makes_nothing(workspace: Path) -> None:
    with pytest.raises(UsageError, match=r"there is no workspace in .*start with mekiki ingest"):
        status(workspace)

    assert not workspace.exists()


def test_status_of_an_empty_folder_is_refused_and_leaves_it_empty(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no workspace"):
        status(tmp_path)

    assert list(tmp_path.iterdir()) == []


def test_status_of_an_empty_catalog_is_all_zero(workspace: Path) -> None:
    Catalog(workspace).close()

    counts = status(workspace)

    assert (counts["items"], counts["sources"], counts["labels"], counts["failures"]) == ({}, 0, {}, 0)
    assert counts["runs"] == []


def test_status_counts_what_there_is(workspace: Path, photos: Path) -> None:
    ingest(workspace, photos, labels=str(photos / "labels.csv"))
    (photos / "half.jpg").write_bytes(truncated_jpeg())
    ingest(workspace, photos)

    counts = status(workspace)

    assert counts["items"] == {"image": 2}
    assert counts["sources"] == 3
    assert counts["groups"] == {"site": 2}
    assert counts["labels"] == {"fox": 1, "unknown": 1}
    assert counts["failures"] == 1
    assert [one.path for one in failures(workspace)] == [str(photos / "half.jpg")]


def test_status_counts_an_item_once_however_many_say_so(workspace: Path, photos: Path) -> None:
    ingest(workspace, labels=str(photos / "labels.csv"))
    ingest(workspace, labels=str(photos / "labels.csv"), annotator="human:ann")

    assert status(workspace)["labels"] == {"fox": 1, "unknown": 1}


def test_an_item_that_somebody_is_unsure_of_is_not_unknown(workspace: Path, photos: Path) -> None:
    write_text(photos / "more.csv", "filepath,label\na.jpg,fox\nb.jpg,deer\n")  # the same bytes under two classes

    ingest(workspace, labels=str(photos / "more.csv"))

    assert status(workspace)["labels"] == {"deer": 0, "fox": 0, "unknown": 0}


def test_a_newer_workspace_and_a_file_that_is_none_are_refused(workspace: Path, tmp_path: Path) -> None:
    Catalog(workspace).close()
    query(workspace, "PRAGMA user_version = 99")
    write_text(tmp_path / "other" / "mekiki.db", "no catalog " * 100)

    with pytest.raises(DataError, match="newer mekiki"):
        status(workspace)
    with pytest.raises(DataError, match="is no mekiki catalog"):
        status(tmp_path / "other")


def test_forgetting_a_run_takes_its_rows_and_files_and_nothing_else(workspace: Path, photos: Path) -> None:
    ingest(workspace, photos)
    before = tables(workspace)
    run_id = run("dedupe", workspace).run_id
    folder = workspace / "runs" / run_id
    assert folder.is_dir()

    n_rows, n_files = forget(workspace, run_id[:MIN_PREFIX])

    assert (n_rows > 0, n_files > 0) == (True, True)
    assert not folder.exists()
    assert tables(workspace) == before


def test_forgetting_a_photo_by_its_path_keeps_the_file(
    workspace: Path, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ingest(workspace, photos)
    monkeypatch.chdir(photos)

    forget(workspace, "c.jpg")

    assert status(workspace)["items"] == {"image": 1}
    assert (photos / "c.jpg").exists()


def test_what_is_forgotten_can_be_ingested_again(workspace: Path, photos: Path) -> None:
    ingest(workspace, photos)
    before = query(workspace, "SELECT item_id FROM items ORDER BY 1")
    forget(workspace, str(photos / "c.jpg"))

    ingest(workspace, photos)

    assert query(workspace, "SELECT item_id FROM items ORDER BY 1") == before


@pytest.mark.parametrize(
    ("name", "message"),
    [
        pytest.param("", rf"no run or item begins with '' \(an id needs {MIN_PREFIX} digits\)", id="nothing"),
        pytest.param("f", rf"an id needs {MIN_PREFIX} digits", id="one digit"),
        pytest.param("zzzz", "no run or item begins with 'zzzz': mekiki status -v lists runs", id="no id"),
        pytest.param("gone.jpg", "no run or item begins with 'gone.jpg'.*items may be given by path", id="no path"),
    ],
)
def test_a_name_that_means_nothing_deletes_nothing(name: str, message: str, workspace: Path, photos: Path) -> None:
    write_photo(photos / "only.jpg", 3)
    ingest(workspace, photos / "only.jpg")
    before = tables(workspace)

    with pytest.raises(UsageError, match=message):
        forget(workspace, name)

    assert tables(workspace) == before


def test_a_prefix_of_two_things_deletes_neither(workspace: Path, photos: Path) -> None:
    ingest(workspace, photos)
    with Catalog(workspace) as catalog, catalog.transaction("ingest") as transaction:
        columns = ("item_id", "kind", "width_px", "height_px")
        transaction.upsert("items", columns, [("abcd1" + "0" * 27, "image", 1, 1), ("abcd2" + "0" * 27, "image", 1, 1)])
    before = tables(workspace)

    with pytest.raises(UsageError, match="more than one run or item begins with 'abcd'"):
        forget(workspace, "abcd")

    assert tables(workspace) == before
    assert forget(workspace, "abcd1") == (1, 0)


def test_forgetting_in_no_workspace_is_refused(workspace: Path) -> None:
    with pytest.raises(UsageError, match="there is no workspace"):
        forget(workspace, "abcd")


def test_a_stage_takes_its_own_settings_or_plain_values(workspace: Path, photos: Path) -> None:
    ingest(workspace, photos)

    assert run_stage("dedupe", workspace, DedupeSettings(max_distance=3)).n_written == 2
    assert run_stage("dedupe", workspace, {"max_distance": "3"}).n_skipped == 2
    with pytest.raises(UsageError, match="frames takes FramesSettings, got DedupeSettings"):
        run_stage("frames", workspace, DedupeSettings())
    with pytest.raises(UsageError, match=r"no stage is called 'dedup'. Did you mean 'dedupe'?"):
        run_stage("dedup", workspace)
