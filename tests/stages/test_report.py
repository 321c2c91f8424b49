"""Stage ``report``: one page, written once, and never over anybody's file."""

from __future__ import annotations

import base64
import io
import re
from html import unescape
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mekiki.cli.main import main
from mekiki.errors import DataError, UsageError
from model_runs import evaluation, leave, mistakes
from workspaces import ingest, run, write_photo


@pytest.fixture
def filled(workspace: Path, tmp_path: Path) -> Path:
    for number in range(6):
        write_photo(tmp_path / "photos" / f"IMG_{number}.jpg", number)
    (tmp_path / "photos" / "broken.jpg").write_bytes(b"<script>alert(1)</script>")
    write_photo(tmp_path / "photos" / "copy.jpg", 0)
    table = tmp_path / "photos" / "labels.csv"
    table.write_text("filepath,label\n" + "".join(f"IMG_{n}.jpg,{'タヌキ' if n % 2 else 'テン'}\n" for n in range(6)))
    ingest(workspace, tmp_path / "photos", labels=[table])
    run("dedupe", workspace)
    return workspace


def page(workspace: Path) -> str:
    return (workspace / "reports" / "report.html").read_text()


def test_the_page_tells_classes_duplicates_and_failures_and_asks_for_nothing(filled: Path) -> None:
    summary = run("report", filled)

    text = page(filled)
    assert summary.outputs["report"] == "reports/report.html"
    for told in ("タヌキ", "テン", "copy.jpg", "broken.jpg", "wrongly named"):
        assert told in text
    assert not re.search(r"""(src|href)=["'](?!data:|#)""", text)
    assert "<script" not in text


def test_every_named_split_has_its_certificate_on_the_page(filled: Path) -> None:
    run("split", filled, shares={"a": 0.5, "b": 0.5}, name="halves")
    run("split", filled, folds=2, name="twofold")

    run("report", filled)

    assert "Split “halves”" in page(filled)
    assert "Split “twofold”" in page(filled)


def test_nothing_is_written_again_until_something_changes(filled: Path, tmp_path: Path) -> None:
    run("report", filled)
    assert run("report", filled).n_written == 0

    write_photo(tmp_path / "photos" / "more.jpg", 77)
    ingest(filled, tmp_path / "photos" / "more.jpg")

    assert run("report", filled).n_written > 0
    assert "more.jpg" in page(filled) or "7" in page(filled)


def test_an_empty_workspace_says_how_to_begin(workspace: Path) -> None:
    from mekiki.catalog.db import Catalog

    Catalog(workspace).close()

    with pytest.raises(DataError, match="mekiki ingest PATH"):
        run("report", workspace)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        pytest.param("photos/IMG_0.jpg", "is another file and would be lost", id="photo"),
        pytest.param("photos/labels.csv", "is another file and would be lost", id="table"),
        pytest.param("photos", "is a folder: give a file with --output", id="folder"),
        pytest.param("photos/labels.csv/r.html", r"labels\.csv is no folder", id="below a file"),
        pytest.param("/", "is a folder", id="root"),
    ],
)
def test_nobodys_file_is_replaced(name: str, message: str, filled: Path, tmp_path: Path) -> None:
    target = tmp_path / name
    before = target.read_bytes() if target.is_file() else None

    with pytest.raises(UsageError, match=message):
        run("report", filled, output=target)

    assert before is None or target.read_bytes() == before


def test_the_catalog_itself_is_never_replaced(filled: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", "-w", str(filled), "--output", str(filled / "mekiki.db")]) == 2
    assert "would be lost" in capsys.readouterr().err
    assert main(["status", "-w", str(filled)]) == 0


def test_a_page_of_ours_elsewhere_is_replaced(filled: Path, tmp_path: Path) -> None:
    run("report", filled, output=tmp_path / "r.html")

    run("report", filled, output=tmp_path / "r.html", title="Another title")

    assert "Another title" in (tmp_path / "r.html").read_text()


def sharpness(page: str) -> list[float]:
    """Return how much neighbouring pixels of each picture in a page differ, in grey levels."""
    pictures = [base64.b64decode(one) for one in re.findall(r"data:image/jpeg;base64,([A-Za-z0-9+/=]+)", page)]
    arrays = [np.asarray(Image.open(io.BytesIO(one)).convert("L"), np.float64) for one in pictures]
    return [float(np.abs(np.diff(array, axis=1)).mean()) for array in arrays]


@pytest.fixture
def everywhere(workspace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A workspace whose page has samples, duplicates of both kinds, a nearest pair and mistakes."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(3)
    for number in range(6):
        pixels = np.kron(rng.integers(0, 256, (24, 32, 3), dtype=np.uint8), np.ones((8, 8, 1), np.uint8))
        (tmp_path / "photos").mkdir(exist_ok=True)
        Image.fromarray(pixels).save(tmp_path / "photos" / f"IMG_{number}.jpg", quality=95)
    (tmp_path / "photos" / "copy.jpg").write_bytes((tmp_path / "photos" / "IMG_0.jpg").read_bytes())
    Image.fromarray(pixels).save(tmp_path / "photos" / "near.jpg", quality=60)
    ingest(workspace, Path("photos"))  # as it was typed is how the page repeats it
    run("dedupe", workspace)
    run("split", workspace, shares={"a": 0.5, "b": 0.5})
    photos = [tmp_path / "photos" / "IMG_1.jpg", tmp_path / "photos" / "IMG_2.jpg"]
    leave(workspace, "evaluate", "all", {"metrics.json": evaluation(), "mistakes.json": mistakes(photos)})
    return workspace


def test_pictures_are_blurred_in_their_pixels_or_left_out_everywhere(everywhere: Path) -> None:
    run("report", everywhere)
    sharp = page(everywhere)
    run("report", everywhere, pictures="blurred")
    blurred = page(everywhere)
    run("report", everywhere, pictures="none")
    hidden = page(everywhere)

    for title in ("Identical files", "Near-duplicates", "most alike pictures", "Worst mistakes", "What it looks like"):
        assert title in sharp
    assert len(sharpness(sharp)) == len(sharpness(blurred)) > 8
    assert max(sharpness(blurred)) < min(sharpness(sharp)) / 3
    assert sharpness(hidden) == []
    for told in ("IMG_1", "near.jpg", "picture not shown"):
        assert told in hidden
    assert "picture not readable" not in hidden


def test_a_blurred_page_replaces_a_sharp_one_that_was_made_again(everywhere: Path) -> None:
    run("report", everywhere, pictures="blurred")
    run("report", everywhere)

    run("report", everywhere, pictures="blurred")

    assert max(sharpness(page(everywhere))) < 5


def test_no_path_of_this_machine_is_in_the_page(everywhere: Path, tmp_path: Path) -> None:
    run("report", everywhere)

    told = unescape(page(everywhere)).replace("<wbr>", "")
    assert '"nearest"' in told
    assert [line for line in told.splitlines() if str(tmp_path) in line] == []
